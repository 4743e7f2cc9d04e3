//! pkeep: what should run does run, and never twice.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::process::Id;
use crate::support::tool::Tool;
use crate::support::{Output, SOON, Scene, actor_program, wait_until};

mod reload;
mod rounds;
mod storm;

/// Short pauses, so that nobody has to wait for long.
const QUICK: [&str; 6] = ["--pause", "20ms", "--longest-pause", "100ms", "--interval", "100ms"];

/// `pkeep OPTIONS NAME -- actor WORDS`.
fn pkeep(scene: &Scene, options: &[&str], name: &str, words: &[&str]) -> Tool {
    let actor = actor_program().display().to_string();
    let tool = scene.tool("pkeep").args(QUICK).args(options).arg(name).arg("--").arg(actor);
    tool.args(words).args(["--outlive", "120"]).within(Duration::from_mins(1))
}

fn registry(scene: &Scene) -> Value {
    let text = fs::read_to_string(scene.registry()).unwrap_or_else(|_| "null".into());
    serde_json::from_str(&text).expect("JSON")
}

fn entry(scene: &Scene, name: &str) -> Value {
    registry(scene)["services"]["global"][name].clone()
}

/// The process that the registry has under a name.
fn process(scene: &Scene, name: &str) -> Option<Id> {
    let entry = entry(scene, name);
    let (pid, id) = (&entry["pid"], &entry["identity"]);
    Id::in_record(&json!({"pid": pid, "start_ticks": id["start_ticks"], "pidfd_inode": id["pidfd_inode"]}))
}

/// Waits until a service runs, as another process than the one before, and gives it.
#[track_caller]
fn runs(scene: &Scene, name: &str, before: Option<Id>) -> Id {
    let now = || process(scene, name).filter(|id| Some(*id) != before && id.alive());
    wait_until(SOON, &format!("{name} runs"), || now().is_some());
    now().expect("it runs")
}

