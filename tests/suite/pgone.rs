//! `pgone`: it ends when all is as it was waited for, not before, and says what is left when time runs out.

mod files;
mod ports;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::arena::inside;
use crate::support::form::assert_outcomes;
use crate::support::process::cpu_ticks;
use crate::support::running::Running;
use crate::support::tool::{Tool, pipe};
use crate::support::wait::waited;
use crate::support::{Id, SOON, Scene, wait_until};

/// The tool, with words on its command line.
fn pgone<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("pgone").args(words)
}

/// Fails the test unless the tool waits, without using the processor.
#[track_caller]
pub(super) fn assert_waits(tool: &mut Running) {
    let id = tool.id();
    wait_until(SOON, "it waits", || id.state() == Some('S') || !tool.runs());
    let before = cpu_ticks(id).expect("it runs");
    assert!(!waited(Duration::from_millis(400), || !tool.runs()), "it did not wait");
    let used = cpu_ticks(id).expect("it runs") - before;
    assert!(used <= 4, "waiting for 400 ms took {used} ticks of 10 ms");
}

fn outcome(record: &Value) -> &str {
    record["outcome"].as_str().unwrap_or_default()
}

// proves: R06 S16
#[test]
fn it_waits_for_the_end_of_each_process_and_tells_it_at_once() {
    let scene = Scene::new();
    let (one, two) =
        (scene.start(["idle", "--on-term", "exit", "--code", "7"]), scene.start(["ignore-term"]));
    let mut tool = pgone(&scene, [one.root().operand().as_str(), &two.root().operand()]).start();
    assert_waits(&mut tool);
    one.root().signal(Signal::SIGTERM);
    let record = tool.record().expect("told while it still waits");
    assert_eq!((Id::in_record(&record), outcome(&record)), (Some(one.root()), "exited"));
    assert!(tool.runs() && two.root().alive(), "nothing was signalled");
    two.root().signal(Signal::SIGKILL);
    let said = tool.finish().ended(0).quiet();
    assert_eq!(said.ids(), [one.root(), two.root()]);
    assert_outcomes(&said);
}

#[test]
fn how_it_ended_is_told_where_the_kernel_tells_it() {
    inside(|| {
        let scene = Scene::new();
        // Adopted by the init of the arena, which reaps at once.
        let actor = scene.start(["orphan", "2", "--on-term", "exit", "--code", "7"]);
        let ids = actor.all("orphan");
        let words: Vec<String> = ids.iter().map(Id::operand).collect();
        let mut tool = pgone(&scene, words.iter().map(String::as_str)).start();
        assert_waits(&mut tool);
        ids[0].signal(Signal::SIGTERM);
        ids[1].signal(Signal::SIGKILL);
        let said = tool.finish().ended(0);
        for (id, field, value) in
            [(ids[0], "exit_status", Value::from(7)), (ids[1], "exit_signal", Value::from("KILL"))]
        {
            let record = said.about(id);
            // Before Linux 6.15 nobody tells, and one that its parent is about to reap is a zombie still.
            assert!(record.get(field).is_none_or(|found| *found == value), "{record}");
        }
        assert_outcomes(&said);
    });
}

#[test]
fn a_zombie_is_gone_and_said_to_be_one() {
    let scene = Scene::new();
    let actor = scene.start(["zombie"]);
    let zombie = actor.one("zombie");
    let said = pgone(&scene, [zombie.operand().as_str()]).run().ended(0).quiet();
    let record = said.record();
    assert_eq!((outcome(&record), &record["zombie"]), ("exited", &true.into()));
    assert_outcomes(&said);
    let dead_main_thread = scene.start(["dead-main-thread"]);
    let id = dead_main_thread.root();
    let said = pgone(&scene, [id.operand().as_str(), "--timeout", "100ms"]).run().ended(124);
    assert_eq!(outcome(&said.record()), "survived", "its other thread lives: {said:?}");
}

#[test]
fn what_was_gone_before_is_no_failure() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let mut record = scene.tool("pstree-json").arg(actor.root().operand()).run().record();
    for theirs in ["depth", "root"] {
        record.as_object_mut().expect("an object").remove(theirs);
    }
    let number = actor.root().pid.to_string();
    drop(actor);
    for (tool, word) in [
        (pgone(&scene, ["4194304"]), "already-gone"),
        (pgone(&scene, [number.as_str()]), "already-gone"),
        (pgone(&scene, []).records([&record]), "already-gone"),
    ] {
        let said = tool.run().ended(0).quiet();
        assert_eq!(outcome(&said.record()), word, "{said:?}");
        assert_outcomes(&said);
    }
    let other = scene.start(["idle"]);
    let said = pgone(&scene, [format!("{}:1", other.root().pid).as_str()]).run().ended(0);
    assert_eq!(outcome(&said.record()), "identity-changed", "its number is somebody else's");
    assert!(other.root().alive());
}

