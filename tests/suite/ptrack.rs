//! ptrack: the registry as people and scripts meet it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::arena::{fill_disk, inside, small_disk};
use crate::support::{Output, SOON, Scene, skip, wait_until};

mod house;
mod marks;

fn ptrack(scene: &Scene, words: &[&str]) -> Output {
    scene.tool("ptrack").args(words).run()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn document(scene: &Scene) -> Value {
    serde_json::from_str(&text(&scene.registry())).expect("JSON")
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("mode");
}

#[test]
// proves: P04 P05 P06 P31 P36 P37 S01 M14 M22 M23 M34
fn a_saved_service_is_in_the_layout_that_others_read() {
    let scene = Scene::new();
    let actor = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let (root, project) = (actor.root(), scene.home().to_str().expect("UTF-8").to_owned());
    let words = [
        "save",
        "api",
        &root.operand(),
        "--project",
        &project,
        "--script",
        "src/api.ts",
        "--meta",
        "managedBy=watchdog",
    ];
    let saved = ptrack(&scene, &words).ended(0).quiet().record();
    assert_eq!((&saved["service"], &saved["alive"]), (&json!("api"), &json!("alive")));
    let document = document(&scene);
    assert_eq!(document["version"], "3.0.0");
    let path = saved["project"].as_str().expect("a project");
    let entry = &document["services"]["projects"][path]["api"];
    assert_eq!(entry["pid"], root.pid);
    assert_eq!(entry["script"], "src/api.ts");
    assert_eq!(entry["type"], "per-project");
    assert_eq!(entry["status"], "running");
    assert_eq!(entry["metadata"], json!({"managedBy": "watchdog"}));
    assert_eq!(entry["projectPath"], path);
    assert!(entry["startTime"].as_u64() <= entry["lastHealthCheck"].as_u64() && entry["startTime"].is_u64());
    assert_eq!(entry["identity"]["pidfd_inode"].as_u64(), root.inode);
    assert_eq!(ptrack(&scene, &["get", "api"]).ended(0).record()["pid"], root.pid);
}

#[test]
// proves: P10 P14 S01 S37 P42 S24
fn saving_notes_group_session_parent_and_the_tree_below() {
    let scene = Scene::new();
    let actor = scene.start(["tree", "--depth", "2", "--width", "2"]);
    let saved = ptrack(&scene, &["save", "api", &actor.root().operand()]).ended(0).record();
    let mut tree: Vec<u64> = saved["tree"]
        .as_array()
        .expect("a tree")
        .iter()
        .filter_map(|member| member["pid"].as_u64())
        .collect();
    tree.sort_unstable();
    let mut all: Vec<u64> = actor
        .ids()
        .iter()
        .map(|id| u64::from(id.pid))
        .filter(|pid| *pid != u64::from(actor.root().pid))
        .collect();
    all.sort_unstable();
    assert_eq!(tree, all);
    assert_eq!(saved["parent"]["pid"], std::process::id());
    assert!(saved["pgid"].is_u64() && saved["sid"].is_u64() && saved["cwd"].is_string());
}

#[test]
fn a_process_that_has_ended_is_refused_with_what_to_do_instead() {
    let scene = Scene::new();
    let gone = scene.start(["idle"]).root();
    wait_until(SOON, "its end", || !gone.alive());
    for operand in [gone.operand(), gone.pid.to_string()] {
        let said = ptrack(&scene, &["save", "api", &operand]).ended(1);
        let message = said.one_message();
        assert!(
            message.contains("setsid") && message.contains("pspawn") && message.contains("exec"),
            "{message}"
        );
    }
    assert!(!scene.registry().exists());
}

#[test]
fn a_name_that_means_something_else_is_refused() {
    let scene = Scene::new();
    let root = scene.start(["idle"]).root().operand();
    for name in ["", "77", "a\nb", "a\u{1b}[2J"] {
        ptrack(&scene, &["save", name, &root]).ended(2).one_message();
        let record = json!({"type": "process", "service": name, "pid": 77});
        scene.tool("ptrack").args(["save", "-"]).records([&record]).run().ended(3);
    }
    ptrack(&scene, &["save", "--", "-x", &root]).ended(2).said("dash");
    assert!(!scene.registry().exists());
}

#[test]
// proves: P39 P40 R11 P30
fn a_second_start_is_refused_and_told_how_to_end_the_first() {
    let scene = Scene::new();
    let (first, second) = (scene.start(["idle"]), scene.start(["idle"]));
    let project = scene.home().to_str().expect("UTF-8");
    let save = |actor: &str, more: &[&str]| {
        ptrack(&scene, &[&["save", "api", actor, "--project", project], more].concat())
    };
    save(&first.root().operand(), &[]).ended(0);
    save(&first.root().operand(), &[]).ended(0);
    let said = save(&second.root().operand(), &[]).ended(1);
    let started = ptrack(&scene, &["get", "api"]).record()["started_at"].as_str().expect("a time").to_owned();
    let end = format!("pkill-tree {}", first.root().operand());
    for part in ["api", project, &first.root().pid.to_string(), &started, &end] {
        assert!(said.one_message().contains(part), "{part}: {said:?}");
    }
    save(&second.root().operand(), &["--replace"]).ended(0);
    assert_eq!(ptrack(&scene, &["get", "api"]).record()["pid"], second.root().pid);
    drop(second);
    save(&first.root().operand(), &[]).ended(0);
}

#[test]
// proves: P33 M27 S11 W09 W16 P32
fn status_answers_by_exit_code() {
    let scene = Scene::new();
    let said = ptrack(&scene, &["status", "api"]).ended(1);
    assert!(said.one_message().contains("not registered"));
    let actor = scene.start(["idle"]);
    ptrack(&scene, &["save", "api", &actor.root().operand()]).ended(0);
    ptrack(&scene, &["status", "api"]).ended(0).quiet();
    let silent = ptrack(&scene, &["-q", "status", "api"]).ended(0).quiet();
    assert!(silent.stdout.is_empty());
    drop(actor);
    ptrack(&scene, &["status", "api"]).ended(1).said("ended");
    ptrack(&scene, &["rm", "api"]).ended(0);
    ptrack(&scene, &["rm", "api"]).ended(1).said("not registered");
}

#[test]
// proves: S05 S06 S24
fn processes_are_named_and_counted() {
    let scene = Scene::new();
    let (one, two) = (scene.start(["idle"]), scene.start(["idle"]));
    ptrack(&scene, &["save", "one", &one.root().operand()]).ended(0);
    ptrack(&scene, &["save", "two", &two.root().operand()]).ended(0);
    let name =
        |pid: u32, code| ptrack(&scene, &["get", "--pid", &pid.to_string()]).ended(code).text().to_owned();
    assert_eq!(name(one.root().pid, 0), "one\n");
    assert_eq!(name(std::process::id(), 1), "unknown\n");
    let count =
        |words: &[&str]| ptrack(&scene, &[&["list", "--count"], words].concat()).ended(0).text().to_owned();
    drop(two);
    assert_eq!(
        (count(&[]), count(&["--alive"]), count(&["--dead"])),
        ("2\n".into(), "1\n".into(), "1\n".into())
    );
    ptrack(&scene, &["list", "--dead", "--expect", "0"]).ended(1);
    ptrack(&scene, &["list", "--alive", "--expect", "1"]).ended(0);
}

#[test]
// proves: P15 P38 M03 P42
fn a_scope_that_is_not_there_is_an_error_never_not_running() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let (root, home) = (actor.root().operand(), scene.home().to_str().expect("UTF-8").to_owned());
    ptrack(&scene, &["save", "api", &root]).ended(0);
    ptrack(&scene, &["save", "api", &root, "--project", &home]).ended(0);
    for words in [
        &["status", "api", "--project", ""][..],
        &["status", "api", "--project", "/no/such/folder"],
        &["status", "api", "--session", "none"],
        &["status", "api", "--session", ""],
        &["save", "x", &root, "--type", "per-project"],
        &["save", "x", &root, "--type", "per-session"],
        &["save", "x", &root, "--type", "global", "--type", "odd"],
        &["save", "x", &root, "--type", "odd"],
        &["list", "--global", "--project", "/"],
    ] {
        ptrack(&scene, words).ended(2).one_message();
    }
    let said = ptrack(&scene, &["status", "api"]).ended(2);
    assert!(
        said.one_message().contains("--global") && said.one_message().contains(&format!("--project {home}"))
    );
    ptrack(&scene, &["status", "api", "--global"]).ended(0);
    let here =
        |variable: &str, value: &str| scene.tool("ptrack").args(["status", "api"]).env(variable, value).run();
    assert_eq!(here("PROCHERD_PROJECT", &home).ended(0).record()["scope"], "project");
    here("PROCHERD_PROJECT", "").ended(2).said("PROCHERD_PROJECT");
    here("PROCHERD_SESSION", "none").ended(2).said("PROCHERD_SESSION");
    // A relative project is the folder that it names.
    let relative = scene.tool("ptrack").args(["status", "api", "--project", "."]).cwd(scene.home()).run();
    assert_eq!(relative.ended(0).record()["project"], json!(home));
}

