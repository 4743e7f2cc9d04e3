//! `pdups`: as many instances as there should be, neither more nor fewer.

use std::path::Path;

use serde_json::Value;

use crate::support::arena::inside;
use crate::support::form::{DUPLICATE, TREE_OF_A_SNAPSHOT, assert_processes};
use crate::support::scene::{Actor, raw};
use crate::support::terminal::Terminal;
use crate::support::tool::{Tool, pipe};
use crate::support::{Id, Output, Scene};

fn pdups<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("pdups").args(words)
}

/// Actors that look like ten servers of which each took the next free port.
fn servers(scene: &Scene, name: &str, count: usize) -> Vec<Actor> {
    let title = |at: usize| format!("node {name} --port {}", 5173 + at);
    (0..count).map(|at| scene.start(["idle", "--title", &title(at)])).collect()
}

fn roots(actors: &[Actor]) -> Vec<Id> {
    actors.iter().map(Actor::root).collect()
}

/// Starts an actor that sorts behind the earlier ones: its clock tick is a later one.
fn later(scene: &Scene, before: &Actor, words: &[&str]) -> Actor {
    loop {
        let actor = scene.start(words);
        if actor.root().start_ticks > before.root().start_ticks {
            return actor;
        }
    }
}

#[test]
// proves: R13 R05 R15
fn more_than_one_daemon_is_a_no_that_lists_them() {
    inside(|| {
        let scene = Scene::new();
        let daemons = servers(&scene, "vite", 10);
        let mut other = scene.start(["idle"]);
        let words = ["--role", "daemon=^node vite", "--expect", "daemon=1"];
        let said = pdups(&scene, words).run().ended(1);
        assert_eq!(said.ids(), roots(&daemons), "oldest first");
        assert_processes(&said, &[DUPLICATE]);
        for record in said.records() {
            let facts = (&record["group"], &record["count"], &record["expected"]);
            assert_eq!(facts, (&"daemon".into(), &10.into(), &"1".into()), "{record}");
        }
        let message = said.one_message();
        assert!(message.contains("daemon: found 10 (pids ") && message.contains("1 expected"), "{message}");
        assert!(roots(&daemons).iter().all(|id| message.contains(&id.pid.to_string())), "{message}");
        // Quiet says the same by its exit, and the message.
        assert!(pdups(&scene, words).arg("-q").run().ended(1).stdout.is_empty());
        assert!(
            pdups(&scene, ["--role", "daemon=^node vite", "--expect", "daemon=10"])
                .run()
                .ended(0)
                .quiet()
                .stdout
                .is_empty()
        );
        // All but the newest are surplus, and can be ended.
        let surplus = || pdups(&scene, words).args(["--keep", "newest"]);
        assert_eq!(surplus().run().ids(), roots(&daemons[..9]));
        assert_eq!(pdups(&scene, words).args(["--keep", "oldest"]).run().ids(), roots(&daemons[1..]));
        pipe([surplus(), scene.tool("pkill-tree")])[1].records();
        assert!(daemons[9].root().alive() && daemons[..9].iter().all(|actor| !actor.root().alive()));
        pdups(&scene, words).run().ended(0).quiet();
        other.assert_untouched();
    });
}

#[test]
// proves: R10
fn one_shim_for_each_client_is_right_whatever_their_number() {
    inside(|| {
        let scene = Scene::new();
        let rules = scene.home().join("rules");
        std::fs::write(
            &rules,
            "# the bridge\nclient ~ ^node client\nshim ~ ^node shim\nshim = 1 per client\nclient=0..\n",
        )
        .expect("written");
        let look = || pdups(&scene, ["--expect-from", rules.to_str().expect("plain")]).run();
        look().ended(0).quiet();
        let (clients, mut shims) = (servers(&scene, "client", 2), servers(&scene, "shim", 2));
        look().ended(0).quiet();
        shims.extend(servers(&scene, "shim", 1));
        let said = look().ended(1);
        assert_eq!(said.ids(), roots(&shims));
        assert_eq!(said.records()[0]["expected"], "2");
        drop(clients);
        assert_eq!(look().ended(1).records()[0]["expected"], "0");
    });
}

