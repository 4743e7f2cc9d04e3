//! `pports`: finds who holds a port, a Unix socket, or a file.
//!
//! Reads the sockets of the kernel and the open files of processes, or what it has saved of them (`--from`), or looks
//! only at the processes of the records on standard input (`-`). Writes process records with `sockets`, and a `socket`
//! record with a reason for each socket that has no visible owner. Exits 0 whether any were found or not; 1 when an
//! expectation or a check was not met, no port is free, or there are conflicts; 3 when it could not look.

mod conflicts;
mod files;
mod free;
mod live;
mod look;
mod saved;
mod wanted;

pub(crate) use conflicts::clashes;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind, Result};
use procherd::select::Selection;

use crate::frame::{
    self, Exit, ExpectArgs, LookArgs, Outcome, OutputArgs, RegistryArgs, Reporter, SelectorArgs, Tool,
};
use wanted::{SocketArgs, Wanted};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pports", command: Args::command };

/// Find who holds a port, a Unix socket or a file
///
/// Reports every process that holds a listening socket of these ports, ranges and paths; without operands, of all TCP and
/// UDP ports. A socket whose owner cannot be seen is reported with the reason: no permission, another namespace, the
/// kernel itself, a container's port. Clients of a port are not its holders.
#[derive(Parser)]
#[command(name = "pports", version, max_term_width = 100, after_long_help = EXAMPLES)]
#[command(mut_arg("user", |arg| arg.help("Only processes of this user [default: all users]")))]
#[command(mut_arg("from", |arg| arg.help("Read what pports has saved, in place of the live system")))]
struct Args {
    /// Ports (8001, 53/udp), ranges (8001..8100), Unix sockets by path or @name; - reads records
    #[arg(value_name = "PORT|RANGE|PATH")]
    operands: Vec<String>,

    /// Write nothing: exit 0 when somebody holds each of the operands, 1 when not
    #[arg(long, group = "question")]
    check: bool,

    /// Write the first port of the range that nobody uses and no registered service was given
    #[arg(long, value_name = "RANGE", group = "question")]
    first_free: Option<String>,

    /// Report registered services whose port somebody else holds, or that share a port; exit 1 when there are any
    #[arg(long, group = "question")]
    conflicts: bool,

    /// With --conflicts: go on looking, and report each conflict when it appears, within a second
    #[arg(short, long, requires = "conflicts", conflicts_with = "expect")]
    watch: bool,

    /// Report who has this file open, with the locks on it; repeatable
    #[arg(long, value_name = "FILE", group = "question")]
    locks: Vec<PathBuf>,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    sockets: SocketArgs,

    #[command(flatten)]
    select: SelectorArgs,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    look: LookArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  pports 8001                             who listens on the port
  pports 8001 | pkill-tree --retries 3    clear it; no client is touched
  pports --check 8001 && echo taken       only ask
  port=$(pports --first-free 8001..8100)  take another one
  pports --conflicts                      who holds the port of a service
  pports --conflicts --watch              say so as soon as somebody does
  pports --locks db/LOCK                  who keeps a database from opening";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet || args.check);
    let wanted = Wanted::read(&args.operands, &args.sockets)?;
    args.agree(&wanted)?;
    if let Some(range) = &args.first_free {
        return free::first(&args, range, &wanted, reporter);
    }
    if !args.locks.is_empty() {
        return files::report(&args, &wanted, reporter);
    }
    if args.watch {
        return conflicts::watch(&args, reporter);
    }
    if args.conflicts {
        return conflicts::report(&args, reporter);
    }
    if args.check && args.look.from.is_none() && !wanted.input && !args.chooses() {
        return check(&wanted);
    }
    let findings = match &args.look.from {
        Some(file) => saved::read(&args, file, &wanted, reporter)?,
        None => live::find(&args, &wanted, reporter)?,
    };
    if args.check {
        return Ok(if wanted.all_among(&findings.sockets()) { Exit::Done } else { Exit::No });
    }
    if args.look.from.is_none() {
        wanted.note_kept_back(&findings.sockets(), reporter);
    }
    let exit = args.expect.judge(findings.len(), "holders", reporter);
    findings.write(&args, reporter)?;
    Ok(exit)
}

/// Tells whether somebody holds each of the operands. Who it is does not matter, so no process is looked at.
fn check(wanted: &Wanted) -> Outcome {
    let found = procherd::sockets::list(&wanted.query)?;
    Ok(if wanted.all_among(&found.iter().collect::<Vec<_>>()) { Exit::Done } else { Exit::No })
}

impl Args {
    /// Refuses what makes no sense together.
    fn agree(&self, wanted: &Wanted) -> Result<()> {
        let misuse = |option: &str, why: &str| Err(Error::new(Kind::Invalid, "read options", option, why));
        let named = wanted.names_any();
        if self.check && !named {
            return misuse("--check", "it needs a port or a path");
        }
        for (given, option) in [
            (self.first_free.is_some(), "--first-free"),
            (self.conflicts, "--conflicts"),
            (!self.locks.is_empty(), "--locks"),
        ] {
            if given && named {
                return misuse(option, "it goes without operands");
            }
            if given && self.look.from.is_some() {
                return misuse(option, "it cannot be used with --from");
            }
            if given && wanted.input && option != "--locks" {
                return misuse(option, "it reads no records");
            }
        }
        if self.first_free.is_some() && self.chooses() {
            return misuse("--first-free", "it asks for ports, not for processes");
        }
        if wanted.input && self.look.from.is_some() {
            return misuse("--from", "it cannot be used with -");
        }
        Ok(())
    }

    /// Tells whether anything was said about which processes are wanted.
    fn chooses(&self) -> bool {
        let select = &self.select;
        select.user.is_some()
            || !select.min_age.is_zero()
            || !(select.pattern.is_empty() && select.patterns_from.is_empty())
            || !(select.exe.is_empty() && select.cwd.is_empty() && select.project.is_empty())
            || !(select.env.is_empty() && select.service.is_empty() && select.session.is_empty())
    }

    /// Which processes are wanted. A port is held by whoever holds it: without --user, by any user.
    fn selection(&self) -> Result<Selection> {
        let mut selection = self.select.selection()?;
        if self.select.user.is_none() {
            selection.uid = None;
        }
        Ok(selection)
    }
}
