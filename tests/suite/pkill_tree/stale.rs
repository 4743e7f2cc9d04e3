//! What was true once: records of other times and places never lead to a signal.

use serde_json::{Value, json};

use super::{outcome, pkill, record, text};
use crate::support::arena::inside;
use crate::support::scene::Actor;
use crate::support::{Output, Scene, machine_is_known};

/// Pipes one altered record of a living witness into the tool, which must not touch it.
#[track_caller]
fn refused(alter: impl FnOnce(&mut Value), code: i32) -> (Output, Value) {
    let scene = Scene::new();
    let mut innocent = scene.start(["witness"]);
    let mut record = record(&scene, innocent.root());
    alter(&mut record);
    let said = pkill(&scene, ["--grace", "50ms"]).records([&record]).run().ended(code);
    innocent.assert_untouched();
    let told = said.record();
    (said, told)
}

fn another_boot() -> Value {
    "00000000-1111-2222-3333-444444444444".into()
}

#[test]
fn a_record_of_an_earlier_boot_is_already_gone() {
    inside(|| {
        let code = if machine_is_known() { 0 } else { 3 };
        let (said, told) = refused(|record| record["boot_id"] = another_boot(), code);
        let word = text(&told, "outcome");
        assert!(word == "already-gone" || word == "foreign", "{said:?}");
    });
}

#[test]
fn a_record_of_another_host_is_foreign() {
    inside(|| {
        let (said, told) = refused(
            |record| {
                record["boot_id"] = another_boot();
                record["host"] = "elsewhere".into();
            },
            3,
        );
        assert_eq!(text(&told, "outcome"), "foreign", "{said:?}");
    });
}

#[test]
fn a_record_of_another_pid_namespace_is_foreign() {
    inside(|| {
        let (_, told) = refused(|record| record["pid_ns"] = json!(4_026_531_836_u64), 3);
        assert_eq!(text(&told, "outcome"), "foreign");
    });
}

#[test]
fn a_record_from_outside_the_arena_is_foreign_inside() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let saved = record(&scene, innocent.root());
        let file = scene.home().join("plan.ndjson");
        std::fs::write(&file, format!("{saved}\n")).expect("written");
        let script = "exec unshare --pid --fork --mount-proc pkill-tree --grace 50ms < plan.ndjson";
        let said = scene.sh(script).cwd(scene.home()).run().ended(3);
        assert_eq!(text(&said.record(), "outcome"), "foreign", "{said:?}");
        innocent.assert_untouched();
    });
}

#[test]
fn a_record_of_another_process_with_the_same_number_is_not_acted_upon() {
    inside(|| {
        let change = |record: &mut Value| {
            record["pidfd_inode"] = json!(record["pidfd_inode"].as_u64().expect("an inode") - 1);
        };
        let (_, told) = refused(change, 0);
        assert_eq!(text(&told, "outcome"), "identity-changed");
    });
}

#[test]
fn the_number_of_one_and_the_inode_of_another_name_nobody() {
    inside(|| {
        let scene = Scene::new();
        let (mut one, mut other) = (scene.start(["witness"]), scene.start(["witness"]));
        let mut mixed = record(&scene, one.root());
        mixed["pidfd_inode"] = record(&scene, other.root())["pidfd_inode"].clone();
        let said = pkill(&scene, ["--grace", "50ms"]).records([&mixed]).run().ended(0);
        assert_eq!(text(&said.record(), "outcome"), "identity-changed", "{said:?}");
        let operand = format!("{}:{}", one.root().pid, other.root().inode.expect("an inode"));
        let said = pkill(&scene, ["--grace", "50ms", &operand]).run().ended(1);
        assert_eq!(text(&said.record(), "outcome"), "identity-changed", "{said:?}");
        one.assert_untouched();
        other.assert_untouched();
    });
}

#[test]
fn a_record_without_inode_is_refused_where_the_kernel_has_inodes() {
    inside(|| {
        let (_, told) = refused(
            |record| {
                record.as_object_mut().expect("an object").remove("pidfd_inode");
            },
            3,
        );
        assert_eq!(text(&told, "outcome"), "not-permitted");
    });
}

#[test]
fn equal_start_ticks_do_not_make_two_processes_one() {
    inside(|| {
        let change = |record: &mut Value| {
            record["pidfd_inode"] = json!(record["pidfd_inode"].as_u64().expect("an inode") + 1000);
        };
        // The start, the number, the boot, the namespace: all but the inode are those of the innocent.
        let (_, told) = refused(change, 0);
        assert_eq!(text(&told, "outcome"), "identity-changed");
    });
}

