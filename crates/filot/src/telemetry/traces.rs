//! Traces for whoever runs an OpenTelemetry collector: how long requests and documents spend where.
//!
//! Spans of traces have a target of their own: logs do not show them, and what logs show does not leave with them. They
//! carry routes, states and ids; no message and no value of a card.
//!
//! A document's reading is a trace of its own, and the document's id is the id of that trace: who has the one finds the
//! other.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, Method};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::field::Empty;
use tracing::{Span, Subscriber, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::Error;
use crate::config::service::Service;
use crate::document::DocumentId;
use crate::queue::Lane;

/// The target of spans that are parts of traces.
pub(super) const TARGET: &str = "filot_trace";

/// How long the collector may take to accept a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends spans to the collector until it is dropped; what is left goes out then.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Starts sending if the configuration names a collector. Everything else of the exporter and the sampler follows
    /// the `OTEL_…` variables. Call it outside the runtime: the exporter has a thread of its own.
    ///
    /// # Errors
    /// When client or exporter cannot be set up. That the collector does not answer is none: spans are dropped then.
    pub fn start(config: &Service) -> Result<Self, Error> {
        let Some(collector) = &config.traces.endpoint else { return Ok(Self(None)) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client()?)
            .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(config.traces.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("deployment.environment.name", config.server.environment.as_str()))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Self(Some(provider)))
    }

    /// Hands the program's own spans to the exporter.
    pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.as_ref()?.tracer("filot");
        let own_spans = filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET);
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(own_spans))
    }
}

/// A client that goes to the collector and nowhere else: an answer must not lead it, and spans with it, to another address.
fn client() -> reqwest::Result<reqwest::blocking::Client> {
    reqwest::blocking::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The span of a request, part of the trace that its `traceparent` header (W3C Trace Context) names.
pub fn request(method: &Method, route: &str, id: &str, headers: &HeaderMap) -> Span {
    use opentelemetry::propagation::{Extractor, TextMapPropagator};
    struct Headers<'a>(&'a HeaderMap);
    impl Extractor for Headers<'_> {
        fn get(&self, name: &str) -> Option<&str> {
            self.0.get(name)?.to_str().ok()
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }
    let span = info_span!(target: TARGET, "request", otel.name = format!("{method} {route}"), otel.kind = "server",
        http.request.method = %method, http.route = route, http.response.status_code = Empty,
        otel.status_code = Empty, filot.request = id);
    if headers.contains_key("traceparent") {
        let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        // Fails where nothing is sent, and then there is nothing to follow.
        let _ = span.set_parent(caller);
    }
    span
}

/// How a request ended.
pub fn answered(request: &Span, status: u16) {
    if status == 401 {
        metrics::counter!("filot_unauthorized_total").increment(1);
    }
    request.record("http.response.status_code", status);
    if status >= 500 {
        request.record("otel.status_code", "ERROR");
    }
}

/// The span of one try to read a document, in the document's trace.
pub fn reading(document: DocumentId, lane: Lane, attempt: u32) -> Span {
    let span = info_span!(target: TARGET, "document", otel.kind = "consumer", filot.document = %document,
        filot.lane = %lane, filot.attempt = attempt);
    within(span, document)
}

/// The span of one call that hands a document's review to BULI2, in the document's trace.
pub fn escalation(document: DocumentId) -> Span {
    let span =
        info_span!(target: TARGET, "hand over to BULI2", otel.kind = "client", filot.document = %document);
    within(span, document)
}

/// The span as a part of the document's trace.
fn within(span: Span, document: DocumentId) -> Span {
    let _ = span.set_parent(Context::new().with_remote_span_context(trace_of(document)));
    span
}

/// A part of what the current span does.
pub fn part(name: &'static str) -> Span {
    info_span!(target: TARGET, "part", otel.name = name)
}

/// Storing what a request brought: a part of it, linked to the document's trace.
pub fn brought(document: DocumentId) -> Span {
    let span = part("dispatch");
    span.add_link(trace_of(document));
    span
}

/// The place in the document's trace under which all spans of its reading stand.
fn trace_of(document: DocumentId) -> SpanContext {
    let id = document.0.as_u128();
    SpanContext::new(
        TraceId::from(id),
        // Its last half, which is random and never zero: the variant of the id is in it.
        SpanId::from(id as u64),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    )
}
