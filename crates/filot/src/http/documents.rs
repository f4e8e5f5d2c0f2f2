//! `/documents`: list, look, delete, read again.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::{Id, Query};
use super::owner;
use crate::auth::Caller;
use crate::document::{CardType, Document, DocumentId, Status, Verification};
use crate::intake;
use crate::retake;
use crate::store::{Actor, Cursor, Filter, Summary};

/// Longest page of a list.
const MAX_PAGE: u64 = 100;

/// A time as clients see it.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// What the customer is asked for: another photo.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Retake {
    /// What to do better, in both languages.
    sentence: retake::Advice,
    /// A page that takes one photo, for whoever has the link.
    url: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Photos that can still be sent in this case, this one included.
    attempts_left: u32,
}

impl From<retake::Asked> for Retake {
    fn from(asked: retake::Asked) -> Self {
        Self {
            sentence: asked.advice,
            url: asked.url,
            expires_at: instant(asked.expires_at),
            attempts_left: asked.attempts_left,
        }
    }
}

/// One document with everything that was read on it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Document)]
pub(super) struct View<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: DocumentId,
    #[serde(rename = "type")]
    card_type: CardType,
    status: Status,
    verification_status: Verification,
    /// 0 to 100.
    #[schema(maximum = 100)]
    ai_score: Option<u8>,
    /// `auto_approve`, `needs_review` or `auto_reject`.
    ai_decision: Option<&'a str>,
    /// Fields with confidence and boxes, and of each check how it ended and what to do about it.
    #[schema(value_type = Option<Object>)]
    result: Option<Box<RawValue>>,
    /// Why it could not be read: a stable code.
    error: Option<&'a str>,
    buli2_ticket_id: Option<&'a str>,
    /// The document of the same case whose photo was not good enough.
    #[schema(value_type = Option<uuid::Uuid>)]
    replaces: Option<DocumentId>,
    /// The document that came in its place.
    #[schema(value_type = Option<uuid::Uuid>)]
    replaced_by: Option<DocumentId>,
    /// Another photo is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    retake: Option<Retake>,
    media_type: &'a str,
    /// Bytes.
    byte_size: u64,
    /// The reader that read it.
    engine: Option<&'a str>,
    /// Milliseconds of reading.
    reading_ms: Option<u32>,
    /// Counts the changes.
    version: u32,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    processed_at: Option<String>,
}

impl<'a> From<&'a Document> for View<'a> {
    fn from(document: &'a Document) -> Self {
        Self {
            id: document.id,
            card_type: document.card_type,
            status: document.status,
            verification_status: document.verification,
            ai_score: document.score,
            ai_decision: document.decision.as_deref(),
            result: document.result.as_deref().and_then(owner::result),
            error: document.failure_code.as_deref(),
            buli2_ticket_id: document.ticket_id.as_deref(),
            replaces: document.replaces,
            replaced_by: document.replaced_by,
            retake: None,
            media_type: &document.media_type,
            byte_size: document.byte_size,
            engine: document.engine.as_deref(),
            reading_ms: document.reading_ms,
            version: document.version,
            created_at: instant(document.created_at),
            updated_at: instant(document.updated_at),
            processed_at: document.processed_at.map(instant),
        }
    }
}

/// A document as lists show it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[schema(value_type = uuid::Uuid)]
    id: DocumentId,
    #[serde(rename = "type")]
    card_type: CardType,
    status: Status,
    verification_status: Verification,
    ai_score: Option<u8>,
    ai_decision: Option<String>,
    error: Option<String>,
    version: u32,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    processed_at: Option<String>,
}

impl From<Summary> for Entry {
    fn from(summary: Summary) -> Self {
        Self {
            id: summary.id,
            card_type: summary.card_type,
            status: summary.status,
            verification_status: summary.verification,
            ai_score: summary.score,
            ai_decision: summary.decision,
            error: summary.failure_code,
            version: summary.version,
            created_at: instant(summary.created_at),
            processed_at: summary.processed_at.map(instant),
        }
    }
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    documents: Vec<Entry>,
    /// For the next page; null at the end.
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// `nextCursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{32}$")]
    cursor: Option<String>,
    /// Documents on a page, 20 if not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    status: Option<Status>,
    verification_status: Option<Verification>,
    #[serde(rename = "type")]
    card_type: Option<CardType>,
}

