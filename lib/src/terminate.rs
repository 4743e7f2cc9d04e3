//! Ending trees of processes, so that nothing survives and nothing else is touched.
//!
//! One function, [`plan`], decides which processes are meant and in which order; [`run`] ends what a plan names and
//! what its members fork meanwhile. Both see the same [`Target`]s.
//!
//! # How a tree is ended
//!
//! 1. The set is a fixpoint over evidence ([`Via`]): see `set`.
//! 2. Guards come before any signal: see `guard`. What is guarded is reported and left alone.
//! 3. The signal goes to each member once, parents first; stopped ones are continued so that they can act on it.
//! 4. Deaths are seen through pidfds; the table is read again whenever something ended or was forked, and newcomers get
//!    their signal too, within the grace of the set.
//! 5. After the grace, all are stopped, and the table is read until a look that began with all stopped finds nobody new.
//!    A cgroup that was made for a member is frozen, and killed as a whole, if nobody is in it who is to live.
//!    Then all are killed, and the table is read until two looks find nobody.
//! 6. Each outcome is told to the [`Observer`] as soon as it is known.
//!
//! # Accepted races
//!
//! A process that was forked after the last look, and whose parent dies before the next one, is found only when it
//! carries other evidence: a session or group that a member leads, or the mark of its spawn. Before the signal goes out
//! the counter of forks is read, and new processes are looked for when it has moved; what remains are microseconds.

mod cgroup;
mod engine;
mod guard;
mod marks;
mod numbers;
mod set;
mod watch;

use std::time::Duration;

use crate::evidence::Registered;
use crate::host::Host;
use crate::id::{self, Cgroup, Identity, Pid};
use crate::record::{Process, View};
use crate::registry::Registry;
use crate::signal::Signal;
use crate::source::Source;
use crate::status::End;

pub use engine::{plan, run, run_below};

/// What somebody asked to end.
#[derive(Clone, Debug)]
pub struct Root {
    /// The process.
    pub identity: Identity,
    /// The session that it led or was in, where a record says so: it leads to what is left when the root is dead.
    pub sid: Option<u32>,
    /// The process group that it led or was in, likewise.
    pub pgid: Option<u32>,
    /// The mark of its spawn (`PROCHERD_ID`), where it is known.
    pub cookie: Option<String>,
    /// The cgroup that was made for it, where a record says so: it leads to what is left when the root is dead.
    pub cgroup: Option<Cgroup>,
    /// Where a plan names it: the clock tick of the look that the plan was made from. Then it leads only to processes that
    /// began later. The others were there to be seen: who is not in the plan was taken out of it.
    pub planned_ticks: Option<u64>,
    /// Whether it was named by itself, or came along as a member of a saved tree.
    pub via: Via,
}

impl Root {
    /// A process of which nothing more is known.
    pub fn of(identity: Identity, via: Via) -> Self {
        Self { identity, sid: None, pgid: None, cookie: None, cgroup: None, planned_ticks: None, via }
    }
}

/// Why a process belongs to the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// It was asked for.
    Named,
    /// A parent of it is a member.
    Descendant,
    /// It is in a session that a member leads or led.
    Session,
    /// It is in a process group that a member leads or led, or whose group was asked for.
    Group,
    /// It carries the mark of a member's spawn.
    Cookie,
    /// It is in the cgroup that was made for a member.
    Cgroup,
    /// The registry saved it as a member of the tree.
    Tree,
    /// It has taken the place of a member that was ended.
    Respawn,
}

impl Via {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Descendant => "descendant",
            Self::Session => "session",
            Self::Group => "group",
            Self::Cookie => "cookie",
            Self::Cgroup => "cgroup",
            Self::Tree => "tree",
            Self::Respawn => "respawn",
        }
    }

    /// The reason of a word.
    pub fn named(word: &str) -> Option<Self> {
        use Via::{Cgroup, Cookie, Descendant, Group, Named, Respawn, Session, Tree};
        [Named, Descendant, Session, Group, Cookie, Cgroup, Tree, Respawn]
            .into_iter()
            .find(|via| via.word() == word)
    }
}

