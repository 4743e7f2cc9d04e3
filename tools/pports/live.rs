//! Looking at the live system.

use procherd::error::{Error, Kind, Result};
use procherd::host::Host;
use procherd::id::Pid;
use procherd::select::Verdict;
use procherd::source::Source;

use super::Args;
use super::look::{Findings, Ownerless};
use super::wanted::Wanted;
use crate::frame::{self, Asked, Reporter, Scene, Search, Sockets, look_at_sockets};

/// Looks, and keeps what the options want.
pub(super) fn find(args: &Args, wanted: &Wanted, reporter: &mut Reporter) -> Result<Findings> {
    let selection = args.selection()?;
    let asked = if wanted.input { Some(frame::input(reporter, args.strict)?) } else { None };
    let only = asked.as_ref().map(|asked| pids(asked));
    let look = look_at_sockets(&wanted.query, args.sockets.all_namespaces, only, &args.registry, reporter)?;
    let Sockets { scene, held, ownerless, holders } = look;
    let mut ownerless: Vec<Ownerless> =
        ownerless.into_iter().map(|(socket, missing)| Ownerless { socket, missing, record: None }).collect();
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
