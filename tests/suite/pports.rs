//! `pports`: every holder of a socket and nobody else, why one cannot be seen, and what clears a port.

mod conflicts;
mod daemons;
mod files;
mod missing;
mod narrow;
mod uvicorn;

use serde_json::Value;

use crate::support::arena::inside;
use crate::support::form::{OWNERLESS, SOCKETS, assert_form, assert_processes};
use crate::support::scene::Actor;
use crate::support::tool::{Tool, pipe};
use crate::support::wait::wait_dead;
use crate::support::{Id, Output, SOON, Scene, wait_until};

/// The tool, with words on its command line.
fn pports<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("pports").args(words)
}

/// An actor that listens, and its port.
#[track_caller]
fn listener(scene: &Scene, words: &[&str]) -> (Actor, String) {
    let actor = scene.start(["listen"].iter().chain(words));
    let port = actor.fact("port").to_string();
    (actor, port)
}

/// The processes of some records, in the order of their numbers.
fn sorted(mut ids: Vec<Id>) -> Vec<Id> {
    ids.sort_unstable();
    ids
}

/// The only socket of a record.
#[track_caller]
fn socket(record: &Value) -> &Value {
    let all = record["sockets"].as_array().unwrap_or_else(|| panic!("no sockets in {record}"));
    assert_eq!(all.len(), 1, "{record}");
    &all[0]
}

// proves: W35 W39 S35 W18
#[test]
fn a_listener_is_reported_with_its_socket_and_its_client_is_not() {
    let scene = Scene::new();
    let (actor, port) = listener(&scene, &[]);
    let mut client = scene.start(["client", &port]);
    let said = pports(&scene, [port.as_str()]).run().ended(0).quiet();
    assert_processes(&said, &[SOCKETS]);
    let record = said.record();
    assert_eq!(Id::in_record(&record), Some(actor.root()));
    let held = socket(&record);
    assert_eq!((&held["protocol"], &held["state"]), (&"tcp".into(), &"listen".into()));
    assert_eq!((&held["address"], held["port"].to_string()), (&"127.0.0.1".into(), port.clone()));
    assert_eq!(Id::in_record(&record["tree_root"]), Some(actor.root()));
    let said = pports(&scene, ["--any", &port]).run().ended(0);
    assert!(said.ids().contains(&actor.root()), "{said:?}");
    assert_eq!(said.ids().len(), 1, "the port of the client is another one: {said:?}");
    let range = format!("1..{port}/tcp");
    assert!(pports(&scene, [range.as_str()]).run().ids().contains(&actor.root()));
    assert!(pports(&scene, []).run().ids().contains(&actor.root()), "without operands, all ports");
    client.assert_untouched();
    drop(actor);
    let said = pports(&scene, [port.as_str()]).run().ended(0);
    assert!(said.stdout.is_empty(), "{said:?}");
}

#[test]
fn all_holders_of_one_socket_and_both_sockets_of_one_port_are_reported() {
    let scene = Scene::new();
    let (heirs, port) = listener(&scene, &["--heirs", "2"]);
    let said = pports(&scene, [port.as_str()]).run().ended(0);
    assert_eq!(sorted(said.ids()), sorted(heirs.ids()));
    let inodes: Vec<Value> = said.records().iter().map(|record| socket(record)["inode"].clone()).collect();
    assert!(inodes.iter().all(|inode| *inode == inodes[0]), "one socket: {said:?}");
    assert!(said.records().iter().all(|record| Id::in_record(&record["tree_root"]) == Some(heirs.root())));
    let (one, port) = listener(&scene, &["--share"]);
    let two = scene.start(["listen", "--share", &port]);
    let said = pports(&scene, [port.as_str()]).run().ended(0);
    assert_eq!(sorted(said.ids()), sorted(vec![one.root(), two.root()]));
    let records = said.records();
    assert_ne!(socket(&records[0])["inode"], socket(&records[1])["inode"], "two sockets: {said:?}");
}

