//! Tools that go on looking: what that costs, and how soon they tell.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::cost;
use crate::crowd::{Crowd, Plan};
use crate::report::{self, Report};
use crate::tools::Tools;

const PROCESSES: usize = 300;
/// For how long processor time is measured.
const SECONDS: u64 = 10;
/// How often something is made to appear.
const TIMES: u32 = 20;

/// Measures processor time and delay of everything that watches, without the news of the kernel.
pub(crate) fn all(tools: &Tools, report: &mut Report) -> Result<(), String> {
    report::title(&format!("watch {PROCESSES} processes, by looking at intervals of 250 ms"));
    let plan = Plan { shape: "bushy", count: PROCESSES, orphans: 0, polite: true, cgroup: None };
    let _crowd = Crowd::gather(tools, plan)?;
    let registry = Registry::make()?;
    if let Some(pwatch) = tools.ours("pwatch") {
        let watch = |words: &[&str]| {
            let mut command = Command::new(&pwatch);
            command.args(["--no-news"]).args(words).env("PROCHERD_REGISTRY", &registry.file);
            command
        };
        let limit = format!("{SECONDS}s");
        for (what, words, busy) in [
            ("pwatch, % of a core, nothing happens", &["--timeout", &limit][..], false),
            ("pwatch, % of a core, 20 processes start and end each second", &["--timeout", &limit], true),
            (
                "pwatch -e exited (no ports), % of a core, likewise",
                &["--timeout", &limit, "-e", "exited"],
                true,
            ),
        ] {
            report.at_most(what, Some(share(watch(words), busy)?), 2.0);
        }
        let delays = starts(watch(&[]))?;
        report.at_most("pwatch, ms from exec to the record, median", middle(&delays), 250.0);
        report.at_most("pwatch, ms from exec to the record, longest", longest(&delays), 275.0);
    }
    if let Some(pdups) = tools.ours("pdups") {
        let mut command = Command::new(pdups);
        command.args(["--role", "twin=^sleep 5417", "--watch"]).env("PROCHERD_REGISTRY", &registry.file);
        report.at_most("pdups --watch, ms until told, longest", longest(&duplicates(command)?), 1000.0);
    }
    if let (Some(pports), Some(pspawn)) = (tools.ours("pports"), tools.ours("pspawn")) {
        let mut command = Command::new(pports);
        command.args(["--conflicts", "--watch"]).env("PROCHERD_REGISTRY", &registry.file);
        let delays = conflicts(command, &pspawn, &registry.file)?;
        report.at_most("pports --conflicts --watch, ms until told, longest", longest(&delays), 1000.0);
    }
    Ok(())
}

/// The share of one core that a command takes while it runs, in percent.
fn share(mut command: Command, busy: bool) -> Result<f64, String> {
    let done = std::sync::atomic::AtomicBool::new(false);
    let cost = std::thread::scope(|scope| {
        if busy {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = Command::new("true").status();
                    std::thread::sleep(Duration::from_millis(45));
                }
            });
        }
        let cost = cost::run(&mut command, &[0]);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        cost
    })?;
    Ok(100.0 * cost.cpu.as_secs_f64() / cost.wall.as_secs_f64())
}

/// A tool that watches, and the lines that it writes.
struct Watcher {
    child: Child,
    lines: Receiver<String>,
}

impl Watcher {
    fn start(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("start: a watcher: {error}"))?;
        let output = child.stdout.take().ok_or("start: a watcher: it has no output")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Waits for a line in which all of these stand.
    fn told(&self, words: &[&str]) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).map_err(|_| format!("wait for: {words:?}: never told"))?;
            if words.iter().all(|word| line.contains(word)) {
                return Ok(());
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that ends with this value.
struct Sleeper(Child);

impl Sleeper {
    fn start(seconds: &str) -> Result<Self, String> {
        let child = Command::new("sleep").arg(seconds).stdin(Stdio::null()).spawn();
        child.map(Self).map_err(|error| format!("start: sleep: {error}"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long it takes until the start of a process is told: from the moment at which it has become its program.
fn starts(command: Command) -> Result<Vec<f64>, String> {
    let watcher = Watcher::start(command)?;
    let ready = Sleeper::start("5416")?;
    // It may have begun before the watcher looked for the first time: its end is told in any case.
    pause(500);
    let first = ready.0.id();
    drop(ready);
    watcher.told(&["\"exited\"", &format!("\"pid\":{first},")])?;
    let mut delays = Vec::new();
    for turn in 0..TIMES {
        // Not in step with its looks.
        pause(u64::from(97 + 37 * turn % 250));
        let sleeper = Sleeper::start("5416")?;
        let begin = Instant::now();
        watcher.told(&["\"started\"", &format!("\"pid\":{},", sleeper.0.id())])?;
        delays.push(ms(begin));
    }
    Ok(delays)
}

/// How long it takes until a second instance is told.
fn duplicates(command: Command) -> Result<Vec<f64>, String> {
    let watcher = Watcher::start(command)?;
    let _one = Sleeper::start("5417")?;
    let mut delays = Vec::new();
    for turn in 0..TIMES {
        pause(u64::from(613 + 37 * turn % 250));
        let two = Sleeper::start("5417")?;
        let begin = Instant::now();
        watcher.told(&["\"twin\"", &format!("\"pid\":{},", two.0.id())])?;
        delays.push(ms(begin));
    }
    Ok(delays)
}

/// How long it takes until it is told that somebody listens on the port of a service. That one is us.
fn conflicts(command: Command, pspawn: &Path, registry: &Path) -> Result<Vec<f64>, String> {
    let failed = |error| format!("listen: {error}");
    let listen = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed);
    let port = listen(0)?.local_addr().map_err(failed)?.port();
    let mut spawn = Command::new(pspawn);
    spawn.args(["api", "--port", &port.to_string(), "--", "sleep", "5418"]);
    cost::run(spawn.env("PROCHERD_REGISTRY", registry), &[0])?;
    let watcher = Watcher::start(command)?;
    let mut delays = Vec::new();
    for turn in 0..TIMES {
        pause(u64::from(613 + 37 * turn % 250));
        let socket = listen(port)?;
        let begin = Instant::now();
        watcher.told(&["held-by-another", &format!("\"pid\":{},", std::process::id())])?;
        delays.push(ms(begin));
        drop(socket);
    }
    cost::run(
        Command::new(pspawn.with_file_name("pkill-tree"))
            .args(["--quiet", "api"])
            .env("PROCHERD_REGISTRY", registry),
        &[0],
    )?;
    Ok(delays)
}

/// A registry of our own, removed at the end.
struct Registry {
    folder: PathBuf,
    file: PathBuf,
}

impl Registry {
    fn make() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("procherd-bench-watch-{}", crate::crowd::now()));
        std::fs::create_dir(&folder).map_err(|error| format!("make: {}: {error}", folder.display()))?;
        Ok(Self { file: folder.join("registry.json"), folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn ms(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

fn middle(delays: &[f64]) -> Option<f64> {
    let mut sorted = delays.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn longest(delays: &[f64]) -> Option<f64> {
    delays.iter().copied().max_by(f64::total_cmp)
}
