//! One writer at a time, whatever happens to it.
//!
//! The lock is the kernel's own (`flock(2)`) on a file beside the registry. The kernel gives it back when its holder
//! dies, however it dies; so it is never stale, and nobody ever has to remove the file. Should somebody do so, the
//! writers notice and use the new one.
//!
//! # A holder that stands still
//!
//! A writer that was stopped (SIGSTOP, Ctrl-Z) keeps its lock, and everybody else would wait until it goes on. So who
//! waits looks at the holder, and takes the lock over from one that is seen stopped twice: it puts a new lock file, which
//! it holds already, in place of the old one.
//!
//! That is safe at every moment, because the lock alone permits nothing: a writer can put its new version in place only
//! by renaming its draft, and
//!
//! 1. it makes its draft *after* it got the lock and *before* it reads the registry;
//! 2. it then checks that its lock file is still the one in place, and starts again if it is not;
//! 3. it removes all drafts of others before it reads.
//!
//! A writer whose lock was taken over before its check starts again. After its check its draft exists, so who took over
//! removes it, and the rename fails: the writer starts again. If the rename came first, who took over reads its result.
//!
//! # Waiting
//!
//! A helper thread waits in `flock`, so the kernel queues the waiters and wakes them; this thread waits for the helper
//! up to the limit. When it gives up, the helper is left behind: should it still get the lock, it closes the file.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::os::fd::AsFd;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::fstat;

use super::folder::{FileId, Folder};
use crate::error::{Error, Kind, Result};
use crate::id::Pid;
use crate::source::{Source, Wants};

/// How often a waiter looks whether the holder stands still or the lock file was replaced.
const LOOK: Duration = Duration::from_millis(250);

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    #[expect(dead_code, reason = "closing it gives the lock back")]
    file: File,
    id: FileId,
}

/// Who holds a lock: its number and its name, for people.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: Pid,
    name: String,
    stopped: bool,
}

impl Lock {
    /// Takes the lock, waiting up to `limit`. After that the error names who holds it.
    pub(super) fn take(folder: &Folder, limit: Duration) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let name = folder.lock_name();
        loop {
            let flags = OFlag::O_RDWR | OFlag::O_CREAT;
            let Some((file, facts)) = folder.open_own(&name, flags)? else { continue };
            let id = (facts.st_dev, facts.st_ino);
            let file = match file.try_lock() {
                Ok(()) => Some(file),
                Err(TryLockError::WouldBlock) => wait(folder, file, id, deadline)?,
                Err(TryLockError::Error(error)) => {
                    return Err(Error::system("lock registry", folder.path().display(), error));
                }
            };
            if let Some(file) = file {
                let lock = Self::of(file, folder)?;
                if lock.is_current(folder)? {
                    return Ok(lock);
                }
            }
        }
    }

    fn of(file: File, folder: &Folder) -> Result<Self> {
        let facts = fstat(file.as_fd())
            .map_err(|errno| Error::system("lock registry", folder.path().display(), errno))?;
        Ok(Self { id: (facts.st_dev, facts.st_ino), file })
    }

    /// Tells whether this is still the lock in place: nobody has taken it over or removed it.
    pub(super) fn is_current(&self, folder: &Folder) -> Result<bool> {
        Ok(folder.file_id(&folder.lock_name())? == Some(self.id))
    }
}

/// Waits for a lock that somebody holds. None: the file is not the one in place any more, or could not be taken over.
fn wait(folder: &Folder, file: File, id: FileId, deadline: Instant) -> Result<Option<File>> {
    let name = folder.lock_name();
    let (sender, receiver) = channel();
    let helper = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
        let done = file.lock();
        // When nobody listens any more, the file comes back and is closed here.
        let _ = sender.send(done.map(|()| file));
    });
    if let Err(error) = helper {
        return Err(Error::system("wait for registry lock", folder.path().display(), error));
    }
    let mut seen_stopped = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(LOOK)) {
            Ok(Ok(file)) => return Ok(Some(file)),
            Ok(Err(error)) => return Err(Error::system("lock registry", folder.path().display(), error)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if folder.file_id(&name)? != Some(id) {
            return Ok(None);
        }
        let holder = holder(id);
        if Instant::now() >= deadline {
            return Err(Error::new(
                Kind::Busy,
                "lock registry",
                folder.path().display(),
                match holder {
                    Some(Holder { pid, name, .. }) => format!("process {pid} ({name}) holds the lock"),
                    None => "another process holds the lock".to_owned(),
                },
            ));
        }
        let stopped = holder.filter(|holder| holder.stopped).map(|holder| holder.pid);
        if stopped.is_some() && stopped == seen_stopped {
            return take_over(folder, &name);
        }
        seen_stopped = stopped;
    }
}

/// Puts a lock file in place that this process holds already. None: somebody else was faster.
fn take_over(folder: &Folder, name: &OsStr) -> Result<Option<File>> {
    const WHAT: &str = "take over registry lock";
    let mut draft = folder.draft()?;
    draft.file.try_lock().map_err(|error| {
        Error::system("lock registry", folder.path().display(), std::io::Error::from(error))
    })?;
    if !draft.rename(WHAT, name)? {
        return Ok(None);
    }
    let file = draft.file.try_clone();
    file.map(Some).map_err(|error| Error::system(WHAT, folder.path().display(), error))
}

/// Who holds a lock, as the kernel tells it (`/proc/locks`, `proc_locks(5)`). None where it does not show.
fn holder(id: FileId) -> Option<Holder> {
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = Pid::new(holder_number(&table, id)?)?;
    let process = Source::live().ok()?.reader(Wants::default()).read(pid).ok()??;
    Some(Holder {
        pid,
        name: crate::text::visible(process.comm.bytes()),
        // A tracer stops a process for moments only (`t`): that does not count.
        stopped: process.state.letter() == 'T',
    })
}

/// Finds the holder in the text of the table: `1: FLOCK ADVISORY WRITE 4711 fd:01:123456 0 EOF`.
///
/// Some file systems show another device number to stat(2) than to the kernel's table, so where no line has the device,
/// one with the inode alone will do.
fn holder_number(table: &str, (device, inode): FileId) -> Option<u32> {
    let device = format!("{:02x}:{:02x}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let inode = inode.to_string();
    let mut by_inode = None;
    for line in table.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words.as_slice() else { continue };
        let Some((on, number)) = file.rsplit_once(':') else { continue };
        if number == inode {
            if on == device {
                return pid.parse().ok();
            }
            by_inode = pid.parse().ok();
        }
    }
    by_inode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_device_and_inode_and_waiters_do_not_count() {
        let table = "1: FLOCK  ADVISORY  WRITE 100 fe:00:55 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 101 fe:00:55 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 102 fe:00:56 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 103 00:1f:56 0 EOF\n";
        let device = |major, minor| nix::sys::stat::makedev(major, minor);
        assert_eq!(holder_number(table, (device(0xfe, 0), 55)), Some(100));
        assert_eq!(holder_number(table, (device(0xfe, 0), 56)), Some(103), "by inode alone");
        assert_eq!(holder_number(table, (device(0xfe, 0), 57)), None);
    }

    #[test]
    fn who_holds_a_lock_is_named() {
        let file = tempfile::tempfile().expect("a file");
        file.lock().expect("locked");
        let facts = fstat(file.as_fd()).expect("facts");
        let holder = holder((facts.st_dev, facts.st_ino)).expect("a holder");
        assert_eq!(holder.pid, Pid::this());
        assert!(!holder.stopped);
    }
}
