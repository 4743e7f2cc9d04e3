//! `pstree-json`: shows processes as a tree of records.
//!
//! Reads the live table, a saved one (`--from`), or records to expand (`-`). Writes process records, parents first, with
//! `depth` and `root`, and `orphan` or `zombie` where that is so. Exits 0, or 1 when an operand was not found.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind, Result};
use procherd::evidence::{self, Evidence, Strength};
use procherd::id::{Identity, Source as Known};
use procherd::record::{Hints, Record};
use procherd::signal::Signal;
use procherd::source::Wants;
use procherd::table::Shape;
use procherd::tree::{Index, Step, Table};

use crate::frame::{
    self, Asked, Exit, Found, LookArgs, Operand, Operands, Outcome, Output, OutputArgs, RegistryArgs,
    Reporter, Scene, Tool,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pstree-json", command: Args::command };

/// Show processes as a tree of records
///
/// Without operands: the whole table. With operands: the trees below these processes. Parents come before children,
/// and siblings by start time. On a terminal the tree is drawn; in a pipe it is NDJSON, one record a process.
#[derive(Parser)]
#[command(name = "pstree-json", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Processes (PID or PID:INODE) or names of registered services; - expands the records on standard input
    #[arg(value_name = "PID|NAME")]
    operands: Vec<String>,

    /// Show the trees below the operands (this is the default)
    #[arg(short, long, conflicts_with = "ancestors")]
    descendants: bool,

    /// Show the ancestors of the operands, not what is below them
    #[arg(short, long)]
    ancestors: bool,

    /// Go at most this many levels down (or up)
    #[arg(long, value_name = "N")]
    depth: Option<usize>,

    /// Add facts that cost extra reads: exe, cwd
    #[arg(long = "with", value_name = "FIELD", value_delimiter = ',', value_parser = ["exe", "cwd"])]
    with: Vec<String>,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    look: LookArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  pstree-json                         the whole table
  pstree-json 4711                    the tree below process 4711
  pstree-json --ancestors $$          this shell and what started it
  pgrep node | pstree-json -          the trees below all node processes
  pstree-json > before.ndjson         a snapshot, for any finder's --from";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

/// What the operands name, before it was looked for.
struct Wanted {
    identity: Identity,
    record: Option<Record>,
    /// The service that it stands for, where that was typed; then it may have gone, as long as another member lives.
    service: Option<String>,
}

/// Where in the table to begin, and the records that asked for it.
#[derive(Default)]
struct Starts {
    indices: Vec<Index>,
    records: HashMap<Index, Record>,
    /// Those that were named by a bare number.
    by_number: HashSet<Index>,
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let operands = Operands::optional(&args.operands)?;
    let whole = matches!(operands, Operands::None);
    // The input first: the look shall show what lives when it has been read, however long that takes.
    let wanted = wanted(operands, &args, reporter)?;
    let wants = Wants {
        exe: args.with.iter().any(|name| name == "exe"),
        cwd: args.with.iter().any(|name| name == "cwd"),
        ..Wants::EVERYDAY
    };
    let mut scene = Scene::look(&args.look, wants, reporter)?;
    if scene.is_live() {
        scene.know(&args.registry, reporter)?;
    }
    let starts = find(&scene, wanted, reporter);
    let (table, depth) = (scene.table(), args.depth.unwrap_or(usize::MAX));
    let steps = match &starts.indices {
        _ if whole => table.walk(&table.roots(), depth),
        indices if args.ancestors => upwards(table, indices, depth),
        indices => table.walk(indices, depth),
    };
    let mut output = Output::new(&args.output, Shape::Tree);
    for step in steps {
        output.record(|out| write(&scene, step, &starts, out))?;
        if output.reader_left() {
            break;
        }
    }
    output.end()?;
    Ok(Exit::Done)
}

/// Reads what the operands name: processes as they are, services from the registry, records from standard input.
fn wanted(operands: Operands, args: &Args, reporter: &mut Reporter) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    match operands {
        Operands::None => {}
        Operands::Typed(words) => {
            for word in words {
                match word {
                    Operand::Process(identity) => all.push(Wanted { identity, record: None, service: None }),
                    Operand::Name(name) => match frame::service(&name, &args.registry) {
                        Ok(record) => {
                            let (own, below) = frame::tree_of(&record)?;
                            let member =
                                |identity| Wanted { identity, record: None, service: Some(name.clone()) };
                            all.extend(std::iter::once(own).chain(below).map(member));
                        }
                        Err(error) if error.kind() == Kind::Gone => reporter.absent(&error),
                        Err(error) => return Err(error),
                    },
                }
            }
        }
        Operands::Input => {
            for Asked { identity, record } in frame::input(reporter, args.strict)? {
                all.push(Wanted { identity, record, service: None });
            }
        }
    }
    Ok(all)
}

