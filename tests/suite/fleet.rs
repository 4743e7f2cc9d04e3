//! Several machines: what each has found is merged and looked through at one place, and sent back to all.
//!
//! A machine of these tests is a namespace of processes, mounts and host name, with a machine id and a boot id of its own.
//! It is reached over ssh where a server of it is installed, else through its namespaces.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::arena::inside;
use crate::support::process::numbers;
use crate::support::running::Running;
use crate::support::tool::Tool;
use crate::support::{Id, Scene, actor_program, programs, project, skip};

/// Makes a machine: its name, its number, a folder of its own, who is its first process; or tries whether it can be made.
const MACHINE: &str = r#"
printf '%032d\n' "$2" > "$3/machine-id"
printf '%08d-0000-4000-8000-000000000000\n' "$2" > "$3/boot-id"
mount --bind "$3/boot-id" /proc/sys/kernel/random/boot_id || exit
there=
for file in /etc/machine-id /var/lib/dbus/machine-id; do
    if [ -f "$file" ]; then mount --bind "$3/machine-id" "$file" || exit; there=yes; fi
done
[ "$there" ] || { echo "this machine has no machine id" >&2; exit 1; }
hostname "$1"
[ $# -gt 3 ] || exit 0
exec "$4" subreaper --until-command -- sh -c 'echo ready >&2; read line'
"#;

/// Machines that run, and a command `ssh` that reaches them.
struct Fleet<'a> {
    scene: &'a Scene,
    machines: Vec<Running>,
}

impl<'a> Fleet<'a> {
    /// Starts machines. None, said loudly, where they cannot be made.
    fn start(scene: &'a Scene, names: &[&str]) -> Option<Self> {
        let mut machines = Vec::new();
        let (mut reach, actor) = (String::new(), actor_program());
        for (at, name) in names.iter().enumerate() {
            let folder = scene.home().join(name);
            fs::create_dir(&folder).expect("a folder");
            fs::write(folder.join("make"), MACHINE).expect("written");
            let own = "--pid --fork --mount-proc --uts --propagation private --kill-child";
            let (folder, actor) = (folder.display(), actor.display());
            let script = format!("exec unshare {own} sh {folder}/make {name} {} {folder}", at + 1);
            let tried = scene.sh(&script).run();
            if tried.code != Some(0) {
                skip(&format!("no machine can be made here: {}", tried.stderr));
                return None;
            }
            let mut machine = scene.sh(&format!("{script} {actor}")).stdin_open().start();
            machine.wait_for_message("ready");
            let below = |id: &Id| id.ppid() == Some(machine.id().pid);
            let init = numbers().into_iter().filter_map(Id::of).find(below).expect("its first process").pid;
            let _ = writeln!(reach, "{name}) in='nsenter --target {init} --pid --mount --uts --' ;;");
            machines.push(machine);
        }
        let fleet = Self { scene, machines };
        // What a login gets: the tools in its path, and a registry.
        let (path, registry) = (programs().display(), scene.registry().display().to_string());
        let line = format!("export PATH='{path}':$PATH PROCHERD_REGISTRY='{registry}'; ");
        let head = format!("#!/bin/sh\nhost=$1; shift\ncase $host in\n{reach}esac\n");
        fleet.install("ssh", &format!("{head}exec $in sh -c \"{line}$*\"\n"));
        if let Some(options) = fleet.server() {
            let over =
                format!("exec /usr/bin/ssh {options} -o ProxyCommand=\"$in $SSHD\" \"$host\" \"{line}$*\"\n");
            let before = fs::read_to_string(scene.home().join("bin/ssh")).expect("the command");
            fleet.install("ssh", &(head + &over));
            let said = fleet.sh("ssh alpha true").run();
            if said.code != Some(0) {
                skip(&format!("the ssh server does not serve here: {}", said.stderr));
                fleet.install("ssh", &before);
            }
        }
        Some(fleet)
    }

