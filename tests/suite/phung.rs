//! `phung`: what hangs, by two samples of it; and what only looks as if it did.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::arena::inside;
use crate::support::form::{HUNG, TREE_OF_A_SNAPSHOT, assert_processes};
use crate::support::process::cpu_ticks;
use crate::support::scene::{Actor, raw};
use crate::support::terminal::Terminal;
use crate::support::tool::{Tool, pipe};
use crate::support::{Id, Output, SOON, Scene, skip, wait_until};

/// The tool with samples that are close to each other, limits that a busy machine keeps, and more words.
fn phung<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("phung").args(["--sample", "300ms", "--cpu", "0.1"]).args(words)
}

/// The evidence of one kind in the record about a process.
#[track_caller]
fn sign(said: &Output, id: Id, kind: &str) -> Value {
    let record = said.about(id);
    let all = record["evidence"].as_array().expect("evidence");
    all.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {record}")).clone()
}

/// Runs the tool until it finds a process: how much processor time that one gets is not in our hands.
#[track_caller]
fn until_found(id: Id, mut run: impl FnMut() -> Output) -> Output {
    let mut said = run();
    wait_until(SOON, "it is found", || {
        if !said.ids().contains(&id) {
            said = run();
        }
        said.ids().contains(&id)
    });
    said
}

#[test]
// proves: W23 W38
fn a_late_spinner_is_found_whatever_its_lifetime_average() {
    inside(|| {
        let scene = Scene::new();
        let (actor, mut beside) = (scene.start(["late-spin"]), scene.start(["idle"]));
        let spinner = actor.root();
        assert!(phung(&scene, []).run().ended(0).quiet().stdout.is_empty(), "it idles");
        let age = || {
            let record = scene.tool("pstree-json").arg(spinner.operand()).run().record();
            Duration::from_millis(record["age_ms"].as_u64().expect("an age"))
        };
        wait_until(SOON, "it has idled for a while", || age() > Duration::from_secs(4));
        spinner.signal(Signal::SIGUSR1);
        let said = until_found(spinner, || phung(&scene, []).run().ended(0).quiet());
        assert_eq!(said.ids(), [spinner]);
        assert_processes(&said, &[HUNG]);
        let (record, found) = (said.about(spinner), sign(&said, spinner, "spinning"));
        assert!(found["cores"].as_f64() >= found["limit"].as_f64() && found["limit"] == 0.1, "{found}");
        assert_eq!(found["strength"], "certain");
        let sample = |at: usize, name: &str| record["samples"][at][name].as_u64().expect("a number");
        let between = sample(1, "boot_ms") - sample(0, "boot_ms");
        assert!(between >= 300, "{record}");
        let used = sample(1, "cpu_ms") - sample(0, "cpu_ms");
        #[allow(clippy::cast_precision_loss, reason = "two digits are compared")]
        let cores = used as f64 / between as f64;
        assert!((cores - found["cores"].as_f64().expect("a number")).abs() < 0.01, "{record}");
        // More than one process can use: nobody is reported.
        assert!(
            scene.tool("phung").args(["--sample", "50ms", "--cpu", "64"]).run().ended(0).stdout.is_empty()
        );
        beside.assert_untouched();
    });
}

#[test]
fn a_legitimate_job_of_another_project_is_seen_and_not_in_the_selection() {
    inside(|| {
        let scene = Scene::new();
        let (ours, theirs) = (scene.home().join("ours"), scene.home().join("theirs"));
        for folder in [&ours, &theirs] {
            std::fs::create_dir(folder).expect("made");
        }
        let mut job = scene.actor(["spin"]).cwd(&theirs).start();
        let hung = scene.actor(["spin"]).cwd(&ours).start();
        let all = until_found(job.root(), || phung(&scene, []).run().ended(0));
        assert!(all.ids().contains(&job.root()), "{all:?}");
        let project = ours.to_str().expect("plain");
        let said = until_found(hung.root(), || phung(&scene, ["--project", project]).run().ended(0).quiet());
        assert_eq!(said.ids(), [hung.root()]);
        let ended = until_ended(&scene, project, &hung);
        assert_eq!(ended["outcome"], "exited");
        job.assert_untouched();
    });
}

/// Ends what hangs in a project, by pipeline.
#[track_caller]
fn until_ended(scene: &Scene, project: &str, hung: &Actor) -> Value {
    let mut last = Value::Null;
    wait_until(SOON, "it has ended", || {
        let said = pipe([phung(scene, ["--project", project]), scene.tool("pkill-tree")]);
        last = said[1].records().into_iter().next().unwrap_or(last.clone());
        !hung.root().alive()
    });
    last
}

