//! TCP ports while they are watched: who begins to listen, and who no longer does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use procherd::error::Result;
use procherd::id::Pid;
use procherd::record::Process;
use procherd::sockets::{self, Query, Socket};
use procherd::source::Source;
use procherd::tree::Table;

/// A port that was taken or freed.
pub(super) struct Change {
    /// Whether it was taken.
    pub(super) came: bool,
    /// The socket.
    pub(super) socket: Socket,
    /// Its first holder, as it was last known.
    pub(super) holder: Process,
}

/// The sockets that listen, by inode, each with its holder where that is visible.
pub(super) struct Ports {
    known: BTreeMap<u64, (Socket, Option<Process>)>,
    interval: Duration,
    looked: Instant,
}

impl Ports {
    /// Notes who listens now.
    pub(super) fn open(source: &Source, table: impl Fn() -> Table, interval: Duration) -> Result<Self> {
        let mut ports = Self { known: BTreeMap::new(), interval: Duration::ZERO, looked: Instant::now() };
        ports.compare(source, table)?;
        ports.interval = interval;
        Ok(ports)
    }

    /// After how long to look again.
    pub(super) fn wait(&self) -> Duration {
        self.interval.saturating_sub(self.looked.elapsed())
    }

    /// Looks who has begun to listen, and who no longer does. A socket whose holder cannot be seen is passed over.
    pub(super) fn compare(&mut self, source: &Source, table: impl Fn() -> Table) -> Result<Vec<Change>> {
        if !self.wait().is_zero() {
            return Ok(Vec::new());
        }
        self.looked = Instant::now();
        let now = sockets::list(&Query::tcp([]))?;
        let new: Vec<Socket> =
            now.iter().filter(|one| !self.known.contains_key(&one.inode)).cloned().collect();
        let mut changes = Vec::new();
        let gone: Vec<u64> = self
            .known
            .keys()
            .copied()
            .filter(|inode| !now.iter().any(|socket| socket.inode == *inode))
            .collect();
        for inode in gone {
            if let Some((socket, Some(holder))) = self.known.remove(&inode) {
                changes.push(Change { came: false, socket, holder });
            }
        }
        if new.is_empty() {
            return Ok(changes);
        }
        let table = table();
        let inodes: Vec<u64> = new.iter().map(|socket| socket.inode).collect();
        let pids: Vec<Pid> = table.processes().iter().map(|process| process.pid).collect();
        let holders = sockets::holders(source, &pids, &inodes)?;
        for socket in new {
            let first = holders.by_pid.iter().find(|(_, held)| held.contains(&socket.inode));
            let holder = first.and_then(|(pid, _)| Some(table.get(table.find(pid.get())?).clone()));
            if let Some(holder) = holder.clone() {
                changes.push(Change { came: true, socket: socket.clone(), holder });
            }
            self.known.insert(socket.inode, (socket, holder));
        }
        Ok(changes)
    }
}
