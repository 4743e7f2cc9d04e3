//! How the engine sees members die, and tells what became of them.

use std::time::{Duration, Instant};

use super::{Engine, REAPED_WITHIN};
use crate::handle::{self, Look};
use crate::record::Process;
use crate::signal::Signal;
use crate::source::Wants;
use crate::status::{End, State};
use crate::terminate::{Outcome, Phase, Report};

impl Engine<'_> {
    /// Waits for new members by their pidfds from now on, and keeps those in mind that have none.
    fn attend(&mut self) {
        for member in std::mem::take(&mut self.unattended) {
            let handle = self.set.members[member].handle.as_ref();
            let pidfd = handle.and_then(handle::Handle::pidfd);
            if pidfd.is_none_or(|pidfd| self.watch.add(pidfd, member).is_err()) {
                self.unwatched.push(member);
            }
        }
    }

    /// Waits until something ends, at most for `timeout`. Gives the number of members that ended.
    pub(super) fn wait(&mut self, timeout: Duration, phase: Phase, deadline: Instant) -> usize {
        self.attend();
        self.show_progress(phase, deadline);
        let timeout = if self.reaping.is_empty() { timeout } else { timeout.min(Duration::from_millis(1)) };
        let timeout =
            if self.unwatched.is_empty() { timeout } else { timeout.min(Duration::from_millis(20)) };
        let mut dead = Vec::new();
        if self.wait_for_many(timeout) {
            self.watch.wait(Duration::ZERO, &mut dead);
        }
        if dead.is_empty() {
            self.watch.wait(timeout, &mut dead);
        }
        dead.extend(self.unwatched_dead());
        let ended = dead.len();
        for member in dead {
            self.has_died(member);
        }
        self.tell_reaped(false);
        ended
    }

    /// While many end, lets them do so for a moment: waiting for one of the last in place of the next one. Each waking
    /// takes the processor from those that end. False when there are few, or nobody to wait for.
    fn wait_for_many(&mut self, timeout: Duration) -> bool {
        const MANY: usize = 128;
        const A_MOMENT: Duration = Duration::from_millis(2);
        if self.living < MANY || timeout.is_zero() {
            return false;
        }
        while let Some(late) = self.late {
            let handle = self.set.members[late].handle.as_ref().filter(|_| self.is_living(late));
            if let Some(handle) = handle {
                handle.ended_within(timeout.min(A_MOMENT));
                return true;
            }
            self.late = late.checked_sub(1);
        }
        false
    }

    fn show_progress(&mut self, phase: Phase, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let alive = |member: &&crate::terminate::set::Member| {
            !member.ended && !member.told && member.target.guard.is_none()
        };
        let mut living = self.set.members.iter().filter(alive).map(|member| &member.target);
        self.observer.progress(phase, self.living, &mut living, left);
    }

    /// Looks at members that no descriptor waits for: holds them as room allows, and finds those that have ended.
    fn unwatched_dead(&mut self) -> Vec<usize> {
        /// How many are opened at a time when none can be held: each in turn.
        const AT_A_TIME: usize = 64;
        let (mut dead, mut still, mut opened) = (Vec::new(), Vec::new(), 0);
        let mut waiting = std::mem::take(&mut self.unwatched).into_iter();
        for member in waiting.by_ref() {
            if !self.is_living(member) {
                continue;
            }
            if let Some(handle) = &self.set.members[member].handle {
                let list = if handle.has_ended() { &mut dead } else { &mut still };
                list.push(member);
                continue;
            }
            opened += 1;
            match handle::open(self.setting.host, self.setting.source, &self.set.members[member].identity) {
                Look::Found(handle) if handle.has_ended() => dead.push(member),
                Look::Found(handle) => {
                    let room = self.set.room() > 0;
                    let watched =
                        room && handle.pidfd().is_some_and(|pidfd| self.watch.add(pidfd, member).is_ok());
                    if watched {
                        self.set.hold(member, handle);
                    } else {
                        still.push(member);
                    }
                }
                Look::Gone | Look::Changed => dead.push(member),
                _ => still.push(member),
            }
            if opened >= AT_A_TIME && self.set.room() == 0 {
                break;
            }
        }
        // Those that were not reached come first the next time.
        self.unwatched = waiting.chain(still).collect();
        dead
    }

    /// Looks at each of those that are taken for living once more: where there are many, some have died since their turn.
    pub(super) fn bury(&mut self) {
        for member in 0..self.set.members.len() {
            let known = &self.set.members[member];
            let has_ended = || match &known.handle {
                Some(handle) => handle.has_ended(),
                None => self.now(&known.target.process).is_none_or(|now| now.is_zombie()),
            };
            if self.is_living(member) && has_ended() {
                self.has_died(member);
            }
        }
    }

    pub(super) fn has_died(&mut self, member: usize) {
        if self.set.members[member].ended {
            return;
        }
        self.set.members[member].ended = true;
        if !self.set.members[member].told {
            self.living -= 1;
            self.reaping.push((member, Instant::now() + REAPED_WITHIN));
        }
    }

    /// Tells the dead: at once when the kernel says how they ended, else when their parent has had its time.
    pub(super) fn tell_reaped(&mut self, all: bool) {
        let now = Instant::now();
        for (member, until) in std::mem::take(&mut self.reaping) {
            let handle = self.set.members[member].handle.as_ref();
            let end = handle.and_then(handle::Handle::end);
            if end.is_none() && handle.is_some() && now < until && !all {
                self.reaping.push((member, until));
                continue;
            }
            // Other programs kill their own children as well: by force is what we did.
            let killed = self.set.members[member].signal == Some(Signal::KILL)
                && end.is_none_or(|end| end == End::Signalled(Signal::KILL));
            self.tell(member, if killed { Outcome::Killed } else { Outcome::Exited }, end);
            self.set.let_go(member);
        }
    }

    pub(super) fn tell(&mut self, member: usize, outcome: Outcome, end: Option<End>) {
        let known = &self.set.members[member];
        if known.told {
            return;
        }
        let now = (outcome == Outcome::Survived || (known.ended && end.is_none()))
            .then(|| self.now(&known.target.process));
        let now = now.flatten();
        let survivor = outcome == Outcome::Survived;
        let report = Report {
            target: &known.target,
            outcome,
            signal: known.signal,
            end,
            zombie: known.ended && now.as_ref().is_some_and(Process::is_zombie),
            elapsed_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            state: now.as_ref().filter(|_| survivor).map(|process| State::letter(process.state)),
            wait_channel: if survivor {
                self.setting.source.wait_channel(known.target.process.pid)
            } else {
                None
            },
        };
        self.observer.outcome(&report);
        self.set.members[member].told = true;
        match outcome {
            Outcome::Exited => self.summary.exited += 1,
            Outcome::Killed => self.summary.killed += 1,
            Outcome::Survived => self.summary.survived += 1,
            Outcome::NotPermitted => self.summary.not_permitted += 1,
            _ => {}
        }
    }

    /// A member as it is now, if its number is still its own.
    fn now(&self, process: &Process) -> Option<Process> {
        let now = self.setting.source.reader(Wants::default()).read(process.pid).ok().flatten()?;
        (now.start_ticks == process.start_ticks).then_some(now)
    }
}
