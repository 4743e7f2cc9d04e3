//! Why a process counts as an orphan: its owner is gone, and this shows it.
//!
//! A parent with number 1 is neither necessary nor sufficient. Orphans land at the nearest subreaper; and healthy
//! services, nohup jobs and container shims live below number 1. So evidence is collected and shown, each piece with
//! its strength, and nothing is inferred from the parent alone.
//!
//! # When another session is certain
//!
//! A process keeps its session until it calls setsid(2), and then it leads one. So a process that leads none was forked
//! inside its session. Its parent now being in another one means that the process that forked it is gone, with one
//! exception: the parent may have forked it first and called setsid afterwards. Such a parent leads its session.
//! Therefore the evidence is certain when the parent leads no session, or is a reaper known as such, or when the leader
//! of the child's session descends from the parent (it was made below the parent, which so was never inside that
//! session); and only probable otherwise.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::id::{Cgroup, Identity};
use crate::record::Process;
use crate::tree::{Index, Table};

/// How much a piece of evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Suggests: reported when a selector narrows the search.
    Probable,
    /// Proves.
    Certain,
}

impl Strength {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Probable => "probable",
            Self::Certain => "certain",
        }
    }
}

/// A kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It leads no session, and its session is not its parent's.
    SessionDiffersFromParent,
    /// Its registered parent, spawner or session owner is dead.
    OwnerDead,
    /// The leader of its session is dead, and its parent is a reaper.
    SessionDead,
    /// The leader of its process group is dead, and its parent is a reaper.
    GroupLeaderGone,
    /// The terminal that it reads or writes has been removed.
    TtyGone,
    /// It carries the mark of a session that is over.
    CookieOfDeadSession,
    /// Its parent is a known reaper that did not start it.
    Reparented,
    /// It hangs below a process that is an orphan.
    BelowOrphan,
    /// No registry knows it.
    Unregistered,
}

impl Kind {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::SessionDiffersFromParent => "session-differs-from-parent",
            Self::OwnerDead => "owner-dead",
            Self::SessionDead => "session-dead",
            Self::GroupLeaderGone => "group-leader-gone",
            Self::TtyGone => "tty-gone",
            Self::CookieOfDeadSession => "cookie-of-dead-session",
            Self::Reparented => "reparented",
            Self::BelowOrphan => "below-orphan",
            Self::Unregistered => "unregistered",
        }
    }
}

/// One piece of evidence: its kind, its strength, and the facts that it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What it is.
    pub kind: Kind,
    /// How much it proves.
    pub strength: Strength,
    /// Numbers that it rests on: process, session and group numbers by name.
    pub numbers: Vec<(&'static str, u32)>,
    /// Words that it rests on.
    pub words: Vec<(&'static str, String)>,
}

impl Evidence {
    /// Makes evidence that rests on numbers.
    pub fn new(kind: Kind, strength: Strength, numbers: &[(&'static str, u32)]) -> Self {
        Self { kind, strength, numbers: numbers.to_vec(), words: Vec::new() }
    }

    /// Adds a word that it rests on.
    #[must_use]
    pub fn with(mut self, name: &'static str, word: impl Into<String>) -> Self {
        self.words.push((name, word.into()));
        self
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind.word())?;
        map.serialize_entry("strength", self.strength.word())?;
        for (name, number) in &self.numbers {
            map.serialize_entry(name, number)?;
        }
        for (name, word) in &self.words {
            map.serialize_entry(name, word)?;
        }
        map.end()
    }
}

/// What a registry knows of one process.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The cgroup that was made for it.
    pub cgroup: Option<Cgroup>,
    /// The process.
    pub identity: Identity,
    /// The name of its service; none for the owner of a session.
    pub service: Option<String>,
    /// `global`, `project` or `session`.
    pub scope: &'static str,
    /// The project that it belongs to, an absolute path.
    pub project: Option<String>,
    /// The session that it belongs to.
    pub session: Option<String>,
    /// Which of its owners is dead: `parent`, `spawner` or `session`.
    pub owner_dead: Option<&'static str>,
}

/// What a registry knows, by process and by session.
#[derive(Clone, Debug, Default)]
pub struct Registered {
    entries: Vec<Registration>,
    by_pid: HashMap<u32, Vec<usize>>,
    /// Sessions by id, and whether their owner lives.
    sessions: HashMap<String, bool>,
}

impl Registered {
    /// Collects what a registry knows. `sessions` tells for each session whether its owner lives.
    pub fn new(entries: Vec<Registration>, sessions: HashMap<String, bool>) -> Self {
        let mut by_pid: HashMap<u32, Vec<usize>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            by_pid.entry(entry.identity.pid.get()).or_default().push(index);
        }
        Self { entries, by_pid, sessions }
    }

    /// The registration of a process, by identity.
    pub fn of(&self, process: &Process, table: &Table) -> Option<&Registration> {
        let candidates = self.by_pid.get(&process.pid.get())?;
        let identity = process.identity(&table.view.place);
        candidates.iter().map(|index| &self.entries[*index]).find(|entry| entry.identity.same_as(&identity))
    }

    /// The registration of a process or of its nearest registered ancestor.
    pub fn nearest(&self, index: Index, table: &Table) -> Option<&Registration> {
        self.of(table.get(self.nearest_index(index, table)?), table)
    }

    /// The registered process that a process is or stands below, the nearest one.
    pub fn nearest_index(&self, index: Index, table: &Table) -> Option<Index> {
        if self.entries.is_empty() {
            return None;
        }
        std::iter::once(index)
            .chain(table.ancestors(index))
            .find(|ancestor| self.of(table.get(*ancestor), table).is_some())
    }

    /// Tells whether the owner of a session lives; none where the session is not known.
    pub fn session_lives(&self, id: &str) -> Option<bool> {
        self.sessions.get(id).copied()
    }

    /// Tells whether it knows any session.
    pub fn has_sessions(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// All registrations.
    pub fn entries(&self) -> &[Registration] {
        &self.entries
    }
}

/// Which kind of reaper a process is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaper {
    /// The first process, or the manager of a user: it starts daemons, each as a session leader.
    Manager,
    /// An init for one program (tini, dumb-init): whatever is not its oldest child was adopted.
    SingleChild,
    /// A container shim, a terminal multiplexer, or a guardian of ours.
    Other,
}

