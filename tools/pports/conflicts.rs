//! Ports of registered services that somebody else holds, or that two services were given.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use procherd::error::Result;
use procherd::host::Host;
use procherd::id::{Identity, Pid};
use procherd::record::Record;
use procherd::registry::{self, Document, Service, Verdict};
use procherd::select;
use procherd::snapshot::Pulse;
use procherd::sockets::{self, Query, Socket};
use procherd::source::Source;
use procherd::stamp::{Counts, Stamp};
use procherd::table::Shape;
use procherd::tree::Index;
use serde::Serialize;

use super::Args;
use super::look::{Ownerless, fault, sheet};
use crate::frame::{Exit, Outcome, Output, RegistryArgs, Reporter, Scene, Search, Sockets, look_at_sockets};

/// A registered service that was given a port.
struct Entry {
    service: Service,
    verdict: Verdict,
    port: u16,
}

/// What is wrong, as records have it.
#[derive(Serialize)]
struct Conflict<'a> {
    kind: &'static str,
    port: u16,
    service: &'a str,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
}

/// A record of what was found.
struct Found {
    line: Vec<u8>,
    /// What tells it from others, and stays as long as nothing changes.
    mark: String,
    counts: bool,
}

/// Finds conflicts and reports them.
pub(super) fn report(args: &Args, reporter: &mut Reporter) -> Outcome {
    let document = args.registry.open()?.read()?;
    let found = find(args, &entries(&services(&document))?, reporter)?;
    let mut output = Output::new(&args.output, Shape::Table);
    for one in &found {
        output.record(|out| out.extend_from_slice(&one.line))?;
    }
    output.end()?;
    let count = found.iter().filter(|one| one.counts).count();
    let exit = args.expect.judge(count, "conflicts", reporter);
    Ok(if args.expect.expect.is_none() && count > 0 { Exit::No } else { exit })
}

/// Goes on looking, and reports each conflict when it appears. Ends when the reader leaves.
///
/// The ports of services are looked at four times a second, which costs little: the kernel tells of no socket that begins
/// to listen. Who holds them is looked for when these sockets, the registry or the processes are not what they were.
pub(super) fn watch(args: &Args, reporter: &mut Reporter) -> Outcome {
    const INTERVAL: Duration = Duration::from_millis(250);
    let (registry, source) = (args.registry.open()?, Source::live()?);
    let mut output = Output::new(&args.output, Shape::Table);
    let (mut pulse, mut known) = (Pulse::default(), HashSet::new());
    let mut stamp = Stamp::of(registry.path(), Counts::Contents);
    let mut named = services(&registry.read()?);
    let mut before = None;
    reporter.say_once();
    loop {
        let listening = listening(&named)?;
        let same = before.as_ref() == Some(&listening);
        before = Some(listening);
        if pulse.stirs(&source) || !same {
            let found = find(args, &entries(&named)?, reporter)?;
            for one in found.iter().filter(|one| !known.contains(&one.mark)) {
                output.record(|out| out.extend_from_slice(&one.line))?;
            }
            output.flush()?;
            known = found.into_iter().map(|one| one.mark).collect();
        }
        if output.reader_left() && !args.output.quiet || !output.wait(&[], INTERVAL)? {
            return Ok(Exit::Done);
        }
        let now = Stamp::of(registry.path(), Counts::Contents);
        if now != stamp {
            match registry.read() {
                Ok(document) => (named, before) = (services(&document), None),
                // What is known of it stays true until it can be read again.
                Err(error) => reporter.fault(&error),
            }
            stamp = now;
        }
    }
}

/// The sockets that listen on the ports of services: which port, which socket.
fn listening(services: &[(u16, Service)]) -> Result<Vec<(u16, u64)>> {
    let mut found = Vec::new();
    if !services.is_empty() {
        let sockets = sockets::list(&Query::tcp(services.iter().map(|(port, _)| *port)))?;
        found.extend(sockets.iter().filter_map(|socket| Some((socket.port()?, socket.inode))));
    }
    found.sort_unstable();
    Ok(found)
}

/// Finds all conflicts of services.
fn find(args: &Args, entries: &[Entry], reporter: &mut Reporter) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in named_twice(entries) {
        let mut line = Vec::new();
        registry::write_service(&entry.service, &entry.verdict, &mut line);
        let mut record = Record::parse(&line)?;
        let conflict = [entry.conflict("named-twice")];
        record.set("conflict", &conflict);
        line.clear();
        record.write_line(&mut line);
        let mark = mark(&conflict, &entry.service.identity().ok());
        found.push(Found { line, mark, counts: true });
    }
    if !entries.is_empty() {
        found.extend(held(args, entries, reporter)?);
    }
    Ok(found)
}

/// What stays the same of a conflict: between whom it is, and about what.
fn mark(wrong: &[Conflict<'_>], who: &impl std::fmt::Debug) -> String {
    let of = |one: &Conflict<'_>| {
        format!("{} {} {} {:?} {:?}", one.kind, one.port, one.service, one.project, one.session)
    };
    format!("{who:?} {}", wrong.iter().map(of).collect::<Vec<_>>().join(" "))
}

/// A conflict, for who looks at everything: a service, and what is wrong with its port.
pub(crate) struct Clash {
    pub(crate) service: Service,
    pub(crate) port: u16,
    pub(crate) kind: &'static str,
    /// Who holds the port; none where two services were given it.
    pub(crate) holder: Option<Pid>,
}

