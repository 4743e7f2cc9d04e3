//! An engine of containers of a test's own: started below the scene, in a network of its own, and ended with it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::recipe;
use crate::support::running::Running;
use crate::support::tool::Tool;
use crate::support::wait::waited;
use crate::support::{Scene, arena, skip};

/// How long an engine may take to answer.
pub(super) const LIMIT: Duration = Duration::from_mins(1);

/// Runs a program that sees what it writes to some folders of the machine, and nobody else does: in a mount namespace of
/// its own they lie below what goes with it. The engine has its key in `/etc/docker`, and makes folders in the others.
const IN_A_COPY: &str = r#"
mount -t tmpfs tmpfs "$0" || exit
for place in /etc /opt /run; do
    [ -d "$place" ] || continue
    mkdir -p "$0$place/upper" "$0$place/work" || exit
    mount -t overlay -o "lowerdir=$place,upperdir=$0$place/upper,workdir=$0$place/work" overlay "$place" || exit
done
exec "$@"
"#;

/// An engine that answers, with an image of one static program.
pub(super) struct Engine<'a> {
    scene: &'a Scene,
    /// The client: `docker` or `podman`.
    client: &'static str,
    compose: &'static str,
    /// What is put before the PATH.
    path: String,
    /// The engine itself; podman has none that stays.
    daemon: Option<Running>,
}

impl<'a> Engine<'a> {
    /// The image that is there.
    pub(super) const IMAGE: &'static str = "procherd-test:1";

    /// Starts an engine and waits for its answer, at most so long; else says why there is none. Programs of a path come
    /// before those that are installed.
    pub(super) fn start(scene: &'a Scene, path: &str, limit: Duration) -> Result<Self, String> {
        let path = if path.is_empty() { String::new() } else { format!("{path}:") };
        let works = |line: &str| recipe(scene, &format!("PATH={path}$PATH; {line}")).run().code == Some(0);
        let has = |name: &str| works(&format!("command -v {name}"));
        // In the order in which stop-dev asks them, so that both speak to one engine.
        let (client, compose) = if works("docker compose version") {
            ("docker", "docker compose")
        } else if has("docker-compose") {
            ("docker", "docker-compose")
        } else if works("podman compose version") {
            ("podman", "podman compose")
        } else {
            return Err("no docker compose, docker-compose or podman compose".into());
        };
        let programs = if client == "docker" { &["docker", "dockerd"][..] } else { &["podman"][..] };
        if let Some(missing) = programs.iter().find(|name| !has(name)) {
            return Err(format!("{missing} is not installed"));
        }
        let mut engine = Self { scene, client, compose, path, daemon: None };
        std::fs::create_dir_all(engine.folder()).map_err(|why| why.to_string())?;
        engine.configure().map_err(|why| why.to_string())?;
        if client == "docker" {
            engine.start_daemon(limit)?;
        }
        engine.import()?;
        engine.prove()?;
        Ok(engine)
    }

    /// Everything that the engine keeps lies in here.
    fn folder(&self) -> PathBuf {
        self.scene.home().join("engine")
    }

    fn log(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// A name that no other engine has: for the cgroup of its containers, and for what it tells containerd.
    fn name(&self) -> String {
        let home = self.scene.home().file_name().unwrap_or_default();
        home.to_string_lossy().into_owned()
    }

    /// A line of the shell with the recipes in the path, and this engine as the one to speak to.
    pub(super) fn recipe(&self, line: &str) -> Tool {
        let folder = self.folder();
        let path = &self.path;
        recipe(self.scene, &format!("PATH={path}$PATH; {line}"))
            .env("DOCKER_HOST", format!("unix://{}", folder.join("socket").display()))
            .env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"))
            .without_env("DOCKER_CONTEXT")
            .without_env("COMPOSE_FILE")
            .without_env("COMPOSE_PROJECT_NAME")
            .within(Duration::from_mins(3))
    }

    /// How compose is called.
    pub(super) fn compose(&self) -> &'static str {
        self.compose
    }

