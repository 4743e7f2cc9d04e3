//! Several machines: what each has found is merged and looked through at one place, and sent back to all.

mod ansible;
mod machines;

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::arena::inside;
use crate::support::{SOON, Scene, machine_is_known, project, skip, wait_until};
use machines::Fleet;

/// Two processes that ask for nothing, one after the other.
const LITTER: &str = "sleep 70071 & sleep 70072 &";

#[test]
fn each_machine_is_another_one() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        let of =
            |host: &str| fleet.sh(&format!("ssh {host} pstree-json --depth 0 1")).run().ended(0).record();
        let (alpha, beta) = (of("alpha"), of("beta"));
        assert_eq!((&alpha["host"], &beta["host"]), (&Value::from("alpha"), &Value::from("beta")));
        let mut differ = vec!["boot_id", "pid_ns"];
        if machine_is_known() {
            differ.push("machine");
        }
        for name in differ {
            assert!(!alpha[name].is_null() && alpha[name] != beta[name], "{name}: {alpha} {beta}");
        }
    });
}

#[test]
fn each_machine_ends_only_what_is_its_own_whatever_it_is_sent() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        for host in ["alpha", "beta"] {
            fleet.leave(host, LITTER);
        }
        let found = fleet
            .sh("for host in alpha beta; do ssh $host \"porphans --pattern 'sleep 7007'\"; done | tee found.ndjson")
            .run()
            .ended(0);
        let records = found.records();
        let hosts: Vec<&str> = records.iter().filter_map(|record| record["host"].as_str()).collect();
        assert_eq!(hosts, ["alpha", "alpha", "beta", "beta"]);
        let numbers = |host: &str| {
            let of = records.iter().filter(|record| record["host"] == host);
            of.map(|record| record["pid"].as_u64()).collect::<Vec<_>>()
        };
        assert_eq!(
            numbers("alpha"),
            numbers("beta"),
            "the same numbers on both: nothing but identity tells them apart"
        );
        // Of alpha both are chosen, of beta one. Both machines get everything.
        let chosen = "grep -v -e '\"beta\".*70072' found.ndjson";
        for (host, own) in [("alpha", 2), ("beta", 1)] {
            let said = fleet.sh(&format!("{chosen} | ssh {host} pkill-tree --force")).run().ended(3);
            let outcomes =
                |outcome: &str| said.records().iter().filter(|record| record["outcome"] == outcome).count();
            assert_eq!((outcomes("killed"), outcomes("foreign")), (own, 3 - own), "{host}: {said:?}");
        }
        assert_eq!((fleet.sleepers("alpha", "7007"), fleet.sleepers("beta", "7007")), (0, 1));
        // What was started elsewhere is nothing that this machine knows to have ended.
        let here = fleet.sh("pkill-tree --force < found.ndjson").run().ended(3);
        let all = here.records();
        assert_eq!(all.len(), 4);
        assert!(
            all.iter().all(|record| record["outcome"] == "foreign" && record["why"] == "another machine"),
            "{here:?}"
        );
    });
}

#[test]
fn a_number_from_another_machine_ends_nobody() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        for host in ["alpha", "beta"] {
            fleet.leave(host, LITTER);
        }
        // Somebody's login script on alpha says a number that on beta is that of a process.
        let script = "ssh alpha \"echo 7002; porphans --pattern 'sleep 7007'\" > found.ndjson";
        assert_eq!(fleet.sh(&format!("{script}; wc -l < found.ndjson")).run().ended(0).text().trim(), "3");
        let refused = fleet.sh("ssh beta pkill-tree --require-identity < found.ndjson").run().ended(2);
        assert!(refused.stdout.is_empty() && refused.stderr.contains("7002"), "{refused:?}");
        assert_eq!(fleet.sleepers("beta", "7007"), 2);
    });
}

