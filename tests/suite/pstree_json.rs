//! `pstree-json`: operands, directions, marks, input, snapshots, and processes that make it hard.

use std::collections::HashMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::form::{TREE, assert_processes};
use crate::support::scene::raw;
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, arena, tool};

/// Fails the test unless each record comes after that of its parent, one level below it, in the same tree.
#[track_caller]
fn assert_parents_first(records: &[Value]) {
    let mut seen: HashMap<u64, &Value> = HashMap::new();
    for record in records {
        let pid = record["pid"].as_u64().expect("a number");
        match seen.get(&record["ppid"].as_u64().unwrap_or(0)) {
            Some(parent) if record["depth"] != 0 => {
                assert_eq!(record["depth"], json!(parent["depth"].as_u64().unwrap_or(0) + 1), "{record}");
                assert_eq!(record["root"], parent["root"], "{record}");
            }
            _ => assert_eq!((&record["depth"], &record["root"]), (&json!(0), &record["pid"]), "{record}"),
        }
        assert!(seen.insert(pid, record).is_none(), "{pid} comes twice");
    }
}

fn pids(records: &[Value]) -> Vec<u64> {
    records.iter().filter_map(|record| record["pid"].as_u64()).collect()
}

#[test]
fn the_whole_table_comes_once_and_parents_first() {
    arena::inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "2", "--width", "3"]);
        let shown = scene.tool("pstree-json").run().ended(0).quiet();
        assert_processes(&shown, &[TREE]);
        let records = shown.records();
        assert_parents_first(&records);
        assert_eq!(records[0]["pid"], 1);
        assert!(tree.ids().iter().all(|id| shown.ids().contains(id)));
    });
}

// proves: P14 P28 S02 P21 S24
#[test]
fn below_an_operand_stands_its_whole_tree_siblings_by_start() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "2", "--width", "3"]);
    let shown = scene.tool("pstree-json").arg(tree.root().operand()).run().ended(0).quiet();
    assert_processes(&shown, &[TREE]);
    let (mut found, mut made) = (shown.ids(), tree.ids());
    let records = shown.records();
    assert_parents_first(&records);
    assert_eq!(found[0], tree.root());
    for parent in records.iter().map(|record| &record["pid"]) {
        let starts: Vec<u64> = records
            .iter()
            .filter(|record| record["ppid"] == *parent)
            .filter_map(|record| record["start_ticks"].as_u64())
            .collect();
        assert!(starts.is_sorted(), "{shown:?}");
    }
    found.sort_unstable();
    made.sort_unstable();
    assert_eq!(found, made);
}

#[test]
fn an_operand_below_another_is_shown_once() {
    let scene = Scene::new();
    let tree = scene.start(["chain", "3"]);
    let words = [tree.ids()[2].operand(), tree.root().operand(), tree.ids()[1].operand()];
    let shown = scene.tool("pstree-json").args(words).run().ended(0).quiet();
    assert_eq!(shown.ids(), tree.ids());
}

#[test]
fn a_bare_number_is_said_to_be_one_and_an_inode_is_held_against_the_process() {
    let scene = Scene::new();
    let idle = scene.start(["idle"]).root();
    let idle_again = scene.start(["idle"]);
    let id = idle_again.root();
    let by_number = scene.tool("pstree-json").arg(id.pid.to_string()).run().ended(0).quiet().record();
    assert_eq!((&by_number["identified_by"], Id::in_record(&by_number)), (&json!("pid"), Some(id)));
    let exactly = scene.tool("pstree-json").arg(id.operand()).run().ended(0).quiet().record();
    assert_eq!(exactly.get("identified_by"), None);
    let Some(inode) = idle.inode else { return };
    let other = scene.tool("pstree-json").arg(format!("{}:{inode}", id.pid)).run().ended(1);
    assert!(other.stdout.is_empty() && other.one_message().contains("no such process"), "{other:?}");
}

#[test]
fn depth_ends_the_tree_below_and_above() {
    let scene = Scene::new();
    let chain = scene.start(["chain", "5"]);
    let all = chain.ids();
    let down = |n: &str| scene.tool("pstree-json").args(["--depth", n]).arg(all[0].operand()).run().ended(0);
    assert_eq!((down("0").ids(), down("2").ids()), (all[..1].to_vec(), all[..3].to_vec()));
    let up = scene.tool("pstree-json").args(["-a", "--depth", "2"]).arg(all[4].operand()).run().ended(0);
    assert_eq!(up.ids(), all[2..]);
}

