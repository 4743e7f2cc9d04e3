//! `pkill-tree`: ends processes with their whole trees, verified.
//!
//! Reads operands, or records on standard input. Writes one outcome record for each process, as soon as it is known;
//! with `--dry-run`, the process records that it would end, in order. Exits 0 when all have ended, 1 when an operand was
//! not found, 2 when a root was refused, 3 when something lives on or could not be done, 124 when time ran out.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use procherd::error::{Error, Kind, Result};
use procherd::evidence::Registered;
use procherd::host::Host;
use procherd::id::{self, Identity};
use procherd::record::Record;
use procherd::registry::{Known, cgroup_in};
use procherd::signal::Signal;
use procherd::source::Source;
use procherd::table::Shape;
use procherd::terminate::{self, Options, Root, Setting, Summary, Via};

use crate::frame::{
    self, Asked, Ending, Exit, LogArgs, Operand, Operands, Outcome, Output, OutputArgs, RegistryArgs,
    Reporter, Tool,
};

/// The tool as the suite knows it.
pub const TOOL: Tool = Tool { name: "pkill-tree", command: Args::command };

/// End processes with their whole trees, verified
///
/// Ends each process, all that descend from it, the sessions and process groups that they lead, and what carries the mark
/// of their spawn. Each is held by a descriptor and proved to be the one that is meant before it is signalled. Without
/// operands, the records on standard input say what to end.
#[derive(Parser)]
#[command(name = "pkill-tree", version, max_term_width = 100, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Args {
    /// Processes (PID or PID:INODE) or names of registered services; - or nothing reads records
    #[arg(value_name = "PID|NAME")]
    operands: Vec<String>,

    /// Ask with this signal; -TERM and -15 are understood as well
    #[arg(short, long, value_name = "SIGNAL", default_value = "TERM")]
    signal: Signal,

    /// How long the set has to end before it is killed
    #[arg(short, long, value_name = "DURATION", default_value = "3s", value_parser = frame::duration)]
    grace: Duration,

    /// Kill at once: --grace 0
    #[arg(short, long, conflicts_with = "grace")]
    force: bool,

    /// How long to go on killing before what is left counts as a survivor
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = frame::duration)]
    kill_wait: Duration,

    /// Bound everything together; exit 124 when it runs out
    #[arg(long, value_name = "DURATION", value_parser = frame::duration)]
    timeout: Option<Duration>,

    /// After all have ended, watch this long for processes that take the place of a named one
    #[arg(long, value_name = "DURATION", value_parser = frame::duration)]
    settle: Option<Duration>,

    /// End processes that take the place of a named one, so often; watches 500ms unless --settle says otherwise
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,

    /// Print what would be ended, in order, and touch nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// End only the named processes
    #[arg(long, conflicts_with = "group")]
    only: bool,

    /// Take in the whole process group of each named process
    #[arg(long)]
    group: bool,

    /// Ask children before their parents
    #[arg(long)]
    leaves_first: bool,

    /// Do not follow process groups
    #[arg(long)]
    no_group: bool,

    /// Do not follow sessions
    #[arg(long)]
    no_session: bool,

    /// Do not follow the marks of spawns (PROCHERD_ID)
    #[arg(long)]
    no_cookie: bool,

    /// Do not follow cgroups that were made for services
    #[arg(long)]
    no_cgroup: bool,

    /// Touch processes of other users
    #[arg(long)]
    all_users: bool,

    /// Refuse bare process numbers
    #[arg(long)]
    require_identity: bool,

    /// Do nothing when a line of the input is bad
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    registry: RegistryArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    log: LogArgs,
}

const EXAMPLES: &str = "\
Examples:
  pkill-tree 4711                       end a process and all below it
  porphans --pattern vitest | pkill-tree --grace 3s
                                        end what a test run left behind
  pkill-tree -n 4711 > plan.ndjson      what would be ended: edit it,
  pkill-tree < plan.ndjson              and do what is still valid
  ptrack list --project . | pkill-tree  stop all of a project";

/// Runs the tool.
pub fn main() -> ExitCode {
    frame::main_from(TOOL.name, kill_style(std::env::args_os().collect()), run)
}

/// Turns `-9` and `-KILL` into options that the parser knows, as kill(1) reads them.
fn kill_style(words: Vec<OsString>) -> Vec<OsString> {
    let mut options = true;
    let signal = |word: &str| {
        let name = word.strip_prefix('-')?;
        let shaped =
            name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '+');
        let shaped = shaped || (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()));
        name.parse::<Signal>().ok().filter(|_| shaped)
    };
    let change = |word: OsString| {
        options &= word != "--";
        match word.to_str().and_then(signal).filter(|_| options) {
            Some(signal) => format!("--signal={signal}").into(),
            None => word,
        }
    };
    words.into_iter().map(change).collect()
}

/// What was asked for, and the records that asked.
#[derive(Default)]
struct Request {
    roots: Vec<Root>,
    records: Vec<(Identity, Record)>,
}

