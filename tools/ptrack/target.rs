//! Giving a sign of life, and forgetting.

use procherd::error::{Error, Kind, Result};
use procherd::host::{boot_ms, unix_ms};
use procherd::id::Identity;
use procherd::record::Record;
use procherd::registry::{Document, Scope, Service, Status, Verdict, write_service};
use procherd::stream::Item;
use procherd::table::Shape;

use super::{Desk, answer};
use crate::frame::{self, Exit, Outcome, Output, Reporter, ScopeArgs};

/// Options of `ptrack beat`.
#[derive(clap::Args)]
pub(super) struct BeatArgs {
    /// The names of services; - reads records from standard input
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    /// The state to note, too
    #[arg(long, value_name = "STATE", value_parser = ["running", "unhealthy", "failed"])]
    status: Option<String>,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    scope: ScopeArgs,
}

/// Notes that services are well: now, or that they are in another state.
pub(super) fn beat(desk: &Desk, args: &BeatArgs, reporter: &mut Reporter) -> Outcome {
    let targets = targets(&args.names, args.strict, reporter)?;
    let beaten = desk.registry.change(|document| {
        Ok(targets.iter().map(|target| beat_one(desk, document, target, args)).collect::<Vec<_>>())
    })?;
    for error in beaten.into_iter().filter_map(Result::err) {
        answer(&error, reporter);
    }
    Ok(Exit::Done)
}

fn beat_one(desk: &Desk, document: &mut Document, target: &Target, args: &BeatArgs) -> Result<()> {
    for mut service in target.services(desk, document, &args.scope)? {
        if let verdict @ (Verdict::Dead(_) | Verdict::Inert(_)) = desk.judge(&service) {
            let why = verdict.why().unwrap_or_default();
            return Err(Error::new(Kind::Gone, "note sign of life", &service.name, why));
        }
        if let Some(word) = &args.status {
            service.set_status(&Status::from(word.as_str()));
        }
        service.set_beat(desk.host.place().boot, boot_ms(), unix_ms());
        document.insert(&service);
    }
    Ok(())
}

/// Options of `ptrack rm`.
#[derive(clap::Args)]
pub(super) struct RmArgs {
    /// The names of services; - reads records from standard input, such as those that pkill-tree writes
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    /// Stop at the first bad line of the input
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    scope: ScopeArgs,
}

/// One thing that a command was told to work on.
enum Target {
    /// A service by name.
    Name(String),
    /// A service record.
    Service(Box<Record>),
    /// The services that a process is.
    Process(Identity),
}

fn targets(names: &[String], strict: bool, reporter: &mut Reporter) -> Result<Vec<Target>> {
    if names != ["-"] {
        return Ok(names.iter().cloned().map(Target::Name).collect());
    }
    let mut targets = Vec::new();
    for (number, item) in frame::items(reporter, strict)? {
        let record = match item {
            Item::Identity(identity) => {
                targets.push(Target::Process(identity));
                continue;
            }
            Item::Record(record) => record,
        };
        match (record.text("type").as_deref(), record.identity()) {
            (Some("service"), _) => targets.push(Target::Service(Box::new(record))),
            (Some(_), _) if record.get("pid").is_none() => {}
            (_, Ok(identity)) => targets.push(Target::Process(identity)),
            (_, Err(error)) => reporter.bad_line(number, error),
        }
    }
    Ok(targets)
}

impl Target {
    /// The services that are meant. A name or a service record that is not registered is an error of the kind `Gone`;
    /// a process that is no service means none.
    fn services(&self, desk: &Desk, document: &Document, scope: &ScopeArgs) -> Result<Vec<Service>> {
        match self {
            Self::Name(name) => desk.find(document, name, scope).map(|service| vec![service]),
            Self::Service(record) => {
                let name = record.text("service").unwrap_or_default();
                let scope =
                    match (record.text("scope").as_deref(), record.text("project"), record.text("session")) {
                        (Some("project"), Some(path), _) => Scope::Project(path),
                        (Some("session"), _, Some(id)) => Scope::Session(id),
                        _ => Scope::Global,
                    };
                let found = document.get(&scope, &name)?;
                found
                    .map(|service| vec![service])
                    .ok_or_else(|| frame::absent(&desk.registry, document, &name, Some(&scope)))
            }
            Self::Process(identity) => Ok(document
                .services()
                .filter_map(|entry| entry.service().ok())
                .filter(|service| service.identity().is_ok_and(|id| matches(&id, identity)))
                .collect()),
        }
    }
}

/// Tells whether an entry is about a process. A number that was typed means whoever the registry has under it.
fn matches(entry: &Identity, meant: &Identity) -> bool {
    if meant.boot.is_some() && entry.boot.is_some() {
        return entry.same_as(meant);
    }
    entry.pid == meant.pid && (meant.inode.is_none() || entry.inode.is_none() || entry.inode == meant.inode)
}

/// Forgets services. Those that records of processes name are forgotten only if the process has ended.
pub(super) fn rm(desk: &Desk, args: &RmArgs, reporter: &mut Reporter) -> Outcome {
    let targets = targets(&args.names, args.strict, reporter)?;
    let removed = desk.registry.change(|document| {
        let mut results = Vec::new();
        for target in &targets {
            match target.services(desk, document, &args.scope) {
                Ok(services) => {
                    for service in services {
                        results.push(rm_one(desk, document, target, service));
                    }
                }
                Err(error) => results.push(Err(error)),
            }
        }
        Ok(results)
    })?;
    let mut output = Output::new(&desk.output, Shape::Table);
    for result in removed {
        match result {
            Ok((service, verdict)) if !desk.output.quiet => {
                output.record(|out| write_service(&service, &verdict, out))?;
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

fn rm_one(
    desk: &Desk,
    document: &mut Document,
    target: &Target,
    service: Service,
) -> Result<(Service, Verdict)> {
    let verdict = desk.judge(&service);
    if matches!(target, Target::Process(_)) && !verdict.is_dead() {
        let why = format!("its process is {}; it stays registered", verdict.word());
        return Err(Error::new(Kind::Busy, "forget service", &service.name, why));
    }
    document.remove(&service.scope, &service.name)?;
    Ok((service, verdict))
}
