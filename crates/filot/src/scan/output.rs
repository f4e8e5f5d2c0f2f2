//! Results as JSON, a stream of JSON, CSV, or a table.

use std::borrow::Cow;
use std::io::{self, Write};

use filot_cards::assess::Assessment;
use filot_cards::field::FieldKey;
use filot_ocr::engine::Timing;
use serde::Serialize;

use super::inputs::Input;
use super::table::Table;
use super::{Outcome, OutputFormat};

/// The object that one file becomes.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Record<'a> {
    Read {
        file: &'a str,
        #[serde(flatten)]
        assessment: &'a Assessment,
        /// Which page of a PDF was read, counted from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        page: Option<u32>,
        engine: &'a str,
        /// Milliseconds from the first byte decoded to the decision.
        ms: f32,
        timing: Timing,
    },
    /// A file without an assessment.
    Failed { file: &'a str, error: ErrorBody<'a> },
}

#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
}

impl<'a> Record<'a> {
    pub(super) fn new(file: &'a str, engine: &'a str, outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Read(scanned) => Self::Read {
                file,
                assessment: &scanned.assessment,
                page: scanned.page,
                engine,
                ms: scanned.took.as_secs_f32() * 1000.0,
                timing: scanned.timing,
            },
            Outcome::Failed { code, message, .. } => {
                Self::Failed { file, error: ErrorBody { code, message } }
            }
        }
    }
}

/// Writes results one by one and passes each on at once.
pub(super) struct Printer<W: Write> {
    out: W,
    kind: Kind,
    printed: usize,
}

enum Kind {
    Table(Table),
    Object,
    Array,
    Lines,
    Csv,
}

impl<W: Write> Printer<W> {
    /// `single`: one file was named, so one object is expected rather than a list.
    pub(super) fn new(format: OutputFormat, single: bool, inputs: &[Input], colour: bool, out: W) -> Self {
        let kind = match format {
            OutputFormat::Table => Kind::Table(Table::new(inputs, single, colour)),
            OutputFormat::Json if single => Kind::Object,
            OutputFormat::Json => Kind::Array,
            OutputFormat::Ndjson => Kind::Lines,
            OutputFormat::Csv => Kind::Csv,
        };
        Self { out, kind, printed: 0 }
    }

    pub(super) fn print(&mut self, file: &str, engine: &str, outcome: &Outcome) -> io::Result<()> {
        let first = self.printed == 0;
        self.printed += 1;
        match &self.kind {
            Kind::Table(table) => {
                if first {
                    table.head(&mut self.out)?;
                }
                table.row(&mut self.out, file, outcome)?;
            }
            Kind::Object => {
                let text = serde_json::to_string_pretty(&Record::new(file, engine, outcome))?;
                writeln!(self.out, "{text}")?;
            }
            Kind::Array => {
                let text = serde_json::to_string(&Record::new(file, engine, outcome))?;
                write!(self.out, "{}\n  {text}", if first { "[" } else { "," })?;
            }
            Kind::Lines => {
                let text = serde_json::to_string(&Record::new(file, engine, outcome))?;
                writeln!(self.out, "{text}")?;
            }
            Kind::Csv => {
                let mut writer = csv::Writer::from_writer(&mut self.out);
                if first {
                    writer.write_record(columns())?;
                }
                writer.write_record(row(file, outcome).iter().map(|cell| cell_text(cell).into_owned()))?;
                writer.flush()?;
            }
        }
        self.out.flush()
    }

    /// Closes what has to be closed.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if matches!(self.kind, Kind::Array) {
            writeln!(self.out, "{}", if self.printed == 0 { "[]" } else { "\n]" })?;
        }
        self.out.flush()
    }
}

/// All field keys of both cards, each once.
fn field_keys() -> impl Iterator<Item = FieldKey> {
    FieldKey::KTP.into_iter().chain(FieldKey::NPWP.into_iter().filter(|key| !FieldKey::KTP.contains(key)))
}

fn columns() -> Vec<&'static str> {
    let front = ["file", "type", "decision", "score", "retakeAdvised", "error"];
    front.into_iter().chain(field_keys().map(FieldKey::as_str)).collect()
}

fn row(file: &str, outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Failed { code, .. } => {
            let mut row = vec![file.to_owned()];
            row.resize(5, String::new());
            row.push((*code).to_owned());
            row.resize(columns().len(), String::new());
            row
        }
        Outcome::Read(scanned) => {
            let assessment = &scanned.assessment;
            let mut row = vec![
                file.to_owned(),
                word(&assessment.document_type),
                word(&assessment.decision),
                assessment.score.to_string(),
                assessment.retake_advised.to_string(),
                String::new(),
            ];
            row.extend(
                field_keys()
                    .map(|key| assessment.fields.get(&key).map_or_else(String::new, |f| f.value.clone())),
            );
            row
        }
    }
}

/// What begins a formula for one spreadsheet or another.
const FORMULA: &[char] =
    &['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
/// Spreadsheets keep fifteen digits of a number and turn the rest into zeros; from twelve on they write powers of ten.
const NUMBER: usize = 11;

/// A cell as spreadsheets must read it: text that would run as a formula, and numbers that would be rounded, get a `'` in
/// front, which says "text" there and is to be taken off by programs (CWE-1236).
fn cell_text(text: &str) -> Cow<'_, str> {
    let long_number = text.len() > NUMBER && text.bytes().all(|b| b.is_ascii_digit());
    // A zero in front would be lost, too.
    let padded = text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if long_number || padded || text.trim_start_matches([' ', '\'', '"']).starts_with(FORMULA) {
        return Cow::Owned(format!("'{text}"));
    }
    Cow::Borrowed(text)
}

/// The name that JSON has for a value of a closed list.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreadsheets_neither_run_nor_round_a_cell() {
        for (text, cell) in [
            ("3171234567890123", "'3171234567890123"),
            ("092542943407000", "'092542943407000"),
            ("007", "'007"),
            ("=HYPERLINK(\"http://x.example\")", "'=HYPERLINK(\"http://x.example\")"),
            ("+62812", "'+62812"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            (" =1", "' =1"),
            ("'=1", "''=1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("BUDI SANTOSO", "BUDI SANTOSO"),
            ("09.254.294.3-407.000", "09.254.294.3-407.000"),
            ("17-08-1990", "17-08-1990"),
            ("95", "95"),
            ("0", "0"),
            ("", ""),
        ] {
            assert_eq!(cell_text(text), cell, "{text:?}");
        }
    }
}
