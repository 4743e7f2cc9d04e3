//! Sockets: which there are, who holds them, and who holds a file.
//!
//! The kernel is asked through `NETLINK_SOCK_DIAG` (sock_diag(7)): it gives only the states that are wanted, in a tenth
//! of a millisecond. Where netlink is forbidden or a module is missing, the tables below `/proc/net` (proc_pid_net(5))
//! say nearly the same; what they cannot say is absent. [`list`] tries one after the other, each protocol by itself.
//!
//! A socket is a file, and any number of processes can hold it: it is inherited, and passed on to other users. So
//! [`holders`] reads every table of open files that may be read, and says which may not: what was not found in all of
//! them has no visible owner, and [`Missing`] is what can be proved about it.

mod diag;
mod files;
mod holders;
mod locks;
mod missing;
mod saved;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::Result;
use crate::text::Text;

pub use diag::Freed;
pub use holders::{Holders, holders, holders_among_all, holds};
pub use locks::{FileId, Lock, Opened, Unseen, openers, unseen_locks};
pub use missing::{Missing, Publisher, missing};

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, over IPv4 or IPv6.
    Tcp,
    /// UDP, over IPv4 or IPv6.
    Udp,
    /// The sockets of one machine, unix(7).
    Unix,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Unix];

    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
        }
    }
}

/// What a socket is doing: the states of TCP, and what stands for them elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for connections.
    Listen,
    /// It has an address and no peer, and does not listen: of UDP and of datagrams, that is what receives.
    Bound,
    /// It is connected.
    Established,
    /// It asks for a connection.
    SynSent,
    /// It was asked for one.
    SynReceived,
    /// It has been closed on this side, and the other has not confirmed.
    FinWait1,
    /// It has been closed on this side only.
    FinWait2,
    /// It has been closed, and its address is kept back for a minute.
    TimeWait,
    /// It has been closed on the other side only.
    CloseWait,
    /// It has been closed on both sides, and the other has not confirmed.
    LastAck,
    /// Both sides have closed it at once.
    Closing,
    /// Nothing of all that.
    Unconnected,
}

impl State {
    /// The word that records use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Bound => "bound",
            Self::Established => "established",
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::Closing => "closing",
            Self::Unconnected => "unconnected",
        }
    }

    /// The state of a number of the kernel (`net/tcp_states.h`).
    fn numbered(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            13 => Self::Bound,
            _ => Self::Unconnected,
        }
    }
}

/// Where a socket can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// An address and a port.
    Port(SocketAddr),
    /// The path of a file, as it was given to bind(2): it may be relative, or gone.
    Path(Text),
    /// A name that is no file (`abstract`, unix(7)), without the NUL in front.
    Abstract(Text),
    /// Nowhere: it has no name.
    Unnamed,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it can be reached.
    pub local: Local,
    /// Who it is connected to.
    pub peer: Option<SocketAddr>,
    /// What it is doing.
    pub state: State,
    /// Its inode: what `/proc/PID/fd` shows as `socket:[INODE]`. 0: no process can hold it.
    pub inode: u64,
    /// Who made it. Absent for Unix sockets before Linux 5.3 and in the tables of `/proc`.
    pub uid: Option<u32>,
    /// Of an IPv6 socket: whether it is one for IPv4 as well. Absent where the kernel does not say.
    pub dual_stack: Option<bool>,
    /// Of a Unix socket: `stream`, `datagram` or `seqpacket`.
    pub kind: Option<&'static str>,
    /// The network namespace that it belongs to, where that is not the one of the caller.
    pub net_ns: Option<u64>,
}

impl Socket {
    /// Its port, none for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        match self.local {
            Local::Port(at) => Some(at.port()),
            _ => None,
        }
    }

    /// Its address, none for a Unix socket.
    pub fn address(&self) -> Option<IpAddr> {
        match self.local {
            Local::Port(at) => Some(at.ip()),
            _ => None,
        }
    }

    /// Tells whether it receives what others send without being asked: it listens, or it is bound and speaks datagrams.
    pub fn is_listening(&self) -> bool {
        match self.state {
            State::Listen => true,
            State::Bound => self.protocol == Protocol::Udp || self.kind == Some("datagram"),
            _ => false,
        }
    }

    /// Tells whether it has to do with a family of addresses. An IPv6 socket may be one for IPv4, too.
    pub fn speaks(&self, family: Family) -> bool {
        match (self.address(), family) {
            (None, _) => false,
            (Some(address), Family::V6) => address.is_ipv6() && !is_mapped(address),
            (Some(IpAddr::V4(_)), Family::V4) => true,
            (Some(address), Family::V4) => {
                is_mapped(address) || address.is_unspecified() && self.dual_stack != Some(false)
            }
        }
    }
}

/// Tells whether an IPv6 address is one of IPv4 (`::ffff:127.0.0.1`).
fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Serialize for Socket {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.fields(|name, value| map.serialize_entry(name, &value))?;
        map.end()
    }
}

