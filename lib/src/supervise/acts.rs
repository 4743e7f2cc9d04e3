//! What is done to services: they are ended and started.

use nix::sys::wait::{WaitPidFlag, waitpid};

use super::keeper::{SOON_MS, is_same};
use super::{Charge, Event, Happening, Keeper, Memory, Tended};
use crate::error::{Error, Kind, Result};
use crate::host::boot_ms;
use crate::registry::{Scope, Service, Status, Verdict};
use crate::sockets;
use crate::spawn::{Holder, Nobody, Refusal, Started};
use crate::text::Text;

impl Keeper<'_> {
    /// Ends all that is left of a service, proves that its ports are free, and starts it.
    pub(super) fn attempt(&self, charge: &Charge, service: &Service, memory: Memory) -> Result<Tended> {
        let restarts = service.restarts() + 1;
        if let Err(why) = self.clear(charge, service) {
            let event = refused(&service.scope, &charge.order.name, memory, why);
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
            bury(service);
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
    pub(super) fn start(
        &self,
        charge: &Charge,
        scope: &Scope,
        memory: Memory,
        restarts: u64,
    ) -> Result<Tended> {
        let boot_id = Some(self.starter.host.place().boot);
        let memory = Memory { boot_id, adopted: false, ..memory };
        let mut order = charge.order.clone();
        let mut note = |name: &'static str, value: serde_json::Value| {
            order.notes.retain(|(known, _)| *known != name);
            order.notes.push((name, value));
        };
        note(Memory::FIELD, serde_json::to_value(memory).unwrap_or_default());
        note("restarts", restarts.into());
        match self.starter.start(&order) {
            Ok(Started { service, identity, .. }) => Ok(Tended {
                events: vec![Event {
                    tries: memory.tries,
                    ..Event::now(Happening::Started, &service.scope, &service.name, Some(identity.clone()))
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
                let event = refused(scope, &charge.order.name, memory, why);
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

    /// Notes what makes a service healthy, where that is no longer what it was.
    pub fn describe(&self, charge: &Charge) -> Result<()> {
        self.starter.registry.change(|document| {
            let scope = charge.order.choice.for_new(document)?;
            if let Some(mut now) = document.get(&scope, &charge.order.name)? {
                now.unset("health");
                for (name, value) in &charge.order.notes {
                    now.set(name, value);
                }
                document.insert(&now);
            }
            Ok(())
        })
    }

    /// Ends a service with all that it has started, and forgets it. An error names what lives on; then it stays known.
    /// One that somebody else has started is let go, as it is.
    pub fn stop(&self, charge: &Charge) -> Result<Option<Event>> {
        let (scope, Some((service, verdict))) = self.find(charge)? else { return Ok(None) };
        let Some(memory) = Memory::of(&service) else { return Ok(None) };
        let name = &service.name;
        let event = |what| Event::now(what, &scope, name, service.identity().ok());
        if memory.adopted {
            self.let_go(&service)?;
            return Ok(Some(event(Happening::Left)));
        }
        if !matches!(verdict, Verdict::Inert(_)) {
            let summary = self.starter.end(&service, &self.options, &mut Nobody)?;
            let left = summary.survived + summary.not_permitted;
            if left > 0 || summary.timed_out {
                let why = format!("{left} of its processes live on");
                return Err(Error::new(Kind::System, "stop service", name, why));
            }
            bury(&service);
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
        Ok(Some(event(Happening::Stopped)))
    }

    /// Forgets that a service is kept.
    fn let_go(&self, service: &Service) -> Result<()> {
        self.starter.registry.change(|document| {
            if let Some(mut now) = document.get(&service.scope, &service.name)?
                && is_same(&now, service)
            {
                now.unset(Memory::FIELD);
                document.insert(&now);
            }
            Ok(())
        })
    }
}

/// Reaps the process of a service that has ended, where it was our child. To others this does nothing.
fn bury(service: &Service) {
    if let Ok(identity) = service.identity() {
        let _ = waitpid(nix::unistd::Pid::from_raw(identity.pid.raw()), Some(WaitPidFlag::WNOHANG));
    }
}

/// The event of a service that could not be started.
fn refused(scope: &Scope, name: &str, memory: Memory, why: String) -> Event {
    let event = Event::now(Happening::Refused, scope, name, None);
    Event { why: Some(why), tries: memory.tries, ..event }
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
