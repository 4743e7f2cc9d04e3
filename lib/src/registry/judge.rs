//! Whether what the registry names still lives; and how an entry becomes a record.

use std::os::unix::fs::MetadataExt as _;

use serde_json::value::RawValue;

use super::document::Document;
use super::scope::Scope;
use super::service::Service;
use super::session::Session;
use crate::error::Result;
use crate::handle::{self, Handle, Look};
use crate::host::{Host, own_uid};
use crate::id::{Identity, Source as IdSource};
use crate::record::{Line, Record};
use crate::source::{Source, Wants};
use crate::text;

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
        Ok(id) => judge_identity(host, source, &id, service.started_ms()),
        Err(error) => Verdict::Inert(error.why().to_owned()),
    }
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

/// A service that lives, for finders and enders: which processes are its own, and whose it is.
#[derive(Clone, Debug)]
pub struct Living {
    /// The process.
    pub identity: Identity,
    /// Whose the service is.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// The session that it belongs to, by scope or beside another scope.
    pub session: Option<String>,
    /// The mark in the environment of what it started (`PROCHERD_ID`).
    pub cookie: Option<String>,
    /// Its parent when it was registered.
    pub parent: Option<Identity>,
    /// The processes below it when it was last looked at.
    pub tree: Vec<Identity>,
}

/// A service or session that has ended, or its owner has: what still carries its marks is left over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The process that has ended, as far as it is known.
    pub identity: Option<Identity>,
    /// Whose the service was; the session itself for a session.
    pub scope: Scope,
    /// The name of the service, none for a session.
    pub name: Option<String>,
    /// The mark in the environment of what it started (`PROCHERD_ID`).
    pub cookie: Option<String>,
    /// The processes below it when it was last looked at.
    pub tree: Vec<Identity>,
}

/// What the registry says about the processes of this machine, each judged now.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Services that live.
    pub living: Vec<Living>,
    /// Services that have ended and are still registered.
    pub ended: Vec<Ended>,
    /// Sessions whose owner lives: id and owner.
    pub sessions: Vec<(String, Identity)>,
    /// Sessions whose owner has ended.
    pub ended_sessions: Vec<Ended>,
    /// What could not be used, and why: `(name, why)`. Foreign, unknown and inert entries, and those that cannot be read.
    pub others: Vec<(String, String)>,
}

impl Known {
    /// Judges every entry of a document. Cost: some ten microseconds an entry.
    pub fn of(document: &Document, host: &Host, source: &Source) -> Self {
        let mut known = Self::default();
        for entry in document.services() {
            match entry.service() {
                Ok(service) => known.add_service(&service, judge(host, source, &service)),
                Err(error) => known.others.push((entry.name.to_owned(), error.to_string())),
            }
        }
        for session in document.sessions() {
            match session {
                Ok(session) => known.add_session(&session, judge_session(host, source, &session)),
                Err(error) => known.others.push(("session".to_owned(), error.to_string())),
            }
        }
        known
    }

    fn add_service(&mut self, service: &Service, verdict: Verdict) {
        match verdict {
            Verdict::Alive(identity) => self.living.push(Living {
                identity,
                scope: service.scope.clone(),
                name: service.name.clone(),
                session: service.session(),
                cookie: service.cookie(),
                parent: service.parent(),
                tree: service.tree(),
            }),
            Verdict::Dead(_) => self.ended.push(Ended {
                identity: service.identity().ok(),
                scope: service.scope.clone(),
                name: Some(service.name.clone()),
                cookie: service.cookie(),
                tree: service.tree(),
            }),
            other => {
                self.others.push((service.name.clone(), other.why().unwrap_or_default().to_owned()));
            }
        }
    }

    fn add_session(&mut self, session: &Session, verdict: Verdict) {
        match verdict {
            Verdict::Alive(identity) => self.sessions.push((session.id.clone(), identity)),
            Verdict::Dead(_) => self.ended_sessions.push(Ended {
                identity: session.owner().ok(),
                scope: Scope::Session(session.id.clone()),
                name: None,
                cookie: None,
                tree: Vec::new(),
            }),
            other => self.others.push((session.id.clone(), other.why().unwrap_or_default().to_owned())),
        }
    }

    /// Finds the living service that started what carries a mark (`PROCHERD_ID`).
    pub fn service_of_cookie(&self, cookie: &str) -> Option<&Living> {
        self.living.iter().find(|living| living.cookie.as_deref() == Some(cookie))
    }

