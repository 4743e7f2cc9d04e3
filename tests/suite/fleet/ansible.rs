//! The playbook, run by Ansible on machines that it reaches over ssh.

use super::LITTER;
use super::machines::Fleet;
use crate::support::arena::inside;
use crate::support::output::Output;
use crate::support::{Scene, project, skip};

/// Runs the playbook on all machines, however young what they left behind is.
fn play(fleet: &Fleet<'_>, words: &str) -> Output {
    let playbook = project().join("tools/hooks/ansible.yml");
    let script = format!("ansible-playbook -i alpha,beta, -e min_age=0s {words} '{}'", playbook.display());
    let tool = fleet.sh(&script).env("ANSIBLE_PYTHON_INTERPRETER", "auto_silent").env("ANSIBLE_NOCOLOR", "1");
    // A connection that is kept would outlive the play and be in the way of the next test of leftovers.
    tool.env("ANSIBLE_SSH_ARGS", "-o ControlMaster=no").env("ANSIBLE_PIPELINING", "1").run()
}

/// How many machines the recap counts this way.
fn counted(said: &Output, count: &str) -> usize {
    let recap = said.text().lines().skip_while(|line| !line.starts_with("PLAY RECAP"));
    recap.filter(|line| line.split_whitespace().any(|word| word == count)).count()
}

#[test]
fn the_playbook_looks_at_all_machines_and_cleans_them_only_when_it_is_told_to() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        if !fleet.is_over_ssh() || fleet.sh("command -v ansible-playbook").run().code != Some(0) {
            return skip("Ansible is not installed, or nothing that it could go through");
        }
        let left = || (fleet.sleepers("alpha", "7007"), fleet.sleepers("beta", "7007"));
        fleet.leave("alpha", LITTER);
        for words in ["", "--check"] {
            let said = play(&fleet, words).ended(2);
            assert_eq!((counted(&said, "failed=1"), counted(&said, "ok=1")), (1, 1), "{words}: {said:?}");
        }
        let said = play(&fleet, "-e clean=true --check").ended(0);
        assert_eq!((counted(&said, "changed=1"), counted(&said, "changed=0")), (1, 1), "{said:?}");
        assert_eq!(left(), (2, 0), "nothing was touched");
        for (round, changed) in [(1, 1), (2, 0)] {
            let said = play(&fleet, "-e clean=true").ended(0);
            assert_eq!(counted(&said, "changed=1"), changed, "round {round}: {said:?}");
        }
        assert_eq!(left(), (0, 0));
        assert_eq!(counted(&play(&fleet, "").ended(0), "ok=1"), 2);
    });
}
