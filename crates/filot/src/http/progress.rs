//! `GET /documents/{id}/events`: watching a document being read.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::documents::View;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::Id;
use crate::auth::Caller;
use crate::document::{Document, DocumentId, UserId};

/// How long one look for a change lasts.
const LOOK: Duration = Duration::from_secs(15);
/// A stream ends after so many looks; clients that still want to know come again.
const LOOKS: u32 = 40;

struct Watch {
    api: Api,
    user: UserId,
    id: DocumentId,
    /// The version that was sent.
    sent: Option<u32>,
    over: bool,
    looks: u32,
    _permit: OwnedSemaphorePermit,
}

/// One event of the stream, by the names of its lines.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes what the stream writes line by line")]
struct ProgressEvent {
    /// `document`.
    event: String,
    /// The document as JSON, as in `GET /documents/{id}`.
    data: String,
}

/// Watch one of my documents
///
/// Server-sent events named `document`, each with the whole document: one at once, one for each change, until it is
/// read.
#[utoipa::path(get, path = "/documents/{id}/events", tag = "documents", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = ProgressEvent, content_type = "text/event-stream"),
        (status = 503, body = Problem, description = "busy")))]
pub(super) async fn events(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    api.app.store.document_of(caller.user, id).await?;
    let permit = Arc::clone(&api.watchers).try_acquire_owned().map_err(|_| {
        ApiError::new(Code::Busy, "Too many clients are watching. Ask for the document now and then instead.")
            .retry_after(Duration::from_secs(5))
    })?;
    let watch = Watch { api, user: caller.user, id, sent: None, over: false, looks: 0, _permit: permit };
    Ok(Sse::new(stream::unfold(watch, next)).keep_alive(KeepAlive::default()))
}

async fn next(mut watch: Watch) -> Option<(std::result::Result<Event, Infallible>, Watch)> {
    while !watch.over && watch.looks < LOOKS {
        watch.looks += 1;
        let stop = watch.api.stop.clone();
        let document = tokio::select! {
            () = stop.cancelled() => return None,
            document = look(&watch) => document?,
        };
        if watch.sent == Some(document.version) {
            continue;
        }
        watch.sent = Some(document.version);
        watch.over = document.is_terminal();
        let event = Event::default().event("document").id(document.version.to_string());
        let event = event.json_data(View::from(&document)).ok()?;
        return Some((Ok(event), watch));
    }
    None
}

/// The document when it is another than was sent, or after a while. `None` when it is gone or cannot be seen.
async fn look(watch: &Watch) -> Option<Document> {
    let app = &watch.api.app;
    let changed = |document: &Document| watch.sent != Some(document.version);
    let document = app.changes.wait(&app.store, watch.id, LOOK, changed).await.ok()?;
    (document.user_id == watch.user).then_some(document)
}
