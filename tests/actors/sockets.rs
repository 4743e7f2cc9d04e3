//! Processes that hold sockets, share them, hand them on, or are clients of them.

use std::io::{IoSlice, IoSliceMut};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    SockaddrStorage, UnixAddr, bind, getsockname, listen as start_listening, recvmsg, sendmsg, setsockopt,
    socket, socketpair, sockopt,
};

use crate::Played;
use crate::cast::Cast;
use crate::holds::become_user;
use crate::life::Life;
use crate::sys::{Side, fork};

/// Listens: on a port of the loopback, one that is free if none is given, or on what the operand says: `v4:PORT`,
/// `v6:PORT` (all addresses), `udp:PORT`, `unix:PATH`, `abstract:NAME`. With `--share` others may listen beside it; with
/// `--heirs N` it has children that inherit the socket, as `--uid` if given.
pub(crate) fn listen(cast: &Cast) -> Played {
    let (held, extra) = open(cast)?;
    let life = Life::begin(cast, cast.role("listen"), cast.heirs, &extra)?;
    for _ in 0..cast.heirs {
        if let Side::Child = fork()? {
            if let Some(uid) = cast.uid {
                become_user(uid)?;
            }
            return Life::begin(cast, "heir", 0, "")?.live();
        }
    }
    let done = life.live();
    drop(held);
    done
}

/// Makes a listening socket, hands it to a child of another user, and closes its own.
pub(crate) fn hand_over(cast: &Cast) -> Played {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    let life = Life::begin(cast, "giver", 1, "")?;
    if let Side::Child = fork()? {
        drop(ours);
        if let Some(uid) = cast.uid {
            become_user(uid)?;
        }
        let socket = receive(&theirs)?;
        let at: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        let port = at.as_sockaddr_in().map_or(0, nix::sys::socket::SockaddrIn::port);
        // The giver closes its own before it answers, so nobody else has it.
        receive_end(&theirs)?;
        return Life::begin(cast, "taker", 0, &format!(",\"port\":{port}"))?.live();
    }
    drop(theirs);
    let (socket, _) = open(cast)?;
    let fds = [socket.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&fds)];
    sendmsg::<UnixAddr>(ours.as_raw_fd(), &[IoSlice::new(b"x")], &message, MsgFlags::empty(), None)?;
    drop(socket);
    drop(ours);
    life.live()
}

fn receive(from: &OwnedFd) -> Result<OwnedFd, Box<dyn std::error::Error>> {
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let message =
        recvmsg::<UnixAddr>(from.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let fd = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let fd = fd.ok_or("no descriptor arrived")?;
    Ok(crate::sys::own(fd))
}

/// Waits until the other end has been closed.
fn receive_end(from: &OwnedFd) -> nix::Result<()> {
    let mut byte = [0];
    while nix::unistd::read(from, &mut byte)? > 0 {}
    Ok(())
}

/// Connects to ports of the loopback, and stays connected.
pub(crate) fn client(cast: &Cast) -> Played {
    let mut held = Vec::new();
    for at in 0..cast.operands.len() {
        held.push(TcpStream::connect(("127.0.0.1", u16::try_from(cast.number(at, 0)?)?))?);
    }
    Life::begin(cast, cast.role("client"), 0, "")?.live()
}

/// Leaves a closed connection behind on a port of its own: the side that closes first waits in the state TIME_WAIT.
pub(crate) fn time_wait(cast: &Cast) -> Played {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let client = TcpStream::connect(("127.0.0.1", port))?;
    let (server, _) = listener.accept()?;
    drop(server);
    drop(client);
    drop(listener);
    Life::begin(cast, "closed", 0, &format!(",\"port\":{port}"))?.live()
}

/// Opens what the operand says, listening; and what is added to the line of the actor.
fn open(cast: &Cast) -> Result<(OwnedFd, String), Box<dyn std::error::Error>> {
    let text = match cast.operands.first() {
        Some(word) => word.to_str().ok_or("the operand is not text")?,
        None => "0",
    };
    let (kind, rest) = text.split_once(':').unwrap_or(("local", text));
    if kind == "udp" {
        let socket = UdpSocket::bind(("127.0.0.1", rest.parse()?))?;
        let port = socket.local_addr()?.port();
        return Ok((socket.into(), format!(",\"port\":{port}")));
    }
    let family = match kind {
        "unix" | "abstract" => AddressFamily::Unix,
        "v6" => AddressFamily::Inet6,
        _ => AddressFamily::Inet,
    };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if family != AddressFamily::Unix {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    if cast.share {
        setsockopt(&fd, sockopt::ReusePort, &true)?;
    }
    let number = fd.as_raw_fd();
    match kind {
        "unix" => bind(number, &UnixAddr::new(rest)?)?,
        "abstract" => bind(number, &UnixAddr::new_abstract(rest.as_bytes())?)?,
        "v6" => bind(number, &SockaddrStorage::from(v6(rest.parse()?)))?,
        "v4" => bind(number, &SockaddrStorage::from(v4([0; 4], rest.parse()?)))?,
        _ => bind(number, &SockaddrStorage::from(v4([127, 0, 0, 1], rest.parse()?)))?,
    }
    start_listening(&fd, Backlog::new(16)?)?;
    if family == AddressFamily::Unix {
        return Ok((fd, String::new()));
    }
    let at: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    let port = at
        .as_sockaddr_in()
        .map(nix::sys::socket::SockaddrIn::port)
        .or_else(|| at.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::port));
    Ok((fd, format!(",\"port\":{}", port.unwrap_or(0))))
}

fn v4(address: [u8; 4], port: u16) -> std::net::SocketAddrV4 {
    std::net::SocketAddrV4::new(address.into(), port)
}

fn v6(port: u16) -> std::net::SocketAddrV6 {
    std::net::SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, port, 0, 0)
}
