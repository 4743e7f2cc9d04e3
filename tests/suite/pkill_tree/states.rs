//! Targets in every state: exec'ed, stopped, deaf, spinning, dead already, half dead, traced.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{end, make_dead, outcome, pkill, record, text};
use crate::support::arena::inside;
use crate::support::wait::waited;
use crate::support::{Id, SOON, Scene, wait_until};

#[test]
fn a_record_from_before_an_exec_still_means_the_process() {
    inside(|| {
        let scene = Scene::new();
        let mut actor = scene.start(["exec-later"]);
        let saved = record(&scene, actor.root());
        actor.root().signal(Signal::SIGUSR1);
        assert_eq!(Id::in_record(&actor.event("exec")), Some(actor.root()));
        let said = pkill(&scene, []).records([&saved]).run().ended(0);
        assert_eq!(outcome(&said, actor.root()), "exited");
        actor.assert_nobody_left();
    });
}

#[test]
fn a_target_that_has_become_another_users_is_theirs() {
    inside(|| {
        let scene = Scene::new();
        let mut actor = scene.start(["exec-later", "--uid", "1234"]);
        let saved = record(&scene, actor.root());
        actor.root().signal(Signal::SIGUSR1);
        actor.event("exec");
        let said = pkill(&scene, ["--force"]).records([&saved]).run().ended(2);
        assert_eq!(outcome(&said, actor.root()), "protected", "{said:?}");
        assert!(actor.root().alive());
    });
}

#[test]
fn a_target_that_execs_during_its_grace_is_killed_at_its_end() {
    inside(|| {
        let scene = Scene::new();
        let mut actor = scene.start(["exec-later", "--on-term", "ignore"]);
        // A signal that does nothing by default: what was ignored before an exec may end the program after it.
        let running = end(&scene, actor.root(), ["--grace", "700ms", "--signal", "URG"]).start();
        actor.root().signal(Signal::SIGUSR1);
        actor.event("exec");
        let said = running.finish().ended(0);
        actor.assert_nobody_left();
        assert_eq!(said.ids(), [actor.root()]);
    });
}

#[test]
fn deaf_spinning_and_stopped_ones_are_killed_after_the_grace() {
    inside(|| {
        let scene = Scene::new();
        for words in
            ["ignore-term", "ignore-term --then spin", "ignore-term --then stop", "chain 4 --on-term ignore"]
        {
            let actor = scene.start(words.split(' '));
            let said = end(&scene, actor.root(), ["--grace", "150ms"]).run().ended(0);
            actor.assert_nobody_left();
            assert!(said.elapsed < Duration::from_millis(2150), "grace and two seconds: {words}: {said:?}");
            assert!(actor.ids().iter().all(|id| outcome(&said, *id) == "killed"), "{words}: {said:?}");
        }
    });
}

#[test]
fn a_zombie_that_is_named_has_ended_already() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["zombie"]);
        let zombie = actor.one("zombie");
        let said = end(&scene, zombie, []).run().ended(1);
        let told = said.about(zombie);
        assert_eq!(told["outcome"], "already-gone", "{said:?}");
        assert!(text(&told, "why").contains("zombie"), "{told}");
        assert!(actor.root().alive());
    });
}

#[test]
fn a_target_whose_parent_does_not_reap_counts_as_ended() {
    inside(|| {
        let scene = Scene::new();
        // The parent of the target is this test, which does not look.
        let actor = scene.start(["idle"]);
        let said = end(&scene, actor.root(), ["--grace", "20s"]).run().ended(0);
        let told = said.about(actor.root());
        assert_eq!((&told["outcome"], &told["zombie"]), (&"exited".into(), &true.into()), "{said:?}");
        assert!(said.elapsed < Duration::from_secs(5), "{said:?}");
        assert_eq!(actor.root().state(), Some('Z'));
    });
}

#[test]
fn zombies_of_a_tree_do_not_hold_it_up() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["zombie", "5"]);
        let said = end(&scene, actor.root(), ["--grace", "20s"]).run().ended(0);
        actor.assert_nobody_left();
        assert!(said.elapsed < Duration::from_secs(5), "{said:?}");
        assert_eq!(outcome(&said, actor.root()), "exited");
    });
}

