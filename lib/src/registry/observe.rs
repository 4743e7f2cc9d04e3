//! Looking at a living process so that it can be registered.

use super::service::Service;
use crate::error::{Error, Kind, Result};
use crate::handle::{self, Handle, Look};
use crate::host::{Host, own_uid};
use crate::id::{Identity, Pid};
use crate::record::Process;
use crate::select;
use crate::snapshot;
use crate::source::{Source, Wants};
use crate::text;

/// How many processes below a service are noted at most. It is a help for the day when the service itself is dead,
/// not the means by which a living tree is found.
const MOST_NOTED: usize = 2_000;

/// Fills an entry with what can be seen of a process now: its identity, command, folder, group, session, parent, the
/// processes below it, and its mark.
///
/// `Gone`: it has ended. `Refused`: it is the first process, a kernel thread, or another user's. `Unsupported`: it
/// belongs to another machine or pid namespace. With `whole_group`, the members of its process group are noted beside
/// its descendants.
///
/// The process is held meanwhile, so all facts are of one process. What is below it is a look at moving things: a
/// child that starts or ends at that moment may be missed.
pub fn observe(
    host: &Host,
    source: &Source,
    service: &mut Service,
    identity: &Identity,
    whole_group: bool,
) -> Result<()> {
    let fail = |kind, why: &str| Err(Error::new(kind, "look at process", identity, why));
    if identity.pid == Pid::INIT {
        return fail(Kind::Refused, "the first process of the system is nobody's service");
    }
    let handle = match handle::open(host, source, identity) {
        Look::Found(handle) if !handle.has_ended() => handle,
        Look::Found(_) | Look::Gone => return fail(Kind::Gone, "it has ended"),
        Look::Changed => return fail(Kind::Gone, "it has ended; its number belongs to another process now"),
        Look::Foreign(why) => return fail(Kind::Unsupported, &format!("it belongs to {why}")),
        Look::TooWeak(why) => return fail(Kind::Invalid, why),
        Look::Failed(errno) => return Err(Error::system("look at process", identity, errno)),
    };
    let wants = Wants { cwd: true, ..Wants::EVERYDAY };
    let Some(process) = read_held(source, &handle, wants)? else {
        return fail(Kind::Gone, "it has ended");
    };
    if process.kernel_thread {
        return fail(Kind::Refused, "it is a thread of the kernel");
    }
    if process.uid.is_some_and(|uid| uid != own_uid()) {
        return fail(Kind::Refused, "it belongs to another user, who has a registry of his own");
    }
    fill(host, source, service, &process, whole_group)
}

/// Reads a process that is held. None when it has ended: then its number may belong to another one already.
fn read_held(source: &Source, handle: &Handle, wants: Wants) -> Result<Option<Process>> {
    let process = source.reader(wants).read(handle.pid())?;
    Ok(process.filter(|process| process.inode == handle.inode() && !handle.has_ended()))
}

fn fill(
    host: &Host,
    source: &Source,
    service: &mut Service,
    process: &Process,
    whole_group: bool,
) -> Result<()> {
    let place = host.place();
    let view = host.view(std::iter::empty());
    service.set_process(&process.identity(place), view.started_ms(process));
    let words: Vec<text::Bytes<'_>> = text::arguments(process.cmdline.bytes()).map(text::Bytes).collect();
    if !words.is_empty() {
        service.set("command", &words);
    }
    if let Some(cwd) = process.rare.as_ref().and_then(|rare| rare.cwd.as_ref()) {
        service.set("cwd", cwd);
    }
    service.set("pgid", &process.pgid);
    service.set("sid", &process.sid);
    let identities = Wants { identity: true, ..Wants::default() };
    if let Some(parent) = Pid::new(process.ppid)
        && let Ok(Some(parent)) = source.reader(identities).read(parent)
    {
        service.set_parent(&parent.identity(place));
    }
    let tree = match below(source, process.pid) {
        Some(tree) if !whole_group => tree,
        _ => from_table(host, source, process, whole_group)?,
    };
    let tree: Vec<Identity> = tree.iter().take(MOST_NOTED).map(|process| process.identity(place)).collect();
    service.set_tree(tree.iter());
    // The mark is the service's own only where it was started under this name: children inherit it.
    if let Ok(environ) = source.environ(process.pid) {
        let variable = |name| select::variable(&environ, name).map(|value| String::from_utf8_lossy(value));
        if let (Some(cookie), Some(name)) = (variable("PROCHERD_ID"), variable("PROCHERD_SERVICE"))
            && name == service.name
        {
            service.set("cookie", &*cookie);
        }
    }
    Ok(())
}

/// The processes below one, as the kernel lists them (`proc_pid_task_children(5)`). None where it does not: an optional
/// part of the kernel. The list may leave out a child while its siblings end.
fn below(source: &Source, root: Pid) -> Option<Vec<Process>> {
    let wants = Wants { identity: true, ..Wants::default() };
    let (mut found, mut next, mut reader) = (Vec::new(), 0, source.reader(wants));
    let mut parent = root;
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children =
                match source.whole(parent, &format!("task/{}/children", task.file_name().to_str()?)) {
                    Ok(children) => children,
                    // The first one is asked while it lives, so a missing file is one that this kernel does not have.
                    Err(error) if error.kind() == Kind::Gone && parent == root => return None,
                    Err(_) => continue,
                };
            for number in children.split(|byte| *byte == b' ') {
                let pid = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
                // A number that was given away meanwhile names somebody else's child.
                if let Some(Ok(Some(child))) = pid.map(|pid| reader.read(pid))
                    && child.ppid == parent.get()
                {
                    found.push(child);
                }
            }
        }
        if found.len() >= MOST_NOTED {
            return Some(found);
        }
        let Some(process) = found.get(next) else { return Some(found) };
        parent = process.pid;
        next += 1;
    }
}

/// The same from a look at the whole table, and the members of the process group if they are wanted.
fn from_table(host: &Host, source: &Source, process: &Process, whole_group: bool) -> Result<Vec<Process>> {
    let table = snapshot::read(host, source, Wants { identity: true, ..Wants::default() })?;
    let Some(root) = table.find_exactly(process.pid, process.inode, Some(process.start_ticks)) else {
        return Ok(Vec::new());
    };
    let mut members: Vec<usize> =
        table.walk(&[root], usize::MAX).into_iter().map(|step| step.index).collect();
    if whole_group && process.pgid != 0 {
        let all = 0..table.processes().len();
        members.extend(all.filter(|index| table.get(*index).pgid == process.pgid));
        members.sort_unstable();
        members.dedup();
    }
    Ok(members.into_iter().filter(|index| *index != root).map(|index| table.get(index).clone()).collect())
}
