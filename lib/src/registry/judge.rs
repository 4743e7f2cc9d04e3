//! Whether what the registry names still lives.

use std::os::unix::fs::MetadataExt as _;

use super::document::Document;
use super::service::Service;
use super::session::Session;
use crate::error::Result;
use crate::handle::{self, Handle, Look};
use crate::host::{Host, own_uid};
use crate::id::{Identity, Source as IdSource};
use crate::source::{Source, Wants};

/// What can be said about the process that an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lives: this is its identity. `source` is [`IdSource::Number`] where only the number and the time of the
    /// registration spoke for it.
    Alive(Identity),
    /// It has ended: that is proved.
    Dead(&'static str),
    /// It belongs to another machine or pid namespace: neither dead nor alive here.
    Foreign(&'static str),
    /// It could not be found out.
    Unknown(String),
    /// The entry names no process that a service of this user could be; nothing is ever done about it.
    Inert(String),
}

impl Verdict {
    /// The word for it in `alive` fields: `alive`, `dead`, `foreign` or `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Alive(_) => "alive",
            Self::Dead(_) => "dead",
            Self::Foreign(_) => "foreign",
            Self::Unknown(_) | Self::Inert(_) => "unknown",
        }
    }

    /// Why it is not simply alive.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Alive(_) => None,
            Self::Dead(why) | Self::Foreign(why) => Some(why),
            Self::Unknown(why) | Self::Inert(why) => Some(why),
        }
    }

    /// Tells whether it lives.
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Alive(_))
    }

    /// Tells whether it has ended for certain.
    pub fn is_dead(&self) -> bool {
        matches!(self, Self::Dead(_))
    }
}

/// Judges the process of a service. Nothing is held afterwards: whoever acts opens it again by its identity.
pub fn judge(host: &Host, source: &Source, service: &Service) -> Verdict {
    match service.identity() {
        Ok(_) if service.had_ended() => Verdict::Dead("it had ended when it was imported"),
        Ok(id) => judge_identity(host, source, &id, service.started_ms()),
        Err(error) => Verdict::Inert(error.why().to_owned()),
    }
}

/// The ports that living services were given.
pub fn given_ports(
    document: &Document,
    host: &Host,
    source: &Source,
) -> impl Iterator<Item = (Service, u16)> {
    let services = document.services().filter_map(|entry| entry.service().ok());
    let with_port = services.filter_map(|service| service.port().map(|port| (service, port)));
    with_port.filter(|(service, _)| judge(host, source, service).is_alive())
}

/// Judges the process that owns a session.
pub fn judge_session(host: &Host, source: &Source, session: &Session) -> Verdict {
    match session.owner() {
        Ok(id) => judge_identity(host, source, &id, session.started_ms()),
        Err(error) => Verdict::Inert(error.why().to_owned()),
    }
}

/// Judges a process by its identity; where only its number is known, by that and by the time of its registration.
///
/// A process cannot have been registered before it started. So the process that has the number now is the one that was
/// registered if it is older than the registration, as long as nobody has set the clock back. One that is younger is
/// called unknown, not dead: clocks are set.
pub fn judge_identity(host: &Host, source: &Source, id: &Identity, registered_ms: Option<u64>) -> Verdict {
    let weak = id.boot.is_none();
    match handle::open(host, source, id) {
        Look::Found(handle) if handle.has_ended() => Verdict::Dead("ended, and not yet reaped by its parent"),
        Look::Found(handle) if weak => judge_number(host, source, &handle, registered_ms),
        Look::Found(handle) => match owned_by_another(&handle) {
            Some(why) => Verdict::Inert(why),
            None => Verdict::Alive(id.clone()),
        },
        Look::Gone if weak => Verdict::Dead("no process has its number"),
        Look::Gone => Verdict::Dead("ended"),
        Look::Changed => Verdict::Dead("ended; its number belongs to another process now"),
        Look::Foreign(why) => Verdict::Foreign(why),
        Look::TooWeak(why) => Verdict::Unknown(why.to_owned()),
        Look::Failed(errno) => Verdict::Unknown(errno.desc().to_lowercase()),
    }
}

fn judge_number(host: &Host, source: &Source, handle: &Handle, registered_ms: Option<u64>) -> Verdict {
    let wants = Wants { identity: true, ..Wants::default() };
    let process = match source.reader(wants).read(handle.pid()) {
        Ok(Some(process)) if process.inode == handle.inode() || handle.inode().is_none() => process,
        Ok(_) => return Verdict::Dead("ended"),
        Err(error) => return Verdict::Unknown(error.why().to_owned()),
    };
    if let Some(why) = owned_by_another(handle) {
        return Verdict::Inert(why);
    }
    let Some(registered_ms) = registered_ms else {
        return Verdict::Unknown("only its number is known".to_owned());
    };
    let started_ms = host.view(std::iter::empty()).started_ms(&process);
    // The start is known to a clock tick, so the two may differ by that much.
    if started_ms > registered_ms.saturating_add(1000 / host.ticks_per_second().max(1)) {
        return Verdict::Unknown(
            "only its number is known, and the process that has it is younger".to_owned(),
        );
    }
    Verdict::Alive(Identity { source: IdSource::Number, ..process.identity(host.place()) })
}

/// The process is held while its owner is read, so the answer is about it, or about nobody any more.
fn owned_by_another(handle: &Handle) -> Option<String> {
    let uid = std::fs::metadata(format!("/proc/{}", handle.pid())).ok()?.uid();
    (uid != own_uid()).then(|| format!("the process belongs to another user ({uid})"))
}

/// Judges every service of a document, in order. An entry that cannot be read is given as the error.
pub fn judged<'a>(
    document: &'a Document,
    host: &'a Host,
    source: &'a Source,
) -> impl Iterator<Item = Result<(Service, Verdict)>> + 'a {
    document.services().map(move |entry| {
        let service = entry.service()?;
        let verdict = judge(host, source, &service);
        Ok((service, verdict))
    })
}
