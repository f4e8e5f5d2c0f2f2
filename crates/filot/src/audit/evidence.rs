//! One case as a signed file: everything that a decision rests on, to be checked without FiLot's database.
//!
//! The file is a JSON object whose `payload` is the case. The signature (Ed25519) is over the bytes of the payload as
//! they stand in the file, so it can be checked with any tool that finds the value of a key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chain::Entry;
use super::checkpoint::Checkpoint;
use crate::document::{CardType, Document, DocumentId, Resolution, ReviewId, Status, UserId, Verification};
use crate::keys::{self, Keys};
use crate::store::{Review, ReviewRoute, ReviewStatus};

const FORMAT: &str = "filot-evidence/1";

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    format: String,
    payload: Box<RawValue>,
    /// Ed25519, URL-safe base64.
    public_key: String,
    signature: String,
}

/// The case. Holds personal data: what was read on the card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    #[serde(with = "super::instant")]
    issued_at: Timestamp,
    document: DocumentPart,
    photo: PhotoPart,
    /// Fields with confidence and boxes, checks, ledger: as it was stored with the machine's verdict.
    assessment: Option<Box<RawValue>>,
    reviews: Vec<ReviewPart>,
    /// The entries of the audit trail about this document.
    audit: Vec<Entry>,
    /// How the whole trail stood when the file was made.
    checkpoint: Checkpoint,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentPart {
    id: DocumentId,
    user_id: UserId,
    #[serde(rename = "type")]
    card_type: CardType,
    status: Status,
    verification_status: Verification,
    ai_score: Option<u8>,
    ai_decision: Option<String>,
    failure_code: Option<String>,
    buli2_ticket_id: Option<String>,
    engine: Option<String>,
    #[serde(with = "super::instant")]
    created_at: Timestamp,
    processed_at: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhotoPart {
    sha256: String,
    media_type: String,
    /// Bytes.
    size: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewPart {
    id: ReviewId,
    generation: u32,
    status: ReviewStatus,
    route: ReviewRoute,
    decision: Option<Resolution>,
    notes: Option<String>,
    reviewer: Option<String>,
    ticket_id: Option<String>,
    #[serde(with = "super::instant")]
    created_at: Timestamp,
    decided_at: Option<String>,
}

impl From<&Review> for ReviewPart {
    fn from(review: &Review) -> Self {
        Self {
            id: review.id,
            generation: review.generation,
            status: review.status,
            route: review.route,
            decision: review.decision,
            notes: review.notes.clone(),
            reviewer: review.reviewer.clone(),
            ticket_id: review.ticket_id.clone(),
            created_at: review.created_at,
            decided_at: review.decided_at.map(|at| format!("{at:.3}")),
        }
    }
}

impl Case {
    /// The case of `document`.
    pub fn new(
        document: &Document,
        reviews: &[Review],
        audit: Vec<Entry>,
        checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Self {
        Self {
            issued_at: now,
            document: DocumentPart {
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
            },
            photo: PhotoPart {
                sha256: document.content_hash.clone(),
                media_type: document.media_type.clone(),
                size: document.byte_size,
            },
            assessment: document.result.clone(),
            reviews: reviews.iter().map(ReviewPart::from).collect(),
            audit,
            checkpoint,
        }
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("the file is no evidence file of this version")]
    Form,
    #[error("the file is signed with another key than the one given")]
    Key,
    #[error("the signature is wrong: the file was changed after it was made, or never signed")]
    Signature,
    #[error("entry {0} of the audit trail was changed after it was written")]
    Entry(i64),
    #[error("entry {0} of the audit trail stands in the wrong place")]
    Order(i64),
    #[error("the checkpoint in the file is not signed with the same key, or does not reach entry {0}")]
    Checkpoint(i64),
    #[error("the ledger sums to {sum}, the score is {score}")]
    Ledger { sum: i64, score: u8 },
    #[error("the photo is not the one that was judged")]
    Photo,
}

/// A file in which everything fits.
#[derive(Debug)]
pub struct Proven {
    pub case: Case,
    pub public_key: String,
}

impl Evidence {
    /// Signs a case.
    ///
    /// # Errors
    /// Never in practice: everything in a case has a JSON form.
    pub fn sign(case: &Case, keys: &Keys) -> serde_json::Result<Self> {
        let payload = serde_json::value::to_raw_value(case)?;
        let signature = keys.sign(payload.get().as_bytes());
        Ok(Self { format: FORMAT.to_owned(), payload, public_key: keys.public_key(), signature })
    }

    /// Checks the text of a file: signature, hashes of the entries, ledger, and the photo if it is given. With
    /// `public_key` also who signed; without, it has to be compared by whoever reads the result.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn verify(text: &str, public_key: Option<&str>, photo: Option<&[u8]>) -> Result<Proven, Flaw> {
        let evidence: Self = serde_json::from_str(text).map_err(|_| Flaw::Form)?;
        if evidence.format != FORMAT {
            return Err(Flaw::Form);
        }
        if public_key.is_some_and(|key| key != evidence.public_key) {
            return Err(Flaw::Key);
        }
        let signed = evidence.payload.get().as_bytes();
        if !keys::is_signed(&evidence.public_key, signed, &evidence.signature) {
            return Err(Flaw::Signature);
        }
        let case: Case = serde_json::from_str(evidence.payload.get()).map_err(|_| Flaw::Form)?;
        trail(&case, &evidence.public_key)?;
        ledger(&case)?;
        if photo.is_some_and(|photo| keys::sha256(photo) != case.photo.sha256) {
            return Err(Flaw::Photo);
        }
        Ok(Proven { case, public_key: evidence.public_key })
    }
}

fn trail(case: &Case, public_key: &str) -> Result<(), Flaw> {
    for (n, entry) in case.audit.iter().enumerate() {
        if entry.digest() != entry.hash {
            return Err(Flaw::Entry(entry.seq));
        }
        let before = n.checked_sub(1).map(|before| &case.audit[before]);
        let follows = before.is_none_or(|before| {
            before.seq < entry.seq && (before.seq + 1 < entry.seq || before.hash == entry.prev_hash)
        });
        if !follows {
            return Err(Flaw::Order(entry.seq));
        }
    }
    let last = case.audit.last().map_or(0, |entry| entry.seq);
    let known = &case.checkpoint;
    let fits = case.audit.iter().all(|entry| entry.seq != known.seq || entry.hash == known.hash);
    if !known.is_signed() || known.public_key != public_key || known.seq < last || !fits {
        return Err(Flaw::Checkpoint(last));
    }
    Ok(())
}

fn ledger(case: &Case) -> Result<(), Flaw> {
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
        case.assessment.as_ref().and_then(|json| serde_json::from_str::<Assessed>(json.get()).ok());
    let Some(Assessed { score: Some(score), ledger: Some(ledger) }) = assessed else { return Ok(()) };
    let sum: i64 = ledger.iter().map(|line| line.points).sum();
    if sum == i64::from(score) { Ok(()) } else { Err(Flaw::Ledger { sum, score }) }
}

impl std::fmt::Display for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Case { document, photo, reviews, audit, checkpoint, issued_at, .. } = &self.case;
        writeln!(f, "The file is as it was signed.")?;
        writeln!(f, "key         {}", self.public_key)?;
        writeln!(f, "made        {issued_at:.3}")?;
        writeln!(
            f,
            "document    {} ({}): {}",
            document.id, document.card_type, document.verification_status
        )?;
        writeln!(f, "photo       SHA-256 {}", photo.sha256)?;
        for review in reviews {
            let decision = review.decision.map_or("open", Resolution::as_str);
            let by = review.reviewer.as_deref().unwrap_or("nobody yet");
            writeln!(f, "review      {}: {decision}, by {by}", review.id)?;
        }
        write!(f, "audit       {} entries, trail signed up to {}", audit.len(), checkpoint.seq)
    }
}
