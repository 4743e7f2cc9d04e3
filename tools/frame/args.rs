//! Options that mean the same in every tool that has them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParserFactory};
use procherd::error::{Error, Kind, Result};
use procherd::health::Checks;
use procherd::host;
use procherd::registry::{self, Registry};
use procherd::select::{self, Selection};
use procherd::sockets::Protocol;
use procherd::wait::Port;

use super::output::Format;

/// Parses a duration option.
pub fn duration(text: &str) -> std::result::Result<Duration, String> {
    procherd::text::parse_duration(text)
}

/// Reads a port, or a range that includes both ends; with `/tcp` or `/udp`, of that protocol alone.
pub fn ports(text: &str) -> std::result::Result<Port, String> {
    let (numbers, protocol) = match text.rsplit_once('/') {
        Some((numbers, "tcp")) => (numbers, Some(Protocol::Tcp)),
        Some((numbers, "udp")) => (numbers, Some(Protocol::Udp)),
        Some(_) => return Err("the protocol is tcp or udp".into()),
        None => (text, None),
    };
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err("not a port (1 to 65535) or a range such as 8001..8100".to_owned()),
    };
    let (first, last) = match numbers.split_once("..") {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(numbers)?, port(numbers)?),
    };
    if first > last { Err("the range is empty".into()) } else { Ok((first..=last, protocol)) }
}

/// Whether to do something that depends on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// When standard output is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Options for what is written.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// How to write: for people on a terminal, NDJSON in a pipe
    #[arg(long, value_name = "FORMAT", default_value = "auto", global = true)]
    pub format: Format,

    /// When to use colour; NO_COLOR turns it off
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: Choice,

    /// Write no records and no notes: the exit code is the answer
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl ValueParserFactory for Choice {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        let named = |name: String| match name.as_str() {
            "always" => Self::Always,
            "never" => Self::Never,
            _ => Self::Auto,
        };
        PossibleValuesParser::new(["auto", "always", "never"]).map(named).into()
    }
}

impl ValueParserFactory for Format {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        PossibleValuesParser::new(Self::NAMES).map(|name| Self::named(&name)).into()
    }
}

/// Options for where processes are looked at.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Where to look")]
pub struct LookArgs {
    /// Read a snapshot that pstree-json has saved, in place of the live system
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// The registry to use.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RegistryArgs {
    /// The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]
    #[arg(long, value_name = "FILE", global = true, help_heading = "Where to look")]
    pub registry: Option<PathBuf>,
}

impl RegistryArgs {
    /// Names the registry that the options or the environment mean. It need not exist.
    pub fn open(&self) -> Result<Registry> {
        registry::locate(self.registry.as_deref()).map(Registry::at)
    }
}

/// Whose services are meant.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Scope [default: $PROCHERD_SESSION, else $PROCHERD_PROJECT, else global]")]
pub struct ScopeArgs {
    /// What belongs to the whole machine
    #[arg(long)]
    pub global: bool,

    /// What belongs to the project in this folder, which must exist
    #[arg(long, value_name = "DIR")]
    pub project: Option<String>,

    /// What belongs to this session, which must be registered
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
}

impl ScopeArgs {
    /// What was said about the scope.
    pub fn choice(&self) -> registry::Choice {
        registry::Choice { global: self.global, project: self.project.clone(), session: self.session.clone() }
    }
}

/// What a service is checked for, noted with its entry.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HealthArgs {
    /// What phealth checks, as WORD:VALUE: port:N, file:PATH, max-age:120s, command:LINE and others; repeatable
    #[arg(long, value_name = "CHECK", value_parser = Checks::noted)]
    pub health: Vec<String>,
}

/// Options that choose processes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which processes")]
pub struct SelectorArgs {
    /// Only command lines that match this regular expression; repeatable
    #[arg(short, long, value_name = "REGEX")]
    pub pattern: Vec<String>,

    /// Patterns from a file, one a line, or from an installed set such as node-dev; repeatable
    #[arg(long, value_name = "FILE|SET")]
    pub patterns_from: Vec<String>,

    /// Only processes that run this file, by path or by name; repeatable
    #[arg(long, value_name = "FILE")]
    pub exe: Vec<String>,

    /// Only processes whose working directory is this folder or below it; repeatable
    #[arg(long, value_name = "DIR")]
    pub cwd: Vec<PathBuf>,

    /// Only processes of this project: like --cwd, but the folder must exist; repeatable
    #[arg(long, value_name = "DIR")]
    pub project: Vec<PathBuf>,

    /// Only processes with this in their environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,

