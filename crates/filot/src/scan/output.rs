//! Results as JSON, a stream of JSON, CSV, or a table.

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
                writer.write_record(row(file, outcome))?;
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

/// The name that JSON has for a value of a closed list.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}
