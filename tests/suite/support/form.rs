//! The tests' own strict copy of the record format: what design.md section 3 promises, field by field.
//!
//! A field that stands in no table here fails the test that met it: a new field is a promise, and is written down.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::Output;

/// A field: its name, whether every record of the type has it, and what its value is.
pub(crate) struct Field(&'static str, Need, fn(&Value) -> bool);

impl Field {
    /// A field that every record has.
    pub(crate) const fn always(name: &'static str, is: fn(&Value) -> bool) -> Self {
        Self(name, Always, is)
    }

    /// A field that may be absent.
    pub(crate) const fn if_known(name: &'static str, is: fn(&Value) -> bool) -> Self {
        Self(name, IfKnown, is)
    }
}

/// Whether a field may be absent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Always,
    IfKnown,
}
use Need::{Always, IfKnown};

/// The identity that every record about a process carries.
const IDENTITY: &[Field] = &[
    Field("pid", Always, |v| v.as_u64().is_some_and(|pid| (1..=4_194_304).contains(&pid))),
    Field("pidfd_inode", IfKnown, |v| v.as_u64().is_some_and(|inode| inode > 0)),
    Field("start_ticks", Always, Value::is_u64),
    Field("boot_id", Always, |v| v.as_str().is_some_and(|id| id.len() == 36 && id.split('-').count() == 5)),
    Field("pid_ns", Always, Value::is_u64),
    Field("host", Always, is_word),
    Field("machine", IfKnown, |v| v.as_str().is_some_and(|id| id.len() == 16 && is_hex(id))),
    Field("identified_by", IfKnown, |v| v == "pid" || v == "pidfd_inode"),
    Field("identity", IfKnown, |v| v == "pidfs" || v == "ticks"),
];

/// The everyday facts of a process.
const FACTS: &[Field] = &[
    Field("ppid", Always, Value::is_u64),
    Field("pgid", Always, Value::is_u64),
    Field("sid", Always, Value::is_u64),
    Field("tty", IfKnown, is_word),
    Field("state", Always, |v| v.as_str().is_some_and(|state| state.len() == 1)),
    Field("comm", Always, is_text),
    Field("kernel_thread", IfKnown, |v| v == true),
    Field("exe", IfKnown, is_text),
    Field("cmdline", IfKnown, |v| v.as_array().is_some_and(|argv| argv.iter().all(is_text))),
    Field("cwd", IfKnown, is_text),
    Field("uid", IfKnown, Value::is_u64),
    Field("user", IfKnown, is_word),
    Field("threads", Always, Value::is_u64),
    Field("rss_bytes", Always, Value::is_u64),
    Field("cpu_ms", Always, Value::is_u64),
    Field("started_at", Always, is_time),
    Field("age_ms", Always, Value::is_u64),
    Field("denied", IfKnown, |v| {
        v.as_array().is_some_and(|names| !names.is_empty() && names.iter().all(is_word))
    }),
];

/// What the registry adds to a process.
const REGISTERED: &[Field] = &[
    Field("service", IfKnown, is_word),
    Field("scope", IfKnown, is_word),
    Field("project", IfKnown, is_word),
    Field("session", IfKnown, is_word),
];

/// What a tree adds.
pub(crate) const TREE: &[Field] = &[
    Field("depth", Always, Value::is_u64),
    Field("root", Always, Value::is_u64),
    Field("orphan", IfKnown, |v| v == true),
    Field("zombie", IfKnown, |v| v == true),
    Field("catches_chld", IfKnown, Value::is_boolean),
];

/// What a record that was read from a snapshot brings along.
pub(crate) const TREE_OF_A_SNAPSHOT: &[Field] = &[
    Field("depth", IfKnown, Value::is_u64),
    Field("root", IfKnown, Value::is_u64),
    Field("orphan", IfKnown, |v| v == true),
    Field("zombie", IfKnown, |v| v == true),
    Field("catches_chld", IfKnown, Value::is_boolean),
];

