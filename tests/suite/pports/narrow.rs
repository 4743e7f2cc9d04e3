//! Selectors, records, snapshots and expectations narrow what is reported, and never turn "could not look" into "none".

use super::{listener, pports, sorted};
use crate::support::form::{OWNERLESS, SOCKETS, assert_form, assert_processes};
use crate::support::tool::pipe;
use crate::support::{Id, Scene};

#[test]
fn each_selector_narrows() {
    let scene = Scene::new();
    let folder = scene.home().join("project");
    std::fs::create_dir(&folder).expect("a folder");
    let one = scene.actor(["listen"]).cwd(&folder).env("MARK_OF_ONE", "1").start();
    let (_two, other) = listener(&scene, &[]);
    let port = one.fact("port").to_string();
    let project = folder.display().to_string();
    let with = |words: &[&str]| pports(&scene, [port.as_str(), &other]).args(words).run().ended(0);
    for words in [&["--project", &project][..], &["--cwd", &project], &["--env", "MARK_OF_ONE=1"]] {
        let said = with(words);
        assert_eq!(said.ids(), [one.root()], "{words:?}: {said:?}");
    }
    for words in [
        &["--pattern", "actor listen"][..],
        &["--exe", "actor"],
        &["--user", "0"],
        &["--all-users"],
        &["--min-age", "0s"],
        &[],
    ] {
        assert_eq!(with(words).ids().len(), 2, "{words:?}");
    }
    for words in [
        &["--pattern", "vitest"][..],
        &["--user", "65534"],
        &["--min-age", "1h"],
        &["--service", "api"],
        &["--session", "s"],
        &["--patterns-from", "node-dev"],
    ] {
        assert!(with(words).stdout.is_empty(), "{words:?}");
    }
    pports(&scene, ["--project", "/no/such/folder"]).run().ended(2).one_message();
}

// proves: W40 W41
#[test]
fn an_expectation_makes_it_a_gate() {
    let scene = Scene::new();
    let (_actor, port) = listener(&scene, &[]);
    pports(&scene, [port.as_str(), "--expect", "1", "-q"]).run().ended(0).quiet();
    let said = pports(&scene, [port.as_str(), "--expect", "0", "-q"]).run().ended(1);
    said.one_message();
    assert!(said.stdout.is_empty(), "{said:?}");
}

#[test]
fn records_of_standard_input_are_looked_into_and_keep_their_fields() {
    let scene = Scene::new();
    let (actor, port) = listener(&scene, &["--heirs", "1"]);
    let (_other, _) = listener(&scene, &[]);
    let heir = actor.one("heir");
    let mut record = scene.tool("pstree-json").arg(heir.operand()).run().record();
    record["mine"] = "kept".into();
    let said = pports(&scene, ["-"]).records([&record]).run().ended(0).quiet();
    assert_eq!((said.ids(), &said.record()["mine"]), (vec![heir], &"kept".into()));
    assert_eq!(said.record()["sockets"][0]["port"].to_string(), port);
    // A bare number and PID:INODE name a process, too; one that holds nothing gives no record.
    let idle = scene.start(["idle"]);
    let lines = format!("{}\n{}\n{}\n", actor.root().pid, heir.operand(), idle.root().pid);
    let said = pports(&scene, ["-"]).stdin(lines).run().ended(0).quiet();
    assert_eq!(sorted(said.ids()), sorted(vec![actor.root(), heir]));
    record["pidfd_inode"] = 1.into();
    let said = pports(&scene, ["-"]).records([&record]).run().ended(0);
    assert!(said.stdout.is_empty(), "it is another process: {said:?}");
    let said = pports(&scene, ["-"])
        .stdin(format!("{}\n", actor.root().pid))
        .under(["--uid", "65534"])
        .run()
        .ended(3);
    assert!(said.stderr.contains("not permitted") && said.stdout.is_empty(), "{said:?}");
}

#[test]
fn a_saved_look_gives_the_same_answer() {
    let scene = Scene::new();
    let (heirs, port) = listener(&scene, &["--heirs", "1"]);
    let (_udp, other) = listener(&scene, &["udp:0"]);
    let closed = scene.start(["time-wait"]);
    let third = closed.fact("port").to_string();
    let file = scene.home().join("saved");
    let live = |words: &[&str]| pports(&scene, words.iter().copied()).run().ended(0);
    let saved = live(&["--any", &port, &other, &third]);
    std::fs::write(&file, &saved.stdout).expect("written");
    let name = file.to_str().expect("a plain name");
    let from = |words: &[&str]| pports(&scene, ["--from", name]).args(words).run();
    let again = from(&["--any"]).ended(0).quiet();
    assert_eq!(again.records(), saved.records());
    for words in
        [&[port.as_str()][..], &["--udp"], &["--any", &third], &["--pattern", "udp:0"], &["--user", "1"]]
    {
        let (then, now) = (from(words).ended(0), pports(&scene, words.iter().copied()).run());
        let now: Vec<Id> = now.ids().into_iter().filter(|id| saved.ids().contains(id)).collect();
        assert_eq!(then.ids(), now, "{words:?}");
    }
    from(&["--check", &port]).ended(0);
    from(&["--check", "1"]).ended(1);
    from(&["--expect", "1", &other, "-q"]).ended(0);
    assert_eq!(from(&[&port]).ids(), heirs.ids());
    // What could not be looked at then cannot be now.
    let denied = pports(&scene, [port.as_str()]).under(["--uid", "65534"]).run().ended(3);
    std::fs::write(&file, &denied.stdout).expect("written");
    let said = from(&[]).ended(3);
    assert_form(&said, "socket", &[OWNERLESS]);
    for (text, why) in [("", "no record"), ("{\"type\":\"process\",\"v\":1,\"pid\":7}\n", "no sockets")] {
        std::fs::write(&file, text).expect("written");
        assert!(from(&[]).ended(3).one_message().contains(why));
    }
    pports(&scene, ["--from", "/no/such/file"]).run().ended(3).one_message();
    pports(&scene, ["--from", name, "-"]).run().ended(2).one_message();
}

#[test]
fn it_is_one_of_a_pipeline() {
    let scene = Scene::new();
    let (actor, port) = listener(&scene, &[]);
    let said = pipe([scene.tool("pstree-json").arg(actor.root().operand()), pports(&scene, ["-"])]);
    assert_eq!(said[1].record()["sockets"][0]["port"].to_string(), port);
    assert_processes(&said[1], &[SOCKETS, crate::support::form::TREE]);
    let said = pports(&scene, [port.as_str(), "--format", "table"]).run().ended(0);
    assert!(said.text().contains(&format!("tcp 127.0.0.1:{port}")), "{said:?}");
}

#[test]
fn what_makes_no_sense_is_misuse() {
    let scene = Scene::new();
    for words in [
        &["0"][..],
        &["65536"],
        &["http"],
        &["8001/sctp"],
        &["9..8"],
        &["-", "8001"],
        &["-4", "-6", "1"],
        &["--check", "--conflicts"],
        &["--conflicts", "8001"],
        &["--locks", "x", "8001"],
        &["--first-free", "1..2", "--service", "x"],
        &["--user", "no-such-user"],
    ] {
        let said = pports(&scene, words.iter().copied()).run().ended(2);
        said.one_message();
        assert!(said.stdout.is_empty(), "{words:?}: {said:?}");
    }
}
