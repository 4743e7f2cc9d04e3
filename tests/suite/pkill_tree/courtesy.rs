//! Order and courtesy: who is asked, how often, how long it has, and when it is over.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{end, outcome, pkill};
use crate::support::arena::inside;
use crate::support::scene::Actor;
use crate::support::{Id, SOON, Scene, wait_until};

/// The signals that the processes of an actor told of, in order, with the receiver's number.
fn signals(actor: &mut Actor) -> Vec<(u64, String)> {
    let told =
        |event: Value| (event["pid"].as_u64().unwrap_or(0), event["signal"].as_str().unwrap_or("").into());
    actor.events().into_iter().map(told).collect()
}

#[test]
// proves: S09 S12 S13 W06 P27 W42 W43 W19
fn a_polite_process_gets_one_term_and_the_full_grace() {
    inside(|| {
        let scene = Scene::new();
        let mut tree = scene.start(["tree", "--depth", "1", "--width", "4", "--on-term", "tell"]);
        let said = end(&scene, tree.root(), ["--grace", "500ms"]).run().ended(0);
        tree.assert_nobody_left();
        assert!(said.elapsed >= Duration::from_millis(500), "{said:?}");
        assert!(said.elapsed < Duration::from_millis(2500), "grace and two seconds: {said:?}");
        let mut told = signals(&mut tree);
        told.sort();
        let mut wanted: Vec<_> = tree.ids().iter().map(|id| (u64::from(id.pid), "TERM".to_owned())).collect();
        wanted.sort();
        assert_eq!(told, wanted, "exactly one TERM each, and no CONT");
        for id in tree.ids() {
            let about = said.about(id);
            assert_eq!((&about["outcome"], &about["signal"]), (&"killed".into(), &"KILL".into()), "{said:?}");
            assert!(
                about["elapsed_ms"].as_u64() >= Some(500),
                "no KILL before the end of the grace: {about}"
            );
        }
        said.said("5 by force");
    });
}

#[test]
// proves: W08 S26
fn it_ends_as_soon_as_the_last_target_is_gone() {
    inside(|| {
        let scene = Scene::new();
        let tree =
            scene.start(["tree", "--depth", "1", "--width", "3", "--exit-after", "300", "--code", "7"]);
        let said = end(&scene, tree.root(), ["--grace", "60s"]).run().ended(0);
        tree.assert_nobody_left();
        assert!(said.elapsed >= Duration::from_millis(300), "they had their time: {said:?}");
        assert!(said.elapsed < Duration::from_secs(8), "it does not sleep out a grace: {said:?}");
        assert!(tree.ids().iter().all(|id| outcome(&said, *id) == "exited"), "{said:?}");
    });
}

#[test]
fn what_is_forked_within_the_grace_is_asked_too_and_has_no_grace_of_its_own() {
    inside(|| {
        let scene = Scene::new();
        let mut tree = scene.start(["respawner", "--on-term", "tell"]);
        let child = tree.one("child");
        let running = end(&scene, tree.root(), ["--grace", "1500ms"]).start();
        let mut asked = 0;
        wait_until(SOON, "both were asked", || {
            asked += signals(&mut tree).len();
            asked == 2
        });
        child.signal(Signal::SIGKILL);
        let newcomer = Id::in_record(&tree.event("respawned")).expect("an identity");
        wait_until(SOON, "the newcomer was asked", || !signals(&mut tree).is_empty());
        let said = running.finish().ended(0);
        tree.assert_nobody_left();
        assert_eq!(outcome(&said, newcomer), "killed", "{said:?}");
        assert!(said.elapsed < Duration::from_millis(3500), "one grace for the set: {said:?}");
    });
}

#[test]
fn a_stopped_process_gets_its_signal_and_goes_on() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "3", "--then", "stop"]);
        let said = end(&scene, tree.root(), ["--grace", "20s"]).run().ended(0);
        tree.assert_nobody_left();
        assert!(tree.ids().iter().all(|id| outcome(&said, *id) == "exited"), "{said:?}");
        assert!(said.elapsed < Duration::from_secs(8), "{said:?}");
    });
}

#[test]
fn a_process_that_was_not_stopped_is_not_continued() {
    inside(|| {
        let scene = Scene::new();
        let mut witness = scene.start(["witness"]);
        end(&scene, witness.root(), ["--grace", "500ms"]).run().ended(0);
        assert_eq!(signals(&mut witness).into_iter().map(|(_, name)| name).collect::<Vec<_>>(), ["TERM"]);
    });
}

