//! From fields and checks to a score between 0 and 100, as a ledger that sums to it.
//!
//! Sixty points for what was read, forty for what holds, deductions for what is odd. Then caps: what must not be approved
//! cannot reach the approval threshold, what is not the card falls below the rejection threshold; and a floor: a card of
//! the right kind that is only hard to read is not rejected.

use serde::Serialize;

use crate::checks::{Check, CheckCode, Outcome};
use crate::decide::Policy;
use crate::field::{FieldKey, Fields};
use crate::kind::DocumentType;

/// What a line of the ledger stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A field is there.
    Completeness,
    /// A check holds.
    Format,
    /// A check found something that costs points.
    Deduction,
    /// A failed check allows no more than this.
    Cap,
    /// A card of the right kind that is only hard to read is not rejected.
    Floor,
}

/// What a line of the ledger is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Subject {
    Field(FieldKey),
    Check(CheckCode),
}

/// One signed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub kind: Kind,
    pub subject: Subject,
    pub points: i16,
}

/// What a check's outcome does to the score besides the points for passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    Deduct(i16),
    /// Not to be approved without a person.
    NoApproval,
    /// Not the card.
    Reject,
}

/// Points for a field that was read; 60 per document.
fn completeness(document: DocumentType, fields: &Fields) -> Vec<(FieldKey, i16)> {
    const KTP: [(FieldKey, i16); 16] = [
        (FieldKey::Nik, 12),
        (FieldKey::Name, 10),
        (FieldKey::BirthPlace, 3),
        (FieldKey::BirthDate, 8),
        (FieldKey::Gender, 4),
        (FieldKey::Address, 6),
        (FieldKey::RtRw, 2),
        (FieldKey::Village, 2),
        (FieldKey::District, 2),
        (FieldKey::Religion, 2),
        (FieldKey::MaritalStatus, 2),
        (FieldKey::Occupation, 2),
        (FieldKey::Nationality, 2),
        (FieldKey::ValidUntil, 1),
        (FieldKey::Province, 1),
        (FieldKey::Regency, 1),
    ];
    let npwp = |number| {
        [
            (number, 20),
            (FieldKey::Name, 14),
            (FieldKey::Address, 10),
            (FieldKey::TaxOffice, 8),
            (FieldKey::RegisteredDate, 8),
        ]
    };
    match document {
        DocumentType::Ktp => KTP.to_vec(),
        // The new card may carry the 16-digit number only.
        DocumentType::Npwp if fields.contains_key(&FieldKey::NpwpNumber) => {
            npwp(FieldKey::NpwpNumber).to_vec()
        }
        DocumentType::Npwp => npwp(FieldKey::Npwp16).to_vec(),
        DocumentType::Other => Vec::new(),
    }
}

/// Points for a check that holds; 40 per document.
fn format(document: DocumentType, code: CheckCode) -> i16 {
    match (document, code) {
        (DocumentType::Ktp, CheckCode::NikFormat) => 10,
        (
            DocumentType::Ktp,
            CheckCode::NikProvince | CheckCode::NikBirthDate | CheckCode::NikMatchesGender,
        ) => 4,
        (DocumentType::Ktp, CheckCode::NikMatchesBirthDate) => 6,
        (DocumentType::Ktp, CheckCode::NikRegion | CheckCode::NikSerial | CheckCode::RegionNames) => 2,
        (DocumentType::Ktp, CheckCode::BirthDate | CheckCode::Vocabulary) => 3,
        (DocumentType::Npwp, CheckCode::NpwpFormat) => 15,
        (DocumentType::Npwp, CheckCode::NpwpCheckDigit) => 20,
        (DocumentType::Npwp, CheckCode::RegisteredDate) => 5,
        _ => 0,
    }
}

