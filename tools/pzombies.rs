//! `pzombies`: finds zombies, and the parents that do not reap them.
//!
//! Reads the live table, saved ones (`--from`), or only the processes of the records on standard input (`-`). Writes
//! process records with `zombie_ms`, `parent` and `advice`; or, with `--parents`, the guilty parents. Exits 0 whether any
//! were found or not, 1 when an expectation was not met, 3 when it could not look.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use procherd::error::Result;
use procherd::record::Record;
use procherd::select::Verdict as Chosen;
use procherd::source::Wants;
use procherd::table::Shape;
use procherd::tree::Index;
use procherd::zombies::{self, Advice, Sighting, Verdict};

use crate::frame::{
    self, ExpectArgs, Outcome, Output, Reporter, Scene, Search, SearchArgs, Tool, TwoLooksArgs, duration,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pzombies", command: Args::command };

/// Find zombies, and the parents that do not reap them
///
/// Reports what is dead in two looks and has not been reaped, with the parent as a record, and what helps: reminding,
/// continuing or ending that parent. Nothing helps that is done to a zombie. A parent that reaps late is spared.
#[derive(Parser)]
#[command(name = "pzombies", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Look again after this time, and report what is dead in both looks
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration, conflicts_with = "once")]
    twice: Duration,

    /// Look once: a zombie that its parent is about to reap is reported too
    #[arg(long)]
    once: bool,

    /// Let a zombie be dead for this long where its parent has reaped others before
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration, conflicts_with = "once")]
    patience: Duration,

    /// List also the zombies of parents that reap, if late
    #[arg(short, long)]
    all: bool,

    /// Write the guilty parents in place of their zombies: what pkill-tree can end
    #[arg(long)]
    parents: bool,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    looks: TwoLooksArgs,
}

const EXAMPLES: &str = "\
Examples:
  pzombies                             who is dead, and who should have noticed
  pzombies --parents | pkill-tree      end the parents: the next one reaps
  pzombies --expect 0 -q               fail a CI step when zombies pile up
  pzombies --from before --from after  judge two snapshots of pstree-json";

/// A zombie that is reported.
struct Zombie {
    index: Index,
    parent: Option<Index>,
    dead_ms: Option<u64>,
    advice: Advice,
}

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.search.output.quiet);
    let needed = (!args.once).then_some("give two, or --once");
    let (look, earlier) = args.looks.looks(needed)?;
    let mut search = args.search.begin(&look, Wants::default(), reporter)?;
    let earlier = earlier.map(|look| Scene::look(&look, Wants::default(), reporter)).transpose()?;
    let found = find(&mut search, earlier.as_ref(), &args)?;
    let guilty = guilty(&found);
    let count = if args.parents { guilty.len() } else { found.len() };
    let exit = args.expect.judge(count, if args.parents { "parents" } else { "zombies" }, reporter);
    let mut output = Output::new(&args.search.output, Shape::Table);
    if args.parents {
        for (parent, (advice, zombies)) in guilty {
            output.record(|out| {
                let mut sheet = search.sheet(parent, out);
                sheet.field("zombies", &zombies).field("advice", advice.word());
                sheet.end();
            })?;
        }
    } else {
        for zombie in &found {
            let parent = zombie.parent.map(|parent| record_of(&search, parent)).transpose()?;
            output.record(|out| {
                let mut sheet = search.sheet(zombie.index, out);
                sheet.known("zombie_ms", zombie.dead_ms.as_ref()).known("parent", parent.as_ref());
                sheet.field("advice", zombie.advice.word());
                sheet.end();
            })?;
        }
    }
    output.end()?;
    search.end(reporter);
    Ok(exit)
}

/// Finds the zombies that are wanted, and what to do about each.
fn find(search: &mut Search, earlier: Option<&Scene>, args: &Args) -> Result<Vec<Zombie>> {
    let all: Vec<Index> =
        zombies::of(search.scene.table()).into_iter().filter(|index| search.is_asked(*index)).collect();
    let mut all = refresh(search, &all)?;
    all.retain(|zombie| is_wanted(search, *zombie));
    let verdicts: Vec<(Index, Option<u64>, Verdict)> = if args.once {
        all.into_iter().map(|zombie| (zombie, None, Verdict::Confirmed)).collect()
    } else if let Some(earlier) = earlier {
        let before = Sighting::of(earlier.table(), &zombies::of(earlier.table()));
        let table = search.scene.table();
        let judge = |zombie| (zombie, Some(before.until(table)), before.judge(table, zombie, true));
        all.into_iter().map(judge).collect()
    } else {
        wait_and_judge(search, all, args)?
    };
    let scene = &search.scene;
    let mut found = Vec::new();
    for (index, between, verdict) in verdicts {
        let parent = scene.table().parent(index);
        let advice = match verdict {
            Verdict::New => continue,
            Verdict::Late => Advice::Wait,
            Verdict::Confirmed => parent.map_or(Advice::Wait, |parent| {
                let told = || scene.record(parent).is_some_and(|record| record.get("catches_chld").is_some());
                zombies::advice(scene.table().get(parent), scene.is_live() || told())
            }),
        };
        if verdict == Verdict::Late && !args.all {
            continue;
        }
        let dead_ms = dead_ms(scene, index).into_iter().chain(between).max();
        found.push(Zombie { index, parent, dead_ms, advice });
    }
    found.sort_unstable_by_key(|zombie| {
        let process = scene.table().get(zombie.index);
        (process.start_ticks, process.pid)
    });
    Ok(found)
}