#[test]
fn another_signal_can_be_asked_with() {
    inside(|| {
        let scene = Scene::new();
        let cases: [(&[&str], &str); 6] = [
            (&["--signal", "HUP"], "HUP"),
            (&["-s", "INT"], "INT"),
            (&["-s", "SIGUSR1"], "USR1"),
            (&["-QUIT"], "QUIT"),
            (&["-SIGUSR2"], "USR2"),
            (&["-1"], "HUP"),
        ];
        for (words, name) in cases {
            let mut witness = scene.start(["witness"]);
            let words = words.iter().copied().chain(["--grace", "30s"]);
            let running = end(&scene, witness.root(), words).start();
            assert_eq!(witness.event("signal")["signal"], name);
            witness.root().signal(Signal::SIGKILL);
            let said = running.finish().ended(0);
            assert_eq!(signals(&mut witness), [], "once: {said:?}");
        }
    });
}

#[test]
// proves: S27 W25
fn kill_is_kill_in_every_spelling() {
    inside(|| {
        let scene = Scene::new();
        let cases: [&[&str]; 8] = [
            &["-9"],
            &["-KILL"],
            &["-SIGKILL"],
            &["-s", "KILL"],
            &["-s9"],
            &["--signal=9"],
            &["--force"],
            &["--grace", "0s"],
        ];
        for words in cases {
            let mut tree = scene.start(["tree", "--depth", "1", "--width", "2", "--on-term", "tell"]);
            let said = end(&scene, tree.root(), words.iter().copied()).run().ended(0);
            tree.assert_nobody_left();
            assert_eq!(signals(&mut tree), [], "nobody was asked: {said:?}");
            assert!(tree.ids().iter().all(|id| outcome(&said, *id) == "killed"), "{said:?}");
            assert!(said.elapsed < Duration::from_secs(5), "{said:?}");
        }
    });
}

#[test]
fn parents_come_first_and_with_leaves_first_last() {
    inside(|| {
        let scene = Scene::new();
        let chain = scene.start(["chain", "5"]);
        let down = end(&scene, chain.root(), ["--dry-run"]).run().ended(0).ids();
        assert_eq!(down, chain.ids());
        let mut up = end(&scene, chain.root(), ["-n", "--leaves-first"]).run().ended(0).ids();
        up.reverse();
        assert_eq!(up, chain.ids());
        assert_eq!(chain.living().len(), 5);
    });
}

#[test]
// proves: R02
fn a_respawner_is_asked_before_its_child_so_that_it_respawns_nothing() {
    inside(|| {
        let scene = Scene::new();
        for _ in 0..super::rounds(5) {
            let mut tree = scene.start(["respawner", "--lanes", "3"]);
            end(&scene, tree.root(), []).run().ended(0);
            tree.assert_nobody_left();
            assert_eq!(tree.events(), Vec::<Value>::new(), "nothing was started again");
        }
    });
}

#[test]
fn a_bound_on_everything_names_the_survivors_and_exits_124() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2", "--on-term", "ignore"]);
        let said = end(&scene, tree.root(), ["--grace", "60s", "--timeout", "300ms"]).run().ended(124);
        assert!(said.elapsed < Duration::from_secs(5), "{said:?}");
        for id in tree.ids() {
            let about = said.about(id);
            assert_eq!(about["outcome"], "survived", "{said:?}");
            assert!(about["state"].is_string(), "{about}");
            assert!(id.alive());
            assert_ne!(id.state(), Some('T'), "it is not left stopped");
        }
    });
}

#[test]
fn a_bound_that_is_not_reached_changes_nothing() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2", "--on-term", "ignore"]);
        end(&scene, tree.root(), ["--grace", "100ms", "--timeout", "60s"]).run().ended(0);
        tree.assert_nobody_left();
    });
}

#[test]
fn the_grace_is_three_seconds_when_nobody_says() {
    inside(|| {
        let scene = Scene::new();
        let deaf = scene.start(["ignore-term"]);
        let said = pkill(&scene, []).arg(deaf.root().operand()).run().ended(0);
        assert!(said.elapsed >= Duration::from_secs(3) && said.elapsed < Duration::from_secs(5), "{said:?}");
        deaf.assert_nobody_left();
    });
}

#[test]
fn waiting_costs_no_processor() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["wide", "99", "--on-term", "ignore"]);
        let mut running = end(&scene, tree.root(), ["--grace", "2s"]).start();
        let id = running.id();
        let mut ticks = 0;
        while running.runs() {
            let spent = crate::support::process::cpu_ticks(id).unwrap_or(ticks);
            ticks = ticks.max(spent);
            crate::support::wait::waited(Duration::from_millis(20), || false);
        }
        running.finish().ended(0);
        tree.assert_nobody_left();
        // 10 ms each. In a debug build, with the looks of beginning and end, and with some room.
        assert!(ticks <= 30, "{ticks} ticks of a processor");
    });
}
