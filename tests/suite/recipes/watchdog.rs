//! The watchdog: the keeper of services runs and gives signs of life, whatever the wall clock says.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::recipe;
use crate::support::tool::Tool;
use crate::support::{Id, SOON, Scene, actor_program, skip, wait_until};

/// The watchdog of a keeper that looks every tenth of a second at one service, `api`.
fn watchdog(scene: &Scene, options: &str) -> Tool {
    let file = scene.home().join("services.ndjson");
    let actor = actor_program().display().to_string();
    let api = json!({"service": "api", "command": [actor, "idle", "--outlive", "120"]});
    fs::write(&file, format!("{api}\n")).expect("written");
    let keeper = format!("--interval 100ms '{}'", file.display());
    recipe(scene, &format!("watchdog {options} --logs '{}' -- {keeper}", logs(scene).display()))
}

fn logs(scene: &Scene) -> std::path::PathBuf {
    scene.home().join("logs")
}

fn process(scene: &Scene, name: &str) -> Option<Id> {
    let said = scene.tool("ptrack").args(["get", name, "--global"]).run();
    if said.code == Some(0) { Id::in_record(&said.record()) } else { None }
}

/// Waits until the keeper runs, and keeps the service; gives both.
#[track_caller]
fn both(scene: &Scene) -> (Id, Id) {
    let lives = |name: &str| process(scene, name).is_some_and(|id| id.alive());
    wait_until(SOON, "the keeper and its service run", || lives("pkeep") && lives("api"));
    (process(scene, "pkeep").expect("it runs"), process(scene, "api").expect("it runs"))
}

/// Stops the keeper, and waits until it has been silent for longer than a second.
fn silence(scene: &Scene, keeper: Id) {
    assert!(keeper.signal(Signal::SIGSTOP));
    wait_until(SOON, "it has been silent for a second", || {
        scene.tool("phealth").args(["pkeep", "-q", "--max-age", "1s"]).run().code == Some(1)
    });
}

