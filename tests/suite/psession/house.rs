//! Codes, environment, registry, events, the hook.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{child_of, wait_for_process};
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, skip, wait_until};

#[test]
fn every_exit_code_passes_through() {
    let scene = Scene::new();
    for code in 0..=255 {
        let said = scene.tool("psession").args(["--", "sh", "-c", &format!("exit {code}")]).run();
        said.ended(code).quiet();
    }
}

#[test]
fn a_command_that_a_signal_ended_ends_psession_in_the_same_way() {
    let scene = Scene::new();
    for signal in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 34, 64] {
        let script = format!("ulimit -c 0; kill -{signal} $$");
        let said = scene.tool("psession").args(["--", "sh", "-c", &script]).run();
        assert_eq!((said.code, said.signal), (None, Some(signal)), "{said:?}");
        assert_eq!(said.stderr, "");
    }
}

#[test]
fn what_cannot_be_run_is_said_with_its_reason_and_nothing_is_left_registered() {
    let scene = Scene::new();
    std::fs::write(scene.home().join("text"), "no program").expect("written");
    let script = scene.home().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).expect("permitted");
    for (command, code, why) in [
        ("no-such-command", 127, "no such command in $PATH"),
        ("/no/such/file", 127, "no such file"),
        ("./script", 127, "interpreter"),
        ("./text", 126, "permission denied"),
        ("/", 126, "permission denied"),
    ] {
        let said = scene.tool("psession").args(["--", command]).cwd(scene.home()).run().ended(code);
        assert!(said.one_message().contains(why), "{said:?}");
    }
    assert_eq!(sessions(&scene), Vec::<String>::new());
}

#[test]
fn options_end_at_the_command() {
    let scene = Scene::new();
    let said = scene.tool("psession").args(["-q", "printf", "%s ", "--id", "-q", "--"]).run().ended(0);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "--id -q -- ");
    scene.tool("psession").arg("--no-such-option").arg("true").run().ended(2).one_message();
    scene.tool("psession").run().ended(2).one_message();
}

// proves: M18
#[test]
fn the_command_knows_its_session_and_has_the_surroundings_of_the_caller() {
    let scene = Scene::new();
    let home = scene.home().canonicalize().expect("a folder");
    let options = ["--id", "a b", "--export", "CLAUDE_SESSION_ID", "--project", "."];
    let script = "echo $PROCHERD_SESSION $CLAUDE_SESSION_ID $PROCHERD_PROJECT; cat";
    let tool = scene.tool("psession").args(options).args(["--", "sh", "-c", script]);
    let said = tool.cwd(&home).stdin("typed\n").run().ended(0);
    assert_eq!(said.text(), format!("a b a b {}\ntyped\n", home.display()));
    // Blocked and ignored signals, open descriptors, group and session: as without it.
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; cut -d' ' -f6 /proc/self/stat";
    let alone = scene.sh(script).run().ended(0);
    let within = scene.sh(&format!("psession -- sh -c \"{script}\"")).run().ended(0);
    assert_eq!(alone.text(), within.text());
}

#[test]
fn what_the_caller_ignores_stays_ignored() {
    let scene = Scene::new();
    let running = scene.sh("trap '' HUP INT; exec psession -- sleep 1081").start();
    let command = wait_for_process(&scene, "sleep 1081");
    running.signal(Signal::SIGHUP);
    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGUSR1);
    let said = running.finish();
    assert_eq!(said.signal, Some(10), "USR1 reached the command, and the others nobody: {said:?}");
    assert!(!command.alive());
}

/// The ids of the sessions in the registry of a scene.
fn sessions(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.registry()).unwrap_or_default();
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    document["sessions"].as_object().into_iter().flatten().map(|(id, _)| id.clone()).collect()
}

// proves: M33
#[test]
fn a_session_is_registered_before_its_command_runs_and_until_it_has_ended() {
    let scene = Scene::new();
    let script = format!("cat {}", scene.registry().display());
    let said = scene
        .tool("psession")
        .args(["--id", "one", "--project", "/", "--", "sh", "-c", &script])
        .run()
        .ended(0);
    let document: Value = serde_json::from_slice(&said.stdout).expect("the registry");
    let session = &document["sessions"]["one"];
    assert_eq!(session["projectPath"], "/");
    assert!(session["pid"].is_u64() && session["startTime"].is_u64(), "{session}");
    assert_eq!(sessions(&scene), Vec::<String>::new());
}

