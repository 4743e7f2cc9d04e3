//! Finding orphans by evidence, for the tools that show them and those that end them.

use std::collections::{HashMap, HashSet};

use procherd::error::Result;
use procherd::evidence::{self, Evidence, Kind, Strength};
use procherd::id::Pid;
use procherd::select::{self, Facts as _};
use procherd::source::Wants;
use procherd::tree::{self, Index};

use super::scene::Scene;
use super::search::Search;

/// A process and why it counts as an orphan.
pub type Finding = (Index, Vec<Evidence>);

/// Finds orphans among the processes of one look.
pub struct Finder {
    /// The look, and who is wanted.
    pub search: Search,
    untracked: bool,
}

impl Finder {
    /// Finds what a search wants; with `untracked` also what is no orphan and not registered.
    pub fn new(search: Search, untracked: bool) -> Self {
        Self { search, untracked }
    }

    /// Finds the orphans that are wanted, parents first.
    ///
    /// The table was read without command lines, owners and identities. They are read for those processes alone that
    /// the evidence of the table leaves.
    pub fn find(&mut self) -> Result<Vec<Finding>> {
        let table = self.scene().table();
        let allowed = |index: &Index| !self.search.is_own(*index) && self.search.is_asked(*index);
        let mut orphans: Vec<Finding> = (0..table.processes().len())
            .map(|index| (index, self.evidence(index)))
            .filter(|(_, evidence)| !evidence.is_empty())
            .collect();
        orphans.retain(|(index, evidence)| self.reportable(*index, evidence));
        let mut trees: Vec<Vec<Index>> = orphans.iter().map(|(index, _)| self.tree(*index)).collect();
        if self.untracked {
            trees.push(table.walk(&table.roots(), usize::MAX).into_iter().map(|step| step.index).collect());
        }
        let mut wanted: Vec<Index> = trees.iter().flatten().copied().filter(allowed).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let everyday = self.search.scene.enrich(&wanted, Wants::EVERYDAY)?;
        let matching = everyday.into_iter().filter(|index| self.search.wants(*index)).collect();
        let mut findings = Vec::new();
        let mut taken = HashSet::new();
        for ((root, evidence), tree) in orphans.iter().zip(&trees) {
            for index in self.topmost(tree, &matching) {
                if taken.insert(index) {
                    findings.push((index, self.evidence_below(index, *root, evidence)));
                }
            }
        }
        if self.untracked {
            let unknown = matching.into_iter().filter(|index| self.is_untracked(*index)).collect();
            let everything = trees.last().map(Vec::as_slice).unwrap_or_default();
            for index in self.topmost(everything, &unknown) {
                if taken.insert(index) {
                    findings.push((index, vec![Evidence::new(Kind::Unregistered, Strength::Probable, &[])]));
                }
            }
        }
        let table = self.scene().table();
        findings.sort_unstable_by_key(|(index, _)| (table.get(*index).start_ticks, table.get(*index).pid));
        Ok(findings)
    }

    fn scene(&self) -> &Scene {
        &self.search.scene
    }

    /// All evidence for one process that costs few reads.
    fn evidence(&self, index: Index) -> Vec<Evidence> {
        let table = self.scene().table();
        let process = table.get(index);
        let mut found = evidence::of_table(table, index);
        if let Some(registration) = self.scene().registered.of(process, table) {
            found.extend(evidence::of_registration(registration));
        }
        let adopted = table.parent(index).is_none_or(|parent| evidence::reaper(table.get(parent)).is_some());
        let ordinary = !process.kernel_thread && !process.is_zombie() && evidence::reaper(process).is_none();
        if adopted && ordinary && process.ppid != 0 && self.scene().is_live() {
            let removed = ["fd/0", "fd/1", "fd/2"].iter().find_map(|name| {
                let link = self.scene().source().link(process.pid, name).ok()?.into_encoded_bytes();
                evidence::leads_to_removed_tty(&link).then(|| procherd::text::visible(&link))
            });
            if let Some(link) = removed {
                found.push(Evidence::new(Kind::TtyGone, Strength::Probable, &[]).with("tty", link));
            }
            if self.scene().registered.has_sessions() {
                found.extend(self.dead_session(index));
            }
        }
        found
    }

    /// Evidence that the process carries the mark of a session whose owner is dead.
    fn dead_session(&self, index: Index) -> Option<Evidence> {
        let id = self.session_mark(index)?;
        let dead = self.scene().registered.session_lives(&id) == Some(false);
        dead.then(|| Evidence::new(Kind::CookieOfDeadSession, Strength::Probable, &[]).with("session", id))
    }

    /// The session whose mark a process carries.
    fn session_mark(&self, index: Index) -> Option<String> {
        let process = self.scene().table().get(index);
        let select::Fact::Known(environ) = self.scene().environ(process) else { return None };
        Some(String::from_utf8_lossy(select::variable(&environ, "PROCHERD_SESSION")?).into_owned())
    }