#[test]
fn a_process_whose_first_thread_is_dead_is_alive_and_is_ended() {
    inside(|| {
        let scene = Scene::new();
        for words in ["dead-main-thread", "dead-main-thread --on-term ignore"] {
            let actor = scene.start(words.split(' '));
            assert_eq!(actor.root().state(), Some('Z'));
            let said = end(&scene, actor.root(), ["--grace", "200ms"]).run().ended(0);
            actor.assert_nobody_left();
            assert_ne!(outcome(&said, actor.root()), "already-gone", "{said:?}");
        }
    });
}

#[test]
fn a_traced_process_is_ended_and_its_tracer_is_not() {
    inside(|| {
        let scene = Scene::new();
        for tree in ["idle", "tree --depth 1 --width 2"] {
            let target = scene.start(tree.split(' '));
            let mut tracer = scene.start(["tracer", &target.root().pid.to_string()]);
            let said = end(&scene, target.root(), ["--grace", "200ms"]).run().ended(0);
            assert_eq!(target.living(), [], "{said:?}");
            tracer.assert_untouched();
        }
    });
}

#[test]
fn a_root_that_dies_in_the_same_moment_does_not_save_its_children() {
    inside(|| {
        let scene = Scene::new();
        for _ in 0..super::rounds(6) {
            let tree = scene.start(["tree", "--depth", "2", "--width", "3"]);
            let saved = record(&scene, tree.root());
            let running = pkill(&scene, []).records([&saved]).start();
            make_dead(&tree);
            let said = running.finish().ended(0);
            assert_eq!(tree.living(), [], "{said:?}");
        }
    });
}

#[test]
fn a_tree_whose_branches_die_meanwhile_is_ended_whole() {
    inside(|| {
        let scene = Scene::new();
        for _ in 0..super::rounds(6) {
            let tree = scene.start(["tree", "--depth", "2", "--width", "4"]);
            let running = end(&scene, tree.root(), []).start();
            for branch in tree.all("branch") {
                branch.signal(Signal::SIGKILL);
            }
            let said = running.finish().ended(0);
            assert_eq!(tree.living(), [], "{said:?}");
        }
    });
}

/// A cgroup of the old freezer, which holds even those that are killed. Thawed and removed when it is dropped.
struct Ice(std::path::PathBuf);

impl Ice {
    fn make() -> Option<Self> {
        let folder = format!("/sys/fs/cgroup/freezer/procherd-test-{}", std::process::id());
        std::fs::create_dir(&folder).ok()?;
        Some(Self(folder.into()))
    }

    fn freeze(&self, id: Id) {
        std::fs::write(self.0.join("cgroup.procs"), id.pid.to_string()).expect("moved");
        std::fs::write(self.0.join("freezer.state"), "FROZEN").expect("frozen");
        let state = || std::fs::read_to_string(self.0.join("freezer.state")).expect("a state");
        wait_until(SOON, "it is frozen", || state().trim() == "FROZEN");
    }
}

impl Drop for Ice {
    fn drop(&mut self) {
        // A test that has failed is told; a cgroup that stays is not worth hiding why.
        let _ = std::fs::write(self.0.join("freezer.state"), "THAWED");
        waited(SOON, || std::fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn who_cannot_be_killed_is_a_survivor_with_its_state_and_where_it_waits() {
    inside(|| {
        let Some(ice) = Ice::make() else {
            return crate::support::skip("no cgroup of the old freezer, the one thing that holds the killed");
        };
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
        let frozen = tree.all("leaf")[0];
        ice.freeze(frozen);
        let said = end(&scene, tree.root(), ["--grace", "100ms", "--kill-wait", "700ms"]).run().ended(3);
        assert!(said.elapsed < Duration::from_secs(8), "bounded: {said:?}");
        let told = said.about(frozen);
        assert_eq!((&told["outcome"], &told["signal"]), (&"survived".into(), &"KILL".into()), "{told}");
        assert!(told["state"].is_string() && text(&told, "wait_channel").contains("refrigerator"), "{told}");
        assert!(said.stderr.contains("1 survived"), "{said:?}");
        assert_eq!(tree.living(), [frozen], "the others have ended");
        drop(ice);
        wait_until(SOON, "it is gone with the thaw", || tree.nobody_left());
    });
}

#[test]
fn a_parent_that_waits_for_its_child_in_the_kernel_ends_with_it() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["uninterruptible"]);
        wait_until(SOON, "it is in an uninterruptible wait", || actor.root().state() == Some('D'));
        let said = end(&scene, actor.root(), ["--grace", "200ms"]).run().ended(0);
        actor.assert_nobody_left();
        assert!(said.elapsed < Duration::from_secs(5), "{said:?}");
    });
}
