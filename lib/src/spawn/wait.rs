//! Waiting for a service that was started, while signals to this process are heeded.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal as Caught};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};

use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::id::Pid;
use crate::signal::Signal;
use crate::status::End;

/// Without a descriptor of a process its end is seen by looking.
const LOOK: Duration = Duration::from_millis(20);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The process has ended.
    Ended,
    /// Somebody asked this process to end.
    Asked(Signal),
    /// The time is over.
    Late,
}

/// Waits, and takes the signals that ask this process to end.
#[derive(Debug)]
pub struct Waiter(SignalFd);

impl Waiter {
    /// Takes TERM, INT, HUP and QUIT from now on. To be made before a process is started that would be waited for.
    pub fn new() -> Result<Self> {
        let failed = |errno| Error::system("watch for signals", "", errno);
        let mut mask = SigSet::empty();
        mask.extend([Caught::SIGTERM, Caught::SIGINT, Caught::SIGHUP, Caught::SIGQUIT]);
        mask.thread_block().map_err(failed)?;
        SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Self).map_err(failed)
    }

    /// Waits for the end of a process, for a signal or for a moment.
    pub fn wait(&self, handle: &Handle, until: Instant) -> Result<Waited> {
        let failed = |errno| Error::system("wait", handle.pid(), errno);
        loop {
            if handle.has_ended() {
                return Ok(Waited::Ended);
            }
            if let Some(info) = self.0.read_signal().map_err(failed)? {
                let number = i32::try_from(info.ssi_signo).ok().and_then(Signal::new);
                return Ok(Waited::Asked(number.unwrap_or(Signal::TERM)));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Waited::Late);
            }
            let left = if handle.pidfd().is_some() { left } else { left.min(LOOK) };
            let timeout =
                PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
            let mut fds = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            fds.extend(handle.pidfd().map(|pidfd| PollFd::new(pidfd, PollFlags::POLLIN)));
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}

/// Reaps a child, waiting for its end. None where it was not to be had.
pub(super) fn reap(pid: Pid) -> Option<End> {
    loop {
        return match waitpid(nix::unistd::Pid::from_raw(pid.raw()), None) {
            Err(Errno::EINTR) | Ok(WaitStatus::Stopped(..) | WaitStatus::Continued(_)) => continue,
            Ok(WaitStatus::Exited(_, code)) => Some(End::Exited(u8::try_from(code).unwrap_or(u8::MAX))),
            Ok(WaitStatus::Signaled(_, signal, _)) => Signal::new(signal as i32).map(End::Signalled),
            _ => None,
        };
    }
}
