//! Facts of this machine, this boot and this kernel, read once.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, Uid, sysconf};

use crate::error::{Error, Kind, Result};
use crate::id::{MachineId, Pid, Place};
use crate::record::View;
use crate::sys;

mod resources;

pub use resources::Resources;

/// This machine as it is looked at by this process.
#[derive(Debug)]
pub struct Host {
    place: Place,
    ticks_per_second: u64,
    pidfs: Option<OwnedFd>,
    pidfd: bool,
}

impl Host {
    /// Looks at this machine.
    ///
    /// Fails where `/proc` is missing or shows another pid namespace: its numbers would name other processes.
    pub fn look() -> Result<Self> {
        let own = std::fs::read_link("/proc/self")
            .map_err(|error| Error::system("look at this machine", "/proc", error))?;
        if own.to_str() != Some(&Pid::this().to_string()) {
            let why = "it shows another pid namespace (mount proc inside this one)";
            return Err(Error::new(Kind::Unsupported, "look at this machine", "/proc", why));
        }
        let boot_path = "/proc/sys/kernel/random/boot_id";
        let boot = std::fs::read_to_string(boot_path)
            .map_err(|error| Error::system("read boot id", boot_path, error))?;
        let boot =
            boot.trim().parse().map_err(|why| Error::new(Kind::Damaged, "read boot id", boot_path, why))?;
        let ns_path = "/proc/self/ns/pid";
        let pid_ns = nix::sys::stat::stat(ns_path)
            .map_err(|errno| Error::system("read pid namespace", ns_path, errno))?
            .st_ino;
        let host = nix::unistd::gethostname().map_err(|errno| Error::system("read host name", "", errno))?;
        let opened = sys::pidfd_open(Pid::this());
        let pidfd = opened.is_ok();
        Ok(Self {
            place: Place { boot, pid_ns, machine: machine_id(), host: host.to_string_lossy().into() },
            ticks_per_second: constant(SysconfVar::CLK_TCK, 100),
            pidfs: opened.ok().filter(sys::is_pidfs),
            pidfd,
        })
    }

    /// Where and when this is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Clock ticks in a second, the unit of `start_ticks`.
    pub fn ticks_per_second(&self) -> u64 {
        self.ticks_per_second
    }

    /// Tells whether the kernel gives every process an inode of its own (Linux 6.9).
    pub fn has_pidfs(&self) -> bool {
        self.pidfs.is_some()
    }

    /// Tells whether processes can be held by descriptor (Linux 5.3, unless a container forbids it).
    pub fn has_pidfd(&self) -> bool {
        self.pidfd
    }

    /// Tells whether the number of a process is still taken: see [`sys::number_is_held`].
    pub fn number_is_held(&self, inode: u64) -> Option<bool> {
        sys::number_is_held(self.pidfs.as_ref().map(AsFd::as_fd)?, inode)
    }

    /// What records of this moment share. Names of users are looked up once for each number.
    pub fn view(&self, uids: impl Iterator<Item = u32>) -> View {
        let mut users = HashMap::new();
        for uid in uids {
            users.entry(uid).or_insert_with(|| user_name(uid));
        }
        View {
            place: self.place.clone(),
            boot_ms: clock_ms(ClockId::CLOCK_BOOTTIME),
            unix_ms: unix_ms(),
            ticks_per_second: self.ticks_per_second,
            users: users.into_iter().filter_map(|(uid, name)| Some((uid, name?))).collect(),
        }
    }
}

/// Milliseconds since boot, including time asleep: the clock that `start_ticks` counts in.
pub fn boot_ms() -> u64 {
    clock_ms(ClockId::CLOCK_BOOTTIME)
}

/// Wall-clock milliseconds since the epoch. This clock can jump: it is written for people, never compared for identity.
pub fn unix_ms() -> u64 {
    clock_ms(ClockId::CLOCK_REALTIME)
}

/// The size of a memory page in bytes.
pub fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    *SIZE.get_or_init(|| constant(SysconfVar::PAGE_SIZE, 4096))
}

/// The name of a user, none where nobody has that number.
pub fn user_name(uid: u32) -> Option<String> {
    nix::unistd::User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// The number of a user, by name or by number.
pub fn user_id(name: &str) -> Option<u32> {
    match name.parse() {
        Ok(uid) => Some(uid),
        Err(_) => nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw()),
    }
}

/// The user that this process acts as.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Raises the limit of open files to what the system allows, and gives it.
pub fn raise_file_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

/// Any descriptor of pidfs, for look-ups by inode.
pub fn pidfs(host: &Host) -> Option<BorrowedFd<'_>> {
    host.pidfs.as_ref().map(AsFd::as_fd)
}

fn machine_id() -> Option<MachineId> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|path| {
        let text = std::fs::read_to_string(Path::new(path)).ok()?;
        let text = text.trim();
        (text.len() == 32).then(|| MachineId::digest(text))
    })
}

fn clock_ms(clock: ClockId) -> u64 {
    let Ok(time) = clock_gettime(clock) else { return 0 };
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(time.tv_sec()) * 1000 + part(time.tv_nsec()) / 1_000_000
}

fn constant(name: SysconfVar, otherwise: u64) -> u64 {
    sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_looked_at_and_stays_the_same() {
        let (one, two) = (Host::look().expect("a host"), Host::look().expect("a host"));
        assert_eq!(one.place(), two.place());
        assert!(one.ticks_per_second() > 0);
    }

    #[test]
    fn an_own_inode_is_held_and_an_impossible_one_is_not() {
        let host = Host::look().expect("a host");
        let Some(fd) = pidfs(&host) else { return };
        let own = nix::sys::stat::fstat(fd).expect("an inode").st_ino;
        if let Some(held) = host.number_is_held(own) {
            assert!(held);
            assert_eq!(host.number_is_held(u64::MAX / 2), Some(false));
        }
    }
}
