//! Each kind of evidence finds its member alone, and says so.

use serde_json::json;

use super::{end, make_dead, outcome, pkill, record, via, words};
use crate::support::arena::inside;
use crate::support::{Id, SOON, Scene, wait_until};

/// Leaves descent as the only evidence.
const DESCENT: [&str; 3] = ["--no-session", "--no-group", "--no-cookie"];

#[test]
// proves: P22 S03 W15 W54 S24 W19
fn all_below_a_process_ends_with_it_and_nothing_else_is_touched() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["witness"]);
        let tree = scene.start(["tree", "--depth", "3", "--width", "3"]);
        let said = end(&scene, tree.root(), []).run().ended(0);
        tree.assert_nobody_left();
        beside.assert_untouched();
        let mut told = said.ids();
        told.sort_unstable();
        let mut all = tree.ids();
        all.sort_unstable();
        assert_eq!(told, all, "each process has one outcome");
        assert!(tree.ids().iter().all(|id| outcome(&said, *id) == "exited"), "{said:?}");
    });
}

#[test]
fn a_child_in_a_session_of_its_own_is_found_by_descent_alone() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["setsid-child", "--depth", "1", "--width", "2"]);
        let said = end(&scene, tree.root(), DESCENT).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.root()), "named");
        for id in tree.all("leader").into_iter().chain(tree.all("leaf")) {
            assert_eq!(via(&said, id), "descendant", "{said:?}");
        }
    });
}

#[test]
// proves: S37
fn a_reparented_grandchild_is_found_by_session_alone() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["double-fork", "--depth", "1", "--width", "2"]);
        let said = end(&scene, tree.root(), ["--no-group", "--no-cookie"]).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("grandchild")), "session");
    });
}

#[test]
// proves: S04
fn a_reparented_grandchild_is_found_by_group_alone() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["double-fork"]);
        let said = end(&scene, tree.root(), ["--no-session", "--no-cookie"]).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("grandchild")), "group");
    });
}

#[test]
fn without_session_and_group_a_reparented_grandchild_is_left() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["double-fork"]);
        let said = end(&scene, tree.root(), DESCENT).run().ended(0);
        assert_eq!(tree.living(), [tree.one("grandchild")]);
        assert_eq!(said.ids(), [tree.root()]);
    });
}

#[test]
fn a_daemon_that_left_everything_behind_is_found_by_its_mark() {
    inside(|| {
        let scene = Scene::new();
        let words = ["daemon", "--depth", "1", "--width", "2", "--title", "npm run dev"];
        let tree = scene.actor(words).env("PROCHERD_ID", "spawn-1").start();
        let mut other = scene.actor(["witness"]).env("PROCHERD_ID", "spawn-2").start();
        let said = end(&scene, tree.root(), []).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("daemon")), "cookie", "{said:?}");
        other.assert_untouched();
    });
}

#[test]
fn without_marks_a_daemon_is_left() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon"]).env("PROCHERD_ID", "spawn-1").start();
        end(&scene, tree.root(), ["--no-cookie"]).run().ended(0);
        assert_eq!(tree.living(), [tree.one("daemon")]);
    });
}

#[test]
fn an_empty_mark_marks_nobody() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["idle"]).env("PROCHERD_ID", "").start();
        let mut beside = scene.actor(["witness"]).env("PROCHERD_ID", "").start();
        end(&scene, tree.root(), []).run().ended(0);
        tree.assert_nobody_left();
        beside.assert_untouched();
    });
}

#[test]
fn a_worker_that_is_ended_does_not_take_its_service_along_by_the_mark() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon"]).env("PROCHERD_ID", "spawn-1").start();
        end(&scene, tree.one("daemon"), []).run().ended(0);
        assert_eq!(tree.living(), [tree.root()]);
    });
}

#[test]
fn a_process_whose_environment_was_cleared_is_found_by_descent() {
    inside(|| {
        let scene = Scene::new();
        let words = words("subreaper -- ACTOR clear-env");
        let tree = scene.actor(words).env("PROCHERD_ID", "spawn-1").start();
        let said = end(&scene, tree.root(), DESCENT).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("no-environment")), "descendant");
    });
}

#[test]
fn a_reparented_process_whose_environment_was_cleared_is_found_by_session() {
    inside(|| {
        let scene = Scene::new();
        let words = words("subreaper -- ACTOR clear-env --same-session");
        let tree = scene.actor(words).env("PROCHERD_ID", "spawn-1").start();
        let saved = record(&scene, tree.root());
        make_dead(&tree);
        let said = pkill(&scene, ["--no-group"]).records([&saved]).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("no-environment")), "session");
        assert_eq!(outcome(&said, tree.root()), "already-gone");
    });
}

