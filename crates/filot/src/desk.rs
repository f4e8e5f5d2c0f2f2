//! What officers do with a review: look, take, correct, decide. What it takes to decide is [`people`]'s; the rest is the
//! store's.

use std::collections::BTreeMap;
use std::time::Duration;

use filot_cards::assess::{Assessment, Recorded, reassess};
use filot_cards::checks::{CheckCode, Outcome};
use filot_cards::decide::Decision;
use filot_cards::field::FieldKey;
use filot_cards::kind::DocumentType;
use filot_cards::typed::{Expected, typed};
use filot_ocr::page::Frame;
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::{info, warn};

use crate::app::App;
use crate::document::people::{self, Against, Next, Voice, Who};
use crate::document::{Document, Resolution, ReviewId, Ruling, Stage, UserId, decision_name};
use crate::keys;
use crate::store::{
    self, CarriedOut, Claim, Correction, DeskFilter, NewCorrection, NewRuling, Noted, Officer, Review,
    RulingRow,
};

mod reasons;

pub use reasons::Reason;

/// Longest note, in characters.
pub const MAX_NOTE: usize = 1000;
/// Rulings carried out in one go.
const BATCH: u64 = 100;
/// Reviews tried until one is free.
const TRIES: u64 = 20;

/// Why an officer's wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Nothing was read on this document that could be corrected, or it has no such field.
    #[error("this document has no such field")]
    NoSuchField,
    /// The value is none that this field can have on a card.
    #[error("{0}")]
    Value(Expected),
    #[error("a note may have at most 1000 characters and no control characters")]
    Note,
    /// The reason does not go with the ruling.
    #[error("choose one of the reasons listed for this decision")]
    Reason,
    /// The case has had its photos.
    #[error("no more photos can be asked for in this case: approve or reject")]
    NoMoreRetakes,
    /// The review is about the officer themselves.
    #[error("nobody has to do with their own documents at the desk")]
    Own,
    /// Two have to agree on an approval like this, and nobody else says the same.
    #[error("neither of the two reviewers approves these values: take the values of one who does, or reject")]
    Alone,
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// Where the card lies in the photo.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Place {
    pub photo: Size,
    pub frame: Frame,
}

/// Pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Size {
    pub width: u32,
    pub height: u32,
    /// Which page of a PDF it is, counted from 1.
    #[serde(default)]
    pub page: Option<u32>,
}

/// A review with everything that its officer may see.
#[derive(Debug)]
pub struct Case {
    pub review: Review,
    pub document: Document,
    /// What the reader said; `None` where it could not read the document.
    pub recorded: Option<Recorded>,
    /// The same with the corrections that this officer sees; `None` while there are none.
    pub corrected: Option<Assessment>,
    /// Oldest first. A second look starts from the reader's word; an admin sees both officers' corrections.
    pub corrections: Vec<Correction>,
    /// What the two officers said, for the admin who decides between them.
    pub rulings: Vec<RulingRow>,
    pub place: Option<Place>,
}

impl Case {
    /// What the fields were read as, and how the checks ended, with the corrections that this officer sees.
    fn outcomes(&self) -> Option<Vec<(CheckCode, Outcome)>> {
        match (&self.corrected, &self.recorded) {
            (Some(now), _) => Some(now.checks.iter().map(|check| (check.code, check.outcome)).collect()),
            (None, Some(then)) => Some(then.checks.iter().map(|check| (check.code, check.outcome)).collect()),
            (None, None) => None,
        }
    }

    /// The fields that read otherwise to this officer than to the reader; an empty one was taken away.
    fn typed(&self) -> BTreeMap<FieldKey, String> {
        let read = |field: &FieldKey| self.recorded.as_ref()?.fields.get(field).map(|field| &field.value);
        let mut typed = said(&self.corrections);
        typed.retain(|field, value| read(field).map_or("", String::as_str) != value);
        typed
    }

    /// What stands against approving it as this officer sees it.
    pub fn against(&self) -> Against {
        let document = &self.document;
        let outcomes = self.outcomes().unwrap_or_default();
        let is_card = self.recorded.as_ref().is_some_and(|recorded| {
            recorded.document_type != DocumentType::Other && !recorded.checks.is_empty()
        });
        Against {
            rejected: document.decision.as_deref() == Some(decision_name(Decision::AutoReject)),
            unread: !is_card || document.decision.is_none() || document.failure_code.is_some(),
            failed: outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Fail),
            unchecked: outcomes.iter().any(|(code, outcome)| *outcome == Outcome::NotRun && code.is_needed()),
            retyped: self.typed().keys().any(|field| people::is_identity(*field)),
            buli2: self.review.buli2_answer == Some(Resolution::Rejected),
        }
    }
}

