//! `pdups`: finds more instances, or fewer, than there should be.
//!
//! Reads the live table, a saved one (`--from`), or only the processes of the records on standard input (`-`). Writes
//! the instances of each group whose number is wrong as process records with `group`, `count`, `expected` and perhaps
//! `leftover`. Exits 0 when all numbers are right, 1 when one is not, 3 when it could not look.

mod groups;
mod rules;

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, ValueEnum};
use procherd::error::{Error, Kind, Result};
use procherd::snapshot::Pulse;
use procherd::source::Wants;
use procherd::table::Shape;
use procherd::tree::{self, Index};

use crate::frame::{
    self, Exit, LookArgs, Outcome, Output, Question, Reporter, Search, SearchArgs, Tool, duration,
};
use groups::{By, Group};
use rules::{Rule, Rules};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pdups", command: Args::command };

/// Find more instances of a program than there should be, or fewer
///
/// Groups processes by command line, by executable and script, by role, or by facts of your choice, and reports the
/// groups whose number of instances is not the expected one. What runs below another process of its group is a worker of
/// that instance, and not counted.
#[derive(Parser)]
#[command(name = "pdups", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// What makes two processes instances of the same [default: role where roles are named, else command]
    #[arg(long, value_name = "WHAT", conflicts_with = "key")]
    by: Option<ByArg>,

    /// Instances of the same have these facts in common; repeatable
    #[arg(long, value_name = "FACT", value_delimiter = ',', value_parser = groups::FACTS)]
    key: Vec<String>,

    /// Processes whose command line matches play this role; repeatable
    #[arg(long, value_name = "NAME=REGEX")]
    role: Vec<String>,

    /// How many instances of a role are right, or how many findings; repeatable
    #[arg(long, value_name = "NAME=N|A..B [per NAME] | N|A..B")]
    expect: Vec<Rule>,

    /// Read roles (NAME~REGEX) and expectations (NAME=N) from a file, one a line; repeatable
    #[arg(long, value_name = "FILE")]
    expect_from: Vec<String>,

    /// Count every process, also those that run below another one of their group
    #[arg(long)]
    each: bool,

    /// Mark instances that are at least this old, and not the newest of their group
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,

    /// Write only instances that are marked as left over
    #[arg(long)]
    leftovers: bool,

    /// Leave out as many of the newest or oldest instances as are expected: the rest is surplus
    #[arg(long, value_name = "WHICH")]
    keep: Option<Keep>,

    /// Go on looking, and report each group when its number becomes wrong, within a second
    #[arg(short, long, conflicts_with = "from")]
    watch: bool,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    look: LookArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum ByArg {
    /// The same role, by --role or by registration.
    Role,
    /// The same command line.
    Command,
    /// The same executable, and the same script where that is an interpreter.
    Script,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Keep {
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
}

const EXAMPLES: &str = "\
Examples:
  pdups --project . --by script      what runs twice in this project
  pdups --role daemon=lsl-daemon --expect daemon=1
                                     one daemon, neither more nor less
  pdups --expect-from rules --watch  say so within a second when it is not so
  pdups -p vite --keep newest | pkill-tree
                                     end all but the newest";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

/// How to group, and what is expected.
struct Plan {
    by: By,
    rules: Rules,
}

/// An instance that is reported.
struct Instance {
    index: Index,
    group: usize,
    leftover: Vec<&'static str>,
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.search.output.quiet);
    let plan = plan(&args)?;
    let mut output = Output::new(&args.search.output, Shape::Table);
    let question = args.search.question(reporter)?;
    if args.watch {
        return watch(&args, &plan, &question, output, reporter);
    }
    let (mut search, groups) = look(&args, &plan, question, reporter)?;
    let instances = instances(&mut search, &groups, &args)?;
    for instance in &instances {
        write(&search, &groups, instance, &mut output)?;
    }
    output.end()?;
    search.end(reporter);
    let exit = match plan.rules.total {
        Some(total) => total.judge(instances.len(), "duplicates", reporter),
        None => Exit::Done,
    };
    for group in groups.iter().filter(|group| !group.is_right()) {
        let error = said(&search, group);
        if plan.rules.total.is_some() { reporter.note(error) } else { reporter.absent(&error) }
    }
    Ok(exit)
}

fn plan(args: &Args) -> Result<Plan> {
    let rules = Rules::read(&args.role, &args.expect, &args.expect_from)?;
    let by = match args.by {
        Some(ByArg::Role) => By::Role,
        Some(ByArg::Script) => By::Script,
        None if !args.key.is_empty() => By::Facts(args.key.clone()),
        None if rules.name_roles() => By::Role,
        Some(ByArg::Command) | None => By::Command,
    };
    let invalid = |on: &str, why: &str| Err(Error::new(Kind::Invalid, "read options", on, why));
    if rules.name_roles() && !matches!(by, By::Role) {
        return invalid("--by", "roles are named, so only --by role makes sense");
    }
    if args.watch && !args.search.operands.is_empty() {
        return invalid("--watch", "a stream is read once: choose processes by selectors");
    }
    Ok(Plan { by, rules })
}

