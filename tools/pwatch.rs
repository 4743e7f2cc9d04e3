//! `pwatch`: tells what happens to processes, while it happens.
//!
//! Reads the live table, and with `--from` first a saved one to compare it with; operands or records on standard input
//! (`-`) narrow it to trees. Writes event records, each at once. Exits 0 when what it waited for has happened, or its reader has left; 1 when what must not happen has; 124 when
//! the time is over, 3 when it could not look.

mod book;
mod chosen;
mod ports;
mod say;
mod since;
mod until;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind as Failure, Result};
use procherd::follow::{Follower, Happening};
use procherd::host::Host;
use procherd::id::Identity;
use procherd::source::Source;
use procherd::table::Shape;
use procherd::tree::{Index, Table};

use crate::frame::{
    self, Exit, Operand, Operands, Outcome, Output, OutputArgs, RegistryArgs, Reporter, SelectorArgs, Tool,
    duration,
};
use book::Book;
use chosen::Chosen;
use ports::Ports;
use say::{Say, kind_of};
use until::{Kind, Until};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pwatch", command: Args::command };

/// Watch what happens to processes: one record for each event
///
/// Tells when processes start, end (with their exit status), lose their parent or are not reaped, when TCP ports are taken
/// and freed, and when services are registered. Everything, or what selectors and operands choose, until it is interrupted or
/// until something has happened.
#[derive(Parser)]
#[command(name = "pwatch", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Processes (PID or PID:INODE) to watch with what they start; - for the records on standard input
    #[arg(value_name = "PID")]
    operands: Vec<String>,

    /// Only events of this kind; repeatable
    #[arg(short, long, value_name = "EVENT", value_delimiter = ',')]
    event: Vec<Kind>,

    /// End with 0 when this has happened; `gone`: when nothing that is watched lives; repeatable
    #[arg(long, value_name = "EVENT[:PORT]|gone", value_delimiter = ',')]
    until: Vec<Until>,

    /// End with 1 when this has happened; repeatable
    #[arg(long, value_name = "EVENT[:PORT]|gone", value_delimiter = ',')]
    fail_on: Vec<Until>,

    /// End with 124 when so much time has passed
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,

    /// Begin with what has happened since pstree-json saved this snapshot
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Keep the trees that the registry has saved of services up to date
    #[arg(long)]
    track: bool,

    /// How often to look for what has begun, where the kernel does not tell
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    interval: Duration,

    /// Do not ask the kernel for news, but look at intervals
    #[arg(long)]
    no_news: bool,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    select: SelectorArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  pwatch                             all that happens
  pwatch --project . -e exited | jq -c '{comm, exit_status, exit_signal}'
                                     how the processes of this project end
  pwatch 4711 --until gone --timeout 30s
                                     wait until a whole tree has ended
  pwatch -p uvicorn --until listening:8001 --fail-on exited --timeout 1m
                                     wait until a server is ready, or has failed
  pwatch --service api --fail-on exited,unregistered
                                     say when a service has gone
  pstree-json > before; npm test; pwatch --from before --timeout 0s -e started
                                     what a test run has left behind
  pwatch --track -q                  keep saved trees up to date";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    reporter.say_once();
    let named = named(&args, reporter)?;
    let (host, source) = (Host::look()?, Source::live()?);
    let mut book = Book::open(&args.registry, &host, &source, reporter)?;
    let mut follower = Follower::new(&host, &source, args.interval, !args.no_news)?;
    let selection = args.select.selection()?;
    let (watched, trees, dead) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut chosen = Chosen { selection, named, watched, trees, dead };
    let mut output = Output::new(&args.output, Shape::Table);
    let end = args.timeout.map(|time| Instant::now() + time);
    let table = follower.table();
    let mut events = match &args.from {
        Some(file) => since::since(file, &table, &host, &book, &mut chosen, reporter)?,
        None => Vec::new(),
    };
    chosen.meet_all(&table, &events, &book, &source, reporter);
    let open = |wanted: bool| wanted.then(|| Ports::open(&source, || follower.table(), args.interval));
    let mut ports = open(asks_for_ports(&args)).transpose()?;
    let mut stale = args.track;
    let mut handled = Instant::now();
    loop {
        events.extend(follower.look()?);
        // In a storm, what has happened is taken in at once and told together.
        let soon = TOGETHER.saturating_sub(handled.elapsed());
        if !soon.is_zero() {
            if !output.wait(&[follower.fd()], soon)? {
                return Ok(Exit::Done);
            }
            continue;
        }
        handled = Instant::now();
        let changes = book.look(reporter);
        let taken = ports.as_mut().map(|ports| ports.compare(&source, || follower.table()));
        let taken = taken.transpose()?.unwrap_or_default();
        let mut happened: Vec<(Kind, Option<u16>)> = Vec::new();
        stale |= args.track && !(events.is_empty() && changes.is_empty());
        if !events.is_empty() || !changes.is_empty() || !taken.is_empty() || stale {
            let table = follower.table();
            let mut say = Say { table: &table, args: &args, output: &mut output };
            for event in &std::mem::take(&mut events) {
                let pid = event.process.pid.get();
                let before = chosen.watched.contains(&pid);
                chosen.follow(event, &table, &book, &source, reporter);
                // Who becomes what is watched has started, as far as those are concerned who watch.
                let kind = match event.what {
                    Happening::Became if before => continue,
                    what => kind_of(what),
                };
                if chosen.knows(pid) {
                    happened.push((kind, None));
                    say.process(event, kind, &book)?;
                }
                if matches!(event.what, Happening::Exited(_)) {
                    chosen.ended(pid);
                }
            }
            for change in taken.iter().filter(|change| chosen.knows(change.holder.pid.get())) {
                let kind = if change.came { Kind::Listening } else { Kind::PortFreed };
                happened.push((kind, change.socket.port()));
                say.port(change, kind)?;
            }
            for change in changes.iter().filter(|change| chosen.wants_entry(change, &table)) {
                let kind = if change.came { Kind::Registered } else { Kind::Unregistered };
                happened.push((kind, None));
                say.entry(change, kind)?;
            }
            if stale {
                stale = book.track(&table, reporter).is_some();
            }
            output.flush()?;
        }
        let met = |until: &Until| match until {
            Until::Gone => chosen.watched.is_empty(),
            event @ Until::Event(..) => happened.iter().any(|(kind, port)| event.is(*kind, *port)),
        };
        if args.fail_on.iter().any(met) {
            return Ok(Exit::No);
        }
        if args.until.iter().any(met) {
            return Ok(Exit::Done);
        }
        if chosen.is_over() && !waits_for_zombies(&args) {
            return Ok(if args.until.is_empty() { Exit::Done } else { Exit::No });
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(if args.until.is_empty() { Exit::Done } else { Exit::TimedOut });
        }
        let mut wait = follower.wait().min(left.unwrap_or(Duration::MAX));
        if let Some(ports) = &ports {
            wait = wait.min(ports.wait());
        }
        if stale {
            wait = wait.min(Duration::from_millis(250));
        }
        let mut others = vec![follower.fd()];
        others.extend(book.fd());
        if !output.wait(&others, wait)? {
            return Ok(Exit::Done);
        }
    }
}

