//! What is left over when a session or a service has ended.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use super::document::Document;
use super::files::stale_pid_file;
use super::judge::{Verdict, judge, judge_identity, judged};
use super::service::Service;
use super::session::Session;
use super::{Registry, set_identity};
use crate::cgroup::Group;
use crate::error::Result;
use crate::host::{Host, boot_ms, own_uid};
use crate::id::{Identity, Pid, Source as IdSource};
use crate::record::Process;
use crate::select::variable;
use crate::snapshot;
use crate::source::{Source, Wants};
use crate::terminate::{Root, Via};

/// The variables that name the session of a process.
const MARKS: [&str; 2] = ["PROCHERD_SESSION", "CLAUDE_SESSION_ID"];

/// What a transaction of [`forget_dead`] did.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// Services whose process has ended, and how that was proved.
    pub services: Vec<(Service, Verdict)>,
    /// The pid files that still named the processes of these: name of the service, and path.
    pub files: Vec<(String, PathBuf)>,
    /// Services that other programs had registered by number, and that have an identity now.
    pub identified: Vec<Service>,
}

/// A service that was to end by now, and lives.
#[derive(Debug)]
pub struct Overdue {
    /// The service.
    pub service: Service,
    /// Its process.
    pub identity: Identity,
    /// For how long it was to live.
    pub ttl: Duration,
    /// How long its time has been over.
    pub late: Duration,
}

/// How long a guard may take to end a service whose time is over, before others do.
const GUARD_LATE: Duration = Duration::from_mins(1);

/// Finds the services that have lived for longer than they were to (`ttl_ms`), by the clock that no one can set.
///
/// One whose guard lives is left to it for a minute: the service shall be asked once, and have its whole grace.
pub fn overdue(document: &Document, host: &Host, source: &Source) -> Vec<Overdue> {
    let judged = judged(document, host, source).filter_map(Result::ok);
    judged
        .filter_map(|(service, verdict)| {
            let Verdict::Alive(identity) = verdict else { return None };
            let ttl = Duration::from_millis(service.milliseconds("ttl_ms")?);
            let start_ms = identity.start_ticks?.saturating_mul(1000) / host.ticks_per_second().max(1);
            let late = Duration::from_millis(boot_ms().saturating_sub(start_ms)).checked_sub(ttl)?;
            let guarded =
                service.guard().is_some_and(|guard| judge_identity(host, source, &guard, None).is_alive());
            (!guarded || late > GUARD_LATE).then_some(Overdue { service, identity, ttl, late })
        })
        .collect()
}

/// Finds the services whose process has ended for certain, and those that are known by number only.
pub fn dead(document: &Document, host: &Host, source: &Source) -> Forgotten {
    let mut found = Forgotten::default();
    for (service, verdict) in judged(document, host, source).filter_map(Result::ok) {
        match &verdict {
            // It is left to who keeps it: the entry says how often it was tried to start it, and how.
            Verdict::Dead(_) if service.is_kept() => {}
            Verdict::Dead(_) => {
                let file = stale_pid_file(host, source, &service);
                found.files.extend(file.map(|path| (service.name.clone(), path)));
                found.services.push((service, verdict));
            }
            Verdict::Alive(identity) if identity.source == IdSource::Number => {
                let mut service = service;
                let started = service.started_ms().unwrap_or(0);
                set_identity(&mut service.record, identity, started);
                found.identified.push(service);
            }
            _ => {}
        }
    }
    found
}

/// Forgets the services whose process has ended for certain, and gives identities to those known by number only.
///
/// All are judged before the lock is taken. Within the transaction those alone are touched whose process is still the
/// one that was judged: an entry that was written anew meanwhile stays.
///
/// Their pid files go with them, under the lock too: who starts a service of this name writes its file after it has
/// changed the entry, so no new file can be hit. One that cannot be removed stays, and is not told.
pub fn forget_dead(registry: &Registry, host: &Host, source: &Source) -> Result<Forgotten> {
    let found = dead(&registry.read()?, host, source);
    if found.services.is_empty() && found.identified.is_empty() {
        return Ok(found);
    }
    // The transaction may be tried again, and a file can be removed once only.
    let mut files_gone = Vec::new();
    let mut done = registry.change(|document| {
        let same = |service: &Service| {
            let now = document.get(&service.scope, &service.name).ok().flatten();
            now.is_some_and(|now| now.process_text() == service.process_text())
        };
        let services: Vec<_> = found.services.iter().filter(|(service, _)| same(service)).cloned().collect();
        let identified: Vec<_> = found
            .identified
            .iter()
            .filter_map(|service| {
                let mut now = document.get(&service.scope, &service.name).ok().flatten()?;
                // The number is the same, and still the only thing that is known.
                let same = now.process_text()[0] == service.process_text()[0];
                let weak = now.identity().is_ok_and(|id| id.boot.is_none());
                now.set("identity", service.record.get("identity").filter(|_| same && weak)?);
                Some(now)
            })
            .collect();
        let doomed: HashSet<_> =
            services.iter().map(|(service, _)| (service.scope.clone(), service.name.clone())).collect();
        let gone = |path: &PathBuf| std::fs::remove_file(path).is_ok();
        let files = services.iter().filter_map(|(service, _)| {
            let path = stale_pid_file(host, source, service).filter(gone)?;
            Some((service.name.clone(), path))
        });
        files_gone.extend(files);
        document.remove_all(|entry| doomed.contains(&(entry.scope.clone(), entry.name.to_owned())));
        for service in &identified {
            document.insert(service);
        }
        Ok(Forgotten { services, identified, files: Vec::new() })
    })?;
    done.files = files_gone;
    Ok(done)
}

