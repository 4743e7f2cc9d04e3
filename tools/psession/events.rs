//! What happens in a session, as records.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use procherd::error::{Error, Kind, Result};
use procherd::host::unix_ms;
use procherd::id::Pid;
use procherd::session::{Event, Observer};
use procherd::status::End;
use procherd::sys;
use procherd::text::rfc3339;

use crate::frame::{self, Reporter};

/// Where events go.
pub(super) struct Sink {
    file: File,
    /// Whether it is a log, which many tools write to: then each line names the tool.
    shared: bool,
}

impl Sink {
    /// A descriptor by its number, else a file that is appended to.
    pub(super) fn events(place: &OsStr) -> Result<Self> {
        let failed = |error: std::io::Error| Error::system("open events", place.display(), error);
        let number =
            place.to_str().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        let file = match number {
            Some(text) => {
                let number = text
                    .parse()
                    .map_err(|_| Error::new(Kind::Invalid, "open events", text, "not a descriptor"))?;
                sys::keep_descriptor(number).map(File::from).map_err(|errno| failed(errno.into()))
            }
            None => frame::append(place.as_ref()).map_err(failed),
        };
        Ok(Self { file: file?, shared: false })
    }

    /// A log.
    pub(super) fn log(path: &Path) -> Result<Self> {
        let file = frame::append(path).map_err(|error| Error::system("open log", path.display(), error))?;
        Ok(Self { file, shared: true })
    }
}

/// Writes events, each line in one call: both halves of the session write to the same file.
pub(super) struct Events<'a> {
    sink: Option<Sink>,
    session: &'a str,
    reporter: &'a mut Reporter,
}

impl<'a> Events<'a> {
    /// Writes the events of a session to a sink, or nowhere.
    pub(super) fn new(sink: Option<Sink>, session: &'a str, reporter: &'a mut Reporter) -> Self {
        Self { sink, session, reporter }
    }
}

impl Observer for Events<'_> {
    fn listens(&self) -> bool {
        self.sink.is_some()
    }

    fn event(&mut self, event: &Event<'_>) {
        let Some(sink) = &mut self.sink else { return };
        let mut out = Vec::new();
        let mut line = event.process.line_as("event", event.view, &mut out);
        line.field("event", event.what.word())
            .field("at", &rfc3339(unix_ms()).to_string())
            .field("session", self.session)
            .known("signal", event.signal.as_ref());
        match event.end {
            Some(End::Exited(code)) => line.field("exit_status", &code),
            Some(End::Signalled(signal)) => line.field("exit_signal", &signal),
            None => &mut line,
        };
        line.known("why", event.why);
        if sink.shared {
            line.field("tool", self.reporter.tool()).field("by", &Pid::this());
        }
        line.end();
        if let Err(error) = sink.file.write_all(&out) {
            // Said once; what the events are about goes on.
            self.sink = None;
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                self.reporter.fault(&Error::system("write events", "", error));
            }
        }
    }

    fn fault(&mut self, error: &Error) {
        self.reporter.fault(error);
    }
}
