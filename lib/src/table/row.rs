//! One record as a row: which of its facts are shown, and how each reads.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::cell::{Cell, Tone};
use super::facts::{Facts, found};
use super::show::Style;
use crate::record::{Process, Record};

/// What a row is about: it decides which columns there are, and whether rows are shown as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Process,
    Outcome,
    Service,
    Event,
    Finding,
    Socket,
    Summary,
    Other,
}

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// The rank of a column that no window is too narrow for.
pub(super) const STAYS: u8 = 9;

/// Names of what stands at the end of each line.
pub(super) const COMMAND: [&str; 2] = ["command", "cmdline"];

/// A column that is known to a kind of row.
pub(super) struct Spec {
    /// The name that cells carry.
    pub(super) name: &'static str,
    pub(super) heading: &'static str,
    pub(super) align: Align,
    /// Columns of a low rank leave first when the window is narrow. [`STAYS`] does not.
    pub(super) rank: u8,
    /// The width that it has from the start where rows are shown as they come.
    pub(super) least: usize,
    cell: fn(&Record) -> Option<Cell>,
}

const fn spec(
    name: &'static str,
    heading: &'static str,
    align: Align,
    rank: u8,
    least: usize,
    cell: fn(&Record) -> Option<Cell>,
) -> Spec {
    Spec { name, heading, align, rank, least, cell }
}

const PID: Spec = spec("pid", "PID", Align::Right, 9, 7, |record| record.plain("pid"));
const NAME: Spec = spec("service", "SERVICE", Align::Left, 8, 0, |record| record.plain("service"));
const AGE: Spec = spec("age", "AGE", Align::Right, 6, 7, Facts::age);

const PROCESS: &[Spec] = &[
    PID,
    NAME,
    spec("user", "USER", Align::Left, 4, 8, |record| record.plain("user").or_else(|| record.plain("uid"))),
    AGE,
    spec("cpu", "CPU", Align::Right, 2, 7, |record| record.duration("cpu_ms")),
    spec("memory", "MEMORY", Align::Right, 3, 7, Facts::memory),
    spec("state", "STATE", Align::Left, 1, 8, Facts::state),
];

const OUTCOME: &[Spec] = &[
    PID,
    NAME,
    spec("outcome", "OUTCOME", Align::Left, 9, 10, Facts::outcome),
    spec("signal", "SIGNAL", Align::Left, 5, 6, |record| record.plain("signal")),
    spec("elapsed", "AFTER", Align::Right, 4, 5, |record| record.duration("elapsed_ms")),
    spec("via", "VIA", Align::Left, 2, 10, |record| record.words("via")),
];

const SERVICE: &[Spec] = &[
    spec("service", "SERVICE", Align::Left, 9, 12, |record| {
        record.plain("service").or_else(|| record.plain("name"))
    }),
    spec("scope", "SCOPE", Align::Left, 6, 8, Facts::scope),
    PID,
    spec("alive", "ALIVE", Align::Left, 8, 7, Facts::alive),
    AGE,
];

const EVENT: &[Spec] = &[PID, NAME, spec("event", "EVENT", Align::Left, 9, 12, Facts::event)];

const FINDING: &[Spec] = &[
    spec("severity", "SEVERITY", Align::Left, STAYS, 0, Facts::severity),
    spec("finding", "FINDING", Align::Left, STAYS, 0, |record| record.plain("finding")),
    spec("about", "ABOUT", Align::Left, 8, 0, |record| ABOUT.iter().find_map(|name| record.plain(name))),
];

const SOCKET: &[Spec] = &[
    spec("protocol", "PROTOCOL", Align::Left, STAYS, 0, |record| record.plain("protocol")),
    spec("address", "ADDRESS", Align::Left, STAYS, 0, |record| {
        record.plain("address").or_else(|| record.plain("path"))
    }),
    spec("port", "PORT", Align::Right, STAYS, 0, |record| record.plain("port")),
    spec("owner", "OWNER", Align::Left, STAYS, 0, |record| record.plain("owner")),
];

/// What a finding may be about, the most telling first.
const ABOUT: [&str; 4] = ["file", "service", "pid", "count"];

