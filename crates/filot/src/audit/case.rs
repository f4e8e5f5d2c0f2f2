//! What an evidence file tells of a case: its documents from the first photo to the last, and what people said of each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::chain::{DELETION, Entry};
use super::checkpoint::Checkpoint;
use super::commitment;
use crate::document::{CardType, Document, DocumentId, Resolution, ReviewId, Status, UserId, Verification};
use crate::pii::mask;
use crate::store::{Actor, Correction, Review, ReviewRoute, ReviewStatus, Ruling, RulingRow, Stage};

/// A case. Holds personal data: what was read on the card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    #[serde(with = "super::instant")]
    pub(super) issued_at: Timestamp,
    /// The document that was asked for, one of those below.
    pub(super) document_id: DocumentId,
    /// The documents of the case: the first photo, then each that came in place of the one before.
    pub(super) photos: Vec<PhotoPart>,
    /// What the officers among the actors are called.
    pub(super) people: BTreeMap<String, String>,
    /// The entries of the audit trail about these documents and their reviews.
    pub(super) audit: Vec<Entry>,
    /// How the whole trail stood when the file was made.
    pub(super) checkpoint: Checkpoint,
}

/// One document of the case.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PhotoPart {
    pub(super) document: DocumentPart,
    pub(super) file: FilePart,
    /// Fields with confidence and boxes, checks, ledger: as they stand now, with the corrections of a decision that took
    /// effect.
    pub(super) assessment: Option<Box<RawValue>>,
    pub(super) reviews: Vec<ReviewPart>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentPart {
    pub(super) id: DocumentId,
    user_id: UserId,
    #[serde(rename = "type")]
    pub(super) card_type: CardType,
    pub(super) status: Status,
    pub(super) verification_status: Verification,
    ai_score: Option<u8>,
    ai_decision: Option<String>,
    failure_code: Option<String>,
    pub(super) buli2_ticket_id: Option<String>,
    engine: Option<String>,
    #[serde(with = "super::instant")]
    created_at: Timestamp,
    processed_at: Option<String>,
    /// The document that this one came for, and the one that came for it.
    pub(super) replaces: Option<DocumentId>,
    pub(super) replaced_by: Option<DocumentId>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilePart {
    pub(super) sha256: String,
    media_type: String,
    /// Bytes.
    size: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReviewPart {
    pub(super) id: ReviewId,
    generation: u32,
    pub(super) status: ReviewStatus,
    route: ReviewRoute,
    stage: Stage,
    pub(super) decision: Option<Resolution>,
    /// Code of the reason, for decisions of the desk.
    pub(super) reason: Option<String>,
    notes: Option<String>,
    /// What BULI2 said where that did not decide it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buli2_answer: Option<Resolution>,
    pub(super) reviewer: Option<String>,
    pub(super) ticket_id: Option<String>,
    #[serde(with = "super::instant")]
    created_at: Timestamp,
    decided_at: Option<String>,
    pub(super) corrections: Vec<CorrectionPart>,
    pub(super) rulings: Vec<RulingPart>,
}

/// What an officer said that a field says. The values are masked; what they are can be proven with the hashes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CorrectionPart {
    pub(super) id: Uuid,
    pub(super) field: String,
    before: Option<String>,
    after: String,
    /// [`commitment`]s of the values, which the audit entry holds, too.
    pub(super) before_hash: Option<String>,
    pub(super) after_hash: String,
    pub(super) by: String,
    #[serde(with = "super::instant")]
    at: Timestamp,
}

/// What an officer decided at one stage.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RulingPart {
    pub(super) stage: Stage,
    pub(super) ruling: Ruling,
    pub(super) reason: String,
    note: Option<String>,
    pub(super) by: String,
    /// Somebody else looks at it, too.
    second_look: bool,
    #[serde(with = "super::instant")]
    noted_at: Timestamp,
    #[serde(with = "super::instant")]
    effective_at: Timestamp,
    carried_out_at: Option<String>,
}

