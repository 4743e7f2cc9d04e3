//! Rounds from cron: all that is known stands in the registry.

use std::fs;

use serde_json::json;

use super::{QUICK, entry, events, kill, members, pkeep, process, registry, runs};
use crate::support::process::Id;
use crate::support::{SOON, Scene, actor_program, wait_until};

#[test]
// proves: M10 M39 P39 R20
fn a_round_starts_what_does_not_run_and_leaves_what_does() {
    let scene = Scene::new();
    let once = || pkeep(&scene, &["--once"], "api", &["idle"]).run();
    assert_eq!(events(&once(), "api"), ["started"]);
    let first = runs(&scene, "api", None);
    assert_eq!(events(&once().ended(0), "api"), ["adopted"]);
    assert_eq!(process(&scene, "api"), Some(first));
    let mut last = first;
    for round in 1..=10 {
        kill(last);
        let done = pkeep(&scene, &["--once", "--tries", "20"], "api", &["idle"]).run();
        assert_eq!(events(&done, "api"), ["unhealthy", "started"], "{done:?}");
        last = runs(&scene, "api", Some(last));
        assert_eq!(entry(&scene, "api")["keep"]["tries"], round);
        assert_eq!(members(&scene, "api"), [last], "no accumulation");
    }
    assert!(entry(&scene, "pkeep").is_null(), "a round is no resident");
    // What is registered can be kept without saying its command again; its dead entry is left to its keeper.
    kill(last);
    let reaped = scene.tool("preap").run().ended(0);
    assert!(!entry(&scene, "api").is_null(), "{reaped:?}");
    let quick = scene.tool("pkeep").args(QUICK).args(["--once", "--tries", "20"]).run();
    assert_eq!(events(&quick, "api"), ["unhealthy", "started"], "{quick:?}");
    kill(runs(&scene, "api", Some(last)));
}

#[test]
// proves: R11 R21
fn many_rounds_at_once_start_one_instance() {
    let scene = Scene::new();
    for _ in 0..5 {
        let before = process(&scene, "api");
        if let Some(id) = before.filter(Id::alive) {
            kill(id);
        }
        let rounds: Vec<_> =
            (0..8).map(|_| pkeep(&scene, &["--once", "--tries", "99"], "api", &["idle"]).start()).collect();
        let starts: usize = rounds
            .into_iter()
            .map(|round| {
                let said = round.finish();
                assert!(matches!(said.code, Some(0 | 1)), "{said:?}");
                events(&said, "api").iter().filter(|event| *event == "started").count()
            })
            .sum();
        let now = runs(&scene, "api", before);
        assert_eq!((starts, members(&scene, "api")), (1, vec![now]), "{}", registry(&scene));
    }
    kill(process(&scene, "api").expect("it runs"));
}

#[test]
fn a_round_that_is_killed_anywhere_leads_to_no_second_instance_and_forgets_no_try() {
    let scene = Scene::new();
    let actor = actor_program().display().to_string();
    let words = format!("pkeep {} --once --tries 1000 api -- {actor} idle --outlive 120", QUICK.join(" "));
    let mut tries = 0;
    let mut killed = 0;
    for call in (1..).step_by(23) {
        if let Some(id) = process(&scene, "api").filter(Id::alive) {
            kill(id);
        }
        let said = scene.sh(&format!("exec {actor} kill-at -- {call} {words}")).run();
        let undisturbed = said.code == Some(9);
        killed += usize::from(!undisturbed);
        // Whatever was left, the next rounds end with one instance.
        wait_until(SOON, &format!("call {call}: one instance"), || {
            scene.sh(&words).run();
            let running = members(&scene, "api");
            assert!(running.len() <= 1, "call {call}: {running:?}");
            running.len() == 1 && process(&scene, "api") == Some(running[0])
        });
        let now = entry(&scene, "api")["keep"]["tries"].as_u64().expect("a number");
        assert!(now >= tries, "call {call}: {now} after {tries}");
        tries = now;
        if undisturbed {
            break;
        }
    }
    assert!(killed > 5 && tries > 3, "{killed} times killed, {tries} tries");
    kill(process(&scene, "api").expect("it runs"));
}

#[test]
fn who_is_kept_is_told_from_who_is_not() {
    let scene = Scene::new();
    let other = scene.start(["idle"]);
    scene.tool("ptrack").args(["save", "other", &other.root().operand()]).run().ended(0);
    let text = fs::read_to_string(scene.registry()).expect("a registry");
    drop(other);
    // A stop ends nothing that was not kept.
    let none = scene.tool("pkeep").args(["--once", "nobody"]).run();
    assert_eq!(none.code, Some(3), "{none:?}");
    assert_eq!(fs::read_to_string(scene.registry()).expect("a registry"), text);
    scene.tool("preap").run().ended(0);
    assert_eq!(entry(&scene, "other"), json!(null), "it was nobody's to keep");
}
