//! From sockets to the processes that hold them.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;

use super::Socket;
use crate::error::{Error, Result};
use crate::handle::{self, Look};
use crate::host::Host;
use crate::id::{Identity, Pid};
use crate::source::{Fds, Source, from_both_ends, while_listing};

/// Who holds some sockets, as far as tables of open files may be read.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// The processes and the inodes of what each holds, in ascending order.
    pub by_pid: Vec<(Pid, Vec<u64>)>,
    /// The processes whose tables may not be read, and their owners.
    pub denied: Vec<(Pid, Option<u32>)>,
    /// The number that a holder has for what it holds, as one of its tables had it.
    pub(super) numbers: Vec<(Pid, u64, u32)>,
}

impl Holders {
    /// Tells whether anybody was found who holds a socket.
    pub fn hold(&self, inode: u64) -> bool {
        self.by_pid.iter().any(|(_, inodes)| inodes.contains(&inode))
    }

    /// Which sockets a process still holds, proved to be the one that an identity names; none when it is not.
    ///
    /// What was read of a number before the process was identified may have been that of an earlier owner of the number.
    /// Cost: one call for each socket, as long as it has the number that it had.
    pub fn still_held(&self, host: &Host, source: &Source, identity: &Identity) -> Option<Vec<u64>> {
        let pid = identity.pid;
        let (_, inodes) = self.by_pid.iter().find(|(holder, _)| *holder == pid)?;
        let Look::Found(handle) = handle::open(host, source, identity) else { return None };
        let is_there = |inode: &u64| -> Option<bool> {
            // A whole table is read sooner than it is asked for many numbers.
            let known = Some(&self.numbers).filter(|numbers| numbers.len() <= FEW)?;
            let (.., number) = known.iter().find(|(holder, held, _)| (*holder, held) == (pid, inode))?;
            let link = source.link(pid, &format!("fd/{number}")).ok()?;
            Some(socket_in(link.as_bytes()) == Some(*inode))
        };
        let (mut held, moved): (Vec<u64>, Vec<u64>) =
            inodes.iter().partition(|inode| is_there(inode) == Some(true));
        if !moved.is_empty() {
            let moved = moved.into_iter().collect();
            let (mut fds, mut seen) = (source.fds(), Vec::new());
            fds.links(pid, |number, link| note(number, link, &moved, &mut seen)).ok()?;
            if seen.len() < moved.len() {
                in_threads(source, &mut fds, pid, &moved, &mut seen).ok()?;
            }
            held.extend(seen.into_iter().map(|(inode, _)| inode));
        }
        held.sort_unstable();
        held.dedup();
        (!handle.has_ended() && !held.is_empty()).then_some(held)
    }
}

/// So many sockets are looked for by their numbers.
const FEW: usize = 64;

/// What is held, and by which number.
type Held = Vec<(u64, u32)>;

/// What reading one table gave.
enum Read {
    Holds(Pid, Held),
    Denied(Pid),
}

/// Finds all processes among `pids` that hold sockets with these inodes.
///
/// Every table that may be read is read: a socket has as many holders as have inherited it or were given it, whoever
/// made it. Where one has been found, others may still follow, so there is no early end. What nobody holds is looked for
/// once more, in the tables of single threads, which can have one of their own.
///
/// Cost: about ten microseconds a process, on two threads.
pub fn holders(source: &Source, pids: &[Pid], inodes: &[u64]) -> Result<Holders> {
    let mut found = Holders::default();
    let inodes: &HashSet<u64> = &inodes.iter().copied().collect();
    if inodes.is_empty() {
        return Ok(found);
    }
    found.add(from_both_ends(pids, |part| scan(source, part, inodes, false))?);
    found.look_into_threads(source, pids, inodes)?;
    Ok(found)
}

/// Finds all processes that hold sockets with these inodes, while processes are still being listed; and all that were.
pub fn holders_among_all(source: &Source, inodes: &[u64]) -> Result<(Vec<Pid>, Holders)> {
    let mut found = Holders::default();
    let inodes: &HashSet<u64> = &inodes.iter().copied().collect();
    if inodes.is_empty() {
        return Ok((source.pids()?, found));
    }
    let (pids, read) = while_listing(source, |part| scan(source, part, inodes, false))?;
    found.add(read);
    found.look_into_threads(source, &pids, inodes)?;
    Ok((pids, found))
}

