//! `POST /internal/reviews`: what external reviewers answer. It takes the service key and a signature over the body as it
//! arrived; an event has its effect once, and a decided document stays as it is.

use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::{Id, Neighbour, without_nul};
use crate::buli2::MAX_TICKET;
use crate::buli2::signature::{self, EVENT_ID, Forged, LEGACY_SIGNATURE, SIGNATURE, TIMESTAMP};
use crate::config::exposed;
use crate::desk::is_note;
use crate::document::{DocumentId, Resolution, ReviewId, UserId, Verification};
use crate::keys::sha256;
use crate::store::{self, Actor, Answer, AnswerKind, Callback, Naming, Verdict};

/// When to ask again about a review that the desk has in hand: what is noted there takes effect soon.
const AT_DESK: Duration = Duration::from_secs(15);
/// When to send an event again that is about no review, or about none yet.
const UNKNOWN: Duration = Duration::from_secs(60);

/// A person's verdict. The review is named by itself, by its document or by its ticket; what is given has to belong
/// together.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Decision {
    #[schema(value_type = Option<uuid::Uuid>)]
    review_id: Option<ReviewId>,
    #[schema(value_type = Option<uuid::Uuid>)]
    document_id: Option<DocumentId>,
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<UserId>,
    /// The ticket under which the review was taken; also called `ticketId`.
    #[serde(alias = "ticketId")]
    #[schema(max_length = 255)]
    task_id: Option<String>,
    decision: Resolution,
    #[schema(max_length = 1000)]
    notes: Option<String>,
}

/// A person's verdict in the old form, which may hold more.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LegacyDecision {
    #[schema(value_type = Option<uuid::Uuid>)]
    review_id: Option<ReviewId>,
    #[schema(value_type = Option<uuid::Uuid>)]
    document_id: Option<DocumentId>,
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<UserId>,
    #[serde(alias = "ticketId")]
    #[schema(max_length = 255)]
    task_id: Option<String>,
    decision: Resolution,
    #[schema(max_length = 1000)]
    notes: Option<String>,
}

impl From<LegacyDecision> for Decision {
    fn from(legacy: LegacyDecision) -> Self {
        let LegacyDecision { review_id, document_id, user_id, task_id, decision, notes } = legacy;
        Self { review_id, document_id, user_id, task_id, decision, notes }
    }
}

/// A decided review.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decided {
    success: bool,
    #[schema(value_type = uuid::Uuid)]
    review_id: ReviewId,
    #[schema(value_type = uuid::Uuid)]
    document_id: DocumentId,
    decision: Resolution,
    verification_status: Verification,
}

/// Deliver a person's verdict
///
/// Signed: `X-Filot-Signature` is `sha256=` and the HMAC-SHA256 in hexadecimal, under BULI2_SIGNATURE_SECRET, over
/// `X-Filot-Timestamp` (seconds since 1970), a dot, `X-Filot-Event-Id`, a dot, and the bytes of the body. The same event
/// again is answered as before, however late, and changes nothing; so is the same verdict under another event id. A
/// verdict against the one that is there is `review_decided`. An approval of what FiLot has rejected or could not read is
/// one of two: it is taken, and `verificationStatus` stays `pending_manual_review` until FiLot's own desk has looked, too.
#[utoipa::path(post, path = "/internal/reviews", tag = "internal", security(("service" = [])), request_body = Decision,
    params(
        ("X-Filot-Timestamp" = Option<String>, Header, description = "Seconds since 1970, at most 300 from now"),
        ("X-Filot-Event-Id" = Option<String>, Header, description = "Names the event: 1 to 128 letters, digits, - and _"),
        ("X-Filot-Signature" = Option<String>, Header, description = "sha256=…")),
    responses((status = 200, body = Decided),
        (status = 401, body = Problem, description = "invalid_service_key, signature_missing, signature_invalid, timestamp_out_of_window"),
        (status = 403, body = Problem, description = "callbacks_not_configured"),
        (status = 503, body = Problem, description = "review_unknown: send it again later"),
        (status = 409, body = Problem, description = "review_decided, review_mismatch, event_id_reused, conflict"),
        (status = 422, body = Problem, description = "invalid_field")))]
