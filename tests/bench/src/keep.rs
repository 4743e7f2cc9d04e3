//! Keeping services: what fifty that do nothing cost, and how soon one that was killed runs again.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cost::{Cost, Rounds, wall};
use crate::registry::Folder;
use crate::report::{self, Report};
use crate::tools::{Tools, peer};

/// How many services do nothing.
const IDLE: usize = 50;

/// For how long they are watched: two rounds of checks.
const WATCHED: Duration = Duration::from_secs(30);

/// The pause before a restart, the same for all.
const PAUSE: Duration = Duration::from_millis(100);

/// How often each contestant has its service killed.
const KILLS: usize = 31;

/// Measures both.
pub(crate) fn all(tools: &Tools, report: &mut Report) -> Result<(), String> {
    let Some(pkeep) = tools.ours("pkeep") else { return Ok(()) };
    let place = Folder::make(&tools.helper("keep"))?;
    idle(&pkeep, &place.0, report)?;
    restart(&pkeep, &place.0, report)
}

/// A supervisor that ends when this is dropped, with all that it keeps.
struct Keeper {
    child: Child,
    /// What has to be run so that it ends; without it a signal is enough.
    leave: Option<Command>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(leave) = &mut self.leave {
            let _ = leave.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        // It has not been waited for, so the number is its own.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn start(command: &mut Command, leave: Option<Command>) -> Result<Keeper, String> {
    let shown = format!("{command:?}");
    let child = command.stdin(Stdio::null()).spawn().map_err(|error| format!("start: {shown}: {error}"))?;
    Ok(Keeper { child, leave })
}

/// A pkeep of so many idle services and, where there is one, another.
fn pkeep(program: &Path, folder: &Path, more: Option<&str>) -> Result<Command, String> {
    let lines: Vec<String> = (0..IDLE)
        .map(|at| format!("{{\"service\":\"idle-{at}\",\"command\":[\"sleep\",\"100000\"]}}"))
        .chain(more.map(str::to_owned))
        .collect();
    let file = folder.join("services.ndjson");
    std::fs::write(&file, lines.join("\n")).map_err(|error| format!("write: {}: {error}", file.display()))?;
    let mut command = Command::new(program);
    command.env("PROCHERD_REGISTRY", folder.join("registry.json"));
    for name in ["PROCHERD_SESSION", "PROCHERD_PROJECT", "PROCHERD_ID", "PROCHERD_SERVICE", "PROCHERD_KEEP"] {
        command.env_remove(name);
    }
    command.arg("--quiet").arg(file);
    Ok(command)
}

/// Waits until all idle services have been found well.
fn settle(folder: &Path) -> Result<(), String> {
    let end = Instant::now() + Duration::from_mins(1);
    while Instant::now() < end {
        let text = std::fs::read_to_string(folder.join("registry.json")).unwrap_or_default();
        if text.matches("\"well_ms\"").count() >= IDLE {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("wait for: pkeep: its services are not well".into())
}

/// Processor time of a process of one thread, and of the children that it has waited for, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn used(pid: u32) -> Option<f64> {
    let own = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let own: u64 = own.split(' ').next()?.parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
    Some(own as f64 / 1e6 + ticks as f64 * 10.0)
}

/// The most memory that was resident, in MiB.
fn peak(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

fn idle(program: &Path, folder: &Path, report: &mut Report) -> Result<(), String> {
    report::title(&format!("keep {IDLE} services that do nothing, for {WATCHED:?}"));
    let keeper = start(&mut pkeep(program, folder, None)?, None)?;
    settle(folder)?;
    let pid = keeper.child.id();
    let (before, begun) = (used(pid), Instant::now());
    std::thread::sleep(WATCHED);
    let spent = used(pid).zip(before).map(|(now, before)| now - before);
    let part = spent.map(|spent| spent / begun.elapsed().as_secs_f64() / 10.0);
    report.at_most("pkeep, percent of a processor", part, 1.0);
    report.at_most("pkeep, peak memory in MiB", peak(pid), 8.0);
    Ok(())
}

/// A service that says its number as soon as it runs, and the supervisor that starts it anew.
struct Phoenix {
    _keeper: Keeper,
    said: BufReader<File>,
    process: i32,
}

impl Phoenix {
    fn new(keeper: Keeper, said: File) -> Result<Self, String> {
        if !speaks(&said) {
            return Err("wait for: the first word of the service: there is none".into());
        }
        let mut phoenix = Self { _keeper: keeper, said: BufReader::new(said), process: 0 };
        phoenix.process = phoenix.next()?;
        Ok(phoenix)
    }

    fn next(&mut self) -> Result<i32, String> {
        let mut line = String::new();
        self.said.read_line(&mut line).map_err(|error| format!("read: what the service says: {error}"))?;
        line.trim().parse().map_err(|_| format!("read: what the service says: '{line}'"))
    }

    /// Kills it; how long it took until it ran again, beyond the pause.
    fn rises(&mut self) -> Result<Cost, String> {
        let begun = Instant::now();
        kill(Pid::from_raw(self.process), Signal::SIGKILL)
            .map_err(|errno| format!("kill: the service: {errno}"))?;
        self.process = self.next()?;
        Ok(Cost { wall: begun.elapsed().saturating_sub(PAUSE), ..Cost::default() })
    }
}

/// Waits until a service has been started for the first time.
fn speaks(said: &File) -> bool {
    let mut fds = [PollFd::new(said.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(10_000_u16)).is_ok_and(|ready| ready > 0)
}

/// A pipe with a name. It is open for both sides, so that it never ends.
fn pipe(path: &Path) -> Result<File, String> {
    let failed = |why: &dyn std::fmt::Display| format!("make: {}: {why}", path.display());
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).map_err(|errno| failed(&errno))?;
    File::options().read(true).write(true).open(path).map_err(|error| failed(&error))
}

fn restart(program: &Path, folder: &Path, report: &mut Report) -> Result<(), String> {
    report::title(&format!("start a killed service anew, after a pause of {PAUSE:?}, beside {IDLE} others"));
    let (ours, loops, theirs) = ("pkeep", "a loop of the shell", "pm2");
    let script = |pipe: &Path| format!("echo $$ > {}; exec sleep 100000", pipe.display());
    let place = |name: &str| -> PathBuf { folder.join(name) };

    let said = pipe(&place("ours"))?;
    let record =
        format!("{{\"service\":\"phoenix\",\"command\":[\"sh\",\"-c\",\"{}\"]}}", script(&place("ours")));
    let mut command = pkeep(program, folder, Some(&record))?;
    let pause = format!("{}ms", PAUSE.as_millis());
    command.args(["--tries", "1000000", "--pause", &pause, "--longest-pause", &pause]);
    let keeper = start(&mut command, None)?;
    settle(folder)?;
    let mut contestants = vec![(ours.to_owned(), Phoenix::new(keeper, said)?)];

    let said = pipe(&place("loop"))?;
    let again =
        format!("while :; do sh -c '{}'; sleep {}; done", script(&place("loop")), PAUSE.as_secs_f64());
    let keeper = start(Command::new("sh").args(["-c", &again]).stderr(Stdio::null()), None)?;
    contestants.push((loops.to_owned(), Phoenix::new(keeper, said)?));

    if let Some(mut pm2) = peer(theirs) {
        let said = pipe(&place("pm2"))?;
        let file = place("phoenix.sh");
        let mut text = File::create(&file).map_err(|error| format!("write: {}: {error}", file.display()))?;
        let _ = writeln!(text, "{}", script(&place("pm2")));
        let home = place("pm2-home");
        let mut leave = Command::new(theirs);
        leave.arg("kill").env("PM2_HOME", &home);
        pm2.args(["start", "--interpreter", "sh", "--restart-delay", &PAUSE.as_millis().to_string()]);
        pm2.arg(file).env("PM2_HOME", home).stdout(Stdio::null());
        let keeper = start(&mut pm2, Some(leave))?;
        contestants.push((theirs.to_owned(), Phoenix::new(keeper, said)?));
    }
    if peer(MANAGER).is_some() {
        let said = pipe(&place("manager"))?;
        match Phoenix::new(start(&mut manager(folder, &script(&place("manager")))?, None)?, said) {
            Ok(phoenix) => contestants.push((MANAGER.to_owned(), phoenix)),
            Err(_) => report::skipped(MANAGER, "it does not start here as the manager of a user"),
        }
    }
    let rounds = Rounds::play(&mut contestants, KILLS, Phoenix::rises)?;
    report::times(&rounds, loops);
    report.at_most("pkeep, wall ms beyond the pause", rounds.median(ours, wall), 50.0);
    for peer in [theirs, MANAGER] {
        let ratio = rounds.ratio(ours, peer, wall);
        report.at_most(&format!("pkeep, time beyond the pause against {peer}"), ratio, 1.0);
    }
    Ok(())
}

const MANAGER: &str = "systemd";

/// A manager of a user's services, with units of its own. It wants to see that the machine was booted by its like: where
/// that is not so, it is shown a `/run` of its own, in a mount namespace of its own.
fn manager(folder: &Path, script: &str) -> Result<Command, String> {
    const START: &str = "test -d /run/systemd/system ||
        { mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system; } && exec systemd --user";
    let (config, runtime) = (folder.join("config"), folder.join("runtime"));
    let (units, wants) = (config.join("systemd/user"), config.join("systemd/user/default.target.wants"));
    let failed = |error: std::io::Error| format!("write: {}: {error}", units.display());
    std::fs::create_dir_all(&wants).map_err(failed)?;
    std::fs::create_dir_all(&runtime).map_err(failed)?;
    let unit = format!(
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec={}ms\nExecStart=/bin/sh -c '{}'\n",
        PAUSE.as_millis(),
        script.replace('$', "$$")
    );
    std::fs::write(units.join("phoenix.service"), unit).map_err(failed)?;
    std::os::unix::fs::symlink("../phoenix.service", wants.join("phoenix.service")).map_err(failed)?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", START]).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("HOME", folder).env("XDG_CONFIG_HOME", config).env("XDG_RUNTIME_DIR", runtime);
    Ok(command)
}
