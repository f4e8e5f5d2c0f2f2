//! `/health` and `/ready`: what works, checked, in bounded time.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::Api;
use super::documents::instant;
use super::error::AsIs;
use crate::config::service::WorkflowEngine;

/// A part that does not answer within this is not well. Health answers sooner than anyone loses patience.
const PATIENCE: Duration = Duration::from_millis(120);
/// How long a look is good for, so that asking often costs nothing.
const GOOD_FOR: Duration = Duration::from_millis(500);

/// The latest look.
pub(super) struct Health {
    started: Instant,
    latest: Mutex<Option<(Instant, Look)>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { started: Instant::now(), latest: Mutex::default() }
    }
}

impl Health {
    /// Seconds since the start.
    pub(super) fn uptime(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

#[derive(Clone, Copy)]
struct Look {
    database: bool,
    queue: bool,
    storage: bool,
    /// `None` when it is not used.
    temporal: Option<bool>,
    /// `None` when this instance reads nothing.
    readers: Option<bool>,
}

/// Whether each part answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checks {
    database: Check,
    queue: Check,
    storage: Check,
    /// Only when Temporal is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    temporal: Option<Check>,
    /// Only when this instance reads documents: whether its readers can be started and readings end.
    #[serde(skip_serializing_if = "Option::is_none")]
    readers: Option<Check>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    ok: bool,
    /// What it is made of, such as `sqlite` or `redis`.
    #[schema(value_type = String)]
    kind: &'static str,
}

/// How the service is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthView {
    /// Whether everything works.
    ok: bool,
    /// `ok` or `degraded`.
    #[schema(value_type = String)]
    status: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
    /// Seconds since the start.
    uptime: u64,
    #[schema(value_type = String)]
    environment: &'static str,
    /// What carries documents to their readers: `redis`, `database` or `temporal`.
    #[schema(value_type = String)]
    ocr_engine: &'static str,
    temporal_configured: bool,
    /// False also when Redis is not used.
    redis_connected: bool,
    checks: Checks,
}

/// How the service is
///
/// Always 200 while the process lives; `ok` tells whether everything works. For taking an instance out of rotation ask
/// `/ready`.
#[utoipa::path(get, path = "/health", tag = "operations", responses((status = 200, body = HealthView)))]
pub(super) async fn health(State(api): State<Api>) -> axum::Json<HealthView> {
    axum::Json(view(&api).await)
}

/// Whether this instance can take requests
#[utoipa::path(get, path = "/ready", tag = "operations",
    responses((status = 200, body = HealthView), (status = 503, body = HealthView)))]
pub(super) async fn ready(
    State(api): State<Api>,
) -> (StatusCode, axum::Extension<AsIs>, axum::Json<HealthView>) {
    let view = view(&api).await;
    // Uploads are accepted without a queue: the reaper makes up for it.
    let reads = view.checks.readers.as_ref().is_none_or(|readers| readers.ok);
    let ready = view.checks.database.ok && view.checks.storage.ok && reads && !api.stop.is_cancelled();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // What does not work is what whoever asks wants to know.
    (status, axum::Extension(AsIs), axum::Json(view))
}

/// How the workflow engine is.
#[derive(Serialize, ToSchema)]
pub(super) struct TemporalView {
    ok: bool,
    /// `connected`, or `not_configured` when the queue carries the documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    temporal: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Whether Temporal answers
#[utoipa::path(get, path = "/health/temporal", tag = "operations",
    responses((status = 200, body = TemporalView), (status = 500, body = TemporalView, description = "no answer")))]
pub(super) async fn temporal(
    State(api): State<Api>,
) -> (StatusCode, axum::Extension<AsIs>, axum::Json<TemporalView>) {
    let (status, view) = match api.app.workflow.ping_temporal().await {
        Some(Ok(())) => (StatusCode::OK, TemporalView { ok: true, temporal: Some("connected"), error: None }),
        None => (StatusCode::OK, TemporalView { ok: false, temporal: Some("not_configured"), error: None }),
        Some(Err(error)) => {
            // Where it is, and what it says, is not everybody's to know.
            tracing::debug!(%error, "Temporal does not answer");
            let error = Some("Error: Temporal does not answer".to_owned());
            (StatusCode::INTERNAL_SERVER_ERROR, TemporalView { ok: false, temporal: None, error })
        }
    };
    (status, axum::Extension(AsIs), axum::Json(view))
}

async fn view(api: &Api) -> HealthView {
    let look = look(api).await;
    let app = &api.app;
    let config = &app.config.service;
    let queue_kind = app.queue.kind();
    let ok = look.database
        && look.queue
        && look.storage
        && look.temporal != Some(false)
        && look.readers != Some(false);
    HealthView {
        ok,
        status: if ok { "ok" } else { "degraded" },
        timestamp: instant(app.clock.now()),
        uptime: api.health.uptime(),
        environment: config.server.environment.as_str(),
        ocr_engine: match config.workflow.engine {
            WorkflowEngine::Temporal if config.temporal_endpoint().is_some() => "temporal",
            _ if queue_kind == "redis" => "redis",
            _ => "database",
        },
        temporal_configured: config.temporal_endpoint().is_some(),
        redis_connected: queue_kind == "redis" && look.queue,
        checks: Checks {
            database: Check { ok: look.database, kind: app.store.kind() },
            queue: Check { ok: look.queue, kind: queue_kind },
            storage: Check { ok: look.storage, kind: app.blobs.kind() },
            temporal: look.temporal.map(|ok| Check { ok, kind: "temporal" }),
            readers: look.readers.map(|ok| Check { ok, kind: "processes" }),
        },
    }
}

/// Asks all parts at once. Only one asks at a time; others get what it found.
async fn look(api: &Api) -> Look {
    let mut latest = api.health.latest.lock().await;
    if let Some((at, look)) = *latest
        && at.elapsed() < GOOD_FOR
    {
        return look;
    }
    let app = &api.app;
    let (database, queue, storage, temporal) = tokio::join!(
        tokio::time::timeout(PATIENCE, app.store.ping()),
        tokio::time::timeout(PATIENCE, app.queue.ping()),
        tokio::time::timeout(PATIENCE, app.blobs.ping()),
        tokio::time::timeout(PATIENCE, app.workflow.ping_temporal()),
    );
    let look = Look {
        database: matches!(database, Ok(Ok(()))),
        queue: matches!(queue, Ok(Ok(()))),
        storage: matches!(storage, Ok(Ok(()))),
        temporal: temporal.map_or(Some(false), |answer| answer.map(|answer| answer.is_ok())),
        readers: app.reader.condition().map(|condition| condition.is_well()),
    };
    *latest = Some((Instant::now(), look));
    look
}
