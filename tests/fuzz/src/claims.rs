//! What must hold for any input.
//!
//! Each claim panics when it is broken. That nothing else panics, that memory stays in proportion, and that it ends,
//! is watched from outside.

#![allow(clippy::expect_used, reason = "a claim is broken by a panic")]

use std::io::BufReader;

use procherd::id::{Identity, Pid};
use procherd::record::{Process, Record};
use procherd::signal::Signal;
use procherd::source::{Stat, parse_stat};
use procherd::stream::{Item, Reader, Writer};
use procherd::text::{self, Text};

use crate::chance::Chance;

/// A reader, and what is claimed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The line of `/proc/PID/stat`.
    Stat,
    /// NDJSON: lines, records, identities, process records.
    Stream,
    /// `PID` and `PID:INODE`, as typed.
    Identity,
    /// Names and numbers of signals.
    Signal,
    /// Durations as people write them.
    Duration,
    /// Bytes that become text for terminals and records.
    Text,
}

impl Claim {
    /// All of them; the stream thrice, because it has the most to get wrong.
    pub(crate) const ALL: [Self; 8] = [
        Self::Stat,
        Self::Stream,
        Self::Stream,
        Self::Stream,
        Self::Identity,
        Self::Signal,
        Self::Duration,
        Self::Text,
    ];

    /// Its name, and that of its folder of seeds.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Stream => "stream",
            Self::Identity => "identity",
            Self::Signal => "signal",
            Self::Duration => "duration",
            Self::Text => "text",
        }
    }

    /// The claim of a name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|claim| claim.name() == name);
        found.ok_or_else(|| format!("read options: {name}: no such claim"))
    }

    /// Holds the reader to its claim.
    pub(crate) fn check(self, input: &[u8]) {
        let words = String::from_utf8_lossy(input);
        match self {
            Self::Stat => stat(input),
            Self::Stream => stream(input),
            Self::Identity => identity(&words),
            Self::Signal => signal(&words),
            Self::Duration => duration(&words),
            Self::Text => shown(input),
        }
    }
}

/// What is accepted says the same when it is written again as the kernel writes it; the name lies between parentheses.
fn stat(line: &[u8]) {
    let Some(stat) = parse_stat(line) else { return };
    let name = stat.comm(line);
    let at = name.as_ptr() as usize - line.as_ptr() as usize;
    assert!(line[..at].ends_with(b"(") && line[at + name.len()..].starts_with(b")"));
    let Stat { state, ppid, pgid, sid, tty, flags, cpu_ticks, threads, start_ticks, rss_pages, .. } = stat;
    let tty = tty.cast_signed();
    let (from, to) = stat.environment;
    let mut again = [b"7 (", name, b") ", &[state]].concat();
    again.extend_from_slice(
        format!(
            " {ppid} {pgid} {sid} {tty} 0 {flags} 0 0 0 0 {cpu_ticks} 0 0 0 0 0 {threads} 0 {start_ticks} 0 \
             {rss_pages}{} {from} {to} 0\n",
            " 0".repeat(25)
        )
        .as_bytes(),
    );
    let second = parse_stat(&again).expect("what was accepted is accepted again");
    let all = |stat: &Stat| {
        let numbers = (stat.ppid, stat.pgid, stat.sid, stat.tty, stat.flags, stat.threads);
        (stat.state, numbers, stat.cpu_ticks, stat.start_ticks, stat.rss_pages, stat.environment)
    };
    assert_eq!(all(&stat), all(&second));
    assert_eq!(name, second.comm(&again));
}

