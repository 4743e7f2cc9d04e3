//! Takes the steps: writes down what it is about to do, and does it.

use std::time::Duration;

use super::{Event, Happening, Memory, Policy, Step, step};
use crate::error::Result;
use crate::health::{Checks, Health, Judgement};
use crate::host::{boot_ms, unix_ms};
use crate::id::Identity;
use crate::registry::{self, Scope, Service, Status, Verdict};
use crate::spawn::{Order, Starter};
use crate::terminate::Options;

/// How soon to look at what was just started.
pub(super) const SOON_MS: u64 = 100;

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
        // What a supervisor starts has a memory from the start on.
        let memory = before.unwrap_or(Memory { adopted: true, ..Memory::default() });
        let ticks = identity.as_ref().and_then(|id| id.start_ticks).unwrap_or(0);
        let started = ticks.saturating_mul(1000) / self.starter.host.ticks_per_second().max(1);
        let age = Duration::from_millis(now.saturating_sub(started));
        let (next, memory) = step(&self.policy, memory, &service.status(), (health, age), place.boot, now);
        // Noticed when it was decided, not when that has been written down.
        let seen = Event::now(Happening::Unhealthy, &service.scope, &service.name, identity.clone());
        let event = |what, why: Option<String>, pause| Event {
            what,
            why,
            tries: memory.tries,
            pause,
            ..seen.clone()
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
}

/// Tells whether two readings of an entry are about the same process, or both about none.
pub(super) fn is_same(one: &Service, other: &Service) -> bool {
    match (one.identity(), other.identity()) {
        (Ok(one), Ok(other)) => one.same_as(&other),
        (Err(_), Err(_)) => true,
        _ => false,
    }
}
