//! Thousands. `PROCHERD_SOAK` makes them as many as the promises name: ten thousand in a tree, and as many as the kernel
//! has numbers for (`pid_max` is 32,768 unless somebody has raised it) under a limit of 1,024 open files.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;

use super::{end, outcome, pkill, text};
use crate::support::arena::{inside, start_as};
use crate::support::scene::Actor;
use crate::support::{Id, Scene, wait_until};

/// A case of fewer, unless the full size was asked for.
fn size<'a>(few: &'a str, many: &'a str) -> &'a str {
    if std::env::var_os("PROCHERD_SOAK").is_some() { many } else { few }
}

/// Long enough for ten thousand on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_mins(2);

fn start(scene: &Scene, words: &str) -> Actor {
    scene.actor(words.split(' ')).within(PATIENCE).start()
}

#[test]
fn trees_of_thousands_end_and_nobody_is_left() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["witness"]);
        for words in [
            size("tree --depth 3 --width 10", "tree --depth 4 --width 10"),
            size("wide 1500", "wide 10000"),
            size("chain 300", "chain 2000"),
            size("wide 1000 --on-term ignore", "wide 10000 --on-term ignore"),
        ] {
            let tree = start(&scene, words);
            let said = end(&scene, tree.root(), ["--grace", "1s"]).within(PATIENCE).run().ended(0);
            tree.assert_nobody_left();
            let (mut told, mut all) = (said.ids(), tree.ids());
            told.sort_unstable();
            all.sort_unstable();
            assert!(told == all, "{words}: {} of {} told, each once", told.len(), all.len());
        }
        beside.assert_untouched();
    });
}

#[test]
fn thousands_are_held_in_little_memory() {
    inside(|| {
        let scene = Scene::new();
        let tree = start(&scene, size("wide 2500", "wide 10000"));
        // The largest of all children that were waited for: the tool, or else one that was smaller.
        let before = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage").max_rss();
        end(&scene, tree.root(), []).within(PATIENCE).run().ended(0);
        let most = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage").max_rss();
        tree.assert_nobody_left();
        assert!(most < 32 << 10, "{most} KiB, and {before} before");
    });
}

#[test]
fn more_targets_than_descriptors_end() {
    inside(|| {
        let scene = Scene::new();
        let descriptors = size("64", "1024");
        for words in [
            size("wide 1200", "wide 28000"),
            size("tree --depth 2 --width 30 --on-term ignore", "tree --depth 2 --width 150 --on-term ignore"),
        ] {
            let tree = start(&scene, words);
            // A machine that has other work needs longer than a killer waits by itself.
            let said = end(&scene, tree.root(), ["--grace", "1s", "--kill-wait", "60s"])
                .under(["--nofile", descriptors])
                .within(PATIENCE)
                .run()
                .ended(0);
            assert!(tree.nobody_left(), "{words}: {} left: {}", tree.living().len(), said.stderr);
            assert_eq!(said.ids().len(), tree.ids().len(), "{words}");
        }
    });
}

/// How many numbers are given away at once.
const NUMBERS: usize = 1000;

/// Ends what has these numbers, waits until they are free, and gives them to others, who tell of every signal.
fn give_away(scene: &Scene, first: Actor) -> Actor {
    let (ids, root) = (first.ids(), first.root());
    for id in &ids {
        id.signal(Signal::SIGKILL);
    }
    take_over(scene, first, &ids, root)
}

/// Waits until numbers are free, and gives them to others, who tell of every signal.
fn take_over(scene: &Scene, first: Actor, ids: &[Id], root: Id) -> Actor {
    wait_until(PATIENCE, "the root has been reaped", || first.reap().is_some());
    wait_until(PATIENCE, "the others have been reaped", || ids.iter().all(|id| id.state().is_none()));
    drop(first);
    let words = format!("wide {NUMBERS} --on-term tell");
    let others = start_as(root.pid, || scene.actor(words.split(' ')).within(PATIENCE));
    let mut numbers: Vec<u32> = others.ids().iter().map(|id| id.pid).collect();
    numbers.sort_unstable();
    let again = ids.iter().filter(|id| numbers.binary_search(&id.pid).is_ok()).count();
    assert!(again > NUMBERS * 9 / 10, "only {again} numbers came again");
    others
}

#[test]
// proves: P22
fn a_thousand_numbers_that_are_given_away_in_the_pipe_are_nobody_who_is_signalled() {
    inside(|| {
        let scene = Scene::new();
        let first = start(&scene, &format!("wide {NUMBERS}"));
        let saved = scene.tool("pstree-json").arg(first.root().operand()).run().ended(0).records();
        assert_eq!(saved.len(), first.ids().len());
        let mut innocents = give_away(&scene, first);
        for options in [&["--grace", "20ms"][..], &["--force"], &["--group", "--grace", "20ms"]] {
            let said = pkill(&scene, options.iter().copied()).records(&saved).run().ended(0);
            let gone = ["identity-changed", "already-gone"];
            let told = said.records();
            assert!(told.iter().all(|told| gone.contains(&text(told, "outcome").as_str())), "{said:?}");
            assert_eq!(told.len(), saved.len());
        }
        innocents.assert_untouched();
    });
}

#[test]
fn a_thousand_numbers_that_are_given_away_during_the_grace_are_nobody_who_is_killed() {
    inside(|| {
        let scene = Scene::new();
        let deaf = scene.start(["ignore-term"]);
        let first = start(&scene, &format!("wide {NUMBERS}"));
        let (ids, root) = (first.ids(), first.root());
        let running = end(&scene, deaf.root(), ["--grace", "4s"]).arg(root.operand()).start();
        let mut innocents = take_over(&scene, first, &ids, root);
        let said = running.finish().ended(0);
        assert_eq!(outcome(&said, deaf.root()), "killed");
        assert_eq!(innocents.living(), innocents.ids(), "innocents were ended");
        innocents.assert_untouched();
        assert_eq!(said.ids().len(), ids.len() + 1, "only targets are told");
    });
}
