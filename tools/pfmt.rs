//! `pfmt`: shows any stream of records to people.
//!
//! Reads records from files or standard input. Writes a table, a tree, rows for a spreadsheet or a graph. Exits 0, or 3
//! when a line was bad or a file could not be read.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Read, Stdin};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use procherd::error::{Error, Kind, Result};
use procherd::host::Resources;
use procherd::record::{Line, Record};
use procherd::stream::{Item, Reader};
use procherd::table::Shape;

use crate::frame::{self, Exit, Format, Outcome, Output, OutputArgs, Reporter, Tool};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pfmt", command: Args::command };

/// Show any stream of records to people
///
/// Reads records (NDJSON) from files or standard input, and shows them as they come: as a tree where the first one
/// tells its depth, as a table otherwise. Other forms are --format csv, dot and mermaid.
#[derive(Parser)]
#[command(name = "pfmt", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Files of records; - is standard input, which is read without operands
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Show these fields, in this order
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    columns: Vec<String>,

    /// Fit into so many columns [default: those of the terminal; without one nothing is cut]
    #[arg(long, value_name = "N")]
    width: Option<usize>,

    /// Add a last record: how many processes these are, their memory, and what the machine has
    #[arg(long)]
    totals: bool,

    /// Stop at the first bad line
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  pstree-json | jq -c 'select(.rss_bytes > 1e8)' | pfmt
                                                  big processes, as a tree
  pfmt --columns pid,user,cmdline before.ndjson   three fields of a snapshot
  pstree-json 4711 | pfmt --format dot | dot -Tsvg > t.svg
                                                  a picture of a process tree
  ptrack list | pfmt --format csv > services.csv  for a spreadsheet
  pstree-json | pfmt --totals                     with the memory of all";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let graph = matches!(args.output.format, Format::Shown(Shape::Csv | Shape::Dot | Shape::Mermaid));
    if args.totals && graph {
        let why = "they are a record of their own, which this format cannot show";
        return Err(Error::new(Kind::Invalid, "read options", "--totals", why));
    }
    let standard = [PathBuf::from("-")];
    let files = if args.files.is_empty() { &standard[..] } else { &args.files };
    if args.files.is_empty() && io::stdin().is_terminal() {
        let why = "it is a terminal, and no file was given";
        return Err(Error::new(Kind::Invalid, "read records", "standard input", why));
    }
    let view = RefCell::new(View { args: &args, output: None, totals: Totals::default(), failed: None });
    for path in files {
        match Source::open(path) {
            Ok(source) => view_all(source, path, &view, args.strict, reporter)?,
            Err(error) => reporter.fault(&Error::system("read records", path.display(), error)),
        }
    }
    view.into_inner().end()?;
    Ok(Exit::Done)
}

/// Shows all records of one input.
fn view_all(
    source: Source,
    path: &Path,
    view: &RefCell<View<'_>>,
    strict: bool,
    reporter: &mut Reporter,
) -> Result<()> {
    let pausing = Pausing { source, before_waiting: || view.borrow_mut().pause() };
    let mut reader = Reader::new(BufReader::with_capacity(64 << 10, pausing));
    loop {
        let item =
            reader.next_item().map_err(|error| Error::system("read records", path.display(), error))?;
        let record = match item {
            None => return Ok(()),
            Some(Ok(Item::Record(record))) => record,
            Some(Ok(Item::Identity(identity))) => {
                let mut record = Record::default();
                record.set("pid", &identity.pid);
                if let Some(inode) = identity.inode {
                    record.set("pidfd_inode", &inode);
                }
                record
            }
            Some(Err(bad)) => {
                frame::bad_line(reporter, strict, bad.number, &bad.why)?;
                continue;
            }
        };
        if view.borrow_mut().show(&record)? {
            return Ok(());
        }
    }
}

/// What is shown, opened by the first record: it decides the shape.
struct View<'a> {
    args: &'a Args,
    output: Option<Output>,
    totals: Totals,
    /// What went wrong while there was nothing to read.
    failed: Option<Error>,
}

impl View<'_> {
    /// Shows a record. True when nobody looks any more.
    fn show(&mut self, record: &Record) -> Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.args.totals {
            self.totals.add(record);
        }
        let shape = if record.get("depth").is_some() { Shape::Tree } else { Shape::Table };
        let output = self.open(shape);
        output.record(|out| record.write_line(out))?;
        Ok(output.reader_left() && !self.args.output.quiet)
    }

    fn open(&mut self, shape: Shape) -> &mut Output {
        let args = self.args;
        self.output.get_or_insert_with(|| Output::view(&args.output, shape, args.width, args.columns.clone()))
    }

    /// Shows what has come, since the next record may take a while.
    fn pause(&mut self) {
        if let Some(Err(error)) = self.output.as_mut().map(Output::flush) {
            self.failed = Some(error);
        }
    }

    fn end(mut self) -> Result<()> {
        self.open(Shape::Table);
        if self.args.totals {
            let totals = std::mem::take(&mut self.totals);
            let resources = Resources::look()?;
            self.open(Shape::Table).record(|out| totals.write(&resources, out))?;
        }
        match (self.failed, self.output) {
            (Some(error), _) => Err(error),
            (None, Some(output)) => output.end(),
            (None, None) => Ok(()),
        }
    }
}

/// What all processes of a stream use together.
#[derive(Default)]
struct Totals {
    known: HashSet<(u64, Option<u64>)>,
    rss_bytes: u64,
    cpu_ms: u64,
}

impl Totals {
    /// Adds the process of a record, once.
    fn add(&mut self, record: &Record) {
        let number = |name| record.field::<u64>(name).ok().flatten();
        let Some(pid) = number("pid") else { return };
        if self.known.insert((pid, number("start_ticks"))) {
            self.rss_bytes = self.rss_bytes.saturating_add(number("rss_bytes").unwrap_or(0));
            self.cpu_ms = self.cpu_ms.saturating_add(number("cpu_ms").unwrap_or(0));
        }
    }

    fn write(&self, machine: &Resources, out: &mut Vec<u8>) {
        let mut line = Line::new(out, "summary");
        line.field("processes", &self.known.len())
            .field("rss_bytes", &self.rss_bytes)
            .field("memory_percent", &percent(self.rss_bytes, machine.memory_bytes))
            .field("cpu_ms", &self.cpu_ms)
            .field("memory_bytes", &machine.memory_bytes)
            .field("available_bytes", &machine.available_bytes)
            .field("cores", &machine.cores)
            .field("load", &machine.load);
        line.end();
    }
}

/// How much of the whole a part is, to a tenth of a percent.
fn percent(part: u64, whole: u64) -> f64 {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}

/// Where records come from.
enum Source {
    Standard(Stdin),
    File(File),
}

impl Source {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            Ok(Self::Standard(io::stdin()))
        } else {
            File::open(path).map(Self::File)
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Standard(stdin) => stdin.as_fd(),
            Self::File(file) => file.as_fd(),
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Standard(stdin) => stdin.lock().read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

/// An input that tells when nothing has come for a moment, before it waits for more.
struct Pausing<F> {
    source: Source,
    before_waiting: F,
}

impl<F: FnMut()> Read for Pausing<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        /// Rows that come within this time, in milliseconds, are laid out together.
        const MOMENT: u8 = 50;
        let mut wanted = [PollFd::new(self.source.as_fd(), PollFlags::POLLIN)];
        if poll(&mut wanted, PollTimeout::from(MOMENT)) == Ok(0) {
            (self.before_waiting)();
        }
        self.source.read(buffer)
    }
}
