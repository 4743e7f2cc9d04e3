//! What a process waits for, and which signals wait for it.

use super::Source;
use crate::error::Result;
use crate::id::Pid;
use crate::signal::Signal;

/// Facts of one process that only those need who ask why it does not move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Where in the kernel its main thread waits; none where it does not, or where that may not be seen.
    pub channel: Option<String>,
    /// Signals that were sent and have not arrived, to the process or to its main thread: bit 0 is signal 1.
    pub pending: u64,
    /// Signals that its main thread blocks.
    pub blocked: u64,
    /// Signals that it catches.
    pub caught: u64,
    /// How often its main thread was taken off a processor; none before Linux 2.6.23.
    pub switches: Option<u64>,
}

impl Waiting {
    /// Tells whether a set of signals has one of them.
    pub fn has(set: u64, signal: Signal) -> bool {
        set & (1 << (signal.number() - 1)) != 0
    }
}

impl Source {
    /// Reads what a process waits for (proc_pid_status(5), proc_pid_wchan(5)). `Gone`: it has vanished.
    pub fn waiting(&self, pid: Pid) -> Result<Waiting> {
        let status = self.status(pid)?;
        let switches = status.voluntary_ctxt_switches.zip(status.nonvoluntary_ctxt_switches);
        Ok(Waiting {
            channel: self.wait_channel(pid),
            pending: status.sigpnd | status.shdpnd,
            blocked: status.sigblk,
            caught: status.sigcgt,
            switches: switches.map(|(asked, taken)| asked.saturating_add(taken)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, Signal as Raised};

    #[test]
    fn a_signal_that_is_blocked_waits() {
        let source = Source::live().expect("/proc");
        // Of this thread, which the kernel also shows as a process of its own.
        let own = u32::try_from(nix::unistd::gettid().as_raw()).ok().and_then(Pid::new).expect("a number");
        let mut mask = SigSet::empty();
        mask.add(Raised::SIGUSR2);
        mask.thread_block().expect("blocked");
        nix::sys::signal::raise(Raised::SIGUSR2).expect("raised");
        let waiting = source.waiting(own).expect("readable");
        mask.wait().expect("taken");
        let signal: Signal = "USR2".parse().expect("a signal");
        assert!(Waiting::has(waiting.pending, signal) && Waiting::has(waiting.blocked, signal));
        assert!(!Waiting::has(source.waiting(own).expect("readable").pending, signal));
        assert!(waiting.switches.is_some());
    }
}
