//! The registry: the memory of services, projects and sessions, which survives crashes, full disks and many writers.
//!
//! One JSON document holds it, in the layout (version 3.0.0) of the programs that procherd replaces, so that those can
//! go on reading and writing it:
//!
//! ```json
//! { "version": "3.0.0", "lastChange": 1700000000000,
//!   "sessions": { "<session id>": { "pid": 4711, "projectPath": "/abs", "startTime": 1700000000000 } },
//!   "services": { "global":   { "<name>": {} },
//!                 "projects": { "/abs/project": { "<name>": {} } },
//!                 "sessions": { "<session id>": { "<name>": {} } } } }
//! ```
//!
//! [`Registry::read`] takes no lock: a document is replaced in one step, so a reader sees all of one version.
//! [`Registry::change`] is one transaction: lock, read again, change, write beside, fsync, rename; then the lock is given
//! back and the folder synced, so that the disk keeps the new name as well. [`Registry::put`] waits for no disk where the
//! file system keeps one version or the other by itself. On every error the registry is what it was, byte for byte.
//! Programs that write it without the lock can lose changes, their own and ours; what they write in place is read again
//! when it is met half written.
//!
//! Never fork between the begin and the end of a [`Registry::change`].

mod document;
pub mod export;
pub(crate) mod files;
mod folder;
mod import;
mod judge;
mod known;
mod leftovers;
mod lines;
mod location;
mod lock;
mod observe;
mod rebuild;
mod scope;
mod service;
mod session;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Kind, Result};
use crate::host::{Host, unix_ms};
use crate::source::Source;

pub use document::{Document, Entry, MOST_ENTRIES, VERSION};
pub use files::{PidFile, judge_pid_file, pid_file_of, pid_files};
pub use folder::LARGEST;
pub use import::{Form, Import, bind, bind_session, import};
pub use judge::{Verdict, given_ports, judge, judge_identity, judge_session, judged};
pub use known::{Ended, Known, Living};
pub use leftovers::{Forgotten, Overdue, dead, forget_dead, overdue, service_roots, session_roots};
pub use lines::{write_service, write_session};
pub use location::{REPOSITORY_NAME, locate};
pub use observe::observe;
pub use rebuild::{Rebuilt, rebuild};
pub use scope::{Choice, Scope, quoted};
pub use service::{Service, Status, cgroup_in, check_name};
pub use session::{OWNER_MARK, Session, owner_mark};

use folder::{Content, Draft, Durable, Folder};
use lock::Lock;
use service::set_identity;

/// How long a writer waits for the lock unless told otherwise.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A registry at a place. It need not exist yet: the first change makes it.
#[derive(Clone, Debug)]
pub struct Registry {
    path: PathBuf,
    lock_timeout: Duration,
}

/// What came of a wish to register a service under a name.
#[derive(Debug)]
pub enum Claim {
    /// Nobody holds the name: it is free, or its last holder is dead. What stood there is given.
    Free(Option<Service>),
    /// The name belongs to a service that lives, or that cannot be judged from here.
    Held(Box<Service>, Verdict),
}

/// A change that was put in place.
#[derive(Debug)]
pub struct Put<T> {
    /// What the change gave.
    pub result: T,
    /// The version before.
    pub replaced: Replaced,
}

/// The version of the registry that was replaced, held.
///
/// When it is dropped, the kernel gives free the room that it takes, and that can wait for the disk (mount option
/// `discard`): whoever has to hurry drops it later.
#[derive(Debug, Default)]
pub struct Replaced {
    _file: Option<File>,
}

