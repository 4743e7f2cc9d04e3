//! A look that holds on to whoever it reads.
//!
//! Who is signalled soon afterwards need not be looked for again: the pidfd that was opened before the facts were read
//! proves that they are the facts of the process that it leads to.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::with_view;
use crate::error::Result;
use crate::handle::{self, Handle};
use crate::host::Host;
use crate::id::Pid;
use crate::record::Process;
use crate::source::{Source, Wants, beside, is_worth_a_thread};
use crate::tree::Table;

/// The holds of a look, to be taken out one by one. Dropping them lets go of all that were not taken.
#[derive(Debug, Default)]
pub struct Holds {
    /// In ascending order.
    pids: Vec<Pid>,
    handles: Vec<Option<Handle>>,
    /// The number that the second thread had.
    helper: Option<u32>,
}

impl Holds {
    /// The number that was given to the thread that helped with the look, and to nobody else.
    pub fn helper(&self) -> Option<u32> {
        self.helper
    }

    /// Takes out the hold on a process, if there is one and it is the process with this inode.
    pub fn take(&mut self, pid: Pid, inode: Option<u64>) -> Option<Handle> {
        let at = self.pids.binary_search(&pid).ok()?;
        self.handles[at].take_if(|handle| inode.is_some() && handle.inode() == inode)
    }
}

/// Reads all processes as [`super::read`] does, and holds them when they are no more than `most`; else nobody is held.
///
/// Costs no more than a look without holds, but for closing. The caller has raised the limit of open files.
pub fn read_held(host: &Host, source: &Source, wants: Wants, most: usize) -> Result<(Table, Holds)> {
    let pids = source.pids()?;
    if !wants.identity || !host.has_pidfs() || pids.len() > most {
        return Ok((with_view(host, super::read_pids(source, &pids, wants)?), Holds::default()));
    }
    let Reading { processes, handles, helper } = read_and_hold(source, &pids, wants)?;
    Ok((with_view(host, processes), Holds { pids, handles, helper }))
}

/// What two threads have found together.
struct Reading {
    processes: Vec<Process>,
    handles: Vec<Option<Handle>>,
    helper: Option<u32>,
}

/// One thread opens the pidfds of all, and then reads from the back; the other follows it from the front.
fn read_and_hold(source: &Source, pids: &[Pid], wants: Wants) -> Result<Reading> {
    /// Stands for an inode where nothing could be opened.
    const NOBODY: u64 = 0;
    let inodes: Vec<AtomicU64> = pids.iter().map(|_| AtomicU64::new(NOBODY)).collect();
    let (opened, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let read = |part: &mut dyn Iterator<Item = usize>| -> Result<Vec<Process>> {
        let mut reader = source.reader(wants);
        let mut found = Vec::with_capacity(pids.len());
        for at in part {
            if taken.fetch_add(1, Ordering::Relaxed) >= pids.len() {
                break;
            }
            // Opening is five times as fast as reading: nobody waits here but at the very start.
            while opened.load(Ordering::Acquire) <= at {
                thread::yield_now();
            }
            found.extend(match inodes[at].load(Ordering::Relaxed) {
                NOBODY => reader.read(pids[at])?,
                inode => reader.read_held(pids[at], inode)?,
            });
        }
        Ok(found)
    };
    let open = || -> Vec<Option<Handle>> {
        let hold = |(at, pid): (usize, &Pid)| {
            let handle = handle::hold(*pid);
            let inode = handle.as_ref().and_then(Handle::inode).unwrap_or(NOBODY);
            inodes[at].store(inode, Ordering::Relaxed);
            opened.store(at + 1, Ordering::Release);
            handle
        };
        pids.iter().enumerate().map(hold).collect()
    };
    if !is_worth_a_thread(pids.len()) {
        let handles = open();
        return Ok(Reading { processes: read(&mut (0..pids.len()))?, handles, helper: None });
    }
    let follow = || (read(&mut (0..pids.len())), u32::try_from(nix::unistd::gettid().as_raw()).ok());
    let ((handles, back), front) = beside(follow, || (open(), read(&mut (0..pids.len()).rev())));
    let (processes, helper) = front.unwrap_or((Ok(Vec::new()), None));
    let mut processes = processes?;
    processes.extend(back?.into_iter().rev());
    Ok(Reading { processes, handles, helper })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;
    use crate::source::WORTH_A_THREAD;
    use std::process::{Command, Stdio};

    fn setting() -> (Host, Source) {
        (Host::look().expect("a host"), Source::live().expect("/proc"))
    }

    #[test]
    fn whoever_is_read_is_held_and_can_be_taken_once() {
        let (host, source) = setting();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("a child");
        let (table, mut holds) = read_held(&host, &source, Wants::EVERYDAY, usize::MAX).expect("readable");
        let process = table.get(table.find(child.id()).expect("the child"));
        if host.has_pidfs() {
            assert!(holds.take(process.pid, process.inode.map(|inode| inode + 1)).is_none());
            let handle = holds.take(process.pid, process.inode).expect("held");
            assert!(holds.take(process.pid, process.inode).is_none());
            handle.signal(Signal::KILL).expect("permitted");
        }
        child.kill().and_then(|()| child.wait()).expect("ended");
    }

    #[test]
    fn two_threads_read_each_process_once_and_in_order() {
        let (_, source) = setting();
        let pids = [Pid::this()].repeat(3 * WORTH_A_THREAD);
        let found = read_and_hold(&source, &pids, Wants::EVERYDAY).expect("readable");
        assert_eq!(found.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), pids);
        assert_eq!(found.handles.len(), pids.len());
    }

    #[test]
    fn where_there_is_no_room_for_all_nobody_is_held() {
        let (host, source) = setting();
        let (table, mut holds) = read_held(&host, &source, Wants::EVERYDAY, 0).expect("readable");
        let own = table.get(table.find(Pid::this().get()).expect("this process"));
        assert!(holds.take(own.pid, own.inode).is_none());
    }
}
