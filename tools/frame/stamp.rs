//! Whether a file is still the one that it was.

use std::os::linux::fs::MetadataExt as _;
use std::path::Path;

/// What changes when a file is written or replaced: device, inode, size, and the time of the last change to what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64, u64, u64, i64, i64);

impl Stamp {
    /// That of a file, or of what a link leads to; none where nothing can be seen.
    pub fn of(path: &Path) -> Option<Self> {
        let facts = std::fs::metadata(path).ok()?;
        let time = (facts.st_mtime(), facts.st_mtime_nsec());
        Some(Self(facts.st_dev(), facts.st_ino(), facts.st_size(), time.0, time.1))
    }
}
