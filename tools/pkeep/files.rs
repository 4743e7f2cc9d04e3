//! The files that the services were read from, and whether somebody has written them anew.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use procherd::stamp::{Counts, Stamp};

/// Files with services.
///
/// inotify(7) tells when somebody who has written to a file closes it, or when another file takes its name: then it is
/// whole. What inotify does not see (a link, another machine of a network file system) shows in its times, and counts
/// when it has stayed the same over two looks.
pub(super) struct Files {
    inotify: Option<Inotify>,
    files: Vec<Watched>,
}

struct Watched {
    path: PathBuf,
    folder: Option<WatchDescriptor>,
    name: OsString,
    /// As it was when it was read.
    read: Option<Stamp>,
    /// As it was at the last look.
    seen: Option<Stamp>,
}

impl Files {
    /// Watches files, once they are about to be read.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let watched = |path: PathBuf| {
            let name = path.file_name().unwrap_or_default().to_owned();
            Watched { path, folder: None, name, read: None, seen: None }
        };
        // None are left to be had, or there is nothing to watch: then it is only looked at.
        let init = || Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        let inotify = if paths.is_empty() { None } else { init() };
        Self { inotify, files: paths.into_iter().map(watched).collect() }
    }

    /// Notes how they are right before they are read: what changes from now on has not been read.
    pub(super) fn will_be_read(&mut self) {
        for file in &mut self.files {
            let folder = match file.path.parent() {
                Some(folder) if folder != Path::new("") => folder,
                _ => Path::new("."),
            };
            let news = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
            // A folder that was made anew is another one; to watch the same one twice changes nothing.
            file.folder = self.inotify.as_ref().and_then(|inotify| inotify.add_watch(folder, news).ok());
            file.read = Stamp::of(&file.path, Counts::Contents);
            file.seen = file.read;
        }
    }

    /// Readable when something was told.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(|inotify| inotify.as_fd())
    }

    /// Tells whether one was written anew, as far as it was told.
    pub(super) fn are_told(&self) -> bool {
        let mut told = false;
        while let Some(events) = self.inotify.as_ref().and_then(|inotify| inotify.read_events().ok()) {
            told |= events.iter().any(|event| {
                let is_it = |file: &Watched| {
                    file.folder == Some(event.wd) && event.name.as_deref() == Some(&*file.name)
                };
                self.files.iter().any(is_it)
            });
        }
        told
    }

    /// Looks at all. Tells whether one has changed since it was read, and not since the last look.
    pub(super) fn have_changed(&mut self) -> bool {
        let mut changed = false;
        for file in &mut self.files {
            let now = Stamp::of(&file.path, Counts::Contents);
            changed |= now != file.read && now == file.seen;
            file.seen = now;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_is_told_and_what_is_not_told_shows_at_the_second_look() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("services");
        std::fs::write(&path, "1").expect("written");
        let mut files = Files::new(vec![path.clone()]);
        files.will_be_read();
        assert!(!files.are_told() && !files.have_changed());
        let mut writer = std::fs::File::options().append(true).open(&path).expect("open");
        std::io::Write::write_all(&mut writer, b"2").expect("written");
        assert!(!files.are_told(), "somebody still writes");
        drop(writer);
        assert!(files.are_told() && !files.are_told());
        files.will_be_read();
        std::fs::write(folder.path().join("other"), "").expect("written");
        assert!(!files.are_told(), "another file");
        std::fs::rename(folder.path().join("other"), &path).expect("renamed");
        assert!(files.are_told(), "another one has its name");
        files.will_be_read();
        files.inotify = None;
        std::fs::write(&path, "more").expect("written");
        assert!(!files.have_changed(), "it may still be written to");
        assert!(files.have_changed());
        files.will_be_read();
        std::fs::remove_file(&path).expect("removed");
        assert!(!files.have_changed() && files.have_changed());
        files.will_be_read();
        assert!(!files.have_changed() && !files.have_changed(), "said once");
    }
}