#[test]
fn what_waits_in_the_kernel_is_found_with_the_place() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["uninterruptible"]);
        let said = phung(&scene, []).run().ended(0).quiet();
        assert_eq!(said.ids(), [actor.root()], "{said:?}");
        assert_processes(&said, &[HUNG]);
        let found = sign(&said, actor.root(), "uninterruptible");
        assert_eq!(found["strength"], "certain");
        let samples = said.record()["samples"].clone();
        assert_eq!((&samples[0]["state"], &samples[1]["state"]), (&"D".into(), &"D".into()));
        if let Some(channel) = found["wait_channel"].as_str() {
            assert!(!channel.is_empty() && samples[0]["wait_channel"] == channel, "{samples}");
        }
        assert!(found["waits_ms"].as_u64().is_none_or(|ms| ms >= 300), "{found}");
        assert!(phung(&scene, ["--kind", "spinning,stopped"]).run().ended(0).stdout.is_empty());
    });
}

#[test]
fn what_has_been_stopped_for_long_is_found_and_a_moment_is_none() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["stopped"]);
        let said = until_found(actor.root(), || phung(&scene, ["--stopped", "600ms"]).run().ended(0));
        let found = sign(&said, actor.root(), "stopped");
        assert!(
            found["stopped_ms"].as_u64() >= found["limit_ms"].as_u64() && found["limit_ms"] == 600,
            "{found}"
        );
        assert_eq!(found["traced"], false);
        assert_processes(&said, &[HUNG]);
        if found["strength"] == "certain" {
            assert!(phung(&scene, ["--stopped", "1h"]).run().ended(0).stdout.is_empty());
        }
    });
}

#[test]
fn a_term_that_does_not_arrive_is_found() {
    inside(|| {
        let scene = Scene::new();
        let busy = scene.start(["spin", "--on-term", "ignore"]);
        let (asleep, polite) = (scene.start(["stopped"]), scene.start(["ignore-term"]));
        let pending = || phung(&scene, ["--kind", "term-pending"]).run().ended(0).quiet();
        assert!(pending().stdout.is_empty(), "nobody was asked");
        for actor in [&busy, &asleep, &polite] {
            assert!(actor.root().signal(Signal::SIGTERM));
        }
        let said = pending();
        let mut expected = [busy.root(), asleep.root()];
        expected.sort_unstable();
        let mut found = said.ids();
        found.sort_unstable();
        assert_eq!(found, expected, "the polite one takes it in and lives on");
        assert_eq!(sign(&said, busy.root(), "term-pending")["blocked"], true);
        assert_eq!(sign(&said, asleep.root(), "term-pending")["blocked"], false);
        assert_eq!(said.about(busy.root())["samples"][0]["term_pending"], true);
        assert_processes(&said, &[HUNG]);
    });
}

#[test]
fn a_handler_of_term_in_a_busy_loop_is_named() {
    let scene = Scene::new();
    let script = "import signal, sys, threading, os\nsignal.signal(signal.SIGTERM, lambda *a: None)\n\
                  threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()\n\
                  print('{\"spins\": true}', flush=True)\nwhile True: pass";
    let mut python = scene.sh("exec python3 -c \"$0\"").arg(script).stdin_open().start();
    if python.record().is_none() {
        return skip("there is no python3");
    }
    let said = until_found(python.id(), || phung(&scene, ["-p", "while True: pass"]).run().ended(0));
    assert_eq!(sign(&said, python.id(), "spinning")["catches_term"], true);
}

#[test]
fn a_service_without_a_sign_of_life_is_found_when_a_limit_is_given() {
    let scene = Scene::new();
    let (quiet, beating) = (scene.start(["idle"]), scene.start(["idle"]));
    for (name, actor) in [("quiet", &quiet), ("beating", &beating)] {
        scene.tool("ptrack").args(["save", name, &actor.root().operand()]).run().ended(0);
    }
    let silent =
        |limit: &str| phung(&scene, ["--kind", "heartbeat-overdue", "--beat", limit]).run().ended(0).quiet();
    assert!(silent("1h").stdout.is_empty());
    assert!(
        phung(&scene, ["--kind", "heartbeat-overdue"]).run().ended(0).stdout.is_empty(),
        "no limit, no fault"
    );
    wait_until(SOON, "one of them alone has been silent", || {
        scene.tool("ptrack").args(["beat", "beating"]).run().ended(0);
        silent("2s").ids() == [quiet.root()]
    });
    let said = silent("2s");
    let found = sign(&said, quiet.root(), "heartbeat-overdue");
    assert_eq!((&found["service"], &found["limit_ms"]), (&"quiet".into(), &2000.into()));
    assert!(found["silent_ms"].as_u64() >= Some(2000), "{found}");
    assert_eq!(said.about(quiet.root())["service"], "quiet");
}