#[test]
fn an_id_that_lives_is_refused_and_its_command_not_run() {
    let scene = Scene::new();
    let first = scene.tool("psession").args(["--id", "one", "--", "sleep", "1091"]).start();
    wait_for_process(&scene, "sleep 1091");
    let said = scene
        .tool("psession")
        .args(["--id", "one", "--", "touch", "made"])
        .cwd(scene.home())
        .run()
        .ended(125);
    assert!(said.one_message().contains("a session of this id lives"), "{said:?}");
    assert!(!scene.home().join("made").exists());
    assert_eq!(sessions(&scene), ["one"]);
    first.signal(Signal::SIGTERM);
    first.finish();
    assert_eq!(sessions(&scene), Vec::<String>::new());
}

#[test]
fn a_session_whose_guardian_was_killed_leaves_the_registry_too() {
    let scene = Scene::new();
    let running = scene.tool("psession").args(["--id", "one", "--", "sleep", "1101"]).start();
    let command = wait_for_process(&scene, "sleep 1101");
    let worker = child_of(running.id()).expect("a worker");
    running.signal(Signal::SIGKILL);
    wait_dead(SOON, &[command, worker]);
    assert_eq!(sessions(&scene), Vec::<String>::new());
}

#[test]
fn a_registry_that_cannot_be_used_is_said_and_stops_nothing() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.registry().parent().expect("a folder")).expect("made");
    std::fs::write(scene.registry(), "damaged").expect("written");
    let said = scene.tool("psession").args(["--", "sh", "-c", "setsid sleep 1111 & exit 3"]).run().ended(3);
    assert!(said.stderr.contains("registry.json"), "{said:?}");
    assert_eq!(scene.carriers(), []);
    // Held by somebody else for long: the session begins without it.
    let scene = Scene::new();
    scene.tool("psession").arg("true").run().ended(0);
    let lock = std::fs::read_dir(scene.registry().parent().expect("a folder")).expect("a folder");
    let lock = lock.flatten().map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("lock"));
    let _holder = scene.start(["lock".as_ref(), lock.expect("a lock file").as_os_str()]);
    let said = scene.tool("psession").arg("true").run().ended(0);
    assert!(said.one_message().contains("holds the lock"), "{said:?}");
    assert!(said.elapsed < SOON, "{said:?}");
}

#[test]
fn events_tell_what_happened_and_to_whom() {
    let scene = Scene::new();
    let script = "setsid sleep 1121 & (setsid sleep 1122 &); PROCHERD_KEEP=1 sleep 1123 & read line; exit 9";
    let mut running = scene
        .tool("psession")
        .args(["--events", "events", "--id", "x", "--", "sh", "-c", script])
        .cwd(scene.home())
        .stdin_open()
        .start();
    let sleepers = [1121, 1122, 1123].map(|number| wait_for_process(&scene, &format!("sleep {number}")));
    running.close();
    running.finish().ended(9);
    let text = std::fs::read_to_string(scene.home().join("events")).expect("the events");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert!(events.iter().all(|event| event["type"] == "event" && event["session"] == "x"));
    let about = |word: &str, id: Id| {
        let same = |event: &&Value| event["event"] == word && Id::in_record(event) == Some(id);
        events.iter().find(same).unwrap_or_else(|| panic!("no {word} of {id:?} in {text}"))
    };
    assert_eq!(events[0]["event"], "started");
    let command = Id::in_record(&events[0]).expect("an identity");
    assert_eq!(about("exited", command)["exit_status"], 9);
    for sleeper in &sleepers[..2] {
        about("adopted", *sleeper);
        assert_eq!(about("terminated", *sleeper)["exit_signal"], "TERM");
    }
    assert_eq!(about("left", sleepers[2])["why"], "kept");
    sleepers[2].signal(Signal::SIGKILL);
}

