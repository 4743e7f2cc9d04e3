//! Many starters at once: one wins, and all know it.

use std::fs;

use nix::sys::signal::Signal;

use super::{at, entry, members, spawn, waits};
use crate::support::process::Id;
use crate::support::wait::wait_dead;
use crate::support::{Output, SOON, Scene};

/// So many starters of one service, all at once.
fn at_once(scene: &Scene, count: usize, options: &[&str]) -> Vec<Output> {
    let running: Vec<_> = (0..count).map(|_| spawn(scene, "daemon", options, waits()).start()).collect();
    running.into_iter().map(crate::support::running::Running::finish).collect()
}

// proves: R11 R19
#[test]
fn ten_autostarters_make_one_daemon() {
    let scene = Scene::new();
    let pidfile = at(&scene, "pid");
    for round in 0..5 {
        let all = at_once(&scene, 10, &["--ensure", "--pidfile", &pidfile]);
        let one = members(&scene, "daemon");
        assert_eq!(one.len(), 1, "round {round}");
        for output in all {
            assert_eq!(
                Id::in_record(&output.ended(0).record()),
                Some(one[0]),
                "all are told of the same one"
            );
        }
        assert_eq!(entry(&scene, "daemon")["identity"]["pidfd_inode"].as_u64(), one[0].inode);
        assert_eq!(fs::read_to_string(&pidfile).expect("written"), format!("{}\n", one[0].pid));
        // It crashes, and is started again: once.
        one[0].signal(Signal::SIGKILL);
        wait_dead(SOON, &one);
    }
}

#[test]
fn of_many_starters_one_wins_and_the_others_are_told() {
    let scene = Scene::new();
    let all = at_once(&scene, 10, &[]);
    let won = all.iter().filter(|output| output.code == Some(0)).count();
    let told = all
        .iter()
        .filter(|output| output.code == Some(1) && output.stderr.contains("already running"))
        .count();
    assert_eq!((won, told), (1, 9), "{all:?}");
    assert_eq!(members(&scene, "daemon").len(), 1);
}

#[test]
fn who_finds_a_start_that_fails_is_not_content_with_it() {
    let scene = Scene::new();
    // The kernel refuses it after the claim.
    let bad = scene.home().join("bad");
    fs::write(&bad, "#!/no/such/interpreter\n").expect("written");
    fs::set_permissions(&bad, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let command = || vec![bad.display().to_string()];
    let running: Vec<_> = (0..6).map(|_| spawn(&scene, "daemon", &["--ensure"], command()).start()).collect();
    for output in running {
        output.finish().ended(126);
    }
    assert!(entry(&scene, "daemon").is_null());
}

// proves: R17 R20 R15
#[test]
fn ten_restarts_accumulate_nothing() {
    let scene = Scene::new();
    let pidfile = at(&scene, "pid");
    let mut before = Vec::new();
    for _ in 0..10 {
        let options = ["--replace", "--pidfile", &pidfile];
        let record = spawn(&scene, "daemon", &options, waits()).run().ended(0).record();
        let id = Id::in_record(&record).expect("an identity");
        assert_eq!(members(&scene, "daemon"), [id]);
        assert_eq!(fs::read_to_string(&pidfile).expect("written"), format!("{}\n", id.pid));
        before.push(id);
    }
    scene.tool("pkill-tree").arg("daemon").run().ended(0);
    wait_dead(SOON, &before);
}

#[test]
fn at_most_one_is_the_rule_also_when_it_is_asked_for() {
    let scene = Scene::new();
    spawn(&scene, "daemon", &["--singleton"], waits()).run().ended(0);
    spawn(&scene, "daemon", &["--singleton"], waits()).run().ended(1).said("already running");
    for other in ["--ensure", "--replace"] {
        spawn(&scene, "daemon", &["--singleton", other], waits()).run().ended(2).one_message();
    }
    assert_eq!(members(&scene, "daemon").len(), 1);
}

#[test]
fn quiet_writes_nothing_and_another_registry_is_another_world() {
    let scene = Scene::new();
    let other = at(&scene, "other/registry.json");
    for options in [&["--quiet"][..], &["-q", "--registry", &other]] {
        let said = spawn(&scene, "daemon", options, waits()).run().ended(0).quiet();
        assert!(said.stdout.is_empty());
    }
    let members = members(&scene, "daemon");
    assert_eq!(members.len(), 2, "one in each");
    assert!(!entry(&scene, "daemon").is_null() && std::path::Path::new(&other).exists());
    let knows = |id: &Id| {
        let environ = fs::read(format!("/proc/{}/environ", id.pid)).expect("alive");
        environ.split(|byte| *byte == 0).any(|entry| entry == format!("PROCHERD_REGISTRY={other}").as_bytes())
    };
    assert_eq!(members.iter().filter(|id| knows(id)).count(), 1, "and it is told of it");
}
