//! Who is spared when a session is ended.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Isolation, Plan, Setting};
use crate::id::{Identity, Pid};
use crate::record::Process;
use crate::registry::Known;
use crate::select::variable;
use crate::text;

/// Judges who is spared. What a process said of itself once, it has said.
pub(super) struct Keep<'a> {
    setting: Setting<'a>,
    names: &'a [String],
    services: Vec<Identity>,
    /// Whether anybody may ask to be spared.
    asked_for: bool,
    asked: RefCell<HashMap<(Pid, u64), bool>>,
}

impl<'a> Keep<'a> {
    /// Learns from the registry which services the names mean. One that cannot be read knows none.
    pub(super) fn new(plan: &'a Plan, setting: Setting<'a>) -> Self {
        let mut services = Vec::new();
        // Nobody outlives the first process of a pid namespace.
        let asked_for = plan.isolate != Isolation::Pidns;
        if let Some(registry) = plan.registry.as_ref().filter(|_| !plan.keep.is_empty())
            && let Ok(document) = registry.read()
        {
            let known = Known::of(&document, setting.host, setting.source);
            let named = known.living.into_iter().filter(|living| plan.keep.contains(&living.name));
            services.extend(named.map(|living| living.identity));
        }
        Self { setting, names: &plan.keep, services, asked_for, asked: RefCell::default() }
    }

    /// Tells whether a process is spared: by name, as a service, or because it asks for it (`PROCHERD_KEEP=1`).
    pub(super) fn spares(&self, process: &Process) -> bool {
        *self
            .asked
            .borrow_mut()
            .entry((process.pid, process.inode.unwrap_or(process.start_ticks)))
            .or_insert_with(|| {
                self.is_named(process)
                    || self.services.iter().any(|id| id.pid == process.pid && id.inode == process.inode)
                    || (self.asked_for && self.asks(process.pid))
            })
    }

    fn asks(&self, pid: Pid) -> bool {
        let environment = self.setting.source.environ(pid).unwrap_or_default();
        variable(&environment, super::KEEP) == Some(b"1")
    }

    fn is_named(&self, process: &Process) -> bool {
        let program = text::arguments(process.cmdline.bytes()).next().unwrap_or_default();
        let file = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.names.iter().any(|name| process.comm.bytes() == name.as_bytes() || file == name.as_bytes())
    }
}
