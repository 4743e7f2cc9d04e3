//! The worker: parent of the command, and of all that is orphaned below it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal as Known};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getppid, pipe2, setsid};

use super::ending::end_all;
use super::family::Family;
use super::link::{Heard, Link, Word, is_ready, readable};
use super::namespace::{self, Namespace};
use super::{Isolation, Observer, Plan, Setting, register};
use crate::id::{Identity, Pid};
use crate::signal::Signal;
use crate::source::Wants;
use crate::sys::{self, Change, Side};

/// The name of the worker: another one than the guardian's, so that a kill by name does not reach both.
const NAME: &std::ffi::CStr = c"session-worker";

/// How often the guardian is told again that the command goes on, until it says that it goes on too.
const NUDGE: Duration = Duration::from_millis(50);

/// How often adopted processes are looked for, where somebody wants to know.
const LOOK: Duration = Duration::from_millis(250);

/// What the code of a child says that never became the command.
const NEVER: i32 = 125;

/// Lives as the worker, and leaves.
pub(super) fn work(
    plan: &Plan,
    setting: Setting<'_>,
    observer: &mut dyn Observer,
    link: Link,
    guardian: Pid,
) -> ! {
    let mut family = Family::new(setting, observer);
    let mut link = Some(link);
    let begun = begin(plan, setting, &mut link, guardian);
    let Some(link) = link else { sys::leave(0) };
    match begun {
        Ok(begun) => {
            family.command = Some(begun.command);
            family.init = begun.namespace.as_ref().map(|namespace| namespace.init);
            link.say(Word::Ready(begun.command));
            let worker = Worker {
                plan,
                setting,
                family,
                link,
                begun,
                guardian_stops: false,
                stopped: false,
                ends: None,
            };
            worker.live();
        }
        Err(errno) => link.say(Word::Failed(errno)),
    }
    sys::leave(0)
}

struct Worker<'a> {
    plan: &'a Plan,
    setting: Setting<'a>,
    family: Family<'a>,
    link: Link,
    begun: Begun,
    /// The guardian was told that the command has stopped, and has not said that it goes on.
    guardian_stops: bool,
    stopped: bool,
    /// When the session is ended although the command lives.
    ends: Option<Instant>,
}

/// What the worker has in hand once everything is in place.
struct Begun {
    guardian: Guardian,
    signals: SignalFd,
    command: Pid,
    /// The pid namespace that it is in.
    namespace: Option<Namespace>,
    /// Closed without a word, or written to, the command is let go or not.
    go: Option<File>,
    /// Says why the command could not be run; ends when it runs.
    report: Option<File>,
}

/// The other half, as the worker sees it.
struct Guardian {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    identity: Option<Identity>,
    dead: bool,
}

/// Gets everything in place.
fn begin(plan: &Plan, setting: Setting<'_>, link: &mut Option<Link>, guardian: Pid) -> nix::Result<Begun> {
    nix::sys::prctl::set_child_subreaper(true)?;
    let wants = Wants { identity: true, ..Wants::default() };
    let facts = setting.source.reader(wants).read(guardian).ok().flatten();
    let pidfd = sys::pidfd_open(guardian).ok();
    // Our parent when all this was asked, so it was asked about our parent.
    let dead = getppid().as_raw() != guardian.raw();
    let identity = facts.map(|facts| facts.identity(setting.host.place()));
    let guardian = Guardian { pid: guardian, pidfd, identity, dead };
    let mut mask = SigSet::empty();
    mask.add(Known::SIGCHLD);
    SigSet::all().thread_set_mask()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let (wait, go) = pipe2(OFlag::O_CLOEXEC)?;
    let (report, tell) = pipe2(OFlag::O_CLOEXEC)?;
    let (go, report, namespace, command) = if plan.isolate == Isolation::Pidns {
        let ((held, go, report), made) =
            namespace::start(plan, setting, (link.take(), go, report), wait, tell);
        *link = held;
        let (namespace, command) = made?;
        (go, report, Some(namespace), command)
    } else {
        let Side::Parent(command) = fork(setting)? else {
            drop((link.take(), go, report));
            become_command(plan, wait, tell)
        };
        drop((wait, tell));
        (go, report, None, command)
    };
    // The command stays in the job of the shell; what is sent to that job, or by the terminal, must not reach the worker.
    // In another session it is no parent that could continue a stopped job either: the kernel judges the job by the
    // guardian's parent, as if the command were run by itself. It leads no group, so this cannot fail.
    setsid()?;
    let _ = nix::sys::prctl::set_name(NAME);
    Ok(Begun { guardian, signals, command, namespace, go: Some(go.into()), report: Some(report.into()) })
}

