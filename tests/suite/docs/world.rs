//! A small world in which the examples of the manual pages are run, with what they speak of: a process 4711, a service
//! `api` on port 8001, files, and stand-ins for programs of others.
//!
//! What an example answers depends on what it finds, so no answer is asked for. But each must be understood by all of its
//! programs, and end or wait: no misuse, no panic, no program or file that is not there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{Block, blocks};
use crate::support::arena::{inside, start_as};
use crate::support::{Scene, actor_program, project, skip};

/// How long an example may run before it is ended: those that watch and keep never end by themselves.
const SECONDS: &str = "1";

/// Stand-ins for programs of others, as scripts of the shell. `SERVE` listens on a port until it is ended.
const PROGRAMS: &[(&str, &str)] = &[
    ("npm", "case $1 in start | run) exec sleep 1000 ;; esac"),
    ("uvicorn", "PORT=8001 SERVE"),
    ("serve", "SERVE"),
    ("docker", ":"),
    ("make", ":"),
    ("mail", "cat >/dev/null"),
    ("dot", "cat"),
    ("less", "cat"),
    ("ssh", "shift; sh -c \"$*\""),
];

/// What is said when an example is not as it should be.
const WRONG: &[&str] = &[
    "not found",
    "No such file",
    "no such file",
    "unexpected argument",
    "required arguments",
    "invalid value",
    "Usage:",
    "panicked",
    "yntax error",
    "jq: error",
];

/// Makes the folder in which the examples are run.
fn furnish(home: &Path) {
    let write = |path: &str, text: &str| {
        let path = home.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    };
    let serve = format!("sleep 1000 | '{}' listen \"$PORT\" >/dev/null", actor_program().display());
    for (name, script) in PROGRAMS {
        let folder = if *name == "serve" { "work" } else { "bin" };
        let script = script.replace("PORT=8001 SERVE", "PORT=8001; SERVE").replace("SERVE", &serve);
        let path = write(&format!("{folder}/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
    }
    write("work/db/LOCK", "");
    write("work/dist/app.js", "");
    write("work/run/health.json", "{\"pid\": 4711}");
    write("work/.pids/orchestrator.pid", "4711\n");
    write("work/services.ndjson", "{\"service\": \"web\", \"command\": [\"sleep\", \"1000\"]}\n");
    let record = "{\"type\":\"process\",\"v\":1,\"pid\":4711,\"comm\":\"actor\"}\n";
    write("work/stop.ndjson", record);
}

/// A line of crontab(5) is its command; what is installed elsewhere stands in the path or in the folder.
fn script_of(block: &Block) -> String {
    let plain = |line: &str| line.strip_prefix("* * * * * ").unwrap_or(line).to_owned();
    let script: Vec<String> = block.script.lines().map(plain).collect();
    script.join("\n").replace("/usr/share/procherd/recipes/", "").replace("/srv/", "./")
}

/// Runs one example. Gives what is wrong with it.
fn run(block: &Block) -> Option<String> {
    let scene = Scene::new();
    furnish(scene.home());
    let _numbered = start_as(4711, || scene.actor(["idle"]));
    let script = script_of(block);
    fs::write(scene.home().join("example"), &script).expect("a file");
    // Those that start it themselves find the port free.
    let starts = ["pspawn api", "pkeep api"].iter().any(|command| script.contains(command));
    let api = if starts { ":" } else { "pspawn api --port 8001 --ready port:8001 --quiet -- ./serve" };
    let world = format!(
        "ip link set lo up || exit 125; PATH=\"$HOME/bin:{}:$PATH\"; cd work || exit 125; {api} || exit 125
         pstree-json --with exe,cwd > before.ndjson; export USER=root WORKSPACE=$PWD
         timeout -k 2 {SECONDS} sh ../example",
        project().join("tools/recipes").display()
    );
    fs::write(scene.home().join("world"), world).expect("a file");
    let said = scene.sh("exec unshare --net sh ./world").cwd(scene.home()).run();
    let is_wrong = matches!(said.code, None | Some(2 | 125..=127))
        || WRONG.iter().any(|word| said.stderr.contains(word));
    is_wrong.then(|| format!("{}:\n{script}\n{said:?}", block.place))
}

#[test]
fn the_examples_of_the_manual_pages_are_understood_by_all_of_their_programs() {
    let is_there = |name: &str| Command::new(name).arg("--version").output().is_ok();
    if let Some(missing) = ["jq", "ip", "pgrep"].into_iter().find(|name| !is_there(name)) {
        return skip(&format!("{missing} is not installed"));
    }
    inside(|| {
        let of_pages = blocks().into_iter().filter(|block| block.place.starts_with("man/") && !block.run);
        let of_tools =
            of_pages.filter(|block| block.place.contains(".1:") || block.place.contains("procherd.7"));
        let wrong: Vec<String> = of_tools.filter_map(|block| run(&block)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    });
}
