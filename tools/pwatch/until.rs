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
    Registered,
    Unregistered,
}

impl Kind {
    /// All kinds, with the words that records use.
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Started, "started"),
        (Self::Exited, "exited"),
        (Self::Orphaned, "orphaned"),
        (Self::Zombie, "zombie"),
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
    /// An event of a kind.
    Event(Kind),
    /// No process of the selection lives.
    Gone,
}

impl Until {
    /// Tells whether an event is it.
    pub(super) fn is(self, kind: Kind) -> bool {
        self == Self::Event(kind)
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "gone" => Ok(Self::Gone),
            text => text.parse().map(Self::Event).map_err(|why: String| format!("{why}, gone")),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("gone"),
            Self::Event(kind) => f.write_str(kind.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_reads_as_it_is_written() {
        for text in ["gone", "exited", "unregistered"] {
            assert_eq!(text.parse::<Until>().map(|until| until.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "ended", "exited:1", "Gone"] {
            assert!(text.parse::<Until>().is_err(), "{text:?} was accepted");
        }
    }
}
