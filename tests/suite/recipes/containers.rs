//! The containers of a project: taken down by the client that is installed, and nothing of the next project with them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::signal::Signal;

use super::engine::{Engine, LIMIT};
use super::{recipe, services, write};
use crate::support::tool::Tool;
use crate::support::{SOON, Scene, arena, programs, project, skip, wait_until};

/// What a client says of its call: who it is, where, what it was told, and which engine and project it was pointed to.
const TELL: &str =
    r#"echo "${0##*/} in ${PWD##*/}: $* (${DOCKER_HOST:-} ${COMPOSE_PROJECT_NAME:-})" >> "$TOLD""#;

/// A client that has the commands of compose. It knows of one container, of the folder that `MARKED` names.
fn client() -> String {
    let seen = "case $* in *working_dir=*/\"${MARKED:-}\") echo shop_web_1 ;; esac";
    format!("case $* in *version) ;; ps*) {seen} ;; *) {TELL} ;; esac")
}

/// A docker without its plugin for compose. It knows of a container likewise.
const BARE: &str =
    r#"case $1 in ps) case $* in *working_dir=*/"${MARKED:-}") echo 4f2a ;; esac ;; *) exit 1 ;; esac"#;

/// A folder of programs that are played by a line of the shell.
fn play(scene: &Scene, programs: &[(&str, &str)]) -> PathBuf {
    let bin = scene.home().join("bin");
    let _ = std::fs::remove_dir_all(&bin);
    std::fs::create_dir_all(&bin).expect("a folder");
    for (name, line) in programs {
        std::fs::write(bin.join(name), format!("#!/bin/sh\n{line}\n")).expect("written");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("permitted");
    }
    bin
}

/// `stop-dev` where no clients are found but those of a folder.
fn stop(scene: &Scene, bin: &Path, words: &str) -> Tool {
    let script = project().join("tools/recipes/stop-dev");
    let path = format!("{}:{}", bin.display(), programs().display());
    let line = format!("PATH={path} exec /bin/sh {} {words}", script.display());
    recipe(scene, &line).env("TOLD", scene.home().join("told"))
}

/// What the clients have said since they were asked last.
fn told(scene: &Scene) -> String {
    let path = scene.home().join("told");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    text
}

// proves: S15 S28
#[test]
fn containers_of_the_project_are_taken_down_by_the_client_that_is_installed() {
    let scene = Scene::new();
    write(&scene, "compose.yaml", "services: {}\n");
    // The client is played here: what it is told, and where, is what matters.
    let bin = play(&scene, &[("docker", &client())]);
    write(&scene, "services.conf", "one - . sleep 1006\n");
    recipe(&scene, "start-dev").run().ended(0);
    stop(&scene, &bin, "--containers --grace 7s").run().ended(0);
    let down = "compose down --remove-orphans --volumes --timeout";
    assert_eq!(told(&scene), format!("docker in project: {down} 7 ( )\n"));
    assert_eq!(services(&scene).len(), 1, "the processes go on");
    for (grace, seconds) in [("500ms", "1"), ("1m 30s", "90"), ("2.5s", "3"), ("2min", "120"), ("0", "0")] {
        stop(&scene, &bin, &format!("--containers --grace '{grace}'")).run().ended(0);
        assert_eq!(told(&scene), format!("docker in project: {down} {seconds} ( )\n"), "{grace}");
    }
    for grace in ["7 parsecs", "x", "-1"] {
        let refused = stop(&scene, &bin, &format!("--containers --grace '{grace}'")).run().ended(2);
        assert!(refused.stderr.contains("not a duration"), "{refused:?}");
    }
    let named =
        stop(&scene, &bin, "--containers").env("DOCKER_HOST", "tcp://x").env("COMPOSE_PROJECT_NAME", "shop");
    named.run().ended(0);
    assert_eq!(told(&scene), format!("docker in project: {down} 3 (tcp://x shop)\n"), "as compose knows it");
    std::os::unix::fs::symlink(scene.home().join("project"), scene.home().join("project/link"))
        .expect("made");
    for (folder, marked) in [("", "project"), ("link", "link"), ("link", "project")] {
        let words = format!("--containers {folder}");
        let other = stop(&scene, &bin, &words).env("MARKED", marked).run().ended(1);
        assert!(other.text().contains("x containers that are still there: shop_web_1"), "{other:?}");
        let called = if folder.is_empty() { "project" } else { folder };
        assert!(told(&scene).starts_with(&format!("docker in {called}: {down} ")), "as it was called");
    }
    let failing =
        play(&scene, &[("docker", "case $* in *version) ;; *) echo 'no daemon' >&2; exit 1 ;; esac")]);
    let failed = stop(&scene, &failing, "--containers").run().ended(1);
    assert!(failed.text().contains("x docker compose down failed"), "{failed:?}");
    assert!(failed.stderr.contains("no daemon"), "the client says why: {failed:?}");
    recipe(&scene, "stop-dev --force").run();
    assert!(services(&scene).is_empty());
}

