//! The set of processes that belong together, grown to a fixpoint over evidence.
//!
//! Each member is pinned by identity before its evidence is used further. Evidence that rests on a number (a parent, a
//! session, a group) counts only while that number provably belongs to the member that is meant:
//!
//! * a parent that is still held when its children were read was their parent;
//! * the number of a session or group stays taken as long as anything is in it, and the kernel tells by inode whether
//!   it still is the one that the member made (see `Host::number_is_held`);
//! * where the kernel cannot tell, the leader must still be seen, or a known member in its session or group.
//!
//! A mark (`PROCHERD_ID`) leads to other carriers only from the oldest living one, the root of the spawn: a worker of a
//! service that is ended by itself does not take its service along.

mod enclosed;
mod roots;

use std::collections::HashMap;

use super::cgroup::Enclosures;
use super::guard::{Guards, Spare};
use super::marks::Marks;
use super::numbers::{Age, Numbers, age};
use super::{Guard, Options, Setting, Target, Via};
use crate::handle::{self, Handle, Look};
use crate::id::{self, Identity, Pid};
use crate::record::Process;
use crate::signal::Signal;
use crate::snapshot::Holds;
use crate::tree::{Index, Table};

/// One process of the set, through its life.
pub(super) struct Member {
    /// What it is.
    pub(super) target: Target,
    /// Its identity.
    pub(super) identity: Identity,
    /// The hold on it; none when descriptors have run out.
    pub(super) handle: Option<Handle>,
    /// Whether it has ended.
    pub(super) ended: bool,
    /// Whether it has been told to the observer.
    pub(super) told: bool,
    /// It leads only to processes that began after this clock tick.
    pub(super) since: Option<u64>,
    /// The last signal that it was sent.
    pub(super) signal: Option<Signal>,
    /// Whether the system refused to signal it.
    pub(super) refused: bool,
}

/// A number that a member leads or led: a session or a group.
#[derive(Clone, Copy)]
struct Claim {
    leader: Pid,
    inode: Option<u64>,
    start_ticks: u64,
    /// It leads only to processes that began after this clock tick.
    since: Option<u64>,
}

impl Claim {
    /// Tells whether a process may be in what was led: nobody is in a session that is younger than he is. A group can
    /// be joined by its leader's elder twin.
    fn may_lead(&self, process: &Process, via: Via) -> bool {
        let older = || self.inode.zip(process.inode).is_some_and(|(leader, member)| leader > member);
        process.start_ticks >= self.start_ticks && (via == Via::Group || !older())
    }
}

/// The growing set.
pub(super) struct Set<'a> {
    setting: Setting<'a>,
    options: &'a Options,
    guards: Guards,
    pub(super) members: Vec<Member>,
    /// Members by number, the latest for each.
    by_pid: HashMap<u32, usize>,
    sessions: HashMap<u32, Claim>,
    groups: HashMap<u32, Claim>,
    /// The marks that were asked for, each with the tick after which its carriers must have begun.
    cookies: HashMap<Box<[u8]>, Option<u64>>,
    marks: Marks<'a>,
    /// Who was held at the first look.
    holds: Holds,
    /// The cgroups that were made for members.
    pub(super) enclosures: Enclosures,
    /// Who is spared where the set is all that descends from this process: then nobody else is.
    pub(super) spare: Option<Spare<'a>>,
    /// How many descriptors may be held.
    budget: usize,
}

impl<'a> Set<'a> {
    /// Begins a set from a first look. `budget` is how many descriptors it may hold.
    pub(super) fn new(setting: Setting<'a>, options: &'a Options, table: &Table, budget: usize) -> Self {
        Self {
            setting,
            options,
            guards: Guards::new(setting, options, table),
            members: Vec::new(),
            by_pid: HashMap::new(),
            sessions: HashMap::new(),
            groups: HashMap::new(),
            cookies: HashMap::new(),
            marks: Marks::new(setting.source),
            holds: Holds::default(),
            enclosures: Enclosures::default(),
            spare: None,
            budget,
        }
    }

