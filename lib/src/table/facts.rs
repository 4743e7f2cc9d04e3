//! The facts of a record as cells: each as people read it, with what it means.

use std::time::Duration;

use serde_json::value::RawValue;

use super::cell::{Cell, Tone};
use super::held;
use crate::record::Record;
use crate::status::State;
use crate::text::{Text, parse_rfc3339, short_duration, short_size, visible};

/// The facts of a record, as cells.
pub(super) trait Facts {
    fn number(&self, name: &str) -> Option<u64>;
    fn is(&self, name: &str) -> bool;
    /// A dead main thread with living threads is alive.
    fn is_dead(&self) -> bool;
    fn plain(&self, name: &str) -> Option<Cell>;
    fn duration(&self, name: &str) -> Option<Cell>;
    fn words(&self, name: &str) -> Option<Cell>;
    /// The age at the look; of a service, the time since its start, as long as it lives.
    fn age(&self) -> Option<Cell>;
    /// Threads of the kernel and the dead use none of their own.
    fn memory(&self) -> Option<Cell>;
    fn state(&self) -> Option<Cell>;
    fn outcome(&self) -> Option<Cell>;
    fn event(&self) -> Option<Cell>;
    fn scope(&self) -> Option<Cell>;
    fn alive(&self) -> Option<Cell>;
    fn severity(&self) -> Option<Cell>;
    /// What stands out: words in front of the command, which no window is too narrow for.
    fn notes(&self) -> Cell;
    /// What a row is about beside its process: a socket, a port, a file, a service that is not there.
    fn about(&self) -> Cell;
    /// The command line as a person would type it, else the name: in brackets, as ps(1) has it, unless it is dead.
    fn command(&self, longest: Option<usize>) -> Cell;
    /// An argument vector, or a command line that was written as one text.
    fn arguments(&self, name: &str) -> Option<Vec<Text>>;
}

impl Facts for Record {
    fn number(&self, name: &str) -> Option<u64> {
        self.field(name).ok().flatten()
    }

    fn is(&self, name: &str) -> bool {
        matches!(self.field(name), Ok(Some(true)))
    }

    fn is_dead(&self) -> bool {
        let state: Option<char> = self.field("state").ok().flatten();
        self.is("zombie") || (state == Some('Z') && self.number("threads").is_none_or(|threads| threads <= 1))
    }

    fn plain(&self, name: &str) -> Option<Cell> {
        let raw = self.get(name)?;
        let text = if raw.get().starts_with(['[', '{', 't', 'f']) { String::new() } else { in_words(raw) };
        (!text.is_empty()).then(|| Cell::new(Tone::Plain, text))
    }

    fn duration(&self, name: &str) -> Option<Cell> {
        Some(Cell::new(Tone::Plain, short_duration(Duration::from_millis(self.number(name)?))))
    }

    fn words(&self, name: &str) -> Option<Cell> {
        found(name, self.get(name)?)
    }

    fn age(&self) -> Option<Cell> {
        let age = match self.number("age_ms") {
            Some(age) => age,
            None if self.text("alive").is_some_and(|word| word != "alive") => return None,
            None => {
                let started = parse_rfc3339(&self.text("started_at")?)?;
                let now = std::time::SystemTime::UNIX_EPOCH.elapsed().ok()?.as_millis();
                u64::try_from(now).ok()?.checked_sub(started)?
            }
        };
        Some(Cell::new(Tone::Plain, short_duration(Duration::from_millis(age))))
    }

    fn memory(&self) -> Option<Cell> {
        let bytes = self.number("rss_bytes").filter(|bytes| *bytes > 0)?;
        Some(Cell::new(Tone::Plain, short_size(bytes)))
    }

    fn state(&self) -> Option<Cell> {
        let letter = self.field::<char>("state").ok()??;
        let state = State::new(u8::try_from(letter).unwrap_or(b'?'));
        let tone = match state {
            state if state.is_dead() => Tone::Bad,
            state if state.is_stopped() || state.is_uninterruptible() => Tone::Notice,
            _ => Tone::Plain,
        };
        Some(Cell::new(tone, state.word()))
    }

    fn outcome(&self) -> Option<Cell> {
        let word = self.text("outcome")?;
        let tone = match word.as_str() {
            "exited" | "already-gone" | "gone" | "ready" | "free" | "quiet" => Tone::Good,
            "killed" | "protected" | "foreign" | "identity-changed" => Tone::Notice,
            "survived" | "not-permitted" | "held" | "unsettled" | "changing" | "missing" => Tone::Bad,
            _ => Tone::Plain,
        };
        Some(Cell::new(tone, word.replace('-', " ")))
    }

