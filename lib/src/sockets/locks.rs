//! Who has a file open, and who holds locks on it: `/proc/PID/fdinfo` (proc_pid_fdinfo(5), Linux 4.1) and `/proc/locks`
//! (proc_locks(5)).
//!
//! The number in `/proc/locks` is that of the process which asked for the lock. A flock(2) and a lock of an open file
//! description outlive it where a child has inherited the descriptor; the latter has no number at all. So the tables of
//! open files decide, and `/proc/locks` is believed only about processes whose tables may not be read.

use std::os::linux::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{major, minor};

use crate::error::{Error, Result};
use crate::id::Pid;
use crate::source::{Source, from_both_ends};

/// A file, by device and inode: its names do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    dev: u64,
    inode: u64,
}

impl FileId {
    /// The file behind a path; links are followed.
    pub fn of(path: &Path) -> Result<Self> {
        let facts =
            std::fs::metadata(path).map_err(|error| Error::system("find file", path.display(), error))?;
        Ok(Self { dev: facts.st_dev(), inode: facts.st_ino() })
    }

    /// The file as `/proc/locks` writes it. File systems with several devices (btrfs) name another one there.
    fn in_locks(self) -> String {
        format!("{:02x}:{:02x}:{}", major(self.dev), minor(self.dev), self.inode)
    }
}

/// A lock on a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lock {
    /// `flock` (flock(2)), `posix` (fcntl(2)), `ofd` (of an open file description), `lease` or `delegation`.
    pub kind: &'static str,
    /// `read` or `write`.
    pub mode: &'static str,
    /// The first byte.
    pub start: u64,
    /// The last byte; none for the end of the file, wherever that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Whether it waits for another one.
    #[serde(skip_serializing_if = "is_no")]
    pub waits: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_no(flag: &bool) -> bool {
    !flag
}

/// A process that has a file open, or holds a lock on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The process.
    pub pid: Pid,
    /// The descriptors that lead to the file; none where its table may not be read.
    pub fds: Vec<u32>,
    /// Its locks on the file, and those that it waits for.
    pub locks: Vec<Lock>,
}

/// A lock of `/proc/locks` and its process, none where the kernel names none that can be seen.
pub type Unseen = (Option<Pid>, Lock);

/// Finds all processes among `pids` that have a file open, with their locks on it; and those that may not be read.
///
/// What is only mapped into memory and not open any more cannot hold a lock, and is left out.
pub fn openers(source: &Source, pids: &[Pid], file: FileId) -> Result<(Vec<Opened>, Vec<Pid>)> {
    enum Read {
        Has(Opened),
        Denied(Pid),
    }
    let read = from_both_ends(pids, |part| {
        let mut tables = source.fds();
        let mut found = Vec::new();
        for pid in part {
            let mut fds = Vec::new();
            let read = tables.files(pid, |fd, facts| {
                if facts.st_ino == file.inode && facts.st_dev == file.dev {
                    fds.push(fd);
                }
            });
            match read {
                Err(Errno::EACCES | Errno::EPERM) => found.push(Read::Denied(pid)),
                Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => {
                    return Err(Error::system("read open files", pid, errno));
                }
                Ok(()) | Err(_) if fds.is_empty() => {}
                Ok(()) | Err(_) => {
                    fds.sort_unstable();
                    let locks = held(source, pid, &fds);
                    found.push(Read::Has(Opened { pid, fds, locks }));
                }
            }
        }
        Ok(found)
    })?;
    let (mut opened, mut denied) = (Vec::new(), Vec::new());
    for one in read {
        match one {
            Read::Has(one) => opened.push(one),
            Read::Denied(pid) => denied.push(pid),
        }
    }
    opened.sort_unstable_by_key(|one| one.pid);
    Ok((opened, denied))
}

/// The locks of some descriptors of a process, each once.
fn held(source: &Source, pid: Pid, fds: &[u32]) -> Vec<Lock> {
    let mut locks: Vec<Lock> = Vec::new();
    for fd in fds {
        let Ok(info) = source.whole(pid, &format!("fdinfo/{fd}")) else { continue };
        for line in String::from_utf8_lossy(&info).lines() {
            let lock = line.strip_prefix("lock:").and_then(parse);
            locks.extend(lock.map(|(.., lock)| lock).filter(|lock| !locks.contains(lock)));
        }
    }
    locks
}

/// Adds what `/proc/locks` says of a file: who waits for a lock, and who holds one and may not be looked into. Gives the
/// locks that belong to nobody who can be seen.
pub fn unseen_locks(file: FileId, opened: &mut Vec<Opened>, denied: &[Pid]) -> Result<Vec<Unseen>> {
    let path = "/proc/locks";
    let table = std::fs::read_to_string(path).map_err(|error| Error::system("read locks", path, error))?;
    Ok(assign(&table, file, opened, denied))
}