/// Lines are numbered in order, whatever the size of the chunks that they come in; records keep every byte.
fn stream(input: &[u8]) {
    let lines = input.split(|byte| *byte == b'\n').count();
    let mut reader = Reader::new(BufReader::with_capacity(1 + input.len() % 61, input));
    let (mut last, mut count) = (0, 0);
    while let Some(item) = reader.next_item().expect("memory can always be read") {
        count += 1;
        let number = match &item {
            Ok(_) => reader.line_number(),
            Err(bad) => bad.number,
        };
        assert!(number > last && number <= lines, "line {number} after {last} of {lines}");
        last = number;
        match item {
            Ok(Item::Record(record)) => kept(&record),
            Ok(Item::Identity(identity)) => in_range(&identity),
            Err(bad) => assert!(!bad.why.is_empty() && bad.why.len() < 4096 && !bad.why.contains('\n')),
        }
    }
    assert!(count <= lines);
}

/// A record is written as it was read, byte for byte; what is read from it is in range and stays the same.
fn kept(record: &Record) {
    let mut first = Vec::new();
    record.write_line(&mut first);
    let again = Record::parse(&first).expect("what was written is read");
    let mut second = Vec::new();
    again.write_line(&mut second);
    assert_eq!(first, second, "a record changed on its way");
    assert_eq!(first.iter().position(|byte| *byte == b'\n'), Some(first.len() - 1), "a record is one line");

    let mut safe = Vec::new();
    let mut writer = Writer::new(&mut safe, true);
    writer.write(|out| out.extend_from_slice(&first)).expect("memory can always be written");
    drop(writer);
    let letters = std::str::from_utf8(&safe).expect("output is UTF-8");
    let tame = |letter: char| letter == '\t' || !letter.is_control();
    assert!(letters.trim_end_matches('\n').chars().all(tame), "a control got through");
    let meaning = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    assert_eq!(meaning(&first), meaning(&safe), "escaping changed the meaning");

    if let Ok(identity) = record.identity() {
        in_range(&identity);
    }
    for name in ["comm", "exe", "cmdline", "user", "extra"] {
        if let Ok(Some(bytes)) = record.field::<Text>(name) {
            let json = serde_json::to_string(&bytes).expect("text can be written");
            assert_eq!(serde_json::from_str::<Text>(&json).expect("and read"), bytes);
        }
    }
    let Ok(process) = Process::from_record(record, 100) else { return };
    let view = view();
    let mut line = Vec::new();
    process.line(&view, &mut line).end();
    let written = Record::parse(&line).expect("a process is written as a record");
    let same = Process::from_record(&written, 100).expect("which is a process again");
    let mut second = Vec::new();
    same.line(&view, &mut second).end();
    assert_eq!(
        String::from_utf8_lossy(&line),
        String::from_utf8_lossy(&second),
        "a process changed on its way"
    );
    let identity = written.identity().expect("a process has an identity");
    assert_eq!((identity.pid, identity.inode), (process.pid, process.inode));
}

fn identity(typed: &str) {
    if let Ok(pid) = typed.parse::<Pid>() {
        assert!((1..=Pid::MAX).contains(&pid.get()) && pid.raw() > 0);
        assert!(typed.bytes().all(|byte| byte.is_ascii_digit()));
    }
    let Ok(identity) = typed.parse::<Identity>() else { return };
    in_range(&identity);
    let shown = identity.to_string();
    assert_eq!(shown.parse::<Identity>().as_ref(), Ok(&identity));
    let digits =
        |text: &str| text.split(':').map(|part| part.trim_start_matches('0').to_owned()).collect::<Vec<_>>();
    assert_eq!(digits(typed), digits(&shown), "what was typed is what is meant");
}

fn in_range(identity: &Identity) {
    assert!((1..=Pid::MAX).contains(&identity.pid.get()), "{identity:?}");
    if let Some(boot) = identity.boot {
        assert_eq!(boot.to_string().parse(), Ok(boot));
    }
    if let Some(machine) = identity.machine {
        assert_eq!(machine.to_string().parse(), Ok(machine));
    }
}