/// Finds the processes in the table, and says what is not there.
///
/// That a process has gone is an answer of the system when a record named it, and a no when it was typed.
fn find(scene: &Scene, wanted: Vec<Wanted>, reporter: &mut Reporter) -> Starts {
    let mut starts = Starts::default();
    let mut services: Vec<(String, bool)> = Vec::new();
    for Wanted { identity, record, service } in wanted {
        let found = scene.find(&identity);
        if let Some(name) = service {
            // A zombie has ended, whoever has not noticed.
            let here = matches!(found, Found::At(index) if !scene.table().get(index).is_zombie());
            match services.iter_mut().find(|(known, _)| *known == name) {
                Some((_, any)) => *any |= here,
                None => services.push((name, here)),
            }
            if !here && !matches!(found, Found::Elsewhere(_)) {
                continue;
            }
        }
        match found {
            Found::At(index) => starts.add(index, &identity, record),
            Found::Gone if identity.source == Known::Record => {
                reporter.note(format_args!("find process: {identity}: it has gone"));
            }
            Found::Gone => {
                reporter.absent(&Error::new(Kind::Gone, "find process", identity, "no such process"));
            }
            Found::Elsewhere(why) => {
                reporter.fault(&Error::new(Kind::Unsupported, "find process", identity, why));
            }
        }
    }
    for (name, _) in services.iter().filter(|(_, any)| !any) {
        reporter.absent(&Error::new(Kind::Gone, "find service", name, "none of its processes is left"));
    }
    starts
}

impl Starts {
    fn add(&mut self, index: Index, identity: &Identity, record: Option<Record>) {
        self.indices.push(index);
        if identity.source == Known::Number {
            self.by_number.insert(index);
        }
        let Some(record) = record else { return };
        // Two records may name one process: what both say is said once, by the first.
        match self.records.entry(index) {
            Entry::Vacant(place) => drop(place.insert(record)),
            Entry::Occupied(mut place) => {
                for (name, value) in record.fields() {
                    if place.get().get(name).is_none() {
                        place.get_mut().set(name, &value);
                    }
                }
            }
        }
    }
}

/// The ancestors of some processes and these themselves, outermost first, each once.
fn upwards(table: &Table, roots: &[Index], depth: usize) -> Vec<Step> {
    let mut wanted = vec![false; table.processes().len()];
    let mut tops = Vec::new();
    for root in roots {
        wanted[*root] = true;
        let mut top = Some(*root);
        for ancestor in table.ancestors(*root).take(depth) {
            top = Some(ancestor);
            // Without a limit, all above one that was met before has been met as well.
            if std::mem::replace(&mut wanted[ancestor], true) && depth == usize::MAX {
                top = None;
                break;
            }
        }
        tops.extend(top);
    }
    table.walk(&tops, usize::MAX).into_iter().filter(|step| wanted[step.index]).collect()
}

/// Writes the record of one process.
fn write(scene: &Scene, step: Step, starts: &Starts, out: &mut Vec<u8>) {
    const OWN: [&str; 5] = ["depth", "root", "orphan", "zombie", "catches_chld"];
    const JOINED: [&str; 4] = ["service", "scope", "project", "session"];
    let (table, index) = (scene.table(), step.index);
    let process = table.get(index);
    let mut sheet = scene.sheet(index, out);
    if starts.by_number.contains(&index) {
        sheet.field("identified_by", "pid");
    }
    let registered = scene.add_membership(index, &mut sheet);
    sheet.field("depth", &step.depth).field("root", &table.get(step.root).pid);
    let owner_dead = || scene.registered.of(process, table).and_then(evidence::of_registration).is_some();
    let certain = |piece: &Evidence| piece.strength == Strength::Certain;
    if evidence::of_table(table, index).iter().any(certain) || owner_dead() {
        sheet.field("orphan", &true);
    }
    if process.is_zombie() {
        sheet.field("zombie", &true);
    } else if table.children(index).any(|child| table.get(child).is_zombie()) {
        // What helps a parent that does not reap depends on it: pzombies reads it back.
        sheet.field("catches_chld", &Hints::has(process.hints.caught, Signal::CHLD));
    }
    if let Some(record) = starts.records.get(&index) {
        let joined: &[&str] = if registered { &JOINED } else { &[] };
        sheet.rest_of(record, &[&OWN, joined].concat());
    }
    sheet.end();
}