fn assign(table: &str, file: FileId, opened: &mut Vec<Opened>, denied: &[Pid]) -> Vec<Unseen> {
    let place = file.in_locks();
    let mut unseen = Vec::new();
    for (pid, of, lock) in table.lines().filter_map(parse) {
        if of != place {
            continue;
        }
        let seen = |one: &Opened| {
            one.locks.contains(&lock) && (lock.kind == "flock" || lock.kind == "ofd" || Some(one.pid) == pid)
        };
        if !lock.waits && opened.iter().any(seen) {
            continue;
        }
        let known = pid.filter(|pid| lock.waits || lock.kind != "ofd" && denied.contains(pid));
        let Some(pid) = known else {
            unseen.push((pid, lock));
            continue;
        };
        match opened.iter_mut().find(|one| one.pid == pid) {
            Some(one) => one.locks.push(lock),
            None => opened.push(Opened { pid, fds: Vec::new(), locks: vec![lock] }),
        }
    }
    opened.sort_unstable_by_key(|one| one.pid);
    unseen
}

/// Reads a line such as `1: POSIX  ADVISORY  WRITE 4711 fe:00:12345 0 EOF`: process, file, lock.
fn parse(line: &str) -> Option<(Option<Pid>, &str, Lock)> {
    let mut words = line.split_ascii_whitespace().skip(1).peekable();
    let waits = words.next_if_eq(&"->").is_some();
    let kind = match words.next()? {
        "FLOCK" => "flock",
        "POSIX" | "ACCESS" => "posix",
        "OFDLCK" => "ofd",
        "LEASE" => "lease",
        "DELEG" => "delegation",
        _ => return None,
    };
    let mode = match words.nth(1)? {
        "WRITE" | "RW" => "write",
        "READ" => "read",
        _ => return None,
    };
    let pid = words.next()?.parse().ok();
    let file = words.next()?;
    let start = words.next()?.parse().ok()?;
    let end = words.next()?.parse().ok();
    Some((pid, file, Lock { kind, mode, start, end, waits }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId { dev: 0xfe00, inode: 77 };

    fn lock(kind: &'static str, waits: bool) -> Lock {
        Lock { kind, mode: "write", start: 0, end: None, waits }
    }

    fn pid(number: u32) -> Pid {
        Pid::new(number).expect("a pid")
    }

    #[test]
    fn a_lock_of_the_table_belongs_to_who_is_seen_to_hold_it() {
        let table = "1: FLOCK  ADVISORY  WRITE 500 fe:00:77 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 600 fe:00:77 0 EOF\n\
            2: OFDLCK ADVISORY  WRITE -1 fe:00:77 0 EOF\n\
            3: POSIX  ADVISORY  WRITE 700 fe:00:77 0 EOF\n\
            4: POSIX  ADVISORY  WRITE 800 fe:00:99 0 EOF\n\
            5: LEASE  ACTIVE    READ  900 fe:00:77 0 EOF\n";
        // 500 has gone: its child 501 inherited the lock, and 600 waits.
        let mut opened = vec![
            Opened { pid: pid(501), fds: vec![3], locks: vec![lock("flock", false)] },
            Opened { pid: pid(600), fds: vec![3], locks: vec![] },
        ];
        let unseen = assign(table, FILE, &mut opened, &[pid(700)]);
        assert_eq!(opened.iter().map(|one| one.pid.get()).collect::<Vec<_>>(), [501, 600, 700]);
        assert_eq!(opened[1].locks, [lock("flock", true)]);
        assert_eq!((&opened[2].locks[..], opened[2].fds.len()), (&[lock("posix", false)][..], 0));
        let kinds: Vec<_> = unseen.iter().map(|(pid, lock)| (pid.map(Pid::get), lock.kind)).collect();
        assert_eq!(kinds, [(None, "ofd"), (Some(900), "lease")]);
    }

    #[test]
    fn ranges_are_read_as_the_kernel_writes_them() {
        let (_, file, lock) = parse("7: POSIX  ADVISORY  READ 4711 00:2a:8 10 19").expect("a lock");
        assert_eq!((file, lock.mode, lock.start, lock.end), ("00:2a:8", "read", 10, Some(19)));
        for line in [
            "",
            "1:",
            "1: FLOCK",
            "1: WHAT  ADVISORY READ 1 a:b:1 0 EOF",
            "1: FLOCK ADVISORY UNKNOWN 1 a:b:1 0 EOF",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