impl Worker<'_> {
    /// Waits for the end of the command, or for a reason to end it; and ends all.
    fn live(mut self) {
        while !self.begun.guardian.dead && self.family.ended.is_none() {
            if self.ends.is_some_and(|end| end <= Instant::now()) {
                break;
            }
            self.wait();
            self.look_at_guardian();
            self.listen();
            self.look_at_report();
            self.look_at_children();
        }
        // Whatever waits for its word never gets it.
        self.begun.go = None;
        self.look_at_report();
        self.say_ended();
        let left = end_all(self.plan, self.setting, &mut self.family);
        self.say_ended();
        self.look_at_guardian();
        self.link.say(Word::Done(left));
        if self.begun.guardian.dead {
            self.leave_registry();
            if let Some(group) = self.setting.group {
                group.remove_soon();
            }
        }
    }

    fn say_ended(&mut self) {
        if let Some(end) = self.family.ended {
            self.link.say(Word::Ended(end));
        }
    }

    /// Waits until something happens.
    fn wait(&self) {
        let now = Instant::now();
        let nudge = (self.guardian_stops && !self.stopped).then_some(NUDGE);
        let look = self.family.listens().then_some(LOOK);
        let end = self.ends.map(|end| end.saturating_duration_since(now));
        let at_most = nudge.into_iter().chain(look).chain(end).min();
        let timeout = at_most.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![readable(self.begun.signals.as_fd()), readable(self.link.as_fd())];
        fds.extend(self.begun.guardian.pidfd.as_ref().map(|pidfd| readable(pidfd.as_fd())));
        fds.extend(self.begun.namespace.as_ref().map(|namespace| readable(namespace.as_fd())));
        fds.extend(self.begun.report.as_ref().map(|report| readable(report.as_fd())));
        // An interrupted wait is a short one: everything is looked at anyway.
        let _ = poll(&mut fds, timeout);
    }

    fn look_at_guardian(&mut self) {
        if let Some(pidfd) = &self.begun.guardian.pidfd {
            self.begun.guardian.dead |= is_ready(readable(pidfd.as_fd()));
        }
    }

    fn listen(&mut self) {
        loop {
            match self.link.hear() {
                Heard::Silence => return,
                Heard::Nobody => {
                    self.begun.guardian.dead = true;
                    return;
                }
                Heard::Word(Word::Go) => {
                    if let Some(mut go) = self.begun.go.take() {
                        // Were the child dead, its parent would soon know.
                        let _ = go.write_all(b"!");
                    }
                }
                Heard::Word(Word::Never) => self.ends = Some(Instant::now()),
                Heard::Word(Word::Pass(signal)) => self.pass(signal),
                Heard::Word(Word::Resumed) => self.guardian_stops = false,
                Heard::Word(Word::End(signal)) => {
                    // All are asked with TERM at once; another signal is the command's own, and it has its time.
                    let own_time = signal != Signal::TERM && self.ends.is_none();
                    if own_time {
                        self.pass(signal);
                        self.pass(Signal::CONT);
                    }
                    self.end_within(if own_time { self.plan.grace } else { Duration::ZERO });
                }
                Heard::Word(Word::EndTold) => self.end_within(self.plan.grace),
                Heard::Word(_) => {}
            }
        }
    }

    fn end_within(&mut self, time: Duration) {
        let end = Instant::now() + time;
        self.ends = Some(self.ends.map_or(end, |before| before.min(end)));
    }

    /// Signals the command: our own child, and not reaped, so the number is its own.
    fn pass(&self, signal: Signal) {
        if let Some(namespace) = &self.begun.namespace {
            namespace.pass(signal);
        } else if self.family.ended.is_none() {
            let _ = sys::kill_number(self.begun.command, signal.number());
        }
    }

    /// Hears from the child whether it has become the command.
    fn look_at_report(&mut self) {
        let Some(report) = &mut self.begun.report else { return };
        if !is_ready(readable(report.as_fd())) {
            return;
        }
        let mut bytes = [0; 4];
        match report.read_exact(&mut bytes) {
            Ok(()) => self.link.say(Word::NotRun(Errno::from_raw(i32::from_ne_bytes(bytes)))),
            Err(_) => self.family.has_started(self.begun.command),
        }
        self.begun.report = None;
    }

    fn look_at_children(&mut self) {
        while self.begun.signals.read_signal().is_ok_and(|info| info.is_some()) {}
        self.family.notice_adopted();
        let told = self.begun.namespace.as_ref().and_then(Namespace::change);
        match self.family.reap().command.or(told) {
            Some(Change::Ended(end)) => self.family.command_has_ended(end),
            Some(Change::Stopped(_)) => {
                (self.stopped, self.guardian_stops) = (true, true);
                self.link.say(Word::Stopped);
            }
            Some(Change::Continued) => {
                self.stopped = false;
                self.link.say(Word::Continued);
            }
            None => {}
        }
        if self.guardian_stops && !self.stopped {
            self.nudge();
        }
    }

    /// Lets the guardian go on: it stopped because the command did, and nobody else may have continued it.
    fn nudge(&self) {
        let _ = match &self.begun.guardian.pidfd {
            Some(pidfd) => sys::pidfd_send_signal(pidfd.as_fd(), Signal::CONT.number()),
            None if getppid().as_raw() == self.begun.guardian.pid.raw() => {
                sys::kill_number(self.begun.guardian.pid, Signal::CONT.number())
            }
            None => Ok(()),
        };
    }

    fn leave_registry(&mut self) {
        let (Some(registry), Some(owner)) = (&self.plan.registry, &self.begun.guardian.identity) else {
            return;
        };
        if let Err(error) = register::leave(registry, self.plan, owner, self.setting) {
            self.family.fault(&error);
        }
    }
}

