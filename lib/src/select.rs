//! Choosing processes by what they are: pattern, file, folder, environment, user, age, registration.
//!
//! Selectors of one kind are alternatives; kinds narrow each other. A fact that could not be read is no "no": the
//! verdict is [`Verdict::Unknown`], and the finder has to say that it could not look.

use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::memchr;
use regex_lite::{Regex, RegexBuilder};

use crate::error::{Error, Kind, Result};
use crate::record::{Process, View};

/// A regular expression over bytes.
///
/// The engine reads text, so each byte, of the pattern as of what it is matched against, stands for the character of its
/// number (ISO 8859-1). Bytes match bytes that way, whether they are UTF-8 or not.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// What it looks for, where that is a plain word: many are, and to look for a word takes a tenth of the time.
    word: Option<Box<[u8]>>,
}

impl Pattern {
    /// Tells whether it matches anywhere in the bytes.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        if let Some((word, first)) = self.word.as_deref().and_then(|word| Some((word, *word.first()?))) {
            return memchr::memchr_iter(first, bytes).any(|at| bytes[at..].starts_with(word));
        }
        match std::str::from_utf8(bytes) {
            // Characters of ASCII are bytes already.
            Ok(text) if text.is_ascii() => self.regex.is_match(text),
            _ => self.regex.is_match(&as_characters(bytes)),
        }
    }
}

/// A pattern without anything that means more than itself.
fn plain(text: &str) -> Option<Box<[u8]>> {
    text.bytes().all(|byte| !r"\.+*?()|[]{}^$#&~".as_bytes().contains(&byte)).then(|| text.as_bytes().into())
}

fn as_characters(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Reads facts of a process that a table does not hold. The live system reads them; a saved table may have them.
pub trait Facts {
    /// The file that it runs.
    fn exe(&self, process: &Process) -> Fact;
    /// Its working directory.
    fn cwd(&self, process: &Process) -> Fact;
    /// Its environment, entries ended by NUL.
    fn environ(&self, process: &Process) -> Fact;
}

/// A fact that had to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It is this.
    Known(Vec<u8>),
    /// There is none, or the process has gone.
    Absent,
    /// It may not be read, or a saved table does not hold it.
    Hidden,
}

/// Whether a process is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// A fact that decides could not be read: the text names it.
    Unknown(&'static str),
}

/// What a registry says of a process, for the selectors that ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct Membership<'a> {
    /// The service that it is registered as, or belongs to.
    pub service: Option<&'a str>,
    /// The session that it belongs to.
    pub session: Option<&'a str>,
}

/// Judges one fact.
type Test<'a> = &'a dyn Fn(&[u8]) -> bool;

/// Which processes are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Patterns over the whole command line.
    pub patterns: Vec<Pattern>,
    /// Executed files, by path or by last component.
    pub exes: Vec<String>,
    /// Working directories: the folder itself or one below it.
    pub folders: Vec<PathBuf>,
    /// Environment entries: a name, and perhaps a value.
    pub environment: Vec<(String, Option<String>)>,
    /// Registered services.
    pub services: Vec<String>,
    /// Registered sessions.
    pub sessions: Vec<String>,
    /// The only user whose processes are looked at; none for all.
    pub uid: Option<u32>,
    /// Younger processes are passed over.
    pub min_age: Duration,
}

/// Compiles a pattern. It is matched against bytes; classes such as `\w` are those of ASCII.
pub fn pattern(text: &str) -> Result<Pattern> {
    if text.is_empty() {
        return Err(Error::new(Kind::Invalid, "read pattern", "''", "an empty pattern matches everything"));
    }
    RegexBuilder::new(&as_characters(text.as_bytes()))
        .size_limit(1 << 22)
        .build()
        .map(|regex| Pattern { regex, word: plain(text) })
        .map_err(|error| {
            let why = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            Error::new(Kind::Invalid, "read pattern", format_args!("'{text}'"), why)
        })
}

/// Reads patterns from a text: one a line, empty lines and lines that begin with `#` passed over.
pub fn patterns_of(text: &str) -> Result<Vec<Pattern>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(pattern)
        .collect()
}

impl Selection {
    /// Tells whether anything but user and age was asked for: then probable evidence is reported too.
    pub fn narrows(&self) -> bool {
        !(self.patterns.is_empty()
            && self.exes.is_empty()
            && self.folders.is_empty()
            && self.environment.is_empty()
            && self.services.is_empty()
            && self.sessions.is_empty())
    }

