//! Services and sessions as records that the next tool of a pipeline can act on.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::judge::Verdict;
use super::scope::Scope;
use super::service::{Service, set_identity};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::id::{Identity, Source as IdSource};
use crate::record::{Line, Record};
use crate::text;

/// Fields of an entry that have another name in a record, or are told by other fields.
const TRANSLATED: [&str; 28] = [
    "pid",
    "script",
    "type",
    "startTime",
    "lastHealthCheck",
    "status",
    "metadata",
    "projectPath",
    "sessionId",
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
    "log",
    "pidfile",
    "port",
    "ttl_ms",
    "restarts",
    "beat",
    "guard",
    "health",
];

/// Tells whether the text of a value has the form that a record promises.
type Promise = fn(&str) -> bool;

/// Fields of an entry that a record shows as they are.
const SHOWN: [(&str, Promise); 16] = [
    ("command", is_list),
    ("cwd", is_text),
    ("pgid", is_number),
    ("sid", is_number),
    ("parent", is_object),
    ("owner", is_object),
    ("tree", is_list),
    ("metadata", is_object),
    ("cookie", is_text),
    ("cgroup", is_text),
    ("cgroup_id", is_number),
    ("log", is_text),
    ("pidfile", is_text),
    ("port", is_number),
    ("ttl_ms", is_number),
    ("restarts", is_number),
];

fn is_list(json: &str) -> bool {
    json.starts_with('[')
}

fn is_object(json: &str) -> bool {
    json.starts_with('{') && json != "{}"
}

fn is_number(json: &str) -> bool {
    json.bytes().all(|byte| byte.is_ascii_digit())
}

/// A string, or bytes that are none.
fn is_text(json: &str) -> bool {
    json.starts_with(['"', '{']) && json != "\"\""
}

/// Writes a service as a record that carries the identity of its process, so that it can be piped on.
///
/// An inert entry has no `pid` in its record: nobody can act on it.
pub fn write_service(service: &Service, verdict: &Verdict, out: &mut Vec<u8>) {
    let (mut line, entry) = (Line::new(out, "service"), service.record());
    let identity = match verdict {
        Verdict::Alive(identity) => Some(identity.clone()),
        Verdict::Inert(_) => None,
        _ => service.identity().ok(),
    };
    if let Some(id) = &identity {
        write_identity(&mut line, id);
    }
    line.field("service", &service.name).field("scope", service.scope.word());
    line.known("project", service.project().as_ref()).known("session", service.session().as_ref());
    line.known("script", service.script().as_ref()).field("status", service.status().word());
    // Another program, or a hand, may have written anything: a field of another form than promised is left out.
    for (name, promised) in SHOWN {
        if let Some(value) = entry.get(name).filter(|value| promised(value.get())) {
            line.raw(name, &on_one_line(value));
        }
    }
    if let Some(checks) = entry.get("health").filter(|value| is_list(value.get())) {
        line.raw("checks", &on_one_line(checks));
    }
    if let Some(ms) = service.started_ms() {
        line.field("started_at", &text::rfc3339(ms).to_string());
    }
    line.known("last_health_check_ms", service.last_health_check_ms().as_ref());
    line.field("alive", verdict.word()).known("why", verdict.why());
    for (name, value) in entry.fields() {
        if !TRANSLATED.contains(&name) && !RESERVED.contains(&name) {
            line.raw(name, &on_one_line(value));
        }
    }
    line.end();
}

/// Writes a session as a record that carries the identity of its owner.
pub fn write_session(session: &Session, verdict: &Verdict, services: usize, out: &mut Vec<u8>) {
    let mut line = Line::new(out, "session");
    let identity = match verdict {
        Verdict::Alive(identity) => Some(identity.clone()),
        Verdict::Inert(_) => None,
        _ => session.owner().ok(),
    };
    if let Some(id) = &identity {
        write_identity(&mut line, id);
    }
    line.field("session", &session.id).known("project", session.project().as_ref());
    if let Some(ms) = session.started_ms() {
        line.field("started_at", &text::rfc3339(ms).to_string());
    }
    if let Some(name) = session.cgroup() {
        line.field("cgroup", &name.path).field("cgroup_id", &name.id);
    }
    line.field("services", &services).field("alive", verdict.word()).known("why", verdict.why());
    for (name, value) in session.record().fields() {
        if !TRANSLATED.contains(&name) && !RESERVED.contains(&name) {
            line.raw(name, &on_one_line(value));
        }
    }
    line.end();
}

