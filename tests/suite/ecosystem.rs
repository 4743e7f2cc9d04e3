//! The suite among the tools that people have: what they write is read, and what it writes they can read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::support::scene::Actor;
use crate::support::terminal::Terminal;
use crate::support::{SOON, Scene, arena, project, skip, wait_until};

/// Tells whether a program is installed; says so where it is not.
fn has(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

/// The example of procherd-recipes(7) that begins like this.
fn example(begin: &str) -> String {
    let page = std::fs::read_to_string(project().join("man/procherd-recipes.7")).expect("the page");
    let line = page.lines().find(|line| line.starts_with(begin));
    line.unwrap_or_else(|| panic!("procherd-recipes.7 does not show {begin}")).replace("\\e", "\\")
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
            scene.sh(&example(&format!("porphans --env {name}"))).env(name, value).run().ended(0);
            ours.assert_nobody_left();
            assert!(others.one("orphan").alive(), "{name}: the job next door goes on");
        }
    });
}

#[test]
fn miller_and_nushell_read_a_stream_as_a_table() {
    let scene = Scene::new();
    let own = std::process::id();
    let of_own = format!("pstree-json --depth 0 {own}");
    if has("mlr") {
        let said = scene.sh(&example("pstree-json | mlr").replace("pstree-json", &of_own)).run().ended(0);
        assert!(said.text().starts_with("pid") && said.text().contains(&own.to_string()), "{said:?}");
    }
    if has("nu") {
        let said = scene.sh(&example("pstree-json | nu").replace("pstree-json", &of_own)).run().ended(0);
        assert!(said.text().contains(&own.to_string()), "{said:?}");
    }
}

/// What a person has to choose from: one to choose, which has an argument that is not text, and one to leave.
fn choice(scene: &Scene) -> [Actor; 2] {
    let odd = [OsStr::new("idle"), OsStr::new("--"), OsStr::new("choose-me"), OsStr::from_bytes(b"\xff\xfe")];
    [scene.start(odd), scene.start(["witness"])]
}

#[test]
fn fzf_shows_rows_that_lead_back_to_their_records() {
    if !has("fzf") || !has("jq") {
        return;
    }
    arena::inside(|| {
        let scene = Scene::new();
        let [chosen, mut other] = choice(&scene);
        // A person chooses; here a word does.
        let script = example("pstree-json | jq").replace("fzf --multi", "fzf --filter choose-me");
        scene.sh(&script).run().ended(0).said("ended 1 of 1");
        chosen.assert_nobody_left();
        other.assert_untouched();
    });
}

#[test]
fn fzy_lets_a_person_choose_likewise() {
    if !has("fzy") || !has("jq") {
        return;
    }
    arena::inside(|| {
        let scene = Scene::new();
        let [chosen, mut other] = choice(&scene);
        let script = example("pstree-json | jq").replace("fzf --multi", "fzy");
        std::fs::write(scene.home().join("example"), script).expect("written");
        let terminal = Terminal::of_a_person();
        let mut choosing =
            scene.sh("setsid --wait --ctty sh ./example").cwd(scene.home()).on(terminal).start();
        choosing.wait_for_screen("> ");
        choosing.keys("choose-me\r");
        choosing.wait_for_screen("ended 1 of 1");
        choosing.finish().ended(0);
        chosen.assert_nobody_left();
        other.assert_untouched();
    });
}
