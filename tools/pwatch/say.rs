//! Events as records.

use procherd::error::Result;
use procherd::follow::{Event, Happening};
use procherd::host::unix_ms;
use procherd::record::{Line, Process};
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

/// Writes events that are asked for, as the table of this moment knows their processes.
pub(super) struct Say<'a> {
    pub(super) table: &'a Table,
    pub(super) args: &'a Args,
    pub(super) output: &'a mut Output,
}

impl Say<'_> {
    /// Writes the event of a process.
    pub(super) fn process(&mut self, event: &Event, kind: Kind, book: &Book<'_>) -> Result<()> {
        let table = self.table;
        self.event(kind, |out| {
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
    pub(super) fn port(&mut self, change: &Taken, kind: Kind) -> Result<()> {
        let table = self.table;
        self.event(kind, |out| {
            let mut line = begin(&change.holder, kind, table, out);
            line.field("protocol", change.socket.protocol.word())
                .known("address", change.socket.address().as_ref())
                .known("port", change.socket.port().as_ref());
            line.end();
        })
    }

    /// Writes what has become of an entry of the registry.
    pub(super) fn entry(&mut self, change: &Change, kind: Kind) -> Result<()> {
        let (table, service) = (self.table, &change.service);
        let identity = service.identity()?;
        let living = table.find_exactly(identity.pid, identity.inode, identity.start_ticks);
        self.event(kind, |out| {
            let mut line = if let Some(index) = living {
                begin(table.get(index), kind, table, out)
            } else {
                let mut line = Line::new(out, "event");
                line.field("pid", &identity.pid)
                    .known("pidfd_inode", identity.inode.as_ref())
                    .known("start_ticks", identity.start_ticks.as_ref())
                    .known("boot_id", identity.boot.as_ref())
                    .known("pid_ns", identity.pid_ns.as_ref())
                    .known("host", identity.host.as_deref())
                    .known("machine", identity.machine.as_ref());
                happened(&mut line, kind);
                line
            };
            line.field("service", &service.name)
                .field("scope", service.scope.word())
                .known("project", service.project().as_ref())
                .known("session", service.session().as_ref());
            line.end();
        })
    }

    fn event(&mut self, kind: Kind, make: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let asked = self.args.event.is_empty() || self.args.event.contains(&kind);
        if asked { self.output.record(make) } else { Ok(()) }
    }
}

/// Begins the event of a process with its facts.
fn begin<'a>(process: &Process, kind: Kind, table: &Table, out: &'a mut Vec<u8>) -> Line<'a> {
    let mut line = process.line_as("event", &table.view, out);
    happened(&mut line, kind);
    line
}

fn happened(line: &mut Line<'_>, kind: Kind) {
    line.field("event", kind.word()).field("at", &rfc3339(unix_ms()).to_string());
}