#[test]
fn ancestors_come_outermost_first_and_nothing_beside_them() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "2", "--width", "2"]);
    let leaf = tree.all("leaf")[1];
    let shown = scene.tool("pstree-json").arg("--ancestors").arg(leaf.operand()).run().ended(0).quiet();
    let records = shown.records();
    assert_parents_first(&records);
    let own = u64::from(std::process::id());
    let at = pids(&records).iter().position(|pid| *pid == own).expect("the test is an ancestor");
    let branch = tree.all("branch").into_iter().find(|id| leaf.ppid() == Some(id.pid));
    assert_eq!(shown.ids()[at + 1..], [tree.root(), branch.expect("a parent"), leaf]);
}

// proves: P28
#[test]
fn orphans_and_zombies_are_marked_and_their_neighbours_are_not() {
    arena::inside(|| {
        let scene = Scene::new();
        let orphan = scene.start(["orphan", "--depth", "1"]);
        let zombie = scene.start(["zombie"]);
        let shown = scene.tool("pstree-json").run().ended(0).quiet();
        let marks = |id: Id| {
            let record = shown.about(id);
            (record["orphan"] == true, record["zombie"] == true)
        };
        assert_eq!(marks(orphan.one("orphan")), (true, false));
        assert_eq!(marks(orphan.one("leaf")), (false, false), "it hangs below an orphan");
        assert_eq!(marks(zombie.one("zombie")), (false, true));
        assert_eq!(marks(zombie.root()), (false, false));
        let headless = scene.start(["dead-main-thread"]);
        let record = scene.tool("pstree-json").arg(headless.root().operand()).run().ended(0).record();
        assert_eq!((&record["state"], record.get("zombie")), (&json!("Z"), None), "a thread of it lives");
    });
}

// proves: S11
#[test]
fn what_is_not_there_is_a_no_and_the_rest_is_shown() {
    let scene = Scene::new();
    let idle = scene.start(["idle"]);
    let shown = scene
        .tool("pstree-json")
        .args(["4194304", "no-such-service"])
        .arg(idle.root().operand())
        .run()
        .ended(1);
    assert_eq!(shown.ids(), [idle.root()]);
    assert_eq!(shown.stderr.lines().count(), 2, "{shown:?}");
    for line in shown.stderr.lines() {
        assert!(line.starts_with("pstree-json: find "), "{shown:?}");
    }
}

#[test]
fn operands_that_can_be_no_process_are_misuse() {
    for words in [&["0"][..], &["--", "-1"], &["4194305"], &["7:"], &[""], &["7", "-"], &["--depth", "x"]] {
        let said = tool("pstree-json").args(words).run().ended(2);
        assert!(said.stdout.is_empty(), "{said:?}");
        said.one_message();
    }
}

#[test]
fn records_are_expanded_and_keep_what_is_not_ours() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let mut asked =
        scene.tool("pstree-json").arg(tree.root().operand()).args(["--depth", "0"]).run().record();
    asked["note"] = json!({"kept": [1, "two"]});
    asked["depth"] = json!(77);
    asked["comm"] = json!("a lie");
    let line = asked.to_string().replace("\"v\":1", "\"v\":1,\"price\":1.50,\"big\":123456789012345678901");
    let shown = scene.tool("pstree-json").arg("-").stdin(line).run().ended(0).quiet();
    assert_eq!(shown.ids().len(), 3);
    let root = shown.about(tree.root());
    assert_eq!((&root["note"], &root["depth"]), (&json!({"kept": [1, "two"]}), &json!(0)));
    assert_ne!(root["comm"], "a lie");
    assert!(shown.text().contains("\"price\":1.50,\"big\":123456789012345678901"), "{shown:?}");
    for branch in tree.all("leaf") {
        assert_eq!(shown.about(branch).get("note"), None);
    }
}

#[test]
fn the_table_is_read_after_the_input() {
    let scene = Scene::new();
    let mut running = scene.tool("pstree-json").arg("-").stdin_open().start();
    running.write("\n");
    assert!(running.runs());
    let late = scene.start(["idle"]);
    running.write(late.root().operand());
    assert_eq!(running.finish().ended(0).quiet().ids(), [late.root()]);
}

#[test]
fn a_process_of_the_input_that_has_gone_is_an_answer() {
    let scene = Scene::new();
    let idle = scene.start(["idle"]);
    let record = scene.tool("pstree-json").arg(idle.root().operand()).run().ended(0).record();
    idle.root().signal(Signal::SIGKILL);
    wait_dead(SOON, &[idle.root()]);
    idle.reap();
    let shown = scene.tool("pstree-json").arg("-").records([&record]).run().ended(0);
    assert!(shown.stdout.is_empty() && shown.one_message().contains("it has gone"), "{shown:?}");
    scene.tool("pstree-json").args(["-q", "-"]).records([&record]).run().ended(0).quiet();
}

