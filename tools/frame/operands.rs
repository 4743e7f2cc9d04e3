//! Operands: what a person typed, or the records on standard input. Decided once for all tools.

use std::io::{BufReader, IsTerminal as _, StdinLock};

use procherd::error::{Error, Kind, Result};
use procherd::handle::{self, Look};
use procherd::host::Host;
use procherd::id::{Identity, Source as IdSource};
use procherd::record::Record;
use procherd::registry::{self, Choice, Verdict};
use procherd::source::{Source, Wants};
use procherd::stream::{Item, Reader};

use super::args::RegistryArgs;
use super::report::Reporter;

/// One thing that a tool was asked to work on.
#[derive(Debug)]
pub enum Operand {
    /// A process by number, or by number and inode.
    Process(Identity),
    /// The name of a registered service.
    Name(String),
}

impl Operand {
    /// Reads an operand: digits are a process, anything else a name. What looks like a number and is none is refused.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why| Error::new(Kind::Invalid, "read operand", format_args!("'{text}'"), why);
        let (number, colon) = text.split_once(':').map_or((text, false), |(number, _)| (number, true));
        let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
        // Digits are a process, and so is what begins like PID:INODE; 7zip is a name.
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            || colon && digits.is_empty()
        {
            return text.parse().map(Self::Process).map_err(invalid);
        }
        if text == "-" {
            return Err(invalid("it reads standard input, and stands alone"));
        }
        if text.is_empty() || text.starts_with('-') {
            return Err(invalid("neither a process number nor a name"));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

/// Where a tool gets its work from.
#[derive(Debug)]
pub enum Operands {
    /// What was typed.
    Typed(Vec<Operand>),
    /// The records on standard input.
    Input,
    /// Nothing was typed, and nothing was asked to be read.
    None,
}

impl Operands {
    /// Decides for a tool that can do without operands: only `-` reads standard input.
    pub fn optional(words: &[String]) -> Result<Self> {
        match words {
            [] => Ok(Self::None),
            [dash] if dash == "-" => Ok(Self::Input),
            words => words.iter().map(|word| Operand::parse(word)).collect::<Result<_>>().map(Self::Typed),
        }
    }

    /// Decides for a tool that needs work: without operands it reads standard input, but never from a terminal.
    pub fn required(words: &[String]) -> Result<Self> {
        match Self::optional(words)? {
            Self::None if std::io::stdin().is_terminal() => Err(Error::new(
                Kind::Invalid,
                "read records",
                "standard input",
                "it is a terminal, and no operand was given",
            )),
            Self::None => Ok(Self::Input),
            other => Ok(other),
        }
    }
}

/// One process that the input asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The process.
    pub identity: Identity,
    /// The record that names it; none for a bare number or `PID:INODE`.
    pub record: Option<Record>,
}

/// Reads all items of standard input with the numbers of their lines. Bare numbers are bound as they are read. Bad lines are reported and passed over; with
/// `strict` the first one is an error.
pub fn items(reporter: &mut Reporter, strict: bool) -> Result<Vec<(usize, Item)>> {
    let mut reader: Reader<BufReader<StdinLock<'_>>> =
        Reader::new(BufReader::with_capacity(64 << 10, std::io::stdin().lock()));
    let (mut all, mut machine) = (Vec::new(), None);
    loop {
        let item =
            reader.next_item().map_err(|error| Error::system("read records", "standard input", error))?;
        match item {
            None => return Ok(all),
            Some(Ok(Item::Identity(identity))) => {
                all.push((reader.line_number(), Item::Identity(bound(identity, &mut machine)?)));
            }
            Some(Ok(item)) => all.push((reader.line_number(), item)),
            Some(Err(bad)) => bad_line(reporter, strict, bad.number, &bad.why)?,
        }
    }
}

/// Binds a bare number to the process that has it now: the next line may be long in coming, and the number be given away
/// meanwhile. A number that nobody has is bound to nobody.
fn bound(typed: Identity, machine: &mut Option<(Host, Source)>) -> Result<Identity> {
    if typed.source != IdSource::Number {
        return Ok(typed);
    }
    let (host, source) = match machine {
        Some(machine) => machine,
        None => machine.insert((Host::look()?, Source::live()?)),
    };
    let wants = Wants { identity: true, ..Wants::default() };
    let found = match source.reader(wants).read(typed.pid)? {
        Some(process) => process.identity(host.place()),
        None if matches!(handle::open(host, source, &typed), Look::Gone) => {
            Identity::here(host.place(), typed.pid, Some(0), Some(0))
        }
        // /proc does not show it, and still it lives.
        None => return Ok(typed),
    };
    Ok(Identity { source: IdSource::Number, ..found })
}

/// Reports a bad line of the input; with `strict` it is an error.
pub fn bad_line(reporter: &mut Reporter, strict: bool, number: usize, why: &str) -> Result<()> {
    if strict {
        return Err(Error::new(Kind::Damaged, "read records", "", format_args!("line {number}: {why}")));
    }
    reporter.bad_line(number, why);
    Ok(())
}

/// Reads all processes that standard input names.
///
/// Bad lines are reported with their number and passed over; with `strict` the first one is an error. Records that name
/// no process by their nature (summaries, findings) are passed over quietly.
pub fn input(reporter: &mut Reporter, strict: bool) -> Result<Vec<Asked>> {
    let mut all = Vec::new();
    for (number, item) in items(reporter, strict)? {
        match item {
            Item::Identity(identity) => all.push(Asked { identity, record: None }),
            Item::Record(record) if record.get("pid").is_none() && record.get("type").is_some() => {}
            Item::Record(record) => match record.identity() {
                Ok(identity) => all.push(Asked { identity, record: Some(record) }),
                Err(error) => bad_line(reporter, strict, number, &error.to_string())?,
            },
        }
    }
    Ok(all)
}

/// The record of a registered service, by name.
///
/// `Gone`: no scope has the name. `Invalid`: several scopes have it. `Refused`: what is registered under it may not be
/// acted on.
pub fn service(name: &str, registry: &RegistryArgs) -> Result<Record> {
    let document = registry.open()?.read()?;
    let scope = Choice::default().for_name(&document, name)?;
    let Some(service) = document.find(name, scope.as_ref())? else {
        return Err(Error::new(Kind::Gone, "find service", name, "no such service is registered"));
    };
    let (host, source) = (Host::look()?, Source::live()?);
    let verdict = registry::judge(&host, &source, &service);
    if let Verdict::Inert(why) = verdict {
        return Err(Error::new(Kind::Refused, "find service", name, why));
    }
    let mut line = Vec::new();
    registry::write_service(&service, &verdict, &mut line);
    Record::parse(&line)
}

/// The processes that a service record names: its own, and those that were below it when it was last looked at.
pub fn tree_of(record: &Record) -> Result<(Identity, Vec<Identity>)> {
    let own = record.identity()?;
    let tree: Vec<Record> = record.field("tree")?.unwrap_or_default();
    let below = tree.iter().filter_map(|member| {
        let member = member.identity().ok()?;
        // Members say what differs; where and when they live is that of the service.
        Some(Identity {
            pid: member.pid,
            inode: member.inode,
            start_ticks: member.start_ticks,
            ..own.clone()
        })
    });
    let below = below.collect();
    Ok((own, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_processes_and_words_are_names() {
        assert!(matches!(Operand::parse("77"), Ok(Operand::Process(_))));
        assert!(matches!(Operand::parse("77:123"), Ok(Operand::Process(id)) if id.inode == Some(123)));
        assert!(matches!(Operand::parse("api"), Ok(Operand::Name(_))));
        assert!(matches!(Operand::parse("7zip"), Ok(Operand::Name(_))));
        for text in ["", "0", "-1", "-5:3", "4194305", "5:", "7:x", ":5", "-x"] {
            assert!(Operand::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
