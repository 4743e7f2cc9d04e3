//! `pdoctor`: what the tools need, and what is out of order, each with the command that mends it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::terminal::Terminal;
use crate::support::wait::SOON;
use crate::support::{Output, Scene, arena, wait_until};

/// The findings of one kind.
fn of<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["finding"] == kind).collect()
}

#[track_caller]
fn one(output: &Output, kind: &str) -> Value {
    let records = output.records();
    let [only] = of(&records, kind)[..] else { panic!("not one {kind}: {output:?}") };
    only.clone()
}

fn examine(scene: &Scene, words: &[&str]) -> Output {
    scene.tool("pdoctor").args(words).run()
}

// proves: M38
#[test]
fn a_machine_in_order_has_no_warning_and_all_says_what_was_looked_at() {
    arena::inside(|| {
        let scene = Scene::new();
        let said = examine(&scene, &[]).ended(0);
        assert!(said.records().iter().all(|record| record["severity"] == "notice"), "{said:?}");
        let all = examine(&scene, &["--all"]).ended(0);
        for check in [
            "processes",
            "namespace",
            "pidfd",
            "open-files",
            "environment",
            "machine-id",
            "cron-path",
            "registry",
            "registry-lock",
            "duplicate",
            "zombies",
            "orphans",
        ] {
            one(&all, check);
        }
        assert_eq!(one(&all, "registry-lock")["severity"], "ok");
        assert_eq!(one(&all, "namespace")["severity"], "notice", "this is a namespace of its own");
        assert!(
            !scene.registry().exists() && !scene.registry().parent().expect("a folder").exists(),
            "nothing is made"
        );
        assert!(examine(&scene, &["-q"]).ended(0).quiet().stdout.is_empty());
    });
}

// proves: M30 M32 S36
#[test]
fn a_registry_that_cannot_be_used_is_an_error_with_the_command_that_mends_it() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    scene.tool("ptrack").args(["save", "api", &actor.root().operand()]).run().ended(0);
    assert!(of(&examine(&scene, &[]).ended(0).records(), "registry").is_empty());
    std::fs::write(scene.registry(), "{\"version\":").expect("written");
    let damaged = one(&examine(&scene, &[]).ended(1), "registry");
    assert_eq!(damaged["severity"], "error");
    let fix = damaged["fix"].as_str().expect("a command");
    scene.sh(fix).run().ended(0);
    assert!(of(&examine(&scene, &[]).ended(0).records(), "registry").is_empty(), "the command has mended it");
    let folder = scene.registry().parent().expect("a folder").to_owned();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).expect("permitted");
    let open = one(&examine(&scene, &[]).ended(1), "registry");
    assert!(open["why"].as_str().is_some_and(|why| why.contains("everybody may write there")), "{open}");
}

#[test]
fn a_lock_that_somebody_keeps_is_named_and_waited_for_but_shortly() {
    let scene = Scene::new();
    scene.tool("ptrack").args(["clear"]).run().ended(0);
    let lock = scene.registry().with_extension("json.flock");
    let mut holder =
        scene.sh(&format!("flock '{}' sh -c 'echo held; exec cat'", lock.display())).stdin_open().start();
    wait_until(SOON, "the lock is held", || {
        scene.sh(&format!("flock -n '{}' true", lock.display())).run().code == Some(1)
    });
    let said = one(&examine(&scene, &[]).ended(0), "registry-lock");
    assert_eq!(said["severity"], "notice");
    holder.close();
    holder.finish();
    assert_eq!(one(&examine(&scene, &["--all"]).ended(0), "registry-lock")["severity"], "ok");
}

#[test]
fn what_the_registry_still_names_is_found_and_the_command_tidies_it() {
    let scene = Scene::new();
    let (owner, gone) = (scene.start(["idle"]), scene.start(["idle"]));
    let run = |words: &[&str]| scene.tool("ptrack").args(words).run().ended(0);
    run(&["save", "gone", &gone.root().operand(), "--project", "/"]);
    run(&["session", "start", "s", "--pid", &owner.root().operand()]);
    drop((owner, gone));
    let said = examine(&scene, &[]).ended(0);
    let entry = one(&said, "dead-entry");
    assert_eq!(
        (&entry["service"], &entry["scope"], &entry["project"]),
        (&"gone".into(), &"project".into(), &"/".into())
    );
    assert_eq!((&entry["severity"], &entry["fix"]), (&"warning".into(), &"preap".into()));
    assert_eq!(one(&said, "dead-session")["fix"], "preap");
    scene.sh("preap").run().ended(0);
    let said = examine(&scene, &[]).ended(0);
    assert!(
        of(&said.records(), "dead-entry").is_empty() && of(&said.records(), "dead-session").is_empty(),
        "{said:?}"
    );
}

