//! The house: a room for each service, and who is looked after when.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, waitpid};
use procherd::error::{Error, Kind, Result};
use procherd::handle::{self, Handle, Look};
use procherd::health::{Checks, Judgement, judge_process};
use procherd::host::boot_ms;
use procherd::registry::{Service, Verdict};
use procherd::supervise::{Charge, Checker, Event, Happening, Keeper, Memory, Tended};
use procherd::text::visible;

use super::Args;
use super::say::Sayer;
use crate::frame::Reporter;

/// How soon a service is looked at again that waits for another one.
const SOON_MS: u64 = 100;

/// How soon after a failure to look at it.
pub(super) const AGAIN_MS: u64 = 1000;

/// One service and what is known of it.
pub(super) struct Room {
    pub(super) charge: Charge,
    handle: Option<Handle>,
    pub(super) due_ms: u64,
    is_known: bool,
    is_checked: bool,
    is_well: bool,
    /// Whether there is something to do when it is due, and not only to look again.
    is_planned: bool,
}

impl Room {
    /// Of a service that has not been looked at yet, and is due.
    pub(super) fn new(charge: Charge) -> Self {
        Self {
            charge,
            handle: None,
            due_ms: 0,
            is_known: false,
            is_checked: false,
            is_well: false,
            is_planned: true,
        }
    }
}

/// What is to be judged by the checker: the place of the room, the entry, whether its process lives, and the checks.
type Asked = (usize, Service, Verdict, Checks);

/// All services that are kept.
pub(super) struct House<'a> {
    pub(super) keeper: &'a Keeper<'a>,
    pub(super) interval_ms: u64,
    pub(super) rooms: Vec<Room>,
    checker: Option<(Checker, Vec<(usize, Service)>)>,
    beats: Vec<(Service, Memory)>,
    pub(super) events: Vec<Event>,
    sayer: Sayer,
}

