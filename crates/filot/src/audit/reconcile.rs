//! Whether what a case says of itself and what the trail says of it are the same story.

use std::collections::BTreeSet;

use filot_cards::field::FieldKey;
use serde::Deserialize;

use super::case::{Case, PhotoPart, ReviewPart, RulingPart};
use super::chain::Entry;
use super::commitment;
use super::evidence::Flaw;
use crate::document::{Resolution, Status, Verification};
use crate::pii::redact;
use crate::store::{ReviewStatus, Stage};

/// Follows everything that the case tells through its entries.
pub(super) fn reconcile(case: &Case) -> Result<(), Flaw> {
    entries_belong(case)?;
    photos_follow(case)?;
    for photo in &case.photos {
        state(case, photo)?;
        for review in &photo.reviews {
            decision(case, photo, review)?;
            ticket(case, photo, review)?;
            rulings(case, review)?;
            corrections(case, review)?;
        }
        ledger(photo)?;
        values(photo)?;
    }
    Ok(())
}

fn about<'a>(case: &'a Case, kind: &str, id: &dyn std::fmt::Display) -> impl Iterator<Item = &'a Entry> {
    let subject = format!("{kind}:{id}");
    case.audit.iter().filter(move |entry| entry.subject == subject)
}

fn entries_belong(case: &Case) -> Result<(), Flaw> {
    let mut known = BTreeSet::new();
    for photo in &case.photos {
        known.insert(format!("document:{}", photo.document.id));
        known.extend(photo.reviews.iter().map(|review| format!("review:{}", review.id)));
    }
    if let Some(deletion) = case.deletion() {
        known.insert(deletion.subject.clone());
        known.extend(deletion.reviews().map(str::to_owned));
    }
    match case.audit.iter().find(|entry| !known.contains(&entry.subject)) {
        Some(foreign) => Err(Flaw::Foreign(foreign.seq)),
        None => Ok(()),
    }
}

/// Each photo came in place of the one before, and the trail says so.
fn photos_follow(case: &Case) -> Result<(), Flaw> {
    let asked = match case.deletion() {
        // Nothing but the entries is left of it.
        Some(_) => case.photos.is_empty(),
        None => case.photos.iter().any(|photo| photo.document.id == case.document_id),
    };
    let linked = case.photos.windows(2).all(|pair| {
        let (old, new) = (&pair[0].document, &pair[1].document);
        let successor = Some(new.id.to_string());
        old.replaced_by == Some(new.id)
            && new.replaces == Some(old.id)
            && about(case, "document", &old.id)
                .any(|entry| entry.action == "document.replace" && entry.after == successor)
    });
    if asked && linked { Ok(()) } else { Err(Flaw::Photos) }
}

/// A document went from state to state as its entries say, and is as the last of them left it.
fn state(case: &Case, photo: &PhotoPart) -> Result<(), Flaw> {
    let document = &photo.document;
    let mut stands: Option<&str> = None;
    for entry in about(case, "document", &document.id) {
        let follows = match entry.action.as_str() {
            // Between waiting and being read there are no entries.
            "document.verdict" | "document.fail" => true,
            "document.reprocess" | "document.escalate" | "review.resolve" => {
                entry.before.as_deref() == stands
            }
            _ => continue,
        };
        if !follows {
            return Err(Flaw::State(document.id));
        }
        stands = entry.after.as_deref();
    }
    let is_read = matches!(document.status, Status::Completed | Status::Failed);
    let present = format!("{} {}", document.status, document.verification_status);
    if !is_read || stands == Some(&present) { Ok(()) } else { Err(Flaw::State(document.id)) }
}

/// Whoever a review names decided it so, for that reason.
fn decision(case: &Case, photo: &PhotoPart, review: &ReviewPart) -> Result<(), Flaw> {
    let Some(decision) = review.decision else {
        let open = review.status == ReviewStatus::Pending && review.reviewer.is_none();
        return if open { Ok(()) } else { Err(Flaw::Decision(review.id)) };
    };
    let led_to = match decision {
        Resolution::Approved => Verification::ManuallyApproved,
        Resolution::Rejected => Verification::ManuallyRejected,
    };
    let told = about(case, "document", &photo.document.id).any(|entry| {
        entry.action == "review.resolve"
            && Some(&entry.actor) == review.reviewer.as_ref()
            && entry.reason == review.reason
            && entry.after.as_ref().is_some_and(|state| state.ends_with(&format!(" {led_to}")))
    });
    if told { Ok(()) } else { Err(Flaw::Decision(review.id)) }
}

