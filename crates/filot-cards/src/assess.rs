//! The whole pure path: a page, what was declared, the policy and the date → an assessment.

use filot_ocr::engine::{Error, OcrEngine, Region, Timing};
use filot_ocr::image::Photo;
use filot_ocr::page::{Frame, Framing, Quality};
use jiff::civil::Date;
use serde::Serialize;

use crate::checks::Check;
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
    let _ = today;
    Assessment {
        document_type: draft.document_type(),
        fields: draft.fields(),
        score: 0,
        decision: decide(0, policy),
        retake_advised: false,
        checks: Vec::new(),
        ledger: Vec::new(),
        quality: draft.quality.clone(),
        framing: draft.frame.framing,
    }
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
    let reading = engine.read(photo)?;
    let mut draft = Draft::new(&reading.page, declared);
    let weak = draft.weak_regions();
    if !weak.is_empty() {
        let regions: Vec<Region> = weak.iter().map(|(_, region)| *region).collect();
        let lines = engine.reread(&reading, &regions)?;
        draft.merge(weak.iter().map(|(key, _)| *key).zip(lines).collect());
    }
    Ok(Reading {
        assessment: assess(&draft, policy, today),
        timing: reading.timing,
        reread: weak.len(),
        frame: reading.page.frame.clone(),
    })
}
