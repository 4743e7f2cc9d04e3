//! Other services than before: what is new is started, what has gone is ended, and all others go on.

use procherd::error::{Error, Result};
use procherd::supervise::{Charge, Event, Happening};

use super::house::{House, Room};
use super::itself::Itself;
use crate::frame::Reporter;

impl House<'_> {
    /// Takes the services anew, as they were read. Where that has failed, it keeps what it has.
    ///
    /// `is_asked`: somebody has asked for it, and is told also when nothing has changed.
    pub(super) fn reload(
        &mut self,
        fresh: Result<Vec<Charge>>,
        own: &Itself,
        is_asked: bool,
        reporter: &mut Reporter,
    ) {
        match fresh {
            Ok(fresh) => {
                if let Some(what) = self.take_anew(fresh, reporter).or(is_asked.then(|| "the same".into())) {
                    self.events.push(own.event(Happening::Reloaded, what));
                }
            }
            Err(error) => {
                let why = error.to_string();
                reporter.fault(&Error::new(
                    error.kind(),
                    "take services anew",
                    "the former ones are kept",
                    error,
                ));
                self.events.push(own.event(Happening::ReloadRefused, why));
            }
        }
    }

    /// Ends what has gone or is defined in another way, in reverse order, and makes room for what is there now. Tells how
    /// many were new, changed and gone; none where nothing was.
    fn take_anew(&mut self, fresh: Vec<Charge>, reporter: &mut Reporter) -> Option<String> {
        // What is under way is of rooms that may not be there any more, and is asked again.
        self.stop_checks();
        let is_known =
            |charge: &&Charge| self.rooms.iter().any(|room| room.charge.order.name == charge.order.name);
        let new = fresh.len() - fresh.iter().filter(is_known).count();
        let (mut changed, mut gone) = (0, 0);
        let mut stay: Vec<Room> = Vec::new();
        for room in std::mem::take(&mut self.rooms).into_iter().rev() {
            let next = fresh.iter().find(|charge| charge.order.name == room.charge.order.name);
            let why = match next {
                Some(next) if next.order.runs_the_same(&room.charge.order) => {
                    stay.push(room);
                    continue;
                }
                Some(_) => "it is defined in another way",
                None => "it is no longer among the services",
            };
            match self.keeper.stop(&room.charge) {
                Ok(event) => {
                    self.events.extend(event.map(|event| Event { why: Some(why.to_owned()), ..event }));
                    *if next.is_some() { &mut changed } else { &mut gone } += 1;
                }
                Err(error) => {
                    reporter.fault(&error);
                    stay.push(room);
                }
            }
        }
        for charge in fresh {
            let found = stay.iter().position(|room| room.charge.order.name == charge.order.name);
            let room = match found.map(|at| stay.remove(at)) {
                None => Room::new(charge),
                Some(room) => self.renew(room, charge, &mut changed, reporter),
            };
            self.rooms.push(room);
        }
        // Who could not be ended is looked after as before.
        self.rooms.extend(stay.into_iter().rev());
        (new + changed + gone > 0).then(|| format!("{new} new, {changed} changed, {gone} gone"))
    }

    /// Takes in what does not concern its process: what makes it healthy, and whom it waits for.
    fn renew(&self, mut room: Room, charge: Charge, changed: &mut usize, reporter: &mut Reporter) -> Room {
        if !charge.order.runs_the_same(&room.charge.order) {
            // It was to be ended and lives on.
            return room;
        }
        let same_checks = charge.checks == room.charge.checks;
        if !same_checks {
            if let Err(error) = self.keeper.describe(&charge) {
                reporter.fault(&error);
            }
            room.due_ms = 0;
        }
        *changed += usize::from(!same_checks || charge.after != room.charge.after);
        room.charge = charge;
        room
    }
}
