//! Waiting until nobody changes a file any more.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::error::{Error, Result};
use crate::stamp::{Counts, Stamp};

/// A file or folder that is to stay as it is: written to, made, removed, renamed by nobody.
///
/// inotify(7) tells of changes of the file, of the entries of a folder, and of its name in the folder that it is or was
/// in. Where there is no such folder, the nearest one above it is watched. Changes that inotify does not see (through a
/// mapping, on another machine of a network file system) count when they show in size, inode or times.
pub struct Quiet {
    path: PathBuf,
    name: OsString,
    inotify: Option<Inotify>,
    /// The file itself, where there is one.
    own: Option<WatchDescriptor>,
    /// The folder that holds the name, and whether it is that folder or one above it.
    parent: Option<(WatchDescriptor, bool)>,
    stamp: Option<Stamp>,
    since: Instant,
}

/// How often a file is looked at where the kernel does not tell.
const PAUSE: Duration = Duration::from_millis(100);

/// All that changes a file. To read it does not.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_MOVE_SELF);

impl Quiet {
    /// Watches a file from now on. It need not exist.
    pub fn new(path: &Path) -> Result<Self> {
        let failed = |error| Error::system("watch file", path.display(), error);
        let path = std::path::absolute(path).map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_owned();
        let inotify = match Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK) {
            Ok(inotify) => Some(inotify),
            // None are left to be had, or the kernel has none: then it is looked at.
            Err(Errno::EMFILE | Errno::ENOSYS) => None,
            Err(errno) => return Err(Error::system("watch file", path.display(), errno)),
        };
        let since = Instant::now();
        let mut quiet = Self { path, name, inotify, own: None, parent: None, stamp: None, since };
        quiet.watch()?;
        // After the watch began: what came before is in the stamp, what comes after is told.
        quiet.stamp = quiet.stamp();
        Ok(quiet)
    }

    /// Watches the file, where there is one, and the folder of its name. To watch the same thing twice changes nothing.
    fn watch(&mut self) -> Result<()> {
        let Some(inotify) = &self.inotify else { return Ok(()) };
        let add = |path: &Path| match inotify.add_watch(path, CHANGES) {
            Ok(watch) => Ok(Some(watch)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(Errno::ENOSPC) => Err(Errno::ENOSPC),
            Err(errno) => Err(errno),
        };
        let failed = |errno| Error::system("watch file", self.path.display(), errno);
        (self.own, self.parent) = (None, None);
        let mut watched = add(&self.path).map(|own| self.own = own);
        for (above, folder) in self.path.ancestors().skip(1).enumerate() {
            match add(folder) {
                Ok(None) => {}
                Ok(Some(watch)) => {
                    self.parent = Some((watch, above == 0));
                    break;
                }
                Err(errno) => {
                    watched = Err(errno);
                    break;
                }
            }
        }
        match watched {
            Err(Errno::ENOSPC) => self.inotify = None,
            other => other.map_err(failed)?,
        }
        Ok(())
    }

    /// What there is now under this name.
    fn stamp(&self) -> Option<Stamp> {
        Stamp::of_name(&self.path, Counts::Everything)
    }

    /// Readable when something has happened; none where nobody tells.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(|inotify| inotify.as_fd())
    }

    /// Takes the news, and looks. Tells whether it has changed since the last time.
    pub fn look(&mut self) -> Result<bool> {
        let mut changed = false;
        let mut moved = false;
        while let Some(events) = self.inotify.as_ref().and_then(|inotify| inotify.read_events().ok()) {
            for event in events {
                let in_parent = self.parent == Some((event.wd, true));
                let ours = event.name.as_ref() == Some(&self.name);
                let lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                if lost || self.own == Some(event.wd) || in_parent && ours {
                    (changed, moved) = (true, true);
                } else if !in_parent || event.name.is_none() {
                    // What happens to the folder itself, or above it, may change what the path leads to.
                    moved = true;
                }
            }
        }
        if moved {
            self.watch()?;
        }
        let stamp = self.stamp();
        changed |= stamp != self.stamp;
        self.stamp = stamp;
        if changed {
            self.since = Instant::now();
        }
        Ok(changed)
    }

    /// Since when it has been quiet, as far as it was looked at.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Tells whether there was such a file at the last look.
    pub fn exists(&self) -> bool {
        self.stamp.is_some()
    }

    /// When it is to be looked at again without news.
    pub fn next(&self, quiet_for: Duration) -> Instant {
        let end = self.since + quiet_for;
        if self.inotify.is_some() { end } else { end.min(Instant::now() + PAUSE) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).expect("written");
    }

    #[test]
    fn every_change_of_a_file_and_of_its_name_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let mut quiet = Quiet::new(&path).expect("watched");
        assert!(!quiet.look().expect("readable") && !quiet.exists());
        write(&path, "1");
        assert!(quiet.look().expect("readable"), "it was made");
        assert!(!quiet.look().expect("readable") && quiet.exists());
        write(&path, "2");
        assert!(quiet.look().expect("readable"), "it was written to");
        write(&folder.path().join("b"), "1");
        assert!(!quiet.look().expect("readable"), "that was another one");
        std::fs::read(&path).expect("readable");
        assert!(!quiet.look().expect("readable"), "reading changes nothing");
        std::fs::rename(folder.path().join("b"), &path).expect("renamed");
        assert!(quiet.look().expect("readable"), "another one took its name");
        write(&path, "3");
        assert!(quiet.look().expect("readable"), "the new one is watched");
        std::fs::remove_file(&path).expect("removed");
        assert!(quiet.look().expect("readable") && !quiet.exists());
    }

    #[test]
    fn what_is_made_again_with_its_folders_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x/y/a");
        let mut quiet = Quiet::new(&path).expect("watched");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        assert!(!quiet.look().expect("readable"), "only its folders");
        write(&path, "1");
        assert!(quiet.look().expect("readable"));
        std::fs::remove_dir_all(folder.path().join("x")).expect("removed");
        assert!(quiet.look().expect("readable"));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        write(&path, "2");
        assert!(quiet.look().expect("readable"));
    }

    #[test]
    fn what_happens_in_a_folder_changes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut quiet = Quiet::new(folder.path()).expect("watched");
        write(&folder.path().join("a"), "1");
        assert!(quiet.look().expect("readable"));
        assert!(!quiet.look().expect("readable"));
        write(&folder.path().join("a"), "2");
        assert!(quiet.look().expect("readable"), "an entry was written to");
    }

    #[test]
    fn without_inotify_it_is_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let mut quiet = Quiet::new(&path).expect("watched");
        quiet.inotify = None;
        write(&path, "1");
        assert!(quiet.look().expect("readable"));
        assert!(quiet.next(Duration::from_secs(9)) <= Instant::now() + PAUSE);
    }
}
