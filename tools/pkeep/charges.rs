//! Which services are to be kept: from a command line, from records, from the registry.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use procherd::error::{Error, Kind, Result};
use procherd::health::Checks;
use procherd::record::Record;
use procherd::registry::{self, Choice, Document, Registry, Scope, Service, Verdict, check_name};
use procherd::spawn::{Enclosure, Environment, Log, Order, Output};
use procherd::stream::{Item, Reader};
use procherd::supervise::Charge;
use procherd::text::Text;

use super::files::Files;
use super::{Args, absolute};
use crate::frame::{self, Reporter};

/// When a log is set aside, and how many are kept: as pspawn does unless it is told.
const LOG: (u64, u32) = (10 << 20, 5);

/// Where the services come from.
pub(super) struct Roster<'a> {
    args: &'a Args,
    registry: &'a Registry,
    /// What standard input has said, and pipes that have a name: they say it once.
    given: Vec<(&'a str, Vec<Charge>)>,
    files: Files,
}

/// What becomes of a line that cannot be used.
enum Bad<'a> {
    /// It is said, and passed over.
    Said(&'a mut Reporter),
    /// Nothing of all is used.
    Spoils,
}

impl<'a> Roster<'a> {
    /// What the command line names.
    pub(super) fn new(args: &'a Args, registry: &'a Registry) -> Self {
        let paths = Self::operands(args).iter().filter(|operand| is_file(operand) && !speaks_once(operand));
        let files = Files::new(paths.map(PathBuf::from).collect());
        Self { args, registry, given: Vec::new(), files }
    }

    /// The operands that name services and files.
    fn operands(args: &Args) -> &[String] {
        if args.command.is_empty() { &args.operands } else { &[] }
    }

    /// The files that services are read from.
    pub(super) fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// Reads all services, those that others wait for first. A bad line is said and passed over.
    pub(super) fn read(&mut self, reporter: &mut Reporter) -> Result<Vec<Charge>> {
        self.all(&mut Bad::Said(reporter))
    }

    /// Reads them again. A bad line is an error, and so is a file without any: it may be about to be written.
    pub(super) fn read_again(&mut self) -> Result<Vec<Charge>> {
        self.all(&mut Bad::Spoils)
    }

    fn all(&mut self, bad: &mut Bad<'_>) -> Result<Vec<Charge>> {
        let (args, registry) = (self.args, self.registry);
        self.files.will_be_read();
        let document = registry.read()?;
        let mut charges = Vec::new();
        if !args.command.is_empty() {
            let [name] = args.operands.as_slice() else {
                let why = "a command has one name: pkeep NAME -- COMMAND";
                return Err(Error::new(Kind::Invalid, "read options", args.operands.join(" "), why));
            };
            charges.push(typed(args, name, &document)?);
        } else if args.operands.is_empty() {
            let scope = args.scope.choice().typed(&document)?;
            let services = document.services().filter_map(|entry| entry.service().ok());
            let wanted = services.filter(|service| {
                frame::belongs(service, scope.as_ref())
                    && service.command().is_some()
                    && service.name != args.own_name
            });
            for service in wanted {
                charges.push(registered(args, &service, &document)?);
            }
        }
        for operand in Self::operands(args) {
            if let Some((_, known)) = self.given.iter().find(|(from, _)| from == operand) {
                charges.extend(known.iter().cloned());
                continue;
            }
            match operand.as_str() {
                from if from == "-" || is_file(from) => {
                    let found = if from == "-" {
                        records(args, &mut std::io::stdin().lock(), "standard input", &document, bad)?
                    } else {
                        let file = std::fs::File::open(from)
                            .map_err(|error| Error::system("read services", from, error))?;
                        records(args, &mut BufReader::new(file), from, &document, bad)?
                    };
                    if found.is_empty() && matches!(bad, Bad::Spoils) {
                        return Err(Error::new(Kind::Damaged, "read services", from, "there is none in it"));
                    }
                    charges.extend(found.iter().cloned());
                    if speaks_once(from) {
                        self.given.push((from, found));
                    }
                }
                name => {
                    let service = frame::find(registry, &document, name, &args.scope)?;
                    charges.push(registered(args, &service, &document)?);
                }
            }
        }
        in_order(charges)
    }
}

