//! Why a socket has no visible owner: what can be proved about it.

use std::net::{IpAddr, SocketAddr};

use super::{Holders, Protocol, Socket, State};
use crate::host::Host;
use crate::id::Pid;
use crate::source::Source;
use crate::text;

/// What is proved about a socket that no table of open files shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Tables of open files may not be read, or processes are hidden: one of those holds it.
    NotPermitted(String),
    /// Every table that can be seen was read, but this pid namespace is not the whole machine.
    OtherNamespace,
    /// Every table of the machine was read. What is left is the kernel itself (NFS, WireGuard, VXLAN), an io_uring, or a
    /// socket that is just being passed on.
    Kernel,
    /// It was closed, and its address is kept back.
    TimeWait,
    /// It was closed, and the kernel finishes the connection.
    Closing,
    /// It belongs to a listener, which has not accepted it.
    Unaccepted,
    /// A process that may not be looked into publishes this port of a container.
    Publisher(Publisher),
}

impl Missing {
    /// The word that records use.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotPermitted(_) => "not-permitted",
            Self::OtherNamespace => "other-namespace",
            Self::Kernel => "kernel",
            Self::TimeWait => "time-wait",
            Self::Closing => "closing",
            Self::Unaccepted => "unaccepted",
            Self::Publisher(_) => "docker-proxy",
        }
    }

    /// The reason in words.
    pub fn why(&self) -> String {
        match self {
            Self::NotPermitted(why) => why.clone(),
            Self::OtherNamespace => {
                "no process of this pid namespace holds it: one outside of it does, or the kernel".into()
            }
            Self::Kernel => {
                "no process holds it: the kernel does, an io_uring, or it is being passed on".into()
            }
            Self::TimeWait => {
                "it was closed; its address is kept back for a minute (SO_REUSEADDR overrides that)".into()
            }
            Self::Closing => "it was closed; the kernel finishes the connection".into(),
            Self::Unaccepted => "its listener has not accepted it yet".into(),
            Self::Publisher(Publisher { pid: Some(pid), to, .. }) => {
                format!(
                    "process {pid} (docker-proxy) publishes port {} of a container at {}",
                    to.port(),
                    to.ip()
                )
            }
            Self::Publisher(Publisher { to, .. }) => format!("it publishes {to} of a container"),
        }
    }
}

/// A process that passes on what arrives at a port to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// The process.
    pub pid: Option<Pid>,
    /// Its protocol and port on this machine.
    pub from: (Protocol, u16),
    /// Where it passes it on to.
    pub to: SocketAddr,
}

impl Publisher {
    /// Reads the arguments of a `docker-proxy`; none where it is none.
    pub fn of(cmdline: &[u8]) -> Option<Self> {
        let mut words = text::arguments(cmdline).map(|word| String::from_utf8_lossy(word).into_owned());
        let name = words.next()?;
        if name.rsplit('/').next() != Some("docker-proxy") {
            return None;
        }
        let (mut protocol, mut port, mut address, mut inner) = (Protocol::Tcp, None, None, None);
        while let Some(word) = words.next() {
            let option = word.trim_start_matches('-');
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
                None => (option.to_owned(), None),
            };
            let mut value = || value.clone().or_else(|| words.next());
            match option.as_str() {
                "proto" if value()? == "udp" => protocol = Protocol::Udp,
                "host-port" => port = value()?.parse().ok(),
                "container-ip" => address = value()?.parse::<IpAddr>().ok(),
                "container-port" => inner = value()?.parse().ok(),
                _ => {}
            }
        }
        Some(Self { pid: None, from: (protocol, port?), to: SocketAddr::new(address?, inner?) })
    }
}

/// Proves what it can about a socket that nobody was found to hold.
///
/// `all` are the processes that were looked at.
pub fn missing(host: &Host, source: &Source, socket: &Socket, holders: &Holders, all: &[Pid]) -> Missing {
    /// `PROC_PID_INIT_INO`: the pid namespace that every other one is inside of.
    const INITIAL: u64 = 0xEFFF_FFFC;
    if socket.inode == 0 {
        return match socket.state {
            State::TimeWait => Missing::TimeWait,
            State::Established | State::SynReceived | State::CloseWait => Missing::Unaccepted,
            _ => Missing::Closing,
        };
    }
    let publishes = |(pid, _): &(Pid, Option<u32>)| {
        let publisher = Publisher::of(&source.whole(*pid, "cmdline").ok()?)?;
        (socket.port().map(|port| (socket.protocol, port)) == Some(publisher.from))
            .then_some(Publisher { pid: Some(*pid), ..publisher })
    };
    if let Some(publisher) = holders.denied.iter().find_map(publishes) {
        return Missing::Publisher(publisher);
    }
    if !holders.denied.is_empty() {
        let count = holders.denied.len();
        return Missing::NotPermitted(format!("the open files of {count} processes may not be read"));
    }
    if !all.contains(&Pid::INIT) {
        return Missing::NotPermitted("/proc hides processes of other users (hidepid)".into());
    }
    if host.place().pid_ns == INITIAL { Missing::Kernel } else { Missing::OtherNamespace }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher(words: &str) -> Option<Publisher> {
        let line: Vec<u8> = words.split(' ').flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        Publisher::of(&line)
    }

    #[test]
    fn the_arguments_of_a_docker_proxy_say_what_it_publishes() {
        let line = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8001 -container-ip 172.17.0.2 \
                    -container-port 80 -use-listen-fd";
        let found = publisher(line).expect("one");
        assert_eq!((found.from, found.to), ((Protocol::Tcp, 8001), "172.17.0.2:80".parse().expect("an end")));
        let line = "docker-proxy -proto=udp -host-port=53 -container-ip=::1 -container-port=5353";
        let found = publisher(line).expect("one");
        assert_eq!((found.from, found.to), ((Protocol::Udp, 53), "[::1]:5353".parse().expect("an end")));
        for line in ["docker-proxy", "cat docker-proxy -host-port 8001", "", "docker-proxy -host-port"] {
            assert_eq!(publisher(line), None, "{line}");
        }
    }

    #[test]
    fn what_nobody_holds_is_judged_by_what_could_be_read() {
        let (host, source) = (Host::look().expect("a host"), Source::live().expect("/proc"));
        let socket = |inode, state| Socket {
            protocol: Protocol::Tcp,
            local: super::super::Local::Port("127.0.0.1:8001".parse().expect("an end")),
            peer: None,
            state,
            inode,
            uid: Some(0),
            dual_stack: None,
            kind: None,
            net_ns: None,
        };
        let judge = |socket: &Socket, denied: &[Pid], all: &[Pid]| {
            let denied = denied.iter().map(|pid| (*pid, None)).collect();
            missing(&host, &source, socket, &Holders { denied, ..Holders::default() }, all).word()
        };
        let listens = socket(u64::MAX, State::Listen);
        let whole = if host.place().pid_ns == 0xEFFF_FFFC { "kernel" } else { "other-namespace" };
        assert_eq!(judge(&listens, &[], &[Pid::INIT]), whole);
        assert_eq!(judge(&listens, &[Pid::this()], &[Pid::INIT]), "not-permitted");
        assert_eq!(judge(&listens, &[], &[Pid::this()]), "not-permitted", "/proc hides the first process");
        for (state, word) in
            [(State::TimeWait, "time-wait"), (State::FinWait2, "closing"), (State::Established, "unaccepted")]
        {
            assert_eq!(judge(&socket(0, state), &[], &[Pid::INIT]), word);
        }
    }
}
