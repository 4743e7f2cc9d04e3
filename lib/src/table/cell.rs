//! Text in a view: what it means, how many columns it takes, and where it is cut.

use std::borrow::Cow;

use anstyle::{AnsiColor, Effects};
use unicode_width::UnicodeWidthChar as _;

use super::Style;
use crate::text::visible;

/// What a piece of text means, from the least to what must be seen. Colour follows meaning, and never stands alone: a
/// word says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// The name of a column.
    Heading,
    /// Less important than the rest: lines of a tree, what is unknown.
    Faint,
    /// Nothing special.
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Notice,
    /// Not as it should be.
    Bad,
}

impl Tone {
    fn style(self) -> anstyle::Style {
        match self {
            Self::Plain => anstyle::Style::new(),
            Self::Faint => anstyle::Style::new().effects(Effects::DIMMED),
            Self::Heading => anstyle::Style::new().effects(Effects::BOLD),
            Self::Good => AnsiColor::Green.on_default(),
            // Yellow cannot be read on white.
            Self::Notice => AnsiColor::Magenta.on_default().effects(Effects::BOLD),
            Self::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
        }
    }
}

/// Text of one meaning. It holds no control character, whatever it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    tone: Tone,
    text: String,
    columns: usize,
}

/// Text as it stands in one field of a table, or in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell(Vec<Span>);

impl Cell {
    /// Text of one meaning.
    pub(super) fn new(tone: Tone, text: impl AsRef<[u8]>) -> Self {
        // Room for one piece and no more: a tree of ten thousand processes holds a hundred thousand cells.
        let mut cell = Self(Vec::with_capacity(1));
        cell.push(tone, text);
        cell
    }

    /// Adds text of a meaning.
    pub(super) fn push(&mut self, tone: Tone, text: impl AsRef<[u8]>) {
        let text = visible(text.as_ref());
        if !text.is_empty() {
            let columns = columns(&text);
            self.0.push(Span { tone, text, columns });
        }
    }

    /// Adds what another cell holds.
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Adds empty columns.
    pub(super) fn space(&mut self, columns: usize) {
        self.push(Tone::Plain, " ".repeat(columns));
    }

    /// How many columns it takes.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|span| span.columns).sum()
    }

    /// The worst that any of it means.
    pub(super) fn tone(&self) -> Tone {
        self.0.iter().map(|span| span.tone).max().unwrap_or(Tone::Plain)
    }

    /// The text alone.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }

    /// Puts the sign of its tone before a verdict.
    pub(super) fn mark(&mut self, ascii: bool) {
        let sign = match self.tone() {
            Tone::Good if ascii => "ok ",
            Tone::Bad if ascii => "x ",
            Tone::Good => "✔ ",
            Tone::Bad => "✘ ",
            Tone::Notice => "! ",
            _ => return,
        };
        if let Some(first) = self.0.first_mut() {
            first.text.insert_str(0, sign);
            first.columns = columns(&first.text);
        }
    }

    /// Tells whether it is a number.
    pub(super) fn is_number(&self) -> bool {
        let digit = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        self.0.iter().all(|span| span.text.bytes().all(digit))
    }

    /// Says every character that is not ASCII by its number, for terminals that show no other.
    pub(super) fn spell_out(&mut self) {
        for span in self.0.iter_mut().filter(|span| !span.text.is_ascii()) {
            let spell = |letter: char| {
                if letter.is_ascii() { String::from(letter) } else { letter.escape_unicode().to_string() }
            };
            span.text = span.text.chars().map(spell).collect();
            span.columns = span.text.len();
        }
    }

    /// Cuts it to so many columns. An ellipsis, which takes one of them, shows that something is missing.
    pub(super) fn cut(&mut self, room: usize, ascii: bool) {
        if self.width() <= room {
            return;
        }
        let Some(mut left) = room.checked_sub(1) else {
            self.0.clear();
            return;
        };
        let mut kept = 0;
        for span in &mut self.0 {
            kept += 1;
            if span.columns <= left {
                left -= span.columns;
                continue;
            }
            span.text.truncate(fitting(&span.text, left));
            span.columns = columns(&span.text);
            break;
        }
        self.0.truncate(kept);
        self.push(Tone::Faint, if ascii { ">" } else { "…" });
    }

    /// Its words in lines that take no more than so many columns each, as far as words permit.
    pub(super) fn wrapped(&self, room: usize) -> Vec<Self> {
        let mut lines: Vec<String> = Vec::new();
        for word in self.text().split(' ') {
            match lines.last_mut() {
                Some(line) if columns(line) + 1 + columns(word) <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines.into_iter().map(|line| Self::new(self.tone(), line)).collect()
    }

    /// Leaves out the folders of paths, the first path first, until it takes no more than so many columns.
    ///
    /// The name of a program says more than the beginning of a long path to it.
    pub(super) fn shorten_paths(&mut self, room: usize, ascii: bool) {
        let mut over = self.width().saturating_sub(room);
        let Some(last) = self.0.last_mut().filter(|_| over > 0) else { return };
        let mark = if ascii { "..." } else { "…" };
        let mut shorten = |word: &str| {
            let folder = word.rfind('/').filter(|end| *end > 0 && word.starts_with('/'))?;
            let saved = columns(&word[..folder]).checked_sub(columns(mark)).filter(|saved| *saved > 0)?;
            over = over.checked_sub(1)?.saturating_sub(saved - 1);
            Some(format!("{mark}{}", &word[folder..]))
        };
        let words = last.text.split(' ').map(|word| shorten(word).map_or(Cow::Borrowed(word), Cow::Owned));
        last.text = words.collect::<Vec<_>>().join(" ");
        last.columns = columns(&last.text);
    }

    /// Appends it as a line: without blanks at the end, cut at the edge of the window.
    pub(super) fn write_line(mut self, style: &Style, out: &mut Vec<u8>) {
        while let Some(last) = self.0.last_mut() {
            let length = last.text.trim_end_matches(' ').len();
            last.columns -= last.text.len() - length;
            last.text.truncate(length);
            if length > 0 {
                break;
            }
            self.0.pop();
        }
        if let Some(width) = style.width {
            self.shorten_paths(width, style.ascii);
            self.cut(width, style.ascii);
        }
        for span in &self.0 {
            if style.colour && span.tone != Tone::Plain {
                let colour = span.tone.style();
                out.extend_from_slice(format!("{colour}{}{colour:#}", span.text).as_bytes());
            } else {
                out.extend_from_slice(span.text.as_bytes());
            }
        }
        out.push(b'\n');
    }
}

/// How many columns a text takes, at most.
///
/// Terminals differ in sequences (a family of emoji, an emoji asked for by a variation selector): older ones show the
/// characters one by one, newer ones as one picture. Counted is what no terminal exceeds.
fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(width).sum() }
}

