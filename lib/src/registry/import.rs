//! Reading what other programs keep: their registries, tracking files, pid files, and rows of a table.

use std::ffi::OsStr;
use std::path::Path;

use super::document::Document;
use super::export::OURS;
use super::files::{pid_files, text_of, written_ms};
use super::judge::Verdict;
use super::scope::Scope;
use super::service::{Service, set_identity};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::id::Source as IdSource;
use crate::record::Record;
use crate::source::Source;
use crate::stream::{Item, Reader};
use crate::table::rows;

/// The forms of other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A registry of services in the layout 3.0.0: what procherd itself keeps.
    State,
    /// A registry of monitors in the layout 1.0.0: `projects` and `coordinator`.
    Monitor,
    /// A folder of tracking files: `services.pids`, `services.pids.groups`, `services.pids.services`.
    Tracking,
    /// A pid file, or a folder of pid files.
    PidFiles,
    /// Service records, one a line, as `ptrack list` writes them.
    Ndjson,
    /// Rows separated by commas, with names in the first.
    Csv,
}

impl Form {
    /// All forms by name.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("state", Self::State),
        ("monitor", Self::Monitor),
        ("pids", Self::Tracking),
        ("pidfiles", Self::PidFiles),
        ("ndjson", Self::Ndjson),
        ("csv", Self::Csv),
    ];

    /// Tells the form of a file or folder by its name and its beginning.
    pub fn of(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let tracking = ["services.pids", "services.pids.services", "services.pids.groups"];
            let is_tracking = tracking.iter().any(|name| path.join(name).exists());
            return Ok(if is_tracking { Self::Tracking } else { Self::PidFiles });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("services.pids") {
            return Ok(Self::Tracking);
        }
        match path.extension().and_then(OsStr::to_str) {
            Some("pid") => return Ok(Self::PidFiles),
            Some("csv") => return Ok(Self::Csv),
            Some("ndjson" | "jsonl") => return Ok(Self::Ndjson),
            _ => {}
        }
        let text = text_of(path)?;
        if Record::parse(text.lines().next().unwrap_or_default().as_bytes())
            .is_ok_and(|record| record.get("type").is_some())
        {
            return Ok(Self::Ndjson);
        }
        match Record::parse(text.as_bytes()) {
            Ok(record) if record.get("services").is_some() || record.get("sessions").is_some() => {
                Ok(Self::State)
            }
            Ok(record) if record.get("projects").is_some() || record.get("coordinator").is_some() => {
                Ok(Self::Monitor)
            }
            _ if text.trim().parse::<u32>().is_ok() => Ok(Self::PidFiles),
            _ => Err(Error::new(
                Kind::Invalid,
                "import",
                path.display(),
                "none of the known forms; name it with --as",
            )),
        }
    }
}

/// What a file had in it.
#[derive(Debug, Default)]
pub struct Import {
    /// Services, not yet bound to processes: see [`bind`].
    pub services: Vec<Service>,
    /// Sessions.
    pub sessions: Vec<Session>,
    /// Fields beside the projects and the coordinator of a registry of monitors, which an export gives back.
    pub others: Record,
    /// Lines and entries that could not be used.
    pub faults: Vec<Error>,
    /// When the files were written, in wall-clock milliseconds: no process in them is younger.
    pub written_ms: u64,
}

/// Reads a file or folder. `scope` is that of services whose form has none.
pub fn import(path: &Path, form: Form, scope: &Scope) -> Result<Import> {
    let mut import = Import { written_ms: written_ms(path)?, ..Import::default() };
    match form {
        Form::State => import.state(text_of(path)?)?,
        Form::Monitor => import.monitor(path, &text_of(path)?)?,
        Form::Tracking => import.tracking(path, scope)?,
        Form::PidFiles => import.pid_files(path, scope)?,
        Form::Ndjson => import.ndjson(&text_of(path)?)?,
        Form::Csv => import.rows(path, &text_of(path)?)?,
    }
    Ok(import)
}

impl Import {
    fn state(&mut self, text: String) -> Result<()> {
        let document = Document::parse(text.into_bytes())?;
        for entry in document.services() {
            match entry.service() {
                Ok(service) => self.services.push(service),
                Err(error) => self.faults.push(error),
            }
        }
        for session in document.sessions() {
            match session {
                Ok(session) => self.sessions.push(session),
                Err(error) => self.faults.push(error),
            }
        }
        Ok(())
    }

