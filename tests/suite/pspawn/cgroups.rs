//! A cgroup of its own: made where that is permitted, known to the registry, and gone with the service.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{at, entry, runs, shell, spawn, waits, written};
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, arena, skip, wait_until};

/// The folder of the cgroup that a record names.
fn folder(record: &Value) -> PathBuf {
    let path = record["cgroup"].as_str().unwrap_or_else(|| panic!("no cgroup in {record}"));
    mount().expect("cgroup v2").join(path.trim_start_matches('/'))
}

/// Where cgroups of version 2 are, if this test may make some.
fn mount() -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = table.lines().find(|line| line.contains(" - cgroup2 "))?;
    Some(PathBuf::from(line.split(' ').nth(4)?))
}

/// Tells, loudly, when there is nothing to try here.
fn none_here() -> bool {
    let scene = Scene::new();
    let said = spawn(&scene, "probe", &["--cgroup", "on"], vec!["true".into()]).run();
    if said.code != Some(0) {
        skip(&format!("no cgroup can be made here: {}", said.stderr));
    }
    said.code != Some(0)
}

/// The cgroup that a process is in.
fn cgroup_of(id: Id) -> String {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", id.pid)).expect("alive");
    text.lines().find_map(|line| line.strip_prefix("0::")).expect("version 2").to_owned()
}

#[test]
fn a_service_begins_in_a_cgroup_of_its_own_that_its_record_names() {
    if none_here() {
        return;
    }
    let scene = Scene::new();
    let record = spawn(&scene, "an api/é", &["--cgroup", "on"], waits()).run().ended(0).record();
    let id = runs(&record);
    assert_eq!(record["cgroup"], cgroup_of(id));
    let facts = fs::metadata(folder(&record)).expect("a folder");
    assert_eq!(record["cgroup_id"], std::os::unix::fs::MetadataExt::ino(&facts));
    assert_eq!(entry(&scene, "an api/é")["cgroup"], record["cgroup"]);
    // What it starts is in it from its first moment on.
    let file = at(&scene, "told");
    let script = format!("cat /proc/self/cgroup >> '{file}'; echo end >> '{file}'");
    let other = spawn(&scene, "other", &["--cgroup", "on"], shell(&script)).run().ended(0).record();
    assert!(written(Path::new(&file)).contains(other["cgroup"].as_str().expect("a path")));
    assert_ne!(other["cgroup"], record["cgroup"]);
}

#[test]
fn off_leaves_it_where_the_caller_is() {
    let scene = Scene::new();
    let record = spawn(&scene, "api", &["--cgroup", "off"], waits()).run().ended(0).record();
    let own = Id::of(std::process::id()).expect("alive");
    assert_eq!(cgroup_of(runs(&record)), cgroup_of(own));
    assert!(record["cgroup"].is_null() && record["cgroup_id"].is_null());
}

#[test]
fn where_none_can_be_made_auto_does_without_and_on_is_refused() {
    arena::inside(|| {
        let scene = Scene::new();
        let Some(mount) = mount() else { return skip("no cgroup v2") };
        let status = std::process::Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&mount).status();
        if !status.is_ok_and(|status| status.success()) {
            return skip("the hierarchy cannot be made read-only");
        }
        let record = spawn(&scene, "api", &["--cgroup", "auto"], waits()).run().ended(0).quiet().record();
        assert!(runs(&record).alive() && record["cgroup"].is_null());
        let said = spawn(&scene, "web", &["--cgroup", "on"], waits()).run().ended(3);
        assert!(said.one_message().contains("make cgroup"), "{said:?}");
        assert!(entry(&scene, "web").is_null());
    });
}

