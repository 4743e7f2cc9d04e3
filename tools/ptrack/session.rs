//! Sessions: starting, ending, listing.

use std::time::Duration;

use procherd::error::{Error, Kind, Result};
use procherd::host::unix_ms;
use procherd::id::Identity;
use procherd::record::Line;
use procherd::registry::{
    self, Document, Known, Scope, Service, Session, Verdict, judge_session, observe, write_session,
};
use procherd::table::Shape;
use procherd::terminate::{self, Options, Setting};
use procherd::text::rfc3339;
use serde::Serialize;

use super::{Desk, answer, show};
use crate::frame::{self, Ending, Exit, LogArgs, Operand, Outcome, Output, Reporter};

/// What to do with sessions.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Register a session and the process that owns it
    Start(StartArgs),
    /// End the members of a session and forget it
    End(EndArgs),
    /// List sessions
    List,
}

/// Options of `ptrack session start`.
#[derive(clap::Args)]
pub(super) struct StartArgs {
    /// The id of the session: any text, often "claude-$$-$(date +%s)"
    #[arg(value_name = "ID")]
    id: String,

    /// The process that owns it: when that has ended, so has the session
    #[arg(long, value_name = "PID")]
    pid: String,

    /// The folder of its project, which must exist
    #[arg(long, value_name = "DIR")]
    project: Option<String>,

    /// Write only what its members are to carry as $PROCHERD_SESSION_OWNER
    #[arg(long)]
    mark: bool,
}

/// Options of `ptrack session end`.
#[derive(clap::Args)]
pub(super) struct EndArgs {
    /// The id of the session
    #[arg(value_name = "ID")]
    id: String,

    /// How long its members have to end before they are killed
    #[arg(short, long, value_name = "DURATION", default_value = "2s", value_parser = frame::duration)]
    grace: Duration,

    /// Write an outcome record for each process, too
    #[arg(long)]
    outcomes: bool,

    /// Write what would be ended, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn run(desk: &Desk, command: &Command, reporter: &mut Reporter) -> Outcome {
    match command {
        Command::Start(args) => start(desk, args, reporter),
        Command::End(args) => end(desk, args, reporter),
        Command::List => list(desk, reporter),
    }
}

/// Registers a session. An id that belongs to another living owner is refused.
fn start(desk: &Desk, args: &StartArgs, reporter: &mut Reporter) -> Outcome {
    let fail = |kind, why: String| Error::new(kind, "start session", &args.id, why);
    if args.id.is_empty() {
        return Err(fail(Kind::Invalid, "the id is empty".into()));
    }
    let Operand::Process(owner) = Operand::parse(&args.pid)? else {
        return Err(fail(Kind::Invalid, format!("'{}' is not a process number", args.pid)));
    };
    let mut seen = Service::new(Scope::Global, &args.id);
    if let Err(error) = observe(&desk.host, &desk.source, &mut seen, &owner, false) {
        let error = fail(error.kind(), format!("process {owner}: {}", error.why()));
        return Ok(answer(&error, reporter));
    }
    let (owner, started_ms) = (seen.identity()?, unix_ms());
    let made = desk.registry.change(|document| {
        let project = match &args.project {
            Some(path) => match Scope::project(path, document)? {
                Scope::Project(path) => Some(path),
                _ => None,
            },
            None => None,
        };
        if let Some(before) = document.session(&args.id)? {
            let verdict = judge_session(&desk.host, &desk.source, &before);
            match verdict {
                Verdict::Alive(ref id) if id.same_as(&owner) => {}
                Verdict::Dead(_) | Verdict::Inert(_) => {}
                other => return Ok(Err(fail(Kind::Gone, taken(&before, &other)))),
            }
        }
        let session = Session::new(&args.id, &owner, started_ms, project.as_deref());
        document.insert_session(&session);
        Ok(Ok((session, members(document, &args.id).count())))
    })?;
    let (session, services) = match made {
        Ok(made) => made,
        Err(error) => return Ok(answer(&error, reporter)),
    };
    if args.mark {
        show::plain(&session.owner_mark().unwrap_or_default())?;
        return Ok(Exit::Done);
    }
    let mut output = Output::new(&desk.output, Shape::Table);
    output.record(|out| write_session(&session, &Verdict::Alive(owner.clone()), services, out))?;
    output.end()?;
    Ok(Exit::Done)
}

