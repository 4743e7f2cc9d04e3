//! Plans: what `--dry-run` prints is what would be done; saved and read later, it does what is still valid.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{end, make_dead, outcome, pkill, text};
use crate::support::arena::{inside, start_as};
use crate::support::form::{Field, assert_processes};
use crate::support::{Id, Output, SOON, Scene, wait_until};

#[test]
// proves: W24
fn a_dry_run_touches_nobody() {
    inside(|| {
        let scene = Scene::new();
        let mut tree = scene.start(["tree", "--depth", "1", "--width", "2", "--on-term", "tell"]);
        for words in [&["--dry-run"][..], &["-n", "--force"], &["-n", "-9"], &["-n", "--leaves-first"]] {
            let said = end(&scene, tree.root(), words.iter().copied()).run().ended(0);
            assert_eq!(said.ids().len(), 3, "{said:?}");
        }
        tree.assert_untouched();
    });
}

#[test]
fn a_plan_holds_process_records() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon", "--depth", "1"]).env("PROCHERD_ID", "x").start();
        let said = end(&scene, tree.root(), ["-n"]).run().ended(0);
        assert_processes(&said, &[PLAN]);
        assert_eq!(super::via(&said, tree.one("daemon")), "cookie");
    });
}

/// What a plan adds to a process record.
const PLAN: &[Field] = &[
    Field::always("via", Value::is_string),
    Field::if_known("from", Value::is_u64),
    Field::if_known("protected", Value::is_string),
    Field::always("planned_ticks", Value::is_u64),
];

/// A plan without the records of some processes.
fn without(plan: &Output, spared: &[Id]) -> Vec<Value> {
    let told = plan.records();
    let kept = |record: &Value| spared.iter().all(|id| record["pid"] != id.pid);
    assert!(spared.iter().all(|id| told.iter().any(|record| record["pid"] == id.pid)), "{plan:?}");
    told.into_iter().filter(kept).collect()
}

#[test]
fn what_was_taken_out_of_a_plan_lives_whatever_leads_to_it() {
    inside(|| {
        let scene = Scene::new();
        for (words, role, via) in [
            ("tree --depth 1 --width 4", "leaf", "descendant"),
            ("double-fork", "grandchild", "session"),
            ("daemon", "daemon", "cookie"),
        ] {
            let tree = scene.actor(words.split(' ')).env("PROCHERD_ID", words).start();
            let plan = end(&scene, tree.root(), ["-n"]).run().ended(0);
            let spared = tree.all(role)[0];
            assert_eq!(super::via(&plan, spared), via, "{plan:?}");
            let said = pkill(&scene, ["--grace", "2s"]).records(&without(&plan, &[spared])).run().ended(0);
            assert_eq!(tree.living(), [spared], "{words}: {said:?}");
            assert!(!said.ids().contains(&spared), "{words}: {said:?}");
        }
    });
}

#[test]
fn the_children_of_who_was_taken_out_of_a_plan_live_on_when_they_were_too() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "2", "--width", "2"]);
        let plan = end(&scene, tree.root(), ["-n"]).run().ended(0);
        let leaves = tree.all("leaf");
        let said = pkill(&scene, []).records(&without(&plan, &leaves)).run().ended(0);
        let (mut living, mut spared) = (tree.living(), leaves);
        living.sort_unstable();
        spared.sort_unstable();
        assert_eq!(living, spared, "{said:?}");
    });
}

#[test]
fn what_was_forked_after_a_plan_ends_with_its_parent() {
    inside(|| {
        let scene = Scene::new();
        for options in [&["--grace", "1s"][..], &["--force"]] {
            let actor = scene.start("respawner --lanes 3 --budget 50".split(' '));
            let plan = end(&scene, actor.root(), ["-n"]).run().ended(0);
            let planned = plan.records()[0]["planned_ticks"].as_u64().expect("a tick");
            wait_until(SOON, "the clock has ticked", || scene.start(["idle"]).root().start_ticks > planned);
            let gone = plan.ids().into_iter().find(|id| *id != actor.root()).expect("a child");
            gone.signal(Signal::SIGKILL);
            let before = plan.ids();
            let new = || end(&scene, actor.root(), ["-n"]).run().ended(0).ids();
            wait_until(SOON, "it has another child", || new().iter().any(|id| !before.contains(id)));
            let said = pkill(&scene, options.iter().copied()).stdin(plan.stdout.clone()).run().ended(0);
            assert!(actor.nobody_left(), "{said:?}");
            assert!(said.ids().iter().any(|id| !before.contains(id)), "the new one is told: {said:?}");
        }
    });
}

#[test]
fn a_record_beside_a_plan_leads_to_all_that_belongs_to_it() {
    inside(|| {
        let scene = Scene::new();
        let (planned, whole) = (scene.start(["wide", "3"]), scene.start(["wide", "3"]));
        let plan = end(&scene, planned.root(), ["-n"]).run().ended(0);
        let spared = planned.all("leaf");
        let mut records = without(&plan, &spared);
        records.push(super::record(&scene, whole.root()));
        // The same process, named once as a plan does and once by itself.
        let twice = end(&scene, whole.root(), ["-n"]).run().ended(0);
        records.push(twice.records()[0].clone());
        let said = pkill(&scene, []).records(&records).run().ended(0);
        assert_eq!(planned.living().len(), spared.len(), "{said:?}");
        whole.assert_nobody_left();
    });
}

