//! Each selector chooses what it says, and a search that is too wide is refused.

use super::{evidence, has, left_behind, porphans};
use crate::support::arena::inside;
use crate::support::scene::raw;
use crate::support::tool::pipe;
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, actor_program, skip};

/// What a search finds.
#[track_caller]
fn found(scene: &Scene, words: &[&str]) -> Vec<Id> {
    porphans(scene, words.iter().copied()).run().ended(0).ids()
}

#[test]
// proves: W26 R12 S14
fn patterns_are_alternatives_over_the_whole_command_line() {
    inside(|| {
        let scene = Scene::new();
        let one = left_behind(&scene, "ACTOR idle --outlive 60 --same-session npm run dev", &[]);
        let other = left_behind(&scene, "ACTOR idle --outlive 60 --same-session x/run_ws_shim.py", &[]);
        assert_eq!(found(&scene, &["-p", "npm run dev"]), [one]);
        assert_eq!(found(&scene, &["--pattern", "actor.*shim\\.py$"]), [other]);
        assert_eq!(found(&scene, &["-p", "npm.*dev", "-p", "shim"]), [one, other]);
        assert_eq!(found(&scene, &["-p", "NPM"]), []);
        assert_eq!(found(&scene, &["-p", "(?i)NPM"]), [one]);
    });
}

#[test]
// proves: S17
fn the_eleven_patterns_of_the_node_stack_are_there_before_anything_is_installed() {
    inside(|| {
        let scene = Scene::new();
        let stack = [
            "npm run dev",
            "npm run start",
            "npm start",
            "npm run test",
            "npm test",
            "tsx watch",
            "tsx dist/run-agent",
            "vitest",
            "turbo run test",
            "pnpm run test",
            "esbuild",
        ];
        let mut all: Vec<Id> = stack
            .iter()
            .map(|words| left_behind(&scene, &format!("ACTOR idle --outlive 60 --same-session {words}"), &[]))
            .collect();
        left_behind(&scene, "ACTOR idle --outlive 60 --same-session npm install", &[]);
        let mut ids = found(&scene, &["--patterns-from", "node-dev"]);
        ids.sort_unstable();
        all.sort_unstable();
        assert_eq!(ids, all);
    });
}

#[test]
// proves: W32
fn all_of_one_runtime_is_found_when_that_is_what_was_asked_for_and_nothing_else() {
    inside(|| {
        let scene = Scene::new();
        let text = "import sys; print('{}', flush=True); sys.stdin.read()";
        let start = || {
            let mut running = scene.sh("exec python3 -c \"$0\"").arg(text).stdin_open().start();
            running.record().map(|_| running)
        };
        let (Some(one), Some(two), Some(service)) = (start(), start(), start()) else {
            return skip("there is no python3");
        };
        scene.tool("ptrack").args(["save", "api", &service.id().operand()]).run().ended(0);
        let mut named = scene.actor(["idle"]).called("python3 server.py").start();
        // The file is called python3.11 or the like.
        let search = ["--untracked", "--pattern", "python", "--exe", "python"];
        let (mut ids, mut expected) = (found(&scene, &search), vec![one.id(), two.id()]);
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected, "what is registered is not meant");
        porphans(&scene, ["--untracked", "--exe", "python"]).run().ended(2).one_message();
        let ended = pipe([porphans(&scene, search), scene.tool("pkill-tree")]);
        assert_eq!(ended[1].code, Some(0), "{ended:?}");
        wait_dead(SOON, &expected);
        assert!(service.id().alive());
        named.assert_untouched();
        drop((one.finish(), two.finish()));
    });
}

#[test]
fn patterns_can_stand_in_a_file() {
    inside(|| {
        let scene = Scene::new();
        let one = left_behind(&scene, "ACTOR idle --outlive 60 --same-session alpha", &[]);
        left_behind(&scene, "ACTOR idle --outlive 60 --same-session beta", &[]);
        let file = scene.home().join("patterns");
        std::fs::write(&file, "# what we start\n\n  alph.\ngamma\n").expect("written");
        assert_eq!(found(&scene, &["--patterns-from", file.to_str().expect("a name")]), [one]);
        for text in ["", "# nothing\n", "("] {
            std::fs::write(&file, text).expect("written");
            porphans(&scene, ["--patterns-from", file.to_str().expect("a name")])
                .run()
                .ended(2)
                .one_message();
        }
        porphans(&scene, ["--patterns-from", "no-such-set"]).run().ended(2).one_message();
        porphans(&scene, ["--patterns-from", "./no-such-file"]).run().ended(3).one_message();
    });
}

#[test]
fn patterns_see_bytes_as_they_are() {
    inside(|| {
        let scene = Scene::new();
        let id = left_behind(&scene, "ACTOR idle --outlive 60 --same-session --comm \u{fffd})", &[]);
        let said = scene.tool("porphans").args([raw(b"-p"), raw(b"\xc3\xa9")]).run().ended(0);
        assert!(said.stdout.is_empty());
        let said = porphans(&scene, ["-p", "\\xef\\xbf\\xbd\\)"]).run().ended(0);
        assert_eq!(said.ids(), [id], "{said:?}");
    });
}

