//! What a container adopts is the affair of the container.

use std::fs;
use std::path::{Path, PathBuf};

use super::{left_behind, porphans};
use crate::support::arena::inside;
use crate::support::wait::wait_dead;
use crate::support::{Id, SOON, Scene, skip};
use nix::sys::signal::Signal;

/// A control group that is called as engines call that of a container; it is removed in the end.
struct Container(PathBuf);

impl Container {
    /// Makes one, in the first hierarchy that lets a process in; none where no one does.
    fn around(process: Id) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let hierarchies = mounts.lines().filter(|line| line.contains(" - cgroup"));
        let name = format!("{:064x}", process.inode.unwrap_or(process.start_ticks));
        hierarchies.filter_map(|line| line.split(' ').nth(4)).find_map(|mount| {
            let made = Self(Path::new(mount).join(&name));
            fs::create_dir(&made.0).and_then(|()| made.take(process)).is_ok().then_some(made)
        })
    }

    fn take(&self, process: Id) -> std::io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), process.pid.to_string())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn what_is_adopted_in_a_container_is_looked_at_from_inside() {
    inside(|| {
        let scene = Scene::new();
        let orphan = left_behind(&scene, "ACTOR idle --outlive 60 --same-session", &[]);
        let all: [&[&str]; 3] = [&[], &["-p", "idle"], &["-p", "idle", "--untracked"]];
        for words in all {
            assert_eq!(porphans(&scene, words.iter().copied()).run().ended(0).ids(), [orphan], "{words:?}");
        }
        let Some(container) = Container::around(orphan) else { return skip("no cgroup can be made here") };
        for words in all {
            let said = porphans(&scene, words.iter().copied()).run().ended(0).quiet();
            assert!(said.ids().is_empty(), "{words:?}: {said:?}");
        }
        // Whoever is in the same container sees it as before.
        let enter = "echo $$ > \"$1/cgroup.procs\"; shift; exec porphans \"$@\"";
        for words in all {
            let within = scene.sh(enter).arg("sh").arg(&container.0).args(words.iter().copied());
            assert_eq!(within.run().ended(0).ids(), [orphan], "{words:?}");
        }
        orphan.signal(Signal::SIGKILL);
        wait_dead(SOON, &[orphan]);
    });
}
