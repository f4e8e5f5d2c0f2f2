//! Links to files, and the files behind own links.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::{Id, Query};
use crate::auth::Caller;
use crate::blobs::{Holder, LinkError, LinkQuery, download_name};
use crate::document::{DocumentId, UserId};
use crate::store::{Actor, AuditEntry};

/// A link to a file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Link {
    /// Whoever has it has the file, until it expires.
    url: String,
    /// Seconds that it lives.
    expires_in: u64,
}

/// A short-lived link to the file of one of my documents
#[utoipa::path(get, path = "/documents/{id}/download", tag = "documents", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Link)))]
pub(super) async fn download(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<axum::Json<Link>> {
    link(&api, &caller, id, api.app.config.service.storage.link_expiry_s).await
}

/// A longer-lived link to the file of one of my documents
#[utoipa::path(get, path = "/documents/secure-download/{id}", tag = "documents", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Link)))]
pub(super) async fn secure_download(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<axum::Json<Link>> {
    link(&api, &caller, id, api.app.config.service.storage.private_link_expiry_s).await
}

async fn link(api: &Api, caller: &Caller, id: DocumentId, expires_in: u64) -> Result<axum::Json<Link>> {
    let document = api.app.store.document_of(caller.user, id).await?;
    let holder = Holder { user: caller.user, session: caller.session };
    let url = api.app.blobs.link(&document, holder, Duration::from_secs(expires_in)).await?;
    let actor = Actor::User(caller.user);
    let subject = format!("document:{id}");
    let entry = AuditEntry {
        actor: &actor,
        action: "document.link",
        subject,
        reason: None,
        before: None,
        after: None,
    };
    api.app.store.audit(entry).await?;
    Ok(axum::Json(Link { url, expires_in }))
}

/// What an own link carries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Signed {
    #[param(value_type = uuid::Uuid)]
    user: UserId,
    /// The sign-in in which the link was given out; it ends with that.
    session: Option<uuid::Uuid>,
    /// Seconds since 1970.
    expires: i64,
    signature: String,
}

/// The file behind a link of this service
#[utoipa::path(get, path = "/files/{id}", tag = "documents", params(("id" = uuid::Uuid, Path), Signed),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 403, body = Problem, description = "link_invalid, link_expired")))]
pub(super) async fn file(
    State(api): State<Api>,
    Id(id): Id<DocumentId>,
    query: Result<Query<Signed>>,
) -> Result<Response<Body>> {
    let Query(Signed { user, session, expires, signature }) = query.map_err(|_| {
        ApiError::new(Code::LinkInvalid, "Ask for a new link with GET /documents/{id}/download.")
    })?;
    let holder = Holder { user, session };
    api.app.blobs.check_link(id, &LinkQuery { holder, expires, signature })?;
    if !api.auth.still_signed_in(user, session).await? {
        return Err(LinkError::Expired.into());
    }
    let document = api.app.store.document_of(user, id).await?;
    let (length, pieces) = api.app.blobs.pieces(&document.blob_key).await?;
    let actor = Actor::User(user);
    let (action, subject) = ("document.fetch", format!("document:{id}"));
    let entry = AuditEntry { actor: &actor, action, subject, reason: None, before: None, after: None };
    api.app.store.audit(entry).await?;
    let headers = [
        (header::CONTENT_TYPE, document.media_type.clone()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", download_name(&document))),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
