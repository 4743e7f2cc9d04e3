//! `porphans`: finds processes whose owner is gone, and shows the evidence.
//!
//! Reads the live table, a saved one (`--from`), or only the processes of the records on standard input (`-`). Writes
//! the roots of orphaned trees as process records with `evidence`. Exits 0 whether any were found or not, 1 when an
//! expectation was not met, 3 when it could not look.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind as Failure};
use procherd::source::Wants;
use procherd::table::Shape;

use crate::frame::{self, ExpectArgs, Finder, LookArgs, Outcome, Output, Reporter, SearchArgs, Tool};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "porphans", command: Args::command };

/// Find processes whose owner is gone, with evidence
///
/// Reports the roots of orphaned trees: certain ones always, probable ones when a selector narrows the search. Where the
/// root itself does not match but a process below it does, that process is reported. Never reports kernel threads,
/// zombies, service managers, container shims, what lives in another container, registered services, this tool, its
/// ancestors or its pipeline.
#[derive(Parser)]
#[command(name = "porphans", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Report also processes that no registry knows; needs a pattern
    #[arg(long)]
    untracked: bool,

    /// List every member of an orphaned tree, not only its root
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    look: LookArgs,
}

const EXAMPLES: &str = "\
Examples:
  porphans --pattern vitest | pkill-tree --grace 3s
                                          end what a test run left behind
  porphans --project . --patterns-from node-dev
                                          what this project's node stack left
  porphans --expect 0 -q                  fail a CI step when anything is left
  porphans --untracked --pattern uvicorn  what runs without being registered";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.search.output.quiet);
    let select = &args.search.select;
    if args.untracked && select.pattern.is_empty() && select.patterns_from.is_empty() {
        let why = "it needs --pattern or --patterns-from";
        return Err(Error::new(Failure::Invalid, "read options", "--untracked", why));
    }
    let mut finder = Finder::new(args.search.begin(&args.look, Wants::default(), reporter)?, args.untracked);
    let found = finder.find()?;
    let exit = args.expect.judge(found.len(), "orphans", reporter);
    let mut output = Output::new(&args.search.output, Shape::Table);
    for (index, evidence) in finder.listed(found, args.all)? {
        output.record(|out| {
            let mut sheet = finder.search.sheet(index, out);
            sheet.field("evidence", &evidence);
            sheet.end();
        })?;
    }
    output.end()?;
    finder.search.end(reporter);
    Ok(exit)
}