pub(super) async fn decide(
    State(api): State<Api>,
    _: Neighbour,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<axum::Json<Decided>> {
    let secret = secret(&api)?;
    if takes_legacy(&api) && headers.contains_key(LEGACY_SIGNATURE) && !headers.contains_key(SIGNATURE) {
        return legacy(&api, &headers, None, &body).await;
    }
    let values = [TIMESTAMP, EVENT_ID, SIGNATURE].map(|name| single(&headers, name));
    let [Some(timestamp), Some(event_id), Some(signed)] = values else { return Err(Forged::Missing.into()) };
    let window = api.app.config.service.buli2.replay_window_s;
    let fresh = signature::verify(secret, [timestamp, event_id, signed], &body, api.app.clock.now(), window)?;
    let decision = parse::<Decision>(&headers, &body)?;
    take(&api, Signed { event_id: event_id.to_owned(), body_hash: sha256(&body), fresh }, decision).await
}

/// An event whose signature fits.
struct Signed {
    event_id: String,
    body_hash: String,
    /// Whether it was signed a short while ago.
    fresh: bool,
}

/// Deliver a person's verdict in the old way
///
/// Taken only with `buli2.legacy_signature`. The signature in `X-Buli2-Signature` has neither time nor event id, so the
/// body has to name document or ticket of the review in the path, and only the first verdict counts.
#[utoipa::path(post, path = "/internal/reviews/{id}/callback", tag = "internal", security(("service" = [])),
    request_body = LegacyDecision,
    params(("id" = uuid::Uuid, Path), ("X-Buli2-Signature" = Option<String>, Header)),
    responses((status = 200, body = Decided),
        (status = 401, body = Problem, description = "invalid_service_key, signature_missing, signature_invalid"),
        (status = 403, body = Problem, description = "callbacks_not_configured"),
        (status = 404, body = Problem, description = "not_found"),
        (status = 503, body = Problem, description = "review_unknown: send it again later"),
        (status = 409, body = Problem, description = "review_decided, review_mismatch, conflict"),
        (status = 422, body = Problem, description = "invalid_field")))]
