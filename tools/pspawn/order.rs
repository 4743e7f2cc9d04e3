//! From what was typed to what it means: the order that the library carries out.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use procherd::error::{Error, Result};
use procherd::registry::{Document, OWNER_MARK, Scope};
use procherd::spawn::{self, Enclosure, Environment, Log, Order};

use super::{Args, absolute};
use crate::frame::HealthArgs;

/// Options for what surrounds the command.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Surroundings")]
pub(super) struct Surroundings {
    /// Run in this folder
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,

    /// Set a variable of its environment; repeatable
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<OsString>,

    /// Set the variables of a file with NAME=VALUE lines; repeatable, and --env wins
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Start only if this file exists; repeatable
    #[arg(long, value_name = "FILE")]
    require_file: Vec<PathBuf>,

    /// Append its output to this file; without it, nobody hears what it says
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Set the log aside when it has this size, also while the service runs: 500k, 10M, 1G
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = size, requires = "log")]
    log_size: u64,

    /// How many logs that were set aside are kept
    #[arg(long, value_name = "N", default_value_t = 5, requires = "log")]
    log_keep: u32,

    /// Start it in a cgroup of its own, where that is permitted: what it starts can then never get away
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    cgroup: Cgroup,

    /// Write its number to this file before it runs
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,

    #[command(flatten)]
    health: HealthArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Cgroup {
    #[default]
    Auto,
    Off,
    On,
}

/// Reads a size with a binary unit.
fn size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => 0,
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "not a size such as 500k, 10M or 1G".to_owned())
}

/// Puts the order together. `Gone`: a file that must be there is not.
pub(super) fn of(args: &Args, document: &Document) -> Result<Order> {
    let given = &args.surroundings;
    let cwd = match &given.cwd {
        Some(cwd) => absolute("--cwd", cwd)?,
        None => std::env::current_dir().map_err(|error| Error::system("find working folder", "", error))?,
    };
    for path in &given.require_file {
        let path = absolute("--require-file", path)?;
        if let Err(error) = path.metadata() {
            return Err(Error::system("look for required file", path.display(), error));
        }
    }
    Ok(Order {
        name: args.name.clone(),
        choice: args.scope.choice(),
        command: args.command.clone(),
        environment: environment(args, document)?,
        output: match &given.log {
            _ if args.foreground => spawn::Output::Inherited,
            Some(path) => spawn::Output::Log(Log {
                path: absolute("--log", path)?,
                rotate_at: given.log_size,
                keep: given.log_keep,
            }),
            None if args.course.timeout.is_some() => spawn::Output::Inherited,
            None => spawn::Output::Nowhere,
        },
        pidfile: given.pidfile.as_ref().map(|path| absolute("--pidfile", path)).transpose()?,
        replace: args.replace,
        cgroup: match given.cgroup {
            Cgroup::Auto => Enclosure::Auto,
            Cgroup::Off => Enclosure::Off,
            Cgroup::On => Enclosure::On,
        },
        port_wish: None,
        notes: notes(args),
        cwd,
    })
}

/// What is kept with the entry: for how long it may live, and how phealth judges it.
fn notes(args: &Args) -> Vec<(&'static str, serde_json::Value)> {
    let ttl =
        args.course.ttl.map(|ttl| ("ttl_ms", u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).into()));
    let checks = &args.surroundings.health.health;
    let health = (!checks.is_empty()).then(|| ("health", checks.clone().into()));
    ttl.into_iter().chain(health).collect()
}

/// The environment of the command: the caller's, then what files say, then what options say, then what the scope says.
fn environment(args: &Args, document: &Document) -> Result<Environment> {
    let mut environment = Environment::inherited();
    for path in &args.surroundings.env_file {
        environment.read_file(path)?;
    }
    for pair in &args.surroundings.variables {
        environment.set_pair(pair)?;
    }
    let mut set = |name: &str, value: &OsStr| environment.set(OsStr::new(name), value);
    if let Some(path) = &args.registry.registry {
        set("PROCHERD_REGISTRY", absolute("--registry", path)?.as_os_str())?;
    }
    match args.scope.choice().for_new(document)? {
        Scope::Global => {}
        Scope::Project(path) => set("PROCHERD_PROJECT", OsStr::new(&path))?,
        Scope::Session(id) => {
            set("PROCHERD_SESSION", OsStr::new(&id))?;
            if let Some(mark) = document.session(&id)?.and_then(|session| session.owner_mark()) {
                set(OWNER_MARK, OsStr::new(&mark))?;
            }
        }
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("500", 500), ("1k", 1024), ("10M", 10 << 20), ("1GiB", 1 << 30), ("2mb", 2 << 20)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "M", "-1", "1.5M", "1x", "99999999999G"] {
            assert!(size(text).is_err(), "{text} was accepted");
        }
    }
}
