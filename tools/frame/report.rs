//! Diagnostics and exit codes.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use procherd::error::{Error, Kind};
use procherd::text::visible;

/// How a tool ends. The worst thing that happened decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done, or looked and can say so.
    Done,
    /// 1: the answer is no.
    No,
    /// 124: out of time.
    TimedOut,
    /// 2: misuse, or a refused request.
    Misuse,
    /// 3: something failed and was reported.
    Failed,
    /// Of a tool that runs a command: the command's own code, or 125 to 127 where it could not be run.
    Command(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Misuse => 2,
            Self::Failed => 3,
            Self::TimedOut => 124,
            Self::Command(code) => code,
        }
    }

    /// The exit that a failure asks for: misuse and refusals are the caller's to mend, the rest is not.
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::Invalid | Kind::Refused => Self::Misuse,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Writes diagnostics to standard error, one line each, and remembers the worst.
#[derive(Debug)]
pub struct Reporter {
    tool: &'static str,
    quiet: bool,
    worst: Exit,
    /// What has been said, where nothing is said twice.
    said: Option<HashSet<String>>,
}

impl Reporter {
    /// Reports for a tool.
    pub fn new(tool: &'static str) -> Self {
        Self { tool, quiet: false, worst: Exit::Done, said: None }
    }

    /// Leaves out notes. Failures are always said.
    pub fn be_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Says nothing twice: for tools that look again and again.
    pub fn say_once(&mut self) {
        self.said.get_or_insert_default();
    }

    /// The name of the tool.
    pub fn tool(&self) -> &'static str {
        self.tool
    }

    /// Says a failure, and lets it count.
    pub fn fail(&mut self, error: &Error) {
        self.say(error);
        self.count(Exit::of(error));
    }

    /// Says a failure that does not stop the tool but must not look like success.
    pub fn fault(&mut self, error: &Error) {
        self.say(error);
        self.count(Exit::Failed);
    }

    /// Says that the answer is no: what was asked for does not exist.
    pub fn absent(&mut self, error: &Error) {
        self.say(error);
        self.count(Exit::No);
    }

    /// Says that time ran out, and lets it count.
    pub fn late(&mut self, error: &Error) {
        self.say(error);
        self.count(Exit::TimedOut);
    }

    /// Says a bad line of the input.
    pub fn bad_line(&mut self, number: usize, why: impl Display) {
        self.say(format_args!("read records: line {number}: {why}"));
        self.count(Exit::Failed);
    }

    /// Says something that is no failure, unless asked to be quiet.
    pub fn note(&mut self, what: impl Display) {
        if !self.quiet {
            self.say(what);
        }
    }

    /// Lets an exit count.
    pub fn count(&mut self, exit: Exit) {
        self.worst = self.worst.max(exit);
    }

    /// The worst so far.
    pub fn worst(&self) -> Exit {
        self.worst
    }

    /// Writes one line. Text of processes may be in it, so nothing that moves a cursor passes.
    fn say(&mut self, what: impl Display) {
        let line = format!("{}: {}\n", self.tool, visible(what.to_string().as_bytes()));
        if self.said.as_mut().is_some_and(|said| !said.insert(line.clone())) {
            return;
        }
        super::progress::clear();
        // Nobody is left to tell when standard error is closed.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let mut reporter = Reporter::new("test");
        reporter.count(Exit::Failed);
        reporter.count(Exit::No);
        assert_eq!(reporter.worst().code(), 3);
    }
}
