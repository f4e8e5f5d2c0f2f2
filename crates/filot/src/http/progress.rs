//! `GET /documents/{id}/events`: watching a document being read.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, stream};

use super::Api;
use super::documents::View;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::Id;
use crate::auth::Caller;
use crate::document::{Document, DocumentId};
use crate::events::{Crowded, Watching};
use crate::store::Pulse;

/// How long one look for a change lasts. After each it is asked whether the client may still look.
const SESSION_CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// A stream ends after so many looks; clients that still want to know come again.
const LOOKS: u32 = 200;

struct Watch {
    api: Api,
    caller: Caller,
    id: DocumentId,
    /// The version that was sent.
    sent: Option<u32>,
    over: bool,
    looks: u32,
    _watching: Watching,
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
        (status = 429, body = Problem, description = "too_many_streams"),
        (status = 503, body = Problem, description = "busy")))]
pub(super) async fn events(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    if api.app.store.pulse(id).await?.user_id != caller.user {
        return Err(ApiError::not_found());
    }
    let watching = api.app.watchers.watch(caller.user).map_err(crowded)?;
    let watch = Watch { api, caller, id, sent: None, over: false, looks: 0, _watching: watching };
    Ok(Sse::new(stream::unfold(watch, next)).keep_alive(KeepAlive::default()))
}

fn crowded(crowded: Crowded) -> ApiError {
    let (code, text) = match crowded {
        Crowded::Account => {
            (Code::TooManyStreams, "This account watches as much as it may. Close a stream first.")
        }
        Crowded::Service => {
            (Code::Busy, "Too many clients are watching. Ask for the document now and then instead.")
        }
    };
    ApiError::new(code, text).retry_after(Duration::from_secs(5))
}

async fn next(mut watch: Watch) -> Option<(std::result::Result<Event, Infallible>, Watch)> {
    while !watch.over && watch.looks < LOOKS {
        watch.looks += 1;
        let stop = watch.api.stop.clone();
        let document = tokio::select! {
            () = stop.cancelled() => return None,
            document = look(&watch) => document?,
        };
        let Some(document) = document else { continue };
        watch.sent = Some(document.version);
        watch.over = document.is_terminal();
        let event = Event::default().event("document").id(document.version.to_string());
        let event = event.json_data(View::from(&document)).ok()?;
        return Some((Ok(event), watch));
    }
    None
}

/// The document when it is another than was sent, or nothing after a while. `None` when it is gone, or the client may no
/// longer see it.
async fn look(watch: &Watch) -> Option<Option<Document>> {
    let app = &watch.api.app;
    let changed = |pulse: &Pulse| watch.sent != Some(pulse.version);
    let pulse = app.changes.wait(&app.store, watch.id, SESSION_CHECK_INTERVAL, changed).await.ok()?;
    if !watch.api.auth.is_current(&watch.caller).await.ok()? {
        return None;
    }
    if !changed(&pulse) {
        return Some(None);
    }
    app.store.document_of(watch.caller.user, watch.id).await.ok().map(Some)
}
