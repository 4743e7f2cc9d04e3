//! `pspawn`: a name is claimed once, what runs is registered, and what is registered runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::Id;
use crate::support::tool::Tool;
use crate::support::wait::wait_dead;
use crate::support::{Output, SOON, Scene, actor_program, wait_until};

mod cgroups;
mod course;
mod faults;
mod ports;
mod races;

/// A command that waits and ends by itself should a test not end it.
fn waits() -> Vec<String> {
    vec![actor_program().display().to_string(), "idle".into(), "--outlive".into(), "60".into()]
}

/// A script as a command.
fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// `pspawn NAME OPTIONS -- COMMAND`, about to be run.
fn spawn(scene: &Scene, name: &str, options: &[&str], command: Vec<String>) -> Tool {
    scene.tool("pspawn").arg(name).args(options).arg("--").args(command)
}

/// A path of the home of a scene, as a word.
fn at(scene: &Scene, name: &str) -> String {
    scene.home().join(name).display().to_string()
}

/// The registry as it is; null where there is none.
fn registry(scene: &Scene) -> Value {
    let text = fs::read_to_string(scene.registry()).unwrap_or_else(|_| "null".into());
    serde_json::from_str(&text).expect("the registry is JSON")
}

/// The entry of a global service; null where there is none.
fn entry(scene: &Scene, name: &str) -> Value {
    registry(scene)["services"]["global"][name].clone()
}

/// The living processes of a service: those that carry its name and were started by this scene.
fn members(scene: &Scene, name: &str) -> Vec<Id> {
    scene.carriers().into_iter().filter(|id| serves(*id, name)).collect()
}

/// Tells whether a process carries the name of a service.
fn serves(id: Id, name: &str) -> bool {
    let environ = fs::read(format!("/proc/{}/environ", id.pid)).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|entry| entry == format!("PROCHERD_SERVICE={name}").as_bytes())
}

/// The process that a service record names, alive.
fn runs(record: &Value) -> Id {
    let id = Id::in_record(record).unwrap_or_else(|| panic!("no identity in {record}"));
    assert!(id.alive(), "{record}");
    id
}

/// What a script wrote to a file, once it is whole.
fn written(path: &Path) -> String {
    wait_until(SOON, &format!("{} is written", path.display()), || {
        fs::read_to_string(path).is_ok_and(|text| text.ends_with("end\n"))
    });
    fs::read_to_string(path).expect("text")
}

/// Starts a script that writes to a file, and gives what it wrote.
fn told(scene: &Scene, options: &[&str], script: &str) -> String {
    let file = scene.home().join("told");
    let script = format!("{{ {script}\necho end; }} > '{0}.new' 2>&1; mv '{0}.new' '{0}'", file.display());
    spawn(scene, "teller", options, shell(&script)).run().ended(0);
    written(&file)
}

// proves: P07 P12 P20 P36 M14 S20 W02 W07 W14 W28
#[test]
fn a_service_runs_in_its_own_session_and_is_registered_as_what_it_is() {
    let scene = Scene::new();
    let record = spawn(&scene, "api", &[], waits()).run().ended(0).quiet().record();
    let id = runs(&record);
    assert_eq!((record["service"].as_str(), record["alive"].as_str()), (Some("api"), Some("alive")));
    let entry = entry(&scene, "api");
    assert_eq!(entry["identity"]["pidfd_inode"].as_u64(), id.inode);
    for (field, value) in [("pid", id.pid), ("pgid", id.pid), ("sid", id.pid)] {
        assert_eq!(entry[field], value, "{field}");
    }
    assert_eq!(entry["command"], serde_json::json!(waits()));
    assert_eq!(entry["script"], waits().join(" "));
    assert!(entry["startTime"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.pid)).expect("alive");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_ascii_whitespace().collect();
    assert_eq!(fields[2..4], [id.pid.to_string(), id.pid.to_string()], "it leads its session and group");
    let ended = scene.tool("pkill-tree").arg("api").run().ended(0);
    assert_eq!(ended.about(id)["outcome"], "exited");
}

