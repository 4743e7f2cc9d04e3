//! Who is never touched, whatever leads to it.

use super::{end, outcome, pkill, record, text, via, words};
use crate::support::arena::inside;
use crate::support::scene::Actor;
use crate::support::{Id, Output, SOON, Scene, actor_program, wait_until};

/// Says that a process was left alone, and why.
#[track_caller]
fn protected(output: &Output, id: Id, why: &str) {
    let told = output.about(id);
    assert_eq!(told["outcome"], "protected", "{output:?}");
    assert!(text(&told, "why").contains(why), "{told}");
}

/// A root that adopts what a command leaves behind, and that command.
fn above(scene: &Scene, command: &str) -> Actor {
    scene.start(words(&format!("subreaper -- {command}")))
}

#[test]
fn from_inside_the_tree_all_ends_but_ones_own_line() {
    inside(|| {
        let scene = Scene::new();
        let script = "(\"$ACTOR\" idle --outlive 60 --same-session >/dev/null &
             \"$ACTOR\" idle --outlive 60 --same-session >/dev/null &
             pkill-tree --grace 5s $$ | cat; echo \"$?\" >&2)
            echo the-shell-lives >&2";
        let shell = scene.sh(script).env("ACTOR", actor_program()).start();
        let shell_id = shell.id();
        let said = shell.finish().ended(0).said("the-shell-lives").said("ancestor");
        protected(&said, shell_id, "ancestor");
        let ended: Vec<_> =
            said.records().into_iter().filter(|record| record["outcome"] == "exited").collect();
        assert_eq!(ended.len(), 2, "{said:?}");
        assert!(scene.carriers().is_empty(), "the two are gone");
        assert!(
            said.records().iter().all(|told| told["comm"] != "pkill-tree" || told["outcome"] == "protected"),
            "it does not end itself: {said:?}"
        );
    });
}

#[test]
fn the_pipeline_that_reads_the_outcomes_lives_to_tell_them() {
    inside(|| {
        let scene = Scene::new();
        // The shell that is about to become the actor has the name of one that is to live.
        let script = "\"$ACTOR\" idle --outlive 60 --same-session >ready &
            until [ -s ready ]; do :; done
            echo $$ | pkill-tree --grace 5s | cat | tee told.ndjson >/dev/null";
        scene.sh(script).env("ACTOR", actor_program()).cwd(scene.home()).under(["--setsid"]).run().ended(0);
        let told = std::fs::read_to_string(scene.home().join("told.ndjson")).expect("what tee wrote");
        assert!(told.lines().any(|line| line.contains("\"outcome\":\"exited\"")), "{told}");
        assert!(
            told.lines()
                .filter(|line| ["\"cat\"", "\"tee\"", "\"sh\""].iter().any(|name| line.contains(name)))
                .all(|line| line.contains("\"outcome\":\"protected\"")),
            "{told}"
        );
        assert!(scene.carriers().is_empty());
    });
}

#[test]
fn the_first_process_is_refused_with_its_whole_tree() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["witness"]);
        let said = pkill(&scene, ["--grace", "50ms", "1"]).run().ended(2);
        let told = said.record();
        assert_eq!((&told["pid"], &told["outcome"]), (&1.into(), &"protected".into()));
        beside.assert_untouched();
    });
}

#[test]
fn a_kernel_thread_is_refused() {
    // Kernel threads are seen from the first namespace alone; a plan touches nobody.
    if std::fs::read_to_string("/proc/2/comm").ok().as_deref() != Some("kthreadd\n") {
        return crate::support::skip("no kernel thread can be seen from here");
    }
    let scene = Scene::new();
    let said = pkill(&scene, ["--dry-run", "2"]).run().ended(2);
    assert!(text(&said.record(), "protected").contains("kernel"), "{said:?}");
}

#[test]
fn a_service_manager_is_refused_with_its_whole_tree() {
    inside(|| {
        let scene = Scene::new();
        for name in ["systemd", "runit"] {
            let mut manager = scene.start(["tree", "--depth", "1", "--comm", name, "--on-term", "tell"]);
            let said = end(&scene, manager.root(), ["--force"]).run().ended(2);
            protected(&said, manager.root(), "manager");
            assert_eq!(said.ids(), [manager.root()], "its tree is not even looked at");
            manager.assert_untouched();
        }
    });
}

#[test]
fn a_manager_below_a_target_is_left_with_all_that_it_manages() {
    inside(|| {
        let scene = Scene::new();
        let tree = above(&scene, "ACTOR tree --depth 1 --comm systemd");
        let said = end(&scene, tree.one("subreaper"), []).run().ended(0);
        protected(&said, tree.one("root"), "manager");
        assert_eq!(tree.living(), [tree.one("root"), tree.one("leaf")]);
    });
}