#[test]
fn a_record_of_another_machine_or_namespace_is_not_looked_for_here() {
    let scene = Scene::new();
    let idle = scene.start(["idle"]);
    let record = scene.tool("pstree-json").arg(idle.root().operand()).run().ended(0).record();
    for (field, value) in [("pid_ns", json!(1)), ("boot_id", json!("00000000-0000-4000-8000-000000000000"))] {
        let mut foreign = record.clone();
        foreign[field] = value;
        foreign["host"] = json!("elsewhere");
        let said = scene.tool("pstree-json").arg("-").records([&foreign]).run().ended(3);
        assert!(said.stdout.is_empty() && said.one_message().contains("another"), "{said:?}");
    }
}

#[test]
fn a_snapshot_shows_the_same_tree_later() {
    let scene = Scene::new();
    let mut tree = scene.start(["tree", "--depth", "2", "--width", "2"]);
    let live = scene.tool("pstree-json").arg(tree.root().operand()).run().ended(0).quiet();
    let file = scene.home().join("saved");
    let noted = live.text().replace("\"v\":1", "\"v\":1,\"note\":1.0");
    std::fs::write(&file, &noted).expect("written");
    tree.close();
    let saved = scene.tool("pstree-json").arg("--from").arg(&file).run().ended(0).quiet();
    assert_eq!(saved.text(), noted);
    let leaf = live.ids()[2];
    let one = scene.tool("pstree-json").arg("--from").arg(&file).arg(leaf.operand()).run().ended(0).quiet();
    assert_eq!(one.ids(), [leaf]);

    std::fs::write(&file, format!("{noted}{{\"type\":\"process\",\"pid\":7}}\nnonsense\n")).expect("written");
    let said = scene.tool("pstree-json").arg("--from").arg(&file).run().ended(3);
    assert_eq!(said.ids().len(), live.ids().len());
    let lines = live.ids().len();
    for number in [lines + 1, lines + 2] {
        assert!(said.stderr.contains(&format!("line {number}: ")), "{said:?}");
    }
    std::fs::write(&file, "").expect("written");
    scene.tool("pstree-json").arg("--from").arg(&file).run().ended(3).one_message();
}

// proves: S07
#[test]
fn facts_that_cost_more_come_on_request() {
    let scene = Scene::new();
    let idle = scene.start(["idle"]);
    let with = |words: &[&str]| {
        scene.tool("pstree-json").args(words).arg(idle.root().operand()).run().ended(0).quiet().record()
    };
    let (plain, rich) = (with(&[]), with(&["--with", "exe,cwd"]));
    assert_eq!((plain.get("exe"), plain.get("cwd")), (None, None));
    assert_eq!(rich["cwd"], json!(scene.home().canonicalize().expect("a folder")));
    assert!(rich["exe"].as_str().is_some_and(|exe| exe.ends_with("/actor")), "{rich}");
    assert!(plain["rss_bytes"].as_u64() > Some(0) && plain["cpu_ms"].is_u64());
    assert_eq!(plain["cmdline"][1], "idle");
}

#[test]
fn names_and_arguments_of_any_bytes_come_back_whole() {
    let scene = Scene::new();
    let named = scene.actor([raw(b"idle"), raw(b"--comm"), raw(b"a) R 1 (b\n\x1b[2J")]).start();
    let argv =
        scene.actor([raw(b"argv"), raw(b"--"), raw(b"\xff\xfe"), raw(b""), raw(b"a\nb\x1b[31m\"\\")]).start();
    let long = scene.start(["argv", "--size", "131000", "--count", "2"]);
    let empty = scene.start(["argv", "--none"]);
    let about = |id: Id| scene.tool("pstree-json").arg(id.operand()).run().ended(0).quiet().record();
    assert_eq!(about(named.root())["comm"], "a) R 1 (b\n\x1b[2J");
    let words = &about(argv.root())["cmdline"];
    let found: Vec<&Value> = words.as_array().expect("an array").iter().rev().take(3).rev().collect();
    assert_eq!(found, [&json!({"bytes": "//4="}), &json!(""), &json!("a\nb\x1b[31m\"\\")]);
    let words = about(long.root())["cmdline"].clone();
    let longest = words.as_array().and_then(|words| words.last()?.as_str().map(str::len));
    assert_eq!(longest, Some(131_000));
    assert!(about(empty.root()).get("cmdline").is_some());
}

