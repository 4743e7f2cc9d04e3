//! Less than was hoped for: few descriptors, no pidfds, nobody who listens.

use std::time::Duration;

use super::{end, make_dead, outcome, pkill, record, text};
use crate::support::arena::{fill_disk, inside, small_disk};
use crate::support::{Id, SOON, Scene, wait_until};

#[test]
fn sixteen_descriptors_are_enough_for_hundreds_of_targets() {
    inside(|| {
        let scene = Scene::new();
        for words in ["wide 300", "wide 200 --on-term ignore"] {
            let tree = scene.start(words.split(' '));
            let said =
                end(&scene, tree.root(), ["--grace", "300ms"]).under(["--nofile", "16"]).run().ended(0);
            assert!(tree.nobody_left(), "{} left: {said:?}", tree.living().len());
            let mut told = said.ids();
            told.sort_unstable();
            told.dedup();
            assert_eq!(told.len(), tree.ids().len(), "each is told once");
            assert_eq!(said.ids().len(), told.len());
            assert!(said.elapsed < Duration::from_secs(10), "{said:?}");
        }
    });
}

#[test]
fn sixteen_descriptors_are_enough_for_a_tree_that_spreads_over_sessions() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene
            .actor(["daemon", "--depth", "2", "--width", "8", "--on-term", "ignore"])
            .env("PROCHERD_ID", "x")
            .start();
        let said = end(&scene, tree.root(), ["--grace", "200ms"]).under(["--nofile", "16"]).run().ended(0);
        assert!(tree.nobody_left(), "{said:?}");
    });
}

#[test]
fn sixteen_descriptors_are_enough_for_a_storm() {
    inside(|| {
        let scene = Scene::new();
        for _ in 0..super::rounds(2) {
            let words =
                "fork-storm --rate 500 --lanes 4 --life 100 --budget 6000 --seconds 20 --on-term ignore";
            let storm = scene.start(words.split(' '));
            let said =
                end(&scene, storm.root(), ["--grace", "200ms"]).under(["--nofile", "16"]).run().ended(0);
            assert!(storm.nobody_left(), "{said:?}");
        }
    });
}

#[test]
fn without_pidfds_trees_end_and_the_record_says_how_they_were_known() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["witness"]);
        for words in ["tree --depth 2 --width 3", "double-fork", "tree --depth 1 --width 2 --on-term ignore"]
        {
            let tree = scene.start(words.split(' '));
            let said = pkill(&scene, ["--grace", "300ms", &tree.root().pid.to_string()])
                .under(["--no-pidfd"])
                .run()
                .ended(0);
            assert!(tree.nobody_left(), "{words}: {said:?}");
            assert!(
                said.records()
                    .iter()
                    .all(|told| told.get("pidfd_inode").is_none() && told["identity"] == "ticks"),
                "{said:?}"
            );
        }
        beside.assert_untouched();
    });
}

#[test]
fn without_pidfds_polite_ones_are_not_waited_for_longer_than_they_live() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "5", "--exit-after", "200"]);
        let said = pkill(&scene, ["--grace", "30s", &tree.root().pid.to_string()])
            .under(["--no-pidfd"])
            .run()
            .ended(0);
        assert!(said.elapsed < Duration::from_secs(6), "{said:?}");
        assert!(tree.ids().iter().all(|id| pid_outcome(&said, *id) == "exited"), "{said:?}");
    });
}

/// What became of a number, where records carry no inode.
fn pid_outcome(said: &crate::support::Output, id: Id) -> String {
    let told = said.records().into_iter().find(|told| told["pid"] == id.pid);
    text(&told.unwrap_or_else(|| panic!("no record about {id:?}: {said:?}")), "outcome")
}

#[test]
fn without_pidfds_a_record_with_another_start_is_another_process() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let mut saved = record(&scene, innocent.root());
        saved.as_object_mut().expect("an object").remove("pidfd_inode");
        for ticks in [innocent.root().start_ticks - 1, innocent.root().start_ticks + 1, 0] {
            saved["start_ticks"] = ticks.into();
            let said = pkill(&scene, ["--force"]).records([&saved]).under(["--no-pidfd"]).run().ended(0);
            assert_eq!(text(&said.record(), "outcome"), "identity-changed", "{said:?}");
        }
        innocent.assert_untouched();
    });
}

#[test]
fn without_pidfds_the_dead_are_told_from_the_living() {
    inside(|| {
        let scene = Scene::new();
        let (dead, alive) = (scene.start(["idle"]), scene.start(["idle"]));
        let saved = [record(&scene, dead.root()), record(&scene, alive.root())];
        make_dead(&dead);
        let said = pkill(&scene, []).records(&saved).under(["--no-pidfd"]).run().ended(0);
        assert_eq!(pid_outcome(&said, dead.root()), "already-gone");
        assert_eq!(pid_outcome(&said, alive.root()), "exited");
        alive.assert_nobody_left();
    });
}

