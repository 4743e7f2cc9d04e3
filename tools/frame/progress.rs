//! The line on a terminal's standard error that says what is waited for, drawn anew in its place.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use procherd::id::Pid;
use procherd::table;
use procherd::text::{short_duration, visible};

/// Whether the line stands there. There is one terminal, so whoever writes to it takes the line away first.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// How often the line is drawn while tenths of a second are shown, and while seconds are.
const TENTHS: Duration = Duration::from_millis(100);
const SECONDS: Duration = Duration::from_secs(1);

/// From here on nobody cares for tenths.
const LONG: Duration = Duration::from_secs(10);

/// How many names are said.
const NAMES: usize = 4;

/// Says what is waited for, where a person watches.
pub struct Progress {
    begun: Instant,
    /// When the line is to be drawn; none where nobody watches.
    due: Option<Instant>,
    shown: String,
}

impl Progress {
    /// Begins, unless nobody wants to know or no terminal is there to show it. What is over at once shows nothing.
    pub fn new(wanted: bool) -> Self {
        let stderr = std::io::stderr();
        // The line needs a terminal that can clear one.
        let able = || stderr.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let begun = Instant::now();
        let due = (wanted && able()).then(|| begun + TENTHS);
        Self { begun, due, shown: String::new() }
    }

    /// How soon the line is to be drawn next; none: never.
    pub fn due_in(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Tells whether it is to be drawn now.
    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }

    /// Draws the line, where it is time: what is done, how much time is left (or has passed), and the first of so many
    /// names.
    pub fn draw(
        &mut self,
        what: &str,
        count: usize,
        left: Option<Duration>,
        names: impl Iterator<Item = String>,
    ) {
        let now = Instant::now();
        if count == 0 || !self.is_due() {
            return;
        }
        let (time, word) = match left {
            Some(left) => (left, "left"),
            None => (now.saturating_duration_since(self.begun), "so far"),
        };
        let (time, pause) = if time < LONG {
            (format!("{}.{}s", time.as_secs(), time.subsec_millis() / 100), TENTHS)
        } else {
            (short_duration(time), SECONDS)
        };
        self.due = Some(now + pause);
        let names: Vec<String> = names.take(NAMES).collect();
        let more = if count > names.len() && !names.is_empty() { ", ..." } else { "" };
        let colon = if names.is_empty() { "" } else { ": " };
        let line = format!("{what}, {time} {word}{colon}{}{more}", names.join(", "));
        // Asked each time, for windows change. A line that is as wide as the window would go on in the next one, and stay
        // there.
        let width = terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0));
        let width = width.filter(|width| *width > 0).unwrap_or(80);
        let fits = table::fitting(&line, width.saturating_sub(1));
        self.write(&line[..fits]);
    }

    fn write(&mut self, line: &str) {
        if self.shown == line && DRAWN.load(Ordering::Relaxed) {
            return;
        }
        line.clone_into(&mut self.shown);
        let drawn = std::io::stderr().write_all(format!("\r{line}\x1b[K").as_bytes()).is_ok();
        DRAWN.store(drawn, Ordering::Relaxed);
    }
}

/// Takes the line away, so that something else can be written.
pub(super) fn clear() {
    if DRAWN.swap(false, Ordering::Relaxed) {
        let _ = std::io::stderr().write_all(b"\r\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        clear();
    }
}

/// A process, as the line names it.
pub fn named(comm: &[u8], pid: Pid) -> String {
    format!("{}({pid})", visible(comm))
}