#[test]
fn fewer_than_expected_is_a_no_as_well() {
    inside(|| {
        let scene = Scene::new();
        let words = ["--role", "daemon=^node vite", "--expect", "daemon=1..2"];
        let said = pdups(&scene, words).run().ended(1);
        assert!(
            said.stdout.is_empty() && said.one_message().contains("daemon: found 0, 1 to 2 expected"),
            "{said:?}"
        );
        let _one = servers(&scene, "vite", 1);
        pdups(&scene, words).run().ended(0).quiet();
    });
}

#[test]
fn the_same_command_line_is_the_same_unless_it_runs_below_the_other() {
    inside(|| {
        let scene = Scene::new();
        let (tree, one) = (scene.start(["tree", "--depth", "2", "--width", "2"]), scene.start(["idle"]));
        let of_actors = |words: &[&str]| pdups(&scene, ["-p", "actor"]).args(words).run();
        of_actors(&[]).ended(0).quiet();
        let said = of_actors(&["--each"]).ended(1);
        assert_eq!(said.ids().len(), 7, "{said:?}");
        let two = scene.start(["idle"]);
        let said = of_actors(&[]).ended(1);
        assert_eq!(said.ids(), [one.root(), two.root()]);
        assert!(
            said.record_of(one.root())["group"].as_str().is_some_and(|group| group.ends_with("actor idle"))
        );
        assert_eq!(tree.living().len(), 7);
    });
}

/// Short for the record about a process.
trait RecordOf {
    fn record_of(&self, id: Id) -> Value;
}

impl RecordOf for Output {
    fn record_of(&self, id: Id) -> Value {
        self.about(id)
    }
}

/// Two scripts of one interpreter, which read until their input ends.
fn scripts(scene: &Scene) -> Option<(String, String)> {
    let script = |name: &str| {
        let path = scene.home().join(name);
        std::fs::write(&path, "read line\n").expect("written");
        path.to_str().expect("plain").to_owned()
    };
    Path::new("/bin/sh").exists().then(|| (script("one.sh"), script("two.sh")))
}

#[test]
fn an_interpreter_is_told_apart_by_its_script() {
    inside(|| {
        let scene = Scene::new();
        let Some((one, two)) = scripts(&scene) else { return };
        let start =
            |words: &str| scene.sh(&format!("exec sh {words}")).cwd(scene.home()).stdin_open().start();
        let running = [start(&one), start("-u ./one.sh --port 7"), start(&two)];
        let by = |words: &[&str]| {
            let mut tool = pdups(&scene, words.iter().copied());
            tool = tool.args([
                "--env",
                &format!("PROCHERD_TEST={}", scene.home().display()),
                "-p",
                "(one|two).sh",
            ]);
            tool.run()
        };
        crate::support::wait_until(crate::support::SOON, "both run their script", || {
            by(&["--by", "script"]).code == Some(1)
        });
        let said = by(&["--by", "script"]).ended(1);
        assert_eq!(said.ids(), [running[0].id(), running[1].id()], "{said:?}");
        assert!(
            said.records()[0]["group"].as_str().is_some_and(|group| group.ends_with("/one.sh")),
            "{said:?}"
        );
        by(&["--by", "command"]).ended(0);
        assert_eq!(by(&["--key", "exe"]).ended(1).ids().len(), 3);
        assert_eq!(by(&["--key", "exe,cwd", "--key", "comm"]).ended(1).ids().len(), 3);
        assert_eq!(by(&["--key", "user,script"]).ended(1).ids().len(), 2);
        drop(running);
    });
}