/// Tells whether an operand means a file with records.
pub(super) fn is_file(operand: &str) -> bool {
    let ending = Path::new(operand).extension().and_then(OsStr::to_str);
    operand.contains('/') || matches!(ending, Some("ndjson" | "jsonl"))
}

/// Tells whether what is read from there is gone then: standard input, a pipe.
fn speaks_once(operand: &str) -> bool {
    operand == "-" || std::fs::metadata(operand).is_ok_and(|facts| !facts.is_file())
}

/// The service of the command line.
fn typed(args: &Args, name: &str, document: &Document) -> Result<Charge> {
    check_name(name)?;
    let mut checks = Checks::default();
    for text in &args.health.health {
        // They were read with the options.
        let _ = checks.add(text);
    }
    let cwd = args.cwd.clone().unwrap_or_else(|| PathBuf::from("."));
    let choice = args.scope.choice();
    let order = Order {
        name: name.to_owned(),
        command: args.command.clone(),
        cwd: absolute("--cwd", &cwd)?,
        environment: environment(&choice, document)?,
        output: output(args.service_log.as_ref().map(|path| absolute("--service-log", path)).transpose()?),
        pidfile: None,
        replace: true,
        cgroup: Enclosure::Auto,
        port_wish: None,
        notes: notes(&args.health.health),
        choice,
    };
    Ok(Charge { order, checks, after: args.after.clone() })
}

fn output(log: Option<PathBuf>) -> Output {
    log.map_or(Output::Nowhere, |path| Output::Log(Log { path, rotate_at: LOG.0, keep: LOG.1 }))
}

fn notes(checks: &[String]) -> Vec<(&'static str, serde_json::Value)> {
    if checks.is_empty() { Vec::new() } else { vec![("health", checks.into())] }
}

fn environment(choice: &Choice, document: &Document) -> Result<Environment> {
    let mut environment = Environment::inherited();
    let mut set = |name: &str, value: &str| environment.set(OsStr::new(name), OsStr::new(value));
    match choice.for_new(document)? {
        Scope::Global => {}
        Scope::Project(path) => set("PROCHERD_PROJECT", &path)?,
        Scope::Session(id) => set("PROCHERD_SESSION", &id)?,
    }
    Ok(environment)
}

/// A service as the registry has it. Its environment is ours: the registry keeps none.
fn registered(args: &Args, service: &Service, document: &Document) -> Result<Charge> {
    let mut line = Vec::new();
    registry::write_service(service, &Verdict::Inert(String::new()), &mut line);
    charge(args, &Record::parse(&line)?, document)
}

/// Reads service records.
fn records(
    args: &Args,
    input: &mut dyn BufRead,
    from: &str,
    document: &Document,
    bad: &mut Bad<'_>,
) -> Result<Vec<Charge>> {
    let mut reader = Reader::new(input);
    let mut charges = Vec::new();
    loop {
        let item = reader.next_item().map_err(|error| Error::system("read services", from, error))?;
        let done = match item {
            None => return Ok(charges),
            Some(Ok(Item::Record(record))) if record.text("type").as_deref() == Some("summary") => continue,
            Some(Ok(Item::Record(record))) => {
                charge(args, &record, document).map(|charge| charges.push(charge))
            }
            Some(Ok(Item::Identity(_))) => {
                Err(Error::new(Kind::Invalid, "read service", "", "not a service record"))
            }
            Some(Err(bad)) => Err(Error::new(Kind::Damaged, "read service", "", bad.why)),
        };
        if let Err(error) = done {
            match bad {
                Bad::Said(reporter) => reporter.bad_line(reader.line_number(), error),
                Bad::Spoils => {
                    let why = format!("line {}: {error}", reader.line_number());
                    return Err(Error::new(Kind::Damaged, "read services", from, why));
                }
            }
        }
    }
}