    /// Judges a process, cheap facts first.
    pub fn judge(
        &self,
        process: &Process,
        view: &View,
        member: Membership<'_>,
        facts: &dyn Facts,
    ) -> Verdict {
        let one_of = |wanted: &[String], name: Option<&str>| {
            wanted.is_empty() || name.is_some_and(|name| wanted.iter().any(|wanted| wanted == name))
        };
        let cheap = self.uid.is_none_or(|uid| process.uid.is_none_or(|owner| owner == uid))
            && u128::from(view.age_ms(process)) >= self.min_age.as_millis()
            && one_of(&self.services, member.service)
            && one_of(&self.sessions, member.session)
            && self.matches_pattern(process);
        if !cheap {
            return Verdict::No;
        }
        let dear = [
            (self.exes.is_empty(), "exe"),
            (self.folders.is_empty(), "cwd"),
            (self.environment.is_empty(), "environ"),
        ];
        for (_, name) in dear.into_iter().filter(|(unasked, _)| !unasked) {
            let (fact, test): (Fact, Test<'_>) = match name {
                "exe" => (facts.exe(process), &|bytes| self.matches_exe(bytes)),
                "cwd" => (facts.cwd(process), &|bytes| self.matches_folder(bytes)),
                _ => (facts.environ(process), &|bytes| self.matches_environment(bytes)),
            };
            match fact {
                Fact::Known(bytes) if test(&bytes) => {}
                Fact::Hidden => return Verdict::Unknown(name),
                Fact::Known(_) | Fact::Absent => return Verdict::No,
            }
        }
        Verdict::Yes
    }

    fn matches_pattern(&self, process: &Process) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let command = process.command();
        self.patterns.iter().any(|pattern| pattern.is_match(&command))
    }

    fn matches_exe(&self, exe: &[u8]) -> bool {
        let exe = living_path(exe);
        let name = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.exes.iter().any(|wanted| wanted.as_bytes() == exe || is_called(name, wanted.as_bytes()))
    }

    fn matches_folder(&self, cwd: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let cwd = Path::new(std::ffi::OsStr::from_bytes(living_path(cwd)));
        self.folders.iter().any(|folder| cwd.starts_with(folder))
    }

    fn matches_environment(&self, environ: &[u8]) -> bool {
        self.environment.iter().any(|(name, value)| match (variable(environ, name), value) {
            (Some(found), Some(value)) => found == value.as_bytes(),
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        })
    }
}

/// Tells whether a file has a name, with or without a version: `python3.11` is called `python` and `python3`, and not
/// `python31`.
fn is_called(file: &[u8], name: &[u8]) -> bool {
    let Some(version) = file.strip_prefix(name) else { return false };
    let goes_on =
        name.last().is_some_and(u8::is_ascii_digit) && version.first().is_some_and(u8::is_ascii_digit);
    !name.is_empty() && !goes_on && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// The value of a variable in an environment block (environ(7)): the first entry counts, as for getenv(3).
pub fn variable<'a>(environ: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut entries = environ;
    loop {
        if let Some(value) = entries.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
            return Some(&value[..memchr(0, value).unwrap_or(value.len())]);
        }
        entries = &entries[memchr(0, entries)? + 1..];
    }
}

