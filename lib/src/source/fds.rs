//! The tables of open files of processes: `/proc/PID/fd` (proc_pid_fd(5)).

use std::ffi::CStr;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::{PathBuffer, Source};
use crate::id::Pid;
use crate::sys;

/// Reads tables of open files one after the other into buffers that it keeps.
pub struct Fds<'a> {
    source: &'a Source,
    path: PathBuffer,
    entries: Vec<u8>,
    link: Vec<u8>,
    open: sys::Pile,
}

/// Enough for the entries of a table of two hundred files: larger ones are read in parts.
const ENTRIES: usize = 8 << 10;

/// As much of a link as anybody asks for: `socket:[18446744073709551615]` has 29 bytes.
const LINK: usize = 64;

impl Source {
    /// Makes a reader of tables of open files, with buffers of its own, for one thread.
    pub fn fds(&self) -> Fds<'_> {
        Fds {
            source: self,
            path: PathBuffer::default(),
            entries: Vec::with_capacity(ENTRIES),
            link: Vec::with_capacity(LINK),
            open: sys::Pile::default(),
        }
    }

    /// The threads of a process; none where it has gone or may not be read.
    pub fn threads(&self, pid: Pid) -> Vec<Pid> {
        let mut found = Vec::new();
        let _ = self.fds().walk(pid, "task", |_, name| {
            found.extend(name.to_str().ok().and_then(|name| name.parse::<Pid>().ok()));
            Ok(())
        });
        found
    }

    /// The owner of the folder of a process: its effective user, and root where its memory may not be read.
    pub fn owner(&self, pid: Pid) -> Option<u32> {
        let mut path = PathBuffer::default();
        fstatat(&self.folder, path.of(pid, ""), AtFlags::empty()).ok().map(|facts| facts.st_uid)
    }
}

impl Fds<'_> {
    /// Gives the numbers of all open files of a process, and the beginnings of their links, as long as `each` wants more.
    /// Of a process with several tables it is that of the first thread.
    ///
    /// `ESRCH` or `ENOENT`: it has gone. `EACCES` or `EPERM`: its table may not be read. Files that are opened or closed
    /// meanwhile may be missing.
    pub fn links(&mut self, pid: Pid, each: impl FnMut(&CStr, &[u8]) -> bool) -> Result<(), Errno> {
        self.links_in(pid, "fd", each)
    }

    /// Likewise of one thread: most threads share the table of the process.
    pub fn links_of_thread(
        &mut self,
        pid: Pid,
        thread: Pid,
        each: impl FnMut(&CStr, &[u8]) -> bool,
    ) -> Result<(), Errno> {
        self.links_in(pid, &format!("task/{thread}/fd"), each)
    }

    fn links_in(
        &mut self,
        pid: Pid,
        name: &str,
        mut each: impl FnMut(&CStr, &[u8]) -> bool,
    ) -> Result<(), Errno> {
        /// Stands for the end of a walk that has seen enough; none of its calls fails that way.
        const ENOUGH: Errno = Errno::ECANCELED;
        let mut link = std::mem::take(&mut self.link);
        let done = self.walk(pid, name, |folder, name| {
            match sys::read_link(folder.as_fd(), name, &mut link) {
                Ok(()) if each(name, &link) => {}
                Ok(()) => return Err(ENOUGH),
                // Closed meanwhile.
                Err(Errno::ENOENT | Errno::ESRCH) => {}
                Err(errno) => return Err(errno),
            }
            Ok(())
        });
        self.link = link;
        if done == Err(ENOUGH) { Ok(()) } else { done }
    }

    /// Gives number and facts of all open files of a process. Following each link costs more than reading it.
    pub fn files(&mut self, pid: Pid, mut each: impl FnMut(u32, &FileStat)) -> Result<(), Errno> {
        self.walk(pid, "fd", |folder, name| {
            let Some(number) = name.to_str().ok().and_then(|name| name.parse().ok()) else { return Ok(()) };
            match fstatat(folder, name, AtFlags::empty()) {
                Ok(facts) => each(number, &facts),
                // A file of a file system that is gone or does not answer cannot be compared; it is not the one.
                Err(Errno::EACCES | Errno::EPERM) => return Err(Errno::EACCES),
                Err(_) => {}
            }
            Ok(())
        })
    }

    fn walk(
        &mut self,
        pid: Pid,
        name: &str,
        mut each: impl FnMut(&OwnedFd, &CStr) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut opened = openat(&self.source.folder, self.path.of(pid, name), flags, Mode::empty());
        if matches!(opened, Err(Errno::EMFILE | Errno::ENFILE)) && !self.open.is_empty() {
            self.open.close();
            opened = openat(&self.source.folder, self.path.of(pid, name), flags, Mode::empty());
        }
        let folder = opened?;
        let mut done = Ok(());
        loop {
            match sys::read_entries(folder.as_fd(), &mut self.entries) {
                Ok(true) => {
                    done = sys::entry_names(&self.entries).try_for_each(|name| each(&folder, name));
                    if done.is_err() {
                        break;
                    }
                }
                Ok(false) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    done = Err(errno);
                    break;
                }
            }
        }
        self.open.add(folder);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::fs::MetadataExt as _;

    #[test]
    fn the_own_table_holds_what_is_open_and_no_more() {
        let source = Source::live().expect("/proc");
        let mut fds = source.fds();
        let file = tempfile::NamedTempFile::new().expect("a file");
        let inode = file.as_file().metadata().expect("facts").st_ino();
        let mut count = |inode| {
            let mut found = 0;
            fds.files(Pid::this(), |_, facts| found += usize::from(facts.st_ino == inode)).expect("readable");
            found
        };
        assert_eq!(count(inode), 1);
        drop(file);
        assert_eq!(count(inode), 0);
        let (one, _other) = nix::unistd::pipe().expect("a pipe");
        let inode = nix::sys::stat::fstat(&one).expect("facts").st_ino;
        let wanted = format!("pipe:[{inode}]");
        let mut ends = |most| {
            let mut links = 0;
            let each = |_: &CStr, link: &[u8]| {
                links += usize::from(link == wanted.as_bytes());
                links < most
            };
            fds.links(Pid::this(), each).expect("readable");
            links
        };
        assert_eq!((ends(3), ends(1)), (2, 1), "both ends, and no more than are wanted");
    }
}