/// What `porphans` adds.
pub(crate) const EVIDENCE: &[Field] = &[Field("evidence", Always, |v| {
    v.as_array().is_some_and(|all| {
        !all.is_empty()
            && all.iter().all(|one| {
                is_word(&one["kind"]) && (one["strength"] == "certain" || one["strength"] == "probable")
            })
    })
})];

/// What `phung` adds.
pub(crate) const HUNG: &[Field] = &[
    Field("evidence", Always, |v| {
        v.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|one| is_word(&one["kind"])))
    }),
    Field("samples", IfKnown, |v| {
        let whole = |one: &Value| one["boot_ms"].is_u64() && one["cpu_ms"].is_u64() && is_word(&one["state"]);
        v.as_array().is_some_and(|both| both.len() == 2 && both.iter().all(whole))
    }),
];

/// What `pdups` adds.
pub(crate) const DUPLICATE: &[Field] = &[
    Field("group", Always, Value::is_string),
    Field("count", Always, Value::is_u64),
    Field("expected", Always, is_word),
    Field("leftover", IfKnown, |v| {
        v.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_word))
    }),
];

/// What `pwatch` writes.
pub(crate) const WATCHED: &[&[Field]] = &[
    IDENTITY,
    FACTS,
    REGISTERED,
    &[
        Field("event", Always, is_word),
        Field("at", Always, is_time),
        Field("exit_status", IfKnown, |v| v.as_u64().is_some_and(|code| code < 256)),
        Field("exit_signal", IfKnown, is_word),
        Field("former_parent", IfKnown, Value::is_u64),
    ],
];

/// What `pzombies` adds to a zombie.
pub(crate) const ZOMBIE: &[Field] = &[
    Field("zombie_ms", IfKnown, Value::is_u64),
    Field("parent", IfKnown, |v| v["type"] == "process" && v["pid"].is_u64() && v["cmdline"].is_array()),
    Field("advice", Always, |v| v.as_str().is_some_and(|word| ADVICE.contains(&word))),
];

/// What `pzombies --parents` adds to a parent.
pub(crate) const GUILTY: &[Field] = &[
    Field("zombies", Always, |v| v.as_u64().is_some_and(|count| count > 0)),
    Field("advice", Always, |v| v.as_str().is_some_and(|word| ADVICE.contains(&word))),
];

/// All words that advice may be.
const ADVICE: &[&str] = &["nudge", "continue", "end-parent", "replace-init", "wait"];

/// What `pports` adds to a process that holds sockets.
pub(crate) const SOCKETS: &[Field] = &[
    Field("sockets", Always, |v| {
        v.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_socket))
    }),
    Field("tree_root", Always, is_near),
    Field("container", IfKnown, is_word),
    Field("engine", IfKnown, is_word),
    Field("publishes", IfKnown, |v| is_address(&v["address"]) && is_port(&v["port"])),
    Field("conflict", IfKnown, |v| v.as_array().is_some_and(|all| all.iter().all(is_conflict))),
];

/// What `pports --locks` adds to a process that has a file open.
pub(crate) const OPEN_FILE: &[Field] = &[
    Field("file", Always, is_text),
    Field("tree_root", Always, is_near),
    Field("container", IfKnown, is_word),
    Field("engine", IfKnown, is_word),
    Field("open_fds", IfKnown, |v| {
        v.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_u64))
    }),
    Field("locks", IfKnown, |v| v.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_lock))),
];

/// A socket without a visible owner.
pub(crate) const OWNERLESS: &[Field] = &[
    Field("boot_id", Always, is_word),
    Field("host", Always, is_word),
    Field("protocol", Always, |v| v == "tcp" || v == "udp" || v == "unix"),
    Field("address", IfKnown, is_address),
    Field("port", IfKnown, is_port),
    Field("path", IfKnown, is_text),
    Field("abstract", IfKnown, is_text),
    Field("peer_address", IfKnown, is_address),
    Field("peer_port", IfKnown, is_port),
    Field("state", Always, is_word),
    Field("kind", IfKnown, is_word),
    Field("dual_stack", IfKnown, |v| v == true),
    Field("inode", IfKnown, Value::is_u64),
    Field("uid", IfKnown, Value::is_u64),
    Field("net_ns", IfKnown, Value::is_u64),
    Field("owner", Always, |v| v.as_str().is_some_and(|word| OWNERS.contains(&word))),
    Field("why", Always, is_word),
    Field("conflict", IfKnown, |v| v.as_array().is_some_and(|all| all.iter().all(is_conflict))),
];

