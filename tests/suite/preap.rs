//! preap: the registry and the machine, back in step.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::process::Id;
use crate::support::{Output, SOON, Scene, actor_program, machine_is_known, wait_until};

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
// proves: W05 W37 W44 W19
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

/// Starts a service that waits, and gives its process.
fn spawned(scene: &Scene, name: &str, options: &[&str]) -> Id {
    let idle = ["--".to_owned(), actor_program().display().to_string(), "idle".into(), "--outlive".into()];
    let tool = scene.tool("pspawn").arg(name).args(options).args(idle).arg("60");
    Id::in_record(&tool.run().ended(0).record()).expect("an identity")
}

fn actions(output: &Output) -> Vec<(String, String)> {
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let records = output.records();
    let acts = records.iter().filter(|record| record["action"].is_string());
    acts.map(|record| (text(record, "action"), text(record, "service"))).collect()
}

fn kill(id: Id) {
    assert!(id.signal(Signal::SIGKILL));
    wait_until(SOON, "its end", || !id.alive());
}

#[test]
// proves: P12 W02 W30
fn a_service_that_has_outlived_its_time_is_ended_when_its_guard_is_dead() {
    let scene = Scene::new();
    let file = scene.home().join("helper.pid");
    let options = ["--ttl", "1h", "--pidfile", file.to_str().expect("UTF-8")];
    let (helper, other) = (spawned(&scene, "helper", &options), spawned(&scene, "other", &["--ttl", "1h"]));
    let change = |change: &mut dyn FnMut(&mut Value)| {
        let text = std::fs::read_to_string(scene.registry()).expect("a registry");
        let mut document: Value = serde_json::from_str(&text).expect("JSON");
        change(&mut document["services"]["global"]["helper"]);
        write(&scene.registry(), &document.to_string());
        document["services"]["global"]["helper"].clone()
    };
    let entry = change(&mut |entry| entry["ttl_ms"] = json!(0));
    let mut guard = entry["guard"].clone();
    guard["boot_id"] = entry["identity"]["boot_id"].clone();
    let guard = Id::in_record(&guard).expect("the guard is noted");
    assert_eq!(summary(&run(&scene, "preap", &[]).ended(0))["overdue"], 0, "the guard is about to end it");
    kill(guard);
    let plan = run(&scene, "preap", &["--dry-run"]).ended(0);
    assert!(helper.alive() && file.exists());
    let done = run(&scene, "preap", &[]).ended(0);
    assert!(!helper.alive() && !file.exists() && other.alive());
    for count in ["overdue", "services", "ended", "files", "cleaned"] {
        assert_eq!(summary(&plan)[count], summary(&done)[count], "{count}: the plan is what is done");
    }
    assert_eq!(summary(&done)["overdue"], 1);
    let expected = [("end", "helper"), ("forget", "helper"), ("remove", "helper")];
    for output in [&plan, &done] {
        assert_eq!(actions(output), expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{output:?}");
    }
    let why = done.records().into_iter().find(|record| record["action"] == "end").expect("a reason");
    assert!(why["why"].as_str().expect("a reason").contains("it was to live for 0ms"), "{why}");
}

#[test]
// proves: W05 W37 W44
fn the_pid_file_of_a_dead_service_goes_with_it_if_it_still_names_it() {
    let scene = Scene::new();
    let living = scene.start(["idle"]);
    let names = ["gone", "rewritten", "taken", "linked"];
    let path = |name: &str| scene.home().join(format!("{name}.pid"));
    let ids = names.map(|name| {
        let file = path(name);
        spawned(&scene, name, &["--pidfile", file.to_str().expect("UTF-8")])
    });
    // Another process has written its number since, or the file has become something else.
    write(&path("rewritten"), &format!("{}\n", living.root().pid));
    std::fs::remove_file(path("taken")).expect("removed");
    std::fs::create_dir(path("taken")).expect("made");
    std::fs::rename(path("linked"), scene.home().join("target")).expect("moved");
    std::os::unix::fs::symlink(scene.home().join("target"), path("linked")).expect("linked");
    ids.into_iter().for_each(kill);
    let plan = run(&scene, "preap", &["--dry-run"]).ended(0);
    assert!(path("gone").exists());
    let done = run(&scene, "preap", &[]).ended(0);
    for output in [&plan, &done] {
        assert_eq!((&summary(output)["services"], &summary(output)["files"]), (&json!(4), &json!(2)));
    }
    assert!(!path("gone").exists() && path("rewritten").exists() && path("taken").exists());
    assert!(path("linked").symlink_metadata().is_err(), "the link is what is removed,");
    assert!(scene.home().join("target").exists(), "and nothing behind it");
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
    assert_eq!(summary(&dead)["services"], i32::from(machine_is_known()));
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
// proves: P23 S14 W54 P42
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
        assert!(known.living().iter().all(Id::alive) && !known.living().is_empty());
        // Without a selector, orphans are nobody's business here.
        assert_eq!(summary(&run(&scene, "preap", &[]).ended(0))["ended"], 0);
    });
}

#[test]
// proves: S17 P19
fn patterns_of_a_project_choose_orphans_and_their_age_spares_them() {
    crate::support::arena::inside(|| {
        let scene = Scene::new();
        let project = scene.home().join("project");
        std::fs::create_dir(&project).expect("made");
        // As the node stack leaves them: the name of the program is what a pattern finds.
        let left = |folder: &Path| {
            scene.actor(["orphan", "1", "--depth", "1"]).called("node vitest/worker.js").cwd(folder).start()
        };
        let (ours, others) = (left(&project), left(scene.home()));
        let project = project.to_str().expect("UTF-8");
        let words = ["--patterns-from", "node-dev", "--project", project];
        let young = run(&scene, "preap", &[&words[..], &["--min-age", "1h"]].concat()).ended(0);
        assert_eq!(summary(&young)["ended"], 0, "{young:?}");
        let done = run(&scene, "preap", &words).ended(0);
        assert!(summary(&done)["ended"].as_u64() > Some(0), "{done:?}");
        ours.assert_nobody_left();
        assert!(!others.living().is_empty(), "{done:?}");
        run(&scene, "preap", &["--project", "/no/such/folder"]).ended(2);
        run(&scene, "preap", &["--patterns-from", "no-such-set"]).ended(2);
    });
}

#[test]
fn dead_sessions_are_kept_on_request() {
    let scene = Scene::new();
    let (owner, member) = (scene.start(["idle"]), scene.start(["idle"]));
    run(&scene, "ptrack", &["session", "start", "s", "--pid", &owner.root().operand()]).ended(0);
    run(&scene, "ptrack", &["save", "api", &member.root().operand(), "--session", "s"]).ended(0);
    drop(owner);
    assert_eq!(summary(&run(&scene, "preap", &["--keep-sessions"]).ended(0))["cleaned"], 0);
    assert!(member.root().alive());
    let lock = {
        let mut name = scene.registry().into_os_string();
        name.push(".flock");
        std::fs::File::open(name).expect("the lock file stays")
    };
    lock.lock().expect("locked");
    let busy = run(&scene, "preap", &["--lock-timeout", "50ms", "--grace", "100ms"]).ended(3);
    assert!(busy.stderr.contains("holds the lock"), "{busy:?}");
    member.assert_nobody_left();
    drop(lock);
    assert_eq!(summary(&run(&scene, "preap", &[]).ended(0))["sessions"], 1);
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
