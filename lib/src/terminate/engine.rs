//! The course of a run: look, ask, wait, force.

mod deaths;
mod enclosed;
mod interrupt;
mod settle;
mod signals;
mod succession;

use std::time::{Duration, Instant};

use interrupt::Uninterrupted;
use succession::Succession;

use super::guard::Spare;
use super::set::Set;
use super::watch::Watch;
use super::{Observer, Options, Outcome, Phase, Plan, Root, Setting, Summary, Via};
use crate::error::{Error, Kind, Result};
use crate::host;
use crate::id::Pid;
use crate::record::Process;
use crate::signal::Signal;
use crate::snapshot;
use crate::source::Wants;
use crate::tree::{self, Index, Table};

/// What a look reads of each process. The environment is read for members alone.
const WANTS: Wants = Wants::EVERYDAY;

/// Descriptors that are left free for reading the table.
const SPARE_DESCRIPTORS: u64 = 12;

/// After so many signals those that have ended are told, while the others end, and new ones are looked for.
const BETWEEN_LOOKS: usize = 256;

/// How often new processes are looked for, at most, before the first signal goes out.
const CATCH_UP: usize = 4;

/// How long a dead process may take to be reaped before it is told without its exit status.
const REAPED_WITHIN: Duration = Duration::from_millis(10);

/// How long a stopped process may take to be seen stopped. One that a tracer keeps running is killed all the same.
const STOPPED_WITHIN: Duration = Duration::from_millis(500);

/// The longest time between two looks at the clock and at the counter of forks.
const LONGEST_NAP: Duration = Duration::from_millis(100);

/// Decides which processes the roots stand for, and the order in which they would be signalled. Touches nothing.
pub fn plan(setting: Setting<'_>, roots: &[Root], options: &Options) -> Result<Plan> {
    let table = snapshot::read(setting.host, setting.source, WANTS)?;
    let mut set = Set::new(setting, options, &table, descriptors());
    let missing = set.take_roots(roots, &table);
    set.grow(&table);
    let all: Vec<usize> = (0..set.members.len()).collect();
    let order = ordered(&set, &table, options, &all);
    let targets = order.into_iter().map(|member| set.members[member].target.clone()).collect();
    Ok(Plan { view: table.view, targets, missing })
}

/// Ends what the roots stand for, and tells the observer what becomes of each process.
///
/// Returns when nothing of the set lives, or the bounds of the options are reached: then survivors are told.
pub fn run(
    setting: Setting<'_>,
    roots: &[Root],
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    run_with(setting, roots, options, None, observer)
}

/// Ends all that descends from this process, but not itself, and not those that `spare` picks with what is below them.
///
/// No other guard stands: who calls this has started them all. Only descent leads to members, so this is complete only
/// in a child subreaper (prctl(2)), which stays the ancestor of whatever was started below it. The observer is told of
/// this process as [`Outcome::Protected`].
pub fn run_below(
    setting: Setting<'_>,
    options: &Options,
    spare: &dyn Fn(&Process) -> bool,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    let gone = || Error::new(Kind::System, "find this process", "/proc", "it is not there");
    let own = setting.source.reader(WANTS).read(Pid::this())?.ok_or_else(gone)?;
    let identity = own.identity(setting.host.place());
    let root = Root::of(identity, Via::Named);
    let options =
        Options { only: false, by_group: false, by_session: false, by_cookie: false, ..options.clone() };
    run_with(setting, &[root], &options, Some(spare), observer)
}

fn run_with(
    setting: Setting<'_>,
    roots: &[Root],
    options: &Options,
    spare: Option<Spare<'_>>,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    let start = Instant::now();
    let last_pid = setting.source.last_pid();
    let room = descriptors();
    // Successors are known by their command lines.
    let cmdline = observer.wants_command_lines() || !options.settle.is_zero();
    let wants = Wants { cmdline, ..WANTS };
    let (table, holds) = snapshot::read_held(setting.host, setting.source, wants, room)?;
    // The look itself takes a number for its second thread.
    let last_pid = match (last_pid, holds.helper()) {
        (Some(last), Some(helper)) if last + 1 == helper => Some(helper),
        (last, _) => last,
    };
    let mut set = Set::new(setting, options, &table, room);
    set.take_over(holds);
    set.spare = spare;
    let watch = Watch::new().map_err(|errno| Error::system("watch processes", "", errno))?;
    let look_cost = start.elapsed();
    let succession = (!options.settle.is_zero()).then(|| Succession::at(&table));
    observer.begin(&table.view);
    let mut engine = Engine {
        setting,
        options,
        wants,
        set,
        watch,
        observer,
        table,
        start,
        succession,
        end_by: options.timeout.map(|timeout| start + timeout),
        look_cost,
        next_look: start,
        last_pid,
        reaping: Vec::new(),
        unattended: Vec::new(),
        unwatched: Vec::new(),
        late: None,
        living: 0,
        summary: Summary::default(),
    };
    engine.begin(roots);
    engine.sweep()?;
    engine.settle()?;
    Ok(engine.finish())
}

