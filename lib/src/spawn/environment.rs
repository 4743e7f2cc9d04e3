//! The environment of a service.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use indexmap::IndexMap;

use crate::error::{Error, Kind, Result};

/// Variables by name: each once, in the order in which they were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(IndexMap<OsString, OsString>);

/// What marks the members of one spawn. Those of an outer spawn do not pass to an inner one, and nobody sets them by hand.
const MARKS: [&str; 2] = ["PROCHERD_ID", "PROCHERD_SERVICE"];

impl Environment {
    /// The environment of this process, without the marks of the spawn that it belongs to.
    pub fn inherited() -> Self {
        let marked = |name: &OsString| MARKS.iter().any(|mark| name == mark);
        Self(std::env::vars_os().filter(|(name, _)| !marked(name)).collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Sets a variable. A name that cannot be one, and one that marks spawns, is refused.
    pub fn set(&mut self, name: &OsStr, value: &OsStr) -> Result<()> {
        let why = if name.is_empty() {
            "the name is empty"
        } else if name.as_bytes().contains(&b'=')
            || name.as_bytes().contains(&0)
            || value.as_bytes().contains(&0)
        {
            "not NAME=VALUE"
        } else if MARKS.iter().any(|mark| name == *mark) {
            "it marks what a spawn has started, and is set by it"
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
            return Ok(());
        };
        Err(Error::new(Kind::Invalid, "set variable", name.display(), why))
    }

    /// Sets a variable from `NAME=VALUE`.
    pub fn set_pair(&mut self, pair: &OsStr) -> Result<()> {
        let bytes = pair.as_bytes();
        match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => self.set(OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])),
            None => Err(Error::new(Kind::Invalid, "set variable", pair.display(), "not NAME=VALUE")),
        }
    }

    /// Sets the variables of a file: `NAME=VALUE` lines, with or without `export`; `#` begins a comment.
    ///
    /// Values may stand in single quotes (as they are) or double quotes (with `\n`, `\t`, `\\`, `\"` and `\$`).
    /// Nothing is expanded. `Gone`: there is no such file. `Invalid`: a line is something else; the error has its number.
    pub fn read_file(&mut self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path)
            .map_err(|error| Error::system("read environment file", path.display(), error))?;
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let done = match parse_line(line) {
                Ok(None) => Ok(()),
                Ok(Some((name, value))) => self.set(name, &value).map_err(|error| error.why().to_owned()),
                Err(why) => Err(why.to_owned()),
            };
            if let Err(why) = done {
                let on = format!("{}: line {}", path.display(), number + 1);
                return Err(Error::new(Kind::Invalid, "read environment file", on, why));
            }
        }
        Ok(())
    }

    /// All variables, the marks of a spawn, and the port that was chosen for it.
    pub(super) fn with_marks(
        &self,
        service: &str,
        cookie: &str,
        port: Option<&str>,
    ) -> Vec<(OsString, OsString)> {
        let marks = [("PROCHERD_ID", cookie), ("PROCHERD_SERVICE", service)];
        let own = marks.into_iter().chain(port.map(|port| ("PORT", port)));
        let others = self.0.iter().filter(|(name, _)| port.is_none() || *name != "PORT");
        let variables = others.map(|(name, value)| (name.clone(), value.clone()));
        variables.chain(own.map(|(name, value)| (name.into(), value.into()))).collect()
    }
}

/// Reads one line of an environment file: a name and its value, none where the line says nothing.
fn parse_line(line: &[u8]) -> std::result::Result<Option<(&OsStr, OsString)>, &'static str> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let line = line.strip_prefix(b"export ").unwrap_or(line).trim_ascii_start();
    let at = line.iter().position(|byte| *byte == b'=').ok_or("not NAME=VALUE")?;
    let (name, value) = (&line[..at], line[at + 1..].trim_ascii_start());
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if name.is_empty() || !name.iter().all(plain) || name[0].is_ascii_digit() {
        return Err("not NAME=VALUE");
    }
    let value = match value.first() {
        Some(b'\'') => {
            let end = value[1..].iter().position(|byte| *byte == b'\'').ok_or("a quote is not closed")?;
            rest_is_comment(&value[end + 2..])?;
            value[1..=end].to_vec()
        }
        Some(b'"') => quoted(&value[1..])?,
        _ => {
            let comment = value.windows(2).position(|two| two[0].is_ascii_whitespace() && two[1] == b'#');
            value[..comment.unwrap_or(value.len())].trim_ascii_end().to_vec()
        }
    };
    Ok(Some((OsStr::from_bytes(name), OsString::from_vec(value))))
}