/// A path of `/proc` without the mark that its file was removed.
fn living_path(path: &[u8]) -> &[u8] {
    path.strip_suffix(b" (deleted)").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{process, view};

    #[test]
    fn the_first_entry_of_a_variable_counts_and_parts_of_names_do_not() {
        let environ = b"PATH=/bin\0XA=0\0A=1\0\0A=2\0AB=3\0C=";
        assert_eq!(variable(environ, "A"), Some(&b"1"[..]));
        assert_eq!(variable(environ, "AB"), Some(&b"3"[..]));
        assert_eq!(variable(environ, "C"), Some(&b""[..]));
        assert_eq!(variable(environ, "PAT"), None);
        assert_eq!(variable(b"A", "A"), None);
        assert_eq!(variable(b"", "A"), None);
    }

    struct Fixed(Fact);

    impl Facts for Fixed {
        fn exe(&self, _: &Process) -> Fact {
            self.0.clone()
        }
        fn cwd(&self, _: &Process) -> Fact {
            self.0.clone()
        }
        fn environ(&self, _: &Process) -> Fact {
            self.0.clone()
        }
    }

    fn judge(selection: &Selection, command: &[u8], fact: Fact) -> Verdict {
        let mut process = process(7, 1, 7, 7, 9000);
        process.cmdline = command.into();
        selection.judge(&process, &view(), Membership::default(), &Fixed(fact))
    }

    #[test]
    fn a_pattern_sees_the_whole_command_line_as_bytes() {
        let wanted = Selection {
            patterns: vec![pattern("tsx.*run-agent").expect("a pattern")],
            ..Selection::default()
        };
        assert_eq!(judge(&wanted, b"node\0tsx\0\xff\xfe\0run-agent\0", Fact::Absent), Verdict::Yes);
        assert_eq!(judge(&wanted, b"node\0run-agent\0", Fact::Absent), Verdict::No);
    }

    #[test]
    fn a_pattern_that_is_not_ascii_matches_its_own_bytes() {
        let wanted = pattern("caf\u{e9}.latte").expect("a pattern");
        assert!(wanted.is_match("node café/latte".as_bytes()));
        assert!(!wanted.is_match(b"node caf\xe9/latte"), "another encoding is other bytes");
        assert!(
            !pattern(r"\w{5}").expect("a pattern").is_match("caf\u{e9}".as_bytes()),
            "letters are those of ASCII"
        );
    }

    #[test]
    fn a_plain_word_matches_as_the_same_word_in_a_pattern_does() {
        for (word, regex) in [("vite", "v[i]te"), ("npm run", "npm[ ]run"), ("\u{e9}x", "\u{e9}[x]")] {
            let (word, regex) = (pattern(word).expect("a word"), pattern(regex).expect("a pattern"));
            assert!(word.word.is_some() && regex.word.is_none());
            for text in
                ["", "v", "vit", "vvite", "node vite --port", "npm  run", "npm run", "\u{e9}x", "\u{e9}"]
            {
                assert_eq!(word.is_match(text.as_bytes()), regex.is_match(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn a_bad_pattern_is_said_on_one_line() {
        for text in ["", "(", "[z-a]", "a{99999999}"] {
            let error = pattern(text).expect_err(text).to_string();
            assert!(!error.contains('\n') && error.starts_with("read pattern: "), "{error}");
        }
    }

    #[test]
    fn a_file_is_called_by_its_name_with_or_without_a_version() {
        let called = |file: &str, name: &str| is_called(file.as_bytes(), name.as_bytes());
        for name in ["python", "python3", "python3.11"] {
            assert!(called("python3.11", name), "{name}");
        }
        for name in ["", "pytho", "ython3.11", "python3.1", "python3.11.2", "py"] {
            assert!(!called("python3.11", name), "{name}");
        }
        assert!(called("node", "node") && !called("node-gyp", "node") && !called("nodejs", "node"));
    }

    #[test]
    fn a_folder_holds_what_is_below_it_and_not_its_namesakes() {
        let wanted = Selection { folders: vec!["/a/b".into()], ..Selection::default() };
        let at = |path: &[u8]| judge(&wanted, b"x\0", Fact::Known(path.to_vec()));
        assert_eq!(
            (at(b"/a/b"), at(b"/a/b/c"), at(b"/a/b (deleted)")),
            (Verdict::Yes, Verdict::Yes, Verdict::Yes)
        );
        assert_eq!(
            (at(b"/a/bc"), at(b"/a"), at(b"/a/b-old (deleted)")),
            (Verdict::No, Verdict::No, Verdict::No)
        );
    }

    #[test]
    fn a_hidden_fact_is_never_a_no() {
        let wanted = Selection { environment: vec![("A".into(), None)], ..Selection::default() };
        assert_eq!(judge(&wanted, b"x\0", Fact::Hidden), Verdict::Unknown("environ"));
        assert_eq!(judge(&wanted, b"x\0", Fact::Known(b"B=1\0A=\0".to_vec())), Verdict::Yes);
        assert_eq!(judge(&wanted, b"x\0", Fact::Known(b"B=A=1\0AA=1\0".to_vec())), Verdict::No);
    }

    #[test]
    fn kinds_narrow_each_other() {
        let mut wanted =
            Selection { patterns: vec![pattern("x").expect("a pattern")], ..Selection::default() };
        wanted.min_age = Duration::from_millis(10_001);
        assert_eq!(judge(&wanted, b"x\0", Fact::Absent), Verdict::No, "it is 10 s old");
        wanted.min_age = Duration::from_secs(10);
        wanted.uid = Some(1);
        assert_eq!(judge(&wanted, b"x\0", Fact::Absent), Verdict::No, "another user's");
    }
}
