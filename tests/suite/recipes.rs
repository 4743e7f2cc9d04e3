//! The recipes: scripts made of the tools alone, on real stacks.

use std::time::Duration;

use crate::support::tool::Tool;
use crate::support::{Id, Output, Scene, arena, project, skip, sources};

mod containers;
mod engine;
mod watchdog;

/// A recipe, run in the folder `project` of a scene, with the recipes and the tools in the path.
fn recipe(scene: &Scene, line: &str) -> Tool {
    std::fs::create_dir_all(scene.home().join("project")).expect("a folder");
    let recipes = project().join("tools/recipes");
    scene
        .sh(&format!("PATH={}:$PATH; {line}", recipes.display()))
        .cwd(&scene.home().join("project"))
        .within(Duration::from_mins(1))
}

/// The one line that a recipe says.
#[track_caller]
fn said(output: &Output) -> &str {
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    output.stderr.trim_end()
}

fn write(scene: &Scene, name: &str, text: &str) {
    let path = scene.home().join("project").join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("written");
}

/// The names and numbers of the services of the project that live.
fn services(scene: &Scene) -> Vec<(String, u64)> {
    let listed = recipe(scene, "ptrack list --project . --alive").run().ended(0);
    let one = |record: &serde_json::Value| {
        (record["service"].as_str().unwrap_or_default().to_owned(), record["pid"].as_u64().unwrap_or(0))
    };
    listed.records().iter().map(one).collect()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    socket.local_addr().expect("an address").port()
}

fn has_python() -> bool {
    let there = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !there {
        skip("there is no python3");
    }
    there
}

// proves: S21 S26 W33 S16 S33
#[test]
fn a_stack_is_started_once_waited_for_and_stopped_for_good() {
    if !has_python() {
        return;
    }
    arena::inside(|| {
        let scene = Scene::new();
        let port = free_port();
        write(&scene, "backend/index.html", "hello");
        let services_file = format!(
            "# name port folder command\n\napi {port} backend python3 -m http.server {port} --bind 127.0.0.1\n\
             worker - . sh -c 'setsid sleep 1001 & (sleep 1002 &); exec sleep 1003'\n"
        );
        write(&scene, "services.conf", &services_file);
        let started = recipe(&scene, "start-dev").run().ended(0);
        for phase in ["[1/4]", "[2/4]", "[3/4]", "[4/4]", "healthy"] {
            assert!(started.text().contains(phase), "{started:?}");
        }
        let first = services(&scene);
        assert_eq!(first.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["api", "worker"]);
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "it is up when start-dev returns");
        recipe(&scene, "start-dev").run().ended(0);
        assert_eq!(services(&scene), first, "what runs is left as it is");
        let stopped = recipe(&scene, "stop-dev").run().ended(0);
        for phase in ["[1/5]", "[2/5]", "[3/5]", "[4/5]", "[5/5]", "nothing is left"] {
            assert!(stopped.text().contains(phase), "{stopped:?}");
        }
        assert!(services(&scene).is_empty());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is free");
        let left = recipe(&scene, "porphans --untracked --pattern 'sleep 100[123]' --expect 0").run();
        left.ended(0);
    });
}

// proves: S27 S31
#[test]
fn a_stop_ends_leftovers_of_this_project_and_nothing_of_the_next() {
    arena::inside(|| {
        let scene = Scene::new();
        for folder in ["project", "other"] {
            std::fs::create_dir_all(scene.home().join(folder)).expect("a folder");
        }
        let leftover = |folder: &str| {
            let words = ["orphan", "2", "--title", "npm run dev", "--", "npm run dev"];
            scene.actor(words).cwd(&scene.home().join(folder)).start()
        };
        let (ours, others) = (leftover("project"), leftover("other"));
        let stopped = recipe(&scene, "stop-dev --force").run().ended(0);
        assert!(stopped.stderr.contains("by force"), "how many needed force is said: {stopped:?}");
        ours.assert_nobody_left();
        assert!(others.all("orphan").iter().all(Id::alive), "the project next door goes on");
    });
}

#[test]
fn a_service_that_does_not_come_up_is_named_and_the_rest_runs() {
    let scene = Scene::new();
    write(&scene, "services.conf", "good - . sleep 1004\nbad - . false\n");
    let said = recipe(&scene, "start-dev --timeout 1s").run();
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("bad"), "{said:?}");
    assert_eq!(services(&scene).len(), 1);
    recipe(&scene, "stop-dev --force").run().ended(0);
    assert!(services(&scene).is_empty());
}

