//! Sessions: who started services that must not outlive it.

use serde::Serialize;

use super::service::{cgroup_in, identity_in, milliseconds, set_cgroup, set_identity};
use crate::error::{Error, Kind, Result};
use crate::id::{Cgroup, Identity, Place, Source};
use crate::record::Record;

/// The variable in the environment of its members that says who owns a session: see [`owner_mark`].
pub const OWNER_MARK: &str = "PROCHERD_SESSION_OWNER";

/// The mark of the owner of a session: `PID-PIDNS-INODE-TICKS:ID`, where 0 stands for what is not known.
///
/// A process that lives carries marks of this boot, so the boot is not in it. The id is: who gives a member another
/// session by hand does not give it the owner of the first.
pub fn owner_mark(id: &str, owner: &Identity) -> String {
    let number = |known: Option<u64>| known.unwrap_or(0);
    let (ns, inode, ticks) = (number(owner.pid_ns), number(owner.inode), number(owner.start_ticks));
    format!("{}-{ns}-{inode}-{ticks}:{id}", owner.pid)
}

/// Reads the mark that a member of a session carries. None: it is the mark of another session, or none at all.
pub(super) fn marked_owner(mark: &str, id: &str, place: &Place) -> Option<Identity> {
    let mut parts = mark.strip_suffix(id)?.strip_suffix(':')?.split('-');
    let pid = parts.next()?.parse().ok()?;
    let mut number = || Some(parts.next()?.parse::<u64>().ok()?).filter(|number| *number > 0);
    let (pid_ns, inode, start_ticks) = (number()?, number(), number());
    let known = parts.next().is_none() && (inode.is_some() || start_ticks.is_some());
    known.then(|| Identity {
        pid_ns: Some(pid_ns),
        source: Source::Record,
        ..Identity::here(place, pid, inode, start_ticks)
    })
}

/// One session: the process that owns it, and its project. When the owner has ended, so has the session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id: any text, often `claude-<shell pid>-<unix seconds>`. Children know it as `PROCHERD_SESSION` and
    /// `CLAUDE_SESSION_ID`.
    pub id: String,
    pub(super) record: Record,
}

impl Session {
    /// Makes a session that a process owns.
    pub fn new(id: &str, owner: &Identity, started_ms: u64, project: Option<&str>) -> Self {
        let mut record = Record::default();
        record.set("pid", &owner.pid);
        if let Some(project) = project {
            record.set("projectPath", &project);
        }
        set_identity(&mut record, owner, started_ms);
        Self { id: id.to_owned(), record }
    }

    /// Makes a session from fields that another program, or an older self, wrote.
    pub fn from_fields(id: &str, record: Record) -> Self {
        Self { id: id.to_owned(), record }
    }

    pub(super) fn parse(id: &str, json: &str) -> Result<Self> {
        match Record::parse(json.as_bytes()) {
            Ok(record) => Ok(Self { id: id.to_owned(), record }),
            Err(error) => Err(Error::new(Kind::Damaged, "read entry of session", id, error.why())),
        }
    }

    /// All fields of the entry.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Sets a field of the entry.
    pub fn set(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.record.set(name, value);
    }

    /// The process that owns it. An error says why the entry names no process that could be meant.
    pub fn owner(&self) -> Result<Identity> {
        identity_in(&self.record, &self.id)
    }

    /// What its members carry to say who owns it ([`OWNER_MARK`]); none where the entry names no process.
    pub fn owner_mark(&self) -> Option<String> {
        Some(owner_mark(&self.id, &self.owner().ok()?))
    }

    /// The folder of its project.
    pub fn project(&self) -> Option<String> {
        self.record.text("projectPath")
    }

    /// The cgroup that was made for it.
    pub fn cgroup(&self) -> Option<Cgroup> {
        cgroup_in(&self.record)
    }

    /// Notes the cgroup that was made for it.
    pub fn set_cgroup(&mut self, name: &Cgroup) {
        set_cgroup(&mut self.record, name);
    }

    /// When it was registered: wall-clock milliseconds since the epoch.
    pub fn started_ms(&self) -> Option<u64> {
        milliseconds(&self.record, "startTime").filter(|ms| *ms > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    #[test]
    fn the_mark_of_an_owner_is_read_back_for_its_own_session_only() {
        let host = Host::look().expect("a host");
        let pid = crate::id::Pid::new(77).expect("a pid");
        for (inode, ticks) in [(Some(5), Some(9)), (None, Some(9)), (Some(5), None)] {
            let owner = Identity::here(host.place(), pid, inode, ticks);
            for id in ["s", "a-b:c", "claude-77-1700000000", "77-1-5-9:s"] {
                let mark = owner_mark(id, &owner);
                assert_eq!(marked_owner(&mark, id, host.place()).as_ref(), Some(&owner), "{mark}");
                assert_eq!(marked_owner(&mark, "other", host.place()), None, "{mark}");
            }
        }
        for mark in ["", ":s", "s", "77:s", "77-1:s", "77-1-0-0:s", "0-1-5-9:s", "77-1-5-9-3:s", "x-1-5-9:s"]
        {
            assert_eq!(marked_owner(mark, "s", host.place()), None, "{mark}");
        }
    }
}
