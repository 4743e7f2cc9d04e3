//! Servers that accept who connects, and servers that do not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use nix::unistd::getpid;

use crate::Played;
use crate::cast::Cast;
use crate::life::{Life, announce, wait_for_death_of};
use crate::sys::{Side, fork};

/// Where an actor can be reached.
enum Listener {
    Port(TcpListener),
    Path(UnixListener),
}

impl Listener {
    /// Listens on what an operand names: a port of the loopback, an address with a port, or a path. A free port without one.
    fn named(cast: &Cast) -> Result<Self, Box<dyn std::error::Error>> {
        let text = cast.operands.first().and_then(|word| word.to_str()).unwrap_or("0");
        Ok(match text.parse::<u16>() {
            Ok(port) => Self::Port(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?),
            Err(_) if text.contains('/') => Self::Path(UnixListener::bind(text)?),
            Err(_) => Self::Port(TcpListener::bind(text)?),
        })
    }

    fn port(&self) -> std::io::Result<u16> {
        match self {
            Self::Port(socket) => Ok(socket.local_addr()?.port()),
            Self::Path(_) => Ok(0),
        }
    }

    /// Greets everybody who connects, and listens to the end.
    fn greet(&self, words: &[u8]) -> std::io::Result<()> {
        loop {
            match self {
                Self::Port(socket) => hear_out(socket.accept()?.0, words),
                Self::Path(socket) => hear_out(socket.accept()?.0, words),
            }
        }
    }
}

/// Who is connected may leave at any moment.
fn hear_out(mut stream: impl Read + Write, words: &[u8]) {
    let _ = stream.write_all(words).and_then(|()| std::io::copy(&mut stream, &mut std::io::sink()));
}

/// Listens on a port or a path, accepts everybody and says the second operand to them; as `deaf`, accepts nobody.
///
/// With `--forked` a child does, and its parent ends.
pub(crate) fn serve(cast: &Cast) -> Played {
    let socket = Listener::named(cast)?;
    if cast.forked {
        let parent = getpid();
        announce(cast, "parent", 1, ",\"settles\":\"gone\"")?;
        if let Side::Parent(_) = fork()? {
            return Ok(ExitCode::SUCCESS);
        }
        wait_for_death_of(parent)?;
    }
    let life = Life::begin(cast, cast.role(&cast.mode), 0, &format!(",\"port\":{}", socket.port()?))?;
    if cast.mode == "deaf" {
        let done = life.live();
        drop(socket);
        return done;
    }
    let words = cast.operands.get(1).cloned().unwrap_or_default();
    std::thread::spawn(move || socket.greet(words.as_encoded_bytes()));
    life.live()
}
