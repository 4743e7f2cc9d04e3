//! The numbers of processes: those that they share, and the order that they were given in.

use crate::id::Pid;
use crate::record::Process;
use crate::tree::{Index, Table};

/// The processes of a table by session and by group.
pub(super) struct Numbers {
    pub(super) by_session: Vec<(u32, Index)>,
    pub(super) by_group: Vec<(u32, Index)>,
}

impl Numbers {
    pub(super) fn of(table: &Table) -> Self {
        let all = table.processes().iter().enumerate();
        let mut by_session: Vec<_> = all.clone().map(|(index, process)| (process.sid, index)).collect();
        let mut by_group: Vec<_> = all.map(|(index, process)| (process.pgid, index)).collect();
        by_session.sort_unstable();
        by_group.sort_unstable();
        Self { by_session, by_group }
    }

    pub(super) fn range(list: &[(u32, Index)], number: u32) -> impl Iterator<Item = Index> {
        let from = list.partition_point(|(key, _)| *key < number);
        list[from..].iter().take_while(move |(key, _)| *key == number).map(|(_, index)| *index)
    }
}

/// Orders processes by age: by inode, which counts up, else by clock tick. Many start within one tick; then the number
/// decides, which counts up as well but for the moments when it begins anew.
pub(super) type Age = (Option<u64>, u64, Option<Pid>);

/// The age of a process, to be compared.
pub(super) fn age(process: &Process) -> Age {
    (process.inode, process.start_ticks, Some(process.pid))
}