/// Fields of no column, because a mark, the tree or a column of another name says the same.
const SAID_ELSEWHERE: [&str; 22] = [
    "depth",
    "root",
    "orphan",
    "zombie",
    "identity",
    "identified_by",
    "service",
    "scope",
    "project",
    "session",
    "outcome",
    "signal",
    "elapsed_ms",
    "catches_chld",
    "reason",
    "wchan",
    "replaced_by",
    "replaced_in",
    "exit_status",
    "exit_signal",
    "planned_ticks",
    "samples",
];

/// What the registry keeps of a service for programs, or what its columns show already.
const OF_SERVICE: [&str; 15] = [
    "name",
    "alive",
    "status",
    "checks",
    "measured",
    "script",
    "command",
    "cwd",
    "metadata",
    "parent",
    "tree",
    "cookie",
    "last_health_check_ms",
    "cgroup",
    "cgroup_id",
];

/// What an outcome or an event may be about beside its process: said in front of the command, so that a row does not
/// need the columns of the first one.
const ABOUT_ROW: [&str; 6] = ["sockets", "address", "port", "last_port", "protocol", "file"];

/// Fields of a process that records of other types show too.
const OF_OTHERS: [&str; 6] = ["pid", "started_at", "user", "comm", "rss_bytes", "cpu_ms"];

/// Fields of a process that are read on request only: who asks for them wants to see them.
const ON_REQUEST: [&str; 2] = ["exe", "cwd"];

impl Kind {
    fn of(record: &Record) -> Self {
        match record.text("type").as_deref() {
            Some("process") => Self::Process,
            Some("outcome") => Self::Outcome,
            Some("service") => Self::Service,
            Some("event") => Self::Event,
            Some("finding") => Self::Finding,
            Some("socket") => Self::Socket,
            Some("summary") => Self::Summary,
            _ => Self::Other,
        }
    }

    /// The columns that rows of this kind have by nature, in order.
    pub(super) fn specs(self) -> &'static [Spec] {
        match self {
            Self::Process => PROCESS,
            Self::Outcome => OUTCOME,
            Self::Service => SERVICE,
            Self::Event => EVENT,
            Self::Finding => FINDING,
            Self::Socket => SOCKET,
            Self::Summary | Self::Other => &[],
        }
    }

    /// What stands above that which takes the rest of each line.
    pub(super) fn rest(self) -> &'static str {
        if self.wraps() { "WHY" } else { "COMMAND" }
    }

    /// Tells whether the rest of a line is a sentence, which is read to its end.
    pub(super) fn wraps(self) -> bool {
        matches!(self, Self::Finding | Self::Socket)
    }

    /// Tells whether records of this kind come over time: then no row waits for the next.
    pub(super) fn flows(self) -> bool {
        matches!(self, Self::Outcome | Self::Event)
    }

    /// Tells whether a field is shown in a column of its own name.
    fn shows(self, name: &str) -> bool {
        let of_process = Process::FIELDS.contains(&name);
        match self {
            Self::Summary if name == "details" => false,
            Self::Summary | Self::Other => !of_process || OF_OTHERS.contains(&name),
            Self::Process if ON_REQUEST.contains(&name) => true,
            Self::Service | Self::Outcome if OF_SERVICE.contains(&name) => false,
            Self::Outcome | Self::Event if ABOUT_ROW.contains(&name) => false,
            Self::Event if name == "event" => false,
            Self::Outcome if name == "via" => false,
            Self::Finding if matches!(name, "why" | "fix") || ABOUT.contains(&name) => false,
            Self::Socket if matches!(name, "why" | "path" | "inode" | "pid") => false,
            _ => !of_process && !SAID_ELSEWHERE.contains(&name),
        }
    }
}

/// One record, ready to be shown.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: Kind,
    /// Its level in a tree, where the record tells.
    pub(super) depth: Option<usize>,
    /// The cells by name of their column. What is unknown has none.
    pub(super) cells: Vec<(Cow<'static, str>, Cell)>,
    /// What stands at the end of the line and takes the room that is left: the command.
    pub(super) rest: Cell,
    /// What stands on a line of its own below: the command that mends a finding.
    pub(super) below: Option<Cell>,
}