/// All words for the owner of a socket that nobody is seen to hold.
const OWNERS: &[&str] =
    &["not-permitted", "other-namespace", "kernel", "time-wait", "closing", "unaccepted", "docker-proxy"];

/// What happened to a process that was to be ended.
pub(crate) const OUTCOME: &[Field] = &[
    Field("outcome", Always, |v| v.as_str().is_some_and(|word| OUTCOMES.contains(&word))),
    Field("signal", IfKnown, is_word),
    Field("elapsed_ms", IfKnown, Value::is_u64),
    Field("via", IfKnown, |v| is_word(v) || v.as_array().is_some_and(|all| all.iter().all(is_word))),
    Field("exit_status", IfKnown, |v| v.as_u64().is_some_and(|code| code < 256)),
    Field("exit_signal", IfKnown, is_word),
    Field("from", IfKnown, Value::is_u64),
    Field("why", IfKnown, is_word),
    Field("zombie", IfKnown, |v| v == true),
    Field("wait_channel", IfKnown, is_word),
    Field("replaced_by", IfKnown, |v| v.is_array() || v.is_object()),
    Field("replaced_in", IfKnown, |v| v == "command" || v == "service" || v == "port"),
    Field("port", IfKnown, is_port),
    Field("last_port", IfKnown, is_port),
    Field("name", IfKnown, is_word),
    Field("protocol", IfKnown, |v| v == "tcp" || v == "udp"),
    Field("file", IfKnown, is_text),
    Field("sockets", IfKnown, |v| v.as_array().is_some_and(|all| all.iter().all(is_socket))),
    Field("owner", IfKnown, |v| v.as_str().is_some_and(|word| OWNERS.contains(&word))),
];

/// All words that an outcome may be.
pub(crate) const OUTCOMES: &[&str] = &[
    "exited",
    "killed",
    "already-gone",
    "identity-changed",
    "foreign",
    "protected",
    "not-permitted",
    "survived",
    "replaced",
    "free",
    "held",
    "unsettled",
    "quiet",
    "changing",
    "ready",
    "missing",
];

/// Records of the type `process`, with what a tool adds.
#[track_caller]
pub(crate) fn assert_processes(output: &Output, added: &[&[Field]]) {
    let tables = [&[IDENTITY, FACTS, REGISTERED], added].concat();
    assert_form(output, "process", &tables);
}

/// Records of the type `outcome`: an identity, what is still known of the process, and what became of it.
#[track_caller]
pub(crate) fn assert_outcomes(output: &Output) {
    let loose: Vec<Field> = FACTS.iter().map(|Field(name, _, is)| Field(name, IfKnown, *is)).collect();
    let identity: Vec<Field> = IDENTITY.iter().map(|Field(name, _, is)| Field(name, IfKnown, *is)).collect();
    assert_form(output, "outcome", &[&identity, &loose, REGISTERED, OUTCOME]);
}

/// Holds all records against tables of fields.
#[track_caller]
pub(crate) fn assert_form(output: &Output, kind: &str, tables: &[&[Field]]) {
    for line in output.text().lines() {
        if let Err(why) = check(line, kind, tables) {
            panic!("{why}\nin {line}\n{output:?}");
        }
    }
}

