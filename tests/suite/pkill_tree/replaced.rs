//! What takes the place of the ended is seen, told, and ended when that was asked for.

use super::{end, pkill};
use crate::support::arena::inside;
use crate::support::form::assert_outcomes;
use crate::support::scene::Actor;
use crate::support::{Id, Scene};

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
