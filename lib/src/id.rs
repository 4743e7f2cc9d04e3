//! Which process is meant: names that stay true after a process has died and its number was given away.
//!
//! A process is `(boot, pidfs inode)` where the kernel gives the inode (Linux 6.9), else
//! `(boot, pid namespace, pid, start ticks)`. An [`Identity`] carries all of them, as far as they are known, and a
//! [`Place`] says where and when it was looked at. Comparing the two is arithmetic; proving that the process still
//! lives is the work of `handle`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// The number of a process, `1..=4194304` (`PID_MAX_LIMIT` of 64-bit Linux, proc(5) `pid_max`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(NonZeroU32);

impl Pid {
    /// The largest number that a 64-bit kernel hands out.
    pub const MAX: u32 = 4_194_304;
    /// The first process of a pid namespace, which nobody may end.
    pub const INIT: Self = Self(NonZeroU32::MIN);

    /// Accepts a number that the kernel could have given to a process.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() <= Self::MAX => Some(Self(number)),
            _ => None,
        }
    }

    /// The number itself.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The number in the type that system calls take.
    pub const fn raw(self) -> i32 {
        self.0.get().cast_signed()
    }

    /// The calling process.
    pub fn this() -> Self {
        Self::new(std::process::id()).unwrap_or(Self::INIT)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Pid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("not a process number");
        }
        text.parse().ok().and_then(Self::new).ok_or("not a process number between 1 and 4194304")
    }
}

impl Serialize for Pid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.get())
    }
}

impl<'de> Deserialize<'de> for Pid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| de::Error::custom("pid is not between 1 and 4194304"))
    }
}

/// One run of one kernel, from power-on to reboot (`/proc/sys/kernel/random/boot_id`, random(4)).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(u128);

impl BootId {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
}

impl FromStr for BootId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let in_place = |(at, byte): (usize, u8)| {
            if Self::DASHES.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        };
        if text.len() != 36 || !text.bytes().enumerate().all(in_place) {
            return Err("not a boot id");
        }
        u128::from_str_radix(&text.replace('-', ""), 16).map(Self).map_err(|_| "not a boot id")
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: every record holds one, and five formatted parts cost more than all its numbers.
        let (mut text, mut rest) = ([b'-'; 36], self.0);
        for at in (0..text.len()).rev().filter(|at| !Self::DASHES.contains(at)) {
            text[at] = b"0123456789abcdef"[(rest % 16) as usize];
            rest /= 16;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One installation of a system, as a digest of its machine id (machine-id(5) asks not to publish the id itself).
///
/// The digest is the 64-bit FNV-1a hash of the application's name and the id. Half of the bits are lost, so the id
/// cannot be computed back.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MachineId(u64);

impl MachineId {
    /// Digests the text of a machine id.
    pub fn digest(machine_id: &str) -> Self {
        let bytes = b"procherd:".iter().chain(machine_id.as_bytes());
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

impl FromStr for MachineId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() {
            16 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(text, 16).map(Self).map_err(|_| "not a machine digest")
            }
            _ => Err("not a machine digest"),
        }
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
as_text!(BootId MachineId);

/// Where and when processes are looked at: the kernel run, the pid namespace and the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run of the kernel.
    pub boot: BootId,
    /// The inode of the pid namespace whose numbers are used (pid_namespaces(7)).
    pub pid_ns: u64,
    /// The machine, absent where there is no machine id.
    pub machine: Option<MachineId>,
    /// The name of the machine, for people (uname(2) nodename).
    pub host: Arc<str>,
}

/// How an identity came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A record that carries an identity.
    Record,
    /// A bare number, bound to whichever process had it when it was read.
    Number,
    /// `PID:INODE` as util-linux prints it.
    NumberAndInode,
}

/// Names a cgroup (version 2) within a boot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cgroup {
    /// Its path below the hierarchy, as `/proc/PID/cgroup` shows it.
    pub path: String,
    /// The inode of its folder, which is never given out twice.
    pub id: u64,
}