#[test]
fn a_record_without_boot_says_too_little() {
    inside(|| {
        for missing in [&["boot_id"][..], &["boot_id", "pid_ns", "host", "machine", "start_ticks"]] {
            let (said, told) = refused(
                |record| {
                    for name in missing {
                        record.as_object_mut().expect("an object").remove(*name);
                    }
                },
                3,
            );
            assert_eq!(text(&told, "outcome"), "not-permitted", "{said:?}");
        }
    });
}

#[test]
fn a_record_that_is_only_a_number_in_braces_is_no_licence() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let line = json!({"pid": innocent.root().pid});
        let said = pkill(&scene, ["--grace", "50ms"]).records([&line]).run().ended(3);
        innocent.assert_untouched();
        assert_eq!(text(&said.record(), "outcome"), "not-permitted", "{said:?}");
    });
}

#[test]
fn a_saved_tree_is_held_to_the_same_proof() {
    inside(|| {
        let scene = Scene::new();
        let (target, mut innocent) = (scene.start(["idle"]), scene.start(["witness"]));
        let mut saved = record(&scene, target.root());
        let inode = innocent.root().inode.expect("an inode");
        saved["tree"] = json!([
            {"pid": innocent.root().pid, "pidfd_inode": inode + 1, "start_ticks": innocent.root().start_ticks},
            {"pid": innocent.root().pid, "start_ticks": innocent.root().start_ticks},
            {"pid": innocent.root().pid},
            {"pid": 1},
            {"pid": -1},
            {"pid": 0},
            innocent.root().pid,
            "x",
        ]);
        pkill(&scene, ["--grace", "50ms"]).records([&saved]).run();
        innocent.assert_untouched();
    });
}

#[test]
fn a_saved_tree_of_another_boot_touches_nobody() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let mut saved = record(&scene, innocent.root());
        saved["tree"] = json!([record(&scene, innocent.root())]);
        saved["boot_id"] = another_boot();
        pkill(&scene, ["--grace", "50ms"]).records([&saved]).run();
        innocent.assert_untouched();
    });
}

#[test]
fn a_dead_record_that_claims_the_session_of_others_does_not_get_it() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["tree", "--depth", "1", "--width", "2", "--on-term", "tell"]);
        let victim = scene.start(["idle"]);
        let mut saved = record(&scene, victim.root());
        super::make_dead(&victim);
        // A record never says truly that a process led a session whose number is not its own.
        saved["sid"] = json!(innocent.root().pid);
        saved["pgid"] = json!(innocent.root().pid);
        let said = pkill(&scene, ["--grace", "50ms"]).records([&saved]).run().ended(0);
        innocent.assert_untouched();
        assert_eq!(said.ids().len(), 1, "{said:?}");
    });
}

#[test]
fn a_forged_record_that_claims_the_session_of_others_does_not_get_it() {
    inside(|| {
        let scene = Scene::new();
        let mut innocents = scene.start(["tree", "--depth", "1", "--width", "2", "--on-term", "tell"]);
        let root = innocents.root();
        let mut saved = record(&scene, root);
        // The number of a living leader, and the inode of nobody.
        saved["pidfd_inode"] = json!(root.inode.expect("an inode") + 100_000);
        pkill(&scene, ["--grace", "50ms"]).records([&saved]).run().ended(0);
        innocents.assert_untouched();
    });
}

#[test]
fn the_inode_of_somebody_else_does_not_confirm_a_dead_leader() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["witness"]);
        let innocents = scene.start(["tree", "--depth", "1", "--width", "2"]);
        let mut forged = record(&scene, innocents.root());
        let honest = forged.clone();
        super::make_dead(&innocents);
        // The inode is held, but by a process that has another number.
        forged["pidfd_inode"] = json!(beside.root().inode.expect("an inode"));
        let said = pkill(&scene, ["--grace", "50ms"]).records([&forged]).run().ended(0);
        assert_eq!(innocents.living(), innocents.all("leaf"), "{said:?}");
        pkill(&scene, ["--grace", "2s"]).records([&honest]).run().ended(0);
        assert_eq!(innocents.living(), []);
        beside.assert_untouched();
    });
}

#[test]
// proves: W54 S11
fn processes_that_are_gone_are_no_fault_and_the_others_end() {
    inside(|| {
        let scene = Scene::new();
        let actors: Vec<Actor> = (0..6).map(|_| scene.start(["idle"])).collect();
        let saved: Vec<Value> = actors.iter().map(|actor| record(&scene, actor.root())).collect();
        for actor in &actors[..3] {
            super::make_dead(actor);
        }
        let said = pkill(&scene, []).records(&saved).run().ended(0);
        for (at, actor) in actors.iter().enumerate() {
            let wanted = if at < 3 { "already-gone" } else { "exited" };
            assert_eq!(outcome(&said, actor.root()), wanted, "{said:?}");
            actor.assert_nobody_left();
        }
    });
}