#[test]
fn what_a_manager_below_a_target_manages_is_left_also_in_the_session_of_the_target() {
    inside(|| {
        let scene = Scene::new();
        for manager in ["--comm systemd", "--comm conmon"] {
            let line = format!("ACTOR subreaper --same-session {manager} -- ACTOR idle --same-session");
            let tree = above(&scene, &line);
            let said = end(&scene, tree.root(), []).run().ended(0);
            assert_eq!(tree.living(), tree.ids()[1..], "{said:?}");
        }
        let line = "env PROCHERD_KEEP=1 ACTOR subreaper --same-session -- env -u PROCHERD_KEEP ACTOR idle --same-session";
        let tree = above(&scene, line);
        let said = end(&scene, tree.root(), []).run().ended(0);
        assert_eq!(tree.living(), tree.ids()[1..], "{said:?}");
    });
}

#[test]
fn a_containers_shim_is_left_unless_it_is_named() {
    inside(|| {
        let scene = Scene::new();
        let tree = above(&scene, "ACTOR idle --comm conmon");
        let said = end(&scene, tree.root(), []).run().ended(0);
        protected(&said, tree.one("idle"), "shim");
        assert_eq!(tree.living(), [tree.one("idle")]);
        end(&scene, tree.one("idle"), []).run().ended(0);
        tree.assert_nobody_left();
    });
}

#[test]
fn another_users_process_is_refused_until_all_users_are_meant() {
    inside(|| {
        let scene = Scene::new();
        let tree = above(&scene, "ACTOR under --uid 1234 -- ACTOR idle");
        let theirs = tree.one("idle");
        let said = end(&scene, theirs, ["--force"]).run().ended(2);
        protected(&said, theirs, "another user");
        assert!(theirs.alive());
        let said = end(&scene, tree.root(), []).run().ended(0);
        protected(&said, theirs, "another user");
        assert_eq!(tree.living(), [theirs]);
        end(&scene, theirs, ["--all-users"]).run().ended(0);
        tree.assert_nobody_left();
    });
}

#[test]
fn an_ordinary_user_is_told_what_is_not_permitted() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let id = innocent.root();
        let tool = || end(&scene, id, ["--grace", "50ms"]);
        let said = tool().under(["--uid", "1234"]).run();
        if said.code == Some(126) || said.stderr.contains("denied") && said.stdout.is_empty() {
            return crate::support::skip("the programs cannot be run by another user");
        }
        protected(&said.ended(2), id, "another user");
        let said = tool().arg("--all-users").under(["--uid", "1234"]).run().ended(3);
        assert_eq!(outcome(&said, id), "not-permitted", "{said:?}");
        innocent.assert_untouched();
    });
}

#[test]
fn a_process_that_asks_to_be_kept_is_kept() {
    inside(|| {
        let scene = Scene::new();
        let mut tree = above(&scene, "env PROCHERD_KEEP=1 ACTOR tree --depth 1 --on-term tell");
        let said = end(&scene, tree.one("subreaper"), ["--grace", "1s"]).run().ended(0);
        protected(&said, tree.one("root"), "PROCHERD_KEEP");
        assert_eq!(tree.living(), [tree.one("root"), tree.one("leaf")]);
        assert_eq!(tree.events().len(), 0, "not even signalled");
    });
}

#[test]
fn only_the_value_one_asks_to_be_kept() {
    inside(|| {
        let scene = Scene::new();
        for value in ["PROCHERD_KEEP=", "PROCHERD_KEEP=0", "XPROCHERD_KEEP=1", "PROCHERD_KEEP=11"] {
            let tree = above(&scene, &format!("env {value} ACTOR idle"));
            end(&scene, tree.root(), []).run().ended(0);
            tree.assert_nobody_left();
        }
    });
}

#[test]
fn a_shared_daemon_is_not_condemned_by_a_mark_alone() {
    inside(|| {
        let scene = Scene::new();
        for name in ["ssh-agent", "tmux: server", "gpg-agent"] {
            let tree = scene.actor(["daemon", "--comm", name]).env("PROCHERD_ID", name).start();
            let said = end(&scene, tree.root(), []).run().ended(0);
            protected(&said, tree.one("daemon"), "serves others");
            assert_eq!(tree.living(), [tree.one("daemon")]);
        }
    });
}

#[test]
fn a_shared_daemon_that_is_named_is_ended() {
    inside(|| {
        let scene = Scene::new();
        let daemon = scene.start(["idle", "--comm", "ssh-agent"]);
        end(&scene, daemon.root(), []).run().ended(0);
        daemon.assert_nobody_left();
    });
}

