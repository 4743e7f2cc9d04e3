//! Records as rows: a table of aligned columns, or a tree.

use std::borrow::Cow;

use super::cell::{Cell, Tone};
use super::facts::is_time;
use super::kin::Family;
use super::picture;
use super::row::{Align, COMMAND, Kind, Row, STAYS, Spec};
use super::show::Style;
use crate::record::Record;

/// Shows records as rows, one after the other.
///
/// A tree is shown when all of it is known. A table waits for its first rows to choose its columns by; what comes over
/// time (outcomes, events) is shown at once, and so is everything after the first rows or after [`Show::flush`].
/// Columns then only grow.
#[derive(Debug)]
pub(super) struct Lines {
    tree: bool,
    style: Style,
    /// The columns that were asked for, in order; none for those that suit the records.
    chosen: Vec<String>,
    held: Vec<Row>,
    /// Where the parent of each held row of a tree stands among them.
    parents: Vec<Option<usize>>,
    family: Family,
    open: Option<Table>,
    empty: bool,
}

/// How many rows a table waits for at most.
pub(super) const MOST_HELD: usize = 1000;
/// How many levels of a tree are drawn where no window limits them.
const MOST_LEVELS: usize = 64;
/// The widest that a column is made in any window, the command apart.
const WIDEST: usize = 64;
/// How many columns of what a tool has found are shown.
const MOST_FOUND: usize = 6;
/// The narrowest that sentences are wrapped.
const LEAST_WRAPPED: usize = 16;
/// What may be found at its place as well, and leaves first when the window is narrow.
const ASIDE: [&str; 3] = ["log", "pidfile", "machine"];
/// What must not be read without: it does not leave a narrow window.
const WARNING: &str = "dry_run";
/// What rows that come over time say in front of the command where the table was begun without such a column.
const LATE: [&str; 2] = ["service", "why"];
/// The column of a path that loses its first folders before it is cut.
const SCOPE: &str = "scope";
/// Columns between two fields.
const GAP: usize = 2;

impl Lines {
    /// Begins a view: of a tree, or else of a table.
    pub(super) fn new(tree: bool, style: Style, chosen: Vec<String>) -> Self {
        Self {
            tree,
            style,
            chosen,
            held: Vec::new(),
            parents: Vec::new(),
            family: Family::default(),
            open: None,
            empty: true,
        }
    }

    /// Takes a record; appends to `out` what can be shown already.
    pub(super) fn add(&mut self, record: &Record, out: &mut Vec<u8>) {
        let row = Row::of(record, &self.style, &self.chosen);
        if self.tree {
            if self.held.first().is_some_and(|held| held.kind != row.kind) {
                self.draw(out);
            }
            let parent = self.family.add(record, self.held.len()).and_then(|member| member.parent);
            self.parents.push(parent.map(|parent| parent.place));
            self.held.push(row);
            return;
        }
        let other = |kind: Kind| kind != row.kind;
        if self.held.first().map(|held| held.kind).is_some_and(other) {
            self.flush(out);
        }
        if self.open.as_ref().map(|table| table.kind).is_some_and(other) {
            self.open = None;
        }
        if let Some(table) = &mut self.open {
            table.write(&row, &self.style, out);
            return;
        }
        let at_once = row.kind.flows() || self.held.len() + 1 >= MOST_HELD;
        self.held.push(row);
        if at_once {
            self.flush(out);
        }
    }

    /// Appends the rows that a table has waited with. A tree still waits for the rest of itself.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.tree && !self.held.is_empty() {
            let rows = std::mem::take(&mut self.held);
            self.begin(&rows, out);
        }
    }

    /// Appends the rest.
    pub(super) fn end(mut self, out: &mut Vec<u8>) {
        if self.tree {
            self.draw(out);
        } else {
            self.flush(out);
        }
    }

    /// Draws the tree of the rows that are held: by the depth that each tells, or by the parents where one does not.
    fn draw(&mut self, out: &mut Vec<u8>) {
        let mut rows = std::mem::take(&mut self.held);
        let parents = std::mem::take(&mut self.parents);
        self.family = Family::default();
        let told: Option<Vec<usize>> = rows.iter().map(|row| row.depth).collect();
        let depths = told.unwrap_or_else(|| {
            let order = picture::forest(&parents);
            let mut unordered: Vec<Option<Row>> = std::mem::take(&mut rows).into_iter().map(Some).collect();
            rows = order.iter().filter_map(|(place, _)| unordered[*place].take()).collect();
            order.into_iter().map(|(_, depth)| depth).collect()
        });
        let levels = self.style.width.map_or(MOST_LEVELS, |width| width / 3 / 3);
        for (row, lines) in rows.iter_mut().zip(picture::lines(&depths, levels, self.style.ascii)) {
            let mut rest = Cell::new(Tone::Faint, lines);
            rest.append(std::mem::take(&mut row.rest));
            row.rest = rest;
        }
        self.begin(&rows, out);
    }

    /// Opens a table by its first rows, and writes them.
    fn begin(&mut self, rows: &[Row], out: &mut Vec<u8>) {
        let Some(first) = rows.first() else { return };
        if !std::mem::take(&mut self.empty) {
            out.push(b'\n');
        }
        let mut table = Table::of(first.kind, rows, &self.style, &self.chosen);
        table.write_heading(&self.style, out);
        for row in rows {
            table.write(row, &self.style, out);
        }
        self.open = Some(table);
    }
}