    /// Grows the set by what a look at the table shows. Gives the new members, in the order in which they were found.
    pub(super) fn grow(&mut self, table: &Table) -> Vec<usize> {
        let before = self.members.len();
        // Only what descends from an ancestor of ours can be a neighbour.
        if self.members.iter().any(|member| member.target.guard == Some(Guard::Ancestor)) {
            self.guards.meet_neighbours(self.setting, table);
        }
        let mut work: Vec<Index> = Vec::new();
        // What had ended before the look has no children in it: who names its number as parent means another process.
        for member in self.members.iter().filter(|member| !member.ended) {
            let open = member.target.guard.is_none_or(Guard::spares_only_itself);
            let process = &member.target.process;
            if open && !self.options.only {
                work.extend(table.find_exactly(process.pid, process.inode, Some(process.start_ticks)));
            }
        }
        if self.options.only {
            return Vec::new();
        }
        if self.spare.is_none() {
            self.marks.read_ahead(table, &table.members(work.iter().copied()));
        }
        let index = Numbers::of(table);
        let mut visited = vec![false; table.processes().len()];
        self.claimed(table, &index, &mut work);
        // Descent is followed to its end before weaker reasons are, so that each member names its strongest one.
        let mut leaders = Vec::new();
        let mut enclosed = self.enclosures.is_empty();
        loop {
            if let Some(at) = work.pop() {
                if !std::mem::replace(&mut visited[at], true) {
                    self.descend(table, at, &mut work);
                    leaders.push(at);
                }
            } else if let Some(at) = leaders.pop() {
                self.lead(table, &index, at, &mut work);
            } else if !std::mem::replace(&mut enclosed, true) {
                self.enclosed(table, &mut work);
            } else if !self.options.by_cookie || !self.carriers(table, &mut work) {
                break;
            }
        }
        (before..self.members.len()).collect()
    }

    /// The tick after which a process must have begun to belong to a member.
    fn since(&self, table: &Table, at: Index) -> Option<u64> {
        self.member_at(table, at).and_then(|member| self.members[member].since)
    }

    /// Adds the children of a member.
    fn descend(&mut self, table: &Table, at: Index, work: &mut Vec<Index>) {
        let pid = table.get(at).pid;
        let since = self.since(table, at);
        let children: Vec<Index> = table
            .children(at)
            .filter(|child| self.member_at(table, *child).is_none())
            .filter(|child| since.is_none_or(|tick| table.get(*child).start_ticks > tick))
            .collect();
        if !children.is_empty() && self.still_holds_its_number(table, at) {
            for child in children {
                self.consider(table, child, Via::Descendant, pid, work);
            }
        }
    }

    /// Adds the session and the group that a member leads.
    fn lead(&mut self, table: &Table, index: &Numbers, at: Index, work: &mut Vec<Index>) {
        let process = table.get(at);
        let pid = process.pid;
        let since = self.since(table, at);
        let claim = Claim { leader: pid, inode: process.inode, start_ticks: process.start_ticks, since };
        if process.leads_session() && self.options.by_session {
            self.sessions.insert(pid.get(), claim);
            self.join(
                table,
                Numbers::range(&index.by_session, pid.get()).collect(),
                claim,
                Via::Session,
                work,
            );
        }
        if process.leads_group() && self.options.by_group {
            self.groups.insert(pid.get(), claim);
            self.join(table, Numbers::range(&index.by_group, pid.get()).collect(), claim, Via::Group, work);
        }
    }

    /// Adds what the sessions and groups of earlier looks hold now: their leaders may have died meanwhile.
    fn claimed(&mut self, table: &Table, index: &Numbers, work: &mut Vec<Index>) {
        let sessions: Vec<_> = self.sessions.iter().map(|(number, claim)| (*number, *claim)).collect();
        for (number, claim) in sessions.into_iter().filter(|_| self.options.by_session) {
            self.join(table, Numbers::range(&index.by_session, number).collect(), claim, Via::Session, work);
        }
        let groups: Vec<_> = self.groups.iter().map(|(number, claim)| (*number, *claim)).collect();
        for (number, claim) in
            groups.into_iter().filter(|_| self.options.by_group || self.options.whole_group)
        {
            self.join(table, Numbers::range(&index.by_group, number).collect(), claim, Via::Group, work);
        }
    }

    /// Adds the members of a session or group, if its number still belongs to the leader that is meant.
    ///
    /// Where the kernel cannot tell, the leader itself must be there, or a member of the set must be in it: the number
    /// cannot change hands meanwhile.
    fn join(&mut self, table: &Table, found: Vec<Index>, claim: Claim, via: Via, work: &mut Vec<Index>) {
        let (known, fresh): (Vec<Index>, Vec<Index>) =
            found.into_iter().partition(|member| self.member_at(table, *member).is_some());
        let fresh: Vec<Index> = fresh.into_iter().filter(|at| claim.may_lead(table.get(*at), via)).collect();
        // Somebody who was taken out of the plan is in it: then nothing but a parent tells whose the later ones are.
        let taken_out = |at: &Index| claim.since.is_some_and(|tick| table.get(*at).start_ticks <= tick);
        if fresh.is_empty() || fresh.iter().any(taken_out) {
            return;
        }
        // The table may be older than the last death: whoever pins the number must be there now. By ticks alone a member
        // that has ended cannot be told from whoever got its number within the same tick, so it pins nothing.
        let pinned = || {
            let leader = table.find_exactly(claim.leader, claim.inode, Some(claim.start_ticks));
            let ended = |at| self.member_at(table, at).is_some_and(|member| self.members[member].ended);
            leader.into_iter().chain(known.iter().copied()).any(|at| !ended(at) && self.is_there(table, at))
        };
        if self.is_held(table, &claim).unwrap_or_else(pinned) {
            for member in fresh {
                self.consider(table, member, via, claim.leader, work);
            }
        }
    }

