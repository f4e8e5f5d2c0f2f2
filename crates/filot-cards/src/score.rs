//! From fields and checks to a score between 0 and 100, as a ledger that sums to it.

use serde::Serialize;

use crate::checks::CheckCode;
use crate::field::FieldKey;

/// What a line of the ledger stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A field is there.
    Completeness,
    /// A field or a check holds what it must.
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
