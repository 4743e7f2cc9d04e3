//! What guardian and worker say to each other: short words over a socket that nobody else holds.
//!
//! The kernel closes an end with its holder, so the end of the words is the death of the other.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::id::Pid;
use crate::signal::Signal;
use crate::status::End;

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Worker: the command is forked, waits, and has this number.
    Ready(Pid),
    /// Guardian: let it run.
    Go,
    /// Guardian: this is not to be; end what was made.
    Never,
    /// Worker: nothing could be begun.
    Failed(Errno),
    /// Worker: the command could not be run.
    NotRun(Errno),
    /// Worker: the command has been stopped.
    Stopped,
    /// Guardian: it was stopped as well, or cannot be, and goes on.
    Resumed,
    /// Worker: the command goes on.
    Continued,
    /// Guardian: pass this signal to the command.
    Pass(Signal),
    /// Guardian: end the session, and begin by passing this signal to the command.
    End(Signal),
    /// Guardian: end the session; the command has been told already.
    EndTold,
    /// Worker: the command has ended.
    Ended(End),
    /// Worker: so many processes are left, and this one leaves.
    Done(usize),
}

/// One end of the line.
pub(super) struct Link(OwnedFd);

/// What came over the line.
pub(super) enum Heard {
    /// A word.
    Word(Word),
    /// The other is dead.
    Nobody,
    /// Nothing yet.
    Silence,
}

/// Makes a line.
pub(super) fn pair() -> Result<(Link, Link), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((Link(one), Link(other)))
}

impl Link {
    /// Says a word. Whether the other still lives is seen elsewhere.
    pub(super) fn say(&self, word: Word) {
        let number = |signal: Signal| i64::from(signal.number());
        let (kind, value) = match word {
            Word::Ready(pid) => (0, i64::from(pid.get())),
            Word::Go => (1, 0),
            Word::Never => (2, 0),
            Word::NotRun(errno) => (3, i64::from(errno as i32)),
            Word::Stopped => (4, 0),
            Word::Resumed => (5, 0),
            Word::Continued => (6, 0),
            Word::Pass(signal) => (7, number(signal)),
            Word::End(signal) => (8, number(signal)),
            Word::EndTold => (9, 0),
            Word::Ended(End::Exited(code)) => (10, i64::from(code)),
            Word::Ended(End::Signalled(signal)) => (11, number(signal)),
            Word::Failed(errno) => (13, i64::from(errno as i32)),
            Word::Done(left) => (12, i64::try_from(left).unwrap_or(i64::MAX)),
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&i64::to_ne_bytes(kind));
        bytes[8..].copy_from_slice(&value.to_ne_bytes());
        while nix::unistd::write(&self.0, &bytes) == Err(Errno::EINTR) {}
    }

    /// Hears the next word, without waiting.
    pub(super) fn hear(&self) -> Heard {
        let mut bytes = [0; 16];
        match nix::unistd::read(&self.0, &mut bytes) {
            Ok(16) => parse(bytes).map_or(Heard::Silence, Heard::Word),
            Err(Errno::EAGAIN | Errno::EINTR) => Heard::Silence,
            _ => Heard::Nobody,
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits for something to read, or for the end of it.
pub(super) fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

/// Tells whether what a descriptor waits for has come.
pub(super) fn is_ready(fd: PollFd<'_>) -> bool {
    poll(&mut [fd], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn parse(bytes: [u8; 16]) -> Option<Word> {
    let (kind, value) = bytes.split_at(8);
    let (kind, value) =
        (i64::from_ne_bytes(kind.try_into().ok()?), i64::from_ne_bytes(value.try_into().ok()?));
    let signal = || i32::try_from(value).ok().and_then(Signal::new);
    Some(match kind {
        0 => Word::Ready(u32::try_from(value).ok().and_then(Pid::new)?),
        1 => Word::Go,
        2 => Word::Never,
        3 => Word::NotRun(Errno::from_raw(i32::try_from(value).ok()?)),
        4 => Word::Stopped,
        5 => Word::Resumed,
        6 => Word::Continued,
        7 => Word::Pass(signal()?),
        8 => Word::End(signal()?),
        9 => Word::EndTold,
        10 => Word::Ended(End::Exited(u8::try_from(value).ok()?)),
        11 => Word::Ended(End::Signalled(signal()?)),
        12 => Word::Done(usize::try_from(value).ok()?),
        13 => Word::Failed(Errno::from_raw(i32::try_from(value).ok()?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_heard_as_it_was_said_and_the_end_after_the_last() {
        let (one, other) = pair().expect("a socket");
        let pid = Pid::new(77).expect("a pid");
        let words = [
            Word::Ready(pid),
            Word::Go,
            Word::Never,
            Word::Failed(Errno::EPERM),
            Word::NotRun(Errno::ENOENT),
            Word::Stopped,
            Word::Resumed,
            Word::Continued,
            Word::Pass(Signal::CONT),
            Word::End(Signal::TERM),
            Word::EndTold,
            Word::Ended(End::Exited(255)),
            Word::Ended(End::Signalled(Signal::new(64).expect("a signal"))),
            Word::Done(3),
        ];
        for word in words {
            one.say(word);
        }
        drop(one);
        for word in words {
            assert!(matches!(other.hear(), Heard::Word(heard) if heard == word), "{word:?}");
        }
        assert!(matches!(other.hear(), Heard::Nobody));
    }
}
