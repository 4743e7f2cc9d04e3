//! A session ends with whoever waits for it.

use nix::sys::signal::Signal;

use super::{child_of, wait_for_process};
use crate::support::running::Running;
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, wait_until};

/// A shell that runs a session with a daemon, in the foreground or otherwise.
fn shell(scene: &Scene, line: &str) -> (Running, [Id; 2]) {
    let script = line.replace("SESSION", "psession -- sh -c 'setsid sleep 1311 & sleep 1312'");
    let running = scene.sh(&script).under(["--setsid"]).stdin_open().start();
    let members = [1311, 1312].map(|number| wait_for_process(scene, &format!("sleep {number}")));
    (running, members)
}

#[test]
fn a_session_whose_caller_is_killed_or_ends_is_ended() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let scene = Scene::new();
        let (running, members) = shell(&scene, "SESSION; :");
        let guardian = child_of(running.id()).expect("a guardian");
        running.signal(signal);
        wait_dead(SOON, &members);
        wait_dead(SOON, &[guardian]);
        drop(running);
        assert_eq!(scene.carriers(), []);
    }
}

#[test]
fn a_session_that_was_made_independent_goes_on() {
    for line in ["SESSION & read line", "nohup SESSION; :", "setsid SESSION & read line"] {
        let scene = Scene::new();
        let (running, members) = shell(&scene, line);
        let guardian = Id::of(parent_of(parent_of(members[1])).ppid().expect("a parent")).expect("alive");
        running.signal(Signal::SIGKILL);
        wait_until(SOON, "it has another parent", || {
            guardian.ppid().is_some_and(|pid| pid != running.id().pid)
        });
        // What it is asked now it still passes on: nothing was ended before.
        assert!(members.iter().all(Id::alive), "{line}");
        guardian.signal(Signal::SIGTERM);
        wait_dead(SOON, &members);
    }
}

fn parent_of(id: Id) -> Id {
    Id::of(id.ppid().expect("a parent")).expect("alive")
}
