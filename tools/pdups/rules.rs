//! How many instances are expected: from options and from files.

use std::path::Path;
use std::str::FromStr;

use procherd::error::{Error, Kind, Result};
use procherd::select::{self, Pattern};

use crate::frame::Expect;

/// One expectation, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// How many surplus processes may be found in all.
    Total(Expect),
    /// How many instances a role has, perhaps for each instance of another role.
    Role { name: String, expect: Expect, per: Option<String> },
}

impl FromStr for Rule {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let Some((name, count)) = text.split_once('=') else { return text.trim().parse().map(Self::Total) };
        let words: Vec<&str> = count.split_whitespace().collect();
        let (count, per) = match words.as_slice() {
            [count] => (count, None),
            [count, "per", other] => (count, Some((*other).to_owned())),
            _ => return Err("not NAME=N, NAME=A..B or NAME='N per OTHER'"),
        };
        let name = name.trim();
        if name.is_empty() {
            return Err("the name is empty");
        }
        Ok(Self::Role { name: name.to_owned(), expect: count.parse()?, per })
    }
}

/// All that is expected, and the roles that patterns define.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) total: Option<Expect>,
    pub(super) roles: Vec<(String, Pattern)>,
    counts: Vec<(String, Expect, Option<String>)>,
}

impl Rules {
    /// Collects rules from options and files.
    pub(super) fn read(roles: &[String], rules: &[Rule], files: &[String]) -> Result<Self> {
        let mut all = Self::default();
        for role in roles {
            let invalid = || {
                Error::new(Kind::Invalid, "read options", format_args!("--role '{role}'"), "not NAME=REGEX")
            };
            let (name, pattern) = role.split_once('=').ok_or_else(invalid)?;
            all.role(name, pattern)?;
        }
        for file in files {
            all.file(Path::new(file))?;
        }
        for rule in rules {
            all.add(rule.clone());
        }
        Ok(all)
    }

    /// Reads a file: `NAME=COUNT` and `NAME~REGEX`, one a line; empty lines and those that begin with `#` mean nothing.
    fn file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::system("read rules", path.display(), error))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let place = |why: &dyn std::fmt::Display| {
                let on = format!("{}, line {}", path.display(), number + 1);
                Error::new(Kind::Invalid, "read rules", on, why)
            };
            // What stands first decides: a pattern may hold the other sign.
            match line.find(['=', '~']) {
                _ if line.is_empty() || line.starts_with('#') => {}
                Some(at) if line[at..].starts_with('~') => {
                    self.role(&line[..at], line[at + 1..].trim()).map_err(|error| place(&error))?;
                }
                _ => self.add(line.parse().map_err(|why: &str| place(&why))?),
            }
        }
        Ok(())
    }

    fn role(&mut self, name: &str, pattern: &str) -> Result<()> {
        let name = name.trim();
        if name.is_empty() {
            return Err(Error::new(Kind::Invalid, "read role", "", "the name is empty"));
        }
        self.roles.push((name.to_owned(), select::pattern(pattern)?));
        Ok(())
    }

    /// A later rule about the same takes the place of an earlier one: options go before files.
    fn add(&mut self, rule: Rule) {
        match rule {
            Rule::Total(expect) => self.total = Some(expect),
            Rule::Role { name, expect, per } => {
                self.counts.retain(|(known, ..)| *known != name);
                self.counts.push((name, expect, per));
            }
        }
    }

    /// Tells whether anything is said about roles.
    pub(super) fn name_roles(&self) -> bool {
        !self.roles.is_empty() || !self.counts.is_empty()
    }

    /// The roles that a number is expected of, also where nobody plays them.
    pub(super) fn counted(&self) -> impl Iterator<Item = &str> {
        self.counts.iter().map(|(name, ..)| name.as_str())
    }

    /// How many instances a group may have, given how many each role has. Without a rule, one at most.
    pub(super) fn expected(&self, role: &str, instances: impl Fn(&str) -> usize) -> Expect {
        match self.counts.iter().find(|(name, ..)| name == role) {
            Some((_, expect, None)) => *expect,
            Some((_, expect, Some(per))) => expect.times(instances(per)),
            None => Expect::SINGLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_they_are_written() {
        let role = |name: &str, expect: &str, per: Option<&str>| Rule::Role {
            name: name.into(),
            expect: expect.parse().expect("a number"),
            per: per.map(str::to_owned),
        };
        assert_eq!("daemon=1".parse(), Ok(role("daemon", "1", None)));
        assert_eq!("shim=1..2 per client".parse(), Ok(role("shim", "1..2", Some("client"))));
        assert_eq!("0".parse(), "0".parse().map(Rule::Total));
        for text in ["", "=1", "a=", "a=x", "a=1 per", "a=1 for b", "a=1 per b c"] {
            assert!(text.parse::<Rule>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn one_for_each_client_grows_with_the_clients() {
        let rules: Vec<Rule> = vec!["shim=1..2 per client".parse().expect("a rule")];
        let rules = Rules::read(&[], &rules, &[]).expect("rules");
        assert_eq!(rules.expected("shim", |_| 3).to_string(), "3..6");
        assert_eq!(rules.expected("shim", |_| 0).to_string(), "0");
        assert_eq!(rules.expected("other", |_| 3), Expect::SINGLE);
    }
}
