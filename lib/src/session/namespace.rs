//! A pid namespace around a session: when its first process dies, the kernel kills all that is in it.
//!
//! ```text
//! caller ── guardian ── worker ══ init ── command ── … whatever it starts
//! ```
//!
//! The init belongs to us. It collects the dead, and tells the worker what becomes of the command. It dies when the worker
//! does, by the signal that the kernel sends it then and by the end of the pipe that the worker holds; and when nobody else
//! is left in the namespace. `/proc` is mounted anew, in a mount namespace of their own, so that those inside see
//! themselves.
//!
//! The group of the job of the shell has no number inside, and shells want to give the terminal back to the group that had
//! it. So the command leads a group of its own, which has the foreground where the job has it. The init stays in the job: a
//! parent in the same session that can continue what the terminal has stopped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal as Known};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getegid, geteuid, pipe2, setpgid, tcsetpgrp};

use super::link::{is_ready, readable};
use super::terminal::Terminal;
use super::worker::become_command;
use super::{Plan, Setting};
use crate::id::Pid;
use crate::signal::Signal;
use crate::source::Wants;
use crate::status::End;
use crate::sys::{self, Change, Side};

/// The worker's hold on the namespace.
pub(super) struct Namespace {
    /// Its first process: our child.
    pub(super) init: Pid,
    /// The command, which is not our child.
    pidfd: Option<OwnedFd>,
    /// Its end is the end of the namespace.
    _control: OwnedFd,
    status: File,
}

/// What the init says of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It was forked, and waits.
    Ready,
    /// The namespace cannot be furnished.
    Failed(Errno),
    Changed(Change),
}

impl Word {
    fn bytes(self) -> [u8; 5] {
        let (kind, value) = match self {
            Self::Ready => (0, 0),
            Self::Failed(errno) => (1, errno as i32),
            Self::Changed(Change::Stopped(signal)) => (2, signal.number()),
            Self::Changed(Change::Continued) => (3, 0),
            Self::Changed(Change::Ended(End::Exited(code))) => (4, code.into()),
            Self::Changed(Change::Ended(End::Signalled(signal))) => (5, signal.number()),
        };
        let [a, b, c, d] = i32::to_ne_bytes(value);
        [kind, a, b, c, d]
    }

    fn read(mut from: &File) -> Option<Self> {
        let mut bytes = [0; 5];
        from.read_exact(&mut bytes).ok()?;
        let [kind, a, b, c, d] = bytes;
        let value = i32::from_ne_bytes([a, b, c, d]);
        Some(match kind {
            0 => Self::Ready,
            1 => Self::Failed(Errno::from_raw(value)),
            2 => Self::Changed(Change::Stopped(Signal::new(value)?)),
            3 => Self::Changed(Change::Continued),
            4 => Self::Changed(Change::Ended(End::Exited(u8::try_from(value).ok()?))),
            _ => Self::Changed(Change::Ended(End::Signalled(Signal::new(value)?))),
        })
    }
}

/// The ends of the pipes of one side.
struct Ends {
    control: OwnedFd,
    status: OwnedFd,
    /// Whether the job has the foreground of the terminal.
    foreground: bool,
}

/// Makes a namespace and the command in it, which waits. `only_worker` is what the worker alone may hold; it gets it back.
///
/// Whoever is not permitted to make one does so within a user namespace, with its own user and group and no others.
pub(super) fn start<T>(
    plan: &Plan,
    setting: Setting<'_>,
    only_worker: T,
    wait: OwnedFd,
    tell: OwnedFd,
) -> (T, nix::Result<(Namespace, Pid)>) {
    let pipes = || -> nix::Result<_> { Ok((pipe2(OFlag::O_CLOEXEC)?, pipe2(OFlag::O_CLOEXEC)?)) };
    let ((control, ours), (status, theirs)) = match pipes() {
        Ok(pipes) => pipes,
        Err(errno) => return (only_worker, Err(errno)),
    };
    // Inside, groups of the outside have no numbers to compare.
    let foreground = Terminal::open().is_some_and(|terminal| terminal.is_ours());
    let mut mapped = None;
    let side = match sys::fork_apart(false) {
        Err(Errno::EPERM) => {
            mapped = Some((geteuid().as_raw(), getegid().as_raw()));
            sys::fork_apart(true)
        }
        other => other,
    };
    let init = match side {
        Ok(Side::Parent(init)) => init,
        Ok(Side::Child) => {
            drop((only_worker, ours, status));
            live(plan, Ends { control, status: theirs, foreground }, mapped, wait, tell)
        }
        Err(errno) => return (only_worker, Err(errno)),
    };
    drop((control, theirs, wait, tell));
    let status = File::from(status);
    let command = match Word::read(&status) {
        Some(Word::Ready) => child_of(init, setting).ok_or(Errno::ESRCH),
        Some(Word::Failed(errno)) => Err(errno),
        _ => Err(Errno::ECHILD),
    };
    let made = command.map(|command| {
        let pidfd = sys::pidfd_open(command).ok();
        (Namespace { init, pidfd, _control: ours, status }, command)
    });
    if made.is_err() {
        // Its end of the pipe is gone, so it ends.
        let _ = sys::wait_for(init);
    }
    (only_worker, made)
}

