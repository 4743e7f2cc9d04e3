//! Newline-delimited JSON in and out.
//!
//! Reading is bounded: a line longer than [`LONGEST_LINE`] is skipped and reported, never kept. Every bad line is an
//! item of its own with its number, so that a tool can say so and go on.

use std::io::{self, BufRead, Write};

use crate::id::Identity;
use crate::record::Record;

/// The longest line that is read, in bytes. The record of a process with the largest argument vector that the kernel
/// takes by default (2 MiB, each byte written as a six-byte escape) still fits.
pub const LONGEST_LINE: usize = 16 << 20;

/// One line of input that is not empty.
#[derive(Debug)]
pub enum Item {
    /// A JSON object.
    Record(Record),
    /// A bare number or `PID:INODE`.
    Identity(Identity),
}

/// Reads items from a stream, line by line.
pub struct Reader<R> {
    input: R,
    line: Vec<u8>,
    number: usize,
}

/// A line that could not be used.
#[derive(Debug)]
pub struct BadLine {
    /// Its number, counted from 1.
    pub number: usize,
    /// What is wrong with it.
    pub why: String,
}

impl<R: BufRead> Reader<R> {
    /// Reads from the given input.
    pub fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// The number of the line that was read last.
    pub fn line_number(&self) -> usize {
        self.number
    }

    /// Reads the next item; none at the end. A failure of the input itself ends the stream.
    pub fn next_item(&mut self) -> io::Result<Option<Result<Item, BadLine>>> {
        loop {
            let Some(whole) = self.read_line()? else { return Ok(None) };
            let bad = |why: String| Ok(Some(Err(BadLine { number: self.number, why })));
            if !whole {
                return bad(format!("longer than {} MiB", LONGEST_LINE >> 20));
            }
            let text = self.line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            return match parse(text) {
                Ok(item) => Ok(Some(Ok(item))),
                Err(why) => bad(why),
            };
        }
    }

    /// Reads one line into the buffer. False when it was too long: then it has been skipped to its end.
    fn read_line(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let mut whole = true;
        let mut any = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + part.len() > LONGEST_LINE {
                whole = false;
                self.line = Vec::new();
            } else if whole {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number += usize::from(any);
        Ok(any.then_some(whole))
    }
}

fn parse(text: &[u8]) -> Result<Item, String> {
    match text.first() {
        Some(b'{') if text == b"{" => Err("a record must stand on one line (jq -c writes it so)".into()),
        Some(b'{') => Record::parse(text).map(Item::Record).map_err(|error| error.why().to_owned()),
        Some(first) if first.is_ascii_digit() || *first == b'-' || *first == b'+' => {
            let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
            text.parse().map(Item::Identity).map_err(str::to_owned)
        }
        _ => Err("neither a JSON object nor a process number".into()),
    }
}

/// Writes records: each line whole; at once when somebody watches, in large blocks otherwise.
pub struct Writer<W: Write> {
    output: W,
    waiting: Vec<u8>,
    at_once: bool,
    block: usize,
}

impl<W: Write> Writer<W> {
    const BLOCK: usize = 64 << 10;

    /// Writes to the given output. `at_once` hands on every line by itself.
    pub fn new(output: W, at_once: bool) -> Self {
        Self { output, waiting: Vec::new(), at_once, block: Self::BLOCK }
    }

    /// Never waits for the reader but in [`Writer::flush`]: lines wait in memory until they are offered.
    pub fn be_patient(&mut self) {
        self.block = usize::MAX;
    }

    /// Hands on what waits, as long as the output takes some: `takes` tells whether it would take 4096 bytes at once, as
    /// a pipe does that poll(2) calls writable (pipe(7), `PIPE_BUF`).
    pub fn offer(&mut self, mut takes: impl FnMut() -> bool) -> io::Result<()> {
        let mut done = 0;
        while done < self.waiting.len() && takes() {
            let next = self.waiting.len().min(done + 4096);
            self.output.write_all(&self.waiting[done..next]).and_then(|()| self.output.flush())?;
            done = next;
        }
        self.waiting.drain(..done);
        Ok(())
    }

