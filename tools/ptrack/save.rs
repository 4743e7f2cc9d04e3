//! Registering.

use procherd::error::{Error, Kind, Result};
use procherd::health::Checks;
use procherd::host::{boot_ms, unix_ms};
use procherd::id::Identity;
use procherd::record::Record;
use procherd::registry::{self, Choice, Claim, Document, Scope, Service, Verdict, check_name, write_service};
use procherd::stream::Item;
use procherd::table::Shape;
use procherd::text::rfc3339;

use super::{Desk, answer};
use crate::frame::{self, Exit, HealthArgs, Operand, Outcome, Output, Reporter, ScopeArgs};

/// Which kind of scope a service has, in the words of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Type {
    /// One for the machine
    Global,
    /// One for each project
    PerProject,
    /// One for each session
    PerSession,
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::PerProject => "per-project",
            Self::PerSession => "per-session",
        }
    }
}

/// Options of `ptrack save`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The name of the service; - reads records that have a field "service" from standard input
    #[arg(value_name = "NAME")]
    name: String,

    /// The process: PID or PID:INODE
    #[arg(value_name = "PID")]
    process: Option<String>,

    /// The script or program that was started, in your words [default: its command line]
    #[arg(long, value_name = "TEXT")]
    script: Option<String>,

    /// The kind of scope; --project or --session say which one, and one beside it is noted
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<Type>,

    /// A note to keep with the service; repeatable
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = key_value)]
    meta: Vec<(String, String)>,

    /// Note the members of its process group, too, not only the processes below it
    #[arg(long)]
    group: bool,

    /// Take the name from a service that still runs; that one goes on, unregistered
    #[arg(long)]
    replace: bool,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    health: HealthArgs,

    #[command(flatten)]
    scope: ScopeArgs,
}

fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not KEY=VALUE".to_owned()),
    }
}

/// A process that is to be registered: what was seen of it, and what was said about it.
struct Wish {
    seen: Service,
    said: Record,
    place: Place,
}

/// Where a service is to stand, before the registry was asked.
#[derive(Clone, Debug, Default)]
struct Place {
    choice: Choice,
    kind: Option<Type>,
}

/// Registers one process, or those of the records on standard input in one transaction.
pub(super) fn save(desk: &Desk, args: &Args, reporter: &mut Reporter) -> Outcome {
    let mut wishes = Vec::new();
    match (args.name.as_str(), &args.process) {
        ("-", None) => {
            for (number, item) in frame::items(reporter, args.strict)? {
                match wish_of_record(desk, args, &item) {
                    Err(error) if error.kind() == Kind::Invalid => reporter.bad_line(number, error),
                    wish => add(&mut wishes, wish, reporter),
                }
            }
        }
        (name, Some(process)) => {
            let wish = wish_of_words(desk, args, name, process);
            add(&mut wishes, wish, reporter);
        }
        (name, None) => {
            let why = "a process is missing: ptrack save NAME PID";
            return Err(Error::new(Kind::Invalid, "save service", name, why));
        }
    }
    let saved = if wishes.is_empty() {
        Vec::new()
    } else {
        desk.registry.change(|document| {
            Ok(wishes.iter().map(|wish| register(desk, document, wish, args.replace)).collect::<Vec<_>>())
        })?
    };
    let mut output = Output::new(&desk.output, Shape::Table);
    for result in saved {
        match result {
            Ok((service, identity)) if !desk.output.quiet => {
                output.record(|out| write_service(&service, &Verdict::Alive(identity), out))?;
            }
            Ok(_) => {}
            Err(error) => {
                answer(&error, reporter);
            }
        }
    }
    output.end()?;
    Ok(Exit::Done)
}

fn add(wishes: &mut Vec<Wish>, wish: Result<Wish>, reporter: &mut Reporter) {
    match wish {
        Ok(wish) => wishes.push(wish),
        Err(error) => {
            answer(&error, reporter);
        }
    }
}

fn wish_of_words(desk: &Desk, args: &Args, name: &str, process: &str) -> Result<Wish> {
    check_name(name)?;
    let Operand::Process(identity) = Operand::parse(process)? else {
        let why = "not a process number";
        return Err(Error::new(Kind::Invalid, "save service", format_args!("{name}: '{process}'"), why));
    };
    let place = Place { choice: args.scope.choice(), kind: args.kind };
    let said = said(args, Record::default());
    Ok(Wish { seen: see(desk, args, name, &identity)?, said, place })
}

/// Reads a wish from a record: a service record as `ptrack list` writes it, or any that has a process and a name.
fn wish_of_record(desk: &Desk, args: &Args, item: &Item) -> Result<Wish> {
    let nameless = || Error::new(Kind::Invalid, "save service", "", "the record has no field 'service'");
    let Item::Record(record) = item else { return Err(nameless()) };
    let name: String = record.field("service")?.ok_or_else(nameless)?;
    check_name(&name)?;
    let mut place = Place { choice: args.scope.choice(), kind: args.kind };
    if !place.choice.is_made() {
        let (project, session) = (record.text("project"), record.text("session"));
        place.kind = place.kind.or(match record.text("scope").as_deref() {
            Some("global") => Some(Type::Global),
            Some("project") => Some(Type::PerProject),
            Some("session") => Some(Type::PerSession),
            _ => None,
        });
        place.choice = Choice { global: false, project, session };
    }
    let mut kept = Record::default();
    if let Ok(Some(mut checks)) = record.field::<Vec<String>>("checks") {
        // What comes through a pipe may have been written by anybody: it names no commands.
        checks.retain(|check| !check.starts_with("command:") && Checks::noted(check).is_ok());
        kept.set("health", &checks);
    }
    for field in ["script", "metadata", "status", "restarts", "owner"] {
        if let Some(raw) = record.get(field) {
            kept.set(field, raw);
        }
    }
    let said = said(args, kept);
    Ok(Wish { seen: see(desk, args, &name, &record.identity()?)?, said, place })
}

