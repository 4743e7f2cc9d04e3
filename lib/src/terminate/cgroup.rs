//! Cgroups that were made for members: as evidence, and as the one force that no fork outruns.
//!
//! A cgroup counts only while it is the one that was made: its path and its id are those of the entry, and its name is one
//! that we give. Who is in it was started by the member, whatever it has done since; so being in it is as good as descent,
//! but for daemons that others use as well.
//!
//! It is stopped and killed as a whole only if nobody is in it who is to live: a guarded process, a kept one, one that
//! cannot be seen from here. Members of the set that are elsewhere, and cgroups that are shared, are ended one by one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::cgroup::Group;
use crate::id::{Cgroup, Pid};

/// The cgroups that lead to members.
#[derive(Default)]
pub(super) struct Enclosures {
    all: Vec<Enclosure>,
}

/// One of them.
struct Enclosure {
    group: Group,
    /// The member that it was made for.
    owner: Pid,
    /// Whether we have stopped what is in it.
    frozen: bool,
}

impl Enclosures {
    /// Lets a cgroup lead to members from now on, if it is still the one that was made.
    pub(super) fn claim(&mut self, name: &Cgroup, owner: Pid) {
        if self.all.iter().all(|known| known.group.name() != name)
            && let Some(group) = Group::open(name)
        {
            self.all.push(Enclosure { group, owner, frozen: false });
        }
    }

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The numbers of all that are in them now, each with the member that its cgroup was made for.
    pub(super) fn inside(&self) -> Vec<(Pid, Pid)> {
        let inside = |known: &Enclosure| {
            let owner = known.owner;
            known.group.members().0.into_iter().map(move |pid| (pid, owner))
        };
        self.all.iter().flat_map(inside).collect()
    }

    /// Tells whether somebody is in one of them whom nobody knows, and all others in it are to end. `known` says of a
    /// number whether it is to end.
    pub(super) fn hides_somebody(&self, known: &dyn Fn(Pid) -> Option<bool>) -> bool {
        self.all.iter().any(|enclosure| {
            let verdicts: Vec<_> = enclosure.group.members().0.into_iter().map(known).collect();
            verdicts.contains(&None) && !verdicts.contains(&Some(false))
        })
    }

    /// Stops those in which nobody is who is to live, and waits until all in them stand still. `lives_on` judges numbers.
    pub(super) fn freeze(&mut self, lives_on: &dyn Fn(Pid) -> bool, until: Instant) {
        for known in &mut self.all {
            let (members, whole) = known.group.members();
            if whole && !members.iter().any(|pid| lives_on(*pid)) {
                known.frozen |= known.group.freeze(true).is_ok();
            }
        }
        for known in self.all.iter().filter(|known| known.frozen) {
            while !known.group.is_frozen() && Instant::now() < until {
                known.group.wait_for_change(Duration::from_millis(5));
            }
        }
    }

    /// The numbers of those that stand still because their cgroup does.
    pub(super) fn frozen(&self) -> HashSet<Pid> {
        let frozen = self.all.iter().filter(|known| known.frozen);
        frozen.flat_map(|known| known.group.members().0).collect()
    }

    /// Kills those that were stopped, if all in them are to be killed. Gives the numbers of the killed; where the kernel
    /// cannot do it nobody is, and whoever calls this kills each by itself.
    pub(super) fn kill(&mut self, is_target: &dyn Fn(Pid) -> bool) -> Vec<Pid> {
        let mut killed = Vec::new();
        for known in self.all.iter().filter(|known| known.frozen) {
            let (members, whole) = known.group.members();
            if whole && members.iter().all(|pid| is_target(*pid)) && known.group.kill().is_ok() {
                killed.extend(members);
            }
        }
        killed
    }

    /// Lets all go on that was stopped.
    pub(super) fn thaw(&mut self) {
        for known in self.all.iter_mut().filter(|known| known.frozen) {
            // One that is gone holds nobody.
            let _ = known.group.freeze(false);
            known.frozen = false;
        }
    }

    /// Removes those in which nobody lives any more.
    pub(super) fn remove(&self, nobody_left: bool) {
        for known in &self.all {
            if nobody_left {
                known.group.remove_soon()
            } else {
                known.group.remove()
            };
        }
    }
}

impl Drop for Enclosures {
    fn drop(&mut self) {
        self.thaw();
    }
}
