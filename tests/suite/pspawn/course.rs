//! Services that are waited for: until they are ready, until they have ended, until their time is over.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{at, entry, members, runs, shell, spawn, waits};
use crate::support::process::Id;
use crate::support::wait::wait_dead;
use crate::support::{SOON, Scene, actor_program, wait_until};

// proves: W27 W42
#[test]
fn run_to_completion_passes_on_the_end_of_the_command() {
    let scene = Scene::new();
    let run = |script: &str| spawn(&scene, "job", &["--timeout", "30s"], shell(script)).run();
    let said = run("echo out; echo err >&2; exit 0").ended(0);
    assert_eq!((said.text(), said.stderr.as_str()), ("out\n", "err\n"), "its streams are the caller's");
    for code in [1, 2, 3, 7, 124, 125, 255] {
        run(&format!("exit {code}")).ended(code).quiet();
    }
    run("kill -9 $$").ended(137).quiet();
    assert!(entry(&scene, "job").is_null(), "it has ended, and is forgotten");
    // What went wrong before it began is told apart.
    spawn(&scene, "job", &["--timeout", "30s"], vec!["no-such-program".into()]).run().ended(127);
    spawn(&scene, "job", &["--timeout", "30s", "--env", "x"], waits()).run().ended(125);
}

#[test]
fn out_of_time_it_is_ended_with_all_that_it_has_started() {
    let scene = Scene::new();
    let tree = ["tree", "--depth", "1", "--width", "2", "--outlive", "60"].map(str::to_owned).to_vec();
    let tree = [vec![actor_program().display().to_string()], tree].concat();
    let said = spawn(&scene, "job", &["--timeout", "300ms"], tree).run().ended(124);
    assert!(said.one_message().contains("out of time"), "{said:?}");
    assert!(members(&scene, "job").is_empty() && entry(&scene, "job").is_null());
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let scene = Scene::new();
    let idle = waits().join(" ");
    let script = format!("setsid {idle} >/dev/null 2>&1 & {idle} >/dev/null 2>&1 & exit 5");
    spawn(&scene, "job", &["--timeout", "30s"], shell(&script)).run().ended(5);
    assert!(members(&scene, "job").is_empty());
}

// proves: W43
#[test]
fn who_asks_it_to_end_asks_the_command() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let scene = Scene::new();
        let running =
            spawn(&scene, "job", &["--timeout", "60s", "--pidfile", &at(&scene, "pid")], waits()).start();
        wait_until(SOON, "it runs", || !members(&scene, "job").is_empty());
        running.signal(signal);
        running.finish().ended(code);
        assert!(members(&scene, "job").is_empty() && entry(&scene, "job").is_null());
        assert!(!scene.home().join("pid").exists());
    }
}

// proves: P12
#[test]
fn a_time_to_live_is_kept_when_the_spawner_has_long_gone() {
    let scene = Scene::new();
    let pidfile = at(&scene, "pid");
    let options = ["--ttl", "300ms", "--pidfile", &pidfile];
    let idle = waits().join(" ");
    // One member has left the session.
    let script = format!("setsid {idle} & exec {idle}");
    let record = spawn(&scene, "helper", &options, shell(&script)).run().ended(0).record();
    assert_eq!(record["ttl_ms"], 300);
    let id = Id::in_record(&record).expect("an identity");
    wait_dead(SOON, &[id]);
    wait_until(SOON, "all is gone: service, member, guard", || scene.carriers().is_empty());
    assert!(entry(&scene, "helper").is_null() && !scene.home().join("pid").exists());
}

#[test]
fn a_helper_that_ends_by_itself_is_forgotten_at_once() {
    let scene = Scene::new();
    spawn(&scene, "helper", &["--ttl", "10m"], shell("exit 3")).run().ended(0);
    wait_until(SOON, "the guard has gone", || scene.carriers().is_empty());
    assert!(entry(&scene, "helper").is_null());
}

/// A script that writes so many numbered lines, and then waits.
fn writes(lines: u32) -> Vec<String> {
    let count = format!("i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); done; echo end >&2; ");
    shell(&format!("{count} exec sleep 60"))
}

/// All that was logged, from the oldest file on.
fn logged(log: &str) -> String {
    let numbered = (1..100).rev().map(|number| format!("{log}.{number}"));
    numbered.chain([log.to_owned()]).filter_map(|name| fs::read_to_string(name).ok()).collect()
}

#[test]
fn a_log_is_set_aside_while_its_service_writes_and_no_line_is_lost() {
    let scene = Scene::new();
    let log = at(&scene, "log");
    let options = ["--log", &log, "--log-size", "16k", "--log-keep", "90"];
    let id = runs(&spawn(&scene, "api", &options, writes(40_000)).run().ended(0).record());
    let size = || fs::metadata(&log).map_or(0, |facts| facts.len());
    wait_until(SOON, "all is written and set aside", || logged(&log).ends_with("end\n") && size() < 16 << 10);
    let all = (0..40_000).map(|number| format!("line {number}\n")).collect::<Vec<_>>().concat();
    assert!(fs::metadata(format!("{log}.1")).is_ok());
    assert_eq!(logged(&log).len(), all.len() + 4);
    assert_eq!(logged(&log), all + "end\n");
    // The guard is the only other process, and ends with the service.
    assert_eq!(scene.carriers().len(), 2);
    id.signal(Signal::SIGKILL);
    wait_until(SOON, "the guard has gone", || scene.carriers().is_empty());
}

