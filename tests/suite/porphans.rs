//! `porphans`: it finds all whose owner is gone and nobody else, says why, and says when it could not look.

mod containers;
mod looking;
mod selecting;

use serde_json::Value;

use crate::pkill_tree::{make_dead, now_ms, record, service, words, write_registry_with};
use crate::support::arena::{inside, inside_with_late_init};
use crate::support::form::{EVIDENCE, assert_processes};
use crate::support::tool::Tool;
use crate::support::{Id, SOON, Scene, actor_program, wait_until};

/// The tool, with words on its command line.
fn porphans<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Tool {
    scene.tool("porphans").args(words)
}

/// The evidence of a record: kind and strength.
fn evidence(record: &Value) -> Vec<(String, String)> {
    let word = |piece: &Value, name: &str| piece[name].as_str().unwrap_or_default().to_owned();
    let pieces = record["evidence"].as_array().unwrap_or_else(|| panic!("no evidence in {record}"));
    pieces.iter().map(|piece| (word(piece, "kind"), word(piece, "strength"))).collect()
}

/// Tells whether a record has a piece of evidence.
fn has(record: &Value, kind: &str, strength: &str) -> bool {
    evidence(record).iter().any(|(found, how)| found == kind && how == strength)
}

/// An actor that a shell started and left behind when it ended, adopted by the init of the arena.
#[track_caller]
fn left_behind(scene: &Scene, line: &str, environment: &[(&str, &str)]) -> Id {
    let said = tempfile::NamedTempFile::new_in(scene.home()).expect("a file");
    let path = said.path().to_str().expect("a plain name").to_owned();
    let mut shell = scene.sh("cd \"$HOME\"; \"$@\" > \"$SAID\" 2>/dev/null & exit 0");
    shell = shell.arg("sh").args(words(line)).env("SAID", &path).under(["--setsid"]);
    for (name, value) in environment {
        shell = shell.env(name, value);
    }
    shell.run().ended(0);
    let mut id = None;
    wait_until(SOON, "the actor has been adopted", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let line = text.split_inclusive('\n').next().filter(|line| line.ends_with('\n'));
        id = line.and_then(|line| Id::in_record(&serde_json::from_str(line).expect("a line")));
        id.is_some_and(|id| id.ppid() == Some(1))
    });
    id.expect("it has said who it is")
}

#[test]
// proves: P01 W21
fn a_process_whose_parent_and_session_leader_are_gone_is_reported_with_certainty() {
    inside(|| {
        let scene = Scene::new();
        let mut beside = scene.start(["tree", "--depth", "1", "--width", "2"]);
        let actor = scene.start(["orphan", "2", "--depth", "1", "--width", "2"]);
        let said = porphans(&scene, []).run().ended(0).quiet();
        let mut found = said.ids();
        found.sort_unstable();
        let mut orphans = actor.all("orphan");
        orphans.sort_unstable();
        assert_eq!(found, orphans, "the roots alone: {said:?}");
        for id in orphans {
            let about = said.about(id);
            assert!(has(&about, "session-differs-from-parent", "certain"), "{about}");
            assert!(has(&about, "session-dead", "probable"), "{about}");
        }
        assert_processes(&said, &[EVIDENCE]);
        beside.assert_untouched();
    });
}

#[test]
fn all_lists_every_member_parents_first() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["orphan", "--depth", "2", "--width", "2"]);
        let said = porphans(&scene, ["--all"]).run().ended(0);
        assert_eq!(said.ids().len(), 7, "{said:?}");
        assert_eq!(said.ids()[0], actor.one("orphan"));
        for leaf in actor.all("leaf") {
            assert!(has(&said.about(leaf), "below-orphan", "certain"), "{said:?}");
        }
        assert_processes(&said, &[EVIDENCE]);
    });
}

#[test]
fn an_orphan_below_a_subreaper_is_found() {
    inside(|| {
        let scene = Scene::new();
        // A subreaper that leads its session might have forked first and called setsid later: probable only.
        let leads = scene.start(words("subreaper -- ACTOR orphan"));
        let orphan = leads.one("orphan");
        assert_eq!(porphans(&scene, []).run().ended(0).ids(), []);
        let said = porphans(&scene, ["--pattern", "actor orphan"]).run().ended(0);
        assert_eq!(said.ids(), [orphan]);
        assert!(has(&said.about(orphan), "session-differs-from-parent", "probable"), "{said:?}");
        drop(leads);
        // One that leads none cannot have: certain.
        let follows = scene.start(words("subreaper --same-session -- ACTOR orphan"));
        let said = porphans(&scene, []).run().ended(0);
        assert_eq!(said.ids(), [follows.one("orphan")], "{said:?}");
    });
}