#[test]
// proves: M05 P35 M26 M13
fn signs_of_life_and_states_are_in_the_summary() {
    let scene = Scene::new();
    let (one, two) = (scene.start(["idle"]), scene.start(["idle"]));
    ptrack(&scene, &["save", "one", &one.root().operand()]).ended(0);
    ptrack(&scene, &["save", "two", &two.root().operand(), "--project", "/"]).ended(0);
    let before = document(&scene)["services"]["global"]["one"]["lastHealthCheck"].as_u64();
    ptrack(&scene, &["beat", "one", "--status", "unhealthy"]).ended(0).quiet();
    assert!(document(&scene)["services"]["global"]["one"]["lastHealthCheck"].as_u64() >= before);
    ptrack(&scene, &["beat", "nobody"]).ended(1);
    let summary = ptrack(&scene, &["status", "--summary"]).ended(0).record();
    assert_eq!(summary["total"], 2);
    assert_eq!((&summary["healthy"], &summary["unhealthy"]), (&json!(1), &json!(1)));
    assert_eq!(summary["by_type"], json!({"global": 1, "per-project": 1, "per-session": 0}));
    assert_eq!(summary["details"].as_array().map(Vec::len), Some(2));
    drop(two);
    ptrack(&scene, &["beat", "two"]).ended(1).said("ended");
}

