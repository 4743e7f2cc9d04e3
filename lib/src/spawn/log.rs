//! The log of a service: a file that is appended to, and set aside when it has become large.
//!
//! The service writes to the file itself, and nobody stands between the two: whoever sets the log aside can be killed, and
//! the service notices nothing. So a log that is large while its service runs is copied, and what was copied is cut off
//! from the beginning of the file; the service goes on at its end.
//!
//! Where the file system can take a range out of a file (`fallocate(2)`, `FALLOC_FL_COLLAPSE_RANGE`, Linux 3.15: ext4,
//! xfs) nothing is lost and nothing stands twice, whatever is written meanwhile: only whole blocks are copied and cut off,
//! so a line may begin in one file and end in the next. Elsewhere the file is copied to its end and emptied: what is written
//! in the microseconds between the last read and that is lost. Killed between copying and cutting, what was copied stands
//! twice.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::fstatvfs;

/// Where the output of a service goes, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The file, absolute.
    pub path: PathBuf,
    /// A file of this size or more is set aside.
    pub rotate_at: u64,
    /// How many files that were set aside are kept: `FILE.1` is the youngest.
    pub keep: u32,
}

impl Log {
    /// Sets a large file aside, and opens the log at its end.
    ///
    /// An earlier process of the service that still writes goes on in the file that was set aside.
    pub fn open(&self) -> io::Result<File> {
        if std::fs::metadata(&self.path).is_ok_and(|facts| facts.is_file() && facts.len() >= self.rotate_at) {
            self.set_aside()?;
        }
        File::options().append(true).create(true).open(&self.path)
    }

    /// Sets the content aside of a log that a service writes to, if it is large. Tells whether it was.
    ///
    /// `file` is the log, open for reading and writing. A log that somebody has moved away is left alone, and so is one
    /// that another process sets aside at this moment.
    pub fn rotate(&self, file: &File) -> io::Result<bool> {
        let is_large = || {
            let facts = file.metadata()?;
            let same = std::fs::metadata(&self.path).is_ok_and(|now| now.ino() == facts.ino());
            Ok::<_, io::Error>(same && facts.is_file() && facts.len() >= self.rotate_at)
        };
        if !is_large()? || file.try_lock().is_err() {
            return Ok(false);
        }
        // Another one may have been faster.
        let done = if is_large()? { self.cut(file).map(|()| true) } else { Ok(false) };
        file.unlock()?;
        done
    }

    /// Copies what is in a log, and cuts that off.
    fn cut(&self, file: &File) -> io::Result<()> {
        let size = file.metadata()?.len();
        // What is cut off must end before the end of the file.
        let block = fstatvfs(file)?.block_size().max(1);
        let whole = size.saturating_sub(1) / block * block;
        let draft = self.draft();
        let copied = self.copy(file, whole, &draft);
        if copied.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        let mut copy = copied?;
        self.make_room()?;
        if whole > 0 && collapse(file, whole).is_ok() {
            return self.keep_copy(&draft);
        }
        // As near to the end as can be, and then at once.
        let mut at = whole;
        loop {
            let read = append(file, at, u64::MAX, &mut copy)?;
            at += read;
            if read == 0 {
                break;
            }
        }
        file.set_len(0)?;
        self.keep_copy(&draft)
    }

    /// Copies the beginning of a log to a draft: to nowhere where nothing is kept.
    fn copy(&self, file: &File, length: u64, draft: &Path) -> io::Result<File> {
        let mut copy = if self.keep == 0 {
            File::options().write(true).open("/dev/null")?
        } else {
            // What a killed predecessor left; a link that somebody has put there is no place to write to.
            let _ = std::fs::remove_file(draft);
            let mode = file.metadata()?.mode() & 0o777;
            File::options().create_new(true).write(true).mode(mode).open(draft)?
        };
        append(file, 0, length, &mut copy)?;
        Ok(copy)
    }

    fn keep_copy(&self, draft: &Path) -> io::Result<()> {
        if self.keep == 0 { Ok(()) } else { std::fs::rename(draft, self.numbered(1)) }
    }

    fn set_aside(&self) -> io::Result<()> {
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        self.make_room()?;
        std::fs::rename(&self.path, self.numbered(1))
    }

    /// Moves those that were set aside one on; the oldest goes.
    fn make_room(&self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn draft(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        name.into()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Appends a part of a file to another one. Gives how much it was.
fn append(mut from: &File, start: u64, length: u64, to: &mut File) -> io::Result<u64> {
    from.seek(SeekFrom::Start(start))?;
    io::copy(&mut from.take(length), to)
}

/// Takes the beginning out of a file: what follows moves to its place, in one step.
fn collapse(file: &File, length: u64) -> io::Result<()> {
    let length = i64::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
    Ok(fallocate(file, FallocateFlags::FALLOC_FL_COLLAPSE_RANGE, 0, length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_log_that_is_written_to_is_cut_and_nothing_is_lost_or_doubled() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = Log { path: folder.path().join("log"), rotate_at: 20_000, keep: 3 };
        let mut service = log.open().expect("opened");
        let file = File::options().read(true).write(true).open(&log.path).expect("opened");
        let mut all = String::new();
        let mut cuts = 0;
        for number in 0..4000 {
            let line = format!("line {number}\n");
            service.write_all(line.as_bytes()).expect("written");
            all.push_str(&line);
            cuts += usize::from(log.rotate(&file).expect("cut"));
        }
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert!((2..=3).contains(&cuts), "{cuts}");
        assert_eq!([text("log.3"), text("log.2"), text("log.1"), text("log")].concat(), all);
        assert!(text("log").len() < 20_000 && !folder.path().join("log.new").exists());
        // One that was moved away is another's.
        std::fs::rename(&log.path, folder.path().join("moved")).expect("moved");
        service.write_all(&vec![b'x'; 40_000]).expect("written");
        assert!(!log.rotate(&file).expect("looked"));
    }

    #[test]
    fn of_a_log_of_which_nothing_is_kept_the_end_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = Log { path: folder.path().join("log"), rotate_at: 10_000, keep: 0 };
        let mut service = log.open().expect("opened");
        let file = File::options().read(true).write(true).open(&log.path).expect("opened");
        service.write_all(&vec![b'x'; 50_000]).expect("written");
        assert!(log.rotate(&file).expect("cut"));
        assert!(file.metadata().expect("facts").len() < 10_000);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

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
