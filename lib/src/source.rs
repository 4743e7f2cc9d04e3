//! Reading processes from `/proc`, or from a folder that looks like it.
//!
//! The hot path, `stat` and `cmdline` of every process, reads into reused buffers with at most eight system calls a
//! process, identity included. The parsers of the rare files are those of the procfs crate, which is named here alone.
//!
//! A process that vanishes while it is read is left out. One that may not be read keeps what can be known.

mod cgroup;
mod fds;
mod halves;
mod listing;
mod ran;
mod stat;
mod waits;

use std::ffi::{CStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstat, fstatat};

use crate::error::{Error, Kind, Result};
use crate::host::page_size;
use crate::id::Pid;
use crate::record::{Denied, Hints, Process, Rare};
use crate::select::{Fact, Facts};
use crate::status::State;
use crate::sys;
use crate::text::Text;

pub use cgroup::{Container, container_of};
pub use fds::Fds;
pub use halves::{WORTH_A_THREAD, beside, from_both_ends, is_worth_a_thread};
use listing::Listing;
pub use listing::while_listing;
pub use stat::{Stat, parse as parse_stat};
pub use waits::Waiting;

/// Where processes are read from.
#[derive(Debug)]
pub struct Source {
    folder: OwnedFd,
    live: bool,
    /// Whether inodes of pidfds say nothing here: before Linux 6.9 all pidfds share one.
    shared_inode: bool,
}

/// Which facts a look needs. Each costs system calls, so a finder names what its question takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    /// The pidfs inode: two calls.
    pub identity: bool,
    /// The command line: two calls.
    pub cmdline: bool,
    /// The owner: one call.
    pub uid: bool,
    /// The executed file: one call.
    pub exe: bool,
    /// The working directory: one call.
    pub cwd: bool,
}

impl Wants {
    /// What an everyday process record holds.
    pub const EVERYDAY: Self = Self { identity: true, cmdline: true, uid: true, exe: false, cwd: false };
}

/// The largest argument vector that is read: above what any kernel accepts by default (6 MiB, execve(2)).
const LARGEST_CMDLINE: usize = 8 << 20;

impl Source {
    /// The live table.
    pub fn live() -> Result<Self> {
        Self::open(Path::new("/proc"), true)
    }

    /// A folder with one sub-folder for each process, as `/proc` has. It holds no identities.
    pub fn folder(path: &Path) -> Result<Self> {
        Self::open(path, false)
    }

