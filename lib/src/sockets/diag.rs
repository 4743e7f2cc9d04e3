//! The questions and answers of `NETLINK_SOCK_DIAG`: sock_diag(7), `linux/inet_diag.h`, `linux/unix_diag.h`.
//!
//! All that is sent and received is plain bytes, in the byte order of the machine but for ports and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
};

use super::{Local, Protocol, Socket, State};
use crate::text::Text;

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// `TCPF_LISTEN`.
const LISTENING: u32 = 1 << 10;
/// The size of the header of a message.
const HEADER: usize = 16;
/// The size of `struct inet_diag_msg`.
const INET: usize = 72;
/// The size of `struct unix_diag_msg`.
const UNIX: usize = 16;

/// A socket to ask through.
pub(super) struct Diag {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Diag {
    /// Opens one.
    pub(super) fn open() -> Result<Self, Errno> {
        Ok(Self { fd: netlink(SockFlag::SOCK_CLOEXEC)?, buffer: vec![0; 64 << 10] })
    }

    /// Asks for the sockets of a protocol: all, or only those that listen or that have no peer; of all ports, or of one.
    pub(super) fn list(
        &mut self,
        protocol: Protocol,
        any: bool,
        port: Option<u16>,
    ) -> Result<Vec<Socket>, Errno> {
        // UDP and datagrams have no state for it: theirs are sorted out afterwards.
        let states = if any || protocol != Protocol::Tcp { u32::MAX } else { LISTENING };
        let mut found = Vec::new();
        if protocol == Protocol::Unix {
            self.ask(&unix_request(states), |body| found.extend(unix_socket(body)))?;
            return Ok(found);
        }
        for family in [libc::AF_INET, libc::AF_INET6] {
            let request = inet_request(family, protocol, states, port.unwrap_or(0));
            let answered = self.ask(&request, |body| found.extend(inet_socket(body, protocol)));
            match answered {
                // A kernel without IPv6 has nobody who would answer.
                Err(Errno::ENOENT) if family == libc::AF_INET6 && !has_ipv6() => {}
                other => other?,
            }
        }
        Ok(found)
    }

    fn ask(&mut self, body: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Errno> {
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::EMSGSIZE)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend([BY_FAMILY.to_ne_bytes(), DUMP.to_ne_bytes()].concat());
        message.extend([0; 8]);
        message.extend(body);
        sendto(self.fd.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        loop {
            let read = match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            for (kind, body) in messages(&self.buffer[..read]) {
                match kind {
                    DONE => return Ok(()),
                    ERROR => {
                        let code = number(body, 0).map_or(0, u32::cast_signed);
                        return Err(Errno::from_raw(code.wrapping_neg()));
                    }
                    _ => take(body),
                }
            }
        }
    }
}

/// News of sockets that have been closed for good (`SKNLGRP_*_DESTROY`, Linux 4.5; `CAP_NET_ADMIN`).
pub struct Freed(OwnedFd);

impl Freed {
    /// Listens for news of TCP and UDP sockets; none where that is not permitted.
    pub fn listen() -> Option<Self> {
        /// The four groups: TCP and UDP, IPv4 and IPv6.
        const GROUPS: u32 = 0b1111;
        let fd = netlink(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK).ok()?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS)).ok()?;
        Some(Self(fd))
    }

    /// For poll: readable when there is news.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Takes all news. What they say does not matter: some may have been lost, so the caller looks again.
    pub fn take(&self) {
        let mut buffer = [0; 8192];
        let mut more = true;
        while more {
            let read = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty());
            more = matches!(read, Ok(1..) | Err(Errno::EINTR | Errno::ENOBUFS));
        }
    }
}

fn netlink(flags: SockFlag) -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)
}

fn has_ipv6() -> bool {
    std::path::Path::new("/proc/self/net/tcp6").exists()
}

/// `struct inet_diag_req_v2`, with the whole of `struct inet_diag_sockid` left open but the own port: 0 means any.
fn inet_request(family: i32, protocol: Protocol, states: u32, port: u16) -> Vec<u8> {
    let number = if protocol == Protocol::Tcp { libc::IPPROTO_TCP } else { libc::IPPROTO_UDP };
    let mut request = vec![small(family), small(number), 0, 0];
    request.extend(states.to_ne_bytes());
    request.extend(port.to_be_bytes());
    request.extend([0; 46]);
    request
}