    /// Only processes of this registered service; repeatable
    #[arg(long, value_name = "NAME")]
    pub service: Vec<String>,

    /// Only processes of this registered session; repeatable
    #[arg(long, value_name = "ID")]
    pub session: Vec<String>,

    /// Only processes of this user [default: yourself]
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,

    /// Processes of all users
    #[arg(long, conflicts_with = "user")]
    pub all_users: bool,

    /// Pass over processes younger than this (30s is wise in cron)
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub min_age: Duration,
}

impl SelectorArgs {
    /// Turns what was typed into what it means.
    pub fn selection(&self) -> Result<Selection> {
        let mut patterns =
            self.pattern.iter().map(|text| select::pattern(text)).collect::<Result<Vec<_>>>()?;
        for name in &self.patterns_from {
            patterns.extend(pattern_set(name)?);
        }
        let mut folders = Vec::new();
        for folder in &self.cwd {
            folders.push(absolute("--cwd", folder)?);
        }
        for folder in &self.project {
            folders.push(existing("--project", folder)?);
        }
        let uid = match (&self.user, self.all_users) {
            (_, true) => None,
            (None, false) => Some(host::own_uid()),
            (Some(name), false) => {
                let unknown = || {
                    Error::new(Kind::Invalid, "read options", format_args!("--user {name}"), "no such user")
                };
                Some(host::user_id(name).ok_or_else(unknown)?)
            }
        };
        let mut environment = Vec::new();
        for entry in &self.env {
            let (name, value) = match entry.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (entry.as_str(), None),
            };
            if name.is_empty() {
                return Err(Error::new(Kind::Invalid, "read options", "--env", "the name is empty"));
            }
            environment.push((name.to_owned(), value));
        }
        Ok(Selection {
            patterns,
            exes: filled("--exe", &self.exe)?,
            folders,
            environment,
            services: filled("--service", &self.service)?,
            sessions: filled("--session", &self.session)?,
            uid,
            min_age: self.min_age,
        })
    }
}

/// Refuses an empty value: it comes from a variable that was not set, and would mean "all".
fn filled(option: &str, values: &[String]) -> Result<Vec<String>> {
    if values.iter().any(String::is_empty) {
        return Err(Error::new(Kind::Invalid, "read options", option, "the value is empty"));
    }
    Ok(values.to_vec())
}

/// Makes a folder absolute; it need not exist any more.
fn absolute(option: &str, folder: &Path) -> Result<PathBuf> {
    if folder.as_os_str().is_empty() {
        return Err(Error::new(Kind::Invalid, "read options", option, "the value is empty"));
    }
    match folder.canonicalize() {
        Ok(folder) => Ok(folder),
        Err(_) => std::path::absolute(folder)
            .map_err(|error| Error::system("read options", folder.display(), error)),
    }
}

/// Makes a folder absolute; that it does not exist is an error, never "nothing found".
fn existing(option: &str, folder: &Path) -> Result<PathBuf> {
    let path = absolute(option, folder)?;
    if path.is_dir() {
        return Ok(path);
    }
    Err(Error::new(
        Kind::Invalid,
        "read options",
        format_args!("{option} {}", folder.display()),
        "no such folder",
    ))
}

/// Reads a pattern set: a file where the name has a slash or such a file exists, else an installed set.
fn pattern_set(name: &str) -> Result<Vec<select::Pattern>> {
    let installed = || {
        let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
        let program =
            std::env::current_exe().ok().and_then(|path| Some(path.parent()?.parent()?.join("share")));
        let roots = home.into_iter().chain(program).chain(["/usr/local/share".into(), "/usr/share".into()]);
        roots.map(|root| root.join("procherd/patterns").join(name)).find(|path| path.is_file())
    };
    let path = Path::new(name);
    let text = if name.contains('/') || path.is_file() {
        std::fs::read_to_string(path).map_err(|error| Error::system("read patterns", name, error))?
    } else if let Some(path) = installed() {
        std::fs::read_to_string(&path)
            .map_err(|error| Error::system("read patterns", path.display(), error))?
    } else if name == "node-dev" {
        // The set of the node stack is part of the program, so that it works before anything is installed.
        include_str!("../patterns/node-dev").to_owned()
    } else {
        let why = "no such file, and no installed set of that name (node-dev is always there)";
        return Err(Error::new(Kind::Invalid, "read patterns", name, why));
    };
    let patterns = select::patterns_of(&text)?;
    if patterns.is_empty() {
        return Err(Error::new(Kind::Invalid, "read patterns", name, "there is no pattern in it"));
    }
    Ok(patterns)
}
