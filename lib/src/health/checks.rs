//! What is to be checked of a service, and how that is written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::registry::Service;
use crate::text::{Text, parse_duration};

/// How long a check may take unless it is said.
const WITHIN: Duration = Duration::from_secs(5);

/// What is to be checked of a service beside its process. All must hold.
///
/// Each has a word, and is written as `WORD:VALUE` in the registry and on command lines: see [`Checks::add`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// It accepts connections on these TCP ports (`port:8001`).
    pub ports: Vec<u16>,
    /// It listens on this Unix socket (`socket:/run/api.sock`).
    pub socket: Option<PathBuf>,
    /// What it says to who connects has this text in it (`banner:220`).
    pub banner: Option<String>,
    /// This file names it (`file:/run/health.json`).
    pub file: Option<PathBuf>,
    /// The field of the file with its number, parts separated by dots (`pid-field:server.pid`); `pid` unless said.
    pub pid_field: Option<String>,
    /// Fields of the file and their values (`field:status=ok`).
    pub fields: Vec<(String, String)>,
    /// How old the file may be (`file-age:60s`).
    pub file_age: Option<Duration>,
    /// This pid file names it. It is the one that the entry notes.
    pub pidfile: Option<PathBuf>,
    /// How old its last sign of life may be (`max-age:120s`).
    pub max_age: Option<Duration>,
    /// This line of shell succeeds (`command:curl -fs localhost:8001`).
    pub command: Option<String>,
    /// How long each check may take (`within:5s`).
    pub within: Option<Duration>,
}

impl Checks {
    /// The words that [`Checks::add`] knows.
    pub const WORDS: [&'static str; 10] = [
        "port",
        "socket",
        "banner",
        "file",
        "pid-field",
        "field",
        "file-age",
        "max-age",
        "command",
        "within",
    ];

    /// Adds a check as it is written. The error says what is wrong with it.
    pub fn add(&mut self, text: &str) -> std::result::Result<(), String> {
        let (word, value) = text.split_once(':').ok_or("not WORD:VALUE, such as port:8001")?;
        if value.is_empty() {
            return Err(format!("nothing follows {word}:"));
        }
        match word {
            "port" => {
                let port = value.parse().ok().filter(|port| *port > 0);
                self.add_port(port.ok_or("not a port from 1 to 65535")?);
            }
            "socket" => self.socket = Some(absolute(value)?),
            "banner" => self.banner = Some(value.to_owned()),
            "file" => self.file = Some(absolute(value)?),
            "pid-field" => self.pid_field = Some(value.to_owned()),
            "field" => self.fields.push(pair(value)?),
            "file-age" => self.file_age = Some(parse_duration(value)?),
            "max-age" => self.max_age = Some(parse_duration(value)?),
            "command" => self.command = Some(value.to_owned()),
            "within" => self.within = Some(parse_duration(value)?),
            _ => return Err(format!("'{word}' is none of {}", Self::WORDS.join(", "))),
        }
        Ok(())
    }

    /// Reads a check and gives the text to note in an entry: paths are absolute there.
    pub fn noted(text: &str) -> std::result::Result<String, String> {
        let mut checks = Self::default();
        checks.add(text)?;
        Ok(match (&checks.socket, &checks.file) {
            (Some(path), _) => format!("socket:{}", path.display()),
            (_, Some(path)) => format!("file:{}", path.display()),
            _ => text.to_owned(),
        })
    }

    /// Adds a port, once.
    pub fn add_port(&mut self, port: u16) {
        if !self.ports.contains(&port) {
            self.ports.push(port);
        }
    }

    /// The checks that the entry of a service notes: the list `health`, its port and its pid file.
    ///
    /// An error: the list cannot be read, so the service cannot be judged by it.
    pub fn of(service: &Service) -> Result<Self> {
        let bad = |why: String| Error::new(Kind::Damaged, "read checks of service", &service.name, why);
        let mut checks = Self::default();
        let record = service.record();
        let noted: Vec<String> =
            record.field("health").map_err(|_| bad("no list of texts".into()))?.unwrap_or_default();
        for text in &noted {
            checks.add(text).map_err(|why| bad(format!("'{text}': {why}")))?;
        }
        if let Ok(Some(port)) = record.field::<u16>("port")
            && port > 0
        {
            checks.add_port(port);
        }
        if let Ok(Some(path)) = record.field::<Text>("pidfile") {
            let path = PathBuf::from(OsStr::from_bytes(path.bytes()));
            checks.pidfile = Some(path).filter(|path| path.is_absolute());
        }
        Ok(checks)
    }

    /// Adds other checks; where one alone can be, the other one counts.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        other.ports.iter().for_each(|port| self.add_port(*port));
        self.fields.extend(other.fields.iter().cloned());
        Self {
            ports: self.ports,
            socket: other.socket.clone().or(self.socket),
            banner: other.banner.clone().or(self.banner),
            file: other.file.clone().or(self.file),
            pid_field: other.pid_field.clone().or(self.pid_field),
            fields: self.fields,
            file_age: other.file_age.or(self.file_age),
            pidfile: other.pidfile.clone().or(self.pidfile),
            max_age: other.max_age.or(self.max_age),
            command: other.command.clone().or(self.command),
            within: other.within.or(self.within),
        }
    }

    /// How long each check may take.
    pub fn within(&self) -> Duration {
        self.within.unwrap_or(WITHIN)
    }
}

fn absolute(path: &str) -> std::result::Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| crate::error::words(&error))
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not NAME=VALUE".to_owned()),
    }
}
