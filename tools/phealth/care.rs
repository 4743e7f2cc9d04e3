//! What follows from verdicts: notes in the registry, and the removal of stale files.

use std::path::PathBuf;

use procherd::error::{Error, Result};
use procherd::health::{self, Checks, Health, Setting};
use procherd::host::{boot_ms, unix_ms};
use procherd::record::{Line, Record};
use procherd::registry::{self, Status};
use procherd::snapshot;
use procherd::source::Wants;

use super::{Judged, Ward};
use crate::frame::{Log, Reporter};

/// Notes what was found, in one transaction: a sign of life where a service is healthy, and its state. An entry that names
/// another process by now is left as it is. Changes of state are logged.
pub(super) fn note(ward: &Ward, judged: &[Judged], log: Option<&mut Log>) -> Result<()> {
    let state = |health: Health| match health {
        Health::Healthy => Some(Status::Running),
        Health::Stale | Health::Unhealthy => Some(Status::Unhealthy),
        Health::Dead | Health::Foreign | Health::Unknown => None,
    };
    let noted: Vec<(&Judged, Status)> = judged
        .iter()
        .filter(|one| one.patient.is_registered)
        .filter_map(|one| Some((one, state(one.judgement.health)?)))
        .collect();
    if noted.is_empty() {
        return Ok(());
    }
    let changed = ward.registry.change(|document| {
        let mut changed = Vec::new();
        for (one, state) in &noted {
            let (judged, health) = (&one.patient.service, one.judgement.health);
            let Some(mut now) = document.get(&judged.scope, &judged.name)? else { continue };
            let same =
                matches!((now.identity(), judged.identity()), (Ok(now), Ok(then)) if now.same_as(&then));
            let before = now.status();
            let changes = before != *state && before.may_become(state);
            if !same || health != Health::Healthy && !changes {
                continue;
            }
            if health == Health::Healthy {
                now.set_beat(ward.host.place().boot, boot_ms(), unix_ms());
            }
            if changes {
                now.set_status(state);
                changed.push(*one);
            }
            document.insert(&now);
        }
        Ok(changed)
    })?;
    if let Some(log) = log {
        for one in changed {
            add(log, one.record()?, "note");
        }
    }
    Ok(())
}

/// Logs a record of what it is about, and what was done.
fn add(log: &mut Log, mut record: Record, action: &str) {
    record.set("action", action);
    let mut line = Vec::new();
    record.write_line(&mut line);
    log.add(&line);
}

/// Removes health files and pid files that are stale, and says so. Each is judged again right before.
pub(super) fn fix(
    ward: &Ward,
    judged: &[Judged],
    mut log: Option<&mut Log>,
    reporter: &mut Reporter,
) -> Result<()> {
    for one in judged {
        if one.judgement.stale_files().next().is_none() {
            continue;
        }
        let Ok(checks) = &one.patient.checks else { continue };
        // Only the files count: a service that has started anew meanwhile has written them anew.
        let files = Checks {
            file: checks.file.clone(),
            pid_field: checks.pid_field.clone(),
            pidfile: checks.pidfile.clone(),
            ..Checks::default()
        };
        let wants = Wants { identity: true, ..Wants::default() };
        let table = snapshot::read(&ward.host, &ward.source, wants)?;
        let setting = Setting { host: &ward.host, source: &ward.source, table: &table };
        let now = ward.registry.read()?.get(&one.patient.service.scope, &one.patient.service.name)?;
        let service = now.filter(|_| one.patient.is_registered).unwrap_or(one.patient.service.clone());
        let verdict = registry::judge(&ward.host, &ward.source, &service);
        let again = health::judge(setting, &service, &verdict, &files);
        let stale: Vec<PathBuf> = again.stale_files().cloned().collect();
        for path in stale {
            match std::fs::remove_file(&path) {
                Ok(()) => {
                    let why = again.measured.iter().find(|one| one.on == path.display().to_string());
                    let why = why.and_then(|one| one.why.clone()).unwrap_or_default();
                    reporter.note(format_args!("remove stale file: {}: {why}", path.display()));
                    if let Some(log) = log.as_deref_mut() {
                        let mut line = Vec::new();
                        let mut finding = Line::new(&mut line, "finding");
                        finding.field("finding", "stale-file").field("file", &path.to_string_lossy());
                        finding.field("service", &service.name).field("why", &why);
                        finding.end();
                        add(log, Record::parse(&line)?, "remove");
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => reporter.fault(&Error::system("remove stale file", path.display(), error)),
            }
        }
    }
    Ok(())
}
