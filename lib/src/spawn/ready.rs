//! Whether a service is ready to serve.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::chdir;
use regex_lite::Regex;

use super::child::{exec, null_input, null_output};
use super::{Order, Output};
use crate::error::{Error, Result};
use crate::id::Pid;
use crate::registry::Service;
use crate::select;
use crate::sockets;
use crate::source::{Source, Wants};
use crate::stamp::{Counts, Stamp};
use crate::sys::{self, Side};

/// What a service does when it is ready.
#[derive(Clone, Debug)]
pub enum Ready {
    /// It, or a process that it has started, listens on this port.
    Port(u16),
    /// It has made this file, or changed it.
    File(PathBuf),
    /// This line of shell succeeds.
    Command(String),
    /// Its log has a line like this.
    Log(Regex),
}

impl FromStr for Ready {
    type Err = String;

    /// Reads `port:N`, `file:PATH`, `command:LINE` or `log:REGEX`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (kind, what) = text.split_once(':').unwrap_or((text, ""));
        match (kind, what) {
            ("port" | "file" | "command" | "log", "") => Err(format!("nothing follows {kind}:")),
            ("port", port) => match port.parse() {
                Ok(port) if port > 0 => Ok(Self::Port(port)),
                _ => Err("not a port from 1 to 65535".to_owned()),
            },
            ("file", path) => std::path::absolute(path).map(Self::File).map_err(|error| error.to_string()),
            ("command", line) => Ok(Self::Command(line.to_owned())),
            ("log", pattern) => {
                Regex::new(pattern).map(Self::Log).map_err(|_| "not a regular expression".to_owned())
            }
            _ => Err("not port:N, file:PATH, command:LINE or log:REGEX".to_owned()),
        }
    }
}

/// Looks again and again whether a condition holds.
#[derive(Debug)]
pub struct Probe {
    ready: Ready,
    log: Option<PathBuf>,
    /// What the file, or the log, was before the start.
    before: Option<Stamp>,
    /// The command that runs now.
    running: Option<Pid>,
    done: bool,
}

impl Probe {
    /// Remembers what is there before the start, so that what an earlier process left does not count.
    pub fn before_start(ready: &Ready, order: &Order) -> Self {
        let mut probe = Self::of_running(ready, order);
        probe.before = match (ready, &probe.log) {
            (Ready::File(path), _) => Stamp::of(path, Counts::Everything),
            (Ready::Log(_), Some(log)) => Stamp::of(log, Counts::Everything),
            _ => None,
        };
        probe
    }

    /// Asks about a service that runs already: what it has done counts, whenever it was.
    pub fn of_running(ready: &Ready, order: &Order) -> Self {
        let log = if let Output::Log(log) = &order.output { Some(log.path.clone()) } else { None };
        Self { ready: ready.clone(), log, before: None, running: None, done: false }
    }

    /// Tells whether the condition holds, or has held at an earlier look.
    pub fn holds(&mut self, source: &Source, order: &Order, service: &Service) -> Result<bool> {
        if !self.done {
            self.done = match &self.ready {
                Ready::Port(port) => listens(source, service, *port)?,
                Ready::File(path) => {
                    let now = Stamp::of(path, Counts::Everything);
                    now.is_some() && now != self.before
                }
                Ready::Log(pattern) => {
                    self.log.as_deref().is_some_and(|log| written(log, self.before, pattern))
                }
                Ready::Command(line) => {
                    let line = line.clone();
                    self.succeeds(&line, order)?
                }
            };
        }
        Ok(self.done)
    }

    /// Tells whether the condition has held.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What is waited for, for people.
    pub fn waits_for(&self) -> String {
        match &self.ready {
            Ready::Port(port) => format!("port {port}"),
            Ready::File(path) => format!("file {}", path.display()),
            Ready::Command(line) => format!("command '{line}'"),
            Ready::Log(pattern) => format!("'{pattern}' in its log"),
        }
    }

