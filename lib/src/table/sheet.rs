//! Records as rows separated by commas, for spreadsheets.

use serde_json::value::RawValue;

use super::rows;
use crate::record::Record;
use crate::text::{Text, visible};

/// Writes a row of the names of fields, and then a row a record.
///
/// Which fields there are is known when the last record has come, unless they were chosen: then every row is written as
/// it comes.
#[derive(Debug)]
pub(super) struct Sheet {
    columns: Vec<String>,
    chosen: bool,
    begun: bool,
    held: Vec<Record>,
}

impl Sheet {
    /// Begins a sheet of these columns; of all where there is none.
    pub(super) fn new(columns: Vec<String>) -> Self {
        Self { chosen: !columns.is_empty(), columns, begun: false, held: Vec::new() }
    }

    pub(super) fn add(&mut self, record: &Record, out: &mut Vec<u8>) {
        if self.chosen {
            self.begin(out);
            self.write(record, out);
        } else {
            let new = |name: &&str| !self.columns.iter().any(|known| known == name);
            let names: Vec<String> =
                record.fields().map(|(name, _)| name).filter(new).map(str::to_owned).collect();
            self.columns.extend(names);
            self.held.push(record.clone());
        }
    }

    pub(super) fn end(mut self, out: &mut Vec<u8>) {
        if self.chosen || !self.held.is_empty() {
            self.begin(out);
        }
        for record in std::mem::take(&mut self.held) {
            self.write(&record, out);
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            let names = self.columns.iter().map(|name| harmless(visible(name.as_bytes())));
            out.extend(rows::write([names], b','));
        }
    }

    fn write(&self, record: &Record, out: &mut Vec<u8>) {
        let field = |name: &String| record.get(name).map(text).unwrap_or_default();
        out.extend(rows::write([self.columns.iter().map(field)], b','));
    }
}

/// A value as one field: text as it is, with control characters made visible; a list of texts, such as a command line,
/// joined by blanks; everything else as JSON has it.
fn text(raw: &RawValue) -> String {
    let one = serde_json::from_str::<Text>(raw.get()).map(|text| vec![text]);
    match one.or_else(|_| serde_json::from_str::<Vec<Text>>(raw.get())) {
        Ok(texts) => {
            let words: Vec<String> = texts.iter().map(|text| visible(text.bytes())).collect();
            harmless(words.join(" "))
        }
        Err(_) if raw.get() == "null" => String::new(),
        Err(_) => visible(raw.get().as_bytes()),
    }
}

/// Text that no spreadsheet takes for a formula: a process chooses its own name.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(columns: &[&str], lines: &[&str]) -> String {
        let mut sheet = Sheet::new(columns.iter().map(|name| (*name).to_owned()).collect());
        let mut out = Vec::new();
        for line in lines {
            sheet.add(&Record::parse(line.as_bytes()).expect("a record"), &mut out);
        }
        sheet.end(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn all_fields_of_all_records_have_a_column() {
        let lines = [
            r#"{"pid":7,"cmdline":["node","a, b"],"zombie":true,"extra":null}"#,
            r#"{"pid":-8,"evidence":[{"kind":"x"}],"comm":{"bytes":"/2E="}}"#,
        ];
        assert_eq!(
            sheet(&[], &lines),
            "pid,cmdline,zombie,extra,evidence,comm\n\
             7,\"node a, b\",true,,,\n\
             -8,,,,\"[{\"\"kind\"\":\"\"x\"\"}]\",\\xffa\n"
        );
        assert_eq!(sheet(&[], &[]), "");
    }

    #[test]
    fn chosen_columns_are_written_as_records_come() {
        let (mut one, mut out) = (Sheet::new(vec!["comm".into(), "pid".into()]), Vec::new());
        one.add(&Record::parse(br#"{"pid":7,"comm":"a\nb","more":1}"#).expect("a record"), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "comm,pid\na\\nb,7\n");
        assert_eq!(sheet(&["pid"], &[]), "pid\n");
    }

    #[test]
    fn no_name_of_a_process_is_a_formula() {
        let line = r#"{"comm":"=1+1","cmdline":["-bash"],"user":"@x","n":-1}"#;
        assert_eq!(sheet(&[], &[line]), "comm,cmdline,user,n\n'=1+1,'-bash,'@x,-1\n");
    }
}
