//! Which processes are instances of the same, and which of them are left over.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use procherd::error::Result;
use procherd::program::{self, Script};
use procherd::registry::{self, Scope, Verdict};
use procherd::select::{self, Fact, Facts as _, Pattern};
use procherd::text::{joined, visible};
use procherd::tree::Index;

use super::TOOL;
use super::rules::Rules;
use crate::frame::{Expect, RegistryArgs, Scene, Search};

/// What makes two processes instances of the same.
pub(super) enum By {
    /// The same command line.
    Command,
    /// The same executable, and the same script where that is an interpreter.
    Script,
    /// The same facts.
    Facts(Vec<String>),
    /// The same role: by pattern, or by registration.
    Role,
}

/// The facts that may be named.
pub(super) const FACTS: [&str; 9] =
    ["command", "script", "exe", "comm", "cwd", "user", "service", "project", "session"];

/// Processes that are instances of the same.
pub(super) struct Group {
    /// The name of the role, or what they have in common.
    pub(super) label: String,
    /// The role alone, without whose it is.
    role: String,
    /// The instances, oldest first.
    pub(super) members: Vec<Index>,
    /// How many there may be.
    pub(super) expected: Expect,
}

impl Group {
    /// Tells whether there are as many as there may be.
    pub(super) fn is_right(&self) -> bool {
        self.expected.allows(self.members.len())
    }
}

/// A role that the registry knows: whose it is, the command that plays it, and where.
struct Registered {
    name: String,
    label: String,
    identity: procherd::id::Identity,
    command: Vec<u8>,
    cwd: Option<Vec<u8>>,
}

/// Collects the groups of all processes that are wanted.
pub(super) fn collect(
    search: &mut Search,
    by: &By,
    rules: &Rules,
    each: bool,
    registry: &RegistryArgs,
) -> Result<Vec<Group>> {
    let registered = match by {
        By::Role if search.scene.is_live() => read_roles(search, registry)?,
        _ => Vec::new(),
    };
    let table = search.scene.table();
    let ancestors: HashSet<Index> = table
        .find(procherd::id::Pid::this().get())
        .filter(|_| search.scene.is_live())
        .map(|own| table.ancestors(own).collect())
        .unwrap_or_default();
    // Who merely runs this tool has in its arguments what the tool looks for. Another ancestor may well be an instance.
    let runs_us = |index: Index| {
        let names_us = |word: &[u8]| word.windows(TOOL.name.len()).any(|part| part == TOOL.name.as_bytes());
        !ancestors.contains(&index) || names_us(table.get(index).cmdline.bytes())
    };
    let candidates: Vec<Index> = (0..table.processes().len())
        .filter(|index| {
            let process = table.get(*index);
            let ours = search.is_own(*index) && runs_us(*index);
            !ours && !process.kernel_thread && !process.is_zombie() && search.is_asked(*index)
        })
        .collect();
    let mut wanted: Vec<Index> = candidates.into_iter().filter(|index| search.wants(*index)).collect();
    if matches!(by, By::Command) {
        leave_out_the_unique(search, &mut wanted);
    }
    let mut groups: BTreeMap<String, (String, Vec<Index>)> = BTreeMap::new();
    for index in wanted {
        if let Some((label, role)) = label(search, index, by, &rules.roles, &registered) {
            groups.entry(label).or_insert_with(|| (role, Vec::new())).1.push(index);
        }
    }
    if matches!(by, By::Role) {
        for role in rules.counted() {
            if !groups.values().any(|(known, _)| known == role) {
                groups.insert(role.to_owned(), (role.to_owned(), Vec::new()));
            }
        }
    }
    let table = search.scene.table();
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(label, (role, mut members))| {
            if !each {
                // What descends from another one of the group is a worker of that instance.
                let all: HashSet<Index> = members.iter().copied().collect();
                members.retain(|member| !table.ancestors(*member).any(|ancestor| all.contains(&ancestor)));
            }
            members.sort_unstable_by_key(|index| (table.get(*index).start_ticks, table.get(*index).pid));
            Group { label, role, members, expected: Expect::SINGLE }
        })
        .collect();
    let counts: Vec<(String, usize)> =
        groups.iter().map(|group| (group.role.clone(), group.members.len())).collect();
    let instances = |role: &str| counts.iter().filter(|(name, _)| name == role).map(|(_, count)| count).sum();
    for group in &mut groups {
        group.expected = rules.expected(&group.role, instances);
    }
    Ok(groups)
}

/// Leaves out processes whose command line nobody else has: one instance is right, and most processes are the only one.
fn leave_out_the_unique(search: &Search, wanted: &mut Vec<Index>) {
    let table = search.scene.table();
    let mark = |index: &Index| {
        let mut hasher = DefaultHasher::new();
        hasher.write(&table.get(*index).command());
        (hasher.finish(), *index)
    };
    let mut marks: Vec<(u64, Index)> = wanted.iter().map(mark).collect();
    marks.sort_unstable();
    wanted.clear();
    for same in marks.chunk_by(|one, next| one.0 == next.0).filter(|same| same.len() > 1) {
        wanted.extend(same.iter().map(|(_, index)| *index));
    }
    wanted.sort_unstable();
}