/// Tells whether a process is known to adopt orphans, by what it is. Names can lie: this is never used to act.
pub fn reaper(process: &Process) -> Option<Reaper> {
    let name = process.comm.bytes();
    let known = |names: &[&str]| names.iter().any(|known| known.as_bytes() == name);
    if known(&["tini", "dumb-init", "docker-init", "catatonit", "podman-init"]) {
        Some(Reaper::SingleChild)
    } else if process.pid.get() == 1
        || known(&["systemd", "init", "launchd", "runit", "s6-svscan", "openrc-init"])
    {
        Some(Reaper::Manager)
    } else if is_shim(process)
        || name.starts_with(b"tmux: server")
        || known(&["screen", "SCREEN", "psession"])
    {
        Some(Reaper::Other)
    } else {
        None
    }
}

/// The top of the tree that a process belongs to: its topmost ancestor within its session, below what adopts orphans and
/// below the shell of a terminal.
///
/// A guess for people and for clean-up: whoever started the tree may stand in the same session, and be its top.
pub fn tree_root(table: &Table, index: Index) -> Index {
    let session = table.get(index).sid;
    let above = table.ancestors(index).take_while(|ancestor| {
        let process = table.get(*ancestor);
        let shell = process.leads_session() && process.tty != 0;
        process.sid == session && !shell && reaper(process).is_none()
    });
    above.last().unwrap_or(index)
}

/// Tells whether a process holds a container together: to end it is to lose the container.
pub fn is_shim(process: &Process) -> bool {
    let name = process.comm.bytes();
    name.starts_with(b"containerd-shim")
        || name == b"conmon"
        || name == b"docker-proxy"
        || name == b"rootlesskit"
}

/// Collects the evidence that the table alone gives for one process.
///
/// Kernel threads, zombies, reapers and shims never have any. Costs no reads.
pub fn of_table(table: &Table, index: Index) -> Vec<Evidence> {
    let process = table.get(index);
    let mut found = Vec::new();
    if process.kernel_thread || process.is_zombie() || reaper(process).is_some() || process.sid == 0 {
        return found;
    }
    let Some(parent_index) = table.parent(index) else {
        // Under hidepid the first process cannot be seen; its number is known all the same, and it leads session 1 or 0.
        if process.ppid == 1 && table.find(1).is_none() && !process.leads_session() && process.sid > 1 {
            let numbers = [("parent", 1), ("sid", process.sid)];
            found.push(Evidence::new(Kind::SessionDiffersFromParent, Strength::Certain, &numbers));
        }
        return found;
    };
    let parent = table.get(parent_index);
    let adopter = reaper(parent);
    let leader = table.find(process.sid).filter(|leader| table.get(*leader).sid == process.sid);
    let numbers = [("parent", parent.pid.get()), ("sid", process.sid), ("parent_sid", parent.sid)];
    if !process.leads_session() && process.sid != parent.sid {
        let below_parent = leader.is_some_and(|leader| table.ancestors(leader).any(|up| up == parent_index));
        let certain = !parent.leads_session() || adopter.is_some() || below_parent;
        let strength = if certain { Strength::Certain } else { Strength::Probable };
        found.push(Evidence::new(Kind::SessionDiffersFromParent, strength, &numbers));
        if leader.is_none() {
            found.push(Evidence::new(Kind::SessionDead, Strength::Probable, &[("sid", process.sid)]));
        }
    }
    let eldest = table.children(parent_index).next() == Some(index);
    if adopter == Some(Reaper::SingleChild) && !eldest && !process.leads_session() {
        found.push(Evidence::new(Kind::Reparented, Strength::Probable, &[("parent", parent.pid.get())]));
    }
    let group_leader = table.find(process.pgid);
    if adopter.is_some() && process.pgid != 0 && process.pgid != parent.pgid && group_leader.is_none() {
        found.push(Evidence::new(Kind::GroupLeaderGone, Strength::Probable, &[("pgid", process.pgid)]));
    }
    found
}

