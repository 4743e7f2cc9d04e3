//! What comes in: operands, records, lines that are none.

use super::{end, outcome, pkill, record, text};
use crate::support::Scene;
use crate::support::arena::inside;
use crate::support::scene::raw;

#[test]
// proves: S11
fn a_number_that_nobody_has_is_the_answer_no() {
    inside(|| {
        let scene = Scene::new();
        let said = pkill(&scene, ["4194300"]).run().ended(1);
        assert_eq!(text(&said.record(), "outcome"), "already-gone", "{said:?}");
        said.said("4194300");
    });
}

#[test]
fn one_operand_that_is_missing_does_not_save_the_others() {
    inside(|| {
        let scene = Scene::new();
        let tree = scene.start(["tree", "--depth", "1"]);
        let said = pkill(&scene, ["4194300"]).arg(tree.root().operand()).run().ended(1);
        tree.assert_nobody_left();
        assert_eq!(said.ids().len(), 2, "{said:?}");
    });
}

#[test]
fn a_name_that_nobody_registered_is_the_answer_no() {
    let scene = Scene::new();
    let said = pkill(&scene, ["no-such-service"]).run().ended(1);
    assert!(said.one_message().contains("no-such-service"), "{said:?}");
    assert!(said.stdout.is_empty());
}

#[test]
fn numbers_inodes_and_records_may_be_mixed_in_a_stream() {
    inside(|| {
        let scene = Scene::new();
        let actors: Vec<_> = (0..3).map(|_| scene.start(["idle"])).collect();
        let input = format!(
            "{}\n\n  {}  \n{}",
            actors[0].root().pid,
            actors[1].root().operand(),
            record(&scene, actors[2].root())
        );
        let said = pkill(&scene, []).stdin(input).run().ended(0);
        for actor in &actors {
            actor.assert_nobody_left();
            assert_eq!(outcome(&said, actor.root()), "exited");
        }
        let by = |at: usize| said.about(actors[at].root()).get("identified_by").cloned();
        assert_eq!((by(0), by(2)), (Some("pid".into()), None), "{said:?}");
    });
}

#[test]
fn a_dash_reads_records_too() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["idle"]);
        pkill(&scene, ["-"]).stdin(format!("{}\n", actor.root().pid)).run().ended(0);
        actor.assert_nobody_left();
    });
}

#[test]
fn bad_lines_are_reported_and_the_rest_is_done() {
    inside(|| {
        let scene = Scene::new();
        let (one, other) = (scene.start(["idle"]), scene.start(["idle"]));
        let whole = record(&scene, one.root()).to_string();
        let input = format!(
            "{}\nnonsense\n{{\"pid\":\"{}\"}}\n{}\n-1\n0\n{whole}\n",
            &whole[..whole.len() - 5],
            other.root().pid,
            other.root().pid
        );
        let said = pkill(&scene, []).stdin(input).run().ended(3);
        for line in [1, 2, 3, 5, 6] {
            assert!(said.stderr.contains(&format!("line {line}:")), "line {line}: {said:?}");
        }
        one.assert_nobody_left();
        other.assert_nobody_left();
    });
}

#[test]
fn strict_does_nothing_when_a_line_is_bad() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let pid = innocent.root().pid;
        for input in [format!("{pid}\nnonsense\n"), format!("{pid}\n{{\"pid\":{pid}"), format!("{pid}\n0\n")]
        {
            let said = pkill(&scene, ["--strict", "--force"]).stdin(input).run().ended(3);
            assert!(said.stdout.is_empty(), "{said:?}");
            assert!(said.one_message().contains("line 2"), "{said:?}");
        }
        innocent.assert_untouched();
    });
}

#[test]
fn bare_numbers_are_refused_where_identity_is_required() {
    inside(|| {
        let scene = Scene::new();
        let (mut innocent, target) = (scene.start(["witness"]), scene.start(["idle"]));
        let pid = innocent.root().pid.to_string();
        pkill(&scene, ["--require-identity", "--force", &pid]).run().ended(2);
        pkill(&scene, ["--require-identity", "--force"]).stdin(format!("{pid}\n")).run().ended(2);
        innocent.assert_untouched();
        end(&scene, target.root(), ["--require-identity"]).run().ended(0);
        target.assert_nobody_left();
    });
}

#[test]
fn without_inodes_identity_that_is_required_is_too_weak() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["witness"]);
        let pid = innocent.root().pid.to_string();
        pkill(&scene, ["--require-identity", "--force", &pid]).under(["--no-pidfd"]).run().ended(2);
        innocent.assert_untouched();
    });
}

