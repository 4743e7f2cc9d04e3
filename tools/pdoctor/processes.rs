//! What crashes leave behind among processes.

use std::collections::HashMap;

use procherd::error::Result;
use procherd::record::Process;
use procherd::text::visible;
use procherd::zombies;

use super::services::Living;
use super::{Findings, On, Severity};
use crate::frame::{Finder, Reporter, Scene, Search};

/// Looks for zombies and for orphans.
pub(super) fn examine(search: Search, findings: &mut Findings, reporter: &mut Reporter) -> Result<()> {
    let dead = zombies::of(search.scene.table());
    if dead.is_empty() {
        findings.fine("zombies", "nobody waits to be reaped");
    } else {
        // One look cannot tell a parent that is about to reap from one that never will.
        let why = "they are dead and not reaped yet; a second look tells whether their parents will";
        findings.add("zombies", Severity::Notice, On::Count(dead.len()), why, Some("pzombies"));
    }
    let mut finder = Finder::new(search, false);
    let orphans = finder.find()?.len();
    if orphans == 0 {
        findings.fine("orphans", "no process of yours has certainly lost its owner");
    } else {
        let why = "their owners are certainly gone; look at them before you end them";
        findings.add("orphans", Severity::Warning, On::Count(orphans), why, Some("porphans | pkill-tree"));
    }
    finder.search.end(reporter);
    Ok(())
}

/// Finds processes that run the command of a registered service without belonging to it.
pub(super) fn duplicates(scene: &Scene, living: Vec<Living>, findings: &mut Findings) {
    let table = scene.table();
    let mut commands: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    for (index, process) in table.processes().iter().enumerate() {
        if !process.cmdline.is_empty() {
            commands.entry(process.cmdline.bytes().to_vec()).or_default().push(index);
        }
    }
    let before = findings.0.len();
    for (service, identity) in living {
        let Some(own) = table.find(identity.pid.get()) else { continue };
        let same = commands.get(table.get(own).cmdline.bytes()).map(Vec::as_slice).unwrap_or_default();
        let others = same.iter().filter(|other| {
            **other != own
                && table.ancestors(**other).all(|above| above != own)
                && unregistered(scene, **other)
        });
        let others: Vec<&Process> = others.map(|other| table.get(*other)).collect();
        let list = |of: &dyn Fn(&Process) -> String, between| {
            others.iter().map(|other| of(other)).collect::<Vec<_>>().join(between)
        };
        if !others.is_empty() {
            let command = visible(&procherd::text::joined(table.get(own).cmdline.bytes()));
            let pids = list(&|other| other.pid.to_string(), ", ");
            let why = format!("process {pids} runs the same command and is not registered: {command}");
            let fix = format!("pkill-tree {}", list(&operand, " "));
            findings.add("duplicate", Severity::Warning, On::Service(service), why, Some(&fix));
        }
    }
    if findings.0.len() == before {
        findings.fine("duplicate", "no service runs a second time beside its entry");
    }
}

/// A process as an operand: with its inode, so that the command stays true when the number is given away.
fn operand(process: &Process) -> String {
    match process.inode {
        Some(inode) => format!("{}:{inode}", process.pid),
        None => process.pid.to_string(),
    }
}

/// Tells whether the registry knows nothing of a process and of what is above it.
fn unregistered(scene: &Scene, index: usize) -> bool {
    scene.registered.nearest(index, scene.table()).is_none()
}
