//! What a document's owner is told of what was read: the fields, and what to do about each check in a sentence for them.
//! How the score came to be, what was measured on the picture and what officers read stays with the desk: whoever knows
//! the limits knows how to pass just below them.

use std::collections::BTreeMap;

use filot_cards::checks::Sentence;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::desk::Reason;
use crate::document::Resolution;
use crate::store::Review;

/// What is passed on as it is stored.
const SHOWN_PARTS: [&str; 5] = ["type", "fields", "retakeAdvised", "photo", "frame"];

/// A check as it is stored.
#[derive(Deserialize)]
struct Stored<'a> {
    code: &'a str,
    category: &'a str,
    outcome: &'a str,
    #[serde(default)]
    fields: Vec<&'a str>,
    #[serde(borrow)]
    customer: &'a RawValue,
}

/// A check as the owner sees it.
#[derive(Serialize)]
struct Shown<'a> {
    /// What was looked at; not told where that would be a suspicion.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<&'a str>,
    customer: &'a RawValue,
}

/// The owner's part of a stored result. What is not known is not passed on.
pub(super) fn result(stored: &RawValue) -> Option<Box<RawValue>> {
    let parts: BTreeMap<String, &RawValue> = serde_json::from_str(stored.get()).ok()?;
    let mut shown: BTreeMap<&str, Box<RawValue>> =
        SHOWN_PARTS.into_iter().filter_map(|name| Some((name, (*parts.get(name)?).to_owned()))).collect();
    if let Some(checks) = parts.get("checks") {
        let checks: Vec<Stored<'_>> = serde_json::from_str(checks.get()).unwrap_or_default();
        let checks: Vec<Shown<'_>> = checks
            .into_iter()
            .map(|check| Shown {
                code: (check.category != "fraud").then_some(check.code),
                outcome: check.outcome,
                fields: check.fields,
                customer: check.customer,
            })
            .collect();
        shown.insert("checks", to_raw_value(&checks).ok()?);
    }
    to_raw_value(&shown).ok()
}

/// What the owner is told of a decision: a sentence of the closed list, never what an officer wrote.
pub(super) fn sentence(review: &Review) -> Option<Sentence> {
    let decision = review.decision?;
    let reason = review.reason.as_deref().and_then(|code| code.parse::<Reason>().ok());
    // BULI2 gives no reason of the list.
    let usual = match decision {
        Resolution::Approved => Reason::DataMatches,
        Resolution::Rejected => Reason::NotOriginal,
    };
    Some(reason.filter(|reason| reason.ruling().resolution() == decision).unwrap_or(usual).customer())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(stored: &Value) -> Value {
        serde_json::from_str(result(&to_raw_value(stored).unwrap()).unwrap().get()).unwrap()
    }

    #[test]
    fn the_owner_sees_fields_and_sentences_and_nothing_of_the_desk() {
        let check = |code: &str, category: &str| {
            json!({ "code": code, "category": category, "outcome": "fail", "fields": ["nik"],
                "customer": { "id": "Foto ulang.", "en": "Retake." }, "officer": { "id": "RAHASIA", "en": "SECRET" } })
        };
        let stored = json!({
            "type": "KTP", "fields": { "name": { "value": "SITI" } }, "score": 60, "decision": "needs_review",
            "checks": [check("GLARE", "quality"), check("PHOTOCOPY", "fraud")], "framing": "card",
            "ledger": [{ "points": 12 }], "quality": { "glare": 0.4 }, "photo": { "width": 1 }, "anythingElse": 1,
        });
        let customer = json!({ "id": "Foto ulang.", "en": "Retake." });
        assert_eq!(
            shown(&stored),
            json!({
                "type": "KTP", "fields": { "name": { "value": "SITI" } }, "photo": { "width": 1 },
                "checks": [
                    { "code": "GLARE", "outcome": "fail", "fields": ["nik"], "customer": customer },
                    { "outcome": "fail", "fields": ["nik"], "customer": customer },
                ],
            })
        );
        assert_eq!(shown(&json!({ "number": 1 })), json!({}));
        assert!(result(&to_raw_value("text").unwrap()).is_none());
    }
}