#[test]
fn a_second_instance_of_a_registered_service_is_one_too_many() {
    let scene = Scene::new();
    let folder = scene.home().join("project");
    std::fs::create_dir(&folder).expect("made");
    let here = || scene.actor(["idle", "--comm", "api"]).cwd(&folder).start();
    let (first, elsewhere) = (here(), scene.start(["idle", "--comm", "api"]));
    scene.tool("ptrack").args(["save", "api", &first.root().operand()]).run().ended(0);
    let look = || pdups(&scene, ["--by", "role"]).run();
    look().ended(0).quiet();
    let second = here();
    let said = look().ended(1);
    let mut both = [first.root(), second.root()];
    both.sort_unstable_by_key(|id| (id.start_ticks, id.pid));
    assert_eq!(said.ids(), both, "the same command in another folder is another service");
    assert_eq!(
        (&said.record_of(first.root())["service"], &said.records()[0]["group"]),
        (&"api".into(), &"api".into())
    );
    assert!(elsewhere.root().alive());
    drop(first);
    pdups(&scene, ["--expect", "api=1"]).run().ended(1).said("api: found 0, 1 expected");
}

#[test]
// proves: P41
fn instances_of_yesterday_are_marked_beside_the_new_one() {
    inside(|| {
        let scene = Scene::new();
        let owner = scene.start(["idle", "--comm", "owner"]);
        scene
            .tool("ptrack")
            .args(["session", "start", "yesterday", "--pid", &owner.root().operand()])
            .run()
            .ended(0);
        let old = scene.actor(["witness", "--comm", "job"]).env("PROCHERD_SESSION", "yesterday").start();
        let new = later(&scene, &old, &["witness", "--comm", "job"]);
        let look = |words: &[&str]| pdups(&scene, ["-p", "job"]).args(words).run().ended(1);
        let leftover = |said: &Output, actor: &Actor| said.about(actor.root())["leftover"].clone();
        assert_eq!(leftover(&look(&[]), &old), Value::Null, "its session lives");
        drop(owner);
        let said = look(&["--older-than", "0s"]);
        assert_eq!(leftover(&said, &old), serde_json::json!(["older", "previous-session"]));
        assert_eq!(leftover(&said, &new), Value::Null, "the newest is not left over");
        assert_processes(&said, &[DUPLICATE]);
        assert_eq!(look(&["--older-than", "1h", "--leftovers"]).ids(), [old.root()]);
        // One whose session leader has gone.
        let orphan = scene.start(["orphan", "--comm", "leader"]);
        let young = later(&scene, &orphan, &["orphan", "--comm", "leader"]);
        let said = pdups(&scene, ["-p", "leader", "--leftovers"]).run().ended(1);
        assert_eq!(said.ids(), [orphan.one("orphan")], "{young:?}", young = young.ids());
    });
}

#[test]
// proves: R21 R14
fn a_watcher_says_when_a_second_one_appears() {
    inside(|| {
        let scene = Scene::new();
        let mut all = servers(&scene, "vite", 1);
        let mut running = pdups(&scene, ["--role", "daemon=^node vite", "--watch"]).start();
        for count in 2..4 {
            all.extend(servers(&scene, "vite", 1));
            for id in roots(&all) {
                let record = running.record().expect("a record");
                assert_eq!((Id::in_record(&record), &record["count"]), (Some(id), &count.into()), "{record}");
            }
        }
        running.wait_for_message("found 3");
        all.truncate(1);
        all.extend(servers(&scene, "vite", 1));
        assert!(
            running.record().is_some_and(|record| record["count"] == 2),
            "right in between or not, it is news"
        );
        drop(running);
        // Fewer than expected is seen as well.
        let words = ["--role", "daemon=^node vite", "--expect", "daemon=2", "--watch", "-q"];
        pdups(&scene, words).args(["--from", "x"]).run().ended(2).one_message();
        pdups(&scene, words).arg("-").stdin("").run().ended(2).one_message();
    });
}

#[test]
fn a_watcher_ends_when_its_reader_leaves() {
    let scene = Scene::new();
    let said = pdups(&scene, ["--watch", "-p", "nobody-is-called-this"]).reader_leaves_after(0).run();
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
}

#[test]
fn a_number_alone_is_a_gate_on_what_was_found() {
    inside(|| {
        let scene = Scene::new();
        let _two = [scene.start(["idle"]), scene.start(["idle"])];
        for (wanted, code) in [("0", 1), ("2", 0), ("..5", 0), ("3..", 1)] {
            let said = pdups(&scene, ["-p", "actor", "--expect", wanted]).run().ended(code);
            assert_eq!(said.ids().len(), 2, "{said:?}");
        }
    });
}

