//! However a session ends, nobody of it is left.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Play, child_of, rounds, wait_for_process};
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, arena, wait_until};

/// What the promise gives: the grace of these tests, and two seconds.
const IN_TIME: Duration = Duration::from_millis(2200);

/// All that a process can do to get away, each as the command of a session.
const ESCAPES: &[&str] = &[
    "idle",
    "tree --depth 2 --width 3",
    "tree --depth 2 --width 2 --own-group",
    "ignore-term",
    "slow-exit 50",
    "stopped",
    "witness",
    "double-fork",
    "daemon --depth 1 --width 2",
    "setsid-child --depth 1",
    "brothers 3",
    "brothers 2 --setsid --depth 1",
    "clear-env",
    "zombie 2",
    "dead-main-thread",
    "respawner --lanes 3 --setsid",
];

/// Who or what ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Asked(Signal),
    Guardian,
    Worker,
    Command,
    /// The whole job of the shell, as `kill -9 %1` does.
    Job,
}

const ENDS: [By; 7] = [
    By::Asked(Signal::SIGTERM),
    By::Asked(Signal::SIGINT),
    By::Asked(Signal::SIGHUP),
    By::Guardian,
    By::Worker,
    By::Command,
    By::Job,
];

fn end(play: &Play, by: By) {
    let kill = |id: Id| assert!(id.signal(Signal::SIGKILL), "{id:?} was alive");
    match by {
        By::Asked(signal) => play.running.signal(signal),
        By::Guardian => kill(play.guardian()),
        By::Worker => kill(play.worker()),
        By::Command => kill(play.ids[0]),
        By::Job => {
            let group = nix::unistd::Pid::from_raw(play.guardian().pid.cast_signed());
            nix::sys::signal::killpg(group, Signal::SIGKILL).expect("the guardian leads its group");
        }
    }
}

// proves: P16 M21
#[test]
fn nobody_gets_away_however_the_session_ends() {
    arena::inside(|| {
        for by in ENDS {
            for words in ESCAPES {
                let scene = Scene::new();
                // In the session and group of psession, as commands are.
                let words: Vec<&str> = words.split(' ').chain(["--same-session"]).collect();
                let mut play = Play::start(&scene, &["--grace", "200ms"], &words);
                end(&play, by);
                play.wait_nobody_left(IN_TIME + SOON, &format!("{by:?} of {words:?}"));
                wait_dead(SOON, &play.ids);
            }
        }
    });
}

#[test]
fn storms_do_not_outrun_the_end() {
    arena::inside(|| {
        for words in [
            "fork-storm --lanes 20 --rate 1000 --life 50 --budget 20000",
            "fork-storm --lanes 8 --rate 500 --life 200 --setsid --on-term ignore --budget 20000",
            "hopper --rate 1000 --setsid --budget 20000",
            "hopper --rate 1000 --on-term ignore --budget 20000",
            "respawner --lanes 8 --setsid --on-term ignore --budget 20000",
        ] {
            for by in [By::Asked(Signal::SIGTERM), By::Guardian, By::Worker, By::Command] {
                let scene = Scene::new();
                let words: Vec<&str> = words.split(' ').collect();
                let mut play = Play::beside(&scene, &["--grace", "200ms"], &words);
                if by == By::Command {
                    let shell = child_of(play.worker()).expect("the shell");
                    shell.signal(Signal::SIGKILL);
                } else {
                    end(&play, by);
                }
                play.wait_nobody_left(SOON, &format!("{by:?} of {words:?}"));
            }
        }
    });
}

/// Either half is killed at any moment, from before the command runs to after its end.
#[test]
fn either_half_can_be_killed_at_any_moment() {
    arena::inside(|| {
        for round in 0..rounds(24) {
            let scene = Scene::new();
            let words =
                ["daemon --depth 1", "brothers 2 --setsid", "orphan 2 --depth 1", "tree --depth 1 --width 3"];
            let words: Vec<&str> = words[round % words.len()].split(' ').collect();
            let mut play = Play::begin(&scene, &["--grace", "100ms"], &words);
            // Some moment: nothing is waited for, only passed.
            for _ in 0..(round * 7919) % 97 * 40 {
                std::hint::black_box(std::fs::metadata("/proc/self").is_ok());
            }
            let half = if round % 2 == 0 { Some(play.guardian()) } else { child_of(play.guardian()) };
            if !half.is_some_and(|half| half.signal(Signal::SIGKILL)) {
                // There was no worker yet, or it had ended: then all is asked to end.
                play.running.signal(Signal::SIGTERM);
            }
            play.wait_nobody_left(SOON, &format!("round {round}: {half:?} of {words:?}"));
        }
    });
}