struct Engine<'a> {
    setting: Setting<'a>,
    options: &'a Options,
    wants: Wants,
    set: Set<'a>,
    watch: Watch,
    observer: &'a mut dyn Observer,
    table: Table,
    start: Instant,
    /// How successors are known, where somebody asks for them.
    succession: Option<Succession>,
    end_by: Option<Instant>,
    /// How long the last look took: looks are spaced so that they take a small part of the time.
    look_cost: Duration,
    next_look: Instant,
    /// The number that the kernel gave out last, at the last look.
    last_pid: Option<u32>,
    /// Dead members whose exit status is not known yet, and until when to wait for it.
    reaping: Vec<(usize, Instant)>,
    /// Members that nobody waits for yet.
    unattended: Vec<usize>,
    /// Living members that no descriptor waits for.
    unwatched: Vec<usize>,
    /// Whoever was asked last, and is likely to be among the last to end.
    late: Option<usize>,
    /// How many members live and are not given up.
    living: usize,
    summary: Summary,
}

impl Engine<'_> {
    fn begin(&mut self, roots: &[Root]) {
        for missing in self.set.take_roots(roots, &self.table) {
            match missing.outcome {
                Outcome::Foreign => self.summary.foreign += 1,
                Outcome::NotPermitted => self.summary.not_permitted += 1,
                _ => self.summary.already_gone += 1,
            }
            self.observer.missing(&missing);
        }
        let named: Vec<usize> = (0..self.set.members.len()).collect();
        self.summary.refused = named
            .iter()
            .filter_map(|member| self.set.members[*member].target.guard)
            .filter(|guard| !guard.spares_only_itself())
            .count();
        self.set.grow(&self.table);
        if let Some(succession) = &mut self.succession {
            succession.learn(self.setting, &self.set, &self.table);
        }
        self.set.let_others_go();
        let all: Vec<usize> = (0..self.set.members.len()).collect();
        self.welcome(&all);
    }

    /// Takes in new members: tells the guarded ones, and waits for the others.
    fn welcome(&mut self, fresh: &[usize]) {
        for member in fresh {
            if self.set.members[*member].target.guard.is_some() {
                self.summary.protected += 1;
                self.tell(*member, Outcome::Protected, None);
            } else if !self.set.members[*member].ended {
                self.summary.targets += 1;
                self.living += 1;
                self.unattended.push(*member);
            }
        }
    }

    /// Looks at the whole table again. Gives the new members.
    fn look(&mut self) -> Result<Vec<usize>> {
        let before = Instant::now();
        self.last_pid = self.setting.source.last_pid();
        self.table = snapshot::read(self.setting.host, self.setting.source, self.wants)?;
        let fresh = self.set.grow(&self.table);
        self.welcome(&fresh);
        self.looked(before);
        Ok(fresh)
    }

    /// Looks at the processes alone that were not there at the last look.
    fn look_at_new(&mut self) -> Result<Vec<usize>> {
        let before = Instant::now();
        self.last_pid = self.setting.source.last_pid();
        let mut pids = self.setting.source.pids()?;
        pids.retain(|pid| self.table.find(pid.get()).is_none());
        if pids.is_empty() {
            self.looked(before);
            return Ok(Vec::new());
        }
        let mut processes: Vec<Process> = self.table.take();
        processes.extend(snapshot::read_pids(self.setting.source, &pids, self.wants)?);
        self.table = snapshot::with_view(self.setting.host, processes);
        let fresh = self.set.grow(&self.table);
        self.welcome(&fresh);
        self.looked(before);
        Ok(fresh)
    }

    /// Spaces looks: each is followed by three times the time that it took.
    fn looked(&mut self, before: Instant) {
        self.look_cost = before.elapsed();
        self.next_look = Instant::now() + self.look_cost * 3;
    }

    /// Ends all members that live: asks them, waits, and forces those that stay.
    fn sweep(&mut self) -> Result<()> {
        if self.options.grace.is_zero() || self.options.signal == Signal::KILL {
            return self.force();
        }
        let all: Vec<usize> = (0..self.set.members.len()).collect();
        self.ask(&all)?;
        // Asking many takes its time: the last one has the whole grace, and looks take a small part of it here too.
        self.next_look = Instant::now() + self.look_cost * 3;
        self.wait_out_grace(self.bounded(Instant::now() + self.options.grace))?;
        if self.living > 0 || self.set.enclosure_hides_somebody(&self.table) { self.force() } else { Ok(()) }
    }

    /// Sends the signal, once, in order; and lets stopped ones go on.
    ///
    /// A child that was forked after the last look is lost when its parent ends of the signal: nothing leads to it any
    /// more. So when anything was forked meanwhile, the new ones are looked at before the first signal, and again between
    /// signals. What is forked within the few microseconds between that look and the signal is found by other evidence only.
    fn ask(&mut self, members: &[usize]) -> Result<()> {
        let mut waiting = members.to_vec();
        for _ in 0..CATCH_UP {
            if !self.has_forked() {
                break;
            }
            waiting.extend(self.look_at_new()?);
        }
        while !waiting.is_empty() {
            let order = ordered(&self.set, &self.table, self.options, &std::mem::take(&mut waiting));
            for (sent, member) in order.into_iter().enumerate() {
                if sent % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 {
                    self.wait(Duration::ZERO, Phase::Grace, Instant::now() + self.options.grace);
                    if Instant::now() >= self.next_look && self.has_forked() {
                        waiting.extend(self.look_at_new()?);
                    }
                }
                if self.is_living(member) && self.send(member, self.options.signal) {
                    self.late = Some(member);
                    let stopped = self.set.members[member].target.process.state.is_stopped();
                    if stopped && self.options.signal != Signal::STOP {
                        self.send_quietly(member, Signal::CONT);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells whether any process was forked since the last look began.
    fn has_forked(&self) -> bool {
        self.last_pid.is_none() || self.setting.source.last_pid() != self.last_pid
    }

    /// Waits until all have ended and a look finds nobody new, or the grace is over.
    fn wait_out_grace(&mut self, deadline: Instant) -> Result<()> {
        let mut nap = Duration::from_millis(2);
        let mut exits_since_look = true;
        loop {
            if self.living == 0 {
                let fresh = self.look()?;
                if fresh.iter().all(|member| !self.is_living(*member)) && !self.set.is_still_used(&self.table)
                {
                    return Ok(());
                }
                self.ask(&fresh)?;
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(());
            }
            let ended = self.wait(nap.min(deadline - now), Phase::Grace, deadline);
            exits_since_look |= ended > 0;
            let forked = self.has_forked();
            nap = if ended > 0 || forked { Duration::from_millis(2) } else { (nap * 2).min(LONGEST_NAP) };
            if (exits_since_look || forked) && self.living > 0 {
                let now = Instant::now();
                if now < self.next_look {
                    nap = nap.min(self.next_look - now).max(Duration::from_millis(1));
                    continue;
                }
                let fresh = if exits_since_look { self.look()? } else { self.look_at_new()? };
                exits_since_look = false;
                self.ask(&fresh)?;
            }
        }
    }

    /// Stops all, finds all, kills all; until two looks find nobody, or the time is up.
    ///
    /// An interrupt waits until this is over: in the middle it would leave processes behind that are stopped for good.
    fn force(&mut self) -> Result<()> {
        let _uninterrupted = Uninterrupted::begin();
        let deadline = self.bounded(Instant::now() + self.options.kill_wait);
        let mut clean = 0;
        while clean < 2 && Instant::now() < deadline {
            self.freeze_cgroups(deadline);
            self.freeze(deadline)?;
            self.kill_cgroups();
            let all: Vec<usize> =
                (0..self.set.members.len()).filter(|member| self.is_living(*member)).collect();
            for member in all {
                self.send(member, Signal::KILL);
            }
            self.set.enclosures.thaw();
            while self.living > 0 && Instant::now() < deadline {
                let left = deadline - Instant::now();
                self.wait(left.min(LONGEST_NAP), Phase::Force, deadline);
            }
            let fresh = self.look()?;
            let unseen =
                fresh.iter().any(|member| self.is_living(*member)) || self.set.is_still_used(&self.table);
            clean = if unseen { 0 } else { clean + 1 };
            if self.living > 0 && clean > 0 {
                // Known members live on past the deadline: they are survivors.
                break;
            }
        }
        Ok(())
    }

    /// Stops all members until a look that began with all stopped finds nobody new.
    fn freeze(&mut self, deadline: Instant) -> Result<()> {
        let mut stopped_from = 0;
        loop {
            for member in stopped_from..self.set.members.len() {
                if self.is_living(member) {
                    self.send_quietly(member, Signal::STOP);
                }
            }
            stopped_from = self.set.members.len();
            let seen_by = deadline.min(Instant::now() + STOPPED_WITHIN);
            while Instant::now() < seen_by && self.any_running() {
                self.wait(Duration::from_millis(1), Phase::Force, deadline);
            }
            let fresh = self.look()?;
            if fresh.iter().all(|member| !self.is_living(*member)) || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }

    /// Tells whether a living member is not seen stopped. One in an uninterruptible wait may be in the midst
    /// of a fork, which no stop interrupts. One whose first thread is dead never shows that the others are stopped.
    fn any_running(&self) -> bool {
        let mut reader = self.setting.source.reader(Wants::default());
        let frozen = self.set.enclosures.frozen();
        self.set.members.iter().any(|member| {
            let process = &member.target.process;
            let unsettled =
                !member.ended && !member.told && !member.refused && !frozen.contains(&process.pid);
            unsettled
                && reader.read(process.pid).ok().flatten().is_some_and(|now| {
                    let settled = now.state.is_stopped() || now.state.is_dead();
                    now.start_ticks == process.start_ticks && !settled
                })
        })
    }

    fn is_living(&self, member: usize) -> bool {
        let member = &self.set.members[member];
        !member.ended && !member.told && member.target.guard.is_none()
    }

    fn bounded(&self, deadline: Instant) -> Instant {
        self.end_by.map_or(deadline, |end| end.min(deadline))
    }

    fn finish(mut self) -> Summary {
        self.bury();
        self.tell_reaped(true);
        for member in 0..self.set.members.len() {
            if self.is_living(member) {
                self.tell(member, Outcome::Survived, None);
            }
        }
        self.set.enclosures.remove(self.living == 0 && self.summary.protected == 0);
        self.summary.unseen = self.living == 0 && self.set.is_still_used(&self.table);
        let out_of_time = self.end_by.is_some_and(|end| Instant::now() >= end);
        self.summary.timed_out = out_of_time && self.summary.survived > 0;
        self.summary.elapsed_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.summary
    }
}

/// Members in the order in which they are signalled.
fn ordered(set: &Set<'_>, table: &Table, options: &Options, members: &[usize]) -> Vec<usize> {
    let mut at: Vec<(Index, usize)> = members
        .iter()
        .filter_map(|member| {
            let process = &set.members[*member].target.process;
            Some((table.find_exactly(process.pid, process.inode, Some(process.start_ticks))?, *member))
        })
        .collect();
    at.sort_unstable();
    let mut order: Vec<Index> = at.iter().map(|(index, _)| *index).collect();
    if options.leaves_first {
        tree::leaves_first(table, &mut order);
    } else {
        tree::parents_first(table, &mut order);
    }
    let member =
        |index: &Index| at.binary_search_by_key(index, |(index, _)| *index).ok().map(|found| at[found].1);
    order.iter().filter_map(member).collect()
}

/// How many descriptors may be held for members.
fn descriptors() -> usize {
    let limit = host::raise_file_limit();
    let open = std::fs::read_dir("/proc/self/fd").map_or(16, |folder| folder.count() as u64);
    usize::try_from(limit.saturating_sub(open + SPARE_DESCRIPTORS)).unwrap_or(0)
}
