//! Successors: processes that take the place of a named one that was ended.

use std::time::{Duration, Instant};

use super::{Engine, LONGEST_NAP};
use crate::error::Result;
use crate::terminate::{Phase, Via};
use crate::tree::Index;

impl Engine<'_> {
    /// Watches for processes that take the place of a named one, and ends them too as often as was asked for.
    ///
    /// A successor was not there at the first look, belongs to the same user, has the same command line, and the same
    /// parent or session: somebody else's process with the same words is none.
    pub(super) fn settle(&mut self) -> Result<()> {
        let mut retries = self.options.retries;
        while !self.options.settle.is_zero() && self.living == 0 {
            let Some((member, index)) = self.successor()? else { return Ok(()) };
            let by = self.table.get(index).clone();
            self.observer.replaced(&self.set.members[member].target, &by);
            if retries == 0 {
                self.summary.replaced += 1;
                return Ok(());
            }
            retries -= 1;
            let before = self.set.members.len();
            self.set.take_successor(&self.table, index);
            self.set.grow(&self.table);
            let fresh: Vec<usize> = (before..self.set.members.len()).collect();
            self.welcome(&fresh);
            self.sweep()?;
        }
        Ok(())
    }

    /// Waits for a successor of a named member, as long as the options say.
    fn successor(&mut self) -> Result<Option<(usize, Index)>> {
        let deadline = self.bounded(Instant::now() + self.options.settle);
        loop {
            self.look()?;
            let named = |member: &usize| {
                let target = &self.set.members[*member].target;
                matches!(target.via, Via::Named | Via::Respawn) && !target.process.cmdline.is_empty()
            };
            for member in (0..self.set.members.len()).filter(named) {
                let known = &self.set.members[member].target.process;
                let found = self.table.processes().iter().position(|process| {
                    process.cmdline == known.cmdline
                        && process.uid == known.uid
                        && (process.ppid == known.ppid || process.sid == known.sid)
                        && !self.there_before.contains(&(process.pid, process.start_ticks, process.inode))
                        && !process.is_zombie()
                });
                let found = found.filter(|index| self.set.member_at(&self.table, *index).is_none());
                if let Some(index) = found {
                    return Ok(Some((member, index)));
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let nap = (self.look_cost * 3).clamp(Duration::from_millis(5), LONGEST_NAP);
            self.wait(nap.min(deadline - Instant::now()), Phase::Settle, deadline);
        }
    }
}
