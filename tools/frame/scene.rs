//! What a finder looks at: the live table or a saved one, with the same questions answered for both.

use std::collections::HashSet;

use procherd::error::{Error, Kind, Result};
use procherd::evidence::{Registered, Registration};
use procherd::handle::{self, Look};
use procherd::host::Host;
use procherd::id::{Identity, Pid};
use procherd::record::{Line, Process, Record};
use procherd::registry::{Document, Known};
use procherd::select::{Fact, Facts};
use procherd::snapshot::{self, Saved};
use procherd::source::{Source, Wants};
use procherd::stream::{Item, Reader};
use procherd::tree::{Index, Table};
use serde::Serialize;

use super::args::{LookArgs, RegistryArgs};
use super::report::Reporter;

/// One look at processes, and what it was made of.
pub struct Scene {
    host: Host,
    source: Source,
    table: Table,
    /// The records of a saved look, in the order of the table.
    saved: Option<Vec<Record>>,
    /// What the registry knows.
    pub registered: Registered,
}

/// What an operand turned out to be.
pub enum Found {
    /// It stands in the table.
    At(Index),
    /// There is no such process any more.
    Gone,
    /// It cannot be judged here; the text says why.
    Elsewhere(&'static str),
}

impl Scene {
    /// Looks at the live system, or reads the snapshot that the options name.
    pub fn look(args: &LookArgs, wants: Wants, reporter: &mut Reporter) -> Result<Self> {
        let (host, source) = (Host::look()?, Source::live()?);
        let (table, saved) = match &args.from {
            None => {
                let table = snapshot::read(&host, &source, wants)?;
                // The first process is always there: where it is not shown, others are hidden as well.
                if table.find(Pid::INIT.get()).is_none() {
                    reporter.note("read process table: /proc: it hides processes of other users (hidepid)");
                }
                (table, None)
            }
            Some(path) => {
                let file = std::fs::File::open(path)
                    .map_err(|error| Error::system("read snapshot", path.display(), error))?;
                let saved = read_saved(&host, std::io::BufReader::new(file), reporter)?;
                (saved.table, Some(saved.records))
            }
        };
        Ok(Self { host, source, table, saved, registered: Registered::default() })
    }

    /// Looks at a table of the live system that was read already.
    pub fn of(host: Host, source: Source, table: Table) -> Self {
        Self { host, source, table, saved: None, registered: Registered::default() }
    }

    /// Looks at some processes of the live system and at their ancestors, and at nothing else.
    pub fn of_lineage(host: Host, source: Source, pids: &[Pid]) -> Result<Self> {
        let table = snapshot::lineage(&host, &source, pids, Wants::EVERYDAY)?;
        Ok(Self::of(host, source, table))
    }

    /// Looks at process records that were saved. What is none is said.
    pub fn saved(records: Vec<Record>, reporter: &mut Reporter) -> Result<Self> {
        let (host, source) = (Host::look()?, Source::live()?);
        let mut whole = Vec::with_capacity(records.len());
        for record in records {
            match Process::from_record(&record, host.ticks_per_second()) {
                Ok(_) => whole.push(record),
                Err(error) => reporter.fault(&error),
            }
        }
        let saved = snapshot::from_records(&host, whole)?;
        Ok(Self { saved: Some(saved.records), ..Self::of(host, source, saved.table) })
    }

    /// The record that a process was saved as.
    pub fn record(&self, index: Index) -> Option<&Record> {
        self.saved.as_ref().map(|records| &records[index])
    }

    /// This machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The live process table, for facts that the look does not hold.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// All processes of the look.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Gives the processes of the look alone.
    pub fn into_table(self) -> Table {
        self.table
    }

    /// Tells whether this is the live system.
    pub fn is_live(&self) -> bool {
        self.saved.is_none()
    }

