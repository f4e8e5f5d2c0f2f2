//! The whole pure path: a page, what was declared, the policy and the date → an assessment.

use std::collections::BTreeMap;

use filot_ocr::engine::{self, Error, OcrEngine, Region, Timing, View};
use filot_ocr::image::Photo;
use filot_ocr::page::{Frame, Framing, Quality};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::checks::{self, Category, Check, CheckCode, Outcome};
use crate::decide::{Decision, Policy, decide};
use crate::draft::{Draft, Round};
use crate::field::{Field, FieldKey, Fields, Source};
use crate::kind::{DeclaredType, DocumentType};
use crate::score;
use crate::typed::{canonical, typed};

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

/// What is kept of an assessment, as far as it takes to judge the card again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Recorded {
    #[serde(rename = "type")]
    pub document_type: DocumentType,
    pub fields: Fields,
    pub checks: Vec<RecordedCheck>,
    pub quality: Quality,
    pub framing: Framing,
}

/// How a check ended, without its sentences.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RecordedCheck {
    pub code: CheckCode,
    pub outcome: Outcome,
    #[serde(default)]
    pub fields: Vec<FieldKey>,
}

impl Recorded {
    /// The checks as they ended, with their sentences.
    pub fn with_sentences(&self) -> Vec<Check> {
        self.checks.iter().map(|check| Check::on(check.code, check.outcome, check.fields.clone())).collect()
    }
}

/// Judges a card again with what a person who looked at it says of its fields: a value as printed, or nothing where the
/// card has no such field. What the picture itself showed stays as it was.
pub fn reassess(
    recorded: &Recorded,
    said: &BTreeMap<FieldKey, String>,
    policy: &Policy,
    today: Date,
) -> Assessment {
    let mut fields = recorded.fields.clone();
    for (&key, value) in said {
        // Values of an earlier release may be none of the field's; the checks then say so.
        let value = typed(key, value).unwrap_or_else(|_| canonical(value));
        if value.is_empty() {
            fields.remove(&key);
            continue;
        }
        let before = fields.remove(&key);
        // The confidence is the reader's, who does not vouch for what somebody else says.
        let confidence =
            before.as_ref().filter(|field| field.value == value).map_or(0.0, |field| field.confidence);
        let (original, quad) = before.map(|field| (field.original, field.quad)).unwrap_or_default();
        let source = Source::Person;
        fields.insert(key, Field { value, original, confidence, quad, source, repairs: Vec::new() });
    }
    let document = recorded.document_type;
    // The number of a place of business is not kept; see below.
    let content = checks::Content { document, fields: &fields, nitku: None, policy, today };
    let mut checks = checks::of_content(&content);
    for old in &recorded.checks {
        let outcome = match old.code {
            code if code.is_of_picture() => old.outcome,
            // It was compared with a number that is not kept: it holds for the number it was compared with only.
            CheckCode::Npwp16Matches if said.contains_key(&FieldKey::Npwp16) => Outcome::NotRun,
            CheckCode::Npwp16Matches => old.outcome,
            _ => continue,
        };
        if checks.iter().all(|check| check.code != old.code) {
            checks.push(Check::on(old.code, outcome, old.fields.clone()));
        }
    }
    checks.sort_by_key(|check| check.code);
    conclude(document, fields, checks, recorded.quality.clone(), recorded.framing, policy)
}

/// Judges what was read. `today` decides ages, validity and the century of two-digit years.
pub fn assess(draft: &Draft, policy: &Policy, today: Date) -> Assessment {
    let document_type = draft.document_type();
    let fields = draft.fields();
    let checks = checks::run(draft, &fields, policy, today);
    let quality = draft.page.quality.clone();
    conclude(document_type, fields, checks, quality, draft.page.frame.framing, policy)
}

fn conclude(
    document_type: DocumentType,
    fields: Fields,
    checks: Vec<Check>,
    quality: Quality,
    framing: Framing,
    policy: &Policy,
) -> Assessment {
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
        quality,
        framing,
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
        // A page with two cards may be all that there is; a person sees which one is meant.
        CheckCode::SeveralCards => false,
        _ => check.category == Category::Quality && check.outcome != Outcome::NotRun,
    })
}

/// An assessment and what it took to get there.
pub struct Reading {
    pub assessment: Assessment,
    /// CPU milliseconds by stage of the reading that counts; whether the card was searched is told of the first.
    pub timing: Timing,
    /// How many regions were read a second time or more often.
    pub reread: usize,
    /// Where the card, or its text, lies in the photo.
    pub frame: Frame,
    /// What was read at first, from top to bottom, as plain text. Personal data: it belongs in no log.
    pub text: String,
}

