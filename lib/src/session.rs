//! Sessions: a command, and the promise that nothing it started survives it.
//!
//! [`run`] makes two processes of one. The *guardian* is the caller. Its child, the *worker*, starts the command and is
//! its parent. Both are child subreapers (prctl(2), `PR_SET_CHILD_SUBREAPER`), and each waits for the death of the other,
//! by pidfd and by the socket between them, which the kernel closes with its last holder.
//!
//! ```text
//! caller ── guardian ── worker ── command ── … whatever it starts
//! ```
//!
//! # Why nothing escapes
//!
//! Call what descends from the command the session. A process of it can change its session, group, environment,
//! descriptors and name; who its ancestors are is changed by the kernel alone, in two cases:
//!
//! * *Its parent dies.* It is then given to the nearest ancestor of that parent that is a living subreaper. The worker is
//!   an ancestor of every parent in the session, so the new parent is the worker or below it.
//! * *It is made with `CLONE_PARENT`.* Its parent is then that of its maker. The maker is below the worker, so its parent
//!   is the worker or below it.
//!
//! So as long as the worker lives, the session is what descends from the worker. Now one of the two is killed:
//!
//! * *The worker.* Its children, and whatever is orphaned below it from then on, go to the nearest living subreaper among
//!   its ancestors: the guardian. The two cases above hold again, with the guardian in the worker's place. The guardian has
//!   no other children, so the session is what descends from the guardian.
//! * *The guardian.* The worker gets another parent, and loses nothing: the session is what descends from the worker.
//!
//! In every case the survivor has the whole session below it, sees the other's death within a turn of its poll, and ends
//! all that is below it: see `ending`. That it is done is no guess from a list of processes either. When the kernel says
//! that a process has no child at all, dead or alive (`ECHILD`), nothing descends from it.
//!
//! The command does not exec before both are in place: it is forked by the worker, and waits for a word that the guardian
//! gives when it has heard that the worker is ready. Who dies earlier has started nothing.
//!
//! # What it costs to kill both
//!
//! The worker has a session and a process group of its own, so a signal to the job of the shell (`kill -9 %1`, killpg(2))
//! or to all processes of the terminal reaches the guardian and the command, never the worker; and it has a name of its
//! own, so that `killall -9` of the tool's name does not reach it. Nothing but SIGKILL and SIGSTOP has an effect on it.
//!
//! # Limits
//!
//! * Both killed before one of them is done: the session lives on. It is registered, so `preap` finds it; all of it with
//!   [`Isolation::Cgroup`]. With [`Isolation::Pidns`] the kernel ends it.
//! * A survivor that is stopped (SIGSTOP) ends nothing before it goes on.
//! * What the command asks others to start is not its own: a daemon that was there before (docker, tmux, atd, systemd)
//!   is the parent of what it starts. So is the init of a pid namespace that a member enters with setns(2).
//! * A member that may trace the worker (ptrace(2)) can make it do anything.
//! * Members of other users can be killed by root alone; they are told as left.
//! * Members in an uninterruptible wait die when it ends; they are told as left.

mod ending;
mod family;
mod guardian;
mod keep;
mod link;
mod namespace;
mod register;
mod terminal;
mod worker;

use std::ffi::OsString;
use std::time::Duration;

use nix::errno::Errno;

use crate::cgroup::{For, Group};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::id::Pid;
use crate::record::{Process, View};
use crate::registry::{OWNER_MARK, Registry, owner_mark};
use crate::signal::Signal;
use crate::source::{Source, Wants};
use crate::status::End;
use crate::sys::{self, Side};

/// What to run, and how it ends.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The id of the session.
    pub id: String,
    /// What is added to the environment of the command.
    pub environment: Vec<(OsString, OsString)>,
    /// The absolute path of its project.
    pub project: Option<String>,
    /// How long the session has to end after it was asked to.
    pub grace: Duration,
    /// How long to go on killing before what is left counts as a survivor.
    pub kill_wait: Duration,
    /// Programs and registered services that are spared, with all below them.
    pub keep: Vec<String>,
    /// What holds the session together beside its two halves.
    pub isolate: Isolation,
    /// Where the session is registered; none: nowhere.
    pub registry: Option<Registry>,
}