#[test]
fn a_snapshot_answers_as_the_living_did() {
    inside(|| {
        let scene = Scene::new();
        let _all = [scene.start(["idle"]), scene.start(["idle"]), scene.start(["stopped"])];
        let file = scene.home().join("table");
        let saved = scene.tool("pstree-json").args(["--with", "exe,cwd"]).run().ended(0).stdout;
        std::fs::write(&file, saved).expect("written");
        let from = ["--from", file.to_str().expect("plain")];
        for words in [
            &["-p", "actor (idle|stopped)"][..],
            &["-p", "actor (idle|stopped)", "--by", "script"],
            &["-p", "idle", "--role", "a=actor idle"],
        ] {
            let (live, saved) = (
                pdups(&scene, words.iter().copied()).run().ended(1),
                pdups(&scene, words.iter().copied()).args(from).run().ended(1),
            );
            assert_eq!(live.ids(), saved.ids(), "{words:?}");
            assert!(!live.ids().is_empty());
            assert_processes(&saved, &[DUPLICATE, TREE_OF_A_SNAPSHOT]);
        }
        // What a snapshot does not hold cannot be judged.
        std::fs::write(&file, scene.tool("pstree-json").run().ended(0).stdout).expect("written");
        let said = pdups(&scene, ["-p", "actor (idle|stopped)", "--by", "script"]).args(from).run().ended(3);
        assert!(said.stdout.is_empty() && said.one_message().contains("read exe"), "{said:?}");
    });
}

#[test]
fn a_stream_narrows_the_search_and_keeps_its_fields() {
    inside(|| {
        let scene = Scene::new();
        let all = [scene.start(["idle"]), scene.start(["idle"]), scene.start(["idle"])];
        let mut records: Vec<Value> = all[..2]
            .iter()
            .map(|actor| scene.tool("pstree-json").arg(actor.root().operand()).run().ended(0).record())
            .collect();
        records[0]["ticket"] = "PROC-9".into();
        let said = pdups(&scene, ["-"]).records(&records).run().ended(1);
        assert_eq!(said.ids().len(), 2, "{said:?}");
        assert_eq!(said.about(all[0].root())["ticket"], "PROC-9");
    });
}

#[test]
fn rules_that_make_no_sense_are_misuse() {
    let scene = Scene::new();
    let file = scene.home().join("rules");
    let path = file.to_str().expect("plain");
    for words in [
        &["--expect", "daemon="][..],
        &["--expect", "=1"],
        &["--expect", "a=1 for b"],
        &["--role", "x"],
        &["--role", "=x"],
        &["--role", "a=("],
        &["--role", "a="],
        &["--key", "odd"],
        &["--by", "odd"],
        &["--by", "command", "--key", "exe"],
        &["--by", "command", "--expect", "a=1"],
        &["--keep", "odd"],
        &["--older-than", "x"],
    ] {
        pdups(&scene, words.iter().copied()).run().ended(2).one_message();
    }
    for text in ["a", "a=x", "a~(", "~x", "=1"] {
        std::fs::write(&file, format!("\n{text}\n")).expect("written");
        let said = pdups(&scene, ["--expect-from", path]).run().ended(2);
        assert!(said.one_message().contains("line 2"), "{text}: {said:?}");
    }
    pdups(&scene, ["--expect-from", "/no-such-file"]).run().ended(3).one_message();
}

#[test]
fn hostile_names_are_grouped_and_no_terminal_sees_their_control_bytes() {
    inside(|| {
        let scene = Scene::new();
        let words = [raw(b"argv"), raw(b"--"), raw(b"\x1b[2J\n\xff")];
        let all = [scene.start(&words), scene.start(&words)];
        let said = pdups(&scene, []).run().ended(1);
        assert_eq!(said.ids().len(), 2, "{said:?}");
        assert!(!said.stderr.contains('\x1b') && said.stderr.lines().count() == 1, "{said:?}");
        let shown = pdups(&scene, []).on(Terminal::new(100, 30).output()).run().ended(1);
        assert!(!String::from_utf8_lossy(&shown.screen).contains("\u{1b}[2J"), "{shown:?}");
        drop(all);
    });
}