    /// Tells whether a process carries the mark of somebody else's session, whose owner lives: what that one started and
    /// left running is its own affair.
    fn belongs_to_others(&self, index: Index) -> bool {
        let registered = &self.scene().registered;
        let lives = |id: &String| registered.session_lives(id) == Some(true);
        let ours = |id: &String| {
            std::env::var("PROCHERD_SESSION").is_ok_and(|own| own == *id)
                || self.search.selection().sessions.contains(id)
        };
        self.scene().is_live()
            && registered.has_sessions()
            && self.session_mark(index).is_some_and(|id| lives(&id) && !ours(&id))
    }

    /// Tells whether a process is in a container that this tool is not in: what is adopted in there is the affair of the
    /// container's own init, and all of it ends with the container.
    fn in_another_container(&self, index: Index) -> bool {
        let scene = self.scene();
        let container = |pid| scene.source().container(pid);
        scene.is_live()
            && container(scene.table().get(index).pid)
                .is_some_and(|found| container(Pid::this()).as_ref() != Some(&found))
    }

    /// Certain evidence counts by itself, probable evidence only when the search was narrowed. What the registry knows
    /// as a living service is no orphan, whatever its parent.
    fn reportable(&self, index: Index, evidence: &[Evidence]) -> bool {
        let certain = evidence.iter().any(|piece| piece.strength == Strength::Certain);
        let owner_dead = evidence.iter().any(|piece| piece.kind == Kind::OwnerDead);
        let registered = self.scene().registered.nearest(index, self.scene().table());
        (certain || self.search.selection().narrows())
            && (owner_dead || !self.belongs_to_others(index))
            && (owner_dead || registered.is_none_or(|entry| entry.owner_dead.is_some()))
            && (owner_dead || !self.in_another_container(index))
    }

    /// The processes of an orphaned tree: those below its root, but not in the session of another terminal, where
    /// somebody sits, and not what is registered and lives.
    fn tree(&self, root: Index) -> Vec<Index> {
        let table = self.scene().table();
        let session = table.get(root).sid;
        let mut members = vec![root];
        let mut next = 0;
        while let Some(index) = members.get(next).copied() {
            next += 1;
            members.extend(table.children(index).filter(|child| {
                let process = table.get(*child);
                let elsewhere = process.tty != 0 && process.sid != session;
                let known = self
                    .scene()
                    .registered
                    .of(process, table)
                    .is_some_and(|entry| entry.owner_dead.is_none());
                !elsewhere && !known && !process.is_zombie()
            }));
        }
        members
    }

    /// The matching processes of a tree that no other one stands above. The tree lists parents before children.
    fn topmost(&self, tree: &[Index], matching: &HashSet<Index>) -> Vec<Index> {
        let table = self.scene().table();
        let mut covered: HashSet<Index> = HashSet::new();
        let mut topmost = Vec::new();
        for index in tree {
            if table.parent(*index).is_some_and(|parent| covered.contains(&parent)) {
                covered.insert(*index);
            } else if matching.contains(index) {
                covered.insert(*index);
                topmost.push(*index);
            }
        }
        topmost
    }

    fn evidence_below(&self, index: Index, root: Index, evidence: &[Evidence]) -> Vec<Evidence> {
        if index == root {
            return evidence.to_vec();
        }
        let strength = evidence.iter().map(|piece| piece.strength).max().unwrap_or(Strength::Probable);
        let root = self.scene().table().get(root).pid.get();
        let mut all = vec![Evidence::new(Kind::BelowOrphan, strength, &[("orphan", root)])];
        all.extend(evidence.iter().filter(|piece| piece.kind == Kind::OwnerDead).cloned());
        all
    }

    fn is_untracked(&self, index: Index) -> bool {
        let table = self.scene().table();
        let process = table.get(index);
        let ordinary = !process.kernel_thread && !process.is_zombie() && evidence::reaper(process).is_none();
        ordinary
            && self.scene().registered.nearest(index, table).is_none()
            && !self.in_another_container(index)
    }

    /// What is written: the findings, or with `all` every member of their trees, parents first.
    pub fn listed(&mut self, found: Vec<Finding>, all: bool) -> Result<Vec<Finding>> {
        if !all {
            return Ok(found);
        }
        let mut listed: HashMap<Index, Vec<Evidence>> = HashMap::new();
        for (root, evidence) in &found {
            for index in self.tree(*root).into_iter().filter(|index| !self.search.is_own(*index)) {
                listed.entry(index).or_insert_with(|| self.evidence_below(index, *root, evidence));
            }
        }
        listed.extend(found);
        let indices: Vec<Index> = listed.keys().copied().collect();
        let mut still = self.search.scene.enrich(&indices, Wants::EVERYDAY)?;
        tree::parents_first(self.scene().table(), &mut still);
        Ok(still.into_iter().filter_map(|index| Some((index, listed.remove(&index)?))).collect())
    }
}