fn signal(name: &str) {
    let Ok(signal) = name.parse::<Signal>() else { return };
    assert!((1..=64).contains(&signal.number()), "{name:?} is {}", signal.number());
    assert_eq!(signal.to_string().parse(), Ok(signal), "{name:?} is written as {signal}");
}

fn duration(typed: &str) {
    let Ok(duration) = text::parse_duration(typed) else { return };
    let shown = text::short_duration(duration);
    assert!(!shown.is_empty() && shown.len() < 40, "{shown}");
    assert!(typed.bytes().any(|byte| byte.is_ascii_digit()), "{typed:?} was read as {duration:?}");
}

/// What a terminal gets holds no control; what a record gets comes back as it was.
fn shown(bytes: &[u8]) {
    let visible = text::visible(bytes);
    assert!(!visible.chars().any(char::is_control), "a control got through: {visible:?}");
    assert_eq!(
        text::joined(bytes).len(),
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    );
    let argv: Vec<&[u8]> = text::arguments(bytes).collect();
    let mut whole = argv.join(&0);
    whole.extend(bytes.last().filter(|last| **last == 0 && !argv.is_empty()));
    assert_eq!(whole, bytes, "arguments got lost");
    let kept = Text::from(bytes);
    let json = serde_json::to_string(&kept).expect("text can be written");
    assert_eq!(serde_json::from_str::<Text>(&json).expect("and read"), kept);
    if let Ok(number) = std::str::from_utf8(bytes).unwrap_or_default().parse::<u64>() {
        assert!(text::rfc3339(number).to_string().len() >= 20 && text::short_size(number).len() < 12);
    }
}

/// A look at nowhere, the same every time.
fn view() -> procherd::record::View {
    procherd::record::View {
        place: procherd::id::Place {
            boot: "6cbf2b60-0d3e-4cf5-b2b8-2f0d2a2b7a11".parse().expect("a boot id"),
            pid_ns: 4_026_531_836,
            machine: None,
            host: "here".into(),
        },
        boot_ms: 100_000,
        unix_ms: 1_700_000_000_000,
        ticks_per_second: 100,
        users: std::collections::HashMap::new(),
    }
}

/// Pieces that readers give a meaning to: mutation puts them in.
pub(crate) fn piece(claim: Claim, chance: &mut Chance) -> Vec<u8> {
    const NUMBERS: [&str; 16] = [
        "0",
        "1",
        "-1",
        "+1",
        "2",
        "4194304",
        "4194305",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "0.1",
        "99999999999999999999",
    ];
    const JSON: [&str; 18] = [
        "{}",
        "[]",
        "null",
        "true",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "{\"bytes\":\"/w==\"}",
        "{\"bytes\":\"!\"}",
        "\"\u{9b}31m\"",
        "\"\u{7f}\"",
        "\u{feff}",
        ",",
        ":",
        "\\",
        "\"",
        "\n",
        "\r\n",
    ];
    const WORDS: [&str; 20] = [
        "SIG", "RTMIN", "RTMAX+", "TERM", "kill", "-", "+", ":", "ms", "s", "m", "h", "day", " ", ".", "e9",
        "inf", "NaN", "\u{212a}", "0x",
    ];
    const STAT: [&str; 10] = ["(", ")", ") ", " (", " ", "\n", "-", "\0", ") S ", "\x1b["];
    let word = match (claim, chance.below(4)) {
        (_, 0) => *chance.one_of(&NUMBERS),
        (Claim::Stream, 1) => return format!("\"{}\":", chance.one_of(&Process::FIELDS)).into_bytes(),
        (Claim::Stream, 2) => {
            return [*chance.one_of(&["[", "{\"a\":", "]", "}"])].concat().repeat(chance.below(140)).into();
        }
        (Claim::Stream | Claim::Text, _) => chance.one_of(&JSON),
        (Claim::Stat, _) => chance.one_of(&STAT),
        _ => chance.one_of(&WORDS),
    };
    word.as_bytes().to_vec()
}
