//! Who holds which sockets, for the tools that show it and those that wait for it to change.

use std::collections::{HashMap, HashSet};

use procherd::error::{Error, Kind, Result};
use procherd::host::Host;
use procherd::id::Pid;
use procherd::snapshot;
use procherd::sockets::{self, Holders, Missing, Query, Socket};
use procherd::source::{Source, Wants};
use procherd::tree::{Index, Table};

use super::args::RegistryArgs;
use super::report::Reporter;
use super::scene::Scene;

/// A process and what it holds.
pub type Holder = (Index, Vec<Socket>);

/// A socket that nobody was seen to hold, and what is proved about it.
pub type Unheld = (Socket, Missing);

/// One look at sockets and at who holds them.
pub struct Sockets {
    /// The holders and their ancestors.
    pub scene: Scene,
    /// Who holds which of the sockets, each process proved to be what the scene says of it.
    pub held: Vec<Holder>,
    /// The sockets that nobody was seen to hold.
    pub ownerless: Vec<Unheld>,
    /// What could not be read.
    pub holders: Holders,
}

/// Looks at the sockets that a question asks for, and at who holds them: of all processes, or only of some.
pub fn look_at_sockets(
    query: &Query,
    all_namespaces: bool,
    only: Option<Vec<Pid>>,
    registry: &RegistryArgs,
    reporter: &mut Reporter,
) -> Result<Sockets> {
    let (host, source) = (Host::look()?, Source::live()?);
    let list = |reporter: &mut Reporter| -> Result<Vec<Socket>> {
        let mut found = sockets::list(query)?;
        if all_namespaces {
            found.extend(elsewhere(&source, &source.pids()?, query, reporter)?);
        }
        Ok(found)
    };
    let listed = list(reporter)?;
    let whole = only.is_none();
    let mut round = Round::of(&host, &source, listed, only.as_deref())?;
    if whole && round.has_open_questions() {
        // Who held it may have ended, or handed it on to somebody who had been looked at before.
        let still: HashSet<u64> = list(&mut *reporter)?.iter().map(|socket| socket.inode).collect();
        round.listed.retain(|socket| still.contains(&socket.inode));
        if round.has_open_questions() {
            round = Round::of(&host, &source, round.listed, None)?;
        }
    }
    let ownerless = |socket: &Socket| {
        (socket.clone(), sockets::missing(&host, &source, socket, &round.holders, &round.pids))
    };
    let ownerless = round.unheld().filter(|_| whole).map(ownerless).collect();
    let Round { holders, table, held, .. } = round;
    let mut scene = Scene::of(host, source, table);
    scene.know(registry, reporter)?;
    Ok(Sockets { scene, held, ownerless, holders })
}

/// One round of finding out who holds what.
struct Round {
    listed: Vec<Socket>,
    /// The processes that were looked into.
    pids: Vec<Pid>,
    holders: Holders,
    table: Table,
    held: Vec<Holder>,
}

impl Round {
    /// Looks into all processes, or only into some: these stand in the table even if they hold nothing.
    fn of(host: &Host, source: &Source, listed: Vec<Socket>, only: Option<&[Pid]>) -> Result<Self> {
        let mut by_inode: HashMap<u64, Vec<&Socket>> = HashMap::new();
        for socket in listed.iter().filter(|socket| socket.inode != 0) {
            by_inode.entry(socket.inode).or_default().push(socket);
        }
        let inodes: Vec<u64> = by_inode.keys().copied().collect();
        let (pids, holders) = match only {
            None => sockets::holders_among_all(source, &inodes)?,
            Some(pids) => (pids.to_vec(), sockets::holders(source, pids, &inodes)?),
        };
        let numbers: Vec<Pid> = match only {
            None => holders.by_pid.iter().map(|(pid, _)| *pid).collect(),
            Some(pids) => pids.to_vec(),
        };
        let table = snapshot::lineage(host, source, &numbers, Wants::EVERYDAY)?;
        let mut held = Vec::new();
        for (pid, _) in &holders.by_pid {
            let Some(index) = table.find(pid.get()) else { continue };
            let identity = table.get(index).identity(&table.view.place);
            let Some(inodes) = holders.still_held(host, source, &identity) else { continue };
            let sockets = inodes.iter().filter_map(|inode| by_inode.get(inode));
            held.push((index, sockets.flatten().map(|socket| (*socket).clone()).collect::<Vec<_>>()));
        }
        held.sort_by_key(|(index, _)| (table.get(*index).start_ticks, table.get(*index).pid));
        Ok(Self { listed, pids, holders, table, held })
    }

    /// The sockets that nobody was proved to hold.
    fn unheld(&self) -> impl Iterator<Item = &Socket> {
        let held: HashSet<u64> =
            self.held.iter().flat_map(|(_, sockets)| sockets).map(|socket| socket.inode).collect();
        self.listed.iter().filter(move |socket| !held.contains(&socket.inode))
    }

    /// Tells whether a socket that some process must hold was found with nobody.
    fn has_open_questions(&self) -> bool {
        self.unheld().any(|socket| socket.inode != 0)
    }
}

/// The sockets of other network namespaces: each is read once, through a process that is in it.
fn elsewhere(source: &Source, pids: &[Pid], query: &Query, reporter: &mut Reporter) -> Result<Vec<Socket>> {
    let namespace = |pid: Pid| -> Result<Option<u64>> {
        let link = source.link(pid, "ns/net")?.into_encoded_bytes();
        let digits = link.strip_prefix(b"net:[").and_then(|rest| rest.strip_suffix(b"]"));
        Ok(digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()))
    };
    let own = namespace(Pid::this())?;
    let (mut known, mut denied, mut found) = (HashSet::from([own]), 0_usize, Vec::new());
    for pid in pids {
        match namespace(*pid) {
            Ok(there) if known.contains(&there) => {}
            Ok(Some(there)) => match sockets::list_of(*pid, there, query) {
                Ok(sockets) => {
                    known.insert(Some(there));
                    found.extend(sockets);
                }
                // It has ended: another process may be in the same namespace.
                Err(error) if error.kind() == Kind::Gone => {}
                Err(error) => return Err(error),
            },
            Err(error) if error.kind() == Kind::Denied => denied += 1,
            Ok(None) | Err(_) => {}
        }
    }
    if denied > 0 {
        reporter.fault(&Error::new(
            Kind::Denied,
            "find network namespaces",
            format_args!("{denied} processes"),
            "not permitted, so there may be more",
        ));
    }
    Ok(found)
}
