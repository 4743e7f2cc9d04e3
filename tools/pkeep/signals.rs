//! The signals that ask the supervisor something.

use std::os::fd::{AsFd as _, BorrowedFd};

use nix::sys::signal::{SigSet, Signal as Caught};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use procherd::error::{Error, Result};

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

    /// Tells whether one has asked to end. HUP is taken and means nothing here.
    pub(super) fn ask_to_end(&self) -> Result<bool> {
        let mut end = false;
        while let Some(info) =
            self.0.read_signal().map_err(|errno| Error::system("read signals", "", errno))?
        {
            end |= info.ssi_signo != Caught::SIGHUP as u32;
        }
        Ok(end)
    }

    /// Readable when one has come.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