impl<'a> House<'a> {
    /// Makes a room for each service.
    pub(super) fn new(args: &Args, keeper: &'a Keeper<'a>, charges: Vec<Charge>, sayer: Sayer) -> Self {
        let interval_ms = u64::try_from(args.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let rooms = charges.into_iter().map(Room::new).collect();
        Self { keeper, interval_ms, rooms, checker: None, beats: Vec::new(), events: Vec::new(), sayer }
    }

    /// Looks after all that are due, or have ended. What takes time is left to the checker.
    pub(super) fn look(&mut self, reporter: &mut Reporter) {
        let mut list: Vec<Asked> = Vec::new();
        for at in 0..self.rooms.len() {
            let room = &mut self.rooms[at];
            let ended = room.handle.as_ref().filter(|handle| handle.has_ended()).map(Handle::pid);
            if room.is_checked || ended.is_none() && boot_ms() < room.due_ms {
                continue;
            }
            if let Some(pid) = ended {
                room.handle = None;
                // It is our child where we have started it; then it is ours to reap.
                let _ = waitpid(nix::unistd::Pid::from_raw(pid.raw()), Some(WaitPidFlag::WNOHANG));
            }
            match self.look_at(at) {
                Ok(asked) => list.extend(asked),
                Err(error) => self.fault(at, &error, reporter),
            }
        }
        if list.is_empty() {
            return;
        }
        match Checker::begin(&list) {
            Ok(checker) => {
                for (at, ..) in &list {
                    self.rooms[*at].is_checked = true;
                }
                self.checker =
                    Some((checker, list.into_iter().map(|(at, service, ..)| (at, service)).collect()));
            }
            Err(error) => {
                for (at, ..) in &list {
                    self.rooms[*at].due_ms = boot_ms() + AGAIN_MS;
                }
                reporter.fault(&error);
            }
        }
    }

    fn fault(&mut self, at: usize, error: &Error, reporter: &mut Reporter) {
        let name = &self.rooms[at].charge.order.name;
        reporter.fault(&Error::new(error.kind(), "keep service", name, error));
        self.rooms[at].due_ms = boot_ms() + AGAIN_MS;
    }

    /// Looks after one. Some: it has to be checked first.
    fn look_at(&mut self, at: usize) -> Result<Option<Asked>> {
        let charge = &self.rooms[at].charge;
        let (scope, found) = self.keeper.find(charge)?;
        let lives = found.as_ref().is_some_and(|(_, verdict)| verdict.is_alive());
        if !lives && !self.may_start(at) {
            self.rooms[at].due_ms = boot_ms() + SOON_MS;
            return Ok(None);
        }
        let Some((service, verdict)) = found else {
            let tended = self.keeper.begin(charge, &scope)?;
            self.settle(at, tended);
            return Ok(None);
        };
        if charge.checks != Checks::default() && !matches!(verdict, Verdict::Inert(_)) {
            if self.checker.is_some() {
                self.rooms[at].due_ms = boot_ms() + SOON_MS;
                return Ok(None);
            }
            return Ok(Some((at, service, verdict, charge.checks.clone())));
        }
        let judgement = judge_process(&service, &verdict);
        self.tend(at, &service, &judgement)?;
        Ok(None)
    }

    /// Tells whether all that a service waits for are healthy. Who is not kept here is not waited for.
    fn may_start(&self, at: usize) -> bool {
        self.rooms[at].charge.after.iter().all(|name| {
            self.rooms.iter().find(|room| room.charge.order.name == *name).is_none_or(|room| room.is_well)
        })
    }

    /// Takes what the checker has found, once that is all.
    pub(super) fn hear(&mut self, reporter: &mut Reporter) {
        match self.checker.as_mut().map(|(checker, _)| checker.is_done()) {
            Some(Ok(true)) => {}
            Some(Err(error)) => reporter.fault(&error),
            Some(Ok(false)) | None => return,
        }
        let Some((checker, asked)) = self.checker.take() else { return };
        let judgements = checker.judgements();
        drop(checker);
        for (at, service) in asked {
            self.rooms[at].is_checked = false;
            let found = judgements.iter().find(|(of, _)| *of == at);
            let done = match found {
                Some((_, judgement)) => self.tend(at, &service, judgement),
                None => {
                    Err(Error::new(Kind::System, "check service", "", "the checks did not come to an end"))
                }
            };
            if let Err(error) = done {
                self.fault(at, &error, reporter);
            }
        }
    }

    fn tend(&mut self, at: usize, service: &Service, judgement: &Judgement) -> Result<()> {
        let mut tended = self.keeper.tend(&self.rooms[at].charge, service, judgement)?;
        if tended.is_well && !self.rooms[at].is_known && tended.events.is_empty() {
            let identity = tended.identity.clone();
            tended.events.push(Event {
                tries: Memory::of(service).map_or(0, |memory| memory.tries),
                ..Event::now(Happening::Adopted, &service.scope, &service.name, identity)
            });
        }
        self.settle(at, tended);
        Ok(())
    }

    /// Takes in what came of looking after one.
    fn settle(&mut self, at: usize, tended: Tended) {
        let (host, source) = (self.keeper.starter.host, self.keeper.starter.source);
        let room = &mut self.rooms[at];
        (room.is_known, room.is_well) = (true, tended.is_well);
        room.is_planned = tended.due_ms.is_some();
        let held = tended.identity.as_ref().and_then(|id| match handle::open(host, source, id) {
            Look::Found(handle) => Some(handle),
            _ => None,
        });
        // Of one that is dead already, and known to be, the descriptor says nothing new.
        room.handle = held.filter(|handle| !handle.has_ended());
        let soon = boot_ms() + self.interval_ms;
        room.due_ms = tended.due_ms.map_or(soon, |due| due.min(soon));
        self.beats.extend(tended.beat);
        self.events.extend(tended.events);
    }

    /// Shows people how many are healthy, and who is not. Gives when to do so again, in milliseconds since boot.
    fn draw(&self) -> u64 {
        let mut progress = self.sayer.progress.borrow_mut();
        if progress.is_due() {
            let ill = || self.rooms.iter().filter(|room| !room.is_well);
            let next = ill().filter(|room| room.is_planned).map(|room| room.due_ms).min();
            let left = next.map(|next| Duration::from_millis(next.saturating_sub(boot_ms())));
            let (all, well) = (self.rooms.len(), self.rooms.len() - ill().count());
            let what = format!("keeping {all}, {well} healthy");
            let names = ill().map(|room| visible(room.charge.order.name.as_bytes()));
            progress.draw(&what, all.max(1), left, names);
        }
        progress
            .due_in()
            .map_or(u64::MAX, |left| boot_ms() + u64::try_from(left.as_millis()).unwrap_or(0) + 1)
    }

    /// Tells of events, and notes signs of life, all at once.
    pub(super) fn tell(&mut self, reporter: &mut Reporter) {
        for event in std::mem::take(&mut self.events) {
            self.sayer.event(&event, reporter);
        }
        let beats = std::mem::take(&mut self.beats);
        if let Err(error) = self.keeper.beat(&beats) {
            reporter.fault(&error);
        }
        self.sayer.reap();
    }

    /// Waits until somebody ends, somebody asks, the checks are done, or somebody is due.
    /// `told` are the descriptors of those who may ask.
    pub(super) fn wait(&self, told: &[BorrowedFd<'_>], until_ms: u64) -> Result<()> {
        let rooms = self.rooms.iter().filter(|room| !room.is_checked);
        let due = rooms.map(|room| room.due_ms).min().unwrap_or(u64::MAX).min(until_ms);
        let due = due.min(self.draw());
        let blind =
            self.rooms.iter().any(|room| room.handle.as_ref().is_some_and(|one| one.pidfd().is_none()));
        let left = due.saturating_sub(boot_ms()).min(if blind { 1000 } else { u64::MAX });
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.rooms.len() + 3);
        let watch = |fd| PollFd::new(fd, PollFlags::POLLIN);
        fds.extend(told.iter().copied().map(watch));
        fds.extend(self.checker.as_ref().map(|(checker, _)| watch(checker.fd())));
        let watched = self.rooms.iter().filter(|room| !room.is_checked);
        fds.extend(watched.filter_map(|room| room.handle.as_ref()?.pidfd()).map(watch));
        let timeout = PollTimeout::try_from(Duration::from_millis(left)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::system("wait", "", errno)),
        }
    }

