//! Which sockets were asked for: operands and options.

use std::ops::RangeInclusive;

use procherd::error::{Error, Kind, Result};
use procherd::sockets::{self, Family, Protocol, Query, Socket, State};
use procherd::text::Text;

use crate::frame::{Reporter, ports};

/// Options that choose sockets.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which sockets")]
pub(super) struct SocketArgs {
    /// Only TCP; with --udp or --unix, those too
    #[arg(long)]
    tcp: bool,

    /// Only UDP; with --tcp or --unix, those too
    #[arg(long)]
    udp: bool,

    /// Only Unix sockets; with --tcp or --udp, those too
    #[arg(long)]
    unix: bool,

    /// Only what is reached by IPv4; that includes IPv6 sockets that are for both
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Only what is reached by IPv6
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Also sockets that do not listen: connections, and what is left of them
    #[arg(long)]
    any: bool,

    /// Also the network namespaces of other processes, such as containers
    #[arg(long)]
    pub(super) all_namespaces: bool,
}

/// What was asked for.
pub(super) struct Wanted {
    /// All that was asked for, in one question.
    pub(super) query: Query,
    /// Each operand as a question of its own.
    each: Vec<(String, Query)>,
    /// Whether the processes are those of standard input.
    pub(super) input: bool,
}

impl Wanted {
    /// Reads what was typed.
    pub(super) fn read(operands: &[String], args: &SocketArgs) -> Result<Self> {
        let mut protocols: Vec<Protocol> =
            [(args.tcp, Protocol::Tcp), (args.udp, Protocol::Udp), (args.unix, Protocol::Unix)]
                .into_iter()
                .filter_map(|(given, protocol)| given.then_some(protocol))
                .collect();
        let input = operands == ["-"];
        if protocols.is_empty() && (operands.is_empty() || input) {
            protocols = vec![Protocol::Tcp, Protocol::Udp];
        }
        let family = if args.ipv4 { Some(Family::V4) } else { args.ipv6.then_some(Family::V6) };
        let mut all = Query { protocols, family, any: args.any, ..Query::default() };
        let options = all.clone();
        let mut each = Vec::new();
        for text in operands.iter().filter(|_| !input) {
            let mut one = options.clone();
            name(text, &mut one)?;
            all.ports.extend(one.ports.iter().cloned());
            all.paths.extend(one.paths.iter().cloned());
            all.abstracts.extend(one.abstracts.iter().cloned());
            each.push((text.clone(), one));
        }
        Ok(Self { query: all, each, input })
    }

    /// Tells whether anything was named.
    pub(super) fn names_any(&self) -> bool {
        !self.each.is_empty()
    }

    /// Tells whether each operand is among some sockets.
    pub(super) fn all_among(&self, found: &[&Socket]) -> bool {
        self.each.iter().all(|(_, query)| found.iter().any(|socket| query.wants(socket)))
    }

    /// Says which ports that nobody listens on are kept back by closed connections: a server that does not set
    /// `SO_REUSEADDR` cannot have them yet.
    pub(super) fn note_kept_back(&self, found: &[&Socket], reporter: &mut Reporter) {
        let single = |(range, _): &(RangeInclusive<u16>, _)| range.start() == range.end();
        for (text, query) in &self.each {
            let silent = !query.any && query.ports.iter().any(single);
            if !silent || found.iter().any(|socket| query.wants(socket)) {
                continue;
            }
            let Ok(all) = sockets::list(&Query { any: true, ..query.clone() }) else { continue };
            let kept = all.iter().filter(|socket| socket.state == State::TimeWait).count();
            if kept > 0 {
                reporter.note(format_args!(
                    "look at port: {text}: nobody listens, and {kept} closed connections keep it back (time-wait)"
                ));
            }
        }
    }
}

/// Reads an operand: a port, a range of ports, each perhaps with a protocol; a path; or an abstract name.
fn name(text: &str, query: &mut Query) -> Result<()> {
    let invalid = |why: &str| Error::new(Kind::Invalid, "read operand", format_args!("'{text}'"), why);
    if let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) {
        query.abstracts.push(Text::from(name));
        return Ok(());
    }
    if text.contains('/') && !text.rsplit_once('/').is_some_and(|(numbers, _)| is_ports(numbers)) {
        query.paths.push(Text::from(text));
        return Ok(());
    }
    if text == "-" {
        return Err(invalid("it reads standard input, and stands alone"));
    }
    query.ports.push(ports(text).map_err(|why| invalid(&why))?);
    Ok(())
}

fn is_ports(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query> {
        Wanted::read(&[text.to_owned()], &SocketArgs::default()).map(|wanted| wanted.query)
    }

    #[test]
    fn ports_ranges_paths_and_names_are_told_apart() {
        assert_eq!(query("8001").expect("a port").ports, [(8001..=8001, None)]);
        assert_eq!(query("53/udp").expect("a port").ports, [(53..=53, Some(Protocol::Udp))]);
        assert_eq!(query("1..65535/tcp").expect("a range").ports, [(1..=65535, Some(Protocol::Tcp))]);
        for path in ["/run/x", "./x", "8001/x.sock/", "/8001", "a/udp"] {
            let found = query(path);
            let is_path = found.as_ref().is_ok_and(|query| query.paths == [Text::from(path)]);
            assert!(is_path || path.starts_with("8001"), "{path}: {found:?}");
        }
        assert_eq!(query("@a b").expect("a name").abstracts, [Text::from("a b")]);
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in ["0", "65536", "-1", "+5", "http", "", "5..", "9..8", "1...3", "8001/sctp", "@"] {
            assert!(query(text).is_err(), "{text:?} was accepted");
        }
        let two = ["-".to_owned(), "8001".to_owned()];
        assert!(Wanted::read(&two, &SocketArgs::default()).is_err());
    }
}
