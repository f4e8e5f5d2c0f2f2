//! Results for people: one card in full, many cards as rows.

use std::io::{self, Write};

use filot_cards::assess::Assessment;
use filot_cards::checks::{Check, Outcome as CheckOutcome};
use filot_cards::decide::Decision;
use filot_cards::field::FieldKey;

use super::inputs::Input;
use super::output::word;
use super::{Outcome, Scanned};

/// Longest file name that is shown in full.
const MAX_NAME: usize = 36;

pub(super) struct Table {
    /// Width of the column of file names; 0 for one card in full.
    names: usize,
    colour: bool,
}

#[derive(Clone, Copy)]
enum Tone {
    Good,
    Doubtful,
    Bad,
    Faint,
}

impl Table {
    pub(super) fn new(inputs: &[Input], single: bool, colour: bool) -> Self {
        let longest = inputs.iter().map(|input| input.name().chars().count()).max().unwrap_or(0);
        Self { names: if single { 0 } else { longest.clamp(4, MAX_NAME) }, colour }
    }

    pub(super) fn head(&self, out: &mut impl Write) -> io::Result<()> {
        if self.names == 0 {
            return Ok(());
        }
        let line = format!(
            "{:w$}  TYPE   NUMBER            NAME                      SCORE  DECISION   MS  WHY",
            "FILE",
            w = self.names
        );
        writeln!(out, "{}", self.toned(Tone::Faint, &line))
    }

    pub(super) fn row(&self, out: &mut impl Write, file: &str, outcome: &Outcome) -> io::Result<()> {
        match outcome {
            Outcome::Failed { code, message, .. } if self.names > 0 => {
                let name = shortened(file, self.names);
                writeln!(out, "{name:w$}  {} {message}", self.toned(Tone::Bad, code), w = self.names)
            }
            Outcome::Failed { code, message, .. } => {
                writeln!(out, "{file}: {} {message}", self.toned(Tone::Bad, code))
            }
            Outcome::Read(scanned) if self.names > 0 => self.brief(out, file, scanned),
            Outcome::Read(scanned) => self.full(out, file, scanned),
        }
    }

    fn brief(&self, out: &mut impl Write, file: &str, scanned: &Scanned) -> io::Result<()> {
        let assessment = &scanned.assessment;
        let value = |key: FieldKey| assessment.fields.get(&key).map(|field| field.value.as_str());
        let number = value(FieldKey::Nik).or(value(FieldKey::Npwp16)).or(value(FieldKey::NpwpNumber));
        let (tone, decision) = decision(assessment.decision);
        writeln!(
            out,
            "{:w$}  {:5}  {:16}  {:24}  {:>5}  {}  {:>4.0}  {}",
            shortened(file, self.names),
            word(&assessment.document_type),
            number.unwrap_or("-"),
            value(FieldKey::Name).unwrap_or("-").chars().take(24).collect::<String>(),
            assessment.score,
            self.toned(tone, &format!("{decision:8}")),
            scanned.took.as_secs_f32() * 1000.0,
            reasons(assessment).map(|check| word(&check.code)).collect::<Vec<_>>().join(" "),
            w = self.names
        )
    }

    fn full(&self, out: &mut impl Write, file: &str, scanned: &Scanned) -> io::Result<()> {
        let assessment = &scanned.assessment;
        let (tone, decision) = decision(assessment.decision);
        writeln!(
            out,
            "{file}: {}, score {} of 100: {}  ({:.0} ms)\n",
            word(&assessment.document_type),
            assessment.score,
            self.toned(tone, decision),
            scanned.took.as_secs_f32() * 1000.0
        )?;
        for (key, field) in &assessment.fields {
            let tone = match field.confidence {
                c if c >= 0.9 => Tone::Good,
                c if c >= 0.7 => Tone::Doubtful,
                _ => Tone::Bad,
            };
            let sure = self.toned(tone, &format!("{:3.0} %", field.confidence * 100.0));
            write!(out, "  {:15} {sure}  {}", key.as_str(), field.value)?;
            if !field.repairs.is_empty() {
                let repairs: Vec<_> = field.repairs.iter().map(word).collect();
                let note = format!("  (read {}: {})", field.original, repairs.join(", "));
                write!(out, "{}", self.toned(Tone::Faint, &note))?;
            }
            writeln!(out)?;
        }
        let mut reasons = reasons(assessment).peekable();
        if reasons.peek().is_some() {
            writeln!(out)?;
        }
        for check in reasons {
            let tone = if check.outcome == CheckOutcome::Warn { Tone::Doubtful } else { Tone::Bad };
            writeln!(out, "  {}: {}", self.toned(tone, &word(&check.code)), check.officer.en)?;
        }
        if assessment.retake_advised {
            writeln!(out, "\n  A better photo would probably help.")?;
        }
        Ok(())
    }

    fn toned(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => 32,
            Tone::Doubtful => 33,
            Tone::Bad => 31,
            Tone::Faint => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The checks that speak against the card, failures first.
fn reasons(assessment: &Assessment) -> impl Iterator<Item = &Check> {
    let of = |wanted: CheckOutcome| assessment.checks.iter().filter(move |check| check.outcome == wanted);
    of(CheckOutcome::Fail).chain(of(CheckOutcome::NotRun)).chain(of(CheckOutcome::Warn))
}

fn decision(decision: Decision) -> (Tone, &'static str) {
    match decision {
        Decision::AutoApprove => (Tone::Good, "approved"),
        Decision::NeedsReview => (Tone::Doubtful, "review"),
        Decision::AutoReject => (Tone::Bad, "rejected"),
    }
}

/// The end of a long name: folders say less than the file's own name.
fn shortened(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    format!("…{}", name.chars().skip(length - width + 1).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(shortened("abc.jpg", 7), "abc.jpg");
        assert_eq!(shortened("folder/abc.jpg", 8), "…abc.jpg");
    }
}
