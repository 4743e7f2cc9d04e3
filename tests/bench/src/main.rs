//! `bench`: measures the tools of procherd against floors and peers, and prints ratios within one run.
//!
//! Absolute times stand beside the ratios for information; they say more about the machine than about the tools. Each
//! goal is that of the design notes and is marked `ok` or `missed`. A goal that is missed does not fail the run: a busy
//! machine can miss it too.
//!
//! All processes live in a pid namespace of their own where that is allowed, so that a peer which matches by pattern
//! can touch nothing else, and nothing outlives the run.

mod cost;
mod crowd;
mod ending;
mod finders;
mod keep;
mod look;
mod ports;
mod registry;
mod report;
mod spawn;
mod start;
mod tools;
mod watch;

use std::process::ExitCode;

use report::Report;
use tools::{Options, Tools};

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => return report::fail(&why, 2),
    };
    if let Some(code) = tools::inside_a_namespace() {
        return code;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => report::fail(&why, 3),
    }
}

fn run(options: &Options) -> Result<(), String> {
    let tools = Tools::make_ready(options)?;
    let mut report = Report::default();
    if options.wants("look") {
        for count in [100, 1_000, 10_000] {
            look::whole_table(&tools, count, &mut report)?;
        }
        look::system_calls(&tools, &mut report);
    }
    if options.wants("end") {
        for (shape, count) in [("bushy", 10_000), ("wide", 10_000), ("chain", 2_000)] {
            ending::tree(&tools, shape, count, &mut report)?;
        }
        ending::patience(&tools, &mut report)?;
    }
    if options.wants("ports") {
        ports::holder(&tools, &mut report)?;
    }
    if options.wants("finders") {
        finders::all(&tools, &mut report)?;
    }
    if options.wants("watch") {
        watch::all(&tools, &mut report)?;
    }
    if options.wants("start") {
        start::all(&tools, &mut report)?;
    }
    if options.wants("spawn") {
        spawn::all(&tools, &mut report)?;
    }
    if options.wants("registry") {
        registry::all(&tools, &mut report)?;
    }
    if options.wants("keep") {
        keep::all(&tools, &mut report)?;
    }
    report.sum();
    Ok(())
}
