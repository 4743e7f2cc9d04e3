//! Zombies, and whether their parents reap.
//!
//! A zombie that is seen once is normal: its parent may be about to reap it. The same one in two looks is a finding,
//! unless its parent is one that reaps late: it has collected another child between the looks, or another of its
//! zombies has vanished.

use std::collections::HashSet;

use crate::evidence;
use crate::id::Pid;
use crate::record::{Hints, Process};
use crate::signal::Signal;
use crate::tree::{Index, Table};

/// A process of one look, as far as two looks can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Mark {
    pid: Pid,
    start_ticks: u64,
}

impl Mark {
    fn of(process: &Process) -> Self {
        Self { pid: process.pid, start_ticks: process.start_ticks }
    }
}

/// The zombies of a table: dead, unreaped, and no thread of theirs lives.
pub fn of(table: &Table) -> Vec<Index> {
    (0..table.processes().len()).filter(|index| table.get(*index).is_zombie()).collect()
}

/// What to do about a zombie. Nothing helps that is done to the zombie itself: it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Wait: its parent reaps, if late.
    Wait,
    /// Let its stopped parent go on: it cannot reap while it is stopped.
    Continue,
    /// Remind its parent with SIGCHLD.
    Nudge,
    /// End its parent, so that another one adopts and reaps.
    EndParent,
    /// Its parent adopts whatever is orphaned and does not reap: use another program as the init.
    ReplaceInit,
}

impl Advice {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Continue => "continue",
            Self::Nudge => "nudge",
            Self::EndParent => "end-parent",
            Self::ReplaceInit => "replace-init",
        }
    }
}

/// Advises about the zombies of a parent that does not reap.
///
/// A parent without a handler of SIGCHLD is not reminded by it. Where it is not `known` what it catches, a reminder is
/// tried first.
pub fn advice(parent: &Process, known: bool) -> Advice {
    let manages =
        matches!(evidence::reaper(parent), Some(evidence::Reaper::Manager | evidence::Reaper::SingleChild));
    if parent.state.is_stopped() {
        Advice::Continue
    } else if manages {
        Advice::ReplaceInit
    } else if known && !Hints::has(parent.hints.caught, Signal::CHLD) {
        Advice::EndParent
    } else {
        Advice::Nudge
    }
}

/// What one look says of some zombies and their parents.
#[derive(Clone, Debug)]
pub struct Sighting {
    boot_ms: u64,
    zombies: Vec<(Mark, Option<u64>, Option<Mark>)>,
    parents: Vec<Parent>,
}

#[derive(Clone, Debug)]
struct Parent {
    mark: Mark,
    reaped: u64,
    /// Its children, where the whole table was read: those that lack later have been reaped.
    children: HashSet<Mark>,
}

/// What two looks say of one zombie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was not dead at the first look, or had another parent then.
    New,
    /// Its parent has reaped in between, and will come to this one as well.
    Late,
    /// Nobody reaps it.
    Confirmed,
}

impl Sighting {
    /// Notes zombies and their parents.
    pub fn of(table: &Table, zombies: &[Index]) -> Self {
        let mut seen = HashSet::new();
        let parents =
            zombies.iter().filter_map(|zombie| table.parent(*zombie)).filter(|parent| seen.insert(*parent));
        let note = |parent: Index| Parent {
            mark: Mark::of(table.get(parent)),
            reaped: table.get(parent).hints.reaped,
            children: table.children(parent).map(|child| Mark::of(table.get(child))).collect(),
        };
        let parents = parents.map(note).collect();
        let note = |zombie: &Index| {
            let process = table.get(*zombie);
            (
                Mark::of(process),
                process.inode,
                table.parent(*zombie).map(|parent| Mark::of(table.get(parent))),
            )
        };
        Self { boot_ms: table.view.boot_ms, zombies: zombies.iter().map(note).collect(), parents }
    }

