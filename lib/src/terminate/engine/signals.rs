//! One signal to one member, through what is held of it.

use nix::errno::Errno;

use super::Engine;
use crate::handle::{self, Look};
use crate::signal::Signal;
use crate::terminate::Outcome;

impl Engine<'_> {
    /// Sends a signal and remembers it. False when the member has gone or may not be signalled; both are then settled.
    pub(super) fn send(&mut self, member: usize, signal: Signal) -> bool {
        match self.deliver(member, signal) {
            Ok(()) => {
                self.set.members[member].signal = Some(signal);
                true
            }
            Err(Errno::EPERM | Errno::EACCES) => {
                self.set.members[member].refused = true;
                self.living -= 1;
                self.tell(member, Outcome::NotPermitted, None);
                false
            }
            Err(Errno::ESRCH) => {
                self.has_died(member);
                false
            }
            // Descriptors or memory have run out: it lives, and is killed at the end or told as a survivor.
            Err(_) => false,
        }
    }

    pub(super) fn send_quietly(&mut self, member: usize, signal: Signal) {
        // Whoever has gone meanwhile is found dead by its descriptor.
        let _ = self.deliver(member, signal);
    }

    /// Signals through the descriptor that is held, or one that is opened and verified for this signal alone.
    fn deliver(&self, member: usize, signal: Signal) -> Result<(), Errno> {
        let known = &self.set.members[member];
        if let Some(handle) = &known.handle {
            return handle.signal(signal);
        }
        match handle::open(self.setting.host, self.setting.source, &known.identity) {
            Look::Found(handle) => handle.signal(signal),
            Look::Failed(errno) => Err(errno),
            _ => Err(Errno::ESRCH),
        }
    }
}
