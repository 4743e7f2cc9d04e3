//! The real thing: a server under `uvicorn --reload`, whose reloader has died.

use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::{listener, pports};
use crate::support::arena::inside;
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, skip, wait_until};

/// Where `make stack` has installed what comes from PyPI; none where it has not.
fn installed() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(Some(home?.join(".cache")));
    let own = std::env::var_os("PROCHERD_STACK_CACHE").map(PathBuf::from);
    let folders = std::fs::read_dir(own.or(Some(cache?.join("procherd-stack")))?).ok()?;
    let mut found = folders.flatten().map(|entry| entry.path());
    found.find(|path| path.join("uvicorn").is_dir())
}

// proves: W48 W31
#[test]
fn the_child_that_holds_the_port_after_its_reloader_has_died_is_found_and_cleared() {
    inside(|| {
        let Some(packages) = installed() else {
            return skip("uvicorn is not installed (make stack installs it)");
        };
        let scene = Scene::new();
        let text = "async def app(scope, receive, send):\n    pass\n";
        std::fs::write(scene.home().join("served.py"), text).expect("written");
        let (free, port) = listener(&scene, &[]);
        drop(free);
        let line = format!("exec python3 -m uvicorn served:app --reload --lifespan off --port {port}");
        let mut server = scene.sh(&line).cwd(scene.home()).env("PYTHONPATH", &packages).start();
        let holders = || pports(&scene, [port.as_str()]).run().ids();
        wait_until(SOON, "reloader and child hold the port", || holders().len() >= 2 || !server.runs());
        assert!(server.runs(), "{:?}", server.finish());
        let reloader = server.id();
        assert!(holders().contains(&reloader));
        reloader.signal(Signal::SIGKILL);
        wait_dead(SOON, &[reloader]);
        let left: Vec<Id> = holders();
        assert!(!left.is_empty() && !left.contains(&reloader), "its child listens on: {left:?}");
        let said = pports(&scene, [port.as_str()]).run().ended(0);
        let record = said.about(left[0]);
        assert!(record["cmdline"].to_string().contains("multiprocessing"), "{record}");
        let cleared = scene.sh(&format!("pports {port} | pkill-tree --retries 3")).run();
        assert_eq!(cleared.code, Some(0), "{cleared:?}");
        pports(&scene, ["--check", &port]).run().ended(1);
        wait_dead(SOON, &left);
        drop(server.finish());
    });
}
