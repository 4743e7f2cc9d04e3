//! System calls that no safe wrapper offers yet. All unsafe code of the library is here.

#![allow(unsafe_code, reason = "the one module that may call the kernel directly")]

mod child;
mod connector;
mod folder;
mod process;

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;

use crate::id::Pid;
use crate::status::End;

pub use child::{
    Change, dead_child, is_ignored, keep_descriptor, next_change, take, wait_for, wait_for_signal,
};
pub use connector::{Connector, News};
pub use folder::{entry_names, read_entries, read_link};
pub use process::{
    Side, close_from, close_on_exec_from, fork, fork_apart, fork_into, keep_dead_children, leave,
    reset_signals, with_own_signals,
};

/// The file system type of pidfs, `PID_FS_MAGIC` of linux/magic.h (Linux 6.9).
const PID_FS_MAGIC: i64 = 0x5049_4446;

/// Opens a descriptor of a process (`pidfd_open(2)`, Linux 5.3). It is closed on exec.
///
/// `ESRCH`: no such process. `ENOSYS` or `EPERM`: this kernel or container does not offer it.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes two numbers and touches no memory of ours.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.raw(), 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process of a descriptor (`pidfd_send_signal(2)`, Linux 5.1).
///
/// Success proves nothing about death: zombies and kernel threads accept every signal.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is allowed and makes the kernel fill in the one of kill(2).
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
    Errno::result(done).map(drop)
}

/// Sends a signal to whichever process has a number now. Only for kernels without pidfds: see `handle`.
pub fn kill_number(pid: Pid, signal: i32) -> Result<(), Errno> {
    // SAFETY: the call takes two numbers and touches no memory of ours.
    Errno::result(unsafe { libc::kill(pid.raw(), signal) }).map(drop)
}

/// Tells whether a pidfd lives in pidfs, so that its inode names the process for ever within this boot.
pub fn is_pidfs(pidfd: &OwnedFd) -> bool {
    nix::sys::statfs::fstatfs(pidfd).is_ok_and(|fs| fs.filesystem_type().0 == PID_FS_MAGIC)
}

/// Tells whether a descriptor is of the hierarchy of cgroups, version 2.
pub fn is_cgroup2(fd: BorrowedFd<'_>) -> bool {
    /// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
    const CGROUP2: i64 = 0x6367_7270;
    nix::sys::statfs::fstatfs(fd).is_ok_and(|fs| fs.filesystem_type().0 == CGROUP2)
}

/// Reads a short extended attribute of a file (`getxattr(2)`). None where it has none of this name.
pub fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let name = CString::new(name).ok()?;
    let mut value = vec![0_u8; 64];
    // SAFETY: both texts end with a zero, and the kernel writes at most the length of the buffer.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

/// How the process of a descriptor ended (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, Linux 6.15).
///
/// Known only after the parent has reaped it, and only through a descriptor opened before; none otherwise, and on
/// older kernels.
pub fn pidfd_end(pidfd: BorrowedFd<'_>) -> Option<End> {
    const INFO_EXIT: u64 = 1 << 3;
    /// `_IOWR(0xFF, 11, struct pidfd_info)` in its first size of 64 bytes.
    const GET_INFO: libc::Ioctl = 0xC040_FF0B_u32 as libc::Ioctl;
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    let mut info = Info { mask: INFO_EXIT, ..Info::default() };
    // SAFETY: the request carries the size of Info, so the kernel writes no more than that into it.
    let done = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, &raw mut info) };
    if done == 0 && info.mask & INFO_EXIT != 0 { End::from_wait_status(info.exit_code) } else { None }
}

