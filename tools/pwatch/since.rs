//! What has happened since a snapshot was taken.

use std::path::Path;

use procherd::error::{Error, Kind as Failure, Result};
use procherd::follow::{Event, Happening};
use procherd::host::Host;
use procherd::id::{Pid, Standing};
use procherd::record::Process;
use procherd::source::Wants;
use procherd::tree::Table;

use super::book::Book;
use super::chosen::Chosen;
use super::tree_order;
use crate::frame::{LookArgs, Reporter, Scene};

/// Compares a snapshot with the table as it is now, and gives what must have happened in between: who has ended, who has
/// begun, and who has another parent. Processes that did both in between are in neither.
///
/// Who of the snapshot was wanted is watched from now on, or until the event that tells of its end.
pub(super) fn since(
    file: &Path,
    now: &Table,
    host: &Host,
    book: &Book<'_>,
    chosen: &mut Chosen,
    reporter: &mut Reporter,
) -> Result<Vec<Event>> {
    let look = LookArgs { from: Some(file.to_owned()) };
    let then = Scene::look(&look, Wants::default(), reporter)?;
    let saved = then.table();
    for process in saved.processes().iter().take(1) {
        let refused =
            |why: &str| Err(Error::new(Failure::Unsupported, "compare with snapshot", file.display(), why));
        match process.identity(&saved.view.place).standing(host.place(), host.has_pidfs()) {
            Standing::Here | Standing::TooWeak(_) => {}
            Standing::EarlierBoot => return refused("it was taken before this machine was started"),
            Standing::Foreign(why) => return refused(&format!("it was taken on or in {why}")),
        }
    }
    for index in tree_order(saved) {
        chosen.meet(index, saved, book, &then, reporter);
    }
    Ok(differences(saved, now))
}

/// What must have happened between two tables: ends first, for a number may have been given away since.
fn differences(then: &Table, now: &Table) -> Vec<Event> {
    let same = |table: &Table, process: &Process| {
        table.find_exactly(process.pid, process.inode, Some(process.start_ticks))
    };
    let event = |what, process: &Process| Event { what, process: process.clone() };
    let (mut events, mut later) = (Vec::new(), Vec::new());
    for index in tree_order(then) {
        let before = then.get(index);
        let Some(after) = same(now, before).map(|index| now.get(index)) else {
            // One that was dead already has only been reaped.
            if !before.is_zombie() {
                events.push(event(Happening::Exited(None), before));
            }
            continue;
        };
        if after.is_zombie() && !before.is_zombie() {
            events.push(event(Happening::Exited(None), after));
            later.push(event(Happening::Zombie, after));
        } else if after.ppid != before.ppid {
            later.push(event(Happening::Orphaned(before.ppid), after));
        }
    }
    for index in tree_order(now) {
        let process = now.get(index);
        if process.pid != Pid::this() && !process.is_zombie() && same(then, process).is_none() {
            events.push(event(Happening::Started, process));
        }
    }
    events.append(&mut later);
    events
}
