//! The command has the terminal as if it were run by itself.

use nix::sys::signal::Signal;

use super::{child_of, wait_for_process};
use crate::support::running::Running;
use crate::support::terminal::Terminal;
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, skip, wait_until};

/// A script of the shell on a terminal of its own, as the leader of a session.
fn on_terminal(scene: &Scene, script: &str) -> Running {
    scene.sh(script).on(Terminal::of_a_person()).under(["--ctty"]).start()
}

/// An interactive shell with job control.
fn shell(scene: &Scene) -> Running {
    let go = format!("cd {} && PS1='$ ' exec sh -i", scene.home().display());
    let mut shell = on_terminal(scene, &go);
    shell.wait_for_screen("$ ");
    shell
}

/// The guardian above a process that is the command.
fn guardian_of(command: Id) -> Id {
    let worker = Id::of(command.ppid().expect("a parent")).expect("alive");
    Id::of(worker.ppid().expect("a parent")).expect("alive")
}

/// Waits until the terminal belongs to the group of a process.
fn wait_foreground(id: Id) {
    wait_until(SOON, &format!("{id:?} is in the foreground"), || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.pid)).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.len() > 5 && fields[2] == fields[5]
    });
}

#[track_caller]
fn wait_state(id: Id, state: char) {
    wait_until(SOON, &format!("{id:?} is {state}"), || id.state() == Some(state));
}

#[test]
fn the_keys_of_a_terminal_reach_the_command_and_the_shell_sees_its_job() {
    let scene = Scene::new();
    let mut shell = shell(&scene);
    shell.keys("psession -- sleep 1041\n");
    let command = wait_for_process(&scene, "sleep 1041");
    let guardian = guardian_of(command);
    wait_foreground(command);
    shell.keys("\x1a");
    wait_state(command, 'T');
    wait_state(guardian, 'T');
    shell.keys("echo the shell is b''ack\n");
    shell.wait_for_screen("the shell is back");
    shell.keys("bg\n");
    wait_state(command, 'S');
    wait_state(guardian, 'S');
    shell.keys("fg\n");
    wait_foreground(command);
    // The shell continues its job a moment after it gave it the terminal: a stop before that has no effect.
    wait_until(SOON, "the job is stopped", || {
        let stopped = guardian.state() == Some('T');
        if !stopped {
            shell.keys("\x1a");
        }
        stopped
    });
    shell.keys("fg\n");
    wait_foreground(command);
    wait_state(guardian, 'S');
    wait_state(command, 'S');
    shell.keys("\x03");
    wait_dead(SOON, &[command, guardian]);
    shell.keys("echo code=$?\n");
    shell.wait_for_screen("code=130");
    shell.keys("exit\n");
    shell.finish();
    assert_eq!(scene.carriers(), []);
}

#[test]
fn an_interactive_shell_has_its_jobs_and_nothing_of_it_stays() {
    let scene = Scene::new();
    let mut shell = shell(&scene);
    shell.keys("psession -- sh -i\n");
    shell.wait_for_screen("$ ");
    shell.keys("sleep 1051\n");
    let first = wait_for_process(&scene, "sleep 1051");
    shell.keys("\x03");
    wait_dead(SOON, &[first]);
    shell.keys("sleep 1052\n");
    let second = wait_for_process(&scene, "sleep 1052");
    shell.keys("\x1a");
    wait_state(second, 'T');
    shell.keys("fg\n");
    wait_foreground(second);
    wait_state(second, 'S');
    shell.keys("\x1a");
    wait_state(second, 'T');
    shell.keys("setsid sleep 1053 &\n");
    let third = wait_for_process(&scene, "sleep 1053");
    // With a stopped job the shell has to be told twice.
    shell.keys("exit 7\nexit 7\n");
    wait_dead(SOON, &[second, third]);
    shell.keys("echo code=$?\n");
    shell.wait_for_screen("code=7");
    shell.keys("exit\n");
    shell.finish();
    assert_eq!(scene.carriers(), []);
}

#[test]
fn a_terminal_that_a_killed_command_left_raw_is_restored() {
    let scene = Scene::new();
    let left_raw = "psession -- sh -c 'stty raw -echo; kill -KILL $$'";
    let mut shell = on_terminal(&scene, &format!("{left_raw}; stty -a; echo done"));
    shell.wait_for_screen("done");
    let said = shell.finish();
    let screen = String::from_utf8_lossy(&said.screen);
    assert!(screen.contains(" icanon") && screen.contains(" echo "), "{said:?}");
}

#[test]
fn the_foreground_comes_back_from_a_shell_that_was_killed() {
    let scene = Scene::new();
    let script = "psession -- sh -ic 'kill -KILL $$'; echo next; read line; echo got=$line";
    let mut running = on_terminal(&scene, script);
    running.wait_for_screen("next");
    running.keys("hello\n");
    running.wait_for_screen("got=hello");
    running.finish().ended(0);
}

#[test]
fn a_full_screen_program_works_and_can_be_suspended() {
    let scene = Scene::new();
    if scene.sh("command -v vim >/dev/null").run().code != Some(0) {
        return skip("vim is not installed");
    }
    let mut shell = shell(&scene);
    shell.keys("TERM=xterm psession -- vim -u NONE -N -n file\n");
    let vim = wait_for_process(&scene, "vim -u NONE -N -n file");
    shell.wait_for_screen("[New]");
    shell.keys("ihello\x1b");
    shell.wait_for_screen("hello");
    shell.keys("\x1a");
    wait_state(vim, 'T');
    shell.keys("echo suspen''ded\n");
    shell.wait_for_screen("suspended");
    shell.keys("fg\n");
    wait_foreground(vim);
    wait_state(vim, 'S');
    shell.keys(":wq\r");
    wait_dead(SOON, &[vim]);
    shell.keys("echo code=$?; cat file\n");
    shell.wait_for_screen("code=0");
    shell.wait_for_screen("hello");
    shell.keys("exit\n");
    shell.finish();
}

#[test]
fn a_command_that_is_stopped_and_continued_by_others_is_followed() {
    let scene = Scene::new();
    let running = scene.tool("psession").args(["--", "sleep", "1061"]).start();
    let command = wait_for_process(&scene, "sleep 1061");
    command.signal(Signal::SIGSTOP);
    wait_state(command, 'T');
    // Whether psession stops as well depends on who could continue it; either way it comes back.
    command.signal(Signal::SIGCONT);
    wait_state(command, 'S');
    wait_until(SOON, "the guardian goes on", || running.id().state() == Some('S'));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.finish().signal, Some(15));
}

#[test]
fn a_stop_that_is_sent_stops_both_and_a_continuation_continues_both() {
    let scene = Scene::new();
    let mut shell = shell(&scene);
    shell.keys("psession -- sleep 1071\n");
    let command = wait_for_process(&scene, "sleep 1071");
    let guardian = guardian_of(command);
    assert_eq!(child_of(guardian).and_then(child_of), Some(command));
    guardian.signal(Signal::SIGTSTP);
    wait_state(command, 'T');
    wait_state(guardian, 'T');
    guardian.signal(Signal::SIGCONT);
    wait_state(command, 'S');
    wait_state(guardian, 'S');
    guardian.signal(Signal::SIGTERM);
    wait_dead(SOON, &[command, guardian]);
    // A shell that has not reaped its job yet counts it as stopped, and has to be told twice.
    shell.keys("exit\nexit\n");
    shell.finish();
}
