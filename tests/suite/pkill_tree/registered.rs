//! What the registry says leads to processes, and protects them; and never lends its word to a number.

use serde_json::{Value, json};

use super::{end, make_dead, now_ms, outcome, pkill, record, service, text, via, write_registry};
use crate::support::Scene;
use crate::support::arena::{inside, start_as};

#[test]
// proves: W15
fn a_service_is_ended_by_its_name() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
        write_registry(&scene.registry(), &[("api", service(&record(&scene, tree.root()), now_ms()))]);
        for words in [&["-n", "api"][..], &["api"]] {
            let said = pkill(&scene, words.iter().copied()).run().ended(0);
            assert_eq!(via(&said, tree.root()), "named");
            let told = said.about(tree.root());
            assert!(
                told.get("alive").is_none() && told.get("status").is_none(),
                "said before the end: {told}"
            );
            assert_eq!(told["service"], "api", "{told}");
        }
        tree.assert_nobody_left();
    });
}

#[test]
fn a_dead_service_is_ended_by_the_tree_that_was_saved() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["daemon"]);
        let mut entry = service(&record(&scene, tree.root()), now_ms());
        entry["tree"] = json!([record(&scene, tree.one("daemon"))]);
        write_registry(&scene.registry(), &[("api", entry)]);
        make_dead(&tree);
        let said = pkill(&scene, ["api"]).run();
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("daemon")), "tree", "{said:?}");
    });
}

#[test]
fn a_dead_service_is_ended_by_its_session_and_its_mark() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon"]).env("PROCHERD_ID", "spawn-1").start();
        let rest = scene.start(["tree", "--depth", "1"]);
        let mut marked = service(&record(&scene, tree.root()), now_ms());
        marked["cookie"] = "spawn-1".into();
        let mut led = service(&record(&scene, rest.root()), now_ms());
        (led["sid"], led["pgid"]) = (rest.root().pid.into(), rest.root().pid.into());
        write_registry(&scene.registry(), &[("marked", marked), ("led", led)]);
        make_dead(&tree);
        make_dead(&rest);
        let said = pkill(&scene, ["marked", "led"]).run();
        assert!(tree.nobody_left() && rest.nobody_left(), "{said:?}");
        assert_eq!(via(&said, tree.one("daemon")), "cookie", "{said:?}");
        assert_eq!(via(&said, rest.one("leaf")), "session", "{said:?}");
    });
}

#[test]
fn a_service_whose_number_was_given_away_touches_nobody() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.start(["idle"]);
        let pid = first.root().pid;
        write_registry(&scene.registry(), &[("api", service(&record(&scene, first.root()), now_ms()))]);
        make_dead(&first);
        drop(first);
        let mut innocent = start_as(pid, || scene.actor(["witness"]));
        pkill(&scene, ["--force", "api"]).run();
        innocent.assert_untouched();
    });
}

#[test]
fn an_entry_of_another_program_never_lends_its_name_to_a_younger_process() {
    inside(|| {
        let scene = Scene::new();
        // Another program wrote only the number, long ago; whoever has it now began later.
        let mut innocent = scene.start(["witness"]);
        for started in [json!(1_700_000_000_000_u64), json!(0), Value::Null, json!("then")] {
            let entry = json!({
                "pid": innocent.root().pid, "script": "x", "type": "global", "startTime": started,
                "lastHealthCheck": 0, "status": "running", "metadata": {},
            });
            write_registry(&scene.registry(), &[("api", entry)]);
            let said = pkill(&scene, ["--force", "api"]).run();
            assert!(innocent.root().alive(), "a younger process was ended: {said:?}");
            assert_ne!(said.code, Some(0), "{said:?}");
        }
        innocent.assert_untouched();
    });
}

#[test]
fn hostile_entries_are_inert() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        for pid in [
            json!(0),
            json!(-1),
            json!(1),
            json!(-5),
            json!(1.5),
            json!("7"),
            json!(1e300),
            json!(null),
            json!([]),
        ] {
            let entry = json!({"pid": pid, "script": "x", "type": "global", "startTime": 1,
                "tree": [{"pid": innocent.root().pid}, {"pid": 1}, {"pid": -1}]});
            write_registry(&scene.registry(), &[("api", entry)]);
            let said = pkill(&scene, ["--force", "api"]).run();
            assert!(innocent.root().alive(), "{pid}: {said:?}");
            assert!(matches!(said.code, Some(1..=3)), "{pid}: {said:?}");
        }
        innocent.assert_untouched();
    });
}

#[test]
fn a_saved_tree_without_identities_names_nobody() {
    inside(|| {
        let scene = Scene::new();
        let (mut innocent, dead) = (scene.start(["witness"]), scene.start(["idle"]));
        let mut entry = service(&record(&scene, dead.root()), now_ms());
        entry["tree"] = json!([{"pid": innocent.root().pid}]);
        write_registry(&scene.registry(), &[("api", entry.clone())]);
        make_dead(&dead);
        pkill(&scene, ["--force", "api"]).run();
        entry.as_object_mut().expect("an object").remove("identity");
        write_registry(&scene.registry(), &[("api", entry)]);
        pkill(&scene, ["--force", "api"]).run();
        innocent.assert_untouched();
    });
}

#[test]
fn a_member_of_another_living_service_is_protected_unless_it_is_named() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "3"]);
        let kept = tree.all("leaf")[0];
        write_registry(&scene.registry(), &[("database", service(&record(&scene, kept), now_ms()))]);
        let said = end(&scene, tree.root(), []).run().ended(0);
        assert_eq!(outcome(&said, kept), "protected", "{said:?}");
        assert!(text(&said.about(kept), "why").contains("another living service"), "{said:?}");
        assert_eq!(tree.living(), [kept]);
        end(&scene, kept, []).run().ended(0);
        tree.assert_nobody_left();
    });
}

#[test]
fn a_daemon_that_is_registered_elsewhere_is_not_taken_by_its_mark() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon", "--depth", "1"]).env("PROCHERD_ID", "spawn-1").start();
        let daemon = tree.one("daemon");
        write_registry(&scene.registry(), &[("daemon", service(&record(&scene, daemon), now_ms()))]);
        let said = end(&scene, tree.root(), []).run().ended(0);
        assert_eq!(outcome(&said, daemon), "protected", "{said:?}");
        assert_eq!(tree.living(), [daemon, tree.one("leaf")], "its workers carry the mark too: {said:?}");
    });
}

#[test]
fn a_registry_that_is_damaged_does_not_keep_anybody_from_ending_a_tree() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1"]);
        write_registry(&scene.registry(), &[]);
        std::fs::write(scene.registry(), "{\"version\":").expect("written");
        let said = end(&scene, tree.root(), []).run().ended(3);
        tree.assert_nobody_left();
        assert!(said.stderr.contains("registry"), "{said:?}");
    });
}