impl From<&Document> for DocumentPart {
    fn from(document: &Document) -> Self {
        Self {
            id: document.id,
            user_id: document.user_id,
            card_type: document.card_type,
            status: document.status,
            verification_status: document.verification,
            ai_score: document.score,
            ai_decision: document.decision.clone(),
            failure_code: document.failure_code.clone(),
            buli2_ticket_id: document.ticket_id.clone(),
            engine: document.engine.clone(),
            created_at: document.created_at,
            processed_at: document.processed_at.map(|at| format!("{at:.3}")),
            replaces: document.replaces,
            replaced_by: document.replaced_by,
        }
    }
}

impl From<&Correction> for CorrectionPart {
    fn from(correction: &Correction) -> Self {
        let field = correction.field.as_str();
        let hash = |value: &str| commitment(correction.id, field, value);
        Self {
            id: correction.id,
            field: field.to_owned(),
            before: correction.old.as_deref().map(mask),
            after: mask(&correction.new),
            before_hash: correction.old.as_deref().map(hash),
            after_hash: hash(&correction.new),
            by: Actor::Officer(correction.by).to_string(),
            at: correction.at,
        }
    }
}

impl From<&RulingRow> for RulingPart {
    fn from(ruling: &RulingRow) -> Self {
        Self {
            stage: ruling.stage,
            ruling: ruling.ruling,
            reason: ruling.reason.to_string(),
            note: ruling.note.clone(),
            by: Actor::Officer(ruling.reviewer).to_string(),
            second_look: ruling.second_look,
            noted_at: ruling.noted_at,
            effective_at: ruling.effective_at,
            carried_out_at: ruling.carried_out_at.map(|at| format!("{at:.3}")),
        }
    }
}

/// A review with all that was said on it.
#[derive(Debug)]
pub struct Heard {
    pub review: Review,
    /// Oldest first.
    pub corrections: Vec<Correction>,
    /// Oldest first.
    pub rulings: Vec<RulingRow>,
}

impl From<&Heard> for ReviewPart {
    fn from(Heard { review, corrections, rulings }: &Heard) -> Self {
        Self {
            id: review.id,
            generation: review.generation,
            status: review.status,
            route: review.route,
            stage: review.stage,
            decision: review.decision,
            reason: review.reason.clone(),
            notes: review.notes.clone(),
            buli2_answer: review.buli2_answer,
            reviewer: review.reviewer.clone(),
            ticket_id: review.ticket_id.clone(),
            created_at: review.created_at,
            decided_at: review.decided_at.map(|at| format!("{at:.3}")),
            corrections: corrections.iter().map(CorrectionPart::from).collect(),
            rulings: rulings.iter().map(RulingPart::from).collect(),
        }
    }
}

impl Case {
    /// The case that `document_id` belongs to: its documents in order, each with its reviews; what officers are called;
    /// the entries about all of them.
    pub fn new(
        document_id: DocumentId,
        documents: &[(Document, Vec<Heard>)],
        people: BTreeMap<String, String>,
        audit: Vec<Entry>,
        checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Self {
        let photo = |(document, reviews): &(Document, Vec<Heard>)| PhotoPart {
            document: document.into(),
            file: FilePart {
                sha256: document.content_hash.clone(),
                media_type: document.media_type.clone(),
                size: document.byte_size,
            },
            assessment: document.result.clone(),
            reviews: reviews.iter().map(ReviewPart::from).collect(),
        };
        let photos = documents.iter().map(photo).collect();
        Self { issued_at: now, document_id, photos, people, audit, checkpoint }
    }

    /// The entry that tells of its deletion, if the document is deleted.
    pub(super) fn deletion(&self) -> Option<&Entry> {
        let subject = format!("document:{}", self.document_id);
        self.audit.iter().find(|entry| entry.action == DELETION && entry.subject == subject)
    }

    /// What an actor is called, if the file says so.
    pub(super) fn name_of(&self, actor: &str) -> String {
        self.people.get(actor).map_or_else(|| actor.to_owned(), |name| format!("{name} ({actor})"))
    }
}
