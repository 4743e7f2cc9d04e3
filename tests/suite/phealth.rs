//! phealth: who lives, who works, and who only seems to.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::process::Id;
use crate::support::tool::Tool;
use crate::support::{Output, SOON, Scene, actor_program, wait_until};

mod files;
mod ports;

fn phealth(scene: &Scene, words: &[&str]) -> Output {
    scene.tool("phealth").args(words).run()
}

/// Registers an actor's first process under a name.
fn save(scene: &Scene, name: &str, id: Id, more: &[&str]) {
    let words = ["save", "--quiet", name, &id.operand()];
    scene.tool("ptrack").args(words).args(more).run().ended(0);
}

/// The verdict about the only service that was asked for, and its reason.
fn verdict(output: &Output) -> (String, String) {
    let record = output.record();
    let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
    (text("health"), text("why"))
}

/// What a check measured.
fn measured(record: &Value, check: &str) -> Value {
    let all = record["measured"].as_array().expect("a list");
    all.iter().find(|one| one["check"] == check).unwrap_or_else(|| panic!("no {check} in {record}")).clone()
}

fn entry(scene: &Scene, name: &str) -> Value {
    let text = fs::read_to_string(scene.registry()).expect("a registry");
    serde_json::from_str::<Value>(&text).expect("JSON")["services"]["global"][name].clone()
}

/// Changes the entry of a global service behind everybody's back.
fn edit(scene: &Scene, name: &str, change: impl FnOnce(&mut Value)) {
    let text = fs::read_to_string(scene.registry()).expect("a registry");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut document["services"]["global"][name]);
    fs::write(scene.registry(), document.to_string()).expect("written");
}

/// `pspawn NAME OPTIONS -- actor WORDS`.
fn spawn(scene: &Scene, name: &str, options: &[&str], words: &[&str]) -> Tool {
    let actor = actor_program().display().to_string();
    scene.tool("pspawn").arg(name).args(options).arg("--").arg(actor).args(words).args(["--outlive", "60"])
}

/// A port that was free a moment ago.
fn free_port(scene: &Scene) -> String {
    scene.start(["listen"]).fact("port").to_string()
}

fn kill(id: Id) {
    assert!(id.signal(Signal::SIGKILL));
    wait_until(SOON, "its end", || !id.alive());
}

#[test]
// proves: P25 M26 P35 M15
fn who_lives_is_healthy_and_who_has_ended_is_not() {
    let scene = Scene::new();
    let said = phealth(&scene, &[]).ended(0).quiet();
    assert!(said.stdout.is_empty(), "nothing is registered: looked, and found nothing");
    let (one, two) = (scene.start(["idle"]), scene.start(["idle"]));
    save(&scene, "one", one.root(), &[]);
    save(&scene, "two", two.root(), &["--project", "/"]);
    let both = phealth(&scene, &[]).ended(0).quiet().records();
    assert!(both.len() == 2 && both.iter().all(|record| record["health"] == "healthy"), "{both:?}");
    assert_eq!(measured(&both[0], "identity")["pid"], one.root().pid);
    assert_eq!(phealth(&scene, &["--global"]).ended(0).record()["service"], "one");
    assert_eq!(phealth(&scene, &["--project", "/"]).ended(0).record()["service"], "two");
    drop(two);
    let said = phealth(&scene, &["two"]).ended(1);
    assert_eq!(verdict(&said).0, "dead");
    assert_eq!(verdict(&phealth(&scene, &["one"]).ended(0)).0, "healthy");
    phealth(&scene, &["one", "two"]).ended(1);
    assert!(phealth(&scene, &["--quiet"]).ended(1).stdout.is_empty());
    phealth(&scene, &["nobody"]).ended(1).said("not registered");
    phealth(&scene, &["--project", "/no/such/folder"]).ended(2);
    for words in [
        &["--port", "0"][..],
        &["--field", "x"],
        &["--max-age", "x"],
        &["--timeout", "1s"],
        &["--command", ""],
    ] {
        phealth(&scene, words).ended(2).one_message();
    }
}