/// Why a process is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It is the first process.
    Init,
    /// It is a thread of the kernel.
    KernelThread,
    /// It is this tool.
    Itself,
    /// This tool descends from it.
    Ancestor,
    /// It is part of this tool's pipeline.
    Pipeline,
    /// It manages services or sessions.
    Manager,
    /// It holds a container together.
    Shim,
    /// It belongs to another user.
    OtherUser,
    /// It belongs to another living service or session of the registry.
    Registered,
    /// It asks to be kept (`PROCHERD_KEEP=1` in its environment).
    Kept,
    /// It serves others as well, and only a mark leads to it.
    SharedDaemon,
    /// It lives in another pid namespace, and no parent leads to it.
    OtherNamespace,
}

impl Guard {
    /// The reason in words.
    pub fn why(self) -> &'static str {
        match self {
            Self::Init => "the first process of the system",
            Self::KernelThread => "a thread of the kernel",
            Self::Itself => "this tool itself",
            Self::Ancestor => "an ancestor of this tool",
            Self::Pipeline => "part of this tool's pipeline",
            Self::Manager => "a service manager",
            Self::Shim => "a container's shim",
            Self::OtherUser => "another user's process",
            Self::Registered => "a member of another living service or session",
            Self::Kept => "it asks to be kept (PROCHERD_KEEP=1)",
            Self::SharedDaemon => "a daemon that serves others",
            Self::OtherNamespace => "in another pid namespace",
        }
    }

    /// Tells whether a guarded root still lets its tree be ended. Only this tool's own line does: to end everything
    /// around oneself is a request that makes sense.
    fn spares_only_itself(self) -> bool {
        matches!(self, Self::Itself | Self::Ancestor | Self::Pipeline)
    }
}

/// How to end a set.
#[derive(Clone, Debug)]
pub struct Options {
    /// The signal that asks to end.
    pub signal: Signal,
    /// How long the set has after that. Zero: nobody is asked.
    pub grace: Duration,
    /// How long to go on after the first kill.
    pub kill_wait: Duration,
    /// The bound on everything together.
    pub timeout: Option<Duration>,
    /// End only the named processes.
    pub only: bool,
    /// Take the whole process group of each root.
    pub whole_group: bool,
    /// Let process groups lead to members.
    pub by_group: bool,
    /// Let sessions lead to members.
    pub by_session: bool,
    /// Let marks of spawns lead to members.
    pub by_cookie: bool,
    /// Let cgroups that were made for members lead to members, and be used to end them.
    pub by_cgroup: bool,
    /// Touch other users' processes.
    pub all_users: bool,
    /// Ask children before their parents.
    pub leaves_first: bool,
    /// How long to watch, after all have ended, for processes that take the place of a named one.
    pub settle: Duration,
    /// How often to end those too.
    pub retries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            signal: Signal::TERM,
            grace: Duration::from_secs(3),
            kill_wait: Duration::from_secs(10),
            timeout: None,
            only: false,
            whole_group: false,
            by_group: true,
            by_session: true,
            by_cookie: true,
            by_cgroup: true,
            all_users: false,
            leaves_first: false,
            settle: Duration::ZERO,
            retries: 0,
        }
    }
}

/// The machine, as the engine sees it.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The live process table.
    pub source: &'a Source,
    /// What the registry knows.
    pub registered: &'a Registered,
    /// The registry itself, where successors of services are to be known.
    pub registry: Option<&'a Registry>,
}

/// What a successor has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The command line.
    Command,
    /// The name of the service.
    Service,
    /// A TCP port.
    Port,
}

impl Place {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Service => "service",
            Self::Port => "port",
        }
    }
}

