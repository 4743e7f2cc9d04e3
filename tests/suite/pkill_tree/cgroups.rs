//! The cgroup of a service leads to what left everything else behind, and ends it as a whole.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{outcome, pkill, via};
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, skip, wait_until};

/// Leaves the cgroup as the only evidence but descent.
const ALONE: [&str; 3] = ["--no-session", "--no-group", "--no-cookie"];

/// A service with a cgroup of its own, and all that is in it.
struct Enclosed {
    record: Value,
    folder: PathBuf,
    root: Id,
}

impl Enclosed {
    /// Starts a script of the shell as a service; none, loudly, where no cgroup can be made. `count` processes are to be
    /// in it in the end.
    fn start(scene: &Scene, script: &str, count: usize) -> Option<Self> {
        let said = scene.tool("pspawn").args(["api", "--cgroup", "on", "--", "sh", "-c", script]).run();
        if said.code != Some(0) {
            skip(&format!("no cgroup can be made here: {}", said.stderr));
            return None;
        }
        let record = said.record();
        let table = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let line = table.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup v2");
        let mount = PathBuf::from(line.split(' ').nth(4).expect("a path"));
        let folder = mount.join(record["cgroup"].as_str().expect("a path").trim_start_matches('/'));
        let enclosed = Self { root: Id::in_record(&record).expect("an identity"), record, folder };
        wait_until(SOON, "all are in the cgroup", || enclosed.inside().len() == count);
        Some(enclosed)
    }

    /// All that is in it.
    fn inside(&self) -> Vec<Id> {
        let text = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| Id::of(line.parse().ok()?)).collect()
    }

    /// All but the first.
    fn others(&self) -> Vec<Id> {
        self.inside().into_iter().filter(|id| *id != self.root).collect()
    }

    /// Ends what a test has left on purpose.
    fn clear(&self) {
        let left = self.inside();
        for id in &left {
            id.signal(Signal::SIGKILL);
        }
        wait_dead(SOON, &left);
    }
}

/// A process that has left its parent, its session, its group and its environment behind.
fn got_away(command: &str) -> String {
    format!("(exec env -i PATH=\"$PATH\" setsid sh -c '{command} & exit' &)")
}

/// A service of which one process has got away.
fn one_away(scene: &Scene) -> Option<Enclosed> {
    let service = Enclosed::start(scene, &format!("{}; exec sleep 100", got_away("setsid sleep 101")), 2)?;
    wait_until(SOON, "it has got away", || {
        let is_it = |id: &Id| {
            fs::read(format!("/proc/{}/cmdline", id.pid)).is_ok_and(|line| line == b"sleep\x00101\x00")
        };
        service.others().iter().filter(|id| is_it(id)).count() == 1 && service.inside().len() == 2
    });
    Some(service)
}

#[test]
fn a_member_that_cleared_its_environment_double_forked_and_called_setsid_is_found_by_the_cgroup_alone() {
    for words in [&[][..], &ALONE] {
        let scene = Scene::new();
        let Some(service) = one_away(&scene) else { return };
        let away = service.others()[0];
        let environ = fs::read(format!("/proc/{}/environ", away.pid)).expect("alive");
        assert!(!environ.windows(8).any(|window| window == b"PROCHERD"));
        let plan = pkill(&scene, ["--dry-run", "api"]).args(words).run().ended(0);
        assert_eq!(via(&plan, away), "cgroup");
        let said = pkill(&scene, ["api"]).args(words).run().ended(0);
        assert_eq!((via(&said, away), outcome(&said, away)), ("cgroup".into(), "exited".into()), "{said:?}");
        wait_dead(SOON, &[away, service.root]);
        assert!(!service.folder.exists(), "the cgroup has gone with the service");
    }
}

#[test]
fn a_service_that_is_named_by_its_number_has_its_cgroup_too() {
    let scene = Scene::new();
    let Some(service) = one_away(&scene) else { return };
    let away = service.others();
    pkill(&scene, [service.root.operand().as_str()]).run().ended(0);
    wait_dead(SOON, &away);
}

#[test]
fn a_dead_root_still_leads_to_what_is_in_its_cgroup() {
    let scene = Scene::new();
    let Some(service) = one_away(&scene) else { return };
    let away = service.others();
    service.root.signal(Signal::SIGKILL);
    wait_dead(SOON, &[service.root]);
    pkill(&scene, []).records([&service.record]).run().ended(0);
    wait_dead(SOON, &away);
    assert!(!service.folder.exists());
}

