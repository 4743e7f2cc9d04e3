//! Real parents: one under node that never reaps, and one under Python that does so every ten seconds.

use std::time::Duration;

use super::parent_of;
use crate::support::arena::inside;
use crate::support::running::Running;
use crate::support::tool::pipe;
use crate::support::wait::wait_dead;
use crate::support::{Scene, skip};

/// Starts a program of an interpreter that says when it is as it is meant to be; none where there is no interpreter.
fn program(scene: &Scene, interpreter: &str, text: &str) -> Option<Running> {
    let mut running = scene.sh(&format!("exec {interpreter} \"$0\"")).arg(text).stdin_open().start();
    running.record().is_some().then_some(running)
}

// proves: W20 W36
#[test]
fn a_node_parent_that_never_reaps_is_found_and_cleared_away() {
    inside(|| {
        let scene = Scene::new();
        // Node reaps in its event loop. This one waits elsewhere, as code does that never yields.
        let text = "const child = require('child_process').spawn('true');\n\
                    require('fs').writeSync(1, '{}\\n');\n\
                    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";
        let Some(node) = program(&scene, "node -e", text) else { return skip("there is no node") };
        let parent = node.id();
        let look = |words: &[&str]| scene.tool("pzombies").args(["-p", "Atomics"]).args(words);
        let said = look(&["--twice", "200ms"]).run().ended(0).quiet();
        let record = said.record();
        assert_eq!((parent_of(&record), &record["comm"]), (Some(parent), &"true".into()), "{record}");
        // It has a handler, which its event loop would run: nobody can know that this never comes.
        assert_eq!(record["advice"], "nudge", "{record}");
        let ended = pipe([look(&["--parents"]), scene.tool("pkill-tree")]);
        assert!(ended.iter().all(|output| output.code == Some(0)), "{ended:?}");
        wait_dead(crate::support::SOON, &[parent]);
        drop(node.finish());
        assert!(scene.tool("pzombies").args(["--twice", "50ms"]).run().ended(0).quiet().stdout.is_empty());
    });
}

#[test]
fn a_python_parent_that_reaps_every_ten_seconds_is_spared() {
    inside(|| {
        let scene = Scene::new();
        // It has reaped once when it says that it is ready, and has a dead child from then on.
        let text = "import os, time\n\
                    def child():\n    if os.fork() == 0: os._exit(0)\n\
                    child(); os.wait(); child(); print('{}', flush=True)\n\
                    while True:\n    time.sleep(10); os.waitpid(-1, os.WNOHANG); child()";
        let Some(late) = program(&scene, "python3 -c", text) else { return skip("there is no python3") };
        let never = scene.start(["zombie"]);
        // Nothing else than what the options say by themselves.
        let said = scene.tool("pzombies").within(Duration::from_mins(1)).run().ended(0).quiet();
        assert_eq!(said.ids(), [never.one("zombie")], "{said:?}");
        assert!(late.id().alive());
        let said = scene.tool("pzombies").args(["--patience", "0s", "--parents"]).run().ended(0);
        assert!(said.ids().contains(&late.id()), "without patience it is not: {said:?}");
    });
}