    /// Tells whether the number of a leader is still its own, where the kernel tells. A record may claim the inode of
    /// somebody else: the one who has it, if it lives, must have the number as well.
    fn is_held(&self, table: &Table, claim: &Claim) -> Option<bool> {
        let held = self.setting.host.number_is_held(claim.inode?)?;
        let others = |process: &Process| process.inode == claim.inode && process.pid != claim.leader;
        Some(held && !table.processes().iter().any(others))
    }

    /// Adds the carriers of marks whose oldest carrier is a member. Tells whether there were any.
    fn carriers(&mut self, table: &Table, work: &mut Vec<Index>) -> bool {
        let own: Vec<(Box<[u8]>, Age, Option<u64>)> = self
            .members
            .iter()
            .filter(|member| member.target.guard.is_none())
            .filter_map(|member| {
                let process = &member.target.process;
                Some((self.marks.known(process)?.cookie.clone()?, age(process), member.since))
            })
            .collect();
        if own.is_empty() && self.cookies.is_empty() {
            return false;
        }
        let mut oldest: HashMap<Box<[u8]>, (Age, Option<u64>)> = HashMap::new();
        for (cookie, start, since) in own {
            let (first, limit) = oldest.entry(cookie).or_insert((start, since));
            (*first, *limit) = (start.min(*first), since.zip(*limit).map(|(one, other)| one.max(other)));
        }
        let all: Vec<Index> = (0..table.processes().len()).collect();
        self.marks.read_ahead(table, &all);
        let mut outside: HashMap<Box<[u8]>, Vec<Index>> = HashMap::new();
        for at in 0..table.processes().len() {
            let process = table.get(at);
            if process.kernel_thread || process.is_zombie() || self.member_at(table, at).is_some() {
                continue;
            }
            let cookie = self.marks.of(table, at).cookie.as_ref();
            let wanted =
                |cookie: &&Box<_>| oldest.contains_key(*cookie) || self.cookies.contains_key(*cookie);
            if let Some(cookie) = cookie.filter(wanted) {
                outside.entry(cookie.clone()).or_default().push(at);
            }
        }
        let before = self.members.len();
        for (cookie, carriers) in outside {
            let (first, limit) = oldest.get(&cookie).copied().unwrap_or_default();
            let root_is_ours = carriers.iter().all(|at| age(table.get(*at)) >= first);
            let since = self.cookies.get(&cookie).copied().unwrap_or(limit);
            let taken_out = |at: &Index| since.is_some_and(|tick| table.get(*at).start_ticks <= tick);
            if (root_is_ours || self.cookies.contains_key(&cookie)) && !carriers.iter().any(taken_out) {
                for at in carriers {
                    let from = table.get(at).pid;
                    self.consider(table, at, Via::Cookie, from, work);
                }
            }
        }
        self.members.len() > before
    }

    /// Tells whether the number of a dead leader is in use although a look shows nobody who uses it: somebody hops from
    /// process to process faster than the table is read.
    pub(super) fn is_still_used(&self, table: &Table) -> bool {
        let (sessions, groups) = (self.sessions.iter(), self.groups.iter());
        let dead = |claim: &Claim| {
            let known = self.by_pid.get(&claim.leader.get()).map(|member| &self.members[*member]);
            known.is_none_or(|member| member.ended)
        };
        let shown = |number: u32| {
            let uses = |process: &Process| {
                process.pid.get() == number || process.sid == number || process.pgid == number
            };
            table.processes().iter().any(uses)
        };
        let by_number = sessions.chain(groups).any(|(number, claim)| {
            dead(claim) && self.is_held(table, claim) == Some(true) && !shown(*number)
        });
        by_number || self.enclosure_hides_somebody(table)
    }

    /// Makes a process a member, unless it is one already, is dead, or a guard leaves it out of the set.
    fn consider(&mut self, table: &Table, at: Index, via: Via, from: Pid, work: &mut Vec<Index>) {
        if self.member_at(table, at).is_some() || table.get(at).is_zombie() {
            return;
        }
        let mut guard = match self.spare {
            Some(spare) => spare(table.get(at)).then_some(Guard::Kept),
            None => self.guards.judge(self.setting, table, at, via),
        };
        if guard.is_none() && self.spare.is_none() && self.marks.of(table, at).keep {
            guard = Some(Guard::Kept);
        }
        if guard.is_none() && matches!(via, Via::Session | Via::Group | Via::Cookie | Via::Cgroup) {
            guard = self.guard_above(table, at);
        }
        let from = Some(from).filter(|from| *from != table.get(at).pid);
        self.admit(table, at, via, from, guard, None);
        if guard.is_none_or(Guard::spares_only_itself) {
            work.push(at);
        }
    }

