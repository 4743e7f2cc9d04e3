//! What the environments of processes say to us: the mark of a spawn, and the wish to be kept.

use std::collections::HashMap;
use std::thread;

use crate::evidence;
use crate::id::Pid;
use crate::record::Process;
use crate::select::variable;
use crate::source::Source;
use crate::tree::{Index, Table};

/// From this many environments on, a second thread helps to read them.
const WORTH_A_THREAD: usize = 100;

/// What the environment of a process says to us.
#[derive(Clone, Default)]
pub(super) struct Mark {
    /// The mark of the spawn that it belongs to.
    pub(super) cookie: Option<Box<[u8]>>,
    /// Whether it asks to be kept.
    pub(super) keep: bool,
}

/// Which process a mark is of.
type Key = (Pid, u64, Option<u64>);

/// The marks of processes, each read once.
pub(super) struct Marks<'a> {
    source: &'a Source,
    known: HashMap<Key, Mark>,
}

impl<'a> Marks<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, known: HashMap::new() }
    }

    /// The mark of a process that has been asked for before.
    pub(super) fn known(&self, process: &Process) -> Option<&Mark> {
        self.known.get(&key(process))
    }

    /// What the environment of a process says. A child that was forked and has not called exec has its parent's.
    pub(super) fn of(&mut self, table: &Table, at: Index) -> &Mark {
        let process = table.get(at);
        if !self.known.contains_key(&key(process)) {
            let inherited = heir_of(table, at).and_then(|parent| self.known(parent).cloned());
            let mark = inherited.unwrap_or_else(|| read(self.source, process));
            self.known.insert(key(process), mark);
        }
        &self.known[&key(process)]
    }

    /// Forgets a mark that may be that of another process: of whoever has got the number meanwhile.
    pub(super) fn forget(&mut self, process: &Process) {
        self.known.insert(key(process), Mark::default());
    }

    /// Reads ahead, with two threads, what will be asked for: processes with their parents before them.
    pub(super) fn read_ahead(&mut self, table: &Table, members: &[Index]) {
        let mut soon = vec![false; table.processes().len()];
        let mut own: Vec<&Process> = Vec::new();
        for at in members {
            let process = table.get(*at);
            let inherits =
                table.parent(*at).is_some_and(|parent| soon[parent]) && heir_of(table, *at).is_some();
            let has_one = !process.kernel_thread && !process.is_zombie();
            if has_one && !inherits && !self.known.contains_key(&key(process)) {
                own.push(process);
            }
            soon[*at] = true;
        }
        if own.len() < WORTH_A_THREAD {
            return;
        }
        let read_all = |part: &[&Process]| -> Vec<(Key, Mark)> {
            part.iter().map(|process| (key(process), read(self.source, process))).collect()
        };
        let (here, there) = own.split_at(own.len() / 2);
        let both = thread::scope(|scope| {
            let there = thread::Builder::new().spawn_scoped(scope, || read_all(there));
            let here = read_all(here);
            // What no second thread has read is read when it is asked for.
            let there = there.ok().and_then(|there| there.join().ok()).unwrap_or_default();
            [here, there]
        });
        self.known.extend(both.into_iter().flatten());
    }
}

fn key(process: &Process) -> Key {
    (process.pid, process.start_ticks, process.inode)
}

/// The parent whose environment a process has.
fn heir_of(table: &Table, at: Index) -> Option<&Process> {
    let process = table.get(at);
    let parent = table.get(table.parent(at)?);
    (parent.environment == process.environment && process.environment != (0, 0)).then_some(parent)
}

fn read(source: &Source, process: &Process) -> Mark {
    let Ok(environ) = source.environ(process.pid) else { return Mark::default() };
    Mark {
        cookie: variable(&environ, "PROCHERD_ID").filter(|cookie| !cookie.is_empty()).map(Into::into),
        keep: variable(&environ, "PROCHERD_KEEP") == Some(b"1") && evidence::reaper(process).is_none(),
    }
}
