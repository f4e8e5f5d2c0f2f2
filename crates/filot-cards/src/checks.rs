//! What is looked at before a card is believed, and how each look is reported.

mod cards;
mod document;
mod messages;
mod overprint;
mod person;
mod picture;
mod tax;

use filot_ocr::page::Page;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::decide::Policy;
use crate::draft::{Draft, Round};
use crate::field::{Field, FieldKey, Fields, Repair, Source};
use crate::kind::DocumentType;

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The picture.
    Quality,
    /// What the card says.
    Semantic,
    /// Whether it is a card, and the declared one.
    Fraud,
    /// Whether FiLot could do its work.
    System,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    /// Noted; what it costs is up to the score.
    Warn,
    Fail,
    /// What it needs was not legible. A required check that did not run prevents approval.
    NotRun,
}

/// One sentence in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// Bahasa Indonesia.
    pub id: &'static str,
    /// English.
    pub en: &'static str,
}

/// One check and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub code: CheckCode,
    pub category: Category,
    pub outcome: Outcome,
    /// The fields it found wanting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldKey>,
    /// For whoever sent the photo: what to do, never a suspicion.
    pub customer: Sentence,
    /// For whoever reviews it: what was found.
    pub officer: Sentence,
}

/// Stable names of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckCode {
    DocumentType,
    DeclaredType,
    TypedForm,
    SeveralCards,
    CardLayout,
    Overprint,
    Photocopy,
    Screen,
    Mirrored,
    CardComplete,
    Resolution,
    Sharpness,
    Glare,
    Darkness,
    Legibility,
    RequiredFields,
    FieldConfidence,
    NumberRepaired,
    NumberOfZeros,
    CitizenAbroad,
    NikFormat,
    NikProvince,
    NikRegion,
    NikBirthDate,
    NikSerial,
    NikMatchesBirthDate,
    BirthDateCorrected,
    NikMatchesGender,
    NikMatchesRegion,
    BirthDate,
    Age,
    Validity,
    Vocabulary,
    RegionNames,
    NpwpFormat,
    NpwpCheckDigit,
    Npwp16Matches,
    SpouseNumber,
    RegisteredDate,
    SecondReading,
}

impl CheckCode {
    /// All codes, in the order of results.
    pub fn all() -> &'static [CheckCode] {
        messages::ALL
    }

    /// Whether it looks at the picture, or at how it was read, rather than at what the fields say.
    pub(crate) fn is_of_picture(self) -> bool {
        use CheckCode::*;
        matches!(
            self,
            DocumentType
                | DeclaredType
                | TypedForm
                | SeveralCards
                | CardLayout
                | Overprint
                | Photocopy
                | Screen
                | Mirrored
                | CardComplete
                | Resolution
                | Sharpness
                | Glare
                | Darkness
                | SecondReading
        )
    }
}

impl Check {
    fn new(code: CheckCode, outcome: Outcome) -> Self {
        Self::on(code, outcome, Vec::new())
    }

    pub(crate) fn on(code: CheckCode, outcome: Outcome, fields: Vec<FieldKey>) -> Self {
        let (customer, officer) = messages::sentences(code, outcome);
        Self { code, category: messages::category(code), outcome, fields, customer, officer }
    }
}

/// Everything that a check of the picture may look at.
struct Case<'a> {
    draft: &'a Draft,
    page: &'a Page,
    document: DocumentType,
}

/// Everything that a check of what the card says may look at.
pub(crate) struct Content<'a> {
    pub(crate) document: DocumentType,
    pub(crate) fields: &'a Fields,
    /// The 22-digit number of a place of business, if the card carries one.
    pub(crate) nitku: Option<String>,
    pub(crate) policy: &'a Policy,
    pub(crate) today: Date,
}

impl Content<'_> {
    fn field(&self, key: FieldKey) -> Option<&Field> {
        self.fields.get(&key)
    }

    fn value(&self, key: FieldKey) -> Option<&str> {
        self.field(key).map(|field| field.value.as_str())
    }

    fn date(&self, key: FieldKey) -> Option<Date> {
        self.value(key)?.parse().ok()
    }
}

/// `Pass` if it holds, else `otherwise`; `NotRun` where it could not be told.
fn holds(verdict: Option<bool>, otherwise: Outcome) -> Outcome {
    match verdict {
        Some(true) => Outcome::Pass,
        Some(false) => otherwise,
        None => Outcome::NotRun,
    }
}

/// All checks that apply to the document.
pub(crate) fn run(draft: &Draft, fields: &Fields, policy: &Policy, today: Date) -> Vec<Check> {
    let case = Case { draft, page: &draft.page, document: draft.document_type() };
    let mut checks = document::checks(&case);
    checks.extend(picture::checks(&case));
    if case.document != DocumentType::Other {
        checks.push(second_reading(draft));
    }
    let content = Content { document: case.document, fields, nitku: draft.nitku(), policy, today };
    checks.extend(of_content(&content));
    checks.sort_by_key(|check| check.code);
    checks
}

/// The checks of what the card says.
pub(crate) fn of_content(content: &Content<'_>) -> Vec<Check> {
    match content.document {
        DocumentType::Ktp => {
            let mut checks = reading(content, &KTP_REQUIRED, &KTP_CRITICAL);
            checks.extend(person::checks(content));
            checks
        }
        DocumentType::Npwp => {
            let mut checks = reading(content, &NPWP_REQUIRED, &NPWP_CRITICAL);
            checks.extend(tax::checks(content));
            checks
        }
        DocumentType::Other => Vec::new(),
    }
}

