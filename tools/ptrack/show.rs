//! Looking things up.

use std::io::Write as _;

use procherd::error::{Error, Kind, Result};
use procherd::id::Identity;
use procherd::registry::{Document, Service, Status, Verdict, judged, write_service};
use procherd::table::Shape;
use procherd::text::visible;

use super::Desk;
use crate::frame::{
    Exit, ExpectArgs, Format, Operand, Outcome, Output, Reporter, ScopeArgs, Totals, belongs,
};

/// Options of `ptrack get`.
#[derive(clap::Args)]
pub(super) struct GetArgs {
    /// The name of the service
    #[arg(value_name = "NAME", required_unless_present = "pid")]
    name: Option<String>,

    /// Say which service this process is: its name, or "unknown"
    #[arg(long, value_name = "PID", conflicts_with_all = ["name", "global", "project", "session"])]
    pid: Option<String>,

    #[command(flatten)]
    scope: ScopeArgs,
}

/// Writes the record of one service, whether it lives or not.
pub(super) fn get(desk: &Desk, args: &GetArgs, reporter: &mut Reporter) -> Outcome {
    let document = desk.registry.read()?;
    if let Some(pid) = &args.pid {
        return get_by_process(desk, &document, pid, reporter);
    }
    let service = match desk.find(&document, args.name.as_deref().unwrap_or_default(), &args.scope) {
        Ok(service) => service,
        Err(error) => return Ok(super::answer(&error, reporter)),
    };
    let mut output = Output::new(&desk.output, Shape::Table);
    output.record(|out| write_service(&service, &desk.judge(&service), out))?;
    output.end()?;
    Ok(Exit::Done)
}

/// Writes the name of the service that a process is, or is below; the record where a format was asked for.
fn get_by_process(desk: &Desk, document: &Document, pid: &str, reporter: &mut Reporter) -> Outcome {
    let Operand::Process(meant) = Operand::parse(pid)? else {
        return Err(Error::new(
            Kind::Invalid,
            "find service",
            format_args!("'{pid}'"),
            "not a process number",
        ));
    };
    let found = service_of(desk, document, &meant);
    if let Some((service, verdict)) = found.as_ref().filter(|_| desk.output.format != Format::Auto) {
        let mut output = Output::new(&desk.output, Shape::Table);
        output.record(|out| write_service(service, verdict, out))?;
        output.end()?;
    } else {
        let name = found.as_ref().map_or("unknown", |(service, _)| &service.name);
        plain(&visible(name.as_bytes()))?;
    }
    if found.is_none() {
        reporter.count(Exit::No);
    }
    Ok(Exit::Done)
}

/// Finds the service that a process is; else the one that had it below itself when it was registered.
fn service_of(desk: &Desk, document: &Document, meant: &Identity) -> Option<(Service, Verdict)> {
    use procherd::handle::{Look, open};
    // A number is bound to the process that has it now; one that has ended may still be registered.
    let inode = match open(&desk.host, &desk.source, meant) {
        Look::Found(handle) => handle.inode(),
        _ => meant.inode,
    };
    let same =
        |id: &Identity| id.pid == meant.pid && (inode.is_none() || id.inode.is_none() || id.inode == inode);
    let mut below = None;
    for (service, verdict) in judged(document, &desk.host, &desk.source).filter_map(Result::ok) {
        if matches!(verdict, Verdict::Foreign(_) | Verdict::Inert(_)) {
            continue;
        }
        if service.identity().is_ok_and(|id| same(&id)) {
            return Some((service, verdict));
        }
        if below.is_none() && service.tree().iter().any(same) {
            below = Some((service, verdict));
        }
    }
    below
}

/// Writes a line that is no record: what a shell puts into a variable.
pub(super) fn plain(text: &str) -> Result<()> {
    raw(format!("{text}\n").as_bytes())
}

/// Writes bytes as they are.
pub(super) fn raw(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::system("write", "standard output", error))
        }
        _ => Ok(()),
    }
}

