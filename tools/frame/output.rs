//! What a tool writes: records for the next tool, or a view of them for people.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use procherd::error::{Error, Result};
use procherd::record::Record;
use procherd::stream::Writer;
use procherd::table::{Shape, Show, Style};

use super::args::{Choice, OutputArgs};
use super::log::Log;
use super::progress;

/// The forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A view on a terminal, NDJSON elsewhere.
    Auto,
    /// One JSON object a line.
    Ndjson,
    /// A view.
    Shown(Shape),
}

impl Format {
    /// The names of all forms.
    pub const NAMES: [&'static str; 7] = ["auto", "ndjson", "table", "tree", "csv", "dot", "mermaid"];

    /// The form of a name; `auto` for any that is unknown, which the parser has refused before.
    pub fn named(name: &str) -> Self {
        match name {
            "ndjson" => Self::Ndjson,
            "table" => Self::Shown(Shape::Table),
            "tree" => Self::Shown(Shape::Tree),
            "csv" => Self::Shown(Shape::Csv),
            "dot" => Self::Shown(Shape::Dot),
            "mermaid" => Self::Shown(Shape::Mermaid),
            _ => Self::Auto,
        }
    }
}

/// Standard output, beside which a line of progress may stand on the same terminal.
struct Stdout(io::Stdout);

impl io::Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::clear();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Standard output of a tool.
pub struct Output {
    writer: Writer<Stdout>,
    show: Option<Show>,
    line: Vec<u8>,
    gone: bool,
    log: Option<Log>,
    /// Whether records go to the log alone for now.
    hushed: bool,
}

impl Output {
    /// Opens standard output as the options say; `view` is the shape that a terminal sees by default.
    pub fn new(args: &OutputArgs, view: Shape) -> Self {
        let auto = io::stdout().is_terminal().then_some(view);
        Self::opened(args, auto, None, Vec::new())
    }

    /// Opens standard output for people, whatever it is: `view` is the shape by default, the window has so many columns
    /// in place of its own, and these fields are shown in place of those that suit.
    pub fn view(args: &OutputArgs, view: Shape, width: Option<usize>, columns: Vec<String>) -> Self {
        Self::opened(args, Some(view), width, columns)
    }

    fn opened(args: &OutputArgs, auto: Option<Shape>, width: Option<usize>, columns: Vec<String>) -> Self {
        let terminal = io::stdout().is_terminal();
        let shape = match args.format {
            Format::Auto => auto,
            Format::Ndjson => None,
            Format::Shown(shape) => Some(shape),
        };
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = match args.color {
            Choice::Always => true,
            Choice::Never => false,
            Choice::Auto => {
                terminal && !no_color && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let width = width.or_else(|| terminal.then(window_width));
        let style = Style { width, colour, ascii: !speaks_utf8() };
        Self {
            writer: Writer::new(Stdout(io::stdout()), terminal),
            show: shape.map(|shape| Show::with_columns(shape, style, columns)),
            line: Vec::new(),
            gone: args.quiet,
            log: None,
            hushed: false,
        }
    }

    /// Writes every record to a log as well, whoever reads standard output.
    #[must_use]
    pub fn with_log(self, log: Option<Log>) -> Self {
        Self { log, ..self }
    }

    /// Writes records to the log alone, or again to both.
    #[must_use]
    pub fn hush(self, hushed: bool) -> Self {
        Self { hushed, ..self }
    }

    /// Never waits for a reader that does not read but at the end: who acts is not to be held up by who watches.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.writer.be_patient();
        self
    }

    /// Hands on what waits as far as the reader takes it.
    pub fn offer(&mut self) -> Result<()> {
        if self.gone || self.show.is_some() {
            return self.flush();
        }
        let takes = || {
            let stdout = io::stdout();
            let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
        };
        let done = self.writer.offer(takes);
        self.check(done)
    }

    /// Writes one record: `make` appends its line. When the reader has left, it is dropped.
    pub fn record(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let silent = self.gone || self.hushed;
        let done = match (&mut self.show, &mut self.log) {
            (_, None) if silent => return Ok(()),
            (None, None) => self.writer.write(make),
            (show, log) => {
                self.line.clear();
                make(&mut self.line);
                if let Some(log) = log {
                    log.add(&self.line);
                }
                match show {
                    _ if silent => return Ok(()),
                    None => self.writer.write(|out| out.extend_from_slice(&self.line)),
                    Some(show) => {
                        let record = Record::parse(&self.line)?;
                        self.writer.write(|out| show.add(&record, out))
                    }
                }
            }
        };
        self.check(done)
    }

    /// Tells whether nobody reads: the reader has left, or asked for quiet. A reporting tool then stops; an acting one goes on.
    pub fn reader_left(&self) -> bool {
        self.gone
    }

    /// Waits for so long, or until somebody else than standard output has something to say, and tells whether there is
    /// still a reader. Takes no processor time.
    pub fn wait(&mut self, others: &[BorrowedFd<'_>], time: Duration) -> Result<bool> {
        let stdout = io::stdout();
        let mut fds: Vec<PollFd<'_>> =
            others.iter().map(|other| PollFd::new(*other, PollFlags::POLLIN)).collect();
        // Of a pipe without a reader the kernel says so by itself.
        fds.push(PollFd::new(stdout.as_fd(), PollFlags::empty()));
        let left = PollFlags::POLLERR | PollFlags::POLLNVAL;
        // Rounded up: a wait that ends too early would spin.
        let timeout = PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::system("wait", "", errno)),
        }
        let left = fds.last().and_then(PollFd::revents).is_some_and(|events| events.intersects(left));
        self.gone |= left;
        Ok(!left)
    }

    /// Tells whether records reach nobody at all, no log either: then they need not be made.
    pub fn is_silent(&self) -> bool {
        (self.gone || self.hushed) && self.log.is_none()
    }

    /// Hands on what waits: records that the reader should see now, since the next may take a while.
    pub fn flush(&mut self) -> Result<()> {
        if self.gone {
            return Ok(());
        }
        let shown = match &mut self.show {
            Some(show) => self.writer.write(|out| show.flush(out)),
            None => Ok(()),
        };
        let done = shown.and_then(|()| self.writer.flush());
        self.check(done)
    }

    /// Writes the rest.
    pub fn end(mut self) -> Result<()> {
        let logged = self.log.take().map_or(Ok(()), Log::end);
        if let Some(show) = self.show.take().filter(|_| !self.gone) {
            let done = self.writer.write(|out| show.end(out));
            self.check(done)?;
        }
        self.flush()?;
        logged
    }

    fn check(&mut self, done: io::Result<()>) -> Result<()> {
        match done {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            Err(error) => {
                self.gone = true;
                Err(Error::system("write", "standard output", error))
            }
            Ok(()) => Ok(()),
        }
    }
}

/// The width of the window that standard output goes to; `COLUMNS`, else 80, where it does not tell.
fn window_width() -> usize {
    let told = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let asked = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    told.filter(|width| *width > 0).or_else(asked).unwrap_or(80)
}

/// Tells whether the locale writes UTF-8 (locale(7): `LC_ALL`, then `LC_CTYPE`, then `LANG`).
fn speaks_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    set.is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}
