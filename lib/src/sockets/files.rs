//! The tables of sockets below `/proc/PID/net` (proc_pid_net(5)), for where netlink does not answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::diag::{unix_kind, unix_state};
use super::{Local, Protocol, Socket, State};
use crate::error::{Error, Result};
use crate::text::Text;

/// Lists all sockets of a protocol from the tables in a folder.
pub(super) fn list(folder: &str, protocol: Protocol) -> Result<Vec<Socket>> {
    let names: &[&str] = match protocol {
        Protocol::Tcp => &["tcp", "tcp6"],
        Protocol::Udp => &["udp", "udp6"],
        Protocol::Unix => &["unix"],
    };
    let mut found = Vec::new();
    for name in names {
        let path = format!("{folder}/{name}");
        match std::fs::read(&path) {
            Ok(table) if protocol == Protocol::Unix => found.extend(unix(&table)),
            Ok(table) => {
                let lines = table.split(|byte| *byte == b'\n').skip(1);
                found.extend(lines.filter_map(|line| inet(line, protocol)));
            }
            // A kernel without IPv6 has no table for it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name.ends_with('6') => {}
            Err(error) => return Err(Error::system("read sockets", path, error)),
        }
    }
    Ok(found)
}

/// Reads a line of the tables of TCP and UDP.
fn inet(line: &[u8], protocol: Protocol) -> Option<Socket> {
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split_ascii_whitespace().collect();
    let [_, local, peer, state, _, _, _, uid, _, inode, ..] = words.as_slice() else { return None };
    let state = State::numbered(u8::from_str_radix(state, 16).ok()?);
    Some(Socket {
        protocol,
        local: Local::Port(end_of(local)?),
        peer: end_of(peer).filter(|peer| peer.port() != 0),
        state: if (protocol, state) == (Protocol::Udp, State::Unconnected) { State::Bound } else { state },
        inode: inode.parse().ok()?,
        uid: uid.parse().ok(),
        dual_stack: None,
        kind: None,
        net_ns: None,
    })
}

/// Reads `ADDRESS:PORT`: words of 32 bits in hexadecimal, each in the byte order of this machine.
fn end_of(text: &str) -> Option<SocketAddr> {
    let (hex, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let address = match hex.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

/// Reads the table of Unix sockets.
///
/// Names stand in it as they are, line ends included: what is no line of the table belongs to the name before it. A
/// name can so pretend to be two sockets; netlink cannot be deceived that way.
fn unix(table: &[u8]) -> Vec<Socket> {
    let mut found: Vec<Socket> = Vec::new();
    for line in table.split(|byte| *byte == b'\n').skip(1) {
        match unix_line(line) {
            Some(socket) => found.push(socket),
            None => {
                if let Some(Local::Path(name) | Local::Abstract(name)) =
                    found.last_mut().map(|last| &mut last.local)
                    && !line.is_empty()
                {
                    *name = Text::from([name.bytes(), b"\n", line].concat().as_slice());
                }
            }
        }
    }
    found
}

fn unix_line(line: &[u8]) -> Option<Socket> {
    /// `__SO_ACCEPTCON`.
    const LISTENS: u32 = 1 << 16;
    /// `SS_CONNECTING` of linux/net.h.
    const CONNECTING: u32 = 2;
    /// `SS_CONNECTED`.
    const CONNECTED: u32 = 3;
    let mut words = line.splitn(8, |byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let hex = |word: Option<&str>| u32::from_str_radix(word?, 16).ok();
    word()?.strip_suffix(':').filter(|number| number.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let (_, _, flags, kind, state) = (hex(word())?, hex(word())?, hex(word())?, hex(word())?, hex(word())?);
    // The inode is padded on the left with blanks, and the name follows after one.
    let start = line.iter().enumerate().filter(|(_, byte)| **byte == b' ').nth(5)?.0;
    let tail = line.get(start..)?.trim_ascii_start();
    let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let inode = std::str::from_utf8(tail.get(..digits)?).ok()?.parse().ok()?;
    let local = match tail.get(digits..)? {
        [] => Local::Unnamed,
        [b' ', b'@', name @ ..] => Local::Abstract(Text::from(name)),
        [b' ', path @ ..] => Local::Path(Text::from(path)),
        _ => return None,
    };
    let state = match state {
        _ if flags & LISTENS != 0 => State::Listen,
        CONNECTING => State::SynSent,
        CONNECTED => State::Established,
        _ => State::Unconnected,
    };
    Some(Socket {
        protocol: Protocol::Unix,
        state: unix_state(state, &local),
        local,
        peer: None,
        inode,
        uid: None,
        dual_stack: None,
        kind: unix_kind(kind),
        net_ns: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_the_byte_order_of_the_machine() {
        if cfg!(target_endian = "little") {
            assert_eq!(end_of("0100007F:1F41"), Some("127.0.0.1:8001".parse().expect("an end")));
            assert_eq!(
                end_of("00000000000000000000000001000000:0050"),
                Some("[::1]:80".parse().expect("an end"))
            );
        }
        for text in ["xyz", "0100007F", "0100007F:x", "01:1", ""] {
            assert_eq!(end_of(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_unix_sockets_keep_their_blanks_and_line_ends() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            ffff: 00000002 00000000 00010000 0001 01 12345 /run/a b\nc: d\n\
            ffff: 00000003 00000000 00000000 0001 03   678\n\
            ffff: 00000002 00000000 00000000 0002 01 9 @x@y\n";
        let found = unix(table);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0].local, Local::Path(Text::from(&b"/run/a b\nc: d"[..])));
        assert_eq!((found[0].state, found[0].inode, found[0].kind), (State::Listen, 12345, Some("stream")));
        assert_eq!(
            (found[1].state, found[1].inode, &found[1].local),
            (State::Established, 678, &Local::Unnamed)
        );
        assert_eq!((found[2].state, found[2].inode), (State::Bound, 9));
        assert_eq!(found[2].local, Local::Abstract(Text::from(&b"x@y"[..])));
        assert!(found[2].is_listening());
    }
}