#[test]
fn what_cannot_be_judged_from_here_is_no_yes_and_no_no() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    save(&scene, "api", actor.root(), &[]);
    edit(&scene, "api", |entry| {
        entry["identity"]["boot_id"] = json!("00000000-0000-0000-0000-000000000001");
        entry["identity"]["host"] = json!("another");
    });
    assert_eq!(verdict(&phealth(&scene, &["--command", "exit 1"]).ended(3)).0, "foreign");
    edit(&scene, "api", |entry| (entry["pid"], entry["identity"]) = (json!(1), Value::Null));
    assert_eq!(verdict(&phealth(&scene, &[]).ended(3)).0, "unknown");
    // Checks that cannot be read are not passed.
    save(&scene, "odd", actor.root(), &[]);
    for odd in [json!(5), json!(["port"]), json!(["http:x"]), json!({"port": 1})] {
        edit(&scene, "odd", |entry| entry["health"] = odd.clone());
        assert_eq!(verdict(&phealth(&scene, &["odd"]).ended(3)).0, "unknown", "{odd}");
    }
    fs::write(scene.registry(), "{").expect("written");
    phealth(&scene, &[]).ended(3).one_message();
}

#[test]
// proves: M11 M05
fn the_age_of_the_last_sign_of_life_is_judged_by_the_clock_of_this_boot() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    save(&scene, "api", actor.root(), &["--health", "max-age:120s"]);
    phealth(&scene, &["api"]).ended(0);
    // The wall clock says what it likes.
    edit(&scene, "api", |entry| entry["lastHealthCheck"] = json!(1));
    phealth(&scene, &["api"]).ended(0);
    edit(&scene, "api", |entry| {
        let beat = entry["beat"]["boot_ms"].as_u64().expect("a time");
        entry["beat"]["boot_ms"] = json!(beat.saturating_sub(121_000));
    });
    let (health, why) = verdict(&phealth(&scene, &["api"]).ended(1));
    assert_eq!(health, "stale");
    assert!(why.contains("2m 1s old, more than 2m") || why.contains("old, more than 2m"), "{why}");
    phealth(&scene, &["api", "--max-age", "1h"]).ended(0);
    scene.tool("ptrack").args(["beat", "api"]).run().ended(0);
    let record = phealth(&scene, &["api"]).ended(0).record();
    assert!(measured(&record, "heartbeat")["age_ms"].as_u64() < Some(120_000));
    // Another program gives signs of life by the wall clock alone.
    edit(&scene, "api", |entry| {
        entry.as_object_mut().expect("an object").remove("beat");
        entry["lastHealthCheck"] = json!(1_000);
    });
    assert_eq!(verdict(&phealth(&scene, &["api"]).ended(1)).0, "stale");
}

#[test]
fn a_command_decides_within_its_time_and_leaves_nothing_behind() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    save(&scene, "api", actor.root(), &["--health", "within:10s"]);
    let pid = actor.root().pid;
    let good =
        format!("test $SERVICE_PID = {pid} && test $PROCHERD_SERVICE = api && test -z \"$PROCHERD_ID\"");
    phealth(&scene, &["api", "--command", &good]).ended(0);
    let (health, why) = verdict(&phealth(&scene, &["api", "--command", "exit 7"]).ended(1));
    assert!(health == "unhealthy" && why.contains("ended with 7"), "{why}");
    assert!(verdict(&phealth(&scene, &["api", "--command", "kill -9 $$"]).ended(1)).1.contains("signal 9"));
    let slow = ["api", "--command", "sleep 777 & sleep 777", "--within", "100ms"];
    assert!(verdict(&phealth(&scene, &slow).ended(1)).1.contains("longer than"));
    wait_until(SOON, "the end of what the check has started", || scene.carriers().len() == 1);
}