/// Evidence from a registration: one of the owners of a process is dead.
pub fn of_registration(registration: &Registration) -> Option<Evidence> {
    let owner = registration.owner_dead?;
    let mut evidence = Evidence::new(Kind::OwnerDead, Strength::Certain, &[]).with("owner", owner);
    if let Some(service) = &registration.service {
        evidence = evidence.with("service", service.as_str());
    }
    if let Some(session) = &registration.session {
        evidence = evidence.with("session", session.as_str());
    }
    Some(evidence)
}

/// Tells whether a link of `/proc/PID/fd` leads to a terminal that was removed.
pub fn leads_to_removed_tty(link: &[u8]) -> bool {
    (link.starts_with(b"/dev/pts/") || link.starts_with(b"/dev/tty")) && link.ends_with(b" (deleted)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{process, view};

    type Row = (u32, u32, u32, u32, u64, &'static str);

    fn evidence(rows: &[Row], pid: u32) -> Vec<(Kind, Strength)> {
        let rows = rows.iter().map(|(pid, ppid, pgid, sid, start, comm)| {
            let mut made = process(*pid, *ppid, *pgid, *sid, *start);
            made.comm = (*comm).into();
            made
        });
        let table = Table::new(view(), rows.collect());
        let index = table.find(pid).expect("there");
        of_table(&table, index).into_iter().map(|piece| (piece.kind, piece.strength)).collect()
    }

    const INIT: Row = (1, 0, 1, 1, 0, "init");

    #[test]
    fn a_child_whose_session_is_not_its_parents_lost_the_process_that_forked_it() {
        let found = evidence(&[INIT, (20, 1, 15, 15, 9, "node")], 20);
        assert!(found.contains(&(Kind::SessionDiffersFromParent, Strength::Certain)));
        assert!(found.contains(&(Kind::SessionDead, Strength::Probable)));
    }

    #[test]
    fn a_daemon_that_leads_its_session_is_no_orphan() {
        assert!(evidence(&[INIT, (20, 1, 20, 20, 9, "sshd")], 20).is_empty());
    }

    #[test]
    fn a_child_forked_before_its_parent_called_setsid_is_only_probable() {
        // 10 leads the session that 30 is in; 20 forked 30 and then called setsid.
        let rows =
            [INIT, (10, 1, 10, 10, 5, "sh"), (20, 10, 20, 20, 6, "server"), (30, 20, 10, 10, 7, "helper")];
        assert_eq!(evidence(&rows, 30), [(Kind::SessionDiffersFromParent, Strength::Probable)]);
    }

    #[test]
    fn an_orphan_below_an_unknown_subreaper_is_certain_when_its_session_was_made_below_it() {
        let rows =
            [INIT, (10, 1, 10, 10, 5, "agent"), (20, 10, 20, 20, 6, "sh"), (30, 10, 20, 20, 7, "node")];
        assert_eq!(evidence(&rows, 30), [(Kind::SessionDiffersFromParent, Strength::Certain)]);
    }

    #[test]
    fn an_orphan_below_a_parent_that_leads_no_session_is_certain() {
        let rows = [INIT, (10, 1, 9, 9, 5, "agent"), (30, 10, 20, 20, 7, "node")];
        assert!(evidence(&rows, 30).contains(&(Kind::SessionDiffersFromParent, Strength::Certain)));
    }

    #[test]
    fn an_ordinary_child_a_zombie_and_a_kernel_thread_have_no_evidence() {
        let rows = [INIT, (10, 1, 10, 10, 5, "sh"), (20, 10, 20, 10, 6, "node")];
        assert!(evidence(&rows, 20).is_empty());
        let mut zombie = process(20, 1, 15, 15, 9);
        zombie.state = crate::status::State::ZOMBIE;
        let table = Table::new(view(), vec![process(1, 0, 1, 1, 0), zombie]);
        assert!(of_table(&table, 1).is_empty());
    }

    #[test]
    fn below_a_single_child_init_all_but_the_first_were_adopted() {
        let rows = [(1, 0, 1, 1, 0, "tini"), (7, 1, 1, 1, 1, "app"), (30, 1, 1, 1, 9, "node")];
        assert!(evidence(&rows, 7).is_empty());
        assert_eq!(evidence(&rows, 30), [(Kind::Reparented, Strength::Probable)]);
        let rows = [(1, 0, 1, 1, 0, "tini"), (7, 1, 1, 1, 1, "app"), (30, 1, 30, 30, 9, "daemon")];
        assert!(evidence(&rows, 30).is_empty(), "a daemon by design");
    }

    #[test]
    fn a_removed_terminal_is_recognised() {
        assert!(leads_to_removed_tty(b"/dev/pts/3 (deleted)"));
        assert!(!leads_to_removed_tty(b"/dev/pts/3"));
        assert!(!leads_to_removed_tty(b"/tmp/x (deleted)"));
    }
}
