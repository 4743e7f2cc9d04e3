//! Other services than before: read anew when somebody asks, or when their file is another one.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{QUICK, entry, events, kill, members, process, record, runs};
use crate::support::running::Running;
use crate::support::{Output, SOON, Scene, wait_until};

fn path(scene: &Scene) -> PathBuf {
    scene.home().join("services.ndjson")
}

fn lines(records: &[Value]) -> String {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

/// Writes the services in one step: a new file takes the name of the old one.
fn write(scene: &Scene, records: &[Value]) {
    let new = scene.home().join("new");
    fs::write(&new, lines(records)).expect("written");
    fs::rename(new, path(scene)).expect("renamed");
}

/// A keeper of that file, which looks at it by itself as often as given.
fn keeper(scene: &Scene, interval: &str) -> Running {
    let quick = ["--pause", "20ms", "--longest-pause", "100ms", "--interval", interval];
    scene.tool("pkeep").args(quick).arg(path(scene)).start()
}

/// Waits until it has taken its services anew so often, or refused to.
#[track_caller]
fn reloads(keeper: &mut Running, event: &str, count: usize) {
    wait_until(SOON, &format!("{count} times {event}"), || {
        keeper.records_so_far().iter().filter(|record| record["event"] == event).count() >= count
    });
}

/// The names of those that an event was of, in order.
fn order(output: &Output, event: &str) -> Vec<String> {
    let records = output.records();
    let of = records.iter().filter(|record| record["event"] == event);
    of.map(|record| record["service"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_changed_file_starts_what_is_new_ends_what_has_gone_and_leaves_the_rest() {
    let scene = Scene::new();
    let none = json!({});
    write(
        &scene,
        &[
            record("base", &["idle"], &none),
            record("old", &["tree", "--depth", "1", "--width", "2"], &json!({"after": ["base"]})),
            record("older", &["idle"], &json!({"after": ["old"]})),
            record("other", &["idle"], &none),
        ],
    );
    // It never looks by itself: the kernel tells it.
    let mut keeper = keeper(&scene, "60m");
    let [base, old, older, other] = ["base", "old", "older", "other"].map(|name| runs(&scene, name, None));
    wait_until(SOON, "its children", || members(&scene, "old").len() == 3);
    let gone = members(&scene, "old");
    write(
        &scene,
        &[
            record("newer", &["idle"], &json!({"after": ["new"]})),
            record("other", &["idle"], &json!({"env": {"EXTRA": "yes"}})),
            record("new", &["idle"], &json!({"after": ["other"]})),
            record("base", &["idle"], &none),
        ],
    );
    let (newer, new) = (runs(&scene, "newer", None), runs(&scene, "new", None));
    let changed = runs(&scene, "other", Some(other));
    assert!(
        gone.iter().chain([&old, &older, &other]).all(|id| !id.alive()),
        "they have ended, with all of theirs"
    );
    assert_eq!(process(&scene, "base"), Some(base), "it was not touched");
    assert!(entry(&scene, "old").is_null() && entry(&scene, "older").is_null());
    reloads(&mut keeper, "reloaded", 1);
    // Who wants to be sure asks.
    keeper.signal(Signal::SIGHUP);
    reloads(&mut keeper, "reloaded", 2);
    keeper.signal(Signal::SIGTERM);
    let done = keeper.finish().ended(0).quiet();
    assert!([base, changed, new, newer].iter().all(|id| !id.alive()));
    assert_eq!(events(&done, "base"), ["started", "stopped"]);
    assert_eq!(events(&done, "other"), ["started", "stopped", "started", "stopped"]);
    assert_eq!(
        order(&done, "stopped"),
        ["other", "older", "old", "base", "newer", "new", "other"].map(str::to_owned).to_vec()
    );
    assert_eq!(order(&done, "started")[4..], ["other", "new", "newer"]);
    let records = done.records();
    let why: Vec<&Value> =
        records.iter().filter(|record| record["event"] == "reloaded").map(|record| &record["why"]).collect();
    assert_eq!(why, ["2 new, 1 changed, 2 gone", "the same"]);
}

#[test]
fn a_file_that_cannot_be_used_loses_nothing() {
    let scene = Scene::new();
    let two = [record("a", &["idle"], &json!({})), record("b", &["idle"], &json!({}))];
    write(&scene, &two);
    let mut keeper = keeper(&scene, "60m");
    let (a, b) = (runs(&scene, "a", None), runs(&scene, "b", None));
    let whole = lines(&two);
    let bad = [
        (&whole[..whole.len() - 9], "line 2"),
        ("", "there is none in it"),
        ("{\"type\":\"service\",\"service\":\"x\"}\n", "command"),
        (&format!("{0}\n{0}\n", two[0]), "given twice"),
    ];
    for (at, (text, why)) in bad.iter().enumerate() {
        fs::write(path(&scene), text).expect("written");
        // A file may be written to in steps, each of which is told.
        wait_until(SOON, why, || {
            let told = keeper.records_so_far();
            told.iter().any(|record| {
                record["event"] == "reload-refused"
                    && record["why"].as_str().is_some_and(|said| said.contains(why))
            })
        });
        assert!(a.alive() && b.alive(), "{at}");
    }
    fs::remove_file(path(&scene)).expect("removed");
    keeper.signal(Signal::SIGHUP);
    wait_until(SOON, "it is said", || {
        keeper.seen(|record| {
            record["why"].to_string().contains("No such file")
                || record["why"].to_string().contains("no such file")
        })
    });
    assert!(a.alive() && b.alive());
    kill(b);
    let b = runs(&scene, "b", Some(b));
    write(&scene, &two[..1]);
    wait_until(SOON, "the end of b", || !b.alive());
    reloads(&mut keeper, "reloaded", 1);
    keeper.signal(Signal::SIGTERM);
    let done = keeper.finish().ended(3);
    assert!(done.stderr.lines().count() > bad.len(), "{done:?}");
    assert!(done.stderr.lines().all(|line| line.contains("the former ones are kept")), "{done:?}");
    assert_eq!(events(&done, "a"), ["started", "stopped"], "it was not touched");
    let refused = done.records().into_iter().find(|record| record["event"] == "reload-refused").expect("one");
    assert_eq!(refused["service"], "pkeep");
}

#[test]
fn a_file_behind_a_link_is_looked_at() {
    let scene = Scene::new();
    let folder = scene.home().join("elsewhere");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("services");
    let one = record("a", &["idle"], &json!({}));
    fs::write(&file, format!("{one}\n")).expect("written");
    std::os::unix::fs::symlink(&file, path(&scene)).expect("linked");
    let keeper = keeper(&scene, "50ms");
    let a = runs(&scene, "a", None);
    fs::write(&file, format!("{one}\n{}\n", record("b", &["idle"], &json!({})))).expect("written");
    let b = runs(&scene, "b", None);
    keeper.signal(Signal::SIGTERM);
    keeper.finish().ended(0);
    assert!(!a.alive() && !b.alive());
}

#[test]
fn other_checks_are_taken_in_without_a_restart() {
    let scene = Scene::new();
    let port = scene.start(["listen"]).fact("port");
    let words = ["serve", &port.to_string()];
    let with = |checks: Value| write(&scene, &[record("api", &words, &json!({"checks": checks}))]);
    with(json!([]));
    let mut keeper = keeper(&scene, "100ms");
    let api = runs(&scene, "api", None);
    let checks = json!([format!("port:{port}")]);
    with(checks.clone());
    reloads(&mut keeper, "reloaded", 1);
    assert_eq!(entry(&scene, "api")["health"], checks);
    scene.tool("phealth").args(["api", "--wait"]).run().ended(0);
    assert_eq!(process(&scene, "api"), Some(api));
    with(json!(["file:/no/such/file"]));
    assert_ne!(runs(&scene, "api", Some(api)), api, "it is not healthy by that");
    keeper.signal(Signal::SIGTERM);
    keeper.finish().ended(0);
}

#[test]
fn what_somebody_else_has_started_is_let_go_and_lives_on() {
    let scene = Scene::new();
    let spawn = |name: &str| {
        let tool = scene.tool("pspawn").args([name, "--quiet", "--"]);
        tool.arg(crate::support::actor_program()).args(["idle", "--outlive", "120"]).run().ended(0);
        runs(&scene, name, None)
    };
    let (one, two) = (spawn("one"), spawn("two"));
    let mut keeper = scene.tool("pkeep").args(QUICK).start();
    wait_until(SOON, "both are kept", || {
        ["one", "two"].iter().all(|name| entry(&scene, name)["keep"]["adopted"] == true)
    });
    let three = spawn("three");
    keeper.signal(Signal::SIGHUP);
    wait_until(SOON, "the third is kept, too", || entry(&scene, "three")["keep"].is_object());
    kill(two);
    let two = runs(&scene, "two", Some(two));
    wait_until(SOON, "it is its own now", || entry(&scene, "two")["keep"]["adopted"].is_null());
    scene.tool("ptrack").args(["rm", "one", "--quiet"]).run();
    keeper.signal(Signal::SIGHUP);
    reloads(&mut keeper, "reloaded", 2);
    keeper.signal(Signal::SIGTERM);
    let done = keeper.finish().ended(0);
    assert!(one.alive() && three.alive() && !two.alive(), "{done:?}");
    assert_eq!(events(&done, "three"), ["adopted", "left"]);
    assert_eq!(events(&done, "two"), ["adopted", "unhealthy", "started", "stopped"]);
    assert!(entry(&scene, "three")["keep"].is_null(), "it is registered as before");
    kill(one);
    kill(three);
}

#[test]
fn what_a_pipe_has_said_stays_as_it_is() {
    for operand in ["-", "/dev/stdin"] {
        let scene = Scene::new();
        let one = record("a", &["idle"], &json!({}));
        let tool = scene.tool("pkeep").args(QUICK).arg(operand).records([&one]);
        let mut keeper = tool.start();
        wait_until(SOON, "it has read", || keeper.runs() && !entry(&scene, "a").is_null());
        let a = runs(&scene, "a", None);
        keeper.signal(Signal::SIGHUP);
        reloads(&mut keeper, "reloaded", 1);
        keeper.signal(Signal::SIGTERM);
        let done = keeper.finish().ended(0).quiet();
        assert_eq!(events(&done, "a"), ["started", "stopped"], "{operand}");
        assert!(!a.alive());
    }
}
