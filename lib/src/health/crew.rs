//! Who belongs to a service: its process, and what it has started.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::Setting;
use crate::id::Pid;
use crate::registry::{Service, Verdict};
use crate::select;
use crate::text::visible;

/// The members of one service in one look.
///
/// They are its process and all below it; the processes below it when it was last looked at, and all below these; what is
/// in the session that it leads; and what carries its mark. The mark is read of those alone that somebody asks about.
pub(super) struct Crew<'a> {
    pub(super) setting: Setting<'a>,
    members: HashSet<Pid>,
    cookie: Option<String>,
    asked: RefCell<HashMap<Pid, bool>>,
}

impl<'a> Crew<'a> {
    pub(super) fn of(setting: Setting<'a>, service: &Service, verdict: &Verdict) -> Self {
        let table = setting.table;
        let root = match verdict {
            Verdict::Alive(identity) => Some(identity.clone()),
            _ => service.identity().ok(),
        };
        let find = |id: &crate::id::Identity| table.find_exactly(id.pid, id.inode, id.start_ticks);
        let mut roots: Vec<usize> = service.tree().iter().filter_map(find).collect();
        if let Some(root) = &root {
            let own = find(root);
            roots.extend(own);
            let led: Option<u32> = service.record().field("sid").ok().flatten();
            // While a session has members its number goes to nobody else; a process of that number leads another one.
            let leads =
                led == Some(root.pid.get()) && (own.is_some() || table.find(root.pid.get()).is_none());
            let began = root.start_ticks.unwrap_or(0);
            let in_session = |process: &crate::record::Process| {
                leads && process.sid == root.pid.get() && process.start_ticks >= began
            };
            roots.extend((0..table.processes().len()).filter(|index| in_session(table.get(*index))));
        }
        let living = |index: &usize| !table.get(*index).is_zombie();
        let members = table.members(roots).into_iter().filter(living).map(|index| table.get(index).pid);
        Self { setting, members: members.collect(), cookie: service.cookie(), asked: RefCell::default() }
    }

    /// The members that are known without reading marks.
    pub(super) fn members(&self) -> Vec<Pid> {
        self.members.iter().copied().collect()
    }

    /// How many members live.
    pub(super) fn living(&self) -> usize {
        self.members.len()
    }

    /// Tells whether a process is a member.
    pub(super) fn has(&self, pid: Pid) -> bool {
        let Some(cookie) = self.cookie.as_deref().filter(|_| !self.members.contains(&pid)) else {
            return self.members.contains(&pid) || self.began_since(pid);
        };
        *self.asked.borrow_mut().entry(pid).or_insert_with(|| {
            let environ = self.setting.source.environ(pid).unwrap_or_default();
            select::variable(&environ, "PROCHERD_ID") == Some(cookie.as_bytes()) || self.began_since(pid)
        })
    }

    /// Tells whether a process that the look does not show, because it is younger, was started by a member.
    fn began_since(&self, pid: Pid) -> bool {
        if self.setting.table.find(pid.get()).is_some() {
            return false;
        }
        let mut reader = self.setting.source.reader(crate::source::Wants::default());
        let mut next = pid;
        // Nobody forks so fast that this goes far.
        for _ in 0..16 {
            let Ok(Some(process)) = reader.read(next) else { return false };
            match Pid::new(process.ppid) {
                Some(parent) if self.members.contains(&parent) => return true,
                Some(parent) => next = parent,
                None => return false,
            }
        }
        false
    }

    /// A process in words: its number and its name.
    pub(super) fn words(&self, pid: Pid) -> String {
        let mut reader = self.setting.source.reader(crate::source::Wants::default());
        match reader.read(pid) {
            Ok(Some(process)) => format!("process {pid} ({})", visible(process.comm.bytes())),
            _ => format!("process {pid}"),
        }
    }
}
