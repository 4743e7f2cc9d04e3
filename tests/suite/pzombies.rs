//! `pzombies`: the dead that nobody reaps, and who should have.

mod real;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::arena::{inside, inside_with_late_init};
use crate::support::form::{GUILTY, TREE_OF_A_SNAPSHOT, ZOMBIE, assert_processes};
use crate::support::scene::raw;
use crate::support::terminal::Terminal;
use crate::support::tool::{Tool, pipe};
use crate::support::{Id, SOON, Scene, skip, wait_until};

/// The tool with two looks that are close to each other, and more words.
fn pzombies<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("pzombies").args(["--twice", "50ms"]).args(words)
}

fn parent_of(record: &Value) -> Option<Id> {
    Id::in_record(&record["parent"])
}

#[test]
// proves: W20 W36 W19
fn a_zombie_is_reported_with_the_whole_record_of_its_parent_and_the_parent_can_be_ended() {
    inside(|| {
        let scene = Scene::new();
        let (actor, mut beside) = (scene.start(["zombie", "2"]), scene.start(["idle"]));
        let said = pzombies(&scene, []).run().ended(0).quiet();
        let (mut found, mut dead) = (said.ids(), actor.all("zombie"));
        found.sort_unstable();
        dead.sort_unstable();
        assert_eq!(found, dead);
        assert_processes(&said, &[ZOMBIE]);
        for record in said.records() {
            assert_eq!(parent_of(&record), Some(actor.root()));
            assert_eq!(
                (&record["advice"], &record["state"]),
                (&"end-parent".into(), &"Z".into()),
                "{record}"
            );
            let ms = record["zombie_ms"].as_u64().expect("known");
            assert!((50..=record["age_ms"].as_u64().expect("an age") + 50).contains(&ms), "{record}");
        }
        let said = pzombies(&scene, ["--parents"]).run().ended(0);
        assert_eq!((said.ids(), &said.record()["zombies"]), (vec![actor.root()], &2.into()));
        assert_processes(&said, &[GUILTY]);
        let ended = pipe([pzombies(&scene, ["--parents"]), scene.tool("pkill-tree")]);
        assert_eq!(ended[1].record()["outcome"], "exited", "{ended:?}");
        assert!(!actor.root().alive());
        actor.reap();
        wait_until(SOON, "the init has reaped them", || {
            pzombies(&scene, []).run().ended(0).stdout.is_empty()
        });
        beside.assert_untouched();
    });
}

#[test]
fn a_dead_main_thread_is_no_zombie() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["dead-main-thread"]);
        assert_eq!(actor.root().state(), Some('Z'));
        for words in [&["--once"][..], &["--twice", "20ms"]] {
            assert!(scene.tool("pzombies").args(words).run().ended(0).quiet().stdout.is_empty());
        }
    });
}

#[test]
fn a_stopped_parent_is_to_be_continued() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["late-reaper"]);
        actor.root().signal(Signal::SIGSTOP);
        wait_until(SOON, "it is stopped", || actor.root().state() == Some('T'));
        let said = pzombies(&scene, []).run().ended(0);
        assert_eq!((said.ids(), &said.record()["advice"]), (vec![actor.one("zombie")], &"continue".into()));
        assert_eq!(said.record()["parent"]["state"], "T");
    });
}

#[test]
fn a_parent_that_listens_is_to_be_reminded() {
    let scene = Scene::new();
    // It catches SIGCHLD, and has nothing to do with it.
    let script = "import os, signal, sys\nsignal.signal(signal.SIGCHLD, lambda *a: None)\n\
                  if os.fork() == 0: os._exit(0)\nprint('{\"dead\": true}', flush=True)\nsys.stdin.read()";
    let mut python = scene.sh("exec python3 -c \"$0\"").arg(script).stdin_open().start();
    if python.record().is_none() {
        return skip("there is no python3");
    }
    let parent = python.id();
    let about = || {
        let said = pzombies(&scene, ["--pattern", "signal.SIGCHLD"]).run().ended(0);
        said.records().into_iter().find(|record| parent_of(record) == Some(parent))
    };
    wait_until(SOON, "its child is dead", || about().is_some());
    assert_eq!(about().expect("found")["advice"], "nudge");
}