#[test]
fn its_environment_says_whose_it_is() {
    let scene = Scene::new();
    let text = told(&scene, &[], "echo $$; echo $PROCHERD_ID; echo $PROCHERD_SERVICE");
    let lines: Vec<&str> = text.lines().collect();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    assert!(lines[1].starts_with(&format!("{}-{}-", &boot[..8], lines[0])), "{text}");
    assert_eq!(lines[2], "teller");
    assert_eq!(entry(&scene, "teller")["cookie"], lines[1]);
    // An inner spawn is another spawn.
    let scene = Scene::new();
    let inner = format!("pspawn inner -- {} >/dev/null; echo $PROCHERD_ID", waits().join(" "));
    let path = std::env::join_paths([crate::support::programs(), Path::new("/bin"), Path::new("/usr/bin")]);
    let path = format!("--env=PATH={}", path.expect("a path").display());
    let outer = told(&scene, &[&path], &inner);
    let inner = members(&scene, "inner");
    assert_eq!(inner.len(), 1, "{outer}");
    assert_ne!(entry(&scene, "inner")["cookie"], outer.lines().next().unwrap_or_default());
}

// proves: W12
#[test]
fn variables_come_from_the_caller_then_files_then_options() {
    let scene = Scene::new();
    fs::write(scene.home().join("env"), "# settings\nexport A='from file'\nB=file # note\n")
        .expect("written");
    let options = [&format!("--env-file={}", at(&scene, "env")), "--env", "B=option=x", "--env=C="];
    let text = told(&scene, &options, "echo \"$A|$B|${C-unset}|$HOME\"");
    assert_eq!(text.lines().next(), Some(format!("from file|option=x||{}", scene.home().display()).as_str()));
    fs::write(scene.home().join("env"), "A=1\nnonsense\n").expect("written");
    let env_file = format!("--env-file={}", at(&scene, "env"));
    spawn(&scene, "x", &[&env_file], waits()).run().ended(2).said("line 2: not NAME=VALUE");
    for pair in ["PROCHERD_ID=x", "=x", "A"] {
        spawn(&scene, "x", &["--env", pair], waits()).run().ended(2).one_message();
    }
}

// proves: W52
#[test]
fn what_must_be_there_is_looked_for_first() {
    let scene = Scene::new();
    let missing = at(&scene, "missing");
    for option in ["--require-file", "--env-file"] {
        let said = spawn(&scene, "x", &[option, &missing], waits()).run().ended(1);
        assert!(said.one_message().contains(&format!("{missing}: no such file")), "{said:?}");
    }
    fs::write(&missing, "").expect("written");
    spawn(&scene, "x", &["--require-file", &missing], waits()).run().ended(0);
}

#[test]
fn nothing_of_the_caller_leaks_into_a_service() {
    let scene = Scene::new();
    // The caller ignores and blocks signals, and holds a file open.
    let script = "trap '' TERM INT HUP USR1; exec 7</dev/null 9>/dev/null; exec pspawn leaks -- ";
    scene.sh(&format!("{script}{}", waits().join(" "))).run().ended(0);
    let id = members(&scene, "leaks")[0];
    let fds: Vec<String> = fs::read_dir(format!("/proc/{}/fd", id.pid))
        .expect("alive")
        .map(|entry| entry.expect("a descriptor"))
        .filter(|entry| {
            let to = fs::read_link(entry.path()).unwrap_or_default();
            // Those that the actor makes for itself.
            !to.to_string_lossy().contains("signalfd") && !to.to_string_lossy().contains("/stat")
        })
        .map(|entry| {
            format!("{} {}", entry.file_name().display(), fs::read_link(entry.path()).unwrap().display())
        })
        .collect();
    let null = |number| format!("{number} /dev/null");
    assert_eq!(fds.len(), 3, "{fds:?}");
    assert!((0..3).all(|number| fds.contains(&null(number))), "{fds:?}");
    let scene = Scene::new();
    let quiet = "trap '' TERM INT HUP USR1 PIPE; exec pspawn masks -- sh -c \
                 'grep -E \"Sig(Blk|Ign)\" /proc/self/status > \"$PROCHERD_TEST/new\"; echo end >> \"$PROCHERD_TEST/new\"; \
                 mv \"$PROCHERD_TEST/new\" \"$PROCHERD_TEST/masks\"'";
    scene.sh(quiet).run().ended(0);
    let text = written(&scene.home().join("masks"));
    assert!(
        text.contains("SigBlk:\t0000000000000000") && text.contains("SigIgn:\t0000000000000000"),
        "{text}"
    );
}