#[test]
fn udp_and_both_families_are_told_apart() {
    let scene = Scene::new();
    let (udp, port) = listener(&scene, &["udp:0"]);
    let said = pports(&scene, [port.as_str()]).run().ended(0);
    assert_eq!((said.ids(), &socket(&said.record())["state"]), (vec![udp.root()], &"bound".into()));
    for words in [vec!["--tcp", &port], vec![&*format!("{port}/tcp")], vec!["-6", &port]] {
        let said = pports(&scene, words.clone()).run().ended(0);
        assert!(said.stdout.is_empty(), "{words:?}: {said:?}");
    }
    for words in [vec!["--udp", &port], vec![&*format!("{port}/udp")], vec!["-4", &port]] {
        assert_eq!(pports(&scene, words).run().ended(0).ids(), [udp.root()]);
    }
    let (both, port) = listener(&scene, &["v6:0"]);
    for words in [[port.as_str(), "--ipv4"], [port.as_str(), "--ipv6"]] {
        let said = pports(&scene, words).run().ended(0);
        assert_eq!(said.ids(), [both.root()], "it is for both families");
        let (record, held) = (said.record(), "::");
        assert_eq!(
            (&socket(&record)["address"], &socket(&record)["dual_stack"]),
            (&held.into(), &true.into())
        );
    }
}

#[test]
fn unix_sockets_with_hostile_names_are_found_by_them() {
    let scene = Scene::new();
    let path = scene.home().join("a b\n{\"pid\":1}\u{1b}[2J");
    let (text, name) = (path.to_str().expect("utf-8"), format!("x \u{9b}{}\u{202e}", std::process::id()));
    let at_path = scene.start(["listen", &format!("unix:{text}")]);
    let at_name = scene.start(["listen", &format!("abstract:{name}")]);
    let said = pports(&scene, [text]).run().ended(0).quiet();
    assert_eq!((said.ids(), &socket(&said.record())["path"]), (vec![at_path.root()], &text.into()));
    assert_processes(&said, &[SOCKETS]);
    let said = pports(&scene, [format!("@{name}").as_str()]).run().ended(0).quiet();
    assert_eq!(
        (said.ids(), &socket(&said.record())["abstract"]),
        (vec![at_name.root()], &name.clone().into())
    );
    assert!(!said.stdout.windows(2).any(|pair| pair == "\u{9b}".as_bytes()), "no control passes: {said:?}");
    let said = pports(&scene, ["--unix", "--format", "table"]).run();
    assert!(!said.text().contains(['\u{1b}', '\u{9b}']), "{said:?}");
    let all = pports(&scene, ["--unix"]).run();
    assert!(all.ids().contains(&at_path.root()) && all.ids().contains(&at_name.root()));
    assert!(pports(&scene, []).run().ids().iter().all(|id| *id != at_path.root()), "ports are TCP and UDP");
}

#[test]
fn the_tables_of_proc_stand_in_where_netlink_is_forbidden() {
    let scene = Scene::new();
    let (heirs, port) = listener(&scene, &["--heirs", "1"]);
    let (udp, other) = listener(&scene, &["udp:0"]);
    let path = scene.home().join("s").display().to_string();
    let unix = scene.start(["listen", &format!("unix:{path}")]);
    let strict = |words: &[&str]| pports(&scene, words.iter().copied()).under(["--no-netlink"]).run();
    let (one, two) = (pports(&scene, [port.as_str()]).run().ended(0), strict(&[&port]).ended(0).quiet());
    assert_eq!(
        (sorted(two.ids()), socket(&one.records()[0])),
        (sorted(heirs.ids()), socket(&two.records()[0]))
    );
    assert_eq!(strict(&[&other]).ended(0).ids(), [udp.root()]);
    assert_eq!(strict(&[&path]).ended(0).ids(), [unix.root()]);
    strict(&["--check", &port]).ended(0);
}

// proves: W55 W13
#[test]
fn check_answers_by_its_exit_code_alone() {
    let scene = Scene::new();
    let (actor, port) = listener(&scene, &[]);
    let free = scene.start(["listen"]);
    let other = free.fact("port").to_string();
    drop(free);
    let check = |words: &[&str]| pports(&scene, ["--check"]).args(words).run();
    for (words, code) in [
        (vec![port.as_str()], 0),
        (vec![&other], 1),
        (vec![&port, &other], 1),
        (vec![&port, &port], 0),
        (vec!["--udp", &port], 1),
    ] {
        let said = check(&words).ended(code).quiet();
        assert!(said.stdout.is_empty(), "{said:?}");
    }
    // Anybody may ask, whoever holds it.
    pports(&scene, ["--check", &port]).under(["--uid", "65534"]).run().ended(0);
    let pattern = ["--pattern", "no such process"];
    check(&[&port, pattern[0], pattern[1]]).ended(1);
    check(&[&port, "--pattern", "actor listen"]).ended(0);
    check(&[]).ended(2).one_message();
    drop(actor);
    check(&[&port]).ended(1);
}

