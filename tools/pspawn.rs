//! `pspawn`: starts a service registered, in its own session, at most once.
//!
//! Reads a command. Writes the service record. Exits 0 when it was started (or, with `--ensure`, runs already), 1 when
//! another one runs, a file that it needs is missing or its port is taken, 2 when the request was refused, 3 when
//! something failed, 124 when time ran out, 126 when the command cannot be run and 127 when there is none. With
//! `--foreground` or `--timeout`, the command's own code, and 125 where these say 1 to 3.
//!
//! The command line is one of clap, as that of all tools: the command stands behind two dashes, so no option of it can
//! be taken for one of ours, and help, manual and completions come from one definition.

mod course;
mod order;
mod port;
mod say;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind, Result};
use procherd::handle::{self, Look};
use procherd::host::Host;
use procherd::registry::{Document, Service, Verdict, write_service};
use procherd::source::Source;
use procherd::spawn::{Free, Holder, Order, Probe, Refusal, Started, Starter, Waited, Waiter};
use procherd::table::Shape;
use procherd::terminate::Options;

use self::course::{Readiness, Watched};
use self::port::Chosen;
use crate::frame::{self, Exit, Outcome, Output, OutputArgs, RegistryArgs, Reporter, ScopeArgs, Tool};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pspawn", command: Args::command };

/// Start a service registered, in its own session, at most once
///
/// The name is claimed under the registry's lock before the command runs: of many starters at once, one wins. The
/// command runs in a session of its own, with its standard input at /dev/null, all signals reset and no descriptor of
/// the caller. There is no moment at which it runs unregistered.
#[derive(Parser)]
#[command(name = "pspawn", version, max_term_width = 100, after_long_help = EXAMPLES)]
#[command(override_usage = "pspawn NAME [OPTIONS] -- COMMAND [ARGUMENT]...")]
struct Args {
    /// The name of the service, unique within its scope
    #[arg(value_name = "NAME")]
    name: String,

    /// The command, its arguments and nothing else, after two dashes
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// Refuse to start when it runs already: this is so without being asked for
    #[arg(long, conflicts_with_all = ["ensure", "replace"])]
    singleton: bool,

    /// Be content when it runs already
    #[arg(long, conflicts_with = "replace")]
    ensure: bool,

    /// End what runs under this name first, whatever its command line
    #[arg(long)]
    replace: bool,

    /// How long what is replaced has to end before it is killed
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = frame::duration)]
    grace: Duration,

    /// Become the command: same process, same streams, same session
    #[arg(long, conflicts_with = "log")]
    foreground: bool,

    /// Do all that comes before, print what would be registered, and start nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    course: course::Course,

    #[command(flatten)]
    port: port::Port,

    #[command(flatten)]
    surroundings: order::Surroundings,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  pspawn api --project . --log api.log -- npm run dev
                                          start it, once for this project
  pspawn api --project . --ensure -- npm run dev
                                          the same, content when it runs
  pspawn api --replace -- uvicorn main:app --port 8001
                                          end the old one first
  pspawn api --port 8001 --ready port:8001 -- ./serve
                                          wait until it listens
  pspawn check --timeout 30s -- npm test  to the end; nothing stays
  pspawn worker --foreground -- ./worker  for supervisors: becomes the worker
  pkill-tree api                          end all that it has started";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    // The codes 1 to 3 are the command's own where its code is passed on.
    let passes_on = args.foreground || args.course.timeout.is_some();
    match start(&args, reporter) {
        Err(error) if passes_on => {
            reporter.fail(&error);
            Ok(Exit::Command(125))
        }
        Ok(Exit::No | Exit::Misuse | Exit::Failed) if passes_on => Ok(Exit::Command(125)),
        other => other,
    }
}

fn start(args: &Args, reporter: &mut Reporter) -> Outcome {
    let (host, source, registry) = (Host::look()?, Source::live()?, args.registry.open()?);
    let starter = Starter::new(&host, &source, &registry);
    let mut document = registry.read()?;
    let mut order = match order::of(args, &document) {
        Ok(order) => order,
        Err(missing) if missing.kind() == Kind::Gone => {
            reporter.absent(&missing);
            return Ok(Exit::No);
        }
        Err(error) => return Err(error),
    };
    args.course.check(&order)?;
    let waiter = args.course.waiter()?;
    loop {
        let refusal = match attempt(args, &starter, &document, &mut order, waiter.as_ref(), reporter) {
            Ok(done) => return done,
            Err(refusal) => refusal,
        };
        match refusal {
            Refusal::Taken(holder) if args.ensure && holder.verdict.is_alive() => {
                if let Some(exit) = content(args, &starter, &order, waiter.as_ref(), *holder, reporter)? {
                    return Ok(exit);
                }
            }
            Refusal::Taken(holder) if args.replace && holder.verdict.is_alive() => {
                if args.dry_run {
                    reporter.note(format_args!("{} would be ended first", holder.service.name));
                    return write(args, &holder.service, &holder.verdict);
                }
                end(args, &starter, &holder.service, reporter)?;
            }
            refusal => return say::refusal(&order, refusal, reporter),
        }
        document = registry.read()?;
    }
}

