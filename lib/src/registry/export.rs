//! Writing what other programs read: the forms of [`super::Form`].

use serde_json::value::RawValue;

use super::document::Document;
use super::lines::on_one_line;
use super::scope::Scope;
use super::service::Service;
use crate::error::Result;
use crate::record::{Line, Record};
use crate::table::rows;

/// The field of the document that keeps what a registry of monitors had beside its projects and its coordinator.
pub const MONITOR: &str = "monitorRegistry";

/// A file to be written: its name and its content.
pub type File = (String, Vec<u8>);

/// Fields of an entry that procherd adds, and that the forms of others do not have.
pub(super) const OURS: [&str; 21] = [
    "identity",
    "command",
    "cwd",
    "pgid",
    "sid",
    "parent",
    "owner",
    "tree",
    "cookie",
    "cgroup",
    "cgroup_id",
    "restarts",
    "health",
    "beat",
    "ended",
    "unnamed",
    "monitor",
    "type",
    "script",
    "guard",
    "monitorFields",
];

/// The columns of the table.
const COLUMNS: [&str; 14] = [
    "service",
    "scope",
    "project",
    "session",
    "pid",
    "pidfd_inode",
    "start_ticks",
    "boot_id",
    "pid_ns",
    "host",
    "script",
    "status",
    "started_at",
    "entry",
];

/// Writes the monitor registry: what was imported from one, and every service of a project that says it is a monitor.
pub fn monitor(document: &Document, now_ms: u64) -> Result<Vec<u8>> {
    let (mut projects, mut coordinator) = (Record::default(), None);
    for entry in document.services() {
        let service = entry.service()?;
        let mut fields = Record::default();
        for (name, raw) in service.record().fields().filter(|(name, _)| !OURS.contains(name)) {
            fields.set(name, raw);
        }
        let aside: Option<Record> = service.record().field("monitorFields").ok().flatten();
        for (name, raw) in aside.iter().flat_map(Record::fields) {
            fields.set(name, raw);
        }
        match service.record().text("monitor").as_deref() {
            Some("project") => {
                if let Some(pid) = fields.remove("pid") {
                    fields.set("monitorPid", &*pid);
                }
                if let (None, Some(project)) = (fields.get("projectPath"), service.project()) {
                    fields.set("projectPath", &project);
                }
                projects.set(&service.name, &fields);
            }
            Some("coordinator") => coordinator = Some(fields),
            _ => {}
        }
    }
    let mut top = Record::default();
    top.set("version", "1.0.0");
    top.set("lastUpdated", &now_ms);
    top.set("projects", &projects);
    if let Some(coordinator) = coordinator {
        top.set("coordinator", &coordinator);
    }
    for (name, raw) in document.other(MONITOR).unwrap_or_default().fields() {
        top.set(name, raw);
    }
    let mut out = Vec::new();
    top.write_line(&mut out);
    Ok(out)
}

/// Writes the three tracking files.
pub fn tracking<'a>(services: impl Iterator<Item = &'a Service>) -> Vec<File> {
    let (mut numbers, mut groups, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for service in services {
        let Ok(identity) = service.identity() else { continue };
        let pid = identity.pid.to_string();
        numbers.push([pid.clone()]);
        if service.record().get("unnamed").is_none() {
            names.push([service.name.clone(), pid]);
        }
        if let Ok(Some(pgid)) = service.record().field::<u32>("pgid")
            && pgid != 0
        {
            groups.push(["PGID".to_owned(), service.name.clone(), pgid.to_string()]);
        }
    }
    vec![
        ("services.pids".into(), rows::write(numbers, b':')),
        ("services.pids.groups".into(), rows::write(groups, b':')),
        ("services.pids.services".into(), rows::write(names, b':')),
    ]
}

/// Writes a pid file for each service. Names that are no file names are made so.
pub fn pid_files<'a>(services: impl Iterator<Item = &'a Service>) -> Vec<File> {
    let file = |service: &Service| {
        let pid = service.identity().ok()?.pid;
        let name: String =
            service.name.chars().map(|c| if c == '/' || c == '\0' { '_' } else { c }).collect();
        let name = name.trim_start_matches('.');
        Some((format!("{name}.pid"), format!("{pid}\n").into_bytes()))
    };
    services.filter_map(file).collect()
}

/// Writes a table separated by commas, with a row of names. The last column has the whole entry, so nothing is lost.
pub fn table<'a>(services: impl Iterator<Item = &'a Service>) -> Vec<u8> {
    let header: Vec<String> = COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    let rows = services.map(|service| {
        let identity = service.identity().ok();
        let known = |value: Option<String>| value.unwrap_or_default();
        let id = identity.as_ref();
        let (project, session) = match &service.scope {
            Scope::Global => (None, None),
            Scope::Project(path) => (Some(path.clone()), service.session()),
            Scope::Session(id) => (service.project(), Some(id.clone())),
        };
        let mut entry = Vec::new();
        service.record().write_line(&mut entry);
        vec![
            service.name.clone(),
            service.scope.word().to_owned(),
            known(project),
            known(session),
            service.record().get("pid").map_or(String::new(), |raw| raw.get().to_owned()),
            known(id.and_then(|id| id.inode).map(|inode| inode.to_string())),
            known(id.and_then(|id| id.start_ticks).map(|ticks| ticks.to_string())),
            known(id.and_then(|id| id.boot).map(|boot| boot.to_string())),
            known(id.and_then(|id| id.pid_ns).map(|ns| ns.to_string())),
            known(id.and_then(|id| id.host.as_deref()).map(str::to_owned)),
            known(service.script()),
            service.status().word().to_owned(),
            known(service.started_ms().map(|ms| crate::text::rfc3339(ms).to_string())),
            String::from_utf8_lossy(entry.trim_ascii_end()).into_owned(),
        ]
    });
    rows::write(std::iter::once(header).chain(rows), b',')
}

/// Writes a service so that [`Service::from_record`] gives it back: the record, and the entry in it.
pub fn record(service: &Service, out: &mut Vec<u8>) {
    let mut line = Line::new(out, "service");
    line.field("service", &service.name).field("scope", service.scope.word());
    match &service.scope {
        Scope::Global => {}
        Scope::Project(path) => {
            line.field("project", path);
        }
        Scope::Session(id) => {
            line.field("session", id);
        }
    }
    let mut entry = Vec::new();
    service.record().write_line(&mut entry);
    let raw =
        String::from_utf8(entry).ok().and_then(|text| RawValue::from_string(text.trim_end().to_owned()).ok());
    if let Some(raw) = raw {
        line.raw("entry", &on_one_line(&raw));
    }
    line.end();
}
