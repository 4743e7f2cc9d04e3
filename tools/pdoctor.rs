//! `pdoctor`: looks whether the tools can work here, and what is out of order.
//!
//! Reads the machine and the registry. Writes finding records, each with how bad it is, why, and the command that mends
//! it. Exits 0, or 1 when a finding is an error.

mod machine;
mod processes;
mod services;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Result};
use procherd::record::Line;
use procherd::select::Selection;
use procherd::source::Wants;
use procherd::table::Shape;

use crate::frame::{
    self, Exit, LookArgs, Outcome, Output, OutputArgs, RegistryArgs, Reporter, Scene, Search, Tool,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pdoctor", command: Args::command };

/// Look whether the tools can work here, and what is out of order
///
/// Tries what all tools need: to see processes, to hold and read them, to lock and write the registry. Then looks for
/// what crashes leave behind: dead entries, stale files, duplicates, zombies, orphans. Nothing is changed.
#[derive(Parser)]
#[command(name = "pdoctor", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Write also what is in order
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  pdoctor                          what is wrong, and the command that mends it
  pdoctor --all                    what was looked at, too
  pdoctor -q && ./start-dev        start only where everything can work
  pdoctor | jq -r '.fix // empty'  the commands alone";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// All is as it should be.
    Fine,
    /// Something is weaker than it could be, or simply worth knowing.
    Notice,
    /// Something is out of order, and the tools can mend it.
    Warning,
    /// The tools cannot do their work.
    Error,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What was found.
struct Finding {
    check: &'static str,
    severity: Severity,
    /// What it is about: a service, a file, or how many processes.
    on: On,
    why: String,
    fix: Option<String>,
}

/// What a finding is about.
enum On {
    Machine,
    Service(procherd::registry::Service),
    File(std::path::PathBuf),
    Count(usize),
}

/// Collects findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        check: &'static str,
        severity: Severity,
        on: On,
        why: impl Into<String>,
        fix: Option<&str>,
    ) {
        self.0.push(Finding { check, severity, on, why: why.into(), fix: fix.map(str::to_owned) });
    }

    fn fine(&mut self, check: &'static str, why: impl Into<String>) {
        self.add(check, Severity::Fine, On::Machine, why, None);
    }

    fn about_machine(&mut self, check: &'static str, severity: Severity, why: impl Into<String>, fix: &str) {
        self.add(check, severity, On::Machine, why, Some(fix));
    }

    /// A check that failed itself.
    fn failed(&mut self, check: &'static str, error: &Error, fix: &str) {
        self.about_machine(check, Severity::Error, error.to_string(), fix);
    }
}

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let mut findings = Findings::default();
    match Scene::look(&LookArgs::default(), Wants::EVERYDAY, reporter) {
        Ok(scene) => examine(scene, &args, &mut findings, reporter)?,
        Err(error) => findings.failed("processes", &error, "mount -t proc proc /proc"),
    }
    let worst = findings.0.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Fine);
    let mut output = Output::new(&args.output, Shape::Table);
    for finding in findings.0.iter().filter(|finding| args.all || finding.severity > Severity::Fine) {
        output.record(|out| write(finding, out))?;
    }
    output.flush()?;
    let read = !output.reader_left();
    output.end()?;
    if read {
        sum_up(&findings, reporter);
    }
    Ok(if worst == Severity::Error { Exit::No } else { Exit::Done })
}

/// Says how many things are wrong.
fn sum_up(findings: &Findings, reporter: &mut Reporter) {
    let counted = |severity| findings.0.iter().filter(|finding| finding.severity == severity).count();
    reporter.note(format_args!(
        "looked at {} things; errors: {}, warnings: {}, notices: {}",
        findings.0.len(),
        counted(Severity::Error),
        counted(Severity::Warning),
        counted(Severity::Notice)
    ));
}

/// Makes all checks for which processes have to be seen.
fn examine(scene: Scene, args: &Args, findings: &mut Findings, reporter: &mut Reporter) -> Result<()> {
    machine::examine(&scene, findings);
    let mut search =
        Search::new(scene, Selection { uid: Some(procherd::host::own_uid()), ..Selection::default() });
    if let Some((document, living)) = services::examine(&search.scene, &args.registry, findings)? {
        search.scene.know_of(&document);
        processes::duplicates(&search.scene, living, findings);
        services::ports(&document, &args.registry, findings, reporter)?;
    }
    processes::examine(search, findings, reporter)
}

fn write(finding: &Finding, out: &mut Vec<u8>) {
    let mut line = Line::new(out, "finding");
    line.field("finding", finding.check).field("severity", finding.severity.word());
    match &finding.on {
        On::Machine => {}
        On::Service(service) => {
            line.field("service", &service.name).field("scope", service.scope.word());
            line.known("project", service.project().as_ref()).known("session", service.session().as_ref());
            line.known("pid", service.identity().ok().map(|id| id.pid).as_ref());
        }
        On::File(path) => {
            line.field("file", &path.to_string_lossy());
        }
        On::Count(count) => {
            line.field("count", count);
        }
    }
    line.field("why", &finding.why).known("fix", finding.fix.as_ref());
    line.end();
}
