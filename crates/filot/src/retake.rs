//! Asking a customer for another photo: what to do about it in a sentence, and a link that takes the photo once.
//!
//! A decision at the desk leaves the order to ask; [`ask`] makes the link, and whoever may see the document gets it from
//! [`asked`]. The photo that comes by it becomes a document of its own in the same case.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use filot_cards::checks::{CheckCode, Outcome, Sentence};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::auth::hash_token;
use crate::desk::Reason;
use crate::document::{Document, DocumentId, ReviewId, Verification};
use crate::intake::{self, Upload};
use crate::keys::Keys;
use crate::store::{self, Effect, Replaced, RetakeLink, Review, Ruling};

/// Between two tries to make a link.
const AGAIN: Duration = Duration::from_secs(30);
/// Bytes of a token in front of its signature: document and expiry.
const SUBJECT: usize = 16 + 8;
/// Longest token that is looked at.
const MAX_TOKEN: usize = 128;

/// What the customer is told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Advice {
    /// In Bahasa Indonesia.
    pub id: String,
    /// In English.
    pub en: String,
}

impl From<Sentence> for Advice {
    fn from(sentence: Sentence) -> Self {
        Self { id: sentence.id.to_owned(), en: sentence.en.to_owned() }
    }
}

/// That another photo is asked for, and how to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub advice: Advice,
    /// Whoever has it can send one photo, until it expires.
    pub url: String,
    pub expires_at: Timestamp,
    /// Photos that can still be sent in this case, this one included.
    pub attempts_left: u32,
}

/// Photos that can still be asked for in the case of a document.
pub fn attempts_left(app: &App, document: &Document) -> u32 {
    app.config.service.desk.retakes.saturating_sub(document.retakes)
}

/// Why the desk wants another photo of a document; `None` where it does not, or one has come.
async fn wanted(app: &App, document: &Document) -> store::Result<Option<(Review, Reason)>> {
    let open = document.verification == Verification::ManuallyRejected && document.replaced_by.is_none();
    if !open || attempts_left(app, document) == 0 {
        return Ok(None);
    }
    let review = app.store.review_of_document(document.id).await?;
    let reason = |review: &Review| review.reason.as_deref()?.parse::<Reason>().ok();
    Ok(review
        .and_then(|review| reason(&review).map(|reason| (review, reason)))
        .filter(|(_, reason)| reason.ruling() == Ruling::Retake))
}

/// What the owner of `document` is asked for, if another photo is wanted of it. A link that nobody used in time is
/// followed by a new one; one that was used is not.
///
/// # Errors
/// When the database does not answer.
pub async fn asked(app: &App, document: &Document) -> store::Result<Option<Asked>> {
    let Some((review, reason)) = wanted(app, document).await? else { return Ok(None) };
    let mut link = app.store.retake_link(document.id).await?;
    if link.is_none_or(|link| !link.used && link.expires_at <= app.clock.now()) {
        make(app, document.id, review.id).await?;
        link = app.store.retake_link(document.id).await?;
    }
    Ok(link.filter(|link| !link.used).map(|link| Asked {
        advice: advice(reason, document),
        url: url(app, &link),
        expires_at: link.expires_at,
        attempts_left: attempts_left(app, document),
    }))
}

/// Carries out the order of a decision: makes the link, once.
///
/// # Errors
/// When the database does not answer; the order then comes again.
pub async fn ask(app: &App, effect: &Effect) -> store::Result<()> {
    let outcome = match effect.subject.parse::<ReviewId>() {
        Ok(id) => prepare(app, id).await,
        Err(_) => Ok(false),
    };
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) | Err(store::Error::NotFound) => app.store.effect_done(effect.id).await,
        Err(error) => app.store.effect_failed(effect.id, &error.to_string(), AGAIN).await,
    }
}

/// Whether there was a link to make.
async fn prepare(app: &App, id: ReviewId) -> store::Result<bool> {
    let review = app.store.review(id).await?;
    let document = app.store.document(review.document_id).await?;
    if wanted(app, &document).await?.is_none() {
        return Ok(false);
    }
    make(app, document.id, id).await?;
    app.changes.announce(&document).await;
    Ok(true)
}

async fn make(app: &App, document: DocumentId, review: ReviewId) -> store::Result<()> {
    let life = i64::try_from(app.config.service.desk.retake_link_s).unwrap_or(i64::MAX);
    let now = app.clock.now();
    let expires = now.checked_add(SignedDuration::from_secs(life)).unwrap_or(Timestamp::MAX);
    // Whole seconds, as the token tells them.
    let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
    let token = token(&app.keys, document, expires);
    app.store.issue_retake(document, review, &hash_token(&token), expires).await
}

fn url(app: &App, link: &RetakeLink) -> String {
    let token = token(&app.keys, link.document_id, link.expires_at);
    format!("{}/retake/{token}", app.config.service.public_url())
}