fn ticket(case: &Case, photo: &PhotoPart, review: &ReviewPart) -> Result<(), Flaw> {
    let Some(ticket) = &review.ticket_id else { return Ok(()) };
    let given = Some(redact(ticket));
    let told = about(case, "document", &photo.document.id)
        .any(|entry| entry.action == "review.ticket" && entry.after == given);
    if told { Ok(()) } else { Err(Flaw::Ticket(review.id)) }
}

/// What was noted and not undone is what the review's rulings say, and nothing else.
fn rulings(case: &Case, review: &ReviewPart) -> Result<(), Flaw> {
    type Said<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, &'a str);
    let mut noted: Vec<Said> = Vec::new();
    for entry in about(case, "review", &review.id) {
        let (before, after, reason) =
            (entry.before.as_deref(), entry.after.as_deref(), entry.reason.as_deref());
        match entry.action.as_str() {
            "review.note" => noted.push((before, after, reason, &entry.actor)),
            "review.undo" => {
                let undone = (after, before, reason, entry.actor.as_str());
                let at = noted.iter().rposition(|said| *said == undone);
                noted.remove(at.ok_or(Flaw::Ruling(review.id))?);
            }
            _ => {}
        }
    }
    let stands = |ruling: &RulingPart, (stage, said, reason, by): &Said| {
        *stage == Some(ruling.stage.as_str())
            && *said == Some(ruling.ruling.as_str())
            && *reason == Some(ruling.reason.as_str())
            && *by == ruling.by
    };
    let first = |stage: Stage| review.rulings.iter().position(|ruling| ruling.stage == stage);
    let once = review.rulings.iter().enumerate().all(|(at, ruling)| first(ruling.stage) == Some(at));
    let told = review.rulings.iter().all(|ruling| noted.iter().any(|said| stands(ruling, said)));
    if once && told && noted.len() == review.rulings.len() { Ok(()) } else { Err(Flaw::Ruling(review.id)) }
}

/// Each correction has its entry with the hashes of its values, and each entry its correction, in the same order.
fn corrections(case: &Case, review: &ReviewPart) -> Result<(), Flaw> {
    let told = about(case, "review", &review.id).filter(|entry| entry.action == "review.correct");
    let told: Vec<_> =
        told.map(|entry| (&entry.actor, entry.before.as_ref(), entry.after.as_ref())).collect();
    let listed: Vec<_> = review
        .corrections
        .iter()
        .map(|c| {
            let text = |hash: Option<&str>| correction_text(&c.field, hash);
            (&c.by, text(c.before_hash.as_deref()), text(Some(&c.after_hash)))
        })
        .collect();
    let same = told.len() == listed.len()
        && told
            .iter()
            .zip(&listed)
            .all(|(told, (by, before, after))| *told == (*by, Some(before), Some(after)));
    if same { Ok(()) } else { Err(Flaw::Correction(review.id)) }
}

/// How an entry tells of a corrected field: its name, and the hash of its value unless it had none.
pub(crate) fn correction_text(field: &str, hash: Option<&str>) -> String {
    format!("{field} {}", hash.unwrap_or("-"))
}

fn ledger(photo: &PhotoPart) -> Result<(), Flaw> {
    #[derive(Deserialize)]
    struct Assessed {
        score: Option<u8>,
        ledger: Option<Vec<Line>>,
    }
    #[derive(Deserialize)]
    struct Line {
        points: i64,
    }
    let assessed =
        photo.assessment.as_ref().and_then(|json| serde_json::from_str::<Assessed>(json.get()).ok());
    let Some(Assessed { score: Some(score), ledger: Some(ledger) }) = assessed else { return Ok(()) };
    let sum: i64 = ledger.iter().map(|line| line.points).sum();
    if sum == i64::from(score) { Ok(()) } else { Err(Flaw::Ledger { sum, score }) }
}

/// What the result says that a person said is what a correction says, by its hash.
fn values(photo: &PhotoPart) -> Result<(), Flaw> {
    #[derive(Deserialize)]
    struct Assessed {
        #[serde(default)]
        fields: std::collections::BTreeMap<FieldKey, Value>,
    }
    #[derive(Deserialize)]
    struct Value {
        value: String,
        source: String,
    }
    let assessed =
        photo.assessment.as_ref().and_then(|json| serde_json::from_str::<Assessed>(json.get()).ok());
    let fields = assessed.map(|assessed| assessed.fields).unwrap_or_default();
    for (key, field) in fields.iter().filter(|(_, field)| field.source == "person") {
        let said = photo.reviews.iter().flat_map(|review| &review.corrections).any(|correction| {
            correction.field == key.as_str()
                && commitment(correction.id, &correction.field, &field.value) == correction.after_hash
        });
        if !said {
            return Err(Flaw::Value(key.as_str()));
        }
    }
    Ok(())
}
