//! An OpenTelemetry collector: takes spans over HTTP as the protocol says (OTLP 1.x, protobuf) and keeps them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) struct Collector {
    pub(crate) address: String,
    batches: Arc<Mutex<Vec<ResourceSpans>>>,
    server: JoinHandle<()>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let batches = Arc::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&batches));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, batches, server }
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let batches = self.batches.lock().unwrap();
        batches.iter().flat_map(|batch| &batch.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Everything it was told, as text.
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.batches.lock().unwrap())
    }
}

async fn take(State(batches): State<Arc<Mutex<Vec<ResourceSpans>>>>, body: Bytes) -> StatusCode {
    match ExportTraceServiceRequest::decode(body) {
        Ok(request) => {
            batches.lock().unwrap().extend(request.resource_spans);
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}
