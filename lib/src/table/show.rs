//! Showing a stream of records in the shape that is asked for.

use super::graph::{Graph, Language};
use super::lines::Lines;
use super::sheet::Sheet;
use crate::record::Record;

/// How records are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One row a record, columns aligned.
    Table,
    /// One row a record, drawn as a tree: by `depth`, or where that is missing by the parents.
    Tree,
    /// One row a record, separated by commas, for spreadsheets.
    Csv,
    /// A graph of processes and their children, in the language of Graphviz.
    Dot,
    /// The same, in the language of Mermaid.
    Mermaid,
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
/// A tree is shown when all of it is known, and rows separated by commas when all their columns are: unless these were
/// chosen. Everything else is shown as it comes, or at the latest with [`Show::flush`].
#[derive(Debug)]
pub struct Show(View);

#[derive(Debug)]
enum View {
    Lines(Lines),
    Sheet(Sheet),
    Graph(Graph),
}

impl Show {
    /// Begins a view with the columns that suit the records.
    pub fn new(shape: Shape, style: Style) -> Self {
        Self::with_columns(shape, style, Vec::new())
    }

    /// Begins a view with these columns, named as the fields of records are; with those that suit where it names none.
    pub fn with_columns(shape: Shape, style: Style, columns: Vec<String>) -> Self {
        Self(match shape {
            Shape::Table | Shape::Tree => View::Lines(Lines::new(shape == Shape::Tree, style, columns)),
            Shape::Csv => View::Sheet(Sheet::new(columns)),
            Shape::Dot => View::Graph(Graph::new(Language::Dot, style.ascii)),
            Shape::Mermaid => View::Graph(Graph::new(Language::Mermaid, style.ascii)),
        })
    }

    /// Takes a record; appends to `out` what can be shown already.
    pub fn add(&mut self, record: &Record, out: &mut Vec<u8>) {
        match &mut self.0 {
            View::Lines(lines) => lines.add(record, out),
            View::Sheet(sheet) => sheet.add(record, out),
            View::Graph(graph) => graph.add(record, out),
        }
    }

    /// Appends the rows that a table has waited with. A tree still waits for the rest of itself.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if let View::Lines(lines) = &mut self.0 {
            lines.flush(out);
        }
    }

    /// Appends the rest.
    pub fn end(self, out: &mut Vec<u8>) {
        match self.0 {
            View::Lines(lines) => lines.end(out),
            View::Sheet(sheet) => sheet.end(out),
            View::Graph(graph) => graph.end(out),
        }
    }
}

#[cfg(test)]
mod tests;
