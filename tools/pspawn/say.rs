//! What pspawn says when it does not start anything, and what it remembers of processes that it ends.

use std::time::Duration;

use procherd::error::{Error, Kind, Result};
use procherd::record::{Process, View};
use procherd::registry::{Verdict, quoted};
use procherd::spawn::{Holder, Order, Refusal};
use procherd::terminate::{self, Guard, Missing, Observer, Phase, Place, Report, Summary, Target, Via};
use procherd::text::{Text, rfc3339, visible};

use crate::frame::{Exit, Outcome, Reporter};

/// Says why nothing was started, and how to go on.
pub(super) fn refusal(order: &Order, refusal: Refusal, reporter: &mut Reporter) -> Outcome {
    let refuse = |why: String| Error::new(Kind::Refused, "start service", &order.name, why);
    match refusal {
        Refusal::Taken(holder) => {
            let error = refuse(taken(&holder));
            if holder.verdict.is_alive() {
                reporter.absent(&error);
                Ok(Exit::No)
            } else {
                reporter.fault(&error);
                Ok(Exit::Failed)
            }
        }
        Refusal::Different(holder) => Err(refuse(different(order, &holder))),
        Refusal::Command(cannot) => {
            reporter.fault(&cannot.error);
            Ok(Exit::Command(if cannot.found { 126 } else { 127 }))
        }
        Refusal::Port(error) => {
            reporter.absent(&error);
            Ok(Exit::No)
        }
        Refusal::Failed(error) => Err(error),
    }
}

/// Who has the name, since when, and how that one is ended.
fn taken(holder: &Holder) -> String {
    let Holder { service, verdict } = holder;
    let since = service.started_ms().map_or_else(|| "?".to_owned(), |ms| rfc3339(ms).to_string());
    let scope = &service.scope;
    match verdict {
        Verdict::Alive(id) => format!(
            "already running in scope {scope}: process {}, started {since}; 'pkill-tree {id}' ends it, --replace does so first",
            id.pid
        ),
        other => {
            let pid = service.identity().map_or_else(|_| "?".to_owned(), |id| id.to_string());
            format!(
                "registered in scope {scope}: process {pid}, started {since}, which cannot be judged from here ({}); \
                 'ptrack rm {} {}' forgets it",
                other.why().unwrap_or_default(),
                scope.flags(),
                quoted(&service.name)
            )
        }
    }
}

/// Both definitions of a name, and how to choose.
fn different(order: &Order, holder: &Holder) -> String {
    let Holder { service, verdict } = holder;
    let known: Vec<Text> = service.command().unwrap_or_default();
    let known: Vec<&[u8]> = known.iter().map(Text::bytes).collect();
    let asked: Vec<&[u8]> = order.command.iter().map(|word| word.as_encoded_bytes()).collect();
    let state = match verdict {
        Verdict::Alive(id) => format!("process {id} runs it"),
        Verdict::Dead(_) => "it has ended".to_owned(),
        other => other.why().unwrap_or_default().to_owned(),
    };
    format!(
        "registered in scope {} with another command line: {} ({state}), not: {}; --replace makes this one the \
         definition, 'ptrack rm {} {}' forgets the other",
        service.scope,
        line(&known),
        line(&asked),
        service.scope.flags(),
        quoted(&service.name)
    )
}

/// A command line as a shell reads it back.
fn line(words: &[&[u8]]) -> String {
    words.iter().map(|word| quoted(&visible(word))).collect::<Vec<_>>().join(" ")
}

/// Remembers who lives on.
#[derive(Default)]
pub(super) struct Ended {
    left: Vec<String>,
}

impl Ended {
    /// Fails unless all have ended.
    pub(super) fn check(&self, attempt: &'static str, on: &str, summary: &Summary) -> Result<()> {
        if self.left.is_empty() && !summary.timed_out {
            return Ok(());
        }
        let why = format!("not all of it has ended: {}", self.left.join(", "));
        Err(Error::new(Kind::System, attempt, on, why))
    }
}

impl Observer for Ended {
    fn wants_command_lines(&self) -> bool {
        false
    }

    fn begin(&mut self, _: &View) {}

    fn missing(&mut self, missing: &Missing) {
        use terminate::Outcome::{Foreign, NotPermitted};
        if matches!(missing.outcome, Foreign | NotPermitted) {
            self.left.push(format!("{} ({})", missing.identity, missing.outcome.word()));
        }
    }

    fn outcome(&mut self, report: &Report<'_>) {
        use terminate::Outcome::{NotPermitted, Protected, Survived};
        let (process, target) = (&report.target.process, report.target);
        let root_stays = report.outcome == Protected && target.via == Via::Named;
        if root_stays || matches!(report.outcome, NotPermitted | Survived) {
            let name = visible(process.comm.bytes());
            let why = target.guard.map_or(report.outcome.word(), Guard::why);
            self.left.push(format!("process {} {name} ({why})", process.pid));
        }
    }

    fn replaced(&mut self, _: &Target, _: &Process, _: Place) {}

    fn progress(&mut self, _: Phase, _: usize, _: &mut dyn Iterator<Item = &Target>, _: Duration) {}
}