#[test]
fn the_next_client_is_asked_where_the_first_has_no_compose() {
    let scene = Scene::new();
    write(&scene, "compose.yaml", "services: {}\n");
    let other = client();
    let podman = ("podman", other.as_str());
    for (clients, called) in [
        (vec![("docker", BARE), ("docker-compose", &other), podman], "docker-compose in project: down "),
        (vec![("docker", BARE), podman], "podman in project: compose down "),
        (vec![podman], "podman in project: compose down "),
    ] {
        let bin = play(&scene, &clients);
        stop(&scene, &bin, "--containers").run().ended(0);
        let line = told(&scene);
        assert!(line.starts_with(called) && line.lines().count() == 1, "{called}: {line}");
    }
    let missing = "docker compose, docker-compose and podman compose are all missing";
    // Containers that are seen and cannot be taken down are told, and are something that is left.
    let seen = stop(&scene, &play(&scene, &[("docker", BARE)]), "--containers").env("MARKED", "project");
    let seen = seen.run().ended(1);
    assert!(seen.text().contains(missing) && seen.text().contains("still there: 4f2a"), "{seen:?}");
    for clients in [vec![("docker", "exit 1")], vec![]] {
        let without = stop(&scene, &play(&scene, &clients), "--containers").run().ended(0);
        assert!(without.text().contains(missing) && !without.text().contains("still there"), "{without:?}");
    }
}

#[test]
fn a_client_that_waits_for_ever_is_ended_and_what_it_left_is_named() {
    let scene = Scene::new();
    write(&scene, "compose.yaml", "services: {}\n");
    // It has a process of its own below it, as the docker client has its plugin.
    let stuck = "case $* in *version) ;; ps*) echo shop_web_1 ;; *) /bin/sleep 1003 & wait ;; esac";
    let bin = play(&scene, &[("docker", stuck)]);
    let begun = Instant::now();
    let words = "--containers --grace 500ms";
    let failed = stop(&scene, &bin, words).env("COMPOSE_HTTP_TIMEOUT", "1").run().ended(1);
    let why = "docker compose down --remove-orphans --volumes --timeout 1: no end within 4 s";
    assert!(failed.stderr.contains(why), "{failed:?}");
    let text = failed.text();
    assert!(text.contains("x docker compose down failed"), "{failed:?}");
    assert!(text.contains("x containers that are still there: shop_web_1"), "{failed:?}");
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    // Whoever watched a client sees its end a moment later.
    wait_until(SOON, "nobody stays", || scene.carriers().is_empty());
}

#[test]
fn containers_of_a_folder_above_are_left_alone() {
    let scene = Scene::new();
    write(&scene, "compose.yaml", "services: {}\n");
    write(&scene, "backend/main.py", "");
    let bin = play(&scene, &[("docker", &client())]);
    let said = stop(&scene, &bin, "--containers backend").run().ended(0);
    assert!(said.text().contains("none here"), "{said:?}");
    assert_eq!(told(&scene), "");
}

/// What takes no notice of TERM: the first process of a container that has no handler.
const STUBBORN: &str = r#"["/bin/busybox", "sleep", "3600"]"#;
/// What ends when it is asked.
const POLITE: &str = r#"["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM; /bin/busybox sleep 3600 & wait"]"#;

/// A file that compose reads: these services, a volume and a network.
fn stack(scene: &Scene, folder: &str, services: &[&str], command: &str) {
    let one = |name: &&str| {
        format!(
            "  {name}:\n    image: {}\n    command: {command}\n    networks: [inner]\n    volumes: [\"data:/data\"]\n",
            Engine::IMAGE
        )
    };
    let services: String = services.iter().map(one).collect::<Vec<_>>().concat();
    let text = format!("services:\n{services}networks:\n  inner: {{}}\nvolumes:\n  data: {{}}\n");
    // Of the names that compose looks for, the one that its first versions know as well.
    write(scene, &format!("{folder}/docker-compose.yml"), &text);
}

/// Starts the containers of a project.
fn up(engine: &Engine<'_>, folder: &str) {
    let line = format!("cd {folder} && {} up -d", engine.compose());
    engine.recipe(&line).run().ended(0);
}

