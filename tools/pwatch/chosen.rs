//! Who is watched.

use std::collections::HashSet;

use procherd::error::{Error, Kind as Failure};
use procherd::follow::{Event, Happening};
use procherd::id::{Identity, Pid};
use procherd::select::{Facts, Membership, Selection, Verdict};
use procherd::source::Source;
use procherd::tree::{Index, Table};

use super::book::{Book, Change};
use super::tree_order;
use crate::frame::Reporter;

/// Who is watched: those that the selectors want, of the trees that were named if there are any.
pub(super) struct Chosen {
    pub(super) selection: Selection,
    pub(super) named: Option<Vec<Identity>>,
    /// The numbers of living processes that are watched, and of those that belong to a named tree.
    pub(super) watched: HashSet<u32>,
    pub(super) trees: HashSet<u32>,
    /// Those that were watched, and have ended.
    pub(super) dead: HashSet<u32>,
}

impl Chosen {
    /// Decides about all that live, but those of whom events are still to be told: they are met with their event.
    pub(super) fn meet_all(
        &mut self,
        table: &Table,
        events: &[Event],
        book: &Book<'_>,
        facts: &dyn Facts,
        reporter: &mut Reporter,
    ) {
        let told: HashSet<u32> = events.iter().map(|event| event.process.pid.get()).collect();
        for index in tree_order(table) {
            if !told.contains(&table.get(index).pid.get()) {
                self.meet(index, table, book, facts, reporter);
            }
        }
    }

    /// Decides about a process that has just been met, by what it is now. Parents are met before their children.
    pub(super) fn meet(
        &mut self,
        index: Index,
        table: &Table,
        book: &Book<'_>,
        facts: &dyn Facts,
        reporter: &mut Reporter,
    ) {
        let process = table.get(index);
        let pid = process.pid.get();
        if let Some(named) = &self.named {
            let is = |identity: &Identity| {
                identity.pid == process.pid
                    && match identity.inode.zip(process.inode) {
                        Some((meant, found)) => meant == found,
                        None => identity.start_ticks.is_none_or(|ticks| ticks == process.start_ticks),
                    }
            };
            if named.iter().any(is) || self.trees.contains(&process.ppid) {
                self.trees.insert(pid);
            } else {
                return;
            }
        }
        let ordinary = !process.kernel_thread && process.pid != Pid::this();
        if ordinary && !process.is_zombie() && self.wants(index, table, book, facts, reporter) {
            self.watched.insert(pid);
        }
    }

    fn wants(
        &self,
        index: Index,
        table: &Table,
        book: &Book<'_>,
        facts: &dyn Facts,
        reporter: &mut Reporter,
    ) -> bool {
        let nearest = book.registered.nearest(index, table);
        let member = Membership {
            service: nearest.and_then(|entry| entry.service.as_deref()),
            session: nearest.and_then(|entry| entry.session.as_deref()),
        };
        match self.selection.judge(table.get(index), &table.view, member, facts) {
            Verdict::Yes => true,
            Verdict::No => false,
            Verdict::Unknown(fact) => {
                let why = "not permitted, so some processes are not watched";
                reporter.fault(&Error::new(Failure::Denied, format!("read {fact}"), "processes", why));
                false
            }
        }
    }

    /// Keeps up with an event: who starts is met, and who has become another program is met again.
    pub(super) fn follow(
        &mut self,
        event: &Event,
        table: &Table,
        book: &Book<'_>,
        source: &Source,
        reporter: &mut Reporter,
    ) {
        match event.what {
            // Its number may have been another one's.
            Happening::Started => {
                self.trees.remove(&event.process.pid.get());
                self.watched.remove(&event.process.pid.get());
                self.dead.remove(&event.process.pid.get());
            }
            Happening::Became => {}
            _ => return,
        }
        let place =
            table.find_exactly(event.process.pid, event.process.inode, Some(event.process.start_ticks));
        if let Some(index) = place {
            self.meet(index, table, book, source, reporter);
        }
    }

    /// Tells whether a process is watched, or was until it ended.
    pub(super) fn knows(&self, pid: u32) -> bool {
        self.watched.contains(&pid) || self.dead.contains(&pid)
    }

    /// Notes the end of a process: nothing that it started later can follow, but it may not be reaped.
    pub(super) fn ended(&mut self, pid: u32) {
        if self.watched.remove(&pid) {
            self.dead.insert(pid);
        }
    }

    /// Tells whether nothing can happen any more: all that was named has ended.
    pub(super) fn is_over(&self) -> bool {
        self.named.is_some() && self.watched.is_empty()
    }

    /// Tells whether an entry of the registry is of interest: that of a process that is watched, or of any where nothing
    /// narrows the watch.
    pub(super) fn wants_entry(&self, change: &Change, table: &Table) -> bool {
        // An entry that names no process names nobody that could be watched.
        let Ok(identity) = change.service.identity() else { return false };
        let pid = identity.pid.get();
        let watched = self.watched.contains(&pid) && table.find(pid).is_some();
        let by_name = self.selection.services.contains(&change.service.name);
        watched || by_name || self.named.is_none() && !self.selection.narrows()
    }
}