/// The living processes that carry the name of a service and the mark of this scene.
fn members(scene: &Scene, name: &str) -> Vec<Id> {
    let serves = |id: &Id| {
        let environ = fs::read(format!("/proc/{}/environ", id.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|one| one == format!("PROCHERD_SERVICE={name}").as_bytes())
    };
    scene.carriers().into_iter().filter(serves).collect()
}

/// A service record of an actor.
fn record(name: &str, words: &[&str], more: &Value) -> Value {
    let actor = actor_program().display().to_string();
    let command = [&[actor.as_str()], words, &["--outlive", "120"]].concat();
    let mut record = json!({"type": "service", "service": name, "scope": "global", "command": command});
    for (field, value) in more.as_object().into_iter().flatten() {
        record[field] = value.clone();
    }
    record
}

fn kill(id: Id) {
    assert!(id.signal(Signal::SIGKILL));
    wait_until(SOON, "its end", || !id.alive());
}

/// What has happened to a service, in order.
fn events(output: &Output, name: &str) -> Vec<String> {
    let records = output.records();
    let ours = records.iter().filter(|record| record["type"] == "event" && record["service"] == name);
    ours.map(|record| record["event"].as_str().expect("a word").to_owned()).collect()
}

#[test]
// proves: M06 M07 M09 M12 M14 M16 P16 W43
fn what_dies_is_started_anew_and_all_ends_with_its_keeper() {
    let scene = Scene::new();
    let keeper = pkeep(&scene, &[], "api", &["tree", "--depth", "1", "--width", "2"]).start();
    let first = runs(&scene, "api", None);
    wait_until(SOON, "its children", || members(&scene, "api").len() == 3);
    wait_until(SOON, "it is healthy", || entry(&scene, "api")["keep"]["well_ms"].is_u64());
    assert_eq!(entry(&scene, "pkeep")["pid"], keeper.id().pid, "it registers itself");
    let old = members(&scene, "api");
    kill(first);
    let second = runs(&scene, "api", Some(first));
    assert!(old.iter().all(|id| !id.alive()), "the whole old tree is ended first");
    assert_eq!(entry(&scene, "api")["restarts"], 1);
    wait_until(SOON, "a sign of life", || {
        entry(&scene, "pkeep")["beat"]["boot_ms"].as_u64()
            > entry(&scene, "api")["beat"]["boot_ms"].as_u64().map(|ms| ms.saturating_sub(10_000))
    });
    keeper.signal(Signal::SIGTERM);
    let done = keeper.finish().ended(0).quiet();
    assert!(!second.alive() && members(&scene, "api").is_empty());
    assert!(entry(&scene, "api").is_null() && entry(&scene, "pkeep").is_null());
    assert_eq!(events(&done, "api"), ["started", "unhealthy", "started", "stopped"]);
    let unhealthy = done.records().into_iter().find(|record| record["event"] == "unhealthy").expect("one");
    assert_eq!((&unhealthy["pause_ms"], &unhealthy["pid"]), (&json!(20), &json!(first.pid)));
}

#[test]
// proves: M08 P26 W45 M13
fn what_cannot_live_is_given_up_and_told() {
    let scene = Scene::new();
    let told = scene.home().join("told");
    let on_fail = format!("cat > '{0}.new' && mv '{0}.new' '{0}'", told.display());
    let options = ["--tries", "3", "--on-fail", &on_fail];
    let quick =
        scene.tool("pkeep").args(QUICK).args(options).args(["api", "--", "sh", "-c", "exit 3"]).start();
    wait_until(SOON, "it is told", || told.exists());
    assert_eq!(entry(&scene, "api")["status"], "failed");
    let record: Value = serde_json::from_str(&fs::read_to_string(&told).expect("told")).expect("JSON");
    assert_eq!(
        (&record["event"], &record["service"], &record["tries"]),
        (&json!("failed"), &json!("api"), &json!(3))
    );
    quick.signal(Signal::SIGINT);
    let done = quick.finish().ended(0);
    let starts = events(&done, "api").iter().filter(|event| *event == "started").count();
    assert_eq!(starts, 4, "once, and three tries: {done:?}");
    let pauses: Vec<u64> = done.records().iter().filter_map(|record| record["pause_ms"].as_u64()).collect();
    assert_eq!(pauses, [20, 40, 80]);
}

#[test]
fn a_command_that_cannot_be_run_is_tried_as_often_and_remembered() {
    let scene = Scene::new();
    let tool = |options: &[&str]| {
        scene.tool("pkeep").args(QUICK).args(options).args(["api", "--", "/no/such/program"])
    };
    let once = tool(&["--once", "--tries", "2"]).run().ended(1);
    assert!(events(&once, "api").contains(&"refused".to_owned()), "{once:?}");
    assert!(entry(&scene, "api")["keep"]["tries"].is_u64(), "{}", registry(&scene));
    for _ in 0..3 {
        tool(&["--once", "--tries", "2"]).run().ended(1);
    }
    assert_eq!(
        (&entry(&scene, "api")["status"], &entry(&scene, "api")["keep"]["tries"]),
        (&json!("failed"), &json!(2))
    );
    assert!(tool(&["--once"]).run().ended(1).records().is_empty(), "who has failed is left alone");
    scene.tool("ptrack").args(["rm", "api"]).run().ended(0);
    assert!(events(&tool(&["--once"]).run().ended(1), "api").contains(&"refused".to_owned()));
}

#[test]
// proves: P25 M11 R19 S32
fn what_hangs_is_ended_and_started_anew() {
    let scene = Scene::new();
    let port = scene.start(["listen"]).fact("port").to_string();
    let check = format!("port:{port}");
    let options = ["--health", &check, "--health", "within:500ms", "--grace", "200ms"];
    let keeper = pkeep(&scene, &options, "api", &["serve", &port]).start();
    let first = runs(&scene, "api", None);
    wait_until(SOON, "it is healthy", || entry(&scene, "api")["keep"]["well_ms"].is_u64());
    assert!(first.signal(Signal::SIGSTOP));
    let second = runs(&scene, "api", Some(first));
    assert!(!first.alive());
    let dead = || fs::metadata(format!("/proc/{}", first.pid)).is_ok() && first.state() == Some('Z');
    wait_until(SOON, "its process is reaped", || !dead());
    scene.tool("phealth").args(["api", "--wait", "--timeout", "20s"]).run().ended(0);
    assert_eq!(members(&scene, "api"), [second]);
    keeper.signal(Signal::SIGTERM);
    let done = keeper.finish().ended(0);
    let why =
        done.records().into_iter().find(|record| record["event"] == "unhealthy").expect("one")["why"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("accepts nobody")), "{why}");
}

