//! `pkill-tree`, by somebody who wants to see a wrong process signalled, a survivor left, or an outcome lost.
//!
//! Nearly all of it plays in an arena: whatever a tool that kills may do wrong, it does it to nobody else.

mod cgroups;
mod courtesy;
mod evidence;
mod guards;
mod input;
mod limits;
mod many;
mod outcomes;
mod plans;
mod registered;
mod replaced;
mod reuse;
mod stale;
mod states;
mod storms;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::scene::Actor;
use crate::support::tool::Tool;
use crate::support::{Id, Output, Scene, wait_until};

/// The tool, with words on its command line.
fn pkill<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("pkill-tree").args(words)
}

/// The tool, asked to end a process as a person asks.
fn end<'a>(scene: &Scene, root: Id, words: impl IntoIterator<Item = &'a str>) -> Tool {
    pkill(scene, words).arg(root.operand())
}

/// The record of a process, as another tool writes it.
#[track_caller]
pub(super) fn record(scene: &Scene, id: Id) -> Value {
    scene.tool("pstree-json").args(["--depth", "0"]).arg(id.operand()).run().ended(0).about(id)
}

/// What became of a process.
#[track_caller]
fn outcome(output: &Output, id: Id) -> String {
    text(&output.about(id), "outcome")
}

/// Why a process was a member of the set.
#[track_caller]
pub(super) fn via(output: &Output, id: Id) -> String {
    text(&output.about(id), "via")
}

fn text(record: &Value, name: &str) -> String {
    record[name].as_str().unwrap_or_else(|| panic!("no {name} in {record}")).to_owned()
}

/// How many times a case that depends on luck is tried: a few, or as many as `PROCHERD_SOAK` says.
pub(super) fn rounds(few: usize) -> usize {
    std::env::var("PROCHERD_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Ends a process and reaps it, so that its number is free.
#[track_caller]
pub(super) fn make_dead(actor: &Actor) {
    actor.root().signal(nix::sys::signal::Signal::SIGKILL);
    wait_until(Duration::from_secs(20), "the root has been reaped", || actor.reap().is_some());
}

/// Writes a registry by hand, as `ptrack` would: global services by name.
fn write_registry(file: &Path, services: &[(&str, Value)]) {
    write_registry_with(file, services, &[]);
}

/// Likewise, and sessions by id.
pub(super) fn write_registry_with(file: &Path, services: &[(&str, Value)], sessions: &[(&str, Value)]) {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let folder = file.parent().expect("a folder");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("a folder");
    let named = |all: &[(&str, Value)]| -> serde_json::Map<String, Value> {
        all.iter().map(|(name, fields)| ((*name).to_owned(), fields.clone())).collect()
    };
    let document = serde_json::json!({
        "version": "3.0.0", "lastChange": 0, "sessions": named(sessions),
        "services": {"global": named(services), "projects": {}},
    });
    let mut options = std::fs::File::options();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(file).expect("a file");
    serde_json::to_writer(file, &document).expect("written");
}

/// A service as the registry has it.
pub(super) fn service(record: &Value, started_ms: u64) -> Value {
    let identity: serde_json::Map<String, Value> =
        ["pid", "pidfd_inode", "start_ticks", "boot_id", "pid_ns", "host", "machine"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), record.get(name)?.clone())))
            .collect();
    serde_json::json!({
        "pid": record["pid"], "script": "", "type": "global", "startTime": started_ms,
        "lastHealthCheck": started_ms, "status": "running", "metadata": {}, "identity": identity,
    })
}

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 584 million")
}

/// Words of a command line, in which `ACTOR` stands for the program of the actors.
pub(super) fn words(line: &str) -> Vec<std::ffi::OsString> {
    let word =
        |word: &str| if word == "ACTOR" { crate::support::actor_program().into() } else { word.into() };
    line.split(' ').map(word).collect()
}
