//! `pkeep`: keeps services running: checks them, starts them anew after longer and longer pauses, and gives up.
//!
//! Reads a command, names of registered services, or service records; without any, keeps all registered services of a
//! scope that have a command. Writes event records. Stays until it is asked to end (TERM, INT), and then ends what it
//! keeps; with `--once` it takes one round, for cron. Exits 0; 1 when another one of its name runs or, with `--once`, not
//! all are healthy; 2 for misuse; 3 when something could not be read, started or ended.

mod charges;
mod files;
mod house;
mod itself;
mod reload;
mod rounds;
mod say;
mod signals;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use procherd::error::Result;
use procherd::host::Host;
use procherd::source::Source;
use procherd::spawn::Starter;
use procherd::supervise::{Keeper, Policy};
use procherd::terminate::Options;

use self::charges::Roster;
use self::house::House;
use self::say::Sayer;
use crate::frame::{
    self, Exit, HealthArgs, LogArgs, Outcome, OutputArgs, RegistryArgs, Reporter, ScopeArgs, Tool,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pkeep", command: Args::command };

/// Keep services running: check, start anew with longer and longer pauses, give up
///
/// What is to be done next is written to the registry before it is done: two at once, or one that is killed at any
/// moment, never give two instances, and a new one goes on where the last one stood. Services that run are adopted.
#[derive(Parser)]
#[command(name = "pkeep", version, max_term_width = 100, after_long_help = EXAMPLES)]
#[command(
    override_usage = "pkeep [OPTIONS] NAME -- COMMAND [ARGUMENT]...\n       pkeep [OPTIONS] [NAME|FILE|-]..."
)]
struct Args {
    /// The name of one service whose command follows; or names of registered services, a file with service records (a
    /// path with a slash, or *.ndjson), or - for records on standard input
    #[arg(value_name = "NAME|FILE|-")]
    operands: Vec<String>,

    /// The command, its arguments and nothing else, after two dashes
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// Take one round and end: for cron
    #[arg(long)]
    once: bool,

    /// How often to check each service
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = frame::duration)]
    interval: Duration,

    /// The pause before the first try to start a service anew; it doubles with each further one
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = frame::duration)]
    pause: Duration,

    /// The longest pause
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = frame::duration)]
    longest_pause: Duration,

    /// How often to try before giving up
    #[arg(long, value_name = "N", default_value_t = 5)]
    tries: u32,

    /// How long a service must be healthy for its tries to be forgotten
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = frame::duration)]
    calm: Duration,

    /// How long a service that was started has to become healthy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = frame::duration)]
    settle: Duration,

    /// How long what is ended has before it is killed
    #[arg(short, long, value_name = "DURATION", default_value = "3s", value_parser = frame::duration)]
    grace: Duration,

    /// Run this line of shell when a service is given up, with its event record on standard input
    #[arg(long, value_name = "LINE")]
    on_fail: Option<String>,

    /// Leave the services running when asked to end
    #[arg(long)]
    detach: bool,

    /// The name that it registers itself under
    #[arg(long = "as", value_name = "NAME", default_value = "pkeep")]
    own_name: String,

    /// Start the service of the command line only when these services are healthy; repeatable
    #[arg(long, value_name = "NAME")]
    after: Vec<String>,

    /// Run the command of the command line in this folder
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,

    /// Append the output of the command of the command line to this file
    #[arg(long, value_name = "FILE")]
    service_log: Option<PathBuf>,

    #[command(flatten)]
    health: HealthArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    log: LogArgs,
}

const EXAMPLES: &str = "\
Examples:
  pkeep api --health port:8001 -- ./serve  keep one service running
  pkeep services.ndjson                    all of a file
  ptrack list --project . | pkeep -        the registered ones of a project
  * * * * * pkeep --once --quiet services.ndjson
                                           in a crontab
  pkeep api --on-fail 'mail -s api me' -- ./serve
                                           say when it is given up";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let (host, source, registry) = (Host::look()?, Source::live()?, args.registry.open()?);
    let starter = Starter::new(&host, &source, &registry);
    let mut roster = Roster::new(&args, &registry);
    let charges = roster.read(reporter)?;
    let keeper = Keeper {
        starter: &starter,
        policy: Policy {
            first: args.pause,
            most: args.longest_pause,
            tries: args.tries,
            calm: args.calm,
            settle: args.settle,
        },
        options: Options { grace: args.grace, ..Options::default() },
    };
    let house = House::new(&args, &keeper, charges, Sayer::open(&args, reporter)?);
    if args.once {
        return rounds::once(&args, house, reporter);
    }
    let signals = signals::Signals::hold()?;
    let own = match itself::enter(&args, &starter)? {
        Ok(own) => own,
        Err(taken) => {
            reporter.absent(&taken);
            return Ok(Exit::No);
        }
    };
    let done = rounds::keep(&args, house, &mut roster, &own, &signals, reporter);
    let left = own.leave(&starter);
    let exit = done?;
    left.map(|()| exit)
}

/// Makes a path absolute, as seen from where the tool was called.
fn absolute(option: &str, path: &PathBuf) -> Result<PathBuf> {
    use procherd::error::{Error, Kind};
    if path.as_os_str().is_empty() {
        return Err(Error::new(Kind::Invalid, "read options", option, "the value is empty"));
    }
    std::path::absolute(path).map_err(|error| Error::system("read options", path.display(), error))
}
