//! Starting a service, and running a session, against doing without.

use std::path::Path;
use std::process::Command;

use crate::cost::{self, Rounds, wall};
use crate::registry::Folder;
use crate::report::{self, Report};
use crate::tools::Tools;

/// How many services stand in the registry.
const SERVICES: usize = 10;

const EMPTY: &str = "floor: an empty Rust program";

/// Measures both.
pub(crate) fn all(tools: &Tools, report: &mut Report) -> Result<(), String> {
    let (Some(pspawn), Some(psession)) = (tools.ours("pspawn"), tools.ours("psession")) else {
        return Ok(());
    };
    // What any program costs that is started: the rest is the work.
    let empty = tools.helper("empty");
    let place = Folder::make(&tools.helper("spawn"))?;
    let registry = place.0.join("registry.json");
    for number in 0..SERVICES {
        let mut command = plain(Command::new(&pspawn), &registry);
        command.args([&format!("standing-{number}"), "--quiet", "--", "sleep", "1000"]);
        cost::run(&mut command, &[0])?;
    }
    service(&pspawn, &empty, &registry, report)?;
    session(&psession, &empty, &registry, report)
}

fn service(pspawn: &Path, empty: &Path, registry: &Path, report: &mut Report) -> Result<(), String> {
    report::title(&format!("start a service from a shell, {SERVICES} services registered"));
    let bare = "setsid true &";
    let ours = pspawn.display();
    let lines = [
        (bare, "setsid true >/dev/null 2>&1 </dev/null &".to_owned()),
        (EMPTY, empty.display().to_string()),
        ("pspawn", format!("{ours} once --quiet -- true")),
        ("pspawn --cgroup off", format!("{ours} plain --quiet --cgroup off -- true")),
        ("pspawn --log", format!("{ours} logged --quiet --log {}.log -- true", registry.display())),
    ];
    // The same name again and again: its last process has ended.
    let mut contestants: Vec<(String, Command)> = lines
        .into_iter()
        .map(|(name, line)| {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &format!("{line}\n:")]);
            (name.to_owned(), plain(shell, registry))
        })
        .collect();
    let rounds = Rounds::play(&mut contestants, 101, |command| cost::run(command, &[0]))?;
    report::table(&rounds, bare);
    let more = rounds.median("pspawn", wall).zip(rounds.median(bare, wall)).map(|(own, least)| own - least);
    report.at_most("pspawn, wall ms more than setsid in a shell", more, 2.5);
    Ok(())
}

fn session(psession: &Path, empty: &Path, registry: &Path, report: &mut Report) -> Result<(), String> {
    report::title("run a command in a session");
    let mut contestants = vec![
        ("true".to_owned(), plain(Command::new("true"), registry)),
        (EMPTY.to_owned(), plain(Command::new(empty), registry)),
    ];
    for (name, options) in [
        ("psession true", &[][..]),
        ("psession --isolate pidns true", &["--isolate", "pidns"]),
        ("psession --isolate cgroup true", &["--isolate", "cgroup"]),
    ] {
        let mut command = plain(Command::new(psession), registry);
        command.args(options).arg("true");
        match cost::run(&mut command, &[0]) {
            Ok(_) => contestants.push((name.to_owned(), command)),
            Err(_) if !options.is_empty() => report::skipped(name, "not permitted here"),
            Err(why) => return Err(why),
        }
    }
    let rounds = Rounds::play(&mut contestants, 101, |command| cost::run(command, &[0]))?;
    report::table(&rounds, "true");
    let more =
        rounds.median("psession true", wall).zip(rounds.median("true", wall)).map(|(own, least)| own - least);
    report.at_most("psession true, wall ms more than true", more, 3.0);
    Ok(())
}

/// A command with a registry of its own, and nothing else that would change what it does.
fn plain(mut command: Command, registry: &Path) -> Command {
    command.env("PROCHERD_REGISTRY", registry);
    for name in ["PROCHERD_SESSION", "PROCHERD_PROJECT", "PROCHERD_ID", "PROCHERD_SERVICE", "PROCHERD_KEEP"] {
        command.env_remove(name);
    }
    command
}
