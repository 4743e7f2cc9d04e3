//! A table of processes with its tree: parents, children, ancestors and orders.
//!
//! A table is one look: it may come from the live system, from a folder, or from records that were saved. Nothing here
//! trusts it. A parent counts only when it is not younger than the child (a younger one got the number later), and a
//! table that claims a circle is read as a forest all the same.

use crate::id::Pid;
use crate::record::{Process, View};

/// The position of a process in its table.
pub type Index = usize;

/// Processes of one look, and how they descend from each other.
#[derive(Clone, Debug)]
pub struct Table {
    /// What the records of this look share.
    pub view: View,
    processes: Vec<Process>,
    by_pid: Vec<(u32, u32)>,
    parent: Vec<u32>,
    /// Children of `i` are `children[first[i]..first[i + 1]]`, oldest first.
    children: Vec<u32>,
    first: Vec<u32>,
}

/// A process in an ordered walk of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stands in the table.
    pub index: Index,
    /// How far below the root of its tree it is.
    pub depth: usize,
    /// The root that it was reached from.
    pub root: Index,
}

const NONE: u32 = u32::MAX;

impl Table {
    /// Makes a table and its tree. Takes time `n log n`.
    pub fn new(view: View, processes: Vec<Process>) -> Self {
        let narrow = |index: usize| u32::try_from(index).unwrap_or(NONE);
        let mut by_pid: Vec<(u32, u32)> =
            processes.iter().enumerate().map(|(index, process)| (process.pid.get(), narrow(index))).collect();
        if !by_pid.is_sorted() {
            by_pid.sort_unstable();
        }
        let mut table =
            Self { view, processes, by_pid, parent: Vec::new(), children: Vec::new(), first: Vec::new() };
        table.parent =
            (0..table.processes.len()).map(|index| table.parent_of(index).map_or(NONE, narrow)).collect();
        table.cut_circles();
        let mut first = vec![0_u32; table.processes.len() + 1];
        for parent in table.parent.iter().filter(|parent| **parent != NONE) {
            first[*parent as usize + 1] += 1;
        }
        for index in 1..first.len() {
            first[index] += first[index - 1];
        }
        // The children of each stand together, and nearly always in order already.
        let mut free = first.clone();
        let mut order = vec![0_u32; first.last().map_or(0, |count| *count as usize)];
        for (index, parent) in table.parent.iter().enumerate().filter(|(_, parent)| **parent != NONE) {
            let place = &mut free[*parent as usize];
            order[*place as usize] = narrow(index);
            *place += 1;
        }
        for family in first.windows(2).filter(|ends| ends[1] - ends[0] > 1) {
            order[family[0] as usize..family[1] as usize].sort_unstable_by_key(|index| {
                let process = &table.processes[*index as usize];
                (process.start_ticks, process.pid)
            });
        }
        (table.children, table.first) = (order, first);
        table
    }

    /// All processes, in the order in which they were given.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The process at a position.
    pub fn get(&self, index: Index) -> &Process {
        &self.processes[index]
    }

    /// Gives a process more facts than it was read with. What the tree is made of must stay as it is.
    pub fn get_mut(&mut self, index: Index) -> &mut Process {
        &mut self.processes[index]
    }

    /// Takes the processes out, and leaves an empty table.
    pub fn take(&mut self) -> Vec<Process> {
        let view = self.view.clone();
        std::mem::replace(self, Self::new(view, Vec::new())).processes
    }

    /// Finds a process by number.
    pub fn find(&self, pid: u32) -> Option<Index> {
        let at = self.by_pid.binary_search_by_key(&pid, |(number, _)| *number).ok()?;
        Some(self.by_pid[at].1 as usize)
    }

    /// Finds a process by number and inode: none when the number belongs to another one.
    pub fn find_exactly(&self, pid: Pid, inode: Option<u64>, start_ticks: Option<u64>) -> Option<Index> {
        let index = self.find(pid.get())?;
        let process = self.get(index);
        let same = match (inode, process.inode) {
            (Some(meant), Some(found)) => meant == found,
            _ => start_ticks.is_none_or(|ticks| ticks == process.start_ticks),
        };
        same.then_some(index)
    }

    /// The parent of a process, where it can be seen.
    pub fn parent(&self, index: Index) -> Option<Index> {
        Some(self.parent[index]).filter(|parent| *parent != NONE).map(|parent| parent as usize)
    }

