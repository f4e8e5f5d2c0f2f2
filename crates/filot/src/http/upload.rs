//! `POST /documents/upload`: a form with a file, accepted once for each `Idempotency-Key`.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::documents::View;
use super::error::{ApiError, Code, Problem, Result};
use crate::auth::Caller;
use crate::document::{CardType, Document, UserId};
use crate::intake;
use crate::keys;
use crate::store::{DELETED, Idempotency, IdempotencyKey};

/// Names the route in idempotency keys.
const ROUTE: &str = "POST /documents/upload";
/// How long a request holds its key without a sign of life, and how often it gives one. A key whose process died can be
/// used again about when the service is back.
const LOCK: Duration = Duration::from_secs(5);
const RENEW: Duration = Duration::from_millis(1500);
/// How long keys are remembered.
const KEEP: Duration = Duration::from_secs(48 * 3600);
/// Longest wait that a client may ask for, in seconds; less when requests may not last so long.
const MAX_WAIT_S: u64 = 60;
/// Longest value of `type`.
const MAX_TYPE: usize = 16;
/// Fields that a form may have.
const MAX_FIELDS: usize = 8;

/// The form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read field by field")]
pub(super) struct UploadForm {
    /// JPEG, PNG, WebP or PDF.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    #[schema(value_type = CardType)]
    r#type: CardType,
}

/// That a document was accepted, and with `Prefer: wait=…` what became of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted<'a> {
    success: bool,
    #[schema(value_type = uuid::Uuid)]
    document_id: String,
    document: View<'a>,
}

struct Form {
    bytes: Bytes,
    media_type: Option<String>,
    card_type: CardType,
}

/// Send a photo of a card
///
/// It is stored and read in the background: 202. With `Prefer: wait=N` the answer waits up to N seconds for the verdict
/// and is 200 when there is one. With an `Idempotency-Key` the request can be repeated: it makes one document.
#[utoipa::path(post, path = "/documents/upload", tag = "documents", security(("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters", pattern = "^[!-~]{1,255}$"),
        ("Prefer" = Option<String>, Header, description = "wait=N, in seconds")),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Accepted, description = "Read"), (status = 202, body = Accepted, description = "Stored"),
        (status = 400, body = Problem), (status = 409, body = Problem, description = "idempotency_in_progress"),
        (status = 410, body = Problem, description = "document_deleted"), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn upload(
    State(api): State<Api>,
    caller: Caller,
    request: Request,
) -> Result<Response<Body>> {
    let key = idempotency_key(request.headers(), &caller)?;
    let wait = preferred_wait(request.headers(), api.app.config.service.server.request_timeout_s);
    let form = read_form(&api, caller.user, request).await?;
    let Some(key) = key else {
        let document = intake::submit(&api.app, form.upload(&caller, None)).await?;
        return answer(&api, document, wait).await.map(|(status, body)| respond(status, body, wait, false));
    };
    let hash = form.hash();
    match api.app.store.idempotency_begin(&key, &hash, LOCK, KEEP).await? {
        Idempotency::Fresh => {
            let upload = form.upload(&caller, Some(key.clone()));
            holding(&api, &key, carry_out(&api, &key, upload, wait)).await
        }
        Idempotency::Resume(id) => {
            let document = api.app.store.document_of(caller.user, id).await?;
            holding(&api, &key, finish(&api, &key, document, wait)).await
        }
        Idempotency::Running { retry_after } => Err(ApiError::new(
            Code::IdempotencyInProgress,
            "The first request with this key has no answer yet.",
        )
        .retry_after(retry_after.min(Duration::from_secs(2)))),
        Idempotency::Mismatch => Err(ApiError::new(
            Code::IdempotencyMismatch,
            "This Idempotency-Key was used for another file or type. Use a new one.",
        )),
        Idempotency::Deleted => Err(deleted()),
        Idempotency::Done { status, body } => replay(&api, &key, status, &body),
    }
}