// proves: W49
#[test]
fn the_first_free_port_is_one_that_can_be_had() {
    let scene = Scene::new();
    let (_actor, port) = listener(&scene, &[]);
    let taken: u16 = port.parse().expect("a port");
    let range = format!("{taken}..{}", taken.saturating_add(50));
    let said = pports(&scene, ["--first-free", &range]).run().ended(0).quiet();
    let free: u16 = said.text().trim_end().parse().expect("a number alone");
    assert!(free > taken, "{said:?}");
    let heir = scene.start(["listen", &free.to_string()]);
    let next = pports(&scene, ["--first-free", &range]).run().ended(0);
    assert_ne!(next.text().trim_end(), free.to_string());
    drop(heir);
    let said = pports(&scene, ["--first-free", &port]).run().ended(1);
    said.one_message();
    assert!(said.stdout.is_empty(), "{said:?}");
    for wrong in ["0", "x", "9..8", ""] {
        pports(&scene, ["--first-free", wrong]).run().ended(2).one_message();
    }
    pports(&scene, ["--first-free", "1..2", "8001"]).run().ended(2).one_message();
}

#[test]
fn a_port_that_a_living_service_was_given_is_not_free() {
    let scene = Scene::new();
    let (actor, port) = listener(&scene, &[]);
    drop(actor);
    let spawned = scene.tool("pspawn").args(["api", "--port", &port, "--", "sleep", "1000"]).run().ended(0);
    let range = format!("{port}..65535");
    let said = pports(&scene, ["--first-free", &range]).run().ended(0);
    assert_ne!(said.text().trim_end(), port, "{said:?}");
    let id = Id::in_record(&spawned.record()).expect("an identity");
    scene.tool("pkill-tree").arg(id.operand()).run().ended(0);
    let said = pports(&scene, ["--first-free", &range]).run().ended(0);
    assert_eq!(said.text().trim_end(), port, "{said:?}");
}

// proves: W11 W31
#[test]
fn the_pipeline_clears_a_port_and_leaves_its_client_alone() {
    inside(|| {
        let scene = Scene::new();
        let (heirs, port) = listener(&scene, &["--heirs", "3"]);
        let mut client = scene.start(["client", &port, "--on-term", "tell"]);
        let beside = scene.start(["listen"]);
        let ended =
            pipe([pports(&scene, [port.as_str()]), scene.tool("pkill-tree").args(["--retries", "3"])]);
        assert!(ended.iter().all(|output| output.code == Some(0)), "{ended:?}");
        wait_dead(SOON, &heirs.ids());
        pports(&scene, ["--check", &port]).run().ended(1);
        client.assert_untouched();
        assert!(beside.root().alive());
    });
}

#[test]
fn a_record_says_what_its_process_belongs_to() {
    let scene = Scene::new();
    let actor = crate::support::actor_program().display().to_string();
    let script = format!("{actor} listen 0 --same-session --outlive 60 > line & wait");
    let spawn = scene.tool("pspawn").args(["api", "--cwd", &scene.home().display().to_string()]);
    let spawned = spawn.args(["--", "sh", "-c", &script]).run().ended(0).record();
    let line = scene.home().join("line");
    let mut port = String::new();
    wait_until(SOON, "it listens", || {
        let text = std::fs::read_to_string(&line).unwrap_or_default();
        let line: Value = serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_default();
        port = line["port"].to_string();
        line["port"].is_u64()
    });
    let said = pports(&scene, [port.as_str()]).run().ended(0);
    let record = said.record();
    assert_eq!((&record["service"], &record["scope"]), (&"api".into(), &"global".into()));
    assert_eq!(Id::in_record(&record["tree_root"]), Id::in_record(&spawned), "the registered one");
    assert_processes(&said, &[SOCKETS]);
    assert_eq!(pports(&scene, ["--service", "api"]).run().ended(0).ids(), said.ids());
    assert!(pports(&scene, ["--service", "web"]).run().stdout.is_empty());
    scene.tool("pkill-tree").arg("api").run().ended(0);
}

#[test]
fn a_socket_without_owner_is_of_its_own_form() {
    let scene = Scene::new();
    let (closed, _) = (scene.start(["time-wait"]), 0);
    let port = closed.fact("port").to_string();
    let said: Output = pports(&scene, ["--any", &port]).run().ended(0);
    assert_form(&said, "socket", &[OWNERLESS]);
    assert!(!said.records().is_empty());
}
