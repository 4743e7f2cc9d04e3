//! What each finder costs on many processes, compared with the reading that its question needs.
//!
//! The floor of a question is a C program that reads just the parts of each process that the question cannot do without,
//! in one thread, and does nothing with them. Processor time is compared: the finders use two threads.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};

use crate::cost::{self, Rounds, cpu};
use crate::crowd::{Crowd, Plan};
use crate::report::{self, Report};
use crate::tools::Tools;

const PROCESSES: usize = 10_000;

/// A finder, and the looks that its question needs: each names the parts that are read of every process.
struct Question {
    finder: &'static str,
    args: Vec<String>,
    floor: &'static [&'static str],
    /// How it may end.
    exits: &'static [i32],
}

/// Measures every finder against its floor.
pub(crate) fn all(tools: &Tools, report: &mut Report) -> Result<(), String> {
    report::title(&format!("every finder, and the reading that its question needs: {PROCESSES} processes"));
    let plan = Plan { shape: "bushy", count: PROCESSES, orphans: 0, polite: true, cgroup: None };
    let _crowd = Crowd::gather(tools, plan)?;
    let failed = |error| format!("listen: {error}");
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let port = socket.local_addr().map_err(failed)?.port().to_string();
    let questions = questions(&port, &members()?);
    let mut contestants: Vec<(String, (Command, &[i32]))> = Vec::new();
    for question in &questions {
        let floor = floor_of(question);
        if !contestants.iter().any(|(name, _)| *name == floor) {
            let mut command = Command::new(tools.helper("floor"));
            command.args(question.floor);
            contestants.push((floor, (command, &[0])));
        }
        if let Some(path) = tools.ours(question.finder) {
            let mut command = Command::new(path);
            command.args(&question.args).env("PROCHERD_REGISTRY", "/nonexistent/registry.json");
            // One of them says that its time is over.
            command.stderr(Stdio::null());
            contestants.push((question.finder.to_owned(), (command, question.exits)));
        }
    }
    let rounds = Rounds::play(&mut contestants, 11, |(command, exits)| cost::run(command, exits))?;
    report::table(&rounds, "floor: stat");
    for question in &questions {
        let ratio = rounds.ratio(question.finder, &floor_of(question), cpu);
        report.at_most(&format!("{}, cpu / {}", question.finder, floor_of(question)), ratio, 1.3);
    }
    Ok(())
}

fn floor_of(question: &Question) -> String {
    format!("floor: {}", question.floor.join(" "))
}

fn questions(port: &str, members: &[String]) -> Vec<Question> {
    let ask = |finder, args: &[&str], floor, exits| Question {
        finder,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        floor,
        exits,
    };
    let mut gone = ask("pgone", &["--timeout", "0s"], &["watched+stat+cmdline+owner"], &[124]);
    gone.args.extend_from_slice(members);
    vec![
        // Who is whose child, in which session, dead or not: the rest is read of those alone that are found.
        ask("porphans", &[], &["stat"], &[0]),
        ask("pzombies", &[], &["stat"], &[0]),
        // Two samples.
        ask("phung", &["--sample", "1ms"], &["stat", "stat"], &[0]),
        // Command lines are compared, of one user's processes.
        ask("pdups", &[], &["stat+cmdline+owner"], &[0]),
        // A socket may have been passed to anybody.
        ask("pports", &[port], &["files"], &[0]),
        // All of them live, and it gives up at once: it holds each, and says what it is.
        gone,
    ]
}

/// The processes of the crowd that can be waited for.
fn members() -> Result<Vec<String>, String> {
    let failed = |error| format!("list processes: {error}");
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) && name != "1" && name != own {
            found.push(name);
        }
    }
    Ok(found)
}