async fn carry_out(
    api: &Api,
    key: &IdempotencyKey,
    upload: intake::Upload,
    wait: Option<Duration>,
) -> Result<Response<Body>> {
    match intake::submit(&api.app, upload).await {
        Ok(document) => finish(api, key, document, wait).await,
        Err(error) => {
            // A refused file may be sent again at once. That this fails costs the client the time of the lock.
            if let Err(error) = api.app.store.idempotency_abandon(key).await {
                tracing::warn!(%error, "an idempotency key stays locked for a while");
            }
            Err(error.into())
        }
    }
}

/// Holds the key for as long as `work` takes.
async fn holding<T>(api: &Api, key: &IdempotencyKey, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(RENEW, work.as_mut()).await {
            return done;
        }
        // Whoever takes the key over finds the document, or is the one to make it: there is never a second.
        if let Err(error) = api.app.store.idempotency_renew(key, LOCK).await {
            tracing::warn!(%error, "an idempotency key may be free before its request is done");
        }
    }
}

impl Form {
    fn upload(self, caller: &Caller, idempotency: Option<IdempotencyKey>) -> intake::Upload {
        let Self { bytes, media_type, card_type } = self;
        intake::Upload { user: caller.user, card_type, media_type, bytes, idempotency }
    }

    /// What makes the request the same request.
    fn hash(&self) -> String {
        let mut context = Context::new(&SHA256);
        for part in [self.card_type.as_str(), self.media_type.as_deref().unwrap_or_default()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(&self.bytes);
        keys::hex(context.finish().as_ref())
    }
}

/// Stores the answer under the key, then gives out what is stored: the first of several answers.
async fn finish(
    api: &Api,
    key: &IdempotencyKey,
    document: Document,
    wait: Option<Duration>,
) -> Result<Response<Body>> {
    let (status, body) = answer(api, document, wait).await?;
    let sealed = api.app.keys.seal(&body, &context(key)).map_err(|error: keys::Error| {
        tracing::error!(%error, "an answer cannot be sealed");
        ApiError::new(Code::Internal, "This is a fault of the server. It has been noted.")
    })?;
    let own = sealed.clone();
    let (stored_status, stored) = api.app.store.idempotency_finish(key, status, sealed).await?;
    if stored == own {
        Ok(respond(status, body, wait, false))
    } else {
        replay(api, key, stored_status, &stored)
    }
}

/// What is answered when the document of a request is no more.
fn deleted() -> ApiError {
    ApiError::new(
        Code::DocumentDeleted,
        "The document that this Idempotency-Key made has been deleted. To send it again use a new key.",
    )
}

fn replay(api: &Api, key: &IdempotencyKey, status: u16, sealed: &[u8]) -> Result<Response<Body>> {
    if status == DELETED {
        return Err(deleted());
    }
    match api.app.keys.open(sealed, &context(key)) {
        Some(body) => Ok(respond(status, body, None, true)),
        // Sealed under an earlier key of this installation.
        None => Err(ApiError::new(
            Code::IdempotencyMismatch,
            "The answer to this Idempotency-Key can no longer be read. Use a new one.",
        )),
    }
}

fn context(key: &IdempotencyKey) -> [&str; 2] {
    // The user is part of the row that the bytes lie in; the route and the key tie them to it.
    [&key.route, &key.key]
}

/// Waits as the client prefers, and writes the answer.
async fn answer(api: &Api, document: Document, wait: Option<Duration>) -> Result<(u16, Vec<u8>)> {
    // Who waits for too much already gets the answer that those get who do not wait.
    let watching = wait.and_then(|wait| Some((wait, api.app.watchers.watch(document.user_id).ok()?)));
    let document = match watching {
        Some((wait, _watching)) => api.app.changes.wait_terminal(&api.app.store, document.id, wait).await?,
        None => document,
    };
    let status = if document.is_terminal() { 200 } else { 202 };
    let body =
        Accepted { success: true, document_id: document.id.to_string(), document: View::from(&document) };
    let body = serde_json::to_vec(&body).map_err(|error| {
        tracing::error!(%error, "a document has no JSON form");
        ApiError::new(Code::Internal, "This is a fault of the server. It has been noted.")
    })?;
    Ok((status, body))
}

fn respond(status: u16, body: Vec<u8>, wait: Option<Duration>, replayed: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = wait
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        headers.insert("preference-applied", applied);
    }
    if replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

fn idempotency_key(headers: &HeaderMap, caller: &Caller) -> Result<Option<IdempotencyKey>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let fits = |text: &&str| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let key = value.to_str().ok().filter(fits).ok_or_else(|| {
        ApiError::new(Code::InvalidIdempotencyKey, "Idempotency-Key must have 1 to 255 visible characters.")
    })?;
    Ok(Some(IdempotencyKey { user: caller.user, route: ROUTE.to_owned(), key: key.to_owned() }))
}

