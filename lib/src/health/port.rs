//! Ports and sockets: who listens, and whether it accepts.
//!
//! To be able to connect proves little: the kernel completes connections for a listener that is stopped, hung or whose
//! process has died and left the socket to a child. So the check looks whether somebody has *accepted*: the kernel gives
//! the other end of a connection an inode only then (`inode` of sock_diag(7), and of proc_pid_net(5)). A listener that
//! defers to accept until data arrive (`TCP_DEFER_ACCEPT`, tcp(7)) keeps it half open, and is believed.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{PeerCredentials, ReceiveTimeout, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::checks::Checks;
use super::crew::Crew;
use super::{Health, Measured};
use crate::error::{Error, words};
use crate::id::Pid;
use crate::sockets::{self, Holders, Protocol, Query, Socket, State};
use crate::text::{Text, visible};

/// How often to look whether a connection was accepted: it costs a tenth of a millisecond.
const LOOK: Duration = Duration::from_millis(2);

/// The most that is read of what a server says.
const MOST_SAID: usize = 64 << 10;

/// Why a check is not passed.
struct Fault(Health, String);

impl Fault {
    fn unhealthy(why: impl Into<String>) -> Self {
        Self(Health::Unhealthy, why.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(Health::Unknown, error.to_string())
    }
}

/// Checks that a member of the crew accepts connections on a TCP port.
pub(super) fn tcp(crew: &Crew<'_>, port: u16, checks: &Checks) -> Measured {
    timed(Measured::new("port", port), |measured| {
        let listeners = sockets::listeners(port)?;
        let (listener, holder) = held(crew, &listeners)?;
        measured.pid = Some(holder);
        let until = Instant::now() + checks.within();
        let mut stream = reach(&listener, port, checks.within())?;
        accepted(&stream, port, until)?;
        said(&mut stream, checks, until)
    })
}

/// Checks that a member of the crew listens on a Unix socket.
pub(super) fn unix(crew: &Crew<'_>, path: &Path, checks: &Checks) -> Measured {
    timed(Measured::new("socket", path.display()), |measured| {
        let until = Instant::now() + checks.within();
        let mut stream = UnixStream::from(reach_path(path, checks.within())?);
        // The one that called listen(2): the server, or the parent that has given it the socket.
        let peer = getsockopt(&stream, PeerCredentials).ok().map(|peer| peer.pid());
        let peer = peer.and_then(|pid| u32::try_from(pid).ok()).and_then(Pid::new);
        measured.pid = match peer.filter(|peer| crew.has(*peer)) {
            Some(peer) => Some(peer),
            None => Some(holder_of(crew, path, peer)?),
        };
        said(&mut stream, checks, until)
    })
}

/// Finds the member of the crew that holds a Unix socket which `peer` began to listen on.
fn holder_of(crew: &Crew<'_>, path: &Path, peer: Option<Pid>) -> Result<Pid, Fault> {
    let named = Query {
        protocols: vec![Protocol::Unix],
        paths: vec![Text::from(path.as_os_str().as_bytes())],
        ..Query::default()
    };
    let listeners = sockets::list(&named)?;
    if listeners.is_empty() {
        // It was bound by a relative path, or moved; then only the peer can say whose it is.
        let who = peer.map_or("somebody unknown".to_owned(), |peer| crew.words(peer));
        return Err(Fault::unhealthy(format!("{who} listens on it, which is not of this service")));
    }
    Ok(held(crew, &listeners)?.1)
}

fn timed(mut measured: Measured, check: impl FnOnce(&mut Measured) -> Result<(), Fault>) -> Measured {
    let begun = Instant::now();
    let done = check(&mut measured);
    measured.elapsed_ms = u64::try_from(begun.elapsed().as_millis()).ok();
    measured.works = done.is_ok();
    match done {
        Ok(()) => measured,
        Err(Fault(health, why)) => measured.is(health, why),
    }
}

/// Finds the listener that a member of the crew holds, and that member.
fn held(crew: &Crew<'_>, listeners: &[Socket]) -> Result<(Socket, Pid), Fault> {
    if listeners.is_empty() {
        return Err(Fault::unhealthy("nobody listens on it"));
    }
    let (source, inodes) = (crew.setting.source, inodes(listeners));
    let own = sockets::holders(source, &crew.members(), &inodes)?;
    if let Some(found) = choose(&own, listeners, |_| true) {
        return Ok(found);
    }
    // Somebody else, or a member that only its mark tells.
    let all = sockets::holders(source, &source.pids()?, &inodes)?;
    if let Some(found) = choose(&all, listeners, |pid| crew.has(pid)) {
        return Ok(found);
    }
    match all.by_pid.first() {
        Some((stranger, _)) => {
            let who = crew.words(*stranger);
            Err(Fault::unhealthy(format!("{who} listens on it, which is not of this service")))
        }
        None if all.denied.is_empty() => Err(Fault::unhealthy("nobody who could be seen listens on it")),
        None => {
            let why = "somebody listens on it whose open files may not be read";
            Err(Fault(Health::Unknown, why.to_owned()))
        }
    }
}

fn inodes(sockets: &[Socket]) -> Vec<u64> {
    sockets.iter().map(|socket| socket.inode).collect()
}

fn choose(holders: &Holders, sockets: &[Socket], ours: impl Fn(Pid) -> bool) -> Option<(Socket, Pid)> {
    holders.by_pid.iter().filter(|(pid, _)| ours(*pid)).find_map(|(pid, inodes)| {
        let socket = sockets.iter().find(|socket| inodes.contains(&socket.inode))?;
        Some((socket.clone(), *pid))
    })
}

/// Connects to where a listener can be reached.
fn reach(listener: &Socket, port: u16, within: Duration) -> Result<TcpStream, Fault> {
    let address = match listener.address() {
        Some(IpAddr::V4(any)) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V6(any)) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(address) => address.to_canonical(),
        None => Ipv4Addr::LOCALHOST.into(),
    };
    let connected = TcpStream::connect_timeout(&SocketAddr::new(address, port), within);
    let connected = match connected {
        // IPv6 may be turned off for the loopback alone.
        Err(error) if address.is_ipv6() && error.kind() == ErrorKind::AddrNotAvailable => {
            TcpStream::connect_timeout(&SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), within)
        }
        other => other,
    };
    connected.map_err(|error| match error.kind() {
        ErrorKind::TimedOut => Fault::unhealthy("it does not answer"),
        _ => Fault::unhealthy(words(&error)),
    })
}

