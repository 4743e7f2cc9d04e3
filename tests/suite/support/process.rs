//! The tests' own eyes: which process is meant, and whether it lives.
#![allow(unsafe_code, reason = "pidfds have no safe interface among the crates that the tests use")]

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::linux::fs::MetadataExt as _;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde_json::Value;

/// One process, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
    /// Absent where the kernel gives none.
    pub(crate) inode: Option<u64>,
}

impl Id {
    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let handle = pidfd_open(pid).ok()?;
        Some(Self { pid, start_ticks: start_ticks(pid)?, inode: inode(&handle) })
    }

    /// The process that a record or a line of an actor names.
    pub(crate) fn in_record(record: &Value) -> Option<Self> {
        let number = |name: &str| record.get(name).and_then(Value::as_u64);
        Some(Self {
            pid: u32::try_from(number("pid")?).ok()?,
            start_ticks: number("start_ticks")?,
            inode: number("pidfd_inode").or_else(|| number("inode")),
        })
    }

    /// A handle on it, none where its number is free or names another process.
    pub(crate) fn handle(&self) -> Option<File> {
        let handle = pidfd_open(self.pid).ok()?;
        let same = match self.inode {
            Some(known) => inode(&handle) == Some(known),
            None => start_ticks(self.pid) == Some(self.start_ticks),
        };
        same.then_some(handle)
    }

    /// Tells whether it lives: the same process, and not dead and unreaped.
    pub(crate) fn alive(&self) -> bool {
        self.handle().is_some_and(|handle| {
            let mut fds = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO) == Ok(0)
        })
    }

    /// The letter of its state, none once it is gone.
    pub(crate) fn state(&self) -> Option<char> {
        let handle = self.handle()?;
        let state = stat_fields(self.pid)?.first()?.chars().next();
        // Read while the handle showed that the number had not changed hands.
        self.handle().and_then(|again| (inode(&again) == inode(&handle)).then_some(state)?)
    }

    /// The number of its parent.
    pub(crate) fn ppid(&self) -> Option<u32> {
        self.handle()?;
        stat_fields(self.pid)?.get(1)?.parse().ok()
    }

    /// Sends a signal through a verified handle; false where it is gone.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(handle) = self.handle() else { return false };
        // SAFETY: the descriptor is open during the call; a null pointer asks for the default information.
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                handle.as_raw_fd(),
                signal as i32,
                std::ptr::null::<u8>(),
                0,
            )
        };
        done == 0
    }

    /// The operand that names it: `PID:INODE`, a bare number where there is no inode.
    pub(crate) fn operand(&self) -> String {
        match self.inode {
            Some(inode) => format!("{}:{inode}", self.pid),
            None => self.pid.to_string(),
        }
    }
}

/// The processor time that a process has used, in clock ticks.
pub(crate) fn cpu_ticks(id: Id) -> Option<u64> {
    let fields = stat_fields(id.pid)?;
    id.handle()?;
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// The living among some processes.
pub(crate) fn living(ids: &[Id]) -> Vec<Id> {
    ids.iter().copied().filter(Id::alive).collect()
}

/// The numbers of all processes that /proc shows.
pub(crate) fn numbers() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The living processes whose environment holds these bytes.
pub(crate) fn carriers(mark: &str) -> Vec<Id> {
    let carries = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let mine = std::process::id();
    let known = |pid: u32| {
        // Identified before it is read: what is read belongs to that process or to a later one, never to an earlier.
        let id = Id::of(pid)?;
        (carries(pid) && id.alive()).then_some(id)
    };
    numbers().into_iter().filter(|pid| *pid != mine).filter_map(known).collect()
}

/// Opens a handle of the process that has this number now.
pub(crate) fn pidfd_open(pid: u32) -> nix::Result<File> {
    // SAFETY: the call takes two integers and no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// The inode of a handle, none on kernels where all handles share one.
fn inode(handle: &File) -> Option<u64> {
    let metadata = handle.metadata().ok()?;
    // PIDFS_MAGIC, include/uapi/linux/magic.h: kernels before 6.9 answer with that of anonymous inodes.
    let pidfs = nix::sys::statfs::fstatfs(handle).ok()?.filesystem_type().0 == 0x5049_4446;
    pidfs.then(|| metadata.st_ino())
}

fn start_ticks(pid: u32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// The fields of a stat file after the name, so that the state is the first.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.iter().rposition(|byte| *byte == b')')?;
    Some(String::from_utf8_lossy(&stat[after + 1..]).split_ascii_whitespace().map(str::to_owned).collect())
}