/// My documents, newest first; of photos that replaced each other only the latest
#[utoipa::path(get, path = "/documents", tag = "documents", security(("token" = [])), params(Listing),
    responses((status = 200, body = Page), (status = 400, body = Problem, description = "invalid_query")))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<Listing>,
) -> Result<axum::Json<Page>> {
    let wrong = |what: &'static str| ApiError::new(Code::InvalidQuery, what);
    let limit = query.limit.unwrap_or(20);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(wrong("limit must lie between 1 and 100."));
    }
    let cursor = query.cursor.map(|text| text.parse::<Cursor>()).transpose();
    let cursor = cursor.map_err(|_| wrong("cursor must be the nextCursor of another page."))?;
    let filter =
        Filter { status: query.status, verification: query.verification_status, card_type: query.card_type };
    let mut found = api.app.store.documents_of(caller.user, &filter, cursor, limit + 1).await?;
    let more = found.len() as u64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = found.last().filter(|_| more).map(|last| last.cursor().to_string());
    Ok(axum::Json(Page { documents: found.into_iter().map(Entry::from).collect(), next_cursor }))
}

/// One of my documents
#[utoipa::path(get, path = "/documents/{id}", tag = "documents", security(("token" = [])),
    params(("id" = uuid::Uuid, Path), ("If-None-Match" = Option<String>, Header, description = "The ETag of an answer that is still there")),
    responses((status = 200, body = View, headers(("ETag" = String))), (status = 304, description = "As the ETag says")))]
pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
    headers: HeaderMap,
) -> Result<Response> {
    let document = api.app.store.document_of(caller.user, id).await?;
    let asked = retake::asked(&api.app, &document).await?;
    // A new link is news, too.
    let link = asked.as_ref().map(|asked| format!("-{}", asked.expires_at.as_second())).unwrap_or_default();
    let tag = format!("\"{}{link}\"", document.version);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let retake = asked.map(Retake::from);
        axum::Json(View { retake, ..View::from(&document) }).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    // Kept by the client alone, and looked at again each time.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// Delete one of my documents, with its file, everything that was read on it, and the earlier photos of its case
///
/// What is being decided on, and what was rejected less than the set time ago, is evidence and stays.
#[utoipa::path(delete, path = "/documents/{id}", tag = "documents", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), responses((status = 204, description = "It is gone."),
        (status = 409, body = Problem, description = "evidence_kept")))]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<StatusCode> {
    let keep = api.app.config.service.storage.keep_rejected();
    for gone in api.app.store.delete_own_document(caller.user, id, keep).await? {
        api.app.decoded.take(gone);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What was read, or why it was not.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    status: Status,
    /// As in the document; absent when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Option<Box<RawValue>>>,
    /// A stable code, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Another photo is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    retake: Option<Retake>,
}

/// The result of one of my documents
#[utoipa::path(get, path = "/documents/{id}/result", tag = "documents", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Outcome)))]
pub(super) async fn result(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<axum::Json<Outcome>> {
    let document = api.app.store.document_of(caller.user, id).await?;
    let failed = document.status == Status::Failed;
    let retake = retake::asked(&api.app, &document).await?.map(Retake::from);
    Ok(axum::Json(Outcome {
        status: document.status,
        result: (!failed).then(|| document.result.as_deref().and_then(owner::result)),
        error: document.failure_code.filter(|_| failed),
        retake,
    }))
}

/// That a document is in line.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Queued {
    /// Whether it waits for a reader now.
    queued: bool,
    #[schema(value_type = uuid::Uuid)]
    document_id: DocumentId,
    status: Status,
}

/// Read one of my documents
///
/// Uploads are read without being asked for; this reads one that failed again. Harmless in any state.
#[utoipa::path(post, path = "/documents/{id}/process", tag = "documents", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Queued)))]
pub(super) async fn process(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<axum::Json<Queued>> {
    api.app.store.document_of(caller.user, id).await?;
    let document = intake::trigger(&api.app, id, &Actor::User(caller.user)).await?;
    let queued = matches!(document.status, Status::Pending | Status::Processing);
    Ok(axum::Json(Queued { queued, document_id: id, status: document.status }))
}
