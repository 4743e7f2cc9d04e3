//! Ending a session: all that descends from this process.
//!
//! 1. Everybody is asked, as in `terminate`: parents first, once each, newcomers too, within one grace.
//! 2. Then our own children are killed, and theirs, which become ours, and so on. No list of processes is trusted: the
//!    list of our children is read again as soon as it has been worked off, until the kernel says that there is no child.
//!    A process that forks its successor and dies cannot outrun this: each successor is born, or given, to us.
//! 3. What is below a child that cannot die now (an uninterruptible wait) is found and killed by `terminate`.

use std::time::{Duration, Instant};

use super::family::Family;
use super::keep::Keep;
use super::{Plan, Setting};
use crate::evidence::Registered;
use crate::id::Pid;
use crate::record::{Process, View};
use crate::signal::Signal;
use crate::snapshot;
use crate::source::Wants;
use crate::sys;
use crate::terminate::{self, Guard, Missing, Observer, Options, Outcome, Phase, Place, Report, Target};

/// How long a child may take to die of a kill before what is below it is looked for.
const STUCK: Duration = Duration::from_millis(500);

/// The longest pause between two looks at the children.
const LONGEST_NAP: Duration = Duration::from_millis(20);

/// Ends all that descends from this process. Gives the number of those that live on and were not spared.
pub(super) fn end_all(plan: &Plan, setting: Setting<'_>, family: &mut Family<'_>) -> usize {
    family.notice_adopted();
    if family.reap().childless {
        return 0;
    }
    let keep = Keep::new(plan, setting);
    family.asked = Some(Signal::TERM);
    if !plan.grace.is_zero() {
        below(setting, &keep, family, plan.grace, Duration::ZERO);
    }
    family.asked = Some(Signal::KILL);
    kill_group(&keep, setting, family);
    let deadline = Instant::now() + plan.kill_wait;
    loop {
        if kill_children(&keep, family, deadline.min(Instant::now() + STUCK)) {
            break;
        }
        if Instant::now() >= deadline {
            break;
        }
        below(setting, &keep, family, Duration::ZERO, STUCK);
    }
    tell_left(setting, &keep, family)
}

/// Kills the cgroup of the session as a whole, where nobody in it is spared.
fn kill_group(keep: &Keep<'_>, setting: Setting<'_>, family: &Family<'_>) {
    let Some(group) = setting.group else { return };
    let (members, whole) = group.members();
    let spared = |pid: &Pid| family.facts(*pid).is_some_and(|process| keep.spares(&process));
    if whole && !members.iter().any(spared) {
        // Where the kernel cannot do it, they are killed one by one.
        let _ = group.kill();
    }
}

/// Kills our children until there are none but spared ones, or the time is up. Tells whether that is so.
fn kill_children(keep: &Keep<'_>, family: &mut Family<'_>, deadline: Instant) -> bool {
    let mut nap = Duration::from_millis(1);
    let mut clean = 0;
    loop {
        if family.reap().childless {
            return true;
        }
        let children = family.children();
        let mut living = false;
        for pid in children {
            let spared =
                family.facts(pid).is_some_and(|process| process.is_zombie() || keep.spares(&process));
            if !spared {
                living = true;
                // Our own child, and not reaped: the number is its own.
                let _ = sys::kill_number(pid, Signal::KILL.number());
            }
        }
        // Spared ones keep the kernel from saying that there is no child. The list may leave out one while another dies.
        clean = if living { 0 } else { clean + 1 };
        if clean > 2 {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        if family.reap().childless {
            return true;
        }
        if living {
            // What was killed needs a moment; a successor is looked for at once.
            sys::wait_for_signal(Signal::CHLD, nap);
            nap = (nap * 2).min(LONGEST_NAP);
        }
    }
}

/// Asks, or kills, all that is below this process.
fn below(
    setting: Setting<'_>,
    keep: &Keep<'_>,
    family: &mut Family<'_>,
    grace: Duration,
    kill_wait: Duration,
) {
    let registered = Registered::default();
    let all = terminate::Setting {
        host: setting.host,
        source: setting.source,
        registered: &registered,
        registry: None,
    };
    let options = Options { grace, kill_wait, ..Options::default() };
    let spares = |process: &Process| keep.spares(process);
    let mut told = Told(family);
    if let Err(error) = terminate::run_below(all, &options, &spares, &mut told) {
        family.fault(&error);
    }
}

/// Tells those that live on, and counts those that were not spared.
fn tell_left(setting: Setting<'_>, keep: &Keep<'_>, family: &mut Family<'_>) -> usize {
    if family.reap().childless {
        return 0;
    }
    let wants = Wants::EVERYDAY;
    let table = match snapshot::read(setting.host, setting.source, wants) {
        Ok(table) => table,
        Err(error) => {
            family.fault(&error);
            return 1;
        }
    };
    let Some(own) = table.find(Pid::this().get()) else { return 1 };
    let mut left = 0;
    let mut open: Vec<_> = table.children(own).map(|child| (child, false)).collect();
    while let Some((at, below_spared)) = open.pop() {
        let process = table.get(at);
        let spared = below_spared || keep.spares(process);
        open.extend(table.children(at).map(|child| (child, spared)));
        if process.is_zombie() {
            continue;
        }
        left += usize::from(!spared);
        let stuck = process.state.is_uninterruptible();
        family.is_left(
            process,
            if spared {
                "kept"
            } else if stuck {
                "uninterruptible"
            } else {
                "not permitted"
            },
        );
    }
    left
}

/// Reaps while `terminate` works, and tells what it did.
struct Told<'a, 'b>(&'a mut Family<'b>);

impl Observer for Told<'_, '_> {
    fn begin(&mut self, _: &View) {}

    fn missing(&mut self, _: &Missing) {}

    fn outcome(&mut self, report: &Report<'_>) {
        // A child of our own is told with how it ended, which only who reaps it knows for certain.
        self.0.reap();
        let ended = matches!(report.outcome, Outcome::Exited | Outcome::Killed);
        if ended && report.target.guard != Some(Guard::Itself) {
            self.0.has_ended(&report.target.process, report.end, report.signal);
        }
    }

    fn replaced(&mut self, _: &Target, _: &Process, _: Place) {}

    fn progress(&mut self, _: Phase, _: usize, _: &mut dyn Iterator<Item = &Target>, _: Duration) {
        self.0.reap();
    }
}
