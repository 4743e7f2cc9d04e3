//! The folder of the registry: opened once, and every file in it reached through that descriptor.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::{Error, Kind, Result};
use crate::host::own_uid;

/// The largest registry that is read or written, in bytes.
pub const LARGEST: u64 = 48 << 20;

/// The folder of a registry, and the name of the registry in it.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    name: OsString,
}

/// What makes two looks at a file looks at the same file.
pub(super) type FileId = (u64, u64);

impl Folder {
    /// Opens the folder of a registry; none where there is no such folder. Refuses one where anybody may put files.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let (parent, name) = split(path)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let fd = match nix::fcntl::open(parent, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(Error::system("open registry folder", parent.display(), errno)),
        };
        let facts =
            fstat(&fd).map_err(|errno| Error::system("look at registry folder", parent.display(), errno))?;
        if facts.st_mode & 0o1002 == 0o002 {
            let why = "everybody may write there (chmod o-w mends it)";
            return Err(Error::new(Kind::Refused, "use registry folder", parent.display(), why));
        }
        Ok(Some(Self { fd, path: path.to_owned(), name: name.to_owned() }))
    }

    /// Opens the folder of a registry, and makes it for this user alone where it is missing.
    pub(super) fn open_or_make(path: &Path) -> Result<Self> {
        if let Some(folder) = Self::open(path)? {
            return Ok(folder);
        }
        let (parent, _) = split(path)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|error| Error::system("make registry folder", parent.display(), error))?;
        Self::open(path)?.ok_or_else(|| {
            Error::new(Kind::Gone, "open registry folder", parent.display(), "it vanished while it was made")
        })
    }

    /// The path of the registry.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the lock file. It is no `.lock`: programs that make and remove such a file use it in another way.
    pub(super) fn lock_name(&self) -> OsString {
        let mut name = self.name.clone();
        name.push(".flock");
        name
    }

    /// A name that nobody has: new versions of the registry and of the lock are written under such names.
    pub(super) fn fresh_name(&self) -> OsString {
        let random = RandomState::new().build_hasher().finish();
        let mut name = self.litter_prefix();
        name.push(format!("{}.{random:016x}.tmp", std::process::id()));
        name
    }

    fn litter_prefix(&self) -> OsString {
        let mut prefix = OsString::from(".");
        prefix.push(&self.name);
        prefix.push(".");
        prefix
    }

    /// Removes what killed writers left, and takes from slow ones what they wrote: see `lock`.
    ///
    /// Whoever holds the lock calls this, so every such file but `own` belongs to a writer that must not go on.
    pub(super) fn sweep(&self, own: &OsStr) -> Result<()> {
        let failed = |errno| Error::system("clean up registry folder", self.path.display(), errno);
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let mut folder = Dir::openat(&self.fd, ".", flags, Mode::empty()).map_err(failed)?;
        let prefix = self.litter_prefix();
        for entry in folder.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(prefix.as_bytes()) && name.ends_with(b".tmp") && name != own.as_bytes() {
                match unlinkat(&self.fd, entry.file_name(), UnlinkatFlags::NoRemoveDir) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    Err(errno) => return Err(failed(errno)),
                }
            }
        }
        Ok(())
    }

    /// Opens a file that this user alone may write. None where there is no such file.
    pub(super) fn open_own(&self, name: &OsStr, flags: OFlag) -> Result<Option<(File, FileStat)>> {
        let on = || self.path.with_file_name(name).display().to_string();
        let refused = |why: &str| Err(Error::new(Kind::Refused, "use registry", on(), why));
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = match openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return refused("it is a symbolic link"),
            Err(errno) => return Err(Error::system("open registry", on(), errno)),
        };
        let facts = fstat(&file).map_err(|errno| Error::system("look at registry", on(), errno))?;
        if facts.st_mode & libc_type::MASK != libc_type::REGULAR {
            return refused("it is no plain file");
        }
        if facts.st_uid != own_uid() {
            return refused(&format!("it belongs to another user ({})", facts.st_uid));
        }
        if facts.st_mode & 0o022 != 0 {
            return refused("others may write it (chmod go-w mends it)");
        }
        Ok(Some((file, facts)))
    }

    /// Reads the registry as it is now; none where there is none.
    pub(super) fn read(&self) -> Result<Option<Content>> {
        let Some((file, facts)) = self.open_own(&self.name, OFlag::O_RDONLY)? else { return Ok(None) };
        let on = || self.path.display().to_string();
        let size = u64::try_from(facts.st_size).unwrap_or(0);
        let too_large = || {
            let why = format!("larger than {} MiB", LARGEST >> 20);
            Error::new(Kind::Damaged, "read registry", on(), why)
        };
        if size > LARGEST {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        (&file)
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::system("read registry", on(), error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(too_large());
        }
        let written = Duration::from_secs(u64::try_from(facts.st_mtime).unwrap_or(0));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Some(Content { bytes, age: now.saturating_sub(written), file }))
    }

    /// Which file has a name now; none where there is none.
    pub(super) fn file_id(&self, name: &OsStr) -> Result<Option<FileId>> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(facts) => Ok(Some((facts.st_dev, facts.st_ino))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::system("look at registry", self.path.display(), errno)),
        }
    }

    /// Makes a new file that nobody else has opened, removed again when it is dropped before it got its name.
    pub(super) fn draft(&self) -> Result<Draft<'_>> {
        loop {
            let name = self.fresh_name();
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            match openat(&self.fd, name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(file) => return Ok(Draft { folder: self, name, file: File::from(file), named: false }),
                Err(Errno::EEXIST) => {}
                Err(errno) => {
                    return Err(Error::system("write beside registry", self.path.display(), errno));
                }
            }
        }
    }

    /// Makes the names of the folder safe against power failure: what was put in place before this is there after it.
    pub(super) fn keep_names(&self) -> Result<()> {
        match nix::unistd::fsync(&self.fd) {
            // Some file systems keep folders safe by themselves and say EINVAL.
            Ok(()) | Err(Errno::EINVAL | Errno::EROFS) => Ok(()),
            Err(errno) => {
                let why = format!("written, but perhaps not kept over a power failure ({})", errno.desc());
                Err(Error::new(Kind::System, "write registry", self.path.display(), why))
            }
        }
    }

    /// Tells whether the file system writes a file before the name by which it replaces the registry, so that a power
    /// failure leaves the one or the other, whole.
    ///
    /// ext4 does so (ext4(5), `auto_da_alloc`), where there is a file to replace, and has set the room aside by the time
    /// the file is written; without a journal it promises nothing in any case. tmpfs has no disk. btrfs has stopped to
    /// (Linux 3.17); XFS and network file systems never did.
    fn replaces_whole(&self) -> Result<bool> {
        let known = nix::sys::statfs::fstatfs(&self.fd)
            .is_ok_and(|facts| [EXT4_SUPER_MAGIC, TMPFS_MAGIC].contains(&facts.filesystem_type()));
        Ok(known && self.file_id(&self.name)?.is_some())
    }

    /// Gives the registry another name, in the same folder.
    pub(super) fn set_aside(&self, name: &OsStr) -> Result<()> {
        renameat(&self.fd, self.name.as_os_str(), &self.fd, name)
            .map_err(|errno| Error::system("set registry aside", self.path.display(), errno))
    }
}

