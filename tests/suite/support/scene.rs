//! The processes of a test: started, known by identity, and all ended with it.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Id, carriers, living};
use super::tool::Tool;
use super::wait::{Ready, SOON, dead_within, ready, wait_until, waited};
use super::{actor_program, tool};

/// The stage of one test: a private home, and a mark in the environment of all that is started here.
pub(crate) struct Scene {
    home: TempDir,
}

impl Scene {
    /// Sets up an empty stage.
    pub(crate) fn new() -> Self {
        Self { home: TempDir::with_prefix("procherd-test-").expect("a temporary folder") }
    }

    /// The private folder of this test.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where tools of this test keep their registry.
    pub(crate) fn registry(&self) -> PathBuf {
        tool::registry_in(self.home())
    }

    /// A tool that shares the home of this test, and with it the registry.
    pub(crate) fn tool(&self, name: &str) -> Tool {
        Tool::new(name, self.home())
    }

    /// A script of the shell with the tools on its PATH.
    pub(crate) fn sh(&self, script: &str) -> Tool {
        Tool::shell(script, self.home())
    }

    /// Starts an actor and waits until it is as it is meant to be.
    #[track_caller]
    pub(crate) fn start<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Actor {
        self.actor(words).start()
    }

    /// An actor that is about to be started.
    pub(crate) fn actor<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Part {
        let mut command = Command::new(actor_program());
        command.args(words).env("PROCHERD_TEST", self.home()).current_dir(self.home());
        for name in tool::OURS {
            command.env_remove(name);
        }
        Part { command, deadline: SOON }
    }

    /// The living processes that carry the mark of this scene, whoever their parents are now.
    pub(crate) fn carriers(&self) -> Vec<Id> {
        carriers(&format!("PROCHERD_TEST={}", self.home().display()))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Life lines are closed by now. What is left was stopped, or was forked by what has been killed.
        let end_all = || {
            let left = self.carriers();
            for id in &left {
                id.signal(Signal::SIGKILL);
            }
            left.is_empty()
        };
        waited(SOON, end_all);
        unmount_below(self.home());
    }
}

/// Unmounts what a test has mounted below a folder. The folder is about to be removed with all that is in it, and what
/// shows through a mount belongs to others. Where that cannot be done nothing is removed: this process ends.
fn unmount_below(folder: &Path) {
    let mounted = || {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let places = table.lines().filter_map(|line| line.split(' ').nth(4).map(PathBuf::from));
        places.filter(|place| place.starts_with(folder)).collect::<Vec<_>>()
    };
    for place in mounted().iter().rev() {
        let _ = nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH);
    }
    if !mounted().is_empty() {
        // Nothing better can be done with a closed standard error.
        let _ = writeln!(std::io::stderr(), "cannot unmount {:?}: {} stays", mounted(), folder.display());
        std::process::abort();
    }
}

/// An actor that is about to be started.
pub(crate) struct Part {
    command: Command,
    deadline: Duration,
}

impl Part {
    /// Adds to its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it in another folder.
    pub(crate) fn cwd(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it another name in its own argument vector.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.command.arg0(name);
        self
    }

    /// Lets it take longer to be ready.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it. Where all numbers are taken for a moment, as in an arena of few, it waits for one.
    #[track_caller]
    fn spawn(&mut self) -> Child {
        let (mut started, mut why) = (None, None);
        waited(self.deadline, || match self.command.spawn() {
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EAGAIN as i32) => false,
            Ok(child) => started.replace(child).is_none(),
            Err(error) => why.replace(error).is_none(),
        });
        started.unwrap_or_else(|| panic!("{:?}: {why:?}", self.command))
    }

    /// Starts it and waits until it is as it is meant to be.
    #[track_caller]
    pub(crate) fn start(mut self) -> Actor {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = self.spawn();
        let lines = Lines::of(child.stdout.take().expect("a pipe").into());
        let life_line = child.stdin.take();
        let mut actor = Actor { child: RefCell::new(child), life_line, lines, members: Vec::new() };
        actor.meet_all(Instant::now() + self.deadline, &format!("{:?}", self.command));
        actor
    }
}

/// One process that an actor has made, itself included.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) role: String,
    pub(crate) id: Id,
    /// All that it said of itself.
    pub(crate) line: Value,
}

/// A started actor: all its processes end with this value.
pub(crate) struct Actor {
    child: RefCell<Child>,
    life_line: Option<ChildStdin>,
    lines: Lines,
    pub(crate) members: Vec<Member>,
}

impl Actor {
    /// Reads lines until all processes have announced themselves, and waits until they are what they announced.
    #[track_caller]
    fn meet_all(&mut self, end: Instant, command: &str) {
        let mut expected = 1;
        while self.members.len() < expected {
            let line = self.lines.next(end).unwrap_or_else(|| {
                let met: Vec<_> = self.members.iter().map(|member| &member.line).collect();
                let state = self.child.borrow_mut().try_wait();
                panic!("{command}: {} of {expected} lines: {met:?}; the actor: {state:?}", met.len())
            });
            let id = Id::in_record(&line).unwrap_or_else(|| panic!("{command}: no identity in {line}"));
            expected += usize::try_from(line["more"].as_u64().unwrap_or(0)).unwrap_or(0);
            self.members.push(Member { role: line["role"].as_str().unwrap_or("").into(), id, line });
        }
        for member in &self.members {
            let Some(settles) = member.line.get("settles").and_then(Value::as_str) else { continue };
            wait_until(SOON, &format!("{} is {settles}", member.line), || {
                // The root is our child: it is gone when we have reaped it.
                let _ = self.child.borrow_mut().try_wait();
                match settles {
                    "gone" => !member.id.alive(),
                    state => member.id.state() == state.chars().next(),
                }
            });
        }
    }

