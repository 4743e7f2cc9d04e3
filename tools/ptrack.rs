//! `ptrack`: keeps the registry of services and sessions.
//!
//! Reads operands, or records (`-`). Writes service and session records, which carry the identity of their process:
//! `ptrack list --project . | pkill-tree` ends all services of a project. Exits 0; 1 when a name is not registered, a
//! process has ended, or a name is taken; 2 for a scope that does not exist or a name that several scopes have; 3 when
//! the registry cannot be read or written, or something cannot be judged from here.

mod save;
mod session;
mod show;
mod target;
mod transfer;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use procherd::error::{Error, Kind, Result};
use procherd::host::Host;
use procherd::registry::{Document, Registry, Service, Verdict};
use procherd::source::Source;

use crate::frame::{self, Exit, Outcome, OutputArgs, RegistryArgs, Reporter, ScopeArgs, Tool};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "ptrack", command: Args::command };

/// Keep the registry of services and sessions
///
/// The registry remembers which process is which service: by identity, so that a number that was given to another
/// process, another boot or another machine is never mistaken for it. Names are unique within a scope: --global,
/// --project or --session. Without one of these, $PROCHERD_SESSION, then $PROCHERD_PROJECT decide, then global.
#[derive(Parser)]
#[command(name = "ptrack", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,

    /// Set a damaged registry aside under a dated name first, and begin a new one
    #[arg(long, global = true)]
    repair: bool,

    /// How long to wait while somebody else writes the registry
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = frame::duration, global = true)]
    lock_timeout: Duration,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Register a running process under a name
    Save(save::Args),
    /// Show one service, by name or by process
    Get(show::GetArgs),
    /// List services
    List(show::ListArgs),
    /// Tell whether a service runs: exit 0 for yes, 1 for no; without a name, all of them and a summary
    Status(show::StatusArgs),
    /// Note that services are well
    Beat(target::BeatArgs),
    /// Forget services; their processes go on
    Rm(target::RmArgs),
    /// Forget all services of a scope, or everything
    Clear(transfer::ClearArgs),
    /// Register, end and list sessions
    #[command(subcommand)]
    Session(session::Command),
    /// Register what another program keeps
    Import(transfer::ImportArgs),
    /// Write the registry in the form of another program
    Export(transfer::ExportArgs),
    /// Make entries again for living processes that carry the marks of a spawn or a session
    Rebuild,
    /// Say where the registry is
    Path,
    /// Make the registry, and keep it out of git
    Init,
}

const EXAMPLES: &str = "\
Examples:
  npm start & ptrack save orchestrator $!  register what was just started
  ptrack status orchestrator && echo runs  yes or no by exit code
  ptrack list --project . | pkill-tree     end all services of this project
  pkill-tree --grace 3s api | ptrack rm -  end a service and forget it
  ptrack get --pid 4711                    which service a process is";

/// What all commands work with.
struct Desk {
    registry: Registry,
    host: Host,
    source: Source,
    output: OutputArgs,
}

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    let registry = args.registry.open()?.lock_timeout(args.lock_timeout);
    let desk = Desk { registry, host: Host::look()?, source: Source::live()?, output: args.output };
    reporter.be_quiet(desk.output.quiet);
    if args.repair
        && let Some(aside) = desk.registry.repair()?
    {
        reporter.note(format_args!("repair registry: the damaged one is now {}", aside.display()));
    }
    match args.command {
        Command::Save(args) => save::save(&desk, &args, reporter),
        Command::Get(args) => show::get(&desk, &args, reporter),
        Command::List(args) => show::list(&desk, &args, reporter),
        Command::Status(args) => show::status(&desk, &args, reporter),
        Command::Beat(args) => target::beat(&desk, &args, reporter),
        Command::Rm(args) => target::rm(&desk, &args, reporter),
        Command::Clear(args) => transfer::clear(&desk, &args, reporter),
        Command::Session(command) => session::run(&desk, &command, reporter),
        Command::Import(args) => transfer::import(&desk, &args, reporter),
        Command::Export(args) => transfer::export(&desk, &args, reporter),
        Command::Rebuild => transfer::rebuild(&desk, reporter),
        Command::Path => {
            show::plain(&desk.registry.path().display().to_string())?;
            Ok(Exit::Done)
        }
        Command::Init => transfer::init(&desk),
    }
}

impl Desk {
    fn judge(&self, service: &Service) -> Verdict {
        procherd::registry::judge(&self.host, &self.source, service)
    }

    /// Finds a service by name. That it is not there is an error of the kind `Gone`, which says where else it is.
    fn find(&self, document: &Document, name: &str, scope: &ScopeArgs) -> Result<Service> {
        frame::find(&self.registry, document, name, scope)
    }
}

/// Says a failure in the way that fits a question: what is not there is a no, the rest went wrong.
fn answer(error: &Error, reporter: &mut Reporter) -> Exit {
    if error.kind() == Kind::Gone {
        reporter.absent(error);
    } else {
        reporter.fail(error);
    }
    reporter.worst()
}
