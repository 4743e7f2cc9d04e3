//! Processes that hang, as two samples of one process show it.
//!
//! One sample proves nothing: a process may run at that moment, or wait for a disk. An average over its life proves
//! nothing either: one that idled for a day and then spins for an hour shows four percent.

use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::evidence::Strength;
use crate::record::{Hints, Process};
use crate::signal::Signal;
use crate::source::{Source, Waiting};
use crate::status::State;
use crate::tree::{Index, Table};

/// From where on a process counts as hung.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Cores that it uses between the samples, of all its threads together.
    pub cores: f64,
    /// Milliseconds that it has been stopped for.
    pub stopped_ms: u64,
}

/// A kind of sign that a process hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It uses up processors.
    Spinning,
    /// It waits where no signal reaches it, and did so all the time.
    Uninterruptible,
    /// It is stopped, or its tracer holds it.
    Stopped,
    /// It was asked to end, and the signal does not arrive.
    TermPending,
    /// It has not given a sign of life for too long.
    HeartbeatOverdue,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Spinning, Self::Uninterruptible, Self::Stopped, Self::TermPending, Self::HeartbeatOverdue];

    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Spinning => "spinning",
            Self::Uninterruptible => "uninterruptible",
            Self::Stopped => "stopped",
            Self::TermPending => "term-pending",
            Self::HeartbeatOverdue => "heartbeat-overdue",
        }
    }
}

/// One sign, with what was measured and the limit that it was held against.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// What it is.
    pub kind: Kind,
    /// How much it proves.
    pub strength: Strength,
    facts: Vec<(&'static str, Fact)>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Fact {
    Cores(f64),
    Number(u64),
    Is(bool),
    Word(String),
}

impl Sign {
    fn new(kind: Kind, strength: Strength) -> Self {
        Self { kind, strength, facts: Vec::new() }
    }

    fn with(mut self, name: &'static str, fact: Fact) -> Self {
        self.facts.push((name, fact));
        self
    }

    /// Says that a service has been silent for longer than its limit.
    pub fn silent(service: &str, silent_ms: u64, limit_ms: u64) -> Self {
        Self::new(Kind::HeartbeatOverdue, Strength::Certain)
            .with("service", Fact::Word(service.to_owned()))
            .with("silent_ms", Fact::Number(silent_ms))
            .with("limit_ms", Fact::Number(limit_ms))
    }
}

impl Serialize for Sign {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind.word())?;
        map.serialize_entry("strength", self.strength.word())?;
        for (name, fact) in &self.facts {
            map.serialize_entry(name, fact)?;
        }
        map.end()
    }
}

/// One sample of one process, as records show it.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// Milliseconds since boot.
    pub boot_ms: u64,
    /// The state of its main thread.
    pub state: State,
    /// Processor time that it had used.
    pub cpu_ms: u64,
    /// Where in the kernel it waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_channel: Option<String>,
    /// Whether SIGTERM had been sent and had not arrived; none where that was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term_pending: Option<bool>,
}

/// One look at a table, with what those wait for that do not simply sleep.
#[derive(Debug)]
pub struct Sample<'a> {
    table: &'a Table,
    waiting: HashMap<Index, Waiting>,
}

impl<'a> Sample<'a> {
    /// Looks closer at those processes of a table that could hang. Without a source the table alone has to do.
    ///
    /// SIGTERM can only wait where it is blocked, or where the process does not sleep in an ordinary way: all others
    /// would have woken up. So most processes are not read again.
    pub fn of(table: &'a Table, source: Option<&Source>) -> Self {
        let mut waiting = HashMap::new();
        for (index, process) in table.processes().iter().enumerate() {
            let asleep = matches!(process.state.letter(), 'S' | 'I');
            let blocks = Hints::has(process.hints.blocked, Signal::TERM);
            if let Some(source) = source.filter(|_| is_ordinary(process) && (blocks || !asleep))
                && let Ok(facts) = source.waiting(process.pid)
            {
                waiting.insert(index, facts);
            }
        }
        Self { table, waiting }
    }