    /// Runs the command, or asks about the one that runs. It is run again as long as it fails.
    fn succeeds(&mut self, line: &str, order: &Order) -> Result<bool> {
        let Some(pid) = self.running else {
            self.running = Some(run(line, order)?);
            return Ok(false);
        };
        let status = waitpid(nix::unistd::Pid::from_raw(pid.raw()), Some(WaitPidFlag::WNOHANG));
        if status != Ok(WaitStatus::StillAlive) {
            self.running = None;
        }
        Ok(matches!(status, Ok(WaitStatus::Exited(_, 0))))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(pid) = self.running {
            // It has not been reaped, so its number is its own.
            let _ = sys::kill_number(pid, crate::signal::Signal::KILL.number());
            let _ = waitpid(nix::unistd::Pid::from_raw(pid.raw()), None);
        }
    }
}

/// Tells whether the service, or a process that carries its mark or is in its session, listens on a port.
fn listens(source: &Source, service: &Service, port: u16) -> Result<bool> {
    let found = sockets::listeners(port)?;
    if found.is_empty() {
        return Ok(false);
    }
    let (Ok(root), Some(cookie)) = (service.identity(), service.cookie()) else {
        // Registered by other means: who belongs to it cannot be told.
        return Ok(true);
    };
    let mut reader = source.reader(Wants::default());
    for pid in source.pids()? {
        let marked = |environ: Vec<u8>| select::variable(&environ, "PROCHERD_ID") == Some(cookie.as_bytes());
        let belongs = matches!(reader.read(pid), Ok(Some(process)) if process.sid == root.pid.get())
            || source.environ(pid).is_ok_and(marked);
        if belongs && sockets::holds(source, pid, &found) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The most of a log that is searched.
const MOST_LOG: u64 = 16 << 20;

/// Tells whether a pattern stands in what was written to a log since a moment.
fn written(log: &Path, before: Option<Stamp>, pattern: &Regex) -> bool {
    let Ok(mut file) = File::open(log) else { return false };
    let now = file.metadata().ok().map(|facts| Stamp::in_facts(&facts, Counts::Everything));
    // A log that has become shorter was cut: all that is left was written since, or is told once more.
    let grown = |now: &Stamp, before: &Stamp| now.is_of_same_file(before) && now.size() >= before.size();
    let from =
        before.filter(|before| now.is_some_and(|now| grown(&now, before))).map_or(0, |before| before.size());
    let mut text = Vec::new();
    let read = file.seek(SeekFrom::Start(from)).and_then(|_| (&file).take(MOST_LOG).read_to_end(&mut text));
    read.is_ok()
        && text.split(|byte| *byte == b'\n').any(|line| pattern.is_match(&String::from_utf8_lossy(line)))
}

/// Starts a line of shell in the surroundings of a service, without its marks: it is no part of it.
fn run(line: &str, order: &Order) -> Result<Pid> {
    match sys::fork().map_err(|errno| Error::system("run", line, errno))? {
        Side::Parent(pid) => Ok(pid),
        Side::Child => {
            sys::reset_signals();
            let there = null_input().and_then(|()| null_output()).and_then(|()| chdir(&order.cwd));
            if there.is_ok() {
                let environment = order.environment.iter().map(|(name, value)| (name.into(), value.into()));
                // It comes back only when there is no shell.
                exec(Path::new("/bin/sh"), &["sh".into(), "-c".into(), line.into()], environment);
            }
            sys::leave(127)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_typed() {
        for text in ["port:8001", "file:a:b", "command:curl -f http://x:1/", "log:listening on :\\d+"] {
            assert!(text.parse::<Ready>().is_ok(), "{text}");
        }
        for text in ["", "port", "port:", "port:0", "port:65536", "port:x", "file:", "log:(", "fd", "http:x"]
        {
            assert!(text.parse::<Ready>().is_err(), "{text} was accepted");
        }
    }
}
