//! What went wrong, said so that a caller can act on it and a person can read it on one line.
//!
//! Every failure names what was attempted, on what, and why it failed. The [`Kind`] sorts failures by what the
//! caller can do about them, not by where they arose.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// The result of an operation of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process or file is not there any more: an answer, seldom a failure.
    Gone,
    /// The kernel or the owner forbids it: more privilege would help.
    Denied,
    /// What was given is not of the right form: the caller must say something else.
    Invalid,
    /// What was asked is understood and refused, because it would be unsafe.
    Refused,
    /// This kernel or container cannot do it.
    Unsupported,
    /// Somebody else holds what is needed: later may do.
    Busy,
    /// Stored data cannot be trusted; it is left as it is.
    Damaged,
    /// Anything else that the system reported.
    System,
}

/// One failure: what was attempted, on what, and why it did not happen.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    attempt: Cow<'static, str>,
    on: String,
    why: String,
}

impl Error {
    /// Makes a failure of the given kind; the three texts are lower case and without a full stop.
    pub fn new(
        kind: Kind,
        attempt: impl Into<Cow<'static, str>>,
        on: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Self {
        Self { kind, attempt: attempt.into(), on: on.to_string(), why: why.to_string() }
    }

    /// Makes a failure from a system error, sorted by its error number.
    pub fn system(
        attempt: impl Into<Cow<'static, str>>,
        on: impl fmt::Display,
        error: impl Into<io::Error>,
    ) -> Self {
        let error = error.into();
        Self::new(Kind::of(&error), attempt, on, words(&error))
    }

    /// Tells what the caller can do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Tells why it failed, without the context.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl Kind {
    /// Sorts a system error by what the caller can do about it.
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(nix::errno::Errno::from_raw) {
            Some(nix::errno::Errno::ESRCH | nix::errno::Errno::ENOENT) => Self::Gone,
            Some(nix::errno::Errno::EACCES | nix::errno::Errno::EPERM) => Self::Denied,
            Some(nix::errno::Errno::ENOSYS | nix::errno::Errno::EOPNOTSUPP) => Self::Unsupported,
            _ => match error.kind() {
                io::ErrorKind::InvalidData => Self::Damaged,
                io::ErrorKind::WouldBlock => Self::Busy,
                _ => Self::System,
            },
        }
    }
}

/// Says a system error in lower case and without the number that the standard library appends.
pub fn words(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on.is_empty() {
            write!(f, "{}: {}", self.attempt, self.why)
        } else {
            write!(f, "{}: {}: {}", self.attempt, self.on, self.why)
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_attempt_on_why() {
        let error = Error::system("open", "/nowhere", nix::errno::Errno::ENOENT);
        assert_eq!(error.to_string(), "open: /nowhere: no such file or directory");
        assert_eq!(error.kind(), Kind::Gone);
    }

    #[test]
    fn an_empty_object_leaves_no_hole() {
        assert_eq!(Error::new(Kind::Invalid, "read", "", "odd").to_string(), "read: odd");
    }
}