/// Finds the conflicts of all registered services. What cannot be seen is none.
pub(crate) fn clashes(
    document: &Document,
    registry: &RegistryArgs,
    reporter: &mut Reporter,
) -> Result<Vec<Clash>> {
    let entries = entries(&services(document))?;
    let clash = |entry: &Entry, kind, holder| Clash {
        service: entry.service.clone(),
        port: entry.port,
        kind,
        holder,
    };
    let mut found: Vec<Clash> =
        named_twice(&entries).map(|entry| clash(entry, "named-twice", None)).collect();
    if entries.is_empty() {
        return Ok(found);
    }
    let Sockets { scene, held, .. } = look(&entries, registry, reporter)?;
    for (index, sockets) in held {
        let of_port = by_port(&sockets);
        for entry in entries.iter().filter(|entry| of_port.contains_key(&entry.port)) {
            let holder = scene.table().get(index).pid;
            found.extend(entry.judge(&scene, index).map(|wrong| clash(entry, wrong.kind, Some(holder))));
        }
    }
    Ok(found)
}

/// The services that live and share their port with another one that lives.
fn named_twice(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let living = || entries.iter().filter(|entry| !entry.verdict.is_dead());
    living().filter(move |entry| living().filter(|other| other.port == entry.port).count() > 1)
}

/// Looks who listens on the ports of services.
fn look(entries: &[Entry], registry: &RegistryArgs, reporter: &mut Reporter) -> Result<Sockets> {
    look_at_sockets(&Query::tcp(entries.iter().map(|entry| entry.port)), false, None, registry, reporter)
}

/// Finds who holds a port of a service that it does not belong to.
fn held(args: &Args, entries: &[Entry], reporter: &mut Reporter) -> Result<Vec<Found>> {
    let Sockets { scene, held, ownerless, .. } = look(entries, &args.registry, reporter)?;
    let ownerless: Vec<Ownerless> =
        ownerless.into_iter().map(|(socket, missing)| Ownerless { socket, missing, record: None }).collect();
    let mut search = Search::new(scene, args.selection()?);
    let mut found = Vec::new();
    for (index, sockets) in held {
        let of_port = by_port(&sockets);
        let wrong = entries.iter().filter(|entry| of_port.contains_key(&entry.port));
        let wrong: Vec<Conflict<'_>> = wrong.filter_map(|entry| entry.judge(&search.scene, index)).collect();
        if wrong.is_empty() || !search.wants(index) {
            continue;
        }
        let mut line = Vec::new();
        let mut sheet = sheet(&search, index, &mut line);
        sheet.field("sockets", &sockets).field("conflict", &wrong);
        sheet.end();
        let process = search.scene.table().get(index);
        let mark = mark(&wrong, &(process.pid, process.start_ticks));
        found.push(Found { line, mark, counts: true });
    }
    // A socket that nobody is seen to hold may be that of the service itself: it is shown, and counts for nothing.
    for one in &ownerless {
        let of = entries.iter().filter(|entry| Some(entry.port) == one.socket.port());
        let wrong: Vec<Conflict<'_>> = of.map(|entry| entry.conflict("held-unseen")).collect();
        let mut written = Vec::new();
        let mut line = one.line(&search, &mut written);
        line.field("conflict", &wrong);
        line.end();
        found.push(Found { line: written, mark: mark(&wrong, &one.socket.inode), counts: false });
    }
    search.end(reporter);
    fault(&ownerless, reporter);
    Ok(found)
}

fn by_port(sockets: &[Socket]) -> HashMap<u16, &Socket> {
    sockets.iter().filter_map(|socket| Some((socket.port()?, socket))).collect()
}

/// The registered services that were given a port.
fn services(document: &Document) -> Vec<(u16, Service)> {
    let services = document.services().filter_map(|entry| entry.service().ok());
    services.filter_map(|service| Some((service.port()?, service))).collect()
}

/// Judges services as they are now.
fn entries(services: &[(u16, Service)]) -> Result<Vec<Entry>> {
    let (host, source) = (Host::look()?, Source::live()?);
    let judge = |(port, service): &(u16, Service)| Entry {
        verdict: registry::judge(&host, &source, service),
        service: service.clone(),
        port: *port,
    };
    Ok(services.iter().map(judge).collect())
}

impl Entry {
    fn conflict(&self, kind: &'static str) -> Conflict<'_> {
        Conflict {
            kind,
            port: self.port,
            service: &self.service.name,
            scope: self.service.scope.word(),
            project: self.service.project(),
            session: self.service.session(),
        }
    }

    /// Judges a process that holds the port; none where that is as it should be.
    fn judge(&self, scene: &Scene, index: Index) -> Option<Conflict<'_>> {
        let table = scene.table();
        let belongs = self.is_below(scene, index) || self.is_marked(scene, index);
        let identity = table.get(index).identity(&table.view.place);
        let was_below = self.service.tree().iter().any(|member| member.same_as(&identity));
        match (&self.verdict, belongs || was_below) {
            (Verdict::Dead(_), true) => Some(self.conflict("held-by-leftover")),
            (_, false) => Some(self.conflict("held-by-another")),
            // It is its own, or may be: whether the service lives is not known.
            (_, true) => None,
        }
    }

    /// Tells whether a process is the one of the service, or below it.
    fn is_below(&self, scene: &Scene, index: Index) -> bool {
        let Verdict::Alive(own) = &self.verdict else { return false };
        let table = scene.table();
        let same = |at: Index| -> bool {
            let identity: Identity = table.get(at).identity(&table.view.place);
            own.same_as(&identity)
        };
        std::iter::once(index).chain(table.ancestors(index)).any(same)
    }

    /// Tells whether a process carries the mark of the service.
    fn is_marked(&self, scene: &Scene, index: Index) -> bool {
        let Some(cookie) = self.service.cookie() else { return false };
        let environ = scene.source().environ(scene.table().get(index).pid);
        environ.is_ok_and(|environ| select::variable(&environ, "PROCHERD_ID") == Some(cookie.as_bytes()))
    }
}
