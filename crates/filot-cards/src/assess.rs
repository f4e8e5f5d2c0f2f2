//! The whole pure path: a page, what was declared, the policy and the date → an assessment.

use filot_ocr::engine::{Error, OcrEngine, Region, Timing};
use filot_ocr::image::Photo;
use filot_ocr::page::{Frame, Framing, Quality};
use jiff::civil::Date;
use serde::Serialize;

use crate::checks::{self, Category, Check, CheckCode, Outcome};
use crate::decide::{Decision, Policy, decide};
use crate::draft::Draft;
use crate::field::Fields;
use crate::kind::{DeclaredType, DocumentType};
use crate::score;

/// Everything FiLot has to say about one photo.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assessment {
    #[serde(rename = "type")]
    pub document_type: DocumentType,
    /// Only the fields that were found.
    pub fields: Fields,
    /// 0..=100, the sum of `ledger`.
    pub score: u8,
    pub decision: Decision,
    /// A better photo would probably help.
    pub retake_advised: bool,
    pub checks: Vec<Check>,
    pub ledger: Vec<score::Line>,
    pub quality: Quality,
    /// How the page's coordinates came to be.
    pub framing: Framing,
}

/// Judges what was read. `today` decides ages, validity and the century of two-digit years.
pub fn assess(draft: &Draft, policy: &Policy, today: Date) -> Assessment {
    let document_type = draft.document_type();
    let fields = draft.fields();
    let checks = checks::run(draft, &fields, policy, today);
    let (score, ledger) = score::score(document_type, &fields, &checks, policy);
    let decision = decide(score, policy);
    Assessment {
        document_type,
        score,
        decision,
        retake_advised: decision == Decision::NeedsReview && retake_would_help(&checks),
        fields,
        checks,
        ledger,
        quality: draft.page.quality.clone(),
        framing: draft.page.frame.framing,
    }
}

/// Whether what stands against the card is the picture rather than the card.
fn retake_would_help(checks: &[Check]) -> bool {
    let wanting = |check: &Check| check.outcome != Outcome::Pass;
    checks.iter().filter(|check| wanting(check)).any(|check| match check.code {
        CheckCode::DeclaredType
        | CheckCode::RequiredFields
        | CheckCode::FieldConfidence
        | CheckCode::NumberRepaired
        | CheckCode::DocumentType
        | CheckCode::Photocopy
        | CheckCode::Screen => true,
        _ => check.category == Category::Quality && check.outcome != Outcome::NotRun,
    })
}

/// An assessment and what it took to get there.
pub struct Reading {
    pub assessment: Assessment,
    /// CPU milliseconds by stage of the first reading.
    pub timing: Timing,
    /// How many regions were read a second time.
    pub reread: usize,
    /// Where the card, or its text, lies in the photo.
    pub frame: Frame,
    /// What was read at first, from top to bottom, as plain text. Personal data: it belongs in no log.
    pub text: String,
}

/// Reads a photo, reads its weak places again, and judges the result.
///
/// # Errors
/// Whatever the engine reports; a photo without text is no error but an assessment of type `OTHER`.
pub fn read_card(
    engine: &dyn OcrEngine,
    photo: &Photo,
    declared: DeclaredType,
    policy: &Policy,
    today: Date,
) -> Result<Reading, Error> {
    let mut reading = engine.read(photo)?;
    let mut draft = Draft::new(&reading.page, declared);
    if reading.page.frame.framing == Framing::Card && draft.misses_much() {
        // Perhaps not the card's edge but a screen's, a sheet's or a column of text was taken for the outline.
        if let Some(other) = engine.read_by_text(photo)? {
            let second = Draft::new(&other.page, declared);
            if second.fields().len() > draft.fields().len() {
                (reading, draft) = (other, second);
            }
        }
    }
    let weak = draft.weak_regions();
    if !weak.is_empty() {
        let regions: Vec<Region> = weak.iter().map(|(_, region)| *region).collect();
        let lines = engine.reread(&reading, &regions)?;
        draft.merge(weak.iter().map(|(key, _)| *key).zip(lines).collect());
    }
    if draft.document_type() != DocumentType::Other {
        draft.look_across(engine.large_text(&reading)?);
    }
    let assessment = assess(&draft, policy, today);
    Ok(Reading {
        assessment,
        timing: reading.timing,
        reread: weak.len(),
        frame: reading.page.frame.clone(),
        text: reading.page.text(),
    })
}