/// How many bytes of a text fit into so many columns of a terminal.
pub fn fitting(text: &str, room: usize) -> usize {
    let mut used = 0;
    for (at, letter) in text.char_indices() {
        used += width(letter);
        if used > room {
            return at;
        }
    }
    text.len()
}

fn width(letter: char) -> usize {
    /// Asks for the picture form of the character before it, which is wider by one.
    const PICTURE: char = '\u{fe0f}';
    if letter == PICTURE { 1 } else { letter.width().unwrap_or(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cell: Cell, width: usize) -> String {
        let style = Style { width: Some(width), colour: false, ascii: false };
        let mut out = Vec::new();
        cell.write_line(&style, &mut out);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn wide_and_combining_characters_are_measured_as_terminals_show_them() {
        for (text, columns) in [("node", 4), ("日本", 4), ("e\u{301}", 1), ("❤\u{fe0f}", 2), ("", 0)] {
            assert_eq!(Cell::new(Tone::Plain, text).width(), columns, "{text}");
        }
    }

    #[test]
    fn a_line_is_cut_at_the_edge_and_says_so() {
        let cell = Cell::new(Tone::Plain, "日本語のプロセス");
        assert_eq!(line(cell.clone(), 16), "日本語のプロセス\n");
        assert_eq!(line(cell.clone(), 8), "日本語…\n");
        assert_eq!(line(cell.clone(), 1), "…\n");
        assert_eq!(line(cell, 0), "\n");
    }

    #[test]
    fn a_cell_of_several_meanings_is_cut_within_any_of_them() {
        let mut cell = Cell::new(Tone::Bad, "[zombie]");
        cell.space(1);
        cell.push(Tone::Plain, "node");
        for width in 0..20 {
            assert!(line(cell.clone(), width).trim_end_matches('\n').chars().count() <= width);
        }
        assert_eq!(line(cell, 10), "[zombie] …\n");
    }

    #[test]
    fn paths_lose_their_folders_only_as_far_as_the_window_asks() {
        let cell = Cell::new(Tone::Plain, "/usr/bin/node /srv/app/server.js /etc /x/y");
        assert_eq!(line(cell.clone(), 42), "/usr/bin/node /srv/app/server.js /etc /x/y\n");
        assert_eq!(line(cell.clone(), 41), "…/node /srv/app/server.js /etc /x/y\n");
        assert_eq!(line(cell.clone(), 30), "…/node …/server.js /etc /x/y\n");
        assert_eq!(line(cell, 10), "…/node …/…\n");
    }

    #[test]
    fn words_are_wrapped_at_the_room_that_there_is() {
        let lines = |text: &str, room| {
            Cell::new(Tone::Plain, text).wrapped(room).iter().map(Cell::text).collect::<Vec<_>>()
        };
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("immeasurable x", 4), ["immeasurable", "x"]);
        assert_eq!(lines("日本 語", 4), ["日本", "語"]);
        assert_eq!(lines("one", 80), ["one"]);
    }

    /// How light a colour is to the eye, between 0 and 1, as the rules for pages of the web count it.
    fn lightness((red, green, blue): (u8, u8, u8)) -> f64 {
        let part = |value: u8| (f64::from(value) / 255.0).powf(2.2);
        0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue)
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        /// The first eight colours of xterm, which are the hardest to read of those in use.
        const XTERM: [(u8, u8, u8); 8] = [
            (0, 0, 0),
            (205, 0, 0),
            (0, 205, 0),
            (205, 205, 0),
            (0, 0, 238),
            (205, 0, 205),
            (0, 205, 205),
            (229, 229, 229),
        ];
        for tone in [Tone::Heading, Tone::Faint, Tone::Plain, Tone::Good, Tone::Notice, Tone::Bad] {
            let Some(anstyle::Color::Ansi(colour)) = tone.style().get_fg_color() else { continue };
            let own = lightness(XTERM[colour as usize]);
            let (black, white) = ((own + 0.05) / 0.05, 1.05 / (own + 0.05));
            assert!(black > 2.0 && white > 2.0, "{tone:?}: {black:.1} on black, {white:.1} on white");
        }
    }

    #[test]
    fn blanks_at_the_end_are_left_out() {
        let mut cell = Cell::new(Tone::Plain, "a ");
        cell.space(3);
        assert_eq!(line(cell, 80), "a\n");
    }

    #[test]
    fn without_utf8_every_other_character_is_spelled_out() {
        let mut cell = Cell::new(Tone::Plain, "caf\u{e9}");
        cell.spell_out();
        assert_eq!((cell.width(), line(cell, 80)), (9, "caf\\u{e9}\n".into()));
    }
}
