use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;
use crate::id::Pid;
use crate::source::Source;

/// All sockets of this network namespace, as netlink and as the tables of `/proc` tell them.
fn both(protocol: Protocol) -> [Vec<Socket>; 2] {
    let told =
        diag::Diag::open().and_then(|mut diag| diag.list(protocol, true, None)).expect("netlink answers");
    [told, files::list("/proc/self/net", protocol).expect("readable")]
}

/// The socket of an inode, as both tell it.
fn twice(protocol: Protocol, fd: impl std::os::fd::AsFd) -> [Socket; 2] {
    let inode = nix::sys::stat::fstat(fd).expect("facts").st_ino;
    both(protocol).map(|all| all.into_iter().find(|one| one.inode == inode).expect("it is listed"))
}

#[test]
fn netlink_and_tables_say_the_same_of_tcp() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let at = listener.local_addr().expect("an address");
    let client = TcpStream::connect(at).expect("connected");
    let [told, read] = twice(Protocol::Tcp, &listener);
    assert_eq!(told, read);
    assert_eq!((told.local.clone(), told.state, told.is_listening()), (Local::Port(at), State::Listen, true));
    assert_eq!(told.uid, Some(nix::unistd::geteuid().as_raw()));
    let [told, read] = twice(Protocol::Tcp, &client);
    assert_eq!(told, read);
    assert_eq!((told.peer, told.state, told.is_listening()), (Some(at), State::Established, false));
}

#[test]
fn a_socket_for_both_families_says_so_through_netlink() {
    let Ok(listener) = TcpListener::bind("[::]:0") else { return };
    let [told, read] = twice(Protocol::Tcp, &listener);
    assert_eq!((told.dual_stack, read.dual_stack), (Some(true), None));
    assert!(told.speaks(Family::V4) && told.speaks(Family::V6) && read.speaks(Family::V4));
}

#[test]
fn netlink_and_tables_say_the_same_of_udp() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let [told, read] = twice(Protocol::Udp, &socket);
    assert_eq!(told, read);
    assert_eq!((told.state, told.is_listening()), (State::Bound, true));
    socket.connect(socket.local_addr().expect("an address")).expect("connected");
    let [told, read] = twice(Protocol::Udp, &socket);
    assert_eq!(told, read);
    assert_eq!((told.state, told.is_listening()), (State::Established, false));
}

#[test]
fn netlink_and_tables_say_the_same_of_unix_sockets_with_hostile_names() {
    use std::os::linux::net::SocketAddrExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a b\n12: \u{1b}[31m");
    let listener = UnixListener::bind(&path).expect("a socket");
    let [told, mut read] = twice(Protocol::Unix, &listener);
    assert_eq!(told.uid, Some(nix::unistd::geteuid().as_raw()));
    read.uid = told.uid;
    assert_eq!(told, read);
    assert_eq!((told.kind, told.state), (Some("stream"), State::Listen));
    assert_eq!(told.local, Local::Path(Text::from(path.to_str().expect("utf-8"))));
    let name = format!("procherd\0 {}\u{ff}", std::process::id());
    let at = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let datagrams = UnixDatagram::bind_addr(&at).expect("a socket");
    let [told, read] = twice(Protocol::Unix, &datagrams);
    assert_eq!(told.local, Local::Abstract(Text::from(name.as_str())));
    // The table has another sign in place of each NUL.
    assert_eq!(read.local, Local::Abstract(Text::from(name.replace('\0', "@").as_str())));
    assert!(told.is_listening() && read.is_listening());
}

#[test]
fn a_listener_is_found_with_its_holder() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    let found = listeners(port).expect("readable");
    assert_eq!(found.len(), 1);
    let source = Source::live().expect("/proc");
    assert!(holds(&source, Pid::this(), &found));
    assert!(!holds(&source, Pid::this(), &[]));
    let inodes = [found[0].inode];
    let seen = holders(&source, &[Pid::this()], &inodes).expect("readable");
    assert_eq!(seen.by_pid, [(Pid::this(), vec![found[0].inode])]);
    drop(socket);
    assert!(listeners(port).expect("readable").is_empty());
    assert!(holders(&source, &[Pid::this()], &inodes).expect("readable").by_pid.is_empty());
}

#[test]
fn what_one_thread_alone_holds_is_found() {
    let (number, told) = std::sync::mpsc::channel();
    let (done, end) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).expect("a table of its own");
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        number.send(socket.local_addr().expect("an address").port()).expect("heard");
        let _ = end.recv();
    });
    let found = listeners(told.recv().expect("a port")).expect("readable");
    let source = Source::live().expect("/proc");
    assert!(!holds(&source, Pid::this(), &found), "the first table does not have it");
    let seen = holders(&source, &[Pid::this()], &[found[0].inode]).expect("readable");
    assert_eq!(seen.by_pid, [(Pid::this(), vec![found[0].inode])]);
    drop(done);
    thread.join().expect("ended");
}

#[test]
fn a_question_is_answered_as_narrowly_as_it_is_asked() {
    let socket = |protocol, at: &str, state| Socket {
        protocol,
        local: Local::Port(at.parse().expect("an end")),
        peer: None,
        state,
        inode: 7,
        uid: Some(0),
        dual_stack: None,
        kind: None,
        net_ns: None,
    };
    let tcp = socket(Protocol::Tcp, "127.0.0.1:8001", State::Listen);
    let udp = socket(Protocol::Udp, "[::1]:8001", State::Bound);
    let client = socket(Protocol::Tcp, "127.0.0.1:8001", State::Established);
    let ports = |of| Query { ports: vec![(8000..=8001, of)], ..Query::default() };
    assert!(ports(None).wants(&tcp) && ports(None).wants(&udp) && !ports(None).wants(&client));
    assert!(Query { any: true, ..ports(None) }.wants(&client));
    assert!(!ports(Some(Protocol::Udp)).wants(&tcp) && ports(Some(Protocol::Udp)).wants(&udp));
    assert!(!Query { family: Some(Family::V6), ..ports(None) }.wants(&tcp));
    assert!(!Query { ports: vec![(9..=8000, None)], ..Query::default() }.wants(&tcp));
    assert_eq!(ports(Some(Protocol::Udp)).asks().collect::<Vec<_>>(), [Protocol::Udp]);
    assert_eq!(Query::default().asks().count(), 3);
}
