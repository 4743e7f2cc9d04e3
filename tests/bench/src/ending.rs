//! Ending a tree, and waiting for one that does not want to end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cost::{self, Cost, Rounds, cpu, memory, wall};
use crate::crowd::{Crowd, MARK, Plan, now};
use crate::report::{self, Report};
use crate::tools::{Tools, peer};

/// A way to end a tree.
enum Way {
    /// A program with options, which gets the root as its operand.
    Root(PathBuf, &'static [&'static str]),
    /// `pkill -f` with the mark that all members carry.
    Pattern,
    /// One write into the members' cgroup.
    Cgroup,
}

/// Measures how long it takes until a tree of polite processes is gone and the tool has ended.
pub(crate) fn tree(tools: &Tools, shape: &str, count: usize, report: &mut Report) -> Result<(), String> {
    report::title(&format!("end a tree: {shape}, {count} processes that end at SIGTERM"));
    let cgroup = Cgroup::make();
    let (sweep, limit) = ("floor: scan once, pidfd", "cgroup.kill");
    let mut ways = vec![(sweep.to_owned(), Way::Root(tools.helper("sweep"), &[]))];
    ways.extend(
        tools.ours("pkill-tree").map(|path| ("pkill-tree".to_owned(), Way::Root(path, &["--quiet"]))),
    );
    ways.extend(peer("pkill").map(|_| ("pkill -f".to_owned(), Way::Pattern)));
    match &cgroup {
        Some(_) => ways.push((limit.to_owned(), Way::Cgroup)),
        None => report::skipped(limit, "no cgroup v2 that we may write"),
    }
    let folder = cgroup.as_ref().map(|cgroup| cgroup.0.as_path());
    let rounds = Rounds::play(&mut ways, 5, |way| {
        let crowd = Crowd::gather(tools, Plan { shape, count, orphans: 0, polite: true, cgroup: folder })?;
        let begin = now();
        let mut cost = match way {
            Way::Root(program, options) => {
                cost::run(Command::new(program).args(*options).arg(crowd.root().to_string()), &[0])?
            }
            Way::Pattern => cost::run(Command::new("pkill").args(["-f", MARK]), &[0])?,
            Way::Cgroup => cgroup.as_ref().map_or(Ok(Cost::default()), Cgroup::kill)?,
        };
        let until_gone = Duration::from_nanos(crowd.gone()?.saturating_sub(begin));
        cost.wall = cost.wall.max(until_gone);
        Ok(cost)
    })?;
    report::table(&rounds, sweep);
    for (base, goal) in [(sweep, 1.2), (limit, 2.2), ("pkill -f", 0.6)] {
        report.at_most(&format!("pkill-tree, wall / {base}"), rounds.ratio("pkill-tree", base, wall), goal);
    }
    report.at_most("pkill-tree, MiB", rounds.median("pkill-tree", memory), 32.0);
    Ok(())
}

/// Measures what waiting costs: 100 processes that ignore SIGTERM, and a grace of three seconds.
pub(crate) fn patience(tools: &Tools, report: &mut Report) -> Result<(), String> {
    report::title("wait out a grace of 3 s for 100 processes that ignore SIGTERM");
    let Some(program) = tools.ours("pkill-tree") else { return Ok(()) };
    let mut ways = vec![("pkill-tree".to_owned(), program)];
    let rounds = Rounds::play(&mut ways, 3, |program| {
        let plan = Plan { shape: "wide", count: 100, orphans: 0, polite: false, cgroup: None };
        let crowd = Crowd::gather(tools, plan)?;
        let root = crowd.root().to_string();
        let cost = cost::run(Command::new(program).args(["--quiet", "--grace", "3s", &root]), &[0])?;
        crowd.gone()?;
        Ok(cost)
    })?;
    report.at_most("pkill-tree, cpu ms", rounds.median("pkill-tree", cpu), 20.0);
    report.at_most("pkill-tree, wall ms", rounds.median("pkill-tree", wall), 3200.0);
    Ok(())
}

/// A cgroup of our own, removed at the end.
struct Cgroup(PathBuf);

impl Cgroup {
    fn make() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let folder = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (place, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| Path::new(place).join(format!("procherd-bench-{}", now())))
        })?;
        std::fs::create_dir(&folder).ok()?;
        let cgroup = Self(folder);
        cgroup.0.join("cgroup.kill").exists().then_some(cgroup)
    }

    fn kill(&self) -> Result<Cost, String> {
        let begin = now();
        std::fs::write(self.0.join("cgroup.kill"), "1")
            .map_err(|error| format!("write: cgroup.kill: {error}"))?;
        Ok(Cost { wall: Duration::from_nanos(now() - begin), ..Cost::default() })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.0) {
            report::fail(&format!("remove: {}: {error}", self.0.display()), 3);
        }
    }
}
