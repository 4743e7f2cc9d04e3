//! A session that the kernel holds together: a pid namespace, or a cgroup.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Play, child_of, wait_for_process};
use crate::support::terminal::Terminal;
use crate::support::wait::wait_dead;
use crate::support::{Id, Output, SOON, Scene, arena, skip, wait_until};

/// Tells, loudly, when a session cannot be isolated like this here.
fn not_here(by: &str) -> bool {
    let said = Scene::new().tool("psession").args(["--isolate", by, "true"]).run();
    if said.code != Some(0) {
        skip(&format!("no {by} can be made here: {}", said.stderr));
    }
    said.code != Some(0)
}

/// The init of the namespace of a session, and its command, by the numbers that they have outside.
fn init_and_command(play: &Play) -> (Id, Id) {
    let mut found = None;
    wait_until(SOON, "the command runs", || {
        let init = child_of(play.guardian()).and_then(child_of);
        found = init.and_then(|init| Some((init, child_of(init)?)));
        found.is_some()
    });
    found.expect("found")
}

/// Stops both halves, and kills both: none of them sees the other die.
fn kill_both(guardian: Id) {
    let halves = [guardian, child_of(guardian).expect("a worker")];
    for half in halves {
        half.signal(Signal::SIGSTOP);
    }
    wait_until(SOON, "both stand still", || halves.iter().all(|half| half.state() == Some('T')));
    for half in halves {
        half.signal(Signal::SIGKILL);
    }
    wait_dead(SOON, &halves);
}

#[test]
fn in_a_pid_namespace_nobody_gets_away_whoever_is_killed() {
    if not_here("pidns") {
        return;
    }
    arena::inside(|| {
        for by in ["TERM", "guardian", "worker", "init", "command", "both"] {
            for words in [
                "daemon --depth 1 --width 2",
                "clear-env",
                "ignore-term",
                "brothers 2 --setsid --depth 1",
                "respawner --lanes 3 --setsid",
            ] {
                let scene = Scene::new();
                let words: Vec<&str> = words.split(' ').chain(["--same-session"]).collect();
                let mut play = Play::begin(&scene, &["--grace", "100ms", "--isolate", "pidns"], &words);
                let line = play.running.record().expect("the line of an actor");
                let (init, command) = init_and_command(&play);
                assert_ne!(line["pid"], command.pid, "it has another number inside");
                match by {
                    "TERM" => play.running.signal(Signal::SIGTERM),
                    "guardian" => drop(play.guardian().signal(Signal::SIGKILL)),
                    "worker" => drop(play.worker().signal(Signal::SIGKILL)),
                    "init" => drop(init.signal(Signal::SIGKILL)),
                    "command" => drop(command.signal(Signal::SIGKILL)),
                    _ => kill_both(play.guardian()),
                }
                play.wait_nobody_left(SOON, &format!("{by} of {words:?}"));
            }
        }
    });
}

#[test]
fn the_command_of_a_pid_namespace_sees_itself_alone_and_its_end_is_told() {
    if not_here("pidns") {
        return;
    }
    let scene = Scene::new();
    let script = "echo $$ $(ls -d /proc/[0-9]* | wc -l); readlink /proc/self/ns/pid; exit 9";
    let said = scene.tool("psession").args(["--isolate", "pidns", "--", "sh", "-c", script]).run().ended(9);
    let lines: Vec<String> = said.text().lines().map(str::to_owned).collect();
    let own = fs::read_link("/proc/self/ns/pid").expect("a link");
    // The shell, its init, and what lists and counts.
    assert!(["2 3", "2 4", "2 5"].contains(&lines[0].as_str()), "{lines:?}");
    assert_ne!(lines[1], own.display().to_string());
    for signal in [6, 9, 15] {
        let script = format!("ulimit -c 0; kill -{signal} $$");
        let said = scene.tool("psession").args(["--isolate", "pidns", "--", "sh", "-c", &script]).run();
        assert_eq!((said.code, said.signal), (None, Some(signal)), "{said:?}");
    }
    scene.tool("psession").args(["--isolate", "pidns", "--", "/no/such"]).run().ended(127).one_message();
    let keep = scene.tool("psession").args(["--isolate", "pidns", "--keep", "x", "true"]).run().ended(2);
    assert!(keep.one_message().contains("--keep"), "{keep:?}");
}

#[test]
fn those_in_a_pid_namespace_are_asked_and_have_their_grace() {
    if not_here("pidns") {
        return;
    }
    let scene = Scene::new();
    let file = scene.home().join("cleaned");
    let script = format!(
        "setsid sh -c 'trap \"echo cleaned > {}; exit\" TERM; echo ready >&2; while :; do sleep 0.05; done' & read line; exit 3",
        file.display()
    );
    let tool =
        scene.tool("psession").env("PROCHERD_KEEP", "1").args(["--isolate", "pidns", "--grace", "20s"]);
    let mut running = tool.args(["--", "sh", "-c", &script]).stdin_open().start();
    running.wait_for_message("ready");
    running.close();
    let said = running.finish().ended(3);
    assert_eq!(fs::read_to_string(file).expect("it had its time"), "cleaned\n");
    assert!(said.elapsed < SOON, "nobody waits out the grace: {said:?}");
}

