//! The log of a tool that acts: what it did, and why, for those who ask later.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use procherd::error::{Error, Result};
use procherd::host::unix_ms;
use procherd::id::Pid;
use procherd::record::Record;
use procherd::text::rfc3339;

use super::report::Reporter;

/// Where a tool that acts keeps what it did.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct LogArgs {
    /// Append a record of everything that was done to this file, with the time
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

impl LogArgs {
    /// Opens the log, where one was asked for. A tool does this before it acts: what cannot be logged is not done.
    pub fn open(&self, reporter: &Reporter) -> Result<Option<Log>> {
        let Some(path) = &self.log else { return Ok(None) };
        let file = append(path).map_err(|error| Error::system("open log", path.display(), error))?;
        Ok(Some(Log { file, path: path.clone(), tool: reporter.tool(), failed: None }))
    }
}

/// Opens a file for lines that are appended whole, also by others at the same time.
pub fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// An open log. Many tools may write to one file: each line is appended whole, in one call.
pub struct Log {
    file: File,
    path: PathBuf,
    tool: &'static str,
    failed: Option<Error>,
}

impl Log {
    /// Appends a record, with the time, the tool and the number of its process. After a failure nothing more is tried:
    /// the action goes on, and the failure is told by [`Log::end`].
    pub fn add(&mut self, line: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let added = Record::parse(line).map(|mut record| {
            if record.get("at").is_none() {
                record.set("at", &rfc3339(unix_ms()).to_string());
            }
            record.set("tool", self.tool);
            record.set("by", &Pid::this());
            let mut line = Vec::new();
            record.write_line(&mut line);
            self.file.write_all(&line)
        });
        self.failed = match added {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Error::system("write log", self.path.display(), error)),
            Err(error) => Some(error),
        };
    }

    /// Tells whether everything was written.
    pub fn end(self) -> Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}
