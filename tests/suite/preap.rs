//! preap: the registry and the machine, back in step.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Output, SOON, Scene, wait_until};

fn run(scene: &Scene, tool: &str, words: &[&str]) -> Output {
    scene.tool(tool).args(words).run()
}

fn summary(output: &Output) -> Value {
    output.records().into_iter().find(|record| record["type"] == "summary").expect("a summary")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
}

#[test]
// proves: P34 M04 W10 W17 W24 W45
fn dead_entries_are_forgotten_and_counted_and_a_dry_run_touches_nothing() {
    let scene = Scene::new();
    let (living, dead) = (scene.start(["idle"]), scene.start(["idle"]));
    run(&scene, "ptrack", &["save", "living", &living.root().operand()]).ended(0);
    run(&scene, "ptrack", &["save", "dead", &dead.root().operand()]).ended(0);
    let id = dead.root();
    drop(dead);
    wait_until(SOON, "its end", || !id.alive());
    let before = std::fs::read(scene.registry()).expect("a registry");
    let plan = run(&scene, "preap", &["--dry-run"]).ended(0).quiet();
    assert_eq!(std::fs::read(scene.registry()).expect("a registry"), before);
    assert_eq!((&summary(&plan)["cleaned"], &summary(&plan)["dry_run"]), (&json!(1), &json!(true)));
    let done = run(&scene, "preap", &[]).ended(0).quiet();
    assert_eq!(summary(&done)["cleaned"], 1);
    let names = |output: &Output| {
        let records = output.records();
        records.iter().filter_map(|record| record["service"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!((names(&plan), names(&done)), (vec!["dead".to_owned()], vec!["dead".to_owned()]));
    assert_eq!(names(&run(&scene, "ptrack", &["list"])), ["living"]);
    assert_eq!(summary(&run(&scene, "preap", &[]))["cleaned"], 0);
    living.root().alive();
}

#[test]
// proves: M21 M31 P16 P01
fn a_session_whose_owner_was_killed_is_ended() {
    let scene = Scene::new();
    let (owner, member, innocent) =
        (scene.start(["idle"]), scene.start(["ignore-term"]), scene.start(["idle"]));
    let marked = scene.actor(["orphan", "2"]).env("PROCHERD_SESSION", "s 1").start();
    run(&scene, "ptrack", &["session", "start", "s 1", "--pid", &owner.root().operand()]).ended(0);
    run(&scene, "ptrack", &["save", "api", &member.root().operand(), "--session", "s 1"]).ended(0);
    run(&scene, "ptrack", &["save", "other", &innocent.root().operand()]).ended(0);
    assert_eq!(summary(&run(&scene, "preap", &[]).ended(0))["cleaned"], 0);
    assert!(member.root().alive(), "the owner lives");
    drop(owner);
    let plan = run(&scene, "preap", &["--dry-run"]).ended(0);
    assert!(member.root().alive() && !marked.living().is_empty());
    let done = run(&scene, "preap", &["--grace", "200ms"]).ended(0);
    member.assert_nobody_left();
    marked.assert_nobody_left();
    assert!(innocent.root().alive());
    for count in ["sessions", "services", "ended", "cleaned"] {
        assert_eq!(summary(&plan)[count], summary(&done)[count], "{count}: the plan is what is done");
    }
    assert_eq!(run(&scene, "ptrack", &["session", "list"]).ended(0).stdout, b"");
    assert_eq!(run(&scene, "ptrack", &["list", "--count"]).text(), "1\n");
}

#[test]
// proves: W05 W37 W44
fn stale_pid_files_and_health_files_are_reported_and_removed_on_request() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let folder = scene.home().join("backend/.run");
    std::fs::create_dir_all(&folder).expect("made");
    let path = |name: &str| folder.join(name);
    write(&path("alive.pid"), &format!("{}\n", actor.root().pid));
    write(&path("dead.pid"), "4194304\n");
    write(&path("zero.pid"), "0");
    write(&path("odd.pid"), "what");
    write(&path("health.json"), r#"{"pid": 4194304, "status": "ok"}"#);
    write(&path("well.json"), &format!(r#"{{"pid": {}}}"#, actor.root().pid));
    let words = [
        "--pidfiles".to_owned(),
        format!("{}/*/.run/*.pid", scene.home().display()),
        "--pidfiles".into(),
        format!("{}/*.json", folder.display()),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let files = |output: &Output| {
        let records = output.records();
        let mut names: Vec<String> = records
            .iter()
            .filter_map(|record| Some(Path::new(record["file"].as_str()?).file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names
    };
    let stale = ["dead.pid", "health.json", "odd.pid", "zero.pid"];
    let reported = run(&scene, "preap", &words).ended(0);
    assert_eq!(files(&reported), stale);
    assert_eq!(summary(&reported)["files"], 0);
    let removed = run(&scene, "preap", &[&words[..], &["--remove"]].concat()).ended(0);
    assert_eq!(
        (files(&removed), &summary(&removed)["files"]),
        (stale.map(str::to_owned).to_vec(), &json!(4))
    );
    assert!(stale.iter().all(|name| !path(name).exists()));
    assert!(path("alive.pid").exists() && path("well.json").exists());
    run(&scene, "preap", &["--remove"]).ended(2);
    run(&scene, "preap", &["--pidfiles", ""]).ended(2);
}

#[test]
fn what_cannot_be_judged_from_here_stays() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    run(&scene, "ptrack", &["save", "elsewhere", &actor.root().operand()]).ended(0);
    let text = std::fs::read_to_string(scene.registry()).expect("a registry");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    let entry = &mut document["services"]["global"]["elsewhere"]["identity"];
    entry["boot_id"] = json!("00000000-0000-0000-0000-000000000001");
    entry["host"] = json!("another");
    write(&scene.registry(), &document.to_string());
    let done = run(&scene, "preap", &[]).ended(0);
    assert!(done.stderr.contains("another machine"), "{done:?}");
    assert_eq!(summary(&done)["cleaned"], 0);
    assert_eq!(run(&scene, "ptrack", &["list", "--foreign", "--count"]).text(), "1\n");
    run(&scene, "ptrack", &["status", "elsewhere"]).ended(3).said("foreign");
    // The same machine, an earlier boot: that is proof of death.
    document["services"]["global"]["elsewhere"]["identity"]["host"] =
        run(&scene, "pstree-json", &[&actor.root().operand()]).record()["host"].clone();
    write(&scene.registry(), &document.to_string());
    let dead = run(&scene, "preap", &[]).ended(0);
    assert_eq!(summary(&dead)["services"], i32::from(Path::new("/etc/machine-id").exists()));
}

#[test]
// proves: W53
fn two_at_once_and_a_busy_registry_do_no_harm() {
    let scene = Scene::new();
    let living = scene.start(["idle"]);
    for round in 0..10 {
        let dead = scene.start(["idle"]);
        run(&scene, "ptrack", &["save", &format!("dead{round}"), &dead.root().operand()]).ended(0);
    }
    let mut reapers: Vec<_> = (0..4).map(|_| scene.tool("preap").start()).collect();
    for round in 0..5 {
        run(&scene, "ptrack", &["save", &format!("living{round}"), &living.root().operand()]).ended(0);
    }
    let cleaned: u64 = reapers
        .drain(..)
        .map(|reaper| summary(&reaper.finish().ended(0))["cleaned"].as_u64().expect("a number"))
        .sum();
    assert_eq!(cleaned, 10, "each dead entry is counted by the one that forgot it");
    assert_eq!(run(&scene, "ptrack", &["list", "--count"]).text(), "5\n");
}

#[test]
// proves: P23 S14 W54
fn orphans_of_a_project_are_ended_when_nobody_has_registered_them() {
    crate::support::arena::inside(|| {
        let scene = Scene::new();
        let mark = format!("PROCHERD_TEST={}", scene.home().display());
        let (orphan, known) = (scene.start(["orphan", "2", "--depth", "1"]), scene.start(["orphan", "1"]));
        let innocent = scene.start(["idle"]);
        for (index, id) in known.living().iter().enumerate() {
            run(&scene, "ptrack", &["save", &format!("known{index}"), &id.operand()]).ended(0);
        }
        let words = ["--env", &mark, "--pattern", "actor"];
        let plan = run(&scene, "preap", &[&words[..], &["--dry-run"]].concat()).ended(0);
        assert!(!orphan.living().is_empty(), "a dry run touches nothing");
        let done = run(&scene, "preap", &words).ended(0);
        assert_eq!(summary(&plan)["ended"], summary(&done)["ended"]);
        orphan.assert_nobody_left();
        assert!(innocent.root().alive(), "{done:?}");
        assert!(known.living().iter().all(crate::support::Id::alive) && !known.living().is_empty());
        // Without a selector, orphans are nobody's business here.
        assert_eq!(summary(&run(&scene, "preap", &[]).ended(0))["ended"], 0);
    });
}

#[test]
fn parents_of_old_zombies_are_nudged() {
    let scene = Scene::new();
    let zombie = scene.start(["zombie"]);
    let nudged = |words: &[&str]| {
        let done = run(&scene, "preap", words).ended(0);
        let about = done.records().into_iter().find(|record| record["pid"] == zombie.root().pid);
        about.map(|record| record["action"].clone())
    };
    assert_eq!(nudged(&["--nudge"]), Some(json!("nudge")));
    assert_eq!(nudged(&[]), None);
    assert!(zombie.root().alive());
}
