//! Pid files: for programs that know nothing better.

use std::ffi::OsString;
use std::path::Path;

use crate::error::{Error, Result};
use crate::id::Pid;

/// Writes a pid file in one step: whoever reads it reads a whole number.
pub(super) fn write(path: Option<&Path>, pid: Pid) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let draft = draft(path, pid);
    let written = std::fs::write(&draft, format!("{pid}\n")).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        // It may never have been made.
        let _ = std::fs::remove_file(&draft);
    }
    written.map_err(|error| Error::system("write pid file", path.display(), error))
}

/// Removes a pid file if it names this process, and what its writer left when it was killed.
pub(super) fn remove(path: Option<&Path>, pid: Pid) {
    let Some(path) = path else { return };
    let _ = std::fs::remove_file(draft(path, pid));
    if std::fs::read_to_string(path).is_ok_and(|text| text.trim() == pid.to_string()) {
        let _ = std::fs::remove_file(path);
    }
}

fn draft(path: &Path, pid: Pid) -> OsString {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{pid}"));
    draft
}
