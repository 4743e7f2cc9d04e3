//! Deaths at a chosen moment: a tracer that kills a command as it enters a system call.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Played;
use crate::cast::Cast;
use crate::sys::{Side, fork};

/// The exit code that says: the command has made fewer calls than that, and lives or has ended undisturbed.
const NOT_REACHED: u8 = 9;

/// Kills a command as it enters its Nth system call, with `--forked` counted from its first fork; with `--child`, kills
/// the child of that fork so.
pub(crate) fn kill_at(cast: &Cast) -> Played {
    let at = cast.number(0, 1)?;
    let Some((program, arguments)) = cast.operands.get(1..).and_then(<[_]>::split_first) else {
        return Err("no command is given".into());
    };
    let traced = match fork()? {
        Side::Parent(traced) => traced,
        Side::Child => {
            SigSet::empty().thread_set_mask()?;
            ptrace::traceme()?;
            return Err(Command::new(program).args(arguments).exec().into());
        }
    };
    waitpid(traced, None)?;
    let follow = if cast.child || cast.forked { Options::PTRACE_O_TRACEFORK } else { Options::empty() };
    ptrace::setoptions(traced, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL | follow)?;
    let victim = match (cast.child, cast.forked) {
        (false, false) => traced,
        (kill_child, _) => {
            let Some(child) = first_child(traced)? else { return Ok(ExitCode::from(NOT_REACHED)) };
            if kill_child {
                ptrace::cont(traced, None)?;
                child
            } else {
                ptrace::detach(child, None)?;
                traced
            }
        }
    };
    let killed = kill_in_call(victim, at, cast.child)?;
    if cast.child {
        // The parent goes on to its end, and nothing is done to it any more.
        loop {
            match waitpid(traced, Some(WaitPidFlag::__WALL))? {
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => break,
                WaitStatus::Stopped(_, signal) => ptrace::cont(traced, Some(signal))?,
                _ => ptrace::cont(traced, None)?,
            }
        }
    }
    Ok(ExitCode::from(if killed { 0 } else { NOT_REACHED }))
}

/// Lets a command run up to its first fork: both stand still then. Gives the child, none when the command ends before.
fn first_child(traced: Pid) -> nix::Result<Option<Pid>> {
    ptrace::cont(traced, None)?;
    loop {
        match waitpid(traced, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceEvent(..) => {
                let child = Pid::from_raw(i32::try_from(ptrace::getevent(traced)?).unwrap_or(0));
                waitpid(child, Some(WaitPidFlag::__WALL))?;
                return Ok(Some(child));
            }
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Ok(None),
            WaitStatus::Stopped(_, signal) => ptrace::cont(traced, Some(signal))?,
            _ => ptrace::cont(traced, None)?,
        }
    }
}

/// Counts the system calls of a process and kills it as it enters one. False when it ended, or became another program, before.
fn kill_in_call(victim: Pid, at: usize, until_exec: bool) -> nix::Result<bool> {
    let (mut entered, mut inside, mut pass_on) = (0, false, None);
    loop {
        ptrace::syscall(victim, pass_on.take())?;
        match waitpid(victim, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(_) => {
                inside = !inside;
                entered += usize::from(inside);
                if inside && entered == at {
                    kill(victim, Signal::SIGKILL)?;
                    waitpid(victim, Some(WaitPidFlag::__WALL))?;
                    return Ok(true);
                }
            }
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Ok(false),
            // A traced process stops with this after an exec.
            WaitStatus::Stopped(_, Signal::SIGTRAP) if until_exec => {
                ptrace::detach(victim, None)?;
                return Ok(false);
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Stopped(_, signal) => pass_on = Some(signal),
            _ => {}
        }
    }
}
