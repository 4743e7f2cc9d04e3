//! `phealth`: judges how services are: by process, port, health file, sign of life and command.
//!
//! Reads names, or records (`-`); with neither, judges all registered services of a scope. Writes their records with the
//! verdict, its reason, and what each check measured. Exits 0 when all are healthy, 1 when one is not, 2 for misuse, 3
//! when something could not be judged, and 124 when `--wait` ran out of time.

mod care;
mod checks;
mod patient;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind, Result};
use procherd::health::{self, Health, Judgement, Setting};
use procherd::host::Host;
use procherd::record::Record;
use procherd::registry::{self, Registry, Verdict};
use procherd::snapshot;
use procherd::source::{Source, Wants};
use procherd::table::Shape;

use self::patient::{Patient, Patients};
use crate::frame::{
    self, Exit, Log, LogArgs, Outcome, Output, OutputArgs, RegistryArgs, Reporter, ScopeArgs, Tool, Totals,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "phealth", command: Args::command };

/// Judge how services are: healthy, stale, unhealthy, dead, foreign or unknown
///
/// A service is healthy when its own process lives and every check is passed: those that its entry in the registry notes,
/// and those of the command line. Whoever answers on its port, or stands in its health file, must belong to it.
#[derive(Parser)]
#[command(name = "phealth", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Names of services, or processes as PID or PID:INODE; - reads records; all registered services without any
    #[arg(value_name = "NAME|PID|-")]
    operands: Vec<String>,

    #[command(flatten)]
    checks: checks::CheckArgs,

    #[command(flatten)]
    course: Course,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    log: LogArgs,
}

/// What is done with the verdicts.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Course")]
struct Course {
    /// Judge again and again until all are healthy
    #[arg(long)]
    wait: bool,

    /// How long to wait: exit 124
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = frame::duration, requires = "wait")]
    timeout: Duration,

    /// Note in the registry what was found: a sign of life of those that are healthy, and the state of the others
    #[arg(long)]
    beat: bool,

    /// Remove stale health files and pid files: those that name nobody, the dead, or somebody else
    #[arg(long)]
    fix: bool,

    /// Write only the totals
    #[arg(long, conflicts_with = "unhealthy")]
    summary: bool,

    /// Write only what is not healthy
    #[arg(long)]
    unhealthy: bool,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    /// How long to wait while somebody else writes the registry
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = frame::duration)]
    lock_timeout: Duration,
}

const EXAMPLES: &str = "\
Examples:
  phealth                                 all services, each with its own checks
  phealth api --port 8001 --max-age 120s  one, and what it must do
  phealth --unhealthy | pkill-tree        end what does not do its work
  phealth --beat --quiet                  from cron: note who is well
  phealth api --wait --timeout 60s && npm test
                                          wait until it serves
  phealth --summary                       the totals";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

/// What all parts of the work share.
struct Ward {
    host: Host,
    source: Source,
    registry: Registry,
}

/// A service that was judged.
struct Judged {
    patient: Patient,
    verdict: Verdict,
    judgement: Judgement,
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let ward = Ward {
        host: Host::look()?,
        source: Source::live()?,
        registry: args.registry.open()?.lock_timeout(args.course.lock_timeout),
    };
    let typed = args.checks.read()?;
    let mut log = args.log.open(reporter)?;
    let patients = Patients::of(&args.operands, args.course.strict, reporter)?;
    let end = Instant::now() + args.course.timeout;
    let mut pause = Duration::from_millis(25);
    let (judged, in_time) = loop {
        let list = patients.list(&ward, &args.scope, &typed, args.course.wait, reporter)?;
        let judged = ward.judge(list)?;
        let well = judged.iter().all(|one| one.judgement.health == Health::Healthy);
        let complete = patients.are_all(&judged);
        if !args.course.wait || well && complete {
            break (judged, true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break (judged, false);
        }
        // A port or a file announces nothing: one has to ask again.
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(250));
    };
    if args.course.fix {
        care::fix(&ward, &judged, log.as_mut(), reporter)?;
    }
    if args.course.beat {
        care::note(&ward, &judged, log.as_mut())?;
    }
    write(&args, &ward, &judged)?;
    log.map_or(Ok(()), Log::end)?;
    if !in_time {
        say_late(&judged, args.course.timeout, reporter);
        return Ok(Exit::TimedOut);
    }
    for one in &judged {
        reporter.count(one.exit());
    }
    Ok(Exit::Done)
}