    /// Gives up the checks that are under way. Those services are checked again when they are due, which they are.
    pub(super) fn stop_checks(&mut self) {
        self.checker = None;
        for room in &mut self.rooms {
            room.is_checked = false;
        }
    }

    /// Tells whether checks are under way.
    pub(super) fn is_checking(&self) -> bool {
        self.checker.is_some()
    }

    /// Tells whether all are healthy.
    pub(super) fn is_well(&self) -> bool {
        self.rooms.iter().all(|room| room.is_well)
    }

    /// When all are due for which there is something to do until then; none where there is nobody.
    pub(super) fn planned(&self, until_ms: u64) -> Option<u64> {
        let ill = self.rooms.iter().filter(|room| room.is_planned && !room.is_well);
        ill.map(|room| room.due_ms).filter(|due| *due <= until_ms).max()
    }

    /// Ends all services, those that wait for others first.
    pub(super) fn stop(&mut self, reporter: &mut Reporter) {
        self.stop_checks();
        for room in self.rooms.iter().rev() {
            match self.keeper.stop(&room.charge) {
                Ok(event) => self.events.extend(event),
                Err(error) => reporter.fault(&error),
            }
        }
    }

    /// Ends the output.
    pub(super) fn end(self) -> Result<()> {
        self.sayer.end()
    }
}
