//! Numbers that are given away: forced reuse before the pipe, in the pipe, and during the grace.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{end, make_dead, pkill, record, rounds, text};
use crate::support::arena::{inside, start_as};
use crate::support::scene::Actor;
use crate::support::{Id, SOON, Scene, wait_until};

/// Words of a tree that tells of every signal.
const TELLING: [&str; 7] = ["tree", "--depth", "1", "--width", "2", "--on-term", "tell"];

#[test]
fn a_number_that_was_given_away_since_the_record_is_not_signalled() {
    inside(|| {
        let scene = Scene::new();
        for _ in 0..rounds(10) {
            let first = scene.start(["idle"]);
            let (pid, saved) = (first.root().pid, record(&scene, first.root()));
            make_dead(&first);
            drop(first);
            let mut innocent = start_as(pid, || scene.actor(TELLING));
            let said = pkill(&scene, ["--grace", "20ms"]).records([&saved]).run().ended(0);
            assert_eq!(text(&said.record(), "outcome"), "identity-changed", "{said:?}");
            innocent.assert_untouched();
        }
    });
}

#[test]
fn an_operand_with_an_inode_is_not_fooled_by_its_number() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.start(["idle"]);
        let old = first.root();
        make_dead(&first);
        drop(first);
        let mut innocent = start_as(old.pid, || scene.actor(TELLING));
        end(&scene, old, ["--grace", "20ms"]).run().ended(1);
        innocent.assert_untouched();
    });
}

#[test]
fn the_children_of_whoever_got_the_number_are_not_descendants() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.start(["tree", "--depth", "1", "--width", "2", "--own-group"]);
        let saved: Vec<Value> = first.ids().iter().map(|id| record(&scene, *id)).collect();
        let mut pids: Vec<u32> = first.all("leaf").iter().map(|id| id.pid).collect();
        pids.sort_unstable();
        for leaf in first.all("leaf") {
            leaf.signal(Signal::SIGKILL);
            wait_until(SOON, "the leaf is reaped", || leaf.state().is_none());
        }
        // The highest first: children of the innocents must not take the numbers of the others.
        let mut innocents: Vec<Actor> =
            pids.iter().rev().map(|pid| start_as(*pid, || scene.actor(TELLING))).collect();
        pkill(&scene, ["--grace", "20ms"]).records(&saved).run().ended(0);
        first.assert_nobody_left();
        for innocent in &mut innocents {
            innocent.assert_untouched();
        }
    });
}

#[test]
fn a_session_that_others_made_of_a_dead_leaders_number_is_theirs() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.start(["idle"]);
        let (pid, saved) = (first.root().pid, record(&scene, first.root()));
        make_dead(&first);
        drop(first);
        // The new leader dies too: its number is free again, but its session, of the same number, lives.
        let mut innocents = start_as(pid, || scene.actor(TELLING));
        make_dead(&innocents);
        let said = pkill(&scene, ["--grace", "20ms"]).records([&saved]).run().ended(0);
        assert_eq!(said.ids().len(), 1, "only the dead one is told of: {said:?}");
        for leaf in innocents.all("leaf") {
            assert!(leaf.alive(), "an innocent was ended: {said:?}");
        }
        let signals = innocents.events();
        assert!(signals.is_empty(), "an innocent was signalled: {signals:?}");
    });
}

#[test]
fn a_session_that_others_made_of_a_dead_leaders_number_is_theirs_without_pidfd_too() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.start(["idle"]);
        let pid = first.root().pid;
        let saved = scene
            .tool("pstree-json")
            .args(["--depth", "0", &pid.to_string()])
            .under(["--no-pidfd"])
            .run()
            .ended(0)
            .record();
        make_dead(&first);
        drop(first);
        let mut innocents = start_as(pid, || scene.actor(TELLING));
        make_dead(&innocents);
        pkill(&scene, ["--grace", "20ms"]).records([&saved]).under(["--no-pidfd"]).run();
        for leaf in innocents.all("leaf") {
            assert!(leaf.alive(), "an innocent was ended");
        }
        let signals = innocents.events();
        assert!(signals.is_empty(), "an innocent was signalled: {signals:?}");
    });
}

