//! What is never touched, whatever leads to it.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;

use super::{Guard, Options, Setting, Via};
use crate::evidence::{self, Reaper};
use crate::host;
use crate::id::Pid;
use crate::pipeline;
use crate::record::Process;
use crate::tree::{Index, Table};

/// Daemons that one session starts and others use. A mark alone never condemns them.
const SHARED_DAEMONS: [&str; 12] = [
    "tmux: server",
    "screen",
    "SCREEN",
    "ssh-agent",
    "gpg-agent",
    "dbus-daemon",
    "dockerd",
    "containerd",
    "adb",
    "watchman",
    "sccache",
    "zellij",
];

/// Tells which of our own descendants are spared: there the only guard.
pub(super) type Spare<'a> = &'a dyn Fn(&Process) -> bool;

/// Decides who is left alone.
pub(super) struct Guards {
    own: Pid,
    line: HashSet<u32>,
    pipeline: HashSet<u32>,
    uid: u32,
    all_users: bool,
    /// The inode of our pid namespace, as links of `/proc` show it.
    namespace: Option<Vec<u8>>,
    /// Registered services and sessions that were named: their members are fair game.
    named: HashSet<(Option<String>, Option<String>)>,
}

impl Guards {
    /// Learns who this process is, from a first look.
    pub(super) fn new(setting: Setting<'_>, options: &Options, table: &Table) -> Self {
        let own = Pid::this();
        let index = table.find(own.get());
        let pids =
            |set: &mut dyn Iterator<Item = Index>| set.map(|index| table.get(index).pid.get()).collect();
        Self {
            own,
            line: index.map(|index| pids(&mut table.ancestors(index))).unwrap_or_default(),
            pipeline: index
                .map(|index| pids(&mut pipeline::neighbours(setting.source, table, index).into_iter()))
                .unwrap_or_default(),
            uid: host::own_uid(),
            all_users: options.all_users,
            namespace: setting.source.link(own, "ns/pid").ok().map(|link| link.as_bytes().to_vec()),
            named: HashSet::new(),
        }
    }

    /// Learns of neighbours in the pipeline that the shell has started since.
    pub(super) fn meet_neighbours(&mut self, setting: Setting<'_>, table: &Table) {
        if let Some(own) = table.find(self.own.get()) {
            let neighbours = pipeline::neighbours(setting.source, table, own);
            self.pipeline.extend(neighbours.into_iter().map(|index| table.get(index).pid.get()));
        }
    }

    /// Remembers that a root was asked for: other members of its service or session are not foreign to it.
    pub(super) fn name(&mut self, setting: Setting<'_>, table: &Table, index: Index) {
        if let Some(entry) = setting.registered.nearest(index, table) {
            self.named.insert((entry.service.clone(), entry.session.clone()));
        }
    }

    /// Judges one process. What was named by hand passes the guards that only doubt the evidence.
    pub(super) fn judge(&self, setting: Setting<'_>, table: &Table, index: Index, via: Via) -> Option<Guard> {
        let process = table.get(index);
        let pid = process.pid.get();
        let named = matches!(via, Via::Named);
        let by_mark = matches!(via, Via::Cookie | Via::Cgroup);
        if pid == 1 {
            Some(Guard::Init)
        } else if process.kernel_thread {
            Some(Guard::KernelThread)
        } else if process.pid == self.own {
            Some(Guard::Itself)
        } else if evidence::reaper(process) == Some(Reaper::Manager) {
            Some(Guard::Manager)
        } else if self.line.contains(&pid) {
            Some(Guard::Ancestor)
        } else if self.pipeline.contains(&pid) {
            Some(Guard::Pipeline)
        } else if evidence::is_shim(process) && !named {
            Some(Guard::Shim)
        } else if !self.all_users && process.uid.is_some_and(|uid| uid != self.uid) {
            Some(Guard::OtherUser)
        } else if !named && self.belongs_elsewhere(setting, table, index) {
            Some(Guard::Registered)
        } else if by_mark && serves_others(process) {
            Some(Guard::SharedDaemon)
        } else if matches!(via, Via::Session | Via::Group | Via::Cookie)
            && self.in_other_namespace(setting, process)
        {
            Some(Guard::OtherNamespace)
        } else {
            None
        }
    }

    fn belongs_elsewhere(&self, setting: Setting<'_>, table: &Table, index: Index) -> bool {
        let Some(entry) = setting.registered.nearest(index, table) else { return false };
        let own_kind = self.named.iter().any(|(service, session)| {
            (session.is_some() && *session == entry.session)
                || (service.is_some() && *service == entry.service)
        });
        !own_kind && entry.owner_dead.is_none()
    }

    fn in_other_namespace(&self, setting: Setting<'_>, process: &Process) -> bool {
        let Some(own) = &self.namespace else { return false };
        setting.source.link(process.pid, "ns/pid").is_ok_and(|link| link.as_bytes() != own.as_slice())
    }
}

fn serves_others(process: &Process) -> bool {
    SHARED_DAEMONS.iter().any(|name| process.comm.bytes().starts_with(name.as_bytes()))
}
