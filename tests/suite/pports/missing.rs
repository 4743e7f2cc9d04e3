//! Sockets whose owner is not seen: each case is proved and said, and none is "free".

use super::{listener, pports, socket, sorted};
use crate::support::arena::inside;
use crate::support::form::{OWNERLESS, SOCKETS, assert_form, assert_processes};
use crate::support::{SOON, Scene, skip, wait_until};

/// A user without rights.
const NOBODY: [&str; 2] = ["--uid", "65534"];

#[test]
fn without_permission_a_port_is_not_free_but_not_looked_at() {
    let scene = Scene::new();
    let (_actor, port) = listener(&scene, &[]);
    let said = pports(&scene, [port.as_str()]).under(NOBODY).run().ended(3);
    assert_form(&said, "socket", &[OWNERLESS]);
    let record = said.record();
    assert_eq!((&record["owner"], record["port"].to_string()), (&"not-permitted".into(), port.clone()));
    assert!(said.one_message().contains("may not be read"), "{said:?}");
    let said = pports(&scene, [port.as_str(), "--expect", "0", "-q"]).under(NOBODY).run();
    assert_eq!(said.code, Some(3), "what could not be seen is no zero: {said:?}");
    // It sees its own all the same.
    let own = scene.tool("pports").args(["--user", "65534", "--tcp"]).under(NOBODY).run();
    assert!(matches!(own.code, Some(0 | 3)), "{own:?}");
}

// proves: W48
#[test]
fn what_is_held_by_another_user_is_found_however_it_came_there() {
    let scene = Scene::new();
    let inherited = scene.start(["listen", "--heirs", "1", "--uid", "65534"]);
    let port = inherited.fact("port").to_string();
    let said = pports(&scene, [port.as_str()]).run().ended(0);
    assert_eq!(sorted(said.ids()), sorted(inherited.ids()));
    assert_eq!(said.about(inherited.one("heir"))["uid"], 65534);
    assert_eq!(socket(&said.about(inherited.one("heir")))["uid"], 0, "who made it");
    let passed = scene.start(["hand-over", "0", "--uid", "65534"]);
    let taker = passed.members.iter().find(|member| member.role == "taker").expect("a taker");
    let port = taker.line["port"].to_string();
    let said = pports(&scene, [port.as_str()]).run().ended(0);
    assert_eq!(said.ids(), [taker.id], "the giver has closed its own");
    assert_processes(&said, &[SOCKETS]);
}

#[test]
fn a_closed_listener_leaves_its_address_in_time_wait_and_that_is_said() {
    let scene = Scene::new();
    let closed = scene.start(["time-wait"]);
    let port = closed.fact("port").to_string();
    let said = pports(&scene, [port.as_str()]).run().ended(0).said("time-wait");
    assert!(said.stdout.is_empty(), "nobody listens: {said:?}");
    pports(&scene, ["-q", &port]).run().ended(0).quiet();
    let said = pports(&scene, ["--any", &port]).run().ended(0).quiet();
    let record = said.record();
    assert_eq!((&record["owner"], &record["state"]), (&"time-wait".into(), &"time-wait".into()));
    assert!(record.get("inode").is_none());
    pports(&scene, ["--check", &port]).run().ended(1);
    let said = pports(&scene, ["--first-free", &format!("{port}..65535")]).run().ended(0);
    assert_ne!(said.text().trim_end(), port, "a server that does not set SO_REUSEADDR could not have it");
}

#[test]
fn a_connection_that_nobody_has_accepted_has_no_owner() {
    let scene = Scene::new();
    let (actor, port) = listener(&scene, &[]);
    let _client = scene.start(["client", &port]);
    let said = pports(&scene, ["--any", &port]).run().ended(0);
    let records = said.records();
    let waiting: Vec<_> = records.iter().filter(|record| record["type"] == "socket").collect();
    assert_eq!(waiting.len(), 1, "{said:?}");
    assert_eq!((&waiting[0]["owner"], &waiting[0]["state"]), (&"unaccepted".into(), &"established".into()));
    assert_eq!(said.ids(), [actor.root()]);
}

#[test]
fn a_holder_outside_of_the_pid_namespace_is_another_case_than_no_permission() {
    let scene = Scene::new();
    let (_actor, port) = listener(&scene, &[]);
    let script = format!("unshare --pid --fork --mount-proc --kill-child -- sh -c 'pports {port}; exit $?'");
    let looked = scene.sh(&script).run();
    if looked.stderr.contains("unshare") {
        return skip("no private pid namespace");
    }
    let looked = looked.ended(0);
    assert_form(&looked, "socket", &[OWNERLESS]);
    assert_eq!(looked.record()["owner"], "other-namespace");
}

// proves: W22
#[test]
fn other_network_namespaces_are_looked_at_on_request() {
    inside(|| {
        let scene = Scene::new();
        let actor = crate::support::actor_program().display().to_string();
        let script = format!("unshare -n -- sh -c 'ip link set lo up 2>/dev/null; exec {actor} listen v4:0'");
        let mut shell = scene.sh(&script).stdin_open().start();
        let Some(line) = shell.record() else { return skip("no private network namespace") };
        let port = line["port"].to_string();
        wait_until(SOON, "it is there", || shell.runs());
        let said = pports(&scene, [port.as_str()]).run().ended(0);
        assert!(said.stdout.is_empty(), "the port is free here: {said:?}");
        let said = pports(&scene, ["--all-namespaces", &port]).run().ended(0).quiet();
        let record = said.record();
        assert_eq!(record["pid"], line["pid"]);
        assert!(socket(&record)["net_ns"].is_u64(), "{record}");
        assert_processes(&said, &[SOCKETS]);
        shell.close();
        shell.finish();
    });
}

#[test]
fn the_port_of_a_container_is_recognised_by_its_proxy() {
    let scene = Scene::new();
    let (free, port) = listener(&scene, &[]);
    drop(free);
    // docker-proxy as it is called; the actor is told by its environment what to play.
    let options = ["-proto", "tcp", "-host-ip", "0.0.0.0", "-host-port", &port];
    let inner = ["-container-ip", "172.17.0.2", "-container-port", "80"];
    let proxy = scene
        .actor(options.iter().chain(&inner))
        .env("ACTOR_AS", format!("listen v4:{port} --comm docker-proxy"))
        .called("/usr/bin/docker-proxy")
        .start();
    let said = pports(&scene, [port.as_str()]).run().ended(0).quiet();
    assert_eq!(said.ids(), [proxy.root()]);
    let to = &said.record()["publishes"];
    assert_eq!((&to["address"], &to["port"]), (&"172.17.0.2".into(), &80.into()), "{said:?}");
    assert_processes(&said, &[SOCKETS]);
    // Who may not look into it still learns what it is.
    let said = pports(&scene, [port.as_str()]).under(NOBODY).run().ended(0).quiet();
    let record = said.record();
    assert_eq!(record["owner"], "docker-proxy");
    assert!(record["why"].as_str().expect("a reason").contains("172.17.0.2"), "{record}");
}

#[test]
fn hidden_processes_make_no_port_free() {
    inside(|| {
        let scene = Scene::new();
        let (_actor, port) = listener(&scene, &[]);
        let mounted = std::process::Command::new("mount")
            .args(["-o", "remount,hidepid=2", "/proc"])
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            return skip("no /proc with hidepid");
        }
        let said = pports(&scene, [port.as_str()]).under(NOBODY).run().ended(3);
        let record = said.record();
        assert_eq!(record["owner"], "not-permitted", "{said:?}");
        assert!(record["why"].as_str().expect("a reason").contains("hidepid"), "{record}");
    });
}
