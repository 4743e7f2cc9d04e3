//! Processes and their children as a graph, for Graphviz and Mermaid to draw.

use std::fmt::Write as _;

use super::cell::{Cell, Tone};
use super::kin::{Family, Person};
use super::row::Row;
use super::show::Style;
use crate::record::Record;

/// The language that a graph is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Of Graphviz, `dot(1)`.
    Dot,
    /// Of Mermaid.
    Mermaid,
}

/// The longest line in a box, in columns.
const LONGEST: usize = 60;

/// Writes a box for each process, and an arrow from its parent where that came before. Records that name no process are
/// not shown; one that comes again is not drawn again.
#[derive(Debug)]
pub(super) struct Graph {
    language: Language,
    style: Style,
    family: Family,
    begun: bool,
}

impl Graph {
    pub(super) fn new(language: Language, ascii: bool) -> Self {
        let style = Style { width: Some(LONGEST), colour: false, ascii };
        Self { language, style, family: Family::default(), begun: false }
    }

    pub(super) fn add(&mut self, record: &Record, out: &mut Vec<u8>) {
        self.begin(out);
        let Some(member) = self.family.add(record, 0).filter(|member| member.new) else { return };
        let row = Row::of(record, &self.style, &[]);
        let mut first = Cell::new(Tone::Plain, member.own.pid.to_string());
        for name in ["service", "outcome", "event", "health"] {
            if let Some(cell) = row.cell(name) {
                first.space(1);
                first.append(cell.clone());
            }
        }
        let (tone, mut command) = (row.tone(), row.rest);
        for line in [&mut first, &mut command] {
            line.shorten_paths(LONGEST, self.style.ascii);
            line.cut(LONGEST, self.style.ascii);
        }
        let (own, lines) = (name(&member.own), [first.text(), command.text()]);
        let mut text = match self.language {
            Language::Dot => dot(&own, &lines, tone),
            Language::Mermaid => mermaid(&own, &lines, tone),
        };
        if let Some(parent) = member.parent {
            let arrow = if self.language == Language::Dot { "->" } else { "-->" };
            let _ = writeln!(text, "  {} {arrow} {own}", name(&parent));
        }
        out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn end(mut self, out: &mut Vec<u8>) {
        self.begin(out);
        if self.language == Language::Dot {
            out.extend_from_slice(b"}\n");
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(match self.language {
                Language::Dot => DOT_HEAD.as_bytes(),
                Language::Mermaid => MERMAID_HEAD.as_bytes(),
            });
        }
    }
}

const DOT_HEAD: &str = "\
digraph processes {
  graph [rankdir=LR]
  node [shape=box, fontname=\"monospace\", fontsize=10]
";

const MERMAID_HEAD: &str = "\
flowchart LR
  classDef good stroke:#2a2
  classDef notice stroke:#c80,stroke-width:2px
  classDef bad stroke:#c00,stroke-width:3px
";

/// The name of a box. A number that was given away names another process, and another box.
fn name(person: &Person) -> String {
    match person.start_ticks {
        Some(ticks) => format!("p{}_{ticks}", person.pid),
        None => format!("p{}", person.pid),
    }
}

fn dot(name: &str, lines: &[String], tone: Tone) -> String {
    let label: String = lines.iter().map(|line| escaped(line, &DOT) + "\\l").collect();
    let colour = match tone {
        Tone::Good => ", color=\"#22aa22\"",
        Tone::Notice => ", color=\"#cc8800\", penwidth=2",
        Tone::Bad => ", color=\"#cc0000\", penwidth=3",
        _ => "",
    };
    format!("  {name} [label=\"{label}\"{colour}]\n")
}

fn mermaid(name: &str, lines: &[String], tone: Tone) -> String {
    let label = lines.iter().map(|line| escaped(line, &MERMAID)).collect::<Vec<_>>().join("<br/>");
    let class = match tone {
        Tone::Good => ":::good",
        Tone::Notice => ":::notice",
        Tone::Bad => ":::bad",
        _ => "",
    };
    format!("  {name}[\"{label}\"]{class}\n")
}

const DOT: [(char, &str); 2] = [('"', "\\\""), ('\\', "\\\\")];

/// What Mermaid would take for markup, for Markdown or for the end of the text.
const MERMAID: [(char, &str); 8] = [
    ('"', "#quot;"),
    ('#', "#35;"),
    ('&', "#amp;"),
    ('<', "#lt;"),
    ('>', "#gt;"),
    ('`', "#96;"),
    ('\\', "#92;"),
    ('*', "#42;"),
];

/// Text in which the letters that a language reads as its own are replaced.
fn escaped(text: &str, replaced: &[(char, &str)]) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match replaced.iter().find(|(from, _)| *from == letter) {
            Some((_, to)) => safe.push_str(to),
            None => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(language: Language, lines: &[&str]) -> String {
        let (mut graph, mut out) = (Graph::new(language, false), Vec::new());
        for line in lines {
            graph.add(&Record::parse(line.as_bytes()).expect("a record"), &mut out);
        }
        graph.end(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    const TREE: [&str; 4] = [
        r#"{"type":"process","pid":1,"start_ticks":2,"cmdline":["init"]}"#,
        r#"{"type":"process","pid":9,"ppid":1,"start_ticks":50,"cmdline":["say","\"<b>\\n`\n"],"orphan":true}"#,
        r#"{"type":"summary","count":1}"#,
        r#"{"type":"process","pid":9,"ppid":1,"start_ticks":50,"cmdline":["again"]}"#,
    ];

    #[test]
    fn graphviz_reads_what_any_process_is_called() {
        let text = drawn(Language::Dot, &TREE);
        assert_eq!(
            text.strip_prefix(DOT_HEAD).expect("a head"),
            "  p1_2 [label=\"1\\linit\\l\"]\n  \
               p9_50 [label=\"9\\l[orphan] say \\\"<b>\\\\n`\\\\n\\l\", color=\"#cc8800\", penwidth=2]\n  \
               p1_2 -> p9_50\n}\n"
        );
        assert_eq!(drawn(Language::Dot, &[]), format!("{DOT_HEAD}}}\n"));
    }

    #[test]
    fn mermaid_reads_what_any_process_is_called() {
        let text = drawn(Language::Mermaid, &TREE);
        assert_eq!(
            text.strip_prefix(MERMAID_HEAD).expect("a head"),
            "  p1_2[\"1<br/>init\"]\n  \
               p9_50[\"9<br/>[orphan] say #quot;#lt;b#gt;#92;n#96;#92;n\"]:::notice\n  \
               p1_2 --> p9_50\n"
        );
    }
}