/// Loads a review as `officer` may see it.
///
/// # Errors
/// `NotFound`, and `Own` for what is about the officer.
pub async fn look(app: &App, officer: &Officer, id: ReviewId) -> Result<Case> {
    let review = review_for(app, officer, id).await?;
    let document = app.store.document(review.document_id).await?;
    let blind = review.stage != Stage::Admin;
    let mut corrections = app.store.corrections_of(id).await?;
    corrections.retain(|correction| !blind || correction.by == officer.id);
    let rulings = if blind { Vec::new() } else { app.store.rulings_of(id).await? };
    let recorded =
        document.result.as_ref().and_then(|json| serde_json::from_str::<Recorded>(json.get()).ok());
    let place = document.result.as_ref().and_then(|json| serde_json::from_str::<Place>(json.get()).ok());
    let corrected = match &recorded {
        Some(recorded) if !corrections.is_empty() => {
            Some(judge(app, recorded.clone(), said(&corrections)).await?)
        }
        _ => None,
    };
    Ok(Case { review, document, recorded, corrected, corrections, rulings, place })
}

/// A review, unless it is about the officer themselves.
///
/// # Errors
/// `NotFound` and `Own`.
pub async fn review_for(app: &App, officer: &Officer, id: ReviewId) -> Result<Review> {
    let review = app.store.review(id).await?;
    if review.user_id == officer.id { Err(Error::Own) } else { Ok(review) }
}

/// Records what the officer says that a field says, and gives the review's new version. The same value again confirms
/// the reading; an empty one takes the field away.
///
/// # Errors
/// `Value` for what cannot stand on a card; `Conflict` when the review is not the officer's or has changed.
pub async fn correct(
    app: &App,
    officer: &Officer,
    id: ReviewId,
    version: u32,
    field: FieldKey,
    value: &str,
) -> Result<u32> {
    let case = look(app, officer, id).await?;
    let recorded = case.recorded.as_ref().filter(|recorded| fields_of(recorded).contains(&field));
    let recorded = recorded.ok_or(Error::NoSuchField)?;
    let value = typed(field, value).map_err(Error::Value)?;
    let fields = case.corrected.as_ref().map_or(&recorded.fields, |assessment| &assessment.fields);
    let old = fields.get(&field).map(|field| field.value.clone());
    let new = NewCorrection { field, old, new: value, expected_version: version };
    Ok(app.store.correct(id, officer, new).await?)
}

/// The fields that the recorded kind of card has.
pub fn fields_of(recorded: &Recorded) -> &'static [FieldKey] {
    match recorded.document_type {
        DocumentType::Ktp => &FieldKey::KTP,
        DocumentType::Npwp => &FieldKey::NPWP,
        DocumentType::Other => &[],
    }
}

/// Notes the officer's decision. It takes effect when it can no longer be undone.
///
/// # Errors
/// `Reason` and `Note` for what does not fit, `Alone` for what two have to say; what became of a good one is in [`Noted`].
pub async fn decide(
    app: &App,
    officer: &Officer,
    id: ReviewId,
    version: u32,
    ruling: Ruling,
    reason: Reason,
    note: Option<String>,
) -> Result<Noted> {
    let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_deref().is_some_and(|note| !is_note(note)) {
        return Err(Error::Note);
    }
    if reason.ruling() != ruling {
        return Err(Error::Reason);
    }
    let case = look(app, officer, id).await?;
    if ruling == Ruling::Retake && crate::retake::attempts_left(app, &case.document) == 0 {
        return Err(Error::NoMoreRetakes);
    }
    let desk = &app.config.service.desk;
    let mut others = app.store.voices_on(id).await?;
    others.retain(|voice| voice.who != Who::Officer(officer.id));
    let act = Voice { who: Who::Officer(officer.id), ruling, typed: case.typed() };
    // Of approvals that one person may give, a share is looked at twice.
    let anyway = sampled(desk.second_look_share);
    let led = people::next(case.review.stage, &act, &others, case.against(), anyway);
    if led == Next::Alone {
        return Err(Error::Alone);
    }
    let new = NewRuling {
        ruling,
        reason,
        note,
        expected_version: version,
        judged_version: case.review.version,
        undo: Duration::from_secs(desk.undo_s),
        second_look: led == Next::Pass(Stage::Second),
    };
    let noted = app.store.note_ruling(id, officer, new).await?;
    announce(app, id).await;
    Ok(noted)
}

/// Whether a note can be kept: not too long, and of nothing but text.
pub(crate) fn is_note(note: &str) -> bool {
    let line_break = |c: char| matches!(c, '\n' | '\r' | '\t');
    note.chars().count() <= MAX_NOTE && note.chars().all(|c| line_break(c) || !c.is_control())
}

/// Takes the next free review of the queue for the officer; `skip` is the one they leave.
///
/// # Errors
/// When the database does not answer.
pub async fn take_next(
    app: &App,
    officer: &Officer,
    filter: &DeskFilter,
    skip: Option<ReviewId>,
) -> Result<Option<ReviewId>> {
    let filter = DeskFilter { possession: Some(store::Possession::Free), ..filter.clone() };
    let lease = Duration::from_secs(app.config.service.desk.lease_s);
    for waiting in app.store.waiting_reviews(officer, &filter, None, TRIES).await? {
        if skip == Some(waiting.id) {
            continue;
        }
        if let Claim::Held(review) = app.store.claim_review(waiting.id, officer, lease).await? {
            announce(app, review.id).await;
            return Ok(Some(review.id));
        }
    }
    Ok(None)
}

