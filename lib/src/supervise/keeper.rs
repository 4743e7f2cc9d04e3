//! Takes the steps: ends what is left of a service, starts it anew, and writes down what it is about to do.

use std::time::Duration;

use super::{Memory, Policy, Step, step};
use crate::error::{Error, Kind, Result};
use crate::health::{Checks, Health, Judgement};
use crate::host::{boot_ms, unix_ms};
use crate::id::Identity;
use crate::registry::{self, Scope, Service, Status, Verdict};
use crate::sockets;
use crate::spawn::{Holder, Nobody, Order, Refusal, Started, Starter};
use crate::terminate::Options;
use crate::text::Text;

/// How soon to look at what was just started.
const SOON_MS: u64 = 100;

/// A service that is to be kept running.
#[derive(Clone, Debug)]
pub struct Charge {
    /// How it is started.
    pub order: Order,
    /// What makes it healthy.
    pub checks: Checks,
    /// The names of those that must be healthy before it is started.
    pub after: Vec<String>,
}

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
    /// It was ended, because its supervisor ends.
    Stopped,
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
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// What has happened.
    pub what: Happening,
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

/// What came of looking after a service once.
#[derive(Debug, Default)]
pub struct Tended {
    /// What has happened.
    pub events: Vec<Event>,
    /// Its process, where it runs.
    pub identity: Option<Identity>,
    /// When it has to be looked after again, in milliseconds since boot.
    pub due_ms: Option<u64>,
    /// Whether it is healthy: those that wait for it may start.
    pub is_well: bool,
    /// Whether nobody tries any more.
    pub has_failed: bool,
    /// A sign of life to note, with what is to be remembered.
    pub beat: Option<(Service, Memory)>,
}

/// Looks after services.
pub struct Keeper<'a> {
    /// Starts them.
    pub starter: &'a Starter<'a>,
    /// When to try again.
    pub policy: Policy,
    /// How what is left of them is ended.
    pub options: Options,
}

