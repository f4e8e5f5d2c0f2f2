//! `/metrics`: for Prometheus, or as JSON.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Response, header};
use axum::response::IntoResponse;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::documents::instant;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::bearer;
use crate::buli2::BreakerState;
use crate::queue::Depth;
use crate::store::Backlog;
use crate::telemetry::gauges::{self, Look};

/// Metrics as JSON.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetricsView {
    ok: bool,
    metrics: Numbers,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Numbers {
    #[schema(format = DateTime)]
    timestamp: String,
    /// Seconds since the start.
    uptime: u64,
    #[schema(value_type = String)]
    environment: &'static str,
    queues: Queues,
    /// Reviews that BULI2 has not taken yet and that are tried again; null when the database does not answer.
    #[serde(rename = "filot.buli2.retry_count")]
    buli2_retry_count: Option<u64>,
    /// Null when there is no BULI2.
    buli2: Option<Buli2View>,
}

/// How handing reviews to BULI2 goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Buli2View {
    /// Reviews not tried yet.
    waiting: Option<u64>,
    /// Reviews tried in vain, waiting for another try.
    retrying: Option<u64>,
    /// When the next of them is tried.
    #[schema(format = DateTime)]
    next_retry_at: Option<String>,
    /// The circuit breaker of this process.
    breaker: BreakerState,
    /// Until when no calls are made.
    #[schema(format = DateTime)]
    breaker_open_until: Option<String>,
}

/// Null where the queue does not answer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Queues {
    cpu_queue_length: Option<u64>,
    gpu_queue_length: Option<u64>,
    cpu_active_jobs: Option<u64>,
    gpu_active_jobs: Option<u64>,
    dead_jobs: Option<u64>,
}

/// Numbers about the service
///
/// In Prometheus' text format, or as JSON for `Accept: application/json`. Readable with `metrics.token`, and without
/// one from this host only.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, content((String = "text/plain"), (MetricsView = "application/json"))),
        (status = 403, body = Problem, description = "forbidden")))]
pub(super) async fn metrics(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response<Body>> {
    let config = &api.app.config.service;
    let allowed = match &config.metrics.token {
        Some(token) => bearer(&headers).is_some_and(|given| same(given, token.expose_secret())),
        None => api.limits.address(peer, &headers).is_loopback() && config.server.trusted_proxies == 0,
    };
    if !allowed || !config.metrics.enabled {
        return Err(ApiError::new(Code::Forbidden, "Metrics are readable with metrics.token only."));
    }
    let Look { cpu, gpu, backlog } = gauges::look(&api.app).await;
    let buli2 = buli2(&api, backlog);
    let json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json") && !accept.contains("text/plain"));
    let text =
        api.metrics.as_ref().filter(|_| !json).map(metrics_exporter_prometheus::PrometheusHandle::render);
    if let Some(text) = text {
        return Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response());
    }
    let waiting = |depth: Option<Depth>| depth.map(|depth| depth.ready + depth.delayed);
    let numbers = Numbers {
        timestamp: instant(api.app.clock.now()),
        uptime: api.health.uptime(),
        environment: config.server.environment.as_str(),
        queues: Queues {
            cpu_queue_length: waiting(cpu),
            gpu_queue_length: waiting(gpu),
            cpu_active_jobs: cpu.map(|depth| depth.leased),
            gpu_active_jobs: gpu.map(|depth| depth.leased),
            dead_jobs: cpu.zip(gpu).map(|(cpu, gpu)| cpu.dead + gpu.dead),
        },
        buli2_retry_count: backlog.map(|backlog| backlog.retrying),
        buli2,
    };
    Ok(axum::Json(MetricsView { ok: true, metrics: numbers }).into_response())
}

fn buli2(api: &Api, backlog: Option<Backlog>) -> Option<Buli2View> {
    let (breaker, open_until) = api.app.buli2.as_ref()?.breaker_state(api.app.clock.now());
    Some(Buli2View {
        waiting: backlog.map(|backlog| backlog.new),
        retrying: backlog.map(|backlog| backlog.retrying),
        next_retry_at: backlog.and_then(|backlog| backlog.next_retry).map(instant),
        breaker,
        breaker_open_until: open_until.map(instant),
    })
}

fn same(given: &str, own: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), own.as_bytes()).is_ok()
}
