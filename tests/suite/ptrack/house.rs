//! Locks, places, clocks, and what is chosen from a registry.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};

use super::{document, ptrack, write};
use crate::support::arena::inside;
use crate::support::process::Id;
use crate::support::{SOON, Scene, wait_until};

#[test]
// proves: M32
fn a_lock_that_is_held_for_long_is_an_error_that_names_its_holder() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let root = actor.root();
    ptrack(&scene, &["save", "api", &root.operand()]).ended(0);
    let before = std::fs::read(scene.registry()).expect("a registry");
    let mut name = scene.registry().into_os_string();
    name.push(".flock");
    let lock = File::open(name).expect("the lock file stays");
    lock.lock().expect("locked");
    let held = format!("process {}", std::process::id());
    for words in [&["rm", "api"][..], &["save", "x", &root.operand()], &["beat", "api"], &["clear"]] {
        let said = ptrack(&scene, &[&["--lock-timeout", "50ms"], words].concat()).ended(3);
        assert!(said.one_message().contains(&held), "{said:?}");
    }
    // Those who only look do not wait.
    ptrack(&scene, &["--lock-timeout", "1ms", "status", "api"]).ended(0);
    assert_eq!(std::fs::read(scene.registry()).expect("a registry"), before);
    drop(lock);
    ptrack(&scene, &["--lock-timeout", "20s", "rm", "api"]).ended(0);
}

#[test]
fn what_lives_in_another_pid_namespace_is_foreign_and_stays() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["idle"]);
        ptrack(&scene, &["save", "outer", &actor.root().operand()]).ended(0);
        let within = |script: &str| scene.sh(&format!("unshare -pf --mount-proc sh -c '{script}; :'")).run();
        assert_eq!(within("ptrack list --foreign --count").ended(0).text(), "1\n");
        assert_eq!(within("ptrack list --dead --count; ptrack list --unknown --count").text(), "0\n0\n");
        within("preap; ptrack list | pkill-tree --force");
        assert!(actor.root().alive());
        // Its name is not to be had from there, nor does it count as running.
        let save = within("sleep 60 & ptrack save outer $!; echo $?; ptrack -q status outer; echo $?");
        assert_eq!(save.text(), "1\n3\n", "{save:?}");
        assert_eq!(ptrack(&scene, &["list", "--alive", "--count"]).text(), "1\n");
    });
}

#[test]
fn clocks_that_are_set_change_nothing() {
    let scene = Scene::new();
    let (living, dead) = (scene.start(["idle"]), scene.start(["idle"]));
    ptrack(&scene, &["save", "living", &living.root().operand()]).ended(0);
    ptrack(&scene, &["save", "dead", &dead.root().operand()]).ended(0);
    drop(dead);
    // What the entries hold is what they would hold had the clock been set by decades meanwhile.
    for now in [1_u64, 4_000_000_000_000] {
        let mut document = document(&scene);
        for name in ["living", "dead"] {
            let entry = &mut document["services"]["global"][name];
            (entry["startTime"], entry["lastHealthCheck"]) = (json!(now), json!(now));
        }
        write(&scene.registry(), &document.to_string());
        ptrack(&scene, &["status", "living"]).ended(0);
        ptrack(&scene, &["status", "dead"]).ended(1);
        let summary = ptrack(&scene, &["status", "--summary"]).ended(0).record();
        let details = summary["details"].as_array().expect("details");
        for detail in details {
            assert!(
                detail["silent_ms"].as_u64().expect("known") < 600_000,
                "by the time since boot: {detail}"
            );
        }
        let plan = scene.tool("preap").arg("--dry-run").run().ended(0).records();
        let named: Vec<&Value> = plan.iter().map(|record| &record["service"]).collect();
        assert!(named.contains(&&json!("dead")) && !named.contains(&&json!("living")), "{plan:?}");
    }
}

#[test]
fn the_whole_group_is_noted_on_request() {
    let scene = Scene::new();
    // A member of its group that is not below it any more.
    let script = format!("(sleep 60 & echo $! > '{}/pid'); exec sleep 60", scene.home().display());
    let started = scene.tool("pspawn").args(["api", "--", "sh", "-c", &script]).run().ended(0).record();
    let root = Id::in_record(&started).expect("an identity");
    let path = scene.home().join("pid");
    wait_until(SOON, "its child", || read(&path).is_some());
    let member = read(&path).expect("a number");
    wait_until(SOON, "an orphan", || {
        let parent = |pid: u32| Id::of(pid).and_then(|id| id.ppid());
        parent(member).is_some_and(|above| above != root.pid && parent(above) != Some(root.pid))
    });
    let noted = |words: &[&str]| {
        let saved = ptrack(&scene, &[&["save", "api", &root.operand()], words].concat()).ended(0).record();
        saved["tree"].as_array().is_some_and(|tree| tree.iter().any(|one| one["pid"] == member))
    };
    assert!(!noted(&[]) && noted(&["--group"]));
}

fn read(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[test]
// proves: M17
fn a_scope_chooses_what_is_listed_and_forgotten() {
    let scene = Scene::new();
    let (actor, owner) = (scene.start(["idle"]), scene.start(["idle"]));
    let (root, home) = (actor.root().operand(), scene.home().to_str().expect("UTF-8"));
    ptrack(&scene, &["session", "start", "s", "--pid", &owner.root().operand()]).ended(0);
    ptrack(&scene, &["save", "a", &root]).ended(0);
    ptrack(&scene, &["save", "b", &root, "--project", home]).ended(0);
    ptrack(&scene, &["save", "c", &root, "--session", "s"]).ended(0);
    ptrack(&scene, &["save", "d", &root, "--project", home, "--session", "s"]).ended(0);
    let names = |words: &[&str]| -> Vec<String> {
        let records = ptrack(&scene, &[&["list"], words].concat()).ended(0).records();
        records.iter().map(|record| record["service"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&["--global"]), ["a"]);
    assert_eq!(names(&["--project", home]), ["b", "d"]);
    assert_eq!(names(&["--session", "s"]), ["c", "d"]);
    assert_eq!(names(&["--session", "s", "--dead"]), [""; 0]);
    ptrack(&scene, &["clear", "--session", "s"]).ended(0);
    assert_eq!(names(&[]), ["a", "b"]);
    assert!(actor.root().alive() && owner.root().alive());
}