    /// No configuration of this machine is read.
    fn configure(&self) -> std::io::Result<()> {
        let folder = self.folder();
        std::fs::write(folder.join("daemon.json"), "{}")?;
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/data\"\nrunroot = \"{0}/run\"\n",
            folder.display()
        );
        std::fs::write(folder.join("storage.conf"), storage)
    }

    /// Starts dockerd and waits until it answers.
    ///
    /// It has a network namespace of its own, so the bridges that it makes go with it, and needs no iptables there:
    /// nobody reaches its containers. `--bridge=none` leaves out the bridge of its own only; compose makes others.
    /// Its storage needs no module of the kernel, and its cgroups no systemd.
    /// Some of its files have places that no option moves: see [`IN_A_COPY`].
    fn start_daemon(&mut self, limit: Duration) -> Result<(), String> {
        let (at, name) = (self.folder().display().to_string(), self.name());
        let files = format!(
            "--config-file={at}/daemon.json --data-root={at}/data --exec-root={at}/run --pidfile={at}/pid"
        );
        let network = "--bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false";
        let kernel =
            format!("--storage-driver=vfs --exec-opt=native.cgroupdriver=cgroupfs --cgroup-parent=/{name}");
        let names = format!("--containerd-namespace={name} --containerd-plugins-namespace={name}p");
        let words = format!("--host=unix://{at}/socket {files} {network} {kernel} {names}");
        let line = format!(
            "mkdir -p {at}/own && exec unshare --net --mount sh -c \"$IN_A_COPY\" {at}/own dockerd {words} >{at}/log 2>&1"
        );
        // It may live as long as the longest test.
        let daemon = self.recipe(&line).env("IN_A_COPY", IN_A_COPY);
        let mut daemon = daemon.within(Duration::from_mins(15)).start();
        let mut ended = false;
        let socket = self.folder().join("socket");
        // A client has no limit of its own, and an engine may take what it says and never answer.
        let asked = "timeout 2 docker version --format '{{.Server.Version}}'";
        let answers = waited(limit, || {
            ended = !daemon.runs();
            ended || (socket.exists() && self.recipe(asked).run().code == Some(0))
        });
        let why = match (answers, ended) {
            (true, false) => {
                self.daemon = Some(daemon);
                return Ok(());
            }
            (_, true) => "dockerd has ended".to_owned(),
            (false, false) => format!("dockerd does not answer within {limit:?}"),
        };
        end(daemon);
        self.remove_cgroup();
        Err(format!("{why}: {}", self.last_line()))
    }

    /// The last that the engine has said.
    fn last_line(&self) -> String {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it has said nothing").to_owned()
    }

    /// Makes an image of the static busybox of this machine.
    fn import(&self) -> Result<(), String> {
        let found = self.recipe("command -v busybox").run();
        let program = Path::new(found.text().trim()).to_owned();
        if found.code != Some(0) || !is_static(&std::fs::read(&program).unwrap_or_default()) {
            return Err("there is no static busybox".into());
        }
        let root = self.folder().join("root");
        let made = std::fs::create_dir_all(root.join("bin"))
            .and_then(|()| std::fs::create_dir_all(root.join("data")))
            .and_then(|()| std::fs::copy(program, root.join("bin/busybox")));
        made.map_err(|why| why.to_string())?;
        let (root, client) = (root.display(), self.client);
        self.tried(&format!("tar -C {root} -c . | {client} import - {}", Self::IMAGE))
    }

    /// Looks whether the kernel lets the engine do what compose asks for: a container in a network of its own.
    fn prove(&self) -> Result<(), String> {
        let (client, image) = (self.client, Self::IMAGE);
        self.tried(&format!("{client} network create proof"))?;
        self.tried(&format!("{client} run --rm --network proof {image} /bin/busybox true"))?;
        self.tried(&format!("{client} network rm proof"))
    }

    fn tried(&self, line: &str) -> Result<(), String> {
        let output = self.recipe(line).run();
        let last = output.stderr.lines().last().unwrap_or_default();
        if output.code == Some(0) { Ok(()) } else { Err(format!("{line}: {last} ({})", self.last_line())) }
    }

    /// All containers that run, and all volumes and networks, by name.
    pub(super) fn everything(&self) -> Vec<String> {
        let client = self.client;
        let list = |line: &str| self.recipe(&format!("{client} {line}")).run().ended(0).text().to_owned();
        let mut all: Vec<String> =
            ["ps --format '{{.Names}}'", "volume ls --format '{{.Name}}'", "network ls --format '{{.Name}}'"]
                .iter()
                .flat_map(|line| {
                    let kind = line.split(' ').next().unwrap_or_default();
                    list(line).lines().map(|name| format!("{kind} {name}")).collect::<Vec<_>>()
                })
                .collect();
        // What has stopped is not gone.
        all.extend(
            list("ps --all --filter status=exited --format '{{.Names}}'")
                .lines()
                .map(|name| format!("stopped {name}")),
        );
        all.sort();
        all
    }

    /// Starts a container that belongs to no project.
    pub(super) fn run(&self, name: &str) {
        let (client, image) = (self.client, Self::IMAGE);
        let line = format!("{client} run -d --network none --name {name} {image} /bin/busybox sleep 3600");
        self.recipe(&line).run().ended(0);
    }

    /// Sends a signal to the engine; tells whether there is one that stays.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        self.daemon.as_ref().map(|daemon| daemon.signal(signal)).is_some()
    }

    /// The folders that the engine writes to and that are those of the machine.
    pub(super) fn shares(&self) -> Vec<&'static str> {
        let Some(daemon) = &self.daemon else { return Vec::new() };
        let device = |path: &str| std::fs::metadata(path).map(|facts| facts.dev()).ok();
        let of_its = |place: &str| device(&format!("/proc/{}/root{place}", daemon.id().pid));
        let places = ["/etc", "/opt", "/run"].into_iter();
        places.filter(|place| device(place).is_some_and(|dev| of_its(place) == Some(dev))).collect()
    }

    /// The images, one a line.
    pub(super) fn images(&self) -> String {
        self.recipe(&format!("{} images --format '{{{{.Repository}}}}:{{{{.Tag}}}}'", self.client))
            .run()
            .ended(0)
            .text()
            .to_owned()
    }

    /// Removes all containers, and ends the engine by its identity.
    pub(super) fn end(&mut self) {
        let client = self.client;
        self.recipe(&format!("{client} ps --all --quiet | xargs -r {client} rm --force")).run().ended(0);
        if let Some(daemon) = self.daemon.take() {
            end(daemon);
        }
        self.remove_cgroup();
    }

    /// Removes the cgroup of the containers where it is empty, in each hierarchy.
    fn remove_cgroup(&self) {
        let root = Path::new("/sys/fs/cgroup");
        let below = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in below.chain([root.to_owned()]) {
            let _ = std::fs::remove_dir(hierarchy.join(self.name()));
        }
    }
}

