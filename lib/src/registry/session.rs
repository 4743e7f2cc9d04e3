//! Sessions: who started services that must not outlive it.

use serde::Serialize;

use super::service::{identity_in, milliseconds, set_identity};
use crate::error::{Error, Kind, Result};
use crate::id::Identity;
use crate::record::Record;

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

    /// The folder of its project.
    pub fn project(&self) -> Option<String> {
        self.record.text("projectPath")
    }

    /// When it was registered: wall-clock milliseconds since the epoch.
    pub fn started_ms(&self) -> Option<u64> {
        milliseconds(&self.record, "startTime").filter(|ms| *ms > 0)
    }
}
