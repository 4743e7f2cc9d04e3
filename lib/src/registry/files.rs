//! Pid files and health files: what other programs say of a process in a file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::LARGEST;
use super::judge::{Verdict, judge_identity};
use super::service::Service;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::record::Record;
use crate::source::Source;

/// The pid files that a path stands for: itself, or all `*.pid` of a folder, sorted by name.
pub fn pid_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error| Error::system("list pid files", path.display(), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension() == Some(OsStr::new("pid")) && file.is_file() {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// What became of the process that a pid file names.
#[derive(Debug)]
pub enum PidFile {
    /// It lives.
    Alive(crate::id::Identity),
    /// It has ended, or the file names no process; the text says which.
    Stale(String),
    /// It cannot be judged.
    Unknown(String),
}

/// Judges a pid file, or a health file: JSON with a field `pid`. `Gone` when the file has vanished.
///
/// The file is stale when it names no process, one that has ended, or a number that went to a process younger than the
/// file. A file that another user owns is not judged.
pub fn judge_pid_file(host: &Host, source: &Source, path: &Path) -> Result<PidFile> {
    let text = text_of(path)?;
    let text = text.trim();
    let number = match Record::parse(text.as_bytes()) {
        Ok(record) => record.get("pid").map_or(String::new(), |raw| raw.get().to_owned()),
        Err(_) => text.to_owned(),
    };
    let Ok(pid) = number.parse::<crate::id::Pid>() else {
        let shown: String = number.chars().take(40).collect();
        return Ok(PidFile::Stale(format!("'{shown}' names no process")));
    };
    let identity = crate::id::Identity::typed(pid, None);
    Ok(match judge_identity(host, source, &identity, Some(written_ms(path)?)) {
        Verdict::Alive(identity) => PidFile::Alive(identity),
        Verdict::Dead(why) => PidFile::Stale(format!("process {pid}: {why}")),
        other => PidFile::Unknown(format!("process {pid}: {}", other.why().unwrap_or_default())),
    })
}

/// The pid file of a service, where that is noted and the file still names its process.
pub fn pid_file_of(service: &Service) -> Option<PathBuf> {
    let text: crate::text::Text = service.record().field("pidfile").ok()??;
    let path = Path::new(OsStr::from_bytes(text.bytes()));
    let pid = service.identity().ok()?.pid;
    let names = path.is_absolute() && text_of(path).is_ok_and(|text| text.trim().parse() == Ok(pid));
    names.then(|| path.to_owned())
}

/// The pid file of a service whose process has ended for certain. None: there is none, it names another process, or
/// its number belongs to a process now that is older than the file, and so may be meant.
pub(super) fn stale_pid_file(host: &Host, source: &Source, service: &Service) -> Option<PathBuf> {
    pid_file_of(service)
        .filter(|path| !matches!(judge_pid_file(host, source, path), Ok(PidFile::Alive(_)) | Err(_)))
}

/// When a file was written: wall-clock milliseconds.
pub(crate) fn written_ms(path: &Path) -> Result<u64> {
    let failed = |error| Error::system("read", path.display(), error);
    let time = path.metadata().and_then(|facts| facts.modified()).map_err(failed)?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads a plain file of bounded size as text.
pub(crate) fn text_of(path: &Path) -> Result<String> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |error| Error::system("read", path.display(), error);
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    let file =
        std::fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        return Err(Error::new(Kind::Invalid, "read", path.display(), "no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::new(Kind::Damaged, "read", path.display(), "too large"));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(Kind::Damaged, "read", path.display(), "not UTF-8"))
}
