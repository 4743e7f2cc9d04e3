//! The signals that ask the supervisor something.

use std::os::fd::{AsFd as _, BorrowedFd};

use nix::sys::signal::{SigSet, Signal as Caught};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use procherd::error::{Error, Result};

/// What the supervisor is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// To take its services anew.
    Reload,
    /// To end.
    End,
}

/// The signals that ask the supervisor something.
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Takes TERM, INT, QUIT and HUP from now on. Services get their own signals back when they are started.
    pub(super) fn hold() -> Result<Self> {
        let failed = |errno| Error::system("watch for signals", "", errno);
        let mut mask = SigSet::empty();
        mask.extend([Caught::SIGTERM, Caught::SIGINT, Caught::SIGQUIT, Caught::SIGHUP]);
        mask.thread_block().map_err(failed)?;
        SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Self).map_err(failed)
    }

    /// Takes what has come: what it asks for, where it asks for anything. To end counts for more than to reload.
    pub(super) fn ask(&self) -> Result<Option<Asked>> {
        let mut asked = None;
        while let Some(info) =
            self.0.read_signal().map_err(|errno| Error::system("read signals", "", errno))?
        {
            let next = if info.ssi_signo == Caught::SIGHUP as u32 { Asked::Reload } else { Asked::End };
            asked = asked.max(Some(next));
        }
        Ok(asked)
    }

    /// Readable when one has come.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
