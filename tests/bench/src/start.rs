//! Starting a tool, and the size of its file.

use std::process::Command;

use crate::cost::{self, Rounds, wall};
use crate::report::{self, Report};
use crate::tools::Tools;

/// Measures `--version` of every tool against a program that does nothing.
pub(crate) fn all(tools: &Tools, report: &mut Report) -> Result<(), String> {
    report::title("start every tool (--version)");
    let empty = "floor: an empty Rust program";
    let mut contestants = vec![(empty.to_owned(), Command::new(tools.helper("empty")))];
    for (name, path) in tools.all() {
        let mut command = Command::new(path);
        command.arg("--version");
        contestants.push((name, command));
    }
    let rounds = Rounds::play(&mut contestants, 101, |command| cost::run(command, &[0]))?;
    report::table(&rounds, empty);
    for (name, path) in tools.all() {
        let more = rounds.median(&name, wall).zip(rounds.median(empty, wall)).map(|(own, least)| own - least);
        report.at_most(&format!("{name}, wall ms more than empty"), more, 1.0);
        let size = std::fs::metadata(&path).map_err(|error| format!("look at: {name}: {error}"))?.len();
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        report.at_most(&format!("{name}, file in MB"), Some(size as f64 / 1e6), 1.5);
    }
    Ok(())
}
