//! Running a tool as a user does, and all that can be asked of what it did.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::unistd::pipe2;
use serde_json::Value;
use tempfile::TempDir;

use super::output::Output;
use super::process::{Id, pidfd_open};
use super::scene::unblock;
use super::terminal::Terminal;
use super::wait::{Ready, ready};
use super::{actor_program, programs};

/// The environment variables that change what a tool does; no test inherits them.
pub(crate) const OURS: &[&str] = &[
    "PROCHERD_REGISTRY",
    "PROCHERD_SESSION",
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

#[derive(Default)]
pub(crate) struct Pipes {
    stdout: Option<File>,
    stderr: Option<File>,
    screen: Option<File>,
}

fn source(fd: OwnedFd) -> File {
    unblock(&fd);
    fd.into()
}

/// A tool that has been started.
pub(crate) struct Running {
    shown: String,
    child: Child,
    id: Option<Id>,
    handle: Option<File>,
    stdin: Option<(File, Vec<u8>, usize)>,
    leave_open: bool,
    pipes: Pipes,
    leaves: Option<usize>,
    begun: Instant,
    end: Instant,
    status: Option<ExitStatus>,
    /// How many bytes of output [`Running::record`] has taken.
    taken: usize,
    output: Output,
    _home: Option<TempDir>,
}

impl Running {
    /// Which process it is.
    pub(crate) fn id(&self) -> Id {
        self.id.expect("it was alive when it was started")
    }

    /// Tells whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.serve(Duration::ZERO);
        self.status.is_none()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.id().signal(signal);
    }

    /// Writes to its standard input.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let Some((_, waiting, _)) = &mut self.stdin else { panic!("{}: input is closed", self.shown) };
        waiting.extend_from_slice(bytes.as_ref());
        self.serve(Duration::ZERO);
    }

    /// Ends its standard input once all has been read.
    pub(crate) fn close(&mut self) {
        self.leave_open = false;
        self.serve(Duration::ZERO);
    }

    /// The next record that it writes, none when it ends without one.
    #[track_caller]
    pub(crate) fn record(&mut self) -> Option<Value> {
        loop {
            let fresh = &self.output.stdout[self.taken..];
            if let Some(length) = fresh.iter().position(|byte| *byte == b'\n') {
                let line = &fresh[..length];
                let value = serde_json::from_slice(line)
                    .unwrap_or_else(|why| panic!("not JSON: {}: {why}", String::from_utf8_lossy(line)));
                self.taken += length + 1;
                return Some(value);
            }
            if self.status.is_some() {
                return None;
            }
            self.serve(Duration::from_millis(100));
        }
    }

    /// Waits until a text stands on its standard error.
    #[track_caller]
    pub(crate) fn wait_for_message(&mut self, text: &str) {
        while !self.output.stderr.contains(text) {
            assert!(self.status.is_none(), "it ended without saying {text:?}: {:?}", self.output);
            self.serve(Duration::from_millis(100));
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Output {
        self.leave_open = false;
        while self.status.is_none() {
            self.serve(Duration::from_secs(1));
        }
        std::mem::take(&mut self.output)
    }

    /// Moves what can be moved, waiting for it at most so long, and notices the end.
    #[track_caller]
    fn serve(&mut self, at_most: Duration) {
        if self.status.is_some() {
            return;
        }
        if !self.leave_open && self.stdin.as_ref().is_some_and(|(_, bytes, done)| *done == bytes.len()) {
            self.stdin = None;
        }
        let writing = self.stdin.as_ref().filter(|(_, bytes, done)| *done < bytes.len());
        let (input, output) = (PollFlags::POLLOUT, PollFlags::POLLIN);
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        fds.extend(self.handle.iter().map(|file| PollFd::new(file.as_fd(), output)));
        fds.extend(writing.map(|(file, ..)| PollFd::new(file.as_fd(), input)));
        let Pipes { stdout, stderr, screen } = &self.pipes;
        fds.extend(
            [stdout, stderr, screen].into_iter().flatten().map(|file| PollFd::new(file.as_fd(), output)),
        );
        // Without handles the end is seen by looking.
        let at_most = if self.handle.is_some() { at_most } else { at_most.min(Duration::from_millis(5)) };
        let waited = ready(&mut fds, (Instant::now() + at_most).min(self.end));
        drop(fds);
        self.write_some();
        // Asked before the last look at the pipes: what a process wrote before its end is in them by now.
        let status = self.child.try_wait().expect("our own child");
        self.read_some();
        if let Some(status) = status {
            self.status = Some(status);
            self.output.code = status.code();
            self.output.signal = status.signal();
            self.output.elapsed = self.begun.elapsed();
            self.output.shown = std::mem::take(&mut self.shown);
        } else if waited == Ready::TooLate && Instant::now() >= self.end {
            let _ = self.child.kill();
            panic!("{}: has not ended after {:?}: {:?}", self.shown, self.begun.elapsed(), self.output);
        }
    }

    fn write_some(&mut self) {
        let Some((file, bytes, done)) = &mut self.stdin else { return };
        match file.write(&bytes[*done..]) {
            Ok(count) => *done += count,
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // It does not want to read more, which is its right.
            Err(_) => self.stdin = None,
        }
    }

    fn read_some(&mut self) {
        drain(&mut self.pipes.stdout, &mut self.output.stdout);
        let mut said = Vec::new();
        drain(&mut self.pipes.stderr, &mut said);
        self.output.stderr.push_str(&String::from_utf8_lossy(&said));
        drain(&mut self.pipes.screen, &mut self.output.screen);
        if self.leaves.is_some_and(|bytes| self.output.stdout.len() >= bytes) {
            self.pipes.stdout = None;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads all that is there; a source that has ended becomes none.
fn drain(source: &mut Option<File>, into: &mut Vec<u8>) {
    while let Some(file) = source {
        let mut block = [0; 8192];
        match file.read(&mut block) {
            Ok(0) => *source = None,
            Ok(count) => into.extend_from_slice(&block[..count]),
            Err(why) if why.kind() == ErrorKind::WouldBlock => return,
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            // A terminal says EIO when nobody is left on its other side.
            Err(_) => *source = None,
        }
    }
}
