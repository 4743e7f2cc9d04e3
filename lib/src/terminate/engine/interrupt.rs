//! Interrupts, held back while processes are stopped.

use nix::sys::signal::{SigSet, Signal as Interrupt};

/// While it lives, the signals by which people and systems interrupt this program wait.
pub(super) struct Uninterrupted(Option<SigSet>);

impl Uninterrupted {
    pub(super) fn begin() -> Self {
        let mut wait = SigSet::empty();
        for signal in
            [Interrupt::SIGINT, Interrupt::SIGTERM, Interrupt::SIGHUP, Interrupt::SIGQUIT, Interrupt::SIGTSTP]
        {
            wait.add(signal);
        }
        let before = SigSet::thread_get_mask().ok();
        Self(before.filter(|_| wait.thread_block().is_ok()))
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            // It was in force before, so it can be set again.
            let _ = before.thread_set_mask();
        }
    }
}
