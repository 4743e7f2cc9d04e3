//! Tools in a row: what one finds the next one ends, and nothing is mistaken on the way.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::pkill_tree::{make_dead, record};
use crate::support::arena::{inside, start_as};
use crate::support::scene::Actor;
use crate::support::tool::pipe;
use crate::support::{Id, SOON, Scene, project, skip, wait_until};

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
            wait_until(SOON, "it is reaped", || orphan.state().is_none());
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

// proves: W32
#[test]
fn all_of_one_runtime_ends_when_that_is_asked_for_in_so_many_words() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return skip("there is no python3");
    }
    inside(|| {
        let scene = Scene::new();
        let mut bystander = scene.start(["witness", "--", "python3", "/srv/python/main.py"]);
        let mut python =
            scene.sh("exec python3 -c 'import sys; print(1, file=sys.stderr, flush=True); sys.stdin.read()'");
        python = python.stdin_open();
        let mut running = python.start();
        running.wait_for_message("1");
        let guide = std::fs::read_to_string(project().join("docs/troubleshooting.md")).expect("the guide");
        let line = guide.lines().find(|line| line.contains("--exe python")).expect("the line");
        let unasked = scene.sh("porphans | pkill-tree").run().ended(0);
        assert!(unasked.records().is_empty(), "it is no orphan: {unasked:?}");
        let said = scene.sh(line).run().ended(0);
        assert_eq!(said.ids(), [running.id()]);
        assert_eq!(running.finish().signal, Some(15));
        bystander.assert_untouched();
    });
}

// proves: W46
#[test]
fn what_was_found_is_kept_in_a_file_that_all_tools_read_later() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["zombie", "2"]);
        let keep = "pzombies > zombie-detection-results.json; pzombies --parents > guilty.json";
        scene.sh(keep).cwd(scene.home()).run().ended(0);
        let kept = std::fs::read_to_string(scene.home().join("zombie-detection-results.json")).expect("kept");
        let dead: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(dead.len(), 2);
        assert!(dead.iter().all(|record| record["parent"]["pid"] == actor.root().pid), "{kept}");
        let sheet = scene.sh("pfmt --format csv --columns pid,state zombie-detection-results.json");
        assert_eq!(sheet.cwd(scene.home()).run().ended(0).text().lines().count(), 3);
        scene.sh("pkill-tree < guilty.json").cwd(scene.home()).run().ended(0);
        assert!(!actor.root().alive());
    });
}

// proves: R18 R15 R10
#[test]
fn each_client_has_a_shim_that_ends_with_it_and_all_share_one_daemon() {
    let scene = Scene::new();
    let client = "pspawn daemon --global --ensure --quiet -- sleep 1141 || exit 1; \
                  pspawn shim --session \"$PROCHERD_SESSION\" --quiet -- sleep 1142; echo ready >&2; read line; exit 0";
    let mut clients = [1, 2].map(|number| {
        let script = format!("exec psession --id client-{number} --keep daemon -- sh -c '{client}'");
        scene.sh(&script).stdin_open().start()
    });
    for client in &mut clients {
        client.wait_for_message("ready");
    }
    let of = |name: &str| -> Vec<Id> {
        let listed = scene.sh("ptrack list --alive").run().ended(0).records();
        listed.iter().filter(|record| record["service"] == name).filter_map(Id::in_record).collect()
    };
    let daemon = of("daemon");
    assert_eq!((daemon.len(), of("shim").len()), (1, 2), "two clients, two shims, one daemon");
    let [mut first, second] = clients;
    first.close();
    first.finish().ended(0);
    wait_until(SOON, "its shim has ended with it", || of("shim").len() == 1);
    // The other one has no chance to say goodbye.
    second.signal(Signal::SIGKILL);
    wait_until(SOON, "so has the other one", || of("shim").is_empty());
    assert_eq!(of("daemon"), daemon, "the daemon is nobody's");
    scene.sh("pkill-tree daemon").run().ended(0);
    assert!(of("daemon").is_empty());
}

#[test]
// proves: W19
fn a_service_is_known_by_its_pid_file_and_port_and_leaves_neither_nor_any_process_behind() {
    inside(|| {
        let scene = Scene::new();
        scene.sh("ip link set lo up && mkdir run").cwd(scene.home()).run().ended(0);
        let free = scene.start(["listen"]);
        let port = free.fact("port").to_string();
        drop(free);
        let actor = crate::support::actor_program().display().to_string();
        let run = |script: &str| scene.sh(script).cwd(scene.home()).run();
        // A server with heirs of its socket, all of which ignore TERM, and somebody who forgets its dead.
        let server = format!("{actor} listen {port} --heirs 2 --on-term ignore --same-session --outlive 60");
        run(&format!("pspawn api --pidfile run/api.pid --ready port:{port} -- {server}")).ended(0);
        let forgetful = scene.start(["zombie"]);
        let holders = run(&format!("pports {port}")).ended(0).quiet().ids();
        assert_eq!(holders.len(), 3, "{holders:?}");
        let written = std::fs::read_to_string(scene.home().join("run/api.pid")).expect("a pid file");
        assert!(holders.iter().any(|id| written.trim() == id.pid.to_string()), "{written}");
        let script =
            "ptrack get api | pkill-tree --grace 200ms && pzombies --twice 50ms --parents | pkill-tree";
        let said = run(script).ended(0);
        let outcome = |id: Id| said.about(id)["outcome"].clone();
        assert!(holders.iter().all(|id| outcome(*id) == "killed"), "TERM was not enough: {said:?}");
        assert_eq!(outcome(forgetful.root()), "exited");
        run(&format!("pgone --port {port} --timeout 10s -q")).ended(0);
        run("preap --pidfiles 'run/*.pid' --remove -q").ended(0);
        assert!(!scene.home().join("run/api.pid").exists());
        // We are the parent of that one; all others are the init's.
        wait_until(SOON, "all are reaped", || {
            forgetful.reap();
            run("pzombies --once --expect 0 -q").code == Some(0)
        });
        run("porphans --expect 0 -q").ended(0).quiet();
    });
}
