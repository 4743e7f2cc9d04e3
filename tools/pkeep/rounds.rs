//! The rounds: one after the other until somebody asks to end, or one alone.

use std::os::fd::BorrowedFd;

use procherd::host::boot_ms;

use super::Args;
use super::charges::Roster;
use super::house::{AGAIN_MS, House};
use super::itself::Itself;
use super::signals::{Asked, Signals};
use crate::frame::{Exit, Outcome, Reporter};

/// Keeps services until somebody asks to end.
pub(super) fn keep(
    args: &Args,
    mut house: House<'_>,
    roster: &mut Roster<'_>,
    own: &Itself,
    signals: &Signals,
    reporter: &mut Reporter,
) -> Outcome {
    let mut next_beat = boot_ms() + house.interval_ms;
    loop {
        let asked = signals.ask()?;
        if asked == Some(Asked::End) {
            break;
        }
        let mut reload = asked.is_some() | roster.files().are_told();
        if boot_ms() >= next_beat {
            next_beat = boot_ms() + house.interval_ms;
            reload |= roster.files().have_changed();
            if let Err(error) = own.beat(house.keeper.starter) {
                reporter.fault(&error);
            }
        }
        if reload {
            house.reload(roster.read_again(), own, asked.is_some(), reporter);
        }
        house.look(reporter);
        house.hear(reporter);
        house.tell(reporter);
        let told: Vec<BorrowedFd<'_>> =
            [Some(signals.fd()), roster.files().fd()].into_iter().flatten().collect();
        house.wait(&told, next_beat)?;
    }
    if !args.detach {
        house.stop(reporter);
    }
    house.tell(reporter);
    house.end()?;
    Ok(Exit::Done)
}

/// Takes one round: looks after all, waits for the pauses that end within it, and looks after those again.
pub(super) fn once(args: &Args, mut house: House<'_>, reporter: &mut Reporter) -> Outcome {
    // What the checks and the starts themselves take comes on top of the pause.
    let pause = u64::try_from(args.longest_pause.as_millis()).unwrap_or(u64::MAX);
    let end = boot_ms().saturating_add(pause).saturating_add(AGAIN_MS);
    for _ in 0..2 {
        let Some(until) = house.planned(end) else { break };
        while boot_ms() < until {
            house.wait(&[], until)?;
        }
        house.look(reporter);
        while house.is_checking() {
            house.wait(&[], u64::MAX)?;
            house.hear(reporter);
        }
        house.tell(reporter);
    }
    let all_well = house.is_well();
    house.end()?;
    Ok(if all_well { Exit::Done } else { Exit::No })
}
