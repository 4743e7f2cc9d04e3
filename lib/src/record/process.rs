//! The typed form of a process record.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::{Line, Record};
use crate::error::{Error, Kind, Result};
use crate::id::{Identity, Pid, Place};
use crate::signal::Signal;
use crate::status::State;
use crate::text::{self, Bytes, Text};

/// What is known of one process at the moment it was looked at.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number in the pid namespace of the observer.
    pub pid: Pid,
    /// The number of its parent; 0 where it has none that the observer can see.
    pub ppid: u32,
    /// Its process group; 0 where the leader is outside of the observer's pid namespace.
    pub pgid: u32,
    /// Its session; 0 likewise.
    pub sid: u32,
    /// Its controlling terminal as a device number, 0 for none.
    pub tty: u32,
    /// Its owner: the effective user.
    pub uid: Option<u32>,
    /// How many threads it has.
    pub threads: u32,
    /// Its state letter.
    pub state: State,
    /// Whether it is a thread of the kernel.
    pub kernel_thread: bool,
    /// What could not be read.
    pub denied: Denied,
    /// The inode of its pidfd, where the kernel gives one.
    pub inode: Option<u64>,
    /// Its start in clock ticks after boot.
    pub start_ticks: u64,
    /// Processor time in clock ticks, user and system, of all its threads.
    pub cpu_ticks: u64,
    /// Memory in use, in bytes.
    pub rss_bytes: u64,
    /// Where its environment lies in memory: equal for a child that was forked and has not called exec.
    pub environment: (u64, u64),
    /// What else the kernel says in passing, and no record holds.
    pub hints: Hints,
    /// Its name: up to 15 bytes, any byte but NUL.
    pub comm: Text,
    /// Its argument vector as the kernel keeps it: each argument ends with NUL.
    pub cmdline: Text,
    /// The facts that are read only on request.
    pub rare: Option<Box<Rare>>,
}

/// What the stat file of a living process says in passing, for finders. All zero in what was read from a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Page faults of the children that it has waited for: it grows with each one that it reaps.
    pub reaped: u64,
    /// The first 31 signals that its main thread blocks: bit 0 is signal 1.
    pub blocked: u32,
    /// Those that it catches.
    pub caught: u32,
    /// The processor that its main thread ran on last.
    pub processor: u32,
}

impl Hints {
    /// Tells whether a set of signals, such as those that are blocked, has one of them.
    pub fn has(set: u32, signal: Signal) -> bool {
        (1..=31).contains(&signal.number()) && set & (1 << (signal.number() - 1)) != 0
    }
}

/// Facts of a process that cost extra reads.
#[derive(Clone, Debug, Default)]
pub struct Rare {
    /// The file that it runs.
    pub exe: Option<Text>,
    /// Its working directory.
    pub cwd: Option<Text>,
}

/// The set of facts that could not be read for lack of permission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denied(u8);

impl Denied {
    const NAMES: [&str; 5] = ["cmdline", "pidfd_inode", "exe", "cwd", "stat"];
    /// The command line.
    pub const CMDLINE: Self = Self(1);
    /// The inode of the pidfd.
    pub const INODE: Self = Self(2);
    /// The file that it runs.
    pub const EXE: Self = Self(4);
    /// The working directory.
    pub const CWD: Self = Self(8);
    /// Everything that `stat` tells: parent, group, session, state, times. Only number and owner are known.
    pub const STAT: Self = Self(16);

    /// Adds a fact to the set.
    pub fn add(&mut self, fact: Self) {
        self.0 |= fact.0;
    }

    /// Tells whether all could be read.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells whether a fact is in the set.
    pub fn has(self, fact: Self) -> bool {
        self.0 & fact.0 != 0
    }

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(|bit| Self(1 << bit))
    }
}

impl Serialize for Denied {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let names = Self::NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        serializer.collect_seq(names.map(|(_, name)| name))
    }
}

/// What all records of one look share: where and when it was, and names that the numbers stand for.
#[derive(Clone, Debug)]
pub struct View {
    /// Where and when.
    pub place: Place,
    /// Milliseconds since boot (`CLOCK_BOOTTIME`) at the look.
    pub boot_ms: u64,
    /// Wall-clock milliseconds since the epoch at the look.
    pub unix_ms: u64,
    /// Clock ticks in a second (sysconf(3) `_SC_CLK_TCK`).
    pub ticks_per_second: u64,
    /// User names by number.
    pub users: HashMap<u32, String>,
}

impl View {
    /// The moment of the look, in clock ticks since boot, as starts of processes are counted.
    pub fn ticks(&self) -> u64 {
        self.boot_ms.saturating_mul(self.ticks_per_second) / 1000
    }

    /// The age of a process at the look, in milliseconds.
    pub fn age_ms(&self, process: &Process) -> u64 {
        self.boot_ms.saturating_sub(process.start_ticks.saturating_mul(1000) / self.ticks_per_second.max(1))
    }

    /// When a process started: wall-clock milliseconds since the epoch, as the clock stood at the look.
    pub fn started_ms(&self, process: &Process) -> u64 {
        self.unix_ms.saturating_sub(self.age_ms(process))
    }
}

