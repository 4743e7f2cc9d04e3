//! Running a tool as a user does, and all that can be asked of what it did.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde_json::Value;
use tempfile::TempDir;

use super::output::Output;
use super::process::{Id, pidfd_open};
use super::running::{Pipes, Running, source};
use super::scene::unblock;
use super::terminal::Terminal;
use super::{actor_program, programs};

/// The environment variables that change what a tool does; no test inherits them.
pub(crate) const OURS: &[&str] = &[
    "PROCHERD_REGISTRY",
    "PROCHERD_SESSION",
    "PROCHERD_SESSION_OWNER",
    "PROCHERD_PROJECT",
    "PROCHERD_ID",
    "PROCHERD_SERVICE",
    "PROCHERD_KEEP",
    "CLAUDE_SESSION_ID",
    "CODING_REPO",
    "NO_COLOR",
    "CLICOLOR_FORCE",
];

/// The registry of a home, where a tool looks for it by itself.
pub(crate) fn registry_in(home: &Path) -> PathBuf {
    home.join("state/procherd/registry.json")
}

/// A tool with a home of its own, for tests that need no scene.
pub(crate) fn tool(name: &str) -> Tool {
    let home = TempDir::with_prefix("procherd-test-").expect("a temporary folder");
    let mut tool = Tool::new(name, home.path());
    tool.own_home = Some(home);
    tool
}

/// A command that is about to be run.
pub(crate) struct Tool {
    command: Command,
    shown: Vec<OsString>,
    stdin: Input,
    output: Reader,
    terminal: Option<Terminal>,
    deadline: Duration,
    own_home: Option<TempDir>,
}

/// What standard input is.
enum Input {
    /// At its end from the start, as under cron.
    Null,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// A pipe that [`Running::write`] fills and [`Running::close`] ends.
    Open,
    /// A file, or whatever else a descriptor may be.
    From(Stdio),
}

/// Who reads standard output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Somebody who reads it all.
    Patient,
    /// Somebody who leaves after so many bytes; with 0 he has left before the tool begins.
    Leaves(usize),
    /// Nobody: the disk is full.
    FullDevice,
}

impl Tool {
    /// A tool of the suite, at home in a folder.
    pub(crate) fn new(name: &str, home: &Path) -> Self {
        Self::running(programs().join(name).as_os_str(), home).word(name)
    }

    /// A script of the shell with the tools on its PATH.
    pub(crate) fn shell(script: &str, home: &Path) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut path: Vec<PathBuf> = std::env::split_paths(&path).collect();
        path.insert(0, programs().to_owned());
        let path = std::env::join_paths(path).expect("a path");
        Self::running(OsStr::new("/bin/sh"), home).env("PATH", path).word("sh").args(["-c", script])
    }

    fn running(program: &OsStr, home: &Path) -> Self {
        let mut command = Command::new(program);
        for name in OURS {
            command.env_remove(name);
        }
        command.env("HOME", home).env("XDG_STATE_HOME", home.join("state"));
        command.env("PROCHERD_REGISTRY", registry_in(home)).env("PROCHERD_TEST", home);
        Self {
            command,
            shown: Vec::new(),
            stdin: Input::Null,
            output: Reader::Patient,
            terminal: None,
            deadline: Duration::from_mins(1),
            own_home: None,
        }
    }

    fn word(mut self, word: impl Into<OsString>) -> Self {
        self.shown.push(word.into());
        self
    }

    /// Adds words to the command line.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        for word in words {
            self.command.arg(&word);
            self.shown.push(word.as_ref().to_owned());
        }
        self
    }

    /// Adds one word to the command line.
    pub(crate) fn arg(self, word: impl AsRef<OsStr>) -> Self {
        self.args([word])
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it in another folder.
    pub(crate) fn cwd(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it these bytes to read.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Input::Bytes(bytes.into());
        self
    }

    /// Gives it records to read, one a line.
    pub(crate) fn records<'a>(self, records: impl IntoIterator<Item = &'a Value>) -> Self {
        let lines: Vec<String> = records.into_iter().map(Value::to_string).collect();
        self.stdin(lines.join("\n") + "\n")
    }

    /// Gives it a pipe that stays open until it is closed.
    pub(crate) fn stdin_open(mut self) -> Self {
        self.stdin = Input::Open;
        self
    }

    /// Gives it a file or another descriptor to read.
    pub(crate) fn stdin_from(mut self, source: impl Into<Stdio>) -> Self {
        self.stdin = Input::From(source.into());
        self
    }

    /// Lets the reader of its output leave after so many bytes, with 0 before it begins.
    pub(crate) fn reader_leaves_after(mut self, bytes: usize) -> Self {
        self.output = Reader::Leaves(bytes);
        self
    }

    /// Writes its output to a device that is always full.
    pub(crate) fn output_full(mut self) -> Self {
        self.output = Reader::FullDevice;
        self
    }

    /// Runs it on a terminal. What the terminal shows is in [`Output::screen`].
    pub(crate) fn on(mut self, terminal: Terminal) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// Runs it under limits: the words are options of the actor's mode `under`.
    pub(crate) fn under<S: AsRef<OsStr>>(mut self, limits: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(actor_program());
        command
            .arg("under")
            .args(limits)
            .arg("--")
            .arg(self.command.get_program())
            .args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        self.command = command;
        self
    }

    /// Lets it take longer, or less long, before the test fails.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Output {
        self.start().finish()
    }

    /// Starts it.
    #[track_caller]
    pub(crate) fn start(self) -> Running {
        start_all(vec![self]).pop().expect("one command")
    }

    /// Starts it between two ends that are chosen already.
    #[track_caller]
    fn start_between(mut self, input: Option<OwnedFd>, output: Option<OwnedFd>) -> Running {
        let shown =
            self.shown.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        let mut pipes = Pipes::default();
        let (mut stdin, mut leave_open) = (None, false);
        let theirs: Stdio = match (input, self.stdin) {
            (Some(end), _) => end.into(),
            (None, Input::Null) => Stdio::null(),
            (None, Input::From(source)) => source,
            (None, source) => {
                let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
                unblock(&ours);
                leave_open = matches!(source, Input::Open);
                let bytes = if let Input::Bytes(bytes) = source { bytes } else { Vec::new() };
                stdin = Some((File::from(ours), bytes, 0));
                theirs.into()
            }
        };
        self.command.stdin(theirs);
        let theirs: Stdio = match (output, self.output) {
            (Some(end), _) => end.into(),
            (None, Reader::FullDevice) => {
                File::options().write(true).open("/dev/full").expect("the full device").into()
            }
            (None, reader) => {
                let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
                pipes.stdout = (reader != Reader::Leaves(0)).then(|| source(ours));
                theirs.into()
            }
        };
        self.command.stdout(theirs);
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        self.command.stderr(theirs);
        pipes.stderr = Some(source(ours));
        if let Some(terminal) = self.terminal.take() {
            pipes.screen =
                Some(source(terminal.attach(&mut self.command, &mut pipes.stdout, &mut pipes.stderr)));
        }
        let begun = Instant::now();
        let child = self.command.spawn().unwrap_or_else(|why| panic!("{shown}: {why}"));
        let id = Id::of(child.id());
        let handle = pidfd_open(child.id()).ok();
        // The child's ends are held by the command until it is dropped.
        drop(self.command);
        let leaves = if let Reader::Leaves(bytes) = self.output { Some(bytes) } else { None };
        Running {
            shown,
            child,
            id,
            handle,
            stdin,
            leave_open,
            pipes,
            leaves,
            begun,
            end: begun + self.deadline,
            status: None,
            taken: 0,
            seen: 0,
            output: Output::default(),
            _home: self.own_home,
        }
    }
}

