//! The guardian: the process that the caller knows. It passes signals on, keeps the terminal, and stands in for the worker.

use std::os::fd::{AsFd as _, OwnedFd};

use nix::libc::{SI_KERNEL, signalfd_siginfo};
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal as Known};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getppid, getsid};

use super::ending::end_all;
use super::family::Family;
use super::link::{Heard, Link, Word, is_ready, readable};
use super::register::{self, Entry};
use super::terminal::Terminal;
use super::{Ended, Isolation, Observer, Plan, Setting, Summary};
use crate::error::{Error, Result};
use crate::id::Pid;
use crate::registry::{Put, Replaced};
use crate::signal::Signal;
use crate::source::Wants;
use crate::status::End;
use crate::sys;

/// The signals that the guardian acts upon, unless the caller has them ignored.
const HEARD: [Known; 10] = [
    Known::SIGHUP,
    Known::SIGINT,
    Known::SIGQUIT,
    Known::SIGTERM,
    Known::SIGUSR1,
    Known::SIGUSR2,
    Known::SIGWINCH,
    Known::SIGTSTP,
    Known::SIGCONT,
    Known::SIGCHLD,
];

/// The signals of the guardian: blocked, and read from a descriptor.
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Blocks them. Those that the caller ignores stay ignored, as nohup(1) and shells arrange it.
    pub(super) fn hold() -> nix::Result<Self> {
        sys::keep_dead_children();
        let mut heard = SigSet::empty();
        heard.extend(
            HEARD
                .into_iter()
                .filter(|signal| Signal::new(*signal as i32).is_none_or(|signal| !sys::is_ignored(signal))),
        );
        let mut blocked = heard;
        // Using the terminal from the background is the command's affair, and no reason to stop.
        blocked.extend([Known::SIGTTIN, Known::SIGTTOU]);
        blocked.thread_block()?;
        SignalFd::with_flags(&heard, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Self)
    }
}

/// Lives as the guardian to the end of the session.
pub(super) fn guard(
    plan: &Plan,
    setting: Setting<'_>,
    observer: &mut dyn Observer,
    link: Link,
    signals: Signals,
    worker: Pid,
) -> Result<Summary> {
    let mut guardian = Guardian {
        setting,
        link,
        signals,
        worker,
        // Our own child, and not reaped: the number is its own.
        pidfd: sys::pidfd_open(worker).ok(),
        caller: caller(),
        terminal: Terminal::open(),
        family: Family::new(setting, observer),
        command: None,
        failed: None,
        ended: None,
        done: None,
        stops: false,
        dead: false,
    };
    let entry = guardian.let_go(plan);
    let summary = match guardian.failed {
        Some(errno) => {
            let pidns = plan.isolate == Isolation::Pidns;
            let what = if pidns { "make pid namespace" } else { "prepare session" };
            Err(Error::system(what, "", errno))
        }
        None => Ok(guardian.live(plan)),
    };
    if let Entry::Made(registry, owner) = &entry
        && let Err(error) = register::leave(registry, plan, owner, setting)
    {
        guardian.family.fault(&error);
    }
    if guardian.done.is_some() || guardian.failed.is_some() {
        // It has said its last word, and had the time to exit meanwhile.
        let _ = sys::wait_for(worker);
    }
    match (summary, entry) {
        (Ok(_), Entry::Taken(error)) => Err(error),
        (summary, _) => summary,
    }
}

/// The parent of this process, if it waits for it: none where this process was made independent of it.
///
/// nohup(1) makes it ignore HUP, a shell without job control makes what it starts in the background ignore INT, and
/// setsid(1) gives it a session of its own.
fn caller() -> Option<OwnedFd> {
    let parent = getppid();
    let independent = sys::is_ignored(Signal::INT) || sys::is_ignored(Signal::HUP);
    let waits = !independent && getsid(Some(parent)).is_ok() && getsid(Some(parent)) == getsid(None);
    let number = Pid::new(u32::try_from(parent.as_raw()).ok()?).filter(|pid| waits && *pid != Pid::INIT)?;
    let pidfd = sys::pidfd_open(number).ok()?;
    // It was opened while it was our parent; else our parent has ended before, and the number is another's.
    Some(pidfd).filter(|_| getppid() == parent)
}

struct Guardian<'a> {
    setting: Setting<'a>,
    link: Link,
    signals: Signals,
    worker: Pid,
    pidfd: Option<OwnedFd>,
    /// Whoever waits for us: its end is the session's.
    caller: Option<OwnedFd>,
    terminal: Option<Terminal>,
    family: Family<'a>,
    command: Option<Pid>,
    /// Why nothing was begun.
    failed: Option<nix::errno::Errno>,
    ended: Option<Ended>,
    done: Option<usize>,
    /// The command has stopped, and so should we.
    stops: bool,
    /// The worker is dead.
    dead: bool,
}

