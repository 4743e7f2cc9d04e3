//! Tools in a row: what one finds the next one ends, and nothing is mistaken on the way.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::pkill_tree::{make_dead, record};
use crate::support::arena::{inside, start_as};
use crate::support::scene::Actor;
use crate::support::tool::pipe;
use crate::support::{Id, Scene};

/// Six services of a dev stack and a test run with its workers, all of whose owners are gone.
fn leaky_stack(scene: &Scene) -> Vec<Actor> {
    let services = ["tsx watch", "npm start", "vite", "esbuild --watch", "npm run dev", "uvicorn --reload"];
    let mut stack: Vec<Actor> = services
        .iter()
        .map(|title| {
            scene.start(["orphan", "1", "--depth", "2", "--width", "2", "--title", title, "--", title])
        })
        .collect();
    let workers = ["orphan", "6", "--depth", "2", "--width", "2", "--", "turbo run test", "vitest"];
    stack.push(scene.start(workers));
    stack
}

/// Processes that look like the stack to whoever looks at names alone.
fn innocents(scene: &Scene) -> Vec<Actor> {
    ["vitest.config.ts", "npm run dev", "esbuild --watch"]
        .iter()
        .map(|name| scene.start(["witness", "--", name]))
        .collect()
}

fn everyone(stack: &[Actor], role: &str) -> Vec<Id> {
    stack.iter().flat_map(|actor| actor.all(role)).collect()
}

#[test]
// proves: P01 P19 S14 S22 S23 S31 S34 S39 W17 W21
fn what_a_test_run_left_behind_is_found_and_ended_in_one_line() {
    inside(|| {
        let scene = Scene::new();
        let (stack, mut innocents) = (leaky_stack(&scene), innocents(&scene));
        let before = stack.iter().map(|actor| actor.living().len()).sum::<usize>();
        assert_eq!(before, 84);
        let script = "porphans | pkill-tree --grace 3s";
        let said = scene.sh(script).run().ended(0);
        for actor in &stack {
            actor.assert_nobody_left();
        }
        for innocent in &mut innocents {
            innocent.assert_untouched();
        }
        assert_eq!(said.records().len(), before, "each is told");
        assert!(said.elapsed.as_secs_f64() < 3.0, "nobody ignored TERM: {said:?}");
        assert!(everyone(&stack, "orphan").iter().all(|id| super::pkill_tree::via(&said, *id) == "named"));
        scene.sh("porphans --expect 0 -q").run().ended(0);
    });
}

#[test]
fn the_installed_patterns_end_the_stack_and_not_its_namesakes() {
    inside(|| {
        let scene = Scene::new();
        let (stack, mut innocents) = (leaky_stack(&scene), innocents(&scene));
        scene.sh("porphans --patterns-from node-dev | pkill-tree --grace 3s").run().ended(0);
        // vite and uvicorn are not among the eleven patterns.
        let left: Vec<Id> = stack.iter().flat_map(Actor::living).collect();
        assert_eq!(left.len(), 2 * 7);
        scene.sh("porphans | pkill-tree --force").run().ended(0);
        assert!(stack.iter().all(Actor::nobody_left));
        for innocent in &mut innocents {
            innocent.assert_untouched();
        }
    });
}

#[test]
// proves: W40 W41
fn a_gate_fails_before_and_passes_after() {
    inside(|| {
        let scene = Scene::new();
        let stack = leaky_stack(&scene);
        scene.sh("porphans --expect 0 -q || { echo 'commit refused' >&2; exit 9; }").run().ended(9);
        scene.sh("porphans --all | pkill-tree --grace 3s && porphans --expect 0 -q").run().ended(0);
        assert!(stack.iter().all(Actor::nobody_left));
    });
}

#[test]
fn a_stack_that_ignores_term_is_gone_after_the_grace() {
    inside(|| {
        let scene = Scene::new();
        let stack = scene.start(["orphan", "4", "--depth", "2", "--width", "2", "--on-term", "ignore"]);
        let said = scene.sh("porphans | pkill-tree --grace 300ms").run().ended(0);
        stack.assert_nobody_left();
        assert!(said.elapsed.as_secs_f64() < 2.3, "{said:?}");
    });
}

#[test]
fn a_tree_a_number_and_an_operand_lead_to_the_same_end() {
    inside(|| {
        let scene = Scene::new();
        for script in [
            "pstree-json $P | pkill-tree",
            "pstree-json --depth 0 $P | pkill-tree",
            "echo $P | pkill-tree",
            "echo $O | pkill-tree",
            "pkill-tree $P",
            "pkill-tree $O",
            "pkill-tree -n $P | pkill-tree",
            "pstree-json | jq -c \"select(.pid == $P)\" | pkill-tree",
            "pstree-json $P | porphans --untracked -p . - | pkill-tree",
        ] {
            let tree = scene.start(["tree", "--depth", "1", "--width", "3"]);
            let script =
                scene.sh(script).env("P", tree.root().pid.to_string()).env("O", tree.root().operand());
            let said = script.run().ended(0);
            assert!(tree.nobody_left(), "{said:?}");
            assert_eq!(said.ids().len(), 4, "{said:?}");
        }
    });
}

#[test]
fn a_number_that_changes_hands_between_two_tools_is_not_signalled() {
    inside(|| {
        let scene = Scene::new();
        for _ in 0..super::pkill_tree::rounds(5) {
            let stack = scene.start(["orphan"]);
            let orphan = stack.one("orphan");
            let found = scene.tool("porphans").run().ended(0);
            assert_eq!(found.ids(), [orphan]);
            orphan.signal(Signal::SIGKILL);
            crate::support::wait_until(crate::support::SOON, "it is reaped", || orphan.state().is_none());
            let mut innocent = start_as(orphan.pid, || scene.actor(["witness"]));
            let said = scene.tool("pkill-tree").arg("--force").stdin(found.stdout).run().ended(0);
            assert_eq!(said.record()["outcome"], "identity-changed", "{said:?}");
            innocent.assert_untouched();
        }
    });
}

#[test]
fn the_tools_of_one_line_do_not_find_each_other() {
    inside(|| {
        let scene = Scene::new();
        let orphan = scene.start(["orphan"]);
        let tools = || {
            pipe([
                scene.tool("porphans").args([
                    "--all-users",
                    "--untracked",
                    "-p",
                    "porphans|pkill-tree|orphan",
                ]),
                scene.tool("pkill-tree").args(["--grace", "2s", "--all-users"]),
            ])
        };
        let mut said = tools();
        let last = said.pop().expect("two").ended(0);
        assert_eq!(last.ids(), [orphan.one("orphan")], "{last:?}");
        orphan.assert_nobody_left();
    });
}

#[test]
fn nothing_found_is_nothing_done() {
    inside(|| {
        let scene = Scene::new();
        let said = scene.sh("porphans | pkill-tree --force").run().ended(0);
        assert!(said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
    });
}

#[test]
fn a_saved_service_whose_root_is_dead_is_ended_with_what_is_left() {
    inside(|| {
        let scene = Scene::new();
        let trees: Vec<Actor> =
            (0..3).map(|_| scene.start(["tree", "--depth", "2", "--width", "2"])).collect();
        let saved: Vec<Value> = trees.iter().map(|tree| record(&scene, tree.root())).collect();
        for tree in &trees {
            make_dead(tree);
        }
        let said = scene.tool("pkill-tree").records(&saved).run().ended(0);
        for tree in &trees {
            tree.assert_nobody_left();
        }
        assert_eq!(said.records().len(), 21, "{said:?}");
    });
}
