//! How a process of the scene begins, lives and ends.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::fs::MetadataExt as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, getpid, getppid, getsid};

use crate::Played;
use crate::cast::{Cast, OnTerm, Reaps, Then};
use crate::sys;

/// The signals that an actor which wants none of them keeps away.
const POLITE: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// The signals that a witness tells of: all that can be caught and that arrive from outside.
const TOLD: [Signal; 8] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
];

/// What has happened to a process that waits.
pub(crate) enum Next {
    /// The life line was closed, or the time is over.
    End,
    /// Some children have died: they are reaped, unless the actor reaps by the clock.
    Children(Vec<WaitStatus>),
    /// A signal arrived that the actor handles itself.
    Signal(Signal),
    /// The time that the caller gave has passed.
    Tick,
}

/// A process that has been announced and now waits for what comes.
pub(crate) struct Life<'a> {
    cast: &'a Cast,
    signals: SignalFd,
    ends: Option<Instant>,
}

impl<'a> Life<'a> {
    /// Takes on the manners of the cast, and announces itself: only then may it fork.
    ///
    /// `more` is how many lines its children will write. `extra` is appended to the line.
    pub(crate) fn begin(cast: &'a Cast, role: &str, more: usize, extra: &str) -> nix::Result<Self> {
        Self::begin_with(cast, role, more, extra, &[])
    }

    /// Likewise, and the given signals come out of [`Life::next`].
    pub(crate) fn begin_with(
        cast: &'a Cast,
        role: &str,
        more: usize,
        extra: &str,
        handled: &[Signal],
    ) -> nix::Result<Self> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        match cast.on_term {
            OnTerm::Die => {}
            OnTerm::Exit(_) | OnTerm::Ignore => mask.extend(POLITE),
            OnTerm::Tell => mask.extend(TOLD),
        }
        mask.extend(handled.iter().copied());
        mask.thread_set_mask()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        crate::names::take(cast)?;
        let settles = if cast.then == Then::Stop { ",\"settles\":\"T\"" } else { "" };
        announce(cast, role, more, &format!("{settles}{extra}"))?;
        Ok(Self { cast, signals, ends: cast.outlive.map(|time| Instant::now() + time) })
    }

    /// Waits for the next thing to happen, at most as long as given.
    pub(crate) fn next(&self, at_most: Option<Duration>) -> nix::Result<Next> {
        let tick = at_most.map(|time| Instant::now() + time);
        loop {
            let now = Instant::now();
            if self.ends.is_some_and(|end| end <= now) {
                return Ok(Next::End);
            }
            if tick.is_some_and(|tick| tick <= now) {
                return Ok(Next::Tick);
            }
            let until = self.ends.into_iter().chain(tick).min();
            // Rounded up: a wait that ends too early would spin.
            let timeout = until.map_or(PollTimeout::NONE, |until| {
                PollTimeout::try_from(until - now + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
            });
            let stdin = std::io::stdin();
            let mut fds = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(stdin.as_fd(), PollFlags::empty()),
            ];
            // An actor with a clock does not look at its life line.
            let count = if self.ends.is_some() { 1 } else { 2 };
            match poll(&mut fds[..count], timeout) {
                Err(Errno::EINTR) => continue,
                done => done?,
            };
            if fds[1].any() == Some(true) {
                return Ok(Next::End);
            }
            if let Some(next) = self.signal()? {
                return Ok(next);
            }
        }
    }

    /// Takes the next signal, none where it needs no answer.
    fn signal(&self) -> nix::Result<Option<Next>> {
        let Some(info) = self.signals.read_signal()? else { return Ok(None) };
        let number = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL)?;
        let signal = Signal::try_from(number)?;
        if signal == Signal::SIGCHLD {
            return Ok((self.cast.reaps == Reaps::AtOnce).then(|| Next::Children(reap())));
        }
        match self.cast.on_term {
            OnTerm::Tell => {
                let sender = format!(",\"signal\":\"{}\",\"from\":{}", &signal.as_str()[3..], info.ssi_pid);
                tell("signal", &sender)?;
                Ok(None)
            }
            OnTerm::Ignore if POLITE.contains(&signal) => Ok(None),
            _ => Ok(Some(Next::Signal(signal))),
        }
    }

    /// Lives to the end, and reaps what dies.
    pub(crate) fn live(&self) -> Played {
        match self.cast.then {
            Then::Wait => {}
            Then::Stop => raise(Signal::SIGSTOP)?,
            Then::Spin => return self.spin(),
        }
        loop {
            match self.next(self.cast.reap_interval())? {
                Next::End => return Ok(ExitCode::SUCCESS),
                Next::Children(_) => {}
                Next::Tick => drop(reap()),
                Next::Signal(_) => return self.exit_slowly(),
            }
        }
    }

    /// Ends as a program does that cleans up first: after its time, or with the life line.
    pub(crate) fn exit_slowly(&self) -> Played {
        if let OnTerm::Exit(time) = self.cast.on_term {
            let end = Instant::now() + time;
            while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if matches!(self.next(Some(left))?, Next::End) {
                    break;
                }
            }
        }
        Ok(ExitCode::from(self.cast.code))
    }

    /// Uses up a processor until the life line is closed. Signals that are blocked are never acted upon.
    pub(crate) fn spin(&self) -> Played {
        loop {
            if self.ends.is_some_and(|end| end <= Instant::now())
                || (self.ends.is_none() && life_line_closed()?)
            {
                return Ok(ExitCode::SUCCESS);
            }
            for round in 0..1_000_000_u32 {
                std::hint::black_box(round);
            }
        }
    }
}