/// What a process is an instance of, and the role alone; none where it is of no interest.
fn label(
    search: &mut Search,
    index: Index,
    by: &By,
    roles: &[(String, Pattern)],
    registered: &[Registered],
) -> Option<(String, String)> {
    let whole = |label: String| Some((label.clone(), label));
    match by {
        By::Command => fact(search, index, "command").and_then(whole),
        By::Script => fact(search, index, "script").and_then(whole),
        By::Facts(names) => {
            let parts: Option<Vec<String>> = names
                .iter()
                .map(|name| fact(search, index, name).map(|value| format!("{name}={value}")))
                .collect();
            whole(parts?.join(" "))
        }
        By::Role => {
            let process = search.scene.table().get(index);
            let command = process.command();
            if let Some((name, _)) = roles.iter().find(|(_, pattern)| pattern.is_match(&command)) {
                return whole(name.clone());
            }
            let identity = process.identity(&search.scene.table().view.place);
            let cwd = || match search.scene.cwd(process) {
                Fact::Known(cwd) => Some(cwd),
                _ => None,
            };
            let plays = |role: &&Registered| {
                role.identity.same_as(&identity)
                    || !role.command.is_empty()
                        && role.command == process.cmdline.bytes()
                        && role.cwd.is_some()
                        && role.cwd == cwd()
            };
            registered.iter().find(plays).map(|role| (role.label.clone(), role.name.clone()))
        }
    }
}

/// A fact of a process as text; none where it has none. One that may not be read is counted as such.
fn fact(search: &mut Search, index: Index, name: &str) -> Option<String> {
    let process = search.scene.table().get(index);
    let link = |fact: Fact, name| match fact {
        Fact::Known(bytes) => Ok(Some(bytes)),
        Fact::Absent => Ok(None),
        Fact::Hidden => Err(name),
    };
    let nearest = || search.scene.registered.nearest(index, search.scene.table());
    let words = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
    let found = match name {
        "command" => Ok(Some(joined(process.cmdline.bytes())).filter(|line| !line.is_empty())),
        "comm" => Ok(Some(process.comm.bytes().to_vec())),
        "exe" => link(search.scene.exe(process), "exe"),
        "cwd" => link(search.scene.cwd(process), "cwd"),
        "user" => Ok(process.uid.map(|uid| uid.to_string().into_bytes())),
        "service" => Ok(nearest().and_then(|entry| words(&entry.service))),
        "project" => Ok(nearest().and_then(|entry| words(&entry.project))),
        "session" => Ok(nearest().and_then(|entry| words(&entry.session))),
        _ => link(search.scene.exe(process), "exe").and_then(|exe| match exe {
            Some(exe) => script(&search.scene, index, exe).map(Some),
            None => Ok(None),
        }),
    };
    let found = found.unwrap_or_else(|hidden| {
        search.hide(hidden);
        None
    });
    found.map(|bytes| visible(&bytes))
}

/// The executable, with the script that it runs: a relative one is meant from the folder that the process works in.
fn script(scene: &Scene, index: Index, exe: Vec<u8>) -> std::result::Result<Vec<u8>, &'static str> {
    let process = scene.table().get(index);
    Ok(match program::script(&exe, process.cmdline.bytes()) {
        Script::None => exe,
        Script::Told(what) => [&exe[..], b" ", &what].concat(),
        Script::File(file) if file.starts_with(b"/") => [&exe[..], b" ", &file].concat(),
        Script::File(file) => match scene.cwd(process) {
            Fact::Known(cwd) => {
                let file = file.strip_prefix(b"./").unwrap_or(&file);
                [&exe[..], b" ", &cwd, b"/", file].concat()
            }
            _ => return Err("cwd"),
        },
    })
}

/// The roles that living services play. That the registry cannot be read has been said.
fn read_roles(search: &Search, registry: &RegistryArgs) -> Result<Vec<Registered>> {
    let Ok(document) = registry.open()?.read() else { return Ok(Vec::new()) };
    let (host, source) = (search.scene.host(), search.scene.source());
    let mut roles = Vec::new();
    for entry in document.services() {
        let Ok(service) = entry.service() else { continue };
        let Verdict::Alive(identity) = registry::judge(host, source, &service) else { continue };
        let mut command = Vec::new();
        for argument in service.command().iter().flatten() {
            command.extend_from_slice(argument.bytes());
            command.push(0);
        }
        let label = match &service.scope {
            Scope::Global => service.name.clone(),
            scope => format!("{} ({scope})", service.name),
        };
        let cwd = service.cwd().map(|cwd| cwd.bytes().to_vec());
        roles.push(Registered { name: service.name.clone(), label, identity, command, cwd });
    }
    Ok(roles)
}

/// Why an instance that is not the newest of its group looks left over: `older` than it should be, or of a
/// `previous-session`.
pub(super) fn leftover(scene: &Scene, index: Index, older_than: Option<Duration>) -> Vec<&'static str> {
    let table = scene.table();
    let process = table.get(index);
    let mut why = Vec::new();
    if older_than.is_some_and(|limit| u128::from(table.view.age_ms(process)) >= limit.as_millis()) {
        why.push("older");
    }
    let leaderless = process.sid != 0 && !process.leads_session() && table.find(process.sid).is_none();
    let over = |id: &str| scene.registered.session_lives(id) == Some(false);
    let registered = scene.registered.nearest(index, table).and_then(|entry| entry.session.as_deref());
    let marked = || match scene.environ(process) {
        Fact::Known(environ) => {
            select::variable(&environ, "PROCHERD_SESSION").map(|id| String::from_utf8_lossy(id).into_owned())
        }
        _ => None,
    };
    if leaderless
        || registered.is_some_and(over)
        || scene.registered.has_sessions() && marked().is_some_and(|id| over(&id))
    {
        why.push("previous-session");
    }
    why
}
