//! Ports and sockets: a connection alone proves nothing.

use nix::sys::signal::Signal;
use serde_json::json;

use super::{entry, free_port, kill, measured, phealth, save, spawn, verdict};
use crate::support::process::Id;
use crate::support::{SOON, Scene, wait_until};

#[test]
// proves: M15 P25
fn a_service_that_accepts_on_its_port_is_healthy() {
    let scene = Scene::new();
    let (four, six) = (scene.start(["serve", "0", "220 ready"]), scene.start(["serve", "[::1]:0"]));
    save(&scene, "four", four.root(), &[]);
    save(&scene, "six", six.root(), &[]);
    let port = |name: &str| if name == "four" { four.fact("port") } else { six.fact("port") }.to_string();
    for name in ["four", "six"] {
        let record = phealth(&scene, &[name, "--port", &port(name)]).ended(0).quiet().record();
        let found = measured(&record, "port");
        assert_eq!((&found["on"], &found["health"]), (&json!(port(name)), &json!("healthy")));
        assert!(found["elapsed_ms"].is_u64() && found["pid"] == record["pid"], "{found}");
    }
    phealth(&scene, &["four", "--port", &port("four"), "--banner", "ready"]).ended(0);
    let said = phealth(&scene, &["four", "--port", &port("four"), "--banner", "HTTP", "--within", "200ms"]);
    let (health, why) = verdict(&said.ended(1));
    assert!(health == "unhealthy" && why.contains("it says '220 ready', not 'HTTP'"), "{why}");
    let free = free_port(&scene);
    let (health, why) = verdict(&phealth(&scene, &["four", "--port", &free]).ended(1));
    assert!(health == "unhealthy" && why.contains("nobody listens"), "{why}");
    // All that is asked for must hold.
    phealth(&scene, &["four", "--port", &port("four"), "--port", &free]).ended(1);
}

#[test]
// proves: P25 M15
fn a_hung_service_is_told_by_its_port_alone() {
    let scene = Scene::new();
    let (server, deaf) = (scene.start(["serve"]), scene.start(["listen"]));
    save(&scene, "api", server.root(), &["--health", &format!("port:{}", server.fact("port"))]);
    save(&scene, "deaf", deaf.root(), &["--health", &format!("port:{}", deaf.fact("port"))]);
    phealth(&scene, &["api"]).ended(0);
    // It is stopped, or busy for ever: the kernel goes on completing connections for it.
    assert!(server.root().signal(Signal::SIGSTOP));
    wait_until(SOON, "it is stopped", || server.root().state() == Some('T'));
    for name in ["api", "deaf"] {
        let said = phealth(&scene, &[name, "--within", "300ms"]).ended(1);
        let record = said.record();
        assert_eq!((&record["health"], &record["alive"]), (&json!("unhealthy"), &json!("alive")));
        assert_eq!(measured(&record, "identity")["health"], "healthy");
        assert!(verdict(&said).1.contains("accepts nobody"), "{said:?}");
    }
    assert!(server.root().signal(Signal::SIGCONT));
    phealth(&scene, &["api"]).ended(0);
}

#[test]
// proves: R05
fn a_stranger_on_the_port_is_not_the_service() {
    let scene = Scene::new();
    let (service, stranger) = (scene.start(["idle"]), scene.start(["serve", "0", "OK"]));
    let port = stranger.fact("port").to_string();
    save(&scene, "api", service.root(), &[]);
    let said = phealth(&scene, &["api", "--port", &port, "--banner", "OK"]).ended(1);
    let (health, why) = verdict(&said);
    assert_eq!(health, "unhealthy");
    assert!(why.contains(&format!("process {} (actor)", stranger.root().pid)), "{why}");
    save(&scene, "theirs", stranger.root(), &[]);
    phealth(&scene, &["theirs", "--port", &port, "--banner", "OK"]).ended(0);
}

#[test]
// proves: P10
fn a_wrapper_that_forked_its_server_and_ended_is_judged_by_the_server() {
    let scene = Scene::new();
    let port = free_port(&scene);
    let started = spawn(&scene, "api", &["--port", &port], &["serve", &port, "--forked"]).run().ended(0);
    let wrapper = Id::in_record(&started.record()).expect("an identity");
    wait_until(SOON, "its end", || !wrapper.alive());
    let said = phealth(&scene, &["api", "--wait", "--timeout", "20s"]).ended(0);
    let record = said.record();
    assert_eq!((&record["alive"], &record["health"]), (&json!("dead"), &json!("healthy")));
    let server = measured(&record, "port")["pid"].as_u64().expect("a process");
    assert!(verdict(&said).1.contains(&format!("does its work (process {server})")), "{said:?}");
    // Without a check that shows work, its process is all there is.
    let entry = entry(&scene, "api");
    assert_eq!(entry["port"].to_string(), port);
    let blind = scene.tool("pstree-json").arg(server.to_string()).run().record();
    kill(Id::in_record(&blind).expect("the server"));
    let (health, why) = verdict(&phealth(&scene, &["api"]).ended(1));
    assert!(health == "dead" && !why.contains("live on"), "{why}");
}

#[test]
fn a_port_that_is_held_after_the_death_of_its_service_shows_no_work() {
    let scene = Scene::new();
    let port = free_port(&scene);
    let options = ["--port", port.as_str(), "--health", "within:300ms"];
    let started = spawn(&scene, "api", &options, &["deaf", &port, "--forked"]).run().ended(0);
    let service = Id::in_record(&started.record()).expect("an identity");
    wait_until(SOON, "its end", || !service.alive());
    let left = || scene.carriers().into_iter().find(|id| *id != service);
    wait_until(SOON, "its child", || left().is_some());
    let said = phealth(&scene, &["api"]).ended(1);
    let (health, why) = verdict(&said);
    assert_eq!(health, "dead");
    let holder = left().expect("its child");
    assert!(why.contains(&format!("process {} (actor) still holds port {port}", holder.pid)), "{why}");
    // The record leads to what is left.
    scene.sh("phealth --unhealthy | pkill-tree --quiet").run();
    wait_until(SOON, "its end", || !holder.alive());
}

#[test]
fn unix_sockets_are_checked_likewise() {
    let scene = Scene::new();
    let path = |name: &str| scene.home().join(name).display().to_string();
    let (one, two) = (path("one.sock"), path("two.sock"));
    let (server, stranger) = (scene.start(["serve", &one, "hello"]), scene.start(["serve", &two]));
    save(&scene, "api", server.root(), &["--health", &format!("socket:{one}"), "--health", "banner:hello"]);
    let record = phealth(&scene, &["api"]).ended(0).record();
    assert_eq!(measured(&record, "socket")["pid"], server.root().pid);
    let ill = |words: &[&str], part: &str| {
        let said = phealth(&scene, &[&["api", "--within", "300ms"], words].concat()).ended(1);
        let (health, why) = verdict(&said);
        assert!(health == "unhealthy" && why.contains(part), "{words:?}: {why}");
    };
    ill(&["--banner", "other"], "it says 'hello', not 'other'");
    ill(&["--socket", &two], &format!("process {}", stranger.root().pid));
    ill(&["--socket", &path("none.sock")], "there is no such socket");
    drop(stranger);
    ill(&["--socket", &two], "nobody listens on it");
    assert!(server.root().signal(Signal::SIGSTOP));
    ill(&[], "it says nothing");
}
