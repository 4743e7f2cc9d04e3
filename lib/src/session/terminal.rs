//! The terminal of the session: it is the command's while that runs, and is given back as it was.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::OFlag;
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The controlling terminal, as it was before the command ran.
pub(super) struct Terminal {
    file: File,
    modes: Option<Termios>,
    was_ours: bool,
}

impl Terminal {
    /// The controlling terminal of this process; none where it has none.
    ///
    /// SIGTTOU must be blocked as long as the terminal is used: then a process in the background may change it.
    pub(super) fn open() -> Option<Self> {
        let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let file = File::options().read(true).write(true).custom_flags(flags.bits()).open("/dev/tty").ok()?;
        let was_ours = tcgetpgrp(&file) == Ok(getpgrp());
        let modes = if was_ours { tcgetattr(&file).ok() } else { None };
        Some(Self { file, modes, was_ours })
    }

    /// Tells whether the group of this process has the foreground.
    pub(super) fn is_ours(&self) -> bool {
        self.was_ours
    }

    /// The process group in the foreground, where it is another one than ours.
    pub(super) fn holder(&self) -> Option<Pid> {
        tcgetpgrp(&self.file).ok().filter(|group| *group != getpgrp())
    }

    /// Hands the foreground on to who had it, if it is ours now.
    pub(super) fn hand_to(&self, holder: Option<Pid>) {
        if let Some(group) = holder.filter(|_| tcgetpgrp(&self.file) == Ok(getpgrp())) {
            // The group may have died out: then the foreground stays ours.
            let _ = tcsetpgrp(&self.file, group);
        }
    }

    /// Takes the foreground back if it was ours; and the modes, where nobody else has seen to them.
    pub(super) fn restore(&self, modes: bool) {
        if !self.was_ours {
            return;
        }
        if self.holder().is_some_and(|holder| !lives(holder)) {
            let _ = tcsetpgrp(&self.file, getpgrp());
        }
        // In the hands of another job by now, it is not ours to change.
        if let (true, Some(saved), None) = (modes, &self.modes, self.holder()) {
            let _ = tcsetattr(&self.file, SetArg::TCSADRAIN, saved);
        }
    }
}

/// Tells whether a process group has members.
fn lives(group: Pid) -> bool {
    nix::sys::signal::killpg(group, None) != Err(nix::errno::Errno::ESRCH)
}
