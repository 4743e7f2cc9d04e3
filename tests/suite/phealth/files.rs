//! Health files and pid files: whom they name.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::{age, entry, kill, measured, phealth, save, spawn, verdict};
use crate::support::arena::{inside, start_as};
use crate::support::process::{Id, pidfd_open};
use crate::support::{SOON, Scene, wait_until};

#[test]
// proves: R07 R08 M15
fn a_health_file_is_stale_for_every_reason_that_it_can_be() {
    let scene = Scene::new();
    let (service, stranger) = (scene.start(["tree", "--depth", "1"]), scene.start(["idle"]));
    let dead = {
        let actor = scene.start(["idle"]);
        actor.root()
    };
    wait_until(SOON, "its end", || !dead.alive());
    let path = scene.home().join("health.json");
    let file = path.display().to_string();
    save(&scene, "api", service.root(), &["--health", &format!("file:{file}")]);
    let judged = |text: &str| {
        fs::write(&path, text).expect("written");
        verdict(&phealth(&scene, &["api"]))
    };
    assert_eq!(verdict(&phealth(&scene, &["api"]).ended(1)).0, "stale", "it is missing");
    let own = service.root().pid;
    for (text, reason) in [
        (String::new(), "names no process"),
        ("{".to_owned(), "names no process"),
        (r#"{"status":"ok"}"#.to_owned(), "names no process"),
        (r#"{"pid":0}"#.to_owned(), "0 names no process"),
        (r#"{"pid":-1}"#.to_owned(), "names no process"),
        (r#"{"pid":"x"}"#.to_owned(), "names no process"),
        (format!(r#"{{"pid":{}}}"#, dead.pid), "has ended"),
        (format!(r#"{{"pid":{}}}"#, stranger.root().pid), "not of this service"),
        (r#"{"pid":1}"#.to_owned(), "not of this service"),
    ] {
        let (health, why) = judged(&text);
        assert!(health == "stale" && why.contains(reason), "{text}: {health}: {why}");
    }
    let child = service.ids().into_iter().find(|id| id.pid != own).expect("a child");
    for text in [format!(r#"{{"pid":{own}}}"#), format!("{own}\n"), format!(r#"{{"pid":{}}}"#, child.pid)] {
        assert_eq!(judged(&text).0, "healthy", "{text}");
    }
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    assert_eq!(verdict(&phealth(&scene, &["api"]).ended(1)).0, "stale", "it is a folder");
}

#[test]
// proves: R07
fn fields_and_age_of_a_health_file_are_chosen() {
    let scene = Scene::new();
    let service = scene.start(["idle"]);
    let path = scene.home().join("health.json");
    save(&scene, "api", service.root(), &[]);
    let text = json!({"server": {"pid": service.root().pid, "state": "ok"}, "ready": true, "a.b": 1.5});
    fs::write(&path, text.to_string()).expect("written");
    let file = path.display().to_string();
    let judge = |words: &[&str]| phealth(&scene, &[&["api", "--file", &file], words].concat());
    let nested = ["--pid-field", "server.pid"];
    assert_eq!(verdict(&judge(&[]).ended(1)).0, "stale", "there is no field pid");
    judge(&nested).ended(0);
    let fields = ["--field", "server.state=ok", "--field", "ready=true", "--field", "a.b=1.5"];
    judge(&[&nested[..], &fields].concat()).ended(0);
    let (health, why) = verdict(&judge(&[&nested[..], &["--field", "server.state=up"]].concat()).ended(1));
    assert!(health == "unhealthy" && why.contains("server.state is 'ok', not 'up'"), "{why}");
    judge(&[&nested[..], &["--field", "none=1"]].concat()).ended(1).quiet();
    age(&path, Duration::from_mins(5));
    judge(&nested).ended(0);
    let record = judge(&[&nested[..], &["--file-age", "10m"]].concat()).ended(0).record();
    assert!(measured(&record, "file")["age_ms"].as_u64() >= Some(300_000));
    let (health, why) = verdict(&judge(&[&nested[..], &["--file-age", "1m"]].concat()).ended(1));
    assert!(health == "stale" && why.contains("5m old, more than 1m"), "{why}");
}

#[test]
// proves: R08 R09 R05
fn a_file_that_names_a_number_which_went_to_somebody_else_is_stale_and_removed_on_request() {
    inside(|| {
        let scene = Scene::new();
        let (health, pidfile) = (scene.home().join("health.json"), scene.home().join("api.pid"));
        let (health_text, pid_text) = (health.display().to_string(), pidfile.display().to_string());
        let options = ["--pidfile", &pid_text, "--health", &format!("file:{health_text}")];
        let old = Id::in_record(&spawn(&scene, "api", &options, &["idle"]).run().ended(0).record());
        let old = old.expect("an identity");
        fs::write(&health, json!({"pid": old.pid}).to_string()).expect("written");
        phealth(&scene, &["api"]).ended(0);
        kill(old);
        wait_until(SOON, "that its number is free", || pidfd_open(old.pid).is_err());
        let stranger = start_as(old.pid, || scene.actor(["idle"]));
        let said = phealth(&scene, &["api"]).ended(1);
        let record = said.record();
        assert_eq!(record["health"], "dead");
        for check in ["file", "pidfile"] {
            let found = measured(&record, check);
            assert_eq!(found["health"], "stale", "{found}");
            assert!(found["why"].as_str().is_some_and(|why| why.contains("not of this service")), "{found}");
        }
        assert!(health.exists() && pidfile.exists());
        let fixed = phealth(&scene, &["api", "--fix"]).ended(1);
        assert!(!health.exists() && !pidfile.exists(), "{fixed:?}");
        assert_eq!(fixed.stderr.matches("remove stale file").count(), 2, "{fixed:?}");
        assert!(stranger.root().alive());
        assert!(entry(&scene, "api")["pid"].is_u64(), "the entry is preap's affair");
    });
}

#[test]
// proves: R09
fn only_stale_files_are_removed_and_never_what_is_only_old_or_cannot_be_read() {
    let scene = Scene::new();
    let service = scene.start(["idle"]);
    let path = scene.home().join("health.json");
    let file = path.display().to_string();
    save(&scene, "api", service.root(), &["--health", &format!("file:{file}")]);
    let fix = |words: &[&str]| phealth(&scene, &[&["api", "--fix"], words].concat());
    fs::write(&path, json!({"pid": service.root().pid}).to_string()).expect("written");
    fix(&[]).ended(0).quiet();
    age(&path, Duration::from_mins(5));
    fix(&["--file-age", "1s"]).ended(1).quiet();
    assert!(path.exists(), "it is old, and names the service");
    fs::write(&path, r#"{"pid":0}"#).expect("written");
    let link = scene.home().join("link.json");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    fix(&["--file", &link.display().to_string()]).ended(1);
    assert!(link.symlink_metadata().is_err() && path.exists(), "the link goes, not what is behind it");
    let log = scene.home().join("log");
    fix(&["--quiet", "--log", &log.display().to_string()]).ended(1).quiet();
    assert!(!path.exists());
    let logged = fs::read_to_string(&log).expect("a log");
    let line: serde_json::Value = serde_json::from_str(logged.trim_end()).expect("one line");
    assert_eq!((&line["file"], &line["action"]), (&json!(file), &json!("remove")));
    assert!(line["why"].as_str().is_some_and(|why| !why.is_empty()) && line["at"].is_string(), "{line}");
    fs::create_dir(&path).expect("made");
    fix(&[]).ended(1);
    assert!(path.is_dir());
}
