//! Records the histories that `crates/filot-temporal/tests/replay.rs` replays.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use filot::document::{DocumentId, Resolution};
use filot::store::Actor;
use filot_temporal::{Certificates, DocumentInput, Engine, Lane, Pace, ReviewInput, Settings};
use serde_json::{Value, json};

use super::{PATIENCE, decide, document_workflow};
use crate::support::buli2::{FakeBuli2, configured};
use crate::support::cards::{Script, card};
use crate::support::temporal::TemporalServer;
use crate::support::{TestApp, eventually};

fn engine(server: &TemporalServer) -> Engine {
    Engine::new(Settings {
        endpoint: format!("127.0.0.1:{}", server.port),
        namespace: "default".to_owned(),
        api_key: None,
        certificates: Certificates::default(),
        task_queue: "kyc-review-queue".to_owned(),
    })
    .unwrap()
}

/// Waits for the verdict and for the workflow of the review, if there is to be one; its id.
async fn review_of(it: &TestApp, server: &TemporalServer, id: DocumentId, stage: &str) -> String {
    it.finished(id).await;
    let review = it.app.store.review_of_document(id).await.unwrap().unwrap().id;
    let workflow = format!("kyc-review-{review}");
    eventually("the workflow of the review waits", PATIENCE, || async {
        server.query(&workflow, "getWorkflowState")["status"] == stage
    })
    .await;
    workflow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes into the repository; `make histories`"]
async fn record() {
    let server = TemporalServer::started();
    let deployment = server.deployment();
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let engine = engine(&server);
    let pace = Pace { lease_ms: 2000, retry_base_ms: 50, retry_max_ms: 500, look_ms: 100 };
    // Name of the saved history, and id of the workflow.
    let mut workflows: BTreeMap<&str, String> = BTreeMap::new();
    for (name, script) in [
        ("document-approved", Script::Approve),
        ("document-rejected", Script::Reject),
        ("document-failed", Script::Unreadable),
        ("document-retried", Script::FailsOnce),
    ] {
        let id = it.upload(card(workflows.len() as u32, script, 0)).await.unwrap().id;
        workflows.insert(name, document_workflow(id));
    }

    // A document that nobody has heard of.
    let gone = DocumentId::new();
    engine.start_document(DocumentInput { document_id: gone.0, lane: Lane::Cpu, pace }).await.unwrap();
    workflows.insert("document-gone", document_workflow(gone));

    // No GPU reader comes.
    let read = it.upload(card(100, Script::Approve, 0)).await.unwrap().id;
    server.result(&document_workflow(read)).unwrap();
    let lane = Lane::Gpu { patience_ms: Some(300) };
    engine.start_document(DocumentInput { document_id: read.0, lane, pace }).await.unwrap();
    workflows.insert("document-without-gpu", document_workflow(read));

    // A signal without a decision, then the decision.
    let id = it.upload(card(101, Script::Review, 0)).await.unwrap().id;
    let review = review_of(&it, &server, id, "awaiting_decision").await;
    server.signal(&review, "reviewDecision", r#"{"decision":"approved"}"#);
    tokio::time::sleep(Duration::from_secs(1)).await;
    decide(&it, id, Resolution::Approved).await;
    workflows.insert("document-reviewed", document_workflow(id));
    workflows.insert("review-approved", review);

    let id = it.upload(card(102, Script::Review, 0)).await.unwrap().id;
    let review = review_of(&it, &server, id, "awaiting_decision").await;
    server.signal(&review, "cancelReview", "\"not_yet\"");
    workflows.insert("document-cancelled", document_workflow(id));
    workflows.insert("review-cancelled", review);

    // Nobody signals: the row is looked at from time to time.
    let id = it.upload(card(103, Script::Reject, 0)).await.unwrap().id;
    it.finished(id).await;
    let review = it.app.store.escalate(id, &Actor::User(it.user)).await.unwrap().id;
    engine.start_review(ReviewInput { review_id: review.0, document_id: id.0, pace }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let verdict = filot::store::Verdict {
        resolution: Resolution::Rejected,
        notes: None,
        reviewer: Actor::Service("buli2".to_owned()),
        expected_version: None,
    };
    it.app.store.resolve_review(review, verdict).await.unwrap();
    workflows.insert("review-looked-up", format!("kyc-review-{review}"));

    for workflow in workflows.values() {
        let _ = server.result(workflow);
    }
    it.rest().await;

    // External reviewers.
    let buli2 = FakeBuli2::start(1).await;
    let deployment = configured(server.deployment(), buli2.port);
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let id = it.upload(card(104, Script::Review, 0)).await.unwrap().id;
    let review = review_of(&it, &server, id, "sent_to_reviewer").await;
    decide(&it, id, Resolution::Rejected).await;
    server.result(&review).unwrap();
    workflows.insert("review-sent", review);
    it.rest().await;

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filot-temporal/tests/histories");
    for (name, workflow) in workflows {
        let history: Value = serde_json::from_slice(&engine.history(&workflow).await.unwrap()).unwrap();
        assert_ne!(history, json!(null));
        let text = serde_json::to_string_pretty(&history).unwrap();
        std::fs::write(folder.join(name).with_extension("json"), text + "\n").unwrap();
    }
}