#[test]
fn options_that_contradict_each_other_are_misuse() {
    let scene = Scene::new();
    for words in [
        &["--force", "--grace", "3s", "4194300"][..],
        &["--only", "--group", "4194300"],
        &["--grace", "soon", "4194300"],
        &["--grace", "-3s", "4194300"],
        &["--signal", "NONE", "4194300"],
        &["--signal", "0", "4194300"],
        &["--signal", "65", "4194300"],
        &["-s", "", "4194300"],
        &["-0", "4194300"],
        &["--timeout", "", "4194300"],
        &["--kill-wait", "x", "4194300"],
    ] {
        let said = pkill(&scene, words.iter().copied()).run().ended(2);
        said.one_message();
        assert!(said.stdout.is_empty(), "{said:?}");
    }
}

#[test]
fn a_negative_number_is_never_a_group() {
    inside(|| {
        let scene = Scene::new();
        let mut innocent = scene.start(["tree", "--depth", "1", "--on-term", "tell"]);
        let group = format!("-{}", innocent.root().pid);
        let said = pkill(&scene, ["--grace", "50ms", "--", &group]).run();
        assert!(matches!(said.code, Some(1 | 2)), "{said:?}");
        // Where options may stand it is a signal, as for kill(1), and names nobody.
        pkill(&scene, ["--grace", "50ms", &group]).run();
        let said = pkill(&scene, ["--grace", "50ms"]).stdin(format!("{group}\n")).run().ended(3);
        assert!(said.stderr.contains("line 1"), "{said:?}");
        innocent.assert_untouched();
    });
}

#[test]
fn the_number_of_a_thread_names_no_process() {
    inside(|| {
        let scene = Scene::new();
        let mut actor = scene.start(["dead-main-thread"]);
        let tasks = std::fs::read_dir(format!("/proc/{}/task", actor.root().pid)).expect("its threads");
        let threads = tasks.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let thread =
            threads.into_iter().find(|name| *name != actor.root().pid.to_string()).expect("a thread");
        pkill(&scene, ["--force", &thread]).run().ended(1);
        assert!(actor.root().alive());
        assert_eq!(actor.events().len(), 0);
    });
}

#[test]
fn hostile_names_are_ended_like_others_and_told_without_loss() {
    inside(|| {
        let scene = Scene::new();
        for comm in [&b"a) R 1 (b"[..], b"\x1b[31m\xff\xfe", b"x\ny\"\\", b") Z 0 0"] {
            let words = ["tree", "--depth", "1", "--comm"].into_iter().map(Into::into);
            let tree = scene.actor(words.chain([raw(comm)])).start();
            let said = end(&scene, tree.root(), []).run().ended(0);
            tree.assert_nobody_left();
            assert_eq!(said.records().len(), 2, "{said:?}");
            assert!(!said.stdout.contains(&0x1b), "{said:?}");
        }
        for words in
            [vec![raw(b"argv"), raw(b"--"), raw(b"\xff\xfe"), raw(b"")], vec![raw(b"argv"), raw(b"--none")]]
        {
            let actor = scene.start(words);
            end(&scene, actor.root(), []).run().ended(0);
            actor.assert_nobody_left();
        }
        let long = scene.start(["argv", "--size", "131071", "--count", "12"]);
        let said = end(&scene, long.root(), []).run().ended(0);
        assert!(said.stdout.len() > 131_071 * 12);
        said.records();
    });
}

#[test]
fn an_empty_stream_is_success_and_says_nothing() {
    let scene = Scene::new();
    let said = pkill(&scene, []).stdin("").run().ended(0).quiet();
    assert!(said.stdout.is_empty());
}

#[test]
fn summaries_and_findings_in_a_stream_name_nobody() {
    let scene = Scene::new();
    let said = pkill(&scene, []).stdin("{\"type\":\"summary\",\"v\":1,\"count\":3}\n").run().ended(0);
    assert!(said.stdout.is_empty(), "{said:?}");
}

#[test]
fn quiet_leaves_the_exit_code() {
    inside(|| {
        let scene = Scene::new();
        let actor = scene.start(["idle"]);
        let said = end(&scene, actor.root(), ["-q"]).run().ended(0).quiet();
        assert!(said.stdout.is_empty(), "{said:?}");
        actor.assert_nobody_left();
        assert!(pkill(&scene, ["-q", "4194300"]).run().ended(1).stdout.is_empty());
    });
}