/// The token of a link: document and expiry, signed. It can be told anew, so only its hash is stored.
fn token(keys: &Keys, document: DocumentId, expires: Timestamp) -> String {
    let mut subject = document.0.as_bytes().to_vec();
    subject.extend_from_slice(&expires.as_second().to_be_bytes());
    let subject = BASE64_URL_SAFE_NO_PAD.encode(subject);
    let signature = keys.sign_link(&["retake", &subject]);
    format!("{subject}.{signature}")
}

/// The document that a genuine token is about. Costs no look at the database.
pub fn subject_of(keys: &Keys, token: &str) -> Option<DocumentId> {
    let (subject, signature) = Some(token).filter(|token| token.len() <= MAX_TOKEN)?.split_once('.')?;
    if !keys.verify_link(&["retake", subject], signature) {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(subject).ok().filter(|bytes| bytes.len() == SUBJECT)?;
    Uuid::from_slice(&bytes[..16]).ok().map(DocumentId)
}

/// What to do better: the officer's reason, and another fault of the picture that the checks found, so that the next photo
/// does not fail for that one.
pub fn advice(reason: Reason, document: &Document) -> Advice {
    let first = Advice::from(reason.customer());
    match other_fault(reason, document) {
        Some(second) => {
            Advice { id: format!("{} {}", first.id, second.id), en: format!("{} {}", first.en, second.en) }
        }
        None => first,
    }
}

fn other_fault(reason: Reason, document: &Document) -> Option<Advice> {
    #[derive(Deserialize)]
    struct Checks {
        #[serde(default)]
        checks: Vec<Recorded>,
    }
    #[derive(Deserialize)]
    struct Recorded {
        code: CheckCode,
        category: String,
        outcome: Outcome,
        customer: Advice,
    }
    let same = match reason {
        Reason::Blurred => Some(CheckCode::Sharpness),
        Reason::Glare => Some(CheckCode::Glare),
        Reason::Dark => Some(CheckCode::Darkness),
        Reason::CutOff => Some(CheckCode::CardComplete),
        Reason::TooSmall => Some(CheckCode::Resolution),
        _ => None,
    };
    let checks = serde_json::from_str::<Checks>(document.result.as_ref()?.get()).ok()?.checks;
    let is_fault = |check: &Recorded| {
        // That little could be read is what the other faults lead to.
        let own = Some(check.code) == same || check.code == CheckCode::Legibility;
        check.category == "quality" && check.outcome == Outcome::Fail && !own
    };
    checks.into_iter().find(is_fault).map(|check| check.customer)
}

/// How a link stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It takes a photo.
    Open(Box<Open>),
    /// A photo came by it.
    Used,
    Expired,
    /// There never was such a link, or what it is about is gone.
    Unknown,
}

/// What an open link is about.
#[derive(Clone, Debug)]
pub struct Open {
    pub document: Document,
    pub asked: Asked,
}

/// Looks at the link with this token.
///
/// # Errors
/// When the database does not answer.
pub async fn look(app: &App, token: &str) -> store::Result<Standing> {
    let Some(id) = subject_of(&app.keys, token) else { return Ok(Standing::Unknown) };
    let Some(link) = app.store.retake_link_of(&hash_token(token)).await? else {
        return Ok(Standing::Unknown);
    };
    if link.used {
        return Ok(Standing::Used);
    }
    if link.expires_at <= app.clock.now() {
        return Ok(Standing::Expired);
    }
    let document = match app.store.document_of(link.user_id, id).await {
        Err(store::Error::NotFound) => return Ok(Standing::Unknown),
        other => other?,
    };
    if document.replaced_by.is_some() {
        // Between the two looks a photo has come.
        return Ok(Standing::Used);
    }
    let Some((_, reason)) = wanted(app, &document).await? else { return Ok(Standing::Unknown) };
    let asked = Asked {
        advice: advice(reason, &document),
        url: url(app, &link),
        expires_at: link.expires_at,
        attempts_left: attempts_left(app, &document),
    };
    Ok(Standing::Open(Box::new(Open { document, asked })))
}

/// Takes the photo that comes by a link. Until its document is there, the link stays as it is.
///
/// # Errors
/// When the photo is not one that can be taken.
pub async fn send(app: &App, token: &str, upload: Upload) -> Result<Replaced, intake::Error> {
    let Some(old) = subject_of(&app.keys, token) else { return Ok(Replaced::Unknown) };
    let replaced = intake::submit_retake(app, upload, &hash_token(token)).await?;
    if let Replaced::By(_) = &replaced
        && let Ok(old) = app.store.document(old).await
    {
        // Whoever watches the old one learns where it went.
        app.changes.announce(&old).await;
    }
    Ok(replaced)
}