#[test]
// proves: M10 P30
fn a_killed_keeper_is_replaced_by_one_that_adopts_what_runs() {
    let scene = Scene::new();
    let keeper = pkeep(&scene, &[], "api", &["idle"]).start();
    let api = runs(&scene, "api", None);
    wait_until(SOON, "it is healthy", || entry(&scene, "api")["keep"]["well_ms"].is_u64());
    let second = pkeep(&scene, &[], "api", &["idle"]).run().ended(1);
    assert!(second.one_message().contains(&format!("process {}", keeper.id().pid)), "{second:?}");
    keeper.signal(Signal::SIGKILL);
    keeper.finish();
    assert!(api.alive(), "what it kept goes on");
    let next = pkeep(&scene, &["--detach"], "api", &["idle"]).start();
    wait_until(SOON, "it has registered", || entry(&scene, "pkeep")["pid"] == next.id().pid);
    let before = entry(&scene, "api")["beat"]["boot_ms"].as_u64();
    wait_until(SOON, "a sign of life", || entry(&scene, "api")["beat"]["boot_ms"].as_u64() > before);
    next.signal(Signal::SIGTERM);
    let done = next.finish().ended(0);
    assert_eq!(events(&done, "api"), ["adopted"]);
    assert!(api.alive() && !entry(&scene, "api").is_null(), "it was told to leave it");
    assert_eq!(members(&scene, "api"), [api]);
    kill(api);
}

