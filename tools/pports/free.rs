//! The first port that is free.

use procherd::error::{Error, Kind, Result};
use procherd::host::Host;
use procherd::registry::given_ports;
use procherd::sockets::{self, Query};
use procherd::source::Source;

use super::Args;
use super::wanted::Wanted;
use crate::frame::{Exit, Format, Outcome, Output, OutputArgs, Reporter, ports};
use procherd::sockets::Protocol;
use procherd::table::Shape;

/// Writes the first port of a range that nobody uses, in whatever state, and that no living service was given.
pub(super) fn first(args: &Args, text: &str, wanted: &Wanted, reporter: &mut Reporter) -> Outcome {
    let invalid =
        |why: String| Error::new(Kind::Invalid, "read options", format_args!("--first-free {text}"), why);
    let (range, protocol) = ports(text).map_err(invalid)?;
    let asked = protocol.map_or(wanted.query.protocols.clone(), |protocol| vec![protocol]);
    let protocols = asked.into_iter().filter(|protocol| *protocol != Protocol::Unix).collect();
    let query = Query { any: true, protocols, family: wanted.query.family, ..Query::default() };
    let mut used: Vec<u16> = sockets::list(&query)?.iter().filter_map(sockets::Socket::port).collect();
    match given(args) {
        Ok(ports) => used.extend(ports),
        Err(error) => reporter.fault(&error),
    }
    let Some(port) = range.clone().find(|port| !used.contains(port)) else {
        let error = Error::new(Kind::Gone, "find free port", text, "all are taken");
        reporter.absent(&error);
        return Ok(Exit::No);
    };
    // A number is a record, too, and what a script wants.
    let mut output = Output::new(&OutputArgs { format: Format::Ndjson, ..args.output.clone() }, Shape::Table);
    output.record(|out| out.extend_from_slice(format!("{port}\n").as_bytes()))?;
    output.end()?;
    Ok(Exit::Done)
}

/// The ports that living services were given. A registry that does not exist knows none.
fn given(args: &Args) -> Result<Vec<u16>> {
    let document = args.registry.open()?.read()?;
    Ok(given_ports(&document, &Host::look()?, &Source::live()?).map(|(_, port)| port).collect())
}