    fn admit(
        &mut self,
        table: &Table,
        at: Index,
        via: Via,
        from: Option<Pid>,
        guard: Option<Guard>,
        held: Option<Handle>,
    ) {
        let process = table.get(at).clone();
        let identity = process.identity(&table.view.place);
        let mut ended = false;
        let mut handle = None;
        if guard.is_none() {
            if self.options.by_cookie {
                self.marks.of(table, at);
            }
            handle = held.or_else(|| self.holds.take(process.pid, process.inode));
            if handle.is_none() {
                match handle::open(self.setting.host, self.setting.source, &identity) {
                    Look::Found(found) => handle = Some(found),
                    Look::Gone | Look::Changed => ended = true,
                    _ => {}
                }
            }
            // Environments are read by number.
            if self.marks.known(&process).is_some_and(|mark| mark.cookie.is_some())
                && handle.as_ref().is_none_or(Handle::has_ended)
                && matches!(handle::open(self.setting.host, self.setting.source, &identity), Look::Changed)
            {
                self.marks.forget(&process);
            }
        }
        let keep = self.budget > 0;
        self.budget -= usize::from(keep && handle.is_some());
        self.by_pid.insert(process.pid.get(), self.members.len());
        self.members.push(Member {
            target: Target { process, via, from, guard, source: id::Source::Record },
            identity,
            handle: handle.filter(|_| keep),
            ended,
            // One that ended between the look and now was never signalled: there is nothing to tell.
            told: ended,
            since: None,
            signal: None,
            refused: false,
        });
    }

    /// Lets members be taken over from the holds of the first look.
    pub(super) fn take_over(&mut self, holds: Holds) {
        self.holds = holds;
    }

    /// Lets go of everybody who was held at the first look and is no member.
    pub(super) fn let_others_go(&mut self) {
        self.holds = Holds::default();
    }

    /// Gives back a descriptor that was held.
    pub(super) fn let_go(&mut self, member: usize) {
        self.budget += usize::from(self.members[member].handle.take().is_some());
    }

    /// How many descriptors may still be held.
    pub(super) fn room(&self) -> usize {
        self.budget
    }

    /// Holds a member again when there is room.
    pub(super) fn hold(&mut self, member: usize, handle: Handle) {
        if self.budget > 0 && self.members[member].handle.is_none() {
            self.budget -= 1;
            self.members[member].handle = Some(handle);
        }
    }

    /// The member that a process of the table is.
    pub(super) fn member_at(&self, table: &Table, at: Index) -> Option<usize> {
        let process = table.get(at);
        let member = *self.by_pid.get(&process.pid.get())?;
        let known = &self.members[member].target.process;
        let same = match (known.inode, process.inode) {
            (Some(one), Some(other)) => one == other,
            _ => known.start_ticks == process.start_ticks,
        };
        same.then_some(member)
    }

    /// Tells whether the number of a member is still its own, so that what was read about its children was about them.
    fn still_holds_its_number(&self, table: &Table, at: Index) -> bool {
        let process = table.get(at);
        let held = self.member_at(table, at).and_then(|member| self.members[member].handle.as_ref());
        if held.is_some_and(|handle| !handle.has_ended()) {
            return true;
        }
        let identity = process.identity(&table.view.place);
        !matches!(handle::open(self.setting.host, self.setting.source, &identity), Look::Changed)
    }

    /// The guard of a member above a process: what belongs to a manager or a kept process within the tree is left with
    /// it, also where the session or a mark leads past it.
    fn guard_above(&self, table: &Table, at: Index) -> Option<Guard> {
        let members = table.ancestors(at).filter_map(|above| self.member_at(table, above));
        let mut guarded = members.map(|member| &self.members[member].target);
        let nearest = guarded.find(|target| target.guard.is_some_and(|guard| !guard.spares_only_itself()))?;
        nearest.guard.filter(|guard| {
            matches!(nearest.via, Via::Descendant | Via::Cgroup)
                && matches!(guard, Guard::Manager | Guard::Shim | Guard::Kept)
        })
    }

    /// Tells whether a process of the table is still there, alive or unreaped.
    fn is_there(&self, table: &Table, at: Index) -> bool {
        let identity = table.get(at).identity(&table.view.place);
        matches!(handle::open(self.setting.host, self.setting.source, &identity), Look::Found(_))
    }
}
