//! A terminal for a tool to run on.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{OpenptyResult, Winsize, openpty};

/// A pseudo terminal and which of the standard streams are on it.
pub(crate) struct Terminal {
    pair: OpenptyResult,
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Terminal {
    /// A terminal of a size, none of the streams on it yet.
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(&size, None).expect("a pseudo terminal");
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("our own descriptor");
        }
        Self { pair, stdin: false, stdout: false, stderr: false }
    }

    /// A terminal that a person sits at: all three streams.
    pub(crate) fn of_a_person() -> Self {
        Self { stdin: true, stdout: true, stderr: true, ..Self::new(100, 30) }
    }

    /// Puts standard input on it.
    pub(crate) fn input(self) -> Self {
        Self { stdin: true, ..self }
    }

    /// Puts standard output on it.
    pub(crate) fn output(self) -> Self {
        Self { stdout: true, ..self }
    }

    /// Puts standard error on it.
    pub(crate) fn messages(self) -> Self {
        Self { stderr: true, ..self }
    }

    /// Connects a command; the pipes of the streams that are on the terminal are closed. Returns our side of it.
    pub(super) fn attach(
        self,
        command: &mut Command,
        stdout: &mut Option<File>,
        stderr: &mut Option<File>,
    ) -> OwnedFd {
        let copy = || self.pair.slave.try_clone().expect("a descriptor");
        if self.stdin {
            command.stdin(copy());
        }
        if self.stdout {
            command.stdout(copy());
            *stdout = None;
        }
        if self.stderr {
            command.stderr(copy());
            *stderr = None;
        }
        self.pair.master
    }
}