/// The `wait` of `Prefer` (RFC 7240), as far as a request may last. Preferences that make no sense are none.
fn preferred_wait(headers: &HeaderMap, request_timeout_s: u64) -> Option<Duration> {
    let limit = MAX_WAIT_S.min(request_timeout_s.saturating_sub(5));
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse::<u64>().ok())
        .filter(|&seconds| seconds > 0)
        .map(|seconds| Duration::from_secs(seconds.min(limit)))
}

async fn read_form(api: &Api, account: UserId, request: Request) -> Result<Form> {
    let mut multipart = Multipart::from_request(request, api).await.map_err(|_| {
        ApiError::new(Code::UnsupportedMediaType, "Send a form as multipart/form-data, with file and type.")
    })?;
    let limit = api.app.config.service.upload.max_bytes;
    let (mut file, mut card_type) = (None, None);
    for _ in 0..MAX_FIELDS {
        let Some(field) = multipart.next_field().await.map_err(|error| broken(&error, limit))? else { break };
        match field.name() {
            Some("file") if file.is_none() => {
                let media_type = field.content_type().map(str::to_owned);
                file = Some((read_file(api, account, field, limit).await?, media_type));
            }
            Some("type") if card_type.is_none() => {
                card_type = read_word(field).await.and_then(|text| text.trim().parse().ok());
                if card_type.is_none() {
                    return Err(ApiError::new(Code::TypeInvalid, "The form field type must be KTP or NPWP."));
                }
            }
            _ => return Err(ApiError::new(Code::InvalidBody, "The form may have one file and one type.")),
        }
    }
    let card_type = card_type
        .ok_or_else(|| ApiError::new(Code::TypeInvalid, "The form field type must be KTP or NPWP."))?;
    let (bytes, media_type) =
        file.ok_or_else(|| ApiError::new(Code::FileMissing, "Send the picture in the form field file."))?;
    Ok(Form { bytes, media_type, card_type })
}

/// Reads a file and stops as soon as it is longer than `limit`, or there is no memory for it.
async fn read_file(api: &Api, account: UserId, mut field: Field<'_>, limit: usize) -> Result<Bytes> {
    let mut file = api.app.bodies.receive(account.0);
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error, limit))? {
        if file.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        file.push(&chunk).await.map_err(|_| intake::Error::Busy)?;
    }
    Ok(file.finish())
}

/// Reads a short text. `None` when it is longer, no text, or does not come.
async fn read_word(mut field: Field<'_>) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_TYPE {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

fn broken(error: &MultipartError, limit: usize) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        too_large(limit)
    } else {
        ApiError::new(Code::InvalidBody, "The form is not well-formed, or broke off.")
    }
}

fn too_large(limit: usize) -> ApiError {
    let detail = format!("The file may have at most {} MB. Send a smaller one.", limit >> 20);
    ApiError::new(Code::FileTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_taken_from_the_preferences_and_bounded() {
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            preferred_wait(&headers, 30).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("wait=10"), Some(10));
        assert_eq!(wait("respond-async, Wait = \"7\""), Some(7));
        assert_eq!(wait("wait=9999"), Some(25));
        assert_eq!([wait("wait=0"), wait("wait=-1"), wait("wait=soon"), wait("return=minimal")], [None; 4]);
    }
}