    /// The fields keep their names but `monitorPid`, which becomes `pid`. `monitor` says where they came from.
    fn monitor(&mut self, path: &Path, text: &str) -> Result<()> {
        let bad = |why: &str| Error::new(Kind::Damaged, "import", path.display(), why);
        let top = Record::parse(text.as_bytes()).map_err(|error| bad(error.why()))?;
        let projects: Record = top.field("projects")?.unwrap_or_default();
        for (name, raw) in projects.fields() {
            let record = match Record::parse(raw.get().as_bytes()) {
                Ok(record) => record,
                Err(error) => {
                    self.faults.push(Error::new(Kind::Damaged, "import project", name, error.why()));
                    continue;
                }
            };
            let Some(project) = record.text("projectPath").filter(|project| project.starts_with('/')) else {
                self.faults.push(Error::new(
                    Kind::Invalid,
                    "import project",
                    name,
                    "projectPath is no absolute path",
                ));
                continue;
            };
            let scope = Scope::Project(project);
            let fields = monitored(&record, "project", scope.kind());
            self.services.push(Service::from_fields(scope, name, fields));
        }
        let known = |name: &str| matches!(name, "version" | "lastUpdated" | "projects" | "coordinator");
        for (name, raw) in top.fields().filter(|(name, _)| !known(name)) {
            self.others.set(name, raw);
        }
        if let Some(record) = top.field::<Record>("coordinator")? {
            let fields = monitored(&record, "coordinator", Scope::Global.kind());
            self.services.push(Service::from_fields(Scope::Global, "coordinator", fields));
        }
        Ok(())
    }