fn taken(session: &Session, verdict: &Verdict) -> String {
    let owner = session.owner().map_or_else(|_| "?".to_owned(), |id| id.pid.to_string());
    let since = session.started_ms().map_or_else(|| "?".to_owned(), |ms| rfc3339(ms).to_string());
    let end = format!("'ptrack session end {}' ends it", registry::quoted(&session.id));
    format!("already registered: owner {owner} ({}), since {since}; {end}", verdict.word())
}

/// The services of a session.
fn members<'a>(document: &'a Document, id: &'a str) -> impl Iterator<Item = Service> + 'a {
    let services = document.services().filter_map(|entry| entry.service().ok());
    services.filter(move |service| service.session().as_deref() == Some(id))
}

/// A service that was ended with its session.
#[derive(Serialize)]
struct Terminated {
    name: String,
    pid: u32,
}

/// Ends all that belongs to a session but its owner, and forgets what has ended.
fn end(desk: &Desk, args: &EndArgs, reporter: &mut Reporter) -> Outcome {
    let document = desk.registry.read()?;
    let scope = Scope::session(&args.id, &document)?;
    let services: Vec<Service> = members(&document, &args.id).collect();
    let alive: Vec<&Service> = services.iter().filter(|service| desk.judge(service).is_alive()).collect();
    let roots = registry::session_roots(&document, &desk.host, &desk.source, &args.id)?;
    let registered = Known::of(&document, &desk.host, &desk.source).registered();
    let setting = Setting { host: &desk.host, source: &desk.source, registered: &registered, registry: None };
    let options = Options { grace: args.grace, ..Options::default() };
    if args.dry_run {
        let mut ending = Ending::new(Output::new(&desk.output, Shape::Table), Vec::new());
        ending.plan(&terminate::plan(setting, &roots, &options)?, reporter)?;
        ending.end(reporter)?.end()?;
        return Ok(Exit::Done);
    }
    let output = Output::new(&desk.output, Shape::Table).with_log(args.log.open(reporter)?);
    let mut ending = Ending::new(output.hush(!args.outcomes), Vec::new());
    let summary = terminate::run(setting, &roots, &options, &mut ending)?;
    let mut output = ending.end(reporter)?.hush(false);
    let survived = summary.survived + summary.not_permitted;
    let gone = |service: &Service| !desk.judge(service).is_alive();
    let terminated: Vec<Terminated> = alive
        .iter()
        .filter(|service| gone(service))
        .filter_map(|service| {
            Some(Terminated { name: service.name.clone(), pid: service.identity().ok()?.pid.get() })
        })
        .collect();
    let owner = document.session(&args.id)?.and_then(|session| session.owner().ok());
    let cleaned =
        desk.registry.change(|document| forget(desk, document, &scope, owner.as_ref(), survived))?;
    output.record(|out| {
        let mut line = Line::new(out, "summary");
        line.field("session", &args.id)
            .field("cleaned", &cleaned)
            .field("terminated", &terminated)
            .field("ended", &(summary.exited + summary.killed))
            .field("survived", &survived);
        line.end();
    })?;
    output.end()?;
    if survived > 0 {
        let why = format_args!("{survived} lived on (--outcomes names them)");
        reporter.fault(&Error::new(Kind::System, "end session", registry::quoted(&args.id), why));
    }
    Ok(Exit::Done)
}

/// Forgets the services of a session that have ended, and the session itself when nobody has survived. Gives how many
/// services were forgotten.
fn forget(
    desk: &Desk,
    document: &mut Document,
    scope: &Scope,
    owner: Option<&Identity>,
    survived: usize,
) -> Result<usize> {
    let Scope::Session(id) = scope else { return Ok(0) };
    let dead: Vec<Service> = members(document, id).filter(|service| desk.judge(service).is_dead()).collect();
    for service in &dead {
        document.remove(&service.scope, &service.name)?;
    }
    let same = document.session(id)?.and_then(|session| session.owner().ok()).as_ref() == owner;
    if survived == 0 && same {
        document.remove_session(id);
    }
    Ok(dead.len())
}

fn list(desk: &Desk, reporter: &mut Reporter) -> Outcome {
    let document = desk.registry.read()?;
    let mut output = Output::new(&desk.output, Shape::Table);
    for session in document.sessions() {
        match session {
            Ok(session) => {
                let verdict = judge_session(&desk.host, &desk.source, &session);
                let services = document
                    .services()
                    .filter_map(|entry| entry.service().ok())
                    .filter(|service| frame::belongs(service, Some(&Scope::Session(session.id.clone()))))
                    .count();
                output.record(|out| write_session(&session, &verdict, services, out))?;
            }
            Err(error) => reporter.fault(&error),
        }
    }
    output.end()?;
    Ok(Exit::Done)
}
