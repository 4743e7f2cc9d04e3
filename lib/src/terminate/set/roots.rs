//! What was asked for becomes the first members, or is told as missing.

use super::{Claim, Set};
use crate::handle::{self, Handle, Look};
use crate::id::Standing;
use crate::terminate::{Guard, Missing, Outcome, Root, Via};
use crate::tree::{Index, Table};

/// The later of two limits, none where one of them sets none: somebody asked for all that belongs to it.
fn later(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.zip(other).map(|(one, other)| one.max(other))
}

impl Set<'_> {
    /// Takes in what was asked for. Gives the roots that no process stands for.
    pub(in crate::terminate) fn take_roots(&mut self, roots: &[Root], table: &Table) -> Vec<Missing> {
        let mut missing = Vec::new();
        for root in roots {
            let place = self.setting.host.place();
            if root.identity.standing(place, self.setting.host.has_pidfs()) == Standing::Here
                && let Some(cookie) = &root.cookie
            {
                let since = self.cookies.entry(cookie.as_bytes().into()).or_insert(root.planned_ticks);
                *since = later(*since, root.planned_ticks);
            }
            match handle::open(self.setting.host, self.setting.source, &root.identity) {
                Look::Found(handle) => match table.find_exactly(handle.pid(), handle.inode(), None) {
                    Some(index) if table.get(index).is_zombie() => {
                        let process = table.get(index);
                        let identity = process.identity(&table.view.place);
                        let (sid, pgid) = (Some(process.sid), Some(process.pgid));
                        self.remember_dead(&Root { identity, sid, pgid, ..root.clone() });
                        missing.push(Self::absent(
                            root,
                            Outcome::AlreadyGone,
                            Some("a zombie: its parent has not reaped it"),
                        ));
                    }
                    Some(index) => self.take_root(root, handle, table, index),
                    None if handle.has_ended() => {
                        self.remember_dead(root);
                        missing.push(Self::absent(root, Outcome::AlreadyGone, None));
                    }
                    // What is hidden (hidepid) lives all the same.
                    None => {
                        let why = Some("it lives, and /proc does not show it");
                        missing.push(Self::absent(root, Outcome::NotPermitted, why));
                    }
                },
                Look::Gone => {
                    self.remember_dead(root);
                    missing.push(Self::absent(root, Outcome::AlreadyGone, None));
                }
                Look::Changed => missing.push(Self::absent(root, Outcome::IdentityChanged, None)),
                Look::Foreign(why) => missing.push(Self::absent(root, Outcome::Foreign, Some(why))),
                Look::TooWeak(why) => missing.push(Self::absent(root, Outcome::NotPermitted, Some(why))),
                Look::Failed(errno) => {
                    missing.push(Self::absent(
                        root,
                        Outcome::NotPermitted,
                        Some(&errno.desc().to_lowercase()),
                    ));
                }
            }
        }
        missing
    }

    fn absent(root: &Root, outcome: Outcome, why: Option<&str>) -> Missing {
        Missing { identity: root.identity.clone(), outcome, why: why.map(str::to_owned) }
    }

    fn take_root(&mut self, root: &Root, handle: Handle, table: &Table, index: Index) {
        if let Some(member) = self.member_at(table, index) {
            // Asked for twice, or found below another root first: the stronger reason stays.
            let known = &mut self.members[member];
            if root.via == Via::Named {
                known.target.via = Via::Named;
            }
            known.since = later(known.since, root.planned_ticks);
            return;
        }
        self.guards.name(self.setting, table, index);
        let judged = || self.guards.judge(self.setting, table, index, root.via);
        let guard = self.spare.map_or_else(judged, |_| Some(Guard::Itself));
        self.admit(table, index, root.via, None, guard, Some(handle));
        if let Some(member) = self.members.last_mut() {
            member.target.source = root.identity.source;
            member.since = root.planned_ticks;
        }
        if guard.is_none_or(Guard::spares_only_itself) {
            self.claim_cgroup(root, self.setting.registered.of(table.get(index), table));
        }
        let process = table.get(index);
        if self.options.whole_group && process.pgid != 0 {
            let claim = Claim { leader: process.pid, inode: None, start_ticks: 0, since: root.planned_ticks };
            self.groups.entry(process.pgid).or_insert(claim);
        }
    }

    /// Takes in a process that has taken the place of a member.
    pub(in crate::terminate) fn take_successor(&mut self, table: &Table, index: Index) {
        let guard = self.guards.judge(self.setting, table, index, Via::Respawn);
        self.admit(table, index, Via::Respawn, None, guard, None);
    }

    /// A dead root still leads to what is left of the session and group that it led, when the kernel confirms that the
    /// number is still theirs, or at least nobody else is seen to have it.
    /// Records of other boots and namespaces lead nowhere: their numbers are those of others here.
    fn remember_dead(&mut self, root: &Root) {
        let host = self.setting.host;
        if root.identity.standing(host.place(), host.has_pidfs()) != Standing::Here {
            return;
        }
        let pid = root.identity.pid;
        self.claim_cgroup(root, None);
        let claim = Claim {
            leader: pid,
            inode: root.identity.inode,
            start_ticks: root.identity.start_ticks.unwrap_or(u64::MAX),
            since: root.planned_ticks,
        };
        if root.sid == Some(pid.get()) {
            self.sessions.insert(pid.get(), claim);
        }
        if root.pgid == Some(pid.get()) {
            self.groups.insert(pid.get(), claim);
        }
    }
}
