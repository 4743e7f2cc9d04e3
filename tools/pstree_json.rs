//! `pstree-json`: shows processes as a tree of records.
//!
//! Reads the live table, a saved one (`--from`), or records to expand (`-`). Writes process records, parents first, with
//! `depth` and `root`, and `orphan` or `zombie` where that is so. Exits 0, or 1 when an operand was not found.

use std::collections::HashMap;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind, Result};
use procherd::evidence::{self, Strength};
use procherd::id::{Identity, Source as Known};
use procherd::record::Record;
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

/// A place in the table to start from, and the record that asked for it.
struct Start {
    index: Index,
    record: Option<Record>,
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let operands = Operands::optional(&args.operands)?;
    let wants = Wants {
        exe: args.with.iter().any(|name| name == "exe"),
        cwd: args.with.iter().any(|name| name == "cwd"),
        ..Wants::EVERYDAY
    };
    let scene = Scene::look(&args.look, wants, reporter)?;
    let table = scene.table();
    let starts = starts(&operands, &scene, &args, reporter)?;
    let roots: Vec<Index> = starts.iter().map(|start| start.index).collect();
    let depth = args.depth.unwrap_or(usize::MAX);
    let steps = match operands {
        Operands::None => table.walk(&table.roots(), depth),
        _ if args.ancestors => upwards(table, &roots, depth),
        _ => table.walk(&roots, depth),
    };
    let asked: HashMap<Index, Record> =
        starts.into_iter().filter_map(|start| Some((start.index, start.record?))).collect();
    let mut output = Output::new(&args.output, Shape::Tree);
    for step in steps {
        output.record(|out| write(&scene, step, asked.get(&step.index), out))?;
        if output.reader_left() {
            break;
        }
    }
    output.end()?;
    Ok(Exit::Done)
}

/// Finds what the operands name, and says what is not there.
fn starts(operands: &Operands, scene: &Scene, args: &Args, reporter: &mut Reporter) -> Result<Vec<Start>> {
    let mut starts = Vec::new();
    match operands {
        Operands::None => {}
        Operands::Typed(words) => {
            for word in words {
                match word {
                    Operand::Process(identity) => starts.extend(start(scene, identity, None, reporter)),
                    Operand::Name(name) => match frame::service(name, &args.registry) {
                        Ok(record) => {
                            let (own, below) = frame::tree_of(&record)?;
                            for identity in std::iter::once(own).chain(below) {
                                starts.extend(start(scene, &identity, None, reporter));
                            }
                        }
                        Err(error) if error.kind() == Kind::Gone => reporter.absent(&error),
                        Err(error) => return Err(error),
                    },
                }
            }
        }
        Operands::Input => {
            for Asked { identity, record } in frame::input(reporter, args.strict)? {
                starts.extend(start(scene, &identity, record, reporter));
            }
        }
    }
    Ok(starts)
}

/// Finds one process. That it has gone is an answer of the system when a record named it, and a no when it was typed.
fn start(
    scene: &Scene,
    identity: &Identity,
    record: Option<Record>,
    reporter: &mut Reporter,
) -> Option<Start> {
    match scene.find(identity) {
        Found::At(index) => return Some(Start { index, record }),
        Found::Gone if identity.source == Known::Record => {
            reporter.note(format_args!("find process: {identity}: it has gone"));
        }
        Found::Gone => reporter.absent(&Error::new(Kind::Gone, "find process", identity, "no such process")),
        Found::Elsewhere(why) => {
            reporter.fault(&Error::new(Kind::Unsupported, "find process", identity, why));
        }
    }
    None
}

/// The ancestors of some processes and these themselves, outermost first, each once.
fn upwards(table: &Table, roots: &[Index], depth: usize) -> Vec<Step> {
    let mut wanted = vec![false; table.processes().len()];
    let mut tops = Vec::new();
    for root in roots {
        wanted[*root] = true;
        let mut top = *root;
        for ancestor in table.ancestors(*root).take(depth) {
            wanted[ancestor] = true;
            top = ancestor;
        }
        tops.push(top);
    }
    table.walk(&tops, usize::MAX).into_iter().filter(|step| wanted[step.index]).collect()
}

/// Writes the record of one process.
fn write(scene: &Scene, step: Step, asked: Option<&Record>, out: &mut Vec<u8>) {
    const OWN: [&str; 4] = ["depth", "root", "orphan", "zombie"];
    let table = scene.table();
    let process = table.get(step.index);
    let mut sheet = scene.sheet(step.index, out);
    sheet.field("depth", &step.depth).field("root", &table.get(step.root).pid);
    let evidence = evidence::of_table(table, step.index);
    if evidence.iter().any(|piece| piece.strength == Strength::Certain) {
        sheet.field("orphan", &true);
    }
    if process.is_zombie() {
        sheet.field("zombie", &true);
    }
    if let Some(record) = asked {
        sheet.rest_of(record, &OWN);
    }
    sheet.end();
}