/// Names one process for ever, as far as its facts are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The number in its pid namespace.
    pub pid: Pid,
    /// The inode of its pidfd in pidfs: never given twice within a boot (Linux 6.9). No process has 0.
    pub inode: Option<u64>,
    /// Its start, in clock ticks after boot (proc_pid_stat(5) field 22).
    pub start_ticks: Option<u64>,
    /// The run of the kernel that it belongs to.
    pub boot: Option<BootId>,
    /// The pid namespace that `pid` belongs to.
    pub pid_ns: Option<u64>,
    /// The machine that it runs on.
    pub machine: Option<MachineId>,
    /// The name of that machine.
    pub host: Option<Arc<str>>,
    /// How it came to be known.
    pub source: Source,
}

/// What the place alone says about an identity, before any process is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may live here: only the kernel can tell.
    Here,
    /// It belongs to an earlier boot of this machine: dead.
    EarlierBoot,
    /// It belongs to another machine or pid namespace: neither dead nor alive here. The text says which.
    Foreign(&'static str),
    /// It says too little to be acted on. The text says what is missing.
    TooWeak(&'static str),
}

impl Identity {
    /// Makes the identity of a process of this place.
    pub fn here(place: &Place, pid: Pid, inode: Option<u64>, start_ticks: Option<u64>) -> Self {
        Self {
            pid,
            inode,
            start_ticks,
            boot: Some(place.boot),
            pid_ns: Some(place.pid_ns),
            machine: place.machine,
            host: Some(Arc::clone(&place.host)),
            source: Source::Record,
        }
    }

    /// Makes an identity of a number that somebody typed, and perhaps the inode beside it.
    pub fn typed(pid: Pid, inode: Option<u64>) -> Self {
        Self {
            pid,
            inode,
            start_ticks: None,
            boot: None,
            pid_ns: None,
            machine: None,
            host: None,
            source: if inode.is_some() { Source::NumberAndInode } else { Source::Number },
        }
    }

    /// Judges by place alone. `pidfs` says whether this kernel gives inodes to processes.
    ///
    /// A boot id is unique, so an equal one means this kernel, whatever the host is called: containers share it.
    /// Another boot id means an earlier boot only when machine and host are the same: images that were cloned with
    /// their machine id differ in the host name.
    pub fn standing(&self, place: &Place, pidfs: bool) -> Standing {
        if self.source != Source::Record && self.boot.is_none() {
            return Standing::Here;
        }
        let Some(boot) = self.boot else { return Standing::TooWeak("boot_id is missing") };
        if boot != place.boot {
            let same_machine = self.machine.is_some()
                && self.machine == place.machine
                && self.host.as_deref() == Some(&*place.host);
            return if same_machine { Standing::EarlierBoot } else { Standing::Foreign("another machine") };
        }
        match self.pid_ns {
            Some(pid_ns) if pid_ns != place.pid_ns => return Standing::Foreign("another pid namespace"),
            None if self.inode.is_none() => return Standing::TooWeak("pid_ns and pidfd_inode are missing"),
            _ => {}
        }
        match (self.inode, self.start_ticks) {
            (Some(_), _) if pidfs => Standing::Here,
            (None, _) if pidfs => Standing::TooWeak("pidfd_inode is missing"),
            (_, Some(_)) => Standing::Here,
            (_, None) => Standing::TooWeak("start_ticks is missing"),
        }
    }

    /// Tells whether both name the same process for certain.
    pub fn same_as(&self, other: &Self) -> bool {
        if self.boot != other.boot {
            return false;
        }
        match (self.inode, other.inode) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => {
                self.pid == other.pid
                    && self.pid_ns == other.pid_ns
                    && self.start_ticks.is_some()
                    && self.start_ticks == other.start_ticks
            }
        }
    }
}