// proves: R05
#[test]
fn a_second_instance_beside_a_registered_one_is_named_by_an_operand_that_stays_true() {
    arena::inside(|| {
        let scene = Scene::new();
        let (daemon, second) = (scene.start(["idle"]), scene.start(["idle"]));
        scene.tool("ptrack").args(["save", "daemon", &daemon.root().operand()]).run().ended(0);
        let said = one(&examine(&scene, &[]).ended(0), "duplicate");
        assert_eq!(said["service"], "daemon");
        assert_eq!(said["fix"], format!("pkill-tree {}", second.root().operand()));
        scene.sh(said["fix"].as_str().expect("a command")).run().ended(0);
        assert!(daemon.root().alive() && !second.root().alive());
        assert!(of(&examine(&scene, &[]).ended(0).records(), "duplicate").is_empty());
    });
}

#[test]
fn what_belongs_to_a_service_is_no_second_instance_of_it() {
    arena::inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1", "--width", "2", "--", "same"]);
        scene.tool("ptrack").args(["save", "tree", &tree.root().operand()]).run().ended(0);
        assert!(of(&examine(&scene, &[]).ended(0).records(), "duplicate").is_empty());
    });
}

#[test]
fn the_pid_file_of_a_dead_service_is_stale() {
    let scene = Scene::new();
    let file = scene.home().join("it.pid");
    let path = file.to_string_lossy().into_owned();
    let spawned =
        scene.tool("pspawn").args(["it", "--pidfile", &path, "--", "sleep", "1000"]).run().ended(0).record();
    let operand = format!("{}:{}", spawned["pid"], spawned["pidfd_inode"]);
    scene.tool("pkill-tree").args(["--force", &operand]).run().ended(0);
    let said = examine(&scene, &[]).ended(0);
    let stale = one(&said, "stale-file");
    assert_eq!(stale["file"], path);
    scene.sh(stale["fix"].as_str().expect("a command")).run().ended(0);
    assert!(!Path::new(&path).exists());
}

// proves: W13 R04
#[test]
fn a_port_that_somebody_else_holds_or_that_two_were_given_is_a_conflict() {
    let scene = Scene::new();
    let stranger = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = stranger.local_addr().expect("an address").port();
    let (first, second) = (scene.start(["idle"]), scene.start(["idle"]));
    scene.tool("ptrack").args(["save", "one", &first.root().operand()]).run().ended(0);
    assert!(of(&examine(&scene, &[]).ended(0).records(), "port-conflict").is_empty());
    let text = std::fs::read_to_string(scene.registry()).expect("a registry");
    std::fs::write(
        scene.registry(),
        text.replacen("\"identity\"", &format!("\"port\":{port},\"identity\""), 1),
    )
    .expect("written");
    let held = one(&examine(&scene, &[]).ended(0), "port-conflict");
    assert_eq!((&held["service"], &held["fix"]), (&"one".into(), &format!("pports {port}").into()));
    assert!(held["why"].as_str().is_some_and(|why| why.contains(&std::process::id().to_string())), "{held}");
    drop(stranger);
    scene.tool("ptrack").args(["save", "two", &second.root().operand()]).run().ended(0);
    let text = std::fs::read_to_string(scene.registry()).expect("a registry");
    let at = text.find("\"two\"").expect("the entry");
    let with_port = text[at..].replacen("\"identity\"", &format!("\"port\":{port},\"identity\""), 1);
    std::fs::write(scene.registry(), text[..at].to_owned() + &with_port).expect("written");
    let records = examine(&scene, &[]).ended(0).records();
    assert_eq!(of(&records, "port-conflict").len(), 2, "each of both: {records:?}");
}

#[test]
fn orphans_and_zombies_are_counted_and_named_to_their_own_finders() {
    arena::inside(|| {
        let scene = Scene::new();
        let orphan = scene.start(["orphan", "1"]);
        let zombie = scene.start(["zombie"]);
        let said = examine(&scene, &[]).ended(0);
        let orphans = one(&said, "orphans");
        assert!(orphans["count"].as_u64() >= Some(1) && orphans["severity"] == "warning", "{said:?}");
        assert!(one(&said, "zombies")["count"].as_u64() >= Some(1), "{said:?}");
        scene.sh(orphans["fix"].as_str().expect("a command")).run().ended(0);
        orphan.assert_nobody_left();
        drop(zombie);
    });
}

#[test]
fn a_person_reads_every_word_in_a_narrow_window() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.registry().parent().expect("a folder")).expect("made");
    std::fs::write(scene.registry(), "{").expect("written");
    let said = scene
        .tool("pdoctor")
        .env("LC_ALL", "C.UTF-8")
        .args(["--color", "never"])
        .on(Terminal::new(60, 40).output())
        .run()
        .ended(1);
    let screen = String::from_utf8_lossy(&said.screen).into_owned();
    let words: Vec<&str> = screen.split_whitespace().collect();
    assert!(words.contains(&"error") && words.contains(&"→"), "{screen}");
    let fix = format!("ptrack --registry {} --repair list", scene.registry().display());
    assert!(screen.contains(&fix), "the command is whole: {screen}");
}