/// Directions of text that are tried for a card of which much is missing.
const DIRECTIONS: usize = 2;

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
    let (mut reading, mut draft) = looked_at(engine, engine.read(photo)?, declared)?;
    let searched = reading.timing.searched;
    let mut beside = false;
    if let Some(other) = engine.read_another(photo, &reading)? {
        let (other, second) = looked_at(engine, other, declared)?;
        let (one, two) = (draft.document_type(), second.document_type());
        let is_wanted =
            |found| declared.document().map_or(found != DocumentType::Other, |wanted| found == wanted);
        if !is_wanted(one) && is_wanted(two) {
            (reading, draft) = (other, second);
        } else {
            beside = one == two && second.is_clear();
        }
    }
    // Perhaps not the card's edge but a screen's, a sheet's or a column of text was taken for the outline; or the card lies
    // on a page whose text runs another way.
    let first = usize::from(reading.page.frame.framing != Framing::Card);
    let is_located = reading.located.is_some() && draft.document_type() != DocumentType::Other;
    for direction in first..DIRECTIONS {
        if !draft.misses_much() || is_located {
            break;
        }
        let Some(other) = engine.read_by_text(photo, &reading, direction)? else { break };
        let (other, second) = looked_at(engine, other, declared)?;
        if second.promise() > draft.promise() {
            (reading, draft) = (other, second);
        }
    }
    if let Some(corners) = draft.corners()
        && let Some(other) = engine.read_at(photo, &corners)?
    {
        let (other, second) = looked_at(engine, other, declared)?;
        if second.promise() > draft.promise() {
            (reading, draft) = (other, second);
        }
    }
    // The corners of a card that was located say so; where none was, a second look at nonsense does.
    let mut frame = reading.is_mirrored().then(|| reading.page.frame.clone());
    if draft.may_be_mirrored() {
        let mirror = photo.mirrored();
        let (other, second) = looked_at(engine, engine.read(&mirror)?, declared)?;
        if second.is_clear() {
            frame = Some(other.page.frame.mirrored(photo));
            (reading, draft) = (other, second);
        }
    }
    let mut reread = 0;
    for round in Round::ALL {
        let weak = draft.weak_regions(round);
        if weak.is_empty() {
            break;
        }
        reread = reread.max(weak.len());
        let regions: Vec<Region> = weak.iter().map(|(_, region)| *region).collect();
        let lines = engine.reread(&reading, &regions)?;
        draft.merge(weak.iter().map(|(key, _)| *key).zip(lines).collect());
    }
    if draft.document_type() != DocumentType::Other {
        draft.look_across(engine.large_text(&reading)?);
    }
    if beside {
        draft.set_several();
    }
    if let Some(frame) = &frame {
        draft.set_mirrored(frame.clone());
    }
    let assessment = assess(&draft, policy, today);
    Ok(Reading {
        assessment,
        timing: Timing { searched, ..reading.timing },
        reread,
        frame: frame.unwrap_or_else(|| reading.page.frame.clone()),
        text: reading.page.text(),
    })
}

/// The draft of a reading; of a poor one with what stands where the card's rows must be.
fn looked_at(
    engine: &dyn OcrEngine,
    reading: engine::Reading,
    declared: DeclaredType,
) -> Result<(engine::Reading, Draft), Error> {
    let mut draft = Draft::new(&reading.page, declared);
    for view in [View::Plain, View::Even, View::Smooth] {
        let Some(rows) = draft.grid(&reading, view) else { break };
        let Some(lines) = engine.read_rows(&reading, &rows)? else { break };
        draft.merge_grid(lines);
    }
    Ok((reading, draft))
}

#[cfg(test)]
mod tests {
    use filot_ocr::page::Quad;

    use super::*;

    fn field(value: &str, confidence: f32) -> Field {
        Field {
            value: value.into(),
            original: value.into(),
            confidence,
            quad: Quad::default(),
            source: Source::First,
            repairs: Vec::new(),
        }
    }

    /// An invented person whose sex was misread.
    fn recorded() -> Recorded {
        let values = [
            (FieldKey::Nik, "3171014501900003"),
            (FieldKey::Name, "SITI CONTOH"),
            (FieldKey::BirthPlace, "JAKARTA"),
            (FieldKey::BirthDate, "1990-01-05"),
            (FieldKey::Gender, "LAKI-LAKI"),
            (FieldKey::Address, "JL MELATI NO 1"),
            (FieldKey::RtRw, "001/002"),
            (FieldKey::Village, "GAMBIR"),
            (FieldKey::District, "GAMBIR"),
            (FieldKey::Religion, "ISLAM"),
            (FieldKey::MaritalStatus, "KAWIN"),
            (FieldKey::Occupation, "KARYAWAN SWASTA"),
            (FieldKey::Nationality, "WNI"),
            (FieldKey::ValidUntil, "SEUMUR HIDUP"),
            (FieldKey::Province, "DKI JAKARTA"),
            (FieldKey::Regency, "KOTA JAKARTA PUSAT"),
        ];
        let fields = values.into_iter().map(|(key, value)| (key, field(value, 0.97))).collect();
        let check = |code| RecordedCheck { code, outcome: Outcome::Pass, fields: Vec::new() };
        Recorded {
            document_type: DocumentType::Ktp,
            fields,
            checks: vec![check(CheckCode::DocumentType), check(CheckCode::Overprint)],
            quality: Quality::default(),
            framing: Framing::Card,
        }
    }