    /// Writes what `make` appends to the buffer: whole lines.
    pub fn write(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let from = self.waiting.len();
        make(&mut self.waiting);
        escape_controls(&mut self.waiting, from);
        if self.at_once || self.waiting.len() >= self.block { self.flush() } else { Ok(()) }
    }

    /// Hands on all that waits.
    pub fn flush(&mut self) -> io::Result<()> {
        let done = self.output.write_all(&self.waiting).and_then(|()| self.output.flush());
        self.waiting.clear();
        done
    }
}

/// Escapes DEL and the C1 controls, which JSON allows in strings and terminals obey, and turns carriage returns, which
/// it allows between values, into spaces. The meaning stays the same.
fn escape_controls(buffer: &mut Vec<u8>, from: usize) {
    let hidden =
        |pair: &[u8]| pair[0] == 0x7f || (pair[0] == 0xc2 && matches!(pair.get(1), Some(0x80..=0x9f)));
    if memchr::memchr3(0x7f, 0xc2, b'\r', &buffer[from..]).is_none() {
        return;
    }
    let tail = buffer.split_off(from);
    let mut at = 0;
    while at < tail.len() {
        if hidden(&tail[at..]) {
            let (code, width) = if tail[at] == 0x7f { (0x7f, 1) } else { (tail[at + 1], 2) };
            buffer.extend_from_slice(format!("\\u{code:04x}").as_bytes());
            at += width;
        } else {
            buffer.push(if tail[at] == b'\r' { b' ' } else { tail[at] });
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(input: &[u8]) -> Vec<Result<Item, BadLine>> {
        let mut reader = Reader::new(input);
        std::iter::from_fn(|| reader.next_item().expect("readable")).collect()
    }

    #[test]
    fn records_numbers_and_pairs_are_told_apart() {
        let all = items(b"{\"pid\":7}\n\n  8 \n9:1234\r\n{\"a\":1}");
        assert!(matches!(&all[0], Ok(Item::Record(_))));
        assert!(matches!(&all[1], Ok(Item::Identity(id)) if id.pid.get() == 8 && id.inode.is_none()));
        assert!(matches!(&all[2], Ok(Item::Identity(id)) if id.inode == Some(1234)));
        assert!(matches!(&all[3], Ok(Item::Record(_))));
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn bad_lines_are_numbered_and_reading_goes_on() {
        let all = items(b"{\n5\nnonsense\n0\n-1\n[1]\n{\"pid\":\n6");
        let bad: Vec<usize> =
            all.iter().filter_map(|item| item.as_ref().err().map(|bad| bad.number)).collect();
        assert_eq!(bad, [1, 3, 4, 5, 6, 7]);
        assert!(matches!(&all[7], Ok(Item::Identity(_))));
    }

    #[test]
    fn a_line_without_end_is_skipped_in_bounded_memory() {
        struct Endless(usize);
        impl io::Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = buffer.len().min(self.0);
                buffer[..n].fill(b' ');
                self.0 -= n;
                Ok(n)
            }
        }
        let input = io::BufReader::new(io::Read::chain(Endless(64 << 20), &b"\n5\n"[..]));
        let mut reader = Reader::new(input);
        let bad = reader.next_item().expect("readable").expect("an item").expect_err("too long");
        assert_eq!((bad.number, bad.why.as_str()), (1, "longer than 16 MiB"));
        assert!(matches!(reader.next_item().expect("readable"), Some(Ok(Item::Identity(_)))));
    }

    #[test]
    fn controls_that_json_lets_through_are_escaped() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, true);
        writer
            .write(|buffer| buffer.extend_from_slice("{\"a\":\r\"\u{9b}31m\u{7f}é\"}\n".as_bytes()))
            .expect("written");
        drop(writer);
        assert_eq!(String::from_utf8(out).expect("utf-8"), "{\"a\": \"\\u009b31m\\u007fé\"}\n");
    }
}
