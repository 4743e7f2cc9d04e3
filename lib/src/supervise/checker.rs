//! Checks in a process of their own: a service that hangs keeps nobody else waiting, and no thread is in the way of a fork.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::wait::waitpid;
use nix::unistd::pipe2;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::health::{self, Checks, Health, Judgement, Setting};
use crate::host::Host;
use crate::id::Pid;
use crate::registry::{Service, Verdict};
use crate::snapshot;
use crate::source::{Source, Wants};
use crate::sys::{self, Side};

/// The most checks that are made at once.
const AT_ONCE: usize = 16;

/// A round of checks that is under way.
#[derive(Debug)]
pub struct Checker {
    child: Pid,
    pipe: File,
    said: Vec<u8>,
    ended: bool,
}

/// What it says of one service.
#[derive(Serialize, Deserialize)]
struct Answer {
    at: usize,
    health: String,
    why: Option<String>,
}

impl Checker {
    /// Begins to judge services, each known by a number. This process must have one thread only.
    pub fn begin(list: &[(usize, Service, Verdict, Checks)]) -> Result<Self> {
        let failed = |errno| Error::system("begin checks", "", errno);
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        match sys::fork().map_err(failed)? {
            Side::Child => {
                drop(read);
                // What is not answered is not known; there is nobody else to tell.
                let _ = judge(list, File::from(write));
                sys::leave(0)
            }
            Side::Parent(child) => {
                fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
                Ok(Self { child, pipe: read.into(), said: Vec::new(), ended: false })
            }
        }
    }

    /// What becomes readable when there is something to take.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Takes what has been said so far. True: it was all.
    pub fn is_done(&mut self) -> Result<bool> {
        let mut block = [0; 4096];
        while !self.ended {
            match self.pipe.read(&mut block) {
                Ok(0) => self.ended = true,
                Ok(count) => self.said.extend_from_slice(&block[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::system("read checks", "", error)),
            }
        }
        Ok(self.ended)
    }

    /// The judgements by number. A service that is missing was not judged: the checks were killed.
    pub fn judgements(&self) -> Vec<(usize, Judgement)> {
        let lines = BufReader::new(self.said.as_slice()).lines().map_while(std::result::Result::ok);
        let answers = lines.filter_map(|line| serde_json::from_str::<Answer>(&line).ok());
        answers
            .filter_map(|answer| {
                let health = Health::named(&answer.health)?;
                Some((answer.at, Judgement { health, why: answer.why, measured: Vec::new() }))
            })
            .collect()
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        if !self.ended {
            // It has not been reaped, so its number is its own.
            let _ = sys::kill_number(self.child, crate::signal::Signal::KILL.number());
        }
        let _ = waitpid(nix::unistd::Pid::from_raw(self.child.raw()), None);
    }
}

fn judge(list: &[(usize, Service, Verdict, Checks)], pipe: File) -> Result<()> {
    sys::reset_signals();
    let (host, source) = (Host::look()?, Source::live()?);
    let wants = Wants { identity: true, ..Wants::default() };
    let table = snapshot::read(&host, &source, wants)?;
    let setting = Setting { host: &host, source: &source, table: &table };
    let (next, pipe) = (AtomicUsize::new(0), Mutex::new(pipe));
    let work = || {
        while let Some((at, service, verdict, checks)) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Judgement { health, why, .. } = health::judge(setting, service, verdict, checks);
            let answer = Answer { at: *at, health: health.word().to_owned(), why };
            let mut line = serde_json::to_vec(&answer).unwrap_or_default();
            line.push(b'\n');
            if let Ok(mut pipe) = pipe.lock() {
                let _ = pipe.write_all(&line);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..list.len().min(AT_ONCE) {
            scope.spawn(work);
        }
        work();
    });
    Ok(())
}
