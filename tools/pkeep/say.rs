//! Events as records: on standard output, in a log, and for who wants to know of a failure.

use std::cell::RefCell;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use procherd::error::{Error, Result};
use procherd::record::Line;
use procherd::registry::Scope;
use procherd::supervise::{Event, Happening};
use procherd::sys;
use procherd::table::Shape;
use procherd::text::rfc3339;

use super::Args;
use crate::frame::{Log, Output, Progress, Reporter};

/// Tells of events.
pub(super) struct Sayer {
    output: Output,
    log: Option<Log>,
    on_fail: Option<String>,
    told: Vec<Child>,
    /// What people see meanwhile.
    pub(super) progress: RefCell<Progress>,
}

impl Sayer {
    /// Opens what the options name.
    pub(super) fn open(args: &Args, reporter: &Reporter) -> Result<Self> {
        let output = Output::new(&args.output, Shape::Table);
        let progress = RefCell::new(Progress::new(!args.output.quiet));
        let (log, on_fail) = (args.log.open(reporter)?, args.on_fail.clone());
        Ok(Self { output, log, on_fail, told: Vec::new(), progress })
    }

    /// Tells of one. Nobody to hear it is no reason to keep services no more.
    pub(super) fn event(&mut self, event: &Event, reporter: &mut Reporter) {
        let mut line = Vec::new();
        write(event, &mut line);
        if let Some(log) = &mut self.log {
            log.add(&line);
        }
        let said = self.output.record(|out| out.extend_from_slice(&line)).and_then(|()| self.output.flush());
        if let Err(error) = said {
            reporter.fault(&error);
        }
        if event.what == Happening::Failed
            && let Some(command) = &self.on_fail
        {
            match tell(command, &line) {
                Ok(child) => self.told.push(child),
                Err(error) => reporter.fault(&Error::system("tell of failure", command, error)),
            }
        }
    }

    /// Reaps the commands that have told of a failure.
    pub(super) fn reap(&mut self) {
        self.told.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Ends the output.
    pub(super) fn end(self) -> Result<()> {
        self.output.end()?;
        self.log.map_or(Ok(()), Log::end)
    }
}

/// Runs a line of shell that gets the record, in a process group of its own. It is not waited for.
fn tell(command: &str, line: &[u8]) -> std::io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).process_group(0).stdin(Stdio::piped());
    let mut child = sys::with_own_signals(&mut shell).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A record is far smaller than a pipe, so this waits for no reader; one that reads nothing wants nothing.
        let _ = input.write_all(line);
    }
    Ok(child)
}

fn write(event: &Event, out: &mut Vec<u8>) {
    let mut line = Line::new(out, "event");
    if let Some(id) = &event.identity {
        line.field("pid", &id.pid)
            .known("pidfd_inode", id.inode.as_ref())
            .known("start_ticks", id.start_ticks.as_ref())
            .known("boot_id", id.boot.as_ref())
            .known("pid_ns", id.pid_ns.as_ref())
            .known("host", id.host.as_deref());
    }
    line.field("event", event.what.word()).field("at", &rfc3339(event.at_ms).to_string());
    line.field("service", &event.name).field("scope", event.scope.word());
    match &event.scope {
        Scope::Global => {}
        Scope::Project(path) => {
            line.field("project", path);
        }
        Scope::Session(id) => {
            line.field("session", id);
        }
    }
    line.field("tries", &event.tries).known("why", event.why.as_ref());
    if let Some(pause) = event.pause {
        line.field("pause_ms", &u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    }
    line.end();
}
