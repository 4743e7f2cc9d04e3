//! Sharing the reading of many processes between two threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};

use crate::error::Result;
use crate::id::Pid;

/// From this many processes on, a second thread helps to read them. Below, starting it costs more than it gains.
pub const WORTH_A_THREAD: usize = 400;

/// Lets `read` work through some processes, and gives what it finds in the order of the numbers given.
///
/// Two threads share the work: one begins at the front and one at the back, until they meet. So a thread that gets less
/// processor time reads fewer, and where a full process table refuses the second one, the first reads all.
pub fn from_both_ends<T: Send>(
    pids: &[Pid],
    read: impl Fn(&mut dyn Iterator<Item = Pid>) -> Result<Vec<T>> + Sync,
) -> Result<Vec<T>> {
    let taken = AtomicUsize::new(0);
    let untaken = |_: &Pid| taken.fetch_add(1, Ordering::Relaxed) < pids.len();
    if !is_worth_a_thread(pids.len()) {
        return read(&mut pids.iter().copied());
    }
    let back = || read(&mut pids.iter().rev().copied().take_while(untaken));
    let (front, back) = beside(back, || read(&mut pids.iter().copied().take_while(untaken)));
    let mut found = front?;
    found.extend(back.transpose()?.into_iter().flatten().rev());
    Ok(found)
}

/// Does two things at once: the first in a thread of its own, with a descriptor table of its own. Where a full process
/// table refuses that thread, nobody does it.
pub fn beside<A: Send, B>(other: impl FnOnce() -> A + Send, own: impl FnOnce() -> B) -> (B, Option<A>) {
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || {
            // Threads with one descriptor table wait for each other at every open and close.
            let _ = unshare(CloneFlags::CLONE_FILES);
            other()
        });
        let own = own();
        let other = other.map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        (own, other.ok())
    })
}

/// Tells whether a second thread would help to read so many processes.
pub fn is_worth_a_thread(count: usize) -> bool {
    count >= WORTH_A_THREAD && !is_alone()
}

/// Tells whether a second thread would only take the time of the first, or its descriptors: it begins with a copy of all
/// that the first one has open at that moment.
pub(super) fn is_alone() -> bool {
    /// What two threads read with, and as much again.
    const ENOUGH: u64 = 256;
    let few = getrlimit(Resource::RLIMIT_NOFILE).is_ok_and(|(soft, _)| soft < ENOUGH);
    few || thread::available_parallelism().is_ok_and(|cores| cores.get() < 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_take_each_process_once_and_in_order() {
        let pids: Vec<Pid> =
            (1..=3 * u32::try_from(WORTH_A_THREAD).expect("small")).filter_map(Pid::new).collect();
        let found = from_both_ends(&pids, |part| Ok(part.collect())).expect("no failure");
        assert_eq!(found, pids);
    }
}
