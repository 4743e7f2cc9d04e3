//! What is told: one outcome for each process, as soon as it is known, and a code that sums it up.

use std::time::{Duration, Instant};

use super::{end, pkill};
use crate::support::arena::inside;
use crate::support::form::assert_outcomes;
use crate::support::terminal::Terminal;
use crate::support::{SOON, Scene};

#[test]
fn outcomes_keep_to_the_form() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon", "--depth", "1"]).env("PROCHERD_ID", "x").start();
        let said = pkill(&scene, ["--grace", "5s", "1", "4194300"]).arg(tree.root().operand()).run().ended(2);
        assert_outcomes(&said);
        assert_eq!(said.records().len(), 5, "{said:?}");
    });
}

#[test]
fn how_a_process_ended_is_told_where_the_kernel_tells_it() {
    inside(|| {
        let scene = Scene::new();
        // Below a parent that reaps: only the reaped have a status.
        let tree = scene.start(["tree", "--depth", "1", "--width", "1", "--exit-after", "20", "--code", "7"]);
        let leaf = tree.one("leaf");
        let said = end(&scene, leaf, []).run().ended(0);
        let told = said.about(leaf);
        assert_eq!(told["outcome"], "exited");
        if told.get("exit_status").is_none() && told.get("exit_signal").is_none() {
            return crate::support::skip("this kernel does not tell how a process ended");
        }
        assert_eq!((&told["exit_status"], told.get("exit_signal")), (&7.into(), None), "{said:?}");
        let plain = scene.start(["tree", "--depth", "1"]);
        let said = end(&scene, plain.one("leaf"), []).run().ended(0);
        // A parent that is late leaves a zombie, of which nothing is told.
        let told = said.about(plain.one("leaf"));
        assert!(told["exit_signal"] == "TERM" || told["zombie"] == true, "{said:?}");
        let killed = scene.start(["tree", "--depth", "1"]);
        let said = end(&scene, killed.one("leaf"), ["--force"]).run().ended(0);
        let told = said.about(killed.one("leaf"));
        assert!(told["exit_signal"] == "KILL" || told["zombie"] == true, "{said:?}");
    });
}

#[test]
fn an_outcome_is_told_the_moment_it_is_known() {
    inside(|| {
        let scene = Scene::new();
        let (polite, deaf) = (scene.start(["idle"]), scene.start(["ignore-term"]));
        let operands = [polite.root().operand(), deaf.root().operand()];
        let mut running = pkill(&scene, ["--grace", "2s"]).args(operands).start();
        let start = Instant::now();
        let first = running.record().expect("an outcome");
        assert_eq!(first["pid"], polite.root().pid);
        assert!(running.runs() && deaf.root().alive() && start.elapsed() < SOON);
        let said = running.finish().ended(0);
        assert_eq!(said.ids(), [polite.root(), deaf.root()]);
    });
}

#[test]
fn a_summary_goes_to_standard_error() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
        let said = end(&scene, tree.root(), []).run().ended(0);
        assert!(said.one_message().contains("ended 3 of 3"), "{said:?}");
        let deaf = scene.start(["ignore-term"]);
        end(&scene, deaf.root(), ["--grace", "50ms"]).run().ended(0).said("1 by force");
    });
}

#[test]
fn a_table_is_for_people() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
        let said = end(&scene, tree.root(), []).on(Terminal::new(120, 40).output()).run().ended(0);
        let screen = String::from_utf8_lossy(&said.screen).into_owned();
        assert!(screen.contains("exited") && !screen.contains("{\"type\""), "{said:?}");
        tree.assert_nobody_left();
    });
}

#[test]
fn milliseconds_are_those_that_it_took() {
    inside(|| {
        let scene = Scene::new();
        let slow = scene.start(["slow-exit", "400"]);
        let said = end(&scene, slow.root(), ["--grace", "30s"]).run().ended(0);
        let told = said.about(slow.root());
        let elapsed = Duration::from_millis(told["elapsed_ms"].as_u64().expect("a number"));
        assert!(elapsed >= Duration::from_millis(395) && elapsed <= said.elapsed, "{said:?}");
    });
}
