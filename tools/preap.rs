//! `preap`: brings the registry and the machine back in step.
//!
//! Forgets services whose process has ended, with their pid files, ends services whose time is over and what dead
//! sessions left behind, and on request ends unregistered
//! orphans, tidies pid files and nudges parents that do not reap. Writes what was done, or with `--dry-run` would be,
//! and a summary. Made for cron: two at once do no harm. Exits 0; 3 when something lives on or could not be judged.

mod files;
mod orphans;
mod overdue;
mod sessions;
mod zombies;

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use procherd::cgroup;
use procherd::error::Result;
use procherd::evidence::Registered;
use procherd::host::Host;
use procherd::record::{Line, Record};
use procherd::registry::{self, Known, Registry, Scope, Service, Verdict};
use procherd::source::Source;
use procherd::table::Shape;
use procherd::terminate::{self, Options, Root, Setting, Summary};

use crate::frame::{
    self, Ending, Exit, LogArgs, Outcome, Output, OutputArgs, RegistryArgs, Reporter, SelectorArgs, Tool,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "preap", command: Args::command };

/// Bring the registry and the machine back in step
///
/// Services whose process has ended are forgotten, and their pid files removed; sessions whose owner has ended are
/// ended: their services, and what carries their mark; services that have outlived the time that they were given are
/// ended. With selectors, orphans that are not registered are ended, too. What is foreign, hidden or cannot be judged stays as it is. Safe to run every minute from cron.
#[derive(Parser)]
#[command(name = "preap", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Args {
    /// Write what would be done, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// How long what is to end has before it is killed
    #[arg(short, long, value_name = "DURATION", default_value = "2s", value_parser = frame::duration)]
    grace: Duration,

    /// Leave dead sessions and what belongs to them alone
    #[arg(long)]
    keep_sessions: bool,

    /// Judge these pid files and health files, too: files, folders of *.pid, or patterns such as 'run/*.pid'; repeatable
    #[arg(long, value_name = "GLOB")]
    pidfiles: Vec<String>,

    /// Remove those that are stale
    #[arg(long, requires = "pidfiles")]
    remove: bool,

    /// Ask parents that have left a zombie unreaped for a while to reap it (SIGCHLD)
    #[arg(long)]
    nudge: bool,

    /// How long to wait while somebody else writes the registry
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = frame::duration)]
    lock_timeout: Duration,

    #[command(flatten)]
    select: SelectorArgs,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    log: LogArgs,
}

const EXAMPLES: &str = "\
Examples:
  preap --dry-run                         what would be done
  * * * * * preap -q                      in a crontab: silent while all is well
  preap --patterns-from node-dev --project . --min-age 30s
                                          end the leftovers of a project, too
  preap --pidfiles 'backend/.run/*.pid' --remove
                                          tidy pid files";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main(TOOL.name, run)
}

/// What all parts of the work share.
struct Reaper {
    host: Host,
    source: Source,
    registry: Registry,
    dry_run: bool,
    grace: Duration,
    output: Output,
    counts: Counts,
    /// Services that live, and would not any more if this were no dry run.
    expected: HashSet<(Scope, String)>,
}

/// What was done, or would be.
#[derive(Default)]
struct Counts {
    services: usize,
    sessions: usize,
    overdue: usize,
    identified: usize,
    ended: usize,
    survived: usize,
    files: usize,
    nudged: usize,
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let selection = args.select.selection()?;
    let log = if args.dry_run { None } else { args.log.open(reporter)? };
    let mut reaper = Reaper {
        host: Host::look()?,
        source: Source::live()?,
        registry: args.registry.open()?.lock_timeout(args.lock_timeout),
        dry_run: args.dry_run,
        grace: args.grace,
        output: Output::new(&args.output, Shape::Table).with_log(log),
        counts: Counts::default(),
        expected: HashSet::new(),
    };
    // A registry that cannot be read is no reason to leave pid files as they are.
    match reaper.registry.read() {
        Ok(document) => {
            if !args.keep_sessions {
                reaper = sessions::end_dead(reaper, &document, reporter)?;
            }
            reaper = overdue::end(reaper, &document, reporter)?;
            reaper.forget(reporter)?;
        }
        Err(error) => reporter.fail(&error),
    }
    if selection.narrows() {
        reaper = orphans::end(reaper, selection, &args.registry, reporter)?;
    }
    if args.nudge {
        zombies::nudge(&mut reaper, reporter)?;
    }
    files::judge(&mut reaper, &args.pidfiles, args.remove, reporter)?;
    reaper.finish(reporter)
}