#[test]
fn the_dead_the_sleeping_and_the_tool_itself_do_not_hang() {
    inside(|| {
        let scene = Scene::new();
        let _actors = [scene.start(["zombie"]), scene.start(["idle"]), scene.start(["dead-main-thread"])];
        let said =
            scene.tool("phung").args(["--sample", "50ms", "--cpu", "0.01", "--all-users"]).run().ended(0);
        assert!(said.quiet().stdout.is_empty());
    });
}

#[test]
fn two_snapshots_answer_as_the_living_did() {
    inside(|| {
        let scene = Scene::new();
        let (spinner, stopped) = (scene.start(["spin"]), scene.start(["stopped"]));
        let stuck = scene.start(["uninterruptible"]);
        let save = |name: &str| {
            let path = scene.home().join(name);
            std::fs::write(&path, scene.tool("pstree-json").run().ended(0).stdout).expect("written");
            path.to_str().expect("plain").to_owned()
        };
        let ticks = || cpu_ticks(spinner.root()).expect("it lives");
        let before = (save("before"), ticks());
        wait_until(SOON, "it has spun", || ticks() > before.1 + 50);
        let words = ["--from", &before.0, "--from", &save("after"), "--cpu", "0.01", "-p", "actor"];
        let said = scene.tool("phung").args(words).run().ended(0).quiet();
        let (mut found, mut expected) = (said.ids(), vec![spinner.root(), stopped.root(), stuck.root()]);
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{said:?}");
        assert_processes(&said, &[HUNG, TREE_OF_A_SNAPSHOT]);
        assert_eq!(sign(&said, stuck.root(), "uninterruptible")["strength"], "probable");
        for refused in [["--beat", "1m"], ["--kind", "term-pending"], ["--kind", "heartbeat-overdue"]] {
            let said = scene.tool("phung").args(words).args(refused).run().ended(2);
            assert!(said.one_message().contains("snapshot"), "{said:?}");
        }
    });
}

#[test]
fn expectations_kinds_and_odd_numbers() {
    inside(|| {
        let scene = Scene::new();
        phung(&scene, ["--expect", "0", "-q"]).run().ended(0).quiet();
        let actor = scene.start(["uninterruptible"]);
        phung(&scene, ["--expect", "1"]).run().ended(0);
        let said = phung(&scene, ["--expect", "0", "-q"]).run().ended(1);
        assert!(said.stdout.is_empty() && said.one_message().contains("found 1"), "{said:?}");
        let mut record =
            scene.tool("pstree-json").arg(actor.root().operand()).run().ended(0).about(actor.root());
        record["ticket"] = "PROC-9".into();
        assert_eq!(phung(&scene, ["-"]).records([&record]).run().ended(0).record()["ticket"], "PROC-9");
        let other = scene.tool("pstree-json").arg(actor.one("child").operand()).run().ended(0).record();
        assert!(phung(&scene, ["-"]).records([&other]).run().ended(0).stdout.is_empty());
    });
    let scene = Scene::new();
    for words in [
        ["--cpu", "0"],
        ["--cpu", "-1"],
        ["--cpu", "NaN"],
        ["--cpu", "x"],
        ["--kind", "odd"],
        ["--sample", "x"],
    ] {
        scene.tool("phung").args(words).run().ended(2).one_message();
    }
}

#[test]
fn hostile_names_pass_whole_and_no_terminal_sees_their_control_bytes() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start([raw(b"uninterruptible"), raw(b"--comm"), raw(b"a) D 1\n\x1b[2J\xff")]);
        assert!(phung(&scene, []).run().ended(0).about(actor.root())["comm"]["bytes"].is_string());
        let said = phung(&scene, []).on(Terminal::new(100, 30).output()).run().ended(0);
        let screen = String::from_utf8_lossy(&said.screen).into_owned();
        assert!(screen.contains("uninterruptible") && !screen.contains("\u{1b}[2J"), "{said:?}");
    });
}