impl Judged {
    /// The record of the service with the verdict.
    fn record(&self) -> Result<Record> {
        let Self { patient, verdict, judgement } = self;
        let mut record = patient.record(verdict)?;
        record.set("health", judgement.health.word());
        match &judgement.why {
            Some(why) => record.set("why", why),
            None => drop(record.remove("why")),
        }
        record.set("measured", &judgement.measured);
        Ok(record)
    }

    fn exit(&self) -> Exit {
        match self.judgement.health {
            Health::Healthy => Exit::Done,
            Health::Stale | Health::Unhealthy | Health::Dead => Exit::No,
            Health::Foreign | Health::Unknown => Exit::Failed,
        }
    }
}

impl Ward {
    /// Judges all, several at once: most of a check is waiting. The order stays.
    fn judge(&self, list: Vec<Patient>) -> Result<Vec<Judged>> {
        let wants = Wants { identity: true, ..Wants::default() };
        let table = snapshot::read(&self.host, &self.source, wants)?;
        let setting = Setting { host: &self.host, source: &self.source, table: &table };
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(list.len())));
        let work = || {
            while let Some(patient) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                let verdict = registry::judge(&self.host, &self.source, &patient.service);
                let judgement = match &patient.checks {
                    Ok(checks) => health::judge(setting, &patient.service, &verdict, checks),
                    Err(why) => Judgement::unknown(why.clone()),
                };
                let at = patient.place;
                if let Ok(mut done) = done.lock() {
                    done.push((at, verdict, judgement));
                }
            }
        };
        let checked = list.iter().filter(|patient| patient.has_checks()).count();
        std::thread::scope(|scope| {
            for _ in 1..checked.min(16) {
                scope.spawn(work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_unstable_by_key(|(at, ..)| *at);
        let judged = list.into_iter().zip(done);
        Ok(judged.map(|(patient, (_, verdict, judgement))| Judged { patient, verdict, judgement }).collect())
    }
}

fn write(args: &Args, ward: &Ward, judged: &[Judged]) -> Result<()> {
    let mut output = Output::new(&args.output, Shape::Table);
    if args.course.summary {
        let mut totals = Totals::new(&ward.host);
        for Judged { patient, verdict, judgement } in judged {
            let is_healthy = judgement.health == Health::Healthy;
            totals.add(&patient.service, verdict, is_healthy, Some(judgement.health.word()));
        }
        output.record(|out| totals.write(out))?;
        return output.end();
    }
    for one in judged {
        if args.course.unhealthy && one.judgement.health == Health::Healthy {
            continue;
        }
        let record = one.record()?;
        output.record(|out| record.write_line(out))?;
        if output.reader_left() {
            break;
        }
    }
    output.end()
}

/// Says who was not healthy in time.
fn say_late(judged: &[Judged], timeout: Duration, reporter: &mut Reporter) {
    let ill = judged.iter().filter(|one| one.judgement.health != Health::Healthy);
    let names: Vec<String> = ill
        .map(|one| {
            let why = one.judgement.why.as_deref().unwrap_or_default();
            format!("{} is {} ({why})", one.patient.name(), one.judgement.health.word())
        })
        .collect();
    let on = format!("after {}", procherd::text::short_duration(timeout));
    let why = if names.is_empty() { "nothing is registered".to_owned() } else { names.join("; ") };
    reporter.late(&Error::new(Kind::Busy, "wait for health", on, why));
}