impl Holders {
    fn add(&mut self, read: Vec<Read>) {
        let mut by_pid: HashMap<Pid, Vec<u64>> = self.by_pid.drain(..).collect();
        for one in read {
            match one {
                Read::Holds(pid, held) => {
                    by_pid.entry(pid).or_default().extend(held.iter().map(|(inode, _)| *inode));
                    self.numbers.extend(held.into_iter().map(|(inode, number)| (pid, inode, number)));
                }
                Read::Denied(pid) => self.denied.push((pid, None)),
            }
        }
        for inodes in by_pid.values_mut() {
            inodes.sort_unstable();
            inodes.dedup();
        }
        self.by_pid = by_pid.into_iter().collect();
        self.by_pid.sort_unstable();
        self.denied.sort_unstable();
    }

    /// Looks into the tables of single threads for what no process holds, and who may not be looked into.
    fn look_into_threads(&mut self, source: &Source, pids: &[Pid], inodes: &HashSet<u64>) -> Result<()> {
        let unfound: HashSet<u64> = inodes.iter().copied().filter(|inode| !self.hold(*inode)).collect();
        if !unfound.is_empty() {
            let denied: HashSet<Pid> = self.denied.iter().map(|(pid, _)| *pid).collect();
            let readable: Vec<Pid> = pids.iter().copied().filter(|pid| !denied.contains(pid)).collect();
            self.add(from_both_ends(&readable, |part| scan(source, part, &unfound, true))?);
        }
        for (pid, owner) in &mut self.denied {
            *owner = source.owner(*pid);
        }
        Ok(())
    }
}

/// Reads the tables of some processes: those of the processes, or of their single threads.
fn scan(
    source: &Source,
    pids: &mut dyn Iterator<Item = Pid>,
    inodes: &HashSet<u64>,
    threads: bool,
) -> Result<Vec<Read>> {
    let mut fds = source.fds();
    let mut found = Vec::new();
    for pid in pids {
        let mut held = Vec::new();
        let read = if threads {
            in_threads(source, &mut fds, pid, inodes, &mut held)
        } else {
            fds.links(pid, |number, link| note(number, link, inodes, &mut held))
        };
        match read {
            Err(Errno::EACCES | Errno::EPERM) => found.push(Read::Denied(pid)),
            Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => {
                return Err(Error::system("read open files", pid, errno));
            }
            // Gone, or dead.
            Ok(()) | Err(_) => {}
        }
        if !held.is_empty() {
            found.push(Read::Holds(pid, held));
        }
    }
    Ok(found)
}

/// Reads the tables of all threads of a process but the first, where there are any.
fn in_threads(
    source: &Source,
    fds: &mut Fds<'_>,
    pid: Pid,
    inodes: &HashSet<u64>,
    held: &mut Held,
) -> std::result::Result<(), Errno> {
    for thread in source.threads(pid).into_iter().filter(|thread| *thread != pid) {
        let read = fds.links_of_thread(pid, thread, |number, link| note(number, link, inodes, held));
        if matches!(read, Err(Errno::EACCES | Errno::EPERM)) {
            return Err(Errno::EACCES);
        }
    }
    Ok(())
}

/// Notes the socket that a link leads to, with the number of the link, where it is one of those that are looked for.
/// Tells whether there can be more of them in this table.
fn note(number: &CStr, link: &[u8], inodes: &HashSet<u64>, held: &mut Held) -> bool {
    if let Some(inode) = socket_in(link).filter(|inode| inodes.contains(inode)) {
        let number = number.to_str().ok().and_then(|number| number.parse().ok());
        // Without a number that fits it is looked for by its inode later.
        held.push((inode, number.unwrap_or(u32::MAX)));
        return inodes.len() > 1;
    }
    true
}

/// The inode in a link such as `socket:[12345]`.
fn socket_in(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Tells whether a process holds one of these sockets. What may not be read is not held, as far as can be told.
pub fn holds(source: &Source, pid: Pid, sockets: &[Socket]) -> bool {
    let mut found = false;
    let read = source.fds().links(pid, |_, link| {
        found = socket_in(link).is_some_and(|inode| sockets.iter().any(|socket| socket.inode == inode));
        !found
    });
    read.is_ok() && found
}