#[test]
fn a_daemon_by_design_is_no_orphan() {
    inside(|| {
        let scene = Scene::new();
        left_behind(&scene, "ACTOR idle --outlive 60", &[]);
        for words in [&[][..], &["--pattern", "idle"], &["--all"]] {
            let said = porphans(&scene, words.iter().copied()).run().ended(0);
            assert!(said.stdout.is_empty(), "it leads its session: {said:?}");
        }
    });
}

#[test]
fn a_job_that_outlived_its_shell_is_reported_as_the_evidence_says() {
    inside(|| {
        let scene = Scene::new();
        let job = left_behind(&scene, "nohup ACTOR idle --outlive 60 --same-session", &[]);
        let said = porphans(&scene, []).run().ended(0);
        assert!(has(&said.about(job), "session-differs-from-parent", "certain"), "{said:?}");
        assert!(has(&said.about(job), "session-dead", "probable"), "{said:?}");
    });
}

#[test]
fn a_process_with_a_living_parent_is_no_orphan_however_it_is_narrowed() {
    inside(|| {
        let scene = Scene::new();
        for line in ["tree --depth 2 --width 2", "setsid-child --depth 1", "zombie 2", "ignore-term"] {
            let _actor = scene.start(line.split(' '));
            let said = porphans(&scene, ["--pattern", "actor"]).run().ended(0);
            assert!(said.stdout.is_empty(), "{line}: {said:?}");
        }
    });
}

#[test]
fn a_dead_orphan_that_nobody_reaped_is_no_finding() {
    inside_with_late_init(std::time::Duration::from_secs(3), || {
        let scene = Scene::new();
        let actor = scene.start(["orphan"]);
        let orphan = actor.one("orphan");
        assert_eq!(porphans(&scene, []).run().ended(0).ids(), [orphan]);
        orphan.signal(nix::sys::signal::Signal::SIGKILL);
        wait_until(SOON, "it is a zombie", || orphan.state() == Some('Z'));
        assert!(porphans(&scene, ["--pattern", "actor"]).run().ended(0).stdout.is_empty());
    });
}

