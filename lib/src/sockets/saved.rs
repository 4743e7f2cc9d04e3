//! Sockets as records have them, read back.

use std::net::{IpAddr, SocketAddr};

use super::{Local, Protocol, Socket, State};
use crate::record::Record;
use crate::text::Text;

impl Socket {
    /// Reads a socket from the fields that [`Socket::fields`] writes; none where they do not make one.
    pub fn of_record(record: &Record) -> Option<Self> {
        let text = |name: &str| record.field::<Text>(name).ok().flatten();
        let end = |address: &str, port: &str| {
            let address: IpAddr = record.text(address)?.parse().ok()?;
            Some(SocketAddr::new(address, record.field(port).ok()??))
        };
        let word = record.text("protocol")?;
        let protocol = Protocol::ALL.into_iter().find(|known| known.word() == word)?;
        let local = end("address", "port")
            .map(Local::Port)
            .or_else(|| text("path").map(Local::Path))
            .or_else(|| text("abstract").map(Local::Abstract))
            .unwrap_or(Local::Unnamed);
        let kind = record.text("kind");
        Some(Self {
            protocol,
            local,
            peer: end("peer_address", "peer_port"),
            state: State::named(&record.text("state")?)?,
            inode: record.field("inode").ok()?.unwrap_or(0),
            uid: record.field("uid").ok()?,
            dual_stack: record.field("dual_stack").ok()?,
            kind: ["stream", "datagram", "seqpacket"]
                .into_iter()
                .find(|known| kind.as_deref() == Some(known)),
            net_ns: record.field("net_ns").ok()?,
        })
    }
}

impl State {
    fn named(word: &str) -> Option<Self> {
        (1..=13).map(Self::numbered).find(|state| state.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_comes_back_from_its_record() {
        let socket = |local, state| Socket {
            protocol: if matches!(local, Local::Port(_)) { Protocol::Udp } else { Protocol::Unix },
            peer: matches!(local, Local::Port(_)).then(|| "[::1]:9".parse().expect("an end")),
            kind: if matches!(local, Local::Port(_)) { None } else { Some("seqpacket") },
            local,
            state,
            inode: 77,
            uid: Some(1000),
            dual_stack: None,
            net_ns: Some(5),
        };
        for before in [
            socket(Local::Port("[::]:53".parse().expect("an end")), State::Bound),
            socket(Local::Path(Text::from(&b"/run/\xff\n"[..])), State::Listen),
            socket(Local::Abstract(Text::from("x\0y")), State::TimeWait),
            socket(Local::Unnamed, State::Unconnected),
        ] {
            let line = serde_json::to_vec(&before).expect("it serializes");
            let record = Record::parse(&line).expect("a record");
            assert_eq!(Socket::of_record(&record), Some(before));
        }
    }
}
