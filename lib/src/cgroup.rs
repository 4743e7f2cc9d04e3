//! Cgroups (version 2) of our own: what was started in one stays in it, whatever it does to its parents, session or
//! environment.
//!
//! A cgroup is named by its path below the hierarchy and by its id, the inode of its folder, which the kernel never
//! gives out twice within a boot. [`Group::open`] proves that the folder is the one that is meant, and holds it: all that
//! is done goes through that descriptor.
//!
//! Whoever makes a cgroup makes it below its own. Nothing is moved but what is started, no controller is switched on,
//! and no limit is set. See cgroups(7), and Documentation/admin-guide/cgroup-v2.rst of the kernel: `cgroup.procs`,
//! `cgroup.freeze` (5.2), `cgroup.kill` (5.14).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use crate::error::{Error, Kind, Result};
use crate::host::{boot_ms, own_uid};
use crate::id::{Cgroup, Pid};
use crate::sys;

/// What a cgroup is made for: its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A service: beside those of other services, also where it is started by one of them.
    Service,
    /// A session: around all that is started in it.
    Session,
}

impl For {
    fn prefix(self) -> &'static str {
        match self {
            Self::Service => "procherd-service-",
            Self::Session => "procherd-session-",
        }
    }
}

/// The hierarchy as this process sees it.
struct Hierarchy {
    /// Where it is mounted.
    mount: PathBuf,
    /// Which part of it is mounted there.
    root: PathBuf,
    /// Our own place in it.
    own: PathBuf,
}

impl Hierarchy {
    /// Finds it. None where there is no version 2, or our own part of it is not mounted.
    fn find() -> Option<Self> {
        let own = own_line(&std::fs::read_to_string("/proc/self/cgroup").ok()?)?;
        let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let found = table.lines().filter_map(mounted).find(|(root, _)| own.starts_with(root));
        found.map(|(root, mount)| Self { mount, root, own })
    }

    /// Below which cgroup a new one is made. A service that is started by another one is a service of its own.
    fn place_for(&self, purpose: For) -> &Path {
        let mut place = self.own.as_path();
        while purpose == For::Service && is_named(place, For::Service) {
            place = place.parent().unwrap_or(Path::new("/"));
        }
        place
    }

    /// Tells whether a cgroup was given to us to be divided. Permission says so, but for root: there the service manager
    /// marks what it has delegated (systemd.resource-control(5), `Delegate=`), and all else is its own.
    fn may_divide(&self, path: &Path) -> bool {
        let managed = own_uid() == 0 && Path::new("/run/systemd/system").exists();
        let marked = |folder: &Path| {
            ["user.delegate", "trusted.delegate"]
                .iter()
                .any(|name| sys::attribute(folder, name).is_some_and(|value| value == b"1"))
        };
        !managed || path.ancestors().filter_map(|above| self.folder(above)).any(|folder| marked(&folder))
    }

    /// The folder of a cgroup.
    fn folder(&self, path: &Path) -> Option<PathBuf> {
        let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        path.strip_prefix(&self.root).ok().filter(|_| plain).map(|below| self.mount.join(below))
    }
}

/// Our place in the hierarchy of version 2: the line that names no controllers.
fn own_line(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

/// A line of mountinfo (proc_pid_mountinfo(5)): the part that is mounted and where, if it is cgroup2.
fn mounted(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, mount) = (fields.next()?, fields.next()?);
    (after.split(' ').next() == Some("cgroup2")).then(|| (unescaped(root), unescaped(mount)))
}

/// Spaces and other separators stand in mountinfo as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.extend(code.map(char::from));
        plain.push_str(code.map_or(part, |_| &part[3..]));
    }
    plain.into()
}

/// A cgroup that is held.
#[derive(Debug)]
pub struct Group {
    name: Cgroup,
    folder: PathBuf,
    held: File,
}

/// How many cgroups beside a new one are looked at.
const SWEPT: usize = 64;

impl Group {
    /// Makes an empty one below our own. `label` is for people.
    ///
    /// `Unsupported`: there is no version 2 here. `Denied`: our own cgroup was not given to us to be divided. That is so
    /// for root, too, where a service manager keeps the tree and has delegated no part of it that we are in, unless this
    /// was `asked` for.
    pub fn make(purpose: For, label: &str, asked: bool) -> Result<Self> {
        let none = || Error::new(Kind::Unsupported, "make cgroup", "", "no cgroup v2 is mounted here");
        let hierarchy = Hierarchy::find().ok_or_else(none)?;
        let own = hierarchy.place_for(purpose);
        let parent = hierarchy.folder(own).ok_or_else(none)?;
        if !asked && !hierarchy.may_divide(own) {
            let why = "the service manager has not delegated it";
            return Err(Error::new(Kind::Denied, "make cgroup", parent.display(), why));
        }
        let label = label.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
        let label: String = label.take(40).collect();
        let leaf = format!("{}{label}-{}-{:x}", purpose.prefix(), Pid::this(), boot_ms());
        let path = own.join(&leaf).to_string_lossy().into_owned();
        let failed = |error| Error::system("make cgroup", parent.join(&leaf).display(), error);
        let group = Self::make_at(path, parent.join(&leaf)).map_err(failed)?;
        // Below a threaded cgroup a new one is of no use before somebody changes it.
        if group.read("cgroup.type").is_ok_and(|kind| kind.trim() != "domain") {
            group.remove();
            return Err(Error::new(Kind::Unsupported, "make cgroup", parent.display(), "it is threaded"));
        }
        Ok(group)
    }

