//! Sockets and locks in a view: each as people name it.

use serde_json::value::RawValue;

use crate::record::Record;
use crate::text::{Text, visible};

/// The sockets of a record in a few words; none where they are something else.
pub(super) fn in_words(raw: &RawValue) -> Option<String> {
    let sockets: Vec<Record> = serde_json::from_str(raw.get()).ok()?;
    let words: Option<Vec<String>> = sockets.iter().map(one).collect();
    words.map(|words| words.join(", "))
}

/// The locks of a record in a few words; none where they are something else.
pub(super) fn locks_in_words(raw: &RawValue) -> Option<String> {
    let locks: Vec<Record> = serde_json::from_str(raw.get()).ok()?;
    let one = |lock: &Record| {
        let number = |name: &str| lock.field::<u64>(name).ok().flatten();
        let mut words = format!("{} {}", lock.text("kind")?, lock.text("mode")?);
        match (number("start")?, number("end")) {
            // All of the file.
            (0, None) => {}
            (start, end) => {
                let end = end.map_or(String::new(), |end| end.to_string());
                words = format!("{words} {start}..{end}");
            }
        }
        let waits = matches!(lock.field("waits"), Ok(Some(true)));
        Some(if waits { format!("{words} (waits)") } else { words })
    };
    let words: Option<Vec<String>> = locks.iter().map(one).collect();
    words.map(|words| words.join(", "))
}

/// Where a socket is, with its protocol.
pub(super) fn place(socket: &Record) -> Option<String> {
    let text = |name: &str| socket.field::<Text>(name).ok().flatten().map(|text| visible(text.bytes()));
    let at = end(socket, "address", "port").or_else(|| text("path"));
    let at = at.or_else(|| Some(format!("@{}", text("abstract")?)));
    Some(format!("{} {}", socket.text("protocol")?, at.unwrap_or_default()).trim_end().to_owned())
}

fn end(socket: &Record, address: &str, port: &str) -> Option<String> {
    let (address, port): (String, u16) = (socket.text(address)?, socket.field(port).ok()??);
    let brackets = address.contains(':');
    Some(if brackets { format!("[{address}]:{port}") } else { format!("{address}:{port}") })
}

fn one(socket: &Record) -> Option<String> {
    let mut words = place(socket)?;
    if let Some(peer) = end(socket, "peer_address", "peer_port") {
        words = format!("{words} > {peer}");
    }
    match socket.text("state").as_deref() {
        None | Some("listen" | "bound" | "established") => {}
        Some(state) => words = format!("{words} ({})", state.replace('-', " ")),
    }
    Some(words)
}