/// A process in another pid namespace, adopted by the init of the arena, that carries a mark.
fn elsewhere(scene: &Scene) -> Id {
    let script = "unshare --pid sh -c '\"$ACTOR\" idle --outlive 60 >/dev/null 2>&1 & exit 0'";
    let mark = scene.sh(script).env("ACTOR", actor_program()).env("PROCHERD_ID", "spawn-1");
    mark.under(["--setsid"]).run().ended(0);
    let mine = std::fs::read_link("/proc/self/ns/pid").expect("our own");
    let mut found = None;
    wait_until(SOON, "a process in another namespace, adopted", || {
        found = scene.carriers().into_iter().find(|id| {
            std::fs::read_link(format!("/proc/{}/ns/pid", id.pid)).is_ok_and(|theirs| theirs != mine)
                && id.ppid() == Some(1)
        });
        found.is_some()
    });
    found.expect("found")
}

#[test]
fn a_process_in_another_namespace_is_left_unless_it_is_named() {
    inside(|| {
        let scene = Scene::new();
        let root = scene.actor(["idle"]).env("PROCHERD_ID", "spawn-1").start();
        let theirs = elsewhere(&scene);
        let said = end(&scene, root.root(), []).run().ended(0);
        protected(&said, theirs, "namespace");
        assert!(theirs.alive() && !root.root().alive());
        let said = end(&scene, theirs, []).run().ended(0);
        // As the first process of its namespace it ignores what it does not handle.
        assert_eq!((outcome(&said, theirs), via(&said, theirs)), ("killed".into(), "named".into()));
        assert!(!theirs.alive());
    });
}

#[test]
fn the_init_of_a_container_below_a_target_ends_with_all_that_is_in_it() {
    inside(|| {
        let scene = Scene::new();
        let script = "exec unshare --pid --fork sh -c '\"$ACTOR\" idle --outlive 60 >/dev/null & wait'";
        let container = scene.sh(script).env("ACTOR", actor_program()).under(["--setsid"]).start();
        wait_until(SOON, "the container has started", || scene.carriers().len() >= 3);
        let inside = scene.carriers();
        let said = end(&scene, container.id(), ["--grace", "200ms"]).run().ended(0);
        assert_eq!(crate::support::process::living(&inside), []);
        assert!(said.ids().len() >= 3, "{said:?}");
        container.finish();
    });
}

#[test]
fn two_killers_at_once_end_each_target_and_nothing_else() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["witness"]);
        let tree = scene.start(["tree", "--depth", "3", "--width", "3", "--on-term", "ignore"]);
        let killers: Vec<_> =
            (0..3).map(|_| end(&scene, tree.root(), ["--grace", "100ms"]).start()).collect();
        for killer in killers {
            let said = killer.finish().ended(0);
            assert!(said.records().iter().all(|told| told["outcome"] != "survived"), "{said:?}");
        }
        tree.assert_nobody_left();
        beside.assert_untouched();
    });
}

#[test]
fn overlapping_trees_are_ended_by_two_killers() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "3", "--width", "3"]);
        let inner = tree.all("branch")[0];
        let (outer, inner) = (end(&scene, tree.root(), []).start(), end(&scene, inner, []).start());
        outer.finish().ended(0);
        let said = inner.finish();
        assert!(matches!(said.code, Some(0 | 1)), "it may come too late: {said:?}");
        tree.assert_nobody_left();
    });
}

#[test]
fn a_root_that_is_given_twice_is_told_once() {
    inside(|| {
        let scene = Scene::new();
        let mut witness = scene.start(["witness"]);
        let id = witness.root();
        let (pid, saved) = (id.pid.to_string(), record(&scene, id));
        let said = pkill(&scene, ["--grace", "200ms", &pid, &pid]).arg(id.operand()).run().ended(0);
        assert_eq!(said.ids(), [id], "{said:?}");
        assert_eq!(witness.events().len(), 1, "one TERM");
        let again = scene.start(["witness"]);
        let saved_again = record(&scene, again.root());
        let said =
            pkill(&scene, ["--grace", "50ms"]).records([&saved_again, &saved, &saved_again, &saved]).run();
        assert_eq!(said.ids().iter().filter(|id| **id == again.root()).count(), 1, "{said:?}");
        again.assert_nobody_left();
    });
}

#[test]
fn roots_inside_each_others_trees_are_told_once() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "2", "--width", "2"]);
        let operands: Vec<String> = tree.ids().iter().rev().map(Id::operand).collect();
        let said = pkill(&scene, []).args(operands).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(said.ids().len(), tree.ids().len(), "{said:?}");
        assert!(tree.ids().iter().all(|id| via(&said, *id) == "named"), "{said:?}");
    });
}