#[test]
fn it_never_reports_itself_its_ancestors_or_its_pipeline() {
    inside(|| {
        let scene = Scene::new();
        // The inner shell is an orphan when it looks, and so is its pipeline.
        let script = "cd \"$HOME\"; sh -c 'ppid=0
            while [ \"$ppid\" != 1 ]; do read -r a b c ppid rest < /proc/$$/stat; done
            porphans --all-users --all | cat > found.ndjson
            porphans --pattern . >> found.ndjson
            echo done > done' >/dev/null 2>&1 & exit 0";
        scene.sh(script).under(["--setsid"]).run().ended(0);
        wait_until(SOON, "it has looked", || scene.home().join("done").exists());
        let found = std::fs::read_to_string(scene.home().join("found.ndjson")).expect("what it found");
        assert_eq!(found, "");
    });
}

#[test]
fn kernel_threads_and_managers_are_never_reported() {
    inside(|| {
        let scene = Scene::new();
        left_behind(&scene, "ACTOR idle --outlive 60 --same-session --comm systemd", &[]);
        left_behind(&scene, "ACTOR idle --outlive 60 --same-session --comm conmon", &[]);
        let said = porphans(&scene, ["--pattern", "."]).run().ended(0);
        assert!(said.stdout.is_empty(), "{said:?}");
    });
    let scene = Scene::new();
    let threads = porphans(&scene, ["--all-users", "--all", "--pattern", "kthreadd|kworker"]).run();
    assert!(threads.records().iter().all(|record| record.get("kernel_thread").is_none()), "{threads:?}");
}

#[test]
fn an_owner_that_is_dead_by_the_registry_is_certain_evidence() {
    inside(|| {
        let scene = Scene::new();
        let (owner, served) = (scene.start(["idle"]), scene.start(["idle"]));
        let mut entry = service(&record(&scene, served.root()), now_ms());
        entry["owner"] = record(&scene, owner.root());
        write_registry_with(&scene.registry(), &[("api", entry)], &[]);
        assert!(porphans(&scene, []).run().ended(0).stdout.is_empty(), "its owner lives");
        make_dead(&owner);
        let said = porphans(&scene, []).run().ended(0);
        let about = said.about(served.root());
        assert!(has(&about, "owner-dead", "certain"), "{about}");
        assert_eq!(about["service"], "api", "{about}");
        assert_eq!(porphans(&scene, ["--service", "api"]).run().ended(0).ids(), [served.root()]);
        assert!(porphans(&scene, ["--service", "other"]).run().ended(0).stdout.is_empty());
    });
}

#[test]
fn the_mark_of_a_session_that_is_over_is_evidence() {
    inside(|| {
        let scene = Scene::new();
        let owner = scene.start(["idle"]);
        let marked = left_behind(&scene, "ACTOR idle --outlive 60", &[("PROCHERD_SESSION", "claude-7-7")]);
        let session = service(&record(&scene, owner.root()), now_ms());
        write_registry_with(&scene.registry(), &[], &[("claude-7-7", session)]);
        let looked = || porphans(&scene, ["--env", "PROCHERD_SESSION=claude-7-7"]).run().ended(0);
        assert!(looked().stdout.is_empty(), "the session lives");
        make_dead(&owner);
        let said = looked();
        assert!(has(&said.about(marked), "cookie-of-dead-session", "probable"), "{said:?}");
        assert!(porphans(&scene, []).run().ended(0).stdout.is_empty(), "probable alone is not reported");
    });
}

#[test]
fn what_anothers_living_session_left_running_is_its_own_affair() {
    inside(|| {
        let scene = Scene::new();
        let owner = scene.start(["idle"]);
        let line = "ACTOR idle --outlive 60 --same-session";
        let theirs = left_behind(&scene, line, &[("PROCHERD_SESSION", "claude-7-7")]);
        let nobodys = left_behind(&scene, line, &[("PROCHERD_SESSION", "claude-8-8")]);
        let session = service(&record(&scene, owner.root()), now_ms());
        write_registry_with(&scene.registry(), &[], &[("claude-7-7", session)]);
        for words in [&[][..], &["--pattern", "idle"]] {
            let said = porphans(&scene, words.iter().copied()).run().ended(0);
            assert_eq!(said.ids(), [nobodys], "{said:?}");
        }
        let said = porphans(&scene, []).env("PROCHERD_SESSION", "claude-7-7").run().ended(0);
        assert_eq!(said.ids(), [theirs, nobodys], "to that session itself it is an orphan: {said:?}");
        make_dead(&owner);
        let said = porphans(&scene, []).run().ended(0);
        assert_eq!(said.ids(), [theirs, nobodys], "{said:?}");
    });
}

#[test]
fn a_registered_service_that_lives_is_no_orphan_whatever_its_parent() {
    inside(|| {
        let scene = Scene::new();
        let job = left_behind(&scene, "ACTOR idle --outlive 60 --same-session", &[]);
        assert_eq!(porphans(&scene, []).run().ended(0).ids(), [job]);
        write_registry_with(&scene.registry(), &[("api", service(&record(&scene, job), now_ms()))], &[]);
        for words in [&[][..], &["--pattern", "idle"], &["--all"]] {
            let said = porphans(&scene, words.iter().copied()).run().ended(0);
            assert!(said.stdout.is_empty(), "{said:?}");
        }
    });
}

#[test]
// proves: P11 P19 M28 P24
fn what_runs_without_being_registered_is_found_on_request() {
    inside(|| {
        let scene = Scene::new();
        let (known, unknown) = (scene.start(["idle"]), scene.start(["idle", "status-line"]));
        write_registry_with(
            &scene.registry(),
            &[("api", service(&record(&scene, known.root()), now_ms()))],
            &[],
        );
        let said = porphans(&scene, ["--untracked", "--pattern", "actor idle"]).run().ended(0);
        assert_eq!(said.ids(), [unknown.root()], "{said:?}");
        assert!(has(&said.about(unknown.root()), "unregistered", "probable"));
        let said = porphans(&scene, ["--untracked"]).run().ended(2);
        assert!(said.one_message().contains("--pattern"), "{said:?}");
    });
}

#[test]
fn a_removed_terminal_is_evidence() {
    inside(|| {
        use crate::support::terminal::Terminal;
        let scene = Scene::new();
        let script = "cd \"$HOME\"; trap '' HUP; \"$ACTOR\" idle --outlive 60 --on-term ignore <&1 >/dev/null 2>&1 & exit 0";
        let terminal = Terminal::new(80, 24).output();
        scene.sh(script).env("ACTOR", actor_program()).on(terminal).run().ended(0);
        let mut found = Vec::new();
        wait_until(SOON, "it has been adopted", || {
            found = scene.carriers().into_iter().filter(|id| id.ppid() == Some(1)).collect();
            found.len() == 1
        });
        let looked = || porphans(&scene, ["--pattern", "actor idle"]).run().ended(0);
        wait_until(SOON, "its terminal is gone", || !looked().stdout.is_empty());
        assert!(has(&looked().about(found[0]), "tty-gone", "probable"));
    });
}