#[test]
// proves: W34 M16 P09
fn a_list_is_a_kill_plan_and_its_outcome_is_what_to_forget() {
    let scene = Scene::new();
    let (one, two) = (scene.start(["tree", "--depth", "1", "--width", "3"]), scene.start(["idle"]));
    let other = scene.start(["idle"]);
    let home = scene.home().to_str().expect("UTF-8");
    for (name, actor) in [("one", &one), ("two", &two)] {
        ptrack(&scene, &["save", name, &actor.root().operand(), "--project", home]).ended(0);
    }
    ptrack(&scene, &["save", "other", &other.root().operand()]).ended(0);
    let script = format!("ptrack list --project '{home}' | pkill-tree | ptrack rm -");
    let removed = scene.sh(&script).run().ended(0).records();
    assert_eq!(removed.len(), 2, "{removed:?}");
    one.assert_nobody_left();
    two.assert_nobody_left();
    assert!(other.root().alive());
    assert_eq!(ptrack(&scene, &["list", "--count"]).text(), "1\n");
    // What lives on is not forgotten for a record about it.
    let about = ptrack(&scene, &["get", "other"]).record();
    let process = json!({"type": "outcome", "v": 1, "pid": about["pid"], "pidfd_inode": about["pidfd_inode"],
        "start_ticks": about["start_ticks"], "boot_id": about["boot_id"], "pid_ns": about["pid_ns"], "outcome": "survived"});
    scene.tool("ptrack").args(["rm", "-"]).records([&process]).run().ended(3).said("stays registered");
}

#[test]
// proves: P08 M09
fn a_program_registers_itself_and_unregisters_at_its_end() {
    let scene = Scene::new();
    let script = "ptrack save -q me $$ && ptrack -q status me && ptrack -q rm me && ptrack list --count";
    assert_eq!(scene.sh(script).run().ended(0).text(), "0\n");
}

