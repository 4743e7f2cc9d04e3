//! How processes come to stand to each other: trees, chains, orphans, sessions.

use std::process::ExitCode;

use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid, setpgid, setsid};

use crate::Played;
use crate::cast::Cast;
use crate::life::{Life, Next, announce, wait_for_death_of};
use crate::sys::{Side, fork, fork_and_wait_inside, fork_beside};

/// One process that waits.
pub(crate) fn idle(cast: &Cast) -> Played {
    Life::begin(cast, cast.role(&cast.mode), 0, "")?.live()
}

/// One process that waits, and uses up a processor from SIGUSR1 on.
pub(crate) fn late_spin(cast: &Cast) -> Played {
    let life = Life::begin_with(cast, cast.role(&cast.mode), 0, "", &[Signal::SIGUSR1])?;
    loop {
        match life.next(None)? {
            Next::End => return Ok(ExitCode::SUCCESS),
            Next::Signal(Signal::SIGUSR1) => return life.spin(),
            Next::Signal(_) => return life.exit_slowly(),
            Next::Children(_) | Next::Tick => {}
        }
    }
}

/// A process that sleeps in the kernel until its child has ended, with the child.
pub(crate) fn uninterruptible(cast: &Cast) -> Played {
    let life = Life::begin(cast, cast.role(&cast.mode), 1, ",\"settles\":\"D\"")?;
    match fork_and_wait_inside()? {
        Side::Child => {
            let mut cast = cast.clone();
            cast.role = Some("child".into());
            Life::begin(&cast, "child", 0, "")?.live()
        }
        Side::Parent(_) => life.live(),
    }
}

/// A bushy tree: `--width` children on each of `--depth` levels below the root.
pub(crate) fn tree(cast: &Cast) -> Played {
    grow(cast, cast.role("root"), cast.depth, cast.width)
}

/// A chain of so many processes.
pub(crate) fn chain(cast: &Cast) -> Played {
    grow(cast, cast.role("root"), cast.number(0, 3)?.saturating_sub(1), 1)
}

/// So many children of one parent.
pub(crate) fn wide(cast: &Cast) -> Played {
    grow(cast, cast.role("root"), 1, cast.number(0, 3)?)
}

/// The calling process and so many levels below it.
pub(crate) fn grow(cast: &Cast, role: &str, levels: usize, width: usize) -> Played {
    let children = if levels > 0 { width } else { 0 };
    let life = Life::begin(cast, role, children, "")?;
    for _ in 0..children {
        if let Side::Child = fork()? {
            if cast.own_group {
                setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            }
            return grow(cast, if levels == 1 { "leaf" } else { "branch" }, levels - 1, width);
        }
    }
    life.live()
}

/// Children that stay when their parent ends, each with a tree below it.
pub(crate) fn orphan(cast: &Cast) -> Played {
    let parent = getpid();
    let count = cast.number(0, 1)?;
    announce(cast, "parent", count, ",\"settles\":\"gone\"")?;
    for _ in 0..count {
        if let Side::Child = fork()? {
            wait_for_death_of(parent)?;
            return grow(cast, cast.role("orphan"), cast.depth, cast.width);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A grandchild whose parent has ended, while the root lives.
pub(crate) fn double_fork(cast: &Cast) -> Played {
    let life = Life::begin(cast, "root", 1, "")?;
    if let Side::Parent(middle) = fork()? {
        waitpid(middle, None)?;
        return life.live();
    }
    adopted_child(cast, "grandchild")
}

/// A child that leads a session of its own.
pub(crate) fn setsid_child(cast: &Cast) -> Played {
    let life = Life::begin(cast, "root", 1, "")?;
    if let Side::Parent(_) = fork()? {
        return life.live();
    }
    setsid()?;
    grow(cast, cast.role("leader"), cast.depth, cast.width)
}

/// So many brothers: children of one's own parent, each the parent's child like oneself.
pub(crate) fn brothers(cast: &Cast) -> Played {
    let count = cast.number(0, 1)?;
    let life = Life::begin(cast, cast.role("root"), count, "")?;
    for _ in 0..count {
        if let Side::Child = fork_beside()? {
            if cast.setsid {
                setsid()?;
            }
            return grow(cast, "brother", cast.depth, cast.width);
        }
    }
    life.live()
}

/// A daemon as textbooks make it, while the root lives: setsid, fork again, and the leader ends.
pub(crate) fn daemon(cast: &Cast) -> Played {
    let life = Life::begin(cast, "root", 1, "")?;
    if let Side::Parent(leader) = fork()? {
        waitpid(leader, None)?;
        return life.live();
    }
    setsid()?;
    adopted_child(cast, "daemon")
}

/// Ends the caller and leaves a child of it that was adopted by somebody else, with a tree below.
fn adopted_child(cast: &Cast, role: &str) -> Played {
    let parent = getpid();
    announce(cast, "between", 1, ",\"settles\":\"gone\"")?;
    if let Side::Parent(_) = fork()? {
        return Ok(ExitCode::SUCCESS);
    }
    wait_for_death_of(parent)?;
    grow(cast, cast.role(role), cast.depth, cast.width)
}
