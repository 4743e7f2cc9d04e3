//! Records: one JSON object a line, with every field kept as it came.
//!
//! A [`Record`] holds its fields as raw JSON, in order. A tool reads the ones that it knows, adds its own, and passes
//! the others through byte for byte. [`Line`] writes a new record field by field. [`Process`] is the typed form of
//! the record type that nearly all tools share.

mod process;

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, Kind, Result};
use crate::id::{Identity, Pid, Source};

pub use process::{Denied, Hints, Process, Rare, View, tty_name};

/// The version of the record format.
pub const VERSION: u32 = 1;

/// How deeply a record may nest. Deeper input is refused before anything is made of it.
pub const MAX_DEPTH: usize = 128;

/// How many fields a record may have. A tool looks fields up one after the other, so more would cost time that grows
/// with their square.
pub const MAX_FIELDS: usize = 4096;

/// One JSON object: its fields in order, their values as they were written.
#[derive(Clone, Debug, Default)]
pub struct Record(Vec<(Box<str>, Box<RawValue>)>);

impl Record {
    /// Reads one object from a line. Refused are: other JSON values, a field given twice, nesting over [`MAX_DEPTH`],
    /// more than [`MAX_FIELDS`] fields.
    pub fn parse(line: &[u8]) -> Result<Self> {
        let bad = |why: String| Error::new(Kind::Invalid, "read record", "", why);
        if !nests_within(line, MAX_DEPTH) {
            return Err(bad(format!("nested deeper than {MAX_DEPTH}")));
        }
        serde_json::from_slice(line).map_err(|error| bad(words(&error)))
    }

    /// The raw value of a field.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value)
    }

    /// Reads a field as a type. Absent and `null` are none; another type is an error that names the field.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map_err(|error| Error::new(Kind::Invalid, "read field", name, words(&error)))
    }

    /// Reads a text field, none where it is absent or of another type.
    pub fn text(&self, name: &str) -> Option<String> {
        self.field(name).ok().flatten()
    }

    /// Sets a field: in its place where it exists, at the end otherwise.
    pub fn set(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let Ok(raw) = serde_json::value::to_raw_value(value) else { return };
        match self.0.iter_mut().find(|(key, _)| &**key == name) {
            Some((_, old)) => *old = raw,
            None => self.0.push((name.into(), raw)),
        }
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(key, _)| &**key == name)?;
        Some(self.0.remove(at).1)
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Appends the object and a line end.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (key, value)) in self.fields().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_json(out, key);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }

    /// Reads the identity that the record carries. An error names the field that is wrong or missing.
    pub fn identity(&self) -> Result<Identity> {
        let missing = || Error::new(Kind::Invalid, "read field", "pid", "missing");
        Ok(Identity {
            pid: self.field::<Pid>("pid")?.ok_or_else(missing)?,
            inode: self.field("pidfd_inode")?,
            start_ticks: self.field("start_ticks")?,
            boot: self.field("boot_id")?,
            pid_ns: self.field("pid_ns")?,
            machine: self.field("machine")?,
            host: self.field::<String>("host")?.map(Into::into),
            source: Source::Record,
        })
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.fields() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Record, A::Error> {
                let mut record = Record(Vec::with_capacity(24));
                while let Some((key, value)) = map.next_entry::<Box<str>, Box<RawValue>>()? {
                    if record.get(&key).is_some() {
                        return Err(serde::de::Error::custom(format_args!("field '{key}' is given twice")));
                    }
                    if record.0.len() == MAX_FIELDS {
                        return Err(serde::de::Error::custom(format_args!("more than {MAX_FIELDS} fields")));
                    }
                    record.0.push((key, value));
                }
                Ok(record)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Writes one record, field by field, at the end of a buffer.
pub struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Line<'a> {
    /// Begins a record of the given type.
    pub fn new(out: &'a mut Vec<u8>, kind: &str) -> Self {
        out.extend_from_slice(b"{\"type\":");
        write_json(out, kind);
        out.extend_from_slice(b",\"v\":");
        write_json(out, &VERSION);
        Self { out }
    }

    /// Adds a field. The name is written as it is: it must need no escapes.
    pub fn field(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        self.key(name);
        write_json(self.out, value);
        self
    }

    /// Adds a field where its value is known.
    pub fn known(&mut self, name: &'static str, value: Option<&(impl Serialize + ?Sized)>) -> &mut Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds a field of another record as it is.
    pub fn raw(&mut self, name: &str, value: &RawValue) -> &mut Self {
        self.out.push(b',');
        write_json(self.out, name);
        self.out.push(b':');
        self.out.extend_from_slice(value.get().as_bytes());
        self
    }

    /// Ends the record and its line.
    pub fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn key(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Appends a value as JSON. Values of this library always serialize; one that does not becomes `null`.
fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let before = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"null");
    }
}

/// Says what is wrong with JSON, without the place that is added: a record is one line, and whoever reads lines names it.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Tells whether brackets outside of strings nest no deeper than `limit`. Takes time linear in the line.
pub(crate) fn nests_within(line: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &Record) -> String {
        let mut out = Vec::new();
        record.write_line(&mut out);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn unknown_fields_pass_through_unchanged_and_in_order() {
        let text = r#"{"zeta":1.10,"pid":7,"big":123456789012345678901234567890,"nested":{"b":1, "a":[2]},"e":"\u00e9"}"#;
        let mut record = Record::parse(text.as_bytes()).expect("a record");
        assert_eq!(line(&record), format!("{text}\n"));
        record.set("pid", &8);
        record.set("added", &true);
        assert_eq!(
            line(&record),
            format!("{},\"added\":true}}\n", text.trim_end_matches('}').replace(":7", ":8"))
        );
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in [
            &b"[]"[..],
            b"7",
            b"\"x\"",
            b"{\"a\":1}{\"b\":2}",
            b"{\"a\":1",
            b"{\"a\":1,}",
            b"{\"a\":\"\xff\"}",
            b"",
        ] {
            assert!(Record::parse(text).is_err(), "{:?} was accepted", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        let error = Record::parse(br#"{"pid":5,"pid":6}"#).expect_err("ambiguous");
        assert!(error.to_string().contains("twice"));
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(Record::parse(deep(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert!(Record::parse(deep(MAX_DEPTH).as_bytes()).is_err());
        assert!(Record::parse(deep(1_000_000).as_bytes()).is_err());
        assert!(Record::parse(format!("{{\"a\":\"{}\\\"[\"}}", "[".repeat(500)).as_bytes()).is_ok());
    }

    #[test]
    fn an_identity_with_a_field_of_another_type_is_refused() {
        for text in
            [r#"{"pid":"5"}"#, r#"{"pid":0}"#, r#"{"pid":-1}"#, r#"{"pid":5.0}"#, r#"{"pid":4194305}"#, "{}"]
        {
            let record = Record::parse(text.as_bytes()).expect("a record");
            assert!(record.identity().is_err(), "{text} was accepted");
        }
    }
}