fn check(line: &str, kind: &str, tables: &[&[Field]]) -> Result<(), String> {
    let Fields(fields) = serde_json::from_str(line).map_err(|why| why.to_string())?;
    let value = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    if value("type").and_then(Value::as_str) != Some(kind) {
        return Err(format!("the type is not '{kind}'"));
    }
    if value("v").and_then(Value::as_u64) != Some(1) {
        return Err("the version is not 1".into());
    }
    for (at, (name, value)) in fields.iter().enumerate() {
        if fields[..at].iter().any(|(before, _)| before == name) {
            return Err(format!("'{name}' is given twice"));
        }
        if name == "type" || name == "v" {
            continue;
        }
        let Some(Field(.., is)) =
            tables.iter().flat_map(|table| table.iter()).find(|Field(known, ..)| known == name)
        else {
            return Err(format!("'{name}' is in no table of tests/suite/support/form.rs"));
        };
        if !is(value) {
            return Err(format!("'{name}' is not what its table says: {value}"));
        }
    }
    let missing = |Field(name, need, _): &&Field| *need == Always && value(name).is_none();
    match tables.iter().flat_map(|table| table.iter()).find(missing) {
        Some(Field(name, ..)) => Err(format!("'{name}' is missing")),
        None => Ok(()),
    }
}

/// One of the sockets of a process.
fn is_socket(value: &Value) -> bool {
    let fields = value.as_object().into_iter().flatten();
    let known = |name: &String, value: &Value| {
        OWNERLESS.iter().any(|Field(known, _, is)| known == name && is(value))
            && name != "owner"
            && name != "why"
    };
    value["state"].is_string()
        && value["protocol"].is_string()
        && fields.into_iter().all(|(name, value)| known(name, value))
}

/// Another process, by identity.
fn is_near(value: &Value) -> bool {
    value["pid"].is_u64() && value["start_ticks"].is_u64()
}

fn is_address(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

fn is_port(value: &Value) -> bool {
    value.as_u64().is_some_and(|port| (1..=65535).contains(&port))
}

fn is_conflict(value: &Value) -> bool {
    is_word(&value["kind"])
        && is_port(&value["port"])
        && is_word(&value["service"])
        && is_word(&value["scope"])
}

fn is_lock(value: &Value) -> bool {
    is_word(&value["kind"])
        && (value["mode"] == "read" || value["mode"] == "write")
        && value["start"].is_u64()
}

/// A text, or bytes that are none: `{"bytes":"<base64>"}`.
pub(crate) fn is_text(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Object(fields) => {
            let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
            let encoded = fields.get("bytes").and_then(Value::as_str);
            fields.len() == 1 && encoded.is_some_and(|text| text.len() % 4 == 0 && text.bytes().all(base64))
        }
        _ => false,
    }
}

fn is_word(value: &Value) -> bool {
    value.as_str().is_some_and(|word| !word.is_empty())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A time as RFC 3339 has it, in UTC.
fn is_time(value: &Value) -> bool {
    let pattern = |text: &str| -> String {
        text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect()
    };
    value.as_str().is_some_and(|text| {
        let shape = pattern(text);
        shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z')
    })
}

/// All fields of an object in order, also those that are given twice.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>().map(Fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

mod tests {
    use super::*;

    #[test]
    fn a_field_that_nobody_promised_is_found() {
        let tables: &[&[Field]] = &[&[Field("pid", Always, Value::is_u64)]];
        assert_eq!(check(r#"{"type":"x","v":1,"pid":7}"#, "x", tables), Ok(()));
        for (line, why) in [
            (r#"{"type":"x","v":1,"pid":7,"new":1}"#, "'new' is in no table"),
            (r#"{"type":"x","v":1,"pid":"7"}"#, "'pid' is not what"),
            (r#"{"type":"x","v":1}"#, "'pid' is missing"),
            (r#"{"type":"x","v":1,"pid":7,"pid":8}"#, "twice"),
            (r#"{"type":"y","v":1,"pid":7}"#, "the type is not"),
            (r#"{"type":"x","v":2,"pid":7}"#, "the version"),
        ] {
            let found = check(line, "x", tables).expect_err(line);
            assert!(found.contains(why), "{line}: {found}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_recognised() {
        assert!(is_text(&serde_json::json!({"bytes": "/w=="})));
        for odd in
            [serde_json::json!({"bytes": "/w="}), serde_json::json!({"bytes": 7}), serde_json::json!(7)]
        {
            assert!(!is_text(&odd), "{odd}");
        }
    }
}