    fn make_at(path: String, folder: PathBuf) -> io::Result<Self> {
        let mut tries = 3;
        loop {
            std::fs::DirBuilder::new().mode(0o755).create(&folder)?;
            match File::open(&folder).and_then(|held| Ok((held.metadata()?.ino(), held))) {
                Ok((id, held)) => return Ok(Self { name: Cgroup { path, id }, folder, held }),
                // Somebody who sweeps took it for a leftover.
                Err(error) if error.kind() == ErrorKind::NotFound && tries > 0 => tries -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Holds the cgroup that is meant. None: it is gone, is another one by now, or cannot be reached from here.
    pub fn open(name: &Cgroup) -> Option<Self> {
        // What others have made is not ours to end, whatever an entry says.
        let path = Path::new(&name.path);
        let ours = is_named(path, For::Service) || is_named(path, For::Session);
        let folder = Hierarchy::find().filter(|_| ours)?.folder(path)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let held = File::options().read(true).custom_flags(flags.bits()).open(&folder).ok()?;
        let facts = held.metadata().ok()?;
        let same = facts.ino() == name.id && sys::is_cgroup2(held.as_fd());
        same.then(|| Self { name: name.clone(), folder, held })
    }

    /// Removes cgroups of ours beside it that are empty: whoever would have done so was killed. Those with others below
    /// them are left to [`sweep`], which looks into them.
    pub fn tidy(&self) {
        if let Some(parent) = self.folder.parent() {
            sweep_folder(parent, SWEPT, |path| path != self.folder && std::fs::remove_dir(path).is_ok());
        }
    }

    /// Which one it is.
    pub fn name(&self) -> &Cgroup {
        &self.name
    }

    /// Its folder, held, for a fork into it.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }

    /// Moves a process into it; this process by its own number.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// The numbers of all that are in it or below it, and whether these are all: not all can be seen from inside a pid
    /// namespace. The dead that are not reaped have left it.
    pub fn members(&self) -> (Vec<Pid>, bool) {
        let mut found = Vec::new();
        let whole = collect(&self.held, 0, &mut found);
        (found, whole)
    }

    /// Waits until somebody enters, leaves, freezes or thaws it, at most so long (`cgroup.events` tells by poll).
    pub fn wait_for_change(&self, at_most: Duration) {
        let events = openat(&self.held, "cgroup.events", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::ZERO);
        match events {
            Ok(events) => {
                // What has changed before counts as read.
                let _ = nix::unistd::read(&events, &mut [0; 256]);
                let _ = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout);
            }
            Err(_) => drop(poll(&mut [], timeout)),
        }
    }

    /// Tells whether a living process is in it or below it. None where that cannot be read: it was removed.
    pub fn is_populated(&self) -> Option<bool> {
        self.read("cgroup.events").ok().map(|events| events.lines().any(|line| line == "populated 1"))
    }

    /// Stops all that is in it and below it, new ones included, or lets them go on.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Tells whether all that is in it stands still.
    pub fn is_frozen(&self) -> bool {
        self.read("cgroup.events").is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// Kills all that is in it and below it, and whatever is forked meanwhile (Linux 5.14).
    pub fn kill(&self) -> io::Result<()> {
        self.write("cgroup.kill", "1")
    }

    /// Removes it as [`Self::remove`] does, when the kernel has taken the last dead process out of it: that can be a moment
    /// after its death is known.
    pub fn remove_soon(&self) -> bool {
        const WITHIN: Duration = Duration::from_millis(50);
        let until = Instant::now() + WITHIN;
        while self.is_populated() == Some(true) && Instant::now() < until {
            self.wait_for_change(Duration::from_millis(5));
        }
        self.remove()
    }

    /// Removes it, with empty ones below it, if nobody lives in it. Tells whether it is gone.
    pub fn remove(&self) -> bool {
        // The name may belong to a later one: then ours is gone already.
        let is_ours = || std::fs::metadata(&self.folder).is_ok_and(|facts| facts.ino() == self.name.id);
        !is_ours() || remove_empty(&self.folder, 0) || !is_ours()
    }

    fn read(&self, file: &str) -> io::Result<String> {
        read_at(&self.held, file)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let fd = openat(&self.held, file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        // One write is one request.
        match nix::unistd::write(&fd, text.as_bytes()) {
            Ok(_) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The path of our own cgroup.
pub fn own_path() -> Option<String> {
    own_line(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
        .map(|path| path.to_string_lossy().into_owned())
}

/// Moves this process back to the cgroup that it came from.
pub fn enter(path: &str) -> io::Result<()> {
    let folder = Hierarchy::find().and_then(|hierarchy| hierarchy.folder(Path::new(path)));
    let folder = folder.ok_or(ErrorKind::NotFound)?;
    std::fs::write(folder.join("cgroup.procs"), "0")
}

/// Removes a cgroup that is known by name, if nobody lives in it. Tells whether it is gone, as far as can be seen.
pub fn remove(name: &Cgroup) -> bool {
    Group::open(name).is_none_or(|group| group.remove())
}

/// Removes the empty cgroups of ours below our own: whoever should have done so was killed. Gives their number.
pub fn sweep() -> usize {
    let Some(hierarchy) = Hierarchy::find() else { return 0 };
    hierarchy
        .folder(hierarchy.place_for(For::Service))
        .map_or(0, |folder| sweep_folder(&folder, usize::MAX, |path| remove_empty(path, 0)))
}

/// Removes cgroups of ours in a folder, as far as `remove` does. Gives their number.
fn sweep_folder(folder: &Path, at_most: usize, remove: impl Fn(&Path) -> bool) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let ours = entries.flatten().map(|entry| entry.path()).filter(|path| {
        let mine = || path.metadata().is_ok_and(|facts| facts.uid() == own_uid());
        (is_named(path, For::Service) || is_named(path, For::Session)) && mine()
    });
    ours.take(at_most).filter(|path| remove(path)).count()
}

/// Reads the members of one folder and those below. False where not all could be read.
fn collect(folder: &File, depth: usize, found: &mut Vec<Pid>) -> bool {
    /// No service nests cgroups like this.
    const DEEPEST: usize = 32;
    let mut whole = depth < DEEPEST;
    match read_at(folder, "cgroup.procs") {
        // Zero stands for a process of a pid namespace that we do not see into.
        Ok(text) => {
            for line in text.lines() {
                match line.parse().ok().and_then(Pid::new) {
                    Some(pid) => found.push(pid),
                    None => whole = false,
                }
            }
        }
        // Removed since its name was read: then nobody is in it.
        Err(error) => return error.raw_os_error() == Some(Errno::ENODEV as i32),
    }
    let Ok(below) = std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd())) else {
        return false;
    };
    for entry in below.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        match File::open(entry.path()) {
            Ok(child) => whole &= whole && collect(&child, depth + 1, found),
            Err(error) => whole &= error.kind() == ErrorKind::NotFound,
        }
    }
    whole
}

/// Removes a cgroup and those below it where nobody lives. The kernel refuses for any other.
fn remove_empty(folder: &Path, depth: usize) -> bool {
    const DEEPEST: usize = 32;
    match std::fs::remove_dir(folder) {
        Ok(()) => return true,
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        Err(_) => {}
    }
    let populated = std::fs::read_to_string(folder.join("cgroup.events"));
    if depth >= DEEPEST || populated.is_ok_and(|events| events.contains("populated 1")) {
        return false;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path(), depth + 1);
        }
    }
    std::fs::remove_dir(folder).is_ok()
}

/// Tells whether the last word of a path is a name that we give.
fn is_named(path: &Path, purpose: For) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(purpose.prefix().as_bytes()))
}

