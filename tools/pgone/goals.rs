//! What is waited for.

use std::collections::HashSet;

use procherd::error::{Kind, Result};
use procherd::id::{Identity, Pid};
use procherd::record::Record;

use super::{Args, of_process, service_of, waits_for_more};
use crate::frame::{self, Asked, Operand, Operands, Reporter};

/// A process that is waited for, and the record that named it.
pub(super) struct Goal {
    pub(super) identity: Identity,
    pub(super) record: Option<Record>,
}

/// All processes that are waited for.
#[derive(Default)]
pub(super) struct Goals {
    pub(super) processes: Vec<Goal>,
    /// Services that are to run: they may be registered later.
    pub(super) names: Vec<String>,
    /// The numbers of those processes.
    numbers: HashSet<Pid>,
}

impl Goals {
    /// Reads operands, or the records on standard input.
    pub(super) fn read(args: &Args, reporter: &mut Reporter) -> Result<Self> {
        let operands = if waits_for_more(args) {
            Operands::optional(&args.operands)?
        } else {
            Operands::required(&args.operands)?
        };
        let mut goals = Self::default();
        match operands {
            Operands::None => {}
            Operands::Typed(words) => {
                for word in words {
                    match word {
                        Operand::Process(identity) => goals.add(identity, None)?,
                        Operand::Name(name) if args.ready => goals.names.push(name),
                        Operand::Name(name) => match service_of(&name, args) {
                            Ok(record) => goals.add_service(record)?,
                            Err(error) if error.kind() == Kind::Gone => reporter.absent(&error),
                            Err(error) => return Err(error),
                        },
                    }
                }
            }
            Operands::Input => {
                for Asked { identity, record } in frame::input(reporter, args.strict)? {
                    goals.add(identity, record)?;
                }
            }
        }
        Ok(goals)
    }

    /// Adds the processes of a registered service.
    fn add_service(&mut self, mut record: Record) -> Result<()> {
        let (identity, below) = frame::tree_of(&record)?;
        of_process(&mut record);
        self.add(identity, Some(record))?;
        below.into_iter().try_for_each(|identity| self.add(identity, None))
    }

    /// Adds a process, and those below it that its record names; each process once.
    fn add(&mut self, identity: Identity, record: Option<Record>) -> Result<()> {
        let below = match &record {
            Some(record) => frame::tree_of(record)?.1,
            None => Vec::new(),
        };
        let goals = std::iter::once(Goal { identity, record })
            .chain(below.into_iter().map(|identity| Goal { identity, record: None }));
        for goal in goals {
            let fresh = self.numbers.insert(goal.identity.pid);
            if fresh || !self.processes.iter().any(|known| known.identity == goal.identity) {
                self.processes.push(goal);
            }
        }
        Ok(())
    }
}