/// What the log says that was done.
fn done(scene: &Scene) -> Vec<Value> {
    let text = fs::read_to_string(logs(scene).join("watchdog.ndjson")).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

// proves: M10 M11 M35
#[test]
fn a_keeper_that_is_dead_or_silent_is_replaced_and_its_services_go_on() {
    let scene = Scene::new();
    let first = watchdog(&scene, "").run().ended(0).quiet();
    assert_eq!(first.text(), "watchdog: pkeep: not registered; it was started anew\n");
    let (keeper, api) = both(&scene);
    let nothing = watchdog(&scene, "").run().ended(0).quiet();
    assert!(nothing.stdout.is_empty(), "nothing to do, nothing to say: {nothing:?}");
    assert_eq!(both(&scene), (keeper, api));
    // Dead.
    assert!(keeper.signal(Signal::SIGKILL));
    wait_until(SOON, "its end", || !keeper.alive());
    let said = watchdog(&scene, "").run().ended(0).quiet();
    assert!(said.text().starts_with("watchdog: pkeep: ended"), "{said:?}");
    let (second, same) = both(&scene);
    assert!(second != keeper && same == api, "the service was adopted");
    // Alive, and silent: the two minutes are a second here.
    silence(&scene, second);
    let said = watchdog(&scene, "--max-age 1s --wait 100ms").run().ended(0).quiet();
    assert!(said.text().contains("its last sign of life is"), "{said:?}");
    let (third, same) = both(&scene);
    assert!(!second.alive() && third != second && same == api);
    let log = done(&scene);
    assert!(log.iter().all(|record| record["at"].is_string() && record["tool"].is_string()), "{log:?}");
    let ended: Vec<&Value> = log.iter().filter(|record| record["outcome"] == "killed").collect();
    assert_eq!(ended.len(), 1, "{log:?}");
    assert_eq!(ended[0]["pid"], second.pid);
    assert_eq!(log.last().expect("a line")["pid"], third.pid);
    assert!(fs::read_to_string(logs(&scene).join("pkeep.log")).expect("its output").contains("adopted"));
    // Several at once start one.
    let mut last = third;
    for _ in 0..4 {
        assert!(last.signal(Signal::SIGKILL));
        wait_until(SOON, "its end", || !last.alive());
        let many: Vec<_> = (0..4).map(|_| watchdog(&scene, "").start()).collect();
        for one in many {
            one.finish().ended(0);
        }
        let (next, same) = both(&scene);
        assert!(same == api && next != last);
        last = next;
    }
    last.signal(Signal::SIGTERM);
    wait_until(SOON, "the end of both", || !last.alive() && !api.alive());
    assert_eq!(process(&scene, "pkeep"), None, "it has forgotten itself");
}

#[test]
fn one_that_gives_a_sign_of_life_in_time_is_left_alone() {
    let scene = Scene::new();
    watchdog(&scene, "").run().ended(0);
    let (keeper, api) = both(&scene);
    silence(&scene, keeper);
    // As after a machine has slept: all are silent, and then all go on.
    let looks = |id: &Id| fs::read(format!("/proc/{}/comm", id.pid)).is_ok_and(|comm| comm == b"phealth\n");
    let mut looking = watchdog(&scene, "--max-age 1s --wait 20s").start();
    wait_until(SOON, "it waits", || scene.carriers().iter().any(looks));
    assert!(looking.runs());
    assert!(keeper.signal(Signal::SIGCONT));
    let said = looking.finish().ended(0).quiet();
    assert!(said.stdout.is_empty(), "{said:?}");
    assert_eq!(both(&scene), (keeper, api));
}

#[test]
fn a_project_has_a_keeper_of_its_own() {
    let scene = Scene::new();
    watchdog(&scene, "--project .").run().ended(0);
    let get = |name: &str| recipe(&scene, &format!("ptrack get {name} --project .")).run();
    wait_until(SOON, "its service runs", || get("api").code == Some(0));
    let keeper = get("pkeep").ended(0).record();
    assert_eq!(keeper["healthCheckInterval"], 100);
    assert_eq!(process(&scene, "pkeep"), None, "not for the machine");
    let nothing = watchdog(&scene, "--project .").run().ended(0).quiet();
    assert!(nothing.stdout.is_empty(), "{nothing:?}");
    recipe(&scene, "pkill-tree --quiet pkeep")
        .env("PROCHERD_PROJECT", scene.home().join("project"))
        .run()
        .ended(0);
    wait_until(SOON, "both are forgotten", || get("pkeep").code == Some(1) && get("api").code == Some(1));
}

#[test]
fn a_keeper_that_does_not_start_is_told() {
    let scene = Scene::new();
    let logs = logs(&scene);
    let said =
        recipe(&scene, &format!("watchdog --logs '{}' -- --no-such-option", logs.display())).run().ended(3);
    assert!(said.stderr.contains("watchdog: start pkeep: see"), "{said:?}");
    assert!(fs::read_to_string(logs.join("pkeep.log")).expect("its output").contains("no-such-option"));
    assert_eq!(process(&scene, "pkeep"), None);
    recipe(&scene, "watchdog --as 'a b'").run().ended(2);
    recipe(&scene, "watchdog services.ndjson").run().ended(2);
    recipe(&scene, "watchdog --max-age soon").run().ended(2);
}

/// Makes a library that moves the wall clock of whoever loads it, and of nobody else, by the seconds in `MOVED`.
fn clock_mover(folder: &Path) -> Option<std::path::PathBuf> {
    let (source, library) = (folder.join("moved.c"), folder.join("moved.so"));
    let text = "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <sys/syscall.h>\n#include <time.h>\n\
        #include <unistd.h>\n\
        int clock_gettime(clockid_t clock, struct timespec *time) {\n\
            long done = syscall(SYS_clock_gettime, clock, time);\n\
            const char *moved = getenv(\"MOVED\");\n\
            if (done == 0 && clock == CLOCK_REALTIME && moved) time->tv_sec += atol(moved);\n\
            return done;\n\
        }\n";
    fs::write(&source, text).expect("written");
    let said = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    match said {
        Ok(status) => assert!(status.success(), "cc: {status}"),
        Err(why) => {
            skip(&format!("cc: {why}"));
            return None;
        }
    }
    Some(library)
}

// The clock of the machine is nobody's to set in a test. What this shows: the watchdog and all tools that it calls read a
// wall clock that is a day ahead of, or behind, the one by which the keeper has given its signs of life, which is what
// they would read after somebody has set it; a keeper that lives is left alone, and one that is silent is replaced.
// proves: M11
#[test]
fn nobody_is_fooled_by_a_wall_clock_that_was_set() {
    let scene = Scene::new();
    let Some(library) = clock_mover(scene.home()) else { return };
    let moved =
        |by: &str, options: &str| watchdog(&scene, options).env("LD_PRELOAD", &library).env("MOVED", by);
    watchdog(&scene, "").run().ended(0);
    let (keeper, api) = both(&scene);
    let (day, back) = ("86400", "-86400");
    let clock = |by: &str| {
        let said = scene.sh("date +%s").env("LD_PRELOAD", &library).env("MOVED", by).run().ended(0);
        said.text().trim().parse::<i64>().expect("seconds")
    };
    assert!(clock(day) - clock(back) >= 2 * 86400, "the clock is moved");
    for by in [day, back] {
        let said = moved(by, "--max-age 3s").run().ended(0).quiet();
        assert!(said.stdout.is_empty(), "moved by {by}: {said:?}");
        assert_eq!(both(&scene), (keeper, api));
    }
    // By a clock that was set back its last sign of life lies in the future; by one that was set ahead it is a day old.
    let mut last = keeper;
    for by in [back, day] {
        silence(&scene, last);
        let said = moved(by, "--max-age 1s --wait 100ms").run().ended(0).quiet();
        assert!(said.text().contains("its last sign of life is"), "moved by {by}: {said:?}");
        let (next, same) = both(&scene);
        assert!(!last.alive() && next != last && same == api);
        // The new one lives by the moved clock. For who looks by the old one it is the clock that was set.
        let said = watchdog(&scene, "--max-age 3s").run().ended(0).quiet();
        assert!(said.stdout.is_empty(), "moved by {by}: {said:?}");
        assert_eq!(both(&scene), (next, api));
        last = next;
    }
}
