//! What all tools share, said once: running, arguments, operands, reports and output.

mod args;
mod ending;
mod entries;
mod expect;
mod finder;
mod holding;
mod log;
mod operands;
mod output;
mod progress;
mod report;
mod run;
mod scene;
mod search;
mod totals;

pub use args::{
    Choice, HealthArgs, LookArgs, OutputArgs, RegistryArgs, ScopeArgs, SelectorArgs, duration, ports,
};
pub use ending::{Ending, sentence, write_missing};
pub use entries::{absent, belongs, find};
pub use expect::{Expect, ExpectArgs};
pub use finder::{Finder, Finding};
pub use holding::{Holder, Sockets, Unheld, look_at_sockets};
pub use log::{Log, LogArgs, append};
pub use operands::{Asked, Operand, Operands, bad_line, input, items, service, tree_of};
pub use output::{Format, Output};
pub use progress::{Progress, named};
pub use report::{Exit, Reporter};
pub use run::{Outcome, Tool, main, main_from};
pub use scene::{Found, Scene, Sheet};
pub use search::{Question, Search, SearchArgs, TwoLooksArgs, pause};
pub use totals::Totals;
