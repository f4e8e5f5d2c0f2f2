//! What is looked at before a card is believed, and how each look is reported.

use serde::Serialize;

use crate::field::FieldKey;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    /// Noted; does not by itself stop an approval unless the score says so.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckCode {
    RequiredFields,
}
