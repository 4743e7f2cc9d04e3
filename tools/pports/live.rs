//! Looking at the live system.

use std::collections::{HashMap, HashSet};

use procherd::error::{Error, Kind, Result};
use procherd::host::Host;
use procherd::id::Pid;
use procherd::select::Verdict;
use procherd::snapshot;
use procherd::sockets::{self, Holders, Query, Socket};
use procherd::source::{Source, Wants};
use procherd::tree::Table;

use super::Args;
use super::look::{Findings, Holder, Ownerless};
use super::wanted::Wanted;
use crate::frame::{self, Asked, RegistryArgs, Reporter, Scene, Search};

/// One look at sockets and at who holds them.
pub(super) struct Look {
    pub(super) scene: Scene,
    /// Who holds which of the sockets, each process proved to be what the scene says of it.
    pub(super) held: Vec<Holder>,
    /// The sockets that nobody was seen to hold.
    pub(super) ownerless: Vec<Ownerless>,
    /// What could not be read.
    holders: Holders,
}

/// Looks, and keeps what the options want.
pub(super) fn find(args: &Args, wanted: &Wanted, reporter: &mut Reporter) -> Result<Findings> {
    let selection = args.selection()?;
    let asked = if wanted.input { Some(frame::input(reporter, args.strict)?) } else { None };
    let only = asked.as_ref().map(|asked| pids(asked));
    let look = look(&wanted.query, args.sockets.all_namespaces, only, &args.registry, reporter)?;
    let Look { scene, held, mut ownerless, holders } = look;
    let mut search = Search::new(scene, selection);
    if let Some(asked) = asked {
        search.only(asked, reporter);
    }
    let held =
        held.into_iter().filter(|(index, _)| search.is_asked(*index) && search.wants(*index)).collect();
    if wanted.input || args.chooses() {
        if wanted.input || !ownerless.is_empty() {
            let denied: Vec<Pid> = holders.denied.iter().map(|(pid, _)| *pid).collect();
            fault_denied(args, &denied, reporter)?;
        }
        ownerless.clear();
    }
    Ok(Findings { search: Some(search), holders: held, ownerless })
}

/// The numbers of processes that were asked for, each once.
pub(super) fn pids(asked: &[Asked]) -> Vec<Pid> {
    let mut pids: Vec<Pid> = asked.iter().map(|asked| asked.identity.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Says how many processes may not be looked into. Those that the selectors do not want do not matter.
pub(super) fn fault_denied(args: &Args, denied: &[Pid], reporter: &mut Reporter) -> Result<()> {
    let mut count = denied.len();
    if count > 0 && args.chooses() {
        let mut scene = Scene::of_lineage(Host::look()?, Source::live()?, denied)?;
        scene.know(&args.registry, reporter)?;
        let search = Search::new(scene, args.selection()?);
        let found = denied.iter().filter_map(|pid| search.scene.table().find(pid.get()));
        count = found.filter(|index| search.judge(*index) != Verdict::No).count();
    }
    if count > 0 {
        let (on, why) = (format!("{count} processes"), "not permitted, so they were not judged");
        reporter.fault(&Error::new(Kind::Denied, "read open files", on, why));
    }
    Ok(())
}

/// Looks at the sockets that a question asks for, and at who holds them: of all processes, or only of some.
pub(super) fn look(
    query: &Query,
    all_namespaces: bool,
    only: Option<Vec<Pid>>,
    registry: &RegistryArgs,
    reporter: &mut Reporter,
) -> Result<Look> {
    let (host, source) = (Host::look()?, Source::live()?);
    let all = source.pids()?;
    let list = |reporter: &mut Reporter| -> Result<Vec<Socket>> {
        let mut found = sockets::list(query)?;
        if all_namespaces {
            found.extend(elsewhere(&source, &all, query, reporter)?);
        }
        Ok(found)
    };
    let listed = list(reporter)?;
    let whole = only.is_none();
    let pids = only.unwrap_or_else(|| all.clone());
    let mut round = Round::of(&host, &source, listed, &pids, whole)?;
    if whole && round.has_open_questions() {
        // Who held it may have ended, or handed it on to somebody who had been looked at before.
        let still: HashSet<u64> = list(&mut *reporter)?.iter().map(|socket| socket.inode).collect();
        round.listed.retain(|socket| still.contains(&socket.inode));
        if round.has_open_questions() {
            round = Round::of(&host, &source, round.listed, &source.pids()?, whole)?;
        }
    }
    let ownerless = |socket: &Socket| Ownerless {
        missing: sockets::missing(&host, &source, socket, &round.holders, &all),
        socket: socket.clone(),
        record: None,
    };
    let ownerless = round.unheld().filter(|_| whole).map(ownerless).collect();
    let Round { holders, table, held, .. } = round;
    let mut scene = Scene::of(host, source, table);
    scene.know(registry, reporter)?;
    Ok(Look { scene, held, ownerless, holders })
}

/// One round of finding out who holds what.
struct Round {
    listed: Vec<Socket>,
    holders: Holders,
    table: Table,
    held: Vec<Holder>,
}

impl Round {
    /// Looks into processes. Where they are not all there are, they stand in the table even if they hold nothing.
    fn of(host: &Host, source: &Source, listed: Vec<Socket>, pids: &[Pid], whole: bool) -> Result<Self> {
        let mut by_inode: HashMap<u64, Vec<&Socket>> = HashMap::new();
        for socket in listed.iter().filter(|socket| socket.inode != 0) {
            by_inode.entry(socket.inode).or_default().push(socket);
        }
        let holders = sockets::holders(source, pids, &by_inode.keys().copied().collect::<Vec<u64>>())?;
        let numbers: Vec<Pid> =
            if whole { holders.by_pid.iter().map(|(pid, _)| *pid).collect() } else { pids.to_vec() };
        let table = snapshot::lineage(host, source, &numbers, Wants::EVERYDAY)?;
        let mut held = Vec::new();
        for (pid, inodes) in &holders.by_pid {
            let Some(index) = table.find(pid.get()) else { continue };
            let identity = table.get(index).identity(&table.view.place);
            let Some(inodes) = sockets::still_held(host, source, &identity, inodes) else { continue };
            let sockets = inodes.iter().filter_map(|inode| by_inode.get(inode));
            held.push((index, sockets.flatten().map(|socket| (*socket).clone()).collect::<Vec<_>>()));
        }
        held.sort_by_key(|(index, _)| (table.get(*index).start_ticks, table.get(*index).pid));
        Ok(Self { listed, holders, table, held })
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
