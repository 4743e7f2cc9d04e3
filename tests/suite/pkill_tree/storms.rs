//! Targets that do not stay as few as they were. `PROCHERD_SOAK=50` tries each that often.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{end, make_dead, pkill, record, rounds};
use crate::support::arena::inside;
use crate::support::{SOON, Scene, wait_until};

/// Ends such an actor a few times over; each time nobody is left, announced or not.
fn ended_each_time(words: &str, options: &[&str], few: usize) {
    let scene = Scene::new();
    let mut beside = scene.start(["witness"]);
    for round in 0..rounds(few) {
        let storm = scene.start(words.split(' '));
        let said = end(&scene, storm.root(), options.iter().copied()).run().ended(0);
        if !storm.nobody_left() {
            let left: Vec<_> = scene.carriers().into_iter().filter(|id| *id != beside.root()).collect();
            panic!("round {round} of '{words}': {} left: {left:?}: {said:?}", left.len());
        }
        assert!(said.elapsed < Duration::from_secs(12), "round {round}: {said:?}");
        let survived = said.records().iter().any(|told| told["outcome"] == "survived");
        assert!(!survived, "nobody is left, and yet a survivor is told: {said:?}");
    }
    beside.assert_untouched();
}

#[test]
fn a_respawner_ends_with_its_children() {
    inside(|| ended_each_time("respawner --lanes 6", &["--grace", "1s"], 4));
}

#[test]
fn a_respawner_of_sessions_ends_with_its_children() {
    inside(|| ended_each_time("respawner --lanes 6 --setsid --depth 1 --width 2", &["--grace", "1s"], 4));
}

#[test]
fn a_deaf_respawner_with_a_few_thousand_lives_ends() {
    inside(|| {
        ended_each_time("respawner --lanes 4 --on-term ignore --budget 5000", &["--grace", "200ms"], 3);
    });
}

#[test]
fn a_respawner_that_is_killed_at_once_ends_with_its_children() {
    inside(|| ended_each_time("respawner --lanes 6 --budget 5000", &["--force"], 5));
}

#[test]
fn a_respawner_whose_leaves_are_asked_first_ends_too() {
    inside(|| {
        ended_each_time("respawner --lanes 4 --budget 5000", &["--grace", "500ms", "--leaves-first"], 3);
    });
}

#[test]
fn a_storm_of_forks_ends() {
    inside(|| {
        let words = "fork-storm --rate 1000 --lanes 4 --life 40 --budget 8000 --seconds 20";
        ended_each_time(words, &["--grace", "300ms"], 4);
    });
}

#[test]
fn a_deaf_storm_of_forks_ends() {
    inside(|| {
        let words = "fork-storm --rate 600 --lanes 3 --life 60 --budget 8000 --seconds 20 --on-term ignore";
        ended_each_time(words, &["--grace", "200ms"], 4);
    });
}

#[test]
fn a_storm_of_forks_is_killed_at_once() {
    inside(|| {
        let words = "fork-storm --rate 1000 --lanes 4 --life 60 --budget 8000 --seconds 20";
        ended_each_time(words, &["--force"], 5);
    });
}

#[test]
fn a_storm_of_long_lives_ends() {
    inside(|| {
        let words = "fork-storm --rate 400 --lanes 4 --life 600000 --budget 400 --seconds 20";
        ended_each_time(words, &["--grace", "300ms"], 2);
    });
}

#[test]
fn a_deaf_storm_of_sessions_ends() {
    inside(|| {
        // The lanes ignore TERM, so each child is below a living parent when it is looked for.
        let words =
            "fork-storm --rate 400 --lanes 3 --life 50 --budget 6000 --seconds 20 --setsid --on-term ignore";
        ended_each_time(words, &["--grace", "200ms"], 3);
    });
}

#[test]
fn a_marked_storm_of_sessions_ends_with_all_that_it_left() {
    inside(|| {
        let scene = Scene::new();
        for round in 0..rounds(3) {
            let words = "fork-storm --rate 400 --lanes 3 --life 600000 --budget 600 --seconds 20 --setsid";
            let storm = scene.actor(words.split(' ')).env("PROCHERD_ID", format!("storm-{round}")).start();
            let said = end(&scene, storm.root(), ["--grace", "500ms"]).run().ended(0);
            assert!(storm.nobody_left(), "round {round}: {} left: {said:?}", scene.carriers().len());
        }
    });
}

#[test]
fn a_process_that_is_always_somebody_else_ends_by_its_session() {
    inside(|| {
        let scene = Scene::new();
        for round in 0..rounds(2) {
            let hopper = scene.start("hopper --rate 100 --budget 4000 --seconds 20".split(' '));
            // Its first self leads the session; a record of it may be read after it has hopped on.
            let mut saved = record_of_the_gone(&scene);
            for (name, fact) in [("pid", "pid"), ("start_ticks", "start_ticks"), ("pidfd_inode", "inode")] {
                saved[name] = hopper.fact(fact).into();
            }
            for name in ["sid", "pgid"] {
                saved[name] = hopper.root().pid.into();
            }
            wait_until(SOON, "it has hopped", || !hopper.root().alive());
            let said = pkill(&scene, ["--grace", "500ms"]).records([&saved]).run().ended(0);
            assert!(hopper.nobody_left(), "round {round}: {said:?}");
        }
    });
}

/// The record of a process that is gone, to be altered.
fn record_of_the_gone(scene: &Scene) -> serde_json::Value {
    let actor = scene.start(["idle"]);
    let saved = record(scene, actor.root());
    make_dead(&actor);
    saved
}

#[test]
fn nothing_is_left_when_a_branch_is_reparented_at_the_moment_of_the_first_look() {
    inside(|| {
        let scene = Scene::new();
        for _ in 0..rounds(4) {
            let tree = scene.start(["tree", "--depth", "3", "--width", "2", "--on-term", "ignore"]);
            let running = end(&scene, tree.root(), ["--grace", "300ms"]).start();
            for branch in tree.all("branch").into_iter().rev() {
                branch.signal(Signal::SIGKILL);
            }
            let said = running.finish().ended(0);
            assert!(tree.nobody_left(), "{:?} left: {said:?}", tree.living());
        }
    });
}