#[test]
fn the_limit_of_open_files_is_that_of_the_caller() {
    let scene = Scene::new();
    spawn(&scene, "teller", &[], waits()).run().ended(0);
    let script = format!("ulimit -n > '{0}'; echo end >> '{0}'", at(&scene, "limit"));
    let command = ["pspawn", "teller", "--replace", "--", "sh", "-c"].join(" ");
    scene.sh(&format!("ulimit -Sn 123; exec {command} \"$SCRIPT\"")).env("SCRIPT", script).run().ended(0);
    assert_eq!(written(&scene.home().join("limit")), "123\nend\n");
}

#[test]
fn it_runs_where_it_is_told_to() {
    let scene = Scene::new();
    fs::create_dir(scene.home().join("sub")).expect("made");
    let text = told(&scene, &["--cwd", &at(&scene, "sub")], "pwd");
    assert_eq!(text.lines().next(), Some(at(&scene, "sub").as_str()));
    assert_eq!(entry(&scene, "teller")["cwd"], at(&scene, "sub"));
    // Programs are looked for from there.
    let program = scene.home().join("sub/run");
    fs::copy("/bin/true", &program).expect("copied");
    spawn(&scene, "there", &["--cwd", &at(&scene, "sub")], vec!["./run".into()]).run().ended(0);
}

// proves: M35 W47
#[test]
fn its_output_goes_to_the_end_of_a_log_that_is_set_aside_when_it_is_large() {
    let scene = Scene::new();
    let log = at(&scene, "log");
    fs::write(&log, "before\n").expect("written");
    let options = ["--log", &log, "--log-size", "20", "--log-keep", "1"];
    let lines = |name: &str| fs::read_to_string(scene.home().join(name)).unwrap_or_default();
    for (name, text) in [("one", "before\nout one\nerr one\nend\n"), ("two", "out two\nerr two\nend\n")] {
        let script = format!("echo out {name}; echo err {name} >&2; echo end");
        spawn(&scene, name, &options, shell(&script)).run().ended(0);
        assert_eq!(written(Path::new(&log)), text);
    }
    assert_eq!(lines("log.1"), "before\nout one\nerr one\nend\n");
    assert_eq!(entry(&scene, "two")["log"], log);
    let nowhere = ["--log", &at(&scene, "none/log")];
    spawn(&scene, "three", &nowhere, waits()).run().ended(3).said("open log").said("no such file");
    assert!(entry(&scene, "three").is_null());
}