    fn event(&self) -> Option<Cell> {
        let word = self.text("event")?;
        let tone = match word.as_str() {
            "recovered" => Tone::Good,
            "orphaned" | "unhealthy" | "left" => Tone::Notice,
            "zombie" | "failed" | "refused" | "reload-refused" => Tone::Bad,
            _ => Tone::Plain,
        };
        Some(Cell::new(tone, word))
    }

    fn scope(&self) -> Option<Cell> {
        let named = |name| self.plain(name);
        match self.text("scope").as_deref() {
            Some("project") => named("project"),
            Some("session") => {
                let mut cell = Cell::new(Tone::Plain, "session ");
                cell.append(named("session")?);
                Some(cell)
            }
            _ => named("scope"),
        }
    }

    fn alive(&self) -> Option<Cell> {
        let word = self.text("alive")?;
        Some(Cell::new(life(&word), word))
    }

    fn severity(&self) -> Option<Cell> {
        let word = self.text("severity")?;
        let tone = match word.as_str() {
            "ok" => Tone::Good,
            "error" => Tone::Bad,
            "warning" => Tone::Notice,
            _ => Tone::Plain,
        };
        Some(Cell::new(tone, word))
    }

    fn notes(&self) -> Cell {
        let mut notes = Cell::default();
        let mut note = |tone, text: &str| {
            notes.push(tone, format!("[{text}]"));
            notes.space(1);
        };
        let state = self.field::<char>("state").ok().flatten();
        // Of one that was to be ended, it is the last that is known of it, and no reproach.
        let outcome = self.text("outcome");
        if self.is_dead() {
            note(if outcome.is_some() { Tone::Faint } else { Tone::Bad }, "zombie");
        }
        if self.is("orphan") {
            note(Tone::Notice, "orphan");
        }
        if matches!(state, Some('T' | 't')) && outcome.is_none_or(|outcome| outcome == "survived") {
            note(Tone::Notice, "stopped");
        }
        match self.text("status").as_deref() {
            None | Some("running") => {}
            Some(status) => note(Tone::Notice, status),
        }
        if let Some(reason) = self.text("reason") {
            note(Tone::Notice, &reason);
        }
        match (self.text("event"), self.text("exit_signal"), self.number("exit_status")) {
            (None, ..) | (_, None, None) => {}
            (_, Some(signal), _) => note(Tone::Notice, &format!("killed by {signal}")),
            (_, _, Some(0)) => note(Tone::Faint, "exit 0"),
            (_, _, Some(status)) => note(Tone::Notice, &format!("exit {status}")),
        }
        if let Some(channel) = self.text("wchan") {
            note(Tone::Bad, &format!("waits in {channel}"));
        }
        if let Some(replaced) = self.get("replaced_by") {
            let place = self.text("replaced_in").map_or(String::new(), |place| format!(" ({place})"));
            note(Tone::Bad, &format!("replaced by {}{place}", in_words(replaced)));
        }
        notes
    }

    fn about(&self) -> Cell {
        let text = |name: &str| self.plain(name).map(|cell| cell.text());
        let port = || {
            // The port of a service is no part of what became of its process.
            let first = text("port").filter(|_| self.get("pid").is_none())?;
            let last = text("last_port").map_or(String::new(), |last| format!("..{last}"));
            let protocol = text("protocol").map_or(String::new(), |protocol| format!("/{protocol}"));
            Some(format!("port {first}{last}{protocol}"))
        };
        let mut about = Cell::default();
        let sockets = self.get("sockets").and_then(|raw| found("sockets", raw)).map(|cell| cell.text());
        let mut note = |text: Option<String>| {
            if let Some(text) = text {
                about.push(Tone::Plain, format!("[{text}]"));
                about.space(1);
            }
        };
        note(sockets);
        note(port().or_else(|| self.get("address").and_then(|_| held::place(self))));
        note(text("file"));
        note(text("name").map(|name| format!("service {name}")));
        about
    }

    fn command(&self, longest: Option<usize>) -> Cell {
        let argv = self.arguments("cmdline").or_else(|| self.arguments("command"));
        let mut line = Vec::new();
        for argument in argv.iter().flatten() {
            if !line.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(argument.bytes());
            // A character takes four bytes at most, and some take no column: beyond this nothing is in sight.
            if longest.is_some_and(|longest| line.len() / 16 > longest) {
                break;
            }
        }
        line.truncate(line.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1));
        if let Some(longest) = longest {
            line.truncate((longest + 1) * 16);
        }
        if !line.is_empty() {
            return Cell::new(Tone::Plain, line);
        }
        let named = |name| self.field::<Text>(name).ok().flatten();
        let Some(name) = named("comm") else {
            return named("script")
                .map_or_else(Cell::default, |script| Cell::new(Tone::Plain, script.bytes()));
        };
        if self.is_dead() {
            return Cell::new(Tone::Plain, name.bytes());
        }
        Cell::new(Tone::Faint, [b"[", name.bytes(), b"]"].concat())
    }

    fn arguments(&self, name: &str) -> Option<Vec<Text>> {
        let list: Option<Vec<Text>> = self.field(name).ok().flatten();
        list.or_else(|| self.field(name).ok().flatten().map(|text| vec![text]))
    }
}