/// Reads a service record: its name, its command, and what surrounds it.
fn charge(args: &Args, record: &Record, document: &Document) -> Result<Charge> {
    let bad = |field: &str, why: &str| Error::new(Kind::Invalid, "read field", field, why);
    let name: String = record.field("service")?.ok_or_else(|| bad("service", "missing"))?;
    check_name(&name)?;
    let command: Vec<Text> = record.field("command")?.unwrap_or_default();
    if command.is_empty() {
        return Err(bad("command", "missing: nothing says how it is started"));
    }
    let path = |field: &str| -> Result<Option<PathBuf>> {
        let text: Option<Text> = record.field(field)?;
        let path = text.map(|text| PathBuf::from(OsString::from_vec(text.bytes().to_vec())));
        path.as_ref().map(|path| absolute(field, path)).transpose()
    };
    let mut choice = args.scope.choice();
    if !choice.is_made() {
        choice = match record.text("scope").as_deref() {
            Some("project") => Choice { project: record.field("project")?, ..Choice::default() },
            Some("session") => Choice { session: record.field("session")?, ..Choice::default() },
            _ => Choice { global: true, ..Choice::default() },
        };
    }
    let noted: Vec<String> = record.field("checks")?.unwrap_or_default();
    let mut checks = Checks::default();
    for text in noted.iter().chain(&args.health.health) {
        checks.add(text).map_err(|why| bad("checks", &why))?;
    }
    let mut order = Order {
        name,
        command: command.iter().map(|word| OsStr::from_bytes(word.bytes()).to_owned()).collect(),
        cwd: path("cwd")?.map_or_else(|| absolute("cwd", &PathBuf::from(".")), Ok)?,
        environment: environment(&choice, document)?,
        output: output(path("log")?),
        pidfile: path("pidfile")?,
        replace: true,
        cgroup: Enclosure::Auto,
        port_wish: None,
        notes: notes(&noted),
        choice,
    };
    let variables: Record = record.field("env")?.unwrap_or_default();
    for (name, _) in variables.fields() {
        let value: Option<String> = variables.field(name)?;
        let value = value.ok_or_else(|| bad(name, "a variable has a text"))?;
        order.environment.set(OsStr::new(name), OsStr::new(&value))?;
    }
    if let Some(port) = record.field::<u16>("port")?.filter(|port| *port > 0) {
        checks.add_port(port);
        order.set_port(port)?;
    }
    checks.pidfile.clone_from(&order.pidfile);
    Ok(Charge { order, checks, after: record.field("after")?.unwrap_or_default() })
}

/// Puts those first that others wait for. A name that nobody has, one that is there twice, and a circle are errors.
fn in_order(mut charges: Vec<Charge>) -> Result<Vec<Charge>> {
    let is_in = |name: &str, charges: &[Charge]| charges.iter().any(|one| one.order.name == name);
    for (at, charge) in charges.iter().enumerate() {
        if is_in(&charge.order.name, &charges[..at]) {
            return Err(Error::new(Kind::Invalid, "read services", &charge.order.name, "given twice"));
        }
    }
    let mut ordered: Vec<Charge> = Vec::with_capacity(charges.len());
    while !charges.is_empty() {
        // Who is not among them is waited for by nobody.
        let ready = |charge: &Charge| charge.after.iter().all(|name| !is_in(name, &charges));
        let Some(at) = charges.iter().position(ready) else {
            let circle: Vec<&str> = charges.iter().map(|charge| charge.order.name.as_str()).collect();
            let why = "they wait for each other";
            return Err(Error::new(Kind::Invalid, "order services", circle.join(", "), why));
        };
        let next = charges.remove(at);
        ordered.push(next);
    }
    Ok(ordered)
}