    /// The children of a process, oldest first.
    pub fn children(&self, index: Index) -> impl DoubleEndedIterator<Item = Index> {
        let (from, to) = (self.first[index] as usize, self.first[index + 1] as usize);
        self.children[from..to].iter().map(|child| *child as usize)
    }

    /// The ancestors of a process, nearest first.
    pub fn ancestors(&self, index: Index) -> impl Iterator<Item = Index> {
        std::iter::successors(self.parent(index), |ancestor| self.parent(*ancestor))
    }

    /// Processes without a parent that can be seen, oldest first.
    pub fn roots(&self) -> Vec<Index> {
        let mut roots: Vec<Index> =
            (0..self.processes.len()).filter(|index| self.parent[*index] == NONE).collect();
        by_age(self, &mut roots, &|index| self.get(index).pid.get() as usize);
        roots
    }

    /// Walks the trees below some processes: parents first, siblings by start time, at most `depth` levels down.
    ///
    /// A root that stands below another root is walked once, below that one. Each process comes once.
    pub fn walk(&self, roots: &[Index], depth: usize) -> Vec<Step> {
        let mut is_root = vec![false; self.processes.len()];
        for root in roots {
            is_root[*root] = true;
        }
        let mut stack: Vec<Step> = Vec::new();
        let mut seen = vec![false; self.processes.len()];
        // A root below another one starts a tree of its own only where the depth limit hides it from that one.
        let hidden = |root: Index| self.ancestors(root).take(depth).all(|ancestor| !is_root[ancestor]);
        for root in roots.iter().rev().filter(|root| hidden(**root)) {
            stack.push(Step { index: *root, depth: 0, root: *root });
        }
        let mut steps = Vec::with_capacity(self.processes.len());
        while let Some(step) = stack.pop() {
            if std::mem::replace(&mut seen[step.index], true) {
                continue;
            }
            steps.push(step);
            if step.depth < depth {
                let below = |index| Step { index, depth: step.depth + 1, root: step.root };
                stack.extend(self.children(step.index).rev().map(below));
            }
        }
        steps
    }

    /// The processes of the trees below some processes, these included, in no particular order.
    pub fn members(&self, roots: impl IntoIterator<Item = Index>) -> Vec<Index> {
        let mut seen = vec![false; self.processes.len()];
        let mut members: Vec<Index> = Vec::new();
        for root in roots {
            if !std::mem::replace(&mut seen[root], true) {
                members.push(root);
            }
        }
        let mut next = 0;
        while let Some(index) = members.get(next).copied() {
            next += 1;
            for child in self.children(index) {
                if !std::mem::replace(&mut seen[child], true) {
                    members.push(child);
                }
            }
        }
        members
    }

    fn parent_of(&self, index: Index) -> Option<Index> {
        let child = self.get(index);
        let parent = self.find(child.ppid).filter(|parent| *parent != index)?;
        let parent_process = self.get(parent);
        (parent_process.start_ticks <= child.start_ticks).then_some(parent)
    }

    /// Takes one link out of every circle. A live table has none; records can claim anything.
    fn cut_circles(&mut self) {
        const FRESH: u8 = 0;
        const ON_PATH: u8 = 1;
        const DONE: u8 = 2;
        let mut mark = vec![FRESH; self.processes.len()];
        let mut path = Vec::new();
        for start in 0..self.processes.len() {
            let mut at = start;
            while mark[at] == FRESH {
                mark[at] = ON_PATH;
                path.push(at);
                match self.parent[at] {
                    NONE => break,
                    parent if mark[parent as usize] == ON_PATH => {
                        self.parent[at] = NONE;
                        break;
                    }
                    parent => at = parent as usize,
                }
            }
            for index in path.drain(..) {
                mark[index] = DONE;
            }
        }
    }
}

/// Sorts positions by age, and so that parents come before children of the same clock tick.
pub fn parents_first(table: &Table, members: &mut [Index]) {
    let place = places(table);
    by_age(table, members, &|index| place[index]);
}

/// Sorts positions by age, those of the same clock tick by something else. One piece of code for all who do: a sort is
/// large.
fn by_age(table: &Table, members: &mut [Index], then: &dyn Fn(Index) -> usize) {
    let mut keyed: Vec<(u64, usize, Index)> =
        members.iter().map(|index| (table.get(*index).start_ticks, then(*index), *index)).collect();
    keyed.sort_unstable();
    for (member, (.., index)) in members.iter_mut().zip(keyed) {
        *member = index;
    }
}