    fn install(&self, name: &str, text: &str) {
        let bin = self.scene.home().join("bin");
        fs::create_dir_all(&bin).expect("a folder");
        fs::write(bin.join(name), text).expect("written");
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).expect("permitted");
    }

    /// Prepares an ssh server that is started for each connection; the options of the client that it serves.
    fn server(&self) -> Option<String> {
        if !Path::new("/usr/sbin/sshd").exists() {
            skip("there is no /usr/sbin/sshd: the machines are reached through their namespaces");
            return None;
        }
        let keys = self.scene.home().join("keys");
        fs::create_dir(&keys).expect("a folder");
        let keys = keys.display();
        for name in ["host", "user"] {
            let file = format!("{keys}/{name}");
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file]).status();
            if !made.is_ok_and(|status| status.success()) {
                skip("ssh-keygen makes no keys");
                return None;
            }
        }
        let config = format!(
            "HostKey {keys}/host\nAuthorizedKeysFile {keys}/user.pub\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\n"
        );
        self.install("sshd_config", &config);
        Some(format!(
            "-q -F none -i {keys}/user -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        ))
    }

    /// A script at the place from where the machines are looked after.
    fn sh(&self, script: &str) -> Tool {
        let bin = self.scene.home().join("bin").display().to_string();
        let server = format!("/usr/sbin/sshd -i -f {bin}/sshd_config");
        self.scene.sh(&format!("PATH={bin}:$PATH; {script}")).cwd(self.scene.home()).env("SSHD", server)
    }

    /// Leaves two behind on each machine, whose owners are gone.
    fn litter(&self, hosts: &[&str]) {
        for host in hosts {
            let leave = "setsid sh -c 'sleep 70071 & sleep 70072 &' >/dev/null 2>&1 </dev/null";
            self.sh(&format!("ssh {host} \"{leave}\"")).run().ended(0);
        }
    }

    /// How many of a kind run on a machine.
    fn count(&self, host: &str, pattern: &str) -> usize {
        let script = format!("ssh {host} \"porphans --untracked --pattern '{pattern}'\"");
        self.sh(&script).run().ended(0).records().len()
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for machine in &mut self.machines {
            machine.close();
        }
    }
}

/// The examples of procherd-recipes(7) that are for several machines.
fn examples() -> Vec<String> {
    let page = fs::read_to_string(project().join("man/procherd-recipes.7")).expect("the page");
    let blocks =
        page.split(".Bd -literal -offset indent\n").skip(1).filter_map(|rest| rest.split("\n.Ed").next());
    let plain = |block: &str| block.replace("\\e", "\\").replace("\\(aq", "'").replace("\\&", "");
    blocks.filter(|block| block.contains("alpha") || block.contains("$hosts")).map(plain).collect()
}

#[test]
fn each_machine_ends_only_what_is_its_own_whatever_it_is_sent() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        fleet.litter(&["alpha", "beta"]);
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
        assert_eq!((fleet.count("alpha", "sleep 7007"), fleet.count("beta", "sleep 7007")), (0, 1));
        // What was started elsewhere is nothing that this machine knows to have ended.
        let here = fleet.sh("pkill-tree --force < found.ndjson").run().ended(3);
        assert!(here.records().iter().all(|record| record["outcome"] == "foreign"), "{here:?}");
    });
}

#[test]
fn the_examples_for_several_machines_work_as_they_are_printed() {
    inside(|| {
        let scene = Scene::new();
        let Some(fleet) = Fleet::start(&scene, &["alpha", "beta"]) else { return };
        let mut tried = 0;
        for example in examples() {
            let needs = ["jq", "parallel", "pdsh"].into_iter().filter(|program| example.contains(program));
            let missing: Vec<_> = needs
                .filter(|program| fleet.sh(&format!("command -v {program}")).run().code != Some(0))
                .collect();
            if !missing.is_empty() {
                skip(&format!("{missing:?} not installed: {example}"));
                continue;
            }
            fleet.litter(&["alpha", "beta"]);
            let script = example.replace("vitest", "'\"sleep 7007\"'").replace("3600000", "0");
            let said = fleet.sh(&script).run();
            // Sent everything, a machine says what is not its own.
            assert!(matches!(said.code, Some(0 | 3)), "{example}: {said:?}");
            for host in ["alpha", "beta"] {
                assert_eq!(fleet.count(host, "sleep 7007"), 0, "{host}: {example}: {said:?}");
            }
            tried += 1;
        }
        assert!(tried > 0 || fleet.sh("command -v jq").run().code != Some(0), "no example was tried");
    });
}
