//! The supervisor as a service among services: one of a name, with signs of life.

use procherd::error::{Error, Kind, Result};
use procherd::host::{boot_ms, unix_ms};
use procherd::id::{Identity, Pid};
use procherd::registry::{self, Claim, Scope, Service};
use procherd::source::Wants;
use procherd::spawn::Starter;
use procherd::supervise::{Event, Happening};

use super::Args;

/// Its own entry.
pub(super) struct Itself {
    scope: Scope,
    name: String,
    identity: Identity,
}

/// Registers this process. The inner error says who has the name.
pub(super) fn enter(args: &Args, starter: &Starter<'_>) -> Result<std::result::Result<Itself, Error>> {
    let (host, source) = (starter.host, starter.source);
    registry::check_name(&args.own_name)?;
    let wants = Wants { identity: true, ..Wants::default() };
    let own = source.reader(wants).read(Pid::this())?;
    let own = own.ok_or_else(|| Error::new(Kind::System, "find this process", "/proc", "it is not there"))?;
    let identity = own.identity(host.place());
    let mut seen = Service::new(Scope::Global, &args.own_name);
    registry::observe(host, source, &mut seen, &identity, false)?;
    starter.registry.change(|document| {
        let scope = args.scope.choice().for_new(document)?;
        let mut service = match registry::claim(document, host, source, &scope, &args.own_name)? {
            // pspawn has registered it before it was this program.
            Claim::Held(holder, _) if holder.identity().is_ok_and(|id| id.same_as(&identity)) => *holder,
            Claim::Held(holder, verdict) => {
                let pid = holder.identity().map_or_else(|_| "?".to_owned(), |id| id.to_string());
                let why = format!(
                    "process {pid} keeps services under this name ({}); --as chooses another",
                    verdict.word()
                );
                return Ok(Err(Error::new(Kind::Gone, "keep services", &args.own_name, why)));
            }
            Claim::Free(_) => {
                let fields = seen.record().clone();
                let mut service = Service::from_fields(scope.clone(), &args.own_name, fields);
                service.set("type", scope.kind());
                service.set("script", &service.command_line());
                service.unset("cookie");
                service
            }
        };
        service.set_beat(host.place().boot, boot_ms(), unix_ms());
        // As the registries of other coordinators have it: how often a sign of life is to be expected.
        service.set("healthCheckInterval", &u64::try_from(args.interval.as_millis()).unwrap_or(u64::MAX));
        // It is no service of its own making: nobody is to start it anew from here.
        service.unset("command");
        document.insert(&service);
        Ok(Ok(Itself { scope, name: args.own_name.clone(), identity: identity.clone() }))
    })
}

impl Itself {
    /// Gives a sign of life.
    pub(super) fn beat(&self, starter: &Starter<'_>) -> Result<()> {
        starter.registry.change(|document| {
            if let Some(mut own) = document.get(&self.scope, &self.name)?
                && own.identity().is_ok_and(|id| id.same_as(&self.identity))
            {
                own.set_beat(starter.host.place().boot, boot_ms(), unix_ms());
                document.insert(&own);
            }
            Ok(())
        })
    }

    /// Something that has happened to it.
    pub(super) fn event(&self, what: Happening, why: String) -> Event {
        Event { why: Some(why), ..Event::now(what, &self.scope, &self.name, Some(self.identity.clone())) }
    }

    /// Takes the entry away.
    pub(super) fn leave(&self, starter: &Starter<'_>) -> Result<()> {
        starter.forget(&self.name, &self.identity).map(drop)
    }
}
