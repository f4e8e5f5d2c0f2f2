//! What happens to every request: an id, a line in the log, safe headers, a body for errors.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use tracing::{Instrument, info, info_span};
use uuid::Uuid;

use super::error::{self, ApiError, Code};
use crate::telemetry::traces;

/// The header that carries the id of a request, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What clients of the earlier service call it.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The headers of helmet.js.
const HEADERS: &[(&str, &str)] = &[
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "DENY"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

/// For everything that is no page.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// The outermost layer.
pub(super) async fn frame(request: Request, next: Next) -> Response<Body> {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let trace = traces::request(&method, &route, &id, request.headers());
    let span = info_span!("request", request = %id);
    let response = next.run(request).instrument(span.clone()).instrument(trace.clone()).await;
    let mut response = error::finish(response, &id);
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    traces::answered(&trace, status);
    // Only the pattern of the path: ids and queries stay out of logs and metrics.
    span.in_scope(|| info!(%method, route, status, ms = elapsed.as_millis() as u64, "answered"));
    metrics::histogram!("filot_http_seconds", "route" => route.clone()).record(elapsed);
    metrics::counter!("filot_http_requests_total", "route" => route, "status" => status.to_string())
        .increment(1);
    let headers = response.headers_mut();
    for &(name, value) in HEADERS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The client's own id if it is a plain one, else a new one.
fn request_id(request: &Request) -> String {
    let plain = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    [REQUEST_ID, CORRELATION_ID]
        .iter()
        .find_map(|name| request.headers().get(name)?.to_str().ok().filter(plain).map(str::to_owned))
        .unwrap_or_else(|| Uuid::now_v7().to_string())
}

/// Refuses paths and queries that hold U+0000: nothing here has such a name, and PostgreSQL takes no such text.
pub(super) async fn without_nul(request: Request, next: Next) -> Response<Body> {
    if request.uri().path_and_query().is_some_and(|text| text.as_str().contains("%00")) {
        return ApiError::new(Code::InvalidRequest, "The address holds the character U+0000.")
            .into_response();
    }
    next.run(request).await
}
