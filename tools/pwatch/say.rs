//! Events as records.

use procherd::error::Result;
use procherd::follow::{Event, Happening};
use procherd::host::unix_ms;
use procherd::record::{Line, Process};
use procherd::registry::Service;
use procherd::status::End;
use procherd::text::rfc3339;
use procherd::tree::Table;

use super::Args;
use super::book::{Book, Change};
use super::ports::Change as Taken;
use super::until::Kind;
use crate::frame::{Output, Sheet};

/// The kind of an event of a process.
pub(super) fn kind_of(what: Happening) -> Kind {
    match what {
        Happening::Started | Happening::Became => Kind::Started,
        Happening::Exited(_) => Kind::Exited,
        Happening::Orphaned(_) => Kind::Orphaned,
        Happening::Zombie => Kind::Zombie,
    }
}

/// Tells whether events of a kind are to be written.
fn is_asked(kind: Kind, args: &Args) -> bool {
    args.event.is_empty() || args.event.contains(&kind)
}

fn begin<'a>(process: &Process, kind: Kind, table: &Table, out: &'a mut Vec<u8>) -> Line<'a> {
    let mut line = process.line_as("event", &table.view, out);
    line.field("event", kind.word()).field("at", &rfc3339(unix_ms()).to_string());
    line
}

/// Writes the event of a process.
pub(super) fn write(
    event: &Event,
    kind: Kind,
    table: &Table,
    book: &Book<'_>,
    args: &Args,
    output: &mut Output,
) -> Result<()> {
    if !is_asked(kind, args) {
        return Ok(());
    }
    output.record(|out| {
        let mut line = begin(&event.process, kind, table, out);
        match event.what {
            Happening::Exited(Some(End::Exited(code))) => line.field("exit_status", &code),
            Happening::Exited(Some(End::Signalled(signal))) => line.field("exit_signal", &signal),
            Happening::Orphaned(parent) => line.field("former_parent", &parent),
            _ => &mut line,
        };
        let mut sheet = Sheet::Fresh(line);
        if let Some(index) = table.find(event.process.pid.get())
            && let Some(entry) = book.registered.nearest(index, table)
        {
            sheet.membership(entry);
        }
        sheet.end();
    })
}

/// Writes that a port was taken or freed.
pub(super) fn write_port(
    change: &Taken,
    kind: Kind,
    table: &Table,
    args: &Args,
    output: &mut Output,
) -> Result<()> {
    if !is_asked(kind, args) {
        return Ok(());
    }
    output.record(|out| {
        let mut line = begin(&change.holder, kind, table, out);
        line.field("protocol", change.socket.protocol.word())
            .known("address", change.socket.address().as_ref())
            .known("port", change.socket.port().as_ref());
        line.end();
    })
}

/// Writes what has become of an entry of the registry.
pub(super) fn write_change(
    change: &Change,
    kind: Kind,
    table: &Table,
    args: &Args,
    output: &mut Output,
) -> Result<()> {
    if !is_asked(kind, args) {
        return Ok(());
    }
    let service: &Service = &change.service;
    let identity = service.identity()?;
    let living =
        table.find_exactly(identity.pid, identity.inode, identity.start_ticks).map(|index| table.get(index));
    output.record(|out| {
        let mut line = if let Some(process) = living {
            begin(process, kind, table, out)
        } else {
            let mut line = Line::new(out, "event");
            line.field("pid", &identity.pid)
                .known("pidfd_inode", identity.inode.as_ref())
                .known("start_ticks", identity.start_ticks.as_ref())
                .known("boot_id", identity.boot.as_ref())
                .known("pid_ns", identity.pid_ns.as_ref())
                .known("host", identity.host.as_deref())
                .known("machine", identity.machine.as_ref())
                .field("event", kind.word())
                .field("at", &rfc3339(unix_ms()).to_string());
            line
        };
        line.field("service", &service.name)
            .field("scope", service.scope.word())
            .known("project", service.project().as_ref())
            .known("session", service.session().as_ref());
        line.end();
    })
}
