//! Waiting for many processes to die, at a cost that does not grow with those that live.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// A set of pidfds that are waited for together.
pub struct Watch {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Watch {
    /// Makes an empty set.
    pub fn new() -> Result<Self, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); 1024] })
    }

    /// Waits for one more process from now on; it is told by `token`, once.
    pub fn add(&self, pidfd: BorrowedFd<'_>, token: usize) -> Result<(), Errno> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, token as u64);
        self.epoll.add(pidfd, event)
    }

    /// Waits for news of another descriptor from now on; it is told by `token`, as often as there is some.
    pub fn add_lasting(&self, fd: BorrowedFd<'_>, token: usize) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token as u64))
    }

    /// Waits until some have died, at most for `timeout`, and appends their tokens.
    pub fn wait(&mut self, timeout: Duration, dead: &mut Vec<usize>) {
        // Rounded up: rounding down would turn the last millisecond into a busy loop.
        let millis = timeout.as_micros().div_ceil(1000);
        let timeout =
            EpollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::ZERO);
        // An interrupted wait is a short one: the caller looks at the clock anyway.
        let mut ready = self.epoll.wait(&mut self.events, timeout).unwrap_or(0);
        loop {
            dead.extend(self.events[..ready].iter().filter_map(|event| usize::try_from(event.data()).ok()));
            if ready < self.events.len() {
                return;
            }
            ready = self.epoll.wait(&mut self.events, EpollTimeout::ZERO).unwrap_or(0);
        }
    }
}