impl Guardian<'_> {
    /// Registers the session while the worker gets ready, and lets the command run. A session of the same id that lives
    /// is the one failure that keeps it from running.
    fn let_go<'p>(&mut self, plan: &'p Plan) -> Entry<'p> {
        let Put { result: entry, replaced } = register::enter(plan, self.setting).unwrap_or_else(|error| {
            self.family.fault(&error);
            Put { result: Entry::None, replaced: Replaced::default() }
        });
        while self.command.is_none() && !self.dead && self.failed.is_none() {
            self.wait(false);
            self.listen();
        }
        self.link.say(if matches!(entry, Entry::Taken(_)) { Word::Never } else { Word::Go });
        drop(replaced);
        entry
    }

    /// Lives until the worker is done or dead, and puts everything back.
    fn live(&mut self, plan: &Plan) -> Summary {
        while self.done.is_none() && !self.dead {
            self.wait(true);
            self.take_signals();
            self.look_at_caller();
            self.listen();
        }
        self.finish(plan)
    }

    fn wait(&self, for_signals: bool) {
        let mut fds = vec![readable(self.link.as_fd())];
        fds.extend(self.pidfd.as_ref().map(|pidfd| readable(pidfd.as_fd())));
        fds.extend(for_signals.then(|| readable(self.signals.0.as_fd())));
        fds.extend(self.caller.iter().filter(|_| for_signals).map(|caller| readable(caller.as_fd())));
        // An interrupted wait is a short one: everything is looked at anyway.
        let _ = poll(&mut fds, PollTimeout::NONE);
    }

    /// Hears all that the worker has said. What it said before its death is still heard.
    fn listen(&mut self) {
        let dead = self.pidfd.as_ref().is_some_and(|pidfd| is_ready(readable(pidfd.as_fd())));
        loop {
            match self.link.hear() {
                Heard::Silence => break,
                Heard::Nobody => {
                    self.dead = true;
                    break;
                }
                Heard::Word(Word::Ready(command)) => self.command = Some(command),
                Heard::Word(Word::Failed(errno)) => self.failed = Some(errno),
                Heard::Word(Word::NotRun(errno)) => self.ended = Some(Ended::NotRun(errno)),
                Heard::Word(Word::Ended(end)) => {
                    self.ended.get_or_insert(Ended::Command(end));
                }
                Heard::Word(Word::Stopped) => self.stops = true,
                Heard::Word(Word::Continued) if self.stops => {
                    self.stops = false;
                    self.link.say(Word::Resumed);
                }
                Heard::Word(Word::Done(left)) => self.done = Some(left),
                Heard::Word(_) => {}
            }
        }
        self.dead |= dead;
        if self.stops && self.done.is_none() && !self.dead {
            self.stop();
        }
    }

    /// Stops as the command did, so that the shell sees its job stopped.
    ///
    /// Where nobody could continue us the kernel does not stop us, and that is right. Should the command be continued
    /// before we are stopped, the worker continues us, as often as it takes.
    fn stop(&mut self) {
        let holder = self.terminal.as_ref().and_then(Terminal::holder);
        sys::take(Signal::TSTP);
        if let Some(terminal) = &self.terminal {
            terminal.hand_to(holder);
        }
        self.stops = false;
        self.link.say(Word::Resumed);
    }

    /// Ends the session when the caller has ended, as if it had asked for it.
    fn look_at_caller(&mut self) {
        if self.caller.take_if(|caller| is_ready(readable(caller.as_fd()))).is_some() {
            self.link.say(Word::End(Signal::TERM));
        }
    }

    fn take_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.0.read_signal() {
            let Some(signal) = i32::try_from(info.ssi_signo).ok().and_then(Signal::new) else { continue };
            if let Some(word) = self.answer(signal, &info) {
                self.link.say(word);
            }
        }
    }

    /// What a signal means for the session.
    ///
    /// One from the terminal went to the whole job, so the command has it too and decides. One from a member of the
    /// session went to its group, and to us as a part of it. What anybody else sends is meant for the session.
    fn answer(&self, signal: Signal, info: &signalfd_siginfo) -> Option<Word> {
        let from_terminal = info.ssi_code == SI_KERNEL;
        let from_worker = info.ssi_pid == self.worker.get();
        match signal {
            Signal::CHLD => None,
            Signal::CONT => (!from_worker).then_some(Word::Pass(signal)),
            Signal::TERM => Some(Word::End(signal)),
            Signal::HUP => Some(if from_terminal { Word::EndTold } else { Word::End(signal) }),
            _ if from_terminal || self.is_member(info.ssi_pid) => None,
            Signal::INT | Signal::QUIT => Some(Word::End(signal)),
            _ => Some(Word::Pass(signal)),
        }
    }

    /// Tells whether a process is below the worker.
    fn is_member(&self, pid: u32) -> bool {
        /// No tree is so deep.
        const DEEPEST: usize = 10_000;
        let mut reader = self.setting.source.reader(Wants::default());
        let mut at = Pid::new(pid);
        for _ in 0..DEEPEST {
            let Some(pid) = at else { return false };
            if pid == self.worker {
                return true;
            }
            at = reader.read(pid).ok().flatten().and_then(|process| Pid::new(process.ppid));
        }
        false
    }

    /// Ends what the worker could not, and puts everything back.
    fn finish(&mut self, plan: &Plan) -> Summary {
        self.listen();
        let left = self.done.unwrap_or_else(|| {
            self.family.command = self.command;
            end_all(plan, self.setting, &mut self.family)
        });
        let ended = self.ended.unwrap_or(Ended::Broken);
        if let Some(terminal) = &self.terminal {
            terminal.restore(!matches!(ended, Ended::Command(End::Exited(_))));
        }
        Summary { ended, left }
    }
}
