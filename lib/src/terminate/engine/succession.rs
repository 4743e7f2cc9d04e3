//! Who takes the place of a named process that was ended: its command line, its service or its port.

use std::collections::HashSet;

use crate::evidence::Registration;
use crate::id::Pid;
use crate::record::Process;
use crate::registry::Known;
use crate::sockets::{self, Query, Socket};
use crate::terminate::set::Set;
use crate::terminate::{Place, Setting, Via};
use crate::tree::{Index, Table};

/// What is known of the named ones before anything ends, so that their successors are known when they come.
#[derive(Debug)]
pub(super) struct Succession {
    /// Who is no successor, or none that is still to be told: all that were there at the first look, and those that were
    /// told and stay.
    known: HashSet<(Pid, u64, Option<u64>)>,
    /// The services that named members were: the member, and its entry.
    services: Vec<(usize, Registration)>,
    /// The TCP ports that the set listened on, and the named member that they count for.
    ports: Vec<u16>,
    named: usize,
}

/// A process that has taken the place of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Successor {
    pub(super) member: usize,
    pub(super) index: Index,
    pub(super) place: Place,
    /// Whether it comes from where the member came from: the same parent, or the same session.
    pub(super) is_kin: bool,
}

fn seen(process: &Process) -> (Pid, u64, Option<u64>) {
    (process.pid, process.start_ticks, process.inode)
}

impl Succession {
    /// Remembers who is there, before anybody is named.
    pub(super) fn at(table: &Table) -> Self {
        let known = table.processes().iter().map(seen).collect();
        Self { known, services: Vec::new(), ports: Vec::new(), named: 0 }
    }

    /// Learns which services and ports the set stands for.
    ///
    /// A port belongs to the first of the named ones, whoever of the set listens on it. Ports that cannot be looked at
    /// are not followed.
    pub(super) fn learn(&mut self, setting: Setting<'_>, set: &Set<'_>, table: &Table) {
        for member in 0..set.members.len() {
            let target = &set.members[member].target;
            if target.via == Via::Named
                && let Some(entry) = setting.registered.of(&target.process, table)
                && entry.service.is_some()
            {
                self.services.push((member, entry.clone()));
            }
        }
        let named = (0..set.members.len()).find(|member| set.members[*member].target.via == Via::Named);
        let Some(named) = named else { return };
        let Ok(listening) = sockets::list(&Query::tcp([])) else { return };
        let pids: Vec<Pid> = set.members.iter().map(|member| member.target.process.pid).collect();
        let inodes: Vec<u64> = listening.iter().map(|socket| socket.inode).collect();
        let Ok(holders) = sockets::holders(setting.source, &pids, &inodes) else { return };
        self.ports =
            listening.iter().filter(|socket| holders.hold(socket.inode)).filter_map(Socket::port).collect();
        self.ports.sort_unstable();
        self.ports.dedup();
        self.named = named;
    }

    /// A successor was told and stays: it is not told again.
    pub(super) fn leave(&mut self, process: &Process) {
        self.known.insert(seen(process));
    }

    /// Finds somebody who has taken a place meanwhile.
    pub(super) fn find(&self, setting: Setting<'_>, set: &Set<'_>, table: &Table) -> Option<Successor> {
        let is_new = |index: Index| {
            let process = table.get(index);
            !self.known.contains(&seen(process))
                && !process.is_zombie()
                && set.member_at(table, index).is_none()
        };
        let by_service = || Some((Place::Service, self.by_service(setting, table, &is_new)?));
        let by_port = || Some((Place::Port, self.by_port(setting, table, &is_new)?));
        let by_command = by_command(set, table, &is_new).map(|found| (Place::Command, found));
        let (place, (member, index)) = by_command.or_else(by_service).or_else(by_port)?;
        let is_kin = are_kin(&set.members[member].target.process, table.get(index));
        Some(Successor { member, index, place, is_kin })
    }

    /// Who is registered under the name by now.
    fn by_service(
        &self,
        setting: Setting<'_>,
        table: &Table,
        is_new: &dyn Fn(Index) -> bool,
    ) -> Option<(usize, Index)> {
        let registry = setting.registry.filter(|_| !self.services.is_empty())?;
        // A registry that cannot be read now names nobody new.
        let known = Known::of(&registry.read().ok()?, setting.host, setting.source).registered();
        let same = |one: &Registration, other: &Registration| {
            (&one.service, one.scope, &one.project, &one.session)
                == (&other.service, other.scope, &other.project, &other.session)
        };
        self.services.iter().find_map(|(member, before)| {
            let now = known.entries().iter().find(|entry| same(entry, before))?;
            let index = table.find(now.identity.pid.get())?;
            let is_meant = table.get(index).identity(&table.view.place).same_as(&now.identity);
            (is_meant && is_new(index)).then_some((*member, index))
        })
    }

    /// Who listens on a port by now.
    fn by_port(
        &self,
        setting: Setting<'_>,
        table: &Table,
        is_new: &dyn Fn(Index) -> bool,
    ) -> Option<(usize, Index)> {
        if self.ports.is_empty() {
            return None;
        }
        let found = sockets::list(&Query::tcp(self.ports.iter().copied())).ok()?;
        let new: Vec<Pid> = (0..table.processes().len())
            .filter(|index| is_new(*index))
            .map(|index| table.get(index).pid)
            .collect();
        let inodes: Vec<u64> = found.iter().map(|socket| socket.inode).collect();
        let holders = sockets::holders(setting.source, &new, &inodes).ok()?;
        let (holder, _) = holders.by_pid.first()?;
        Some((self.named, table.find(holder.get())?))
    }
}

/// Who has the same words, for the same user, and comes from the same parent or session: somebody else's process with the
/// same words is none.
fn by_command(set: &Set<'_>, table: &Table, is_new: &dyn Fn(Index) -> bool) -> Option<(usize, Index)> {
    let named = |member: &usize| {
        let target = &set.members[*member].target;
        matches!(target.via, Via::Named | Via::Respawn) && !target.process.cmdline.is_empty()
    };
    (0..set.members.len()).filter(named).find_map(|member| {
        let known = &set.members[member].target.process;
        let is_another = |index: &Index| {
            let process = table.get(*index);
            process.cmdline == known.cmdline && are_kin(known, process)
        };
        let found = (0..table.processes().len()).find(|index| is_another(index) && is_new(*index));
        found.map(|index| (member, index))
    })
}

/// Tells whether two belong to the same user and come from the same parent or session.
fn are_kin(one: &Process, other: &Process) -> bool {
    one.uid == other.uid && (one.ppid == other.ppid || one.sid == other.sid)
}
