//! The children of a half: reaped as they die, and told of to whoever listens.
//!
//! The number of an own child that has not been reaped cannot be given away. So within one thread, which reaps here and
//! nowhere else, a child may be signalled by its number.

use std::collections::HashMap;

use nix::errno::Errno;

use super::{Event, Happening, Observer, Setting};
use crate::id::Pid;
use crate::record::Process;
use crate::signal::Signal;
use crate::source::Wants;
use crate::status::End;
use crate::sys::{self, Change};

/// The children of this process.
pub(super) struct Family<'a> {
    setting: Setting<'a>,
    observer: &'a mut dyn Observer,
    listens: bool,
    /// The command, once it is a child of this process.
    pub(super) command: Option<Pid>,
    /// The first process of the namespace that the command is in: its end is the command's where that was not told.
    pub(super) init: Option<Pid>,
    /// How the command ended.
    pub(super) ended: Option<End>,
    /// The children that were told of, and those that were children before anybody could be adopted.
    known: HashMap<Pid, Process>,
    /// What the session was asked with last, once it is being ended.
    pub(super) asked: Option<Signal>,
    /// The inodes of those whose end was told.
    told: Vec<u64>,
}

/// What reaping has shown.
#[derive(Default)]
pub(super) struct Reaped {
    /// Nobody is left: this process has no child, so nobody descends from it.
    pub(super) childless: bool,
    /// The last change of the command that was no end.
    pub(super) command: Option<Change>,
}

impl<'a> Family<'a> {
    /// The family of this process, and of a command that another process has.
    pub(super) fn new(setting: Setting<'a>, observer: &'a mut dyn Observer) -> Self {
        let listens = observer.listens();
        Self {
            setting,
            observer,
            listens,
            command: None,
            init: None,
            ended: None,
            known: HashMap::new(),
            asked: None,
            told: Vec::new(),
        }
    }

    /// Tells whether anybody wants to know of events.
    pub(super) fn listens(&self) -> bool {
        self.listens
    }

    /// Says that something failed.
    pub(super) fn fault(&mut self, error: &crate::error::Error) {
        self.observer.fault(error);
    }

    /// Reaps all children that are dead, and notes what has become of the command.
    pub(super) fn reap(&mut self) -> Reaped {
        let mut reaped = Reaped::default();
        loop {
            let facts = if self.listens { sys::dead_child().and_then(|pid| self.facts(pid)) } else { None };
            match sys::next_change() {
                Ok(Some((pid, Change::Ended(end)))) => {
                    if self.init == Some(pid) {
                        self.ended.get_or_insert(end);
                        continue;
                    }
                    if self.command == Some(pid) {
                        self.ended = Some(end);
                    }
                    let known = self.known.remove(&pid);
                    if let Some(process) = facts.filter(|process| process.pid == pid).or(known) {
                        self.has_ended(&process, Some(end), self.asked);
                    }
                }
                Ok(Some((pid, change))) if self.command == Some(pid) => reaped.command = Some(change),
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Ok(None) => return reaped,
                Err(_) => {
                    reaped.childless = true;
                    return reaped;
                }
            }
        }
    }

    /// Notes how the command ended that is not a child of this process.
    pub(super) fn command_has_ended(&mut self, end: End) {
        self.ended = Some(end);
        if let Some(process) = self.command.and_then(|pid| self.known.remove(&pid)) {
            self.has_ended(&process, Some(end), self.asked);
        }
    }

    /// Tells that the command runs.
    pub(super) fn has_started(&mut self, pid: Pid) {
        if !self.listens {
            return;
        }
        if let Some(process) = self.facts(pid) {
            self.tell(Happening::Started, &process, None, None, None);
            self.known.insert(pid, process);
        }
    }

    /// Tells of children that were adopted since the last look. The kernel gives no word of it: who listens learns it late.
    pub(super) fn notice_adopted(&mut self) {
        if !self.listens {
            return;
        }
        for pid in self.children() {
            let new = self.command != Some(pid) && self.init != Some(pid) && !self.known.contains_key(&pid);
            if let Some(process) = if new { self.facts(pid) } else { None } {
                self.tell(Happening::Adopted, &process, None, None, None);
                self.known.insert(pid, process);
            }
        }
    }

    /// Tells of an end, once.
    pub(super) fn has_ended(&mut self, process: &Process, end: Option<End>, signal: Option<Signal>) {
        let key = process.inode.unwrap_or(u64::from(process.pid.get()) << 40 | process.start_ticks);
        if !self.listens || self.told.contains(&key) {
            return;
        }
        let what = if self.asked.is_some() {
            self.told.push(key);
            Happening::Terminated
        } else {
            Happening::Exited
        };
        self.tell(what, process, end, signal, None);
    }

    /// Tells of one that lives on.
    pub(super) fn is_left(&mut self, process: &Process, why: &str) {
        if self.listens {
            self.tell(Happening::Left, process, None, None, Some(why));
        }
    }

    /// The children that live or are not reaped. Complete only when none of them dies meanwhile.
    pub(super) fn children(&self) -> Vec<Pid> {
        let own = Pid::this();
        if let Some(children) = self.setting.source.children(own) {
            return children;
        }
        // A kernel without that list: every process is asked for its parent.
        let mut reader = self.setting.source.reader(Wants::default());
        let pids = self.setting.source.pids().unwrap_or_default();
        let is_ours =
            |pid: &Pid| reader.read(*pid).ok().flatten().is_some_and(|process| process.ppid == own.get());
        pids.into_iter().filter(is_ours).collect()
    }

    /// The facts of a child.
    pub(super) fn facts(&self, pid: Pid) -> Option<Process> {
        self.setting.source.reader(Wants::EVERYDAY).read(pid).ok().flatten()
    }

    fn tell(
        &mut self,
        what: Happening,
        process: &Process,
        end: Option<End>,
        signal: Option<Signal>,
        why: Option<&str>,
    ) {
        let view = self.setting.host.view(process.uid.into_iter());
        self.observer.event(&Event { what, process, view: &view, end, signal, why });
    }
}
