//! Waiting for what must come: the one place that lets time pass.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::process::{Id, living};

/// The deadline of what takes no time of its own: long enough for a machine under load.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits until a condition holds, and fails the test with these words when it does not in time.
#[track_caller]
pub(crate) fn wait_until(deadline: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    assert!(waited(deadline, &mut holds), "waited {deadline:?} in vain until {what}");
}

/// Waits until a condition holds, at most so long; tells whether it does.
pub(crate) fn waited(deadline: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    let mut pause = 1_u16;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        // A condition of /proc cannot be polled for: look again, at short and growing intervals.
        let _ = poll(&mut [], pause);
        pause = (pause * 2).min(20);
    }
}

/// Lets time pass where nothing is waited for: what comes next is to come at any moment.
pub(crate) fn pass(time: Duration) {
    let _ = poll(&mut [], PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
}

/// Waits until all these processes have died; fails the test with those that live on.
#[track_caller]
pub(crate) fn wait_dead(deadline: Duration, ids: &[Id]) {
    let left = dead_within(deadline, ids);
    assert!(left.is_empty(), "{} of {} still live after {deadline:?}: {left:?}", left.len(), ids.len());
}

/// Waits until all these processes have died, at most so long; returns those that live on.
pub(crate) fn dead_within(deadline: Duration, ids: &[Id]) -> Vec<Id> {
    let end = Instant::now() + deadline;
    for id in ids {
        let Some(handle) = id.handle() else { continue };
        let mut fds = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
        while ready(&mut fds, end) == Ready::Interrupted {}
    }
    living(ids)
}

/// Whether descriptors became ready in time.
#[derive(PartialEq, Eq)]
pub(crate) enum Ready {
    Yes,
    TooLate,
    Interrupted,
}

/// Polls descriptors up to a moment.
pub(crate) fn ready(fds: &mut [PollFd<'_>], end: Instant) -> Ready {
    let left = end.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
    match poll(fds, timeout) {
        Ok(0) => Ready::TooLate,
        Ok(_) => Ready::Yes,
        Err(Errno::EINTR) => Ready::Interrupted,
        Err(errno) => panic!("poll: {errno}"),
    }
}

mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_as_soon_as_its_condition_holds() {
        let start = Instant::now();
        let mut looks = 0;
        wait_until(SOON, "the third look", || {
            looks += 1;
            looks == 3
        });
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_wait_in_vain_ends_at_its_deadline() {
        assert!(!waited(Duration::from_millis(30), || false));
    }
}