/// The only child of the init, by the number that it has outside.
fn child_of(init: Pid, setting: Setting<'_>) -> Option<Pid> {
    if let Some(children) = setting.source.children(init) {
        return children.first().copied();
    }
    let mut reader = setting.source.reader(Wants::default());
    let is_child =
        |pid: &Pid| reader.read(*pid).ok().flatten().is_some_and(|process| process.ppid == init.get());
    setting.source.pids().ok()?.into_iter().find(is_child)
}

impl Namespace {
    /// The next that has become of the command, if anything has.
    pub(super) fn change(&self) -> Option<Change> {
        match is_ready(readable(self.status.as_fd())).then(|| Word::read(&self.status))?? {
            Word::Changed(change) => Some(change),
            _ => None,
        }
    }

    /// What to wait for.
    pub(super) fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.status.as_fd()
    }

    /// Signals the command. Without a descriptor of it that is left alone: it is not our child.
    pub(super) fn pass(&self, signal: Signal) {
        if let Some(pidfd) = &self.pidfd {
            let _ = sys::pidfd_send_signal(pidfd.as_fd(), signal.number());
        }
    }
}

/// Lives as the init. All signals are blocked; the first process of a namespace gets none that it does not ask for, but
/// KILL and STOP from outside.
fn live(plan: &Plan, ends: Ends, mapped: Option<(u32, u32)>, wait: OwnedFd, tell: OwnedFd) -> ! {
    let Ends { control, status, foreground } = ends;
    let mut status = File::from(status);
    let mut say = |word: Word| {
        let _ = status.write_all(&word.bytes());
    };
    if let Err(errno) = furnish(mapped) {
        say(Word::Failed(errno));
        sys::leave(0);
    }
    let command = match sys::fork() {
        Ok(Side::Child) => {
            drop((control, status));
            lead_group(foreground);
            become_command(plan, wait, tell)
        }
        Ok(Side::Parent(command)) => command,
        Err(errno) => {
            say(Word::Failed(errno));
            sys::leave(0)
        }
    };
    drop((wait, tell));
    let mut mask = SigSet::empty();
    mask.add(Known::SIGCHLD);
    let signals = match SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC) {
        Ok(signals) => signals,
        Err(errno) => {
            say(Word::Failed(errno));
            sys::leave(0)
        }
    };
    say(Word::Ready);
    let mut ended = false;
    loop {
        let _ = poll(&mut [readable(signals.as_fd()), readable(control.as_fd())], PollTimeout::NONE);
        if is_ready(readable(control.as_fd())) {
            // The worker is gone. The kernel kills all that is here.
            sys::leave(0);
        }
        while signals.read_signal().is_ok_and(|info| info.is_some()) {}
        loop {
            match sys::next_change() {
                Ok(Some((pid, change))) if pid == command => {
                    ended |= matches!(change, Change::Ended(_));
                    say(Word::Changed(change));
                }
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Err(_) if ended => sys::leave(0),
                Ok(None) | Err(_) => break,
            }
        }
    }
}

/// Makes this process the leader of a group, which gets the foreground if it is ours to give. SIGTTOU is blocked.
fn lead_group(foreground: bool) {
    let own = nix::unistd::getpid();
    let _ = setpgid(own, own);
    if foreground && let Ok(terminal) = File::open("/dev/tty") {
        let _ = tcsetpgrp(&terminal, own);
    }
}

/// Makes the namespace a place to live in.
fn furnish(mapped: Option<(u32, u32)>) -> nix::Result<()> {
    let _ = nix::sys::prctl::set_name(c"session-init");
    nix::sys::prctl::set_pdeathsig(Known::SIGKILL)?;
    if let Some((user, group)) = mapped {
        let write = |file: &str, text: String| {
            std::fs::write(format!("/proc/self/{file}"), text)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        };
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("{user} {user} 1"))?;
        write("gid_map", format!("{group} {group} 1"))?;
    }
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, none)
}
