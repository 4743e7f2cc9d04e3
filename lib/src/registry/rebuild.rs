//! Making a registry again from the marks that living processes carry.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::judge::judge_identity;
use super::observe::observe;
use super::scope::Scope;
use super::service::Service;
use super::session::{OWNER_MARK, Session, marked_owner};
use crate::error::Result;
use crate::host::{Host, own_uid};
use crate::id::Identity;
use crate::record::Process;
use crate::select::variable;
use crate::snapshot;
use crate::source::{Source, Wants};

/// The marks of one spawn, and the process that stands above all others that carry them.
struct Spawn {
    process: Process,
    environ: Vec<u8>,
}

/// What the marks of living processes say.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Services, in the order of their start.
    pub services: Vec<Service>,
    /// Sessions, by id. The owner of one may have ended, and its members live on.
    pub sessions: Vec<Session>,
}

/// Finds what living processes of this user carry the marks of.
///
/// A service has `PROCHERD_ID` and `PROCHERD_SERVICE`. Children inherit the marks, so of all that carry the same one, the
/// oldest without a parent among them is the service. Its scope is its session (`PROCHERD_SESSION`), else its project
/// (`PROCHERD_PROJECT`), else global. A session is known by members that carry the mark of its owner ([`OWNER_MARK`]);
/// of several owners, one that lives is taken.
pub fn rebuild(host: &Host, source: &Source) -> Result<Rebuilt> {
    let wants = Wants { identity: true, uid: true, ..Wants::default() };
    let mut spawns: HashMap<Vec<u8>, Spawn> = HashMap::new();
    let mut marked: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut sessions = Sessions::default();
    let mut all = snapshot::read_pids(source, &source.pids()?, wants)?;
    all.retain(|process| process.uid == Some(own_uid()) && !process.kernel_thread && !process.is_zombie());
    all.sort_unstable_by_key(|process| (process.start_ticks, process.pid));
    for process in all {
        let Ok(environ) = source.environ(process.pid) else { continue };
        sessions.add(host, source, &process, &environ);
        let (Some(id), Some(_)) = (variable(&environ, "PROCHERD_ID"), variable(&environ, "PROCHERD_SERVICE"))
        else {
            continue;
        };
        let id = id.to_vec();
        marked.insert(process.pid.get(), id.clone());
        let below = marked.get(&process.ppid) == Some(&id);
        if !id.is_empty() && !below {
            spawns.entry(id).or_insert(Spawn { process, environ });
        }
    }
    let mut services: Vec<(u64, Service)> = Vec::new();
    for (id, spawn) in spawns {
        let text = |name| text(&spawn.environ, name);
        let Some(name) = text("PROCHERD_SERVICE") else { continue };
        let scope = match (text("PROCHERD_SESSION"), text("PROCHERD_PROJECT")) {
            (Some(session), _) => Scope::Session(session.to_owned()),
            (None, Some(project)) if project.starts_with('/') => Scope::Project(project.to_owned()),
            _ => Scope::Global,
        };
        let mut service = Service::new(scope, name);
        // One that has ended meanwhile is left out.
        if observe(host, source, &mut service, &spawn.process.identity(host.place()), false).is_ok() {
            service.set("cookie", &*String::from_utf8_lossy(&id));
            service.set("script", &service.command_line());
            services.push((spawn.process.start_ticks, service));
        }
    }
    services.sort_unstable_by_key(|(start, service)| (*start, service.name.clone()));
    let services = services.into_iter().map(|(_, service)| service).collect();
    Ok(Rebuilt { services, sessions: sessions.rebuilt() })
}

/// A variable of an environment that is text and not empty.
fn text<'a>(environ: &'a [u8], name: &str) -> Option<&'a str> {
    std::str::from_utf8(variable(environ, name)?).ok().filter(|value| !value.is_empty())
}

/// The sessions that members say they belong to.
#[derive(Default)]
struct Sessions(HashMap<String, (Session, bool)>);

impl Sessions {
    /// Learns what a process says. The oldest member comes first: with it the session has begun, at the latest.
    fn add(&mut self, host: &Host, source: &Source, process: &Process, environ: &[u8]) {
        let (Some(id), Some(mark)) = (text(environ, "PROCHERD_SESSION"), text(environ, OWNER_MARK)) else {
            return;
        };
        let Some(owner) = marked_owner(mark, id, host.place()) else { return };
        let alive = |owner: &Identity| judge_identity(host, source, owner, None).is_alive();
        match self.0.entry(id.to_owned()) {
            Entry::Occupied(known) if known.get().1 => {}
            Entry::Occupied(known) if known.get().0.owner().is_ok_and(|id| id.same_as(&owner)) => {}
            entry => {
                let started_ms = host.view(std::iter::empty()).started_ms(process);
                let project = text(environ, "PROCHERD_PROJECT").filter(|path| path.starts_with('/'));
                entry.insert_entry((Session::new(id, &owner, started_ms, project), alive(&owner)));
            }
        }
    }

    fn rebuilt(self) -> Vec<Session> {
        let mut sessions: Vec<Session> = self.0.into_values().map(|(session, _)| session).collect();
        sessions.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        sessions
    }
}