#[test]
fn a_machine_ends_what_it_was_told_to_also_when_the_connection_is_cut() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha"]) else { return };
        fleet.leave("alpha", "sleep 70071 & trap \\\"\\\" TERM; sleep 70072 &");
        fleet.sh("ssh alpha \"porphans --pattern 'sleep 7007'\" > found.ndjson").run().ended(0);
        let log = scene.home().join("log");
        let script = format!("exec ssh alpha pkill-tree --grace 3s --log {} < found.ndjson", log.display());
        let mut cut = fleet.sh(&script).start();
        // One has heard the signal, the other is deaf to it: now the grace runs.
        assert_eq!(cut.record().map(|record| record["outcome"].clone()), Some(Value::from("exited")));
        cut.signal(Signal::SIGKILL);
        assert_eq!(cut.finish().signal, Some(Signal::SIGKILL as i32), "it was cut before the end");
        wait_until(SOON, "the other one is killed", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            log.lines().any(|line| line.contains("70072") && line.contains("\"outcome\":\"killed\""))
        });
        assert_eq!(fleet.sleepers("alpha", "7007"), 0);
    });
}

#[test]
fn a_session_ends_with_the_terminal_that_ssh_gave_it() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha"]) else { return };
        if !fleet.is_over_ssh() {
            return;
        }
        let command = "psession -- sh -c 'setsid sleep 70071 & sleep 70072'";
        let running = fleet.sh(&format!("exec ssh -tt alpha \"{command}\"")).start();
        wait_until(SOON, "both run", || fleet.sleepers("alpha", "7007") == 2);
        running.signal(Signal::SIGKILL);
        wait_until(SOON, "both are ended", || fleet.sleepers("alpha", "7007") == 0);
    });
}

/// The examples of procherd-recipes(7) that are for several machines.
fn examples() -> Vec<String> {
    let page = fs::read_to_string(project().join("man/procherd-recipes.7")).expect("the page");
    let blocks =
        page.split(".Bd -literal -offset indent\n").skip(1).filter_map(|rest| rest.split("\n.Ed").next());
    let plain = |block: &str| block.replace("\\e", "\\").replace("\\(aq", "'").replace("\\&", "");
    blocks.filter(|block| block.contains("alpha") || block.contains("$hosts")).map(plain).collect()
}

/// An example, about what the tests leave behind in place of what people do.
fn about_litter(example: &str) -> String {
    example.replace("vitest", "'\"sleep 7007\"'").replace("3600000", "0")
}

/// Tells whether a program is there, and that it goes over ssh, which is all that it can.
fn can(fleet: &Fleet<'_>, program: &str) -> bool {
    let there = fleet.sh(&format!("command -v {program}")).run().code == Some(0);
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there && (program == "jq" || fleet.is_over_ssh())
}

#[test]
fn the_examples_for_several_machines_work_as_they_are_printed() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        let examples = examples();
        assert_eq!(examples.len(), 3);
        for example in examples {
            let mut needs =
                ["jq", "parallel", "pdsh"].into_iter().filter(|program| example.contains(program));
            if !needs.all(|program| can(&fleet, program)) {
                continue;
            }
            for host in ["alpha", "beta"] {
                fleet.leave(host, LITTER);
            }
            let said = fleet.sh(&about_litter(&example)).run();
            // Sent everything, a machine says what is not its own.
            assert!(matches!(said.code, Some(0 | 3)), "{example}: {said:?}");
            for host in ["alpha", "beta"] {
                assert_eq!(fleet.sleepers(host, "7007"), 0, "{host}: {example}: {said:?}");
            }
        }
    });
}

#[test]
fn a_machine_that_does_not_answer_is_named_and_the_others_are_looked_after() {
    inside(|| {
        let scene = Scene::new();
        let Some(mut fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        fleet.leave("alpha", LITTER);
        fleet.lose("beta");
        let example = &examples()[0];
        if !can(&fleet, "jq") {
            return;
        }
        let said = fleet.sh(&about_litter(example)).run();
        assert!(said.stderr.contains("beta: not looked at"), "{said:?}");
        assert_eq!(said.records().len(), 2, "{said:?}");
        assert_eq!(fleet.sleepers("alpha", "7007"), 0, "{said:?}");
    });
}
