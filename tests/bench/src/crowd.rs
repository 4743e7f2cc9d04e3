//! Idle processes to look at or to end: see `crowd.c`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::time::{ClockId, clock_gettime};

use crate::tools::Tools;

/// What kind of crowd.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// `wide`, `chain` or `bushy`.
    pub(crate) shape: &'a str,
    /// How many members its tree has.
    pub(crate) count: usize,
    /// How many more have lost their parent.
    pub(crate) orphans: usize,
    /// Whether they end at SIGTERM.
    pub(crate) polite: bool,
    /// The cgroup that they move to.
    pub(crate) cgroup: Option<&'a Path>,
}

/// Processes that are there. They end when this is dropped, and when we die.
pub(crate) struct Crowd {
    keeper: Child,
    lines: BufReader<ChildStdout>,
    root: u32,
}

/// What every member has in its command line; our own command lines do not hold it.
pub(crate) const MARK: &str = "crowdmbr";

/// What those without parent have in its place.
pub(crate) const ORPHANED: &str = "orphaned";

impl Crowd {
    /// Makes a crowd and waits until all are there.
    pub(crate) fn gather(tools: &Tools, plan: Plan<'_>) -> Result<Self, String> {
        let mut keeper = Command::new(tools.helper("crowd"))
            .args([plan.shape, &plan.count.to_string(), &plan.orphans.to_string()])
            .arg(if plan.polite { "1" } else { "0" })
            .arg(plan.cgroup.unwrap_or(Path::new("-")))
            .args(["node", "/srv/app/node_modules/.bin/vite", "--port", "________-0000000"])
            .env("CROWD_MARK", MARK)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("start: crowd: {error}"))?;
        let output = keeper.stdout.take().ok_or("start: crowd: it has no output")?;
        let mut crowd = Self { keeper, lines: BufReader::new(output), root: 0 };
        crowd.root = crowd.says("ready")?.try_into().map_err(|_| "start: crowd: no process number")?;
        Ok(crowd)
    }

    /// The process that all members of the tree descend from.
    pub(crate) fn root(&self) -> u32 {
        self.root
    }

    /// Waits until no member is left, and gives that moment in nanoseconds of [`now`].
    pub(crate) fn gone(mut self) -> Result<u64, String> {
        self.says("gone")
    }

    fn says(&mut self, what: &str) -> Result<u64, String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).map_err(|error| format!("read: crowd: {error}"))?;
        line.strip_prefix(what)
            .and_then(|rest| rest.trim().parse().ok())
            .ok_or_else(|| format!("wait for: crowd: it said '{}', not {what}", line.trim()))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The monotonic clock in nanoseconds, the same for all processes.
pub(crate) fn now() -> u64 {
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return 0 };
    time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs()
}
