//! The log of a service: a file that is appended to, and set aside when it has become large.

use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Where the output of a service goes, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The file, absolute.
    pub path: PathBuf,
    /// A file of this size or more is set aside before the service starts.
    pub rotate_at: u64,
    /// How many files that were set aside are kept: `FILE.1` is the youngest.
    pub keep: u32,
}

impl Log {
    /// Sets a large file aside, and opens the log at its end.
    ///
    /// This happens at the start of a service and never while it runs: it writes to the file itself, without anybody
    /// in between who could fail. An earlier process of it that still writes goes on in the file that was set aside.
    pub fn open(&self) -> io::Result<File> {
        if std::fs::metadata(&self.path).is_ok_and(|facts| facts.is_file() && facts.len() >= self.rotate_at) {
            self.set_aside()?;
        }
        File::options().append(true).create(true).open(&self.path)
    }

    fn set_aside(&self) -> io::Result<()> {
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, self.numbered(1))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_log_is_appended_to_and_set_aside_when_it_is_large() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = Log { path: folder.path().join("log"), rotate_at: 6, keep: 2 };
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
            log.open().and_then(|mut file| file.write_all(line.as_bytes())).expect("written");
        }
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert_eq!([text("log"), text("log.1"), text("log.2")], ["six\n", "four\nfive\n", "three\n"]);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 3, "the oldest is gone");
    }
}