/// Forks; the child begins its life in the cgroup of the session, where it has one.
fn fork(setting: Setting<'_>) -> nix::Result<Side> {
    let Some(group) = setting.group else { return sys::fork() };
    match sys::fork_into(group.folder()) {
        Err(Errno::ENODEV) => Err(Errno::ENODEV),
        Err(_) => {
            let side = sys::fork()?;
            if let Side::Parent(pid) = side {
                // It waits for its word, so nothing of it is left outside.
                group.add(pid).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
            }
            Ok(side)
        }
        forked => forked,
    }
}

/// Waits for the word, and becomes the command. The reader of `tell` learns why it could not.
pub(super) fn become_command(plan: &Plan, wait: OwnedFd, tell: OwnedFd) -> ! {
    if File::from(wait).read_exact(&mut [0]).is_err() {
        sys::leave(NEVER);
    }
    let Some((program, arguments)) = plan.command.split_first() else { sys::leave(NEVER) };
    // A signal that stays blocked over exec is one that the command never gets.
    let _ = SigSet::empty().thread_set_mask();
    let variables = plan.environment.iter().map(|(name, value)| (name, value));
    let error = Command::new(program).args(arguments).env_remove(super::KEEP).envs(variables).exec();
    let errno = error.raw_os_error().unwrap_or(Errno::EINVAL as i32);
    let _ = File::from(tell).write_all(&errno.to_ne_bytes());
    sys::leave(NEVER)
}
