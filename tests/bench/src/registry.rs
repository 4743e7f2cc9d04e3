//! Saving into the registry, and looking something up in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cost::{self, Cost, Rounds, wall};
use crate::crowd::{Crowd, Plan};
use crate::report::{self, Report};
use crate::tools::Tools;

/// The service that is saved again and again.
const NAME: &str = "bench-service";

const FLOOR: &str = "floor: the same bytes, one fsync";

/// One contestant: a program and the registry that it writes.
struct Saver {
    words: Vec<String>,
    registry: PathBuf,
}

impl Saver {
    fn command(&self, number: usize) -> Command {
        let mut command = Command::new(&self.words[0]);
        let name = if number == 0 { NAME.to_owned() } else { format!("{NAME}-{number}") };
        command.args(self.words[1..].iter().map(|word| if word == NAME { &name } else { word }));
        command.env("PROCHERD_REGISTRY", &self.registry).env_remove("PROCHERD_SESSION");
        command.env_remove("PROCHERD_PROJECT");
        command
    }
}

/// Measures one save, many at once, and a look.
pub(crate) fn all(tools: &Tools, report: &mut Report) -> Result<(), String> {
    let (Some(ptrack), Some(floor)) = (tools.ours("ptrack"), tools.beside("save-floor")) else {
        return Ok(());
    };
    let crowd =
        Crowd::gather(tools, Plan { shape: "wide", count: 1, orphans: 0, polite: true, cgroup: None })?;
    let root = crowd.root().to_string();
    let place = Folder::make(&tools.helper("registry"))?;
    let savers = |folder: &Path, entries: usize, copies: usize| -> Result<Vec<(String, Saver)>, String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let ours = Saver {
            words: words(&[&ptrack.to_string_lossy(), "save", "--quiet", NAME, &root]),
            registry: folder.join(format!("ours-{entries}.json")),
        };
        let least = folder.join(format!("floor-{entries}.json"));
        let plain = Saver {
            words: words(&[&floor.to_string_lossy(), &least.to_string_lossy(), NAME]),
            registry: least,
        };
        write(&ours.registry, entries)?;
        // What is saved stands there already, so that every round reads and writes the same bytes.
        for number in 0..copies {
            cost::run(&mut ours.command(number), &[0])?;
        }
        std::fs::copy(&ours.registry, &plain.registry)
            .map_err(|error| format!("copy: {}: {error}", ours.registry.display()))?;
        Ok(vec![(FLOOR.to_owned(), plain), ("ptrack save".to_owned(), ours)])
    };
    for (entries, turns) in [(10, 101), (1_000, 51), (10_000, 21)] {
        report::title(&format!("save into a registry of {entries} entries, on disk"));
        let mut contestants = savers(&place.0, entries, 1)?;
        let rounds = Rounds::play(&mut contestants, turns, |saver| cost::run(&mut saver.command(0), &[0]))?;
        report::table(&rounds, FLOOR);
        let what = format!("ptrack save, {entries} entries, wall / the same bytes");
        report.at_most(&what, rounds.ratio("ptrack save", FLOOR, wall), 1.5);
    }
    report::title("64 savers at once, 1000 entries, on disk");
    let mut contestants = savers(&place.0, 1_000, 64)?;
    let rounds = Rounds::play(&mut contestants, 9, |saver| together(saver, 64))?;
    report::table(&rounds, FLOOR);
    let ratio = rounds.ratio("ptrack save", FLOOR, wall);
    report.at_most("64 x ptrack save, wall / 64 x the same bytes", ratio, 1.5);
    report::title("200 savers at once, 200 entries, on tmpfs");
    match Folder::in_memory() {
        Ok(memory) => {
            let mut contestants = savers(&memory.0, 200, 200)?;
            let rounds = Rounds::play(&mut contestants, 5, |saver| together(saver, 200))?;
            report::table(&rounds, FLOOR);
            report.at_most("200 x ptrack save, ms", rounds.median("ptrack save", wall), 1000.0);
        }
        Err(why) => report::skipped("200 savers", &why),
    }
    look(&ptrack, &place, report)
}

/// Measures a look at one entry of many.
fn look(ptrack: &Path, place: &Folder, report: &mut Report) -> Result<(), String> {
    report::title("look up one service by name");
    let mut contestants = [10, 10_000].map(|entries| {
        let mut command = Command::new(ptrack);
        command.args(["get", NAME, "--global", "--format", "ndjson", "--registry"]);
        command.arg(place.0.join(format!("ours-{entries}.json")));
        (format!("ptrack get, {entries} entries"), command)
    });
    let rounds = Rounds::play(&mut contestants, 51, |command| cost::run(command, &[0]))?;
    let (few, many) = (&contestants[0].0, &contestants[1].0);
    report::table(&rounds, few);
    let more = rounds.median(many, wall).zip(rounds.median(few, wall)).map(|(many, few)| many - few);
    report.at_most("ptrack get, ms more at 10,000 entries than at 10", more, 10.0);
    Ok(())
}

/// Runs a saver many times at once. The processor time is not measured.
fn together(saver: &Saver, count: usize) -> Result<Cost, String> {
    let begin = Instant::now();
    let started = (0..count).map(|number| saver.command(number).stdin(Stdio::null()).spawn());
    let mut children = started.collect::<Result<Vec<_>, _>>().map_err(|error| format!("start: {error}"))?;
    for child in &mut children {
        let status = child.wait().map_err(|error| format!("wait: {error}"))?;
        if !status.success() {
            return Err(format!("run: {}: {status}", saver.words[0]));
        }
    }
    Ok(Cost { wall: begin.elapsed(), ..Cost::default() })
}

/// Writes a registry with so many entries of 250 bytes, as other programs write them.
fn write(path: &Path, entries: usize) -> Result<(), String> {
    let entry = |number: usize| {
        format!(
            r#""service-{number:06}":{{"pid":{},"script":"packages/service-{number}/src/index.ts","type":"global","startTime":1700000000000,"lastHealthCheck":1700000015000,"status":"running","metadata":{{"managedBy":"coordinator","note":"as written by another program"}}}}"#,
            100_000 + number
        )
    };
    let all: Vec<String> = (0..entries).map(entry).collect();
    let text = format!(
        r#"{{"version":"3.0.0","lastChange":1700000000000,"sessions":{{}},"services":{{"global":{{{}}},"projects":{{}},"sessions":{{}}}}}}"#,
        all.join(",\n")
    );
    let failed = |error| format!("write: {}: {error}", path.display());
    std::fs::write(path, text).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)
}

/// A folder of our own, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// Makes one beside a path, with the number of this process in its name.
    pub(crate) fn make(path: &Path) -> Result<Self, String> {
        let path = path.with_extension(std::process::id().to_string());
        // What an interrupted run has left.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).map_err(|error| format!("make: {}: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// One on a file system that has no disk.
    fn in_memory() -> Result<Self, String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let shared = mounts.lines().any(|line| {
            let mut words = line.split(' ').skip(1);
            (words.next(), words.next()) == (Some("/dev/shm"), Some("tmpfs"))
        });
        if !shared {
            return Err("/dev/shm is no tmpfs here".to_owned());
        }
        Self::make(Path::new("/dev/shm/procherd-bench"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            report::fail(&format!("remove: {}: {error}", self.0.display()), 3);
        }
    }
}