/// Options of `ptrack list`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct ListArgs {
    /// Only those that live
    #[arg(long)]
    alive: bool,

    /// Only those that have ended
    #[arg(long)]
    dead: bool,

    /// Only those of other machines and pid namespaces
    #[arg(long)]
    foreign: bool,

    /// Only those that cannot be judged
    #[arg(long)]
    unknown: bool,

    /// Write only how many there are
    #[arg(long)]
    count: bool,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    expect: ExpectArgs,
}

impl ListArgs {
    fn wants(&self, verdict: &Verdict) -> bool {
        let word = verdict.word();
        let chosen = [
            (self.alive, "alive"),
            (self.dead, "dead"),
            (self.foreign, "foreign"),
            (self.unknown, "unknown"),
        ];
        chosen.iter().all(|(on, _)| !on) || chosen.contains(&(true, word))
    }
}

/// Writes the records of services. Entries that cannot be read are said and count as a failure.
pub(super) fn list(desk: &Desk, args: &ListArgs, reporter: &mut Reporter) -> Outcome {
    let document = desk.registry.read()?;
    let scope = args.scope.choice().typed(&document)?;
    let mut output = Output::new(&desk.output, Shape::Table);
    let mut found = 0;
    for judged in judged(&document, &desk.host, &desk.source) {
        let (service, verdict) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                reporter.fault(&error);
                continue;
            }
        };
        if !belongs(&service, scope.as_ref()) || !args.wants(&verdict) {
            continue;
        }
        found += 1;
        if !args.count {
            output.record(|out| write_service(&service, &verdict, out))?;
            if output.reader_left() {
                break;
            }
        }
    }
    output.end()?;
    if args.count {
        plain(&found.to_string())?;
    }
    Ok(args.expect.judge(found, "services", reporter))
}

/// Options of `ptrack status`.
#[derive(clap::Args)]
pub(super) struct StatusArgs {
    /// The name of the service; without one, all services
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Write only the totals
    #[arg(long, conflicts_with = "name")]
    summary: bool,

    #[command(flatten)]
    scope: ScopeArgs,
}

/// Answers whether a service runs, or how all of them are.
pub(super) fn status(desk: &Desk, args: &StatusArgs, reporter: &mut Reporter) -> Outcome {
    let document = desk.registry.read()?;
    let mut output = Output::new(&desk.output, Shape::Table);
    let Some(name) = &args.name else {
        let totals = totals(desk, args, &document, &mut output, reporter)?;
        output.record(|out| totals.write(out))?;
        output.end()?;
        return Ok(Exit::Done);
    };
    let service = match desk.find(&document, name, &args.scope) {
        Ok(service) => service,
        Err(error) => return Ok(super::answer(&error, reporter)),
    };
    let verdict = desk.judge(&service);
    if !desk.output.quiet {
        output.record(|out| write_service(&service, &verdict, out))?;
        output.end()?;
    }
    match &verdict {
        Verdict::Alive(_) => {}
        Verdict::Dead(why) => reporter.absent(&Error::new(Kind::Gone, "check service", name, why)),
        other => {
            let why = format!("{}: {}", other.word(), other.why().unwrap_or_default());
            reporter.fault(&Error::new(Kind::Unsupported, "check service", name, why));
        }
    }
    Ok(Exit::Done)
}

/// Counts all services, and writes their records unless the totals are enough.
fn totals<'a>(
    desk: &'a Desk,
    args: &StatusArgs,
    document: &Document,
    output: &mut Output,
    reporter: &mut Reporter,
) -> Result<Totals<'a>> {
    let scope = args.scope.choice().typed(document)?;
    let mut totals = Totals::new(&desk.host);
    for judged in judged(document, &desk.host, &desk.source) {
        let (service, verdict) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                reporter.fault(&error);
                continue;
            }
        };
        if !belongs(&service, scope.as_ref()) {
            continue;
        }
        if !args.summary {
            output.record(|out| write_service(&service, &verdict, out))?;
        }
        let noted_ill = matches!(service.status(), Status::Unhealthy | Status::Failed);
        totals.add(&service, &verdict, verdict.is_alive() && !noted_ill, None);
    }
    Ok(totals)
}