#[test]
fn what_a_command_leaves_behind_ends_before_psession_does_and_its_code_is_right() {
    let scene = Scene::new();
    // Each holds the life line under another number: the shell takes standard input from what runs in the background.
    let script =
        "exec 3<&0; trap '' TERM; (setsid sleep 600 &); setsid sh -c 'sleep 600 & (sleep 600 &)' & exit ";
    for round in 0..rounds(10) {
        let code = i32::try_from(round % 256).expect("small");
        let tool =
            scene.tool("psession").args(["--grace", "5ms", "--", "sh", "-c", &format!("{script}{code}")]);
        let mut play = Play::of(tool);
        wait_until(SOON, "it has ended", || !play.running.runs());
        assert!(play.nobody_left(), "round {round}");
        play.running.finish().ended(code).quiet();
    }
}

#[test]
fn polite_processes_end_at_once_and_are_asked_once() {
    let scene = Scene::new();
    let mut play = Play::start(&scene, &["--grace", "60s"], &["daemon", "--depth", "1", "--width", "3"]);
    play.running.signal(Signal::SIGTERM);
    play.wait_nobody_left(SOON, "the end");
    assert_eq!(play.running.finish().signal, Some(15));
}

#[test]
fn who_ignores_the_request_has_the_whole_grace() {
    let scene = Scene::new();
    let mut play = Play::start(&scene, &["--grace", "400ms"], &["ignore-term"]);
    let start = std::time::Instant::now();
    play.guardian().signal(Signal::SIGKILL);
    play.wait_nobody_left(SOON, "the end");
    assert!(start.elapsed() >= Duration::from_millis(400));
}

// proves: W43
#[test]
fn a_command_that_is_interrupted_has_its_own_time_to_clean_up() {
    let scene = Scene::new();
    let script = "trap 'echo cleaned; exit 5' INT; echo ready >&2; while :; do sleep 0.05; done";
    let mut running = scene.tool("psession").args(["--", "sh", "-c", script]).start();
    running.wait_for_message("ready");
    running.signal(Signal::SIGINT);
    let said = running.finish().ended(5);
    assert_eq!(said.text(), "cleaned\n");
}

#[test]
fn what_was_spared_stays_and_nothing_else() {
    let scene = Scene::new();
    let script = "PROCHERD_KEEP=1 sh -c 'sleep 1011; :' & sleep 1012 & tail -f /dev/null & read line; exit 6";
    for (options, keeps_tail) in [(&["--grace", "0"][..], false), (&["--keep", "tail"], true)] {
        let tool = scene.tool("psession").args(options);
        let mut running = tool.args(["--", "sh", "-c", script]).stdin_open().start();
        let asked = wait_for_process(&scene, "sleep 1011");
        let ended = wait_for_process(&scene, "sleep 1012");
        let tail = wait_for_process(&scene, "tail -f /dev/null");
        running.close();
        running.finish().ended(6);
        assert_eq!((asked.alive(), ended.alive(), tail.alive()), (true, false, keeps_tail));
        for id in scene.carriers() {
            id.signal(Signal::SIGKILL);
        }
        wait_dead(SOON, &[asked, tail]);
    }
}

#[test]
fn a_session_within_a_kept_one_ends_all_the_same() {
    let scene = Scene::new();
    let tool = scene.tool("psession").env("PROCHERD_KEEP", "1");
    tool.args(["--", "sh", "-c", "setsid sleep 1021 & test -z \"$PROCHERD_KEEP\""]).run().ended(0).quiet();
    assert_eq!(scene.carriers(), []);
}

#[test]
fn a_session_in_a_session_ends_alone_and_with_the_outer_one() {
    let scene = Scene::new();
    let script = "psession -- sh -c 'setsid sleep 1031 & exit 4'; test \\$? = 4 && psession -- sleep 1032";
    let running = scene.sh(&format!("exec psession -- sh -c \"{script}\"")).start();
    let sleeper = wait_for_process(&scene, "sleep 1032");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.finish().signal, Some(15));
    wait_dead(SOON, &[sleeper]);
    assert_eq!(scene.carriers(), []);
}

#[test]
fn the_dead_are_collected_all_the_while() {
    let scene = Scene::new();
    // Twenty grandchildren are orphaned and end while the command lives.
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (true &); done; echo ready >&2; read line; exit 0";
    let mut running = scene.tool("psession").args(["--", "sh", "-c", script]).stdin_open().start();
    running.wait_for_message("ready");
    let worker = child_of(running.id()).expect("a worker");
    let children =
        || std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", worker.pid)).unwrap_or_default();
    wait_until(SOON, "the command is the only child", || children().split_whitespace().count() == 1);
    running.close();
    running.finish().ended(0);
}
