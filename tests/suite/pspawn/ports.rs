//! The port of a service: said when it is taken, moved, or cleared.

use std::collections::BTreeSet;

use super::{entry, members, runs, shell, spawn, told, waits};
use crate::support::wait::wait_dead;
use crate::support::{SOON, Scene};

// proves: W30 W49
#[test]
fn a_taken_port_is_said_moved_or_cleared() {
    let scene = Scene::new();
    let stranger = scene.start(["listen"]);
    let port = stranger.fact("port").to_string();
    let said = spawn(&scene, "api", &["--port", &port], waits()).run().ended(1);
    let message = said.one_message();
    for word in [port.as_str(), &format!("pkill-tree {}", stranger.root().operand()), "--port-if-taken"] {
        assert!(message.contains(word), "{word} is missing: {message}");
    }
    assert!(entry(&scene, "api").is_null());
    let text = told(&scene, &["--port", &port, "--port-if-taken", "next"], "echo $PORT");
    let next: u16 = text.lines().next().expect("a line").parse().expect("a port");
    assert!(next > port.parse().expect("a port"));
    assert_eq!(entry(&scene, "teller")["port"], next);
    assert!(stranger.root().alive());
    let record = spawn(&scene, "api", &["--port", &port, "--port-if-taken", "clear"], waits());
    let record = record.run().ended(0).said("1 ended").record();
    assert_eq!(record["port"].to_string(), port);
    runs(&record);
    wait_dead(SOON, &[stranger.root()]);
}

#[test]
fn a_port_that_a_living_service_was_given_is_not_given_again() {
    let scene = Scene::new();
    let free = {
        let listener = scene.start(["listen"]);
        listener.fact("port").to_string()
    };
    let options = ["--port", free.as_str(), "--port-if-taken", "next"];
    let one = spawn(&scene, "one", &options, waits()).run().ended(0).record();
    let two = spawn(&scene, "two", &options, waits()).run().ended(0).record();
    assert_ne!(one["port"], two["port"]);
}

#[test]
fn of_many_starters_at_once_no_two_get_the_same_port() {
    let scene = Scene::new();
    let free = {
        let listener = scene.start(["listen"]);
        listener.fact("port").to_string()
    };
    let options = ["--port", free.as_str(), "--port-if-taken", "next"];
    for round in 0..3 {
        let names: Vec<String> = (0..12).map(|number| format!("s{round}-{number}")).collect();
        let running: Vec<_> =
            names.iter().map(|name| spawn(&scene, name, &options, waits()).start()).collect();
        let ports: BTreeSet<u64> = running
            .into_iter()
            .map(|running| running.finish().ended(0).record()["port"].as_u64().expect("a port"))
            .collect();
        assert_eq!(ports.len(), 12, "{ports:?}");
        let told = names.iter().map(|name| {
            let id = members(&scene, name)[0];
            let environ = std::fs::read(format!("/proc/{}/environ", id.pid)).expect("alive");
            let port = environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"PORT="));
            String::from_utf8_lossy(port.expect("a port")).parse().expect("a number")
        });
        assert_eq!(told.collect::<BTreeSet<u64>>(), ports, "each is told of its own");
        scene.tool("pkill-tree").args(&names).run().ended(0);
    }
}

#[test]
fn where_no_port_is_free_nothing_is_started() {
    let scene = Scene::new();
    // The last port: there is none after it.
    let stranger = scene.start(["listen", "65535"]);
    let options = ["--port", "65535", "--port-if-taken", "next"];
    let said = spawn(&scene, "api", &options, waits()).run().ended(1);
    assert!(said.one_message().contains("choose port: 65535"), "{said:?}");
    assert!(entry(&scene, "api").is_null() && stranger.root().alive());
}

#[test]
fn a_port_is_kept_over_a_replacement() {
    let scene = Scene::new();
    let free = {
        let listener = scene.start(["listen"]);
        listener.fact("port").to_string()
    };
    let actor = crate::support::actor_program().display().to_string();
    let listen = || shell(&format!("exec {actor} listen \"$PORT\" --outlive 60"));
    let ready = format!("port:{free}");
    let options = ["--port", &free, "--replace", "--ready", &ready];
    for _ in 0..3 {
        spawn(&scene, "api", &options, listen()).run().ended(0);
        assert_eq!(members(&scene, "api").len(), 1);
    }
}
