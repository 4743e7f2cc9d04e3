//! What the registry says about the processes of this machine: for those who find and end processes.

use std::collections::HashMap;

use super::document::Document;
use super::judge::{Verdict, judge, judge_identity, judge_session};
use super::scope::Scope;
use super::service::Service;
use super::session::Session;
use crate::evidence::{Registered, Registration};
use crate::host::Host;
use crate::id::{Cgroup, Identity};
use crate::source::Source;

/// A service that lives, for finders and enders: which processes are its own, and whose it is.
#[derive(Clone, Debug)]
pub struct Living {
    /// The process.
    pub identity: Identity,
    /// Whose the service is.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// The project that it belongs to, by scope or beside another scope.
    pub project: Option<String>,
    /// The session that it belongs to, by scope or beside another scope.
    pub session: Option<String>,
    /// Whether the process that must not be outlived (field `owner`) has ended for certain.
    pub owner_dead: bool,
    /// The mark in the environment of what it started (`PROCHERD_ID`).
    pub cookie: Option<String>,
    /// Its parent when it was registered.
    pub parent: Option<Identity>,
    /// The processes below it when it was last looked at.
    pub tree: Vec<Identity>,
    /// The cgroup that was made for it.
    pub cgroup: Option<Cgroup>,
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
                Ok(service) => {
                    let owner = service.owner();
                    let owner_dead =
                        owner.is_some_and(|owner| judge_identity(host, source, &owner, None).is_dead());
                    known.add_service(&service, judge(host, source, &service), owner_dead);
                }
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

    fn add_service(&mut self, service: &Service, verdict: Verdict, owner_dead: bool) {
        match verdict {
            Verdict::Alive(identity) => self.living.push(Living {
                identity,
                scope: service.scope.clone(),
                name: service.name.clone(),
                project: service.project(),
                session: service.session(),
                owner_dead,
                cookie: service.cookie(),
                parent: service.parent(),
                tree: service.tree(),
                cgroup: service.cgroup(),
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

    /// The same in the form that finders use.
    ///
    /// The owner of a service is its session, or the process that an `owner` field names. Its parent is none: start
    /// scripts return, and the services that they have started are healthy.
    pub fn registered(&self) -> Registered {
        let mut sessions: HashMap<String, bool> =
            self.sessions.iter().map(|(id, _)| (id.clone(), true)).collect();
        for ended in &self.ended_sessions {
            if let Scope::Session(id) = &ended.scope {
                sessions.insert(id.clone(), false);
            }
        }
        let entries = self.living.iter().map(|living| Registration {
            identity: living.identity.clone(),
            service: Some(living.name.clone()),
            scope: living.scope.word(),
            cgroup: living.cgroup.clone(),
            project: living.project.clone(),
            session: living.session.clone(),
            owner_dead: match &living.session {
                Some(id) if sessions.get(id) == Some(&false) => Some("session"),
                _ if living.owner_dead => Some("spawner"),
                _ => None,
            },
        });
        let owners = self.sessions.iter().map(|(id, owner)| Registration {
            identity: owner.clone(),
            cgroup: None,
            service: None,
            scope: "session",
            project: None,
            session: Some(id.clone()),
            owner_dead: None,
        });
        Registered::new(entries.chain(owners).collect(), sessions)
    }
}
