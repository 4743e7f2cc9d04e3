//! A cgroup of its own for a service, so that whatever it starts can be found and ended by that alone.

use nix::errno::Errno;

use super::{Enclosure, Order};
use crate::cgroup::{For, Group};
use crate::error::{Error, Result};
use crate::id::Pid;
use crate::sys::{self, Side};

/// How often a cgroup is made anew when somebody who sweeps took it for a leftover.
const TRIES: usize = 10;

/// Makes the cgroup that an order asks for. None: it gets none.
fn make(order: &Order) -> Result<Option<Group>> {
    match order.cgroup {
        Enclosure::Off => Ok(None),
        Enclosure::Auto => Ok(Group::make(For::Service, &order.name, false).ok()),
        Enclosure::On => Group::make(For::Service, &order.name, true).map(Some),
    }
}

/// Forks; the child begins its life in a cgroup of its own where the order asks for one.
pub(super) fn fork(order: &Order) -> Result<(Side, Option<Group>)> {
    let failed = |errno: Errno| Error::system("start service", &order.name, errno);
    for _ in 0..TRIES {
        let Some(group) = make(order)? else { break };
        match sys::fork_into(group.folder()) {
            Ok(side) => return Ok((side, Some(group))),
            Err(Errno::ENODEV | Errno::ENOENT) => {}
            // Without clone3 the child is moved; it waits for its word, so nothing of it is left outside.
            Err(_) => {
                let side = sys::fork().map_err(failed)?;
                let Side::Parent(pid) = side else { return Ok((side, None)) };
                let Err(error) = group.add(pid) else { return Ok((side, Some(group))) };
                group.remove();
                if order.cgroup == Enclosure::Auto {
                    return Ok((side, None));
                }
                let _ = sys::kill_number(pid, crate::signal::Signal::KILL.number());
                let _ = sys::wait_for(pid);
                return Err(Error::system("enter cgroup", &group.name().path, error));
            }
        }
    }
    sys::fork().map(|side| (side, None)).map_err(failed)
}

/// The cgroup that this process has entered, and the one that it came from.
pub(super) struct Inside(Option<(Group, String)>);

/// Enters a cgroup of its own, where the order asks for one.
pub(super) fn enter(order: &Order) -> Result<Inside> {
    let mut failed = None;
    for _ in 0..TRIES {
        let Some(group) = make(order)? else { break };
        let before = crate::cgroup::own_path().unwrap_or_default();
        let Err(error) = group.add(Pid::this()) else {
            group.tidy();
            return Ok(Inside(Some((group, before))));
        };
        let swept = matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENODEV | Errno::ENOENT));
        failed = Some(Error::system("enter cgroup", &group.name().path, error));
        if !swept {
            group.remove();
            break;
        }
    }
    match failed {
        Some(error) if order.cgroup == Enclosure::On => Err(error),
        _ => Ok(Inside(None)),
    }
}

impl Inside {
    pub(super) fn group(&self) -> Option<&Group> {
        self.0.as_ref().map(|(group, _)| group)
    }

    /// Goes back to where this process came from: the command is not to run.
    pub(super) fn leave(&self) {
        if let Some((group, before)) = &self.0 {
            // One that cannot be left is empty when this process has ended, and whoever comes next removes it.
            let _ = crate::cgroup::enter(before);
            group.remove();
        }
    }
}
