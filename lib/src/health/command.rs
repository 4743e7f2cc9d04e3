//! A command that says whether a service is well.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};

use super::checks::Checks;
use super::crew::Crew;
use super::{Health, Measured};
use crate::handle::{self, Look};
use crate::id::{Identity, Pid};
use crate::registry::Service;
use crate::text::short_duration;

/// Runs a line of shell in a process group of its own, and kills the group when it takes too long.
///
/// It is told about the service by `PROCHERD_SERVICE`, `SERVICE_PID` and `PORT`. It runs in the folder of the service
/// where that exists, and says nothing.
pub(super) fn run(crew: &Crew<'_>, service: &Service, line: &str, checks: &Checks) -> Measured {
    let mut measured = Measured::new("command", line);
    let begun = Instant::now();
    let mut command = Command::new("/bin/sh");
    // The shell reads line by line: also what it has to say of a wrong line goes nowhere.
    let silent = format!("exec </dev/null >/dev/null 2>&1\n{line}");
    command.args(["-c", &silent]).process_group(0);
    command.env("PROCHERD_SERVICE", &service.name).env_remove("PROCHERD_ID");
    if let Ok(identity) = service.identity() {
        command.env("SERVICE_PID", identity.pid.to_string());
    }
    if let Some(port) = checks.ports.first() {
        command.env("PORT", port.to_string());
    }
    if let Some(cwd) = service.cwd() {
        use std::os::unix::ffi::OsStrExt as _;
        let cwd = std::path::Path::new(std::ffi::OsStr::from_bytes(cwd.bytes()));
        if cwd.is_dir() {
            command.current_dir(cwd);
        }
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return measured.is(Health::Unknown, crate::error::words(&error)),
    };
    let in_time = ends(crew, &child, begun + checks.within());
    if !in_time {
        // It has not been reaped, so its number, and that of its group, are its own.
        let _ = killpg(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    }
    let status = child.wait();
    measured.elapsed_ms = u64::try_from(begun.elapsed().as_millis()).ok();
    match status {
        _ if !in_time => {
            measured.is(Health::Unhealthy, format!("it took longer than {}", short_duration(checks.within())))
        }
        Ok(status) if status.success() => measured,
        Ok(status) => {
            use std::os::unix::process::ExitStatusExt as _;
            let how = match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with {code}"),
                (None, Some(signal)) => format!("it was ended by signal {signal}"),
                (None, None) => "it failed".to_owned(),
            };
            measured.is(Health::Unhealthy, how)
        }
        Err(error) => measured.is(Health::Unknown, crate::error::words(&error)),
    }
}

/// Waits for the end of a child. False: the time is over.
fn ends(crew: &Crew<'_>, child: &Child, until: Instant) -> bool {
    let Some(pid) = Pid::new(child.id()) else { return true };
    // Our own child that nobody has reaped: the number is its own.
    match handle::open(crew.setting.host, crew.setting.source, &Identity::typed(pid, None)) {
        Look::Found(handle) => loop {
            if handle.ended_within(until.saturating_duration_since(Instant::now())) {
                return true;
            }
            if Instant::now() >= until {
                return handle.has_ended();
            }
        },
        _ => true,
    }
}
