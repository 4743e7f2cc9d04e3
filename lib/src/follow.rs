//! Following the process table: what begins and ends, as it happens.
//!
//! A death is seen at once and costs nothing to wait for: every process is held by its pidfd. What begins is seen by the
//! proc connector, where that is permitted; elsewhere the numbers below `/proc` are listed at short intervals, which is
//! far cheaper than reading all processes. Nothing is read twice without a reason.
//!
//! What begins and ends between two looks is not seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::error::{Error, Result};
use crate::handle;
use crate::host::{Host, raise_file_limit};
use crate::id::Pid;
use crate::record::Process;
use crate::snapshot;
use crate::source::{Source, Wants};
use crate::status::End;
use crate::sys::{self, Connector, News};
use crate::tree::Table;

/// What has happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It has begun, and by now it is the program that it was started as, if that took it no longer than a moment.
    Started,
    /// It has become another program, or calls itself otherwise, since its start was told.
    Became,
    /// It has ended, with the way in which it did where that can be known.
    Exited(Option<End>),
    /// The process of this number, which was its parent, has ended, and another one has adopted it.
    Orphaned(u32),
    /// It has ended, and its parent has not reaped it for a while.
    Zombie,
}

/// One event, with the facts of the process as they were last known.
#[derive(Clone, Debug)]
pub struct Event {
    /// What has happened.
    pub what: Happening,
    /// The process.
    pub process: Process,
}

/// A process that is followed.
#[derive(Debug)]
struct Member {
    process: Process,
    pidfd: Option<OwnedFd>,
    met: Instant,
    /// Whether its start has been told, or was before we looked.
    told: bool,
    dead: Option<Dead>,
}

#[derive(Debug)]
struct Dead {
    since: Instant,
    told: bool,
}

/// Follows all processes.
#[derive(Debug)]
pub struct Follower<'a> {
    host: &'a Host,
    source: &'a Source,
    members: BTreeMap<u32, Member>,
    epoll: Epoll,
    connector: Option<Connector>,
    interval: Duration,
    listed: Instant,
    /// How those ended of whom the connector has told.
    statuses: HashMap<u32, i32>,
    /// Those that are another program than when they were read before.
    became: BTreeSet<u32>,
    /// When the dead were looked at last.
    buried: Instant,
}

/// What the connector's socket is called among the descriptors that are waited for. No process has this number.
const CONNECTOR: u64 = u64::MAX;
/// The pid namespace of which the connector speaks (`PROC_PID_INIT_INO` of linux/proc_ns.h).
const FIRST_NAMESPACE: u64 = 0xEFFF_FFFC;
/// How long a process has to become another program before its start is told.
const SETTLES: Duration = Duration::from_millis(100);
/// How long one that is told of may yet become another program, where nobody tells.
const YOUNG: Duration = Duration::from_secs(5);
/// How long a process is dead before it counts as a zombie that its parent does not reap.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the dead stay known at least, and how often they are looked at.
const KEPT: Duration = Duration::from_millis(50);
/// How often all are listed where the connector tells of what begins.
const SAFETY: Duration = Duration::from_secs(2);

impl<'a> Follower<'a> {
    /// Begins to follow: what lives now is known, and no news.
    ///
    /// Without `news` the connector is not asked, and numbers are listed at every interval.
    pub fn new(host: &'a Host, source: &'a Source, interval: Duration, news: bool) -> Result<Self> {
        raise_file_limit();
        let failed = |errno| Error::system("follow processes", "epoll", errno);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        let connector = (news && host.place().pid_ns == FIRST_NAMESPACE).then(Connector::open).flatten();
        if let Some(connector) = &connector {
            epoll.add(connector.fd(), EpollEvent::new(EpollFlags::EPOLLIN, CONNECTOR)).map_err(failed)?;
        }
        let now = Instant::now();
        let mut follower = Self {
            host,
            source,
            members: BTreeMap::new(),
            epoll,
            connector,
            interval,
            listed: now,
            statuses: HashMap::new(),
            became: BTreeSet::new(),
            buried: now,
        };
        for pid in source.pids()? {
            follower.meet(pid)?;
        }
        for member in follower.members.values_mut() {
            member.told = true;
            if member.process.is_zombie() {
                member.dead = Some(Dead { since: now, told: true });
                // What is held of the dead is readable for ever: nobody waits for that.
                member.pidfd.take().map(|pidfd| follower.epoll.delete(pidfd));
            }
        }
        Ok(follower)
    }

