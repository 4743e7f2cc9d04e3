//! What is known again from the marks of living processes when the registry is gone.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{document, ptrack};
use crate::support::arena::inside;
use crate::support::process::Id;
use crate::support::{SOON, Scene, actor_program, wait_until};

fn session<'a>(records: &'a [Value], id: &str) -> Option<&'a Value> {
    records.iter().find(|record| record["type"] == "session" && record["session"] == id)
}

#[test]
// proves: S36 M33
fn a_session_is_known_again_by_the_marks_of_its_members() {
    // What is found is that of the whole machine: other tests have sessions, too.
    inside(|| {
        let scene = Scene::new();
        let (owner, id) = (scene.start(["idle"]), "claude 7: a-b");
        let words = ["session", "start", id, "--pid", &owner.root().operand(), "--project", "/"];
        ptrack(&scene, &words).ended(0);
        let idle = [actor_program().display().to_string(), "idle".into(), "--outlive".into(), "60".into()];
        let spawn = scene.tool("pspawn").args(["api", "--session", id, "--"]).args(idle);
        let member = Id::in_record(&spawn.run().ended(0).record()).expect("an identity");
        let before = document(&scene)["sessions"][id]["identity"].clone();
        std::fs::remove_file(scene.registry()).expect("removed");
        let rebuilt = ptrack(&scene, &["rebuild"]).ended(0).records();
        let found = session(&rebuilt, id).expect("the session");
        assert_eq!((&found["pid"], &found["alive"]), (&json!(owner.root().pid), &json!("alive")));
        assert_eq!(document(&scene)["sessions"][id]["identity"], before);
        let api = rebuilt.iter().find(|record| record["pid"] == member.pid).expect("its service");
        assert_eq!((&api["session"], &api["service"]), (&json!(id), &json!("api")));
        // What is known stays as it is.
        let again = ptrack(&scene, &["rebuild"]).ended(0).records();
        assert!(session(&again, id).is_none(), "{again:?}");
        // The owner ends, and the registry is lost once more: the session is known to be over, and is ended.
        drop(owner);
        std::fs::remove_file(scene.registry()).expect("removed");
        let rebuilt = ptrack(&scene, &["rebuild"]).ended(0).records();
        assert_eq!(session(&rebuilt, id).expect("the session")["alive"], "dead");
        scene.tool("preap").run().ended(0);
        wait_until(SOON, "its end", || !member.alive());
        assert_eq!(document(&scene)["sessions"], json!({}));
    });
}

#[test]
fn a_mark_of_another_session_or_of_nobody_makes_no_session() {
    // What is found is that of the whole machine: other tests have sessions, too.
    inside(|| {
        let scene = Scene::new();
        let owner = scene.start(["idle"]).root();
        let marked = |id: &str, mark: &str| {
            scene.actor(["idle"]).env("PROCHERD_SESSION", id).env("PROCHERD_SESSION_OWNER", mark).start()
        };
        let inode = owner.inode.unwrap_or(0);
        let _members = [
            marked("mine", &format!("{}-1-{inode}-{}:other", owner.pid, owner.start_ticks)),
            marked("odd", "x"),
            marked("empty", ""),
            marked("first", "1-1-1-1:first"),
            // Of another pid namespace: whether its owner lives cannot be said from here.
            marked("foreign", &format!("{}-1-{inode}-{}:foreign", owner.pid, owner.start_ticks)),
        ];
        let rebuilt = ptrack(&scene, &["rebuild"]).ended(0).records();
        for id in ["mine", "odd", "empty"] {
            assert!(session(&rebuilt, id).is_none(), "{id}: {rebuilt:?}");
        }
        assert_eq!(session(&rebuilt, "foreign").expect("noted")["alive"], "foreign");
        let done = scene.tool("preap").run().ended(0);
        assert!(done.records().iter().all(|record| record["outcome"].is_null()), "{done:?}");
    });
}

#[test]
// proves: M18 M19
fn the_sessions_of_psession_and_of_its_hook_carry_the_mark_of_their_owner() {
    // What is found is that of the whole machine: other tests have sessions, too.
    inside(|| {
        let scene = Scene::new();
        let lose = format!("rm '{}' && ptrack -q rebuild && ptrack session list", scene.registry().display());
        let script = format!("psession --id wrapped -- sh -c \"{lose}\"");
        let listed = scene.sh(&script).run().ended(0).records();
        let found = session(&listed, "wrapped").expect("the session");
        assert_eq!(found["alive"], "alive");
        let script =
            format!("eval \"$(psession --hook --id hooked)\"\n{lose}\necho \"{{\\\"shell\\\":$$}}\"");
        let said = scene.sh(&script).run().ended(0).records();
        let shell = said.iter().find_map(|record| record["shell"].as_u64()).expect("the shell");
        let found = session(&said, "hooked").expect("the session");
        assert_eq!((found["pid"].as_u64(), &found["alive"]), (Some(shell), &json!("alive")));
    });
}

#[test]
fn the_mark_is_printed_for_scripts_that_start_a_session_themselves() {
    let scene = Scene::new();
    let owner = scene.start(["idle"]);
    let start = |words: &[&str]| {
        let start = ["session", "start", "s", "--pid", &owner.root().operand()];
        ptrack(&scene, &[&start, words].concat())
    };
    let said = start(&["--mark"]).ended(0).quiet();
    let id = owner.root();
    let ends = format!("-{}-{}:s\n", id.inode.unwrap_or(0), id.start_ticks);
    assert!(said.text().starts_with(&format!("{}-", id.pid)) && said.text().ends_with(&ends), "{said:?}");
    assert_eq!(start(&["--mark", "--quiet"]).ended(0).text(), said.text());
    assert!(id.signal(Signal::SIGCONT), "it was not touched");
}
