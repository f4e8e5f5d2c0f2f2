//! One case as a signed file: everything that a decision rests on, to be checked without FiLot's database.
//!
//! The file is a JSON object whose `payload` is the case. The signature (Ed25519) is over the bytes of the payload as
//! they stand in the file, so it can be checked with any tool that finds the value of a key.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::case::Case;
use super::reconcile::reconcile;
use crate::document::{DocumentId, Resolution, ReviewId};
use crate::keys::{self, Keys};

const FORMAT: &str = "filot-evidence/2";

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
    #[error("the photo is none of those that were judged")]
    Photo,
    #[error("entry {0} of the audit trail is about something else")]
    Foreign(i64),
    #[error("the documents of the case do not follow each other as the audit trail says")]
    Photos,
    #[error("document {0} is not in the state that the audit trail tells of")]
    State(DocumentId),
    #[error("the decision on review {0} is not the one in the audit trail")]
    Decision(ReviewId),
    #[error("the ticket of review {0} is not the one in the audit trail")]
    Ticket(ReviewId),
    #[error("what officers decided on review {0} is not what the audit trail tells")]
    Ruling(ReviewId),
    #[error("the corrections of review {0} are not those in the audit trail")]
    Correction(ReviewId),
    #[error("no correction says what the result says of {0}")]
    Value(&'static str),
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

    /// Checks the text of a file: signature, hashes of the entries, that decisions, corrections, tickets and states are
    /// those that the entries tell of, ledger, and a photo if it is given. With `public_key` also who signed; without, it
    /// has to be compared by whoever reads the result.
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
        reconcile(&case)?;
        if let Some(hash) = photo.map(keys::sha256)
            && case.photos.iter().all(|photo| photo.file.sha256 != hash)
        {
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

impl std::fmt::Display for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let case = &self.case;
        writeln!(f, "The file is as it was signed, and what it tells is what the audit trail tells.")?;
        writeln!(f, "key         {}", self.public_key)?;
        writeln!(f, "made        {:.3}", case.issued_at)?;
        if let Some(deletion) = case.deletion() {
            let (at, by) = (deletion.at, case.name_of(&deletion.actor));
            writeln!(f, "document    {}: deleted on {at:.3} by {by}", case.document_id)?;
        }
        for photo in &case.photos {
            let document = &photo.document;
            let asked = if document.id == case.document_id { "" } else { ", of the same case" };
            writeln!(
                f,
                "document    {} ({}): {}{asked}",
                document.id, document.card_type, document.verification_status
            )?;
            writeln!(f, "photo       SHA-256 {}", photo.file.sha256)?;
            for review in &photo.reviews {
                let decision = review.decision.map_or("open", Resolution::as_str);
                let by = review.reviewer.as_deref();
                let by = by.map_or_else(|| "nobody yet".to_owned(), |by| case.name_of(by));
                writeln!(f, "review      {}: {decision}, by {by}", review.id)?;
                for correction in &review.corrections {
                    writeln!(f, "corrected   {} by {}", correction.field, case.name_of(&correction.by))?;
                }
                for ruling in &review.rulings {
                    let (said, reason) = (ruling.ruling, &ruling.reason);
                    writeln!(
                        f,
                        "ruling      {}: {said}, {reason}, by {}",
                        ruling.stage,
                        case.name_of(&ruling.by)
                    )?;
                }
            }
        }
        write!(f, "audit       {} entries, trail signed up to {}", case.audit.len(), case.checkpoint.seq)
    }
}
