//! `psession`: nothing that a command started survives it, whichever half is killed; and nobody notices it otherwise.

mod caller;
mod ends;
mod house;
mod isolate;
mod terminal;

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::pipe2;

use crate::support::running::Running;
use crate::support::scene::unblock;
use crate::support::tool::Tool;
use crate::support::wait::{Ready, ready, waited};
use crate::support::{Id, SOON, Scene, actor_program, wait_until};

/// How many rounds a test takes that tries the same again and again: more with `PROCHERD_ROUNDS`.
fn rounds(few: usize) -> usize {
    std::env::var("PROCHERD_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// An actor in a session, and the life line that all its processes hold, psession's own two included.
struct Play {
    running: Running,
    life_line: OwnedFd,
    /// The processes that have announced themselves.
    ids: Vec<Id>,
}

impl Play {
    /// Starts it without waiting for anything.
    fn begin(scene: &Scene, options: &[&str], words: &[&str]) -> Self {
        Self::of(scene.tool("psession").args(options).arg("--").arg(actor_program()).args(words))
    }

    /// Starts an actor whose first process does not stay below a command that does.
    #[track_caller]
    fn beside(scene: &Scene, options: &[&str], words: &[&str]) -> Self {
        let script = "exec 3<&0; \"$@\" <&3 3<&- & read line";
        let tool = scene.tool("psession").args(options).args(["--", "sh", "-c", script, "sh"]);
        Self::of(tool.arg(actor_program()).args(words)).met()
    }

    fn of(tool: Tool) -> Self {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        unblock(&ours);
        // The leader of a session and of a group, so that a signal to its group does not reach the test.
        let running = tool.under(["--setsid"]).stdin_from(File::from(theirs)).start();
        Self { running, life_line: ours, ids: Vec::new() }
    }

    /// Starts it and waits until every process has announced itself.
    #[track_caller]
    fn start(scene: &Scene, options: &[&str], words: &[&str]) -> Self {
        Self::begin(scene, options, words).met()
    }

    #[track_caller]
    fn met(mut self) -> Self {
        let mut expected = 1;
        while self.ids.len() < expected {
            let line = self.running.record().expect("the line of an actor");
            expected += usize::try_from(line["more"].as_u64().unwrap_or(0)).unwrap_or(0);
            self.ids.push(Id::in_record(&line).expect("an identity"));
        }
        self
    }

    fn guardian(&self) -> Id {
        self.running.id()
    }

    /// The other half: the only child of the first.
    #[track_caller]
    fn worker(&self) -> Id {
        let worker = child_of(self.guardian()).expect("a child");
        assert_ne!(self.ids.first(), Some(&worker), "the command is the worker's child");
        worker
    }

    /// Tells whether nobody is left who could hold the life line: neither psession nor anything that it started.
    fn nobody_left(&self) -> bool {
        let mut fds = [PollFd::new(self.life_line.as_fd(), PollFlags::empty())];
        ready(&mut fds, Instant::now()) == Ready::Yes
    }

    /// Waits until nobody is left; fails the test with those that are.
    #[track_caller]
    fn wait_nobody_left(&mut self, within: Duration, after: &str) {
        let end = Instant::now() + within;
        while !self.nobody_left() {
            if Instant::now() >= end {
                let left: Vec<_> = self.ids.iter().filter(|id| id.alive()).collect();
                panic!("left {within:?} after {after}: {left:?}, or some that were never announced");
            }
            // Its output has to be read, or the actors wait for it.
            self.running.runs();
            waited(Duration::from_millis(2), || false);
        }
    }
}

/// The first child of a process.
fn child_of(parent: Id) -> Option<Id> {
    let list = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.pid)).ok()?;
    list.split_whitespace().next().and_then(|pid| Id::of(pid.parse().ok()?))
}

/// The process of a scene that runs a program with an argument.
#[track_caller]
fn wait_for_process(scene: &Scene, line: &str) -> Id {
    let wanted: Vec<u8> = line.split(' ').flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let mut found = None;
    wait_until(SOON, &format!("'{line}' runs"), || {
        let is_it = |id: &Id| std::fs::read(format!("/proc/{}/cmdline", id.pid)).is_ok_and(|is| is == wanted);
        found = scene.carriers().into_iter().find(is_it);
        found.is_some()
    });
    found.expect("found")
}