#[test]
fn when_time_runs_out_what_is_left_comes_as_records_and_nobody_was_touched() {
    let scene = Scene::new();
    let mut actor = scene.start(["witness"]);
    let said = pgone(&scene, [actor.root().operand().as_str(), "--timeout", "100ms"]).run().ended(124);
    assert_eq!((said.ids(), outcome(&said.record())), (vec![actor.root()], "survived"));
    assert!(said.one_message().contains("out of time"), "{said:?}");
    assert_outcomes(&said);
    let quiet = pgone(&scene, [actor.root().operand().as_str(), "-t", "0s", "-q"]).run().ended(124).quiet();
    assert!(quiet.stdout.is_empty());
    actor.assert_untouched();
    // What is left is what the next tool ends.
    let ends = [
        pgone(&scene, [actor.root().operand().as_str(), "-t", "0s"]),
        scene.tool("pkill-tree").arg("--force"),
    ];
    let ended = pipe(ends);
    assert_eq!(ended[1].code, Some(0), "{ended:?}");
    assert!(!actor.root().alive());
}

#[test]
fn records_of_another_machine_cannot_be_judged_and_that_is_no_end() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let mut record = scene.tool("pstree-json").arg(actor.root().operand()).run().record();
    record["host"] = "elsewhere".into();
    record["boot_id"] = "00000000-0000-0000-0000-000000000001".into();
    let said = pgone(&scene, []).records([&record]).run().ended(3);
    assert_eq!(outcome(&said.record()), "foreign");
    assert!(said.one_message().contains("another"), "{said:?}");
}

#[test]
fn a_registered_service_is_waited_for_by_its_name_with_what_was_below_it() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
    scene.tool("ptrack").args(["save", "api", &tree.root().operand()]).run().ended(0);
    let mut tool = pgone(&scene, ["api"]).start();
    assert_waits(&mut tool);
    tree.root().signal(Signal::SIGKILL);
    let record = tool.record().expect("the first one");
    assert_eq!((Id::in_record(&record), &record["service"]), (Some(tree.root()), &"api".into()));
    assert!(tool.runs(), "its tree lives");
    tree.all("leaf").iter().for_each(|id| assert!(id.signal(Signal::SIGKILL)));
    assert_eq!(tool.finish().ended(0).ids().len(), 3);
    let said = pgone(&scene, ["no-such-service"]).run().ended(1);
    said.one_message();
}

#[test]
fn ready_waits_for_the_start() {
    let scene = Scene::new();
    let mut tool = pgone(&scene, ["--ready", "api"]).start();
    assert_waits(&mut tool);
    let spawned = scene.tool("pspawn").args(["api", "--", "sleep", "1000"]).run().ended(0).record();
    let said = tool.finish().ended(0).quiet();
    let record = said.record();
    assert_eq!((Id::in_record(&record), outcome(&record)), (Id::in_record(&spawned), "ready"));
    assert_outcomes(&said);
    let id = Id::in_record(&spawned).expect("an identity");
    let said = pgone(&scene, ["--ready", &id.operand()]).run().ended(0);
    assert_eq!(outcome(&said.record()), "ready");
    scene.tool("pkill-tree").arg("api").run().ended(0);
    pgone(&scene, ["--ready", &id.operand()]).run().ended(1).one_message();
    let said = pgone(&scene, ["--ready", "api", "--timeout", "100ms"]).run().ended(124);
    assert_eq!((outcome(&said.record()), &said.record()["name"]), ("missing", &"api".into()));
    assert_outcomes(&said);
}

#[test]
fn more_processes_than_descriptors_are_waited_for() {
    let scene = Scene::new();
    let crowd = scene.start(["wide", "60"]);
    let words: Vec<String> = crowd.ids().iter().map(Id::operand).collect();
    let mut tool = pgone(&scene, words.iter().map(String::as_str)).under(["--nofile", "24"]).start();
    wait_until(SOON, "it waits", || tool.id().state() == Some('S'));
    assert!(tool.runs());
    crowd.ids().iter().rev().for_each(|id| assert!(id.signal(Signal::SIGKILL)));
    let said = tool.finish().ended(0).quiet();
    assert_eq!(said.ids().len(), 61);
}

#[test]
fn without_pidfds_processes_are_looked_at() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let record = scene.tool("pstree-json").arg(actor.root().operand()).run().record();
    let mut tool = pgone(&scene, []).records([&record]).under(["--no-pidfd"]).start();
    assert_waits(&mut tool);
    actor.root().signal(Signal::SIGKILL);
    assert_eq!(outcome(&tool.finish().ended(0).record()), "exited");
}

#[test]
fn what_makes_no_sense_is_misuse() {
    let scene = Scene::new();
    for words in [
        &["--port", "0"][..],
        &["--port", "http"],
        &["--port", "9..8"],
        &["--settle", "1s", "4194304"],
        &["--for", "1s", "4194304"],
        &["--timeout", "soon", "4194304"],
        &["--quiet-file", ""],
        &["-", "4194304"],
    ] {
        let said = pgone(&scene, words.iter().copied()).run().ended(2);
        said.one_message();
        assert!(said.stdout.is_empty(), "{words:?}: {said:?}");
    }
}