    /// Tells whether the connector tells of what begins.
    pub fn has_news(&self) -> bool {
        self.connector.is_some()
    }

    /// The descriptor that is readable when there is something to look at.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    /// After how long to look again, also when nothing makes the descriptor readable.
    pub fn wait(&self) -> Duration {
        let waits = |member: &Member| !member.told || member.dead.as_ref().is_some_and(|dead| !dead.told);
        if self.members.values().any(waits) {
            SETTLES.min(self.interval)
        } else if self.connector.is_some() {
            SAFETY
        } else {
            self.interval
        }
    }

    /// All processes that are known now; among them the dead that were not reaped, and all that died a moment ago.
    pub fn table(&self) -> Table {
        let processes = self.members.values().map(|member| member.process.clone()).collect();
        snapshot::with_view(self.host, processes)
    }

    /// Looks, and tells what has happened since.
    pub fn look(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        let (mut ended, mut lost) = (BTreeSet::new(), false);
        for data in self.ready()? {
            if data != CONNECTOR {
                ended.extend(u32::try_from(data));
                continue;
            }
            for news in self.connector.as_ref().map(Connector::take).unwrap_or_default() {
                match news {
                    News::Forked(pid) => self.meet(pid)?,
                    News::Became(pid) => self.read_again(pid)?,
                    News::Ended(pid, status) => drop(self.statuses.insert(pid.get(), status)),
                    News::Lost => lost = true,
                }
            }
        }
        let due = if self.connector.is_some() { SAFETY } else { self.interval };
        if lost || self.listed.elapsed() >= due {
            self.list(&mut ended)?;
        }
        for pid in &ended {
            self.bury(*pid, &mut events);
        }
        self.adoptions(&ended, &mut events)?;
        self.starts(&mut events)?;
        for pid in std::mem::take(&mut self.became) {
            if let Some(member) = self.members.get(&pid).filter(|member| member.dead.is_none()) {
                events.push(Event { what: Happening::Became, process: member.process.clone() });
            }
        }
        self.remains(&mut events)?;
        self.statuses.clear();
        Ok(events)
    }

