//! Deaths that nobody takes note of, and parents who adopt.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Played;
use crate::cast::Cast;
use crate::life::{Life, Next, announce, reap};
use crate::sys::{self, Side, fork};

/// A parent that does not reap its dead children.
pub(crate) fn zombie(cast: &Cast) -> Played {
    let count = cast.number(0, 1)?;
    let life = Life::begin(cast, cast.role("parent"), count, "")?;
    for _ in 0..count {
        if let Side::Child = fork()? {
            announce(cast, "zombie", 0, ",\"settles\":\"Z\"")?;
            return Ok(ExitCode::from(cast.code));
        }
    }
    life.live()
}

/// A parent that reaps, if late: it has done so once when it is ready.
pub(crate) fn late_reaper(cast: &Cast) -> Played {
    let handled = [Signal::SIGUSR1, Signal::SIGUSR2];
    let life = Life::begin_with(cast, cast.role("parent"), 1, "", &handled)?;
    // None where this is the child, which ends.
    let reaped_at_once = || -> Result<Option<()>, Box<dyn std::error::Error>> {
        match fork()? {
            Side::Child => Ok(None),
            Side::Parent(child) => Ok(waitpid(child, None).map(|_| Some(()))?),
        }
    };
    if reaped_at_once()?.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut announced = false;
    loop {
        if let Side::Child = fork()? {
            if !announced {
                announce(cast, "zombie", 0, ",\"settles\":\"Z\"")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        announced = true;
        loop {
            match life.next(cast.reap_interval())? {
                Next::End => return Ok(ExitCode::SUCCESS),
                Next::Signal(Signal::SIGUSR2) => {
                    if reaped_at_once()?.is_none() {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Next::Signal(Signal::SIGUSR1) | Next::Tick => break,
                Next::Signal(_) => return life.exit_slowly(),
                Next::Children(_) => {}
            }
        }
        drop(reap());
    }
}

/// A process that looks like a zombie and is none: its first thread has ended, another lives.
pub(crate) fn dead_main_thread(cast: &Cast) -> Played {
    let life = Life::begin(cast, cast.role("dead-main-thread"), 0, ",\"settles\":\"Z\"")?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Its end is the end of the process, whatever it returns.
            let _ = life.live();
        });
        sys::end_thread();
    });
    Ok(ExitCode::SUCCESS)
}

/// Runs a command, adopts and reaps what is orphaned below it. As process 1 it is an init.
pub(crate) fn subreaper(cast: &Cast) -> Played {
    let Some((program, arguments)) = cast.operands.split_first() else {
        return Err("no command is given".into());
    };
    nix::sys::prctl::set_child_subreaper(true)?;
    let life = Life::begin(cast, cast.role("subreaper"), 1, "")?;
    let command = match fork()? {
        Side::Parent(command) => command,
        Side::Child => {
            SigSet::empty().thread_set_mask()?;
            return Err(Command::new(program).args(arguments).exec().into());
        }
    };
    loop {
        let dead = match life.next(cast.reap_interval())? {
            Next::End => return Ok(ExitCode::SUCCESS),
            Next::Signal(_) => return life.exit_slowly(),
            Next::Children(dead) => dead,
            Next::Tick => reap(),
        };
        if let Some(code) = dead.iter().find_map(|status| ended(command, status))
            && cast.until_command
        {
            return Ok(code);
        }
    }
}

/// The exit code of a command as a shell says it, once it has ended.
fn ended(command: Pid, status: &WaitStatus) -> Option<ExitCode> {
    match *status {
        WaitStatus::Exited(pid, code) if pid == command => {
            Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
        }
        WaitStatus::Signaled(pid, signal, _) if pid == command => {
            Some(ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX)))
        }
        _ => None,
    }
}
