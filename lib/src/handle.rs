//! Holding processes: open, verify, act, in this order and through one descriptor.
//!
//! [`open`] turns an [`Identity`] into a [`Handle`] only after it has proved that the process behind the number is the
//! one that is meant. A handle never leads to another process, however often the number is given away.
//!
//! Where the kernel offers no pidfd (before Linux 5.3, or forbidden by a container), the folder of the process below
//! `/proc` is the handle. It proves identity as well, but a signal then has to go to the number: between the last look
//! and the signal, a few microseconds, the process may end and its number be given away. That race is accepted and
//! written in the manual; it needs the whole range of numbers to be used up within that time.

mod watch;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::host::{Host, own_uid};
use crate::id::{Identity, Pid, Standing};
use crate::record::Process;
use crate::signal::Signal;
use crate::source::{Source, Stat, parse_stat, stat_at};
use crate::status::{End, State};
use crate::sys;

pub use watch::Watch;

/// A process that was proved to be the one that was meant, and is held so that it stays so.
#[derive(Debug)]
pub struct Handle {
    pid: Pid,
    inode: Option<u64>,
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    Pidfd(OwnedFd),
    Folder { folder: OwnedFd, start_ticks: u64 },
}

/// What looking for a process found.
#[derive(Debug)]
pub enum Look {
    /// It lives, or is a zombie that nobody has reaped: see [`Handle::has_ended`].
    Found(Handle),
    /// It is gone: nothing has its number, or it belonged to an earlier boot.
    Gone,
    /// Its number belongs to another process now, so it is gone.
    Changed,
    /// It belongs to another machine or pid namespace: neither dead nor alive here.
    Foreign(&'static str),
    /// Its identity says too little to act on.
    TooWeak(&'static str),
    /// The system would not let us look.
    Failed(Errno),
}

/// Looks for the process that an identity names, and holds it.
///
/// The checks go from cheap to dear: place, pidfd, inode; and the start only where there is no inode to compare.
pub fn open(host: &Host, source: &Source, identity: &Identity) -> Look {
    match identity.standing(host.place(), host.has_pidfs()) {
        Standing::Here => {}
        Standing::EarlierBoot => return Look::Gone,
        Standing::Foreign(why) => return Look::Foreign(why),
        Standing::TooWeak(why) => return Look::TooWeak(why),
    }
    if host.has_pidfd() { open_pidfd(host, source, identity) } else { open_folder(source, identity) }
}

/// Holds whichever process has a number now, with the inode of its pidfd: for who reads its facts afterwards, so that
/// they are the facts of this process or of nobody who can be signalled through it. Only where the kernel has pidfs; none
/// where nothing has the number, or descriptors have run out.
pub fn hold(pid: Pid) -> Option<Handle> {
    let pidfd = sys::pidfd_open(pid).ok()?;
    let inode = nix::sys::stat::fstat(&pidfd).ok()?.st_ino;
    Some(Handle { pid, inode: Some(inode), hold: Hold::Pidfd(pidfd) })
}

fn open_pidfd(host: &Host, source: &Source, identity: &Identity) -> Look {
    let pidfd = match sys::pidfd_open(identity.pid) {
        Ok(pidfd) => pidfd,
        // A number that belongs to a thread, not to a process, names no process (EINVAL, and ENOENT since 6.13).
        Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => return Look::Gone,
        Err(errno) => return Look::Failed(errno),
    };
    let inode = if host.has_pidfs() {
        match nix::sys::stat::fstat(&pidfd) {
            Ok(facts) => Some(facts.st_ino),
            Err(errno) => return Look::Failed(errno),
        }
    } else {
        None
    };
    if let (Some(meant), Some(found)) = (identity.inode, inode) {
        if meant != found {
            return Look::Changed;
        }
    } else if let Some(meant) = identity.start_ticks {
        // No inode to compare: the start decides, read through a folder that cannot change hands.
        let folder = match source.process_folder(identity.pid) {
            Ok(folder) => folder,
            Err(_) if poll_ended(pidfd.as_fd()) => return Look::Gone,
            Err(_) => return Look::Failed(Errno::EACCES),
        };
        match stat_at(&folder) {
            Ok(stat) if stat.start_ticks != meant => return Look::Changed,
            Ok(_) => {}
            Err(Errno::ESRCH) => return Look::Gone,
            Err(errno) => return Look::Failed(errno),
        }
    }
    Look::Found(Handle { pid: identity.pid, inode, hold: Hold::Pidfd(pidfd) })
}

fn open_folder(source: &Source, identity: &Identity) -> Look {
    let folder = match source.process_folder(identity.pid) {
        Ok(folder) => folder,
        Err(error) if error.kind() == crate::error::Kind::Gone => return Look::Gone,
        Err(_) => return Look::Failed(Errno::EACCES),
    };
    match stat_at(&folder) {
        Ok(stat) => match identity.start_ticks {
            Some(meant) if meant != stat.start_ticks => Look::Changed,
            _ => {
                let hold = Hold::Folder { folder, start_ticks: stat.start_ticks };
                Look::Found(Handle { pid: identity.pid, inode: None, hold })
            }
        },
        Err(Errno::ESRCH) => Look::Gone,
        Err(errno) => Look::Failed(errno),
    }
}

impl Handle {
    /// The number that the process has, or had.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The inode of its pidfd, where the kernel gives one.
    pub fn inode(&self) -> Option<u64> {
        self.inode
    }

    /// The pidfd, for waiting with poll or epoll: readable means that the process is dead. None without pidfds.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.hold {
            Hold::Pidfd(pidfd) => Some(pidfd.as_fd()),
            Hold::Folder { .. } => None,
        }
    }