/// How often events are told at most: each time takes a picture of the whole table.
const TOGETHER: Duration = Duration::from_millis(20);

/// The processes that were named, none where nobody was.
fn named(args: &Args, reporter: &mut Reporter) -> Result<Option<Vec<Identity>>> {
    let refused = |name: &str| {
        let why = "a name of a service is meant by --service";
        Error::new(Failure::Invalid, "read operand", format_args!("'{name}'"), why)
    };
    match Operands::optional(&args.operands)? {
        Operands::None => Ok(None),
        Operands::Input => {
            let named = frame::input(reporter, args.strict)?;
            Ok(Some(named.into_iter().map(|asked| asked.identity).collect()))
        }
        Operands::Typed(words) => {
            let identity = |word| match word {
                Operand::Process(identity) => Ok(identity),
                Operand::Name(name) => Err(refused(&name)),
            };
            words.into_iter().map(identity).collect::<Result<_>>().map(Some)
        }
    }
}

/// Tells whether ports are of interest: they are looked at with sockets of their own.
fn asks_for_ports(args: &Args) -> bool {
    let port = |kind: &Kind| matches!(kind, Kind::Listening | Kind::PortFreed);
    let waits = |until: &Until| matches!(until, Until::Event(kind, _) if port(kind));
    let written = !args.output.quiet && (args.event.is_empty() || args.event.iter().any(port));
    written || args.until.iter().chain(&args.fail_on).any(waits)
}

/// Tells whether the dead are waited for: they may become zombies after all else has ended.
fn waits_for_zombies(args: &Args) -> bool {
    let zombie = |until: &Until| until.is(Kind::Zombie, None);
    args.until.iter().chain(&args.fail_on).any(zombie)
}

/// All processes, parents before children.
fn tree_order(table: &Table) -> Vec<Index> {
    table.walk(&table.roots(), usize::MAX).into_iter().map(|step| step.index).collect()
}