impl Row {
    /// Makes a row of a record: with the columns of these names, or with those of its kind. Text that the window cannot
    /// show is not kept.
    pub(super) fn of(record: &Record, style: &Style, chosen: &[String]) -> Self {
        let kind = Kind::of(record);
        // Totals below chosen columns are other facts, and are shown as they are.
        let is_asked = |name: &String| record.get(name).is_some();
        let chosen = if kind == Kind::Summary && !chosen.iter().any(is_asked) { &[] } else { chosen };
        let mut cells = if chosen.is_empty() { natural(kind, record) } else { asked(kind, record, chosen) };
        cells.shrink_to_fit();
        let mut rest = Cell::default();
        if chosen.is_empty() || chosen.iter().any(|name| COMMAND.contains(&name.as_str())) {
            rest.append(record.notes());
            if kind.flows() {
                rest.append(record.about());
            }
            match kind {
                Kind::Finding | Kind::Socket => rest.append(record.plain("why").unwrap_or_default()),
                Kind::Summary | Kind::Other if record.get("cmdline").is_none() => {}
                _ => rest.append(record.command(style.width)),
            }
        }
        let mut below = record.plain("fix").filter(|_| kind == Kind::Finding && chosen.is_empty());
        if style.ascii {
            let all = cells.iter_mut().map(|(_, cell)| cell).chain([&mut rest]).chain(&mut below);
            all.for_each(Cell::spell_out);
        }
        let below = below.map(|fix| {
            let mut line = Cell::new(Tone::Faint, if style.ascii { "    -> " } else { "    → " });
            line.append(fix);
            line
        });
        for (_, verdict) in cells.iter_mut().filter(|(name, _)| VERDICTS.contains(&name.as_ref())) {
            verdict.mark(style.ascii);
        }
        Self { kind, depth: record.field("depth").ok().flatten(), cells, rest, below }
    }

    /// The worst that anything in the row means.
    pub(super) fn tone(&self) -> Tone {
        let cells = self.cells.iter().map(|(_, cell)| cell).chain([&self.rest]);
        cells.map(Cell::tone).max().unwrap_or(Tone::Plain)
    }

    /// The cell of a column.
    pub(super) fn cell(&self, name: &str) -> Option<&Cell> {
        self.cells.iter().find(|(known, _)| known == name).map(|(_, cell)| cell)
    }
}

/// Columns whose word is a verdict, and has a sign before it.
const VERDICTS: [&str; 4] = ["outcome", "alive", "health", "severity"];

type Named = (Cow<'static, str>, Cell);

/// The cells that records of a kind have by nature, then what a tool has added.
fn natural(kind: Kind, record: &Record) -> Vec<Named> {
    let known = kind.specs().iter();
    let mut cells: Vec<Named> =
        known.filter_map(|spec| Some((Cow::Borrowed(spec.name), (spec.cell)(record)?))).collect();
    // A plan carries what the registry knows of the service that was named.
    let planned = kind == Kind::Process && record.get("script").is_some();
    let pid_in = |raw: &RawValue| serde_json::from_str(raw.get()).map(|root: Record| root.number("pid"));
    let aside = |name: &str, raw: &RawValue| match name {
        // Of who is its own root, its number says so.
        "tree_root" => pid_in(raw).is_ok_and(|root| root == record.number("pid")),
        _ => planned && OF_SERVICE.contains(&name),
    };
    for (name, raw) in record.fields().filter(|(name, raw)| kind.shows(name) && !aside(name, raw)) {
        cells.extend(found(name, raw).map(|cell| (Cow::Owned(name.to_owned()), cell)));
    }
    cells
}

/// The cells of these columns, or fields.
fn asked(kind: Kind, record: &Record, chosen: &[String]) -> Vec<Named> {
    let cell = |name: &String| {
        let spec = kind.specs().iter().find(|spec| spec.name == name);
        let cell = match spec {
            Some(spec) => (spec.cell)(record)?,
            None => found(name, record.get(name)?)?,
        };
        Some((Cow::Owned(name.clone()), cell))
    };
    chosen.iter().filter(|name| !COMMAND.contains(&name.as_str())).filter_map(cell).collect()
}