#[test]
// proves: M17 M18 M19 M20 M24 M25 M33
fn a_session_is_started_and_ended_with_all_its_members() {
    let scene = Scene::new();
    let (owner, deaf) = (scene.start(["idle"]), scene.start(["ignore-term"]));
    let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let (id, innocent) = (format!("claude-{}-1700000000", owner.root().pid), scene.start(["idle"]));
    let marked = scene.actor(["idle"]).env("CLAUDE_SESSION_ID", &id).start();
    let start = ["session", "start", &id, "--pid", &owner.root().operand(), "--project", "/"];
    assert_eq!(ptrack(&scene, &start).ended(0).record()["pid"], owner.root().pid);
    let entry = document(&scene)["sessions"][&id].clone();
    assert_eq!((&entry["pid"], &entry["projectPath"]), (&json!(owner.root().pid), &json!("/")));
    assert!(entry["startTime"].is_u64());
    for (name, actor) in [("deaf", &deaf), ("tree", &tree)] {
        ptrack(&scene, &["save", name, &actor.root().operand(), "--session", &id]).ended(0);
    }
    assert_eq!(ptrack(&scene, &["session", "list"]).ended(0).record()["services"], 2);
    ptrack(&scene, &["session", "start", &id, "--pid", &innocent.root().operand()])
        .ended(1)
        .said("already registered");
    let plan = ptrack(&scene, &["session", "end", &id, "--dry-run"]).ended(0).records();
    assert_eq!(plan.len(), 5, "{plan:?}");
    let ended = ptrack(&scene, &["session", "end", &id, "--grace", "200ms"]).ended(0).quiet().record();
    assert_eq!((&ended["cleaned"], &ended["ended"]), (&json!(2), &json!(5)));
    let mut names: Vec<&str> = ended["terminated"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["deaf", "tree"]);
    for actor in [&deaf, &tree, &marked] {
        actor.assert_nobody_left();
    }
    assert!(owner.root().alive() && innocent.root().alive());
    ptrack(&scene, &["session", "end", &id]).ended(2);
    assert_eq!(document(&scene)["sessions"], json!({}));
}

#[test]
// proves: S18 S19 W03 W39
fn tracking_files_and_pid_files_go_in_and_out_unchanged() {
    let scene = Scene::new();
    let (one, two) = (scene.start(["idle"]), scene.start(["idle"]));
    let (from, to) = (scene.home().join("pids"), scene.home().join("out"));
    let dead = 4_194_304;
    write(&from.join("services.pids"), &format!("{}\n{}\n{dead}\n", one.root().pid, two.root().pid));
    write(&from.join("services.pids.services"), &format!("orchestrator:{}\n", one.root().pid));
    write(&from.join("services.pids.groups"), &format!("PGID:orchestrator:{}\n", one.root().pid));
    let (from_text, to_text) = (from.to_str().expect("UTF-8"), to.to_str().expect("UTF-8"));
    ptrack(&scene, &["import", from_text]).ended(0);
    assert_eq!(ptrack(&scene, &["get", "orchestrator"]).record()["pidfd_inode"].as_u64(), one.root().inode);
    assert_eq!(ptrack(&scene, &["list", "--dead"]).records().len(), 1);
    ptrack(&scene, &["export", "--as", "pids", to_text]).ended(0);
    for name in ["services.pids", "services.pids.services", "services.pids.groups"] {
        assert_eq!(text(&from.join(name)), text(&to.join(name)), "{name}");
    }
    ptrack(&scene, &["export", "--as", "pidfiles", to_text, "--global"]).ended(0);
    assert_eq!(text(&to.join("orchestrator.pid")), format!("{}\n", one.root().pid));
    ptrack(&scene, &["clear"]).ended(0);
    ptrack(&scene, &["import", "--as", "pidfiles", to_text, "--project", "/"]).ended(0);
    assert_eq!(ptrack(&scene, &["get", "orchestrator"]).record()["scope"], "project");
    write(&from.join("services.pids.services"), "what:is:this\n:5\nname:x\n");
    ptrack(&scene, &["import", from_text, "--replace"]).ended(3);
}

