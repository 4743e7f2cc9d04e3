//! Successors: processes that take the place of a named one that was ended.

use std::time::{Duration, Instant};

use super::succession::Successor;
use super::{Engine, LONGEST_NAP};
use crate::error::Result;
use crate::terminate::Phase;

impl Engine<'_> {
    /// Watches for processes that take the place of a named one, and ends them too as often as was asked for.
    ///
    /// A successor was not there at the first look. It has the command line of the named one, is registered under the name
    /// of its service, or listens on its port. Only one that comes from where that came from is ended: another program
    /// that was given a free port is told, and touched by nobody.
    pub(super) fn settle(&mut self) -> Result<()> {
        let mut retries = self.options.retries;
        let mut deadline = self.bounded(Instant::now() + self.options.settle);
        while self.succession.is_some() && self.living == 0 {
            let Some(successor) = self.successor(deadline)? else { return Ok(()) };
            let by = self.table.get(successor.index).clone();
            self.observer.replaced(&self.set.members[successor.member].target, &by, successor.place);
            if retries == 0 || !successor.is_kin {
                self.summary.replaced += 1;
                if retries == 0 {
                    return Ok(());
                }
                self.succession.iter_mut().for_each(|succession| succession.leave(&by));
                continue;
            }
            retries -= 1;
            let before = self.set.members.len();
            self.set.take_successor(&self.table, successor.index);
            self.set.grow(&self.table);
            let fresh: Vec<usize> = (before..self.set.members.len()).collect();
            self.welcome(&fresh);
            self.sweep()?;
            deadline = self.bounded(Instant::now() + self.options.settle);
        }
        Ok(())
    }

    /// Waits for a successor of a named member.
    fn successor(&mut self, deadline: Instant) -> Result<Option<Successor>> {
        loop {
            self.look()?;
            let Some(succession) = &self.succession else { return Ok(None) };
            if let Some(found) = succession.find(self.setting, &self.set, &self.table) {
                return Ok(Some(found));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let nap = (self.look_cost * 3).clamp(Duration::from_millis(5), LONGEST_NAP);
            self.wait(nap.min(deadline - Instant::now()), Phase::Settle, deadline);
        }
    }
}
