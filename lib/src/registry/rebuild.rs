//! Making a registry again from the marks that living processes carry.

use std::collections::HashMap;

use super::observe::observe;
use super::scope::Scope;
use super::service::Service;
use crate::error::Result;
use crate::host::{Host, own_uid};
use crate::record::Process;
use crate::select::variable;
use crate::snapshot;
use crate::source::{Source, Wants};

/// The marks of one spawn, and the process that stands above all others that carry them.
struct Spawn {
    process: Process,
    environ: Vec<u8>,
}

/// Finds the services that living processes of this user carry the marks of (`PROCHERD_ID`, `PROCHERD_SERVICE`).
///
/// Children inherit the marks, so of all that carry the same one, the oldest without a parent among them is the
/// service. Its scope is its session (`PROCHERD_SESSION`), else its project (`PROCHERD_PROJECT`), else global.
pub fn rebuild(host: &Host, source: &Source) -> Result<Vec<Service>> {
    let wants = Wants { identity: true, uid: true, ..Wants::default() };
    let mut spawns: HashMap<Vec<u8>, Spawn> = HashMap::new();
    let mut marked: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut all = snapshot::read_pids(source, &source.pids()?, wants)?;
    all.retain(|process| process.uid == Some(own_uid()) && !process.kernel_thread && !process.is_zombie());
    all.sort_unstable_by_key(|process| (process.start_ticks, process.pid));
    for process in all {
        let Ok(environ) = source.environ(process.pid) else { continue };
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
        let text = |name| {
            let value = variable(&spawn.environ, name)?;
            std::str::from_utf8(value).ok().filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let Some(name) = text("PROCHERD_SERVICE") else { continue };
        let scope = match (text("PROCHERD_SESSION"), text("PROCHERD_PROJECT")) {
            (Some(session), _) => Scope::Session(session),
            (None, Some(project)) if project.starts_with('/') => Scope::Project(project),
            _ => Scope::Global,
        };
        let mut service = Service::new(scope, &name);
        // One that has ended meanwhile is left out.
        if observe(host, source, &mut service, &spawn.process.identity(host.place()), false).is_ok() {
            service.set("cookie", &*String::from_utf8_lossy(&id));
            service.set("script", &service.command_line());
            services.push((spawn.process.start_ticks, service));
        }
    }
    services.sort_unstable_by_key(|(start, service)| (*start, service.name.clone()));
    Ok(services.into_iter().map(|(_, service)| service).collect())
}