#[test]
// proves: P17 P18
fn the_registry_of_monitors_goes_in_and_out() {
    let scene = Scene::new();
    let (monitor, coordinator) = (scene.start(["idle"]), scene.start(["idle"]));
    let now = 4_000_000_000_000_u64;
    let registry = json!({"version": "1.0.0", "lastUpdated": 5, "owner": {"team": ["a", 1.50]}, "é": null,
        "projects": {"coding": {"projectPath": "/", "monitorPid": monitor.root().pid, "startTime": now,
            "parentPid": null, "lastHealthCheck": now, "status": "active", "exchanges": 7, "x": {"y": []},
            "type": "odd", "health": 5, "command": "npm"}},
        "coordinator": {"pid": coordinator.root().pid, "startTime": now, "healthCheckInterval": 30000, "z": "kept"}});
    let path = scene.home().join(".global-lsl-registry.json");
    write(&path, &registry.to_string());
    ptrack(&scene, &["import", path.to_str().expect("UTF-8")]).ended(0);
    let found = ptrack(&scene, &["get", "coding"]).record();
    assert_eq!((found["pidfd_inode"].as_u64(), &found["exchanges"]), (monitor.root().inode, &json!(7)));
    let mut back = ptrack(&scene, &["export", "--as", "monitor"]).ended(0).record();
    back["lastUpdated"] = json!(5);
    assert_eq!(back, registry);
    // What an export has is what an import of it gives, also when the registry was written in between.
    ptrack(&scene, &["beat", "coding"]).ended(0);
    let again = scene.home().join("again.json");
    ptrack(&scene, &["export", "--as", "monitor", again.to_str().expect("UTF-8")]).ended(0);
    ptrack(&scene, &["import", again.to_str().expect("UTF-8")]).ended(0);
    let back = ptrack(&scene, &["export", "--as", "monitor"]).ended(0).record();
    assert_eq!((&back["owner"], &back["é"]), (&registry["owner"], &registry["é"]));
    assert_eq!(back["projects"]["coding"]["x"], registry["projects"]["coding"]["x"]);
}

#[test]
fn every_form_that_loses_nothing_comes_back_as_it_was() {
    let scene = Scene::new();
    let actor = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let odd = "na,me \"of\" a\u{e9}:service";
    ptrack(&scene, &["save", odd, &actor.root().operand(), "--project", "/", "--meta", "k=v,\"w"]).ended(0);
    let before = document(&scene)["services"].clone();
    for form in ["state", "ndjson", "csv"] {
        let path = scene.home().join(format!("export.{form}"));
        let path = path.to_str().expect("UTF-8");
        ptrack(&scene, &["export", "--as", form, path]).ended(0).quiet();
        ptrack(&scene, &["clear"]).ended(0);
        ptrack(&scene, &["import", "--as", form, path]).ended(0);
        assert_eq!(document(&scene)["services"], before, "{form}");
    }
}

