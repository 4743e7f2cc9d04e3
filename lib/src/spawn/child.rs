//! The child's side: what happens between the fork and the exec.

use std::ffi::{CString, OsString};
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, setsid};

use super::program::Cannot;
use super::{Order, Output, Refusal, Starter};
use crate::error::{Error, Kind};
use crate::id::Pid;
use crate::registry::Service;
use crate::source::Wants;
use crate::sys;

/// What a child was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Prepare,
    Enter,
    Log,
    Exec,
}

/// Why a child did not become its command, in a form that fits through a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure(Step, Errno);

impl Failure {
    fn bytes(self) -> [u8; 5] {
        let [a, b, c, d] = (self.1 as i32).to_le_bytes();
        [self.0 as u8, a, b, c, d]
    }

    /// Reads what the child has reported; none when it had nothing to say.
    pub(super) fn read(said: &[u8]) -> Option<Self> {
        let [step, a, b, c, d] = *said else { return None };
        let step = match step {
            0 => Step::Prepare,
            1 => Step::Enter,
            2 => Step::Log,
            _ => Step::Exec,
        };
        Some(Self(step, Errno::from_raw(i32::from_le_bytes([a, b, c, d]))))
    }

    /// Says it in words, with what would mend it.
    pub(super) fn refusal(self, order: &Order, program: &Path) -> Refusal {
        let Self(step, errno) = self;
        match step {
            Step::Prepare => Error::system("prepare process", &order.name, errno).into(),
            Step::Enter => {
                let error = Error::new(
                    Kind::of(&errno.into()),
                    "enter working folder",
                    order.cwd.display(),
                    format_args!("{} (--cwd names another)", errno.desc().to_lowercase()),
                );
                Cannot { found: true, error }.into()
            }
            Step::Log => {
                let path = if let Output::Log(log) = &order.output {
                    log.path.display().to_string()
                } else {
                    String::new()
                };
                Error::system("open log", path, errno).into()
            }
            Step::Exec => Cannot::exec(order, program, errno).into(),
        }
    }
}

/// The word to go: what the child cannot know before its name was claimed.
pub(super) struct Word {
    /// The mark of the spawn.
    cookie: String,
    /// The port, where it was chosen with the claim.
    port: Option<String>,
}

impl Word {
    /// The word for a service that has been claimed.
    pub(super) fn of(service: &Service, order: &Order) -> Self {
        let port = order.port_wish.and_then(|_| service.record().field::<u16>("port").ok().flatten());
        Self { cookie: service.cookie().unwrap_or_default(), port: port.map(|port| port.to_string()) }
    }

    fn read(text: &str) -> Self {
        let (cookie, port) = text.split_once(' ').map_or((text, None), |(cookie, port)| (cookie, Some(port)));
        Self { cookie: cookie.to_owned(), port: port.map(str::to_owned) }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cookie)?;
        self.port.iter().try_for_each(|port| write!(f, " {port}"))
    }
}

/// Ends this process if anything in it panics: it must never run on as a second spawner.
struct Alone;

impl Drop for Alone {
    fn drop(&mut self) {
        sys::leave(125);
    }
}

/// Lives as the child of a spawner: waits for its word, and becomes the command or ends.
pub(super) fn live(
    starter: &Starter<'_>,
    order: &Order,
    program: &Path,
    mut gate: File,
    mut tell: File,
) -> ! {
    let _alone = Alone;
    let prepared = prepare(starter, order);
    let mut word = String::new();
    // Whatever happened up to here, the spawner may be registering this process right now. So nothing is taken back
    // before it has said go, or can say nothing any more.
    let asked = gate.read_to_string(&mut word).is_ok() && !word.is_empty();
    let failure = match prepared {
        Ok(()) if asked => become_command(order, program, &Word::read(&word)),
        Ok(()) => Failure(Step::Prepare, Errno::ECANCELED),
        Err(failure) => failure,
    };
    let wants = Wants { identity: true, ..Wants::default() };
    if let Ok(Some(own)) = starter.source.reader(wants).read(Pid::this()) {
        // A registry that cannot be written keeps an entry that names a dead process.
        let _ = starter.withdraw(order, &own.identity(starter.host.place()));
    }
    // Nobody listens when the spawner is dead.
    let _ = tell.write_all(&failure.bytes());
    sys::leave(125)
}

/// Becomes the command without a fork. Gives why that failed.
pub(super) fn become_in_place(
    starter: &Starter<'_>,
    order: &Order,
    program: &Path,
    service: &Service,
) -> Failure {
    let prepared = enter(order).and_then(|()| limit(starter));
    match prepared {
        Ok(()) => {
            sys::reset_signals();
            sys::close_on_exec_from(3);
            become_command(order, program, &Word::of(service, order))
        }
        Err(failure) => failure,
    }
}

/// All that can be done before anybody knows whether the command is to run.
fn prepare(starter: &Starter<'_>, order: &Order) -> Result<(), Failure> {
    let failed = |errno| Failure(Step::Prepare, errno);
    sys::reset_signals();
    setsid().map_err(failed)?;
    null_input().map_err(failed)?;
    if !matches!(order.output, Output::Inherited) {
        null_output().map_err(failed)?;
    }
    sys::close_on_exec_from(3);
    limit(starter)?;
    enter(order)
}

/// Reads nothing from now on.
pub(super) fn null_input() -> Result<(), Errno> {
    dup2_stdin(null()?.as_fd())
}

/// Lets what is written go nowhere from now on.
pub(super) fn null_output() -> Result<(), Errno> {
    let null = null()?;
    dup2_stdout(null.as_fd())?;
    dup2_stderr(null.as_fd())
}

fn null() -> Result<File, Errno> {
    let file = File::options().read(true).write(true).open("/dev/null");
    file.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn enter(order: &Order) -> Result<(), Failure> {
    chdir(&order.cwd).map_err(|errno| Failure(Step::Enter, errno))
}

/// Gives back the limit of open files that the caller had.
fn limit(starter: &Starter<'_>) -> Result<(), Failure> {
    let failed = |errno| Failure(Step::Prepare, errno);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    match starter.open_files {
        Some(before) if before != soft => setrlimit(Resource::RLIMIT_NOFILE, before, hard).map_err(failed),
        _ => Ok(()),
    }
}

/// Becomes the command. Returns only why that failed.
fn become_command(order: &Order, program: &Path, word: &Word) -> Failure {
    if let Output::Log(log) = &order.output {
        let opened = log.open().and_then(|file| {
            dup2_stdout(file.as_fd())?;
            dup2_stderr(file.as_fd())?;
            Ok(())
        });
        if let Err(error) = opened {
            return Failure(Step::Log, Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        }
    }
    let environment = order.environment.with_marks(&order.name, &word.cookie, word.port.as_deref());
    Failure(Step::Exec, exec(program, &order.command, environment))
}

/// Becomes another program. Returns only why that failed.
pub(super) fn exec(
    program: &Path,
    words: &[OsString],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Errno {
    let words = words.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<Vec<_>, _>>();
    let path = CString::new(program.as_os_str().as_bytes());
    let block = environment.into_iter().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        CString::new(name.into_vec())
    });
    match (path, words, block.collect::<Result<Vec<_>, _>>()) {
        (Ok(path), Ok(words), Ok(block)) => match execve(&path, &words, &block) {
            Ok(never) => match never {},
            Err(errno) => errno,
        },
        // A NUL in a word cannot come from a command line.
        _ => Errno::EINVAL,
    }
}
