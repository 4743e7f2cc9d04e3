//! Processes that do not stay as few as they were. Each is bounded: by a budget of forks, by seconds, by the life line.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, setsid};

use crate::Played;
use crate::cast::Cast;
use crate::life::{Life, Next};
use crate::shapes::grow;
use crate::sys::{Side, fork};

/// The most forks that any storm may make, whatever it was told.
const MOST_FORKS: usize = 50_000;

/// A parent that starts a child again at once when it dies, `--lanes` children side by side.
pub(crate) fn respawner(cast: &Cast) -> Played {
    let life = Life::begin(cast, cast.role("respawner"), cast.lanes, "")?;
    for _ in 0..cast.lanes {
        if let Side::Child = fork()? {
            return respawned(cast);
        }
    }
    let again = Cast { event: Some("respawned".into()), depth: 0, ..cast.clone() };
    let mut budget = cast.budget.min(MOST_FORKS);
    loop {
        match life.next(None)? {
            Next::End => return Ok(ExitCode::SUCCESS),
            Next::Signal(_) => return life.exit_slowly(),
            Next::Tick => {}
            Next::Children(dead) => {
                for _ in dead.into_iter().take(budget) {
                    budget -= 1;
                    if let Side::Child = fork()? {
                        return respawned(&again);
                    }
                }
            }
        }
    }
}

fn respawned(cast: &Cast) -> Played {
    if cast.setsid {
        setsid()?;
    }
    grow(cast, "child", cast.depth, cast.width)
}

/// The forks that a storm may still make, shared by all its processes: one byte in a pipe for each.
struct Budget(File);

impl Budget {
    fn new(forks: usize) -> Result<Self, Box<dyn std::error::Error>> {
        let (take, fill) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        File::from(fill).write_all(&vec![0; forks.min(MOST_FORKS)])?;
        Ok(Self(take.into()))
    }

    /// Takes one fork from the budget, false when it is spent. What a killed process took is never given back.
    fn take(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(1))
    }
}

/// A number of parents that fork without end, at a rate, each child living for a short time.
pub(crate) fn storm(cast: &Cast) -> Played {
    let mut budget = Budget::new(cast.budget)?;
    let life = Life::begin(cast, cast.role("storm"), cast.lanes, "")?;
    for _ in 0..cast.lanes {
        if let Side::Child = fork()? {
            return lane(cast, &mut budget);
        }
    }
    life.live()
}

fn lane(cast: &Cast, budget: &mut Budget) -> Played {
    /// After a stop the lane does not make up for all that it missed.
    const AT_ONCE: u32 = 50;
    let life = Life::begin(cast, "lane", 0, "")?;
    let each = Duration::from_secs(1) * u32::try_from(cast.lanes)? / cast.rate.max(1);
    let start = Instant::now();
    let mut due = start;
    while start.elapsed() < cast.last {
        match life.next(Some(Duration::from_millis(1)))? {
            Next::End => return Ok(ExitCode::SUCCESS),
            Next::Signal(_) => return life.exit_slowly(),
            Next::Children(_) | Next::Tick => {}
        }
        let now = Instant::now();
        due = due.max(now.checked_sub(each * AT_ONCE).unwrap_or(now));
        while due <= now {
            due += each;
            if !budget.take() {
                return life.live();
            }
            match fork() {
                Ok(Side::Child) => return drop_in(cast),
                // A full table ends a storm, as it ends others.
                Ok(Side::Parent(_)) | Err(Errno::EAGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    life.live()
}

/// A child of a storm: it says nothing, lives for its time and ends.
fn drop_in(cast: &Cast) -> Played {
    if cast.setsid {
        setsid()?;
    }
    let quiet = Cast { silent: true, ..cast.clone() };
    let life = Life::begin(&quiet, "", 0, "")?;
    match life.next(Some(cast.life))? {
        Next::Signal(_) => life.exit_slowly(),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// A process that is always somebody else: it forks its successor and ends.
pub(crate) fn hopper(cast: &Cast) -> Played {
    let mut budget = Budget::new(cast.budget)?;
    let quiet = Cast { silent: true, ..cast.clone() };
    let (start, each) = (Instant::now(), Duration::from_secs(1) / cast.rate.max(1));
    let mut life = Life::begin(cast, cast.role("hopper"), 0, "")?;
    loop {
        match life.next(Some(each))? {
            Next::End => return Ok(ExitCode::SUCCESS),
            Next::Signal(_) => return life.exit_slowly(),
            Next::Children(_) => continue,
            Next::Tick => {}
        }
        if start.elapsed() >= cast.last || !budget.take() {
            return life.live();
        }
        if let Side::Parent(_) = fork()? {
            return Ok(ExitCode::SUCCESS);
        }
        if cast.setsid {
            setsid()?;
        }
        life = Life::begin(&quiet, "", 0, "")?;
    }
}
