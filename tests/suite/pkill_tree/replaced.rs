//! What takes the place of the ended is seen, told, and ended when that was asked for.

use super::{end, pkill};
use crate::support::arena::inside;
use crate::support::form::assert_outcomes;
use crate::support::scene::Actor;
use crate::support::wait::wait_dead;
use crate::support::{Id, Output, SOON, Scene};

/// A respawner, and its child that is going to be ended by itself.
fn respawner(scene: &Scene, words: &str) -> (Actor, Id) {
    let actor = scene.start(words.split(' '));
    let child = actor.one("child");
    (actor, child)
}

#[test]
fn a_successor_is_told_beside_the_one_that_it_replaces() {
    inside(|| {
        let scene = Scene::new();
        let (mut actor, child) = respawner(&scene, "respawner");
        let said = end(&scene, child, ["--settle", "3s"]).run();
        let successor = Id::in_record(&actor.event("respawned")).expect("an identity");
        let told = said.records().into_iter().find(|told| told["outcome"] == "replaced");
        let told = told.unwrap_or_else(|| panic!("no successor is told: {said:?}"));
        assert_eq!(told["pid"], child.pid, "{said:?}");
        assert_eq!(told["replaced_by"]["pid"], successor.pid, "{said:?}");
        assert_outcomes(&said);
        assert!(successor.alive(), "it was not asked for: {said:?}");
        assert_eq!(said.code, Some(3), "what was to be gone is there again: {said:?}");
    });
}

#[test]
// proves: W11
fn retries_end_the_successors_until_nobody_comes_again() {
    inside(|| {
        let scene = Scene::new();
        let (actor, child) = respawner(&scene, "respawner --budget 2");
        let said = end(&scene, child, ["--retries", "3", "--settle", "2s"]).run();
        assert_eq!(actor.living(), [actor.root()], "{said:?}");
        assert_eq!(scene.carriers(), [actor.root()], "{said:?}");
        assert!(said.ids().len() >= 3, "each that was ended is told: {said:?}");
    });
}

#[test]
fn without_a_successor_settling_is_success() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["witness"]);
        let actor = scene.start(["idle"]);
        let said = end(&scene, actor.root(), ["--settle", "200ms"]).run().ended(0);
        assert!(said.about(actor.root()).get("replaced_by").is_none(), "{said:?}");
        actor.assert_nobody_left();
        beside.assert_untouched();
    });
}

#[test]
fn somebody_with_the_same_command_line_who_was_there_before_is_no_successor() {
    inside(|| {
        let scene = Scene::new();
        let mut twin = scene.start(["witness"]);
        let actor = scene.start(["witness"]);
        let words = ["--retries", "2", "--settle", "300ms", "--grace", "50ms"];
        let said = end(&scene, actor.root(), words).run();
        assert_eq!(said.ids(), [actor.root()], "{said:?}");
        twin.assert_untouched();
    });
}

/// What a run that is still watching says of who took a place.
fn told(said: &Output, place: &str) -> serde_json::Value {
    let told = said.records().into_iter().find(|told| told["replaced_in"] == place);
    told.unwrap_or_else(|| panic!("nobody is told to have taken the {place}: {said:?}"))
}

#[test]
fn who_listens_on_the_port_of_the_ended_is_told_whatever_its_command_line() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["listen"]);
        let port = actor.fact("port");
        let running = end(&scene, actor.root(), ["--settle", "20s"]).start();
        wait_dead(SOON, &[actor.root()]);
        let another = scene.start(["listen", &port.to_string(), "--heirs", "1"]);
        let said = running.finish();
        let told = told(&said, "port");
        assert_eq!(told["pid"], actor.root().pid, "{said:?}");
        let holders = another.ids();
        assert!(holders.iter().any(|id| told["replaced_by"]["pid"] == id.pid), "{said:?}");
        assert_outcomes(&said);
        assert_eq!(said.code, Some(3), "{said:?}");
        assert_eq!(another.living().len(), 2, "it was not asked for: {said:?}");
    });
}

#[test]
fn retries_end_who_takes_the_port_only_if_it_comes_from_where_the_ended_came_from() {
    inside(|| {
        let scene = Scene::new();
        let (one, two) = (scene.start(["listen"]), scene.start(["listen"]));
        let ports = [one.fact("port").to_string(), two.fact("port").to_string()];
        let words = ["--settle", "3s", "--retries", "2"];
        let running = end(&scene, one.root(), words).arg(two.root().operand()).start();
        wait_dead(SOON, &[one.root(), two.root()]);
        // Started by this test, as the first two were. It can be ended before it has said a word.
        let actor = crate::support::actor_program();
        let kin = scene.sh(&format!("exec '{}' listen {} >/dev/null", actor.display(), ports[0]));
        let kin = kin.stdin_open().start();
        // A service of its own, which happens to be given a free port.
        let stranger = format!("sleep 1000 | '{}' listen {}", actor.display(), ports[1]);
        let ready = format!("port:{}", ports[1]);
        let stranger =
            scene.tool("pspawn").args(["stranger", "--ready", &ready, "--", "sh", "-c", &stranger]).run();
        let stranger = Id::in_record(&stranger.ended(0).record()).expect("an identity");
        let said = running.finish();
        assert_ne!(said.about(kin.id())["outcome"], "replaced", "it is ended itself: {said:?}");
        assert!(!kin.id().alive(), "{said:?}");
        assert!(stranger.alive(), "it is somebody else's: {said:?}");
        assert_eq!(told(&said, "port")["replaced_in"], "port", "{said:?}");
        assert_eq!(said.code, Some(3), "one port is not free: {said:?}");
        end(&scene, stranger, ["--grace", "1s"]).run().ended(0);
    });
}

#[test]
fn who_is_registered_under_the_name_of_the_ended_is_told_whatever_its_command_line() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.tool("pspawn").args(["api", "--", "sleep", "1000"]).run().ended(0).record();
        let first = Id::in_record(&first).expect("an identity");
        let running = scene.tool("pkill-tree").args(["api", "--settle", "20s"]).start();
        wait_dead(SOON, &[first]);
        let second =
            scene.tool("pspawn").args(["api", "--replace", "--", "sleep", "2000"]).run().ended(0).record();
        let second = Id::in_record(&second).expect("an identity");
        let said = running.finish();
        let told = told(&said, "service");
        assert_eq!(told["replaced_by"]["pid"], second.pid, "{said:?}");
        assert!(second.alive(), "it was not asked for: {said:?}");
        assert_eq!(said.code, Some(3), "{said:?}");
        end(&scene, second, ["--grace", "1s"]).run().ended(0);
    });
}

#[test]
fn a_wait_for_the_kill_is_bounded_and_does_not_hold_up_those_who_die() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["wide", "20", "--on-term", "ignore"]);
        let said = pkill(&scene, ["--grace", "100ms", "--kill-wait", "30s"])
            .arg(tree.root().operand())
            .run()
            .ended(0);
        tree.assert_nobody_left();
        assert!(said.elapsed.as_secs() < 5, "{said:?}");
    });
}
