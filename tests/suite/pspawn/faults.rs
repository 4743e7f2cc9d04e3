//! Killed at any moment: either nothing runs and nothing is registered, or what runs is registered.

use std::fs;

use nix::sys::signal::Signal;

use super::{at, entry, members, serves, waits};
use crate::support::process::Id;
use crate::support::{Output, SOON, Scene, actor_program, wait_until};

/// What the fault actor says when there was no such call any more.
const NOT_REACHED: i32 = 9;

/// Runs pspawn, and kills it or its child as it enters a system call.
fn killed_at(scene: &Scene, call: usize, victim: &str, name: &str, command: &[String]) -> Output {
    let actor = actor_program();
    let pidfile = at(scene, name);
    let script = format!(
        "exec {} kill-at {victim} -- {call} pspawn {name} --pidfile {pidfile} -- {}",
        actor.display(),
        command.join(" ")
    );
    scene.sh(&script).run()
}

/// What is left of a spawn when all has settled: nothing at all (false), or one process that is registered (true).
fn clean_state(scene: &Scene, name: &str, call: usize) -> bool {
    // Until the exec the child carries no mark; after the death of its spawner it ends, or runs the command.
    let identity = |entry: &serde_json::Value| {
        Id::in_record(&serde_json::json!({
            "pid": entry["pid"],
            "start_ticks": entry["identity"]["start_ticks"],
            "pidfd_inode": entry["identity"]["pidfd_inode"],
        }))
    };
    let mut running = Vec::new();
    wait_until(SOON, &format!("call {call}: nobody is between fork and exec"), || {
        running = scene.carriers();
        // In the midst of an exec a process shows no environment at all.
        let unseen = identity(&entry(scene, name)).filter(|id| id.alive() && !running.contains(id));
        running.iter().all(|id| serves(*id, name)) && unseen.is_none()
    });
    let entry = entry(scene, name);
    let pidfile = fs::read_to_string(scene.home().join(name)).ok();
    if running.is_empty() {
        assert!(entry.is_null(), "call {call}: registered and not running: {entry}");
        assert_eq!(pidfile, None, "call {call}");
        return false;
    }
    let registered = identity(&entry);
    assert_eq!(running.iter().copied().map(Some).collect::<Vec<_>>(), [registered], "call {call}: {entry}");
    assert_eq!(pidfile, Some(format!("{}\n", running[0].pid)), "call {call}");
    running[0].signal(Signal::SIGKILL);
    wait_until(SOON, "it is dead", || !running[0].alive());
    true
}

/// Tells whether the victim was killed in that call, or makes fewer.
fn was_killed(said: &Output) -> bool {
    assert!(matches!(said.code, Some(0 | NOT_REACHED)), "{said:?}");
    said.code == Some(0)
}

/// Goes through the calls of a spawner until there are no more. How often nothing was left, and how often a process.
fn through_all_calls(scene: &Scene, victim: &str, step: usize) -> (usize, usize) {
    let (mut nothing, mut registered) = (0, 0);
    for call in (1..).step_by(step) {
        let name = format!("s{victim}{call}");
        let killed = was_killed(&killed_at(scene, call, victim, &name, &waits()));
        let running = clean_state(scene, &name, call);
        if !killed {
            assert!(running, "undisturbed it runs");
            return (nothing, registered);
        }
        *(if running { &mut registered } else { &mut nothing }) += 1;
    }
    unreachable!("the calls of a program come to an end")
}

// proves: P43 P24 P42
#[test]
fn killed_at_any_call_after_the_fork_it_leaves_nothing_or_a_registered_process() {
    let (nothing, registered) = through_all_calls(&Scene::new(), "--forked", 1);
    assert!(nothing > 20 && registered > 3, "{nothing} times nothing, {registered} times registered");
}

#[test]
fn killed_before_the_fork_it_leaves_nothing() {
    // Some of these calls are behind the fork: the numbers go on.
    let (nothing, _) = through_all_calls(&Scene::new(), "", 11);
    assert!(nothing > 10, "{nothing} times nothing");
}

#[test]
fn a_child_that_is_killed_before_it_runs_is_not_registered() {
    let scene = Scene::new();
    for call in (1..).step_by(3) {
        let name = format!("c{call}");
        let killed = was_killed(&killed_at(&scene, call, "--child", &name, &waits()));
        if !killed {
            assert!(clean_state(&scene, &name, call));
            assert!(call > 10, "{call} calls between fork and exec");
            break;
        }
        assert!(members(&scene, &name).is_empty(), "call {call}");
        // Killed after the word to go, it was a registered process that has died.
        if entry(&scene, &name).is_null() {
            assert!(!scene.home().join(&name).exists(), "call {call}: a pid file of nobody");
        }
    }
}

#[test]
fn an_exec_that_fails_is_taken_back_also_when_the_spawner_is_dead() {
    let scene = Scene::new();
    let bad = scene.home().join("bad");
    fs::write(&bad, "#!/no/such/interpreter\n").expect("written");
    fs::set_permissions(&bad, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    for call in (1..).step_by(5) {
        let name = format!("b{call}");
        let killed = was_killed(&killed_at(&scene, call, "--forked", &name, &[bad.display().to_string()]));
        assert!(!clean_state(&scene, &name, call), "nothing can run");
        if !killed {
            break;
        }
    }
}
