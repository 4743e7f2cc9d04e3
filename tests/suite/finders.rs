//! What all finders share: where they look, what they read, and that "could not look" is never "found nothing".

use serde_json::{Value, json};

use crate::support::arena::inside;
use crate::support::{Id, Output, SOON, Scene, skip, wait_until};

/// All finders, each with options that make it look once, and at once.
const FINDERS: &[(&str, &[&str])] = &[
    ("porphans", &[]),
    ("pzombies", &["--once"]),
    ("phung", &["--sample", "10ms"]),
    ("pdups", &["-p", "nobody-is-called-this"]),
];

/// Others that look at processes, with options that make them do so once.
const OTHERS: &[(&str, &[&str])] =
    &[("pports", &["8001"]), ("pwatch", &["--timeout", "0s"]), ("pgone", &["--timeout", "0s", "77"])];

/// Those that compare two looks.
const TWO_LOOKS: &[&str] = &["pzombies", "phung"];

#[test]
fn operands_other_than_a_dash_are_misuse() {
    let scene = Scene::new();
    for (name, once) in FINDERS {
        for words in [["77"].as_slice(), &["vitest"], &["-", "-"], &["-", "77"]] {
            scene.tool(name).args(*once).args(words).run().ended(2).one_message();
        }
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_is_no_answer() {
    let scene = Scene::new();
    let file = scene.home().join("table.ndjson");
    let path = file.to_str().expect("plain");
    for (name, once) in FINDERS {
        let times = if *name == "phung" { 2 } else { 1 };
        let from =
            |path: &str| scene.tool(name).args(*once).args(["--from", path].repeat(times)).run().ended(3);
        assert!(from("/no-such-file").one_message().contains("/no-such-file"));
        from("/").one_message();
        for text in ["", "nonsense\n", "{\"type\":\"summary\",\"v\":1}\n", "77\n"] {
            std::fs::write(&file, text).expect("written");
            let said = from(path);
            assert!(said.stdout.is_empty() && !said.stderr.is_empty(), "{said:?}");
        }
    }
}

#[test]
fn one_snapshot_is_one_look_and_three_are_too_many() {
    let scene = Scene::new();
    let file = scene.home().join("table.ndjson");
    std::fs::write(&file, scene.tool("pstree-json").run().ended(0).stdout).expect("written");
    let path = file.to_str().expect("plain");
    let from = ["--from", path];
    for name in TWO_LOOKS {
        let said = scene.tool(name).args(from).run().ended(2);
        assert!(said.one_message().contains("one look"), "{said:?}");
        scene.tool(name).args(from).args(from).run().ended(0);
        scene.tool(name).args(from).args(from).args(from).run().ended(2).one_message();
    }
}

#[test]
fn a_proc_of_another_namespace_is_no_answer() {
    inside(|| {
        let scene = Scene::new();
        for (name, once) in FINDERS.iter().chain(OTHERS) {
            let command = format!("{name} {}", once.join(" "));
            let said = scene.sh(&format!("unshare --pid --fork {command}")).run().ended(3);
            assert!(said.stderr.contains("pid namespace") && said.stdout.is_empty(), "{said:?}");
            let said = scene
                .sh(&format!("unshare --mount sh -c 'mount -t tmpfs none /proc && {command}'"))
                .run()
                .ended(3);
            assert!(said.stderr.contains("/proc") && said.stdout.is_empty(), "{said:?}");
        }
    });
}

#[test]
fn that_proc_hides_processes_is_said() {
    inside(|| {
        let scene = Scene::new();
        let mounted = scene.sh("mount -o remount,hidepid=2 /proc").run();
        if mounted.code != Some(0) {
            return skip("/proc cannot be mounted with hidepid");
        }
        for (name, once) in FINDERS {
            let said = scene.tool(name).args(*once).under(["--uid", "1234"]).run();
            if said.code == Some(2) && said.stderr.contains("ermission denied") {
                return skip("the programs cannot be run by another user");
            }
            assert!(said.stderr.contains("hidepid"), "{said:?}");
        }
    });
}

#[test]
fn a_damaged_registry_is_said_and_counts() {
    let scene = Scene::new();
    scene.sh("mkdir -p -m 700 \"$(dirname \"$PROCHERD_REGISTRY\")\"").run().ended(0);
    std::fs::write(scene.registry(), "{").expect("written");
    scene.sh("chmod 600 \"$PROCHERD_REGISTRY\"").run().ended(0);
    for (name, once) in FINDERS {
        let said = scene.tool(name).args(*once).run().ended(3);
        assert!(said.stderr.contains("registry"), "{said:?}");
    }
}

#[test]
fn an_empty_value_of_a_selector_is_misuse() {
    let scene = Scene::new();
    for (name, _) in FINDERS {
        for option in ["--pattern", "--patterns-from", "--exe", "--cwd", "--project", "--env", "--service"] {
            scene.tool(name).args([option, ""]).run().ended(2).one_message();
        }
        scene.tool(name).args(["--project", "/no/such/folder"]).run().ended(2).one_message();
        scene.tool(name).args(["--user", "nobody-has-this-name"]).run().ended(2).one_message();
    }
}

#[test]
fn expectations_and_quiet_are_the_same_everywhere() {
    inside(|| {
        let scene = Scene::new();
        for (name, once) in FINDERS.iter().chain(&OTHERS[..1]) {
            let run = |words: &[&str]| {
                scene.tool(name).args(*once).args(["-p", "nobody-is-called-this"]).args(words).run()
            };
            run(&[]).ended(0).quiet();
            run(&["--expect", "0"]).ended(0).quiet();
            run(&["--expect", "0..3", "-q"]).ended(0).quiet();
            let said = run(&["--expect", "1..", "-q"]).ended(1);
            assert!(said.stdout.is_empty() && said.one_message().contains("found 0"), "{said:?}");
            for text in ["", "-1", "3..1", "many"] {
                run(&["--expect", text]).ended(2).one_message();
            }
        }
    });
}

// proves: W46
#[test]
fn a_file_of_results_is_read_by_people_and_by_programs() {
    inside(|| {
        let scene = Scene::new();
        let dead = scene.start(["zombie", "2"]);
        let run = |script: &str| scene.sh(script).cwd(scene.home()).run().ended(0).quiet();
        run("pzombies --once > zombie-detection-results.json");
        let text =
            std::fs::read_to_string(scene.home().join("zombie-detection-results.json")).expect("a file");
        let records: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
        let mut ids: Vec<Id> = records.iter().filter_map(Id::in_record).collect();
        ids.sort_unstable();
        let mut zombies = dead.all("zombie");
        zombies.sort_unstable();
        assert_eq!(ids, zombies);
        let again = run("pzombies --once - < zombie-detection-results.json");
        assert_eq!(again.ids().len(), 2, "{again:?}");
        assert_eq!(run("pfmt --format csv < zombie-detection-results.json").text().lines().count(), 3);
    });
}

/// Who was found, and what was found out about each but for what changes with every look: how long, how much.
fn findings(said: &Output) -> Vec<(Option<Id>, Value)> {
    let lasting = |one: &Value| {
        let fact = |name: &str| one.get(name).cloned().unwrap_or_default();
        json!([fact("kind"), fact("strength"), fact("limit_ms"), fact("session"), fact("parent")])
    };
    let found_out = |record: &Value| {
        let evidence = record["evidence"].as_array().map(|all| all.iter().map(lasting).collect::<Value>());
        let sockets = record["sockets"].clone();
        let parent = Id::in_record(&record["parent"]).map(|id| id.operand());
        json!([
            evidence,
            record["advice"],
            parent,
            record["group"],
            record["count"],
            record["expected"],
            sockets
        ])
    };
    said.records().iter().map(|record| (Id::in_record(record), found_out(record))).collect()
}

// proves: P19
#[test]
fn every_finder_answers_from_what_was_saved_as_it_did_live() {
    inside(|| {
        let scene = Scene::new();
        scene.sh("ip link set lo up").run();
        let _found = [
            scene.start(["orphan", "2", "--depth", "1"]),
            scene.start(["double-fork"]),
            scene.start(["zombie", "2"]),
            scene.start(["late-reaper"]),
            scene.start(["stopped"]),
            scene.start(["idle"]),
            scene.start(["idle"]),
            scene.start(["listen", "--heirs", "1"]),
            scene.start(["listen", "udp:0"]),
        ];
        // Its parent listens to SIGCHLD, and does not reap.
        let python = "import os,signal,sys\nsignal.signal(17, lambda *a: 0)\nif os.fork() == 0: os._exit(0)\n\
                      print('{}', flush=True)\nsys.stdin.read()";
        let mut catches = scene.sh("exec python3 -c \"$0\"").arg(python).stdin_open().start();
        let _ready = catches.record();
        let run = |name: &str, words: &[&str]| scene.tool(name).args(words).run();
        wait_until(SOON, "all four that nobody reaps are dead", || {
            run("pzombies", &["--once"]).records().len() == 4
        });
        let save = |name: &str, tool: &str, words: &[&str]| {
            let path = scene.home().join(name);
            std::fs::write(&path, run(tool, words).ended(0).stdout).expect("written");
            path.to_str().expect("plain").to_owned()
        };
        let before = save("before", "pstree-json", &["--with", "exe,cwd"]);
        let after = save("after", "pstree-json", &["--with", "exe,cwd"]);
        let sockets = save("sockets", "pports", &["--any", "--tcp", "--udp", "--unix"]);
        let one = ["--from", &after].map(str::to_owned).to_vec();
        let two = ["--from", &before, "--from", &after].map(str::to_owned).to_vec();
        let held = ["--from", &sockets].map(str::to_owned).to_vec();
        let phung = ["--sample", "20ms", "--stopped", "0s", "--cpu", "64"];
        for (name, words, from) in [
            ("porphans", &[][..], &one),
            ("porphans", &["-p", "actor", "--all"], &one),
            ("porphans", &["--untracked", "-p", "actor idle"], &one),
            ("pzombies", &["--once"], &one),
            ("pzombies", &["--once", "--parents", "--exe", "actor"], &one),
            ("pzombies", &["--twice", "20ms", "--patience", "0s"], &two),
            ("phung", &phung, &two),
            ("pdups", &["-p", "actor idle"], &one),
            ("pdups", &["-p", "actor (idle|stopped)", "--by", "script"], &one),
            ("pdups", &["--key", "exe,cwd,comm", "-p", "actor", "--each"], &one),
            ("pports", &[], &held),
            ("pports", &["--udp", "-p", "actor"], &held),
        ] {
            let from: Vec<&str> = from.iter().map(String::as_str).collect();
            // The two samples of a saved look are those that were saved: the time between them is no option.
            let saved: Vec<&str> = words.iter().copied().chain(from).collect();
            let (live, then) = (run(name, words), run(name, &saved));
            assert_eq!(live.code, then.code, "{live:?}{then:?}");
            assert!(!live.stdout.is_empty(), "{live:?}");
            assert_eq!(findings(&live), findings(&then), "{live:?}{then:?}");
        }
    });
}