    /// Finds the living service that a process is.
    pub fn service_of(&self, id: &Identity) -> Option<&Living> {
        self.living.iter().find(|living| living.identity.same_as(id))
    }

    /// Tells whether a session is registered and its owner lives.
    pub fn session_lives(&self, id: &str) -> bool {
        self.sessions.iter().any(|(known, _)| known == id)
    }

    /// Tells whether a session is registered and its owner has ended.
    pub fn session_has_ended(&self, id: &str) -> bool {
        self.ended_sessions.iter().any(|ended| matches!(&ended.scope, Scope::Session(known) if known == id))
    }
}

/// Fields of an entry that have another name in a record, or are told by other fields.
const TRANSLATED: [&str; 19] = [
    "pid",
    "script",
    "type",
    "startTime",
    "lastHealthCheck",
    "status",
    "metadata",
    "projectPath",
    "sessionId",
    "identity",
    "command",
    "cwd",
    "pgid",
    "sid",
    "parent",
    "tree",
    "cookie",
    "restarts",
    "beat",
];

/// Writes a service as a record that carries the identity of its process, so that it can be piped on.
///
/// An inert entry has no `pid` in its record: nobody can act on it.
pub fn write_service(service: &Service, verdict: &Verdict, out: &mut Vec<u8>) {
    let (mut line, entry) = (Line::new(out, "service"), service.record());
    let identity = match verdict {
        Verdict::Alive(identity) => Some(identity.clone()),
        Verdict::Inert(_) => None,
        _ => service.identity().ok(),
    };
    if let Some(id) = &identity {
        write_identity(&mut line, id);
    }
    line.field("service", &service.name).field("scope", service.scope.word());
    line.known("project", service.project().as_ref()).known("session", service.session().as_ref());
    line.known("script", service.script().as_ref()).field("status", service.status().word());
    for name in ["command", "cwd", "pgid", "sid", "parent", "tree", "metadata", "cookie", "restarts"] {
        raw(&mut line, entry, name);
    }
    if let Some(ms) = service.started_ms() {
        line.field("started_at", &text::rfc3339(ms).to_string());
    }
    line.known("last_health_check_ms", service.last_health_check_ms().as_ref());
    line.field("alive", verdict.word()).known("why", verdict.why());
    for (name, value) in entry.fields() {
        if !TRANSLATED.contains(&name) && !RESERVED.contains(&name) {
            line.raw(name, value);
        }
    }
    line.end();
}

/// Writes a session as a record that carries the identity of its owner.
pub fn write_session(session: &Session, verdict: &Verdict, services: usize, out: &mut Vec<u8>) {
    let mut line = Line::new(out, "session");
    let identity = match verdict {
        Verdict::Alive(identity) => Some(identity.clone()),
        Verdict::Inert(_) => None,
        _ => session.owner().ok(),
    };
    if let Some(id) = &identity {
        write_identity(&mut line, id);
    }
    line.field("session", &session.id).known("project", session.project().as_ref());
    if let Some(ms) = session.started_ms() {
        line.field("started_at", &text::rfc3339(ms).to_string());
    }
    line.field("services", &services).field("alive", verdict.word()).known("why", verdict.why());
    for (name, value) in session.record().fields() {
        if !TRANSLATED.contains(&name) && !RESERVED.contains(&name) {
            line.raw(name, value);
        }
    }
    line.end();
}

/// Names of record fields that an unknown field of an entry must not repeat.
const RESERVED: [&str; 16] = [
    "v",
    "pidfd_inode",
    "start_ticks",
    "boot_id",
    "pid_ns",
    "host",
    "machine",
    "identified_by",
    "service",
    "scope",
    "project",
    "session",
    "started_at",
    "last_health_check_ms",
    "alive",
    "why",
];

fn raw(line: &mut Line<'_>, entry: &Record, name: &str) {
    let empty = |value: &RawValue| matches!(value.get(), "null" | "{}");
    if let Some(value) = entry.get(name).filter(|value| !empty(value)) {
        line.raw(name, value);
    }
}

fn write_identity(line: &mut Line<'_>, id: &Identity) {
    line.field("pid", &id.pid)
        .known("pidfd_inode", id.inode.as_ref())
        .known("start_ticks", id.start_ticks.as_ref())
        .known("boot_id", id.boot.as_ref())
        .known("pid_ns", id.pid_ns.as_ref())
        .known("host", id.host.as_deref())
        .known("machine", id.machine.as_ref());
    if id.source == IdSource::Number {
        line.field("identified_by", "pid");
    }
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
