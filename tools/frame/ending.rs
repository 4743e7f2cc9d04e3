//! What a tool says while it ends processes: outcomes, plans, a sentence at the end, and a countdown on a terminal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use procherd::error::{Error, Kind, Result};
use procherd::id::{self, Identity, Pid};
use procherd::record::{self, Line, Process, Record};
use procherd::status::{End, State};
use procherd::terminate::{Missing, Observer, Outcome, Phase, Place, Plan, Report, Summary, Target, Via};

use super::output::Output;
use super::progress::{Progress, named};
use super::report::Reporter;
use super::scene::Sheet;

/// Fields that outcome and plan records write themselves.
const OWN: [&str; 20] = [
    "planned_ticks",
    "alive",
    "status",
    "replaced_by",
    "replaced_in",
    "identity",
    "outcome",
    "signal",
    "elapsed_ms",
    "via",
    "from",
    "protected",
    "why",
    "exit_status",
    "exit_signal",
    "zombie",
    "wait_channel",
    "identified_by",
    "depth",
    "root",
];

/// Writes what happens as it happens.
pub struct Ending {
    output: Output,
    shared: Option<Rc<record::View>>,
    asked: Records,
    failed: Option<Error>,
    /// Roots that were typed and are not there, and roots that were refused.
    problems: Vec<Error>,
    progress: Progress,
}

impl Ending {
    /// Writes to an output. `asked` are the records that named the roots: their fields come along.
    pub fn new(output: Output, asked: Vec<(Identity, Record)>) -> Self {
        let progress = Progress::new(!output.reader_left());
        Self {
            output: output.patient(),
            shared: None,
            asked: Records::of(asked),
            failed: None,
            problems: Vec::new(),
            progress,
        }
    }

    /// Writes a plan.
    pub fn plan(&mut self, plan: &Plan, reporter: &mut Reporter) -> Result<()> {
        for missing in &plan.missing {
            let why = missing.why.clone().unwrap_or_else(|| missing.outcome.word().to_owned());
            let error = Error::new(Kind::Gone, "find process", &missing.identity, why);
            if missing.identity.source == id::Source::Record {
                reporter.note(error);
            } else {
                reporter.absent(&error);
            }
        }
        for target in &plan.targets {
            self.refuse(target);
            let record = self.asked.of_process(&target.process.identity(&plan.view.place)).cloned();
            self.output.record(|out| {
                let mut sheet = Sheet::Fresh(target.process.line(&plan.view, out));
                describe(target, &mut sheet);
                if let Some(guard) = target.guard {
                    sheet.field("protected", guard.why());
                }
                sheet.field("planned_ticks", &plan.view.ticks());
                if let Some(record) = &record {
                    sheet.rest_of(record, &OWN);
                }
                sheet.end();
            })?;
        }
        Ok(())
    }

    /// Notes a root that was refused.
    fn refuse(&mut self, target: &Target) {
        if let (Some(guard), Via::Named) = (target.guard, target.via) {
            self.problems.push(Error::new(Kind::Refused, "end process", target.process.pid, guard.why()));
        }
    }

    /// Says what went wrong while acting, and gives the output back.
    pub fn end(mut self, reporter: &mut Reporter) -> Result<Output> {
        for problem in &self.problems {
            if problem.kind() == Kind::Gone { reporter.absent(problem) } else { reporter.fail(problem) }
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(self.output),
        }
    }

    fn write(&mut self, make: impl FnOnce(&mut Vec<u8>)) {
        // The action goes on whatever becomes of its report; the failure is said at the end.
        if let Err(error) = self.output.record(make).and_then(|()| self.output.offer()) {
            self.failed.get_or_insert(error);
        }
    }
}

/// A process that has taken the place of another one, as its outcome names it.
#[derive(serde::Serialize)]
struct Successor {
    pid: Pid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pidfd_inode: Option<u64>,
    start_ticks: u64,
}

/// Writes what became of a process of which nothing could be seen: into the record that asked for it, where there is one.
pub fn write_missing(
    identity: &Identity,
    record: Option<&Record>,
    outcome: &str,
    why: Option<&str>,
    out: &mut Vec<u8>,
) {
    if let Some(record) = record {
        let mut record = record.clone();
        record.set("type", "outcome");
        record.set("outcome", outcome);
        if let Some(why) = why {
            record.set("why", why);
        }
        record.write_line(out);
        return;
    }
    let mut line = Line::new(out, "outcome");
    line.field("pid", &identity.pid)
        .known("pidfd_inode", identity.inode.filter(|inode| *inode > 0).as_ref())
        .known("start_ticks", identity.start_ticks.as_ref())
        .known("boot_id", identity.boot.as_ref())
        .known("pid_ns", identity.pid_ns.as_ref())
        .known("host", identity.host.as_deref())
        .field("outcome", outcome)
        .known("why", why);
    line.end();
}

