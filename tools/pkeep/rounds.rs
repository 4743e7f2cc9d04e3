//! The rounds: one after the other until somebody asks to end, or one alone.

use procherd::host::boot_ms;
use procherd::supervise::{Charge, Keeper};

use super::Args;
use super::house::{AGAIN_MS, House};
use super::itself::Itself;
use super::say::Sayer;
use super::signals::Signals;
use crate::frame::{Exit, Outcome, Reporter};

/// Keeps services until somebody asks to end.
pub(super) fn keep(
    args: &Args,
    keeper: &Keeper<'_>,
    charges: Vec<Charge>,
    own: &Itself,
    signals: &Signals,
    sayer: Sayer,
    reporter: &mut Reporter,
) -> Outcome {
    let mut house = House::new(args, keeper, charges, sayer);
    let mut next_beat = boot_ms() + house.interval_ms;
    while !signals.ask_to_end()? {
        house.look(reporter);
        house.hear(reporter);
        house.tell(reporter);
        if boot_ms() >= next_beat {
            next_beat = boot_ms() + house.interval_ms;
            if let Err(error) = own.beat(keeper.starter) {
                reporter.fault(&error);
            }
        }
        house.wait(Some(signals), next_beat)?;
    }
    if !args.detach {
        house.stop(reporter);
    }
    house.tell(reporter);
    house.end()?;
    Ok(Exit::Done)
}

/// Takes one round: looks after all, waits for the pauses that end within it, and looks after those again.
pub(super) fn once(
    args: &Args,
    keeper: &Keeper<'_>,
    charges: Vec<Charge>,
    sayer: Sayer,
    reporter: &mut Reporter,
) -> Outcome {
    let mut house = House::new(args, keeper, charges, sayer);
    // What the checks and the starts themselves take comes on top of the pause.
    let pause = u64::try_from(args.longest_pause.as_millis()).unwrap_or(u64::MAX);
    let end = boot_ms().saturating_add(pause).saturating_add(AGAIN_MS);
    for _ in 0..2 {
        let Some(until) = house.planned(end) else { break };
        while boot_ms() < until {
            house.wait(None, until)?;
        }
        house.look(reporter);
        while house.is_checking() {
            house.wait(None, u64::MAX)?;
            house.hear(reporter);
        }
        house.tell(reporter);
    }
    let all_well = house.is_well();
    house.end()?;
    Ok(if all_well { Exit::Done } else { Exit::No })
}
