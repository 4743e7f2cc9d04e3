//! What has happened to services.

use std::time::Duration;

use crate::host::unix_ms;
use crate::id::Identity;
use crate::registry::Scope;

/// What has happened to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It was started.
    Started,
    /// It ran already when it was first looked at.
    Adopted,
    /// It is not healthy, and will be started anew after a pause.
    Unhealthy,
    /// It is healthy again.
    Recovered,
    /// It could not be started, or what was left of it could not be ended.
    Refused,
    /// It is not tried any more.
    Failed,
    /// It was ended, because its supervisor ends, or is to keep it no more, or in another way.
    Stopped,
    /// It is kept no more, and lives on: somebody else has started it.
    Left,
    /// The supervisor itself has taken its services anew.
    Reloaded,
    /// It was to do so, and could not read them: it keeps what it kept.
    ReloadRefused,
}

impl Happening {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Adopted => "adopted",
            Self::Unhealthy => "unhealthy",
            Self::Recovered => "recovered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Left => "left",
            Self::Reloaded => "reloaded",
            Self::ReloadRefused => "reload-refused",
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// What has happened.
    pub what: Happening,
    /// When it was noticed: wall-clock milliseconds since the epoch.
    pub at_ms: u64,
    /// Whose the service is.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// Its process, where it has one.
    pub identity: Option<Identity>,
    /// Why.
    pub why: Option<String>,
    /// How often it was tried to start it since it was last well.
    pub tries: u32,
    /// The pause before the next try.
    pub pause: Option<Duration>,
}

impl Event {
    /// Something that happens now. The reason, the tries and the pause are left to be filled in.
    pub fn now(what: Happening, scope: &Scope, name: &str, identity: Option<Identity>) -> Self {
        let (scope, name) = (scope.clone(), name.to_owned());
        Self { what, at_ms: unix_ms(), scope, name, identity, why: None, tries: 0, pause: None }
    }
}