/// The records that asked, by process.
struct Records(HashMap<Pid, Vec<(Identity, Record)>>);

impl Records {
    fn of(asked: Vec<(Identity, Record)>) -> Self {
        let mut by_pid: HashMap<Pid, Vec<(Identity, Record)>> = HashMap::new();
        for (identity, record) in asked {
            by_pid.entry(identity.pid).or_default().push((identity, record));
        }
        Self(by_pid)
    }

    fn of_process(&self, identity: &Identity) -> Option<&Record> {
        let candidates = self.0.get(&identity.pid)?;
        candidates.iter().find(|(known, _)| known.same_as(identity)).map(|(_, record)| record)
    }
}

fn describe(target: &Target, sheet: &mut Sheet<'_>) {
    sheet.field("via", target.via.word()).known("from", target.from.as_ref());
    if target.source == id::Source::Number {
        sheet.field("identified_by", "pid");
    }
    sheet.field("identity", if target.process.inode.is_some() { "pidfs" } else { "ticks" });
}

impl Observer for Ending {
    fn wants_command_lines(&self) -> bool {
        !self.output.is_silent()
    }

    fn begin(&mut self, view: &record::View) {
        self.shared = Some(Rc::new(view.clone()));
    }

    fn missing(&mut self, missing: &Missing) {
        let identity = &missing.identity;
        if identity.source != id::Source::Record {
            let why = missing.why.as_deref().unwrap_or("no such process");
            self.problems.push(Error::new(Kind::Gone, "find process", identity, why));
        }
        let record = self.asked.of_process(identity).cloned();
        self.write(|out| {
            write_missing(identity, record.as_ref(), missing.outcome.word(), missing.why.as_deref(), out);
        });
    }

    fn outcome(&mut self, report: &Report<'_>) {
        let Some(shared) = self.shared.clone() else { return };
        let target = report.target;
        self.refuse(target);
        if self.output.is_silent() {
            return;
        }
        let mut process = Cow::Borrowed(&target.process);
        if let Some(state) = report.state {
            process.to_mut().state = State::new(u8::try_from(state).unwrap_or(b'?'));
        }
        let record = self.asked.of_process(&process.identity(&shared.place)).cloned();
        self.write(|out| {
            let mut sheet = Sheet::Fresh(process.line_as("outcome", &shared, out));
            sheet.field("outcome", report.outcome.word());
            describe(target, &mut sheet);
            if let Some(guard) = target.guard {
                sheet.field("why", guard.why());
            }
            sheet.known("signal", report.signal.as_ref());
            match report.end {
                Some(End::Exited(code)) => {
                    sheet.field("exit_status", &code);
                }
                Some(End::Signalled(signal)) => {
                    sheet.field("exit_signal", &signal);
                }
                None => {}
            }
            if report.zombie {
                sheet.field("zombie", &true);
            }
            sheet.known("wait_channel", report.wait_channel.as_ref()).field("elapsed_ms", &report.elapsed_ms);
            if let Some(record) = &record {
                sheet.rest_of(record, &OWN);
            }
            sheet.end();
        });
    }

    fn replaced(&mut self, target: &Target, by: &Process, place: Place) {
        let Some(shared) = self.shared.clone() else { return };
        let successor = Successor { pid: by.pid, pidfd_inode: by.inode, start_ticks: by.start_ticks };
        self.write(|out| {
            let mut sheet = Sheet::Fresh(target.process.line_as("outcome", &shared, out));
            sheet.field("outcome", Outcome::Replaced.word());
            describe(target, &mut sheet);
            sheet.field("replaced_by", &successor).field("replaced_in", place.word());
            sheet.end();
        });
    }

    fn progress(
        &mut self,
        phase: Phase,
        count: usize,
        living: &mut dyn Iterator<Item = &Target>,
        left: Duration,
    ) {
        if !self.progress.is_due() {
            return;
        }
        let phase = match phase {
            Phase::Grace => "waiting for",
            Phase::Force => "killing",
            Phase::Settle => "watching after",
        };
        let names = living.map(|target| named(target.process.comm.bytes(), target.process.pid));
        self.progress.draw(&format!("{phase} {count}"), count, Some(left), names);
    }
}

/// Says in one sentence how a run ended.
pub fn sentence(summary: &Summary) -> String {
    let ended = summary.exited + summary.killed;
    let mut text = format!("ended {ended} of {}", summary.targets);
    let mut detail = |count: usize, word: &str| {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    };
    detail(summary.killed, "by force");
    detail(summary.already_gone, "already gone");
    detail(summary.protected, "protected");
    detail(summary.foreign, "foreign");
    detail(summary.not_permitted, "not permitted");
    detail(summary.survived, "survived");
    detail(summary.replaced, "replaced");
    if summary.unseen {
        text.push_str(", and somebody of the set lives on that no look has caught");
    }
    let _ = write!(text, ", in {} ms", summary.elapsed_ms);
    text
}