    fn open(path: &Path, live: bool) -> Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let folder = nix::fcntl::open(path, flags, Mode::empty())
            .map_err(|errno| Error::system("open process table", path.display(), errno))?;
        let shared_inode = live && sys::pidfd_open(Pid::this()).is_ok_and(|own| !sys::is_pidfs(&own));
        Ok(Self { folder, live, shared_inode })
    }

    /// Lists the numbers of all processes that can be seen, in ascending order.
    pub fn pids(&self) -> Result<Vec<Pid>> {
        let mut listing = Listing::begin(self)?;
        let mut pids = Vec::with_capacity(512);
        while listing.next_part(&mut pids, usize::MAX)? {}
        if !pids.is_sorted() {
            pids.sort_unstable();
        }
        Ok(pids)
    }

    /// Makes a reader with buffers of its own, for one thread.
    pub fn reader(&self, wants: Wants) -> Reader<'_> {
        let identity = wants.identity && self.live && !self.shared_inode;
        Reader {
            source: self,
            wants: Wants { identity, ..wants },
            buffer: Vec::with_capacity(4096),
            path: PathBuffer::default(),
            open: sys::Pile::default(),
        }
    }

    /// The number that was given out last in this pid namespace (proc_loadavg(5)); it changes with every fork.
    pub fn last_pid(&self) -> Option<u32> {
        self.census().map(|(_, last)| last)
    }

    /// How many threads there are, and the number that was given out last: one of them changes with every fork and with
    /// every end, at the cost of reading one small file.
    pub fn census(&self) -> Option<(u32, u32)> {
        let file = openat(&self.folder, "loadavg", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = Vec::with_capacity(128);
        read_all(&file, &mut buffer).ok()?;
        let mut words = std::str::from_utf8(&buffer).ok()?.split_ascii_whitespace().skip(3);
        let (_, threads) = words.next()?.split_once('/')?;
        Some((threads.parse().ok()?, words.next()?.parse().ok()?))
    }

    /// The environment of a process: `NAME=VALUE` entries, each ended by NUL (proc_pid_environ(5)).
    ///
    /// It is what the process was started with, unless it has overwritten it.
    pub fn environ(&self, pid: Pid) -> Result<Vec<u8>> {
        self.whole(pid, "environ")
    }

    /// The wait channel of a process, empty where it does not wait or may not be seen.
    pub fn wait_channel(&self, pid: Pid) -> Option<String> {
        let bytes = self.whole(pid, "wchan").ok()?;
        String::from_utf8(bytes).ok().filter(|name| !name.is_empty() && name != "0")
    }

    /// Where a link in the folder of a process leads: `exe`, `cwd`, `fd/0`.
    pub fn link(&self, pid: Pid, name: &str) -> Result<OsString> {
        let mut path = PathBuffer::default();
        readlinkat(&self.folder, path.of(pid, name))
            .map_err(|errno| Error::system("read link", format!("{pid}/{name}"), errno))
    }

    /// The children of the first thread of a process (proc_tid_children(5)); none where the kernel does not offer it.
    ///
    /// The kernel promises a whole list only while none of them dies: for own children, in a loop that ends them.
    pub fn children(&self, pid: Pid) -> Option<Vec<Pid>> {
        let list = self.whole(pid, &format!("task/{pid}/children")).ok()?;
        let words = list.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        Some(words.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok()).collect())
    }

    /// A file of a process as a whole.
    pub fn whole(&self, pid: Pid, name: &str) -> Result<Vec<u8>> {
        let failed = |errno| Error::system("read", format!("/proc/{pid}/{name}"), errno);
        let mut path = PathBuffer::default();
        let file =
            openat(&self.folder, path.of(pid, name), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
                .map_err(failed)?;
        let mut buffer = Vec::with_capacity(4096);
        read_all(&file, &mut buffer).map_err(failed)?;
        Ok(buffer)
    }

    /// The numbers of a process in the pid namespaces that it lives in, outermost first (`NSpid`, proc_pid_status(5)).
    pub fn namespace_pids(&self, pid: Pid) -> Result<Vec<i32>> {
        Ok(self.status(pid)?.nspid.unwrap_or_default())
    }

    /// The tracer of a process, none where nobody traces it.
    pub fn tracer(&self, pid: Pid) -> Result<Option<Pid>> {
        Ok(u32::try_from(self.status(pid)?.tracerpid).ok().and_then(Pid::new))
    }

    fn status(&self, pid: Pid) -> Result<procfs::process::Status> {
        use procfs::FromRead as _;
        let mut bytes = self.whole(pid, "status")?;
        // The parser wants UTF-8, and a name need not be: it is not asked for here.
        for byte in &mut bytes {
            if !byte.is_ascii() {
                *byte = b'?';
            }
        }
        procfs::process::Status::from_read(bytes.as_slice())
            .map_err(|error| Error::new(Kind::Damaged, "read", format!("/proc/{pid}/status"), error))
    }

    /// The folder of a process as a handle: it never leads to another process, also after the number is reused.
    pub fn process_folder(&self, pid: Pid) -> Result<OwnedFd> {
        let mut path = PathBuffer::default();
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
        openat(&self.folder, path.of(pid, ""), flags, Mode::empty())
            .map_err(|errno| Error::system("open", format!("/proc/{pid}"), errno))
    }
}

/// The facts of the live system. Each is read when it is asked for.
impl Facts for Source {
    fn exe(&self, process: &Process) -> Fact {
        fact(self.link(process.pid, "exe").map(OsString::into_vec))
    }

    fn cwd(&self, process: &Process) -> Fact {
        fact(self.link(process.pid, "cwd").map(OsString::into_vec))
    }

    fn environ(&self, process: &Process) -> Fact {
        fact(Self::environ(self, process.pid))
    }
}

fn fact(read: Result<Vec<u8>>) -> Fact {
    match read {
        Ok(bytes) => Fact::Known(bytes),
        Err(error) if error.kind() == Kind::Gone => Fact::Absent,
        Err(_) => Fact::Hidden,
    }
}