    /// Finds a process by identity.
    ///
    /// What the table does not show is looked for again: to be hidden is not to be gone.
    pub fn find(&self, identity: &Identity) -> Found {
        if let Some(index) = self.table.find_exactly(identity.pid, identity.inode, identity.start_ticks) {
            let place = &self.table.view.place;
            return match identity.standing(place, self.is_live() && self.host.has_pidfs()) {
                procherd::id::Standing::Here if self.is_proved(identity, index) => Found::At(index),
                procherd::id::Standing::Here | procherd::id::Standing::EarlierBoot => Found::Gone,
                procherd::id::Standing::Foreign(why) | procherd::id::Standing::TooWeak(why) => {
                    Found::Elsewhere(why)
                }
            };
        }
        if !self.is_live() {
            return Found::Gone;
        }
        match handle::open(&self.host, &self.source, identity) {
            Look::Gone | Look::Changed => Found::Gone,
            // It began after the look, or /proc hides it (hidepid): the kernel knows it, so it has not gone.
            Look::Found(handle) if handle.has_ended() => Found::Gone,
            Look::Found(_) => Found::Elsewhere("it lives, but the process table does not show it"),
            Look::Foreign(why) | Look::TooWeak(why) => Found::Elsewhere(why),
            Look::Failed(_) => Found::Elsewhere("it could not be looked at"),
        }
    }

    /// Tells whether a process of the table is the one that an identity names, also where the table was read without
    /// inodes: equal starts do not make two processes one.
    fn is_proved(&self, identity: &Identity, index: Index) -> bool {
        let unread = self.is_live() && self.table.get(index).inode.is_none();
        identity.inode.is_none()
            || !unread
            || matches!(handle::open(&self.host, &self.source, identity), Look::Found(_))
    }

    /// This process, its ancestors, and the processes of its pipeline: a finder never reports them.
    pub fn own_line(&self) -> HashSet<Index> {
        let Some(own) = self.table.find(Pid::this().get()).filter(|_| self.is_live()) else {
            return HashSet::new();
        };
        let mut line: HashSet<Index> = self.table.ancestors(own).chain([own]).collect();
        line.extend(procherd::pipeline::neighbours(&self.source, &self.table, own));
        line
    }

    /// Reads more facts of some processes of the live table. Gives those that still are what the table says of them.
    ///
    /// A process is read again with its identity first, and kept only when all that evidence rests on is unchanged: so
    /// what was found out about one process never comes with the identity of another.
    pub fn enrich(&mut self, indices: &[Index], wants: Wants) -> Result<Vec<Index>> {
        if !self.is_live() {
            return Ok(indices.to_vec());
        }
        let mut by_pid: Vec<(Pid, Index)> =
            indices.iter().map(|index| (self.table.get(*index).pid, *index)).collect();
        by_pid.sort_unstable();
        let pids: Vec<Pid> = by_pid.iter().map(|(pid, _)| *pid).collect();
        let mut still = HashSet::new();
        for process in snapshot::read_pids(&self.source, &pids, wants)? {
            let Ok(at) = by_pid.binary_search_by_key(&process.pid, |(pid, _)| *pid) else { continue };
            let old = self.table.get_mut(by_pid[at].1);
            let facts = |p: &Process| (p.start_ticks, p.ppid, p.sid, p.pgid);
            let other = old.inode.zip(process.inode).is_some_and(|(then, now)| then != now);
            if facts(old) == facts(&process) && !other {
                *old = process;
                still.insert(by_pid[at].1);
            }
        }
        self.table.view = self.host.view(still.iter().filter_map(|index| self.table.get(*index).uid));
        Ok(indices.iter().copied().filter(|index| still.contains(index)).collect())
    }

    /// Learns what the registry knows. A registry that does not exist knows nothing; one that cannot be read is said,
    /// counts as a failure, and stops nobody: evidence and marks still stand.
    pub fn know(&mut self, registry: &RegistryArgs, reporter: &mut Reporter) -> Result<()> {
        match registry.open()?.read() {
            Ok(document) => self.know_of(&document),
            Err(error) => reporter.fault(&error),
        }
        Ok(())
    }

    /// Knows what a registry that has been read says.
    pub fn know_of(&mut self, document: &Document) {
        self.registered = Known::of(document, &self.host, &self.source).registered();
    }

    /// Adds to a record what the registry knows of its process: service, scope, project, session. Tells whether it knows
    /// anything.
    pub fn add_membership(&self, index: Index, sheet: &mut Sheet<'_>) -> bool {
        let Some(entry) = self.registered.nearest(index, &self.table) else { return false };
        sheet.membership(entry);
        true
    }