#[test]
// proves: S36 S08 S24
fn a_damaged_registry_is_set_aside_on_request_and_rebuilt_from_marks() {
    let scene = Scene::new();
    let marks = |name: &str| {
        scene.actor([name]).env("PROCHERD_ID", format!("cookie-{name}")).env("PROCHERD_SERVICE", name)
    };
    let (one, _two) = (marks("idle").start(), marks("ignore-term").start());
    let registry = scene.registry();
    write(&registry, "{\"version\": \"3.0.0\", \"serv");
    for words in
        [&["list"][..], &["save", "x", &one.root().operand()], &["rm", "x"], &["clear"], &["beat", "x"]]
    {
        ptrack(&scene, words).ended(3).one_message();
        assert_eq!(text(&registry), "{\"version\": \"3.0.0\", \"serv");
    }
    ptrack(&scene, &["--repair", "list"]).ended(0).said("damaged");
    let aside = std::fs::read_dir(registry.parent().expect("a folder")).expect("a folder").flatten();
    assert_eq!(aside.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-")).count(), 1);
    let rebuilt = ptrack(&scene, &["rebuild"]).ended(0).records();
    let mine: Vec<&Value> = rebuilt.iter().filter(|record| record["pid"] == one.root().pid).collect();
    assert_eq!(mine.len(), 1, "{rebuilt:?}");
    assert_eq!((&mine[0]["service"], &mine[0]["cookie"]), (&json!("idle"), &json!("cookie-idle")));
    ptrack(&scene, &["clear"]).ended(0);
    assert_eq!(ptrack(&scene, &["list", "--count"]).text(), "0\n");
}

#[test]
// proves: P03 M29 M36
fn the_registry_is_where_the_options_say_and_out_of_git() {
    let scene = Scene::new();
    let repo = scene.home().join("repo");
    std::fs::create_dir_all(repo.join(".git")).expect("made");
    let file = repo.join(".live-process-registry.json");
    let run = |words: &[&str]| {
        scene.tool("ptrack").args(words).without_env("PROCHERD_REGISTRY").env("CODING_REPO", &repo).run()
    };
    assert_eq!(run(&["path"]).ended(0).text(), format!("{}\n", file.display()));
    run(&["init"]).ended(0);
    run(&["init"]).ended(0);
    assert_eq!(text(&repo.join(".gitignore")).matches("live-process").count(), 3);
    assert_eq!(std::fs::metadata(&file).expect("made").permissions().mode() & 0o777, 0o600);
    let given = run(&["path", "--registry", "/x/y.json"]).ended(0);
    assert_eq!(given.text(), "/x/y.json\n");
    run(&["path", "--registry", ""]).ended(2);
}

#[test]
fn hostile_entries_are_never_acted_upon() {
    let scene = Scene::new();
    let own = std::process::id();
    let entry = |pid: &str| format!("{{\"pid\":{pid},\"startTime\":1,\"status\":\"running\"}}");
    let entries: Vec<String> = ["0", "1", "-1", "2", "\"7\"", "4194305", "1e99", "null", "[1]"]
        .iter()
        .enumerate()
        .map(|(index, pid)| format!("\"bad{index}\":{}", entry(pid)))
        .collect();
    let text = format!(
        "{{\"version\":\"3.0.0\",\"sessions\":{{}},\"services\":{{\"global\":{{{},\"parent\":{}}}}}}}",
        entries.join(","),
        entry(&own.to_string())
    );
    let text = text.replacen("\"global\":{", "\"global\":{\"null\":null,\"twice\":{\"a\":1,\"a\":2},", 1);
    write(&scene.registry(), &text);
    let listed = ptrack(&scene, &["list"]).ended(0).records();
    assert_eq!(listed.len(), 12);
    ptrack(&scene, &["beat", "null"]).ended(1);
    ptrack(&scene, &["rm", "null"]).ended(0);
    assert_eq!(
        self::text(&scene.registry()).matches(r#"{"a":1,"a":2}"#).count(),
        1,
        "what nobody touches stays"
    );
    assert!(listed.iter().all(|record| record["alive"] != "alive"), "{listed:?}");
    assert!(listed.iter().all(|record| record["pid"] != 1));
    let said = scene.sh("ptrack list | pkill-tree").run();
    assert!(said.records().iter().all(|record| record["signal"].is_null()), "{said:?}");
    let linked = scene.home().join("link.json");
    std::os::unix::fs::symlink(scene.registry(), &linked).expect("linked");
    ptrack(&scene, &["list", "--registry", linked.to_str().expect("UTF-8")]).ended(2).said("symbolic link");
    std::fs::set_permissions(scene.registry(), std::fs::Permissions::from_mode(0o666)).expect("mode");
    ptrack(&scene, &["list"]).ended(2).said("chmod");
}

#[test]
fn a_full_disk_is_reported_and_nothing_is_lost() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["idle"]);
        let disk = scene.home().join("disk");
        std::fs::create_dir(&disk).expect("made");
        small_disk(&disk, 64);
        std::fs::set_permissions(&disk, std::fs::Permissions::from_mode(0o700)).expect("mode");
        let registry = disk.join("registry.json");
        let words = |name| {
            [
                "save".to_owned(),
                name,
                actor.root().operand(),
                "--registry".into(),
                registry.display().to_string(),
            ]
        };
        scene.tool("ptrack").args(words("first".into())).run().ended(0);
        fill_disk(&disk);
        let before = text(&registry);
        let said = scene.tool("ptrack").args(words("second".into())).run().ended(3);
        assert!(said.one_message().contains("no space left"), "{said:?}");
        assert_eq!(text(&registry), before);
        let names = std::fs::read_dir(&disk).expect("the disk").flatten().map(|entry| entry.file_name());
        assert!(!names.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp")));
    });
}