#[test]
fn another_cgroup_of_that_path_or_one_that_we_have_not_made_leads_nowhere() {
    let scene = Scene::new();
    let Some(service) = one_away(&scene) else { return };
    let away = service.others()[0];
    let mut stale = service.record.clone();
    stale["cgroup_id"] = json!(service.record["cgroup_id"].as_u64().expect("an id") + 1);
    let mut outer = service.record.clone();
    outer["cgroup"] = json!("/");
    outer["cgroup_id"] = json!(1);
    for record in [stale, outer] {
        let plan = pkill(&scene, ["--dry-run"]).records([&record]).run().ended(0);
        assert_eq!(plan.ids(), [service.root], "{plan:?}");
    }
    let plan = pkill(&scene, ["--dry-run", "--no-cgroup", "api"]).run().ended(0);
    assert_eq!(plan.ids(), [service.root]);
    pkill(&scene, ["--no-cgroup", "api"]).run().ended(0);
    assert!(away.alive() && service.folder.exists(), "a cgroup that somebody lives in stays");
    service.clear();
}

#[test]
fn what_ignores_the_request_is_killed_with_its_cgroup_and_told_so() {
    let scene = Scene::new();
    let script = format!(
        "trap '' TERM; {}; while :; do sleep 100; done",
        got_away("trap \"\" TERM; setsid sh -c \"while :; do sleep 100; done\"")
    );
    let Some(service) = Enclosed::start(&scene, &script, 4) else { return };
    // Whoever helped one of them to get away is gone: both loops sleep.
    wait_until(SOON, "both loops sleep", || {
        let sleeps =
            |id: &Id| fs::read(format!("/proc/{}/comm", id.pid)).is_ok_and(|name| name == b"sleep\n");
        service.inside().iter().filter(|id| sleeps(id)).count() == 2 && service.inside().len() == 4
    });
    let all = service.inside();
    let said = pkill(&scene, ["--grace", "100ms", "api"]).run().ended(0);
    wait_dead(SOON, &all);
    for id in all {
        // The sleeps end when they are asked; the loops do not, and start others.
        let word = outcome(&said, id);
        assert!(word == "killed" || word == "exited", "{word}");
    }
    assert_eq!(outcome(&said, service.root), "killed");
    assert!(!service.folder.exists());
}

#[test]
fn a_kept_process_in_the_cgroup_lives_on_and_is_not_left_standing() {
    let scene = Scene::new();
    let script = format!(
        "trap '' TERM; {}; while :; do sleep 100; done",
        got_away("PROCHERD_KEEP=1 setsid sleep 102")
    );
    let Some(service) = Enclosed::start(&scene, &script, 3) else { return };
    let is_kept = |id: &Id| {
        fs::read(format!("/proc/{}/cmdline", id.pid)).is_ok_and(|line| line.starts_with(b"sleep\x00102"))
    };
    wait_until(SOON, "the kept one runs", || service.inside().iter().any(is_kept));
    let kept = service.inside().into_iter().find(is_kept).expect("seen");
    let said = pkill(&scene, ["--grace", "50ms", "api"]).run().ended(0);
    assert_eq!(outcome(&said, kept), "protected");
    assert_eq!(outcome(&said, service.root), "killed");
    assert!(kept.alive());
    let events = fs::read_to_string(service.folder.join("cgroup.events")).expect("it stays");
    assert!(events.contains("populated 1") && events.contains("frozen 0"), "{events}");
    assert_eq!(kept.state(), Some('S'));
    service.clear();
}

#[test]
fn a_storm_in_a_cgroup_ends_whatever_each_of_it_does() {
    for words in [
        "fork-storm --lanes 8 --rate 500 --life 100 --setsid --on-term ignore --budget 20000",
        "hopper --rate 500 --setsid --budget 20000",
    ] {
        let scene = Scene::new();
        let actor = crate::support::actor_program();
        let script = format!("exec env -i {} {words} --outlive 60", actor.display());
        let Some(service) = Enclosed::start(&scene, "exec sleep 100", 1) else { return };
        // It enters by itself, so that no descent leads to it.
        let enter = format!("echo $$ > {}/cgroup.procs; {script}", service.folder.display());
        let storm = scene.sh(&format!("setsid sh -c '{enter}' </dev/null >/dev/null 2>&1 & exit 0")).run();
        storm.ended(0);
        wait_until(SOON, "the storm blows", || service.inside().len() > 1);
        pkill(&scene, ["--grace", "100ms", "api"]).run().ended(0);
        assert_eq!(service.inside(), [], "{words}");
        assert!(!service.folder.exists(), "{words}");
    }
}

#[test]
fn replacing_a_service_ends_what_got_away() {
    let scene = Scene::new();
    let Some(service) = one_away(&scene) else { return };
    let away = service.others();
    scene.tool("pspawn").args(["api", "--replace", "--", "sleep", "103"]).run().ended(0);
    wait_dead(SOON, &away);
    assert!(!service.folder.exists());
}
