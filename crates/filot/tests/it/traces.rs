//! What an OpenTelemetry collector is told of requests and documents. That nothing personal is among it is tested where
//! everything else is searched for that: see `privacy`.

use std::time::Duration;

use reqwest::{Client, multipart};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::server::PASSWORD;
use crate::support::Deployment;
use crate::support::backends::free_port;
use crate::support::cards::{Script, card};
use crate::support::collector::{Collector, attribute};
use crate::support::serve::Serve;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Uploads a card and waits for its verdict.
async fn verdict(http: &Client, serve: &Serve) -> Value {
    let account = json!({ "email": "ani@example.com", "password": PASSWORD });
    let signed_in = serve.post(http, "/auth/register", account).await;
    let file = multipart::Part::bytes(card(1, Script::Approve, 0).to_vec()).mime_str("image/png").unwrap();
    let answer = http
        .post(format!("{}/documents/upload", serve.address))
        .bearer_auth(signed_in["accessToken"].as_str().unwrap())
        .header("Prefer", "wait=20")
        .header("traceparent", CALLER)
        .multipart(multipart::Form::new().text("type", "KTP").part("file", file));
    answer.send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_joins_its_callers_trace_and_a_document_has_its_own() {
    let collector = Collector::start().await;
    let deployment = Deployment::embedded();
    let http = Client::builder().no_proxy().build().unwrap();
    let settings =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.address), ("OTEL_SERVICE_NAME", "filot-test")];
    let mut serve = Serve::start(&deployment.data_dir(), &http, &["--scripted"], &settings).await;
    let answer = verdict(&http, &serve).await;
    assert_eq!(answer["document"]["status"], json!("completed"));
    // The end sends what the interval has not.
    assert!(serve.terminate(Duration::from_secs(20)).await);

    let id: Uuid = answer["documentId"].as_str().unwrap().parse().unwrap();
    let spans = collector.spans();
    let request = spans.iter().find(|span| span.name == "POST /documents/upload").expect("the request");
    assert_eq!(request.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    assert_eq!(request.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(attribute(request, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(request, "http.route").as_deref(), Some("/documents/upload"));

    let dispatch = spans.iter().find(|span| span.name == "dispatch").expect("the part that brought it");
    assert_eq!(dispatch.parent_span_id, request.span_id);
    assert_eq!(dispatch.links[0].trace_id, id.as_bytes(), "leads to the document");

    let of_document: Vec<_> = spans.iter().filter(|span| span.trace_id == id.as_bytes()).collect();
    let reading = of_document.iter().find(|span| span.name == "document").expect("its reading");
    assert_eq!(attribute(reading, "filot.document"), Some(id.to_string()));
    assert_eq!(attribute(reading, "filot.attempt").as_deref(), Some("1"));
    let mut parts: Vec<_> = of_document
        .iter()
        .filter(|span| span.parent_span_id == reading.span_id)
        .map(|span| (span.start_time_unix_nano, span.name.as_str()))
        .collect();
    parts.sort_unstable();
    let parts: Vec<&str> = parts.into_iter().map(|(_, name)| name).collect();
    assert_eq!(parts, ["fetch file", "wait for a reader", "read", "record"]);
    assert!(collector.text().contains("filot-test"), "the name of the service");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() {
    let deployment = Deployment::embedded();
    let http = Client::builder().no_proxy().build().unwrap();
    let away = format!("http://127.0.0.1:{}", free_port());
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*away), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let mut serve = Serve::start(&deployment.data_dir(), &http, &["--scripted"], &settings).await;
    assert_eq!(verdict(&http, &serve).await["document"]["status"], json!("completed"));
    assert!(serve.terminate(Duration::from_secs(20)).await);
    let log = std::fs::read_to_string(&serve.log).unwrap();
    assert!(log.contains("opentelemetry"), "the operator is told: {log}");
}
