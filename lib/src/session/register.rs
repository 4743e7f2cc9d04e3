//! The session in the registry: others learn that it lives, and whose it is.
//!
//! A registry that cannot be used, or is held by somebody for long, is said and does not stop the session: it is only a
//! memory of it. Nor is it waited for the disk to keep what stands there ([`Registry::put`]): a power failure ends the
//! session, and an entry that it brings back is that of a dead one.

use std::time::Duration;

use super::{Isolation, Plan, Setting};
use crate::error::{Error, Kind, Result};
use crate::host::unix_ms;
use crate::id::{Identity, Pid};
use crate::registry::{
    Document, Put, Registry, Replaced, Scope, Service, Session, judge, judge_session, quoted,
};
use crate::source::Wants;

/// How long the lock is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the session stands in the registry.
pub(super) enum Entry<'a> {
    /// Not at all.
    None,
    /// In this one, with this process as its owner.
    Made(&'a Registry, Identity),
    /// A session of this id lives, and is another one.
    Taken(Error),
}

/// Registers this process as the owner of the session.
pub(super) fn enter<'a>(plan: &'a Plan, setting: Setting<'_>) -> Result<Put<Entry<'a>>> {
    let Some(registry) = &plan.registry else {
        return Ok(Put { result: Entry::None, replaced: Replaced::default() });
    };
    let wants = Wants { identity: true, ..Wants::default() };
    let gone = || Error::new(Kind::System, "find this process", "/proc", "it is not there");
    let own = setting.source.reader(wants).read(Pid::this())?.ok_or_else(gone)?;
    let owner = own.identity(setting.host.place());
    registry.clone().lock_timeout(PATIENCE).put(|document| {
        if let Ok(Some(other)) = document.session(&plan.id)
            && judge_session(setting.host, setting.source, &other).is_alive()
        {
            let owner = other.owner().map_or(String::new(), |id| format!(": process {} owns it", id.pid));
            let why = format_args!("a session of this id lives{owner}").to_string();
            return Ok(Entry::Taken(Error::new(Kind::Refused, "start session", quoted(&plan.id), why)));
        }
        let mut session = Session::new(&plan.id, &owner, unix_ms(), plan.project.as_deref());
        if let Some(group) = setting.group {
            session.set_cgroup(group.name());
        }
        document.insert_session(&session);
        Ok(Entry::Made(registry, owner.clone()))
    })
}

/// Takes the session out of the registry, and its services that have ended.
pub(super) fn leave(registry: &Registry, plan: &Plan, owner: &Identity, setting: Setting<'_>) -> Result<()> {
    let id = plan.id.as_str();
    let put = registry.clone().lock_timeout(PATIENCE).put(|document| {
        let ours = matches!(document.session(id), Ok(Some(session)) if session.owner().is_ok_and(|known| known.same_as(owner)));
        if ours {
            document.remove_session(id);
            remove_services(document, plan, setting);
        }
        Ok(())
    });
    put.map(|put| put.result)
}

fn remove_services(document: &mut Document, plan: &Plan, setting: Setting<'_>) {
    let id = plan.id.as_str();
    // What was registered inside the namespace of the session has ended with it.
    let place = setting.host.place();
    let was_inside = |service: &Service| {
        plan.isolate == Isolation::Pidns
            && service
                .identity()
                .is_ok_and(|id| id.boot == Some(place.boot) && id.pid_ns != Some(place.pid_ns))
    };
    document.remove_all(|entry| {
        let scope = matches!(&entry.scope, Scope::Session(known) if known == id);
        entry.service().is_ok_and(|service| {
            (scope || service.session().as_deref() == Some(id))
                && (was_inside(&service) || judge(setting.host, setting.source, &service).is_dead())
        })
    });
}
