//! The calls that only unsafe code can make.
#![allow(unsafe_code, reason = "fork and raw system calls; each says why it is sound")]

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, Pid};

/// Who one is after a fork.
pub(crate) enum Side {
    Parent(Pid),
    Child,
}

/// Forks.
pub(crate) fn fork() -> nix::Result<Side> {
    // SAFETY: an actor has one thread whenever it forks (the only mode that makes threads makes them last), so the
    // child may go on with everything, memory allocation included.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Forks a child of one's own parent: a brother.
pub(crate) fn fork_beside() -> nix::Result<Side> {
    const FLAGS: libc::c_long = libc::CLONE_PARENT as libc::c_long | libc::SIGCHLD as libc::c_long;
    // SAFETY: as for fork: no stack is given, so the child goes on with a copy of this one, and there is one thread.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, FLAGS, 0, 0, 0, 0) })?;
    match i32::try_from(pid) {
        Ok(0) => Ok(Side::Child),
        Ok(pid) => Ok(Side::Parent(Pid::from_raw(pid))),
        Err(_) => Err(Errno::ERANGE),
    }
}

/// Forks, and sleeps until the child has ended or become another program: no signal but KILL wakes this process.
pub(crate) fn fork_and_wait_inside() -> nix::Result<Side> {
    const FLAGS: libc::c_long = libc::CLONE_VFORK as libc::c_long | libc::SIGCHLD as libc::c_long;
    // SAFETY: as for fork: the child has a copy of the memory, since CLONE_VM is not asked for, and there is one thread.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, FLAGS, 0, 0, 0, 0) })?;
    match i32::try_from(pid) {
        Ok(0) => Ok(Side::Child),
        Ok(pid) => Ok(Side::Parent(Pid::from_raw(pid))),
        Err(_) => Err(Errno::ERANGE),
    }
}

/// Opens a handle of a process.
pub(crate) fn pidfd_open(pid: Pid) -> nix::Result<File> {
    // SAFETY: the call takes two integers and no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Becomes the tracer of a process, which is stopped by it.
pub(crate) fn trace(pid: Pid) -> nix::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: this request takes the number alone; neither pointer is followed.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid.as_raw(), nothing, nothing) }).map(drop)
}

/// Ends the calling thread alone; the process lives on while others of its threads do.
pub(crate) fn end_thread() {
    // SAFETY: the calling thread holds no lock. Its stack is never unwound and stays mapped with the
    // process, so what other threads borrow from it stays valid.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// Makes the terminal on standard input the controlling terminal of the calling session leader.
pub(crate) fn take_terminal() -> nix::Result<()> {
    // SAFETY: this request takes an integer and no memory.
    Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map(drop)
}

/// Makes a descriptor that has just arrived one's own.
pub(crate) fn own(fd: std::os::fd::RawFd) -> OwnedFd {
    // SAFETY: the kernel has put it into our table with a message, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Makes the system calls of pidfds fail with ENOSYS, as a kernel before 5.1 or a strict container does.
pub(crate) fn forbid_pidfds() -> io::Result<()> {
    filter(&mut [
        step(LOAD, 0, NUMBER),
        step(JUMP_IF_EQUAL, 2, number(libc::SYS_pidfd_open)),
        step(JUMP_IF_EQUAL, 1, number(libc::SYS_pidfd_send_signal)),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
    ])
}

/// Makes every netlink socket fail with EAFNOSUPPORT, as a strict container does.
pub(crate) fn forbid_netlink() -> io::Result<()> {
    /// Where the lower half of the first argument stands.
    const FAMILY: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };
    filter(&mut [
        step(LOAD, 0, NUMBER),
        step(JUMP_IF_EQUAL, 1, number(libc::SYS_socket)),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(LOAD, 0, FAMILY),
        step(JUMP_IF_EQUAL, 1, libc::AF_NETLINK.cast_unsigned()),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT.cast_unsigned()),
    ])
}

// The opcodes of bpf(4), in the type that a filter has them in.
/// `BPF_LD | BPF_W | BPF_ABS`: loads a word of the call's description, by its offset.
const LOAD: u16 = 0x20;
/// Where the number of the call stands.
const NUMBER: u32 = 0;
/// `BPF_JMP | BPF_JEQ | BPF_K`: jumps over so many steps where the number is this one.
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`: ends with a verdict.
const RETURN: u16 = 0x06;

const fn step(code: u16, jt: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf: 0, k }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Filters the system calls of this process and of all that it becomes.
fn filter(program: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).unwrap_or(u16::MAX);
    let filter = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: `filter` and the program that it points to are alive during the call, which copies them.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
