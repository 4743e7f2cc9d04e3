//! Showing a stream of records.

use crate::record::Record;
use crate::text::{Text, visible};

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
#[derive(Debug)]
pub struct Show {
    shape: Shape,
    style: Style,
    rows: Vec<(usize, String)>,
}

impl Show {
    /// Begins a view.
    pub fn new(shape: Shape, style: Style) -> Self {
        Self { shape, style, rows: Vec::new() }
    }

    /// Takes a record; appends to `out` what can be shown already.
    pub fn add(&mut self, record: &Record, _out: &mut Vec<u8>) {
        let depth = record.field("depth").ok().flatten().unwrap_or(0);
        let pid: Option<u64> = record.field("pid").ok().flatten();
        let argv: Vec<Text> = record.field("cmdline").ok().flatten().unwrap_or_default();
        let words: Vec<String> = argv.iter().map(|argument| visible(argument.bytes())).collect();
        self.rows.push((depth, format!("{} {}", pid.unwrap_or(0), words.join(" "))));
    }

    /// Appends the rest.
    pub fn end(self, out: &mut Vec<u8>) {
        for (depth, row) in self.rows {
            let indent = if self.shape == Shape::Tree { 2 * depth } else { 0 };
            let line: String = " ".repeat(indent) + &row;
            let width = self.style.width.unwrap_or(usize::MAX);
            out.extend(line.chars().take(width).collect::<String>().into_bytes());
            out.push(b'\n');
        }
    }
}