/// `struct unix_diag_req`: all inodes, with names and owners.
fn unix_request(states: u32) -> Vec<u8> {
    /// `UDIAG_SHOW_NAME | UDIAG_SHOW_UID`. Kernels before 5.3 know only the first, and say no more.
    const SHOW: u32 = 0x41;
    let mut request = vec![small(libc::AF_UNIX), 0, 0, 0];
    for word in [states, 0, SHOW, u32::MAX, u32::MAX] {
        request.extend(word.to_ne_bytes());
    }
    request
}

fn small(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(0)
}

/// The messages of one read: type and what follows the header. A length that cannot be ends them.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::try_from(number(rest, 0)?).ok()?;
        let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attributes behind the fixed part of an answer: type and value.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads a `struct inet_diag_msg` and what follows it.
fn inet_socket(body: &[u8], protocol: Protocol) -> Option<Socket> {
    /// `INET_DIAG_SKV6ONLY`.
    const V6ONLY: u16 = 11;
    let (fixed, rest) = (body.get(..INET)?, body.get(INET..)?);
    let family = i32::from(fixed[0]);
    let end = |port: usize, address: usize| -> Option<SocketAddr> {
        let port = u16::from_be_bytes(fixed.get(port..port + 2)?.try_into().ok()?);
        let address = if family == libc::AF_INET {
            IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(fixed.get(address..address + 4)?).ok()?))
        } else {
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(fixed.get(address..address + 16)?).ok()?))
        };
        Some(SocketAddr::new(address, port))
    };
    let state = match (protocol, State::numbered(fixed[1])) {
        (Protocol::Udp, State::Unconnected) => State::Bound,
        (_, state) => state,
    };
    let v6only = attributes(rest).find(|(kind, _)| *kind == V6ONLY);
    Some(Socket {
        protocol,
        local: Local::Port(end(4, 8)?),
        peer: end(6, 24).filter(|peer| peer.port() != 0),
        state,
        inode: number(fixed, 68)?.into(),
        uid: number(fixed, 64),
        dual_stack: v6only.and_then(|(_, value)| Some(*value.first()? == 0)),
        kind: None,
        net_ns: None,
    })
}

/// Reads a `struct unix_diag_msg` and what follows it.
fn unix_socket(body: &[u8]) -> Option<Socket> {
    /// `UNIX_DIAG_NAME`.
    const NAME: u16 = 0;
    /// `UNIX_DIAG_UID`.
    const UID: u16 = 7;
    let (fixed, rest) = (body.get(..UNIX)?, body.get(UNIX..)?);
    let (mut local, mut uid) = (Local::Unnamed, None);
    for (kind, value) in attributes(rest) {
        match kind {
            NAME => local = named(value),
            UID => uid = number(value, 0),
            _ => {}
        }
    }
    Some(Socket {
        protocol: Protocol::Unix,
        state: unix_state(State::numbered(fixed[2]), &local),
        local,
        peer: None,
        inode: number(fixed, 4)?.into(),
        uid,
        dual_stack: None,
        kind: unix_kind(fixed[1].into()),
        net_ns: None,
    })
}

/// The name of a Unix socket: a path ends with its first NUL, an abstract name begins with one and has any bytes.
fn named(bytes: &[u8]) -> Local {
    match bytes {
        [] => Local::Unnamed,
        [0, name @ ..] => Local::Abstract(Text::from(name)),
        path => Local::Path(Text::from(path.split(|byte| *byte == 0).next().unwrap_or_default())),
    }
}

/// A socket with a name and without a peer is bound.
pub(super) fn unix_state(state: State, local: &Local) -> State {
    if state == State::Unconnected && *local != Local::Unnamed { State::Bound } else { state }
}

/// The type of a Unix socket (`SOCK_STREAM` and so on).
pub(super) fn unix_kind(number: u32) -> Option<&'static str> {
    match number {
        1 => Some("stream"),
        2 => Some("datagram"),
        5 => Some("seqpacket"),
        _ => None,
    }
}