/// Looks again at zombies of the live system until each is judged. Time passes only where one is left.
///
/// A parent that has reaped before may do so again: it gets the time that is left of the patience.
fn wait_and_judge(
    search: &mut Search,
    mut zombies: Vec<Index>,
    args: &Args,
) -> Result<Vec<(Index, Option<u64>, Verdict)>> {
    let before = Sighting::of(search.scene.table(), &zombies);
    let mut judged = Vec::new();
    let mut wait = args.twice;
    while !zombies.is_empty() {
        frame::pause(wait);
        let seen = refresh(search, &zombies)?;
        let table = search.scene.table();
        // Who has vanished has been reaped: then its parent reaps, and will come to the others.
        let reaping: Vec<Option<Index>> = zombies
            .iter()
            .filter(|zombie| !seen.contains(zombie))
            .map(|zombie| table.parent(*zombie))
            .collect();
        let mut undecided = Vec::new();
        wait = Duration::MAX;
        for zombie in seen {
            let parent = table.parent(zombie);
            let between = before.until(table);
            let verdict = match before.judge(table, zombie, false) {
                Verdict::Confirmed if parent.is_some() && reaping.contains(&parent) => Verdict::Late,
                verdict => verdict,
            };
            let dead = dead_ms(&search.scene, zombie).into_iter().chain([between]).max().unwrap_or(between);
            let left = args.patience.saturating_sub(Duration::from_millis(dead));
            if verdict == Verdict::Confirmed && !left.is_zero() && has_a_habit(&search.scene, parent) {
                undecided.push(zombie);
                wait = wait.min(left).min(args.twice.max(Duration::from_millis(100)));
            } else {
                judged.push((zombie, Some(between), verdict));
            }
        }
        zombies = undecided;
    }
    Ok(judged)
}

/// Tells whether a parent has reaped some child in its life, and could do so again.
fn has_a_habit(scene: &Scene, parent: Option<Index>) -> bool {
    parent.is_some_and(|parent| {
        let parent = scene.table().get(parent);
        parent.hints.reaped > 0 && !parent.state.is_stopped()
    })
}

/// Reads zombies and their parents again, and gives the zombies that still are.
fn refresh(search: &mut Search, zombies: &[Index]) -> Result<Vec<Index>> {
    let table = search.scene.table();
    let mut both: Vec<Index> = zombies.iter().filter_map(|zombie| table.parent(*zombie)).collect();
    both.extend(zombies);
    both.sort_unstable();
    both.dedup();
    let still = search.scene.enrich(&both, Wants::EVERYDAY)?;
    let table = search.scene.table();
    Ok(zombies
        .iter()
        .copied()
        .filter(|zombie| still.binary_search(zombie).is_ok() && table.get(*zombie).is_zombie())
        .collect())
}

/// Tells whether a zombie is wanted. It has no command line, folder or environment any more, so its parent may stand in.
fn is_wanted(search: &mut Search, zombie: Index) -> bool {
    let (process, view) = (search.scene.table().get(zombie), &search.scene.table().view);
    if u128::from(view.age_ms(process)) < search.selection().min_age.as_millis() {
        return false;
    }
    if search.judge(zombie) == Chosen::Yes {
        return true;
    }
    search
        .scene
        .table()
        .parent(zombie)
        .is_some_and(|parent| search.selection().narrows() && search.wants(parent))
}

/// For how long a zombie has been dead, as the kernel knows it.
fn dead_ms(scene: &Scene, zombie: Index) -> Option<u64> {
    scene.is_live().then(|| scene.source().idle_ms(scene.table().get(zombie))).flatten()
}

/// The parents that can be blamed, with what to do about each and how many zombies it has. An init that adopts cannot be
/// ended, and one that reaps late need not be.
fn guilty(found: &[Zombie]) -> BTreeMap<Index, (Advice, usize)> {
    let mut guilty = BTreeMap::new();
    for zombie in found.iter().filter(|zombie| !matches!(zombie.advice, Advice::ReplaceInit | Advice::Wait)) {
        if let Some(parent) = zombie.parent {
            guilty.entry(parent).or_insert((zombie.advice, 0)).1 += 1;
        }
    }
    guilty
}

/// The record of a process, to stand inside of another.
fn record_of(search: &Search, index: Index) -> Result<Record> {
    let mut line = Vec::new();
    search.scene.sheet(index, &mut line).end();
    Record::parse(&line)
}