#[test]
fn events_go_to_a_descriptor_that_the_command_does_not_get() {
    let scene = Scene::new();
    let script = "psession --events 7 -- sh -c 'ls /proc/$$/fd' 7>&1 >listed; cat listed";
    let said = scene.sh(script).cwd(scene.home()).run().ended(0);
    assert!(said.text().contains("\"event\":\"started\"") && said.text().contains("\"event\":\"exited\""));
    assert!(!said.text().lines().any(|line| line == "7"), "{said:?}");
    let said = scene.tool("psession").args(["--events", "77", "true"]).run().ended(125);
    assert!(said.one_message().contains("open events: 77"), "{said:?}");
}

// proves: M20
#[test]
fn a_script_with_the_hook_ends_what_it_has_started() {
    for (end, code) in [("exit 4", Some(4)), ("kill -TERM $$", None), ("kill -INT $$", None)] {
        let scene = Scene::new();
        let script = format!(
            "eval \"$(psession --hook --grace 500ms --export MY_ID)\"; sleep 1131 & setsid sh -c 'sleep 1132; :' & \
             (setsid sleep 1133 &); test \"$MY_ID\" = \"$PROCHERD_SESSION\" || exit 99; echo ready >&2; read line; {end}"
        );
        let mut running = scene.sh(&script).stdin_open().start();
        running.wait_for_message("ready");
        let sleepers = [1131, 1132, 1133].map(|number| wait_for_process(&scene, &format!("sleep {number}")));
        running.close();
        let said = running.finish();
        assert_eq!(said.code, code, "{said:?}");
        wait_dead(SOON, &sleepers);
    }
}

#[test]
fn another_registry_is_used_where_it_is_named() {
    let scene = Scene::new();
    let other = scene.home().join("other/registry.json");
    let script = format!("cat {}", other.display());
    let tool =
        scene.tool("psession").arg("--registry").arg(&other).args(["--id", "one", "--", "sh", "-c", &script]);
    let said = tool.run().ended(0);
    let document: Value = serde_json::from_slice(&said.stdout).expect("the registry");
    assert!(document["sessions"]["one"].is_object());
    assert!(!scene.registry().exists());
}

#[test]
fn quiet_leaves_the_failures() {
    let scene = Scene::new();
    scene.tool("psession").args(["--quiet", "--", "sh", "-c", "exit 4"]).run().ended(4).quiet();
    scene.tool("psession").args(["-q", "/no/such"]).run().ended(127).one_message();
}

#[test]
fn what_cannot_be_killed_in_time_is_told_as_left() {
    let freezer = std::path::Path::new("/sys/fs/cgroup/freezer");
    let folder = freezer.join(format!("procherd-test-{}", std::process::id()));
    if !freezer.join("cgroup.procs").exists() || std::fs::create_dir(&folder).is_err() {
        return skip("no freezer (cgroup version 1), which not even KILL gets through");
    }
    let scene = Scene::new();
    let options = ["--grace", "0", "--kill-wait", "300ms", "--events", "events"];
    let tool = scene.tool("psession").args(options).args(["--", "sh", "-c", "setsid sleep 1141 & read line"]);
    let mut running = tool.cwd(scene.home()).stdin_open().start();
    let sleeper = wait_for_process(&scene, "sleep 1141");
    std::fs::write(folder.join("cgroup.procs"), sleeper.pid.to_string()).expect("moved");
    std::fs::write(folder.join("freezer.state"), "FROZEN").expect("frozen");
    let state = || std::fs::read_to_string(folder.join("freezer.state")).unwrap_or_default();
    wait_until(SOON, "it is frozen", || state() == "FROZEN\n");
    running.close();
    let said = running.finish();
    std::fs::write(folder.join("freezer.state"), "THAWED").expect("thawed");
    wait_dead(SOON, &[sleeper]);
    wait_until(SOON, "the cgroup is removed", || std::fs::remove_dir(&folder).is_ok());
    assert!(said.ended(125).one_message().contains("1 lived on"));
    let events = std::fs::read_to_string(scene.home().join("events")).expect("the events");
    let left = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    let left: Vec<Value> = left.filter(|event| event["event"] == "left").collect();
    assert_eq!(left.len(), 1, "{events}");
    assert_eq!(Id::in_record(&left[0]), Some(sleeper));
}
