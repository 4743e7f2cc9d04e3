//! From `main` to the exit code: arguments, the machine, the streams.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use procherd::error::{Error, Kind, Result};

use super::report::{Exit, Reporter};

/// What running a tool gives: how to end, or the failure that stopped it.
pub type Outcome = Result<Exit>;

/// A tool as the suite knows it.
#[derive(Clone, Copy)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its command line.
    pub command: fn() -> clap::Command,
}

/// Runs a tool: parses its arguments, runs it, and turns what happened into an exit code.
///
/// Help and version go to standard output. A reader that leaves early is no failure.
pub fn main<A: CommandFactory + FromArgMatches>(
    name: &'static str,
    run: fn(A, &mut Reporter) -> Outcome,
) -> ExitCode {
    main_from(name, std::env::args_os().collect(), run)
}

/// Runs a tool on words that were changed before they are parsed.
pub fn main_from<A: CommandFactory + FromArgMatches>(
    name: &'static str,
    words: Vec<OsString>,
    run: fn(A, &mut Reporter) -> Outcome,
) -> ExitCode {
    let mut reporter = Reporter::new(name);
    let parsed = A::command().try_get_matches_from(words).and_then(|matches| A::from_arg_matches(&matches));
    let outcome = match parsed {
        Ok(args) => run(args, &mut reporter),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            show(&error)
        }
        Err(error) => Err(misuse(&error, name)),
    };
    match outcome {
        Ok(exit) => reporter.count(exit),
        Err(error) => reporter.fail(&error),
    }
    reporter.worst().into()
}

/// Writes help or version.
fn show(text: &clap::Error) -> Outcome {
    let text = text.render().to_string();
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::system("write", "standard output", error))
        }
        _ => Ok(Exit::Done),
    }
}

/// Says a wrong command line on one line: what, on which argument, why.
fn misuse(error: &clap::Error, name: &str) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let argument =
        text(ContextKind::InvalidArg).or_else(|| text(ContextKind::InvalidSubcommand)).unwrap_or_default();
    let value = text(ContextKind::InvalidValue).filter(|value| !value.is_empty());
    let why = match error.kind() {
        ErrorKind::UnknownArgument => "no such option".to_owned(),
        ErrorKind::InvalidSubcommand => "no such command".to_owned(),
        ErrorKind::MissingRequiredArgument => "required, and missing".to_owned(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing".to_owned()
        }
        ErrorKind::ArgumentConflict => match text(ContextKind::PriorArg) {
            Some(other) => format!("cannot be used with {other}"),
            None => "cannot be given twice".to_owned(),
        },
        ErrorKind::InvalidUtf8 => "not valid UTF-8".to_owned(),
        _ => match (value, std::error::Error::source(error)) {
            (Some(value), Some(source)) => format!("'{value}': {source}"),
            (Some(value), None) => match text(ContextKind::ValidValue) {
                Some(valid) => format!("'{value}' is none of {valid}"),
                None => format!("'{value}' cannot be used"),
            },
            (None, _) if error.kind() == ErrorKind::InvalidValue => "a value is needed".to_owned(),
            (None, _) => error.kind().as_str().unwrap_or("cannot be used").to_owned(),
        },
    };
    let near =
        text(ContextKind::SuggestedArg).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Error::new(Kind::Invalid, "read options", argument, format_args!("{why}{near} (see {name} --help)"))
}
