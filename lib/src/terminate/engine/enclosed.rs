//! The force that no fork outruns: what is in the cgroup of a member is stopped and killed as a whole.

use std::time::Instant;

use super::{Engine, STOPPED_WITHIN};
use crate::signal::Signal;

impl Engine<'_> {
    /// Stops all that is in the cgroups of members, where nobody is in them who is to live. Whoever is not known yet is
    /// found by the look that follows: it can neither fork nor leave meanwhile.
    pub(super) fn freeze_cgroups(&mut self, deadline: Instant) {
        let until = deadline.min(Instant::now() + STOPPED_WITHIN);
        let mut enclosures = std::mem::take(&mut self.set.enclosures);
        enclosures.freeze(&|pid| self.set.is_to_end(pid) == Some(false), until);
        self.set.enclosures = enclosures;
    }

    /// Kills what was stopped so, if by now all in it is known and is to end.
    pub(super) fn kill_cgroups(&mut self) {
        let mut enclosures = std::mem::take(&mut self.set.enclosures);
        let killed = enclosures.kill(&|pid| self.set.is_to_end(pid) == Some(true));
        self.set.enclosures = enclosures;
        for pid in killed {
            self.set.was_sent(pid, Signal::KILL);
        }
    }
}