// proves: P39 P40 P43
#[test]
fn the_second_of_a_name_is_refused_with_all_that_helps() {
    let scene = Scene::new();
    let project = scene.home().join("a project");
    fs::create_dir(&project).expect("made");
    let options = ["--project", project.to_str().expect("text")];
    let first = spawn(&scene, "api", &options, waits()).run().ended(0).record();
    let id = runs(&first);
    let said = spawn(&scene, "api", &options, waits()).run().ended(1);
    let message = said.one_message();
    let started = first["started_at"].as_str().expect("a time");
    for word in [
        "api",
        project.to_str().unwrap(),
        &id.pid.to_string(),
        started,
        &format!("pkill-tree {}", id.operand()),
    ] {
        assert!(message.contains(word), "{word} is missing: {message}");
    }
    assert!(said.stdout.is_empty());
    assert_eq!(members(&scene, "api"), [id], "the first one goes on alone");
    // The command that the message names ends it; then the name is free.
    let command = message.split('\'').nth(1).expect("a command");
    scene.sh(command).run().ended(0);
    wait_dead(SOON, &[id]);
    spawn(&scene, "api", &options, waits()).run().ended(0);
}

// proves: P06 P15 P38
#[test]
fn a_name_is_taken_in_its_scope_alone() {
    let scene = Scene::new();
    for folder in ["one", "two"] {
        fs::create_dir(scene.home().join(folder)).expect("made");
        let record =
            spawn(&scene, "api", &["--project", &at(&scene, folder)], waits()).run().ended(0).record();
        assert_eq!(record["project"], at(&scene, folder));
    }
    spawn(&scene, "api", &["--global"], waits()).run().ended(0);
    for (options, why) in [
        (["--project", ""], "empty"),
        (["--project", "/no/such/folder"], "no such file"),
        (["--session", "none"], "not registered"),
    ] {
        let said = spawn(&scene, "api", &options, waits()).run().ended(2);
        assert!(said.one_message().contains(why), "{said:?}");
    }
    let members = members(&scene, "api");
    assert_eq!(members.len(), 3);
    let environ = fs::read_to_string(format!(
        "/proc/{}/environ",
        runs(&registry(&scene)["services"]["projects"][at(&scene, "one")]["api"]["identity"]).pid
    ));
    assert!(environ.is_ok_and(|text| text.contains(&format!("PROCHERD_PROJECT={}\0", at(&scene, "one")))));
}

// proves: M39
#[test]
fn ensure_is_content_with_what_runs() {
    let scene = Scene::new();
    let first = spawn(&scene, "api", &["--ensure"], waits()).run().ended(0).record();
    let again = spawn(&scene, "api", &["--ensure"], waits()).run().ended(0).quiet().record();
    assert_eq!(Id::in_record(&first), Id::in_record(&again));
    assert_eq!(members(&scene, "api").len(), 1);
    // What has died is started again.
    runs(&first).signal(Signal::SIGKILL);
    wait_dead(SOON, &[Id::in_record(&first).expect("an identity")]);
    let next = spawn(&scene, "api", &["--ensure"], waits()).run().ended(0).record();
    assert_ne!(runs(&next), Id::in_record(&first).expect("an identity"));
}

// proves: R03 W56
#[test]
fn replace_ends_the_old_tree_first() {
    let scene = Scene::new();
    let tree = |depth: &str| {
        let words = ["tree", "--depth", depth, "--width", "2", "--outlive", "60"].map(str::to_owned);
        [vec![actor_program().display().to_string()], words.to_vec()].concat()
    };
    spawn(&scene, "api", &[], tree("2")).run().ended(0);
    wait_until(SOON, "the tree has grown", || members(&scene, "api").len() == 7);
    let old = members(&scene, "api");
    let record = spawn(&scene, "api", &["--replace"], tree("1")).run().ended(0).said("7 ended").record();
    let new = runs(&record);
    assert!(old.iter().all(|id| !id.alive()), "all of the old tree has ended before the new one began");
    wait_until(SOON, "the new tree has grown", || members(&scene, "api").len() == 3);
    // Whose root is dead has left something behind.
    let left: Vec<Id> = members(&scene, "api").into_iter().filter(|id| *id != new).collect();
    new.signal(Signal::SIGKILL);
    wait_dead(SOON, &[new]);
    spawn(&scene, "api", &["--replace"], waits()).run().ended(0).said("2 ended");
    wait_dead(SOON, &left);
}