    fn outcome(assessment: &Assessment, code: CheckCode) -> Option<Outcome> {
        assessment.checks.iter().find(|check| check.code == code).map(|check| check.outcome)
    }

    #[test]
    fn what_a_person_says_is_checked_and_scored_again() {
        let (policy, today) = (Policy::default(), jiff::civil::date(2026, 11, 23));
        let recorded = recorded();
        let before = reassess(&recorded, &BTreeMap::new(), &policy, today);
        assert_eq!(outcome(&before, CheckCode::NikMatchesGender), Some(Outcome::Fail));
        assert_ne!(before.decision, Decision::AutoApprove);

        let said = BTreeMap::from([(FieldKey::Gender, " perempuan".to_owned())]);
        let after = reassess(&recorded, &said, &policy, today);
        assert_eq!(outcome(&after, CheckCode::NikMatchesGender), Some(Outcome::Pass));
        assert!(after.score > before.score, "{} {}", before.score, after.score);
        let gender = &after.fields[&FieldKey::Gender];
        assert_eq!((gender.value.as_str(), gender.original.as_str()), ("PEREMPUAN", "LAKI-LAKI"));
        assert_eq!(
            (gender.confidence, gender.source),
            (0.0, Source::Person),
            "the reader does not vouch for it"
        );
        let sum: i16 = after.ledger.iter().map(|line| line.points).sum();
        assert_eq!(sum, i16::from(after.score));
    }

    #[test]
    fn what_the_picture_showed_stays_and_a_field_may_be_taken_away() {
        let (policy, today) = (Policy::default(), jiff::civil::date(2026, 11, 23));
        let mut recorded = recorded();
        recorded.checks[1].outcome = Outcome::Fail;
        let said =
            BTreeMap::from([(FieldKey::Gender, "PEREMPUAN".into()), (FieldKey::Name, "  ".to_owned())]);
        let after = reassess(&recorded, &said, &policy, today);
        assert_eq!(outcome(&after, CheckCode::Overprint), Some(Outcome::Fail));
        assert_eq!(outcome(&after, CheckCode::RequiredFields), Some(Outcome::Fail));
        assert!(!after.fields.contains_key(&FieldKey::Name));
        assert_ne!(after.decision, Decision::AutoApprove);
    }

    #[test]
    fn typed_values_are_held_against_each_other_like_read_ones() {
        let (policy, today) = (Policy::default(), jiff::civil::date(2026, 11, 23));
        let said = |key, value: &str| BTreeMap::from([(key, value.to_owned())]);
        let outcome_of = |said, code| outcome(&reassess(&recorded(), &said, &policy, today), code);
        let born = |value| outcome_of(said(FieldKey::BirthDate, value), CheckCode::NikMatchesBirthDate);
        assert_eq!(born("05-01-1990"), Some(Outcome::Pass));
        assert_eq!(born("06/01/1990"), Some(Outcome::Warn), "as after a correction");
        assert_eq!(born("06/02/1990"), Some(Outcome::Fail));
        // As it may be stored of an earlier release.
        assert_eq!(born("31-02-1990"), Some(Outcome::NotRun));
        assert!(CheckCode::NikMatchesBirthDate.is_needed() && CheckCode::BirthDate.is_needed());
        let other = said(FieldKey::Nik, "3171014501910003");
        assert_eq!(outcome_of(other, CheckCode::NikMatchesBirthDate), Some(Outcome::Warn));
        // To confirm a reading keeps what the reader thought of it.
        let name = &reassess(&recorded(), &said(FieldKey::Name, "siti contoh"), &policy, today).fields
            [&FieldKey::Name];
        assert_eq!((name.confidence, name.source), (0.97, Source::Person));
    }

    #[test]
    fn an_assessment_as_it_is_stored_can_be_judged_again() {
        let (policy, today) = (Policy::default(), jiff::civil::date(2026, 11, 23));
        let first = reassess(&recorded(), &BTreeMap::new(), &policy, today);
        let stored = serde_json::to_string(&first).unwrap();
        let again = reassess(&serde_json::from_str(&stored).unwrap(), &BTreeMap::new(), &policy, today);
        assert_eq!(again, first);
    }
}