#[test]
fn wrong_files_and_wrong_words_are_misuse_in_one_line() {
    let scene = Scene::new();
    write(&scene, "services.conf", "api 8001\n");
    assert!(recipe(&scene, "start-dev").run().ended(2).stderr.contains("a line has a name"));
    for (line, why) in [
        ("start-dev nowhere", "start-dev: read services: nowhere"),
        ("stop-dev nowhere", "stop-dev: stop project: no such folder"),
        ("clear-port", "clear-port: read operands"),
        ("clear-port http", "clear-port: http: not a port"),
    ] {
        let output = recipe(&scene, line).run().ended(2);
        assert!(said(&output).starts_with(why), "{output:?}");
    }
    let page = std::fs::read_to_string(project().join("man/procherd-recipes.7")).expect("the page");
    for (path, text) in sources("tools/recipes", &[""]) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(page.contains(&format!(".Ss {name}")), "procherd-recipes.7 does not describe {name}");
        assert!(text.starts_with("#!/bin/sh\n"), "{name} is for any shell");
        let help = recipe(&scene, &format!("{name} -h")).run().ended(0).quiet();
        assert!(
            help.text().contains(&format!("    {name} ")) && help.text().contains("Exit"),
            "{name}: {help:?}"
        );
        if name != "clear-port" {
            let wrong = recipe(&scene, &format!("{name} --wrong")).run().ended(2);
            assert_eq!(said(&wrong), format!("{name}: --wrong: no such option"));
        }
    }
}

// proves: W18 W31 S35 W19
#[test]
fn a_port_is_cleared_and_its_client_goes_on() {
    arena::inside(|| {
        let scene = Scene::new();
        let holder = scene.start(["listen", "--heirs", "1"]);
        let port = holder.fact("port");
        let mut client = scene.start(["witness"]);
        let connected = std::net::TcpStream::connect(("127.0.0.1", u16::try_from(port).expect("a port")));
        assert!(connected.is_ok(), "this test is a client of it");
        recipe(&scene, &format!("clear-port {port}")).run().ended(0);
        holder.assert_nobody_left();
        client.assert_untouched();
        recipe(&scene, &format!("pports --check {port}")).run().ended(1);
        recipe(&scene, &format!("clear-port {port}")).run().ended(0);
    });
}

// proves: W56
#[test]
fn a_reset_clears_everything_and_forgets_it() {
    let scene = Scene::new();
    write(&scene, "services.conf", "one - . sleep 1005\n");
    write(&scene, "backend/.run/old.pid", "4194304\n");
    recipe(&scene, "start-dev").run().ended(0);
    recipe(&scene, "reset-env --no-start").run().ended(0);
    assert!(services(&scene).is_empty());
    assert!(
        !scene.home().join("project/backend/.run/old.pid").exists(),
        "a pid file that names nobody is gone"
    );
    assert_eq!(recipe(&scene, "ptrack list --count").run().ended(0).text(), "0\n");
    recipe(&scene, "reset-env").run().ended(0);
    assert_eq!(services(&scene).len(), 1, "it runs again");
    recipe(&scene, "stop-all --force").run().ended(0);
    assert!(services(&scene).is_empty());
}

// proves: M38 W52
#[test]
fn a_preflight_says_what_is_missing() {
    let scene = Scene::new();
    recipe(&scene, "preflight").run().ended(0);
    let missing = recipe(&scene, "preflight --require .env").run().ended(1);
    assert!(missing.stderr.contains("preflight: .env: it is required"), "{missing:?}");
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let held = recipe(&scene, &format!("preflight --port {port}")).run().ended(1);
    assert!(held.stderr.contains(&format!("port {port}")), "{held:?}");
    write(&scene, ".env", "");
    recipe(&scene, &format!("preflight --require .env --port {}", free_port())).run().ended(0);
}

// proves: S25
#[test]
fn every_script_passes_the_linters_and_the_shell_itself() {
    let linted = std::process::Command::new(project().join("tests/lint")).arg("scripts").output();
    let linted = linted.expect("it runs");
    assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
    if String::from_utf8_lossy(&linted.stderr).contains("SKIPPED") {
        skip("shellcheck is not installed");
    }
    let scene = Scene::new();
    let scripts = ["tools/recipes", "tools/hooks"].iter().flat_map(|folder| sources(folder, &[""]));
    let scripts: Vec<_> = scripts.filter(|(_, text)| text.starts_with("#!/bin/sh\n")).collect();
    assert!(scripts.len() >= 9, "{scripts:?}");
    for (path, _) in scripts {
        scene.sh(&format!("sh -n '{}'", project().join(path).display())).run().ended(0).quiet();
    }
}