    /// Tells whether nothing was dead.
    pub fn is_empty(&self) -> bool {
        self.zombies.is_empty()
    }

    /// For how long at least a zombie that stands in both looks has been dead, in milliseconds.
    pub fn until(&self, later: &Table) -> u64 {
        later.view.boot_ms.saturating_sub(self.boot_ms)
    }

    /// Judges a zombie of a later look. `whole`: the later table has all processes, so that children that lack have gone.
    pub fn judge(&self, later: &Table, zombie: Index, whole: bool) -> Verdict {
        let process = later.get(zombie);
        let parent = later.parent(zombie).map(|parent| Mark::of(later.get(parent)));
        let same = |(mark, inode, before): &(Mark, Option<u64>, Option<Mark>)| {
            let differs = inode.zip(process.inode).is_some_and(|(then, now)| then != now);
            *mark == Mark::of(process) && !differs && *before == parent
        };
        if !process.is_zombie() || !self.zombies.iter().any(same) {
            return Verdict::New;
        }
        match later.parent(zombie) {
            Some(parent) if self.has_reaped(later, parent, whole) => Verdict::Late,
            _ => Verdict::Confirmed,
        }
    }

    /// Tells whether a parent has collected a child since.
    pub fn has_reaped(&self, later: &Table, parent: Index, whole: bool) -> bool {
        let process = later.get(parent);
        let Some(before) = self.parents.iter().find(|before| before.mark == Mark::of(process)) else {
            return false;
        };
        let lacks = |child: &Mark| later.find_exactly(child.pid, None, Some(child.start_ticks)).is_none();
        process.hints.reaped > before.reaped || whole && before.children.iter().any(lacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::State;
    use crate::tree::tests::{process, view};

    /// A table of an init, a parent and zombies below it; the parent has reaped so much.
    fn table(zombies: &[(u32, u64)], reaped: u64) -> Table {
        let mut all = vec![process(1, 0, 1, 1, 0), process(50, 1, 50, 50, 5)];
        all[1].hints.reaped = reaped;
        all.extend(zombies.iter().map(|(pid, start)| {
            let mut zombie = process(*pid, 50, 50, 50, *start);
            zombie.state = State::ZOMBIE;
            zombie
        }));
        Table::new(view(), all)
    }

    fn verdict(before: &Table, after: &Table, whole: bool) -> Verdict {
        Sighting::of(before, &of(before)).judge(after, of(after)[0], whole)
    }

    #[test]
    fn the_same_zombie_in_two_looks_is_confirmed() {
        assert_eq!(verdict(&table(&[(60, 9)], 0), &table(&[(60, 9)], 0), true), Verdict::Confirmed);
        assert_eq!(
            verdict(&table(&[(60, 9)], 0), &table(&[(60, 10)], 0), true),
            Verdict::New,
            "a number given away"
        );
        assert_eq!(verdict(&table(&[], 0), &table(&[(60, 9)], 0), true), Verdict::New);
    }

    #[test]
    fn a_parent_that_collects_others_is_late() {
        assert_eq!(verdict(&table(&[(60, 9)], 3), &table(&[(60, 9)], 4), false), Verdict::Late);
        assert_eq!(verdict(&table(&[(60, 9), (61, 9)], 3), &table(&[(60, 9)], 3), true), Verdict::Late);
    }

    #[test]
    fn advice_is_about_the_parent() {
        let mut parent = process(50, 1, 50, 50, 5);
        assert_eq!(advice(&parent, true), Advice::EndParent);
        assert_eq!(advice(&parent, false), Advice::Nudge, "what it catches is not known");
        parent.hints.caught = 1 << 16;
        assert_eq!(advice(&parent, true), Advice::Nudge);
        parent.state = State::new(b'T');
        assert_eq!(advice(&parent, true), Advice::Continue);
        assert_eq!(advice(&process(1, 0, 1, 1, 0), true), Advice::ReplaceInit);
    }
}