// proves: R01
#[test]
fn a_name_has_one_definition() {
    let scene = Scene::new();
    let first = runs(&spawn(&scene, "api", &[], waits()).run().ended(0).record());
    let other = || vec!["sleep".to_owned(), "60".into()];
    for option in [&[][..], &["--ensure"]] {
        let said = spawn(&scene, "api", option, other()).run().ended(2);
        let message = said.one_message();
        for word in ["sleep 60", &waits().join(" "), "--replace"] {
            assert!(message.contains(word), "{word} is missing: {message}");
        }
    }
    // Also when it has ended: the definition stays until it is forgotten or replaced.
    first.signal(Signal::SIGKILL);
    wait_dead(SOON, &[first]);
    spawn(&scene, "api", &[], other()).run().ended(2).said("it has ended");
    let record = spawn(&scene, "api", &["--replace"], other()).run().ended(0).record();
    assert_eq!(record["command"], serde_json::json!(other()));
}

/// A script that is no program in one way or another.
fn program(scene: &Scene, name: &str, text: &str, mode: u32) -> String {
    let path: PathBuf = scene.home().join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    path.display().to_string()
}

// proves: W51
#[test]
fn a_command_that_cannot_run_leaves_nothing_and_the_message_says_what_to_do() {
    let scene = Scene::new();
    let venv = scene.home().join(".venv/bin");
    fs::create_dir_all(&venv).expect("made");
    fs::copy("/bin/true", venv.join("uvicorn")).expect("copied");
    let (home, pidfile) = (at(&scene, ""), at(&scene, "pid"));
    let cases: Vec<(String, i32, &str)> = vec![
        ("no-such-program".into(), 127, "not on PATH"),
        ("./no-such-program".into(), 127, "no such file"),
        ("uvicorn".into(), 127, ".venv/bin/activate"),
        (String::new(), 127, "empty"),
        (program(&scene, "plain", "#!/bin/sh\n", 0o644), 126, "chmod +x"),
        (
            program(&scene, "orphan", "#!/no/such/interpreter -x\n", 0o755),
            126,
            "/no/such/interpreter does not exist",
        ),
        (program(&scene, "text", "echo hello\n", 0o755), 126, "'#!'"),
        (venv.display().to_string(), 126, "folder"),
    ];
    for (command, code, why) in cases {
        for option in [&[][..], &["--foreground"]] {
            let options = [&["--cwd", home.as_str(), "--pidfile", &pidfile][..], option].concat();
            let said = spawn(&scene, "x", &options, vec![command.clone()]).run().ended(code);
            assert!(said.one_message().contains(why), "{said:?}");
            assert!(entry(&scene, "x").is_null() && !Path::new(&pidfile).exists(), "{said:?}");
            assert!(said.stdout.is_empty(), "{said:?}");
        }
    }
    let gone = at(&scene, "gone");
    spawn(&scene, "x", &["--cwd", &gone], waits()).run().ended(126).said(&gone).said("--cwd");
}

#[test]
fn the_pid_file_is_there_before_the_command_runs() {
    let scene = Scene::new();
    let pidfile = at(&scene, "pid");
    let text = told(&scene, &["--pidfile", &pidfile], &format!("cat '{pidfile}'; echo $$"));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], lines[1]);
    let record = spawn(&scene, "other", &["--pidfile", &pidfile], waits()).run().ended(0).record();
    assert_eq!(fs::read_to_string(&pidfile).expect("written"), format!("{}\n", runs(&record).pid));
    // Who is refused leaves it alone.
    spawn(&scene, "other", &["--pidfile", &pidfile], waits()).run().ended(1);
    assert_eq!(fs::read_to_string(&pidfile).expect("written"), format!("{}\n", runs(&record).pid));
    let nowhere = at(&scene, "none/pid");
    spawn(&scene, "third", &["--pidfile", &nowhere], waits()).run().ended(3).said("write pid file");
    assert!(entry(&scene, "third").is_null() && members(&scene, "third").is_empty());
}