/// Tries once. The outer result says whether the name was to be had.
fn attempt(
    args: &Args,
    starter: &Starter<'_>,
    document: &Document,
    order: &mut Order,
    waiter: Option<&Waiter>,
    reporter: &mut Reporter,
) -> std::result::Result<Outcome, Refusal> {
    let Free { service, before } = starter.look(document, order)?;
    if args.dry_run {
        let verdict = Verdict::Inert("not started: a dry run".to_owned());
        return Ok(write(args, &service, &verdict));
    }
    if let Some(before) = before.filter(|_| args.replace) {
        // The process itself is dead; what it has left behind is not always.
        end(args, starter, &before, reporter)?;
    }
    match args.port.choose(starter, args.grace, reporter) {
        Ok(Chosen::None) => {}
        Ok(Chosen::Now(port)) => order.set_port(port)?,
        Ok(Chosen::Later(wish)) => order.port_wish = Some(wish),
        Err(error) if error.kind() == Kind::Busy => {
            reporter.absent(&error);
            return Ok(Ok(Exit::No));
        }
        Err(error) => return Err(error.into()),
    }
    if args.foreground {
        return Err(starter.become_command(order));
    }
    let mut probes: Vec<Probe> =
        args.course.ready.iter().map(|ready| Probe::before_start(ready, order)).collect();
    let started = starter.start(order)?;
    if let (Some(wish), Ok(Some(port))) = (order.port_wish, started.service.record().field::<u16>("port"))
        && port != wish.first
    {
        reporter.note(format_args!("port {} is taken: using {port}", wish.first));
    }
    let options = Options { grace: args.grace, ..Options::default() };
    starter.leave_guard(order, &started, args.course.ttl, &options)?;
    if let Some(waiter) = waiter {
        let watched = Watched { starter, order, waiter, grace: args.grace, quiet: args.output.quiet };
        if let Some(limit) = args.course.timeout {
            return Ok(watched.to_completion(&started, limit, reporter));
        }
        let Started { service, handle, .. } = &started;
        match watched.until_ready(&mut probes, handle, service, args.course.ready_timeout)? {
            Readiness::Ready => {}
            Readiness::Over(why) => {
                return Ok(watched.not_ready(&args.course, &mut probes, why, Some(&started), reporter));
            }
        }
    }
    Ok(write(args, &started.service, &Verdict::Alive(started.identity)))
}

/// Is content with what runs already. None: it does not, after all.
fn content(
    args: &Args,
    starter: &Starter<'_>,
    order: &Order,
    waiter: Option<&Waiter>,
    holder: Holder,
    reporter: &mut Reporter,
) -> Result<Option<Exit>> {
    let Verdict::Alive(identity) = &holder.verdict else { return Ok(None) };
    if !starter.settled(&holder.service, identity) {
        return Ok(None);
    }
    if let Some(waiter) = waiter {
        let Look::Found(handle) = handle::open(starter.host, starter.source, identity) else {
            return Ok(None);
        };
        let mut probes: Vec<Probe> =
            args.course.ready.iter().map(|ready| Probe::of_running(ready, order)).collect();
        let watched = Watched { starter, order, waiter, grace: args.grace, quiet: args.output.quiet };
        match watched.until_ready(&mut probes, &handle, &holder.service, args.course.ready_timeout)? {
            Readiness::Ready => {}
            Readiness::Over(Waited::Ended) => return Ok(None),
            Readiness::Over(why) => {
                return watched.not_ready(&args.course, &mut probes, why, None, reporter).map(Some);
            }
        }
    }
    write(args, &holder.service, &holder.verdict).map(Some)
}

/// Ends what runs under the name, or what a dead one has left behind.
fn end(args: &Args, starter: &Starter<'_>, service: &Service, reporter: &mut Reporter) -> Result<()> {
    let options = Options { grace: args.grace, ..Options::default() };
    let mut seen = say::Ended::default();
    let summary = starter.end(service, &options, &mut seen)?;
    seen.check("replace service", &service.name, &summary)?;
    if summary.exited + summary.killed > 0 {
        reporter.note(format_args!("replaced {}: {} ended", service.name, summary.exited + summary.killed));
    }
    Ok(())
}

fn write(args: &Args, service: &Service, verdict: &Verdict) -> Outcome {
    let mut output = Output::new(&args.output, Shape::Table);
    output.record(|out| write_service(service, verdict, out))?;
    output.end()?;
    Ok(Exit::Done)
}

/// Makes a path absolute, as seen from where the tool was called.
fn absolute(option: &str, path: &PathBuf) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::new(Kind::Invalid, "read options", option, "the value is empty"));
    }
    std::path::absolute(path).map_err(|error| Error::system("read options", path.display(), error))
}
