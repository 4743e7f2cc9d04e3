//! Keeping services running: what to do next is decided here, done by a [`Keeper`], and remembered in the registry.
//!
//! Nothing is known to the supervisor alone. Each round reads what the registry has, judges the service, takes one step,
//! and writes the step down *before* it acts on it: only who has written it, under the registry's lock and over exactly
//! what it had read, may act. So any number of supervisors, resident ones and rounds from cron, never start a service
//! twice; and one that is killed between any two steps loses nothing: the next one finds how often was tried, and when
//! the next try is due, or a try that was begun and came to nothing, which counts.
//!
//! | seen                                 | step |
//! |--------------------------------------|------|
//! | healthy                              | a sign of life; after a calm time the tries are forgotten |
//! | not healthy, nothing planned         | a try is planned: after 1, 2, 4, 8, 16 s, never more than 30 s |
//! | the same after five tries            | `failed`, and nothing more |
//! | not healthy, and the time has come   | the whole old tree is ended, then it is started |
//! | started, not healthy yet             | nothing for a while; it is getting ready |
//! | foreign, or it cannot be judged      | nothing |

mod acts;
mod checker;
mod event;
mod keeper;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::id::BootId;
use crate::registry::{Service, Status};

pub use checker::Checker;
pub use event::{Event, Happening};
pub use keeper::{Charge, Keeper, Tended};

/// When to try again, and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The pause before the first try. It doubles with each further one.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// How many tries there are.
    pub tries: u32,
    /// How long a service must be healthy for its tries to be forgotten.
    pub calm: Duration,
    /// How long a service that was started has to become healthy.
    pub settle: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(30),
            tries: 5,
            calm: Duration::from_mins(1),
            settle: Duration::from_secs(30),
        }
    }
}

impl Policy {
    /// The pause before the next try, after so many.
    pub fn pause(&self, tries: u32) -> Duration {
        self.first.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX)).min(self.most)
    }
}

/// What the entry of a service remembers of its supervision (field `keep`). Times are milliseconds since its boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// How often it was tried to start it since it was last well.
    pub tries: u32,
    /// When the next try is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// Since when it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub well_ms: Option<u64>,
    /// The boot that the times belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<BootId>,
    /// Whether it was started by somebody else. Then nobody who keeps it ends it, but to start it anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

impl Memory {
    /// The field of an entry that holds it.
    pub const FIELD: &'static str = "keep";

    /// Reads what an entry remembers. None: it was never supervised, or somebody wrote something else there.
    pub fn of(service: &Service) -> Option<Self> {
        service.record().field(Self::FIELD).ok().flatten()
    }

    /// The same, with times of another boot forgotten: a try that was due then is due now.
    fn in_boot(self, boot: BootId, now_ms: u64) -> Self {
        if self.boot_id == Some(boot) {
            return self;
        }
        Self { next_ms: self.next_ms.map(|_| now_ms), well_ms: None, boot_id: Some(boot), ..self }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Note that it is well.
    Beat,
    /// Try again after this pause.
    Plan(Duration),
    /// Try now.
    Attempt,
    /// Try no more.
    GiveUp,
}

/// Decides what to do next, and what to remember then. `age` is that of the process of the service.
pub fn step(
    policy: &Policy,
    memory: Memory,
    status: &Status,
    (health, age): (Health, Duration),
    boot: BootId,
    now_ms: u64,
) -> (Step, Memory) {
    let memory = memory.in_boot(boot, now_ms);
    match health {
        Health::Foreign | Health::Unknown => (Step::Rest, memory),
        Health::Healthy => {
            let since = memory.well_ms.unwrap_or(now_ms);
            let calm = u64::try_from(policy.calm.as_millis()).unwrap_or(u64::MAX);
            let tries = if now_ms.saturating_sub(since) >= calm { 0 } else { memory.tries };
            (Step::Beat, Memory { tries, next_ms: None, well_ms: Some(since), ..memory })
        }
        _ if *status == Status::Failed => (Step::Rest, memory),
        // It has been started, and is getting ready.
        Health::Stale | Health::Unhealthy
            if memory.well_ms.or(memory.next_ms).is_none() && age < policy.settle =>
        {
            (Step::Rest, memory)
        }
        _ => match memory.next_ms {
            Some(due) if now_ms < due => (Step::Rest, memory),
            // The try counts from now on, whatever comes of it.
            Some(_) => (Step::Attempt, Memory { tries: memory.tries + 1, next_ms: None, ..memory }),
            None if memory.tries >= policy.tries => (Step::GiveUp, Memory { well_ms: None, ..memory }),
            None => {
                let pause = policy.pause(memory.tries);
                let next = now_ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                (Step::Plan(pause), Memory { next_ms: Some(next), well_ms: None, ..memory })
            }
        },
    }
}

#[cfg(test)]
mod tests;
