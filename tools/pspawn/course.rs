//! The course of a service that somebody waits for: until it is ready, or until it has ended.

use std::time::{Duration, Instant};

use procherd::error::{Error, Kind, Result};
use procherd::handle::Handle;
use procherd::registry::Service;
use procherd::signal::Signal;
use procherd::spawn::{Order, Output, Probe, Ready, Started, Starter, Waited, Waiter};
use procherd::status::End;
use procherd::terminate::Options;
use procherd::text::{short_duration, visible};

use super::say::Ended;
use crate::frame::{self, Exit, Outcome, Progress, Reporter};

/// Options for what happens after the start.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Course")]
pub(super) struct Course {
    /// Wait for its end, and end it with all that it has started when it takes longer: exit 124
    #[arg(long, value_name = "DURATION", value_parser = frame::duration)]
    #[arg(conflicts_with_all = ["foreground", "ensure", "ready", "ttl"])]
    pub(super) timeout: Option<Duration>,

    /// End it with all that it has started after this time, and forget it when it has ended
    #[arg(long, value_name = "DURATION", value_parser = frame::duration, conflicts_with = "foreground")]
    pub(super) ttl: Option<Duration>,

    /// Wait until it is ready: port:N, file:PATH, command:LINE or log:REGEX; repeatable, all must hold
    #[arg(long, value_name = "CONDITION", conflicts_with = "foreground")]
    pub(super) ready: Vec<Ready>,

    /// How long it has to get ready before it is ended: exit 124
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = frame::duration, requires = "ready")]
    pub(super) ready_timeout: Duration,
}

impl Course {
    /// Takes signals to itself where there is something to wait for.
    pub(super) fn waiter(&self) -> Result<Option<Waiter>> {
        let waits = self.timeout.is_some() || !self.ready.is_empty();
        waits.then(Waiter::new).transpose()
    }

    /// Refuses what can never come true.
    pub(super) fn check(&self, order: &Order) -> Result<()> {
        let wants_log = self.ready.iter().any(|ready| matches!(ready, Ready::Log(_)));
        if wants_log && !matches!(order.output, Output::Log(_)) {
            let why = "there is no log to look at (--log FILE)";
            return Err(Error::new(Kind::Invalid, "read options", "--ready log:", why));
        }
        Ok(())
    }
}

/// A service that is waited for.
pub(super) struct Watched<'a> {
    pub(super) starter: &'a Starter<'a>,
    pub(super) order: &'a Order,
    pub(super) waiter: &'a Waiter,
    pub(super) grace: Duration,
    pub(super) quiet: bool,
}

/// How waiting for a service to be ready ended.
pub(super) enum Readiness {
    Ready,
    Over(Waited),
}

/// The pauses between two looks: short at first.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

impl Watched<'_> {
    /// Waits for the end of a command, and gives its exit code.
    pub(super) fn to_completion(
        &self,
        started: &Started,
        limit: Duration,
        reporter: &mut Reporter,
    ) -> Outcome {
        let waited = self.waiter.wait(&started.handle, Instant::now() + limit)?;
        let end = self.over(started, waited)?;
        Ok(match (waited, end) {
            (Waited::Late, _) => {
                let limit = short_duration(limit);
                reporter.note(format_args!("{}: out of time after {limit}: ended", self.order.name));
                Exit::TimedOut
            }
            (Waited::Asked(signal), _) | (Waited::Ended, Some(End::Signalled(signal))) => asked(signal),
            (Waited::Ended, Some(End::Exited(code))) => Exit::Command(code),
            (Waited::Ended, None) => Exit::Command(125),
        })
    }

    /// Waits until all conditions hold.
    pub(super) fn until_ready(
        &self,
        probes: &mut [Probe],
        handle: &Handle,
        service: &Service,
        limit: Duration,
    ) -> Result<Readiness> {
        let until = Instant::now() + limit;
        let mut pause = PAUSES.0;
        let mut progress = Progress::new(!self.quiet);
        loop {
            let mut all = true;
            for probe in probes.iter_mut() {
                all &= probe.holds(self.starter.source, self.order, service)?;
            }
            // One that has ended is not ready, whatever it has left behind.
            if handle.has_ended() {
                return Ok(Readiness::Over(Waited::Ended));
            }
            if all {
                return Ok(Readiness::Ready);
            }
            if Instant::now() >= until {
                return Ok(Readiness::Over(Waited::Late));
            }
            let missing = missing(probes);
            let left = until.saturating_duration_since(Instant::now());
            let what = format!("waiting for {}", visible(self.order.name.as_bytes()));
            progress.draw(&what, missing.len(), Some(left), missing.into_iter());
            match self.waiter.wait(handle, until.min(Instant::now() + pause))? {
                Waited::Late => pause = (pause * 2).min(PAUSES.1),
                other => return Ok(Readiness::Over(other)),
            }
        }
    }

    /// Says what became of a service that did not get ready in time. What was started here is ended and forgotten.
    pub(super) fn not_ready(
        &self,
        args: &Course,
        probes: &mut [Probe],
        waited: Waited,
        started: Option<&Started>,
        reporter: &mut Reporter,
    ) -> Outcome {
        let end = match started {
            Some(started) => self.over(started, waited)?,
            None => None,
        };
        let see = match &self.order.output {
            Output::Log(log) => format!(" (see {})", log.path.display()),
            _ => String::new(),
        };
        let fail = |why: String| Error::new(Kind::System, "wait until ready", &self.order.name, why);
        match waited {
            Waited::Asked(signal) => Ok(asked(signal)),
            Waited::Ended => {
                let how = end.map_or_else(String::new, |end| format!(": {end}"));
                Err(fail(format!("it has ended{how}{see}")))
            }
            Waited::Late => {
                let left = if started.is_some() { "; ended" } else { "; it runs on" };
                let after = short_duration(args.ready_timeout);
                reporter.note(fail(format!(
                    "still not after {after}: {}{see}{left}",
                    missing(probes).join(", ")
                )));
                Ok(Exit::TimedOut)
            }
        }
    }

    /// Ends what is left of a service and forgets it. Gives how its process ended.
    fn over(&self, started: &Started, waited: Waited) -> Result<Option<End>> {
        let reaped = (waited == Waited::Ended).then(|| started.reap()).flatten();
        let options = Options { grace: self.grace, ..Options::default() };
        let mut seen = Ended::default();
        let summary = self.starter.end(&started.service, &options, &mut seen)?;
        seen.check("end service", &self.order.name, &summary)?;
        self.starter.withdraw(self.order, &started.identity)?;
        Ok(reaped)
    }
}

/// What does not hold yet, for people.
fn missing(probes: &[Probe]) -> Vec<String> {
    probes.iter().filter(|probe| !probe.is_done()).map(Probe::waits_for).collect()
}

/// The exit that a shell gives to a signal.
fn asked(signal: Signal) -> Exit {
    Exit::Command(u8::try_from(128 + signal.number()).unwrap_or(u8::MAX))
}
