//! Who is judged: registered services, or processes that records name.

use procherd::error::{Error, Kind, Result};
use procherd::health::Checks;
use procherd::id::Identity;
use procherd::record::Record;
use procherd::registry::{self, Document, Scope, Service, Verdict};
use procherd::source::Wants;
use procherd::stream::Item;

use super::{Judged, Ward};
use crate::frame::{self, Operand, Operands, Reporter, ScopeArgs};

/// One service that is to be judged.
pub(super) struct Patient {
    /// Its entry, or what a record says in its place.
    pub(super) service: Service,
    /// The record that named it; none for what was found by name.
    record: Option<Record>,
    /// Whether the registry has it.
    pub(super) is_registered: bool,
    /// What must hold, or why that cannot be read.
    pub(super) checks: std::result::Result<Checks, String>,
    /// Its place in the order.
    pub(super) place: usize,
}

impl Patient {
    /// Tells whether there is more to do than to look at the process.
    pub(super) fn has_checks(&self) -> bool {
        self.checks.as_ref().is_ok_and(|checks| *checks != Checks::default())
    }

    /// Its name, or its process where it has none.
    pub(super) fn name(&self) -> String {
        match self.service.identity() {
            Ok(id) if self.service.name.is_empty() => id.to_string(),
            _ => self.service.name.clone(),
        }
    }

    /// The record that the verdict is added to.
    pub(super) fn record(&self, verdict: &Verdict) -> Result<Record> {
        if let Some(record) = &self.record {
            return Ok(record.clone());
        }
        let mut line = Vec::new();
        registry::write_service(&self.service, verdict, &mut line);
        Record::parse(&line)
    }
}

/// What was asked for.
pub(super) enum Patients {
    /// All that are registered.
    All,
    /// What was typed.
    Typed(Vec<Operand>),
    /// What was read.
    Read(Vec<(usize, Item)>),
}

impl Patients {
    /// Decides by the operands, and reads the records if that is asked for.
    pub(super) fn of(words: &[String], strict: bool, reporter: &mut Reporter) -> Result<Self> {
        Ok(match Operands::optional(words)? {
            Operands::None => Self::All,
            Operands::Typed(operands) => Self::Typed(operands),
            Operands::Input => Self::Read(frame::items(reporter, strict)?),
        })
    }

    /// Tells whether all that were asked for are among those that were judged: names that are registered later count.
    pub(super) fn are_all(&self, judged: &[Judged]) -> bool {
        match self {
            Self::All => !judged.is_empty(),
            Self::Typed(operands) => judged.len() >= operands.len(),
            Self::Read(_) => true,
        }
    }

    /// Finds them in the registry as it is now. A name that is not there is said, unless it is waited for.
    pub(super) fn list(
        &self,
        ward: &Ward,
        scope: &ScopeArgs,
        typed: &Checks,
        wait: bool,
        reporter: &mut Reporter,
    ) -> Result<Vec<Patient>> {
        let document = ward.registry.read()?;
        let finder = Finder { ward, document: &document, typed };
        let mut list = Vec::new();
        match self {
            Self::All => {
                let scope = scope.choice().typed(&document)?;
                let services = document.services().filter_map(|entry| entry.service().ok());
                let wanted = services.filter(|service| frame::belongs(service, scope.as_ref()));
                list.extend(wanted.map(|service| finder.entry(service)));
            }
            Self::Typed(operands) => {
                for operand in operands {
                    match finder.operand(operand, scope) {
                        Ok(patient) => list.push(patient),
                        Err(error) if error.kind() == Kind::Gone && wait => {}
                        Err(error) if error.kind() == Kind::Gone => reporter.absent(&error),
                        Err(error) => return Err(error),
                    }
                }
            }
            Self::Read(items) => {
                for (number, item) in items {
                    match finder.item(item) {
                        Ok(patient) => list.extend(patient),
                        Err(error) => reporter.bad_line(*number, error),
                    }
                }
            }
        }
        for (place, patient) in list.iter_mut().enumerate() {
            patient.place = place;
        }
        Ok(list)
    }
}

struct Finder<'a> {
    ward: &'a Ward,
    document: &'a Document,
    typed: &'a Checks,
}

impl Finder<'_> {
    /// A service of the registry, with the checks that its entry notes.
    fn entry(&self, service: Service) -> Patient {
        let checks =
            Checks::of(&service).map(|noted| noted.and(self.typed)).map_err(|error| error.to_string());
        Patient { service, record: None, is_registered: true, checks, place: 0 }
    }

    fn operand(&self, operand: &Operand, scope: &ScopeArgs) -> Result<Patient> {
        match operand {
            Operand::Name(name) => {
                frame::find(&self.ward.registry, self.document, name, scope).map(|found| self.entry(found))
            }
            Operand::Process(identity) => self.process(identity, None),
        }
    }

    /// The one that a record names. None: it names no process by its nature.
    fn item(&self, item: &Item) -> Result<Option<Patient>> {
        let record = match item {
            Item::Identity(identity) => return self.process(identity, None).map(Some),
            Item::Record(record) => record,
        };
        if record.get("pid").is_none() && record.get("type").is_some() {
            return Ok(None);
        }
        if record.text("type").as_deref() != Some("service") {
            return self.process(&record.identity()?, Some(record)).map(Some);
        }
        let said = Service::from_record(record)?;
        let identity = said.identity()?;
        let same = |service: &Service| service.identity().is_ok_and(|id| id.same_as(&identity));
        if let Some(service) = self.document.get(&said.scope, &said.name)?.filter(same) {
            return Ok(Some(Patient { record: Some(record.clone()), ..self.entry(service) }));
        }
        let mut patient = self.entry(said);
        // What comes through a pipe may have been written by anybody: it names no commands.
        if let Ok(checks) = &mut patient.checks {
            checks.command.clone_from(&self.typed.command);
        }
        Ok(Some(Patient { record: Some(record.clone()), is_registered: false, ..patient }))
    }

    /// A process: the registered service that it is, else itself alone.
    fn process(&self, identity: &Identity, record: Option<&Record>) -> Result<Patient> {
        let (host, source) = (&self.ward.host, &self.ward.source);
        let bound = match source.reader(Wants::EVERYDAY).read(identity.pid)? {
            Some(process) if identity.inode.is_none_or(|inode| process.inode == Some(inode)) => Some(process),
            _ => None,
        };
        let known = bound.as_ref().map(|process| process.identity(host.place()));
        // A number that was typed means the process that has it now; a record means its own.
        let meant = if identity.boot.is_some() { Some(identity.clone()) } else { known };
        let is_it = |service: &Service| {
            let id = service.identity().ok();
            id.zip(meant.as_ref()).is_some_and(|(id, meant)| id.same_as(meant))
        };
        let found = self.document.services().filter_map(|entry| entry.service().ok()).find(is_it);
        if let Some(service) = found {
            return Ok(Patient { record: record.cloned(), ..self.entry(service) });
        }
        let mut service = Service::new(Scope::Global, "");
        service.set_process(meant.as_ref().unwrap_or(identity), 0);
        let record = match (record, bound) {
            (Some(record), _) => record.clone(),
            (None, Some(process)) => {
                let mut line = Vec::new();
                process.line(&host.view(process.uid.into_iter()), &mut line).end();
                Record::parse(&line)?
            }
            (None, None) => {
                let why = "no such process";
                return Err(Error::new(Kind::Gone, "find process", identity, why));
            }
        };
        let checks = Ok(self.typed.clone());
        Ok(Patient { service, record: Some(record), is_registered: false, checks, place: 0 })
    }
}
