//! Pid files and health files that name nobody any more.

use std::path::{Path, PathBuf};

use procherd::error::{Error, Kind, Result};
use procherd::record::{Line, Record};
use procherd::registry::{self, PidFile};

use super::Reaper;
use crate::frame::Reporter;

/// Judges all files that the patterns name, and removes the stale ones if asked to.
pub(super) fn judge(
    reaper: &mut Reaper,
    patterns: &[String],
    remove: bool,
    reporter: &mut Reporter,
) -> Result<()> {
    for pattern in patterns {
        let paths = match expand(pattern) {
            Ok(paths) => paths,
            Err(error) => {
                reporter.fail(&error);
                continue;
            }
        };
        for path in paths {
            match registry::judge_pid_file(&reaper.host, &reaper.source, &path) {
                Ok(PidFile::Alive(_)) => {}
                Ok(PidFile::Stale(why)) => stale(reaper, &path, &why, remove, reporter)?,
                Ok(PidFile::Unknown(why)) => {
                    reporter.note(format_args!("judge file: {}: {why}; it stays", path.display()));
                }
                Err(error) if error.kind() == Kind::Gone => {}
                Err(error) => reporter.fault(&error),
            }
        }
    }
    Ok(())
}

fn stale(reaper: &mut Reaper, path: &Path, why: &str, remove: bool, reporter: &mut Reporter) -> Result<()> {
    let mut line = Vec::new();
    let mut finding = Line::new(&mut line, "finding");
    finding.field("finding", "stale-file").field("file", &path.to_string_lossy()).field("why", why);
    finding.end();
    let record = Record::parse(&line)?;
    if !remove {
        return reaper.act(record, "report");
    }
    if !reaper.dry_run {
        // A service that starts at this moment writes its file anew: then the file is not stale any more.
        match registry::judge_pid_file(&reaper.host, &reaper.source, path) {
            Ok(PidFile::Stale(_)) => {}
            _ => return Ok(()),
        }
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                reporter.fault(&Error::system("remove stale file", path.display(), error));
                return Ok(());
            }
        }
    }
    reaper.counts.files += 1;
    reaper.act(record, "remove")
}

/// The files that a pattern names. `*` and `?` stand for characters of one name, not for slashes. A path without them
/// must exist.
fn expand(pattern: &str) -> Result<Vec<PathBuf>> {
    if pattern.is_empty() {
        return Err(Error::new(Kind::Invalid, "find pid files", "--pidfiles", "the value is empty"));
    }
    if !pattern.contains(['*', '?']) {
        return registry::pid_files(Path::new(pattern));
    }
    let absolute = pattern.starts_with('/');
    let mut found = vec![PathBuf::from(if absolute { "/" } else { "" })];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in found {
            if !part.contains(['*', '?']) {
                next.push(folder.join(part));
                continue;
            }
            let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let hidden = name.starts_with('.') && !part.starts_with('.');
                if !hidden && matches(part.as_bytes(), name.as_bytes()) {
                    next.push(folder.join(entry.file_name()));
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.is_file());
    found.sort_unstable();
    Ok(found)
}

/// Tells whether a name fits a pattern with `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((star_p, star_n)) = star {
            (p, n) = (star_p + 1, star_n + 1);
            star = Some((star_p, star_n + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_run_of_characters() {
        for (pattern, name) in
            [("*.pid", "a.pid"), ("a*b*c", "aXbYbc"), ("?.pid", "x.pid"), ("*", ""), ("a*", "a")]
        {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("*.pid", "a.pidx"), ("?", ""), ("a*b", "aXc"), ("", "x")] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_finds_files_of_folders_that_it_leaves_open() {
        let top = tempfile::tempdir().expect("a folder");
        for folder in ["backend/.run", "frontend/.run"] {
            std::fs::create_dir_all(top.path().join(folder)).expect("made");
            std::fs::write(top.path().join(folder).join("api.pid"), "1").expect("written");
        }
        let found = expand(&format!("{}/*/.run/*.pid", top.path().display())).expect("found");
        assert_eq!(found.len(), 2);
        assert!(expand("/no/such/file.pid").is_ok_and(|paths| paths.len() == 1));
        assert!(expand("").is_err());
    }
}