struct Arguments<'a>(&'a [u8]);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for argument in text::arguments(self.0) {
            seq.serialize_element(&Bytes(argument))?;
        }
        seq.end()
    }
}

struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Process {
    /// The names of all fields of a process record.
    pub const FIELDS: [&str; 28] = [
        "type",
        "v",
        "pid",
        "pidfd_inode",
        "start_ticks",
        "boot_id",
        "pid_ns",
        "host",
        "machine",
        "ppid",
        "pgid",
        "sid",
        "tty",
        "state",
        "comm",
        "kernel_thread",
        "cmdline",
        "exe",
        "cwd",
        "uid",
        "user",
        "threads",
        "rss_bytes",
        "cpu_ms",
        "started_at",
        "age_ms",
        "denied",
        "identified_by",
    ];

    /// Names the process for ever.
    pub fn identity(&self, place: &Place) -> Identity {
        let ticks = (!self.denied.has(Denied::STAT)).then_some(self.start_ticks);
        Identity::here(place, self.pid, self.inode, ticks)
    }

    /// Tells whether it leads its session.
    pub fn leads_session(&self) -> bool {
        self.sid == self.pid.get()
    }

    /// Tells whether it leads its process group.
    pub fn leads_group(&self) -> bool {
        self.pgid == self.pid.get()
    }

    /// Tells whether it is dead and waits for its parent. A dead main thread with living threads is alive.
    pub fn is_zombie(&self) -> bool {
        self.state.is_dead() && self.threads <= 1
    }

    /// The command line as a person would type it; the name in brackets where there is none, as ps(1) does.
    pub fn command(&self) -> Vec<u8> {
        let joined = text::joined(self.cmdline.bytes());
        if joined.is_empty() { [b"[", self.comm.bytes(), b"]"].concat() } else { joined }
    }

    /// Begins a process record; the caller adds what its tool has found, and ends it.
    pub fn line<'a>(&self, view: &View, out: &'a mut Vec<u8>) -> Line<'a> {
        self.line_as("process", view, out)
    }

    /// Begins a record of another type about this process.
    pub fn line_as<'a>(&self, kind: &str, view: &View, out: &'a mut Vec<u8>) -> Line<'a> {
        let mut line = Line::new(out, kind);
        let place = &view.place;
        let seen = !self.denied.has(Denied::STAT);
        line.field("pid", &self.pid)
            .known("pidfd_inode", self.inode.as_ref())
            .known("start_ticks", seen.then_some(&self.start_ticks))
            .field("boot_id", &place.boot)
            .field("pid_ns", &place.pid_ns)
            .field("host", &*place.host)
            .known("machine", place.machine.as_ref());
        if seen {
            line.field("ppid", &self.ppid).field("pgid", &self.pgid).field("sid", &self.sid);
            if self.tty != 0 {
                line.field("tty", &tty_name(self.tty));
            }
            line.field("state", &self.state).field("comm", &self.comm);
        }
        if self.kernel_thread {
            line.field("kernel_thread", &true);
        } else if !self.is_zombie() && !self.denied.has(Denied::CMDLINE) {
            line.field("cmdline", &Arguments(self.cmdline.bytes()));
        }
        if let Some(rare) = &self.rare {
            line.known("exe", rare.exe.as_ref()).known("cwd", rare.cwd.as_ref());
        }
        if let Some(uid) = self.uid {
            line.field("uid", &uid).known("user", view.users.get(&uid));
        }
        if seen {
            line.field("threads", &self.threads)
                .field("rss_bytes", &self.rss_bytes)
                .field("cpu_ms", &(self.cpu_ticks.saturating_mul(1000) / view.ticks_per_second.max(1)))
                .field("started_at", &Shown(text::rfc3339(view.started_ms(self))))
                .field("age_ms", &view.age_ms(self));
        }
        if !self.denied.is_empty() {
            line.field("denied", &self.denied);
        }
        line
    }

    /// Reads a process record that was written earlier. A record that lacks what a finder needs is an error.
    ///
    /// Processor time is in milliseconds in a record; it is turned back into ticks of `ticks_per_second`.
    pub fn from_record(record: &Record, ticks_per_second: u64) -> Result<Self> {
        let need = |name: &'static str| Error::new(Kind::Invalid, "read field", name, "missing");
        let number = |name| record.field::<u32>(name);
        let argv: Option<Vec<Text>> = record.field("cmdline")?;
        let mut cmdline = Vec::new();
        for argument in argv.iter().flatten() {
            cmdline.extend_from_slice(argument.bytes());
            cmdline.push(0);
        }
        let mut denied = Denied::default();
        for name in record.field::<Vec<String>>("denied")?.iter().flatten() {
            denied.add(Denied::named(name).unwrap_or_default());
        }
        // What could not be read then is missing now, and rightly so.
        let seen = !denied.has(Denied::STAT);
        let of_stat = |name| number(name).and_then(|n| n.or((!seen).then_some(0)).ok_or_else(|| need(name)));
        let state = record.field("state")?.or((!seen).then_some('?')).ok_or_else(|| need("state"))?;
        let start_ticks = record.field("start_ticks")?.or((!seen).then_some(0));
        let (exe, cwd) = (record.field("exe")?, record.field("cwd")?);
        Ok(Self {
            pid: record.field("pid")?.ok_or_else(|| need("pid"))?,
            ppid: of_stat("ppid")?,
            pgid: of_stat("pgid")?,
            sid: of_stat("sid")?,
            tty: record.text("tty").map_or(0, |name| tty_number(&name)),
            uid: number("uid")?,
            threads: number("threads")?.unwrap_or(u32::from(seen)),
            state: State::new(u8::try_from(state).unwrap_or(0)),
            kernel_thread: record.field("kernel_thread")?.unwrap_or(false),
            denied,
            inode: record.field("pidfd_inode")?,
            start_ticks: start_ticks.ok_or_else(|| need("start_ticks"))?,
            cpu_ticks: record.field::<u64>("cpu_ms")?.unwrap_or(0).saturating_mul(ticks_per_second) / 1000,
            rss_bytes: record.field("rss_bytes")?.unwrap_or(0),
            environment: (0, 0),
            hints: Hints {
                // The only signal whose handler records tell of.
                caught: if record.field("catches_chld")? == Some(true) {
                    1 << (Signal::CHLD.number() - 1)
                } else {
                    0
                },
                ..Hints::default()
            },
            comm: record.field("comm")?.unwrap_or_default(),
            cmdline: cmdline.as_slice().into(),
            rare: (exe.is_some() || cwd.is_some()).then(|| Box::new(Rare { exe, cwd })),
        })
    }
}