/// Starts commands, the output of each being the input of the next.
#[track_caller]
fn start_all(tools: Vec<Tool>) -> Vec<Running> {
    let last = tools.len() - 1;
    let mut input = None;
    let start = |(at, tool): (usize, Tool)| {
        let (next, output) = if at < last {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
            (Some(read), Some(write))
        } else {
            (None, None)
        };
        let running = tool.start_between(input.take(), output);
        input = next;
        running
    };
    tools.into_iter().enumerate().map(start).collect()
}

/// Runs commands as a pipeline; what each one did, in order. Only the last one's output is kept.
#[track_caller]
pub(crate) fn pipe(tools: impl IntoIterator<Item = Tool>) -> Vec<Output> {
    let mut all = start_all(tools.into_iter().collect());
    // All are served in turn: one that waits for another must not starve it.
    let mut open = true;
    while open {
        open = false;
        for running in &mut all {
            if running.status.is_none() {
                running.serve(Duration::from_millis(5));
                open = true;
            }
        }
    }
    all.into_iter().map(Running::finish).collect()
}

mod tests {
    use super::*;
    use crate::support::{SOON, Scene, wait_until};

    #[test]
    fn what_a_command_said_and_how_it_ended_is_known() {
        let scene = Scene::new();
        let said = scene.sh("cat; echo two >&2; exit 7").stdin("one\n").run();
        assert_eq!((said.text(), said.stderr.as_str(), said.code), ("one\n", "two\n", Some(7)));
        let killed = scene.sh("kill -TERM $$").run();
        assert_eq!((killed.code, killed.signal), (None, Some(15)));
    }

    #[test]
    fn a_megabyte_goes_through_without_a_standstill() {
        let scene = Scene::new();
        let all = "0123456789abcde\n".repeat(1 << 16);
        let three = || [scene.sh("cat").stdin(all.as_str()), scene.sh("cat"), scene.sh("tee /dev/stderr")];
        let last = pipe(three()).pop().expect("three commands");
        assert_eq!((last.stdout.len(), last.stderr.len(), last.code), (all.len(), all.len(), Some(0)));
    }

    #[test]
    fn a_terminal_is_one_and_has_a_size() {
        let scene = Scene::new();
        let script = "test -t 0 && test -t 1 && test ! -t 2 && stty size";
        let said = scene.sh(script).on(Terminal::new(77, 33).input().output()).run().ended(0);
        assert_eq!(String::from_utf8_lossy(&said.screen), "33 77\r\n");
    }

    #[test]
    fn a_reader_can_leave_early_or_be_a_full_disk() {
        let scene = Scene::new();
        assert_eq!(scene.sh("exec yes").reader_leaves_after(100_000).run().signal, Some(13));
        assert_eq!(scene.sh("exec yes").reader_leaves_after(0).run().signal, Some(13));
        scene.sh("exec cat /proc/self/stat").output_full().run().ended(1).said("No space left");
    }

    #[test]
    fn limits_hold_for_the_command() {
        let scene = Scene::new();
        let said = scene.sh("ulimit -n; id -u").under(["--nofile", "17", "--fsize", "100000"]).run().ended(0);
        assert!(said.text().starts_with("17\n"));
    }

    #[test]
    fn a_running_command_can_be_talked_to() {
        let scene = Scene::new();
        let mut running =
            scene.sh("read a; echo \"{\\\"got\\\":\\\"$a\\\"}\"; echo ready >&2; cat").stdin_open().start();
        running.write("x\n");
        assert_eq!(running.record(), Some(serde_json::json!({"got": "x"})));
        running.wait_for_message("ready");
        assert!(running.runs());
        running.close();
        wait_until(SOON, "cat has seen the end", || !running.runs());
        running.finish().ended(0);
    }
}
