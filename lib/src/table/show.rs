//! Showing a stream of records.

use std::borrow::Cow;

use super::cell::{Cell, Tone};
use super::picture;
use super::row::{Align, Kind, Row};
use crate::record::Record;

/// How records are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One row a record, columns aligned.
    Table,
    /// One row a record, drawn as a tree by `depth`.
    Tree,
}

/// What the reader's window can show.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the window; none for a file, where nothing is cut.
    pub width: Option<usize>,
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether only ASCII may be used.
    pub ascii: bool,
}

/// Shows records one after the other.
///
/// A tree is shown when all of it is known. A table waits for its first rows to choose its columns by; what comes over
/// time (outcomes, events) is shown at once, and so is everything after the first rows or after [`Show::flush`].
/// Columns then only grow.
#[derive(Debug)]
pub struct Show {
    shape: Shape,
    style: Style,
    held: Vec<Row>,
    open: Option<Table>,
    empty: bool,
}

/// How many rows a table waits for at most.
const MOST_HELD: usize = 1000;
/// How many levels of a tree are drawn where no window limits them.
const MOST_LEVELS: usize = 64;
/// The widest that a column is made in any window, the command apart.
const WIDEST: usize = 48;
/// How many columns of what a tool has found are shown.
const MOST_FOUND: usize = 6;
/// Columns between two fields.
const GAP: usize = 2;

impl Show {
    /// Begins a view.
    pub fn new(shape: Shape, style: Style) -> Self {
        Self { shape, style, held: Vec::new(), open: None, empty: true }
    }

    /// Takes a record; appends to `out` what can be shown already.
    pub fn add(&mut self, record: &Record, out: &mut Vec<u8>) {
        let row = Row::of(record, self.style.width, self.style.ascii);
        if self.shape == Shape::Tree {
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
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if self.shape == Shape::Table && !self.held.is_empty() {
            let rows = std::mem::take(&mut self.held);
            self.begin(&rows, out);
        }
    }

    /// Appends the rest.
    pub fn end(mut self, out: &mut Vec<u8>) {
        let mut rows = std::mem::take(&mut self.held);
        if self.shape == Shape::Tree {
            let depths: Vec<usize> = rows.iter().map(|row| row.depth).collect();
            let levels = self.style.width.map_or(MOST_LEVELS, |width| width / 3 / 3);
            for (row, lines) in rows.iter_mut().zip(picture::lines(&depths, levels, self.style.ascii)) {
                let mut rest = Cell::new(Tone::Faint, lines);
                rest.append(std::mem::take(&mut row.rest));
                row.rest = rest;
            }
        }
        self.begin(&rows, out);
    }

    /// Opens a table by its first rows, and writes them.
    fn begin(&mut self, rows: &[Row], out: &mut Vec<u8>) {
        let Some(first) = rows.first() else { return };
        if !std::mem::take(&mut self.empty) {
            out.push(b'\n');
        }
        let mut table = Table::of(first.kind, rows, &self.style);
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
    /// Chooses the columns: those of the kind that any row fills, then what the rows have beside them.
    fn of(kind: Kind, rows: &[Row], style: &Style) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        for spec in kind.specs() {
            let expected = kind.flows() && spec.least > 0;
            if expected || rows.iter().any(|row| row.cell(spec.name).is_some()) {
                columns.push(Column {
                    name: Cow::Borrowed(spec.name),
                    heading: spec.heading.to_owned(),
                    align: spec.align,
                    rank: spec.rank,
                    width: if expected { spec.least } else { 0 },
                });
            }
        }
        let natural = columns.len();
        let most = if kind == Kind::Other { usize::MAX } else { natural + MOST_FOUND };
        for (name, cell) in rows.iter().flat_map(|row| &row.cells) {
            let known = |spec: &super::row::Spec| spec.name == name;
            if columns.len() < most
                && !kind.specs().iter().any(known)
                && !columns.iter().any(|column| column.name == *name)
            {
                columns.push(Column::found(name, cell));
            }
        }
        let rest = if kind.flows() || rows.iter().any(|row| row.rest.width() > 0) { "COMMAND" } else { "" };
        let mut table = Self { kind, columns, rest };
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
            let wanted = row.cell(&column.name).map_or(0, Cell::width);
            column.width = column.width.max(wanted.min(widest));
        }
    }

    /// Leaves out columns, the least important first, until the command has enough room.
    fn fit(&mut self, longest: usize, style: &Style) {
        let Some(window) = style.width else { return };
        let share = (window * 2 / 5).max(16);
        let wanted = if self.kind.flows() { share } else { longest.min(share) };
        loop {
            let used: usize = self.columns.iter().map(|column| column.width + GAP).sum();
            let least = self.columns.iter().map(|column| column.rank).min().filter(|rank| *rank < 9);
            let Some(least) = least.filter(|_| used + wanted > window) else { return };
            if let Some(at) = self.columns.iter().rposition(|column| column.rank == least) {
                self.columns.remove(at);
            }
        }
    }

    fn write_heading(&self, style: &Style, out: &mut Vec<u8>) {
        let heading = |column: &Column| Some(Cell::new(Tone::Heading, &column.heading));
        self.line(heading, Cell::new(Tone::Heading, self.rest), style).write_line(style, out);
    }

    fn write(&mut self, row: &Row, style: &Style, out: &mut Vec<u8>) {
        self.widen(row, style);
        let cell = |column: &Column| row.cell(&column.name).cloned();
        self.line(cell, row.rest.clone(), style).write_line(style, out);
    }

    /// Puts cells side by side, each padded to its column.
    fn line(&self, cell: impl Fn(&Column) -> Option<Cell>, rest: Cell, style: &Style) -> Cell {
        let mut line = Cell::default();
        for column in &self.columns {
            let mut cell = cell(column).unwrap_or_else(|| Cell::new(Tone::Faint, "-"));
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

impl Column {
    /// A column for a field that a tool has added, headed by its name without the unit. Numbers stand at its right.
    fn found(name: &str, first: &Cell) -> Self {
        let bare = name.strip_suffix("_ms").or_else(|| name.strip_suffix("_bytes"));
        let align = if bare.is_some() || first.is_number() { Align::Right } else { Align::Left };
        let heading = if name == "evidence" { "why" } else { bare.unwrap_or(name) };
        let heading = heading.replace('_', " ").to_uppercase();
        Self { name: Cow::Owned(name.to_owned()), heading, align, rank: 7, width: 0 }
    }
}

#[cfg(test)]
mod tests;