#[test]
// proves: P01 P16
fn a_record_of_a_dead_root_leads_to_what_is_left_of_its_session() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["tree", "--depth", "1", "--width", "2", "--on-term", "tell"]);
        let tree = scene.start(["tree", "--depth", "2", "--width", "2"]);
        let saved = record(&scene, tree.root());
        make_dead(&tree);
        let said = pkill(&scene, ["--no-group", "--no-cookie"]).records([&saved]).run().ended(0);
        tree.assert_nobody_left();
        beside.assert_untouched();
        assert_eq!(outcome(&said, tree.root()), "already-gone");
        assert!(tree.all("branch").iter().all(|id| via(&said, *id) == "session"), "{said:?}");
    });
}

#[test]
fn a_record_of_a_dead_root_leads_to_what_is_left_of_its_group() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "3"]);
        let saved = record(&scene, tree.root());
        make_dead(&tree);
        let said = pkill(&scene, ["--no-session", "--no-cookie"]).records([&saved]).run().ended(0);
        tree.assert_nobody_left();
        assert!(tree.all("leaf").iter().all(|id| via(&said, *id) == "group"), "{said:?}");
    });
}

#[test]
fn a_record_of_a_dead_root_leads_to_the_carriers_of_its_mark() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon"]).env("PROCHERD_ID", "spawn-1").start();
        let mut saved = record(&scene, tree.root());
        saved["cookie"] = "spawn-1".into();
        make_dead(&tree);
        let said = pkill(&scene, []).records([&saved]).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("daemon")), "cookie");
    });
}

#[test]
fn a_record_with_a_saved_tree_leads_to_its_members_by_identity() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["daemon"]);
        let mut saved = record(&scene, tree.root());
        let gone = record(&scene, scene.start(["idle"]).root());
        saved["tree"] = json!([record(&scene, tree.one("daemon")), gone]);
        make_dead(&tree);
        let said = pkill(&scene, []).records([&saved]).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(via(&said, tree.one("daemon")), "tree");
    });
}

#[test]
fn a_live_root_ends_with_its_saved_tree() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["daemon"]);
        let mut saved = record(&scene, tree.root());
        saved["tree"] = json!([record(&scene, tree.one("daemon"))]);
        pkill(&scene, []).records([&saved]).run().ended(0);
        tree.assert_nobody_left();
    });
}

#[test]
fn only_means_only() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["tree", "--depth", "1", "--width", "2"]).env("PROCHERD_ID", "x").start();
        let said = end(&scene, tree.root(), ["--only"]).run().ended(0);
        assert_eq!(said.ids(), [tree.root()]);
        assert_eq!(tree.living(), tree.all("leaf"));
    });
}

#[test]
fn group_takes_in_the_whole_group_of_a_member_that_does_not_lead_it() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "3"]);
        let mut apart = scene.start(["witness"]);
        let said = end(&scene, tree.all("leaf")[0], ["--group"]).run().ended(0);
        tree.assert_nobody_left();
        apart.assert_untouched();
        assert_eq!(via(&said, tree.root()), "group");
    });
}

#[test]
fn without_group_a_member_is_ended_by_itself() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "3"]);
        let leaf = tree.all("leaf")[0];
        end(&scene, leaf, []).run().ended(0);
        assert_eq!(tree.living().len(), 3);
        assert!(!leaf.alive());
    });
}

#[test]
fn a_tree_below_an_init_that_reaps_late_is_done_when_it_is_dead() {
    crate::support::arena::inside_with_late_init(std::time::Duration::from_secs(2), || {
        let scene = Scene::new();
        let tree = scene.start(["double-fork", "--depth", "2", "--width", "3"]);
        let said = end(&scene, tree.root(), ["--grace", "20s"]).run().ended(0);
        tree.assert_nobody_left();
        assert!(said.elapsed < std::time::Duration::from_secs(10), "{said:?}");
        assert!(tree.all("leaf").iter().all(|id| outcome(&said, *id) == "exited"), "{said:?}");
    });
}

#[test]
// proves: P02
fn what_the_processes_did_stops_with_them() {
    inside(|| {
        let scene = Scene::new();
        let file = scene.home().join("written-by-an-orphan");
        let script = "(while :; do echo x > written-by-an-orphan; sleep 0.01; done) & echo $!";
        let said = scene.sh(script).cwd(scene.home()).under(["--setsid"]).reader_leaves_after(1).run();
        let pid: u32 = said.stdout.trim_ascii().iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
        let writer = Id::of(pid).expect("the loop runs");
        wait_until(SOON, "the loop writes", || file.exists());
        let said = end(&scene, writer, []).run().ended(0);
        std::fs::remove_file(&file).expect("removed");
        let left: Vec<_> = scene
            .carriers()
            .into_iter()
            .map(|id| (id, std::fs::read_to_string(format!("/proc/{}/stat", id.pid))))
            .collect();
        assert!(left.is_empty(), "nobody is left to write it again: {left:?}: {said:?}");
        assert!(!file.exists());
        assert!(!writer.alive());
    });
}