#[test]
// proves: M12 M13 M05
fn what_was_found_is_noted_on_request() {
    let scene = Scene::new();
    let (well, ill) = (scene.start(["idle"]), scene.start(["idle"]));
    save(&scene, "well", well.root(), &[]);
    save(&scene, "ill", ill.root(), &["--health", "command:false"]);
    let age = |entry: &mut Value| {
        entry["lastHealthCheck"] = json!(5);
        entry["beat"]["boot_ms"] = json!(0);
        entry["status"] = json!("unhealthy");
    };
    edit(&scene, "well", age);
    edit(&scene, "ill", age);
    phealth(&scene, &[]).ended(1);
    assert_eq!(entry(&scene, "well")["lastHealthCheck"], 5, "nothing is noted unless it is asked for");
    let log = scene.home().join("log");
    phealth(&scene, &["--beat", "--log", &log.display().to_string()]).ended(1);
    let logged = fs::read_to_string(&log).expect("a log");
    let line: Value = serde_json::from_str(logged.trim_end()).expect("one line: what is another state");
    assert_eq!(
        (&line["service"], &line["health"], &line["action"], &line["tool"]),
        (&json!("well"), &json!("healthy"), &json!("note"), &json!("phealth"))
    );
    let (well_now, ill_now) = (entry(&scene, "well"), entry(&scene, "ill"));
    assert!(well_now["lastHealthCheck"].as_u64() > Some(5) && well_now["beat"]["boot_ms"].as_u64() > Some(0));
    assert_eq!((&well_now["status"], &ill_now["status"]), (&json!("running"), &json!("unhealthy")));
    assert_eq!(ill_now["lastHealthCheck"], 5);
    phealth(&scene, &["well", "--beat", "--command", "false"]).ended(1);
    assert_eq!(entry(&scene, "well")["status"], "unhealthy");
    // Who has failed is left to who supervises it.
    edit(&scene, "well", |entry| entry["status"] = json!("failed"));
    phealth(&scene, &["well", "--beat"]).ended(0);
    assert_eq!(entry(&scene, "well")["status"], "failed");
    let lock = {
        let mut name = scene.registry().into_os_string();
        name.push(".flock");
        fs::File::open(name).expect("the lock file")
    };
    lock.lock().expect("locked");
    phealth(&scene, &["well", "--beat", "--lock-timeout", "50ms"]).ended(3).said("holds the lock");
}

#[test]
// proves: S21 M40
fn one_can_wait_until_all_are_healthy() {
    let scene = Scene::new();
    let port = free_port(&scene);
    let waiting = scene.tool("phealth").args(["api", "--port", &port, "--wait", "--timeout", "60s"]).start();
    // It is not even registered yet.
    let api = Id::in_record(&spawn(&scene, "api", &[], &["serve", &port]).run().ended(0).record());
    let record = waiting.finish().ended(0).quiet().record();
    assert_eq!(
        (&record["health"], record["pid"].as_u64()),
        (&json!("healthy"), api.map(|id| u64::from(id.pid)))
    );
    let other = free_port(&scene);
    let late = phealth(&scene, &["api", "--port", &other, "--wait", "--timeout", "200ms"]).ended(124);
    assert!(late.one_message().contains("api is unhealthy"), "{late:?}");
    assert_eq!(verdict(&late).0, "unhealthy");
    phealth(&scene, &["nobody", "--wait", "--timeout", "50ms"]).ended(124).said("nothing is registered");
}

