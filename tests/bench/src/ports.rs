//! Finding who listens on one port, among many processes and many sockets.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};

use crate::cost::{self, Rounds, wall};
use crate::crowd::{Crowd, Plan};
use crate::report::{self, Report};
use crate::tools::{Tools, peer};

/// How many processes and how many listening sockets there are.
const PROCESSES: usize = 10_000;
const SOCKETS: usize = 2_000;

/// Measures the search for the holder of one port. The sockets are ours.
pub(crate) fn holder(tools: &Tools, report: &mut Report) -> Result<(), String> {
    report::title(&format!("who listens on a port: {PROCESSES} processes, {SOCKETS} sockets"));
    let Some(tool) = tools.ours("pports") else { return Ok(()) };
    raise_file_limit();
    let plan = Plan { shape: "bushy", count: PROCESSES, orphans: 0, polite: true, cgroup: None };
    let _crowd = Crowd::gather(tools, plan)?;
    let failed = |error| format!("listen: {error}");
    let sockets = (0..SOCKETS)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let port = sockets[SOCKETS / 2].local_addr().map_err(failed)?.port();
    let mut contestants = vec![("pports".to_owned(), with(Command::new(&tool), &[&port.to_string()]))];
    let mut add = |name: &str, command: Option<Command>, args: &[&str]| {
        contestants.extend(command.map(|command| (name.to_owned(), with(command, args))));
    };
    add("pports --check", Some(Command::new(&tool)), &["--check", &port.to_string()]);
    add("lsof -ti", peer("lsof"), &[&format!("-ti:{port}")]);
    add("fuser", peer("fuser"), &[&format!("{port}/tcp")]);
    add("ss -ltnp", peer("ss"), &["-Hltnp", &format!("sport = :{port}")]);
    for (name, command) in &mut contestants {
        check(name, command)?;
    }
    let rounds = Rounds::play(&mut contestants, 5, |command| cost::run(command.stderr(Stdio::null()), &[0]))?;
    report::table(&rounds, "pports");
    report.at_least("pports, times as fast as lsof -ti", rounds.ratio("lsof -ti", "pports", wall), 5.0);
    report.at_least("pports, times as fast as fuser", rounds.ratio("fuser", "pports", wall), 1.0);
    Ok(())
}

fn with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// A contestant that does not find us is not measured.
fn check(name: &str, command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("start: {name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let own = std::process::id().to_string();
    let silent = name == "pports --check";
    let right = output.status.success()
        && (silent || text.split(|c: char| !c.is_ascii_digit()).any(|word| word == own));
    if right { Ok(()) } else { Err(format!("check: {name}: it did not find process {own}: {text}")) }
}

/// Raises the limit of open files to what the system allows.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
