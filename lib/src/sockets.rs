//! Who listens on which port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt as _;

use crate::error::{Error, Result};
use crate::id::Pid;
use crate::source::Source;

/// A TCP socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address that it listens on.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its owner.
    pub uid: u32,
    /// Its inode: what `/proc/PID/fd` shows as `socket:[INODE]`.
    pub inode: u64,
}

/// Lists the TCP sockets of this network namespace that listen on a port (`proc_pid_net(5)`).
pub fn listeners(port: u16) -> Result<Vec<Listener>> {
    let mut found = Vec::new();
    for name in ["tcp", "tcp6"] {
        let path = format!("/proc/self/net/{name}");
        match std::fs::read_to_string(&path) {
            Ok(table) => {
                found.extend(table.lines().skip(1).filter_map(listener).filter(|one| one.port == port));
            }
            // A kernel without IPv6 has no table for it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name == "tcp6" => {}
            Err(error) => return Err(Error::system("read sockets", path, error)),
        }
    }
    Ok(found)
}

/// Tells which of these sockets a process holds. What may not be read is not held, as far as can be told.
pub fn holds(source: &Source, pid: Pid, sockets: &[Listener]) -> bool {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    fds.flatten().filter_map(|fd| fd.file_name().into_string().ok()).any(|fd| {
        let Ok(link) = source.link(pid, &format!("fd/{fd}")) else { return false };
        let inode = link.as_bytes().strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]"));
        let inode = inode.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        sockets.iter().any(|socket| Some(socket.inode) == inode)
    })
}

/// Reads a line of the table: none where the socket does not listen.
fn listener(line: &str) -> Option<Listener> {
    /// `TCP_LISTEN` of the kernel.
    const LISTENS: &str = "0A";
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, state, _, _, _, uid, _, inode, ..] = words.as_slice() else { return None };
    if *state != LISTENS {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(Listener {
        address: address_of(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        uid: uid.parse().ok()?,
        inode: inode.parse().ok()?,
    })
}

/// Reads an address: words of 32 bits in hexadecimal, each in the byte order of this machine.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_found_with_its_holder() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let found = listeners(port).expect("readable");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].address, found[0].port), (IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        let source = Source::live().expect("/proc");
        assert!(holds(&source, Pid::this(), &found));
        assert!(!holds(&source, Pid::this(), &[]));
        drop(socket);
        assert!(listeners(port).expect("readable").is_empty());
    }

    #[test]
    fn addresses_are_read_in_the_byte_order_of_the_machine() {
        if cfg!(target_endian = "little") {
            assert_eq!(address_of("0100007F"), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
            assert_eq!(address_of("00000000000000000000000001000000"), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        }
        assert_eq!(address_of("xyz"), None);
    }
}