#[test]
fn a_parent_that_reaps_by_the_clock_is_spared() {
    inside(|| {
        let scene = Scene::new();
        let late = scene.start(["late-reaper", "--reap-every", "2000"]);
        let never = scene.start(["zombie"]);
        let said = pzombies(&scene, []).run().ended(0).quiet();
        assert_eq!(said.ids(), [never.one("zombie")], "the other one reaps: {said:?}");
        assert!(late.root().alive());
        // Without patience it is not waited for.
        let said = pzombies(&scene, ["--patience", "0s", "--parents"]).run().ended(0);
        assert!(said.ids().contains(&never.root()), "{said:?}");
    });
}

#[test]
fn a_parent_that_has_reaped_before_gets_its_time_and_no_more() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["late-reaper"]);
        let zombie = actor.one("zombie");
        let said = pzombies(&scene, ["--patience", "400ms"]).run().ended(0);
        assert_eq!(said.ids(), [zombie]);
        assert!(said.record()["zombie_ms"].as_u64().expect("known") >= 400, "{said:?}");
        // It reaps while it is watched, and is spared at once.
        let mut running = pzombies(&scene, ["--patience", "1h"]).start();
        wait_until(SOON, "it has been spared", || {
            actor.root().signal(Signal::SIGUSR1);
            !running.runs()
        });
        assert!(running.finish().ended(0).stdout.is_empty());
    });
}

#[test]
fn a_parent_that_has_collected_another_child_is_late_which_all_shows() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["late-reaper"]);
        let while_it_collects = |words: &[&str]| {
            let mut running = pzombies(&scene, words.iter().copied()).start();
            wait_until(SOON, "it has looked", || {
                actor.root().signal(Signal::SIGUSR2);
                !running.runs()
            });
            running.finish().ended(0)
        };
        assert!(while_it_collects(&["--patience", "1h"]).stdout.is_empty());
        let said = while_it_collects(&["--patience", "1h", "--all"]);
        let about = said.about(actor.one("zombie"));
        assert_eq!(about["advice"], "wait", "{about}");
        assert!(while_it_collects(&["--patience", "1h", "--all", "--parents"]).stdout.is_empty());
    });
}

#[test]
fn an_init_that_reaps_late_is_not_to_blame() {
    inside_with_late_init(std::time::Duration::from_secs(1), || {
        let scene = Scene::new();
        let _actor = scene.start(["double-fork"]);
        drop(scene.start(["orphan", "3"]));
        assert!(pzombies(&scene, ["--parents"]).run().ended(0).quiet().stdout.is_empty());
    });
}

#[test]
fn selectors_judge_the_zombie_or_its_parent() {
    inside(|| {
        let scene = Scene::new();
        let folder = scene.home().join("project");
        std::fs::create_dir(&folder).expect("made");
        let inner = scene.actor(["zombie", "--comm", "inner"]).cwd(&folder).env("MARK", "1").start();
        let outer = scene.start(["zombie", "--comm", "outer"]);
        let path = folder.to_str().expect("plain");
        let ids = |words: &[&str]| pzombies(&scene, words.iter().copied()).run().ended(0).ids();
        let (inner, outer) = (inner.one("zombie"), outer.one("zombie"));
        for words in [
            ["--project", path],
            ["--cwd", path],
            ["--env", "MARK=1"],
            ["-p", "comm inner"],
            ["-p", "^.inner"],
        ] {
            assert_eq!(ids(&words), [inner], "{words:?}");
        }
        for words in [["--exe", "actor"], ["-p", "actor zombie"]] {
            assert_eq!(ids(&words).len(), 2, "{words:?}");
        }
        assert_eq!(ids(&["--min-age", "1h"]), []);
        assert_eq!(ids(&["--user", "4242"]), []);
        scene
            .tool("ptrack")
            .args(["save", "api", &outer.ppid().expect("a parent").to_string()])
            .run()
            .ended(0);
        assert_eq!(ids(&["--service", "api"]), [outer]);
        assert_eq!(ids(&["--session", "none"]), []);
    });
}

#[test]
fn what_may_not_be_read_is_said() {
    inside(|| {
        let scene = Scene::new();
        let _actor = scene.start(["zombie"]);
        let said = pzombies(&scene, ["--env", "X", "--all-users"]).under(["--uid", "1234"]).run();
        if said.stderr.contains("ermission denied") && said.code == Some(2) {
            return skip("the programs cannot be run by another user");
        }
        let said = said.ended(3);
        assert!(said.stdout.is_empty() && said.one_message().contains("not permitted"), "{said:?}");
    });
}

