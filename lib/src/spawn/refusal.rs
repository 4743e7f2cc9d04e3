//! Why a spawner starts nothing.

use super::program::Cannot;
use crate::error::Error;
use crate::registry::{Service, Verdict};

/// Why nothing was started.
#[derive(Debug)]
pub enum Refusal {
    /// The name belongs to a service that runs, or of which nobody can say from here whether it does.
    Taken(Box<Holder>),
    /// The name is registered with another command line.
    Different(Box<Holder>),
    /// The command cannot be run.
    Command(Cannot),
    /// No port of those that will do is free.
    Port(Error),
    /// Something else failed.
    Failed(Error),
}

/// Who has a name.
#[derive(Debug)]
pub struct Holder {
    /// The entry.
    pub service: Service,
    /// Whether its process lives.
    pub verdict: Verdict,
}

impl Holder {
    pub(super) fn boxed(service: Service, verdict: Verdict) -> Box<Self> {
        Box::new(Self { service, verdict })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Cannot> for Refusal {
    fn from(cannot: Cannot) -> Self {
        Self::Command(cannot)
    }
}
