//! `psession`: runs a command; nothing that it started survives it.
//!
//! Reads nothing, and writes nothing to standard output: both are the command's. Writes event records where `--events`
//! says. Exits as the command does, also by the same signal; 2 when misused, 125 when psession itself failed or what the
//! command started could not be ended, 126 when the command cannot be run, 127 when there is none.

mod events;
mod hook;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use nix::errno::Errno;
use procherd::error::{Error, Kind, Result, words};
use procherd::host::{Host, unix_ms};
use procherd::registry::quoted;
use procherd::session::{self, Ended, Isolation, Plan};
use procherd::source::Source;
use procherd::status::End;

use crate::frame::{self, Choice, Exit, LogArgs, Outcome, RegistryArgs, Reporter, Tool};
use events::{Events, Sink};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "psession", command: Args::command };

/// Run a command; nothing that it started survives it
///
/// The command has the terminal, its job control and all streams, as if it were run by itself. When it ends, or psession
/// is killed, everything that it started is ended: daemons, adopted grandchildren, what cleared its environment, what is
/// forked meanwhile. Options end at the command.
#[derive(Parser)]
#[command(name = "psession", version, max_term_width = 100, after_long_help = EXAMPLES)]
#[command(override_usage = "psession [OPTIONS] [--] COMMAND [ARGUMENT]...\n       psession --hook [OPTIONS]")]
struct Args {
    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required_unless_present = "hook")]
    command: Vec<OsString>,

    /// The id of the session, which children know as $PROCHERD_SESSION [default: session-PID-SECONDS]
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<String>,

    /// The project that the session belongs to: a folder that exists; children know it as $PROCHERD_PROJECT
    #[arg(long, value_name = "DIR")]
    project: Option<String>,

    /// How long the session has to end before it is killed
    #[arg(short, long, value_name = "DURATION", default_value = "2s", value_parser = frame::duration)]
    grace: Duration,

    /// How long to go on killing before what is left counts as a survivor
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = frame::duration)]
    kill_wait: Duration,

    /// Give the id to children under this name as well, such as CLAUDE_SESSION_ID; repeatable
    #[arg(long, value_name = "NAME", value_parser = variable)]
    export: Vec<String>,

    /// Spare this program or registered service, with all below it; repeatable
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,

    /// Let the kernel hold it together: pidns, a pid namespace that dies with its first process, or cgroup
    #[arg(long, value_name = "BY")]
    isolate: Option<Isolate>,

    /// Write what happens as records to a file, or to a descriptor by its number
    #[arg(long, value_name = "FILE|FD", conflicts_with = "log")]
    events: Option<OsString>,

    /// Print what a script of the shell can evaluate to end, with itself, all that it has started
    #[arg(long, conflicts_with_all = ["command", "events", "isolate", "keep", "kill_wait", "log"])]
    hook: bool,

    #[command(flatten)]
    log: LogArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    /// When to use colour; psession itself uses none
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Choice,

    /// Say failures only
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Isolate {
    Pidns,
    Cgroup,
}

const EXAMPLES: &str = "\
Examples:
  psession -- npm test                      no worker or daemon of it stays
  psession --grace 10s -- make integration  a longer time to clean up
  psession --export CLAUDE_SESSION_ID -- bash
                                            its services end with this shell
  psession --keep gpg-agent -- ./release    one daemon may stay
  psession --events 3 -- ./build 3> events.ndjson
                                            what happened meanwhile
  eval \"$(psession --hook)\"                 in a script that cannot be wrapped";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.quiet);
    if args.hook {
        return hook::print(&args);
    }
    let ours = |reporter: &mut Reporter, error: &Error| {
        reporter.fail(error);
        Ok(Exit::Command(125))
    };
    let (plan, events) = match plan(&args, reporter) {
        Ok(made) => made,
        Err(error) if error.kind() == Kind::Invalid => return Err(error),
        Err(error) => return ours(reporter, &error),
    };
    let mut events = Events::new(events, &plan.id, reporter);
    let made = || Ok((Host::look()?, Source::live()?));
    let done = made().and_then(|(host, source)| session::run(&plan, &host, &source, &mut events));
    match done {
        Ok(summary) => {
            if summary.left > 0 {
                let why = format_args!("{} lived on (--events names them)", summary.left);
                reporter.fail(&Error::new(Kind::Denied, "end session", quoted(&plan.id), why));
            }
            Ok(Exit::Command(code(&plan, &summary, reporter)))
        }
        Err(error) => ours(reporter, &error),
    }
}