impl Keeper<'_> {
    /// Finds the entry of a service, and judges its process.
    pub fn find(&self, charge: &Charge) -> Result<(Scope, Option<(Service, Verdict)>)> {
        let document = self.starter.registry.read()?;
        let scope = charge.order.choice.for_new(&document)?;
        let found = document.get(&scope, &charge.order.name)?;
        let judged = found.map(|service| {
            let verdict = registry::judge(self.starter.host, self.starter.source, &service);
            (service, verdict)
        });
        Ok((scope, judged))
    }

    /// Takes the next step for a service that has no entry: it is started at once.
    pub fn begin(&self, charge: &Charge, scope: &Scope) -> Result<Tended> {
        self.start(charge, scope, Memory::default(), 0)
    }

    /// Takes the next step for a service that was judged.
    pub fn tend(&self, charge: &Charge, service: &Service, judgement: &Judgement) -> Result<Tended> {
        let place = self.starter.host.place();
        let before = Memory::of(service);
        let identity = service.identity().ok();
        // An entry without a process is one that could not be started.
        let health = if identity.is_none() && before.is_some() { Health::Dead } else { judgement.health };
        let now = boot_ms();
        let memory = before.unwrap_or_default();
        let ticks = identity.as_ref().and_then(|id| id.start_ticks).unwrap_or(0);
        let started = ticks.saturating_mul(1000) / self.starter.host.ticks_per_second().max(1);
        let age = Duration::from_millis(now.saturating_sub(started));
        let (next, memory) = step(&self.policy, memory, &service.status(), (health, age), place.boot, now);
        let event = |what, why: Option<String>, pause| Event {
            what,
            scope: service.scope.clone(),
            name: service.name.clone(),
            identity: identity.clone(),
            why,
            tries: memory.tries,
            pause,
        };
        let mut tended = Tended {
            identity: identity.clone().filter(|_| !matches!(health, Health::Dead | Health::Foreign)),
            due_ms: memory.next_ms,
            is_well: health == Health::Healthy,
            has_failed: service.status() == Status::Failed,
            ..Tended::default()
        };
        match next {
            Step::Rest => {
                if matches!(health, Health::Stale | Health::Unhealthy) && !tended.has_failed {
                    // It is getting ready: soon it may be.
                    tended.due_ms = tended.due_ms.or(Some(now + SOON_MS));
                }
            }
            Step::Beat => {
                if matches!(service.status(), Status::Unhealthy) {
                    tended.events.push(event(Happening::Recovered, None, None));
                }
                tended.beat = Some((service.clone(), memory));
            }
            Step::Plan(pause) => {
                if self.note(service, before, Some(&Status::Unhealthy), memory)? {
                    tended.events.push(event(Happening::Unhealthy, judgement.why.clone(), Some(pause)));
                }
            }
            Step::GiveUp => {
                if self.note(service, before, Some(&Status::Failed), memory)? {
                    tended.has_failed = true;
                    tended.events.push(event(Happening::Failed, judgement.why.clone(), None));
                }
            }
            Step::Attempt => {
                if self.note(service, before, None, memory)? {
                    return self.attempt(charge, service, memory);
                }
            }
        }
        Ok(tended)
    }

    /// Writes down what is about to be done. False: somebody else was faster, and does it.
    fn note(
        &self,
        seen: &Service,
        before: Option<Memory>,
        status: Option<&Status>,
        memory: Memory,
    ) -> Result<bool> {
        self.starter.registry.change(|document| {
            let Some(mut now) = document.get(&seen.scope, &seen.name)? else { return Ok(false) };
            if !is_same(&now, seen) || Memory::of(&now) != before || now.status() != seen.status() {
                return Ok(false);
            }
            if let Some(status) = status {
                now.set_status(status);
            }
            now.set(Memory::FIELD, &memory);
            document.insert(&now);
            Ok(true)
        })
    }

    /// Notes signs of life, all in one transaction.
    pub fn beat(&self, beats: &[(Service, Memory)]) -> Result<()> {
        if beats.is_empty() {
            return Ok(());
        }
        let boot = self.starter.host.place().boot;
        self.starter.registry.change(|document| {
            for (seen, memory) in beats {
                let Some(mut now) = document.get(&seen.scope, &seen.name)? else { continue };
                if is_same(&now, seen) {
                    now.set_beat(boot, boot_ms(), unix_ms());
                    now.set(Memory::FIELD, memory);
                    now.set_status(&Status::Running);
                    document.insert(&now);
                }
            }
            Ok(())
        })
    }

    /// Ends all that is left of a service, proves that its ports are free, and starts it.
    fn attempt(&self, charge: &Charge, service: &Service, memory: Memory) -> Result<Tended> {
        let restarts = service.restarts() + 1;
        if let Err(why) = self.clear(charge, service) {
            let event = refused(service.scope.clone(), &charge.order.name, memory, why);
            return Ok(Tended { events: vec![event], ..Tended::default() });
        }
        self.start(charge, &service.scope, memory, restarts)
    }

    fn clear(&self, charge: &Charge, service: &Service) -> std::result::Result<(), String> {
        if service.identity().is_ok() {
            let summary = self.starter.end(service, &self.options, &mut Nobody);
            let summary = summary.map_err(|error| error.to_string())?;
            let left = summary.survived + summary.not_permitted;
            if left > 0 || summary.timed_out {
                return Err(format!("{left} of its old processes live on"));
            }
        }
        for port in &charge.checks.ports {
            let taken = sockets::listeners(*port).map_err(|error| error.to_string())?;
            if !taken.is_empty() {
                return Err(format!("somebody else listens on port {port}"));
            }
        }
        Ok(())
    }

    /// Starts a service, with what is remembered of it.
    fn start(&self, charge: &Charge, scope: &Scope, memory: Memory, restarts: u64) -> Result<Tended> {
        let boot_id = Some(self.starter.host.place().boot);
        let memory = Memory { boot_id, ..memory };
        let mut order = charge.order.clone();
        let mut note = |name: &'static str, value: serde_json::Value| {
            order.notes.retain(|(known, _)| *known != name);
            order.notes.push((name, value));
        };
        note(Memory::FIELD, serde_json::to_value(memory).unwrap_or_default());
        note("restarts", restarts.into());
        match self.starter.start(&order) {
            Ok(Started { service, identity, unkept, .. }) => Ok(Tended {
                events: vec![Event {
                    what: Happening::Started,
                    scope: service.scope.clone(),
                    name: service.name.clone(),
                    identity: Some(identity.clone()),
                    why: unkept.map(|error| error.to_string()),
                    tries: memory.tries,
                    pause: None,
                }],
                identity: Some(identity),
                due_ms: Some(boot_ms() + SOON_MS),
                ..Tended::default()
            }),
            // Somebody else has started it.
            Err(Refusal::Taken(holder)) if holder.verdict.is_alive() => {
                Ok(Tended { identity: holder.service.identity().ok(), ..Tended::default() })
            }
            Err(refusal) => {
                let why = words(refusal);
                self.remember(charge, scope, memory)?;
                let event = refused(scope.clone(), &charge.order.name, memory, why);
                Ok(Tended { events: vec![event], due_ms: Some(boot_ms()), ..Tended::default() })
            }
        }
    }

    /// Keeps what is known of a service that could not be started: an entry that names no process.
    fn remember(&self, charge: &Charge, scope: &Scope, memory: Memory) -> Result<()> {
        let words: Vec<Text> =
            charge.order.command.iter().map(|word| Text::from(word.as_encoded_bytes())).collect();
        self.starter.registry.change(|document| {
            if document.get(scope, &charge.order.name)?.is_some() {
                return Ok(());
            }
            let mut service = Service::new(scope.clone(), &charge.order.name);
            service.set("command", &words);
            service.set_status(&Status::Unhealthy);
            service.set(Memory::FIELD, &memory);
            document.insert(&service);
            Ok(())
        })
    }

    /// Ends a service with all that it has started, and forgets it. An error names what lives on; then it stays known.
    pub fn stop(&self, charge: &Charge) -> Result<Option<Event>> {
        let (scope, Some((service, verdict))) = self.find(charge)? else { return Ok(None) };
        if Memory::of(&service).is_none() {
            return Ok(None);
        }
        let name = &service.name;
        if !matches!(verdict, Verdict::Inert(_)) {
            let summary = self.starter.end(&service, &self.options, &mut Nobody)?;
            let left = summary.survived + summary.not_permitted;
            if left > 0 || summary.timed_out {
                let why = format!("{left} of its processes live on");
                return Err(Error::new(Kind::System, "stop service", name, why));
            }
        }
        if let Ok(identity) = service.identity() {
            self.starter.withdraw(&charge.order, &identity)?;
        }
        self.starter.registry.change(|document| {
            let now = document.get(&scope, name)?;
            // Somebody else may have started it meanwhile.
            if now.is_some_and(|now| now.identity().is_err()) {
                document.remove(&scope, name)?;
            }
            Ok(())
        })?;
        let identity = service.identity().ok();
        let what = Happening::Stopped;
        Ok(Some(Event { what, scope, name: name.clone(), identity, why: None, tries: 0, pause: None }))
    }
}

/// The event of a service that could not be started.
fn refused(scope: Scope, name: &str, memory: Memory, why: String) -> Event {
    let what = Happening::Refused;
    Event {
        what,
        scope,
        name: name.to_owned(),
        identity: None,
        why: Some(why),
        tries: memory.tries,
        pause: None,
    }
}

/// Tells whether two readings of an entry are about the same process, or both about none.
fn is_same(one: &Service, other: &Service) -> bool {
    match (one.identity(), other.identity()) {
        (Ok(one), Ok(other)) => one.same_as(&other),
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

/// Why nothing was started.
fn words(refusal: Refusal) -> String {
    let holder = |holder: &Holder, why: &str| {
        format!("{why}: {}", holder.verdict.why().unwrap_or(holder.verdict.word()))
    };
    match refusal {
        Refusal::Taken(other) => holder(&other, "its name is taken"),
        Refusal::Different(other) => holder(&other, "its name has another command line"),
        Refusal::Command(cannot) => cannot.error.to_string(),
        Refusal::Port(error) | Refusal::Failed(error) => error.to_string(),
    }
}
