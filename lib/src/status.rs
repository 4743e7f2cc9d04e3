//! What state a process is in, and how it ended.

use std::fmt;

use serde::ser::{Serialize, Serializer};

use crate::signal::Signal;

/// The state letter of a process (proc_pid_stat(5) field 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(u8);

impl State {
    /// Dead, and not reaped by its parent yet.
    pub const ZOMBIE: Self = Self(b'Z');

    /// Takes the letter as the kernel gives it.
    pub fn new(letter: u8) -> Self {
        Self(if letter.is_ascii_alphabetic() { letter } else { b'?' })
    }

    /// Tells whether it is a zombie or past that. With more than one thread, `Z` is a dead main thread only.
    pub fn is_dead(self) -> bool {
        matches!(self.0, b'Z' | b'X' | b'x')
    }

    /// Tells whether it is stopped, by a signal (`T`) or by a tracer (`t`).
    pub fn is_stopped(self) -> bool {
        matches!(self.0, b'T' | b't')
    }

    /// Tells whether it waits where no signal reaches it.
    pub fn is_uninterruptible(self) -> bool {
        self.0 == b'D'
    }

    /// The letter.
    pub fn letter(self) -> char {
        char::from(self.0)
    }

    /// A word for people.
    pub fn word(self) -> &'static str {
        match self.0 {
            b'R' => "running",
            b'S' => "sleeping",
            b'D' => "uninterruptible",
            b'Z' => "zombie",
            b'T' => "stopped",
            b't' => "traced",
            b'X' | b'x' => "dead",
            b'I' => "idle",
            _ => "unknown",
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_char(self.letter())
    }
}

/// How a process ended: never a bare exit code, which cannot say that a signal did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned this code, 0 to 255.
    Exited(u8),
    /// This signal ended it.
    Signalled(Signal),
}

impl End {
    /// Decodes a wait status (wait(2)); a status of a process that is only stopped is none.
    pub fn from_wait_status(status: i32) -> Option<Self> {
        match status & 0x7f {
            0 => Some(Self::Exited(u8::try_from((status >> 8) & 0xff).unwrap_or(u8::MAX))),
            0x7f => None,
            signal => Signal::new(signal).map(Self::Signalled),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_tells_code_and_signal_apart() {
        assert_eq!(End::from_wait_status(0x0700), Some(End::Exited(7)));
        assert_eq!(End::from_wait_status(9), Some(End::Signalled(Signal::KILL)));
        assert_eq!(
            End::from_wait_status(0x8b & 0xff),
            Signal::new(11).map(End::Signalled),
            "with a core dump"
        );
        assert_eq!(End::from_wait_status(0x137f), None, "stopped is not ended");
    }

    #[test]
    fn a_strange_state_byte_is_shown_as_unknown() {
        assert_eq!(State::new(0x1b).letter(), '?');
    }
}