    fn moment(&self, index: Index) -> Moment {
        let (process, view) = (self.table.get(index), &self.table.view);
        let waiting = self.waiting.get(&index);
        Moment {
            boot_ms: view.boot_ms,
            state: process.state,
            cpu_ms: process.cpu_ticks.saturating_mul(1000) / view.ticks_per_second.max(1),
            wait_channel: waiting.and_then(|waiting| waiting.channel.clone()),
            term_pending: waiting.map(|waiting| Waiting::has(waiting.pending, Signal::TERM)),
        }
    }
}

fn is_ordinary(process: &Process) -> bool {
    !process.kernel_thread && !process.is_zombie()
}

/// Compares two samples of one process, which stands at `index` of the later one. None: it was not there before.
///
/// `idle` tells for how many milliseconds a process of the later table has not run, where that can be known.
pub fn compare(
    before: &Sample<'_>,
    after: &Sample<'_>,
    index: Index,
    limits: &Limits,
    idle: impl Fn(&Process) -> Option<u64>,
) -> Option<([Moment; 2], Vec<Sign>)> {
    let process = after.table.get(index);
    let earlier = before.table.find_exactly(process.pid, process.inode, Some(process.start_ticks))?;
    let mut signs = Vec::new();
    if is_ordinary(process) {
        let (then, now) = (before.table.get(earlier), process);
        let waits = (before.waiting.get(&earlier), after.waiting.get(&index));
        let between = after.table.view.boot_ms.saturating_sub(before.table.view.boot_ms);
        signs.extend(spinning(then, now, between, after.table.view.ticks_per_second, limits.cores));
        signs.extend(uninterruptible(then, now, waits, &idle));
        signs.extend(stopped(then, now, between, limits.stopped_ms, &idle));
        signs.extend(term_pending(waits));
    }
    Some(([before.moment(earlier), after.moment(index)], signs))
}

fn spinning(then: &Process, now: &Process, between: u64, ticks_per_second: u64, limit: f64) -> Option<Sign> {
    let used = now.cpu_ticks.saturating_sub(then.cpu_ticks).saturating_mul(1000) / ticks_per_second.max(1);
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let cores = (between > 0).then(|| used as f64 / between as f64)?;
    (cores >= limit).then(|| {
        Sign::new(Kind::Spinning, Strength::Certain)
            .with("cores", Fact::Cores((cores * 100.0).round() / 100.0))
            .with("limit", Fact::Cores(limit))
            .with("catches_term", Fact::Is(Hints::has(now.hints.caught, Signal::TERM)))
    })
}

/// A process that waits for a disk at two moments may have been served a hundred times in between. So it must not have
/// been given a processor; where that is not known, its processor time must not have moved, which suggests it.
fn uninterruptible(
    then: &Process,
    now: &Process,
    waits: (Option<&Waiting>, Option<&Waiting>),
    idle: &impl Fn(&Process) -> Option<u64>,
) -> Option<Sign> {
    if !then.state.is_uninterruptible() || !now.state.is_uninterruptible() {
        return None;
    }
    let switches = |waiting: Option<&Waiting>| waiting.and_then(|waiting| waiting.switches);
    let strength = match (switches(waits.0), switches(waits.1)) {
        (Some(then), Some(now)) if then == now => Strength::Certain,
        (Some(_), Some(_)) => return None,
        _ if then.cpu_ticks == now.cpu_ticks => Strength::Probable,
        _ => return None,
    };
    let mut sign = Sign::new(Kind::Uninterruptible, strength);
    if let Some(channel) = waits.1.and_then(|waiting| waiting.channel.clone()) {
        sign = sign.with("wait_channel", Fact::Word(channel));
    }
    Some(match idle(now) {
        Some(ms) => sign.with("waits_ms", Fact::Number(ms)),
        None => sign,
    })
}