/// Reads `stat` through a held folder of a process. `ESRCH` when the process is gone.
pub fn stat_at(folder: &OwnedFd) -> std::result::Result<Stat, Errno> {
    let file = match openat(folder, c"stat", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Err(Errno::ENOENT) => return Err(Errno::ESRCH),
        other => other?,
    };
    let mut buffer = Vec::with_capacity(1024);
    sys::read_into(file.as_fd(), &mut buffer)?;
    parse_stat(&buffer).ok_or(Errno::ESRCH)
}

/// Reads processes one after the other into buffers that it keeps.
pub struct Reader<'a> {
    source: &'a Source,
    wants: Wants,
    buffer: Vec<u8>,
    path: PathBuffer,
    open: sys::Pile,
}

impl Reader<'_> {
    /// Reads one process; none when it has vanished.
    ///
    /// The pidfd is opened before anything else is read. So when the number changes hands in between, the record names
    /// a dead process and can do no harm: facts of the new owner never come with an identity that still lives.
    pub fn read(&mut self, pid: Pid) -> Result<Option<Process>> {
        let (mut inode, mut denied) = (None, Denied::default());
        if self.wants.identity {
            match self.retry(|_| sys::pidfd_open(pid)) {
                Ok(pidfd) => {
                    inode = fstat(&pidfd).ok().map(|facts| facts.st_ino);
                    self.open.add(pidfd);
                }
                Err(Errno::ESRCH | Errno::ENOENT | Errno::EINVAL) => return Ok(None),
                Err(_) => denied.add(Denied::INODE),
            }
        }
        self.facts(pid, inode, denied)
    }

    /// Reads one process of which the caller has opened a pidfd before, with this inode; none when it has vanished.
    pub fn read_held(&mut self, pid: Pid, inode: u64) -> Result<Option<Process>> {
        self.facts(pid, Some(inode), Denied::default())
    }

    fn facts(&mut self, pid: Pid, inode: Option<u64>, mut denied: Denied) -> Result<Option<Process>> {
        let stat = match self.slurp(pid, "stat") {
            Ok(()) => match parse_stat(&self.buffer) {
                Some(stat) => Some((stat, Text::from(stat.comm(&self.buffer)))),
                None if self.source.live => return Ok(None),
                None => {
                    return Err(Error::new(Kind::Damaged, "read", format!("{pid}/stat"), "not a stat line"));
                }
            },
            Err(Errno::ESRCH | Errno::ENOENT) => return Ok(None),
            Err(Errno::EACCES | Errno::EPERM) => None,
            Err(errno) => return Err(Error::system("read", format!("/proc/{pid}/stat"), errno)),
        };
        let (stat, comm) = stat.unwrap_or_else(|| {
            denied.add(Denied::STAT);
            (Stat::default(), Text::default())
        });
        let mut cmdline = Text::default();
        if self.wants.cmdline && !stat.kernel_thread() && !State::new(stat.state).is_dead() {
            match self.slurp(pid, "cmdline") {
                Ok(()) => cmdline = self.buffer.as_slice().into(),
                Err(Errno::ESRCH | Errno::ENOENT) if self.source.live => return Ok(None),
                Err(_) => denied.add(Denied::CMDLINE),
            }
        }
        let uid = if self.wants.uid {
            match fstatat(&self.source.folder, self.path.of(pid, ""), AtFlags::empty()) {
                Ok(facts) => Some(facts.st_uid),
                Err(Errno::ESRCH | Errno::ENOENT) => return Ok(None),
                Err(_) => None,
            }
        } else {
            None
        };
        let rare = (self.wants.exe || self.wants.cwd).then(|| {
            let mut link =
                |wanted: bool, name, fact| match readlinkat(&self.source.folder, self.path.of(pid, name)) {
                    _ if !wanted => None,
                    Ok(path) => Some(Text::from(path.into_vec().as_slice())),
                    Err(Errno::EACCES | Errno::EPERM) => {
                        denied.add(fact);
                        None
                    }
                    Err(_) => None,
                };
            Box::new(Rare {
                exe: link(self.wants.exe, "exe", Denied::EXE),
                cwd: link(self.wants.cwd, "cwd", Denied::CWD),
            })
        });
        Ok(Some(Process {
            pid,
            ppid: stat.ppid,
            pgid: stat.pgid,
            sid: stat.sid,
            tty: stat.tty,
            uid,
            threads: stat.threads,
            state: State::new(stat.state),
            kernel_thread: stat.kernel_thread(),
            denied,
            inode,
            start_ticks: stat.start_ticks,
            cpu_ticks: stat.cpu_ticks,
            rss_bytes: stat.rss_pages.saturating_mul(page_size()),
            environment: stat.environment,
            hints: Hints {
                reaped: stat.reaped,
                blocked: stat.blocked,
                caught: stat.caught,
                processor: stat.processor,
            },
            comm,
            cmdline,
            rare,
        }))
    }

    /// Reads a file of a process into the buffer: one read where it fits, as it nearly always does.
    fn slurp(&mut self, pid: Pid, name: &str) -> std::result::Result<(), Errno> {
        let file = self.retry(|reader| {
            let path = reader.path.of(pid, name);
            openat(&reader.source.folder, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        })?;
        self.buffer.clear();
        let done = read_all(&file, &mut self.buffer);
        self.open.add(file);
        done
    }

    /// Opens something; when descriptors have run out, closes those that wait to be closed and tries again.
    fn retry(
        &mut self,
        mut open: impl FnMut(&mut Self) -> std::result::Result<OwnedFd, Errno>,
    ) -> std::result::Result<OwnedFd, Errno> {
        match open(self) {
            Err(Errno::EMFILE | Errno::ENFILE) if !self.open.is_empty() => {
                self.open.close();
                open(self)
            }
            other => other,
        }
    }
}

