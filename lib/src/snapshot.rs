//! One look at all processes: from the live system with two threads when there are many, from a folder, or from
//! records that were saved.

mod held;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::host::Host;
use crate::id::Pid;
use crate::record::{Process, Record};
use crate::source::{Source, Wants, from_both_ends};
use crate::tree::Table;

pub use held::{Holds, read_held};

/// Reads all processes. Those that vanish meanwhile are left out.
pub fn read(host: &Host, source: &Source, wants: Wants) -> Result<Table> {
    let pids = source.pids()?;
    let processes = read_pids(source, &pids, wants)?;
    Ok(with_view(host, processes))
}

/// Reads some processes, in the order of the numbers given.
pub fn read_pids(source: &Source, pids: &[Pid], wants: Wants) -> Result<Vec<Process>> {
    from_both_ends(pids, |part| {
        let mut reader = source.reader(wants);
        let mut found = Vec::with_capacity(pids.len());
        for pid in part {
            found.extend(reader.read(pid)?);
        }
        Ok(found)
    })
}

/// Reads some processes and all their ancestors, and nothing else: enough to say what they belong to.
pub fn lineage(host: &Host, source: &Source, pids: &[Pid], wants: Wants) -> Result<Table> {
    let mut found: HashMap<Pid, Process> = HashMap::new();
    let mut reader = source.reader(wants);
    let mut next: Vec<Pid> = pids.to_vec();
    while let Some(pid) = next.pop() {
        if found.contains_key(&pid) {
            continue;
        }
        if let Some(process) = reader.read(pid)? {
            next.extend(Pid::new(process.ppid));
            found.insert(pid, process);
        }
    }
    let mut processes: Vec<Process> = found.into_values().collect();
    processes.sort_unstable_by_key(|process| process.pid);
    Ok(with_view(host, processes))
}

/// Tells cheaply whether another look at all processes is due: some have begun or ended, or have just done so and may
/// become another program any moment.
///
/// A process that becomes another program later than half a second after the last fork of the whole system is noticed
/// with a delay of some seconds.
#[derive(Debug, Default)]
pub struct Pulse {
    census: Option<(u32, u32)>,
    stirred: Option<Instant>,
    looked: Option<Instant>,
}

impl Pulse {
    const SETTLES: Duration = Duration::from_millis(500);
    const AT_LEAST: Duration = Duration::from_secs(5);

    /// Tells whether to look now. A kernel that does not tell its numbers is looked at every time.
    pub fn stirs(&mut self, source: &Source) -> bool {
        let (now, census) = (Instant::now(), source.census());
        if census.is_none() || census != self.census {
            self.stirred = Some(now);
        }
        self.census = census;
        let before = |then: Option<Instant>, time| then.is_none_or(|then| now.duration_since(then) >= time);
        let due = !before(self.stirred, Self::SETTLES) || before(self.looked, Self::AT_LEAST);
        if due {
            self.looked = Some(now);
        }
        due
    }
}

/// Makes a table of processes that have just been read here.
pub fn with_view(host: &Host, processes: Vec<Process>) -> Table {
    let mut uids: Vec<u32> = processes.iter().filter_map(|process| process.uid).collect();
    uids.sort_unstable();
    uids.dedup();
    Table::new(host.view(uids.into_iter()), processes)
}

/// A table that was saved as records, with the records that it was read from, in the same order.
#[derive(Debug)]
pub struct Saved {
    /// The processes and their tree.
    pub table: Table,
    /// The record of each process.
    pub records: Vec<Record>,
}

/// Makes a table of saved process records. A record that lacks what a finder needs is an error.
///
/// Ages stay what they were when the snapshot was taken.
pub fn from_records(host: &Host, records: Vec<Record>) -> Result<Saved> {
    let ticks = host.ticks_per_second();
    let processes =
        records.iter().map(|record| Process::from_record(record, ticks)).collect::<Result<_>>()?;
    let mut view = host.view(std::iter::empty());
    if let Some(first) = records.first() {
        let identity = first.identity()?;
        view.place.boot = identity.boot.unwrap_or(view.place.boot);
        view.place.pid_ns = identity.pid_ns.unwrap_or(view.place.pid_ns);
        view.place.machine = identity.machine;
        view.place.host = identity.host.unwrap_or(view.place.host);
        let age = first.field::<u64>("age_ms")?.unwrap_or(0);
        let start = identity.start_ticks.unwrap_or(0).saturating_mul(1000) / ticks.max(1);
        view.boot_ms = start.saturating_add(age);
    }
    Ok(Saved { table: Table::new(view, processes), records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn fixture(name: &str) -> Source {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        Source::folder(&path).expect("a fixture")
    }

    #[test]
    fn the_live_table_holds_this_process_below_its_parent() {
        let host = Host::look().expect("a host");
        let source = Source::live().expect("/proc");
        let table = read(&host, &source, Wants::EVERYDAY).expect("readable");
        let own = table.find(Pid::this().get()).expect("this process");
        let parent = table.parent(own).expect("a parent");
        assert_eq!(table.get(parent).pid.get(), nix::unistd::getppid().as_raw().cast_unsigned());
    }

    #[test]
    fn a_lineage_goes_up_to_the_top_and_holds_nobody_else() {
        let (host, source) = (Host::look().expect("a host"), Source::live().expect("/proc"));
        let table = lineage(&host, &source, &[Pid::this()], Wants::EVERYDAY).expect("readable");
        let own = table.find(Pid::this().get()).expect("this process");
        assert_eq!(table.processes().len(), 1 + table.ancestors(own).count());
        assert!(table.parent(own).is_some());
    }

    #[test]
    fn hostile_names_of_a_folder_are_read_whole() {
        let host = Host::look().expect("a host");
        let table = read(&host, &fixture("hostile"), Wants::EVERYDAY).expect("readable");
        let comm = |pid| table.get(table.find(pid).expect("there")).comm.bytes().to_vec();
        assert_eq!(comm(10), b"a) R 1 (b\nc");
        assert_eq!(comm(11), b"\x1b[31m\xff\xfe");
        assert_eq!(table.get(table.find(12).expect("there")).cmdline.bytes(), b"");
        assert!(table.get(table.find(2).expect("there")).kernel_thread);
        assert_eq!(table.parent(table.find(10).expect("there")), table.find(1));
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let host = Host::look().expect("a host");
        let error = read(&host, &fixture("truncated"), Wants::EVERYDAY).expect_err("damaged");
        assert!(error.to_string().contains("10/stat"), "{error}");
    }

    #[test]
    fn a_parent_whose_number_was_reused_is_no_parent() {
        let host = Host::look().expect("a host");
        let table = read(&host, &fixture("reused"), Wants::EVERYDAY).expect("readable");
        assert_eq!(table.parent(table.find(11).expect("there")), None);
    }

    #[test]
    fn a_saved_table_has_the_same_tree() {
        let host = Host::look().expect("a host");
        let live = read(&host, &fixture("hostile"), Wants::EVERYDAY).expect("readable");
        let mut lines = Vec::new();
        for process in live.processes() {
            process.line(&live.view, &mut lines).end();
        }
        let records =
            lines.split_inclusive(|byte| *byte == b'\n').map(|line| Record::parse(line).expect("a record"));
        let saved = from_records(&host, records.collect()).expect("a table");
        for index in 0..live.processes().len() {
            assert_eq!(live.parent(index), saved.table.parent(index));
        }
    }
}
