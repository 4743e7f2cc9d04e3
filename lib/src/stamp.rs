//! Whether a file is still the one that it was.

use std::fs::Metadata;
use std::os::linux::fs::MetadataExt as _;
use std::path::Path;

/// Which changes of a file make it another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Those of what is in it.
    Contents,
    /// Those of its owner, permissions, names and times as well.
    Everything,
}

/// What two looks at the same state of a file have in common: device, inode, size, and the time of the last change.
///
/// A change that leaves all of these as they were is not seen: through a mapping, or within one tick of the clock that
/// the file system reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// That of a file, or of what a link leads to; none where nothing can be seen.
    pub fn of(path: &Path, counts: Counts) -> Option<Self> {
        std::fs::metadata(path).ok().map(|facts| Self::in_facts(&facts, counts))
    }

    /// That of whatever has a name: of a link, and not of what it leads to.
    pub fn of_name(path: &Path, counts: Counts) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().map(|facts| Self::in_facts(&facts, counts))
    }

    /// That of an open file.
    pub fn in_facts(facts: &Metadata, counts: Counts) -> Self {
        let changed = match counts {
            Counts::Contents => (facts.st_mtime(), facts.st_mtime_nsec()),
            // Whatever sets the time of the contents sets this one, too.
            Counts::Everything => (facts.st_ctime(), facts.st_ctime_nsec()),
        };
        Self { file: (facts.st_dev(), facts.st_ino()), size: facts.st_size(), changed }
    }

    /// Tells whether both are of one file, in whatever state.
    pub fn is_of_same_file(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// How large the file was, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_counts_is_chosen() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("a"), folder.path().join("b"));
        assert_eq!(Stamp::of(&path, Counts::Everything), None);
        std::fs::write(&path, "1").expect("written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let looks =
            |path: &Path| [Counts::Contents, Counts::Everything].map(|counts| Stamp::of(path, counts));
        let first = looks(&path);
        assert_eq!(looks(&link), first, "a link is followed");
        let own = Stamp::of_name(&link, Counts::Contents);
        // The clock of a file system has ticks.
        while Stamp::of(&path, Counts::Everything) == first[1] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permitted");
        }
        assert_eq!(looks(&path)[0], first[0], "its contents are what they were");
        std::fs::write(&path, "12").expect("written");
        let now = looks(&path)[0].expect("a file");
        assert_ne!(Some(now), first[0]);
        assert_eq!((now.size(), now.is_of_same_file(&first[0].expect("a file"))), (2, true));
        assert_eq!(Stamp::of_name(&link, Counts::Contents), own, "and the link itself as well");
    }
}