fn read_at(folder: &File, file: &str) -> io::Result<String> {
    let fd = openat(folder, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    io::read_to_string(File::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_beside_those_of_version_1() {
        let line = "41 31 0:38 / /sys/fs/cgroup/a\\040b rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mounted(line), Some(("/".into(), "/sys/fs/cgroup/a b".into())));
        assert_eq!(mounted("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"), None);
        assert_eq!(own_line("5:pids:/x\n0::/user.slice/a\n"), Some("/user.slice/a".into()));
        assert_eq!(own_line("5:pids:/x\n"), None);
    }

    #[test]
    fn a_part_that_is_not_mounted_has_no_folder() {
        let hierarchy =
            Hierarchy { mount: "/sys/fs/cgroup".into(), root: "/docker/x".into(), own: "/docker/x/y".into() };
        assert_eq!(hierarchy.folder(Path::new("/docker/x/y")), Some("/sys/fs/cgroup/y".into()));
        assert_eq!(hierarchy.folder(Path::new("/docker/z")), None);
        assert_eq!(hierarchy.folder(Path::new("/docker/x/../z")), None);
    }

    #[test]
    fn services_stand_beside_each_other_and_below_their_session() {
        let at = |own: &str| Hierarchy { mount: "/m".into(), root: "/".into(), own: own.into() };
        let place = |own: &str, purpose| at(own).place_for(purpose).to_owned();
        assert_eq!(place("/a/procherd-service-x-1-2", For::Service), Path::new("/a"));
        assert_eq!(
            place("/procherd-session-x-1-2/procherd-service-x-1-2", For::Service),
            Path::new("/procherd-session-x-1-2")
        );
        assert_eq!(place("/a/procherd-service-x-1-2", For::Session), Path::new("/a/procherd-service-x-1-2"));
    }

    #[test]
    fn what_we_have_not_made_is_never_opened() {
        for path in ["/", "/init.scope", "/x/procherd-service-y/../z", "procherd-service-x"] {
            assert!(Group::open(&Cgroup { path: path.into(), id: 1 }).is_none(), "{path}");
        }
    }
}