#[test]
fn nobody_who_reads_is_no_reason_to_stop_killing() {
    inside(|| {
        let scene = Scene::new();
        for bytes in [0, 100] {
            let tree = scene.start(["wide", "60", "--on-term", "ignore"]);
            let said =
                end(&scene, tree.root(), ["--grace", "200ms"]).reader_leaves_after(bytes).run().ended(0);
            assert!(tree.nobody_left(), "{said:?}");
        }
    });
}

#[test]
fn a_reader_who_does_not_read_holds_nobody_up() {
    inside(|| {
        let scene = Scene::new();
        for words in ["wide 400", "wide 400 --on-term ignore"] {
            let tree = scene.start(words.split(' '));
            // The records of so many do not fit into the pipe, and nothing is taken out of it before all have ended.
            let running = end(&scene, tree.root(), ["--grace", "200ms"]).start();
            wait_until(SOON, "all have ended", || tree.nobody_left());
            assert_eq!(running.finish().ended(0).ids().len(), tree.ids().len());
        }
    });
}

#[test]
fn a_full_output_is_said_after_the_kill_is_complete() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["wide", "60", "--on-term", "ignore"]);
        let said = end(&scene, tree.root(), ["--grace", "200ms"]).output_full().run().ended(3);
        assert!(tree.nobody_left(), "{said:?}");
        said.said("no space left on device");
    });
}

#[test]
fn a_full_disk_under_the_output_does_not_stop_the_kill() {
    inside(|| {
        let scene = Scene::new();
        let disk = scene.home().join("disk");
        small_disk(&disk, 64);
        fill_disk(&disk);
        let tree = scene.start(["wide", "60"]);
        let script = format!("pkill-tree --grace 5s {} > disk/outcomes.ndjson", tree.root().pid);
        let said = scene.sh(&script).cwd(scene.home()).run().ended(3);
        assert!(tree.nobody_left(), "{said:?}");
    });
}

#[test]
fn closed_standard_streams_do_not_stop_the_kill() {
    inside(|| {
        let scene = Scene::new();
        for redirect in [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"] {
            let tree = scene.start(["wide", "20"]);
            let script = format!("pkill-tree --grace 5s {} {redirect}", tree.root().pid);
            let said = scene.sh(&script).run();
            assert!(tree.nobody_left(), "{redirect}: {said:?}");
            assert!(matches!(said.code, Some(0 | 3)), "{redirect}: {said:?}");
        }
    });
}

#[test]
fn a_terminal_gets_no_control_bytes_from_names() {
    inside(|| {
        use crate::support::scene::raw;
        use crate::support::terminal::Terminal;
        let scene = Scene::new();
        let words = ["ignore-term", "--comm"].into_iter().map(Into::into);
        let actor = scene.actor(words.chain([raw(b"a\x1b[2J\x07\nb")])).start();
        let said = end(&scene, actor.root(), ["--grace", "400ms"]).on(Terminal::of_a_person()).run().ended(0);
        let screen = String::from_utf8_lossy(&said.screen).into_owned();
        assert!(!screen.contains("\x1b[2J") && !screen.contains('\x07'), "{said:?}");
        assert!(screen.contains("waiting for 1"), "a countdown is shown: {said:?}");
        assert!(actor.nobody_left());
    });
}

#[test]
fn a_foreign_proc_is_refused() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        // A namespace of its own, and the /proc of this one: its numbers mean others there.
        let script = format!("unshare --pid --fork pkill-tree --force {}", innocent.root().pid);
        let said = scene.sh(&script).run().ended(3);
        assert!(said.stderr.contains("pid namespace"), "{said:?}");
        innocent.assert_untouched();
    });
}

#[test]
fn a_missing_proc_is_said() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let script = format!(
            "unshare --mount sh -c 'mount -t tmpfs none /proc && pkill-tree --force {}'",
            innocent.root().pid
        );
        let said = scene.sh(&script).run().ended(3);
        assert!(said.stderr.contains("/proc"), "{said:?}");
        innocent.assert_untouched();
    });
}

#[test]
fn processes_that_are_hidden_are_not_taken_for_dead() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let saved = record(&scene, innocent.root());
        std::fs::write(scene.home().join("plan"), format!("{saved}\n")).expect("written");
        std::os::unix::fs::chown(scene.home().join("plan"), Some(1234), None).expect("ours");
        std::process::Command::new("mount")
            .args(["-o", "remount,hidepid=2", "/proc"])
            .status()
            .expect("mount runs");
        let file = std::fs::File::open(scene.home().join("plan")).expect("the plan");
        let said = pkill(&scene, ["--grace", "50ms"]).stdin_from(file).under(["--uid", "1234"]).run();
        std::process::Command::new("mount")
            .args(["-o", "remount,hidepid=0", "/proc"])
            .status()
            .expect("mount runs");
        assert_ne!(said.code, Some(0), "{said:?}");
        assert_ne!(outcome(&said, innocent.root()), "already-gone", "hidden is not dead: {said:?}");
        innocent.assert_untouched();
    });
}