#[test]
fn processes_that_come_and_go_meanwhile_are_no_failure() {
    let scene = Scene::new();
    let storm = scene.start([
        "fork-storm",
        "--lanes",
        "2",
        "--rate",
        "800",
        "--life",
        "5",
        "--budget",
        "4000",
        "--seconds",
        "20",
    ]);
    for _ in 0..20 {
        let shown = scene.tool("pstree-json").run().ended(0).quiet();
        assert_processes(&shown, &[TREE]);
    }
    assert!(storm.root().alive(), "there was a storm all the time");
}

#[test]
fn hidden_processes_are_said_to_be_hidden_and_not_to_be_gone() {
    arena::inside(|| {
        for (mode, shows_number) in [("hidepid=1", true), ("hidepid=2", false)] {
            let scene = Scene::new();
            let idle = scene.start(["idle"]);
            let mounted = std::process::Command::new("mount")
                .args(["-t", "proc", "-o", mode, "proc", "/proc"])
                .status()
                .expect("mount runs");
            assert!(mounted.success());
            let as_nobody =
                |words: &[String]| scene.tool("pstree-json").args(words).under(["--uid", "65534"]).run();
            let (one, all) = (as_nobody(&[idle.root().operand()]), as_nobody(&[]));
            let unmounted = std::process::Command::new("umount").arg("/proc").status().expect("umount runs");
            assert!(unmounted.success());
            if shows_number {
                let record = one.ended(0).quiet().record();
                assert_eq!(record["denied"], json!(["cmdline", "stat"]));
                all.ended(0).quiet();
            } else {
                assert!(one.ended(3).said("it lives, but").stdout.is_empty());
                assert!(all.ended(0).said("hidepid").stdout.len() > 1);
            }
        }
    });
}

#[test]
fn a_registered_service_is_an_operand_and_its_tree_says_so() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
    scene.tool("ptrack").args(["save", "api", &tree.root().pid.to_string()]).run().ended(0);
    let shown = scene.tool("pstree-json").arg("api").run().ended(0).quiet();
    assert_eq!(shown.ids().len(), 3);
    for record in shown.records() {
        assert_eq!((&record["service"], &record["scope"]), (&json!("api"), &json!("global")));
    }
    let elsewhere = scene.tool("pstree-json").args(["--registry", "/nowhere/at/all", "api"]).run().ended(1);
    assert!(elsewhere.one_message().contains("no such service"), "{elsewhere:?}");
    for id in tree.ids() {
        id.signal(Signal::SIGKILL);
    }
    wait_dead(SOON, &tree.ids());
    tree.reap();
    let gone = scene.tool("pstree-json").arg("api").run().ended(1);
    assert!(gone.one_message().contains("none of its processes is left"), "{gone:?}");
}

#[test]
fn a_damaged_registry_is_said_and_the_table_is_shown_all_the_same() {
    let scene = Scene::new();
    let idle = scene.start(["idle"]);
    let registry = scene.registry();
    std::fs::create_dir_all(registry.parent().expect("a folder")).expect("made");
    std::fs::write(&registry, "{\"version\":").expect("written");
    let shown = scene.tool("pstree-json").arg(idle.root().operand()).run().ended(3);
    assert_eq!(shown.ids(), [idle.root()]);
    shown.one_message();
}

#[test]
fn ten_thousand_levels_are_no_more_than_many() {
    // A snapshot can claim any depth; a kernel hands out fewer.
    let scene = Scene::new();
    let idle = scene.start(["idle"]);
    let record = scene.tool("pstree-json").arg(idle.root().operand()).run().ended(0).record();
    let line = |pid: u32| {
        let mut one = record.clone();
        (one["pid"], one["ppid"], one["pidfd_inode"]) = (json!(pid), json!(pid - 1), json!(pid));
        one.to_string()
    };
    let lines: Vec<String> = (2..10_002).map(line).collect();
    let file = scene.home().join("saved");
    std::fs::write(&file, lines.join("\n")).expect("written");
    for format in ["ndjson", "tree", "table"] {
        let tool = scene.tool("pstree-json").args(["--format", format, "--from"]).arg(&file);
        let shown = tool.within(Duration::from_secs(30)).run().ended(0).quiet();
        assert!(shown.stdout.len() < 32 << 20, "{format}: {} bytes", shown.stdout.len());
    }
}
