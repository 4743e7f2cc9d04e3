//! `pwatch`: one record for each thing that happens to a process, as it happens.

mod since;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::arena::inside;
use crate::support::form::{WATCHED, assert_form};
use crate::support::running::Running;
use crate::support::scene::raw;
use crate::support::tool::Tool;
use crate::support::wait::waited;
use crate::support::{Id, Output, SOON, Scene, wait_until};

/// The tool; looks follow each other quickly where the kernel does not tell.
fn pwatch<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("pwatch").args(["--interval", "50ms"]).args(words)
}

/// The mark that all processes of a scene have in their environment.
fn mark(scene: &Scene) -> String {
    format!("PROCHERD_TEST={}", scene.home().display())
}

/// A watcher that has begun: it has told of a process that was started to see that it has.
fn watching<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Running {
    let mut running = pwatch(scene, words).args(["--env", &mark(scene)]).start();
    // Whoever is started while it gets ready may be part of what it takes for granted, so more than one may be needed. Each
    // lives until it is told of: whose environment nobody can read any more is nobody's.
    wait_until(SOON, "it watches", || {
        let _probe = scene.start(["idle", "--comm", "probe"]);
        waited(Duration::from_secs(1), || running.seen(|record| record["comm"] == "probe"))
    });
    running
}

/// The event of a kind about a process, once it has come.
#[track_caller]
fn told(running: &mut Running, id: Id, event: &str) -> Value {
    let mut found = None;
    wait_until(SOON, &format!("{event} of {id:?} is told"), || {
        let about = |record: &Value| Id::in_record(record) == Some(id) && record["event"] == event;
        found = running.records_so_far().into_iter().find(about);
        found.is_some()
    });
    found.expect("it has been told")
}

#[test]
// proves: W47
fn the_life_of_a_process_is_told_with_and_without_the_news_of_the_kernel() {
    let scene = Scene::new();
    for news in [&[][..], &["--no-news"]] {
        let mut running = watching(&scene, news.iter().copied());
        let actor = scene.start(["slow-exit", "0", "--code", "7"]);
        let id = actor.root();
        let started = told(&mut running, id, "started");
        assert_eq!(started["cmdline"][1], "slow-exit", "the program that it was started as: {started}");
        id.signal(Signal::SIGTERM);
        assert_eq!(told(&mut running, id, "exited")["exit_status"], 7);
        assert_eq!(told(&mut running, id, "zombie")["state"], "Z", "we reap it late");
        drop(actor);
        let killed = scene.start(["idle"]);
        told(&mut running, killed.root(), "started");
        killed.root().signal(Signal::SIGKILL);
        assert_eq!(told(&mut running, killed.root(), "exited")["exit_signal"], "KILL");
    }
}

#[test]
fn who_loses_a_parent_is_told_with_the_one_that_was() {
    inside(|| {
        let scene = Scene::new();
        let mut running = watching(&scene, []);
        let actor = scene.start(["tree", "--depth", "1"]);
        let (parent, child) = (actor.root(), actor.one("leaf"));
        told(&mut running, child, "started");
        parent.signal(Signal::SIGKILL);
        let told = told(&mut running, child, "orphaned");
        assert_eq!((&told["former_parent"], &told["ppid"]), (&parent.pid.into(), &1.into()), "{told}");
    });
}

#[test]
fn selectors_choose_and_who_becomes_what_is_watched_has_started() {
    inside(|| {
        let scene = Scene::new();
        let later = scene.start(["exec-later"]);
        let mut running = watching(&scene, ["-p", "(idle --event exec|probe)", "-e", "started"]);
        let _other = scene.start(["stopped"]);
        later.root().signal(Signal::SIGUSR1);
        assert_eq!(told(&mut running, later.root(), "started")["cmdline"][1], "idle");
        let all = running.records_so_far();
        assert!(all.iter().all(|record| record["event"] == "started"), "{all:?}");
        assert!(all.iter().all(|record| record["cmdline"][1] != "stopped"), "{all:?}");
    });
}