/// Connects to a Unix socket, waiting no longer than allowed where its queue is full.
fn reach_path(path: &Path, within: Duration) -> Result<std::os::fd::OwnedFd, Fault> {
    let failed = |errno: Errno| match errno {
        Errno::EAGAIN | Errno::EINPROGRESS => Fault::unhealthy("it does not answer"),
        Errno::ENOENT => Fault::unhealthy("there is no such socket"),
        Errno::ECONNREFUSED => Fault::unhealthy("nobody listens on it"),
        Errno::EACCES | Errno::EPERM => Fault(Health::Unknown, errno.desc().to_lowercase()),
        errno => Fault::unhealthy(errno.desc().to_lowercase()),
    };
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    let limit = TimeVal::milliseconds(i64::try_from(within.as_millis().max(1)).unwrap_or(i64::MAX));
    setsockopt(&fd, SendTimeout, &limit).map_err(failed)?;
    setsockopt(&fd, ReceiveTimeout, &limit).map_err(failed)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path).map_err(failed)?).map_err(failed)?;
    Ok(fd)
}

/// Waits until somebody has accepted a connection.
fn accepted(stream: &TcpStream, port: u16, until: Instant) -> Result<(), Fault> {
    let own = stream.local_addr().map_err(|error| Fault(Health::Unknown, words(&error)))?;
    let all = Query { any: true, ..Query::tcp([port]) };
    let from_us = |socket: &Socket| {
        let peer = socket.peer.map(|peer| (peer.ip().to_canonical(), peer.port()));
        socket.port() == Some(port) && peer == Some((own.ip().to_canonical(), own.port()))
    };
    loop {
        match sockets::list(&all)?.into_iter().find(from_us) {
            Some(other) if other.inode != 0 || other.state == State::SynReceived => return Ok(()),
            // It was accepted, and closed again.
            None => return Ok(()),
            Some(_) if Instant::now() >= until => {
                return Err(Fault::unhealthy("it listens and accepts nobody"));
            }
            Some(_) => std::thread::sleep(LOOK),
        }
    }
}

/// A connection of either kind.
trait Stream: Read {
    fn set_limit(&self, limit: Duration) -> std::io::Result<()>;
}

impl Stream for TcpStream {
    fn set_limit(&self, limit: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
}

impl Stream for UnixStream {
    fn set_limit(&self, limit: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
}

/// Reads until the expected text was said.
fn said(stream: &mut impl Stream, checks: &Checks, until: Instant) -> Result<(), Fault> {
    let Some(banner) = checks.banner.as_deref() else { return Ok(()) };
    let (mut all, mut block) = (Vec::new(), [0; 4096]);
    let missed = |all: &[u8]| {
        let heard = visible(all.get(..80).unwrap_or(all));
        let heard = if all.is_empty() { "nothing".to_owned() } else { format!("'{heard}'") };
        Fault::unhealthy(format!("it says {heard}, not '{banner}'"))
    };
    loop {
        if memchr::memmem::find(&all, banner.as_bytes()).is_some() {
            return Ok(());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || all.len() > MOST_SAID {
            return Err(missed(&all));
        }
        match stream.set_limit(left).and_then(|()| stream.read(&mut block)) {
            Ok(0) => return Err(missed(&all)),
            Ok(count) => all.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(missed(&all)),
        }
    }
}