/// Reads to the end. A read that leaves room in the buffer was the last one: these files give all they have.
fn read_all(file: &OwnedFd, buffer: &mut Vec<u8>) -> std::result::Result<(), Errno> {
    loop {
        if buffer.len() == buffer.capacity() {
            buffer.reserve(buffer.len().max(4096));
        }
        let room = buffer.capacity() - buffer.len();
        match sys::read_into(file.as_fd(), buffer) {
            Ok(read) if read < room || buffer.len() > LARGEST_CMDLINE => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Writes `PID/NAME` without allocating, and the number only once for all files of a process.
#[derive(Default)]
struct PathBuffer {
    bytes: Vec<u8>,
    pid: Option<Pid>,
    folder: usize,
}

impl PathBuffer {
    fn of(&mut self, pid: Pid, name: &str) -> &CStr {
        if self.pid != Some(pid) {
            self.bytes.clear();
            // The formatting of the standard library takes longer than all the rest of this.
            let mut rest = pid.get();
            while rest > 0 {
                self.bytes.extend(u8::try_from(rest % 10).map(|digit| b'0' + digit));
                rest /= 10;
            }
            self.bytes.reverse();
            self.bytes.push(b'/');
            (self.pid, self.folder) = (Some(pid), self.bytes.len());
        }
        self.bytes.truncate(self.folder);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        CStr::from_bytes_with_nul(&self.bytes).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_reads_as_itself() {
        let source = Source::live().expect("/proc");
        let wants = Wants { exe: true, cwd: true, ..Wants::EVERYDAY };
        let process = source.reader(wants).read(Pid::this()).expect("readable").expect("alive");
        assert_eq!(process.ppid, nix::unistd::getppid().as_raw().cast_unsigned());
        assert_eq!(process.uid, Some(nix::unistd::geteuid().as_raw()));
        let argument = std::env::args().next().expect("a name");
        assert!(process.cmdline.bytes().starts_with(argument.as_bytes()));
        let exe = std::env::current_exe().expect("a path");
        let rare = process.rare.expect("asked for");
        assert_eq!(rare.exe.expect("a link").bytes(), exe.as_os_str().as_encoded_bytes());
    }

    #[test]
    fn a_number_that_nobody_has_is_left_out() {
        let source = Source::live().expect("/proc");
        let pid = Pid::new(Pid::MAX).expect("a pid");
        assert!(source.reader(Wants::EVERYDAY).read(pid).expect("no failure").is_none());
    }

    #[test]
    fn paths_are_written_whole() {
        let mut path = PathBuffer::default();
        let pid = Pid::new(Pid::MAX).expect("a pid");
        assert_eq!(path.of(pid, "cmdline"), c"4194304/cmdline");
        assert_eq!(path.of(Pid::INIT, ""), c"1/");
    }
}