#[test]
fn where_nothing_can_be_cut_off_a_log_is_emptied() {
    crate::support::arena::inside(|| {
        let scene = Scene::new();
        let disk = scene.home().join("disk");
        crate::support::arena::small_disk(&disk, 4096);
        let (log, go) = (disk.join("log").display().to_string(), at(&scene, "go"));
        let script = format!(
            "head -c 50000 /dev/zero; while [ ! -e {go} ]; do sleep 0.01; done; echo more; exec sleep 60"
        );
        let options = ["--log", &log, "--log-size", "16k", "--log-keep", "2"];
        spawn(&scene, "api", &options, shell(&script)).run().ended(0);
        let size = |name: &str| fs::metadata(name).map_or(0, |facts| facts.len());
        // In one piece or in two: it may be looked at while it is written.
        let aside = || size(&format!("{log}.1")) + size(&format!("{log}.2"));
        wait_until(SOON, "it is set aside", || aside() == 50_000 && size(&log) == 0);
        fs::write(&go, "").expect("written");
        wait_until(SOON, "it goes on at the beginning", || {
            fs::read_to_string(&log).is_ok_and(|text| text == "more\n")
        });
    });
}

#[test]
fn a_guard_that_is_killed_leaves_its_service_alone() {
    let scene = Scene::new();
    let (log, go) = (at(&scene, "log"), at(&scene, "go"));
    let script = format!("while [ ! -e {go} ]; do sleep 0.01; done; echo more; exec sleep 60");
    let id = runs(&spawn(&scene, "api", &["--log", &log], shell(&script)).run().ended(0).record());
    let guard = scene.carriers().into_iter().find(|other| *other != id && other.ppid() != Some(id.pid));
    guard.expect("a guard").signal(Signal::SIGKILL);
    wait_until(SOON, "the guard is dead", || guard.is_some_and(|guard| !guard.alive()));
    fs::write(&go, "").expect("written");
    wait_until(SOON, "it has written", || fs::read_to_string(&log).is_ok_and(|text| text == "more\n"));
    assert!(id.alive());
}

#[test]
fn a_guard_holds_nothing_of_the_caller() {
    let scene = Scene::new();
    // The end of the output is the end of all who hold it: were the guard among them, this would not return.
    let script = format!("exec 7>&1; pspawn helper --ttl 30s -- {} | cat; echo done", waits().join(" "));
    let said = scene.sh(&script).within(Duration::from_secs(20)).run().ended(0);
    assert!(said.text().ends_with("done\n"));
    assert_eq!(scene.carriers().len(), 2, "the service and its guard");
}

// proves: M40 S21
#[test]
fn ready_means_that_all_conditions_hold() {
    let scene = Scene::new();
    let (file, log) = (at(&scene, "ready"), at(&scene, "log"));
    // What an earlier run has left does not count.
    fs::write(&file, "old").expect("written");
    fs::write(&log, "listening on 1\n").expect("written");
    let script = format!(
        "while [ ! -e '{0}.go' ]; do sleep 0.01; done; echo listening on 2; echo new > '{0}'; exec {1}",
        file,
        waits().join(" ")
    );
    let options = [
        "--log",
        &log,
        "--ready",
        "log:^listening on \\d+$",
        "--ready",
        &format!("file:{file}"),
        "--ready",
        &format!("command:test -e '{file}.go'"),
    ];
    let mut running = spawn(&scene, "api", &options, shell(&script)).start();
    wait_until(SOON, "it runs", || !members(&scene, "api").is_empty());
    assert!(running.runs(), "not ready yet");
    fs::write(format!("{file}.go"), "").expect("written");
    let record = running.finish().ended(0).record();
    runs(&record);
    // Who finds it running waits for the same, and what was then counts.
    spawn(&scene, "api", &[&options[..], &["--ensure"]].concat(), shell(&script)).run().ended(0);
}

#[test]
fn a_port_counts_when_the_service_itself_listens_there() {
    let scene = Scene::new();
    let stranger = scene.start(["listen"]);
    let taken = stranger.fact("port").to_string();
    let said =
        spawn(&scene, "api", &["--ready", &format!("port:{taken}"), "--ready-timeout", "400ms"], waits());
    let said = said.run().ended(124);
    assert!(said.one_message().contains(&format!("port {taken}")), "{said:?}");
    assert!(members(&scene, "api").is_empty() && entry(&scene, "api").is_null(), "it was ended");
    drop(stranger);
    let listen = |port: &str| {
        let actor = actor_program().display().to_string();
        shell(&format!("setsid {actor} listen {port} --outlive 60 & wait"))
    };
    let record =
        spawn(&scene, "api", &["--ready", &format!("port:{taken}")], listen(&taken)).run().ended(0).record();
    runs(&record);
}

#[test]
fn one_that_ends_before_it_is_ready_is_told_with_its_end() {
    let scene = Scene::new();
    let log = at(&scene, "log");
    let options = ["--log", &log, "--ready", "file:/no/such/file"];
    let begun = Instant::now();
    let said = spawn(&scene, "api", &options, shell("exit 4")).run().ended(3);
    let message = said.one_message();
    assert!(message.contains("exit status 4") && message.contains(&log), "{message}");
    assert!(begun.elapsed() < Duration::from_secs(20), "it is not waited for");
    assert!(entry(&scene, "api").is_null());
}

#[test]
fn conditions_that_make_no_sense_are_misuse() {
    let scene = Scene::new();
    for options in [
        &["--ready", "port:0"][..],
        &["--ready", "soon"],
        &["--ready", "log:x"],
        &["--ready-timeout", "1s"],
        &["--timeout", "1s", "--ttl", "1s"],
        &["--timeout", "soon"],
        &["--foreground", "--ttl", "1s"],
    ] {
        let code = spawn(&scene, "api", options, waits()).run().code;
        assert!(matches!(code, Some(2)), "{options:?}: {code:?}");
    }
    assert!(members(&scene, "api").is_empty());
}
