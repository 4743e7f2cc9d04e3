//! News of processes from the kernel, as they happen: the proc connector (`linux/cn_proc.h`).
//!
//! It speaks of numbers in the first pid namespace, and loses news when its buffer is full. So what it says is a hint
//! where to look, and never a target.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::id::Pid;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A process was forked.
    Forked(Pid),
    /// A process has become another program.
    Became(Pid),
    /// The main thread of a process has ended, with a wait status: the process has, unless other threads live on.
    Ended(Pid, i32),
    /// Some news were lost.
    Lost,
}

/// A socket that news come from.
#[derive(Debug)]
pub struct Connector(OwnedFd);

/// `CN_IDX_PROC` and `CN_VAL_PROC` of linux/connector.h: both 1.
const PROC: u32 = 1;
/// Where the message of the connector begins, and where what it carries does.
const HEADER: usize = 16;
const BODY: usize = HEADER + 20;

impl Connector {
    /// Asks for news. None where that is not permitted, or where the kernel offers none.
    pub fn open() -> Option<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes three numbers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_CONNECTOR) };
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
        let fd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })?;
        let connector = Self(fd);
        connector.subscribe().ok()?;
        Some(connector)
    }

    fn subscribe(&self) -> Result<(), Errno> {
        // SAFETY: the address is plain numbers, for which zero is a value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).map_err(|_| Errno::EINVAL)?;
        address.nl_groups = PROC;
        let size = libc::socklen_t::try_from(size_of::<libc::sockaddr_nl>()).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the address is of the size that is given, and outlives the call.
        Errno::result(unsafe { libc::bind(self.raw(), (&raw const address).cast(), size) })?;
        // Header of netlink: length, type NLMSG_DONE, no flags, no sequence, no port. Then that of the connector: its id,
        // no sequence, no acknowledgement, length, no flags. Then PROC_CN_MCAST_LISTEN.
        let words: [u32; 10] = [40, libc::NLMSG_DONE.cast_unsigned(), 0, 0, PROC, PROC, 0, 0, 4, 1];
        // SAFETY: the message is ten words, and outlives the call.
        Errno::result(unsafe { libc::send(self.raw(), words.as_ptr().cast(), size_of_val(&words), 0) })?;
        Ok(())
    }

    fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// The socket, for waiting until there are news.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Takes all news that are there.
    pub fn take(&self) -> Vec<News> {
        let mut news = Vec::new();
        loop {
            let mut buffer = [0_u8; 4096];
            // SAFETY: the address is plain numbers, for which zero is a value.
            let mut from: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            let mut size = libc::socklen_t::try_from(size_of::<libc::sockaddr_nl>()).unwrap_or(0);
            // SAFETY: the kernel writes at most as much as the buffer and the address hold, and both outlive the call.
            let read = unsafe {
                let (place, room) = (buffer.as_mut_ptr().cast(), buffer.len());
                libc::recvfrom(self.raw(), place, room, 0, (&raw mut from).cast(), &raw mut size)
            };
            match Errno::result(read) {
                Err(Errno::ENOBUFS) => news.push(News::Lost),
                Err(Errno::EINTR) => {}
                Err(_) => return news,
                // Another process could send to us; only the kernel has the port 0.
                Ok(_) if from.nl_pid != 0 => {}
                Ok(read) => news.extend(parse(buffer.get(..read.cast_unsigned()).unwrap_or_default())),
            }
        }
    }
}

/// Reads one message: none where it is of no interest, as those about single threads are.
fn parse(message: &[u8]) -> Option<News> {
    const FORK: u32 = 1;
    const EXEC: u32 = 2;
    const EXIT: u32 = 0x8000_0000;
    let word =
        |at: usize| -> Option<u32> { Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?)) };
    if (word(HEADER)?, word(HEADER + 4)?) != (PROC, PROC) {
        return None;
    }
    // What, processor, and time in eight bytes; then what it is about.
    let (what, about) = (word(BODY)?, BODY + 16);
    let whole = |thread: usize| {
        let (thread, process) = (word(about + thread)?, word(about + thread + 4)?);
        Pid::new(process).filter(|_| thread == process)
    };
    match what {
        FORK => whole(8).map(News::Forked),
        EXEC => whole(0).map(News::Became),
        EXIT => whole(0).zip(word(about + 8)).map(|(pid, status)| News::Ended(pid, status.cast_signed())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, about: &[u32]) -> Vec<u8> {
        let words = [&[0, 0, 0, 0, PROC, PROC, 0, 0, 40, what, 0, 0, 0][..], about].concat();
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn messages_about_processes_are_read_and_those_about_threads_passed_over() {
        let pid = |number| Pid::new(number).expect("a number");
        assert_eq!(parse(&message(1, &[5, 5, 7, 7])), Some(News::Forked(pid(7))));
        assert_eq!(parse(&message(1, &[5, 5, 8, 7])), None, "a thread");
        assert_eq!(parse(&message(2, &[7, 7, 0, 0])), Some(News::Became(pid(7))));
        assert_eq!(parse(&message(0x8000_0000, &[7, 7, 256, 17])), Some(News::Ended(pid(7), 256)));
        assert_eq!(parse(&message(0, &[0; 4])), None, "an answer");
        for cut in 0..60 {
            let _ = parse(&message(1, &[5, 5, 7, 7])[..cut]);
        }
    }
}
