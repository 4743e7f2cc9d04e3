//! What is waited for.

use std::fmt;
use std::str::FromStr;

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Started,
    Exited,
    Orphaned,
    Zombie,
    Listening,
    PortFreed,
    Registered,
    Unregistered,
}

impl Kind {
    /// All kinds, with the words that records use.
    pub(super) const ALL: [(Self, &'static str); 8] = [
        (Self::Started, "started"),
        (Self::Exited, "exited"),
        (Self::Orphaned, "orphaned"),
        (Self::Zombie, "zombie"),
        (Self::Listening, "listening"),
        (Self::PortFreed, "port-freed"),
        (Self::Registered, "registered"),
        (Self::Unregistered, "unregistered"),
    ];

    /// The word that records use.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|(_, word)| *word == text);
        known.map(|(kind, _)| *kind).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|(_, word)| *word).collect();
            format!("none of {}", words.join(", "))
        })
    }
}

/// What ends the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// An event of a kind, perhaps on a port.
    Event(Kind, Option<u16>),
    /// No process of the selection lives.
    Gone,
}

impl Until {
    /// Tells whether an event is it.
    pub(super) fn is(self, kind: Kind, port: Option<u16>) -> bool {
        matches!(self, Self::Event(wanted, on) if wanted == kind && (on.is_none() || on == port))
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "gone" {
            return Ok(Self::Gone);
        }
        let Some((word, port)) = text.split_once(':') else {
            return text.parse().map(|kind| Self::Event(kind, None)).map_err(|why| format!("{why}, gone"));
        };
        let kind: Kind = word.parse()?;
        if !matches!(kind, Kind::Listening | Kind::PortFreed) {
            return Err(format!("{word} has no port"));
        }
        let port = port.parse().ok().filter(|port| *port > 0).ok_or("the port is none")?;
        Ok(Self::Event(kind, Some(port)))
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("gone"),
            Self::Event(kind, None) => f.write_str(kind.word()),
            Self::Event(kind, Some(port)) => write!(f, "{}:{port}", kind.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_reads_as_it_is_written() {
        for text in ["gone", "exited", "listening:8001", "port-freed"] {
            assert_eq!(text.parse::<Until>().map(|until| until.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "ended", "exited:1", "listening:", "listening:0", "listening:x", "listening:70000"] {
            assert!(text.parse::<Until>().is_err(), "{text:?} was accepted");
        }
        let on: Until = "listening:8001".parse().expect("an event");
        assert!(on.is(Kind::Listening, Some(8001)) && !on.is(Kind::Listening, Some(8002)));
        assert!("listening".parse::<Until>().is_ok_and(|any| any.is(Kind::Listening, Some(8002))));
    }
}
