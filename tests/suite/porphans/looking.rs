//! Where it looks, what comes in, how it answers; and that "could not look" is never "found nothing".

use serde_json::Value;

use super::{evidence, left_behind, porphans, record, write_registry_with};
use crate::support::arena::inside;
use crate::support::form::{EVIDENCE, assert_processes};
use crate::support::terminal::Terminal;
use crate::support::{Id, Scene};

#[test]
// proves: W40 W41 S38
fn an_expectation_makes_a_gate() {
    inside(|| {
        let scene = Scene::new();
        porphans(&scene, ["--expect", "0"]).run().ended(0).quiet();
        let actor = scene.start(["orphan", "2"]);
        for (wanted, code) in [("0", 1), ("2", 0), ("1", 1), ("1..3", 0), ("3..", 1), ("..2", 0)] {
            let said = porphans(&scene, ["--expect", wanted]).run().ended(code);
            assert_eq!(said.ids().len(), 2, "what was found is shown all the same: {said:?}");
            assert_eq!(said.stderr.is_empty(), code == 0, "{said:?}");
        }
        let said = porphans(&scene, ["--expect", "0", "-q"]).run().ended(1);
        assert!(said.stdout.is_empty() && said.one_message().contains("found 2"), "{said:?}");
        drop(actor);
    });
}

#[test]
fn quiet_writes_nothing() {
    inside(|| {
        let scene = Scene::new();
        let _actor = scene.start(["orphan"]);
        assert!(porphans(&scene, ["-q"]).run().ended(0).quiet().stdout.is_empty());
    });
}

/// A process, and its evidence: kind and strength.
type Answer = (Option<Id>, Vec<(String, String)>);

#[test]
fn a_snapshot_gives_the_same_answer_as_the_living() {
    inside(|| {
        let scene = Scene::new();
        let _actors = [scene.start(["orphan", "2", "--depth", "2", "--width", "2"]), scene.start(["daemon"])];
        left_behind(&scene, "nohup ACTOR idle --outlive 60 --same-session", &[]);
        let snapshot = scene.home().join("table.ndjson");
        std::fs::write(&snapshot, scene.tool("pstree-json").run().ended(0).stdout).expect("written");
        let file = snapshot.to_str().expect("plain");
        let whole = |words: &[&str]| -> Vec<Answer> {
            let said = porphans(&scene, words.iter().copied()).run().ended(0);
            assert_processes(&said, &[EVIDENCE, crate::support::form::TREE_OF_A_SNAPSHOT]);
            said.records().iter().map(|record| (Id::in_record(record), evidence(record))).collect()
        };
        for words in [&[][..], &["-p", "orphan"], &["--all"]] {
            let saved: Vec<&str> = words.iter().copied().chain(["--from", file]).collect();
            assert_eq!(whole(&saved), whole(words), "{words:?}");
            assert!(!whole(words).is_empty());
        }
        // What a snapshot does not hold cannot be judged, and that is said.
        porphans(&scene, ["--exe", "actor", "--from", file]).run().ended(3).said("read exe");
    });
}

#[test]
fn a_snapshot_answers_for_processes_that_are_gone() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["orphan"]);
        let orphan = actor.one("orphan");
        let snapshot = scene.home().join("table.ndjson");
        std::fs::write(&snapshot, scene.tool("pstree-json").run().ended(0).stdout).expect("written");
        drop(actor);
        let said = porphans(&scene, ["--from", snapshot.to_str().expect("plain")]).run().ended(0);
        assert_eq!(said.ids(), [orphan]);
        assert!(porphans(&scene, []).run().ended(0).stdout.is_empty());
    });
}

#[test]
fn a_fact_that_may_not_be_read_is_no_answer() {
    inside(|| {
        let scene = Scene::new();
        left_behind(&scene, "ACTOR idle --outlive 60 --same-session", &[]);
        for option in [["--env", "NOBODY_HAS_THIS"], ["--cwd", "/no-such-folder"], ["--exe", "no-such-file"]]
        {
            let said = porphans(&scene, option).arg("--all-users").under(["--uid", "1234"]).run();
            if said.stderr.contains("ermission denied") && said.code == Some(2) {
                return crate::support::skip("the programs cannot be run by another user");
            }
            let said = said.ended(3);
            assert!(said.stdout.is_empty(), "{said:?}");
            assert!(said.one_message().contains("not permitted"), "{said:?}");
            porphans(&scene, option).run().ended(0).quiet();
        }
    });
}

#[test]
fn a_damaged_registry_is_said_and_stops_nobody() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["orphan"]);
        write_registry_with(&scene.registry(), &[], &[]);
        std::fs::write(scene.registry(), "{").expect("written");
        let said = porphans(&scene, []).run().ended(3);
        assert_eq!(said.ids(), [actor.one("orphan")], "{said:?}");
        assert!(said.stderr.contains("registry"), "{said:?}");
    });
}

#[test]
fn a_stream_narrows_the_search_and_keeps_its_fields() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["orphan", "3"]);
        let orphans = actor.all("orphan");
        let mut wanted = record(&scene, orphans[1]);
        wanted["ticket"] = "PROC-9".into();
        let stranger = record(&scene, scene.start(["idle"]).root());
        let said = porphans(&scene, ["-"]).records([&wanted, &stranger]).run().ended(0);
        let about = said.record();
        assert_eq!((Id::in_record(&about), &about["ticket"]), (Some(orphans[1]), &"PROC-9".into()));
        let said = porphans(&scene, ["-"]).stdin(format!("{}\n", orphans[0].pid)).run().ended(0);
        assert_eq!(said.ids(), [orphans[0]]);
        let said = porphans(&scene, ["-"]).stdin("x\n").run().ended(3);
        assert!(said.stdout.is_empty());
    });
}

#[test]
fn a_record_of_another_process_with_the_number_of_an_orphan_is_not_that_orphan() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["orphan"]);
        let mut other = record(&scene, actor.one("orphan"));
        other["pidfd_inode"] = Value::from(other["pidfd_inode"].as_u64().expect("an inode") + 1);
        let said = porphans(&scene, ["-"]).records([&other]).run();
        assert!(said.stdout.is_empty(), "{said:?}");
    });
}

#[test]
fn a_terminal_shows_a_table_without_control_bytes() {
    inside(|| {
        let scene = Scene::new();
        left_behind(&scene, "ACTOR idle --outlive 60 --same-session \u{1b}[2J", &[]);
        let said = porphans(&scene, []).on(Terminal::new(100, 30).output()).run().ended(0);
        let screen = String::from_utf8_lossy(&said.screen).into_owned();
        assert!(screen.contains("actor") && !screen.contains("\u{1b}[2J"), "{said:?}");
    });
}

#[test]
fn without_pidfds_it_finds_the_same_by_ticks() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["orphan"]);
        let said = porphans(&scene, []).under(["--no-pidfd"]).run().ended(0);
        let about = said.record();
        assert_eq!(about["pid"], actor.one("orphan").pid);
        assert!(about.get("pidfd_inode").is_none() && about["start_ticks"].is_u64(), "{about}");
    });
}