/// For how long it has been stopped is known from when it last ran, else from the samples, which give the least.
fn stopped(
    then: &Process,
    now: &Process,
    between: u64,
    limit_ms: u64,
    idle: &impl Fn(&Process) -> Option<u64>,
) -> Option<Sign> {
    if !then.state.is_stopped() || !now.state.is_stopped() {
        return None;
    }
    let known = idle(now);
    let ms = known.unwrap_or(0).max(if known.is_none() { between } else { 0 });
    let strength = match known {
        _ if ms >= limit_ms => Strength::Certain,
        None => Strength::Probable,
        Some(_) => return None,
    };
    Some(
        Sign::new(Kind::Stopped, strength)
            .with("stopped_ms", Fact::Number(ms))
            .with("limit_ms", Fact::Number(limit_ms))
            .with("traced", Fact::Is(now.state.letter() == 't')),
    )
}

fn term_pending((then, now): (Option<&Waiting>, Option<&Waiting>)) -> Option<Sign> {
    let waits = |waiting: &Waiting| Waiting::has(waiting.pending, Signal::TERM);
    let now = now.filter(|now| waits(now) && then.is_some_and(waits))?;
    Some(
        Sign::new(Kind::TermPending, Strength::Certain)
            .with("blocked", Fact::Is(Waiting::has(now.blocked, Signal::TERM)))
            .with("catches_term", Fact::Is(Waiting::has(now.caught, Signal::TERM))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{process, view};

    /// Two samples, so many milliseconds apart, of one process that is in a state and has used ticks.
    fn signs(between: u64, then: (u8, u64), now: (u8, u64), idle: Option<u64>) -> Vec<(Kind, Strength)> {
        let table = |boot_ms, (state, cpu_ticks)| {
            let mut made = process(50, 1, 50, 50, 5);
            (made.state, made.cpu_ticks) = (State::new(state), cpu_ticks);
            let mut view = view();
            view.boot_ms = boot_ms;
            Table::new(view, vec![made])
        };
        let (before, after) = (table(100_000, then), table(100_000 + between, now));
        let limits = Limits { cores: 0.9, stopped_ms: 5000 };
        let (before, after) = (Sample::of(&before, None), Sample::of(&after, None));
        let (moments, signs) = compare(&before, &after, 0, &limits, |_| idle).expect("the same process");
        assert_eq!(moments[1].boot_ms - moments[0].boot_ms, between);
        signs.into_iter().map(|sign| (sign.kind, sign.strength)).collect()
    }

    #[test]
    fn a_late_spinner_spins_whatever_its_average() {
        assert_eq!(signs(1000, (b'S', 3), (b'R', 98), None), [(Kind::Spinning, Strength::Certain)]);
        assert!(signs(1000, (b'R', 9_000), (b'R', 9_050), None).is_empty(), "it used to spin");
        assert!(signs(0, (b'R', 0), (b'R', 90), None).is_empty(), "no time has passed");
    }

    #[test]
    fn what_waits_for_a_disk_now_and_then_makes_progress() {
        assert_eq!(signs(1000, (b'D', 7), (b'D', 7), None), [(Kind::Uninterruptible, Strength::Probable)]);
        assert!(signs(1000, (b'D', 7), (b'D', 9), None).is_empty());
        assert!(signs(1000, (b'S', 7), (b'D', 7), None).is_empty());
    }

    #[test]
    fn a_stop_counts_when_it_is_long_or_nobody_knows_how_long() {
        assert!(signs(1000, (b'T', 7), (b'T', 7), Some(4000)).is_empty());
        assert_eq!(signs(1000, (b'T', 7), (b'T', 7), Some(5000)), [(Kind::Stopped, Strength::Certain)]);
        assert_eq!(signs(1000, (b'T', 7), (b'T', 7), None), [(Kind::Stopped, Strength::Probable)]);
        assert_eq!(signs(9000, (b't', 7), (b't', 7), None), [(Kind::Stopped, Strength::Certain)]);
    }
}