#[test]
fn in_the_foreground_it_is_the_same_process_with_the_same_streams() {
    let scene = Scene::new();
    let script = "read line; echo \"got $line\"; echo $$ $PROCHERD_SERVICE >&2; exit 7";
    let said = spawn(&scene, "api", &["--foreground"], shell(script)).stdin("x\n").run().ended(7);
    assert_eq!(said.text(), "got x\n");
    let pid = entry(&scene, "api")["pid"].to_string();
    assert_eq!(said.stderr, format!("{pid} api\n"));
    let scene = Scene::new();
    let running = spawn(&scene, "api", &["--foreground"], waits()).stdin_open().start();
    wait_until(SOON, "it is registered", || !entry(&scene, "api").is_null());
    assert_eq!(entry(&scene, "api")["pid"], running.id().pid);
    let said = spawn(&scene, "api", &["--foreground"], waits()).run().ended(125);
    assert!(said.one_message().contains("already running"), "{said:?}");
}

#[test]
fn a_dry_run_says_what_would_be_and_does_nothing() {
    let scene = Scene::new();
    let record =
        spawn(&scene, "api", &["-n", "--pidfile", &at(&scene, "pid")], waits()).run().ended(0).record();
    assert_eq!((record["service"].as_str(), record["alive"].as_str()), (Some("api"), Some("unknown")));
    assert!(record["pid"].is_null() && registry(&scene).is_null() && !scene.home().join("pid").exists());
    spawn(&scene, "api", &["-n"], vec!["no-such-program".into()]).run().ended(127);
    spawn(&scene, "api", &[], waits()).run().ended(0);
    spawn(&scene, "api", &["-n"], waits()).run().ended(1).said("already running");
    let said = spawn(&scene, "api", &["-n", "--replace"], waits()).run().ended(0).said("would be ended");
    assert!(runs(&said.record()).alive());
}

#[test]
fn names_and_command_lines_that_cannot_be_meant_are_misuse() {
    let scene = Scene::new();
    for name in ["", "77", "a\tb"] {
        spawn(&scene, name, &[], waits()).run().ended(2).one_message();
    }
    for words in [
        &["api"][..],
        &["api", "--"],
        &["api", "true"],
        &["--", "true"],
        &["api", "--log-size", "1k", "--", "true"],
    ] {
        scene.tool("pspawn").args(words).run().ended(2).one_message();
    }
    for options in [["--ensure", "--replace"], ["--foreground", "--log=x"], ["--env", "PROCHERD_SERVICE=x"]] {
        spawn(&scene, "api", &options, waits()).run().ended(2).one_message();
    }
    assert!(registry(&scene).is_null());
    // Options of the command are its own.
    let words = ["sh", "-c", "exit 0", "--", "--replace", "-n"].map(str::to_owned).to_vec();
    let record = spawn(&scene, "api", &[], words.clone()).run().ended(0).record();
    assert_eq!(record["command"], serde_json::json!(words));
}

/// A registry that cannot be written: nothing may run.
#[test]
fn what_cannot_be_registered_does_not_run() {
    let scene = Scene::new();
    fs::create_dir_all(scene.registry().parent().expect("a folder")).expect("made");
    fs::write(scene.registry(), "{\"version\": ").expect("written");
    let touch = shell(&format!("echo end > '{}'", at(&scene, "ran")));
    let refused = |said: Output| {
        said.one_message();
        assert!(members(&scene, "x").is_empty() && !scene.home().join("ran").exists());
    };
    refused(spawn(&scene, "x", &[], touch.clone()).run().ended(3).said("read registry"));
    fs::remove_file(scene.registry()).expect("removed");
    refused(spawn(&scene, "x", &[], touch).under(["--fsize", "100"]).run().ended(3).said("write registry"));
    assert!(registry(&scene).is_null());
}