/// The code that says how the command ended. A signal that ended it ends this process as well, and never returns.
fn code(plan: &Plan, summary: &session::Summary, reporter: &mut Reporter) -> u8 {
    let program =
        plan.command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    match summary.ended {
        _ if summary.left > 0 => 125,
        Ended::Command(End::Exited(code)) => code,
        Ended::Command(End::Signalled(signal)) => {
            session::end_by(signal);
            u8::try_from(128 + signal.number()).unwrap_or(u8::MAX)
        }
        Ended::NotRun(errno) => {
            let why = match errno {
                Errno::ENOENT if Path::new(&program).exists() => {
                    "it is there, but the interpreter that its first line names is not".to_owned()
                }
                Errno::ENOENT if program.contains('/') => words(&errno.into()),
                Errno::ENOENT => "no such command in $PATH".to_owned(),
                errno => words(&errno.into()),
            };
            reporter.fail(&Error::new(Kind::Gone, "run command", quoted(&program), why));
            if errno == Errno::ENOENT { 127 } else { 126 }
        }
        Ended::Broken => {
            let why = "its worker was killed; all that it had started has been ended";
            reporter.fail(&Error::new(Kind::System, "run session", quoted(&plan.id), why));
            125
        }
    }
}

/// Turns what was typed into what it means.
fn plan(args: &Args, reporter: &mut Reporter) -> Result<(Plan, Option<Sink>)> {
    let id =
        args.id.clone().unwrap_or_else(|| format!("session-{}-{}", std::process::id(), unix_ms() / 1000));
    if args.isolate == Some(Isolate::Pidns) && !args.keep.is_empty() {
        let why = "nothing outlives a pid namespace, so nothing in it can be kept";
        return Err(Error::new(Kind::Invalid, "read options", "--keep", why));
    }
    let project = args.project.as_deref().map(project).transpose()?;
    let mut environment = vec![("PROCHERD_SESSION".to_owned(), id.clone())];
    environment.extend(args.export.iter().map(|name| (name.clone(), id.clone())));
    environment.extend(project.iter().map(|path| ("PROCHERD_PROJECT".to_owned(), path.clone())));
    let registry = match args.registry.open() {
        Ok(registry) => Some(registry),
        Err(error) if args.registry.registry.is_some() => return Err(error),
        // It cannot be found, for want of a home: the session needs none.
        Err(error) => {
            reporter.note(&error);
            None
        }
    };
    let plan = Plan {
        command: args.command.clone(),
        id,
        environment: environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        project,
        grace: args.grace,
        kill_wait: args.kill_wait,
        keep: args.keep.clone(),
        isolate: match args.isolate {
            None => Isolation::None,
            Some(Isolate::Pidns) => Isolation::Pidns,
            Some(Isolate::Cgroup) => Isolation::Cgroup,
        },
        registry,
    };
    let events = match (&args.events, &args.log.log) {
        (Some(place), _) => Some(Sink::events(place)?),
        (None, Some(path)) => Some(Sink::log(path)?),
        (None, None) => None,
    };
    Ok((plan, events))
}

/// The absolute path of a project, which must exist.
fn project(path: &str) -> Result<String> {
    let bad = |why: String| Error::new(Kind::Invalid, "read options", format_args!("--project {path}"), why);
    if path.is_empty() {
        return Err(bad("the value is empty".into()));
    }
    let real = std::fs::canonicalize(path).map_err(|error| bad(words(&error)))?;
    if !real.is_dir() {
        return Err(bad("not a folder".into()));
    }
    real.into_os_string().into_string().map_err(|_| bad("its path is not UTF-8".into()))
}

/// Accepts an id: any text but an empty one.
fn id(text: &str) -> std::result::Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        Err("empty, or not printable")
    } else {
        Ok(text.into())
    }
}

/// Accepts the name of an environment variable.
fn variable(name: &str) -> std::result::Result<String, &'static str> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && name.starts_with(|first: char| !first.is_ascii_digit()) {
        Ok(name.into())
    } else {
        Err("not a name that a shell could use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_at_the_command() {
        let parse = |words: &[&str]| Args::try_parse_from(words).map(|args| args.command);
        for words in
            [&["psession", "sh", "-c", "x", "--id"][..], &["psession", "--", "sh", "-c", "x", "--id"]]
        {
            assert_eq!(parse(words).expect("a command"), ["sh", "-c", "x", "--id"]);
        }
        assert_eq!(parse(&["psession", "--", "-x", "--"]).expect("a command"), ["-x", "--"]);
        assert_eq!(parse(&["psession", "-q", "a", "--", "-q"]).expect("a command"), ["a", "--", "-q"]);
        for words in [
            &["psession"][..],
            &["psession", "--"],
            &["psession", "--hook", "true"],
            &["psession", "-x", "true"],
        ] {
            assert!(parse(words).is_err(), "{words:?} was accepted");
        }
    }

    #[test]
    fn a_name_that_no_shell_could_use_is_refused() {
        assert!(variable("CLAUDE_SESSION_ID").is_ok());
        for name in ["", "1A", "A-B", "A=B", "é"] {
            assert!(variable(name).is_err(), "{name:?} was accepted");
        }
    }
}
