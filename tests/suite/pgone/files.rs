//! Files that are to be left alone.

use nix::sys::signal::Signal;

use super::{assert_waits, outcome, pgone};
use crate::support::form::assert_outcomes;
use crate::support::scene::raw;
use crate::support::{SOON, Scene, wait_until};

// proves: P02
#[test]
fn a_file_that_is_written_again_and_again_is_quiet_when_its_writer_is_gone() {
    let scene = Scene::new();
    let path = scene.home().join("build.js");
    let name = path.display().to_string();
    // Removed and made again, as a watcher does.
    let script = "while :; do rm -f build.js; echo x > build.js; sleep 0.05; done";
    let writer = scene.sh(script).cwd(scene.home()).start();
    let id = writer.id();
    wait_until(SOON, "it writes", || path.exists());
    let said = pgone(&scene, ["--quiet-file", &name, "--for", "1500ms", "-t", "3s"]).run().ended(124);
    assert_eq!((outcome(&said.record()), &said.record()["file"]), ("changing", &name.clone().into()));
    assert_outcomes(&said);
    let mut tool = pgone(&scene, ["--quiet-file", &name, "--for", "1500ms"]).start();
    assert!(!crate::support::wait::waited(std::time::Duration::from_millis(2500), || !tool.runs()));
    id.signal(Signal::SIGKILL);
    let said = tool.finish().ended(0).quiet();
    assert_eq!(outcome(&said.record()), "quiet");
    assert_outcomes(&said);
    drop(writer.finish());
}

#[test]
fn a_file_that_is_not_there_is_quiet_until_it_is_made() {
    let scene = Scene::new();
    let path = scene.home().join("deep/er/LOCK");
    let name = path.display().to_string();
    let said = pgone(&scene, ["--quiet-file", &name, "--for", "50ms"]).run().ended(0);
    assert_eq!(outcome(&said.record()), "quiet");
    let said =
        pgone(&scene, ["--ready", "--quiet-file", &name, "--for", "50ms", "-t", "100ms"]).run().ended(124);
    assert_eq!(outcome(&said.record()), "missing");
    let mut tool = pgone(&scene, ["--ready", "--quiet-file", &name, "--for", "50ms"]).start();
    assert_waits(&mut tool);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, "x").expect("written");
    let said = tool.finish().ended(0);
    assert_eq!(outcome(&said.record()), "ready");
    assert_outcomes(&said);
}

#[test]
fn a_folder_is_quiet_when_its_entries_are_and_names_need_not_be_text() {
    let scene = Scene::new();
    let folder = scene.home().join(raw(b"a\n\xff"));
    std::fs::create_dir(&folder).expect("a folder");
    let tool = scene.tool("pgone").arg("--quiet-file").arg(&folder).args(["--for", "1s"]);
    let tool = tool.start();
    wait_until(SOON, "it waits", || tool.id().state() == Some('S'));
    let begun = std::time::Instant::now();
    std::fs::write(folder.join("entry"), "x").expect("written");
    let said = tool.finish().ended(0);
    assert!(begun.elapsed().as_millis() >= 990, "an entry was made: {said:?}");
    assert!(said.record()["file"]["bytes"].is_string(), "{said:?}");
    assert_outcomes(&said);
}