#[test]
fn signals_and_events_pass_the_border_of_a_pid_namespace() {
    if not_here("pidns") {
        return;
    }
    let scene = Scene::new();
    let script = "trap 'echo cleaned; exit 5' INT; echo ready >&2; while :; do sleep 0.05; done";
    let options = ["--isolate", "pidns", "--events", "events"];
    let mut running =
        scene.tool("psession").args(options).args(["--", "sh", "-c", script]).cwd(scene.home()).start();
    running.wait_for_message("ready");
    running.signal(Signal::SIGINT);
    assert_eq!(running.finish().ended(5).text(), "cleaned\n");
    let text = fs::read_to_string(scene.home().join("events")).expect("the events");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(events[0]["event"], "started");
    let command = Id::in_record(&events[0]).expect("an identity");
    let end =
        events.iter().find(|event| Id::in_record(event) == Some(command) && event["event"] != "started");
    assert_eq!(end.expect("its end")["exit_status"], 5, "{text}");
}

#[test]
fn an_interactive_shell_works_in_a_pid_namespace() {
    if not_here("pidns") {
        return;
    }
    let scene = Scene::new();
    let go = format!("cd {} && PS1='$ ' exec sh -i", scene.home().display());
    let mut shell = scene.sh(&go).on(Terminal::of_a_person()).under(["--ctty"]).start();
    shell.wait_for_screen("$ ");
    shell.keys("PS1='in> ' psession --isolate pidns -- sh -i\n");
    shell.wait_for_screen("in> ");
    shell.keys("sleep 1251\n");
    let first = wait_for_process(&scene, "sleep 1251");
    shell.keys("\x03");
    wait_dead(SOON, &[first]);
    shell.keys("sleep 1252\n");
    let second = wait_for_process(&scene, "sleep 1252");
    shell.keys("\x1a");
    wait_until(SOON, "it is stopped", || second.state() == Some('T'));
    shell.keys("fg\n");
    wait_until(SOON, "it goes on", || second.state() == Some('S'));
    shell.keys("\x03");
    wait_dead(SOON, &[second]);
    shell.keys("exit 7\n");
    shell.wait_for_screen("$ ");
    shell.keys("echo code=$?\n");
    shell.wait_for_screen("code=7");
    shell.keys("exit\n");
    shell.finish();
    assert_eq!(scene.carriers(), []);
}

#[test]
fn what_was_registered_in_a_pid_namespace_is_foreign_outside_and_forgotten_with_it() {
    if not_here("pidns") {
        return;
    }
    let scene = Scene::new();
    let script = "pspawn inner --cgroup off --session one -- sleep 1261; ptrack list --format ndjson; echo ready >&2; read line; exit 0";
    let script = format!("psession --isolate pidns --id one -- sh -c '{script}'");
    let mut running = scene.sh(&script).stdin_open().start();
    running.wait_for_message("ready");
    let listed = scene.tool("ptrack").args(["list"]).run().ended(0);
    let inner = listed.records().into_iter().find(|record| record["service"] == "inner");
    assert_eq!(inner.expect("it is registered")["alive"], "foreign", "{listed:?}");
    let plan = scene.tool("pkill-tree").args(["--dry-run", "inner"]).run();
    assert!(
        plan.records().iter().all(|record| record["type"] != "process"),
        "nobody outside is meant: {plan:?}"
    );
    running.close();
    running.finish().ended(0);
    let text = fs::read_to_string(scene.registry()).expect("the registry");
    assert!(!text.contains("inner") && !text.contains("\"one\""), "{text}");
}

/// The only line of standard error, whoever has started the tool that wrote it.
fn only_line(said: &Output) -> &str {
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    said.stderr.trim_end()
}

#[test]
fn who_is_not_permitted_is_told_in_one_line_and_nothing_is_run() {
    let scene = Scene::new();
    // Limits of a user namespace hold in it alone.
    let limited =
        "exec unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_pid_namespaces && exec";
    if scene.sh(&format!("{limited} true'")).run().code == Some(0) {
        let said = scene.sh(&format!("{limited} psession --isolate pidns -- echo it runs'")).run().ended(125);
        assert!(only_line(&said).starts_with("psession: make pid namespace: "), "{said:?}");
        assert!(said.stdout.is_empty());
    } else {
        skip("no user namespace");
    }
    let nobody = "exec setpriv --reuid 65534 --regid 65534 --clear-groups";
    if scene.sh(&format!("{nobody} true")).run().code == Some(0) {
        let said = scene.sh(&format!("{nobody} psession --isolate cgroup -- echo it runs")).run().ended(125);
        assert!(only_line(&said).starts_with("psession: make cgroup: "), "{said:?}");
        assert!(said.stdout.is_empty());
    } else {
        skip("nobody else can be become");
    }
}