/// Asks a daemon to end, and makes sure of it.
fn end(mut daemon: Running) {
    daemon.signal(Signal::SIGTERM);
    if !waited(Duration::from_secs(30), || !daemon.runs()) {
        daemon.signal(Signal::SIGKILL);
    }
    daemon.finish();
}

/// Tells whether a program needs no other file to run: its headers (elf(5), 64 bits, little end first) name no
/// interpreter.
fn is_static(program: &[u8]) -> bool {
    /// The type of the header that names one.
    const PT_INTERP: u32 = 3;
    let number = |at: usize, size: usize| {
        let bytes = program.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let headers = || {
        let (at, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count)
            .map(|place| number(usize::try_from(at + place * size).ok()?, 4))
            .collect::<Option<Vec<u64>>>()
    };
    program.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|all| !all.contains(&u64::from(PT_INTERP)))
}

/// An engine that is played: its program, and a compose that is not asked for anything.
fn played(scene: &Scene, dockerd: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = scene.home().join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    for (name, line) in [("dockerd", dockerd), ("docker-compose", "exit 0")] {
        std::fs::write(bin.join(name), format!("#!/bin/sh\n{line}\n")).expect("written");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("permitted");
    }
    bin.display().to_string()
}

#[test]
fn what_keeps_an_engine_from_starting_is_told_with_its_last_line() {
    arena::inside(|| {
        if std::process::Command::new("docker").arg("--version").output().is_err() {
            return skip("there is no docker client");
        }
        // Where the socket is to be.
        let socket =
            "for word; do case $word in --host=unix://*) socket=${word#--host=unix://} ;; esac; done";
        let deaf = format!(
            "{socket}; echo 'msg=\"listening\"'; exec {} deaf \"$socket\" --same-session --outlive 60",
            crate::support::actor_program().display()
        );
        let limit = Duration::from_secs(5);
        for (dockerd, why) in [
            (
                "echo starting; echo 'failed to start daemon: no cgroup' >&2; exit 1",
                "dockerd has ended: failed to start daemon: no cgroup",
            ),
            ("exit 0", "dockerd has ended: it has said nothing"),
            ("echo waiting; exec sleep 60", "dockerd does not answer within 5s: waiting"),
            (&deaf, "dockerd does not answer within 5s: {"),
        ] {
            let scene = Scene::new();
            let bin = played(&scene, dockerd);
            let begun = std::time::Instant::now();
            let failed = Engine::start(&scene, &bin, limit).err().expect("there is no engine");
            assert!(failed.starts_with(why), "{dockerd}: {failed}");
            assert!(begun.elapsed() < limit * 3, "{dockerd}: {:?}", begun.elapsed());
            assert!(scene.carriers().is_empty(), "{dockerd}: nobody stays: {:?}", scene.carriers());
        }
    });
}

#[test]
fn a_static_program_is_told_from_one_that_needs_others() {
    let own = std::fs::read(std::env::current_exe().expect("a path")).expect("it is read");
    assert!(!is_static(&own), "this test is linked to the library of C");
    // A program of two headers, neither of which names an interpreter; then one does.
    let mut program = vec![0; 64 + 2 * 56];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (program[32], program[54], program[56]) = (64, 56, 2);
    (program[64], program[64 + 56]) = (1, 2);
    assert!(is_static(&program));
    program[64 + 56] = 3;
    assert!(!is_static(&program));
    for bad in [&b""[..], b"#!/bin/sh\n", &program[..80]] {
        assert!(!is_static(bad), "{bad:?}");
    }
}
