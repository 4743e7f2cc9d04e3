//! What processes hold: locks, ports, limits.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::Played;
use crate::cast::Cast;
use crate::life::Life;
use crate::sys::{self, Side, fork};

/// Holds an exclusive lock on a file: of flock(2), or of the `--kind` posix, ofd or lease. With `--heirs N` it has
/// children that inherit the file; with `--kind open` there is no lock. `--kind sole` does not wait for the lock: it writes
/// a line to the file, `sole`, or `twice` where somebody holds it, and ends then.
pub(crate) fn lock(cast: &Cast) -> Played {
    let path = cast.operands.first().ok_or("no file is given")?;
    let file = File::options().create(true).append(true).open(path)?;
    let whole = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK)?,
        l_whence: i16::try_from(libc::SEEK_SET)?,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match cast.kind.as_deref() {
        None => file.lock()?,
        Some("open") => {}
        Some("sole") => {
            let sole = file.try_lock().is_ok();
            (&file).write_all(if sole { b"sole\n" } else { b"twice\n" })?;
            if !sole {
                return Ok(ExitCode::from(9));
            }
        }
        Some("posix") => drop(fcntl(&file, FcntlArg::F_SETLK(&whole))?),
        Some("ofd") => drop(fcntl(&file, FcntlArg::F_OFD_SETLK(&whole))?),
        Some(other) => return Err(format!("--kind: '{other}' is not open, sole, posix or ofd").into()),
    }
    let life = Life::begin(cast, cast.role("lock"), cast.heirs, "")?;
    for _ in 0..cast.heirs {
        if let Side::Child = fork()? {
            return Life::begin(cast, "heir", 0, "")?.live();
        }
    }
    life.live()
}

/// Waits for a lock that somebody else holds.
pub(crate) fn want_lock(cast: &Cast) -> Played {
    let path = cast.operands.first().ok_or("no file is given")?;
    let file = File::options().append(true).open(path)?;
    let life = Life::begin(cast, "waiter", 0, "")?;
    file.lock()?;
    life.live()
}

/// Traces a process, as a debugger does.
pub(crate) fn tracer(cast: &Cast) -> Played {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(cast.number(0, 0)?)?);
    sys::trace(pid)?;
    // It has stopped when it can be waited for.
    nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::__WALL))?;
    Life::begin(cast, cast.role("tracer"), 0, "")?.live()
}

/// Becomes a command that has less than it hoped for.
pub(crate) fn under(cast: &Cast) -> Played {
    let Some((program, arguments)) = cast.operands.split_first() else {
        return Err("no command is given".into());
    };
    if cast.setsid || cast.ctty {
        nix::unistd::setsid()?;
    }
    if cast.ctty {
        sys::take_terminal()?;
    }
    for (resource, limit) in [(Resource::RLIMIT_NOFILE, cast.nofile), (Resource::RLIMIT_FSIZE, cast.fsize)] {
        if let Some(limit) = limit {
            setrlimit(resource, limit, limit)?;
        }
    }
    if let Some(uid) = cast.uid {
        become_user(uid)?;
    }
    if cast.no_pidfd {
        sys::forbid_pidfds()?;
    }
    if cast.no_netlink {
        sys::forbid_netlink()?;
    }
    Err(Command::new(program).args(arguments).exec().into())
}

/// Gives up all rights but those of a user without groups.
pub(crate) fn become_user(uid: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}