/// The folder of the cgroup of the only session of a scene.
fn folder(scene: &Scene) -> PathBuf {
    let text = fs::read_to_string(scene.registry()).expect("the registry");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let session = document["sessions"].as_object().and_then(|all| all.values().next()).expect("a session");
    let path = session["cgroup"].as_str().expect("a cgroup").trim_start_matches('/');
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let line = table.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup v2");
    PathBuf::from(line.split(' ').nth(4).expect("a path")).join(path)
}

#[test]
fn a_session_in_a_cgroup_is_ended_by_preap_when_both_halves_are_dead() {
    if not_here("cgroup") {
        return;
    }
    let scene = Scene::new();
    let away = "(exec env -i PATH=\"$PATH\" setsid sh -c 'setsid sleep 1271 & exit' &); sleep 1272";
    let running = scene.tool("psession").args(["--isolate", "cgroup", "--", "sh", "-c", away]).start();
    let folder = folder_soon(&scene);
    let inside = || fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let is = |pid: &str, line: &[u8]| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text == line);
    wait_until(SOON, "one got away", || inside().lines().any(|pid| is(pid, b"sleep\x001271\0")));
    let members: Vec<Id> = inside().lines().filter_map(|pid| Id::of(pid.parse().ok()?)).collect();
    kill_both(running.id());
    assert!(members.iter().any(Id::alive), "nobody has ended them");
    scene.tool("preap").run().ended(0);
    wait_dead(SOON, &members);
    assert!(!folder.exists());
    assert!(!fs::read_to_string(scene.registry()).expect("the registry").contains("session-"));
}

/// Likewise, as soon as it is registered.
fn folder_soon(scene: &Scene) -> PathBuf {
    wait_until(SOON, "the session is registered", || {
        fs::read_to_string(scene.registry()).is_ok_and(|text| text.contains("procherd-session-"))
    });
    folder(scene)
}

#[test]
fn a_session_without_isolation_is_ended_by_preap_when_both_halves_are_dead() {
    let scene = Scene::new();
    let script = "setsid sleep 1281 & (setsid sleep 1282 &); sleep 1283";
    let running = scene.tool("psession").args(["--", "sh", "-c", script]).start();
    let sleepers = [1281, 1282, 1283].map(|number| wait_for_process(&scene, &format!("sleep {number}")));
    kill_both(running.id());
    assert!(sleepers.iter().all(Id::alive), "nobody has ended them");
    scene.tool("preap").run().ended(0);
    wait_dead(SOON, &sleepers);
    assert_eq!(scene.carriers(), []);
}

#[test]
fn the_cgroup_of_a_session_goes_with_it_however_it_ends() {
    if not_here("cgroup") {
        return;
    }
    for by in ["command", "guardian", "worker", "TERM"] {
        let scene = Scene::new();
        let tool = scene.tool("psession").args(["--isolate", "cgroup", "--grace", "50ms"]);
        let script = "trap '' TERM; setsid sleep 1291 & read line";
        let mut running = tool.args(["--", "sh", "-c", script]).stdin_open().start();
        let sleeper = wait_for_process(&scene, "sleep 1291");
        let folder = folder(&scene);
        let worker = child_of(running.id()).expect("a worker");
        match by {
            "command" => running.close(),
            "guardian" => running.signal(Signal::SIGKILL),
            "worker" => drop(worker.signal(Signal::SIGKILL)),
            _ => running.signal(Signal::SIGTERM),
        }
        wait_dead(SOON, &[sleeper]);
        wait_until(SOON, &format!("the cgroup has gone after {by}"), || !folder.exists());
        drop(running);
    }
}

#[test]
fn a_kept_process_keeps_its_cgroup_and_the_others_end() {
    if not_here("cgroup") {
        return;
    }
    let scene = Scene::new();
    let script = "trap '' TERM; PROCHERD_KEEP=1 sleep 1301 & (sleep 1302 & wait) & read line; exit 2";
    let tool =
        scene.tool("psession").args(["--isolate", "cgroup", "--grace", "50ms", "--", "sh", "-c", script]);
    let mut running = tool.stdin_open().start();
    let (kept, other) = (wait_for_process(&scene, "sleep 1301"), wait_for_process(&scene, "sleep 1302"));
    let folder = folder(&scene);
    running.close();
    running.finish().ended(2);
    assert_eq!((kept.alive(), other.alive()), (true, false));
    kept.signal(Signal::SIGKILL);
    wait_dead(SOON, &[kept]);
    scene.tool("preap").run().ended(0);
    wait_until(SOON, "the cgroup is removed", || {
        scene.tool("preap").run().ended(0);
        !folder.exists()
    });
}