/// Names of record fields that an unknown field of an entry must not repeat.
const RESERVED: [&str; 19] = [
    "v",
    "pidfd_inode",
    "start_ticks",
    "boot_id",
    "pid_ns",
    "host",
    "machine",
    "identified_by",
    "service",
    "scope",
    "project",
    "session",
    "started_at",
    "last_health_check_ms",
    "alive",
    "why",
    "checks",
    "health",
    "measured",
];

/// Takes the spaces and line ends out that another program has set between the parts of a value: a record is one line.
pub(super) fn on_one_line(value: &RawValue) -> Cow<'_, RawValue> {
    let json = value.get();
    if !json.contains(['\n', '\r']) {
        return Cow::Borrowed(value);
    }
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|letter| {
        let space = !in_string && letter.is_ascii_whitespace();
        if *letter == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && *letter == '\\' && !escaped;
        !space
    });
    RawValue::from_string(kept.collect()).map_or(Cow::Borrowed(value), Cow::Owned)
}

fn write_identity(line: &mut Line<'_>, id: &Identity) {
    line.field("pid", &id.pid)
        .known("pidfd_inode", id.inode.as_ref())
        .known("start_ticks", id.start_ticks.as_ref())
        .known("boot_id", id.boot.as_ref())
        .known("pid_ns", id.pid_ns.as_ref())
        .known("host", id.host.as_deref())
        .known("machine", id.machine.as_ref());
    if id.source == IdSource::Number {
        line.field("identified_by", "pid");
    }
}

impl Service {
    /// Reads a service from a record, as [`write_service`] and [`super::export::record`] write it.
    ///
    /// A field `entry` is the entry itself; without one, the fields of the record make it, those included that nobody
    /// here knows. An error names the field that is wrong or missing.
    pub fn from_record(record: &Record) -> Result<Self> {
        let missing = |field| Error::new(Kind::Invalid, "read field", field, "missing");
        let name: String = record.field("service")?.ok_or_else(|| missing("service"))?;
        let scope = match record.text("scope").as_deref() {
            Some("project") => Scope::Project(record.field("project")?.ok_or_else(|| missing("project"))?),
            Some("session") => Scope::Session(record.field("session")?.ok_or_else(|| missing("session"))?),
            Some("global") | None => Scope::Global,
            Some(other) => {
                let why = format!("'{other}' is none of global, project, session");
                return Err(Error::new(Kind::Invalid, "read field", "scope", why));
            }
        };
        if let Some(entry) = record.field::<Record>("entry")? {
            return Ok(Self::from_fields(scope, &name, entry));
        }
        let mut service = Self::new(scope, &name);
        let started_ms = record
            .text("started_at")
            .and_then(|text| humantime::parse_rfc3339(&text).ok())
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_millis()).ok());
        if record.get("pid").is_some() {
            set_identity(&mut service.record, &record.identity()?, started_ms.unwrap_or(0));
        }
        let translated = [
            ("last_health_check_ms", "lastHealthCheck"),
            ("checks", "health"),
            ("project", "projectPath"),
            ("session", "sessionId"),
        ];
        for (from, to) in translated {
            if let Some(raw) = record.get(from) {
                service.set(to, raw);
            }
        }
        let known = |field: &str| {
            RESERVED.contains(&field) || matches!(field, "type" | "pid" | "projectPath" | "sessionId")
        };
        for (field, raw) in record.fields().filter(|(field, _)| !known(field)) {
            service.set(field, raw);
        }
        Ok(service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_over_several_lines_is_written_on_one() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("JSON");
        let value = raw("{\n  \"a b\": [1,\r\n 2.50],\t\"c\": \"x \\\" \\\\\"\n, \"d\":\" \"}");
        assert_eq!(on_one_line(&value).get(), r#"{"a b":[1,2.50],"c":"x \" \\","d":" "}"#);
        assert_eq!(on_one_line(&raw("{ \"a\" : 1 }")).get(), "{ \"a\" : 1 }");
    }
}
