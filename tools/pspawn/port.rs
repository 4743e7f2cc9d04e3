//! The port of a service: looked at before the start, so that a taken one is said and not met.

use std::time::Duration;

use procherd::error::{Error, Kind, Result};
use procherd::sockets::{self, Socket};
use procherd::source::Wants;
use procherd::spawn::{Starter, Wish};
use procherd::terminate::{Options, Root, Via};
use procherd::text::visible;

use super::say::Ended;
use crate::frame::Reporter;

/// Options for the port of a service.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Port")]
pub(super) struct Port {
    /// The port that it is to listen on; it finds it in its environment as PORT
    #[arg(long = "port", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) number: Option<u16>,

    /// What to do when somebody listens there: fail, take the next free one, or end who does
    #[arg(long, value_name = "ACTION", default_value = "fail", requires = "number")]
    port_if_taken: Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Taken {
    Fail,
    Next,
    Clear,
}

/// How many ports after the one that was asked for are looked at.
const MORE: u16 = 100;

/// Which port a service gets.
pub(super) enum Chosen {
    /// None.
    None,
    /// This one.
    Now(u16),
    /// One that is chosen when the name is claimed.
    Later(Wish),
}

impl Port {
    /// Looks at the port, and clears it where that was asked for. `Busy`: it is taken, and the error says by whom.
    pub(super) fn choose(
        &self,
        starter: &Starter<'_>,
        grace: Duration,
        reporter: &mut Reporter,
    ) -> Result<Chosen> {
        let Some(wanted) = self.number else { return Ok(Chosen::None) };
        let found = sockets::listeners(wanted)?;
        match self.port_if_taken {
            _ if found.is_empty() && self.port_if_taken != Taken::Next => {}
            Taken::Fail => return Err(taken(starter, wanted, &found)),
            Taken::Clear => clear(starter, wanted, &found, grace, reporter)?,
            Taken::Next => return Ok(Chosen::Later(Wish { first: wanted, more: MORE })),
        }
        Ok(Chosen::Now(wanted))
    }
}

/// Says who listens, and how that one is ended.
fn taken(starter: &Starter<'_>, port: u16, found: &[Socket]) -> Error {
    let holders: Vec<Root> = holders(starter, found).unwrap_or_default();
    let who = if let Some(Root { identity, .. }) = holders.first() {
        let process = starter.source.reader(Wants::default()).read(identity.pid).ok().flatten();
        let comm =
            process.map_or_else(String::new, |process| format!(" ({})", visible(process.comm.bytes())));
        format!("process {}{comm} listens there; 'pkill-tree {identity}' ends it", identity.pid)
    } else {
        let uid = found.first().and_then(|socket| socket.uid).unwrap_or(0);
        format!("a process of user {uid} that cannot be seen listens there")
    };
    let why = format!("{who}, --port-if-taken next takes another port, clear ends it first");
    Error::new(Kind::Busy, "use port", port, why)
}

/// The processes that hold sockets, as roots to be ended.
fn holders(starter: &Starter<'_>, found: &[Socket]) -> Result<Vec<Root>> {
    let mut reader = starter.source.reader(Wants { identity: true, ..Wants::default() });
    let mut roots = Vec::new();
    let inodes: Vec<u64> = found.iter().map(|socket| socket.inode).collect();
    let holders = sockets::holders(starter.source, &starter.source.pids()?, &inodes)?;
    for (pid, _) in &holders.by_pid {
        let Some(process) = reader.read(*pid)? else { continue };
        let identity = process.identity(starter.host.place());
        if holders.still_held(starter.host, starter.source, &identity).is_some() {
            roots.push(Root::of(identity, Via::Named));
        }
    }
    Ok(roots)
}

/// Ends who listens, and looks whether nobody does any more.
fn clear(
    starter: &Starter<'_>,
    port: u16,
    found: &[Socket],
    grace: Duration,
    reporter: &mut Reporter,
) -> Result<()> {
    let roots = holders(starter, found)?;
    if roots.is_empty() {
        return Err(taken(starter, port, found));
    }
    let mut seen = Ended::default();
    let summary = starter.end_roots(&roots, &Options { grace, ..Options::default() }, &mut seen)?;
    seen.check("clear port", &port.to_string(), &summary)?;
    reporter.note(format_args!("port {port}: {} ended", summary.exited + summary.killed));
    let left = sockets::listeners(port)?;
    if left.is_empty() { Ok(()) } else { Err(taken(starter, port, &left)) }
}
