//! Expectations: they make any finder a gate for hooks and CI.

use std::fmt;
use std::str::FromStr;

use procherd::error::{Error, Kind};

use super::report::{Exit, Reporter};

/// How many findings are expected.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Gate")]
pub struct ExpectArgs {
    /// Exit 1 unless so many are found: a number, or a range such as 1..3
    #[arg(long, value_name = "N|A..B")]
    pub expect: Option<Expect>,
}

/// A number of findings, or a range that includes both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    least: usize,
    most: usize,
}

impl FromStr for Expect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<usize>().map_err(|_| "not a number or a range such as 1..3");
        let (least, most) = match text.split_once("..") {
            Some((least, "")) => (number(least)?, usize::MAX),
            Some((least, most)) => (if least.is_empty() { 0 } else { number(least)? }, number(most)?),
            None => (number(text)?, number(text)?),
        };
        if least > most { Err("the range is empty") } else { Ok(Self { least, most }) }
    }
}

impl Expect {
    /// At most one.
    pub const SINGLE: Self = Self { least: 0, most: 1 };

    /// Tells whether a number is right.
    pub fn allows(self, found: usize) -> bool {
        (self.least..=self.most).contains(&found)
    }

    /// The most that is right.
    pub fn most(self) -> usize {
        self.most
    }

    /// So many for each of some.
    #[must_use]
    pub fn times(self, each: usize) -> Self {
        Self { least: self.least.saturating_mul(each), most: self.most.saturating_mul(each) }
    }

    /// Says how many are expected, in words.
    pub fn words(self) -> String {
        match (self.least, self.most) {
            (least, most) if least == most => format!("{least} expected"),
            (least, usize::MAX) => format!("at least {least} expected"),
            (least, most) => format!("{least} to {most} expected"),
        }
    }

    /// Judges the number of findings.
    pub fn judge(self, found: usize, what: &str, reporter: &mut Reporter) -> Exit {
        if self.allows(found) {
            return Exit::Done;
        }
        let why = format_args!("found {found}, {}", self.words());
        reporter.absent(&Error::new(Kind::Gone, "check expectation", what, why));
        Exit::No
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "{least}"),
            (least, usize::MAX) => write!(f, "{least}.."),
            (least, most) => write!(f, "{least}..{most}"),
        }
    }
}

impl ExpectArgs {
    /// Judges the number of findings. Without an expectation every number is right.
    pub fn judge(&self, found: usize, what: &str, reporter: &mut Reporter) -> Exit {
        self.expect.map_or(Exit::Done, |expect| expect.judge(found, what, reporter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!("2".parse(), Ok(Expect { least: 2, most: 2 }));
        assert_eq!("1..3".parse(), Ok(Expect { least: 1, most: 3 }));
        assert_eq!("1..".parse(), Ok(Expect { least: 1, most: usize::MAX }));
        assert_eq!("..3".parse(), Ok(Expect { least: 0, most: 3 }));
        for text in ["", "-1", "3..1", "a", "1...3"] {
            assert!(text.parse::<Expect>().is_err(), "{text:?} was accepted");
        }
    }
}