    /// The first process.
    pub(crate) fn root(&self) -> Id {
        self.members[0].id
    }

    /// The only process in a role.
    #[track_caller]
    pub(crate) fn one(&self, role: &str) -> Id {
        let all = self.all(role);
        assert_eq!(all.len(), 1, "{} processes are '{role}' in {:?}", all.len(), self.members);
        all[0]
    }

    /// All processes in a role.
    pub(crate) fn all(&self, role: &str) -> Vec<Id> {
        self.members.iter().filter(|member| member.role == role).map(|member| member.id).collect()
    }

    /// All processes that it has announced.
    pub(crate) fn ids(&self) -> Vec<Id> {
        self.members.iter().map(|member| member.id).collect()
    }

    /// Those that live.
    pub(crate) fn living(&self) -> Vec<Id> {
        living(&self.ids())
    }

    /// A fact that the first process gave with its line.
    pub(crate) fn fact(&self, name: &str) -> u64 {
        self.members[0].line[name].as_u64().unwrap_or_else(|| panic!("no {name} in {:?}", self.members[0]))
    }

    /// The next event of this kind; events of other kinds before it are passed over.
    #[track_caller]
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        let end = Instant::now() + SOON;
        loop {
            let line = self.lines.next(end).unwrap_or_else(|| panic!("no event '{kind}' within {SOON:?}"));
            if line["event"] == kind {
                return line;
            }
        }
    }

    /// The events that have been written so far and not been taken.
    pub(crate) fn events(&mut self) -> Vec<Value> {
        let now = Instant::now();
        std::iter::from_fn(|| self.lines.next(now)).collect()
    }

    /// Tells whether no process of this actor is left at all, announced or not.
    ///
    /// The kernel's own word: nobody has the life line open any more. Only dead processes do not.
    pub(crate) fn nobody_left(&self) -> bool {
        let Some(life_line) = &self.life_line else { return self.living().is_empty() };
        let mut fds = [PollFd::new(life_line.as_fd(), PollFlags::empty())];
        ready(&mut fds, Instant::now()) == Ready::Yes
    }

    /// Fails the test unless nobody is left of this actor.
    #[track_caller]
    pub(crate) fn assert_nobody_left(&self) {
        assert!(
            self.nobody_left(),
            "left of the actor: {:?} (or some that it never announced)",
            self.living()
        );
    }

    /// Fails the test unless all processes that it announced live, but those that had died before.
    #[track_caller]
    pub(crate) fn assert_untouched(&mut self) {
        for member in &self.members {
            let doomed = member.line.get("settles").is_some_and(|state| state == "gone" || state == "Z");
            assert!(doomed || member.id.alive(), "an innocent has died: {}", member.line);
        }
        let events = self.events();
        assert!(events.is_empty(), "an innocent was signalled: {events:?}");
    }

    /// Reaps the first process if it has died; its exit status.
    pub(crate) fn reap(&self) -> Option<std::process::ExitStatus> {
        self.child.borrow_mut().try_wait().expect("our own child")
    }

    /// Closes the life line: all processes of the actor end by themselves.
    pub(crate) fn close(&mut self) {
        self.life_line = None;
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.close();
        for id in self.ids() {
            id.signal(Signal::SIGKILL);
        }
        let left = dead_within(SOON, &self.ids());
        let _ = self.child.borrow_mut().wait();
        assert!(left.is_empty() || std::thread::panicking(), "could not end {left:?}");
    }
}

/// Lines of JSON from a pipe, read up to a deadline.
pub(crate) struct Lines {
    pipe: File,
    rest: Vec<u8>,
}

impl Lines {
    /// Reads from a pipe, without ever blocking in a read.
    pub(crate) fn of(pipe: OwnedFd) -> Self {
        unblock(&pipe);
        Self { pipe: pipe.into(), rest: Vec::new() }
    }

    /// The next line, none when the time is over or the pipe has ended.
    pub(crate) fn next(&mut self, end: Instant) -> Option<Value> {
        loop {
            if let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=at).collect();
                let text = String::from_utf8_lossy(&line);
                return Some(
                    serde_json::from_str(&text).unwrap_or_else(|why| panic!("not JSON: {text:?}: {why}")),
                );
            }
            let mut block = [0; 8192];
            match self.pipe.read(&mut block) {
                Ok(0) => return None,
                Ok(count) => self.rest.extend_from_slice(&block[..count]),
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
                    if ready(&mut fds, end) == Ready::TooLate {
                        return None;
                    }
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => panic!("read an actor's line: {why}"),
            }
        }
    }
}

/// Makes reads and writes of a descriptor return at once.
pub(crate) fn unblock(fd: &OwnedFd) {
    let flags =
        fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain).expect("flags of our own descriptor");
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("flags of our own descriptor");
}

/// Bytes as one word of a command line, UTF-8 or not.
pub(crate) fn raw(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}