/// Names a terminal by its device number, as ps(1) does: `pts/3`, `tty1`, `ttyS0`, else `major:minor`.
pub fn tty_name(device: u32) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match (major, minor) {
        (136..=143, _) => format!("pts/{}", ((major - 136) << 20) | minor),
        (4, 0..64) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".into(),
        _ => format!("{major}:{minor}"),
    }
}

/// The device number of a terminal name that [`tty_name`] gave. An unknown name is some terminal: not 0.
fn tty_number(name: &str) -> u32 {
    let device = |major: u32, minor: u32| (major << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12);
    let after = |prefix: &str| name.strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
    if let Some(n) = after("pts/") {
        return device(136, n);
    }
    if let Some(n) = after("ttyS") {
        return device(4, n.saturating_add(64));
    }
    if let Some(n) = after("tty") {
        return device(4, n);
    }
    match name.split_once(':').map(|(major, minor)| (major.parse(), minor.parse())) {
        Some((Ok(major), Ok(minor))) => device(major, minor),
        _ => device(5, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests as tree;

    fn view() -> View {
        View { users: HashMap::from([(0, "root".into())]), ..tree::view() }
    }

    fn process() -> Process {
        Process {
            tty: 34_819,
            uid: Some(0),
            threads: 2,
            inode: Some(5000),
            cpu_ticks: 12,
            rss_bytes: 4096,
            comm: b"a)\n\xff"[..].into(),
            cmdline: b"node\0\xff\xfe\0\0"[..].into(),
            ..tree::process(77, 1, 70, 70, 9000)
        }
    }

    #[test]
    fn a_process_comes_back_from_its_record() {
        let (mut out, before) = (Vec::new(), process());
        before.line(&view(), &mut out).end();
        let record = Record::parse(&out).expect("a record");
        let after = Process::from_record(&record, 100).expect("a process");
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        assert_eq!(record.text("started_at").as_deref(), Some("2023-11-14T22:13:10.000Z"));
        assert_eq!(record.text("tty").as_deref(), Some("pts/3"));
    }

    #[test]
    fn what_was_denied_is_named_and_absent() {
        let (mut out, mut process) = (Vec::new(), process());
        process.denied.add(Denied::CMDLINE);
        process.line(&view(), &mut out).end();
        let record = Record::parse(&out).expect("a record");
        assert_eq!(record.get("denied").map(serde_json::value::RawValue::get), Some("[\"cmdline\"]"));
        assert!(record.get("cmdline").is_none());
    }

    #[test]
    fn a_process_of_which_only_number_and_owner_were_readable_comes_back_from_its_record() {
        let (mut out, mut before) = (Vec::new(), process());
        before.denied.add(Denied::STAT);
        before.denied.add(Denied::CMDLINE);
        before.line(&view(), &mut out).end();
        let after = Process::from_record(&Record::parse(&out).expect("a record"), 100).expect("a process");
        assert_eq!((after.pid, after.uid, after.denied), (before.pid, before.uid, before.denied));
    }

    #[test]
    fn a_dead_main_thread_is_not_a_zombie() {
        let mut process = process();
        process.state = State::ZOMBIE;
        assert!(!process.is_zombie());
        process.threads = 1;
        assert!(process.is_zombie());
    }

    #[test]
    fn terminals_are_named_as_ps_names_them() {
        for (number, name) in
            [(34_816, "pts/0"), (1025, "tty1"), (1088, "ttyS0"), (1281, "console"), (0x10_8805, "pts/261")]
        {
            assert_eq!(tty_name(number), name);
            assert_eq!(tty_number(name), number);
        }
    }
}
