//! What the cgroups of members say about who belongs to the set.

use super::Set;
use crate::evidence::Registration;
use crate::id::Pid;
use crate::signal::Signal;
use crate::terminate::{Root, Via};
use crate::tree::{Index, Table};

impl Set<'_> {
    /// Lets the cgroup of a root lead to members: that of its record, or that of its entry in the registry.
    pub(super) fn claim_cgroup(&mut self, root: &Root, entry: Option<&Registration>) {
        // In the cgroup of a planned root is also who was taken out of the plan.
        if !self.options.by_cgroup
            || self.options.only
            || self.spare.is_some()
            || root.planned_ticks.is_some()
        {
            return;
        }
        if let Some(name) = root.cgroup.as_ref().or_else(|| entry?.cgroup.as_ref()) {
            self.enclosures.claim(name, root.identity.pid);
        }
    }

    /// Adds what is in the cgroups of members. Their lists are younger than the table: who is held now by the identity
    /// that the table shows had its number then, too.
    pub(super) fn enclosed(&mut self, table: &Table, work: &mut Vec<Index>) {
        for (pid, owner) in self.enclosures.inside() {
            if let Some(at) = table.find(pid.get()) {
                self.consider(table, at, Via::Cgroup, owner, work);
            }
        }
    }

    /// The living process that has a number, as far as it is known to the set: whether it is to end.
    pub(in crate::terminate) fn is_to_end(&self, pid: Pid) -> Option<bool> {
        let member = &self.members[*self.by_pid.get(&pid.get())?];
        (!member.ended).then(|| member.target.guard.is_none() && !member.refused)
    }

    /// Notes that a member was sent a signal by other means than its descriptor.
    pub(in crate::terminate) fn was_sent(&mut self, pid: Pid, signal: Signal) {
        if let Some(member) = self.by_pid.get(&pid.get()) {
            self.members[*member].signal = Some(signal);
        }
    }

    /// Tells whether somebody is in the cgroup of a member whom no look has caught yet.
    pub(in crate::terminate) fn enclosure_hides_somebody(&self, table: &Table) -> bool {
        let shown = |pid: Pid| table.find(pid.get()).is_some().then_some(true);
        self.enclosures.hides_somebody(&|pid| self.is_to_end(pid).or_else(|| shown(pid)))
    }
}
