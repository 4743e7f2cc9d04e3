//! The actors are what they say: tests stand on them.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::process::living;
use crate::support::scene::raw;
use crate::support::wait::{dead_within, wait_dead};
use crate::support::{Id, SOON, Scene, wait_until};

fn cmdline(id: Id) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/cmdline", id.pid)).expect("a living process")
}

#[test]
fn every_mode_ends_when_its_life_line_closes() {
    let scene = Scene::new();
    for words in [
        "idle",
        "ignore-term",
        "slow-exit 60000",
        "spin",
        "ignore-term --then spin",
        "witness",
        "tree --depth 2 --width 3",
        "chain 5",
        "wide 5",
        "orphan 2 --depth 1",
        "double-fork",
        "setsid-child",
        "daemon",
        "clear-env",
        "argv x",
        "exec-later",
        "zombie 2",
        "dead-main-thread",
        "respawner --lanes 2",
        "fork-storm --lanes 2 --rate 100",
        "hopper --rate 50",
        "listen",
    ] {
        let mut actor = scene.start(words.split(' '));
        assert!(!actor.nobody_left(), "{words}");
        actor.close();
        assert_eq!(dead_within(SOON, &actor.ids()), [], "{words}");
        wait_until(SOON, "nobody carries the mark of the scene", || scene.carriers().is_empty());
    }
}

#[test]
fn a_tree_is_as_deep_and_as_wide_as_it_was_told() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "2", "--width", "3"]);
    assert_eq!((tree.all("root").len(), tree.all("branch").len(), tree.all("leaf").len()), (1, 3, 9));
    assert_eq!(tree.living().len(), 13);
    assert!(tree.all("branch").iter().all(|id| id.ppid() == Some(tree.root().pid)));
}

#[test]
fn an_orphan_has_been_adopted_when_it_is_announced() {
    let scene = Scene::new();
    let orphan = scene.start(["orphan"]);
    assert!(!orphan.one("parent").alive());
    assert_ne!(orphan.one("orphan").ppid(), Some(orphan.one("parent").pid));
}

#[test]
fn a_stopped_actor_is_stopped_and_a_zombie_is_dead() {
    let scene = Scene::new();
    assert_eq!(scene.start(["stopped"]).root().state(), Some('T'));
    let zombie = scene.start(["zombie"]);
    assert!(!zombie.one("zombie").alive());
    assert!(zombie.root().alive());
    let headless = scene.start(["dead-main-thread"]);
    assert_eq!((headless.root().state(), headless.root().alive()), (Some('Z'), true));
}

#[test]
fn manners_under_term_are_kept() {
    let scene = Scene::new();
    let deaf = scene.start(["ignore-term"]);
    let slow = scene.start(["slow-exit", "50", "--code", "7"]);
    let polite = scene.start(["idle"]);
    let start = Instant::now();
    for actor in [&deaf, &slow, &polite] {
        assert!(actor.root().signal(Signal::SIGTERM));
    }
    wait_dead(SOON, &[slow.root(), polite.root()]);
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(deaf.root().alive());
    assert_eq!(slow.reap().and_then(|status| status.code()), Some(7));
}

#[test]
fn a_witness_tells_who_sent_it_what() {
    let scene = Scene::new();
    let mut witness = scene.start(["witness"]);
    witness.root().signal(Signal::SIGTERM);
    let event = witness.event("signal");
    assert_eq!((&event["signal"], &event["from"]), (&"TERM".into(), &std::process::id().into()));
    witness.assert_untouched();
}

#[test]
fn a_respawner_starts_its_child_again() {
    let scene = Scene::new();
    let mut respawner = scene.start(["respawner"]);
    let first = respawner.one("child");
    first.signal(Signal::SIGKILL);
    let second = Id::in_record(&respawner.event("respawned")).expect("an identity");
    assert!(second.alive() && second != first && second.ppid() == Some(respawner.root().pid));
}

#[test]
fn a_storm_keeps_to_its_budget() {
    let scene = Scene::new();
    let storm = scene.start("fork-storm --rate 1000 --lanes 4 --budget 60 --life 600000".split(' '));
    wait_until(SOON, "sixty children and five parents", || scene.carriers().len() == 65);
    assert!(storm.root().alive());
}

#[test]
fn names_and_arguments_may_be_any_bytes() {
    let scene = Scene::new();
    let named = scene
        .actor(["idle", "--comm"].map(Into::into).into_iter().chain([raw(b"a) R 1\n\x1b[2J\xff")]))
        .start();
    let comm = std::fs::read(format!("/proc/{}/comm", named.root().pid)).expect("a living process");
    assert_eq!(comm, b"a) R 1\n\x1b[2J\xff\n");
    let titled = scene.start(["idle", "--title", "npm run dev"]);
    assert!(cmdline(titled.root()).starts_with(b"npm run dev\0"));
    assert!(cmdline(titled.root())[11..].iter().all(|byte| *byte == 0));
    let argv = scene.start([raw(b"argv"), raw(b"--"), raw(b"\xff\xfe"), raw(b""), raw(b"a\nb")]);
    assert_eq!(cmdline(argv.root()), b"\xff\xfe\0\0a\nb\0");
    let none = scene.start(["argv", "--none"]);
    assert!(cmdline(none.root()).len() <= 1, "the kernel puts one empty argument in");
    let long = scene.start(["argv", "--size", "131071", "--count", "14"]);
    assert_eq!(cmdline(long.root()).len(), 131_072 * 14);
}

#[test]
fn a_subreaper_adopts_what_is_orphaned_below_it() {
    let scene = Scene::new();
    let actor = crate::support::actor_program();
    let above = scene.start([raw(b"subreaper"), raw(b"--"), actor.into(), raw(b"orphan")]);
    assert_eq!(above.one("orphan").ppid(), Some(above.one("subreaper").pid));
}

#[test]
fn an_exec_keeps_the_identity() {
    let scene = Scene::new();
    let mut actor = scene.start(["exec-later"]);
    let before = actor.root();
    before.signal(Signal::SIGUSR1);
    assert_eq!(Id::in_record(&actor.event("exec")), Some(before));
}

#[test]
fn a_scene_ends_what_its_actors_left_behind() {
    let scene = Scene::new();
    let actor = scene.start(["tree", "--depth", "2", "--width", "2", "--then", "stop", "--outlive", "600"]);
    let ids = actor.ids();
    drop(actor);
    drop(scene);
    assert_eq!(living(&ids), []);
}
