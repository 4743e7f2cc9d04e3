//! The least that a save into the registry takes: lock, read, parse, write, fsync, rename of the same bytes.
//!
//! `save-floor FILE NAME` replaces the global service NAME by itself. It judges nothing, verifies nothing, cleans up
//! nothing, and does not make the new name safe against power failure. It exists to be compared with.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

type Map<'a> = IndexMap<&'a str, &'a RawValue>;

#[derive(Deserialize, Serialize)]
struct Document<'a> {
    version: &'a str,
    #[serde(rename = "lastChange")]
    last_change: u64,
    #[serde(borrow)]
    sessions: &'a RawValue,
    #[serde(borrow)]
    services: Services<'a>,
}

#[derive(Deserialize, Serialize)]
struct Services<'a> {
    #[serde(borrow)]
    global: Map<'a>,
    #[serde(borrow)]
    projects: &'a RawValue,
    #[serde(borrow)]
    sessions: &'a RawValue,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [path, name] = words.as_slice() else { return Err("save-floor FILE NAME".into()) };
    let lock = File::options().create(true).truncate(false).write(true).open(format!("{path}.flock"))?;
    lock.lock()?;
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    let mut document: Document<'_> = serde_json::from_str(&text)?;
    let entry = document.services.global.get(name.as_str()).copied().ok_or("no such service")?;
    document.services.global.insert(name, entry);
    document.last_change += 1;
    let beside = format!("{path}.{}", std::process::id());
    let mut file = File::create_new(&beside)?;
    file.write_all(&serde_json::to_vec(&document)?)?;
    file.sync_all()?;
    fs::rename(&beside, Path::new(path))?;
    Ok(())
}
