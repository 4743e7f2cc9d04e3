//! Waiting until nobody listens on ports, or until somebody does.

use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::sockets::{self, Freed, Protocol, Query, Socket};

/// Ports that are wanted: a range, and what they speak; none for TCP and UDP.
pub type Port = (RangeInclusive<u16>, Option<Protocol>);

/// Ports that are to be free, or to be held.
///
/// The kernel tells of sockets that have been closed where that is permitted (`CAP_NET_ADMIN`). It tells of no socket that
/// begins to listen, and others are told nothing: so the ports are looked at in growing intervals. What is taken and given
/// back between two looks is not seen.
pub struct Ports {
    query: Query,
    held: bool,
    freed: Option<Freed>,
    found: Vec<Socket>,
    since: Option<Instant>,
    pause: Duration,
    looked: Instant,
    next: Instant,
}

/// The shortest and the longest time between two looks; and the longest where the kernel tells of what is closed.
const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(100);
const LONGEST_TOLD: Duration = Duration::from_secs(1);
/// The shortest time between two looks that news ask for: a busy server closes thousands of connections a second.
const AFTER_NEWS: Duration = Duration::from_millis(5);

impl Ports {
    /// Waits for ports to be free, or to be `held`. Looks at once.
    pub fn new(ports: Vec<Port>, held: bool) -> Result<Self> {
        let query = Query { protocols: vec![Protocol::Tcp, Protocol::Udp], ports, ..Query::default() };
        let freed = if held { None } else { Freed::listen() };
        let now = Instant::now();
        let mut ports = Self {
            query,
            held,
            freed,
            found: Vec::new(),
            since: None,
            pause: SHORTEST,
            looked: now,
            next: now,
        };
        ports.look()?;
        Ok(ports)
    }

    /// Readable when sockets have been closed; none where nobody tells.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.freed.as_ref().map(Freed::fd)
    }

    /// Looks now, if it is time; news make it earlier.
    pub fn look_if(&mut self, news: bool) -> Result<()> {
        if let Some(freed) = self.freed.as_ref().filter(|_| news) {
            freed.take();
            self.next = self.next.min(self.looked + AFTER_NEWS);
        }
        if Instant::now() < self.next { Ok(()) } else { self.look() }
    }

    /// Looks now.
    pub fn look(&mut self) -> Result<()> {
        self.found = sockets::list(&self.query)?;
        let now = Instant::now();
        self.looked = now;
        if !self.is_so() {
            self.since = None;
        } else if self.since.is_none() {
            self.since = Some(now);
            self.pause = SHORTEST;
        }
        // What has to stay as it is for a while is looked at as closely as what has to become so.
        let told = self.freed.is_some() && self.since.is_none();
        self.pause = (self.pause * 2).min(if told { LONGEST_TOLD } else { LONGEST });
        self.next = now + self.pause;
        Ok(())
    }

    /// Since when all ports have been as they are wanted; none where they are not.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// When it is to be looked at again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// The sockets that were found.
    pub fn found(&self) -> &[Socket] {
        &self.found
    }

    fn is_so(&self) -> bool {
        if !self.held {
            return self.found.is_empty();
        }
        let holds = |port: u16, of: Option<Protocol>| {
            let same =
                |socket: &Socket| socket.port() == Some(port) && of.is_none_or(|of| of == socket.protocol);
            self.found.iter().any(same)
        };
        self.query.ports.iter().all(|(range, of)| range.clone().all(|port| holds(port, *of)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_port_is_free_from_the_look_that_finds_nobody() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let wanted = || vec![(port..=port, Some(Protocol::Tcp))];
        let (mut free, mut held) =
            (Ports::new(wanted(), false).expect("readable"), Ports::new(wanted(), true).expect("readable"));
        assert!(free.since().is_none() && held.since().is_some());
        assert_eq!(free.found().len(), 1);
        drop(listener);
        free.look().expect("readable");
        held.look().expect("readable");
        assert!(free.since().is_some() && held.since().is_none());
        let since = free.since();
        free.look().expect("readable");
        assert_eq!(free.since(), since, "it stays the first look");
        assert!(free.next() + LONGEST > Instant::now());
    }
}