    /// Tracking files: numbers, `NAME:PID`, and `PGID:NAME:PGID`. One that is not there has nothing in it.
    fn tracking(&mut self, path: &Path, scope: &Scope) -> Result<()> {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let read = |name: &str| -> Result<Vec<Vec<String>>> {
            let path = folder.join(name);
            match text_of(&path) {
                Ok(text) => rows::read(text.as_bytes(), b':')
                    .map_err(|error| Error::new(error.kind(), "import", path.display(), error.why())),
                Err(error) if error.kind() == Kind::Gone => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        let (numbers, names, groups) =
            (read("services.pids")?, read("services.pids.services")?, read("services.pids.groups")?);
        let start = self.services.len();
        for row in names {
            match row.as_slice() {
                [name, pid] if !name.is_empty() => self.tracked(scope, name, pid, None),
                row => self.odd("services.pids.services", row),
            }
        }
        for row in groups {
            let [word, name, pgid] = row.as_slice() else {
                self.odd("services.pids.groups", &row);
                continue;
            };
            let Some(pgid) = pgid.parse::<u32>().ok().filter(|_| word == "PGID") else {
                self.odd("services.pids.groups", &row);
                continue;
            };
            // A group of a service that no other file names is led by the process that has its number.
            match self.services[start..].iter_mut().find(|service| service.name == *name) {
                Some(service) => service.set("pgid", &pgid),
                None => self.tracked(scope, name, &pgid.to_string(), Some(pgid)),
            }
        }
        for row in numbers {
            match row.as_slice() {
                [pid] => {
                    let known =
                        |service: &Service| service.record().get("pid").is_some_and(|raw| raw.get() == pid);
                    if !self.services[start..].iter().any(known) {
                        self.tracked(scope, &format!("process-{pid}"), pid, None);
                        if let Some(service) = self.services.last_mut() {
                            service.set("unnamed", &true);
                        }
                    }
                }
                row => self.odd("services.pids", row),
            }
        }
        Ok(())
    }

    fn tracked(&mut self, scope: &Scope, name: &str, pid: &str, pgid: Option<u32>) {
        let Ok(number) = pid.parse::<u32>() else {
            let why = format!("'{pid}' is not a process number");
            self.faults.push(Error::new(Kind::Invalid, "import service", name, why));
            return;
        };
        let mut service = Service::new(scope.clone(), name);
        service.set("pid", &number);
        service.set("startTime", &self.written_ms);
        if let Some(pgid) = pgid {
            service.set("pgid", &pgid);
        }
        self.services.push(service);
    }

    fn odd(&mut self, file: &str, row: &[String]) {
        let error = Error::new(
            Kind::Invalid,
            "import",
            format_args!("{file}: '{}'", row.join(":")),
            "not understood",
        );
        self.faults.push(error);
    }

    /// Pid files: a decimal number each; the name is that of the file.
    fn pid_files(&mut self, path: &Path, scope: &Scope) -> Result<()> {
        for file in pid_files(path)? {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = text_of(&file)?;
            self.written_ms = written_ms(&file)?;
            let before = self.services.len();
            self.tracked(scope, &name, text.trim(), None);
            if let Some(service) = self.services.get_mut(before) {
                service.set("pidFile", &file.to_string_lossy());
            }
        }
        Ok(())
    }

    fn ndjson(&mut self, text: &str) -> Result<()> {
        let mut reader = Reader::new(text.as_bytes());
        loop {
            let item = reader.next_item().map_err(|error| Error::system("import", "", error))?;
            let number = reader.line_number();
            let odd = |why: &str| Error::new(Kind::Invalid, "import", format_args!("line {number}"), why);
            match item {
                None => return Ok(()),
                Some(Err(bad)) => self.faults.push(odd(&bad.why)),
                Some(Ok(Item::Identity(_))) => self.faults.push(odd("not a service record")),
                Some(Ok(Item::Record(record))) => match record.text("type").as_deref() {
                    Some("service") => match Service::from_record(&record) {
                        Ok(service) => self.services.push(service),
                        Err(error) => self.faults.push(odd(&error.to_string())),
                    },
                    Some("summary" | "session") => {}
                    _ => self.faults.push(odd("not a service record")),
                },
            }
        }
    }

    /// Rows as [`super::export`] writes them. The column `entry` has the whole entry; where it is missing or empty, the
    /// others make one.
    fn rows(&mut self, path: &Path, text: &str) -> Result<()> {
        let mut rows = rows::read(text.as_bytes(), b',')
            .map_err(|error| Error::new(error.kind(), "import", path.display(), error.why()))?
            .into_iter();
        let Some(names) = rows.next() else { return Ok(()) };
        for (index, row) in rows.enumerate() {
            let cell = |name: &str| {
                let at = names.iter().position(|known| known == name)?;
                row.get(at).map(String::as_str).filter(|cell| !cell.is_empty())
            };
            let odd = |why: &str| {
                Error::new(
                    Kind::Invalid,
                    "import",
                    format_args!("{}: row {}", path.display(), index + 2),
                    why,
                )
            };
            let scope = match (cell("scope"), cell("project"), cell("session")) {
                (Some("project"), Some(project), _) => Scope::Project(project.to_owned()),
                (Some("session"), _, Some(session)) => Scope::Session(session.to_owned()),
                (Some("global") | None, ..) => Scope::Global,
                _ => {
                    self.faults.push(odd("its scope is none of global, project, session"));
                    continue;
                }
            };
            let (Some(name), Some(pid)) = (cell("service"), cell("pid")) else {
                self.faults.push(odd("service or pid is missing"));
                continue;
            };
            match cell("entry").map(|entry| Record::parse(entry.as_bytes())) {
                Some(Ok(fields)) => self.services.push(Service::from_fields(scope, name, fields)),
                Some(Err(error)) => self.faults.push(odd(error.why())),
                None => {
                    let before = self.services.len();
                    self.tracked(&scope, name, pid, None);
                    if let (Some(service), Some(script)) = (self.services.get_mut(before), cell("script")) {
                        service.set("script", script);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Makes an entry from one of a registry of monitors. What has the name of a field of ours, and may mean anything there,
/// stands aside for the export.
fn monitored(record: &Record, monitor: &str, kind: &str) -> Record {
    let (mut fields, mut aside) = (Record::default(), Record::default());
    for (name, raw) in record.fields() {
        match name {
            "monitorPid" => fields.set("pid", raw),
            name if OURS.contains(&name) => aside.set(name, raw),
            name => fields.set(name, raw),
        }
    }
    fields.set("type", kind);
    fields.set("monitor", monitor);
    if aside.fields().next().is_some() {
        fields.set("monitorFields", &aside);
    }
    fields
}

/// Binds an imported service to the process that it means, or marks it as ended for ever (field `ended`).
///
/// A bare number means the process that has it now if that one is older than what named it: the registration, or the
/// file. An entry that has an identity keeps it.
pub fn bind(host: &Host, source: &Source, service: &mut Service) -> Verdict {
    let verdict = super::judge(host, source, service);
    match &verdict {
        Verdict::Alive(identity) if identity.source == IdSource::Number => {
            let started = service.started_ms().unwrap_or(0);
            set_identity(&mut service.record, identity, started);
        }
        Verdict::Dead(_) | Verdict::Unknown(_) => {
            if let Ok(identity) = service.identity()
                && identity.boot.is_none()
            {
                service.set("ended", &identity.pid);
                return Verdict::Dead("it had ended when it was imported");
            }
        }
        _ => {}
    }
    verdict
}

/// Likewise for the owner of a session.
pub fn bind_session(host: &Host, source: &Source, session: &mut Session) -> Verdict {
    let verdict = super::judge_session(host, source, session);
    if let Verdict::Alive(identity) = &verdict
        && identity.source == IdSource::Number
    {
        let started = session.started_ms().unwrap_or(0);
        set_identity(&mut session.record, identity, started);
    }
    verdict
}
