//! All that can be asked of what a tool did.

use std::time::Duration;

use serde_json::Value;

use super::process::Id;

/// What a tool did.
#[derive(Default)]
pub(crate) struct Output {
    pub(super) shown: String,
    /// Its exit code, none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// What a terminal was shown.
    pub(crate) screen: Vec<u8>,
    /// How long it took.
    pub(crate) elapsed: Duration,
}

impl Output {
    /// Fails the test unless it ended with this code and did not panic; all that it said is in the message.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert!(!self.stderr.contains("panicked at"), "it panicked: {self:?}");
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Fails the test unless it said nothing on standard error.
    #[track_caller]
    pub(crate) fn quiet(self) -> Self {
        assert!(self.stderr.is_empty(), "it was not quiet: {self:?}");
        self
    }

    /// Fails the test unless standard error holds this text.
    #[track_caller]
    pub(crate) fn said(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "it did not say {text:?}: {self:?}");
        self
    }

    /// Fails the test unless standard error is this one line, as design.md section 9 has it.
    #[track_caller]
    pub(crate) fn one_message(&self) -> &str {
        let line = self.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("not a whole line: {self:?}"));
        assert!(!line.contains('\n'), "more than one line: {self:?}");
        let name = self.shown.split(' ').next().unwrap_or_default();
        assert!(
            line.starts_with(&format!("{name}: ")),
            "the message does not begin with '{name}: ': {self:?}"
        );
        assert!(!line.ends_with('.'), "the message ends with a full stop: {self:?}");
        line
    }

    /// The records on standard output; each line must be one JSON object.
    #[track_caller]
    pub(crate) fn records(&self) -> Vec<Value> {
        self.text().lines().map(|line| self.object(line)).collect()
    }

    /// The only record.
    #[track_caller]
    pub(crate) fn record(&self) -> Value {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{self:?}");
        records.remove(0)
    }

    /// The record about a process.
    #[track_caller]
    pub(crate) fn about(&self, id: Id) -> Value {
        let same = |record: &Value| {
            let named = Id::in_record(record);
            named == Some(id) || (named.is_none() && record["pid"] == id.pid)
        };
        self.records().into_iter().find(same).unwrap_or_else(|| panic!("no record about {id:?}: {self:?}"))
    }

    /// The processes that the records name, in order.
    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<Id> {
        self.records().iter().filter_map(Id::in_record).collect()
    }

    /// Standard output as text: it must be UTF-8 and end with a line end.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        let text =
            std::str::from_utf8(&self.stdout).unwrap_or_else(|why| panic!("not UTF-8: {why}: {self:?}"));
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole: {self:?}");
        text
    }

    #[track_caller]
    fn object(&self, line: &str) -> Value {
        match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => Value::Object(fields),
            other => panic!("not a JSON object: {line:?}: {other:?}: {self:?}"),
        }
    }
}

/// All that helps to understand a failure, cut where it is very long.
impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
            if bytes.len() > 4000 { format!("{text}… ({} bytes)", bytes.len()) } else { text }
        };
        let ended = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "still running".into(),
        };
        write!(f, "\n$ {}\n{ended} after {:?}", self.shown, self.elapsed)?;
        write!(f, "\n-- standard output:\n{}", cut(&self.stdout))?;
        write!(f, "\n-- standard error:\n{}", cut(self.stderr.as_bytes()))?;
        if !self.screen.is_empty() {
            write!(f, "\n-- terminal:\n{}", cut(&self.screen).escape_debug())?;
        }
        Ok(())
    }
}
