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
    if is_alone() || pids.len() < WORTH_A_THREAD {
        return read(&mut pids.iter().copied());
    }
    let (front, back) = thread::scope(|scope| {
        let back = thread::Builder::new().spawn_scoped(scope, || {
            // Threads with one descriptor table wait for each other at every open and close.
            let _ = unshare(CloneFlags::CLONE_FILES);
            read(&mut pids.iter().rev().copied().take_while(untaken))
        });
        let front = read(&mut pids.iter().copied().take_while(untaken));
        let back = back.map(|back| back.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        (front, back.unwrap_or(Ok(Vec::new())))
    });
    let mut found = front?;
    found.extend(back?.into_iter().rev());
    Ok(found)
}

/// Tells whether a second thread would only take the time of the first, or its descriptors: it begins with a copy of all
/// that the first one has open at that moment.
pub fn is_alone() -> bool {
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