pub(super) async fn decide_legacy(
    State(api): State<Api>,
    _: Neighbour,
    Id(id): Id<ReviewId>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<axum::Json<Decided>> {
    if !takes_legacy(&api) {
        return Err(ApiError::new(
            Code::CallbacksOff,
            "The old way is closed. Sign for POST /internal/reviews, or set buli2.legacy_signature.",
        ));
    }
    legacy(&api, &headers, Some(id), &body).await
}

async fn legacy(
    api: &Api,
    headers: &HeaderMap,
    path: Option<ReviewId>,
    body: &Bytes,
) -> Result<axum::Json<Decided>> {
    let signed = single(headers, LEGACY_SIGNATURE)
        .ok_or_else(|| ApiError::new(Code::SignatureMissing, "Send X-Buli2-Signature."))?;
    signature::verify_legacy(secret(api)?, signed, body)?;
    let mut decision = Decision::from(parse::<LegacyDecision>(headers, body)?);
    // The path is not signed: a body that would fit any review could be sent to any.
    if decision.document_id.is_none() && decision.task_id.is_none() && decision.review_id.is_none() {
        return Err(ApiError::new(Code::InvalidField, "The body must name reviewId, documentId or taskId."));
    }
    if path.is_some() && decision.review_id.is_some() && decision.review_id != path {
        return Err(mismatch());
    }
    if path.is_some() && decision.document_id.is_none() && decision.review_id.is_none() {
        ticket_is_known(api, path, decision.task_id.as_deref()).await?;
    }
    decision.review_id = decision.review_id.or(path);
    // An event is what was signed and where it was sent: the colon keeps it apart from ids that are sent.
    let named = path.map_or_else(String::new, |id| id.to_string());
    let body_hash = sha256(body);
    let event_id = format!("legacy:{}", sha256(format!("{named}.{body_hash}").as_bytes()));
    take(api, Signed { event_id, body_hash, fresh: true }, decision).await
}

/// A body that names a ticket only is bound to the review in the path by that ticket, so it has to be known.
async fn ticket_is_known(api: &Api, path: Option<ReviewId>, ticket: Option<&str>) -> Result<()> {
    let Some(id) = path else { return Ok(()) };
    match api.app.store.review(id).await {
        Ok(review) if review.ticket_id.as_deref() == ticket => Ok(()),
        Ok(_) => Err(mismatch()),
        Err(store::Error::NotFound) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

async fn take(api: &Api, signed: Signed, decision: Decision) -> Result<axum::Json<Decided>> {
    let field = |text: &'static str| ApiError::new(Code::InvalidField, text);
    if decision.notes.as_ref().is_some_and(|notes| !is_note(notes)) {
        return Err(field("notes may have at most 1000 characters and no control characters."));
    }
    let is_ticket = |ticket: &String| {
        (1..=MAX_TICKET).contains(&ticket.chars().count()) && !ticket.chars().any(char::is_control)
    };
    if !decision.task_id.as_ref().is_none_or(is_ticket) {
        return Err(field("taskId must have 1 to 255 characters and no control characters."));
    }
    let naming = Naming {
        review: decision.review_id,
        document: decision.document_id,
        ticket: decision.task_id,
        user: decision.user_id,
    };
    if naming.review.is_none() && naming.document.is_none() && naming.ticket.is_none() {
        return Err(field("reviewId, documentId or taskId must be given."));
    }
    let verdict = Verdict {
        resolution: decision.decision,
        notes: decision.notes,
        reviewer: Actor::Service("buli2".to_owned()),
        expected_version: None,
    };
    let Signed { event_id, body_hash, fresh } = signed;
    let taken = api.app.store.take_callback(Callback { event_id, body_hash, naming, verdict, fresh }).await;
    let answer = taken.map_err(|error| match error {
        store::Error::Taken => ApiError::new(
            Code::EventIdReused,
            "Another event had this id. Give each event its own, and repeat an event with the same body.",
        ),
        error => error.into(),
    })?;
    ::metrics::counter!("filot_buli2_answers_total", "outcome" => answer.kind.as_str()).increment(1);
    if let Some(document) = &answer.changed {
        api.app.changes.announce(document).await;
        if let (AnswerKind::Decided, Some(review), Some(decision)) =
            (answer.kind, answer.review, answer.decision)
        {
            api.app.workflow.review_decided(review, decision.into());
        }
    }
    view(&answer)
}

fn view(answer: &Answer) -> Result<axum::Json<Decided>> {
    match (answer.kind, answer.review, answer.document, answer.decision) {
        (
            kind @ (AnswerKind::Decided | AnswerKind::Agreed | AnswerKind::SecondLook),
            Some(review_id),
            Some(document_id),
            Some(decision),
        ) => Ok(axum::Json(Decided {
            success: true,
            review_id,
            document_id,
            decision,
            verification_status: match decision {
                _ if kind == AnswerKind::SecondLook => Verification::PendingManualReview,
                Resolution::Approved => Verification::ManuallyApproved,
                Resolution::Rejected => Verification::ManuallyRejected,
            },
        })),
        (AnswerKind::Mismatch, ..) => Err(mismatch()),
        (AnswerKind::AtDesk, ..) => Err(at_desk(answer)),
        (AnswerKind::Stale, ..) => Err(Forged::OutOfWindow.into()),
        (AnswerKind::Unknown, ..) => Err(unknown()),
        (_, _, _, decision) => {
            let decided = decision.map_or("otherwise", Resolution::as_str);
            let by = answer.by.as_deref().unwrap_or("a person");
            Err(ApiError::new(
                Code::ReviewDecided,
                format!("Decided before by {by}: {decided}. That stands; nothing was changed."),
            ))
        }
    }
}

/// The desk has it: what BULI2 says changes nothing, and what stands is known later.
fn at_desk(answer: &Answer) -> ApiError {
    let what = match &answer.by {
        Some(by) => format!("FiLot's own desk was quicker: {by} has decided, and it is not in effect yet."),
        None => "FiLot's own desk has taken this review over.".to_owned(),
    };
    let rest = "Nothing was changed; send it again later to learn what stands.";
    ApiError::new(Code::Conflict, format!("{what} {rest}")).retry_after(AT_DESK)
}

fn mismatch() -> ApiError {
    ApiError::new(
        Code::ReviewMismatch,
        "Send reviewId, documentId, userId and taskId as they were handed over, or fewer of them.",
    )
}

fn unknown() -> ApiError {
    let what =
        "No review has these ids. Send it again later, in case it comes; its document may have been deleted.";
    ApiError::new(Code::ReviewUnknown, what).retry_after(UNKNOWN)
}

/// What the signature is held against. Without a secret nothing is taken: an unsigned verdict is nobody's.
fn secret(api: &Api) -> Result<&str> {
    exposed(&api.app.config.service.buli2.signature_secret).ok_or_else(|| {
        ApiError::new(Code::CallbacksOff, "Set BULI2_SIGNATURE_SECRET on the server to have answers taken.")
    })
}

fn takes_legacy(api: &Api) -> bool {
    let buli2 = &api.app.config.service.buli2;
    buli2.legacy_signature && buli2.signature_secret.is_some()
}

/// The value of a header that stands there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn parse<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T> {
    let media_type = single(headers, "content-type").unwrap_or_default();
    if !media_type.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"))
    {
        return Err(ApiError::new(Code::UnsupportedMediaType, "Send JSON as application/json."));
    }
    let value: serde_json::Value = serde_json::from_slice(body)
        .map_err(|_| ApiError::new(Code::InvalidBody, "The body is not JSON."))?;
    // An object first: of itself serde would also take a list of the fields' values.
    let unfit = || {
        ApiError::new(
            Code::InvalidBody,
            "The body lacks a field, has one too many, or one of the wrong type; see /openapi.json.",
        )
    };
    if !value.is_object() {
        return Err(unfit());
    }
    serde_json::from_value(without_nul(value)?).map_err(|_| unfit())
}

/// The body as it arrived.
pub(super) struct Raw(Bytes);

impl FromRequest<Api> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self> {
        Bytes::from_request(request, api).await.map(Self).map_err(|rejection| {
            match rejection.status().as_u16() {
                413 => ApiError::new(Code::BodyTooLarge, "The body is too long."),
                _ => ApiError::new(Code::InvalidBody, "The body could not be read."),
            }
        })
    }
}

impl From<Forged> for ApiError {
    fn from(forged: Forged) -> Self {
        let code = match forged {
            Forged::Missing => Code::SignatureMissing,
            Forged::Malformed | Forged::Wrong => Code::SignatureInvalid,
            Forged::OutOfWindow => Code::TimestampOutOfWindow,
        };
        ::metrics::counter!("filot_buli2_forged_total", "code" => code.as_str()).increment(1);
        Self::new(code, format!("{forged}."))
    }
}