#[test]
fn an_expectation_makes_a_gate() {
    inside(|| {
        let scene = Scene::new();
        pzombies(&scene, ["--expect", "0"]).run().ended(0).quiet();
        let _actor = scene.start(["zombie", "2"]);
        for (words, code) in
            [(&["0"][..], 1), (&["2"], 0), (&["1"], 1), (&["1", "--parents"], 0), (&["3.."], 1)]
        {
            let words: Vec<&str> = std::iter::once("--expect").chain(words.iter().copied()).collect();
            pzombies(&scene, words).run().ended(code);
        }
        let said = pzombies(&scene, ["--expect", "0", "-q"]).run().ended(1);
        assert!(said.stdout.is_empty() && said.one_message().contains("found 2"), "{said:?}");
        assert!(pzombies(&scene, ["-q"]).run().ended(0).quiet().stdout.is_empty());
        scene.tool("pzombies").args(["--once", "--twice", "1s"]).run().ended(2).one_message();
    });
}

#[test]
fn snapshots_give_the_answer_that_the_living_gave() {
    inside(|| {
        let scene = Scene::new();
        let (two, one) = (scene.start(["zombie", "2"]), scene.start(["zombie"]));
        let save = |name: &str| {
            let path = scene.home().join(name);
            std::fs::write(&path, scene.tool("pstree-json").run().ended(0).stdout).expect("written");
            path.to_str().expect("plain").to_owned()
        };
        let (before, after) = (save("before"), save("after"));
        let saved = |words: &[&str]| scene.tool("pzombies").args(words).run().ended(0).quiet();
        let live = pzombies(&scene, []).run().ended(0).ids();
        let said = saved(&["--from", &before, "--from", &after]);
        assert_eq!((said.ids(), live.len()), (live.clone(), 3));
        assert_processes(&said, &[ZOMBIE, TREE_OF_A_SNAPSHOT]);
        assert_eq!(saved(&["--from", &after, "--once"]).ids(), live);
        assert_eq!(saved(&["--from", &before, "--from", &after, "--parents"]).ids().len(), 2);
        // One of the two has been reaped meanwhile: their parent reaps.
        let gone = two.all("zombie")[0];
        let text = std::fs::read_to_string(&after).expect("readable");
        let rest = text
            .lines()
            .filter(|line| Id::in_record(&serde_json::from_str(line).expect("a record")) != Some(gone));
        std::fs::write(&after, rest.map(|line| line.to_owned() + "\n").collect::<String>()).expect("written");
        assert_eq!(saved(&["--from", &before, "--from", &after]).ids(), [one.one("zombie")]);
    });
}

#[test]
fn a_stream_narrows_the_search_and_keeps_its_fields() {
    inside(|| {
        let scene = Scene::new();
        let (actor, idle) = (scene.start(["zombie", "3"]), scene.start(["idle"]));
        let wanted = actor.all("zombie")[1];
        let mut record = scene.tool("pstree-json").arg(wanted.operand()).run().ended(0).record();
        record["ticket"] = "PROC-9".into();
        let stranger = scene.tool("pstree-json").arg(idle.root().operand()).run().ended(0).record();
        let said = pzombies(&scene, ["-"]).records([&record, &stranger]).run().ended(0);
        assert_eq!((said.ids(), &said.record()["ticket"]), (vec![wanted], &"PROC-9".into()));
    });
}

#[test]
fn hostile_names_pass_whole_and_no_terminal_sees_their_control_bytes() {
    inside(|| {
        let scene = Scene::new();
        let comm = b"a) Z 1\n\x1b[2J\xff";
        let actor = scene.start([raw(b"zombie"), raw(b"--comm"), raw(comm)]);
        let about = pzombies(&scene, []).run().ended(0).about(actor.one("zombie"));
        assert_eq!(about["comm"]["bytes"], "YSkgWiAxChtbMkr/", "{about}");
        let said = pzombies(&scene, []).on(Terminal::new(100, 30).output()).run().ended(0);
        let screen = String::from_utf8_lossy(&said.screen).into_owned();
        assert!(screen.contains("end-parent") && !screen.contains("\u{1b}[2J"), "{said:?}");
    });
}
