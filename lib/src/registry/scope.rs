//! Scopes: whose a service is, and how a person says so.

use std::fmt;
use std::path::Path;

use super::document::Document;
use crate::error::{Error, Kind, Result};

/// Whose a service is: names are unique within a scope only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One for the machine (and this registry).
    Global,
    /// One for each project: the absolute path of its folder.
    Project(String),
    /// One for each session: its id.
    Session(String),
}

/// What a person said about the scope, on a command line or in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `--global`.
    pub global: bool,
    /// `--project PATH`.
    pub project: Option<String>,
    /// `--session ID`.
    pub session: Option<String>,
}

impl Scope {
    /// The scope of a project folder.
    ///
    /// The folder must exist, and is named without links and dots, so that one folder has one name. One that is gone
    /// may still be named by the very path that the registry has.
    pub fn project(path: &str, document: &Document) -> Result<Self> {
        let bad = |why: &str| Err(Error::new(Kind::Invalid, "choose project", format!("'{path}'"), why));
        if path.is_empty() {
            return bad("empty; name the folder of the project");
        }
        if document.projects().any(|known| known == path) && Path::new(path).is_absolute() {
            return Ok(Self::Project(path.to_owned()));
        }
        let real = match std::fs::canonicalize(path) {
            Ok(real) if real.is_dir() => real,
            Ok(_) => return bad("not a folder"),
            Err(error) => {
                let known: Vec<&str> = document.projects().collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return bad(&format!("{} (known projects: {known})", crate::error::words(&error)));
            }
        };
        let Some(name) = real.to_str() else { return bad("its path is not UTF-8") };
        // Another program may have written the same folder in another way: through a link, or with a slash at the end.
        let same = |known: &&str| std::fs::canonicalize(known).is_ok_and(|other| other == real);
        let known =
            document.projects().find(|known| *known == name).or_else(|| document.projects().find(same));
        Ok(Self::Project(known.unwrap_or(name).to_owned()))
    }

    /// The scope of a session, which must be registered.
    pub fn session(id: &str, document: &Document) -> Result<Self> {
        let scope = Self::Session(id.to_owned());
        if !id.is_empty() && document.has_scope(&scope) {
            return Ok(scope);
        }
        let known: Vec<String> =
            document.sessions().filter_map(|session| session.ok().map(|session| session.id)).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        let why = if id.is_empty() { "empty" } else { "not registered" };
        let why = format!("{why} (known sessions: {known}; ptrack session start registers one)");
        Err(Error::new(Kind::Invalid, "choose session", format!("'{id}'"), why))
    }

    /// The word for it in `scope` fields.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Project(_) => "project",
            Self::Session(_) => "session",
        }
    }

    /// The word for it in the `type` field of an entry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Project(_) => "per-project",
            Self::Session(_) => "per-session",
        }
    }

    /// The options that choose it: what a person has to type.
    pub fn flags(&self) -> String {
        match self {
            Self::Global => "--global".into(),
            Self::Project(path) => format!("--project {}", quoted(path)),
            Self::Session(id) => format!("--session {}", quoted(id)),
        }
    }

    /// Where its services stand in the document.
    pub(super) fn path(&self) -> Vec<&str> {
        match self {
            Self::Global => vec!["services", "global"],
            Self::Project(path) => vec!["services", "projects", path],
            Self::Session(id) => vec!["services", "sessions", id],
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Project(path) => write!(f, "project {path}"),
            Self::Session(id) => write!(f, "session {id}"),
        }
    }
}

impl Choice {
    /// Tells whether the options say anything.
    pub fn is_made(&self) -> bool {
        self.global || self.project.is_some() || self.session.is_some()
    }

    /// What the options say; none when they say nothing. Two at once are an error, and so is an empty value.
    pub fn typed(&self, document: &Document) -> Result<Option<Scope>> {
        match (self.global, &self.project, &self.session) {
            (false, None, None) => Ok(None),
            (true, None, None) => Ok(Some(Scope::Global)),
            (false, Some(path), None) => Scope::project(path, document).map(Some),
            (false, None, Some(id)) => Scope::session(id, document).map(Some),
            _ => Err(Error::new(Kind::Invalid, "choose scope", "", "a service has one scope: name only one")),
        }
    }

    /// Where a new service goes: what the options say, else `$PROCHERD_SESSION`, else `$PROCHERD_PROJECT`, else global.
    pub fn for_new(&self, document: &Document) -> Result<Scope> {
        match self.typed(document)? {
            Some(scope) => Ok(scope),
            None => Ok(from_environment(document)?.unwrap_or(Scope::Global)),
        }
    }

    /// Which scope a name is meant in: what the options say, else the scope of the environment if it has the name,
    /// else none: then the name must be the only one of its kind ([`Document::find`]).
    pub fn for_name(&self, document: &Document, name: &str) -> Result<Option<Scope>> {
        if let Some(scope) = self.typed(document)? {
            return Ok(Some(scope));
        }
        Ok(match from_environment(document)? {
            Some(scope) if document.get(&scope, name)?.is_some() => Some(scope),
            _ => None,
        })
    }
}

fn from_environment(document: &Document) -> Result<Option<Scope>> {
    let value = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let said =
        |name: &'static str| move |error: Error| Error::new(error.kind(), format!("use ${name}"), "", error);
    if let Some(id) = value("PROCHERD_SESSION") {
        return Scope::session(&id, document).map(Some).map_err(said("PROCHERD_SESSION"));
    }
    match value("PROCHERD_PROJECT") {
        Some(path) => Scope::project(&path, document).map(Some).map_err(said("PROCHERD_PROJECT")),
        None => Ok(None),
    }
}

/// Writes a word so that a shell reads it back as one.
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
