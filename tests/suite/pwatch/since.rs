//! What has happened since a snapshot was taken.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::pwatch;
use crate::support::arena::inside;
use crate::support::form::{WATCHED, assert_form};
use crate::support::{Id, Output, SOON, Scene, wait_until};

/// The events about a process.
fn of(said: &Output, id: Id) -> Vec<String> {
    let about = |record: &&Value| Id::in_record(record) == Some(id);
    let word = |record: &Value| record["event"].as_str().unwrap_or_default().to_owned();
    said.records().iter().filter(about).map(word).collect()
}

#[test]
fn the_differences_to_a_snapshot_are_told_first() {
    inside(|| {
        let scene = Scene::new();
        let (stays, goes, dies) = (scene.start(["idle"]), scene.start(["idle"]), scene.start(["idle"]));
        let (tree, old) = (scene.start(["tree", "--depth", "1"]), scene.start(["zombie"]));
        let file = scene.home().join("before");
        std::fs::write(&file, scene.tool("pstree-json").run().ended(0).stdout).expect("written");
        let from = ["--from", file.to_str().expect("plain")];
        let gone = goes.root();
        drop(goes);
        dies.root().signal(Signal::SIGKILL);
        let (parent, child) = (tree.root(), tree.one("leaf"));
        parent.signal(Signal::SIGKILL);
        wait_until(SOON, "it is reaped", || tree.reap().is_some());
        wait_until(SOON, "another one has adopted it", || child.ppid() == Some(1));
        wait_until(SOON, "it is dead", || dies.root().state() == Some('Z'));
        let came = scene.start(["idle"]);
        let said = pwatch(&scene, from).args(["--timeout", "0s"]).run().ended(0).quiet();
        assert_form(&said, "event", WATCHED);
        for (id, events) in [
            (stays.root(), &[][..]),
            (old.one("zombie"), &[]),
            (gone, &["exited"]),
            (parent, &["exited"]),
            (dies.root(), &["exited", "zombie"]),
            (child, &["orphaned"]),
            (came.root(), &["started"]),
        ] {
            assert_eq!(of(&said, id), events, "{id:?}: {said:?}");
        }
        let orphaned = said.records().into_iter().find(|record| record["event"] == "orphaned");
        assert_eq!(orphaned.expect("told")["former_parent"], parent.pid);
        // Selectors, operands, kinds and conditions see them as any other event.
        let ids = |words: &[&str]| {
            pwatch(&scene, from).args(["--timeout", "0s"]).args(words).run().ended(0).quiet().ids()
        };
        assert_eq!(ids(&["-p", "actor idle", "-e", "started"]), [came.root()]);
        assert_eq!(ids(&["-p", "actor tree", "-e", "exited"]), [parent]);
        assert!(ids(&["-p", "nobody-is-called-this"]).is_empty());
        assert_eq!(ids(&[&parent.operand()]), [parent, child], "what it had started belongs to it");
        pwatch(&scene, from).args(["-p", "actor idle", "--until", "exited", "-q"]).run().ended(0).quiet();
        pwatch(&scene, from).args(["-p", "actor idle", "--fail-on", "exited", "-q"]).run().ended(1).quiet();
        // It goes on with what happens now.
        let words = ["-p", "actor idle", "-e", "exited"];
        let mut running = pwatch(&scene, from).args(words).start();
        let mut first =
            [running.record(), running.record()].map(|record| record.as_ref().and_then(Id::in_record));
        first.sort_unstable();
        let mut expected = [Some(gone), Some(dies.root())];
        expected.sort_unstable();
        assert_eq!(first, expected);
        stays.root().signal(Signal::SIGKILL);
        assert_eq!(running.record().as_ref().and_then(Id::in_record), Some(stays.root()));
    });
}

#[test]
fn a_snapshot_of_another_place_cannot_be_compared() {
    let scene = Scene::new();
    let file = scene.home().join("before");
    let from = |text: &str| {
        std::fs::write(&file, text).expect("written");
        pwatch(&scene, ["--from", file.to_str().expect("plain"), "--timeout", "0s"]).run().ended(3)
    };
    let text = scene.tool("pstree-json").run().ended(0).text().to_owned();
    let first: Value = serde_json::from_str(text.lines().next().expect("a record")).expect("JSON");
    let with = |name: &str, value: Value| {
        let mut record = first.clone();
        record[name] = value;
        format!("{record}\n")
    };
    let elsewhere = from(&with("pid_ns", 1.into()));
    assert!(elsewhere.one_message().contains("another pid namespace"), "{elsewhere:?}");
    let earlier = from(&with("boot_id", "00000000-0000-4000-8000-000000000000".into()));
    assert!(earlier.one_message().contains("before this machine was started"), "{earlier:?}");
    for text in ["", "nonsense\n"] {
        assert!(from(text).stdout.is_empty());
    }
    pwatch(&scene, ["--from", "/no/such/file"]).run().ended(3).one_message();
}
