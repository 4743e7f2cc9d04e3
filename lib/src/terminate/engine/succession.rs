//! Who takes the place of a named process that was ended: its command line, its service or its port.

use std::collections::HashSet;

use crate::error::Result;
use crate::evidence::Registration;
use crate::id::Pid;
use crate::record::Process;
use crate::registry::Known;
use crate::sockets::{self, Protocol, Query, Socket};
use crate::terminate::set::Set;
use crate::terminate::{Place, Setting, Via};
use crate::tree::{Index, Table};

/// What is known of the named ones before anything ends, so that their successors are known when they come.
#[derive(Debug)]
pub(super) struct Succession {
    /// Who was there at the first look: nobody of them is a successor.
    there_before: HashSet<(Pid, u64, Option<u64>)>,
    /// The services that named members were: the member, and its entry.
    services: Vec<(usize, Registration)>,
    /// The TCP ports that the set listened on: the named member, and the port.
    ports: Vec<(usize, u16)>,
    /// Successors that were told and are not to be ended: each is told once.
    told: HashSet<(Pid, u64, Option<u64>)>,
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
        let there_before = table.processes().iter().map(seen).collect();
        Self { there_before, services: Vec::new(), ports: Vec::new(), told: HashSet::new() }
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
        let Ok(listening) = listening(&[]) else { return };
        let pids: Vec<Pid> = set.members.iter().map(|member| member.target.process.pid).collect();
        let inodes: Vec<u64> = listening.iter().map(|socket| socket.inode).collect();
        let Ok(holders) = sockets::holders(setting.source, &pids, &inodes) else { return };
        let mut ports: Vec<u16> =
            listening.iter().filter(|socket| holders.hold(socket.inode)).filter_map(Socket::port).collect();
        ports.sort_unstable();
        ports.dedup();
        self.ports = ports.into_iter().map(|port| (named, port)).collect();
    }

    /// A successor was told and stays: it is not told again.
    pub(super) fn leave(&mut self, process: &Process) {
        self.told.insert(seen(process));
    }

    /// Finds somebody who has taken a place meanwhile.
    pub(super) fn find(&self, setting: Setting<'_>, set: &Set<'_>, table: &Table) -> Option<Successor> {
        let is_new = |index: Index| {
            let process = table.get(index);
            !self.there_before.contains(&seen(process))
                && !self.told.contains(&seen(process))
                && !process.is_zombie()
                && set.member_at(table, index).is_none()
        };
        let of = |member: usize, index: Index, place: Place| {
            let (known, new) = (&set.members[member].target.process, table.get(index));
            let is_kin = new.uid == known.uid && (new.ppid == known.ppid || new.sid == known.sid);
            Successor { member, index, place, is_kin }
        };
        by_command(set, table, &is_new)
            .map(|(member, index)| of(member, index, Place::Command))
            .or_else(|| {
                self.by_service(setting, table, &is_new)
                    .map(|(member, index)| of(member, index, Place::Service))
            })
            .or_else(|| {
                self.by_port(setting, table, &is_new).map(|(member, index)| of(member, index, Place::Port))
            })
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
        let ports: Vec<u16> = self.ports.iter().map(|(_, port)| *port).collect();
        let found = listening(&ports).ok()?;
        let new: Vec<Pid> = (0..table.processes().len())
            .filter(|index| is_new(*index))
            .map(|index| table.get(index).pid)
            .collect();
        let inodes: Vec<u64> = found.iter().map(|socket| socket.inode).collect();
        let holders = sockets::holders(setting.source, &new, &inodes).ok()?;
        holders.by_pid.iter().find_map(|(pid, held)| {
            let port = found.iter().find(|socket| held.contains(&socket.inode)).and_then(Socket::port)?;
            let (member, _) = self.ports.iter().find(|(_, known)| *known == port)?;
            Some((*member, table.find(pid.get())?))
        })
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
            process.cmdline == known.cmdline
                && process.uid == known.uid
                && (process.ppid == known.ppid || process.sid == known.sid)
        };
        let found = (0..table.processes().len()).find(|index| is_another(index) && is_new(*index));
        found.map(|index| (member, index))
    })
}

/// The TCP sockets that listen on some ports, or on any if none is given.
fn listening(ports: &[u16]) -> Result<Vec<Socket>> {
    let ports = ports.iter().map(|port| (*port..=*port, None)).collect();
    sockets::list(&Query { protocols: vec![Protocol::Tcp], ports, ..Query::default() })
}
