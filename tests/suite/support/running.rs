//! A tool while it runs: served by one thread, so that a test under a private pid namespace starts nobody else.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::output::Output;
use super::process::Id;
use super::scene::unblock;
use super::wait::{Ready, ready};

/// Our ends of what a tool writes to.
#[derive(Default)]
pub(super) struct Pipes {
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
    pub(super) screen: Option<File>,
}

/// Our end of a pipe that a tool writes to.
pub(super) fn source(fd: OwnedFd) -> File {
    unblock(&fd);
    fd.into()
}

/// A tool that has been started.
pub(crate) struct Running {
    pub(super) shown: String,
    pub(super) child: Child,
    pub(super) id: Option<Id>,
    pub(super) handle: Option<File>,
    pub(super) stdin: Option<(File, Vec<u8>, usize)>,
    pub(super) leave_open: bool,
    pub(super) pipes: Pipes,
    pub(super) leaves: Option<usize>,
    pub(super) begun: Instant,
    pub(super) end: Instant,
    pub(super) status: Option<ExitStatus>,
    /// How many bytes of output [`Running::record`] has taken.
    pub(super) taken: usize,
    /// How many bytes of the screen [`Running::wait_for_screen`] has passed.
    pub(super) seen: usize,
    pub(super) output: Output,
    pub(super) _home: Option<TempDir>,
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

    /// Tells whether it has taken all that was written to it out of the pipe.
    pub(crate) fn is_read(&mut self) -> bool {
        self.serve(Duration::ZERO);
        let Some((file, bytes, done)) = &self.stdin else { return false };
        *done == bytes.len() && waiting_in(file) == 0
    }

    /// Presses keys on its terminal.
    #[track_caller]
    pub(crate) fn keys(&mut self, keys: &str) {
        let Some(screen) = &self.pipes.screen else { panic!("{}: not on a terminal", self.shown) };
        (&*screen).write_all(keys.as_bytes()).expect("room for some keys");
    }

    /// Waits until a text stands on its terminal after what was waited for before.
    #[track_caller]
    pub(crate) fn wait_for_screen(&mut self, text: &str) {
        loop {
            let fresh = &self.output.screen[self.seen..];
            let found = fresh.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.seen += at + text.len();
                return;
            }
            assert!(self.status.is_none(), "it ended without showing {text:?}: {:?}", self.output);
            self.serve(Duration::from_millis(100));
        }
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

    /// All records that it has written so far, also those that were taken.
    pub(crate) fn records_so_far(&mut self) -> Vec<Value> {
        self.serve(Duration::ZERO);
        let whole =
            self.output.stdout.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        whole.map(|line| serde_json::from_slice(line).expect("JSON")).collect()
    }

    /// Tells whether it has written such a record.
    pub(crate) fn seen(&mut self, is: impl Fn(&Value) -> bool) -> bool {
        self.records_so_far().iter().any(is)
    }

    /// Tells whether it waits for something to happen: asleep in poll.
    pub(crate) fn waits(&mut self) -> bool {
        self.serve(Duration::ZERO);
        let wait = std::fs::read_to_string(format!("/proc/{}/wchan", self.id().pid)).unwrap_or_default();
        self.id().state() == Some('S') && (wait.contains("poll") || wait == "0")
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
    pub(super) fn serve(&mut self, at_most: Duration) {
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

/// How many bytes wait in a pipe.
#[allow(unsafe_code, reason = "the request has no safe interface among the crates that the tests use")]
fn waiting_in(pipe: &File) -> i32 {
    use std::os::fd::AsRawFd as _;
    let mut count = 0;
    // SAFETY: the request writes one integer, to a place that outlives the call.
    unsafe { nix::libc::ioctl(pipe.as_raw_fd(), nix::libc::FIONREAD, &raw mut count) };
    count
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
