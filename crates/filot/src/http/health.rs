//! `/health` and `/ready`: what works, checked, in bounded time.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::Api;
use super::documents::instant;
use crate::config::service::{Service, WorkflowEngine};

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
}

/// Whether each part answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checks {
    database: Check,
    queue: Check,
    storage: Check,
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
pub(super) async fn ready(State(api): State<Api>) -> (StatusCode, axum::Json<HealthView>) {
    let view = view(&api).await;
    // Uploads are accepted without a queue: the reaper makes up for it.
    let ready = view.checks.database.ok && view.checks.storage.ok && !api.stop.is_cancelled();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, axum::Json(view))
}

async fn view(api: &Api) -> HealthView {
    let look = look(api).await;
    let app = &api.app;
    let config = &app.config.service;
    let queue_kind = app.queue.kind();
    let ok = look.database && look.queue && look.storage;
    HealthView {
        ok,
        status: if ok { "ok" } else { "degraded" },
        timestamp: instant(app.clock.now()),
        uptime: api.health.uptime(),
        environment: config.server.environment.as_str(),
        ocr_engine: match config.workflow.engine {
            WorkflowEngine::Temporal if temporal_configured(config) => "temporal",
            _ if queue_kind == "redis" => "redis",
            _ => "database",
        },
        temporal_configured: temporal_configured(config),
        redis_connected: queue_kind == "redis" && look.queue,
        checks: Checks {
            database: Check { ok: look.database, kind: app.store.kind() },
            queue: Check { ok: look.queue, kind: queue_kind },
            storage: Check { ok: look.storage, kind: app.blobs.kind() },
        },
    }
}

fn temporal_configured(config: &Service) -> bool {
    !config.temporal.disabled && config.temporal.endpoint.is_some()
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
    let (database, queue, storage) = tokio::join!(
        tokio::time::timeout(PATIENCE, app.store.ping()),
        tokio::time::timeout(PATIENCE, app.queue.ping()),
        tokio::time::timeout(PATIENCE, app.blobs.ping()),
    );
    let look = Look {
        database: matches!(database, Ok(Ok(()))),
        queue: matches!(queue, Ok(Ok(()))),
        storage: matches!(storage, Ok(Ok(()))),
    };
    *latest = Some((Instant::now(), look));
    look
}
