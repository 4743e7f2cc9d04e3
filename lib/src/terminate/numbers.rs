//! The numbers that processes share: sessions and groups.

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