/// What holds a session together beside its two halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Nothing.
    #[default]
    None,
    /// A pid namespace: see `namespace`. Nothing in it can be spared.
    Pidns,
    /// A cgroup, which the registry knows: whoever finds both halves dead finds the session by it.
    Cgroup,
}

/// The variable that is taken out of the environment: were it inherited, it would spare the whole session.
const KEEP: &str = "PROCHERD_KEEP";

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The command ended like this.
    Command(End),
    /// The command could not be run.
    NotRun(Errno),
    /// The worker was killed, and the session was ended by the guardian.
    Broken,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How it ended.
    pub ended: Ended,
    /// How many processes could not be ended. Spared ones do not count.
    pub left: usize,
}

/// What happens to a process of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The command has been started.
    Started,
    /// A process whose parent has died became a child of the worker.
    Adopted,
    /// A child of the worker has ended by itself.
    Exited,
    /// It was ended with the session.
    Terminated,
    /// It lives on, and `why` says why.
    Left,
}

impl Happening {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Adopted => "adopted",
            Self::Exited => "exited",
            Self::Terminated => "terminated",
            Self::Left => "left",
        }
    }
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What has happened.
    pub what: Happening,
    /// To whom.
    pub process: &'a Process,
    /// What records of this moment share.
    pub view: &'a View,
    /// How it ended, where it has and that is known.
    pub end: Option<End>,
    /// The last signal that it was sent with the session's end.
    pub signal: Option<Signal>,
    /// Why it lives on.
    pub why: Option<&'a str>,
}

/// Is told what happens. Both halves have a copy, and the one that sees something tells it.
pub trait Observer {
    /// Tells whether events are wanted: they cost system calls.
    fn listens(&self) -> bool;
    /// Something has happened.
    fn event(&mut self, event: &Event<'_>);
    /// Something failed that does not keep the session from being ended.
    fn fault(&mut self, error: &Error);
}

/// The machine, as both halves see it.
#[derive(Clone, Copy)]
struct Setting<'a> {
    host: &'a Host,
    source: &'a Source,
    /// The cgroup of the session.
    group: Option<&'a Group>,
}

/// Runs a command as a session, and ends all that it started.
///
/// The session ends with its command, on request, and with the parent of this process, unless this process was made
/// independent of it (nohup, setsid, in the background of a script).
///
/// This process must have one thread only, and no children: those that it has would be ended with the session. `Refused`:
/// a session of this id lives. `Denied` or `Unsupported`: it cannot be isolated here. Signals that this process did not
/// ignore are blocked when this returns.
pub fn run(plan: &Plan, host: &Host, source: &Source, observer: &mut dyn Observer) -> Result<Summary> {
    let failed = |what: &'static str| move |errno: Errno| Error::system(what, "", errno);
    let setting = Setting { host, source, group: None };
    let plan = &marked(plan, setting);
    let signals = guardian::Signals::hold().map_err(failed("block signals"))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(failed("become subreaper"))?;
    let group = match plan.isolate {
        Isolation::Cgroup => {
            let group = Group::make(For::Session, &plan.id, true)?;
            group.tidy();
            Some(group)
        }
        _ => None,
    };
    let setting = Setting { group: group.as_ref(), ..setting };
    let (ours, theirs) = link::pair().map_err(failed("make socket"))?;
    let own = Pid::this();
    match sys::fork().map_err(failed("fork"))? {
        Side::Child => {
            drop((ours, signals));
            worker::work(plan, setting, observer, theirs, own)
        }
        Side::Parent(worker) => {
            drop(theirs);
            let summary = guardian::guard(plan, setting, observer, ours, signals, worker);
            if let Some(group) = group {
                group.remove_soon();
            }
            summary
        }
    }
}

/// Adds to the environment of the command who owns the session: this process.
fn marked(plan: &Plan, setting: Setting<'_>) -> Plan {
    let mut plan = plan.clone();
    let wants = Wants { identity: true, ..Wants::default() };
    if let Ok(Some(own)) = setting.source.reader(wants).read(Pid::this()) {
        let mark = owner_mark(&plan.id, &own.identity(setting.host.place()));
        plan.environment.push((OWNER_MARK.into(), mark.into()));
    }
    plan
}

/// Ends this process by a signal, without a core dump of it: the command's own has been written.
///
/// Returns where the kernel protects the process: as the first one of a pid namespace.
pub fn end_by(signal: Signal) {
    use nix::sys::resource::{Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    sys::take(signal);
}