#[test]
fn what_a_service_manager_keeps_is_divided_only_where_it_was_delegated_or_asked_for() {
    if none_here() {
        return;
    }
    arena::inside(|| {
        let scene = Scene::new();
        arena::small_disk(Path::new("/run"), 64);
        fs::create_dir_all("/run/systemd/system").expect("made");
        let auto = || spawn(&scene, "auto", &["--replace"], waits()).run().ended(0).record();
        assert!(auto()["cgroup"].is_null());
        let asked = spawn(&scene, "on", &["--cgroup", "on"], waits()).run().ended(0).record();
        let (id, folder) = (runs(&asked), folder(&asked));
        // From inside that one it is another matter once it is marked as delegated.
        let inside = |script: &str| {
            let enter = format!("echo $$ > {}/cgroup.procs; {script}", folder.display());
            scene.sh(&enter).run()
        };
        let spawn_there = format!("exec pspawn there --replace -- {}", waits().join(" "));
        assert!(inside(&spawn_there).ended(0).record()["cgroup"].is_null());
        let mark = "import os, sys; os.setxattr(sys.argv[1], 'trusted.delegate', b'1')";
        let parent = folder.parent().expect("a folder").display().to_string();
        let unmark = "import os, sys; os.removexattr(sys.argv[1], 'trusted.delegate')";
        let set = scene.sh(&format!("python3 -c \"{mark}\" {parent}")).run();
        if set.code == Some(0) {
            let record = inside(&spawn_there).ended(0).record();
            scene.sh(&format!("python3 -c \"{unmark}\" {parent}")).run().ended(0);
            assert!(record["cgroup"].is_string(), "{record}");
        }
        id.signal(Signal::SIGKILL);
    });
}

#[test]
fn one_that_was_not_started_leaves_no_cgroup() {
    if none_here() {
        return;
    }
    let scene = Scene::new();
    let bad = scene.home().join("bad");
    fs::write(&bad, "#!/no/such/interpreter\n").expect("written");
    fs::set_permissions(&bad, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let name = format!("leaves{}", std::process::id());
    let command = || vec![bad.display().to_string()];
    spawn(&scene, &name, &["--cgroup", "on"], command()).run().ended(126);
    spawn(&scene, &name, &["--cgroup", "on", "--foreground"], command()).run().ended(126);
    assert_eq!(named(&name), Vec::<PathBuf>::new());
    spawn(&scene, &name, &[], waits()).run().ended(0);
    spawn(&scene, &name, &["--cgroup", "on"], waits()).run().ended(1);
    assert_eq!(named(&name).len(), 1, "that of the first one");
}

/// The folders of cgroups that were made for services of this name, at the place of this process.
fn named(name: &str) -> Vec<PathBuf> {
    let own = cgroup_of(Id::of(std::process::id()).expect("alive"));
    let place = mount().expect("cgroup v2").join(own.trim_start_matches('/'));
    let entries = fs::read_dir(place).expect("a folder").flatten().map(|entry| entry.path());
    let prefix = format!("procherd-service-{name}-");
    entries
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)))
        .collect()
}

#[test]
fn the_cgroup_of_one_that_has_ended_is_removed_by_preap_and_by_the_next_start() {
    if none_here() {
        return;
    }
    for by in ["preap", "pspawn"] {
        let scene = Scene::new();
        let record = spawn(&scene, "api", &[], waits()).run().ended(0).record();
        let (id, folder) = (runs(&record), folder(&record));
        id.signal(Signal::SIGKILL);
        wait_dead(SOON, &[id]);
        // A dead process leaves its cgroup a moment after it counts as dead.
        wait_until(SOON, "nobody is in it", || {
            fs::read_to_string(folder.join("cgroup.events"))
                .map_or(true, |events| events.contains("populated 0"))
        });
        match by {
            "preap" => scene.tool("preap").run().ended(0),
            _ => spawn(&scene, "other", &[], waits()).run().ended(0),
        };
        assert!(!folder.exists(), "{by}");
    }
}

#[test]
fn a_service_that_a_service_starts_stands_beside_it() {
    if none_here() {
        return;
    }
    let scene = Scene::new();
    let path = std::env::join_paths([crate::support::programs(), Path::new("/bin"), Path::new("/usr/bin")]);
    let path = format!("--env=PATH={}", path.expect("a path").display());
    let script = format!("pspawn inner -- {}; exec {}", waits().join(" "), waits().join(" "));
    let outer = spawn(&scene, "outer", &[&path], shell(&script)).run().ended(0).record();
    wait_until(SOON, "the inner one runs", || entry(&scene, "inner")["cgroup"].is_string());
    assert_eq!(folder(&entry(&scene, "inner")).parent(), folder(&outer).parent());
}