/// What the registry holds at one moment.
pub(super) struct Content {
    /// All of it.
    pub(super) bytes: Vec<u8>,
    /// How long ago it was written.
    pub(super) age: Duration,
    /// The file in which it stands.
    pub(super) file: File,
}

/// A file that is being written and has no name yet that anybody looks for.
pub(super) struct Draft<'a> {
    folder: &'a Folder,
    /// The name that it has for now.
    pub(super) name: OsString,
    /// The file itself.
    pub(super) file: File,
    named: bool,
}

/// Whether a new version of the registry is to survive a power failure. Some version does, whole, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    /// It is safe before it is put in place, and its name after [`Folder::keep_names`].
    Yes,
    /// Nobody waits for the disk, unless the file system would not keep the version before.
    No,
}

impl Draft<'_> {
    /// Writes the content and puts it in place of the registry in one step. False: somebody took the draft away, since the
    /// lock was taken over: see `lock`.
    pub(super) fn publish(mut self, bytes: &[u8], durable: Durable) -> Result<bool> {
        let on = || self.folder.path.display().to_string();
        let failed = |error: std::io::Error| Error::system("write registry", on(), error);
        let size = bytes.len() as u64;
        if size > LARGEST {
            let why = format!("it would be larger than {} MiB", LARGEST >> 20);
            return Err(Error::new(Kind::Refused, "write registry", on(), why));
        }
        // A write beyond the limit would end this process with SIGXFSZ.
        if getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(soft, _)| size > soft) {
            return Err(failed(std::io::Error::from_raw_os_error(Errno::EFBIG as i32)));
        }
        (&self.file).write_all(bytes).map_err(failed)?;
        let folder = self.folder;
        if durable == Durable::Yes || !folder.replaces_whole()? {
            self.file.sync_all().map_err(failed)?;
        }
        self.rename("write registry", &folder.name)
    }

    /// Puts the draft in place of another file of the folder. False: somebody took it away.
    pub(super) fn rename(&mut self, what: &'static str, name: &OsStr) -> Result<bool> {
        let folder = self.folder;
        match renameat(&folder.fd, self.name.as_os_str(), &folder.fd, name) {
            Ok(()) => self.named = true,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::system(what, folder.path.display(), errno)),
        }
        Ok(self.named)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.named {
            // It may have been swept away: all the better.
            let _ = unlinkat(&self.folder.fd, self.name.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// The type bits of a file mode (inode(7)).
mod libc_type {
    pub(super) const MASK: u32 = 0o170_000;
    pub(super) const REGULAR: u32 = 0o100_000;
}

fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if path.is_absolute() => Ok((parent, name)),
        _ => {
            Err(Error::new(Kind::Invalid, "use registry", path.display(), "not the absolute path of a file"))
        }
    }
}