/// What belongs to a session: its services that live, what was below those that do not, everything that carries its mark
/// in the environment, and all in the cgroup that was made for it. The owner is left out: it may go on.
pub fn session_roots(document: &Document, host: &Host, source: &Source, id: &str) -> Result<Vec<Root>> {
    let owner = document.session(id)?.and_then(|session| session.owner().ok());
    let is_owner = |identity: &Identity| owner.as_ref().is_some_and(|owner| owner.same_as(identity));
    let mut roots: Vec<Root> = Vec::new();
    for entry in document.services() {
        let Ok(service) = entry.service() else { continue };
        if service.session().as_deref() == Some(id) {
            roots.extend(
                service_roots(host, source, &service).into_iter().filter(|root| !is_owner(&root.identity)),
            );
        }
    }
    let known =
        |roots: &[Root], identity: &Identity| roots.iter().any(|root| root.identity.same_as(identity));
    let group = document.session(id)?.and_then(|session| group_of(host, &session));
    let inside = group.as_ref().map(|group| group.members().0).unwrap_or_default();
    for (identity, via) in members(host, source, id, &inside)? {
        if !is_owner(&identity) && !known(&roots, &identity) {
            let cgroup = group.as_ref().map(|group| group.name().clone()).filter(|_| via == Via::Cgroup);
            roots.push(Root { cgroup, ..Root::of(identity, via) });
        }
    }
    Ok(roots)
}

/// The processes of a service: its own while it lives, else what was below it when it was last looked at.
pub fn service_roots(host: &Host, source: &Source, service: &Service) -> Vec<Root> {
    let number = |field| service.record().field::<u32>(field).ok().flatten();
    let tree = service.tree().into_iter().map(|identity| Root::of(identity, Via::Tree));
    match judge(host, source, service) {
        Verdict::Alive(identity) => std::iter::once(Root {
            identity,
            sid: number("sid"),
            pgid: number("pgid"),
            cookie: service.cookie(),
            cgroup: service.cgroup(),
            planned_ticks: None,
            via: Via::Named,
        })
        .chain(tree)
        .collect(),
        Verdict::Dead(_) => {
            tree.filter(|root| judge_identity(host, source, &root.identity, None).is_alive()).collect()
        }
        _ => Vec::new(),
    }
}

/// The cgroup that was made for a session in this run of the kernel.
fn group_of(host: &Host, session: &Session) -> Option<Group> {
    let owner = session.owner().ok()?;
    let name = session.cgroup().filter(|_| owner.boot == Some(host.place().boot))?;
    Group::open(&name)
}

/// The processes of this user that carry the mark of a session, or are among those in its cgroup.
fn members(host: &Host, source: &Source, id: &str, inside: &[Pid]) -> Result<Vec<(Identity, Via)>> {
    let wants = Wants { identity: true, uid: true, ..Wants::default() };
    let processes = snapshot::read_pids(source, &source.pids()?, wants)?;
    let own = |uid: Option<u32>| uid == Some(own_uid());
    // Whoever asks carries the mark as well when it is part of the session, and so do those that it runs below.
    let asking = line_of(&processes);
    let carries = |environ: &[u8]| MARKS.iter().any(|name| variable(environ, name) == Some(id.as_bytes()));
    // The environment is read after the identity: of another process that has the number by now, it condemns nobody
    // who lives.
    let found = processes.iter().filter(|process| {
        own(process.uid)
            && !process.kernel_thread
            && !process.is_zombie()
            && !asking.contains(&process.pid.get())
    });
    let why = |process: &Process| {
        if source.environ(process.pid).is_ok_and(|environ| carries(&environ)) {
            return Some(Via::Cookie);
        }
        inside.contains(&process.pid).then_some(Via::Cgroup)
    };
    Ok(found.filter_map(|process| Some((process.identity(host.place()), why(process)?))).collect())
}

/// The numbers of this process and its ancestors.
fn line_of(processes: &[Process]) -> HashSet<u32> {
    let parents: HashMap<u32, u32> =
        processes.iter().map(|process| (process.pid.get(), process.ppid)).collect();
    let mut line = HashSet::new();
    let mut next = Pid::this().get();
    while line.insert(next) {
        let Some(parent) = parents.get(&next) else { break };
        next = *parent;
    }
    line
}