#[test]
fn operands_watch_trees_until_they_are_gone() {
    inside(|| {
        let scene = Scene::new();
        let (tree, beside) = (scene.start(["tree", "--depth", "2", "--width", "2"]), scene.start(["idle"]));
        let operand = tree.root().operand();
        let mut running = pwatch(&scene, [operand.as_str(), "--until", "gone", "-e", "exited"]).start();
        // A look at what lives must have been taken before it is ended.
        wait_until(SOON, "it follows", || running.waits());
        let members = tree.ids();
        scene.tool("pkill-tree").arg(&operand).run().ended(0);
        let said = running.finish().ended(0).quiet();
        let mut told = said.ids();
        told.sort_unstable();
        let mut expected = members;
        expected.sort_unstable();
        assert_eq!(told, expected);
        assert_form(&said, "event", WATCHED);
        assert!(beside.root().alive());
        // What can no longer come is a no.
        let one = scene.start(["idle"]);
        let mut running = pwatch(&scene, [one.root().operand().as_str(), "--until", "orphaned"]).start();
        wait_until(SOON, "it follows", || running.waits());
        drop(one);
        running.finish().ended(1);
        // One that has gone is gone at once; a stream is watched as well.
        pwatch(&scene, [operand.as_str(), "--until", "gone"]).run().ended(0);
        let record = scene.tool("pstree-json").arg(beside.root().operand()).run().record();
        let said = pwatch(&scene, ["-", "--until", "gone", "--timeout", "300ms"]).records([&record]).run();
        said.ended(124);
    });
}

#[test]
fn a_verdict_ends_the_watch() {
    inside(|| {
        let scene = Scene::new();
        let end = |words: &[&str]| -> Output {
            let actor = scene.start(["idle", "--comm", "server"]);
            let operand = actor.root().operand();
            let mut running = pwatch(&scene, [operand.as_str()].iter().chain(words).copied()).start();
            wait_until(SOON, "it follows", || running.waits());
            drop(actor);
            running.finish()
        };
        end(&["--until", "exited"]).ended(0);
        end(&["--until", "started", "--fail-on", "exited"]).ended(1);
        end(&["--until", "started"]).ended(1);
        end(&[]).ended(0);
        let nobody = ["-p", "nobody-is-called-this", "--timeout", "200ms"];
        pwatch(&scene, nobody).run().ended(0);
        pwatch(&scene, nobody).args(["--until", "started"]).run().ended(124);
        assert!(end(&["--until", "gone", "-q"]).ended(0).quiet().stdout.is_empty());
    });
}

#[test]
fn the_registry_is_watched_as_well() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["idle"]);
        let words = ["--until", "unregistered", "-e", "registered,unregistered"];
        let mut running = pwatch(&scene, words).start();
        wait_until(SOON, "it follows", || running.waits());
        scene.tool("ptrack").args(["save", "api", &actor.root().operand()]).run().ended(0);
        let came = running.record().expect("an event");
        assert_eq!(
            (&came["event"], &came["service"], &came["scope"]),
            (&"registered".into(), &"api".into(), &"global".into())
        );
        assert_eq!(Id::in_record(&came), Some(actor.root()));
        // What changes in an entry is no event.
        scene.tool("ptrack").args(["beat", "api"]).run().ended(0);
        scene.tool("ptrack").args(["rm", "api"]).run().ended(0);
        let left = running.record().expect("an event");
        assert_eq!((&left["event"], &left["service"]), (&"unregistered".into(), &"api".into()));
        assert!(running.finish().ended(0).quiet().records().len() == 2);
    });
}

