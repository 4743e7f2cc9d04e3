//! Children and signals: what a parent asks of the kernel, without the limits of typed wrappers (real-time signals).

use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::id::Pid;
use crate::signal::Signal;
use crate::status::End;

/// What has become of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is dead, and has been reaped.
    Ended(End),
    /// It was stopped by a signal.
    Stopped(Signal),
    /// It goes on.
    Continued,
}

/// Takes the next change of any child, without waiting; none when nothing has changed. `ECHILD`: there is no child.
pub fn next_change() -> Result<Option<(Pid, Change)>, Errno> {
    let mut status = 0;
    let options = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
    // SAFETY: the kernel writes one integer to a place that outlives the call.
    let pid = Errno::result(unsafe { libc::waitpid(-1, &raw mut status, options) })?;
    let Some(pid) = u32::try_from(pid).ok().and_then(Pid::new) else { return Ok(None) };
    let change = if libc::WIFCONTINUED(status) {
        Some(Change::Continued)
    } else if libc::WIFSTOPPED(status) {
        Signal::new(libc::WSTOPSIG(status)).map(Change::Stopped)
    } else {
        End::from_wait_status(status).map(Change::Ended)
    };
    Ok(change.map(|change| (pid, change)))
}

/// Waits until one child is dead, and reaps it.
pub fn wait_for(child: Pid) -> Result<Option<End>, Errno> {
    let mut status = 0;
    loop {
        // SAFETY: as above.
        match Errno::result(unsafe { libc::waitpid(child.raw(), &raw mut status, 0) }) {
            Ok(_) => return Ok(End::from_wait_status(status)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// A child that is dead and has not been reaped yet, so that its number is still its own.
pub fn dead_child() -> Option<Pid> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel fills in at most one siginfo, for which there is room; zeroed, it is one that names nobody.
    let info = unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) != 0 {
            return None;
        }
        info.assume_init()
    };
    // SAFETY: a siginfo of waitid holds the number of a child, zero where there is none.
    let pid = unsafe { info.si_pid() };
    u32::try_from(pid).ok().and_then(Pid::new)
}

/// Tells whether this process ignores a signal.
pub fn is_ignored(signal: Signal) -> bool {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set; the kernel fills in the present action, for which there is room.
    unsafe {
        libc::sigaction(signal.number(), std::ptr::null(), old.as_mut_ptr()) == 0
            && old.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Sends a signal to this process with its default action and unblocked: it takes effect before this returns.
///
/// Returns where the signal does not end the process: it stopped it, or the kernel protects the process (the first one
/// of a pid namespace, or a stop without anybody who could continue it).
pub fn take(signal: Signal) {
    let number = signal.number();
    // SAFETY: the default action refers to no memory of ours; the mask is a complete one on our stack.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), number);
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), before.as_mut_ptr());
        libc::raise(number);
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
}

/// Waits until a blocked signal arrives, at most for some time, and takes it.
pub fn wait_for_signal(signal: Signal, at_most: Duration) {
    let time = libc::timespec {
        tv_sec: at_most.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: at_most.subsec_nanos().into(),
    };
    // SAFETY: the set and the time are complete and outlive the call, which writes nothing.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal.number());
        libc::sigtimedwait(set.as_ptr(), std::ptr::null_mut(), &raw const time);
    }
}

/// Takes over a descriptor that the caller has passed on by number. Above the standard streams it is this process's
/// alone from then on: an exec closes it.
pub fn keep_descriptor(number: RawFd) -> Result<OwnedFd, Errno> {
    const STANDARD: RawFd = 2;
    // SAFETY: the number is only borrowed for the call; where nothing is open under it, the call fails.
    let given = unsafe { BorrowedFd::borrow_raw(number) };
    let kept =
        given.try_clone_to_owned().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    if number > STANDARD {
        fcntl(given, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    Ok(kept)
}
