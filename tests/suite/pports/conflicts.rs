//! Ports of registered services that others hold.

use serde_json::Value;

use super::{listener, pports};
use crate::support::form::{SOCKETS, assert_processes};
use crate::support::{Id, SOON, Scene, wait_until};

/// Starts a registered service that was given a port, and listens on it where `listens`.
#[track_caller]
fn serve(scene: &Scene, name: &str, port: &str, listens: bool) -> Value {
    let actor = crate::support::actor_program().display().to_string();
    let script = if listens {
        format!("{actor} listen $PORT --same-session --outlive 60 & wait")
    } else {
        "sleep 60".into()
    };
    let tool = scene.tool("pspawn").args([name, "--port", port, "--", "sh", "-c", &script]);
    let record = tool.run().ended(0).record();
    if listens {
        wait_until(SOON, "it listens", || pports(scene, ["--check", port]).run().code == Some(0));
    }
    record
}

fn kinds(record: &Value) -> Vec<&str> {
    let all = record["conflict"].as_array().unwrap_or_else(|| panic!("no conflict in {record}"));
    all.iter().map(|one| one["kind"].as_str().unwrap_or_default()).collect()
}

/// Finds a port that is free now.
fn free(scene: &Scene) -> String {
    listener(scene, &[]).1
}

// proves: W22 W13
#[test]
fn who_holds_the_port_of_another_service_is_a_conflict() {
    let scene = Scene::new();
    let conflicts = || pports(&scene, ["--conflicts"]).run();
    assert!(conflicts().ended(0).stdout.is_empty(), "nothing is registered");
    let port = free(&scene);
    serve(&scene, "api", &port, true);
    let said = conflicts().ended(0).quiet();
    assert!(said.stdout.is_empty(), "it holds its own: {said:?}");
    let port = free(&scene);
    serve(&scene, "web", &port, false);
    let stranger = scene.start(["listen", &port]);
    let said = conflicts().ended(1).quiet();
    let record = said.record();
    assert_eq!((Id::in_record(&record), kinds(&record)), (Some(stranger.root()), vec!["held-by-another"]));
    assert_eq!(
        (&record["conflict"][0]["service"], record["conflict"][0]["port"].to_string()),
        (&"web".into(), port)
    );
    assert_processes(&said, &[SOCKETS]);
    pports(&scene, ["--conflicts", "--expect", "1", "-q"]).run().ended(0).quiet();
    for name in ["api", "web"] {
        scene.tool("pkill-tree").arg(name).run().ended(0);
    }
}

#[test]
fn what_a_dead_service_left_on_its_port_is_a_conflict() {
    let scene = Scene::new();
    let port = free(&scene);
    let record = serve(&scene, "api", &port, true);
    let root = Id::in_record(&record).expect("an identity");
    scene.tool("pkill-tree").args(["--only", "--force", &root.operand()]).run();
    crate::support::wait::wait_dead(SOON, &[root]);
    let said = pports(&scene, ["--conflicts"]).run().ended(1);
    assert_eq!(kinds(&said.record()), ["held-by-leftover"], "{said:?}");
    for id in said.ids() {
        scene.tool("pkill-tree").arg(id.operand()).run().ended(0);
    }
    pports(&scene, ["--conflicts"]).run().ended(0);
}

#[test]
fn two_living_services_with_one_port_are_a_conflict() {
    let scene = Scene::new();
    let (actor, other) = (scene.start(["idle"]), scene.start(["idle"]));
    let entry = |id: Id| {
        let record = scene.tool("pstree-json").arg(id.operand()).run().record();
        let mut service = crate::pkill_tree::service(&record, crate::pkill_tree::now_ms());
        service["port"] = 8001.into();
        service
    };
    let services = [("one", entry(actor.root())), ("two", entry(other.root()))];
    crate::pkill_tree::write_registry_with(&scene.registry(), &services, &[]);
    let said = pports(&scene, ["--conflicts"]).run().ended(1);
    let named: Vec<Value> = said.records().into_iter().filter(|record| record["type"] == "service").collect();
    assert_eq!(named.len(), 2, "{said:?}");
    assert!(named.iter().all(|record| kinds(record) == ["named-twice"]), "{said:?}");
}

// proves: R21 R14 W22
#[test]
fn a_watcher_says_when_a_conflict_appears() {
    let scene = Scene::new();
    let (port, other) = (free(&scene), free(&scene));
    serve(&scene, "web", &port, false);
    let mut running = pports(&scene, ["--conflicts", "--watch"]).start();
    let mut told = |holder: Id, service: &str| {
        let record = running.record().expect("a record");
        assert_eq!((Id::in_record(&record), kinds(&record)), (Some(holder), vec!["held-by-another"]));
        assert_eq!(record["conflict"][0]["service"], service, "{record}");
    };
    let stranger = scene.start(["listen", &port]);
    told(stranger.root(), "web");
    // Another one on the same port is news, whether anybody looked in between or not.
    drop(stranger);
    let stranger = scene.start(["listen", &port]);
    told(stranger.root(), "web");
    // So is one on the port of a service that was registered meanwhile.
    serve(&scene, "api", &other, false);
    let second = scene.start(["listen", &other]);
    told(second.root(), "api");
    drop(running);
    for name in ["web", "api"] {
        scene.tool("pkill-tree").arg(name).run().ended(0);
    }
    for words in [&["--watch"][..], &["--conflicts", "--watch", "--expect", "0"]] {
        pports(&scene, words.iter().copied()).run().ended(2).one_message();
    }
    let said = pports(&scene, ["--conflicts", "--watch"]).reader_leaves_after(0).run();
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
}

#[test]
fn a_damaged_registry_is_no_peace() {
    let scene = Scene::new();
    let file = scene.registry();
    crate::pkill_tree::write_registry_with(&file, &[], &[]);
    std::fs::write(&file, "{").expect("written");
    pports(&scene, ["--conflicts"]).run().ended(3).one_message();
}