/// Looks once, and groups what is wanted.
fn look(
    args: &Args,
    plan: &Plan,
    question: Question,
    reporter: &mut Reporter,
) -> Result<(Search, Vec<Group>)> {
    let wants = Wants { identity: false, ..Wants::EVERYDAY };
    let mut search = args.search.look(question, &args.look, wants, reporter)?;
    let groups = groups::collect(&mut search, &plan.by, &plan.rules, args.each, &args.search.registry)?;
    Ok((search, groups))
}

/// What is reported: the instances of groups with a wrong number, without what is kept and what is not asked for.
fn instances(search: &mut Search, groups: &[Group], args: &Args) -> Result<Vec<Instance>> {
    let mut found: HashMap<Index, Instance> = HashMap::new();
    for (at, group) in groups.iter().enumerate().filter(|(_, group)| !group.is_right()) {
        let spared = group.expected.most().min(group.members.len());
        let rest = match args.keep {
            Some(Keep::Oldest) => &group.members[spared..],
            Some(Keep::Newest) => &group.members[..group.members.len() - spared],
            None => &group.members[..],
        };
        for index in rest {
            let newest = group.members.last() == Some(index);
            let why = || groups::leftover(&search.scene, *index, args.older_than);
            let leftover = if newest { Vec::new() } else { why() };
            if !args.leftovers || !leftover.is_empty() {
                found.insert(*index, Instance { index: *index, group: at, leftover });
            }
        }
    }
    let indices: Vec<Index> = found.keys().copied().collect();
    let mut still = search.scene.enrich(&indices, Wants::EVERYDAY)?;
    tree::parents_first(search.scene.table(), &mut still);
    Ok(still.into_iter().filter_map(|index| found.remove(&index)).collect())
}

fn write(search: &Search, groups: &[Group], instance: &Instance, output: &mut Output) -> Result<()> {
    let group = &groups[instance.group];
    output.record(|out| {
        let mut sheet = search.sheet(instance.index, out);
        sheet
            .field("group", &group.label)
            .field("count", &group.members.len())
            .field("expected", &group.expected.to_string());
        if !instance.leftover.is_empty() {
            sheet.field("leftover", &instance.leftover);
        }
        sheet.end();
    })
}

/// Says that a number is wrong, with the processes that were counted.
fn said(search: &Search, group: &Group) -> Error {
    const MOST: usize = 20;
    const LONGEST: usize = 100;
    let table = search.scene.table();
    let mut pids: Vec<String> =
        group.members.iter().take(MOST).map(|index| table.get(*index).pid.to_string()).collect();
    if group.members.len() > MOST {
        pids.push("...".to_owned());
    }
    let pids = if pids.is_empty() { String::new() } else { format!(" (pids {})", pids.join(" ")) };
    let why = format!("found {}{pids}, {}", group.members.len(), group.expected.words());
    let mut label: String = group.label.chars().take(LONGEST).collect();
    if label.len() < group.label.len() {
        label.push_str("...");
    }
    Error::new(Kind::Gone, "count instances", label, why)
}

/// Looks whenever processes have begun or ended, and reports groups when their number becomes wrong, or is wrong in
/// another way than before. Ends when the reader leaves.
fn watch(
    args: &Args,
    plan: &Plan,
    question: &Question,
    mut output: Output,
    reporter: &mut Reporter,
) -> Outcome {
    const INTERVAL: Duration = Duration::from_millis(250);
    let mut known: HashMap<String, Vec<(u32, u64)>> = HashMap::new();
    let mut pulse = Pulse::default();
    reporter.say_once();
    loop {
        let (mut search, groups) = look(args, plan, question.clone(), reporter)?;
        let table = search.scene.table();
        let marks = |group: &Group| -> Vec<(u32, u64)> {
            let mark = |index: &Index| (table.get(*index).pid.get(), table.get(*index).start_ticks);
            group.members.iter().map(mark).collect()
        };
        let wrong: HashMap<String, Vec<(u32, u64)>> = groups
            .iter()
            .filter(|group| !group.is_right())
            .map(|group| (group.label.clone(), marks(group)))
            .collect();
        let news: HashSet<&String> = wrong
            .iter()
            .filter(|(label, marks)| known.get(*label) != Some(marks))
            .map(|(label, _)| label)
            .collect();
        let instances = instances(&mut search, &groups, args)?;
        for instance in instances.iter().filter(|one| news.contains(&groups[one.group].label)) {
            write(&search, &groups, instance, &mut output)?;
        }
        for group in groups.iter().filter(|group| news.contains(&group.label)) {
            reporter.note(said(&search, group));
        }
        output.flush()?;
        search.end(reporter);
        known = wrong;
        loop {
            if output.reader_left() && !args.search.output.quiet || !output.wait(&[], INTERVAL)? {
                return Ok(Exit::Done);
            }
            if pulse.stirs(search.scene.source()) {
                break;
            }
        }
    }
}
