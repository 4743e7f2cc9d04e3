//! Health files and pid files: whether they name the service.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::checks::Checks;
use super::crew::Crew;
use super::{Health, Measured};
use crate::error::Kind;
use crate::handle::{self, Look};
use crate::host::unix_ms;
use crate::id::{Identity, Pid};
use crate::registry::files::{text_of, written_ms};
use crate::text::short_duration;

/// Checks that a health file names a member of the crew, is young enough, and says what it is to say.
///
/// It is stale when it is missing, cannot be read, or names nobody, the dead, or somebody else.
pub(super) fn health(crew: &Crew<'_>, path: &Path, checks: &Checks) -> Measured {
    let measured = Measured::new("file", path.display());
    let text = match text_of(path) {
        Ok(text) => text,
        Err(error) if error.kind() == Kind::Gone => return measured.is(Health::Stale, "it is missing"),
        Err(error) => return measured.is(Health::Stale, error.why()),
    };
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let field = checks.pid_field.as_deref().unwrap_or("pid");
    // A file with a number alone is a health file, too.
    let number = if json.is_number() { Some(&json) } else { part(&json, field) };
    let mut measured = named(crew, measured, path, number);
    let age = written_ms(path).ok().map(|written| unix_ms().saturating_sub(written));
    measured.age_ms = age;
    if measured.health != Health::Healthy {
        return measured;
    }
    if let (Some(age), Some(limit)) = (age.map(Duration::from_millis), checks.file_age)
        && age > limit
    {
        let why = format!("it is {} old, more than {}", short_duration(age), short_duration(limit));
        return measured.is(Health::Stale, why);
    }
    for (name, wanted) in &checks.fields {
        let found = part(&json, name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        if found.as_ref() != Some(wanted) {
            let found = found.map_or("missing".to_owned(), |found| format!("'{found}'"));
            return measured.is(Health::Unhealthy, format!("{name} is {found}, not '{wanted}'"));
        }
    }
    measured.works = true;
    measured
}

/// Checks that a pid file names a member of the crew.
pub(super) fn pid(crew: &Crew<'_>, path: &Path) -> Measured {
    let measured = Measured::new("pidfile", path.display());
    match text_of(path) {
        Ok(text) => {
            let number = text.trim().parse::<u64>().ok().map(Value::from);
            named(crew, measured, path, number.as_ref())
        }
        Err(error) if error.kind() == Kind::Gone => measured.is(Health::Stale, "it is missing"),
        Err(error) => measured.is(Health::Stale, error.why()),
    }
}

/// Judges the number in a file.
fn named(crew: &Crew<'_>, mut measured: Measured, path: &Path, number: Option<&Value>) -> Measured {
    let stale = |mut measured: Measured, why: String| {
        measured.stale_file = Some(path.to_owned());
        measured.is(Health::Stale, why)
    };
    let Some(number) = number else {
        return stale(measured, "it names no process".to_owned());
    };
    let pid = number.as_u64().and_then(|number| u32::try_from(number).ok()).and_then(Pid::new);
    let Some(pid) = pid else {
        let shown: String = number.to_string().chars().take(40).collect();
        return stale(measured, format!("{shown} names no process"));
    };
    measured.pid = Some(pid);
    match handle::open(crew.setting.host, crew.setting.source, &Identity::typed(pid, None)) {
        Look::Found(process) if process.has_ended() => stale(measured, format!("process {pid} has ended")),
        Look::Found(_) if crew.has(pid) => measured,
        Look::Found(_) => {
            let why = format!("{} has the number that it names, and is not of this service", crew.words(pid));
            stale(measured, why)
        }
        Look::Gone | Look::Changed => stale(measured, format!("process {pid} has ended")),
        Look::Foreign(why) | Look::TooWeak(why) => measured.is(Health::Unknown, why),
        Look::Failed(errno) => measured.is(Health::Unknown, errno.desc().to_lowercase()),
    }
}

/// A part of a document, by names separated by dots.
fn part<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    // A field may have a dot in its own name.
    json.get(path).or_else(|| path.split('.').try_fold(json, |value, name| value.get(name)))
}
