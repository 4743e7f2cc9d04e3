//! `porphans`: finds processes whose owner is gone, and shows the evidence.
//!
//! Reads the live table, a saved one (`--from`), or only the processes of the records on standard input (`-`). Writes
//! the roots of orphaned trees as process records with `evidence`. Exits 0 whether any were found or not, 1 when an
//! expectation was not met, 3 when it could not look.

use std::collections::HashMap;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind as Failure, Result};
use procherd::record::Record;
use procherd::source::Wants;
use procherd::table::Shape;
use procherd::tree::Index;

use crate::frame::{
    self, Asked, ExpectArgs, Finder, Found, LookArgs, Operands, Outcome, Output, OutputArgs, RegistryArgs,
    Reporter, Scene, SelectorArgs, Sheet, Tool,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "porphans", command: Args::command };

/// Find processes whose owner is gone, with evidence
///
/// Reports the roots of orphaned trees: certain ones always, probable ones when a selector narrows the search. Where the
/// root itself does not match but a process below it does, that process is reported. Never reports kernel threads,
/// zombies, service managers, container shims, registered services, this tool, its ancestors or its pipeline.
#[derive(Parser)]
#[command(name = "porphans", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// - looks only at the processes of the records on standard input
    #[arg(value_name = "-")]
    operands: Vec<String>,

    #[command(flatten)]
    select: SelectorArgs,

    /// Report also processes that no registry knows; needs a pattern
    #[arg(long)]
    untracked: bool,

    /// List every member of an orphaned tree, not only its root
    #[arg(short, long)]
    all: bool,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    look: LookArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  porphans --pattern vitest | pkill-tree --grace 3s    end what a test run left behind
  porphans --project . --patterns-from node-dev        what this project's node stack left
  porphans --expect 0 -q                               fail a CI step when anything was left
  porphans --untracked --pattern uvicorn               what runs without being registered";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let selection = args.select.selection()?;
    if args.untracked && selection.patterns.is_empty() {
        return Err(Error::new(
            Failure::Invalid,
            "read options",
            "--untracked",
            "it needs --pattern or --patterns-from",
        ));
    }
    let operands = match Operands::optional(&args.operands)? {
        Operands::Typed(_) => {
            let why = "the only operand is - (records on standard input)";
            return Err(Error::new(Failure::Invalid, "read operand", &args.operands[0], why));
        }
        other => other,
    };
    let mut scene = Scene::look(&args.look, Wants::default(), reporter)?;
    scene.know(&args.registry, reporter)?;
    let asked = asked(&operands, &scene, args.strict, reporter)?;
    let mut finder = Finder::new(scene, selection, args.untracked);
    let found = finder.find(asked.as_ref())?;
    let exit = args.expect.judge(found.len(), "orphans", reporter);
    let mut output = Output::new(&args.output, Shape::Table);
    for (index, evidence) in finder.listed(found, args.all)? {
        let record = asked.as_ref().and_then(|asked| asked.get(&index)).and_then(Option::as_ref);
        output.record(|out| {
            let mut sheet = match record {
                Some(record) => Sheet::Kept(record.clone(), out),
                None => finder.scene.sheet(index, out),
            };
            finder.scene.add_membership(index, &mut sheet);
            sheet.field("evidence", &evidence);
            sheet.end();
        })?;
    }
    output.end()?;
    for (fact, count) in &finder.hidden {
        let on = format!("{count} processes");
        reporter.fault(&Error::new(
            Failure::Denied,
            format!("read {fact}"),
            on,
            "not permitted, so they were not judged",
        ));
    }
    Ok(exit)
}

/// The processes that the input names, each with its record; none when nothing was asked to be read.
fn asked(
    operands: &Operands,
    scene: &Scene,
    strict: bool,
    reporter: &mut Reporter,
) -> Result<Option<HashMap<Index, Option<Record>>>> {
    if !matches!(operands, Operands::Input) {
        return Ok(None);
    }
    let mut asked = HashMap::new();
    for Asked { identity, record } in frame::input(reporter, strict)? {
        match scene.find(&identity) {
            Found::At(index) => {
                asked.insert(index, record);
            }
            Found::Gone => reporter.note(format_args!("find process: {identity}: it has gone")),
            Found::Elsewhere(why) => {
                reporter.fault(&Error::new(Failure::Unsupported, "find process", identity, why));
            }
        }
    }
    Ok(Some(asked))
}