    /// The descriptors that are readable: numbers of processes that have ended, and the connector.
    fn ready(&self) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        let mut block = [EpollEvent::empty(); 64];
        loop {
            let count = match self.epoll.wait(&mut block, PollTimeout::ZERO) {
                Err(nix::errno::Errno::EINTR) => continue,
                other => other.map_err(|errno| Error::system("follow processes", "epoll", errno))?,
            };
            let before = found.len();
            for event in &block[..count] {
                let data = event.data();
                if !found.contains(&data) {
                    found.push(data);
                }
            }
            // Those that were taken are readable still, and come again: each full block has to bring some new ones.
            if count < block.len() || found.len() == before {
                return Ok(found);
            }
        }
    }

    /// Gets to know a process by number, if it is not known yet.
    fn meet(&mut self, pid: Pid) -> Result<()> {
        let held = sys::pidfd_open(pid).ok();
        let Some(process) = self.source.reader(Wants::EVERYDAY).read(pid)? else { return Ok(()) };
        if let Some(known) = self.members.get(&pid.get()) {
            if known.process.start_ticks == process.start_ticks && known.process.inode == process.inode {
                return Ok(());
            }
            // Its number has been given away: its end is in the descriptor, or will be seen by the next list.
            if known.dead.is_none() {
                return Ok(());
            }
        }
        // Held before it was read: where the two differ, what is held has ended already.
        let same =
            |held: &OwnedFd| nix::sys::stat::fstat(held).ok().map(|facts| facts.st_ino) == process.inode;
        let pidfd = held.filter(|held| process.inode.is_none() || same(held));
        if let Some(pidfd) = &pidfd {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(pid.get()));
            // Where there is no room for more, it is looked at with every list.
            let _ = self.epoll.add(pidfd, event);
        }
        let member = Member { process, pidfd, met: Instant::now(), told: false, dead: None };
        self.members.insert(pid.get(), member);
        Ok(())
    }

    /// Reads the facts of a known process anew, if it still is the same.
    fn read_again(&mut self, pid: Pid) -> Result<()> {
        let Some(member) = self.members.get_mut(&pid.get()) else { return self.meet(pid) };
        if let Some(process) = self.source.reader(Wants::EVERYDAY).read(pid)?
            && process.start_ticks == member.process.start_ticks
            && process.inode == member.process.inode
            && !process.is_zombie()
        {
            if member.told && process.cmdline.bytes() != member.process.cmdline.bytes() {
                self.became.insert(pid.get());
            }
            member.process = process;
        }
        Ok(())
    }

    /// Lists all numbers, meets the new ones, and finds who has ended of those that cannot be held.
    fn list(&mut self, ended: &mut BTreeSet<u32>) -> Result<()> {
        self.listed = Instant::now();
        let pids = self.source.pids()?;
        let listed: BTreeSet<u32> = pids.iter().map(|pid| pid.get()).collect();
        let mut reader = self.source.reader(Wants::default());
        for (pid, member) in &self.members {
            if member.dead.is_some() || member.pidfd.is_some() {
                continue;
            }
            let alive = listed.contains(pid)
                && reader
                    .read(member.process.pid)?
                    .is_some_and(|now| now.start_ticks == member.process.start_ticks && !now.is_zombie());
            if !alive {
                ended.insert(*pid);
            }
        }
        for pid in pids {
            if self.members.get(&pid.get()).is_none_or(|member| member.dead.is_some()) {
                self.meet(pid)?;
            }
        }
        Ok(())
    }

    /// Tells the end of a process. It stays known as long as its parent has not reaped it.
    fn bury(&mut self, pid: u32, events: &mut Vec<Event>) {
        let Some(member) = self.members.get_mut(&pid).filter(|member| member.dead.is_none()) else { return };
        let by_news = || self.statuses.get(&pid).copied().and_then(End::from_wait_status);
        let held = || member.pidfd.as_ref().and_then(|pidfd| sys::pidfd_end(pidfd.as_fd()));
        let end = handle::end_of_zombie(self.source, &member.process).or_else(held).or_else(by_news);
        if let Some(pidfd) = member.pidfd.take() {
            let _ = self.epoll.delete(&pidfd);
        }
        if !std::mem::replace(&mut member.told, true) {
            events.push(Event { what: Happening::Started, process: member.process.clone() });
        }
        events.push(Event { what: Happening::Exited(end), process: member.process.clone() });
        member.dead = Some(Dead { since: Instant::now(), told: false });
    }

    /// Tells of those whose parents have ended, and who have others now.
    fn adoptions(&mut self, ended: &BTreeSet<u32>, events: &mut Vec<Event>) -> Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let mut reader = self.source.reader(Wants::default());
        for member in self.members.values_mut().filter(|member| member.dead.is_none()) {
            let before = member.process.ppid;
            if !ended.contains(&before) {
                continue;
            }
            let now = reader.read(member.process.pid)?;
            if let Some(now) = now.filter(|now| now.start_ticks == member.process.start_ticks)
                && now.ppid != before
                && !now.is_zombie()
            {
                member.process.ppid = now.ppid;
                if !std::mem::replace(&mut member.told, true) {
                    events.push(Event { what: Happening::Started, process: member.process.clone() });
                }
                events.push(Event { what: Happening::Orphaned(before), process: member.process.clone() });
            }
        }
        Ok(())
    }

    /// Tells of those that have begun, once they are what they were started as; and reads the young ones again.
    fn starts(&mut self, events: &mut Vec<Event>) -> Result<()> {
        let news = self.connector.is_some();
        let wait = |member: &Member| !member.told || !news && member.met.elapsed() < YOUNG;
        let young = self.members.values().filter(|member| member.dead.is_none() && wait(member));
        let young: Vec<Pid> = young.map(|member| member.process.pid).collect();
        for pid in young {
            // Where there are news, a process that becomes another program was read again then.
            if !news {
                self.read_again(pid)?;
            }
            if self.members.get(&pid.get()).is_none_or(|member| member.told) || self.may_exec(pid) {
                continue;
            }
            if news {
                self.read_again(pid)?;
            }
            if let Some(member) = self.members.get_mut(&pid.get()) {
                member.told = true;
                events.push(Event { what: Happening::Started, process: member.process.clone() });
            }
        }
        Ok(())
    }

    /// Tells whether a process that has just been forked still is the program of its parent, and may become another one.
    fn may_exec(&self, pid: Pid) -> bool {
        self.members.get(&pid.get()).is_some_and(|member| {
            let environment = member.process.environment;
            let parent = self.members.get(&member.process.ppid);
            let same = parent.is_some_and(|parent| parent.process.environment == environment);
            environment != (0, 0) && same && member.met.elapsed() < SETTLES
        })
    }

    /// Forgets the dead that have been reaped, and tells of those that have not for a while.
    fn remains(&mut self, events: &mut Vec<Event>) -> Result<()> {
        if self.buried.elapsed() < KEPT {
            return Ok(());
        }
        self.buried = Instant::now();
        let mut reader = self.source.reader(Wants::default());
        let mut reaped = Vec::new();
        for (pid, member) in &mut self.members {
            let Some(dead) = member.dead.as_mut().filter(|dead| dead.since.elapsed() >= KEPT) else {
                continue;
            };
            let now = reader.read(member.process.pid)?;
            match now.filter(|now| now.start_ticks == member.process.start_ticks) {
                None => reaped.push(*pid),
                Some(now) => {
                    member.process.state = now.state;
                    member.process.ppid = now.ppid;
                    if !dead.told && dead.since.elapsed() >= PATIENCE {
                        dead.told = true;
                        events.push(Event { what: Happening::Zombie, process: member.process.clone() });
                    }
                }
            }
        }
        for pid in reaped {
            self.members.remove(&pid);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Looks until an event of a process has come, and gives all of it until then.
    fn until(follower: &mut Follower<'_>, pid: u32, last: impl Fn(Happening) -> bool) -> Vec<Happening> {
        let (mut seen, end) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while !seen.iter().any(|what| last(*what)) {
            assert!(Instant::now() < end, "in vain: {seen:?}");
            let events = follower.look().expect("readable");
            seen.extend(events.iter().filter(|event| event.process.pid.get() == pid).map(|event| event.what));
            let mut fds = [nix::poll::PollFd::new(follower.fd(), nix::poll::PollFlags::POLLIN)];
            let wait = PollTimeout::try_from(follower.wait()).unwrap_or(PollTimeout::MAX);
            let _ = nix::poll::poll(&mut fds, wait);
        }
        seen
    }

    #[test]
    fn a_child_is_followed_from_its_start_to_its_end_with_and_without_news() {
        let (host, source) = (Host::look().expect("a host"), Source::live().expect("/proc"));
        for news in [true, false] {
            let mut follower =
                Follower::new(&host, &source, Duration::from_millis(50), news).expect("follows");
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("a child");
            assert_eq!(
                until(&mut follower, child.id(), |what| what == Happening::Started),
                [Happening::Started]
            );
            let is_cat = |follower: &Follower<'_>| {
                let table = follower.table();
                table.find(child.id()).is_some_and(|index| table.get(index).comm.bytes() == b"cat")
            };
            // On a busy machine it is told of before it has become what it was started as; that is told then.
            if !is_cat(&follower) {
                until(&mut follower, child.id(), |what| what == Happening::Became);
            }
            assert!(is_cat(&follower), "what it was started as");
            drop(child.stdin.take());
            let mut seen = until(&mut follower, child.id(), |what| what == Happening::Zombie);
            seen.retain(|what| *what != Happening::Became);
            assert_eq!(seen, [Happening::Exited(Some(End::Exited(0))), Happening::Zombie]);
            child.wait().expect("reaped");
            let end = Instant::now() + Duration::from_secs(20);
            while follower.table().find(child.id()).is_some() {
                assert!(Instant::now() < end, "it has been reaped and is known");
                follower.look().expect("readable");
            }
        }
    }

    #[test]
    fn one_that_was_dead_before_is_not_waited_for() {
        let (host, source) = (Host::look().expect("a host"), Source::live().expect("/proc"));
        let mut child = Command::new("true").spawn().expect("a child");
        let id =
            source.reader(Wants::EVERYDAY).read(Pid::new(child.id()).expect("a number")).expect("readable");
        let id = id.expect("unreaped").identity(host.place());
        let end = Instant::now() + Duration::from_secs(20);
        while !matches!(handle::open(&host, &source, &id), handle::Look::Found(held) if held.has_ended()) {
            assert!(Instant::now() < end, "it has not ended");
        }
        let mut follower = Follower::new(&host, &source, Duration::from_secs(1), false).expect("follows");
        // Others may end at any moment, but not at every one.
        loop {
            assert!(Instant::now() < end, "there is always something to look at");
            let events = follower.look().expect("readable");
            assert!(events.iter().all(|event| event.process.pid.get() != child.id()), "no news");
            let mut fds = [nix::poll::PollFd::new(follower.fd(), nix::poll::PollFlags::POLLIN)];
            if nix::poll::poll(&mut fds, PollTimeout::ZERO) == Ok(0) {
                break;
            }
        }
        child.wait().expect("reaped");
    }
}
