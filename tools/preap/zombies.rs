//! Parents that do not reap.

use std::collections::BTreeMap;
use std::time::Duration;

use procherd::error::{Error, Result};
use procherd::handle::{self, Look};
use procherd::host::own_uid;
use procherd::id::Pid;
use procherd::record::Record;
use procherd::signal::Signal;
use procherd::snapshot;
use procherd::source::Wants;
use procherd::tree::{Index, Table};
use procherd::zombies::{self, Sighting, Verdict};

use super::Reaper;
use crate::frame::{Reporter, pause};

/// A zombie seen once is normal: its parent may be about to reap it. Some init processes look every two seconds only.
const OLD: Duration = Duration::from_millis(2500);

/// Asks the parents of old zombies to reap them. The first process is never asked, nor is another user's.
pub(super) fn nudge(reaper: &mut Reaper, reporter: &mut Reporter) -> Result<()> {
    let before = look(reaper)?;
    let sighting = Sighting::of(&before, &zombies::of(&before));
    if sighting.is_empty() {
        return Ok(());
    }
    pause(OLD);
    let now = look(reaper)?;
    let mut parents: BTreeMap<Index, usize> = BTreeMap::new();
    for zombie in zombies::of(&now) {
        let confirmed = sighting.judge(&now, zombie, true) == Verdict::Confirmed;
        let Some(parent) = now.parent(zombie).filter(|_| confirmed) else { continue };
        let process = now.get(parent);
        if process.pid != Pid::INIT && !process.kernel_thread && process.uid == Some(own_uid()) {
            *parents.entry(parent).or_default() += 1;
        }
    }
    for (parent, count) in parents {
        ask(reaper, &now, parent, count, reporter)?;
    }
    Ok(())
}

fn look(reaper: &Reaper) -> Result<Table> {
    snapshot::read(&reaper.host, &reaper.source, Wants::EVERYDAY)
}

fn ask(
    reaper: &mut Reaper,
    table: &Table,
    parent: Index,
    count: usize,
    reporter: &mut Reporter,
) -> Result<()> {
    let process = table.get(parent);
    let identity = process.identity(&table.view.place);
    let stopped = process.state.is_stopped();
    if !reaper.dry_run {
        let Look::Found(handle) = handle::open(&reaper.host, &reaper.source, &identity) else {
            return Ok(());
        };
        if let Err(errno) = handle.signal(Signal::CHLD) {
            reporter.fault(&Error::system("nudge parent", &identity, errno));
            return Ok(());
        }
    }
    reaper.counts.nudged += 1;
    let mut line = Vec::new();
    process.line(&table.view, &mut line).end();
    let mut record = Record::parse(&line)?;
    let zombies = if count == 1 { "a zombie".to_owned() } else { format!("{count} zombies") };
    let cannot = if stopped { "; it is stopped, so it cannot" } else { "" };
    record.set("why", &format!("it has not reaped {zombies}{cannot}"));
    reaper.act(record, "nudge")
}
