//! Making processes: fork, and what a child must do before it becomes another program.

use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::os::linux::fs::MetadataExt as _;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::id::Pid;

/// Who one is after a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was there before, and the number of the child.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Forks, if this process has one thread only; `EBUSY` otherwise.
///
/// In the child of a process with several threads no lock may be taken and no memory be allocated: what the other threads
/// held at that moment stays held for ever.
pub fn fork() -> Result<Side, Errno> {
    be_alone()?;
    // SAFETY: there is no other thread, so the child may go on with everything, memory allocation included.
    let pid = Errno::result(unsafe { libc::fork() })?;
    Ok(side(pid.into()))
}

/// Forks likewise, and the child begins its life in the cgroup of a folder (`clone3(2)`, `CLONE_INTO_CGROUP`, Linux 5.7).
///
/// `ENODEV`: the cgroup was removed. `ENOSYS` or `EPERM`: this kernel or container does not offer it.
pub fn fork_into(cgroup: BorrowedFd<'_>) -> Result<Side, Errno> {
    const INTO_CGROUP: u64 = 1 << 33;
    fork_with(INTO_CGROUP, u64::try_from(cgroup.as_raw_fd()).unwrap_or(u64::MAX))
}

/// Forks likewise, and the child is the first process of a pid namespace and has a mount namespace of its own; with
/// `user`, within a user namespace as well, whose identifiers it has to map (`pid_namespaces(7)`, Linux 3.8; `clone3(2)`,
/// Linux 5.3).
///
/// `EPERM`: not permitted. `ENOSPC` or `EUSERS`: too many namespaces.
pub fn fork_apart(user: bool) -> Result<Side, Errno> {
    let user = if user { libc::CLONE_NEWUSER } else { 0 };
    let flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS | user;
    fork_with(flags.cast_unsigned().into(), 0)
}

fn fork_with(flags: u64, cgroup: u64) -> Result<Side, Errno> {
    be_alone()?;
    let mut arguments = [0_u64; 11];
    arguments[0] = flags;
    arguments[4] = libc::SIGCHLD as u64;
    arguments[10] = cgroup;
    // SAFETY: without CLONE_VM and a stack this is a fork. There is no other thread, so nobody holds a lock of the C library
    // that the child could need, and no handler is registered that it would have to run. The kernel reads the arguments,
    // which outlive the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) };
    Ok(side(Errno::result(pid)?))
}

/// Waits for threads that were joined and are still seen for a moment, a tenth of a second at most.
fn be_alone() -> Result<(), Errno> {
    // The folder has two links of its own, and one for each thread.
    let others = || std::fs::metadata("/proc/self/task").is_ok_and(|facts| facts.st_nlink() > 3);
    for _ in 0..100 {
        if !others() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(Errno::EBUSY)
}

fn side(pid: i64) -> Side {
    match u32::try_from(pid).ok().and_then(Pid::new) {
        Some(child) => Side::Parent(child),
        None => Side::Child,
    }
}

/// Ends this process at once: nothing is flushed, no destructor runs. For children that share all that with their parent.
pub fn leave(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Gives every signal its default action, and blocks none.
///
/// An ignored or blocked signal stays so over exec; a program that starts with TERM ignored cannot be asked to end.
pub fn reset_signals() {
    const LAST: i32 = 64;
    // The C library keeps two signals for itself and refuses to touch them, also where the caller ignores them. So the
    // kernel is asked; its own `struct sigaction`, all zero, is the default action whatever the order of its fields.
    let action = [0_u64; 8];
    let before: *mut libc::c_void = std::ptr::null_mut();
    for signal in 1..=LAST {
        // SAFETY: the kernel reads less than these 64 bytes, and writes nothing. KILL and STOP are refused, which changes
        // nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), before, 8) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Lets a command begin with every signal at its default action and unblocked, whatever this process does with them.
pub fn with_own_signals(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt as _;
    let reset = || {
        reset_signals();
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(reset) }
}

/// Gives SIGCHLD its default action: were it ignored, dead children would be gone before anybody could ask about them.
pub fn keep_dead_children() {
    // SAFETY: the default action refers to no memory of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Closes all descriptors from a number on, whoever owns them. Only for a forked child that goes on with new ones, and never
/// returns to what held the old ones.
pub fn close_from(first: RawFd) {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<RawFd> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number >= first) {
        // SAFETY: the call takes a number; that nobody uses these descriptors any more is the caller's promise.
        unsafe { libc::close(number) };
    }
}

/// Lets an exec close all descriptors from a number on (`close_range(2)`, Linux 5.11, else one by one).
pub fn close_on_exec_from(first: RawFd) {
    /// `CLOSE_RANGE_CLOEXEC` of linux/close_range.h.
    const CLOEXEC: libc::c_uint = 4;
    // SAFETY: the call takes three numbers; it sets a flag and closes nothing.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOEXEC) };
    if done == 0 {
        return;
    }
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| *number >= first) {
        // SAFETY: only a flag of the descriptor is changed; where it is closed by now, the call fails.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_several_threads_does_not_fork() {
        // The test harness runs each test in a thread beside its main one.
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        assert_eq!(fork(), Err(Errno::EBUSY));
        drop(end);
        let _ = other.join();
    }
}