/// Tells whether the number of the process with this pidfs inode is still taken: by the process itself, or by
/// processes of the session or group that it led.
///
/// The kernel keeps the object behind a number as long as any process uses it as pid, group or session, and pidfs
/// finds it by inode. So for a dead leader, `Some(true)` proves that a session or group of its number is still the one
/// it made. None where the kernel cannot tell (before Linux 6.14, or forbidden).
pub fn number_is_held(pidfs: BorrowedFd<'_>, inode: u64) -> Option<bool> {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        inode: u64,
    }
    /// `FILEID_KERNFS`, the type of handle that pidfs gives out.
    const KIND: i32 = 0xfe;
    let handle = Handle { bytes: 8, kind: KIND, inode };
    // SAFETY: the handle is complete, says its own size, and outlives the call, which only reads it.
    let fd = unsafe { libc::syscall(libc::SYS_open_by_handle_at, pidfs.as_raw_fd(), &raw const handle, 0) };
    match Errno::result(fd) {
        Ok(fd) => {
            let fd = RawFd::try_from(fd).ok()?;
            // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            Some(true)
        }
        Err(Errno::ESTALE) => Some(false),
        Err(_) => None,
    }
}

/// Reads once into the free part of a buffer and tells how much was free. Gives the number of bytes read.
pub fn read_into(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    let room: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    // SAFETY: the kernel writes at most `room.len()` bytes into memory that we hold exclusively.
    let read = Errno::result(unsafe { libc::read(fd.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) })?;
    let read = read.cast_unsigned();
    // SAFETY: the kernel has initialised `read` bytes behind the present length, within the capacity.
    unsafe { buffer.set_len(buffer.len() + read) };
    Ok(read)
}

/// Descriptors that are closed together: one call for a run of neighbours (`close_range(2)`, Linux 5.9).
///
/// Reading a process table opens three files a process; closing them one by one would be a third of all calls.
#[derive(Default)]
pub struct Pile(Vec<RawFd>);

impl Pile {
    /// How many descriptors are kept open at most.
    pub const MOST: usize = 60;

    /// Takes a descriptor to be closed later, and closes all when there are many.
    pub fn add(&mut self, fd: OwnedFd) {
        use std::os::fd::IntoRawFd;
        self.0.push(fd.into_raw_fd());
        if self.0.len() >= Self::MOST {
            self.close();
        }
    }

    /// Tells whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Closes all that was added.
    pub fn close(&mut self) {
        self.0.sort_unstable();
        for run in self.0.chunk_by(|one, next| one + 1 == *next) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            // SAFETY: every descriptor from first to last was given to us by `add`, which took its ownership.
            let closed =
                run.len() > 1 && unsafe { libc::syscall(libc::SYS_close_range, *first, *last, 0) } == 0;
            if !closed {
                for fd in run {
                    // SAFETY: we own it, as above; an older kernel knows no close_range.
                    drop(unsafe { OwnedFd::from_raw_fd(*fd) });
                }
            }
        }
        self.0.clear();
    }
}

impl Drop for Pile {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_pile_closes_what_it_took_and_nothing_else() {
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").expect("/dev/null"));
        let (one, kept, two) = (file(), file(), file());
        let numbers = (one.as_raw_fd(), two.as_raw_fd());
        let mut pile = Pile::default();
        pile.add(two);
        pile.add(one);
        pile.close();
        assert!(nix::sys::stat::fstat(kept.as_fd()).is_ok());
        for number in [numbers.0, numbers.1] {
            let path = format!("/proc/self/fd/{number}");
            let still_ours = std::fs::read_link(path).is_ok_and(|to| to.as_os_str() == "/dev/null");
            assert!(!still_ours || number == kept.as_raw_fd());
        }
    }

    #[test]
    fn reading_fills_only_the_free_part() {
        let file = OwnedFd::from(std::fs::File::open("/dev/zero").expect("/dev/zero"));
        let mut buffer = Vec::with_capacity(8);
        buffer.extend_from_slice(b"abc");
        let read = read_into(file.as_fd(), &mut buffer).expect("read");
        assert_eq!(buffer.len(), 3 + read);
        assert!(buffer.starts_with(b"abc\0"));
    }
}