/// What a program in JavaScript does with the registry: it reads all of it, changes an object, and writes all of it.
const SCRIPT: &str = r#"
const fs = require("fs"), path = process.argv[2], project = process.argv[3], pid = Number(process.argv[4]);
const registry = JSON.parse(fs.readFileSync(path, "utf8"));
if (registry.version !== "3.0.0") throw new Error("version");
const mine = registry.services.global.api;
if (mine.pid !== pid || mine.type !== "global" || mine.status !== "running") throw new Error("global");
if (typeof mine.startTime !== "number" || Math.abs(Date.now() - mine.lastHealthCheck) > 60000) throw new Error("times");
if (registry.services.projects[project].web.pid !== pid) throw new Error("project");
mine.lastHealthCheck = Date.now();
mine.jsField = { nested: ["é", 1.5, null] };
registry.services.global.js = { pid, script: "js.js", type: "global", startTime: Date.now(),
  lastHealthCheck: Date.now(), status: "running", metadata: { custom: "data" } };
registry.jsTop = "kept";
registry.lastChange = Date.now();
fs.writeFileSync(path, JSON.stringify(registry, null, 2));
"#;

#[test]
// proves: P30 M01
fn a_program_in_javascript_reads_and_writes_the_same_file() {
    let scene = Scene::new();
    let actor = scene.start(["idle"]);
    let (root, home) = (actor.root(), scene.home().to_str().expect("UTF-8").to_owned());
    ptrack(&scene, &["save", "api", &root.operand()]).ended(0);
    ptrack(&scene, &["save", "web", &root.operand(), "--project", &home]).ended(0);
    let script = scene.home().join("script.js");
    std::fs::write(&script, SCRIPT).expect("written");
    let mut node = std::process::Command::new("node");
    node.arg(&script).arg(scene.registry()).arg(&home).arg(root.pid.to_string());
    let Ok(output) = node.output() else { return skip("node is not installed") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let added = ptrack(&scene, &["get", "js"]).ended(0).record();
    assert_eq!((&added["alive"], &added["identified_by"]), (&json!("alive"), &json!("pid")));
    assert_eq!(added["pidfd_inode"].as_u64(), root.inode);
    ptrack(&scene, &["beat", "api"]).ended(0);
    ptrack(&scene, &["rm", "web"]).ended(0);
    let document = document(&scene);
    assert_eq!(document["services"]["global"]["api"]["jsField"], json!({"nested": ["é", 1.5, null]}));
    assert_eq!(
        (&document["jsTop"], &document["services"]["global"]["js"]["metadata"]["custom"]),
        (&json!("kept"), &json!("data"))
    );
    scene.tool("preap").run().ended(0);
    assert_eq!(
        self::document(&scene)["services"]["global"]["js"]["identity"]["pidfd_inode"].as_u64(),
        root.inode
    );
}

#[test]
fn a_stream_of_records_is_saved_in_one_transaction() {
    let scene = Scene::new();
    let (one, two) = (scene.start(["idle"]), scene.start(["idle"]));
    let record = |name: &str, actor: &str| {
        let mut record = scene.tool("pstree-json").arg(actor).run().record();
        record["service"] = json!(name);
        record
    };
    let (first, second) = (record("one", &one.root().operand()), record("two", &two.root().operand()));
    let nameless = scene.tool("pstree-json").arg(one.root().operand()).run().record();
    let saved = scene.tool("ptrack").args(["save", "-"]).records([&first, &nameless, &second]).run().ended(3);
    assert_eq!(saved.records().len(), 2);
    assert!(saved.one_message().contains("line 2"), "{saved:?}");
    scene.tool("ptrack").args(["save", "-", "--strict"]).stdin("nonsense\n").run().ended(3);
    let listed = ptrack(&scene, &["list"]).records();
    ptrack(&scene, &["clear"]).ended(0);
    scene.tool("ptrack").args(["save", "-"]).records(&listed).run().ended(0);
    assert_eq!(ptrack(&scene, &["list", "--alive", "--count"]).text(), "2\n");
    scene.tool("ptrack").args(["rm", "-"]).records(&listed).run().ended(0);
    assert_eq!(ptrack(&scene, &["list", "--count"]).text(), "0\n");
}