/// Reads `PID` or `PID:INODE`.
impl FromStr for Identity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None => Ok(Self::typed(text.parse()?, None)),
            Some((pid, inode)) => {
                let all_digits = !inode.is_empty() && inode.bytes().all(|byte| byte.is_ascii_digit());
                // No process has the inode 0.
                let inode = inode.parse().ok().filter(|inode| all_digits && *inode > 0);
                let inode = inode.ok_or("not an inode after the colon")?;
                Ok(Self::typed(pid.parse()?, Some(inode)))
            }
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inode {
            Some(inode) if inode > 0 => write!(f, "{}:{inode}", self.pid),
            _ => self.pid.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            boot: "6cbf2b60-0d3e-4cf5-b2b8-2f0d2a2b7a11".parse().expect("a boot id"),
            pid_ns: 4_026_531_836,
            machine: Some(MachineId::digest("a")),
            host: "here".into(),
        }
    }

    fn process() -> Identity {
        Identity::here(&place(), Pid::new(77).expect("a pid"), Some(1234), Some(99))
    }

    #[test]
    fn numbers_outside_the_kernels_range_are_refused() {
        for text in ["0", "-1", "4194305", "99999999999", "", "+5", "5 ", "0x5", "1e3"] {
            assert!(text.parse::<Pid>().is_err(), "{text:?} was accepted");
        }
        assert_eq!("4194304".parse::<Pid>().map(Pid::get), Ok(4_194_304));
    }

    #[test]
    fn pid_and_inode_are_read_as_util_linux_prints_them() {
        let id: Identity = "77:1234".parse().expect("an identity");
        assert_eq!((id.pid.get(), id.inode, id.source), (77, Some(1234), Source::NumberAndInode));
        for text in ["77:", ":5", "77:x", "77:0", "77:+1", "77:1:2"] {
            assert!(text.parse::<Identity>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_boot_id_prints_as_it_was_read() {
        let text = "00bf2b60-0d3e-4cf5-02b8-0f0d2a2b7a11";
        assert_eq!(text.parse::<BootId>().map(|boot| boot.to_string()).as_deref(), Ok(text));
        for text in [
            "00bf2b600d3e4cf502b80f0d2a2b7a11",
            "-0bf2b60-0d3e-4cf5-02b8-0f0d2a2b7a110",
            "+0bf2b60-0d3e-4cf5-02b8-0f0d2a2b7a11",
        ] {
            assert!(text.parse::<BootId>().is_err(), "{text} was accepted");
        }
        assert!("+123456789abcdef".parse::<MachineId>().is_err());
    }

    #[test]
    fn another_boot_of_the_same_machine_is_dead_and_of_another_machine_is_foreign() {
        let mut id = process();
        id.boot = "00000000-0000-0000-0000-000000000001".parse().ok();
        assert_eq!(id.standing(&place(), true), Standing::EarlierBoot);
        id.host = Some("clone".into());
        assert_eq!(id.standing(&place(), true), Standing::Foreign("another machine"));
        id.machine = None;
        id.host = Some("here".into());
        assert_eq!(id.standing(&place(), true), Standing::Foreign("another machine"));
    }

    #[test]
    fn a_record_without_inode_is_too_weak_where_the_kernel_gives_inodes() {
        let mut id = process();
        id.inode = None;
        assert!(matches!(id.standing(&place(), true), Standing::TooWeak(_)));
        assert_eq!(id.standing(&place(), false), Standing::Here);
        id.start_ticks = None;
        assert!(matches!(id.standing(&place(), false), Standing::TooWeak(_)));
    }

    #[test]
    fn another_pid_namespace_is_foreign() {
        let mut id = process();
        id.pid_ns = Some(1);
        assert_eq!(id.standing(&place(), true), Standing::Foreign("another pid namespace"));
    }

    #[test]
    fn equal_start_ticks_do_not_make_two_processes_one() {
        let (one, mut other) = (process(), process());
        other.inode = Some(1235);
        assert!(!one.same_as(&other));
        other.inode = None;
        assert!(one.same_as(&other), "without inodes the ticks decide");
    }
}