/// The target ends in its grace while a deaf child in another session keeps the run going; its number goes to an
/// innocent with children before the kill.
fn reused_during_the_grace(limits: &[&str]) {
    let scene = Scene::new();
    for _ in 0..rounds(3) {
        let deaf = scene.start(["ignore-term"]);
        let first = scene.start(["idle"]);
        let (pid, last) = (first.root().pid, first.root().start_ticks);
        let tool = pkill(&scene, ["--grace", "1s"]).args([deaf.root(), first.root()].map(|id| {
            // Without pidfd an inode cannot be compared.
            if limits.is_empty() { id.operand() } else { id.pid.to_string() }
        }));
        let running = if limits.is_empty() { tool.start() } else { tool.under(limits).start() };
        wait_until(SOON, "the first target is dead", || first.reap().is_some());
        drop(first);
        // Without inodes two processes of one clock tick cannot be told apart: the innocent starts in a later one.
        wait_until(SOON, "the clock has ticked twice", || {
            scene.start(["idle"]).root().start_ticks > last + 1
        });
        let mut innocent = start_as(pid, || scene.actor(TELLING));
        let said = running.finish().ended(0);
        deaf.assert_nobody_left();
        assert_eq!(innocent.living(), innocent.ids(), "innocents were ended: {said:?}");
        innocent.assert_untouched();
        assert_eq!(said.ids().len(), 2, "{said:?}");
    }
}

// proves: W04
#[test]
fn a_number_that_is_given_away_during_the_grace_is_not_killed() {
    inside(|| reused_during_the_grace(&[]));
}

#[test]
fn without_pidfd_a_number_that_is_given_away_during_the_grace_is_not_killed() {
    inside(|| reused_during_the_grace(&["--no-pidfd"]));
}

#[test]
fn with_few_descriptors_a_number_that_is_given_away_during_the_grace_is_not_killed() {
    inside(|| reused_during_the_grace(&["--nofile", "16"]));
}

#[test]
fn while_numbers_come_round_every_moment_only_targets_are_signalled() {
    inside(|| {
        // The smallest range that the kernel allows: numbers come round within a second.
        std::fs::write("/proc/sys/kernel/pid_max", "400").expect("a range of our own");
        let scene = Scene::new();
        let words = "fork-storm --rate 600 --lanes 2 --life 4 --budget 50000 --seconds 60 --on-term tell";
        let mut innocents = scene.start(words.split(' '));
        for _ in 0..rounds(12) {
            let target = scene.start(["tree", "--depth", "2", "--width", "3", "--own-group"]);
            let said = end(&scene, target.root(), ["--grace", "10s"]).run().ended(0);
            target.assert_nobody_left();
            let ours = target.ids();
            let strangers: Vec<Id> = said.ids().into_iter().filter(|id| !ours.contains(id)).collect();
            assert!(strangers.is_empty(), "taken for members: {strangers:?}: {said:?}");
        }
        innocents.assert_untouched();
    });
}

#[test]
fn a_target_that_dies_and_is_replaced_between_finder_and_killer_is_not_missed_and_not_mistaken() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.start(["idle"]);
        let pid = first.root().pid;
        let mut killer = pkill(&scene, ["--grace", "20ms"]).stdin_open().start();
        killer.write(format!("{}\n", record(&scene, first.root())));
        // The record is in the pipe, the killer waits for more: now the number changes hands.
        make_dead(&first);
        drop(first);
        let mut innocent = start_as(pid, || scene.actor(TELLING));
        killer.close();
        let said = killer.finish().ended(0);
        assert_eq!(text(&said.record(), "outcome"), "identity-changed", "{said:?}");
        innocent.assert_untouched();
    });
}

#[test]
fn a_bare_number_is_bound_when_it_is_read() {
    inside(|| {
        let scene = Scene::new();
        let first = scene.start(["idle"]);
        let pid = first.root().pid;
        let mut killer = pkill(&scene, ["--grace", "20ms"]).stdin_open().start();
        killer.write(format!("{pid}\n"));
        // It has been read when the killer waits in the pipe for the next line.
        wait_until(SOON, "the killer waits for more", || {
            let id = killer.id();
            let within = std::fs::read_to_string(format!("/proc/{}/wchan", id.pid)).unwrap_or_default();
            killer.is_read() && within.contains("pipe")
        });
        make_dead(&first);
        drop(first);
        let mut innocent = start_as(pid, || scene.actor(TELLING));
        killer.close();
        killer.finish();
        innocent.assert_untouched();
    });
}
