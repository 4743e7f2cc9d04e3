//! Looking at the whole table, and finding few in many.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::cost::{self, Rounds, cpu, memory, wall};
use crate::crowd::{Crowd, ORPHANED, Plan};
use crate::report::{self, Report};
use crate::tools::{Tools, peer};

/// The fields of a process record that ps(1) has too.
const PS_FIELDS: &str = "pid,ppid,pgid,sid,tty,stat,comm,uid,user,nlwp,rss,cputimes,lstart,etimes,args";

const ORPHANS: usize = 3;

/// Measures a look at `count` idle processes.
pub(crate) fn whole_table(tools: &Tools, count: usize, report: &mut Report) -> Result<(), String> {
    report::title(&format!("look at {count} idle processes"));
    let _crowd = Crowd::gather(tools, plan(count))?;
    let (stat, full) = ("floor: stat only", "floor: the same reads and fields");
    let mut contestants = vec![
        (stat.to_owned(), with(Command::new(tools.helper("floor")), &["stat"])),
        (full.to_owned(), with(Command::new(tools.helper("floor")), &["full"])),
    ];
    let mut add = |name: &str, command: Option<Command>, args: &[&str]| {
        contestants.extend(command.map(|command| (name.to_owned(), with(command, args))));
    };
    let pattern = format!("--pattern={ORPHANED}");
    add("pstree-json", tools.ours("pstree-json").map(Command::new), &[]);
    add("porphans --pattern", tools.ours("porphans").map(Command::new), &[&pattern]);
    add("ps -e -o", peer("ps"), &["-e", "-o", PS_FIELDS]);
    add("pgrep -f", peer("pgrep"), &["-f", ORPHANED]);
    for (name, command) in &mut contestants {
        check(name, command, count)?;
    }
    let turns = match count {
        0..1_000 => 41,
        1_000..10_000 => 21,
        _ => 11,
    };
    let rounds = Rounds::play(&mut contestants, turns, |command| cost::run(command, &[0]))?;
    report::table(&rounds, full);
    if count < 10_000 {
        return Ok(());
    }
    report.at_most("pstree-json, cpu / same reads", rounds.ratio("pstree-json", full, cpu), 1.2);
    report.at_most("pstree-json, wall / same reads", rounds.ratio("pstree-json", full, wall), 0.65);
    report.at_least("pstree-json, times as fast as ps", rounds.ratio("ps -e -o", "pstree-json", wall), 4.0);
    report.at_most("pstree-json, MiB", rounds.median("pstree-json", memory), 24.0);
    report.at_most("porphans, cpu / stat only", rounds.ratio("porphans --pattern", stat, cpu), 1.2);
    report.at_least(
        "porphans, times as fast as pgrep -f",
        rounds.ratio("pgrep -f", "porphans --pattern", wall),
        5.0,
    );
    Ok(())
}

/// Counts the system calls that each further process costs.
pub(crate) fn system_calls(tools: &Tools, report: &mut Report) {
    report::title("system calls for each further process (900 between 100 and 1000)");
    let (Some(tool), Some(_)) = (tools.ours("pstree-json"), peer("strace")) else { return };
    let calls = |count: usize| -> Result<f64, String> {
        let _crowd = Crowd::gather(tools, plan(count))?;
        let counts = tools.helper("calls.txt");
        let mut strace = peer("strace").ok_or("strace has gone")?;
        strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&counts).arg(&tool);
        cost::run(&mut strace, &[0])?;
        let text = std::fs::read_to_string(&counts).map_err(|error| format!("read: calls.txt: {error}"))?;
        text.lines()
            .find_map(|line| line.trim().strip_suffix("total")?.trim().parse().ok())
            .ok_or_else(|| "read: calls.txt: no total in it".to_owned())
    };
    match (calls(100), calls(1_000)) {
        (Ok(few), Ok(many)) => report.at_most("pstree-json, calls", Some((many - few) / 900.0), 9.0),
        (Err(why), _) | (_, Err(why)) => report::skipped("system calls", &why),
    }
}

fn plan(count: usize) -> Plan<'static> {
    Plan { shape: "bushy", count, orphans: ORPHANS, polite: true, cgroup: None }
}

fn with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// A contestant that does not do the work is not measured: tables must be complete, searches must find the few.
fn check(name: &str, command: &mut Command, count: usize) -> Result<(), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start: {name}: {error}"))?;
    // Not kept: what we hold counts as memory of every child that we start later.
    let lines = child.stdout.take().map_or(0, |output| BufReader::new(output).split(b'\n').count());
    child.wait().map_err(|error| format!("wait for: {name}: {error}"))?;
    let right = match name {
        "floor: stat only" => lines == 0,
        "pgrep -f" | "porphans --pattern" => lines == ORPHANS,
        _ => (count..count + 200 + count / 2).contains(&lines),
    };
    if right { Ok(()) } else { Err(format!("check: {name}: {lines} lines for {count} processes")) }
}
