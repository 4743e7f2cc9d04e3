//! The machines of a fleet, and how they are reached.
//!
//! A machine is a namespace of processes, mounts and host name, with a machine id and a boot id of its own. Where an ssh
//! server is installed, each runs one, on an address of its own in a network that only they and the test are in. Else
//! they are reached through their namespaces.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use crate::support::process::numbers;
use crate::support::running::Running;
use crate::support::tool::Tool;
use crate::support::wait::waited;
use crate::support::{Id, SOON, Scene, actor_program, programs, skip};

/// Makes a machine: its name, its number, a folder of its own; with the actor its first process stays until its input
/// ends, and with a server, too, it serves. Without the actor it is only tried whether it can be made.
///
/// A server of Debian wants a folder below /run, and one without PAM lets nobody in whose password is locked.
const MACHINE: &str = r#"
printf '%032d\n' "$2" > "$3/machine-id"
printf '%08d-0000-4000-8000-000000000000\n' "$2" > "$3/boot-id"
mount --bind "$3/boot-id" /proc/sys/kernel/random/boot_id || exit
for file in /etc/machine-id /var/lib/dbus/machine-id; do
    if [ -f "$file" ]; then mount --bind "$3/machine-id" "$file" || exit; fi
done
hostname "$1"
[ $# -gt 3 ] || exit 0
if [ $# -gt 4 ]; then
    [ -d /run/sshd ] || { mount -t tmpfs -o mode=755 machine /run && mkdir -m 755 /run/sshd; } || exit
    if grep -qs '^root:!' /etc/shadow; then
        sed -n 's/^root:!*/root:*/p' /etc/shadow > "$3/shadow"
        mount --bind "$3/shadow" /etc/shadow || exit
    fi
    set -- "$4" "$5" -D -E "$3/log" -f "$3/sshd_config"
else
    set -- "$4" :
fi
actor=$1
shift
exec "$actor" subreaper --until-command -- sh -c '"$@" & echo ready >&2; read line' sh "$@"
"#;

/// The programs of ssh, by their paths.
struct Ssh {
    client: String,
    server: String,
    keygen: String,
}

impl Ssh {
    /// Looks for them. None, said loudly, where there are none or where a server cannot let anybody in.
    fn find(scene: &Scene) -> Option<Self> {
        let script = "PATH=$PATH:/usr/sbin:/usr/local/sbin
            for program in ssh sshd ssh-keygen ip; do command -v $program || { echo $program >&2; exit 1; }; done";
        let found = scene.sh(script).run();
        let users = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let many = users.split_whitespace().nth(2).is_some_and(|count| count != "1");
        let why = match found.code {
            Some(0) if !many => Some("a server needs the users of the machine".to_owned()),
            Some(0) if scene.sh("unshare --net ip link set lo up").run().code != Some(0) => {
                Some("no network of its own can be made".to_owned())
            }
            Some(0) => None,
            _ => Some(format!("there is no {}", found.stderr.trim_end())),
        };
        if let Some(why) = why {
            skip(&format!("{why}: the machines are reached through their namespaces, not over ssh"));
            return None;
        }
        let mut paths = found.text().lines().map(str::to_owned);
        let (client, server, keygen) = (paths.next()?, paths.next()?, paths.next()?);
        Some(Self { client, server, keygen })
    }

    /// Makes a pair of keys; gives the public one.
    fn key(&self, file: &Path) -> String {
        let made =
            Command::new(&self.keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status();
        assert!(made.is_ok_and(|status| status.success()), "{}: {}", self.keygen, file.display());
        fs::read_to_string(file.with_extension("pub")).expect("a public key")
    }
}

/// Machines that run, and a command `ssh` that reaches them.
pub(super) struct Fleet<'a> {
    scene: &'a Scene,
    names: Vec<String>,
    machines: Vec<Running>,
    ssh: Option<Ssh>,
}

impl<'a> Fleet<'a> {
    /// Starts machines. None, said loudly, where they cannot be made.
    pub(super) fn start(scene: &'a Scene, names: &[&str]) -> Option<Self> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut fleet = Self { scene, names, machines: Vec::new(), ssh: Ssh::find(scene) };
        fs::create_dir(scene.home().join("bin")).expect("a folder");
        fs::write(scene.home().join("make"), MACHINE).expect("written");
        for at in 0..fleet.names.len() {
            fs::create_dir(fleet.folder(at)).expect("a folder");
        }
        if let Some(ssh) = &fleet.ssh {
            fleet.prepare(ssh);
        }
        let mut reach = String::new();
        for at in 0..fleet.names.len() {
            let (name, folder) = (&fleet.names[at], fleet.folder(at).display().to_string());
            let own = "--pid --fork --mount-proc --uts --propagation private --kill-child";
            let script = format!("exec unshare {own} sh ./make {name} {} {folder}", at + 1);
            let tried = fleet.sh(&script).run();
            if tried.code != Some(0) {
                skip(&format!("no machine can be made here: {}", tried.stderr));
                return None;
            }
            let server = fleet.ssh.as_ref().map_or("", |ssh| &ssh.server);
            let script = format!("{script} {} {server}", actor_program().display());
            let mut machine = fleet.sh(&script).stdin_open().start();
            machine.wait_for_message("ready");
            let below = |id: &Id| id.ppid() == Some(machine.id().pid);
            let init = numbers().into_iter().filter_map(Id::of).find(below).expect("its first process").pid;
            let own = fleet.login(at);
            let _ =
                writeln!(reach, "{name}) in='nsenter --target {init} --pid --mount --uts -- env {own}' ;;");
            fleet.machines.push(machine);
        }
        if fleet.ssh.is_some() {
            fleet.assert_reached_over_ssh();
        } else {
            let head = format!("host=$1; shift\ncase $host in\n{reach}*) exit 255 ;;\nesac\n");
            fleet.install("ssh", &format!("{head}exec $in sh -c \"$*\""));
        }
        Some(fleet)
    }

    /// Tells whether the machines are reached over ssh.
    pub(super) fn is_over_ssh(&self) -> bool {
        self.ssh.is_some()
    }

    /// The folder of a machine, which is the home of who logs in there.
    fn folder(&self, at: usize) -> PathBuf {
        self.scene.home().join(&self.names[at])
    }

    /// What a login on a machine finds in its environment: the tools in its path, and a registry.
    fn login(&self, at: usize) -> String {
        let (home, folder) = (self.scene.home().display(), self.folder(at));
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        format!(
            "PATH={}:{path} HOME={} PROCHERD_REGISTRY={} PROCHERD_TEST={home}",
            programs().display(),
            folder.display(),
            folder.join("registry.json").display()
        )
    }

    fn address(at: usize) -> String {
        format!("127.0.0.{}", at + 2)
    }

    /// Gives this thread, and what it starts, a network of its own; writes what servers and client are to be like.
    fn prepare(&self, ssh: &Ssh) {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network of its own");
        self.sh("ip link set lo up").run().ended(0);
        let home = self.scene.home();
        let user = home.join("user");
        ssh.key(&user);
        let (mut config, mut known) = (String::new(), String::new());
        for (at, name) in self.names.iter().enumerate() {
            let (folder, address) = (self.folder(at), Self::address(at));
            let key = ssh.key(&folder.join("host"));
            let _ = write!(known, "{name} {key}");
            let _ = writeln!(config, "Host {name}\n HostName {address}\n HostKeyAlias {name}");
            fs::write(folder.join("banner"), format!("{{\"welcome\": \"to {name}\"}}\n4711\n"))
                .expect("written");
            let server = format!(
                "ListenAddress {address}:22\nHostKey {folder}/host\nAuthorizedKeysFile {user}.pub\nStrictModes no\n\
                 UsePAM no\nPidFile none\nPermitRootLogin yes\nPermitUserRC no\nBanner {folder}/banner\n\
                 Subsystem sftp internal-sftp\nSetEnv {login}\n",
                folder = folder.display(),
                user = user.display(),
                login = self.login(at),
            );
            fs::write(folder.join("sshd_config"), server).expect("written");
        }
        let (user, file) = (user.display(), home.join("known_hosts"));
        let _ = write!(
            config,
            "Host *\n User root\n IdentityFile {user}\n IdentitiesOnly yes\n BatchMode yes\n\
             StrictHostKeyChecking yes\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n",
            file.display()
        );
        fs::write(file, known).expect("written");
        fs::write(home.join("ssh_config"), config).expect("written");
        self.install("ssh", &format!("exec {} -F {}/ssh_config \"$@\"", ssh.client, home.display()));
    }

    /// Where a server is installed no test gets around it: each machine is reached over ssh, at its own address.
    fn assert_reached_over_ssh(&self) {
        for (at, name) in self.names.iter().enumerate() {
            let log = || fs::read_to_string(self.folder(at).join("log")).unwrap_or_default();
            assert!(waited(SOON, || log().contains("Server listening")), "{name} does not listen: {}", log());
            let said = self.sh(&format!("ssh {name} 'echo $SSH_CONNECTION $(hostname)'")).run();
            let expected = format!("{} 22 {name}\n", Self::address(at));
            assert!(said.code == Some(0) && said.text().ends_with(&expected), "{said:?}\n{}", log());
            // What a server says before a login is for people, and stays out of the stream.
            assert!(said.stderr.contains("welcome") && !said.text().contains("welcome"), "{said:?}");
        }
    }

    fn install(&self, name: &str, text: &str) {
        let file = self.scene.home().join("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(file, Permissions::from_mode(0o755)).expect("permitted");
    }

    /// A script at the place from where the machines are looked after.
    pub(super) fn sh(&self, script: &str) -> Tool {
        let home = self.scene.home();
        self.scene.sh(&format!("PATH={}/bin:$PATH; {script}", home.display())).cwd(home)
    }

    /// Leaves behind on a machine what a script starts in the background. Its owner is gone.
    pub(super) fn leave(&self, host: &str, script: &str) {
        // The same numbers on all: nothing but identity tells them apart.
        let same = "echo 7000 >/proc/sys/kernel/ns_last_pid";
        let script = format!("{same}; setsid sh -c '{script}' >/dev/null 2>&1 </dev/null");
        self.sh(&format!("ssh {host} \"{script}\"")).run().ended(0);
    }

    /// How many `sleep` of a kind run on a machine, by how the argument begins.
    pub(super) fn sleepers(&self, host: &str, begin: &str) -> usize {
        let all = self.sh(&format!("ssh {host} pstree-json")).run().ended(0).records();
        let argument = |record: &Value| record["cmdline"][1].as_str().map(str::to_owned);
        let sleeping = all.iter().filter(|record| record["comm"] == "sleep").filter_map(argument);
        sleeping.filter(|argument| argument.starts_with(begin)).count()
    }

    /// Takes a machine away, with all that runs on it.
    pub(super) fn lose(&mut self, host: &str) {
        let at = self.names.iter().position(|name| name == host).expect("a machine of the fleet");
        self.machines.remove(at).finish().ended(0);
        self.names.remove(at);
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for machine in &mut self.machines {
            machine.close();
        }
    }
}