/// Sorts positions so that children come before parents: the reverse of [`parents_first`].
pub fn leaves_first(table: &Table, members: &mut [Index]) {
    parents_first(table, members);
    members.reverse();
}

/// The place of each process in a walk of the whole table.
fn places(table: &Table) -> Vec<usize> {
    let mut place = vec![0; table.processes().len()];
    for (at, step) in table.walk(&table.roots(), usize::MAX).iter().enumerate() {
        place[step.index] = at;
    }
    place
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::Denied;
    use crate::status::State;
    use std::collections::HashMap;

    pub(crate) fn view() -> View {
        View {
            place: crate::id::Place {
                boot: "6cbf2b60-0d3e-4cf5-b2b8-2f0d2a2b7a11".parse().expect("a boot id"),
                pid_ns: 4_026_531_836,
                machine: None,
                host: "here".into(),
            },
            boot_ms: 100_000,
            unix_ms: 1_700_000_000_000,
            ticks_per_second: 100,
            users: HashMap::new(),
        }
    }

    /// A process by pid, ppid, pgid, sid and start.
    pub(crate) fn process(pid: u32, ppid: u32, pgid: u32, sid: u32, start_ticks: u64) -> Process {
        Process {
            pid: Pid::new(pid).expect("a pid"),
            ppid,
            pgid,
            sid,
            tty: 0,
            uid: Some(1000),
            threads: 1,
            state: State::new(b'S'),
            kernel_thread: false,
            denied: Denied::default(),
            inode: Some(u64::from(pid) + 10_000),
            start_ticks,
            cpu_ticks: 0,
            rss_bytes: 0,
            environment: (0, 0),
            hints: crate::record::Hints::default(),
            comm: "p".into(),
            cmdline: format!("p{pid}\0").as_str().into(),
            rare: None,
        }
    }

    fn table(rows: &[(u32, u32, u64)]) -> Table {
        let rows = rows.iter().map(|(pid, ppid, start)| process(*pid, *ppid, *pid, *pid, *start));
        Table::new(view(), rows.collect())
    }

    fn pids(table: &Table, steps: &[Step]) -> Vec<(u32, usize)> {
        steps.iter().map(|step| (table.get(step.index).pid.get(), step.depth)).collect()
    }

    #[test]
    fn parents_come_first_and_siblings_by_start() {
        let table = table(&[(1, 0, 0), (5, 9, 50), (7, 1, 30), (9, 1, 20), (11, 9, 40)]);
        let steps = table.walk(&table.roots(), usize::MAX);
        assert_eq!(pids(&table, &steps), [(1, 0), (9, 1), (11, 2), (5, 2), (7, 1)]);
    }

    #[test]
    fn a_parent_that_is_younger_than_its_child_is_none() {
        let table = table(&[(1, 0, 0), (5, 9, 50), (9, 1, 60)]);
        assert_eq!(table.parent(1), None);
    }

    #[test]
    fn depth_is_limited_and_hidden_roots_still_show() {
        let table = table(&[(1, 0, 0), (2, 1, 1), (3, 2, 2), (4, 3, 3)]);
        let at = |pid| table.find(pid).expect("there");
        assert_eq!(pids(&table, &table.walk(&[at(1)], 1)), [(1, 0), (2, 1)]);
        assert_eq!(pids(&table, &table.walk(&[at(1), at(4)], 1)), [(1, 0), (2, 1), (4, 0)]);
        assert_eq!(pids(&table, &table.walk(&[at(3), at(1)], 9)), [(1, 0), (2, 1), (3, 2), (4, 3)]);
    }

    #[test]
    fn a_circle_is_cut_and_every_process_comes_once() {
        let table = table(&[(1, 0, 0), (5, 6, 9), (6, 7, 9), (7, 5, 9), (8, 7, 9), (9, 9, 9)]);
        let steps = table.walk(&table.roots(), usize::MAX);
        let mut seen: Vec<u32> = pids(&table, &steps).into_iter().map(|(pid, _)| pid).collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 5, 6, 7, 8, 9]);
        for index in 0..table.processes().len() {
            assert!(table.ancestors(index).count() < 6);
        }
    }

    #[test]
    fn members_of_overlapping_trees_come_once() {
        let table = table(&[(1, 0, 0), (2, 1, 1), (3, 2, 2)]);
        assert_eq!(table.members([0, 1, 0]).len(), 3);
    }
}