/// Whether weak places were read a second time.
fn second_reading(draft: &Draft) -> Check {
    let outcome = match (draft.reread(), draft.weak_regions(Round::Second).is_empty()) {
        (true, _) | (false, true) => Outcome::Pass,
        (false, false) => Outcome::NotRun,
    };
    Check::new(CheckCode::SecondReading, outcome)
}

/// Fields without which a KTP is not approved. The blood type is often not printed.
const KTP_REQUIRED: [FieldKey; 16] = [
    FieldKey::Nik,
    FieldKey::Name,
    FieldKey::BirthPlace,
    FieldKey::BirthDate,
    FieldKey::Gender,
    FieldKey::Address,
    FieldKey::RtRw,
    FieldKey::Village,
    FieldKey::District,
    FieldKey::Religion,
    FieldKey::MaritalStatus,
    FieldKey::Occupation,
    FieldKey::Nationality,
    FieldKey::ValidUntil,
    FieldKey::Province,
    FieldKey::Regency,
];
/// Of them those that say who a person is: they must be read with the policy's confidence.
const KTP_CRITICAL: [FieldKey; 4] = [FieldKey::Nik, FieldKey::Name, FieldKey::BirthDate, FieldKey::Gender];

/// Fields without which an NPWP card is not approved; its number is looked at by its own check.
const NPWP_REQUIRED: [FieldKey; 4] =
    [FieldKey::Name, FieldKey::Address, FieldKey::TaxOffice, FieldKey::RegisteredDate];
const NPWP_CRITICAL: [FieldKey; 4] = [FieldKey::NpwpNumber, FieldKey::Npwp16, FieldKey::Nik, FieldKey::Name];

/// Fields that are not critical must still be more right than wrong.
const MIN_CONFIDENCE: f32 = 0.5;
/// Corrections of a critical number that only the agreement with other fields supports.
const DEDUCED: [Repair; 5] =
    [Repair::NikPerson, Repair::NikRegion, Repair::CheckDigit, Repair::SameNumber, Repair::Date];

/// Whether enough was read, and surely enough.
fn reading(case: &Content<'_>, required: &[FieldKey], critical: &[FieldKey]) -> Vec<Check> {
    let missing: Vec<FieldKey> = required.iter().copied().filter(|key| case.field(*key).is_none()).collect();
    let unsure: Vec<FieldKey> = case
        .fields
        .iter()
        .filter(|(key, field)| {
            let least = if critical.contains(key) { case.policy.min_confidence } else { MIN_CONFIDENCE };
            // What a person typed or confirmed is not the reader's to be unsure of.
            let read = field.source != Source::Person;
            read && (critical.contains(key) || required.contains(key)) && field.confidence < least
        })
        .map(|(key, _)| *key)
        .collect();
    let deduced: Vec<FieldKey> = case
        .fields
        .iter()
        .filter(|(key, field)| {
            critical.contains(key) && field.repairs.iter().any(|repair| DEDUCED.contains(repair))
        })
        .map(|(key, _)| *key)
        .collect();
    let is_sure = |field: &Field| field.source == Source::Person || field.confidence >= MIN_CONFIDENCE;
    let sure = required.iter().filter(|key| case.field(**key).is_some_and(is_sure));
    let legible = 2 * sure.count() >= required.len();
    let outcome = |found: &[FieldKey], otherwise| if found.is_empty() { Outcome::Pass } else { otherwise };
    vec![
        Check::new(CheckCode::Legibility, holds(Some(legible), Outcome::Fail)),
        Check::on(CheckCode::RequiredFields, outcome(&missing, Outcome::Fail), missing),
        Check::on(CheckCode::FieldConfidence, outcome(&unsure, Outcome::Fail), unsure),
        Check::on(CheckCode::NumberRepaired, outcome(&deduced, Outcome::Warn), deduced),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_lists_every_code_once_and_in_order() {
        assert!(CheckCode::all().is_sorted_by(|a, b| a < b));
        assert_eq!(CheckCode::all().len(), CheckCode::SecondReading as usize + 1);
    }

    #[test]
    fn sentences_are_there_in_both_languages_and_customers_read_no_suspicion() {
        for code in CheckCode::all() {
            for outcome in [Outcome::Pass, Outcome::Warn, Outcome::Fail, Outcome::NotRun] {
                let check = Check::new(*code, outcome);
                for text in [check.customer.id, check.customer.en, check.officer.id, check.officer.en] {
                    assert!(text.len() > 10 && text.ends_with('.'), "{code:?}: {text}");
                }
                let customer = format!("{} {}", check.customer.id, check.customer.en).to_lowercase();
                for word in ["palsu", "fake", "fraud", "tamper", "specimen", "fotokopi", "mismatch", "luhn"] {
                    assert!(!customer.contains(word), "{code:?}: {customer}");
                }
            }
        }
    }

    #[test]
    fn codes_are_spelt_in_capitals() {
        assert_eq!(serde_json::to_value(CheckCode::NikMatchesBirthDate).unwrap(), "NIK_MATCHES_BIRTH_DATE");
        assert_eq!(serde_json::to_value(CheckCode::Npwp16Matches).unwrap(), "NPWP16_MATCHES");
    }
}
