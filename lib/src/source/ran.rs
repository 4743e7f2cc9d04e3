//! When a process last ran.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid as Thread;

use super::Source;
use crate::id::Pid;
use crate::record::Process;

impl Source {
    /// For how many milliseconds the main thread of a process has not run: of a zombie, how long it has been dead.
    ///
    /// The scheduler notes when a thread last ran (`se.exec_start` of `/proc/PID/sched`), by a clock that each processor
    /// has for itself. So this thread moves to that processor for a moment, and reads its own note there. Time asleep is
    /// not counted. None where the kernel does not tell (it is built without `CONFIG_SCHED_DEBUG`), or where this thread
    /// may not run on that processor. Cost: some ten microseconds.
    pub fn idle_ms(&self, process: &Process) -> Option<u64> {
        let then = self.last_ran(process.pid)?;
        let before = sched_getaffinity(Thread::from_raw(0)).ok()?;
        let mut there = CpuSet::new();
        there.set(usize::try_from(process.hints.processor).ok()?).ok()?;
        sched_setaffinity(Thread::from_raw(0), &there).ok()?;
        let now = self.last_ran(Pid::this());
        // What was allowed a moment ago is allowed now.
        let _ = sched_setaffinity(Thread::from_raw(0), &before);
        Some(now?.saturating_sub(then))
    }

    /// The moment in milliseconds, by the clock of its processor.
    fn last_ran(&self, pid: Pid) -> Option<u64> {
        let text = self.whole(pid, "sched").ok()?;
        parse(&String::from_utf8_lossy(&text))
    }
}

/// Takes whole milliseconds from the line `se.exec_start : 11629186.679237`. The first line is a name, and may say anything.
fn parse(text: &str) -> Option<u64> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("----"));
    let value = lines.find_map(|line| line.strip_prefix("se.exec_start")?.trim_start().strip_prefix(':'))?;
    value.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Wants;

    #[test]
    fn only_the_line_of_the_scheduler_counts() {
        let text = "se.exec_start : 5 (7, #threads: 1)\n-----\nse.exec_start   :   11629186.679237\nse.vruntime : 1.0\n";
        assert_eq!(parse(text), Some(11_629_186));
        assert_eq!(parse("x (7, #threads: 1)\n-----\nse.vruntime : 1.0\n"), None);
    }

    #[test]
    fn what_runs_right_now_has_hardly_paused() {
        let source = Source::live().expect("/proc");
        let own = source.reader(Wants::default()).read(Pid::this()).expect("readable").expect("alive");
        // The main thread of the tests waits for this one; it ran when it started it.
        assert!(source.idle_ms(&own).is_none_or(|ms| ms < 600_000));
        let allowed = sched_getaffinity(Thread::from_raw(0)).expect("an affinity");
        source.idle_ms(&own);
        assert_eq!(
            allowed,
            sched_getaffinity(Thread::from_raw(0)).expect("an affinity"),
            "it may run where it might"
        );
    }
}