#[test]
fn the_file_that_runs_narrows() {
    inside(|| {
        let scene = Scene::new();
        let id = left_behind(&scene, "ACTOR idle --outlive 60 --same-session --title node", &[]);
        let path = actor_program().canonicalize().expect("a path");
        let real = std::fs::read_link(format!("/proc/{}/exe", id.pid)).expect("a link");
        assert_eq!(path, real);
        let name = path.file_name().expect("a name").to_str().expect("plain");
        assert_eq!(found(&scene, &["--exe", path.to_str().expect("plain")]), [id]);
        assert_eq!(found(&scene, &["--exe", name]), [id]);
        assert_eq!(found(&scene, &["--exe", "node"]), [], "a title is no file");
        assert_eq!(found(&scene, &["--exe", name, "-p", "no-such-thing"]), [], "kinds narrow each other");
        porphans(&scene, ["--exe", ""]).run().ended(2);
    });
}

#[test]
fn the_working_folder_and_the_project_narrow() {
    inside(|| {
        let scene = Scene::new();
        let id = left_behind(&scene, "ACTOR idle --outlive 60 --same-session", &[]);
        let home = scene.home().to_str().expect("plain");
        let above = scene.home().parent().expect("a folder").to_str().expect("plain").to_owned();
        let namesake = format!("{home}-2");
        for option in ["--cwd", "--project"] {
            assert_eq!(found(&scene, &[option, home]), [id]);
            assert_eq!(found(&scene, &[option, &above]), [id], "what is below it counts");
            assert_eq!(found(&scene, &[option, "/usr"]), []);
        }
        assert_eq!(found(&scene, &["--cwd", &namesake]), [], "it need not exist, and a namesake is another");
        let said = porphans(&scene, ["--project", &namesake]).run().ended(2);
        assert!(said.one_message().contains("no such folder"), "{said:?}");
        for option in ["--cwd", "--project"] {
            porphans(&scene, [option, ""]).run().ended(2);
        }
    });
}

#[test]
fn the_environment_narrows() {
    inside(|| {
        let scene = Scene::new();
        let id = left_behind(&scene, "ACTOR idle --outlive 60 --same-session", &[("CODING_TASK", "a=b")]);
        assert_eq!(found(&scene, &["--env", "CODING_TASK"]), [id]);
        assert_eq!(found(&scene, &["--env", "CODING_TASK=a=b"]), [id]);
        assert_eq!(found(&scene, &["--env", "CODING_TASK=a"]), []);
        assert_eq!(found(&scene, &["--env", "CODING_TAS"]), []);
        assert_eq!(found(&scene, &["--env", "CODING_TASK="]), []);
        porphans(&scene, ["--env", "=x"]).run().ended(2);
    });
}

#[test]
fn only_ones_own_processes_are_looked_at_unless_it_is_said() {
    inside(|| {
        let scene = Scene::new();
        let mine = left_behind(&scene, "ACTOR idle --outlive 60 --same-session", &[]);
        let theirs =
            left_behind(&scene, "ACTOR under --uid 1234 -- ACTOR idle --outlive 60 --same-session", &[]);
        assert_eq!(found(&scene, &[]), [mine]);
        assert_eq!(found(&scene, &["--user", "1234"]), [theirs]);
        assert_eq!(found(&scene, &["--user", "root"]), [mine]);
        assert_eq!(found(&scene, &["--all-users"]), [mine, theirs]);
        porphans(&scene, ["--user", "no-such-user"]).run().ended(2).one_message();
        porphans(&scene, ["--user", "root", "--all-users"]).run().ended(2).one_message();
    });
}

#[test]
fn the_young_can_be_passed_over() {
    inside(|| {
        let scene = Scene::new();
        let id = left_behind(&scene, "ACTOR idle --outlive 60 --same-session", &[]);
        assert_eq!(found(&scene, &["--min-age", "1h"]), []);
        assert_eq!(found(&scene, &["--min-age", "0s"]), [id]);
    });
}

#[test]
fn where_the_root_does_not_match_what_matches_below_it_is_reported() {
    inside(|| {
        let scene = Scene::new();
        let line = "ACTOR subreaper --outlive 60 --same-session -- ACTOR idle --outlive 60 --same-session";
        let root = left_behind(&scene, line, &[]);
        assert_eq!(found(&scene, &[]), [root]);
        let said = porphans(&scene, ["-p", "^[^ ]*actor idle"]).run().ended(0);
        let about = said.record();
        assert_eq!(about["ppid"], root.pid, "{said:?}");
        assert!(has(&about, "below-orphan", "certain"), "{:?}", evidence(&about));
    });
}

#[test]
fn patterns_that_cannot_be_are_misuse_on_one_line() {
    let scene = Scene::new();
    for pattern in ["", "(", "[z-a]", "a{99999999}", "*"] {
        let said = porphans(&scene, ["-p", pattern]).run().ended(2);
        said.one_message();
        assert!(said.stdout.is_empty());
    }
    for words in [["--expect", "-1"], ["--expect", "3..1"], ["--min-age", "soon"], ["--expect", "x"]] {
        porphans(&scene, words).run().ended(2).one_message();
    }
}
