//! A world of its own for a test: a private pid namespace, where numbers can be forced and nobody else can be hurt.
//!
//! `arena::inside(|| …)` runs the test's own body again, in a new process of this very program below an init of its
//! own. Its name is the path of the closure, so it must be the whole body of the test function.

use std::any::type_name;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process::pidfd_open;
use super::scene::{Actor, Part};
use super::{actor_program, skip};

/// Names the test that runs inside.
const INSIDE: &str = "PROCHERD_TEST_ARENA";

/// Runs the body of a test as a child of the init of a private pid and mount namespace.
///
/// The test is skipped, loudly, where namespaces are not permitted.
#[track_caller]
pub(crate) fn inside<F: FnOnce()>(body: F) {
    under_init(&[], body);
}

/// Likewise, and the init of the arena looks for dead children only so often, as some do.
#[track_caller]
pub(crate) fn inside_with_late_init<F: FnOnce()>(every: Duration, body: F) {
    under_init(&["--reap-every".to_owned(), every.as_millis().to_string()], body);
}

#[track_caller]
fn under_init<F: FnOnce()>(init: &[String], body: F) {
    let path = type_name::<F>();
    let test =
        path.split("::").skip(1).take_while(|part| *part != "{{closure}}").collect::<Vec<_>>().join("::");
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == *test) {
        return body();
    }
    let Some(mut unshare) = unshare() else {
        return skip("no private pid namespace: needs root or user namespaces");
    };
    unshare.arg(actor_program()).args(["subreaper", "--until-command"]).args(init).arg("--");
    unshare.arg(std::env::current_exe().expect("the test's own path"));
    unshare.args(["--exact", &test, "--nocapture", "--test-threads=1"]).env(INSIDE, &test);
    let output = unshare.stdin(Stdio::null()).output().expect("unshare runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "inside the arena: {}:\n{said}", output.status);
    assert!(said.contains("1 passed"), "'{test}' is not the name of a test:\n{said}");
    if let Some(why) = said.lines().find(|line| line.starts_with("SKIPPED")) {
        skip(why);
    }
}

/// The command that makes a new pid namespace and a /proc for it, none where it is not permitted.
fn unshare() -> Option<Command> {
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let works = |way: &&[&str]| {
        let mut command = Command::new("unshare");
        command.args(*way).args(["--pid", "--fork", "--mount-proc", "true"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let way = ways.iter().find(|way| works(way))?;
    let mut command = Command::new("unshare");
    command.args(*way).args(["--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--"]);
    Some(command)
}

/// Makes the next process that anybody starts in this arena have a number, if it is free.
pub(crate) fn next_number(pid: u32) {
    fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
        .expect("ns_last_pid: is this inside an arena?");
}

/// Starts an actor under a number that somebody else had before. The number must be free.
#[track_caller]
pub(crate) fn start_as(pid: u32, mut part: impl FnMut() -> Part) -> Actor {
    for _ in 0..50 {
        assert!(pidfd_open(pid).is_err(), "{pid} is still in use");
        let part = part();
        next_number(pid);
        let actor = part.start();
        if actor.root().pid == pid {
            return actor;
        }
    }
    panic!("the kernel gave no process the number {pid}");
}

/// A disk of so many kilobytes, mounted on a folder of this arena. It goes with the arena.
#[track_caller]
pub(crate) fn small_disk(on: &Path, kilobytes: u32) {
    fs::create_dir_all(on).expect("a folder");
    let options = format!("size={kilobytes}k,mode=700");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", &options, "procherd-test"]).arg(on).status();
    assert!(mounted.is_ok_and(|status| status.success()), "mount: is this inside an arena?");
}

/// Makes a folder of this arena one that nobody can write to, root neither.
#[track_caller]
pub(crate) fn read_only(folder: &Path) {
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "ro", "procherd-test"]).arg(folder).status();
    assert!(mounted.is_ok_and(|status| status.success()), "mount: is this inside an arena?");
}

/// Fills the disk that holds a folder to the last byte.
pub(crate) fn fill_disk(folder: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(folder.join("filler")).expect("a file");
    for size in [65536, 4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

mod tests {
    use super::*;
    use crate::support::{Scene, process};

    #[test]
    fn a_number_can_be_given_to_another_process() {
        inside(|| {
            let scene = Scene::new();
            let first = scene.start(["idle"]);
            let (pid, id) = (first.root().pid, first.root());
            drop(first);
            let second = start_as(pid, || scene.actor(["idle"]));
            assert_eq!(second.root().pid, pid);
            assert_ne!(second.root().inode, id.inode);
            assert!(!id.alive(), "the first one is dead, whoever has its number");
            assert!(second.root().alive());
        });
    }

    #[test]
    fn an_arena_shows_nobody_else() {
        inside(|| {
            let others = process::numbers();
            assert!(others.len() <= 3, "init, the test and a thread, but not {others:?}");
        });
    }

    #[test]
    fn what_shows_through_a_mount_survives_the_end_of_a_scene() {
        inside(|| {
            let others = Scene::new();
            let file = others.home().join("file");
            fs::write(&file, "theirs").expect("written");
            let scene = Scene::new();
            let place = scene.home().join("place");
            fs::create_dir(&place).expect("made");
            let mounted = Command::new("mount").arg("--bind").args([others.home(), &place]).status();
            assert!(mounted.is_ok_and(|status| status.success()) && place.join("file").exists());
            drop(scene);
            assert!(!place.exists() && file.exists());
        });
    }

    #[test]
    fn a_small_disk_gets_full() {
        inside(|| {
            let scene = Scene::new();
            let disk = scene.home().join("disk");
            small_disk(&disk, 64);
            fill_disk(&disk);
            assert!(fs::write(disk.join("one-more"), "byte").is_err());
        });
    }
}