/// The columns of a table that has been begun.
#[derive(Debug)]
struct Table {
    kind: Kind,
    columns: Vec<Column>,
    /// What stands above the commands; nothing where there are none.
    rest: &'static str,
    /// Those of [`LATE`] that are said in front of the command.
    late: Vec<&'static str>,
}

#[derive(Debug)]
struct Column {
    name: Cow<'static, str>,
    heading: String,
    align: Align,
    rank: u8,
    width: usize,
}

impl Table {
    /// Begins a table with the columns that suit its first rows, or with those that were chosen.
    fn of(kind: Kind, rows: &[Row], style: &Style, chosen: &[String]) -> Self {
        let is_asked = |name: &String| rows.iter().any(|row| row.cell(name).is_some());
        let chosen = if kind == Kind::Summary && !chosen.iter().any(is_asked) { &[] } else { chosen };
        let columns = if chosen.is_empty() { natural(kind, rows) } else { asked(kind, rows, chosen) };
        let flows = kind.flows() && chosen.is_empty();
        let rest = if flows || rows.iter().any(|row| row.rest.width() > 0) { kind.rest() } else { "" };
        let has = |name: &&str| columns.iter().any(|column| column.name == **name);
        let late = LATE.into_iter().filter(|name| flows && !has(name)).collect();
        let mut table = Self { kind, columns, rest, late };
        for column in &mut table.columns {
            column.width = column.width.max(Cell::new(Tone::Heading, &column.heading).width());
        }
        for row in rows {
            table.widen(row, style);
        }
        let longest = rows.iter().map(|row| row.rest.width()).max().unwrap_or(0);
        table.fit(longest, style);
        table
    }

    /// Gives each column the room that a row needs.
    fn widen(&mut self, row: &Row, style: &Style) {
        let widest = style.width.map_or(usize::MAX, |window| (window * 2 / 5).clamp(8, WIDEST));
        for column in &mut self.columns {
            let Some(cell) = row.cell(&column.name) else { continue };
            let wanted = match (&*column.name, style.width) {
                // Of a long path its end tells enough.
                (SCOPE, Some(_)) => {
                    let mut short = cell.clone();
                    short.shorten_paths(widest / 2, style.ascii);
                    short.width()
                }
                _ => cell.width(),
            };
            column.width = column.width.max(wanted.min(widest));
        }
    }

    /// Leaves out columns, the least important first, until the command has enough room.
    fn fit(&mut self, longest: usize, style: &Style) {
        let Some(mut window) = style.width else { return };
        // Of a service, its name says what it is.
        let share = if self.kind == Kind::Service { window / 4 } else { window * 2 / 5 }.max(16);
        // Events of a kind have a command all or not at all; outcomes have one sooner or later.
        let flows = self.kind.flows() && (longest > 0 || self.kind == Kind::Outcome);
        let wanted = if flows { share } else { longest.min(share) };
        if self.rest.is_empty() {
            // Behind the last column nothing follows.
            window += GAP;
        }
        let mut used: usize = self.columns.iter().map(|column| column.width + GAP).sum();
        let (mut kept, mut left) = (vec![true; self.columns.len()], Vec::new());
        while used + wanted > window {
            let rank = |at: usize| Some(self.columns[at].rank).filter(|rank| kept[at] && *rank < STAYS);
            // Of those of one rank, the last one.
            let least = (0..kept.len()).filter_map(|at| Some((rank(at)?, usize::MAX - at))).min();
            let Some((_, from_end)) = least else { break };
            let at = usize::MAX - from_end;
            used -= self.columns[at].width + GAP;
            kept[at] = false;
            left.push(at);
        }
        // A wide one that left last may have made room for others that left before it.
        for at in left.into_iter().rev() {
            let width = self.columns[at].width + GAP;
            if used + width + wanted <= window {
                used += width;
                kept[at] = true;
            }
        }
        let mut kept = kept.into_iter();
        self.columns.retain(|_| kept.next().unwrap_or(true));
    }

    fn write_heading(&self, style: &Style, out: &mut Vec<u8>) {
        let heading = |column: &Column| Some(Cell::new(Tone::Heading, &column.heading));
        self.line(heading, Cell::new(Tone::Heading, self.rest), style).write_line(style, out);
    }