impl Reaper {
    /// Ends processes, or writes who would be ended. Others' services and sessions are protected by what is registered.
    fn end(mut self, roots: &[Root], registered: &Registered, reporter: &mut Reporter) -> Result<Self> {
        if roots.is_empty() {
            return Ok(self);
        }
        let setting = Setting { host: &self.host, source: &self.source, registered, registry: None };
        let options = Options { grace: self.grace, ..Options::default() };
        let mut ending = Ending::new(self.output, Vec::new());
        if self.dry_run {
            let plan = terminate::plan(setting, roots, &options)?;
            self.counts.ended += plan.targets.iter().filter(|target| target.guard.is_none()).count();
            ending.plan(&plan, reporter)?;
        } else {
            let summary: Summary = terminate::run(setting, roots, &options, &mut ending)?;
            self.counts.ended += summary.exited + summary.killed;
            self.counts.survived += summary.survived + summary.not_permitted;
        }
        self.output = ending.end(reporter)?;
        Ok(self)
    }

    /// Forgets the services whose process has ended.
    fn forget(&mut self, reporter: &mut Reporter) -> Result<()> {
        let done = if self.dry_run {
            registry::dead(&self.registry.read()?, &self.host, &self.source)
        } else {
            registry::forget_dead(&self.registry, &self.host, &self.source)?
        };
        for (service, verdict) in &done.services {
            self.counts.services += 1;
            self.service(service, verdict, "forget")?;
        }
        for (name, path) in &done.files {
            self.pid_file(name, path)?;
        }
        if !self.dry_run {
            // Those that nobody lives in; also of starters that were killed before they had registered anything.
            for name in done.services.iter().filter_map(|(service, _)| service.cgroup()) {
                cgroup::remove(&name);
            }
            cgroup::sweep();
        }
        for service in &done.identified {
            self.counts.identified += 1;
            let verdict = registry::judge(&self.host, &self.source, service);
            self.service(service, &verdict, "identify")?;
        }
        self.say_unknown(reporter)
    }

    /// Says how many entries nobody here can judge. They stay.
    fn say_unknown(&self, reporter: &mut Reporter) -> Result<()> {
        let known = Known::of(&self.registry.read()?, &self.host, &self.source);
        for (name, why) in &known.others {
            reporter.note(format_args!("judge service: {name}: {why}; it stays"));
        }
        Ok(())
    }

    /// Tells whether a service that lives would not any more if this were no dry run.
    fn is_expected(&self, service: &Service) -> bool {
        self.expected.contains(&(service.scope.clone(), service.name.clone()))
    }

    /// Writes in a dry run what would become of a service that lives: it would have ended by then, and be forgotten
    /// with the dead.
    fn expect(&mut self, service: &Service) -> Result<()> {
        let verdict = registry::judge(&self.host, &self.source, service);
        if self.dry_run
            && verdict.is_alive()
            && self.expected.insert((service.scope.clone(), service.name.clone()))
        {
            self.counts.services += 1;
            self.service(service, &verdict, "forget")?;
            if let Some(path) = registry::pid_file_of(service) {
                self.pid_file(&service.name, &path)?;
            }
        }
        Ok(())
    }

    /// Writes that the pid file of a service was removed, or would be.
    fn pid_file(&mut self, service: &str, path: &Path) -> Result<()> {
        self.counts.files += 1;
        let mut line = Vec::new();
        let mut finding = Line::new(&mut line, "finding");
        finding.field("finding", "stale-file").field("file", &path.to_string_lossy());
        finding.field("service", service).field("why", "it names the process of a service that has ended");
        finding.end();
        self.act(Record::parse(&line)?, "remove")
    }

    /// Writes a service and what is done about it.
    fn service(&mut self, service: &Service, verdict: &Verdict, action: &str) -> Result<()> {
        let mut line = Vec::new();
        registry::write_service(service, verdict, &mut line);
        let record = Record::parse(&line)?;
        self.act(record, action)
    }

    /// Writes a record and what is done about what it names.
    fn act(&mut self, mut record: Record, action: &str) -> Result<()> {
        record.set("action", action);
        if self.dry_run {
            record.set("dry_run", &true);
        }
        self.output.record(|out| record.write_line(out))
    }

    fn finish(mut self, reporter: &mut Reporter) -> Outcome {
        let counts = &self.counts;
        let cleaned = counts.services + counts.sessions + counts.ended + counts.files;
        let dry_run = self.dry_run;
        self.output.record(|out| {
            let mut line = Line::new(out, "summary");
            line.field("cleaned", &cleaned)
                .field("services", &counts.services)
                .field("sessions", &counts.sessions)
                .field("overdue", &counts.overdue)
                .field("identified", &counts.identified)
                .field("ended", &counts.ended)
                .field("survived", &counts.survived)
                .field("files", &counts.files)
                .field("nudged", &counts.nudged);
            if dry_run {
                line.field("dry_run", &true);
            }
            line.end();
        })?;
        self.output.end()?;
        if self.counts.survived > 0 {
            reporter.count(Exit::Failed);
        }
        Ok(Exit::Done)
    }
}
