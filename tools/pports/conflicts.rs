//! Ports of registered services that somebody else holds, or that two services were given.

use std::collections::HashMap;

use procherd::error::Result;
use procherd::host::Host;
use procherd::id::{Identity, Pid};
use procherd::record::Record;
use procherd::registry::{self, Document, Service, Verdict};
use procherd::select;
use procherd::sockets::{Protocol, Query, Socket};
use procherd::source::Source;
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

/// Finds conflicts and reports them.
pub(super) fn report(args: &Args, reporter: &mut Reporter) -> Outcome {
    let document = args.registry.open()?.read()?;
    let entries = entries(&document)?;
    let mut output = Output::new(&args.output, Shape::Table);
    let mut count = 0;
    for entry in named_twice(&entries) {
        count += 1;
        let mut line = Vec::new();
        registry::write_service(&entry.service, &entry.verdict, &mut line);
        let mut record = Record::parse(&line)?;
        record.set("conflict", &[entry.conflict("named-twice")]);
        output.record(|out| record.write_line(out))?;
    }
    if !entries.is_empty() {
        count += held(args, &entries, &mut output, reporter)?;
    }
    output.end()?;
    let exit = args.expect.judge(count, "conflicts", reporter);
    Ok(if args.expect.expect.is_none() && count > 0 { Exit::No } else { exit })
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
    let entries = entries(document)?;
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
    let query = Query {
        protocols: vec![Protocol::Tcp],
        ports: entries.iter().map(|entry| (entry.port..=entry.port, None)).collect(),
        ..Query::default()
    };
    look_at_sockets(&query, false, None, registry, reporter)
}

/// Reports who holds a port of a service that it does not belong to.
fn held(args: &Args, entries: &[Entry], output: &mut Output, reporter: &mut Reporter) -> Result<usize> {
    let Sockets { scene, held, ownerless, .. } = look(entries, &args.registry, reporter)?;
    let ownerless: Vec<Ownerless> =
        ownerless.into_iter().map(|(socket, missing)| Ownerless { socket, missing, record: None }).collect();
    let mut search = Search::new(scene, args.selection()?);
    let mut count = 0;
    for (index, sockets) in held {
        let of_port = by_port(&sockets);
        let wrong = entries.iter().filter(|entry| of_port.contains_key(&entry.port));
        let wrong: Vec<Conflict<'_>> = wrong.filter_map(|entry| entry.judge(&search.scene, index)).collect();
        if wrong.is_empty() || !search.wants(index) {
            continue;
        }
        count += 1;
        output.record(|out| {
            let mut sheet = sheet(&search, index, out);
            sheet.field("sockets", &sockets).field("conflict", &wrong);
            sheet.end();
        })?;
    }
    // A socket that nobody is seen to hold may be that of the service itself: it is shown, and counts for nothing.
    for one in &ownerless {
        let of = entries.iter().filter(|entry| Some(entry.port) == one.socket.port());
        let wrong: Vec<Conflict<'_>> = of.map(|entry| entry.conflict("held-unseen")).collect();
        output.record(|out| {
            let mut line = one.line(&search, out);
            line.field("conflict", &wrong);
            line.end();
        })?;
    }
    search.end(reporter);
    fault(&ownerless, reporter);
    Ok(count)
}

fn by_port(sockets: &[Socket]) -> HashMap<u16, &Socket> {
    sockets.iter().filter_map(|socket| Some((socket.port()?, socket))).collect()
}

/// The registered services that were given a port.
fn entries(document: &Document) -> Result<Vec<Entry>> {
    let (host, source) = (Host::look()?, Source::live()?);
    let services = document.services().filter_map(|entry| entry.service().ok());
    let with_port = services.filter_map(|service| Some((service.port()?, service)));
    Ok(with_port
        .map(|(port, service)| Entry { verdict: registry::judge(&host, &source, &service), service, port })
        .collect())
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