/// Refuses to start without a life line.
pub(crate) fn require_pipe() -> Result<(), Box<dyn std::error::Error>> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = std::fs::metadata("/proc/self/fd/0")?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        return Ok(());
    }
    Err("standard input is not a pipe: give one, or --outlive SECONDS".into())
}

/// Tells whether the writer of the life line has gone.
pub(crate) fn life_line_closed() -> nix::Result<bool> {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    Ok(poll(&mut fds, PollTimeout::ZERO)? > 0)
}

/// Reaps the children that have died.
pub(crate) fn reap() -> Vec<WaitStatus> {
    let dead =
        || waitpid(None, Some(WaitPidFlag::WNOHANG)).ok().filter(|status| *status != WaitStatus::StillAlive);
    std::iter::from_fn(dead).collect()
}

/// Waits until the parent has died and this process has another one.
///
/// The kernel gives the children away before it makes the handle of the dead readable.
pub(crate) fn wait_for_death_of(parent: Pid) -> nix::Result<()> {
    let handle = match sys::pidfd_open(parent) {
        Err(Errno::ESRCH) => return Ok(()),
        handle => handle?,
    };
    // Its number may have been given to somebody else before it was opened.
    if getppid() == parent { wait_readable(handle.as_fd()) } else { Ok(()) }
}

fn wait_readable(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop),
        }
    }
}

/// Writes the line that says who this process is, once it is what it is meant to be.
pub(crate) fn announce(cast: &Cast, role: &str, more: usize, extra: &str) -> nix::Result<()> {
    match &cast.event {
        _ if cast.silent => Ok(()),
        Some(event) => tell(event, extra),
        None => write_line(&format!("\"role\":\"{role}\",\"more\":{more}"), extra),
    }
}

/// Writes a line about something that happened later.
pub(crate) fn tell(event: &str, extra: &str) -> nix::Result<()> {
    write_line(&format!("\"event\":\"{event}\""), extra)
}

/// Writes one line in one call: lines of many processes share a pipe, and short writes to it are never mixed.
fn write_line(first: &str, extra: &str) -> nix::Result<()> {
    let me = getpid();
    let inode = match sys::pidfd_open(me).map(|handle| handle.metadata()) {
        Ok(Ok(metadata)) => format!(",\"inode\":{}", metadata.st_ino()),
        _ => String::new(),
    };
    let line = format!(
        "{{{first},\"pid\":{me},\"start_ticks\":{}{inode},\"ppid\":{},\"pgid\":{},\"sid\":{}{extra}}}\n",
        start_ticks().ok_or(Errno::ENODATA)?,
        getppid(),
        getpgrp(),
        getsid(None)?,
    );
    match nix::unistd::write(std::io::stdout(), line.as_bytes()) {
        // The reader may have left: that does not end the scene.
        Err(Errno::EPIPE) => Ok(()),
        done => done.map(drop),
    }
}

fn start_ticks() -> Option<u64> {
    let stat = std::fs::read("/proc/self/stat").ok()?;
    let after = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&stat[after + 2..]).ok()?.split(' ').nth(19)?.parse().ok()
}