/// Tells open pages that a review is another one. That it fails costs them a few seconds.
pub async fn announce(app: &App, id: ReviewId) {
    if let Ok(review) = app.store.review(id).await
        && let Ok(document) = app.store.document(review.document_id).await
    {
        app.changes.announce(&document).await;
    }
}

/// Carries out the rulings whose time has come. Any process may, at any time: each happens once.
///
/// # Errors
/// When the database does not answer; the rest comes again.
pub async fn settle(app: &App) -> Result<usize> {
    let due = app.store.due_rulings(BATCH).await?;
    for ruling in &due {
        let result = match ruling.ruling {
            Ruling::Approve => corrected_result(app, ruling).await?,
            Ruling::Reject | Ruling::Retake => None,
        };
        match app.store.carry_out(ruling.id, result).await {
            Ok(CarriedOut::Decided(id)) => {
                info!(document = %id, ruling = %ruling.ruling, reason = %ruling.reason, "decided at the desk");
                if let Ok(document) = app.store.document(id).await {
                    app.changes.announce(&document).await;
                }
                app.workflow.review_decided(ruling.review_id, ruling.ruling);
            }
            Ok(CarriedOut::Next(stage)) => {
                info!(review = %ruling.review_id, %stage, "somebody else's turn");
                announce(app, ruling.review_id).await;
            }
            Ok(CarriedOut::Nothing) => {}
            // One that cannot be carried out must not keep the others waiting.
            Err(error) => warn!(review = %ruling.review_id, %error, "a ruling is not carried out yet"),
        }
    }
    Ok(due.len())
}

/// The stored result with the corrections of those who approve: what others typed nobody has answered for, and those who
/// decided have not seen it.
async fn corrected_result(app: &App, ruling: &RulingRow) -> Result<Option<Box<RawValue>>> {
    let rulings = app.store.rulings_of(ruling.review_id).await?;
    let approves = |by| rulings.iter().any(|row| row.reviewer == by && row.ruling == Ruling::Approve);
    let mut corrections = app.store.corrections_of(ruling.review_id).await?;
    corrections.retain(|correction| approves(correction.by));
    // The word of whoever decides comes last.
    corrections.sort_by_key(|correction| correction.by == ruling.reviewer);
    let review = app.store.review(ruling.review_id).await?;
    let document = app.store.document(review.document_id).await?;
    let Some(stored) = document.result.filter(|_| !corrections.is_empty()) else { return Ok(None) };
    let Ok(recorded) = serde_json::from_str::<Recorded>(stored.get()) else { return Ok(None) };
    let assessment = judge(app, recorded, said(&corrections)).await?;
    Ok(overlaid(&stored, &assessment))
}

/// The stored result with the assessment's parts in place of its own; what it holds besides stays.
fn overlaid(stored: &RawValue, assessment: &Assessment) -> Option<Box<RawValue>> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(stored.get()).ok()?;
    let serde_json::Value::Object(parts) = serde_json::to_value(assessment).ok()? else { return None };
    object.extend(parts);
    serde_json::value::to_raw_value(&object).ok()
}

/// The last word on each field.
fn said(corrections: &[Correction]) -> BTreeMap<FieldKey, String> {
    corrections.iter().map(|correction| (correction.field, correction.new.clone())).collect()
}

async fn judge(app: &App, recorded: Recorded, said: BTreeMap<FieldKey, String>) -> Result<Assessment> {
    let (policy, today) = (app.config.policy, app.clock.today());
    tokio::task::spawn_blocking(move || reassess(&recorded, &said, &policy, today))
        .await
        .map_err(|_| store::Error::Corrupt("result").into())
}

/// True for the given share of calls, unforeseeably.
fn sampled(share: f64) -> bool {
    // Without random bytes somebody looks, to be on the safe side.
    keys::random_bytes().map_or(true, |bytes| f64::from(u32::from_be_bytes(bytes)) < share * 2f64.powi(32))
}

/// The name that an actor, as the store spells it, goes by at the desk.
///
/// # Errors
/// When the database does not answer.
pub async fn name_of(app: &App, actor: &str) -> Result<String> {
    let officer = actor.strip_prefix("officer:").and_then(|id| id.parse::<UserId>().ok());
    match officer {
        Some(id) => Ok(app.store.display_name(id).await?),
        None if actor == "service:buli2" => Ok("BULI2".to_owned()),
        None => Ok(actor.strip_prefix("service:").unwrap_or(actor).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_and_of_everything_is_exact_and_others_are_about_right() {
        assert!((0..1000).all(|_| !sampled(0.0) && sampled(1.0)));
        let hits = (0..10_000).filter(|_| sampled(0.5)).count();
        assert!((4_500..5_500).contains(&hits), "{hits}");
    }
}
