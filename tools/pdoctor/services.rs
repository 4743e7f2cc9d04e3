//! Whether the registry can be used, and whether what it says is still so.

use std::path::Path;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use procherd::error::{Error, Kind, Result};
use procherd::host;
use procherd::id::Identity;
use procherd::registry::{self, Document, PidFile, Registry, Service, Verdict, quoted};

use super::{Findings, On, Severity};
use crate::frame::{RegistryArgs, Reporter, Scene};

/// How long the lock may be held by somebody else before that is worth a word.
const PATIENCE: Duration = Duration::from_millis(20);

/// A service that lives, and the process that it is.
pub(super) type Living = (Service, Identity);

/// Looks at the registry, and tells which services live. None where it cannot be read.
pub(super) fn examine(
    scene: &Scene,
    args: &RegistryArgs,
    findings: &mut Findings,
) -> Result<Option<(Document, Vec<Living>)>> {
    let registry = args.open()?;
    let document = match registry.read() {
        Ok(document) => document,
        Err(error) => {
            let repair = format!("ptrack --registry {} --repair list", shown(registry.path()));
            let fix = (error.kind() == Kind::Damaged).then_some(repair.as_str());
            findings.add("registry", Severity::Error, On::Machine, error.to_string(), fix);
            return Ok(None);
        }
    };
    let count = document.services().count();
    findings.add("registry", Severity::Fine, On::Count(count), "the registry can be read", None);
    writable(registry, findings);
    let mut living = Vec::new();
    for entry in document.services() {
        match entry.service() {
            Ok(service) => living.extend(judge(scene, service, findings)),
            Err(error) => findings.failed("entry", &error, &format!("ptrack rm {}", quoted(entry.name))),
        }
    }
    for session in document.sessions().filter_map(std::result::Result::ok) {
        if registry::judge_session(scene.host(), scene.source(), &session).is_dead() {
            let why =
                format!("the owner of session {} has ended, and the session has not", quoted(&session.id));
            findings.about_machine("dead-session", Severity::Warning, why, "preap");
        }
    }
    Ok(Some((document, living)))
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Tries to lock and to write, and changes nothing. A folder that does not exist yet is not made.
fn writable(registry: Registry, findings: &mut Findings) {
    let (path, tried) = (registry.path().to_owned(), registry.path().parent().is_some_and(Path::exists));
    let done = if tried {
        registry.lock_timeout(PATIENCE).change(|_| Ok(()))
    } else {
        let there = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        access(there, AccessFlags::W_OK | AccessFlags::X_OK)
            .map_err(|errno| Error::system("make registry folder", there.display(), errno))
    };
    match done {
        Ok(()) => findings.fine("registry-lock", "the registry can be locked and written"),
        Err(error) if error.kind() == Kind::Busy => {
            let why = format!("{error}; whoever waits for it longer than that gives up and says so");
            findings.add("registry-lock", Severity::Notice, On::Machine, why, None);
        }
        Err(error) => {
            let fix = format!(
                "make {} writable for you, or name another registry (PROCHERD_REGISTRY)",
                shown(&path)
            );
            findings.failed("registry-lock", &error, &fix);
        }
    }
}

/// Judges one service, and the files that name its process; gives it back where it lives.
fn judge(scene: &Scene, service: Service, findings: &mut Findings) -> Option<Living> {
    let verdict = registry::judge(scene.host(), scene.source(), &service);
    if let Some(path) = registry::pid_file_of(&service)
        && !verdict.is_alive()
        && let Ok(PidFile::Stale(why)) = registry::judge_pid_file(scene.host(), scene.source(), &path)
    {
        let fix = format!("preap --pidfiles {} --remove", shown(&path));
        findings.add("stale-file", Severity::Warning, On::File(path), why, Some(&fix));
    }
    match verdict {
        Verdict::Alive(identity) => {
            overdue(&service, findings);
            return Some((service, identity));
        }
        Verdict::Dead(why) => {
            findings.add("dead-entry", Severity::Warning, On::Service(service), why, Some("preap"));
        }
        ref other @ (Verdict::Foreign(_) | Verdict::Unknown(_)) => {
            let why = other.why().unwrap_or_default();
            findings.add("foreign-entry", Severity::Notice, On::Service(service), why, None);
        }
        Verdict::Inert(why) => {
            let fix = format!("ptrack rm {}", quoted(&service.name));
            findings.add("inert-entry", Severity::Warning, On::Service(service), why, Some(&fix));
        }
    }
    None
}

/// Finds services that live longer than they were given.
fn overdue(service: &Service, findings: &mut Findings) {
    let (Some(ttl), Some(started)) = (service.milliseconds("ttl_ms"), service.started_ms()) else { return };
    let age = host::unix_ms().saturating_sub(started);
    if age > ttl.saturating_add(1000) && service.guard().is_none() {
        let why = "it has outlived the time that it was given";
        findings.add("overdue", Severity::Warning, On::Service(service.clone()), why, Some("preap"));
    }
}

/// Finds ports that two services were given, or that somebody else holds.
pub(super) fn ports(
    document: &Document,
    registry: &RegistryArgs,
    findings: &mut Findings,
    reporter: &mut Reporter,
) -> Result<()> {
    let clashes = crate::pports::clashes(document, registry, reporter)?;
    if clashes.is_empty() {
        findings.fine("port-conflict", "no port of a service is somebody else's");
    }
    for clash in clashes {
        let port = clash.port;
        let holder = clash.holder.map_or_else(String::new, |pid| format!(" (process {pid})"));
        let (why, fix) = match clash.kind {
            "named-twice" => {
                (format!("another service was given port {port} as well"), "ptrack list".to_owned())
            }
            "held-by-leftover" => (
                format!("what it has left behind still holds port {port}{holder}"),
                format!("pports {port} | pkill-tree"),
            ),
            _ => (format!("somebody else holds port {port}{holder}"), format!("pports {port}")),
        };
        findings.add("port-conflict", Severity::Warning, On::Service(clash.service), why, Some(&fix));
    }
    Ok(())
}