/// Reads up to the closing double quote.
fn quoted(text: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    let (mut value, mut at) = (Vec::new(), 0);
    loop {
        match (text.get(at), text.get(at + 1)) {
            (None, _) => return Err("a quote is not closed"),
            (Some(b'"'), _) => {
                rest_is_comment(&text[at + 1..])?;
                return Ok(value);
            }
            (Some(b'\\'), Some(escaped)) => {
                match escaped {
                    b'n' => value.push(b'\n'),
                    b't' => value.push(b'\t'),
                    b'\\' | b'"' | b'$' => value.push(*escaped),
                    other => value.extend_from_slice(&[b'\\', *other]),
                }
                at += 2;
            }
            (Some(byte), _) => {
                value.push(*byte);
                at += 1;
            }
        }
    }
}

fn rest_is_comment(rest: &[u8]) -> std::result::Result<(), &'static str> {
    let rest = rest.trim_ascii();
    if rest.is_empty() || rest.starts_with(b"#") {
        Ok(())
    } else {
        Err("something follows the closing quote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_people_write_them() {
        for (line, value) in [
            ("A=b", "b"),
            ("export A=b c", "b c"),
            ("  A = ", ""),
            ("A=b # note", "b"),
            ("A=b#c", "b#c"),
            ("A='b # \"c\\n' # note", "b # \"c\\n"),
            (r#"A="b\n\"c\" \$x \q""#, "b\n\"c\" $x \\q"),
            ("A=$HOME", "$HOME"),
            ("A=postgres://u:p@h/d?x=y", "postgres://u:p@h/d?x=y"),
            ("A=b\r", "b"),
        ] {
            let line = line.replace("A =", "A=");
            let (name, read) = parse_line(line.as_bytes()).expect(&line).expect(&line);
            assert_eq!((name, read), (OsStr::new("A"), OsString::from(value)), "{line}");
        }
        for line in ["", "  ", "# A=b"] {
            assert_eq!(parse_line(line.as_bytes()), Ok(None));
        }
        for line in ["A", "=b", "1A=b", "A B=c", "A='b", "A=\"b", "A='b'c", "A-B=c"] {
            assert!(parse_line(line.as_bytes()).is_err(), "{line} was accepted");
        }
    }

    #[test]
    fn a_variable_stands_once_and_marks_are_not_set_by_hand() {
        let mut environment = Environment::default();
        for value in ["1", "2"] {
            environment.set(OsStr::new("A"), OsStr::new(value)).expect("a variable");
        }
        for pair in ["PROCHERD_ID=x", "PROCHERD_SERVICE=x", "=x", "A"] {
            assert!(environment.set_pair(OsStr::new(pair)).is_err(), "{pair}");
        }
        environment.set(OsStr::new("PORT"), OsStr::new("1")).expect("a variable");
        let moved = environment.with_marks("api", "c-1-2", Some("2"));
        let ports: Vec<_> = moved.iter().filter(|(name, _)| name == "PORT").map(|(_, value)| value).collect();
        assert_eq!(ports, ["2"]);
        let all = environment.with_marks("api", "c-1-2", None);
        let all: Vec<_> = all.iter().map(|(name, value)| (name.to_str(), value.to_str())).collect();
        let pair = |name, value| (Some(name), Some(value));
        assert_eq!(
            all,
            [
                pair("A", "2"),
                pair("PORT", "1"),
                pair("PROCHERD_ID", "c-1-2"),
                pair("PROCHERD_SERVICE", "api")
            ]
        );
    }
}
