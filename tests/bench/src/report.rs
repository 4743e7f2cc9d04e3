//! What is printed.

use std::io::Write as _;
use std::process::ExitCode;

use crate::cost::{Rounds, cpu, memory, wall};

/// Counts goals while it prints them.
#[derive(Default)]
pub(crate) struct Report {
    ok: usize,
    missed: Vec<String>,
}

impl Report {
    /// Prints a goal: what was measured, and the most that it may be. Nothing when it was not measured.
    pub(crate) fn at_most(&mut self, what: &str, value: Option<f64>, goal: f64) {
        self.judge(what, value, goal, "at most", |value| value <= goal);
    }

    /// Prints a goal: what was measured, and the least that it may be. Nothing when it was not measured.
    pub(crate) fn at_least(&mut self, what: &str, value: Option<f64>, goal: f64) {
        self.judge(what, value, goal, "at least", |value| value >= goal);
    }

    /// Prints how many goals were met, and names those that were not.
    pub(crate) fn sum(&self) {
        say(&format!("\n{} goals met, {} missed", self.ok, self.missed.len()));
        for what in &self.missed {
            say(&format!("  missed  {what}"));
        }
    }

    fn judge(&mut self, what: &str, value: Option<f64>, goal: f64, side: &str, met: impl Fn(f64) -> bool) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        let text = format!("{what}: {value:.2} ({side} {goal})");
        say(&format!("  {:<7} {text}", if met(value) { "ok" } else { "missed" }));
        if met(value) {
            self.ok += 1;
        } else {
            self.missed.push(text);
        }
    }
}

/// Begins a part.
pub(crate) fn title(text: &str) {
    say(&format!("\n{text}"));
}

/// Prints a table: for each contestant its medians, and its ratios to the base.
pub(crate) fn table(rounds: &Rounds, base: &str) {
    say(&format!(
        "  {:<34} {:>10} {:>10} {:>10} {:>7} {:>7}",
        format!("medians of {}; ratios: {base} = 1", rounds.count()),
        "cpu ms",
        "wall ms",
        "MiB",
        "cpu",
        "wall"
    ));
    for name in rounds.names() {
        let figure = |value: Option<f64>| value.unwrap_or(f64::NAN);
        say(&format!(
            "  {name:<34} {:>10.2} {:>10.2} {:>10.1} {:>7.2} {:>7.2}",
            figure(rounds.median(name, cpu)),
            figure(rounds.median(name, wall)),
            figure(rounds.median(name, memory)),
            figure(rounds.ratio(name, base, cpu)),
            figure(rounds.ratio(name, base, wall)),
        ));
    }
}

/// Prints a table of times alone, likewise.
pub(crate) fn times(rounds: &Rounds, base: &str) {
    say(&format!(
        "  {:<34} {:>10} {:>7}",
        format!("medians of {}; ratios: {base} = 1", rounds.count()),
        "wall ms",
        "wall"
    ));
    for name in rounds.names() {
        let figure = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let (time, ratio) = (figure(rounds.median(name, wall)), figure(rounds.ratio(name, base, wall)));
        say(&format!("  {name:<34} {time:>10.2} {ratio:>7.2}"));
    }
}

/// Says aloud that something is not measured, and why.
pub(crate) fn skipped(what: &str, why: &str) {
    say(&format!("  SKIPPED {what}: {why}"));
}

/// Says what went wrong, and gives the exit code.
pub(crate) fn fail(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "bench: {why}");
    code.into()
}

/// Prints a line. A reader that has left is no reason to stop in the middle: what runs has to be cleaned up.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