/// What the engine has of a project.
fn of(engine: &Engine<'_>, project: &str) -> Vec<String> {
    engine.everything().into_iter().filter(|thing| thing.contains(project)).collect()
}

// proves: S15 S28
#[test]
fn an_engine_is_left_with_nothing_of_the_project_and_all_of_the_next() {
    arena::inside(|| {
        let scene = Scene::new();
        let mut engine = match Engine::start(&scene, "", LIMIT) {
            Ok(engine) => engine,
            Err(why) => return skip(&format!("no engine of containers: {why}")),
        };
        stack(&scene, "alpha", &["web", "worker", "former"], STUBBORN);
        stack(&scene, "beta", &["web", "worker"], POLITE);
        stack(&scene, "gamma", &["web"], POLITE);
        up(&engine, "alpha");
        up(&engine, "beta");
        engine.run("lone");
        // An orphan: its service is no longer in the file.
        stack(&scene, "alpha", &["web", "worker"], STUBBORN);
        let innocents = |engine: &Engine<'_>| [of(engine, "beta"), of(engine, "lone")].concat();
        let (ours, others) = (of(&engine, "alpha"), innocents(&engine));
        assert_eq!((ours.len(), others.len()), (5, 5), "{ours:?} {others:?}");
        let stopped = engine.recipe("stop-dev --containers --grace 1s alpha").run().ended(0);
        assert!(stopped.text().contains("[1/1] containers") && stopped.text().contains("ok"), "{stopped:?}");
        assert_eq!(of(&engine, "alpha"), Vec::<String>::new(), "containers, orphans, network and volume");
        assert_eq!(innocents(&engine), others, "the project next door and the lone one go on");
        engine.recipe("stop-dev --containers --grace 1s alpha").run().ended(0);
        let image = engine.images();
        assert!(image.contains(Engine::IMAGE), "images are nobody's: {image}");
        // Compose knows containers of the folder under another name alone, where they were started so.
        engine.recipe(&format!("cd gamma && {} -p other up -d", engine.compose())).run().ended(0);
        assert_eq!(engine.shares(), Vec::<&str>::new(), "it writes to these folders of the machine");
        let told = engine.recipe("stop-dev --containers --force gamma").run().ended(1);
        assert!(told.text().contains("still there: other"), "{told:?}");
        engine.recipe("COMPOSE_PROJECT_NAME=other stop-dev --containers --force gamma").run().ended(0);
        assert_eq!(of(&engine, "other"), Vec::<String>::new());
        // Who ends when asked takes none of the grace.
        let begun = Instant::now();
        engine.recipe("stop-dev --containers --grace 2m beta").run().ended(0);
        assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
        assert_eq!(innocents(&engine), of(&engine, "lone"));
        engine.end();
    });
}

#[test]
fn containers_that_could_not_be_taken_down_are_named() {
    arena::inside(|| {
        let scene = Scene::new();
        let mut engine = match Engine::start(&scene, "", LIMIT) {
            Ok(engine) => engine,
            Err(why) => return skip(&format!("no engine of containers: {why}")),
        };
        stack(&scene, "alpha", &["web"], STUBBORN);
        up(&engine, "alpha");
        let ours = of(&engine, "alpha");
        let file = scene.home().join("project/alpha/docker-compose.yml");
        let good = std::fs::read_to_string(&file).expect("it is read");
        std::fs::write(&file, "services: [\n").expect("written");
        let broken = engine.recipe("stop-dev --containers --grace 1s alpha").run().ended(1);
        let named = broken.text().lines().find(|line| line.contains("still there: ")).unwrap_or_default();
        assert!(named.contains("alpha") && named.contains("web"), "{broken:?}");
        assert_eq!(of(&engine, "alpha"), ours);
        std::fs::write(&file, good).expect("written");
        // An engine that takes what it is told and never answers.
        if engine.signal(Signal::SIGSTOP) {
            let line = "COMPOSE_HTTP_TIMEOUT=2 stop-dev --containers --grace 1s alpha";
            let stuck = engine.recipe(line).within(LIMIT).run().ended(1);
            assert!(stuck.text().contains("down failed"), "{stuck:?}");
            engine.signal(Signal::SIGCONT);
            assert_eq!(of(&engine, "alpha"), ours);
        }
        engine.recipe("stop-dev --containers --force alpha").run().ended(0);
        assert_eq!(of(&engine, "alpha"), Vec::<String>::new());
        engine.end();
    });
}
