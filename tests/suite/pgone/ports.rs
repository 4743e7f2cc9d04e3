//! Ports that are to be free, and stay so; or to be held.

use nix::sys::signal::Signal;

use super::{assert_waits, outcome, pgone};
use crate::support::arena::inside;
use crate::support::form::assert_outcomes;
use crate::support::tool::pipe;
use crate::support::wait::wait_dead;
use crate::support::{SOON, Scene};

// proves: W11 W18
#[test]
fn a_port_is_waited_for_until_nobody_listens() {
    let scene = Scene::new();
    let actor = scene.start(["listen", "--heirs", "1"]);
    let port = actor.fact("port").to_string();
    let mut client = scene.start(["client", &port]);
    for limits in [&["--nofile", "1000"][..], &["--no-netlink"], &["--uid", "65534"]] {
        let said = pgone(&scene, ["--port", &port, "-t", "100ms", "-q"]).under(limits).run();
        assert_eq!(said.code, Some(124), "{limits:?}: {said:?}");
    }
    let said = pgone(&scene, ["--port", &port, "-t", "100ms"]).run().ended(124);
    assert_eq!(said.ids().len(), 2, "each holder is left: {said:?}");
    assert!(said.records().iter().all(|record| outcome(record) == "held"), "{said:?}");
    assert_outcomes(&said);
    let mut tool = pgone(&scene, ["--port", &port]).start();
    assert_waits(&mut tool);
    actor.root().signal(Signal::SIGKILL);
    wait_dead(SOON, &[actor.root()]);
    assert_waits(&mut tool);
    actor.one("heir").signal(Signal::SIGKILL);
    let said = tool.finish().ended(0).quiet();
    let record = said.record();
    assert_eq!((outcome(&record), record["port"].to_string()), ("free", port));
    assert_outcomes(&said);
    client.assert_untouched();
}

#[test]
fn without_permission_a_port_is_held_all_the_same() {
    let scene = Scene::new();
    let actor = scene.start(["listen"]);
    let port = actor.fact("port").to_string();
    let said = pgone(&scene, ["--port", &port, "-t", "50ms"]).under(["--uid", "65534"]).run();
    let record = said.record();
    assert_eq!((outcome(&record), &record["owner"]), ("held", &"not-permitted".into()), "{said:?}");
    assert_outcomes(&said);
}

#[test]
fn a_port_has_to_stay_free_for_as_long_as_it_is_told() {
    let scene = Scene::new();
    let actor = scene.start(["listen"]);
    let port = actor.fact("port").to_string();
    drop(actor);
    let mut tool = pgone(&scene, ["--port", &port, "--settle", "1s"]).start();
    let taken = scene.start(["listen", &port]);
    assert_waits(&mut tool);
    drop(taken);
    let said = tool.finish().ended(0);
    assert!(said.elapsed.as_millis() >= 1400, "it began anew: {said:?}");
    let said = pgone(&scene, ["--port", &port, "--settle", "10s", "-t", "50ms"]).run().ended(124);
    assert_eq!(outcome(&said.record()), "unsettled");
    assert_outcomes(&said);
}

#[test]
fn ready_waits_for_somebody_who_listens_on_every_port_of_a_range() {
    let scene = Scene::new();
    let actor = scene.start(["listen"]);
    let port = actor.fact("port").to_string();
    drop(actor);
    let mut tool = pgone(&scene, ["--ready", "--port", &format!("{port}/tcp")]).start();
    assert_waits(&mut tool);
    let _taken = scene.start(["listen", &port]);
    let said = tool.finish().ended(0).quiet();
    assert_eq!((outcome(&said.record()), &said.record()["protocol"]), ("ready", &"tcp".into()));
    let range = format!("1..{port}");
    let said = pgone(&scene, ["--ready", "--port", &range, "-t", "50ms"]).run().ended(124);
    assert_eq!(outcome(&said.records()[0]), "missing");
    assert_outcomes(&said);
    let range = format!("{port}..{port}");
    pgone(&scene, ["--ready", "--port", &range]).run().ended(0);
}

#[test]
fn the_whole_line_clears_a_port_and_makes_sure() {
    inside(|| {
        let scene = Scene::new();
        let heirs = scene.start(["listen", "--heirs", "2"]);
        let port = heirs.fact("port").to_string();
        let mut client = scene.start(["client", &port, "--on-term", "tell"]);
        let line =
            format!("pports {port} | pkill-tree --retries 3 && pgone --port {port} --settle 100ms -t 20s");
        let said = scene.sh(&line).run().ended(0);
        assert_eq!(outcome(said.records().last().expect("records")), "free", "{said:?}");
        assert!(heirs.living().is_empty());
        client.assert_untouched();
        // Nobody there: the same line does nothing, and is content.
        scene.sh(&line).run().ended(0);
    });
}

#[test]
fn outcomes_of_one_tool_are_the_input_of_the_next() {
    let scene = Scene::new();
    let actor = scene.start(["listen"]);
    let port = actor.fact("port").to_string();
    let tools = [
        scene.tool("pports").arg(&port),
        scene.tool("pkill-tree").arg("--force"),
        pgone(&scene, ["-", "--port", &port, "-t", "20s"]),
    ];
    let said = pipe(tools);
    assert_eq!(said[2].code, Some(0), "{said:?}");
    let words: Vec<String> = said[2].records().iter().map(|record| outcome(record).to_owned()).collect();
    assert!(words.contains(&"free".to_owned()) && words.len() == 2, "{said:?}");
}