#[test]
fn ports_are_told_with_their_holder_and_can_be_waited_for() {
    inside(|| {
        let scene = Scene::new();
        scene.sh("ip link set lo up").run();
        let mut running = watching(&scene, []);
        let server = scene.start(["listen"]);
        let port = server.fact("port");
        let taken = told(&mut running, server.root(), "listening");
        assert_eq!((&taken["port"], &taken["protocol"]), (&port.into(), &"tcp".into()), "{taken}");
        let id = server.root();
        let words = [id.operand(), "--until".into(), format!("port-freed:{port}")];
        let mut waiting = pwatch(&scene, words.iter().map(String::as_str)).start();
        wait_until(SOON, "it follows", || waiting.waits());
        drop(server);
        assert_eq!(told(&mut running, id, "port-freed")["port"], port);
        assert!(matches!(waiting.finish().code, Some(0 | 1)));
    });
}

#[test]
// proves: P10
fn the_saved_tree_of_a_wrapper_follows_what_it_starts() {
    inside(|| {
        let scene = Scene::new();
        let late = scene.start(["respawner", "--budget", "1000"]);
        scene.tool("ptrack").args(["save", "npm", &late.root().operand()]).run().ended(0);
        let tree = || {
            let record = scene.tool("ptrack").args(["get", "npm"]).run().ended(0).record();
            let members = record["tree"].as_array().cloned().unwrap_or_default();
            members.iter().filter_map(|member| member["pid"].as_u64()).collect::<Vec<_>>()
        };
        let first = late.one("child");
        assert_eq!(tree(), [u64::from(first.pid)]);
        let running = pwatch(&scene, ["--track", "-q"]).start();
        first.signal(Signal::SIGKILL);
        wait_until(SOON, "its successor is in the tree", || {
            // One look: between two, the tree may be empty for a moment.
            matches!(tree()[..], [pid] if pid != u64::from(first.pid))
        });
        // The wrapper ends, and what it has started is remembered as long as it lives.
        let child = tree()[0];
        late.root().signal(Signal::SIGKILL);
        wait_until(SOON, "the wrapper is dead", || !late.root().alive());
        scene.start(["idle"]);
        assert_eq!(tree(), [child]);
        drop(running);
    });
}

#[test]
fn a_reader_that_leaves_ends_it_even_when_nothing_happens() {
    let scene = Scene::new();
    let said = pwatch(&scene, ["-p", "nobody-is-called-this"]).reader_leaves_after(0).run();
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
}

#[test]
fn misuse_and_blindness_are_told_apart() {
    let scene = Scene::new();
    for words in [
        &["--until", "ended"][..],
        &["--until", "exited:80"],
        &["--until", "listening:0"],
        &["-e", "odd"],
        &["name"],
        &["0"],
        &["--timeout", "x"],
        &["--project", "/no/such/folder"],
    ] {
        pwatch(&scene, words.iter().copied()).run().ended(2).one_message();
    }
    inside_another_namespace(&scene);
}

fn inside_another_namespace(scene: &Scene) {
    let said = scene.sh("unshare --pid --fork pwatch --timeout 1s").run();
    if said.code == Some(1) {
        return crate::support::skip("no private pid namespace");
    }
    let said = said.ended(3);
    assert!(said.stderr.contains("pid namespace") && said.stdout.is_empty(), "{said:?}");
}

#[test]
fn what_may_not_be_read_is_said_once() {
    inside(|| {
        let scene = Scene::new();
        let _two = [scene.start(["idle"]), scene.start(["idle"])];
        let words = ["--all-users", "--env", "X", "--timeout", "200ms"];
        let said = pwatch(&scene, words).under(["--uid", "1234"]).run();
        if said.code == Some(2) && said.stderr.contains("ermission denied") {
            return crate::support::skip("the programs cannot be run by another user");
        }
        assert!(said.ended(3).one_message().contains("not permitted"));
    });
}

#[test]
fn hostile_names_pass_whole() {
    inside(|| {
        let scene = Scene::new();
        let mut running = watching(&scene, []);
        let actor = scene.start([raw(b"idle"), raw(b"--comm"), raw(b"a) Z 1\n\x1b[2J\xff")]);
        told(&mut running, actor.root(), "started");
        actor.root().signal(Signal::SIGKILL);
        let about = told(&mut running, actor.root(), "exited");
        assert_eq!(about["exit_signal"], json!("KILL"));
    });
}