/// What a tool has found, by the name of its field: units as people read them, evidence in words.
pub(super) fn found(name: &str, raw: &RawValue) -> Option<Cell> {
    let text = match raw.get().parse::<u64>() {
        Ok(ms) if name.ends_with("_ms") => short_duration(Duration::from_millis(ms)),
        Ok(bytes) if name.ends_with("_bytes") => short_size(bytes),
        _ if name == "evidence" => evidence(raw),
        _ if name == "locks" => held::locks_in_words(raw).unwrap_or_else(|| in_words(raw)),
        _ if is_time(name) => time(raw),
        _ if name == "sockets" => held::in_words(raw).unwrap_or_else(|| in_words(raw)),
        _ => in_words(raw),
    };
    let tone = match (name, text.as_str()) {
        ("health", "ok" | "healthy") => Tone::Good,
        ("health", _) => Tone::Bad,
        ("alive", word) => life(word),
        _ => Tone::Plain,
    };
    (!text.is_empty()).then(|| Cell::new(tone, text))
}

/// What it means that somebody lives, or does not.
fn life(word: &str) -> Tone {
    match word {
        "alive" => Tone::Good,
        "dead" => Tone::Bad,
        _ => Tone::Notice,
    }
}

/// Tells whether a field says when something was, by the wall clock.
pub(super) fn is_time(name: &str) -> bool {
    name == "at" || name.ends_with("_at")
}

/// A moment as people read it: its heading says that it is UTC.
fn time(raw: &RawValue) -> String {
    let text = in_words(raw);
    match (parse_rfc3339(&text), text.strip_suffix('Z').and_then(|bare| bare.split_once('T'))) {
        (Some(_), Some((day, time))) => format!("{day} {time}"),
        _ => text,
    }
}

/// Pieces of evidence, the proving ones first, each kind in words.
fn evidence(raw: &RawValue) -> String {
    let Ok(pieces) = serde_json::from_str::<Vec<Record>>(raw.get()) else { return in_words(raw) };
    let of = |certain: bool| {
        pieces.iter().filter(move |piece| (piece.text("strength").as_deref() == Some("certain")) == certain)
    };
    let words =
        of(true).chain(of(false)).map(|piece| match piece.text("kind").unwrap_or_default().as_str() {
            "session-differs-from-parent" => "not parent's session".to_owned(),
            "session-dead" => "session leader dead".into(),
            "group-leader-gone" => "group leader gone".into(),
            "tty-gone" => "terminal gone".into(),
            "cookie-of-dead-session" => "mark of a dead session".into(),
            "below-orphan" => "below an orphan".into(),
            "unregistered" => "not registered".into(),
            kind => kind.replace('-', " "),
        });
    words.collect::<Vec<_>>().join(", ")
}

/// The fields of an object in words: numbers, which say nothing by themselves, each with its name.
fn pairs(record: &Record) -> String {
    let is_number = |value: &RawValue| value.get().bytes().all(|byte| byte.is_ascii_digit());
    let named = record.fields().all(|(_, value)| is_number(value));
    let mut text = String::new();
    for (name, value) in record.fields() {
        let words = in_words(value);
        if !text.is_empty() && !words.is_empty() {
            text.push_str(if named { ", " } else { " " });
        }
        if named {
            text.push_str(&name.replace('_', " "));
            text.push(' ');
        }
        text.push_str(&words);
    }
    text
}

/// Any JSON value as a few words.
fn in_words(raw: &RawValue) -> String {
    let list = |values: &mut dyn Iterator<Item = &RawValue>, between: &str| {
        values.map(in_words).filter(|words| !words.is_empty()).collect::<Vec<_>>().join(between)
    };
    match raw.get() {
        "null" => String::new(),
        "true" => "yes".into(),
        "false" => "no".into(),
        text if text.starts_with('[') => {
            let values: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
            list(&mut values.iter().map(|value| &**value), ", ")
        }
        text if text.starts_with('{') => match (serde_json::from_str(text), serde_json::from_str(text)) {
            (Ok(text), _) => visible(Text::bytes(&text)),
            (_, Ok(record)) => {
                let record: Record = record;
                record.get("pid").map_or_else(|| pairs(&record), in_words)
            }
            _ => String::new(),
        },
        text => serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()),
    }
}
