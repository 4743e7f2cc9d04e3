//! What somebody has to see to while a service runs, when its spawner has gone: how long it may live, and how large its log
//! may become. A guard outlasts the spawner.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::setsid;

use super::child::{null_input, null_output};
use super::{Log, Order, Output, Started, Starter};
use crate::error::{Error, Result};
use crate::handle::{self, Handle, Look};
use crate::host::Host;
use crate::id::Pid;
use crate::record::{Process, View};
use crate::registry::Service;
use crate::source::{Source, Wants};
use crate::sys::{self, Side};
use crate::terminate::{Missing, Observer, Options, Phase, Place, Report, Target};

/// The pause between two looks at a log that is written to.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

impl Starter<'_> {
    /// Leaves a guard behind, where the order gives it something to do.
    ///
    /// It ends the service when its time is over, and forgets it as soon as it has ended; it sets its log aside when that is
    /// large. The guard is a process of its own, in its own session, holds nothing of the caller, and ends with the service.
    /// When it is killed, the service lives on; its entry still says for how long it was meant to (`ttl_ms`).
    pub fn leave_guard(
        &self,
        order: &Order,
        started: &Started,
        ttl: Option<Duration>,
        options: &Options,
    ) -> Result<()> {
        let log = if let Output::Log(log) = &order.output { Some(log) } else { None };
        if ttl.is_none() && log.is_none() {
            return Ok(());
        }
        let until = ttl.map(|ttl| Instant::now() + ttl);
        match sys::fork().map_err(|errno| Error::system("leave guard of service", &order.name, errno))? {
            Side::Parent(guard) => {
                self.note_guard(started, guard);
                Ok(())
            }
            Side::Child => {
                // A guard has nobody to tell of a failure; the entry with its time stays.
                let _ = self.guard(order, started, until, log, options);
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

    fn guard(
        &self,
        order: &Order,
        started: &Started,
        until: Option<Instant>,
        log: Option<&Log>,
        options: &Options,
    ) -> Result<()> {
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
            wait(&handle, until, log.and_then(Watched::open));
        }
        if until.is_some() {
            // Also when it has ended by itself: what it has left behind goes with it.
            starter.end(&started.service, options, &mut Nobody)?;
            starter.withdraw(order, &started.identity)?;
        }
        Ok(())
    }
}

/// Waits for the end of a service or of its time, and looks after its log meanwhile.
fn wait(handle: &Handle, until: Option<Instant>, mut log: Option<Watched<'_>>) {
    let over = || until.is_some_and(|until| Instant::now() >= until);
    while !handle.has_ended() && !over() {
        // Whoever cannot set the log aside once cannot do so the next time.
        if log.as_ref().is_some_and(|watched| watched.look().is_err()) {
            log = None;
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if let (Some(watched), Some(pidfd)) = (&log, handle.pidfd()) {
            let timeout = left.map_or(PollTimeout::NONE, |left| {
                PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
            });
            let changes = PollFd::new(watched.changes.as_fd(), PollFlags::POLLIN);
            // An interrupted wait is a short one.
            let _ = poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN), changes], timeout);
            // One that is written to all the time is looked at now and then.
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            handle.ended_within(BETWEEN_LOOKS.min(left.unwrap_or(BETWEEN_LOOKS)));
        } else {
            let a_look = if log.is_some() { BETWEEN_LOOKS } else { Duration::from_hours(1) };
            handle.ended_within(left.unwrap_or(a_look).min(a_look));
        }
    }
}

/// A log that the kernel tells us about when it is written to.
struct Watched<'a> {
    log: &'a Log,
    file: File,
    changes: Inotify,
}

impl<'a> Watched<'a> {
    /// Watches a log. None where that cannot be done: then it is set aside with the next start.
    fn open(log: &'a Log) -> Option<Self> {
        let file = File::options().read(true).write(true).open(&log.path).ok()?;
        file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
        changes.add_watch(&log.path, AddWatchFlags::IN_MODIFY).ok()?;
        Some(Self { log, file, changes })
    }

    /// Sets the log aside if it is large.
    fn look(&self) -> std::io::Result<()> {
        while self.changes.read_events().is_ok_and(|events| !events.is_empty()) {}
        self.log.rotate(&self.file).map(drop)
    }
}

/// Is told, and tells nobody.
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn wants_command_lines(&self) -> bool {
        false
    }

    fn begin(&mut self, _: &View) {}
    fn missing(&mut self, _: &Missing) {}
    fn outcome(&mut self, _: &Report<'_>) {}
    fn replaced(&mut self, _: &Target, _: &Process, _: Place) {}
    fn progress(&mut self, _: Phase, _: usize, _: &mut dyn Iterator<Item = &Target>, _: Duration) {}
}
