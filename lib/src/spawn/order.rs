//! What a spawner is asked to do.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::environment::Environment;
use super::log::Log;
use super::port::Wish;
use crate::error::Result;
use crate::registry::Choice;

/// What is to be started, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The name of the service.
    pub name: String,
    /// Whose it is to be.
    pub choice: Choice,
    /// The program and its arguments: the definition of the service.
    pub command: Vec<OsString>,
    /// The folder to run in, absolute.
    pub cwd: PathBuf,
    /// The whole environment, without the marks of the spawn.
    pub environment: Environment,
    /// Where its output goes.
    pub output: Output,
    /// A file that gets its number before it runs.
    pub pidfile: Option<PathBuf>,
    /// Whether another command line, or a process that runs, may be replaced.
    pub replace: bool,
    /// Whether it gets a cgroup of its own.
    pub cgroup: Enclosure,
    /// The port that is chosen for it, where it is not settled yet.
    pub port_wish: Option<Wish>,
    /// Fields to keep with the entry.
    pub notes: Vec<(&'static str, serde_json::Value)>,
}

impl Order {
    /// Tells whether what runs by the one order is what would run by the other. What is noted beside it does not count.
    pub fn runs_the_same(&self, other: &Self) -> bool {
        let Self { name, choice, command, cwd, environment, output, pidfile, .. } = self;
        (name, choice, command, cwd) == (&other.name, &other.choice, &other.command, &other.cwd)
            && (environment, output, pidfile) == (&other.environment, &other.output, &other.pidfile)
            && (self.cgroup, self.port_wish) == (other.cgroup, other.port_wish)
    }

    /// Gives the service a port: it is told so by `PORT` in its environment, and it is noted with its entry.
    pub fn set_port(&mut self, port: u16) -> Result<()> {
        self.port_wish = None;
        self.notes.retain(|(name, _)| *name != "port");
        self.notes.push(("port", port.into()));
        self.environment.set(OsStr::new("PORT"), OsStr::new(&port.to_string()))
    }
}

/// Whether a service gets a cgroup of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enclosure {
    /// It stays in that of the caller.
    Off,
    /// It gets one where that is permitted.
    #[default]
    Auto,
    /// It gets one, or is not started.
    On,
}

/// Where the output of a service goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To where that of the caller goes.
    Inherited,
    /// Nowhere.
    Nowhere,
    /// To the end of a file.
    Log(Log),
}
