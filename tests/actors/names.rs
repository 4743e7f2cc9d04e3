//! What processes call themselves: names, titles, argument vectors, environments.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use crate::Played;
use crate::cast::{ACTOR_AS, Cast};
use crate::life::{Life, Next};

/// Takes the name and the title that the cast asks for.
pub(crate) fn take(cast: &Cast) -> nix::Result<()> {
    if let Some(comm) = &cast.comm {
        nix::sys::prctl::set_name(comm)?;
    }
    match &cast.title {
        Some(title) => {
            retitle(title.as_bytes()).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        }
        None => Ok(()),
    }
}

/// Overwrites the argument vector where the kernel reads it, as `process.title` and setproctitle(3) do.
fn retitle(title: &[u8]) -> std::io::Result<()> {
    let line = std::fs::read("/proc/self/stat")?;
    let after = line.iter().rposition(|byte| *byte == b')').unwrap_or(0);
    let fields = String::from_utf8_lossy(&line[after..]);
    // Fields 48 and 49 of proc_pid_stat(5), counted from the third.
    let field = |number: usize| fields.split(' ').nth(number - 2).and_then(|word| word.parse::<u64>().ok());
    let (Some(start), Some(end)) = (field(48), field(49)) else {
        return Err(std::io::Error::from_raw_os_error(Errno::ENODATA as i32));
    };
    let room = usize::try_from(end - start).unwrap_or(0);
    let mut text = title[..title.len().min(room.saturating_sub(1))].to_vec();
    text.resize(room, 0);
    std::fs::File::options().write(true).open("/proc/self/mem")?.write_all_at(&text, start)
}

/// One process with an empty environment: no cookie can name it.
pub(crate) fn clear_env(cast: &Cast) -> Played {
    let role = cast.role("no-environment");
    let words = [OsStr::new("actor"), OsStr::new("idle"), OsStr::new("--role"), OsStr::new(role)];
    let words = words.into_iter().chain(cast.words.iter().map(OsString::as_os_str));
    match start_again(words.map(OsStr::to_owned), std::iter::empty())? {}
}

/// One process with an argument vector that is part of the scene.
pub(crate) fn argv(cast: &Cast) -> Played {
    let long = vec![b'a'; cast.size];
    let mut words: Vec<OsString> = cast.operands.clone();
    if cast.size > 0 {
        words.extend((0..cast.count).map(|_| OsString::from_vec(long.clone())));
    }
    if cast.none {
        words.clear();
    }
    let told = format!("idle --role {}", cast.role("argv"));
    let environment = std::env::vars_os().chain([(ACTOR_AS.into(), told.into())]);
    match start_again(words.into_iter(), environment)? {}
}

/// One process that execs on USR1, after taking another user's rights if it is told to.
pub(crate) fn exec_later(cast: &Cast) -> Played {
    let life = Life::begin_with(cast, cast.role("exec-later"), 0, "", &[Signal::SIGUSR1])?;
    loop {
        match life.next(None)? {
            Next::End => return Ok(std::process::ExitCode::SUCCESS),
            Next::Signal(Signal::SIGUSR1) => break,
            Next::Signal(_) => return life.exit_slowly(),
            Next::Children(_) | Next::Tick => {}
        }
    }
    let words = ["actor", "idle", "--event", "exec"].into_iter().map(OsString::from);
    let program = CString::new(std::env::current_exe()?.into_os_string().into_vec())?;
    if let Some(uid) = cast.uid {
        crate::holds::become_user(uid)?;
    }
    match exec(&program, words, std::env::vars_os())? {}
}

/// Execs this program with other words and another environment. The process stays the same.
fn start_again(
    words: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Infallible, Box<dyn std::error::Error>> {
    let program = CString::new(std::env::current_exe()?.into_os_string().into_vec())?;
    exec(&program, words, environment)
}

fn exec(
    program: &CString,
    words: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Infallible, Box<dyn std::error::Error>> {
    // A blocked signal stays blocked over exec.
    SigSet::empty().thread_set_mask()?;
    let words: Vec<CString> = words.map(|word| CString::new(word.into_vec())).collect::<Result<_, _>>()?;
    let pair = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        CString::new(name.into_vec())
    };
    let environment: Vec<CString> = environment.map(pair).collect::<Result<_, _>>()?;
    Ok(nix::unistd::execve(program, &words, &environment)?)
}
