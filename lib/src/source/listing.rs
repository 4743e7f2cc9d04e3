//! Reading processes while they are still being listed.
//!
//! To list ten thousand processes takes as long as to read a thousand of them. So other threads begin to read those that
//! are listed already, and the first one joins them as soon as it has listed all.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use nix::dir::{Dir, OwningIter};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::Source;
use super::halves::{WORTH_A_THREAD, is_alone};
use crate::error::{Error, Result};
use crate::id::Pid;

/// A list of processes that is being made.
pub(super) struct Listing(OwningIter);

impl Listing {
    /// Begins to list the numbers of all processes that can be seen.
    pub(super) fn begin(source: &Source) -> Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let folder = Dir::openat(&source.folder, ".", flags, Mode::empty()).map_err(cannot_list)?;
        Ok(Self(folder.into_iter()))
    }

    /// Adds some more numbers, at least `enough` where there are so many. False: that was the end.
    pub(super) fn next_part(&mut self, pids: &mut Vec<Pid>, enough: usize) -> Result<bool> {
        let before = pids.len();
        for entry in self.0.by_ref() {
            let entry = entry.map_err(cannot_list)?;
            let name = entry.file_name().to_bytes();
            if name.first().is_some_and(u8::is_ascii_digit) {
                pids.extend(std::str::from_utf8(name).ok().and_then(|name| name.parse::<Pid>().ok()));
            }
            if pids.len() - before >= enough {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn cannot_list(errno: Errno) -> Error {
    Error::system("list processes", "/proc", errno)
}

/// How many processes a thread takes at a time, and how many are listed before others may take them.
const BATCH: usize = 32;
const PART: usize = 512;

/// How many threads read at most. The kernel keeps more than a few of them waiting for each other.
const THREADS: usize = 4;

/// The numbers that are listed so far.
#[derive(Default)]
struct Roll {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    pids: Vec<Pid>,
    taken: usize,
    listed: bool,
}

impl Roll {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where a thread can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others take what has been listed.
    fn publish(&self, part: &mut Vec<Pid>, listed: bool) {
        let mut state = self.lock();
        state.pids.append(part);
        state.listed |= listed;
        drop(state);
        self.more.notify_all();
    }

    /// Takes the next few, waiting for them where they are not listed yet. None are left where it takes none.
    fn take(&self, batch: &mut Vec<Pid>) {
        let mut state = self.lock();
        while state.taken == state.pids.len() && !state.listed {
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let end = state.pids.len().min(state.taken + BATCH);
        // Backwards, so that they can be popped.
        batch.extend(state.pids[state.taken..end].iter().rev());
        state.taken = end;
    }

    /// All that one thread reads.
    fn share(&self) -> impl Iterator<Item = Pid> + '_ {
        let mut batch = Vec::with_capacity(BATCH);
        std::iter::from_fn(move || {
            if batch.is_empty() {
                self.take(&mut batch);
            }
            batch.pop()
        })
    }
}

/// Lets `read` work through all processes that can be seen, and gives their numbers and what it has found, in no order.
///
/// Some threads share the work where there are many; `read` is called once by each of them.
pub fn while_listing<T: Send>(
    source: &Source,
    read: impl Fn(&mut dyn Iterator<Item = Pid>) -> Result<Vec<T>> + Sync,
) -> Result<(Vec<Pid>, Vec<T>)> {
    let mut listing = Listing::begin(source)?;
    let mut part = Vec::with_capacity(PART);
    if is_alone() || !listing.next_part(&mut part, WORTH_A_THREAD)? {
        while listing.next_part(&mut part, PART)? {}
        if !part.is_sorted() {
            part.sort_unstable();
        }
        let found = read(&mut part.iter().copied())?;
        return Ok((part, found));
    }
    let roll = Roll::default();
    roll.publish(&mut part, false);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<Result<Vec<T>>> = thread::scope(|scope| {
        let help = |_| {
            let read = || {
                // Threads with one descriptor table wait for each other at every open and close.
                let _ = unshare(CloneFlags::CLONE_FILES);
                read(&mut roll.share())
            };
            // Where a full process table refuses one, the others read its share.
            thread::Builder::new().spawn_scoped(scope, read).ok()
        };
        let helpers: Vec<_> = (1..cores.min(THREADS)).filter_map(help).collect();
        let mut list = || -> Result<()> {
            while listing.next_part(&mut part, PART)? {
                roll.publish(&mut part, false);
            }
            Ok(())
        };
        let listed = list();
        // Also after a failure: the other threads must not wait for ever.
        roll.publish(&mut part, true);
        let own = listed.and_then(|()| read(&mut roll.share()));
        let join = |helper: ScopedJoinHandle<'_, Result<Vec<T>>>| {
            helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        std::iter::once(own).chain(helpers.into_iter().map(join)).collect()
    });
    let mut found = Vec::new();
    for part in all {
        found.append(&mut part?);
    }
    let mut pids = roll.state.into_inner().unwrap_or_else(PoisonError::into_inner).pids;
    if !pids.is_sorted() {
        pids.sort_unstable();
    }
    Ok((pids, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_take_each_process_once_and_wait_for_those_that_come() {
        let roll = Roll::default();
        let all: Vec<Pid> = (1..=2_000).filter_map(Pid::new).collect();
        let mut taken = thread::scope(|scope| {
            let readers = [(); 2].map(|()| scope.spawn(|| roll.share().collect::<Vec<Pid>>()));
            for part in all.chunks(300) {
                roll.publish(&mut part.to_vec(), false);
            }
            roll.publish(&mut Vec::new(), true);
            readers.map(|reader| reader.join().expect("no panic")).concat()
        });
        taken.sort_unstable();
        assert_eq!(taken, all);
    }

    #[test]
    fn all_that_can_be_seen_are_read() {
        let source = Source::live().expect("/proc");
        let (pids, read) = while_listing(&source, |part| Ok(part.collect())).expect("readable");
        assert!(pids.contains(&Pid::this()) && pids.is_sorted());
        assert!(read.contains(&Pid::this()) && read.len() == pids.len());
    }
}
