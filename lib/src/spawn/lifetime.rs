//! Services that may live for so long only: a guard outlasts the spawner and keeps the time.

use std::time::{Duration, Instant};

use nix::unistd::setsid;

use super::child::{null_input, null_output};
use super::{Order, Started, Starter};
use crate::error::{Error, Result};
use crate::handle::{self, Look};
use crate::host::Host;
use crate::id::Pid;
use crate::record::{Process, View};
use crate::registry::Service;
use crate::source::{Source, Wants};
use crate::sys::{self, Side};
use crate::terminate::{Missing, Observer, Options, Phase, Report, Target};

impl Starter<'_> {
    /// Leaves a guard behind that ends a service when its time is over, and forgets it as soon as it has ended.
    ///
    /// The guard is a process of its own, in its own session, and holds nothing of the caller. When it is killed, the
    /// service lives on; its entry still says for how long it was meant to (`ttl_ms`).
    pub fn leave_guard(
        &self,
        order: &Order,
        started: &Started,
        ttl: Duration,
        options: &Options,
    ) -> Result<()> {
        let until = Instant::now() + ttl;
        match sys::fork().map_err(|errno| Error::system("leave guard of service", &order.name, errno))? {
            Side::Parent(guard) => {
                self.note_guard(started, guard);
                Ok(())
            }
            Side::Child => {
                // A guard has nobody to tell of a failure; the entry with its time stays.
                let _ = self.guard(order, started, until, options);
                sys::leave(0)
            }
        }
    }

    /// Notes the guard with the entry, so that others leave the service to it. Not to be noted does no harm: the service
    /// may be asked to end twice.
    fn note_guard(&self, started: &Started, guard: Pid) {
        let wants = Wants { identity: true, ..Wants::default() };
        let Ok(Some(guard)) = self.source.reader(wants).read(guard) else { return };
        let Service { scope, name, .. } = &started.service;
        let _ = self.registry.change(|document| {
            let now = document.get(scope, name)?;
            let same = |service: &Service| service.identity().is_ok_and(|id| id.same_as(&started.identity));
            if let Some(mut service) = now.filter(same) {
                service.set_guard(&guard.identity(self.host.place()));
                document.insert(&service);
            }
            Ok(())
        });
    }

    fn guard(&self, order: &Order, started: &Started, until: Instant, options: &Options) -> Result<()> {
        let failed = |errno| Error::system("guard service", &order.name, errno);
        let _ = setsid();
        let _ = nix::sys::prctl::set_name(c"pspawn-guard");
        sys::reset_signals();
        sys::close_from(3);
        // All descriptors that came along are closed; what is needed is opened anew.
        null_input().and_then(|()| null_output()).map_err(failed)?;
        nix::unistd::chdir("/").map_err(failed)?;
        let (host, source) = (Host::look()?, Source::live()?);
        let starter = Starter::new(&host, &source, self.registry);
        if let Look::Found(handle) = handle::open(&host, &source, &started.identity) {
            while !handle.ended_within(until.saturating_duration_since(Instant::now())) {
                if Instant::now() >= until {
                    break;
                }
            }
        }
        // Also when it has ended by itself: what it has left behind goes with it.
        starter.end(&started.service, options, &mut Nobody)?;
        starter.withdraw(order, &started.identity)?;
        Ok(())
    }
}

/// Is told, and tells nobody.
struct Nobody;

impl Observer for Nobody {
    fn wants_command_lines(&self) -> bool {
        false
    }

    fn begin(&mut self, _: &View) {}
    fn missing(&mut self, _: &Missing) {}
    fn outcome(&mut self, _: &Report<'_>) {}
    fn replaced(&mut self, _: &Target, _: &Process) {}
    fn progress(&mut self, _: Phase, _: usize, _: &mut dyn Iterator<Item = &Target>, _: Duration) {}
}