/// What the options say about a service, over what was known.
fn said(args: &Args, mut record: Record) -> Record {
    if let Some(script) = &args.script {
        record.set("script", script);
    }
    if !args.health.health.is_empty() {
        record.set("health", &args.health.health);
    }
    if !args.meta.is_empty() {
        let mut meta: Record = record.field("metadata").ok().flatten().unwrap_or_default();
        for (key, value) in &args.meta {
            meta.set(key, value);
        }
        record.set("metadata", &meta);
    }
    record
}

/// Looks at the process. That it has ended comes with what to do instead.
fn see(desk: &Desk, args: &Args, name: &str, identity: &Identity) -> Result<Service> {
    let mut seen = Service::new(Scope::Global, name);
    match registry::observe(&desk.host, &desk.source, &mut seen, identity, args.group) {
        Ok(()) => Ok(seen),
        Err(error) if error.kind() == Kind::Gone => {
            let why = format!(
                "{}: in an interactive shell, $! of 'setsid CMD &' names a process that ends at once; \
                 use 'pspawn {name} -- CMD', or sh -c 'echo $$; exec CMD' to learn the right number",
                error.why()
            );
            Err(Error::new(Kind::Gone, "save service", format_args!("{name}: process {identity}"), why))
        }
        Err(error) => Err(Error::new(
            error.kind(),
            "save service",
            format_args!("{name}: process {identity}"),
            error.why(),
        )),
    }
}

impl Place {
    /// Finds the scope, and what is noted beside it: a project beside a session, or a session beside another scope.
    fn scope(&self, document: &Document) -> Result<(Scope, Option<String>, Option<String>)> {
        let Choice { global, project, session } = &self.choice;
        let both = project.is_some() && session.is_some() && !global;
        let kind = self.kind.or(both.then_some(Type::PerSession));
        let chosen = match kind {
            None => self.choice.clone(),
            Some(Type::Global) => Choice { global: true, ..Choice::default() },
            Some(Type::PerProject) => Choice { session: None, ..self.choice.clone() },
            Some(Type::PerSession) => Choice { project: None, ..self.choice.clone() },
        };
        let scope = chosen.for_new(document)?;
        if let Some(kind) = kind
            && kind.word() != scope.kind()
        {
            let why = format!("the scope is {scope}; name another with --project DIR or --session ID");
            return Err(Error::new(
                Kind::Invalid,
                "choose scope",
                format_args!("--type {}", kind.word()),
                why,
            ));
        }
        let project = match (&scope, project) {
            (Scope::Project(_), _) | (_, None) => None,
            (_, Some(path)) => match Scope::project(path, document)? {
                Scope::Project(path) => Some(path),
                _ => None,
            },
        };
        let session = session.clone().filter(|_| !matches!(scope, Scope::Session(_)));
        if let Some(id) = &session {
            Scope::session(id, document)?;
        }
        Ok((scope, project, session))
    }
}

/// Registers one process within a transaction. A name that another living process has is refused.
fn register(desk: &Desk, document: &mut Document, wish: &Wish, replace: bool) -> Result<(Service, Identity)> {
    let name = &wish.seen.name;
    let identity = wish.seen.identity()?;
    let (scope, project, session) = wish.place.scope(document)?;
    let before = match registry::claim(document, &desk.host, &desk.source, &scope, name)? {
        Claim::Held(before, _) if before.identity().is_ok_and(|id| id.same_as(&identity)) => Some(*before),
        Claim::Held(..) if replace => None,
        Claim::Held(before, verdict) => return Err(taken(&before, &verdict)),
        Claim::Free(_) => None,
    };
    // One process has one start: computed anew, it could differ by the milliseconds that the clocks drift.
    let started_ms = before.as_ref().and_then(Service::started_ms).or(wish.seen.started_ms()).unwrap_or(0);
    let mut service = before.unwrap_or_else(|| Service::new(scope, name));
    service.set_process(&identity, started_ms);
    for field in ["command", "cwd", "pgid", "sid", "parent", "tree", "cookie"] {
        if let Some(raw) = wish.seen.record().get(field) {
            service.set(field, raw);
        }
    }
    for (field, raw) in wish.said.fields() {
        service.set(field, raw);
    }
    if service.script().is_none() {
        service.set("script", &wish.seen.command_line());
    }
    for (field, value) in [("projectPath", project), ("sessionId", session)] {
        if let Some(value) = value {
            service.set(field, &value);
        }
    }
    service.set_beat(desk.host.place().boot, boot_ms(), unix_ms());
    document.insert(&service);
    Ok((service, identity))
}

/// The error for a name that somebody has: who, since when, and how to end that one.
fn taken(service: &Service, verdict: &Verdict) -> Error {
    let Service { name, scope, .. } = service;
    let pid = service.identity().map_or_else(|_| "?".to_owned(), |id| id.to_string());
    let since = service.started_ms().map_or_else(|| "?".to_owned(), |ms| rfc3339(ms).to_string());
    let why = match verdict {
        Verdict::Alive(id) => format!(
            "already running in scope {scope}: process {}, started {since}; 'pkill-tree {id}' ends it, --replace takes the name",
            id.pid
        ),
        other => format!(
            "registered in scope {scope}: process {pid}, started {since}, which cannot be judged from here ({}); \
             'ptrack rm {} {}' forgets it, --replace takes the name",
            other.why().unwrap_or_default(),
            registry::quoted(name),
            scope.flags()
        ),
    };
    // The answer to "may I have this name" is no.
    Error::new(Kind::Gone, "save service", name, why)
}
