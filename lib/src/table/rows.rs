//! Rows of text separated by commas or colons. The csv crate is named here alone.

use crate::error::{Error, Kind, Result};

/// Reads rows of fields; a row may have any number of them. An error names the line.
pub fn read(bytes: &[u8], separator: u8) -> Result<Vec<Vec<String>>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .trim(csv::Trim::Fields)
        .from_reader(bytes);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            let why = match error.into_kind() {
                csv::ErrorKind::Utf8 { .. } => "not UTF-8",
                _ => "not a row of fields",
            };
            Error::new(Kind::Damaged, "read rows", format_args!("line {line}"), why)
        })?;
        rows.push(record.iter().map(str::to_owned).collect());
    }
    Ok(rows)
}

/// Writes rows of fields, each ended by a newline. A field that has the separator, a quote or a line end in it is quoted.
pub fn write<R, F>(rows: impl IntoIterator<Item = R>, separator: u8) -> Vec<u8>
where
    R: IntoIterator<Item = F>,
    F: AsRef<[u8]>,
{
    let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(separator).from_writer(Vec::new());
    for row in rows {
        // Writing into memory does not fail.
        let _ = writer.write_record(row);
    }
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let rows = [vec!["PGID", "a:b", "12"], vec!["x"], vec!["", "line\nend", "\"quoted\""]];
        for separator in [b':', b','] {
            assert_eq!(read(&write(&rows, separator), separator).expect("rows"), rows);
        }
        assert_eq!(write([["orchestrator", "1234"]], b':'), b"orchestrator:1234\n");
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = read(b"a:b\n\xff:1\n", b':').expect_err("not UTF-8");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