    /// Sends a signal. `ESRCH`: it has been reaped. `EPERM`: not allowed. Success proves nothing about death.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match &self.hold {
            Hold::Pidfd(pidfd) => sys::pidfd_send_signal(pidfd.as_fd(), signal.number()),
            Hold::Folder { folder, start_ticks } => {
                if stat_at(folder)?.start_ticks != *start_ticks {
                    return Err(Errno::ESRCH);
                }
                sys::kill_number(self.pid, signal.number())
            }
        }
    }

    /// Tells whether the process has ended: reaped, or a zombie. A dead main thread with living threads has not.
    pub fn has_ended(&self) -> bool {
        match &self.hold {
            Hold::Pidfd(pidfd) => poll_ended(pidfd.as_fd()),
            Hold::Folder { folder, .. } => match stat_at(folder) {
                Ok(stat) => is_dead(&stat),
                Err(errno) => errno == Errno::ESRCH,
            },
        }
    }

    /// Waits until the process has ended, at most for `at_most`, rounded up to milliseconds. Tells whether it has.
    ///
    /// Returns early when a signal arrives. Without pidfds nothing tells of the end: it waits, and looks.
    pub fn ended_within(&self, at_most: Duration) -> bool {
        let timeout = PollTimeout::try_from(at_most + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        if let Hold::Pidfd(pidfd) = &self.hold {
            return ended_within(pidfd.as_fd(), timeout);
        }
        let _ = poll(&mut [], timeout);
        self.has_ended()
    }

    /// How it ended: known after it was reaped, on Linux 6.15 and later.
    pub fn end(&self) -> Option<End> {
        match &self.hold {
            Hold::Pidfd(pidfd) => sys::pidfd_end(pidfd.as_fd()),
            Hold::Folder { .. } => None,
        }
    }
}

/// How a zombie ended: the kernel shows its wait status to those who may trace it (proc_pid_stat(5), field 52). None when it
/// has been reaped, or may not be seen.
pub fn end_of_zombie(source: &Source, process: &Process) -> Option<End> {
    let line = source.whole(process.pid, "stat").ok()?;
    parse_stat(&line).filter(|stat| is_dead(stat) && stat.start_ticks == process.start_ticks)?;
    // 0 is shown where it is hidden, too: only the owner of the process can tell them apart.
    let own = process.uid.is_some_and(|uid| uid == own_uid()) || own_uid() == 0;
    let last = line.rsplit(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    let status = std::str::from_utf8(last).ok()?.parse().ok().filter(|_| own)?;
    End::from_wait_status(status)
}

/// Tells whether a stat line is that of a process with no living thread.
pub fn is_dead(stat: &Stat) -> bool {
    State::new(stat.state).is_dead() && stat.threads <= 1
}

fn poll_ended(pidfd: BorrowedFd<'_>) -> bool {
    ended_within(pidfd, PollTimeout::ZERO)
}

fn ended_within(pidfd: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], timeout).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn child() -> Child {
        Command::new("cat").stdin(Stdio::piped()).spawn().expect("a child")
    }

    fn setting() -> (Host, Source) {
        (Host::look().expect("a host"), Source::live().expect("/proc"))
    }

    fn identity(host: &Host, source: &Source, pid: u32) -> Identity {
        let pid = Pid::new(pid).expect("a pid");
        let process =
            source.reader(crate::source::Wants::EVERYDAY).read(pid).expect("readable").expect("alive");
        process.identity(host.place())
    }

    #[test]
    fn a_process_is_found_signalled_and_seen_dead_by_its_identity() {
        let ((host, source), mut child) = (setting(), child());
        let id = identity(&host, &source, child.id());
        let Look::Found(handle) = open(&host, &source, &id) else { panic!("not found") };
        assert!(!handle.has_ended());
        handle.signal(Signal::KILL).expect("permitted");
        child.wait().expect("reaped");
        assert!(handle.has_ended());
        assert!(matches!(open(&host, &source, &id), Look::Gone | Look::Changed));
        assert_eq!(handle.signal(Signal::KILL), Err(Errno::ESRCH));
    }

    #[test]
    fn a_record_of_another_process_with_the_same_number_is_not_found() {
        let ((host, source), mut child) = (setting(), child());
        let mut id = identity(&host, &source, child.id());
        if host.has_pidfs() {
            let mut other = id.clone();
            other.inode = other.inode.map(|inode| inode + 1);
            assert!(matches!(open(&host, &source, &other), Look::Changed));
        }
        id.inode = None;
        assert!(!host.has_pidfs() || matches!(open(&host, &source, &id), Look::TooWeak(_)));
        child.kill().and_then(|()| child.wait()).expect("ended");
    }

    #[test]
    fn without_pidfd_the_folder_holds_the_process() {
        let ((host, source), mut child) = (setting(), child());
        let id = identity(&host, &source, child.id());
        let Look::Found(handle) = open_folder(&source, &id) else { panic!("not found") };
        let mut other = id.clone();
        other.start_ticks = other.start_ticks.map(|ticks| ticks + 1);
        assert!(matches!(open_folder(&source, &other), Look::Changed));
        handle.signal(Signal::KILL).expect("permitted");
        child.wait().expect("reaped");
        assert!(handle.has_ended());
        assert_eq!(handle.signal(Signal::KILL), Err(Errno::ESRCH));
    }
}