fn effect(code: CheckCode, outcome: Outcome) -> Effect {
    use CheckCode::*;
    match (code, outcome) {
        (_, Outcome::Pass) => Effect::None,
        (DocumentType | TypedForm, Outcome::Fail) => Effect::Reject,
        (DocumentType, _) => Effect::NoApproval,
        (DeclaredType | TypedForm | SeveralCards | CardLayout | Overprint | Mirrored, _) => {
            Effect::NoApproval
        }
        (Photocopy | CardComplete, Outcome::Fail) | (Screen, _) => Effect::NoApproval,
        (Photocopy, Outcome::Warn) => Effect::Deduct(4),
        (CardComplete | Resolution | Sharpness | Glare | Darkness, Outcome::Warn | Outcome::Fail) => {
            Effect::Deduct(2)
        }
        // Measured numbers may be missing; what they would show, the reading itself shows.
        (Photocopy | CardComplete | Resolution | Sharpness | Glare | Darkness, Outcome::NotRun) => {
            Effect::None
        }
        (Legibility | RequiredFields | FieldConfidence | NumberRepaired, _) => Effect::NoApproval,
        (NumberOfZeros | CitizenAbroad | BirthDateCorrected | SpouseNumber, _) => Effect::NoApproval,
        (NikRegion | NikMatchesRegion | RegionNames, Outcome::Warn) => Effect::Deduct(2),
        (NikMatchesRegion | RegionNames, _) => Effect::Deduct(2),
        (NikFormat | NikProvince | NikRegion | NikBirthDate | NikSerial, _) => Effect::NoApproval,
        (NikMatchesBirthDate | NikMatchesGender | BirthDate | Age | Validity | Vocabulary, _) => {
            Effect::NoApproval
        }
        (NpwpFormat | NpwpCheckDigit | Npwp16Matches | RegisteredDate, _) => Effect::NoApproval,
        (SecondReading, _) => Effect::None,
    }
}

impl CheckCode {
    /// Whether a card counts as checked only if this could run. Measured numbers may be missing: what they would show, the
    /// reading itself shows.
    pub fn is_needed(self) -> bool {
        effect(self, Outcome::NotRun) != Effect::None
    }
}

/// The score and the lines that sum to it.
pub(crate) fn score(
    document: DocumentType,
    fields: &Fields,
    checks: &[Check],
    policy: &Policy,
) -> (u8, Vec<Line>) {
    let mut lines = Vec::new();
    for (key, points) in completeness(document, fields) {
        if fields.contains_key(&key) {
            lines.push(Line { kind: Kind::Completeness, subject: Subject::Field(key), points });
        }
    }
    for check in checks {
        let points = format(document, check.code);
        if check.outcome == Outcome::Pass && points > 0 {
            lines.push(Line { kind: Kind::Format, subject: Subject::Check(check.code), points });
        }
        if let Effect::Deduct(points) = effect(check.code, check.outcome) {
            lines.push(Line { kind: Kind::Deduction, subject: Subject::Check(check.code), points: -points });
        }
    }
    let mut total: i16 = lines.iter().map(|line| line.points).sum();
    let mut move_to = |kind: Kind, code: CheckCode, target: i16, total: &mut i16| {
        if *total != target {
            lines.push(Line { kind, subject: Subject::Check(code), points: target - *total });
            *total = target;
        }
    };
    let mut rejected = false;
    for check in checks {
        let cap = match effect(check.code, check.outcome) {
            Effect::None | Effect::Deduct(_) => continue,
            Effect::NoApproval => policy.review_cap(),
            Effect::Reject => {
                rejected = true;
                policy.reject_cap()
            }
        };
        if total > i16::from(cap) {
            move_to(Kind::Cap, check.code, i16::from(cap), &mut total);
        }
    }
    let floor = if rejected { 0 } else { i16::from(policy.review_floor()) };
    if total < floor {
        move_to(Kind::Floor, CheckCode::DocumentType, floor, &mut total);
    }
    (u8::try_from(total.clamp(0, 100)).unwrap_or(0), lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_points_for_fields_and_forty_for_checks() {
        let mut fields = Fields::new();
        for document in [DocumentType::Ktp, DocumentType::Npwp] {
            let sum: i16 = completeness(document, &fields).iter().map(|entry| entry.1).sum();
            assert_eq!(sum, 60);
            let sum: i16 = CheckCode::all().iter().map(|code| format(document, *code)).sum();
            assert_eq!(sum, 40);
        }
        fields.clear();
    }

    #[test]
    fn only_what_is_not_the_card_rejects() {
        let rejecting: Vec<CheckCode> = CheckCode::all()
            .iter()
            .copied()
            .filter(|code| {
                [Outcome::Warn, Outcome::Fail, Outcome::NotRun]
                    .iter()
                    .any(|o| effect(*code, *o) == Effect::Reject)
            })
            .collect();
        assert_eq!(rejecting, [CheckCode::DocumentType, CheckCode::TypedForm]);
    }

    #[test]
    fn whatever_fails_prevents_approval_or_costs_points() {
        for code in CheckCode::all() {
            assert_eq!(effect(*code, Outcome::Pass), Effect::None);
            if *code != CheckCode::SecondReading {
                assert_ne!(effect(*code, Outcome::Fail), Effect::None, "{code:?}");
            }
        }
    }
}
