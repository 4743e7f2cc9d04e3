//! What all tests share: actors to watch, tools to run, deadlines to wait for, forms to hold records against.
//!
//! Nothing here uses the library: the tests have their own eyes. A process is alive when its identity is still the same
//! and it is not dead and unreaped. Every wait has a deadline and ends as soon as its condition holds.

pub(crate) mod arena;
pub(crate) mod form;
pub(crate) mod output;
pub(crate) mod process;
pub(crate) mod running;
pub(crate) mod rust;
pub(crate) mod scene;
pub(crate) mod terminal;
pub(crate) mod tool;
pub(crate) mod wait;

pub(crate) use output::Output;
pub(crate) use process::Id;
pub(crate) use scene::Scene;
pub(crate) use tool::tool;
pub(crate) use wait::{SOON, wait_until};

use std::path::{Path, PathBuf};

/// The top of the source tree.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the programs under test.
pub(crate) fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pstree-json")).parent().expect("a folder")
}

/// The actor: cargo builds examples beside the tests.
pub(crate) fn actor_program() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.ancestors().nth(2).expect("a target folder").join("examples/actor")
}

/// Says that a test could not be tried here, past the capture of the test's output.
///
/// With `PROCHERD_TESTS_STRICT` set, a test that cannot be tried has failed.
pub(crate) fn skip(why: &str) {
    use std::io::Write as _;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("PROCHERD_TESTS_STRICT").is_none(), "not tried: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// The texts of all files below a folder whose names end in one of these, sorted by path.
pub(crate) fn sources(folder: &str, endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![project().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                let text =
                    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
                found.push((path.strip_prefix(project()).unwrap_or(&path).to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// Tells whether this machine has an id (machine-id(5)). Without one, a record of an earlier boot cannot be told from one
/// of another machine.
pub(crate) fn machine_is_known() -> bool {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().any(|path| Path::new(path).exists())
}