fn run(args: Args, reporter: &mut Reporter) -> Outcome {
    reporter.be_quiet(args.output.quiet);
    let request = request(&args, reporter)?;
    let (host, source) = (Host::look()?, Source::live()?);
    let registry = args.registry.open()?;
    let registered = match registry.read() {
        Ok(document) => Known::of(&document, &host, &source).registered(),
        Err(error) => {
            // The marks and evidence still stand: a damaged registry must not keep anybody from ending a tree.
            reporter.fault(&error);
            Registered::default()
        }
    };
    let setting =
        Setting { host: &host, source: &source, registered: &registered, registry: Some(&registry) };
    let options = args.options();
    let log = if args.dry_run { None } else { args.log.open(reporter)? };
    let output = Output::new(&args.output, Shape::Table).with_log(log);
    let mut view = Ending::new(output, request.records);
    if args.dry_run {
        let plan = terminate::plan(setting, &request.roots, &options)?;
        view.plan(&plan, reporter)?;
        view.end(reporter)?.end()?;
        return Ok(Exit::Done);
    }
    let summary = terminate::run(setting, &request.roots, &options, &mut view)?;
    let asked = request.roots.len();
    view.end(reporter)?.end()?;
    if asked > 0 && summary.targets > 0 {
        reporter.note(frame::sentence(&summary));
    }
    Ok(exit(&summary))
}

fn exit(summary: &Summary) -> Exit {
    if summary.timed_out {
        Exit::TimedOut
    } else if summary.survived + summary.not_permitted + summary.foreign + summary.replaced > 0
        || summary.unseen
    {
        Exit::Failed
    } else {
        // Roots that were refused or not found have been said, and count.
        Exit::Done
    }
}

impl Args {
    fn options(&self) -> Options {
        Options {
            signal: self.signal,
            grace: if self.force { Duration::ZERO } else { self.grace },
            kill_wait: self.kill_wait,
            timeout: self.timeout,
            only: self.only,
            whole_group: self.group,
            by_group: !self.no_group,
            by_session: !self.no_session,
            by_cookie: !self.no_cookie,
            by_cgroup: !self.no_cgroup,
            all_users: self.all_users,
            leaves_first: self.leaves_first,
            settle: self.settle.unwrap_or(Duration::from_millis(if self.retries > 0 { 500 } else { 0 })),
            retries: self.retries,
        }
    }
}

/// Collects what was asked for.
fn request(args: &Args, reporter: &mut Reporter) -> Result<Request> {
    let mut request = Request::default();
    match Operands::required(&args.operands)? {
        Operands::None => {}
        Operands::Typed(words) => {
            for word in words {
                match word {
                    Operand::Process(identity) => request.add(identity, None, args)?,
                    Operand::Name(name) => match frame::service(&name, &args.registry) {
                        Ok(record) => request.add(record.identity()?, Some(record), args)?,
                        Err(error) if error.kind() == Kind::Gone => reporter.absent(&error),
                        Err(error) => return Err(error),
                    },
                }
            }
        }
        Operands::Input => {
            for Asked { identity, record } in frame::input(reporter, args.strict)? {
                request.add(identity, record, args)?;
            }
        }
    }
    Ok(request)
}

impl Request {
    fn add(&mut self, identity: Identity, record: Option<Record>, args: &Args) -> Result<()> {
        if args.require_identity && identity.source == id::Source::Number {
            let why = "a bare number, and --require-identity was given";
            return Err(Error::new(Kind::Refused, "identify process", &identity, why));
        }
        let number = |name| record.as_ref().and_then(|record| record.field::<u32>(name).ok().flatten());
        // A plan that cannot be read as one must not be taken for a wish to end whole trees.
        let planned =
            record.as_ref().map(|record| record.field::<u64>("planned_ticks")).transpose()?.flatten();
        self.roots.push(Root {
            sid: number("sid"),
            pgid: number("pgid"),
            cookie: record.as_ref().and_then(|record| record.text("cookie")),
            cgroup: record.as_ref().and_then(cgroup_in),
            planned_ticks: planned,
            via: Via::Named,
            identity: identity.clone(),
        });
        let Some(record) = record else { return Ok(()) };
        for identity in frame::tree_of(&record)?.1 {
            self.roots.push(Root::of(identity, Via::Tree));
        }
        self.records.push((identity, record));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn styled(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        kill_style(words).into_iter().map(|word| word.into_string().expect("utf-8")).collect()
    }

    #[test]
    fn signals_are_read_as_kill_reads_them() {
        assert_eq!(styled(&["pkill-tree", "-9", "77"]), ["pkill-tree", "--signal=KILL", "77"]);
        assert_eq!(styled(&["pkill-tree", "-SIGHUP"]), ["pkill-tree", "--signal=HUP"]);
        assert_eq!(styled(&["pkill-tree", "-RTMIN+1"]), ["pkill-tree", "--signal=RTMIN+1"]);
    }

    #[test]
    fn options_and_what_follows_two_dashes_stay() {
        for words in [["x", "-n", "-q"], ["x", "--", "-9"], ["x", "-s", "KILL"], ["x", "-nq", "-99"]] {
            assert_eq!(styled(&words), words);
        }
    }
}
