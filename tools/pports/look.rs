//! What was found, live or saved, and how it is written.

use procherd::error::{Error, Kind, Result};
use procherd::evidence;
use procherd::id::{Pid, Place};
use procherd::record::{Line, Record};
use procherd::sockets::{Local, Missing, Publisher, Socket};
use procherd::table::Shape;
use procherd::tree::Index;
use serde::Serialize;

use super::Args;
use crate::frame::{Holder, Output, Reporter, Search, Sheet};

/// A socket that nobody was seen to hold.
pub(super) struct Ownerless {
    pub(super) socket: Socket,
    pub(super) missing: Missing,
    /// Its record, where it was saved.
    pub(super) record: Option<Record>,
}

/// All that was found.
pub(super) struct Findings {
    /// What was looked at; none where only sockets were saved.
    pub(super) search: Option<Search>,
    pub(super) holders: Vec<Holder>,
    pub(super) ownerless: Vec<Ownerless>,
}

/// A process by its identity, inside of a record about another one.
#[derive(Serialize)]
pub(super) struct Near {
    pid: Pid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pidfd_inode: Option<u64>,
    start_ticks: u64,
}

/// An address and a port.
#[derive(Serialize)]
struct End {
    address: String,
    port: u16,
}

impl Findings {
    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.holders.len() + self.ownerless.len()
    }

    /// All sockets that were found.
    pub(super) fn sockets(&self) -> Vec<&Socket> {
        let held = self.holders.iter().flat_map(|(_, sockets)| sockets);
        held.chain(self.ownerless.iter().map(|one| &one.socket)).collect()
    }

    /// Writes all records, and says what could not be looked at.
    pub(super) fn write(&self, args: &Args, reporter: &mut Reporter) -> Result<()> {
        let mut output = Output::new(&args.output, Shape::Table);
        if let Some(search) = &self.search {
            for (index, sockets) in &self.holders {
                output.record(|out| {
                    let mut sheet = sheet(search, *index, out);
                    sheet.field("sockets", sockets);
                    sheet.end();
                })?;
            }
        }
        for one in &self.ownerless {
            match (&one.record, &self.search) {
                (Some(record), _) => output.record(|out| record.write_line(out))?,
                (None, Some(search)) => output.record(|out| one.line(search, out).end())?,
                (None, None) => {}
            }
        }
        output.end()?;
        if let Some(search) = &self.search {
            search.end(reporter);
        }
        fault(&self.ownerless, reporter);
        Ok(())
    }
}

/// Says how many sockets have an owner that may not be seen: it was looked, and not everywhere.
pub(super) fn fault(ownerless: &[Ownerless], reporter: &mut Reporter) {
    let hidden = |one: &&Ownerless| matches!(one.missing, Missing::NotPermitted(_));
    let hidden: Vec<&Ownerless> = ownerless.iter().filter(hidden).collect();
    let Some(first) = hidden.first() else { return };
    let on = if hidden.len() == 1 { label(&first.socket) } else { format!("{} sockets", hidden.len()) };
    reporter.fault(&Error::new(Kind::Denied, "find holder", on, first.missing.why()));
}

/// Begins the record of a holder: what it is, and what it belongs to.
pub(super) fn sheet<'a>(search: &Search, index: Index, out: &'a mut Vec<u8>) -> Sheet<'a> {
    let mut sheet = search.sheet(index, out);
    let scene = &search.scene;
    if !scene.is_live() {
        return sheet;
    }
    let table = scene.table();
    let registered = scene.registered.nearest_index(index, table);
    let root = table.get(registered.unwrap_or_else(|| evidence::tree_root(table, index)));
    sheet.field("tree_root", &Near { pid: root.pid, pidfd_inode: root.inode, start_ticks: root.start_ticks });
    let process = table.get(index);
    if let Some(container) = scene.source().container(process.pid) {
        sheet.field("container", &container.id).field("engine", container.engine);
    }
    if let Some(Publisher { to, .. }) = Publisher::of(process.cmdline.bytes()) {
        sheet.field("publishes", &End { address: to.ip().to_string(), port: to.port() });
    }
    sheet
}

impl Ownerless {
    /// Begins its record.
    pub(super) fn line<'a>(&self, search: &Search, out: &'a mut Vec<u8>) -> Line<'a> {
        let place: &Place = &search.scene.table().view.place;
        let mut line = Line::new(out, "socket");
        line.field("boot_id", &place.boot).field("host", &*place.host);
        let written: std::result::Result<(), ()> = self.socket.fields(|name, value| {
            line.field(name, &value);
            Ok(())
        });
        debug_assert!(written.is_ok());
        line.field("owner", self.missing.word()).field("why", &self.missing.why());
        line
    }
}

/// A socket as messages name it.
pub(super) fn label(socket: &Socket) -> String {
    let at = match &socket.local {
        Local::Port(at) => at.to_string(),
        Local::Path(path) => procherd::text::visible(path.bytes()),
        Local::Abstract(name) => format!("@{}", procherd::text::visible(name.bytes())),
        Local::Unnamed => format!("inode {}", socket.inode),
    };
    format!("{} {at}", socket.protocol.word())
}