impl Registry {
    /// Names the registry at an absolute path, as [`locate`] finds it.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), lock_timeout: LOCK_TIMEOUT }
    }

    /// Sets how long a change waits for the lock at most.
    #[must_use]
    pub fn lock_timeout(mut self, limit: Duration) -> Self {
        self.lock_timeout = limit;
        self
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether there is a file in its place, of any kind.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Reads the registry as it is now, without a lock. One that does not exist is empty.
    ///
    /// `Damaged`: it cannot be understood. `Refused`: others could have written it.
    pub fn read(&self) -> Result<Document> {
        match Folder::open(&self.path)? {
            Some(folder) => Ok(read_in(&folder)?.0),
            None => Ok(Document::empty()),
        }
    }

    /// Changes the registry in one transaction. When `change` fails or changes nothing, nothing is written.
    ///
    /// `change` may be called again, on a newer document, when this process was stopped in the middle and somebody
    /// else went on. `Busy`: the lock was not to be had in time; the error names who holds it.
    pub fn change<T>(&self, change: impl FnMut(&mut Document) -> Result<T>) -> Result<T> {
        self.carry_out(change, Durable::Yes).map(|put| put.result)
    }

    /// Changes the registry as [`Self::change`] does, but does not wait until the disk keeps the change: for what is true
    /// of living processes only.
    ///
    /// All processes see it, and whatever they do to each other cannot undo it. A power failure within the next seconds
    /// can: then the registry is the one before, whole, and all of its processes are dead.
    pub fn put<T>(&self, change: impl FnMut(&mut Document) -> Result<T>) -> Result<Put<T>> {
        self.carry_out(change, Durable::No)
    }

    fn carry_out<T>(
        &self,
        mut change: impl FnMut(&mut Document) -> Result<T>,
        durable: Durable,
    ) -> Result<Put<T>> {
        let mut given = None;
        let mut keep = |document: &mut Document| change(document).map(|result| given = Some(result));
        let replaced = self.transact(&mut keep, durable)?;
        given.map(|result| Put { result, replaced }).ok_or_else(|| {
            Error::new(Kind::System, "change registry", self.path.display(), "nothing was done")
        })
    }

    /// The same for all types of results: it is large, and stands in a program once.
    fn transact(
        &self,
        change: &mut dyn FnMut(&mut Document) -> Result<()>,
        durable: Durable,
    ) -> Result<Replaced> {
        let folder = Folder::open_or_make(&self.path)?;
        loop {
            let (lock, draft) = self.begin(&folder)?;
            let (mut document, file) = read_in(&folder)?;
            change(&mut document)?;
            let replaced = Replaced { _file: file };
            if !document.is_changed() {
                return Ok(replaced);
            }
            if draft.publish(&document.write(unix_ms()), durable)? {
                // Others may go on from here. Where many do, the disk keeps what all of them have put in place at once.
                drop(lock);
                if durable == Durable::Yes {
                    folder.keep_names()?;
                }
                return Ok(replaced);
            }
        }
    }

    /// Sets a damaged registry aside under a dated name, so that a new one can begin. Gives the new path of the old file.
    ///
    /// None: it can be read, and stays. A registry that is refused (a link, of another user) is not touched.
    pub fn repair(&self) -> Result<Option<PathBuf>> {
        let folder = Folder::open_or_make(&self.path)?;
        let (_lock, _draft) = self.begin(&folder)?;
        match read_in(&folder) {
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == Kind::Damaged => {}
            Err(error) => return Err(error),
        }
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{now}"));
        folder.set_aside(&name)?;
        Ok(Some(self.path.with_file_name(name)))
    }

    /// Takes the lock and makes a draft under it, in the order that `lock` asks for. Drop the draft first.
    fn begin<'a>(&self, folder: &'a Folder) -> Result<(Lock, Draft<'a>)> {
        loop {
            let lock = Lock::take(folder, self.lock_timeout)?;
            let draft = folder.draft()?;
            if lock.is_current(folder)? {
                folder.sweep(&draft.name)?;
                return Ok((lock, draft));
            }
        }
    }
}

/// Asks for a name within a transaction. See [`Claim`].
pub fn claim(document: &Document, host: &Host, source: &Source, scope: &Scope, name: &str) -> Result<Claim> {
    let Some(service) = document.get(scope, name)? else { return Ok(Claim::Free(None)) };
    Ok(match judge(host, source, &service) {
        Verdict::Dead(_) | Verdict::Inert(_) => Claim::Free(Some(service)),
        verdict => Claim::Held(Box::new(service), verdict),
    })
}

/// How often, and after what pause, a document that another program may be writing in place is read again.
const REREAD: (u32, Duration) = (5, Duration::from_millis(20));

/// Reads the registry, and gives the file in which it stands.
fn read_in(folder: &Folder) -> Result<(Document, Option<File>)> {
    let mut again = REREAD.0;
    loop {
        let Some(Content { bytes, age, file }) = folder.read()? else {
            return Ok((Document::empty(), None));
        };
        match Document::parse(bytes) {
            Ok(document) => return Ok((document, Some(file))),
            // Written in place this very moment, by a program that knows nothing better: it will be whole soon.
            Err(_) if again > 0 && age < Duration::from_secs(1) => {
                again -= 1;
                std::thread::sleep(REREAD.1);
            }
            Err(error) => {
                return Err(Error::new(error.kind(), "read registry", folder.path().display(), error.why()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