// proves: S32
#[test]
fn who_waits_for_another_starts_after_it_and_ends_before_it() {
    let scene = Scene::new();
    let port = scene.start(["listen"]).fact("port").to_string();
    let record = |name: &str, after: &[&str], words: &[&str], checks: &[&str]| {
        let more = json!({"after": after, "checks": checks, "env": {"EXTRA": name}, "cwd": "/"});
        record(name, words, &more)
    };
    let check = format!("port:{port}");
    let list = [
        record("web", &["api"], &["idle"], &[]),
        record("api", &["db"], &["serve", &port], &[&check]),
        record("db", &[], &["idle"], &[]),
    ];
    let file = scene.home().join("services.ndjson");
    let lines: Vec<String> = list.iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n")).expect("written");
    let keeper = scene.tool("pkeep").args(QUICK).arg(file.display().to_string()).start();
    let web = runs(&scene, "web", None);
    let carries = |environ: String| environ.split('\0').any(|one| one == "EXTRA=web");
    wait_until(SOON, "its environment", || {
        fs::read_to_string(format!("/proc/{}/environ", web.pid)).is_ok_and(carries)
    });
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", web.pid)).expect("alive").to_str(), Some("/"));
    keeper.signal(Signal::SIGTERM);
    let records = keeper.finish().ended(0).records();
    let order = |event: &str| -> Vec<String> {
        let of = records.iter().filter(|record| record["event"] == event);
        of.map(|record| record["service"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(order("started"), ["db", "api", "web"]);
    assert_eq!(order("stopped"), ["web", "api", "db"]);
    let circle = [record("a", &["b"], &["idle"], &[]), record("b", &["a"], &["idle"], &[])];
    let twice = [record("a", &[], &["idle"], &[]), record("a", &[], &["idle"], &[])];
    for list in [&circle, &twice] {
        scene.tool("pkeep").args(["--once", "-"]).records(list.iter()).run().ended(2).one_message();
    }
    let odd = [
        json!({"type": "service", "service": "x"}),
        json!({"type": "service", "service": "y", "command": ["true"], "checks": ["x"]}),
    ];
    let said = scene.tool("pkeep").args(["--once", "-"]).records(odd.iter()).run().ended(3);
    assert_eq!(said.stderr.lines().count(), 2, "{said:?}");
    for words in
        [&["api", "web", "--", "true"][..], &["nobody"], &["--once", "", "--", "true"], &["--as", "7"]]
    {
        let said = scene.tool("pkeep").args(words).run();
        assert!(matches!(said.code, Some(1..=3)), "{words:?}: {said:?}");
        said.one_message();
    }
}

#[test]
// proves: P10 R02
fn a_wrapper_is_kept_by_its_server_and_what_holds_the_port_is_ended_first() {
    let scene = Scene::new();
    let port = scene.start(["listen"]).fact("port").to_string();
    let check = format!("port:{port}");
    let options = ["--health", &check, "--health", "within:500ms", "--tries", "50"];
    let keeper = pkeep(&scene, &options, "api", &["serve", &port, "--forked"]).start();
    let well = || entry(&scene, "api")["keep"]["well_ms"].is_u64();
    wait_until(SOON, "its server works", well);
    let wrapper = process(&scene, "api").expect("registered");
    wait_until(SOON, "the end of the wrapper", || !wrapper.alive());
    let server = members(&scene, "api").first().copied().expect("a server");
    let beat = || entry(&scene, "api")["beat"]["boot_ms"].as_u64();
    let before = beat();
    wait_until(SOON, "a later sign of life", || beat() > before && well());
    assert_eq!(process(&scene, "api"), Some(wrapper), "it was not started anew");
    assert!(server.alive());
    // It hangs, and holds the port: only when it has been ended can the next one listen.
    assert!(server.signal(Signal::SIGSTOP));
    wait_until(SOON, "another one works", || process(&scene, "api") != Some(wrapper) && well());
    assert!(!server.alive());
    assert_eq!(members(&scene, "api").len(), 1);
    keeper.signal(Signal::SIGTERM);
    let done = keeper.finish().ended(0);
    assert!(members(&scene, "api").is_empty(), "{done:?}");
}

#[test]
fn a_stranger_on_its_port_is_neither_ended_nor_taken_for_it() {
    let scene = Scene::new();
    let stranger = scene.start(["serve"]);
    let port = stranger.fact("port").to_string();
    let check = format!("port:{port}");
    let options = ["--health", &check, "--health", "within:500ms", "--settle", "100ms", "--tries", "1"];
    let keeper = pkeep(&scene, &options, "api", &["idle"]).within(Duration::from_mins(2)).start();
    wait_until(Duration::from_mins(1), "it is given up", || entry(&scene, "api")["status"] == "failed");
    keeper.signal(Signal::SIGTERM);
    let done = keeper.finish().ended(0);
    assert!(stranger.root().alive() && members(&scene, "api").is_empty());
    let why = |event: &str| {
        let records = done.records();
        let of = records.iter().find(|record| record["event"] == event);
        of.and_then(|record| record["why"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    assert!(why("refused").contains(&format!("somebody else listens on port {port}")), "{done:?}");
    assert!(!why("failed").is_empty(), "{done:?}");
}

#[test]
// proves: R18
fn two_clients_have_two_helpers_and_one_daemon_and_leave_no_helper() {
    let scene = Scene::new();
    let actor = actor_program().display().to_string();
    let client = || {
        let daemon = format!("pspawn daemon --ensure --quiet -- {actor} idle --outlive 120 </dev/null");
        scene.sh(&format!("{daemon} && exec {actor} idle --role helper")).stdin_open().start()
    };
    let mut clients = [client(), client()];
    let count = |words: &str| {
        let is_one = |id: &Id| {
            let line = fs::read_to_string(format!("/proc/{}/cmdline", id.pid)).unwrap_or_default();
            line.trim_end_matches('\0').replace('\0', " ") == format!("{actor} {words}")
        };
        scene.carriers().iter().filter(|id| is_one(id)).count()
    };
    wait_until(SOON, "two helpers", || count("idle --role helper") == 2);
    assert_eq!(count("idle --outlive 120"), 1, "one daemon");
    let daemon = process(&scene, "daemon").expect("registered");
    for (at, client) in clients.iter_mut().enumerate() {
        client.close();
        wait_until(SOON, "the end of its helper", || !client.runs());
        assert_eq!(count("idle --role helper"), 1 - at);
    }
    assert!(daemon.alive(), "it serves whoever comes next");
    kill(daemon);
}
