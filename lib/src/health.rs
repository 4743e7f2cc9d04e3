//! How a service is: not only whether its process lives, but whether it does its work.
//!
//! [`judge`] first proves which process is meant, then makes the checks that are wanted ([`Checks`]), and says what each
//! one measured. A check that a process passes which is not of the service's crew (`crew`) is not passed: who asks
//! only whether *somebody* answers on a port takes a stranger for the service.
//!
//! # What decides
//!
//! | verdict     | when |
//! |-------------|------|
//! | `dead`      | its process has ended, and nothing that it started does its work |
//! | `foreign`   | it belongs to another machine or pid namespace; nothing is checked |
//! | `unknown`   | its process, or what a check asks for, could not be looked at |
//! | `unhealthy` | a check says that it does not do its work |
//! | `stale`     | its signs of life are old, or its files name nobody or somebody else |
//! | `healthy`   | it lives, and all checks are passed |
//!
//! A wrapper forks the server and ends. So where the process has ended, the checks are made all the same: the service is
//! healthy when all are passed and one of them shows a member of its crew at work, that is, accepting a connection or
//! named by a health file that is right. A port alone that a member still holds shows no work: the kernel answers for it.

mod checks;
mod command;
mod crew;
mod file;
mod port;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::host::{Host, boot_ms, unix_ms};
use crate::id::Pid;
use crate::registry::{Service, Verdict};
use crate::source::Source;
use crate::text::short_duration;
use crate::tree::Table;

pub use checks::Checks;

use crew::Crew;

/// How a service is, from good to bad; of two checks the worse one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It lives, and does its work as far as was asked.
    Healthy,
    /// It lives, and its signs of life are old or wrong.
    Stale,
    /// It could not be found out.
    Unknown,
    /// It lives, and does not do its work.
    Unhealthy,
    /// It belongs to another machine or pid namespace.
    Foreign,
    /// It has ended.
    Dead,
}

impl Health {
    /// The verdict that a word stands for.
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Healthy, Self::Stale, Self::Unknown, Self::Unhealthy, Self::Foreign, Self::Dead];
        all.into_iter().find(|health| health.word() == word)
    }

    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
            Self::Unhealthy => "unhealthy",
            Self::Foreign => "foreign",
            Self::Dead => "dead",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Which check: `identity`, `port`, `socket`, `file`, `pidfile`, `heartbeat` or `command`.
    pub check: &'static str,
    /// What was checked: a port, a path, a command.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on: String,
    /// What it says.
    pub health: Health,
    /// Why it is not simply healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The process that it led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<Pid>,
    /// How old the file or the last sign of life is, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// How long the check took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// Whether it shows a member of the crew at work.
    #[serde(skip)]
    works: bool,
    /// A file that names nobody of the crew, and may go.
    #[serde(skip)]
    stale_file: Option<PathBuf>,
}

impl Measured {
    fn new(check: &'static str, on: impl ToString) -> Self {
        Self {
            check,
            on: on.to_string(),
            health: Health::Healthy,
            why: None,
            pid: None,
            age_ms: None,
            elapsed_ms: None,
            works: false,
            stale_file: None,
        }
    }

    fn is(mut self, health: Health, why: impl Into<String>) -> Self {
        self.health = health;
        self.why = Some(why.into());
        self
    }
}

/// What is known of the health of a service.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict.
    pub health: Health,
    /// Its reason, where it is not simply healthy.
    pub why: Option<String>,
    /// What each check found, in the order in which they were made.
    pub measured: Vec<Measured>,
}

impl Judgement {
    /// The judgement of a service whose checks cannot be read.
    pub fn unknown(why: String) -> Self {
        Self { health: Health::Unknown, why: Some(why), measured: Vec::new() }
    }

    /// The health files and pid files that name nobody of the service, and may be removed.
    pub fn stale_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.measured.iter().filter_map(|measured| measured.stale_file.as_ref())
    }
}

/// What judging takes, shared by all services of one round.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The live process table.
    pub source: &'a Source,
    /// A look at all processes with their identities, not older than the round.
    pub table: &'a Table,
}

/// Judges a service of which nothing is checked but its process.
pub fn judge_process(service: &Service, verdict: &Verdict) -> Judgement {
    let identity = of_process(service, verdict);
    Judgement { health: identity.health, why: identity.why.clone(), measured: vec![identity] }
}

