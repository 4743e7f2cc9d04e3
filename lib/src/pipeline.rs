//! The pipeline that a process is part of: the processes that it reads from or writes to.
//!
//! A finder or killer must not touch them: `porphans | jq … | pkill-tree` is one line of a shell. They are found by
//! their pipes, not by their process group: in a script without job control the group holds everything that the script
//! has started, the very processes that it may want to end.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;

use crate::source::Source;
use crate::tree::{Index, Table};

/// The end of a pipe that a descriptor is.
type End = (Vec<u8>, Side);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Reads,
    Writes,
}

/// Shells hold the pipes of a line below this descriptor while they start it.
const SHELL_DESCRIPTORS: u32 = 20;

/// Finds the processes of the pipeline of `own`, without itself.
///
/// A neighbour shares the process group, as both kinds of shells arrange, and holds the other end of a pipe at its
/// standard input or output. Neighbours of neighbours count too. Costs a few reads for each process of the group, and
/// nothing when neither standard stream is a pipe.
pub fn neighbours(source: &Source, table: &Table, own: Index) -> HashSet<Index> {
    let mut line = HashSet::from([own]);
    let mut open: Vec<End> = ends(source, table, own);
    if open.is_empty() {
        return HashSet::new();
    }
    let group = table.get(own).pgid;
    let mut others: Vec<(Index, Vec<End>)> = (0..table.processes().len())
        .filter(|index| *index != own && table.get(*index).pgid == group)
        .map(|index| (index, ends(source, table, index)))
        .collect();
    while let Some((pipe, side)) = open.pop() {
        others.retain(|(index, theirs)| {
            let meets = theirs.iter().any(|(name, other)| *name == pipe && *other != side);
            if meets {
                line.insert(*index);
                open.extend(theirs.iter().cloned());
            }
            !meets
        });
    }
    line.remove(&own);
    line
}

/// Which pipes a process reads at its standard input and writes at its standard output. A child that a shell has just
/// forked has not put its pipes there yet: it may become either end of all that it holds.
fn ends(source: &Source, table: &Table, index: Index) -> Vec<End> {
    let pid = table.get(index).pid;
    let pipe = |name: &str, side| {
        let link = source.link(pid, name).ok()?;
        link.as_bytes().starts_with(b"pipe:").then(|| (link.as_bytes().to_vec(), side))
    };
    let mut ends: Vec<End> =
        [pipe("fd/0", Side::Reads), pipe("fd/1", Side::Writes)].into_iter().flatten().collect();
    let process = table.get(index);
    let forked = table.parent(index).is_some_and(|parent| {
        process.environment != (0, 0) && table.get(parent).environment == process.environment
    });
    if forked {
        for name in (3..SHELL_DESCRIPTORS).map(|fd| format!("fd/{fd}")) {
            ends.extend(pipe(&name, Side::Reads));
            ends.extend(pipe(&name, Side::Writes));
        }
    }
    ends
}
