//! The hooks that are shipped: git, GitHub Actions, Ansible, cron. Each runs as its caller runs it.

use crate::support::arena::inside;
use crate::support::tool::Tool;
use crate::support::wait::dead_within;
use crate::support::{SOON, Scene, project, skip};

/// A shipped hook, run by the shell with the tools on its PATH.
fn hook(scene: &Scene, name: &str, words: &str) -> Tool {
    scene.sh(&format!("'{}' {words}", project().join("tools/hooks").join(name).display()))
}

// proves: W40
#[test]
fn git_aborts_a_commit_while_something_is_left_behind() {
    inside(|| {
        let scene = Scene::new();
        let folder = scene.home().join("repository");
        std::fs::create_dir(&folder).expect("a folder");
        let setup = "git init -q . && git config user.email a@example.invalid && git config user.name a && echo x > x && git add x";
        let linked = format!(
            "{setup} && ln -s '{}' .git/hooks/pre-commit",
            project().join("tools/hooks/pre-commit").display()
        );
        scene.sh(&linked).cwd(&folder).run().ended(0);
        let left = scene.actor(["orphan"]).cwd(&folder).start();
        let said = scene.sh("git commit -q -m one").cwd(&folder).run();
        assert!(said.code != Some(0) && said.stderr.contains("left behind"), "{said:?}");
        assert!(left.one("orphan").alive(), "nothing was touched");
        drop(left);
        scene.sh("git commit -q -m one").cwd(&folder).run().ended(0);
    });
}

// proves: W41
#[test]
fn the_step_of_github_actions_fails_its_job() {
    inside(|| {
        let scene = Scene::new();
        let text =
            std::fs::read_to_string(project().join("tools/hooks/github-actions.yml")).expect("the step");
        let (_, script) = text.split_once("run: |\n").expect("a script");
        // The runner's own shell: bash -e, as its documentation has it.
        let step = || scene.sh(&format!("set -e\n{script}")).env("GITHUB_WORKSPACE", scene.home()).run();
        step().ended(0);
        let left = scene.start(["orphan"]);
        step().ended(1);
        drop(left);
        step().ended(0);
    });
}

/// The scripts of the playbook, for leftovers of any age. What Ansible itself makes of them is tried in `fleet`.
fn tasks(checking: bool) -> Vec<String> {
    let text = std::fs::read_to_string(project().join("tools/hooks/ansible.yml")).expect("the playbook");
    let dry = if checking { "--dry-run" } else { "" };
    let script = |task: &str| {
        let lines: Vec<&str> = task.lines().map_while(|line| line.strip_prefix("        ")).collect();
        let plain = lines.join("\n").replace("{{ min_age }}", "0s");
        plain.replace("{{ '--dry-run' if ansible_check_mode else '' }}", dry)
    };
    text.split("shell: |\n").skip(1).map(script).collect()
}

#[test]
fn the_playbook_of_ansible_reports_and_cleans_only_when_it_is_told() {
    inside(|| {
        let scene = Scene::new();
        let all = tasks(false);
        let [look, clean] = all.as_slice() else { panic!("two tasks: {all:?}") };
        scene.sh(look).run().ended(0);
        assert_eq!(scene.sh(clean).run().ended(0).text(), "", "nothing has changed");
        let left = scene.start(["orphan"]);
        scene.sh(look).run().ended(1);
        assert_eq!(scene.sh(&tasks(true)[1]).run().ended(0).record()["type"], "process");
        assert!(left.one("orphan").alive(), "nothing was touched");
        let said = scene.sh(clean).run().ended(0);
        assert_eq!((said.ids(), &said.record()["outcome"]), (vec![left.one("orphan")], &"exited".into()));
        left.assert_nobody_left();
        scene.sh(look).run().ended(0);
        // That nobody could look is not taken for nobody being there.
        scene.sh(&clean.replace("0s", "0 fortnights")).run().ended(2);
    });
}

// proves: W45 W53
#[test]
fn a_scan_prints_only_what_it_found_and_cleans_only_when_it_is_told() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["tree", "--depth", "1"]);
        let said = hook(&scene, "scan", "--min-age 0s").run().ended(0).quiet();
        assert!(said.stdout.is_empty(), "no mail: {said:?}");
        let left = scene.start(["orphan", "--depth", "1"]);
        let said = hook(&scene, "scan", "--min-age 0s").run().ended(1).quiet();
        assert_eq!(said.ids(), [left.one("orphan")], "mail with a record");
        let log = scene.home().join("log").display().to_string();
        let said = hook(&scene, "scan", &format!("--log '{log}' --min-age 0s")).run().ended(1).quiet();
        assert!(said.stdout.is_empty(), "no mail: {said:?}");
        assert_eq!(std::fs::read_to_string(&log).expect("a log").lines().count(), 1);
        assert!(left.one("orphan").alive(), "nothing was touched");
        let said = hook(&scene, "scan", "--clean --min-age 0s").run().ended(0);
        assert_eq!(said.ids(), [left.one("orphan")]);
        assert!(dead_within(SOON, &left.all("orphan")).is_empty());
        beside.assert_untouched();
        hook(&scene, "scan", "--log").run().ended(2);
    });
}

/// The shipped file that a word of a hook names, as it stands in the project.
fn shipped(word: &str) -> Option<std::path::PathBuf> {
    Some(project().join("tools").join(word.strip_prefix("/usr/local/share/procherd/")?))
}

#[test]
// proves: M10
fn the_units_of_systemd_are_sound_and_name_what_is_shipped() {
    let scene = Scene::new();
    for name in ["procherd-watchdog.service", "procherd-watchdog.timer"] {
        let text = std::fs::read_to_string(project().join("tools/hooks").join(name)).expect("a unit");
        if let Some(command) = text.lines().find_map(|line| line.strip_prefix("ExecStart=")) {
            assert!(shipped(command).is_some_and(|path| path.is_file()), "{command}");
        }
        let ours = project().join("tools").display().to_string();
        std::fs::write(scene.home().join(name), text.replace("/usr/local/share/procherd", &ours))
            .expect("written");
    }
    if scene.sh("systemd-analyze --version").run().code != Some(0) {
        return skip("there is no systemd-analyze");
    }
    let units = "systemd-analyze verify --man=no procherd-watchdog.service procherd-watchdog.timer";
    scene.sh(units).cwd(scene.home()).run().ended(0).quiet();
}

#[test]
fn the_lines_of_the_crontab_name_what_is_shipped() {
    let text = std::fs::read_to_string(project().join("tools/hooks/crontab")).expect("the lines");
    let jobs: Vec<&str> = text.lines().filter(|line| line.contains("/share/procherd/")).collect();
    assert_eq!(jobs.len(), 4);
    for line in jobs {
        let path = line.split_whitespace().find_map(shipped).expect("a path");
        assert!(path.is_file(), "{line}");
        assert_eq!(
            line.trim_start_matches('#').split_whitespace().count().min(6),
            6,
            "five times and a command"
        );
    }
}