#[test]
// proves: M26 P35
fn totals_and_filters_are_for_other_programs() {
    let scene = Scene::new();
    let (well, ill, dead) = (scene.start(["idle"]), scene.start(["idle"]), scene.start(["idle"]));
    save(&scene, "well", well.root(), &[]);
    save(&scene, "ill", ill.root(), &["--project", "/", "--health", "command:false"]);
    save(&scene, "dead", dead.root(), &[]);
    drop(dead);
    let totals = phealth(&scene, &["--summary"]).ended(1).record();
    let numbers =
        ["total", "healthy", "unhealthy", "dead"].map(|name| totals[name].as_u64().expect("a number"));
    assert_eq!(numbers, [3, 1, 2, 1]);
    assert_eq!(totals["by_type"], json!({"global": 2, "per-project": 1, "per-session": 0}));
    let details = totals["details"].as_array().expect("details");
    assert!(details.iter().any(|one| one["service"] == "ill" && one["health"] == "unhealthy"), "{details:?}");
    let filtered = phealth(&scene, &["--unhealthy"]).ended(1).records();
    let names: Vec<&str> = filtered.iter().filter_map(|record| record["service"].as_str()).collect();
    assert_eq!(names, ["dead", "ill"]);
    let script =
        "phealth --unhealthy | pkill-tree --quiet; phealth --unhealthy | ptrack rm - >/dev/null; phealth";
    let left = scene.sh(script).run().ended(0).records();
    assert_eq!((left.len(), &left[0]["service"]), (1, &json!("well")));
    ill.assert_nobody_left();
}

#[test]
fn records_of_a_pipe_are_judged_and_run_no_commands_of_their_own() {
    let scene = Scene::new();
    let (known, unknown) = (scene.start(["idle"]), scene.start(["idle"]));
    let proof = scene.home().join("ran");
    let command = format!("command:touch '{}'", proof.display());
    save(&scene, "api", known.root(), &["--health", &command]);
    let listed = scene.tool("ptrack").args(["get", "api"]).run().record();
    assert_eq!(listed["checks"], json!([command]), "a record shows what is checked");
    scene.tool("phealth").arg("-").records([&listed]).run().ended(0);
    assert!(proof.exists(), "what is registered is believed");
    fs::remove_file(&proof).expect("removed");
    scene.tool("ptrack").args(["rm", "api"]).run().ended(0);
    let judged = scene.tool("phealth").arg("-").records([&listed]).run().ended(0).record();
    assert!(!proof.exists(), "what anybody can write is not run");
    assert_eq!((&judged["service"], &judged["health"]), (&json!("api"), &json!("healthy")));
    scene.tool("ptrack").args(["save", "-"]).records([&listed]).run().ended(0);
    assert_eq!(entry(&scene, "api")["health"], json!([]), "nor is it kept");
    let process = scene.tool("pstree-json").arg(unknown.root().operand()).run().record();
    let judged = scene.tool("phealth").arg("-").records([&process]).run().ended(0).record();
    assert_eq!((&judged["type"], &judged["health"]), (&json!("process"), &json!("healthy")));
    assert_eq!(judged["cmdline"], process["cmdline"], "the fields of others pass through");
    let typed = phealth(&scene, &[&unknown.root().operand()]).ended(0).record();
    assert_eq!((&typed["type"], &typed["pid"]), (&json!("process"), &process["pid"]));
    drop(unknown);
    let dead = scene.tool("phealth").arg("-").records([&process]).run().ended(1);
    assert_eq!(verdict(&dead).0, "dead");
    let summary = json!({"type": "summary", "v": 1});
    assert!(scene.tool("phealth").arg("-").records([&summary]).run().ended(0).stdout.is_empty());
    scene.tool("phealth").arg("-").stdin("odd\n").run().ended(3).said("line 1");
    phealth(&scene, &["4194304"]).ended(1).said("no such process");
}

#[test]
fn a_table_for_people_has_the_verdict_and_its_reason() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    save(&scene, "api", actor.root(), &["--health", "command:false"]);
    let table = phealth(&scene, &["--format", "table"]).ended(1);
    let text = table.text();
    assert!(text.contains("HEALTH") && text.contains("unhealthy") && text.contains("ended with 1"), "{text}");
    assert!(!text.contains("MEASURED"), "{text}");
}

/// Makes a file older than it is.
fn age(path: &Path, by: Duration) {
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.set_modified(SystemTime::now() - by).expect("set");
}
