//! What tools that act leave in a log: everything that was done, and why, whoever reads standard output.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::scene::Actor;
use crate::support::{Scene, arena};

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("a log");
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines: {text:?}");
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[test]
fn a_log_says_what_was_ended_when_by_whom_and_why() {
    arena::inside(|| {
        let scene = Scene::new();
        let orphan = scene.start(["orphan", "1"]);
        let log = scene.home().join("log");
        let script = "porphans --pattern actor | pkill-tree --log log";
        let said = scene.sh(script).cwd(scene.home()).run().ended(0);
        let logged = lines(&log);
        assert_eq!(logged.len(), said.records().len());
        let of_orphan = logged.iter().find(|line| line["pid"] == orphan.one("orphan").pid).expect("its line");
        assert_eq!((&of_orphan["outcome"], &of_orphan["tool"]), (&"exited".into(), &"pkill-tree".into()));
        assert!(of_orphan["evidence"][0]["kind"].is_string(), "why: {of_orphan}");
        assert!(of_orphan["at"].as_str().is_some_and(|at| at.ends_with('Z')), "when: {of_orphan}");
        assert!(of_orphan["by"].is_u64(), "by whom: {of_orphan}");
        assert!(said.records().iter().all(|record| record["tool"].is_null()), "standard output is as it was");
        let shown = scene.tool("pfmt").arg(&log).run().ended(0);
        assert!(shown.text().contains("exited"), "{shown:?}");
    });
}

#[test]
fn quiet_tables_and_readers_that_left_change_nothing_in_a_log() {
    let scene = Scene::new();
    let log = scene.home().join("log");
    let (quiet, table, unread) = (scene.start(["idle"]), scene.start(["idle"]), scene.start(["idle"]));
    let end = |actor: &Actor, words: &[&str]| {
        scene.tool("pkill-tree").args(words).arg("--log").arg(&log).arg(actor.root().operand())
    };
    end(&quiet, &["-q"]).run().ended(0).quiet();
    end(&table, &["--format", "table"]).run().ended(0);
    end(&unread, &[]).reader_leaves_after(0).run().ended(0);
    assert_eq!(lines(&log).iter().filter(|line| line["outcome"] == "exited").count(), 3);
}

#[test]
fn a_plan_is_not_logged() {
    let scene = Scene::new();
    let (actor, log) = (scene.start(["idle"]), scene.home().join("log"));
    scene
        .tool("pkill-tree")
        .arg("--dry-run")
        .arg("--log")
        .arg(&log)
        .arg(actor.root().operand())
        .run()
        .ended(0);
    scene.tool("preap").arg("--dry-run").arg("--log").arg(&log).run().ended(0);
    assert!(!log.exists());
}

#[test]
fn what_cannot_be_logged_is_not_done() {
    let scene = Scene::new();
    let mut actor = scene.start(["witness"]);
    for tool in ["pkill-tree", "preap"] {
        let operand = actor.root().operand();
        let words: &[&str] = if tool == "preap" { &[] } else { &[&operand] };
        let said = scene.tool(tool).arg("--log").arg(scene.home().join("no/log")).args(words).run().ended(3);
        assert!(said.one_message().contains("open log: "), "{said:?}");
        assert!(said.stdout.is_empty(), "{said:?}");
    }
    actor.assert_untouched();
}

#[test]
fn a_log_that_is_full_is_said_when_the_work_is_done() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "1", "--width", "3"]);
    let said = scene.tool("pkill-tree").args(["--log", "/dev/full", &tree.root().operand()]).run().ended(3);
    tree.assert_nobody_left();
    assert_eq!(said.records().len(), 4);
    assert!(said.stderr.contains("write log: /dev/full: no space left on device"), "{said:?}");
}

#[test]
fn many_tools_share_a_log() {
    let scene = Scene::new();
    let log = scene.home().join("log");
    let trees: Vec<_> = (0..8).map(|_| scene.start(["tree", "--depth", "2", "--width", "3"])).collect();
    let running: Vec<_> = trees
        .iter()
        .map(|tree| scene.tool("pkill-tree").arg("--log").arg(&log).arg(tree.root().operand()).start())
        .collect();
    for one in running {
        one.finish().ended(0);
    }
    assert_eq!(lines(&log).len(), 8 * 13);
}

#[test]
fn sessions_and_the_reaper_log_too() {
    let scene = Scene::new();
    let log = scene.home().join("log");
    let named = log.to_string_lossy().into_owned();
    let (owner, member, dead) = (scene.start(["idle"]), scene.start(["idle"]), scene.start(["idle"]));
    let run = |name: &str, words: &[&str]| {
        scene.tool(name).args(words).within(Duration::from_secs(20)).run().ended(0)
    };
    run("ptrack", &["session", "start", "s", "--pid", &owner.root().operand()]);
    run("ptrack", &["save", "in", &member.root().operand(), "--session", "s"]);
    run("ptrack", &["save", "gone", &dead.root().operand()]);
    let ended = run("ptrack", &["session", "end", "s", "--log", &named]);
    assert_eq!(ended.records().len(), 1, "without --outcomes the summary alone: {ended:?}");
    drop(dead);
    run("preap", &["--log", &named]);
    run("psession", &["--log", &named, "--", "true"]);
    let by = |tool: &str, field: &str| {
        lines(&log).iter().filter(|line| line["tool"] == tool && !line[field].is_null()).count()
    };
    assert_eq!(by("ptrack", "outcome"), 1);
    assert_eq!((by("ptrack", "terminated"), by("preap", "action")), (1, 1));
    assert!(by("psession", "event") >= 2);
}
