//! What processes hold: locks, ports, limits.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::Played;
use crate::cast::Cast;
use crate::life::Life;
use crate::sys;

/// Holds an exclusive lock on a file.
pub(crate) fn lock(cast: &Cast) -> Played {
    let path = cast.operands.first().ok_or("no file is given")?;
    let file = File::options().create(true).append(true).open(path)?;
    file.lock()?;
    Life::begin(cast, cast.role("lock"), 0, "")?.live()
}

/// Traces a process, as a debugger does.
pub(crate) fn tracer(cast: &Cast) -> Played {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(cast.number(0, 0)?)?);
    sys::trace(pid)?;
    // It has stopped when it can be waited for.
    nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::__WALL))?;
    Life::begin(cast, cast.role("tracer"), 0, "")?.live()
}

/// Listens on a port of the loopback, one that is free if none is given.
pub(crate) fn listen(cast: &Cast) -> Played {
    let port = u16::try_from(cast.number(0, 0)?)?;
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let port = socket.local_addr()?.port();
    Life::begin(cast, cast.role("listen"), 0, &format!(",\"port\":{port}"))?.live()
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
    Err(Command::new(program).args(arguments).exec().into())
}

/// Gives up all rights but those of a user without groups.
pub(crate) fn become_user(uid: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}
