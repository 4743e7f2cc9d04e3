//! What pgone writes: an outcome record for everything that was waited for.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use procherd::error::Result;
use procherd::handle::Handle;
use procherd::record::{Line, Record, View};
use procherd::sockets::{Protocol, Query, Socket};
use procherd::source::Source;
use procherd::status::End;
use procherd::text::Text;
use procherd::wait::{Port, Ports, Quiet};

use super::course::Target;
use super::of_process;
use crate::frame::{Output, RegistryArgs, Reporter, Sheet, Sockets, look_at_sockets, write_missing};

/// The fields that an outcome writes itself.
const OWN: [&str; 8] =
    ["outcome", "elapsed_ms", "exit_status", "exit_signal", "zombie", "why", "identity", "alive"];

/// Writes outcomes.
pub(super) struct Say {
    output: Output,
    view: View,
    begun: Instant,
}

impl Say {
    /// Writes to an output, with what all records share.
    pub(super) fn new(output: Output, view: View, begun: Instant) -> Self {
        Self { output, view, begun }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Says that a process has ended; with a handle that was held meanwhile, also how.
    pub(super) fn gone(&mut self, target: &Target, handle: Option<&Handle>) -> Result<()> {
        // A zombie is gone: its parent has not asked how. Read anew, since it was alive when it was met.
        let source = Source::live()?;
        let stat = source.whole(target.goal.identity.pid, "stat").ok();
        let stat = stat.as_deref().and_then(procherd::source::parse_stat);
        let same = |stat: &procherd::source::Stat| {
            target.process.as_ref().is_none_or(|process| process.start_ticks == stat.start_ticks)
        };
        let zombie = stat.filter(same).is_some_and(|stat| procherd::handle::is_dead(&stat));
        self.process(target, "exited", |sheet| {
            match handle.and_then(Handle::end) {
                Some(End::Exited(code)) => sheet.field("exit_status", &code),
                Some(End::Signalled(signal)) => sheet.field("exit_signal", &signal),
                None => sheet,
            };
            if zombie {
                sheet.field("zombie", &true);
            }
        })
    }

    /// Says that a process is there.
    pub(super) fn there(&mut self, target: &Target) -> Result<()> {
        self.process(target, "ready", |_| {})
    }

    /// Says that a process lives on.
    pub(super) fn survived(&mut self, target: &Target) -> Result<()> {
        self.process(target, "survived", |_| {})
    }

    fn process(&mut self, target: &Target, outcome: &str, more: impl FnOnce(&mut Sheet<'_>)) -> Result<()> {
        let elapsed = self.elapsed();
        let Some(process) = &target.process else { return self.missing(target, outcome, None) };
        let view = &mut self.view;
        if let Some(uid) = process.uid.filter(|uid| !view.users.contains_key(uid)) {
            view.users.extend(procherd::host::user_name(uid).map(|name| (uid, name)));
        }
        self.output.record(|out| {
            let mut sheet = Sheet::Fresh(process.line_as("outcome", view, out));
            sheet.field("outcome", outcome);
            more(&mut sheet);
            sheet.field("elapsed_ms", &elapsed);
            if let Some(record) = &target.goal.record {
                sheet.rest_of(record, &OWN);
            }
            sheet.end();
        })
    }

    /// Says what became of a process of which nothing could be seen.
    pub(super) fn missing(&mut self, target: &Target, outcome: &str, why: Option<&str>) -> Result<()> {
        let (identity, record) = (&target.goal.identity, target.goal.record.as_ref());
        self.output.record(|out| write_missing(identity, record, outcome, why, out))
    }

    /// Says that a service runs.
    pub(super) fn runs(&mut self, mut record: Record) -> Result<()> {
        let elapsed = self.elapsed();
        record.set("type", "outcome");
        of_process(&mut record);
        record.set("outcome", "ready");
        record.set("elapsed_ms", &elapsed);
        self.output.record(|out| record.write_line(out))
    }

    /// Says that a service does not run.
    pub(super) fn absent_service(&mut self, name: &str) -> Result<()> {
        let elapsed = self.elapsed();
        self.output.record(|out| {
            let mut line = Line::new(out, "outcome");
            line.field("name", name).field("outcome", "missing").field("elapsed_ms", &elapsed);
            line.end();
        })
    }

    /// Says what became of ports and files once all is over.
    pub(super) fn ends(
        &mut self,
        asked: &[Port],
        ports: Option<&Ports>,
        files: &[Quiet],
        ready: bool,
    ) -> Result<()> {
        if ports.is_some() {
            self.ports(asked, if ready { "ready" } else { "free" })?;
        }
        files.iter().try_for_each(|file| self.file(file, if ready { "ready" } else { "quiet" }))
    }

    /// Says what became of ports, a record for each range.
    pub(super) fn ports(&mut self, asked: &[Port], outcome: &str) -> Result<()> {
        asked.iter().try_for_each(|port| self.port(port, outcome))
    }

    fn port(&mut self, (range, protocol): &Port, outcome: &str) -> Result<()> {
        let elapsed = self.elapsed();
        self.output.record(|out| {
            let mut line = Line::new(out, "outcome");
            line.field("port", range.start());
            line.known("last_port", (range.start() != range.end()).then_some(range.end()));
            line.known("protocol", protocol.map(Protocol::word));
            line.field("outcome", outcome).field("elapsed_ms", &elapsed);
            line.end();
        })
    }

    /// Says on which ports nobody listens.
    pub(super) fn absent_ports(&mut self, asked: &[Port], found: &[Socket]) -> Result<()> {
        for (range, protocol) in asked {
            for port in range.clone() {
                let same = |socket: &&Socket| {
                    socket.port() == Some(port) && protocol.is_none_or(|protocol| protocol == socket.protocol)
                };
                let outcome = if found.iter().any(|socket| same(&socket)) { "ready" } else { "missing" };
                self.port(&(port..=port, *protocol), outcome)?;
            }
        }
        Ok(())
    }

    /// Says who still holds ports: processes as far as they can be seen.
    pub(super) fn holders(
        &mut self,
        ports: &Ports,
        registry: &RegistryArgs,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let wanted = ports.found().iter().filter_map(|socket| Some((socket.port()?, socket.protocol)));
        let ports = wanted.map(|(port, protocol)| (port..=port, Some(protocol))).collect();
        let query = Query { protocols: vec![Protocol::Tcp, Protocol::Udp], ports, ..Query::default() };
        let Sockets { scene, held, ownerless, .. } =
            look_at_sockets(&query, false, None, registry, reporter)?;
        let elapsed = self.elapsed();
        for (index, sockets) in &held {
            let table = scene.table();
            self.output.record(|out| {
                let mut sheet = Sheet::Fresh(table.get(*index).line_as("outcome", &table.view, out));
                scene.add_membership(*index, &mut sheet);
                sheet.field("outcome", "held").field("elapsed_ms", &elapsed).field("sockets", sockets);
                sheet.end();
            })?;
        }
        for (socket, missing) in &ownerless {
            self.output.record(|out| {
                let mut line = Line::new(out, "outcome");
                line.field("outcome", "held").field("elapsed_ms", &elapsed).field("sockets", &[socket]);
                line.field("owner", missing.word()).field("why", &missing.why());
                line.end();
            })?;
        }
        Ok(())
    }

    /// Says what became of a file.
    pub(super) fn file(&mut self, file: &Quiet, outcome: &str) -> Result<()> {
        let elapsed = self.elapsed();
        let path = Text::from(file.path().as_os_str().as_bytes());
        self.output.record(|out| {
            let mut line = Line::new(out, "outcome");
            line.field("file", &path).field("outcome", outcome).field("elapsed_ms", &elapsed);
            line.end();
        })
    }

    /// Hands on what waits: the next may take a while.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }

    /// Writes the rest.
    pub(super) fn close(self) -> Result<()> {
        self.output.end()
    }
}