fn of_process(service: &Service, verdict: &Verdict) -> Measured {
    let mut identity = Measured::new("identity", "");
    identity.pid = service.identity().ok().map(|id| id.pid);
    match verdict {
        Verdict::Alive(_) => identity,
        Verdict::Dead(why) => identity.is(Health::Dead, *why),
        Verdict::Foreign(why) => identity.is(Health::Foreign, *why),
        Verdict::Unknown(why) | Verdict::Inert(why) => identity.is(Health::Unknown, why.clone()),
    }
}

/// Judges a service. `verdict` is what [`crate::registry::judge`] says of its process.
///
/// Each check takes no longer than the checks allow ([`Checks::within`]); they are made one after the other.
pub fn judge(setting: Setting<'_>, service: &Service, verdict: &Verdict, checks: &Checks) -> Judgement {
    let identity = of_process(service, verdict);
    let state = identity.health;
    let why = identity.why.clone();
    let mut measured = vec![identity];
    if matches!(state, Health::Foreign | Health::Unknown) {
        return Judgement { health: state, why, measured };
    }
    let crew = Crew::of(setting, service, verdict);
    measured.extend(make(&crew, service, checks));
    // Of equally bad findings the first one is told.
    let worst = measured.iter().skip(1).rev().max_by_key(|one| one.health);
    if state == Health::Dead {
        let at_work = measured.iter().find(|one| one.works && one.health == Health::Healthy);
        let why = why.unwrap_or_default();
        if let Some(member) = at_work.filter(|_| worst.is_none_or(|one| one.health == Health::Healthy)) {
            let member = member.pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            let why = format!("{why}; what it has started does its work{member}");
            return Judgement { health: Health::Healthy, why: Some(why), measured };
        }
        let left = crew.living();
        let mut why = why;
        if left > 0 {
            let _ = write!(why, "; of what it has started {left} live on");
        }
        let held = measured.iter().find(|one| matches!(one.check, "port" | "socket") && one.pid.is_some());
        if let Some((held, pid)) = held.and_then(|held| Some((held, held.pid?))) {
            let words = crew.words(pid);
            let _ = write!(why, "; {} still holds {} {}", words, held.check, held.on);
        }
        return Judgement { health: Health::Dead, why: Some(why), measured };
    }
    match worst.filter(|one| one.health != Health::Healthy) {
        Some(worst) => {
            let why = worst.why.clone().unwrap_or_default();
            let on = if worst.on.is_empty() { String::new() } else { format!(" {}", worst.on) };
            let why = format!("{}{on}: {why}", worst.check);
            Judgement { health: worst.health, why: Some(why), measured }
        }
        None => Judgement { health: Health::Healthy, why: None, measured },
    }
}

fn make(crew: &Crew<'_>, service: &Service, checks: &Checks) -> Vec<Measured> {
    let mut measured = Vec::new();
    measured.extend(checks.ports.iter().map(|port| port::tcp(crew, *port, checks)));
    measured.extend(checks.socket.iter().map(|path| port::unix(crew, path, checks)));
    measured.extend(checks.file.iter().map(|path| file::health(crew, path, checks)));
    measured.extend(checks.pidfile.iter().map(|path| file::pid(crew, path)));
    measured.extend(checks.max_age.map(|limit| heartbeat(crew, service, limit)));
    measured.extend(checks.command.iter().map(|line| command::run(crew, service, line, checks)));
    measured
}

/// Judges the age of the last sign of life, by the clock that no one can set where it was given in this boot.
fn heartbeat(crew: &Crew<'_>, service: &Service, limit: Duration) -> Measured {
    let mut measured = Measured::new("heartbeat", "");
    let silent = service.silent_ms(crew.setting.host.place().boot, boot_ms(), unix_ms());
    measured.age_ms = silent;
    match silent.map(Duration::from_millis) {
        None => measured.is(Health::Stale, "it has never given a sign of life"),
        Some(silent) if silent > limit => {
            let why = format!(
                "its last sign of life is {} old, more than {}",
                short_duration(silent),
                short_duration(limit)
            );
            measured.is(Health::Stale, why)
        }
        Some(_) => measured,
    }
}

#[cfg(test)]
mod tests;
