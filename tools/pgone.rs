//! `pgone`: waits until processes are gone, ports are free and files are quiet; or until they are there.
//!
//! Reads operands, or records on standard input. Writes an outcome record for each process as soon as it is known, and
//! one for each port and file at the end. Exits 0 when all is as it was waited for, 1 when it can never be, 3 when that
//! cannot be judged here, 124 when time ran out: then the records say what is left. It signals nobody.

mod course;
mod goals;
mod say;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind, Result};
use procherd::wait::Port;

use crate::frame::{self, Outcome, OutputArgs, RegistryArgs, Reporter, Tool};
use course::Course;
use goals::Goals;

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pgone", command: Args::command };

/// Wait until processes are gone, ports are free and files are quiet
///
/// Waits for all of them together, without using the processor. A process is gone when it is dead, whether its parent has
/// reaped it or not. Nothing is ever signalled. Without operands, ports and files, the records on standard input say what
/// to wait for.
#[derive(Parser)]
#[command(name = "pgone", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Processes (PID or PID:INODE) or names of registered services; - or nothing reads records
    #[arg(value_name = "PID|NAME")]
    operands: Vec<String>,

    /// Wait until nobody listens on this port or any of this range; repeatable
    #[arg(long, value_name = "PORT|RANGE", value_parser = frame::ports)]
    port: Vec<Port>,

    /// Ports have to stay as they are wanted for this long
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = frame::duration, requires = "port")]
    settle: Duration,

    /// Wait until nobody changes this file or folder any more, makes it or removes it; repeatable
    #[arg(long, value_name = "FILE")]
    quiet_file: Vec<PathBuf>,

    /// How long files have to be quiet
    #[arg(long = "for", value_name = "DURATION", default_value = "2s", value_parser = frame::duration, requires = "quiet_file")]
    quiet_for: Duration,

    /// Wait for the contrary: services run, somebody listens on the ports, files are there (and quiet)
    #[arg(long)]
    ready: bool,

    /// Give up after this time: exit 124, and the records say what is left
    #[arg(short, long, value_name = "DURATION", value_parser = frame::duration)]
    timeout: Option<Duration>,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  pgone 4711 --timeout 10s                        wait for the end of a process
  pports 8001 | pkill-tree && pgone --port 8001   clear a port, and make sure
  pgone api --port 8001 --settle 1s -t 30s        nobody took its port again
  pgone --quiet-file build/out.js --for 2s -t 1m  nobody writes it any more
  pgone --ready api --port 8001 -t 30s            wait for the start instead";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    if args.quiet_file.iter().any(|file| file.as_os_str().is_empty()) {
        return Err(Error::new(Kind::Invalid, "read options", "--quiet-file", "the value is empty"));
    }
    let goals = Goals::read(&args, reporter)?;
    Course::begin(&args, goals, reporter)?.run(reporter)
}

/// Tells whether anything but processes is waited for: then standard input is read only on request.
fn waits_for_more(args: &Args) -> bool {
    !(args.port.is_empty() && args.quiet_file.is_empty())
}

/// Says that what was waited for can never be.
fn never(reporter: &mut Reporter, on: impl std::fmt::Display, why: &str) {
    reporter.absent(&Error::new(Kind::Gone, "wait for process", on, why));
}

/// Turns a failure of the kernel into one of waiting.
fn waiting(errno: nix::errno::Errno) -> Error {
    Error::system("wait", "", errno)
}

/// Takes out of the record of a service what does not belong to its process.
fn of_process(record: &mut procherd::record::Record) {
    const OF_SERVICE: [&str; 18] = [
        "cgroup",
        "cgroup_id",
        "alive",
        "status",
        "tree",
        "parent",
        "owner",
        "script",
        "command",
        "metadata",
        "cookie",
        "log",
        "pidfile",
        "port",
        "ttl_ms",
        "restarts",
        "last_health_check_ms",
        "why",
    ];
    for field in OF_SERVICE {
        record.remove(field);
    }
}

/// The processes that a registered service names, as they are now.
fn service_of(name: &str, args: &Args) -> Result<procherd::record::Record> {
    frame::service(name, &args.registry)
}