    /// Begins the record of a process: its facts now, or the record that was saved of it.
    pub fn sheet<'a>(&self, index: Index, out: &'a mut Vec<u8>) -> Sheet<'a> {
        match &self.saved {
            Some(records) => Sheet::Kept(records[index].clone(), out),
            None => Sheet::Fresh(self.table.get(index).line(&self.table.view, out)),
        }
    }
}

/// Reads a saved table: process records alone count, others are passed over.
fn read_saved(host: &Host, input: impl std::io::BufRead, reporter: &mut Reporter) -> Result<Saved> {
    let mut reader = Reader::new(input);
    let mut records = Vec::new();
    loop {
        let item = reader.next_item().map_err(|error| Error::system("read snapshot", "", error))?;
        match item {
            None => break,
            Some(Ok(Item::Record(record))) if record.text("type").as_deref() != Some("process") => {}
            Some(Ok(Item::Record(record))) => match Process::from_record(&record, host.ticks_per_second()) {
                Ok(_) => records.push(record),
                Err(error) => reporter.bad_line(reader.line_number(), error),
            },
            Some(Ok(Item::Identity(_))) => {
                reporter.bad_line(reader.line_number(), "a snapshot holds process records");
            }
            Some(Err(bad)) => reporter.bad_line(bad.number, bad.why),
        }
    }
    if records.is_empty() {
        return Err(Error::new(Kind::Damaged, "read snapshot", "", "there is no process record in it"));
    }
    snapshot::from_records(host, records)
}

impl Facts for Scene {
    fn exe(&self, process: &Process) -> Fact {
        self.linked(process.rare.as_ref().and_then(|rare| rare.exe.as_ref()), |live| live.exe(process))
    }

    fn cwd(&self, process: &Process) -> Fact {
        self.linked(process.rare.as_ref().and_then(|rare| rare.cwd.as_ref()), |live| live.cwd(process))
    }

    fn environ(&self, process: &Process) -> Fact {
        if self.is_live() { Facts::environ(&self.source, process) } else { Fact::Hidden }
    }
}

impl Scene {
    fn linked(&self, read: Option<&procherd::text::Text>, live: impl FnOnce(&Source) -> Fact) -> Fact {
        match read {
            Some(text) => Fact::Known(text.bytes().to_vec()),
            None if self.is_live() => live(&self.source),
            None => Fact::Hidden,
        }
    }
}

/// A record that a tool adds its findings to.
pub enum Sheet<'a> {
    /// One that is being written from facts.
    Fresh(Line<'a>),
    /// One that came from elsewhere and keeps its fields.
    Kept(Record, &'a mut Vec<u8>),
}

impl Sheet<'_> {
    /// Adds a field, in place of one of the same name that came along.
    pub fn field(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        match self {
            Self::Fresh(line) => {
                line.field(name, value);
            }
            Self::Kept(record, _) => record.set(name, &value),
        }
        self
    }

    /// Adds a field where its value is known.
    pub fn known(&mut self, name: &'static str, value: Option<&(impl Serialize + ?Sized)>) -> &mut Self {
        if let Some(value) = value {
            self.field(name, value);
        }
        self
    }

    /// Adds what the registry knows: service, scope, project, session.
    pub fn membership(&mut self, entry: &Registration) -> &mut Self {
        self.known("service", entry.service.as_ref())
            .field("scope", entry.scope)
            .known("project", entry.project.as_ref())
            .known("session", entry.session.as_ref())
    }

    /// Adds the fields of another record that a process record and this tool do not write themselves.
    pub fn rest_of(&mut self, record: &Record, own: &[&str]) -> &mut Self {
        let ours = |name: &str| Process::FIELDS.contains(&name) || own.contains(&name);
        for (name, value) in record.fields().filter(|(name, _)| !ours(name)) {
            match self {
                Self::Fresh(line) => {
                    line.raw(name, value);
                }
                Self::Kept(kept, _) => kept.set(name, &value),
            }
        }
        self
    }

    /// Ends the record.
    pub fn end(self) {
        match self {
            Self::Fresh(line) => line.end(),
            Self::Kept(record, out) => record.write_line(out),
        }
    }
}
