//! The suite among the tools that people have: what they write is read, and what it writes they can read.

use std::process::Command;

use crate::support::{SOON, Scene, arena, skip, wait_until};

/// Tells whether a program is installed; says so where it is not.
fn has(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

#[test]
fn what_pgrep_prints_is_a_stream() {
    if !has("pgrep") {
        return;
    }
    arena::inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2", "--", "unheard-of"]);
        let root = tree.root().pid;
        let said = scene.sh("pgrep -o -f unheard-of | pkill-tree").run().ended(0);
        assert!(
            said.records().iter().any(|record| record["pid"] == root && record["identified_by"] == "pid"),
            "{said:?}"
        );
        tree.assert_nobody_left();
    });
}

#[test]
fn util_linux_and_the_suite_name_a_process_alike() {
    if !has("lsfd") {
        return;
    }
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let record = scene.tool("pstree-json").arg(actor.root().pid.to_string()).run().ended(0).record();
    let _held = actor.root().handle().expect("a pidfd of it");
    let inode = record["pidfd_inode"].to_string();
    // Other tests open and close files in this process meanwhile, which lsfd may stumble over.
    wait_until(SOON, "lsfd lists the inode", || {
        let listed = scene.sh(&format!("lsfd -n -r -o INODE -p {}", std::process::id())).run();
        listed.text().lines().any(|line| line.trim() == inode)
    });
    let operand = format!("{}:{inode}", record["pid"]);
    scene.tool("pkill-tree").arg(operand).run().ended(0);
    actor.assert_nobody_left();
}

#[test]
fn jq_filters_a_plan_that_is_still_a_plan() {
    if !has("jq") {
        return;
    }
    let scene = Scene::new();
    let (first, mut second) = (scene.start(["idle"]), scene.start(["witness"]));
    let script = format!(
        "pkill-tree --dry-run {} {} | jq -c 'select(.pid == {})' | pkill-tree",
        first.root().operand(),
        second.root().operand(),
        first.root().pid
    );
    scene.sh(&script).run().ended(0);
    first.assert_nobody_left();
    second.assert_untouched();
}

#[test]
fn the_marks_of_ci_runners_choose_what_a_job_left_behind() {
    arena::inside(|| {
        let scene = Scene::new();
        for (name, value) in [("RUNNER_TRACKING_ID", "github_17"), ("JENKINS_NODE_COOKIE", "b8c1")] {
            let ours = scene.actor(["orphan", "1"]).env(name, value).start();
            let others = scene.actor(["orphan", "1"]).env(name, "another").start();
            let script = format!("porphans --env {name}={value} | pkill-tree");
            scene.sh(&script).run().ended(0);
            ours.assert_nobody_left();
            assert!(others.one("orphan").alive(), "{name}: the job next door goes on");
        }
    });
}

#[test]
fn miller_and_nushell_read_a_stream_as_a_table() {
    let scene = Scene::new();
    let own = std::process::id();
    if has("mlr") {
        let said =
            scene.sh(&format!("pstree-json --depth 0 {own} | mlr --ijsonl --ocsv cut -f pid")).run().ended(0);
        assert_eq!(said.text(), format!("pid\n{own}\n"));
    }
    if has("nu") {
        let script =
            format!("pstree-json --depth 0 {own} | nu --stdin -c 'from json --objects | get pid | first'");
        assert_eq!(scene.sh(&script).run().ended(0).text().trim(), own.to_string());
    }
}

#[test]
fn fzf_shows_rows_that_lead_back_to_their_records() {
    if !has("fzf") {
        return;
    }
    arena::inside(|| {
        let scene = Scene::new();
        let (chosen, mut other) = (scene.start(["idle", "--", "choose-me"]), scene.start(["witness"]));
        let script = "pstree-json | jq -r '[\"\\(.pid):\\(.pidfd_inode)\", (.cmdline // [] | join(\" \"))] | @tsv' \
                      | fzf --filter choose-me | cut -f1 | pkill-tree";
        scene.sh(script).run().ended(0);
        chosen.assert_nobody_left();
        other.assert_untouched();
    });
}
