//! Signals by name and by number, as kill(1) understands them.

use std::fmt;
use std::str::FromStr;

use serde::ser::{Serialize, Serializer};

/// A signal number from 1 to 64 (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

impl Signal {
    /// Asks a process to end.
    pub const TERM: Self = Self(15);
    /// Ends a process; it cannot be caught.
    pub const KILL: Self = Self(9);
    /// Stops a process; it cannot be caught.
    pub const STOP: Self = Self(19);
    /// Lets a stopped process go on.
    pub const CONT: Self = Self(18);
    /// Tells a parent that a child has changed.
    pub const CHLD: Self = Self(17);
    /// Tells that the terminal has gone.
    pub const HUP: Self = Self(1);
    /// Interrupts, as a key of the terminal does.
    pub const INT: Self = Self(2);
    /// Quits, as a key of the terminal does.
    pub const QUIT: Self = Self(3);
    /// Stops, as a key of the terminal does.
    pub const TSTP: Self = Self(20);

    const REALTIME: std::ops::RangeInclusive<i32> = 34..=64;

    /// Accepts a signal number.
    pub fn new(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }

    /// The number itself.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = &'static str;

    /// Reads `TERM`, `SIGTERM`, `term`, `15` or `RTMIN+1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const UNKNOWN: &str = "not a signal name or a number from 1 to 64";
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().and_then(Self::new).ok_or(UNKNOWN);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let realtime = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(above), _) => Some((34, above)),
            (_, Some(below)) => Some((64, below)),
            _ => None,
        };
        if let Some((base, offset)) = realtime {
            let offset = if offset.is_empty() { Ok(0) } else { offset.parse::<i32>() };
            let number = offset.ok().and_then(|offset| offset.checked_add(base));
            return number.filter(|number| Self::REALTIME.contains(number)).map(Self).ok_or(UNKNOWN);
        }
        let name = match name {
            "IOT" => "ABRT",
            "CLD" => "CHLD",
            "POLL" => "IO",
            name => name,
        };
        nix::sys::signal::Signal::from_str(&format!("SIG{name}"))
            .map(|signal| Self(signal as i32))
            .map_err(|_| UNKNOWN)
    }
}

impl fmt::Display for Signal {
    /// Writes the name without `SIG`, as kill -l does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str().trim_start_matches("SIG")),
            Err(_) if self.0 == 34 => f.write_str("RTMIN"),
            Err(_) if Self::REALTIME.contains(&self.0) => write!(f, "RTMIN+{}", self.0 - 34),
            Err(_) => self.0.fmt(f),
        }
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_as_kill_reads_them() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("kill", 9),
            ("9", 9),
            ("sigUsr1", 10),
            ("RTMIN+1", 35),
            ("RTMAX-2", 62),
        ] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in ["", "0", "65", "-9", "SIG", "FOO", "RTMIN-1", "RTMAX+1", "RTMIN+99999999999"] {
            assert!(text.parse::<Signal>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn every_signal_reads_back_from_its_name() {
        for signal in (1..=64).filter_map(Signal::new) {
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
    }
}