/// A value of a field of a socket.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// A word.
    Word(&'static str),
    /// An address.
    Address(IpAddr),
    /// A number.
    Number(u64),
    /// A path or name.
    Text(&'a Text),
    /// Yes.
    Flag(bool),
}

impl Socket {
    /// Gives its fields one after the other, as records have them.
    pub fn fields<'a, E>(
        &'a self,
        mut field: impl FnMut(&'static str, Value<'a>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        field("protocol", Value::Word(self.protocol.word()))?;
        match &self.local {
            Local::Port(at) => {
                field("address", Value::Address(at.ip()))?;
                field("port", Value::Number(at.port().into()))?;
            }
            Local::Path(path) => field("path", Value::Text(path))?,
            Local::Abstract(name) => field("abstract", Value::Text(name))?,
            Local::Unnamed => {}
        }
        if let Some(peer) = self.peer {
            field("peer_address", Value::Address(peer.ip()))?;
            field("peer_port", Value::Number(peer.port().into()))?;
        }
        field("state", Value::Word(self.state.word()))?;
        if let Some(kind) = self.kind {
            field("kind", Value::Word(kind))?;
        }
        if self.dual_stack == Some(true) {
            field("dual_stack", Value::Flag(true))?;
        }
        if self.inode != 0 {
            field("inode", Value::Number(self.inode))?;
        }
        if let Some(uid) = self.uid {
            field("uid", Value::Number(uid.into()))?;
        }
        if let Some(net_ns) = self.net_ns {
            field("net_ns", Value::Number(net_ns))?;
        }
        Ok(())
    }
}

/// Which sockets are wanted.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What they speak: none for all.
    pub protocols: Vec<Protocol>,
    /// Their family of addresses.
    pub family: Option<Family>,
    /// Also those that do not listen.
    pub any: bool,
    /// Their ports, each range with what it is to speak; together with `names`, alternatives. None of both: all.
    pub ports: Vec<(RangeInclusive<u16>, Option<Protocol>)>,
    /// Paths of Unix sockets.
    pub paths: Vec<Text>,
    /// Abstract names of Unix sockets.
    pub abstracts: Vec<Text>,
}

impl Query {
    /// Those that listen on TCP ports: on any where none is named.
    pub fn tcp(ports: impl IntoIterator<Item = u16>) -> Self {
        let ports = ports.into_iter().map(|port| (port..=port, None)).collect();
        Self { protocols: vec![Protocol::Tcp], ports, ..Self::default() }
    }

    /// Tells whether a socket is wanted.
    pub fn wants(&self, socket: &Socket) -> bool {
        (self.protocols.is_empty() || self.protocols.contains(&socket.protocol))
            && (self.any || socket.is_listening())
            && self.family.is_none_or(|family| socket.speaks(family))
            && self.names(socket)
    }

    fn names(&self, socket: &Socket) -> bool {
        if self.ports.is_empty() && self.paths.is_empty() && self.abstracts.is_empty() {
            return true;
        }
        match &socket.local {
            Local::Port(at) => self.ports.iter().any(|(range, protocol)| {
                range.contains(&at.port()) && protocol.is_none_or(|protocol| protocol == socket.protocol)
            }),
            Local::Path(path) => self.paths.contains(path),
            Local::Abstract(name) => self.abstracts.contains(name),
            Local::Unnamed => false,
        }
    }

    /// The port that is asked for, where it is a single one: then the kernel need not tell of others.
    fn only_port(&self) -> Option<u16> {
        let [(range, _)] = self.ports.as_slice() else { return None };
        let named = self.paths.is_empty() && self.abstracts.is_empty();
        (range.start() == range.end() && named).then_some(*range.start())
    }

    /// The protocols that have to be asked for.
    fn asks(&self) -> impl Iterator<Item = Protocol> {
        let named = !(self.ports.is_empty() && self.paths.is_empty() && self.abstracts.is_empty());
        Protocol::ALL.into_iter().filter(move |protocol| {
            let asked = self.protocols.is_empty() || self.protocols.contains(protocol);
            let nameable = match protocol {
                Protocol::Unix => !(self.paths.is_empty() && self.abstracts.is_empty()),
                _ => self.ports.iter().any(|(_, of)| of.is_none_or(|of| of == *protocol)),
            };
            asked && (nameable || !named)
        })
    }
}

/// Lists the sockets of this network namespace that are wanted.
///
/// What begins or ends meanwhile may be missing. An error: neither netlink nor `/proc/net` could be read.
pub fn list(query: &Query) -> Result<Vec<Socket>> {
    let mut diag = diag::Diag::open().ok();
    let mut found = Vec::new();
    for protocol in query.asks() {
        let told = diag.as_mut().and_then(|diag| diag.list(protocol, query.any, query.only_port()).ok());
        let sockets = match told {
            Some(sockets) => sockets,
            None => files::list("/proc/self/net", protocol)?,
        };
        found.extend(sockets.into_iter().filter(|socket| query.wants(socket)));
    }
    Ok(found)
}

/// Lists the sockets of the network namespace of a process that are wanted, from its tables alone.
pub fn list_of(pid: crate::id::Pid, net_ns: u64, query: &Query) -> Result<Vec<Socket>> {
    let mut found = Vec::new();
    for protocol in query.asks() {
        let sockets = files::list(&format!("/proc/{pid}/net"), protocol)?;
        let there = sockets.into_iter().map(|socket| Socket { net_ns: Some(net_ns), ..socket });
        found.extend(there.filter(|socket| query.wants(socket)));
    }
    Ok(found)
}

/// Lists the TCP sockets of this network namespace that listen on a port.
pub fn listeners(port: u16) -> Result<Vec<Socket>> {
    list(&Query::tcp([port]))
}

#[cfg(test)]
mod tests;