#[test]
fn a_planned_moment_that_is_none_is_a_bad_line() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let mut plan = super::record(&scene, innocent.root());
        plan["planned_ticks"] = "soon".into();
        pkill(&scene, []).records([&plan]).run().ended(2).said("planned_ticks");
        innocent.assert_untouched();
    });
}

#[test]
fn the_real_run_ends_exactly_the_planned() {
    inside(|| {
        let scene = Scene::new();
        for words in ["tree --depth 2 --width 3", "setsid-child --depth 1", "double-fork --depth 1 --width 2"]
        {
            let tree = scene.actor(words.split(' ')).env("PROCHERD_ID", words).start();
            let plan = end(&scene, tree.root(), ["-n"]).run().ended(0);
            let done = end(&scene, tree.root(), []).run().ended(0);
            let sorted = |mut ids: Vec<Id>| {
                ids.sort_unstable();
                ids
            };
            assert_eq!(sorted(plan.ids()), sorted(done.ids()), "{words}");
            for id in plan.ids() {
                assert_eq!(super::via(&plan, id), super::via(&done, id), "{words}");
            }
            tree.assert_nobody_left();
        }
    });
}

#[test]
fn a_saved_plan_is_done_later() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.actor(["daemon", "--depth", "1", "--width", "2"]).env("PROCHERD_ID", "x").start();
        let plan = end(&scene, tree.root(), ["-n"]).run().ended(0);
        let again = pkill(&scene, ["-n"]).stdin(plan.stdout.clone()).run().ended(0);
        assert_eq!(again.ids(), plan.ids(), "a plan of a plan is the plan, in the same order");
        let said = pkill(&scene, []).stdin(plan.stdout).run().ended(0);
        tree.assert_nobody_left();
        assert_eq!(said.ids().len(), again.ids().len(), "{said:?}");
    });
}

#[test]
fn a_filtered_plan_with_only_does_exactly_what_it_says() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "4"]);
        let spared = tree.all("leaf")[1];
        let plan = end(&scene, tree.root(), ["-n"]).run().ended(0);
        let said = pkill(&scene, ["--only"]).records(&without(&plan, &[spared])).run().ended(0);
        assert_eq!(tree.living(), [spared], "{said:?}");
    });
}

#[test]
fn a_plan_that_is_filtered_by_jq_is_still_one() {
    if std::process::Command::new("jq").arg("--version").output().is_err() {
        return crate::support::skip("there is no jq");
    }
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "3"]);
        let script = "pkill-tree -n \"$ROOT\" > plan.ndjson && jq -c 'select(.ppid == env.PARENT_NUMBER)' plan.ndjson |
            pkill-tree; jq -c --argjson root \"$ROOT\" 'select(.pid != $root)' plan.ndjson | pkill-tree --grace 5s";
        let said = scene.sh(script).env("ROOT", tree.root().pid.to_string()).cwd(scene.home()).run().ended(0);
        assert_eq!(tree.living(), [tree.root()], "{said:?}");
        assert_eq!(said.ids().len(), 3, "{said:?}");
    });
}

#[test]
fn the_valid_part_of_a_plan_is_done_and_the_rest_is_reported() {
    inside(|| {
        let scene = Scene::new();
        let living = scene.start(["idle"]);
        let gone = scene.start(["idle"]);
        let changed = scene.start(["idle"]);
        let operands: Vec<String> =
            [&living, &gone, &changed].iter().map(|actor| actor.root().operand()).collect();
        let plan = pkill(&scene, ["-n"]).args(operands).run().ended(0);
        let mut records = plan.records();
        let mut elsewhere = records[0].clone();
        elsewhere["boot_id"] = "00000000-1111-2222-3333-444444444444".into();
        elsewhere["host"] = "elsewhere".into();
        records.push(elsewhere);
        let (gone_id, changed_id) = (gone.root(), changed.root());
        make_dead(&gone);
        make_dead(&changed);
        drop(changed);
        let mut innocent = start_as(changed_id.pid, || scene.actor(["witness"]));
        let said = pkill(&scene, []).records(&records).run().ended(3);
        assert_eq!(outcome(&said, gone_id), "already-gone", "{said:?}");
        assert_eq!(outcome(&said, changed_id), "identity-changed", "{said:?}");
        let words: Vec<String> = said.records().iter().map(|told| text(told, "outcome")).collect();
        assert!(words.contains(&"foreign".into()) && words.contains(&"exited".into()), "{said:?}");
        innocent.assert_untouched();
        living.assert_nobody_left();
    });
}

#[test]
fn unknown_fields_of_a_plan_are_in_the_outcomes() {
    inside(|| {
        let scene = Scene::new();
        let (tree, gone) = (scene.start(["idle"]), scene.start(["idle"]));
        let mut records = [super::record(&scene, tree.root()), super::record(&scene, gone.root())];
        for record in &mut records {
            record["ticket"] = "PROC-7".into();
        }
        make_dead(&gone);
        let said = pkill(&scene, []).records(&records).run().ended(0);
        assert!(said.records().iter().all(|told| told["ticket"] == "PROC-7"), "{said:?}");
        assert_eq!(said.records().len(), 2);
    });
}

#[test]
fn a_dry_run_says_what_it_would_leave_alone() {
    inside(|| {
        let scene = Scene::new();
        let said = pkill(&scene, ["-n", "1"]).run().ended(2);
        assert!(text(&said.record(), "protected").contains("first process"), "{said:?}");
        pkill(&scene, ["-n", "4194300"]).run().ended(1);
    });
}