    fn write(&mut self, row: &Row, style: &Style, out: &mut Vec<u8>) {
        self.widen(row, style);
        let cell = |column: &Column| row.cell(&column.name).cloned();
        let used: usize = self.columns.iter().map(|column| column.width + GAP).sum();
        let room = style.width.map(|window| window.saturating_sub(used).max(LEAST_WRAPPED));
        let mut rest = match room.filter(|_| self.kind.wraps()) {
            Some(room) => row.rest.wrapped(room),
            None => vec![self.late(row)],
        };
        self.line(cell, std::mem::take(&mut rest[0]), style).write_line(style, out);
        for more in rest.into_iter().skip(1) {
            let mut line = Cell::default();
            line.space(used);
            line.append(more);
            line.write_line(style, out);
        }
        if let Some(below) = &row.below {
            // To be copied, so it is whole in any window.
            below.clone().write_line(&Style { width: None, ..*style }, out);
        }
    }

    /// What takes the rest of the line of a row: with what was not known to come when the columns were chosen.
    fn late(&self, row: &Row) -> Cell {
        let mut rest = Cell::default();
        for cell in self.late.iter().filter_map(|name| row.cell(name)) {
            rest.push(Tone::Plain, format!("[{}]", cell.text()));
            rest.space(1);
        }
        rest.append(row.rest.clone());
        rest
    }

    /// Puts cells side by side, each padded to its column.
    fn line(&self, cell: impl Fn(&Column) -> Option<Cell>, rest: Cell, style: &Style) -> Cell {
        let mut line = Cell::default();
        for column in &self.columns {
            let mut cell = cell(column).unwrap_or_else(|| Cell::new(Tone::Faint, "-"));
            if column.name == SCOPE {
                cell.shorten_paths(column.width, style.ascii);
            }
            cell.cut(column.width, style.ascii);
            let padding = column.width - cell.width();
            if column.align == Align::Right {
                line.space(padding);
                line.append(cell);
                line.space(GAP);
            } else {
                line.append(cell);
                line.space(padding + GAP);
            }
        }
        line.append(rest);
        line
    }
}

/// The columns of the kind that any row fills, then those of what the rows have beside them.
fn natural(kind: Kind, rows: &[Row]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    // What comes after the first rows should not be wider than they are.
    let more = kind.flows() || rows.len() >= MOST_HELD;
    for spec in kind.specs() {
        let expected = kind.flows() && spec.least > 0;
        if expected || rows.iter().any(|row| row.cell(spec.name).is_some()) {
            columns.push(Column::known(spec, if more { spec.least } else { 0 }));
        }
    }
    let most = if kind.specs().is_empty() { usize::MAX } else { columns.len() + MOST_FOUND };
    for (name, cell) in rows.iter().flat_map(|row| &row.cells) {
        if columns.len() < most
            && !kind.specs().iter().any(|spec| spec.name == name)
            && !columns.iter().any(|column| column.name == *name)
        {
            columns.push(Column::found(name, cell));
        }
    }
    if kind == Kind::Summary {
        // Of totals that do not fit, those leave first that count nothing.
        let counts = |name: &str| {
            rows.iter().filter_map(|row| row.cell(name)).any(|cell| !matches!(cell.text().as_str(), "0"))
        };
        columns.iter_mut().filter(|column| !counts(&column.name)).for_each(|column| column.rank = 1);
    }
    columns
}

/// The columns of these names, in their order. None of them leaves a narrow window.
fn asked(kind: Kind, rows: &[Row], chosen: &[String]) -> Vec<Column> {
    let named = chosen.iter().filter(|name| !COMMAND.contains(&name.as_str()));
    let column = |name: &String| {
        let spec = kind.specs().iter().find(|spec| spec.name == name);
        let column = spec.map_or_else(
            || {
                let first = rows.iter().find_map(|row| row.cell(name)).cloned().unwrap_or_default();
                Column::found(name, &first)
            },
            |spec| Column::known(spec, 0),
        );
        Column { rank: STAYS, ..column }
    };
    named.map(column).collect()
}

impl Column {
    /// A column of a kind.
    fn known(spec: &Spec, width: usize) -> Self {
        let (heading, name) = (spec.heading.to_owned(), Cow::Borrowed(spec.name));
        Self { name, heading, align: spec.align, rank: spec.rank, width }
    }

    /// A column for a field that a tool has added, headed by its name without the unit. Numbers stand at its right.
    fn found(name: &str, first: &Cell) -> Self {
        let bare = name.strip_suffix("_ms").or_else(|| name.strip_suffix("_bytes"));
        let align = if bare.is_some() || first.is_number() { Align::Right } else { Align::Left };
        let heading = if name == "evidence" { "why" } else { bare.unwrap_or(name) };
        let zone = if is_time(name) { " (UTC)" } else { "" };
        let heading = format!("{}{zone}", heading.replace('_', " ").to_uppercase());
        let rank = match name {
            WARNING => STAYS,
            _ if ASIDE.contains(&name) => 0,
            _ if is_time(name) => 6,
            _ => 7,
        };
        Self { name: Cow::Owned(name.to_owned()), heading, align, rank, width: 0 }
    }
}
