//! Operands: what a person typed, or the records on standard input. Decided once for all tools.

use std::io::{BufReader, IsTerminal as _, StdinLock};

use procherd::error::{Error, Kind, Result};
use procherd::host::Host;
use procherd::id::Identity;
use procherd::registry::{self, Choice, Verdict};
use procherd::source::Source;
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
        let numeric = text.strip_prefix(['-', '+']).unwrap_or(text);
        if numeric.starts_with(|letter: char| letter.is_ascii_digit())
            && numeric.bytes().all(|b| b.is_ascii_digit() || b == b':')
        {
            return text.parse().map(Self::Process).map_err(invalid);
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

/// Reads all items of standard input. Bad lines are reported and passed over; with `strict` the first one is an error.
pub fn input(reporter: &mut Reporter, strict: bool) -> Result<Vec<Item>> {
    let mut reader: Reader<BufReader<StdinLock<'_>>> =
        Reader::new(BufReader::with_capacity(64 << 10, std::io::stdin().lock()));
    let mut items = Vec::new();
    loop {
        match reader.next_item().map_err(|error| Error::system("read records", "standard input", error))? {
            None => return Ok(items),
            Some(Ok(item)) => items.push(item),
            Some(Err(bad)) if strict => {
                let why = format!("line {}: {}", bad.number, bad.why);
                return Err(Error::new(Kind::Damaged, "read records", "", why));
            }
            Some(Err(bad)) => reporter.bad_line(bad.number, bad.why),
        }
    }
}

/// The processes of a registered service, by name.
///
/// `Gone`: no scope has the name. `Invalid`: several scopes have it. A service whose own process has ended is
/// given with the processes that were below it when it was last looked at.
pub fn service(name: &str, registry: &RegistryArgs) -> Result<Vec<Identity>> {
    let document = registry.open()?.read()?;
    let scope = Choice::default().for_name(&document, name)?;
    let Some(service) = document.find(name, scope.as_ref())? else {
        return Err(Error::new(Kind::Gone, "find service", name, "no such service is registered"));
    };
    let (host, source) = (Host::look()?, Source::live()?);
    Ok(match registry::judge(&host, &source, &service) {
        Verdict::Alive(identity) => vec![identity],
        Verdict::Inert(why) => return Err(Error::new(Kind::Refused, "find service", name, why)),
        Verdict::Dead(_) => std::iter::once(service.identity()?).chain(service.tree()).collect(),
        Verdict::Foreign(_) | Verdict::Unknown(_) => vec![service.identity()?],
    })
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
        for text in ["", "0", "-1", "-5:3", "4194305", "5:", "-x"] {
            assert!(Operand::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
