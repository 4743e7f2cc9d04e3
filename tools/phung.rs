//! `phung`: finds processes that hang, by two samples of each.
//!
//! Reads the live table, two saved ones (`--from`), or only the processes of the records on standard input (`-`). Writes
//! process records with `evidence` and both `samples`. Exits 0 whether any were found or not, 1 when an expectation was
//! not met, 3 when it could not look.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind as Failure, Result};
use procherd::host::{self, Host};
use procherd::hung::{self, Kind, Limits, Moment, Sample, Sign};
use procherd::registry::judge;
use procherd::snapshot;
use procherd::source::{Source, Wants};
use procherd::table::Shape;
use procherd::tree::{self, Index, Table};

use crate::frame::{
    self, ExpectArgs, Found, LookArgs, Outcome, Output, Reporter, Scene, Search, SearchArgs, Tool,
    TwoLooksArgs, duration,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "phung", command: Args::command };

/// Find processes that hang: spinning, stuck, stopped, deaf to TERM
///
/// Takes two samples and compares them: who uses up a processor, waits where no signal reaches it, has been stopped for
/// long, or does not get the SIGTERM that it was sent. An average over a lifetime is never used.
#[derive(Parser)]
#[command(name = "phung", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// The time between the two samples
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    sample: Duration,

    /// Report what uses at least so many cores between the samples
    #[arg(long, value_name = "CORES", default_value = "0.9", value_parser = cores)]
    cpu: f64,

    /// Report what has been stopped for at least this long
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    stopped: Duration,

    /// Report registered services that gave no sign of life for this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    beat: Option<Duration>,

    /// Only findings of this kind; repeatable
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = Kind::ALL.map(Kind::word))]
    kind: Vec<String>,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    looks: TwoLooksArgs,
}

const EXAMPLES: &str = "\
Examples:
  phung                              what hangs, and why it counts as that
  phung --kind spinning --sample 5s  who uses up a processor for five seconds
  phung --project . | pkill-tree     end what hangs in this project
  phung --beat 2m --kind heartbeat-overdue
                                     who gave no sign of life
  phung --expect 0 -q                fail when anything hangs";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

/// A process that hangs: its samples, if it was seen twice, and why.
struct Hung {
    index: Index,
    samples: Option<[Moment; 2]>,
    signs: Vec<Sign>,
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.search.output.quiet);
    let (look, earlier) = args.looks.looks(Some("give two"))?;
    if look.from.is_some() {
        refuse_what_snapshots_lack(&args)?;
    }
    let question = args.search.question(reporter)?;
    let (before, live) = first(earlier.as_ref(), reporter)?;
    let before = Sample::of(&before, live.as_ref());
    if live.is_some() {
        frame::pause(args.sample);
    }
    let mut search = args.search.look(question, &look, Wants::default(), reporter)?;
    let found = find(&mut search, &before, &args, reporter)?;
    let exit = args.expect.judge(found.len(), "hung processes", reporter);
    let mut output = Output::new(&args.search.output, Shape::Table);
    for hung in found {
        output.record(|out| {
            let mut sheet = search.sheet(hung.index, out);
            sheet.field("evidence", &hung.signs).known("samples", hung.samples.as_ref());
            sheet.end();
        })?;
    }
    output.end()?;
    search.end(reporter);
    Ok(exit)
}

/// A snapshot holds no signals and no registry: to be asked for them is no question that it can answer with "none".
fn refuse_what_snapshots_lack(args: &Args) -> Result<()> {
    let lacks = |kind: Kind| args.kind.iter().any(|word| word == kind.word());
    if args.beat.is_some() || lacks(Kind::TermPending) || lacks(Kind::HeartbeatOverdue) {
        let why = "a snapshot holds no signals and no signs of life";
        return Err(Error::new(Failure::Invalid, "read options", "--from", why));
    }
    Ok(())
}

/// The first look: the saved one, or the live table with the source that it came from.
fn first(earlier: Option<&LookArgs>, reporter: &mut Reporter) -> Result<(Table, Option<Source>)> {
    if let Some(look) = earlier {
        return Ok((Scene::look(look, Wants::default(), reporter)?.into_table(), None));
    }
    let (host, source) = (Host::look()?, Source::live()?);
    Ok((snapshot::read(&host, &source, Wants::default())?, Some(source)))
}

/// Finds what hangs and is wanted, parents first.
fn find(search: &mut Search, before: &Sample<'_>, args: &Args, reporter: &mut Reporter) -> Result<Vec<Hung>> {
    let asked = |sign: &Sign| args.kind.is_empty() || args.kind.iter().any(|word| word == sign.kind.word());
    let limits =
        Limits { cores: args.cpu, stopped_ms: u64::try_from(args.stopped.as_millis()).unwrap_or(u64::MAX) };
    let mut silent = silent(search, args, reporter)?;
    let (scene, mut found) = (&search.scene, HashMap::new());
    let after = Sample::of(scene.table(), scene.is_live().then(|| scene.source()));
    let idle = |process: &_| scene.is_live().then(|| scene.source().idle_ms(process)).flatten();
    for index in 0..scene.table().processes().len() {
        if search.is_own(index) || !search.is_asked(index) {
            continue;
        }
        let compared = hung::compare(before, &after, index, &limits, idle);
        let (samples, mut signs) =
            compared.map_or((None, Vec::new()), |(samples, signs)| (Some(samples), signs));
        signs.extend(silent.remove(&index));
        signs.retain(asked);
        if !signs.is_empty() {
            found.insert(index, Hung { index, samples, signs });
        }
    }
    // The rest of the facts is read for these few alone.
    let candidates: Vec<Index> = found.keys().copied().collect();
    let mut still = search.scene.enrich(&candidates, Wants::EVERYDAY)?;
    still.retain(|index| search.wants(*index));
    tree::parents_first(search.scene.table(), &mut still);
    Ok(still.into_iter().filter_map(|index| found.remove(&index)).collect())
}

/// The processes of registered services that have been silent for too long. Nobody is silent where no limit was given:
/// many services never give a sign of life.
fn silent(search: &Search, args: &Args, reporter: &mut Reporter) -> Result<HashMap<Index, Sign>> {
    let mut silent = HashMap::new();
    let Some(limit) = args.beat else { return Ok(silent) };
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let (host, source) = (search.scene.host(), search.scene.source());
    // That it cannot be read has been said.
    let Ok(document) = args.search.registry.open()?.read() else { return Ok(silent) };
    for entry in document.services() {
        let Ok(service) = entry.service() else { continue };
        let since = service.silent_ms(host.place().boot, host::boot_ms(), host::unix_ms());
        let Some(ms) = since.filter(|ms| *ms >= limit_ms) else { continue };
        let procherd::registry::Verdict::Alive(identity) = judge(host, source, &service) else { continue };
        match search.scene.find(&identity) {
            Found::At(index) => {
                silent.insert(index, Sign::silent(&service.name, ms, limit_ms));
            }
            Found::Gone => {}
            Found::Elsewhere(why) => {
                reporter.fault(&Error::new(Failure::Unsupported, "look at service", &service.name, why));
            }
        }
    }
    Ok(silent)
}

/// Parses a number of cores.
fn cores(text: &str) -> std::result::Result<f64, &'static str> {
    let cores: f64 = text.parse().map_err(|_| "not a number of cores such as 0.9")?;
    if cores.is_finite() && cores > 0.0 { Ok(cores) } else { Err("it must be more than 0") }
}