/// A process of a plan.
#[derive(Clone, Debug)]
pub struct Target {
    /// The process as it was first seen.
    pub process: Process,
    /// Why it belongs to the set.
    pub via: Via,
    /// The member that led to it.
    pub from: Option<Pid>,
    /// Why it is left alone, where it is.
    pub guard: Option<Guard>,
    /// How it was identified by whoever asked for it.
    pub source: id::Source,
}

/// A root that no process stands for.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Who was asked for.
    pub identity: Identity,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in words, where there is more to say.
    pub why: Option<String>,
}

/// What would be done: targets in the order in which they are signalled, and roots that are not there.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the targets' records share.
    pub view: View,
    /// The targets in order, guarded ones included.
    pub targets: Vec<Target>,
    /// Roots without a process.
    pub missing: Vec<Missing>,
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended after it was asked to, or by itself.
    Exited,
    /// It was killed.
    Killed,
    /// It had ended before.
    AlreadyGone,
    /// Its number belongs to another process: it had ended before.
    IdentityChanged,
    /// It belongs to another machine or pid namespace.
    Foreign,
    /// It was left alone.
    Protected,
    /// The system did not let us.
    NotPermitted,
    /// It lives on.
    Survived,
    /// It has ended, and another process has taken its place.
    Replaced,
}

impl Outcome {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Killed => "killed",
            Self::AlreadyGone => "already-gone",
            Self::IdentityChanged => "identity-changed",
            Self::Foreign => "foreign",
            Self::Protected => "protected",
            Self::NotPermitted => "not-permitted",
            Self::Survived => "survived",
            Self::Replaced => "replaced",
        }
    }
}

/// What became of one member of the set.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The member.
    pub target: &'a Target,
    /// What became of it.
    pub outcome: Outcome,
    /// The last signal that it was sent.
    pub signal: Option<Signal>,
    /// How it ended, where the kernel tells.
    pub end: Option<End>,
    /// Whether it is a zombie that its parent has not reaped.
    pub zombie: bool,
    /// Milliseconds from the start of the run.
    pub elapsed_ms: u64,
    /// The state of a survivor.
    pub state: Option<char>,
    /// Where a survivor waits.
    pub wait_channel: Option<String>,
}

/// Is told what happens, as it happens.
pub trait Observer {
    /// Tells whether it passes on what processes look like. Where it does not, their command lines are not read, which
    /// for thousands is a quarter of the work.
    fn wants_command_lines(&self) -> bool {
        true
    }
    /// What records of this run share; told before everything else.
    fn begin(&mut self, view: &View);
    /// A root without a process.
    fn missing(&mut self, missing: &Missing);
    /// What became of a member.
    fn outcome(&mut self, report: &Report<'_>);
    /// Another process has taken the place of a named one that was ended.
    fn replaced(&mut self, target: &Target, by: &Process, place: Place);
    /// How many live, some of them, and how long the present phase lasts at most. Told at every step of the run.
    fn progress(
        &mut self,
        phase: Phase,
        count: usize,
        living: &mut dyn Iterator<Item = &Target>,
        left: Duration,
    );
}

/// The phases of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for those that were asked to end.
    Grace,
    /// Killing what is left.
    Force,
    /// Watching for successors.
    Settle,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Members of the set, guarded ones left out.
    pub targets: usize,
    /// Ended without being killed.
    pub exited: usize,
    /// Killed.
    pub killed: usize,
    /// Roots that had ended before.
    pub already_gone: usize,
    /// Roots of another place.
    pub foreign: usize,
    /// Left alone.
    pub protected: usize,
    /// Not allowed.
    pub not_permitted: usize,
    /// Living on.
    pub survived: usize,
    /// Whether the bound on the whole ran out.
    pub timed_out: bool,
    /// Roots that were refused with their trees.
    pub refused: usize,
    /// Processes that took the place of a named one and live on.
    pub replaced: usize,
    /// Whether a session or group of the set is still in use by somebody that no look has caught.
    pub unseen: bool,
    /// Milliseconds that it took.
    pub elapsed_ms: u64,
}
