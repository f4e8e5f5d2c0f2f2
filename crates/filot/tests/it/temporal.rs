//! Documents and reviews carried by a real Temporal server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use filot::desk::Reason;
use filot::document::{DocumentId, Resolution, Status, Verification};
use filot::queue::Lane;
use filot::selftest::account::{Acknowledged, order};
use filot::store::{Actor, EventKind, Ruling, Verdict};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::durability::{SETTLE, all_is_well};
use crate::http::server::{PASSWORD, form};
use crate::retake::Rig;
use crate::support::app::all_events;
use crate::support::cards::{Script, card};
use crate::support::child;
use crate::support::serve::Serve;
use crate::support::temporal::TemporalServer;
use crate::support::tls::TlsDoor;
use crate::support::{Deployment, TestApp, eventually};

mod histories;

const DOCUMENTS: &str = "WorkflowType = 'filot.ocrs.workflow'";
const REVIEWS: &str = "WorkflowType = 'kycReviewWorkflow'";
const PATIENCE: Duration = Duration::from_secs(60);

fn document_workflow(id: impl std::fmt::Display) -> String {
    format!("filot-document-{id}")
}

/// Decides as the callback of an external reviewer does.
async fn decide(it: &TestApp, id: DocumentId, resolution: Resolution) {
    let review = it.app.store.review_of_document(id).await.unwrap().unwrap();
    let verdict = Verdict {
        resolution,
        notes: Some("a note about the person".to_owned()),
        reviewer: Actor::Service("buli2".to_owned()),
        expected_version: None,
    };
    it.app.store.resolve_review(review.id, verdict).await.unwrap();
    it.app.workflow.review_decided(review.id, Ruling::from(resolution));
}

const OPEN: &str = "ExecutionStatus != 'Completed'";

fn histories(server: &TemporalServer) -> String {
    let histories = server.ids(OPEN).into_iter().take(3).map(|id| format!("\n{id}: {}", server.history(&id)));
    histories.collect()
}

/// 200 documents, each with a workflow, while the worker is killed 20 times and the server 5 times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_and_servers_lose_nothing() {
    const DOCS: u32 = 200;
    const KILLS: u32 = 20;
    const SERVER_EVERY: u32 = 4;
    let mut server = TemporalServer::started();
    // As in `durability.rs`: all documents are innocent, however often they are hit. And no way out: Temporal alone
    // carries them.
    let deployment =
        server.deployment().with("FILOT_WORKER_MAX_ATTEMPTS", "1000").with("OCR_AUTOFALLBACK", "false");
    let observer = TestApp::new(&deployment).await;
    let mut dice = StdRng::seed_from_u64(20_261_125);
    let (start, mut acknowledged, mut server_kills) = (Instant::now(), Acknowledged::new(), 0);
    for life in 0..KILLS {
        let mut service = child::start(&deployment, observer.user, None);
        assert!(service.ready().await);
        let per_life = DOCS / KILLS;
        for number in life * per_life..(life + 1) * per_life {
            service.order(order(number));
        }
        let end = Instant::now() + Duration::from_millis(dice.random_range(300..2500));
        let server_dies = life % SERVER_EVERY == SERVER_EVERY - 1;
        if server_dies {
            tokio::time::sleep(Duration::from_millis(dice.random_range(50..300))).await;
            server.kill();
            server_kills += 1;
        }
        while let Some(patience) = end.checked_duration_since(Instant::now()) {
            if let Some((number, id, hash)) = service.ack_within(patience).await {
                acknowledged.insert(number, (id, hash));
            }
        }
        service.kill();
        while let Some((number, id, hash)) = service.ack_within(Duration::from_secs(5)).await {
            acknowledged.insert(number, (id, hash));
        }
        if server_dies {
            server.start();
        }
    }
    let survived = acknowledged.len();
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    for number in (0..DOCS).filter(|number| !acknowledged.contains_key(number)) {
        service.order(order(number));
    }
    while acknowledged.len() < DOCS as usize {
        let (number, id, hash) = service.ack_within(PATIENCE).await.expect("an acknowledgement");
        acknowledged.insert(number, (id, hash));
    }
    let killing = start.elapsed();
    all_is_well(&observer.app, &acknowledged).await;
    let events = all_events(&observer.app).await;
    let ends = events.iter().filter(|e| matches!(e.kind, EventKind::Completed | EventKind::Failed)).count();
    let workflows: BTreeSet<_> = events.iter().map(|event| document_workflow(event.document_id)).collect();
    assert_eq!(workflows.len(), ends, "a workflow for each document");
    // The server's list runs behind what it does.
    eventually("all of them in the list", SETTLE, || async { server.ids(DOCUMENTS).len() >= ends }).await;
    assert_eq!(server.ids(DOCUMENTS), workflows);
    // A person decides on each that needs one; then all workflows end well.
    let mut reviews = BTreeSet::new();
    for event in events.iter().filter(|event| event.verification == Verification::PendingManualReview) {
        let review = observer.app.store.review_of_document(event.document_id).await.unwrap().unwrap().id;
        reviews.insert(format!("kyc-review-{review}"));
        decide(&observer, event.document_id, Resolution::Approved).await;
    }
    let settling = Instant::now();
    while server.count(OPEN) > 0 {
        // What they wait for is in their histories.
        assert!(settling.elapsed() < SETTLE, "not ended: {}", histories(&server));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eventually("all of them in the list", SETTLE, || async { server.ids(REVIEWS).len() >= reviews.len() })
        .await;
    assert_eq!(server.ids(REVIEWS), reviews, "a workflow for each review");
    let depth = observer.app.queue.depth(Lane::Cpu).await.unwrap();
    assert_eq!(
        (depth.ready, depth.delayed, depth.leased, depth.dead),
        (0, 0, 0, 0),
        "the queue was not used"
    );
    assert!(service.terminate(Duration::from_secs(12)).await.is_some());
    println!(
        "{ends} documents, {} reviews, {KILLS} kills of the worker, {server_kills} of the server: {survived} acknowledged \
         across kills; {killing:?} of killing, {:?} in all",
        reviews.len(),
        start.elapsed()
    );
    assert_eq!(server_kills, 5);
}

/// The named place of an activity, between what it did and what the server learns of it.
pub(crate) const PLACES: &[&str] = &["temporal.after_read"];

/// A worker dies at each place; what it did counts once, and the next one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_a_reading_there_is_one_verdict() {
    let server = TemporalServer::started();
    let deployment =
        server.deployment().with("FILOT_WORKER_MAX_ATTEMPTS", "1000").with("OCR_AUTOFALLBACK", "false");
    let observer = TestApp::new(&deployment).await;
    let (mut number, mut acknowledged) = (0, Acknowledged::new());
    for place in PLACES {
        for nth in 1..=3 {
            let failpoint = format!("{place}:{nth}");
            let mut service = child::start(&deployment, observer.user, Some(&failpoint));
            service.ready().await;
            let start = Instant::now();
            while !service.died(Duration::from_millis(50)).await {
                assert!(start.elapsed() < PATIENCE, "{failpoint}: it did not die");
                service.order(order(number));
                number += 1;
            }
            assert!(service.aborted(), "{failpoint}: it ended, and not at the place");
            while let Some((number, id, hash)) = service.ack_within(Duration::from_secs(5)).await {
                acknowledged.insert(number, (id, hash));
            }
        }
    }
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    all_is_well(&observer.app, &acknowledged).await;
    assert!(service.terminate(Duration::from_secs(12)).await.is_some());
}

/// What is tried again is tried again by Temporal, and given up by the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_readers_are_tried_again_and_given_up() {
    let server = TemporalServer::started();
    let deployment = server.deployment();
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let wanted = [
        (Script::FailsOnce, Verification::AutoApproved, "approved"),
        (Script::Fails, Verification::Pending, "failed"),
        (Script::Panics, Verification::Pending, "failed"),
        (Script::Reject, Verification::AutoRejected, "rejected"),
        (Script::Unreadable, Verification::Pending, "failed"),
    ];
    let mut documents = Vec::new();
    for (number, (script, ..)) in (0..).zip(wanted) {
        documents.push(it.upload(card(number, script, 0)).await.unwrap().id);
    }
    for (id, (script, verification, outcome)) in documents.iter().zip(wanted) {
        let result = server.result(&document_workflow(id)).unwrap();
        assert_eq!(result["outcome"], outcome, "{script:?}");
        assert_eq!(it.document(*id).await.verification, verification, "{script:?}");
        let history = server.history(&document_workflow(id));
        assert!(!history.contains("scripted") && !history.contains("example.com"), "{history}");
    }
    let ends: Vec<_> = all_events(&it.app).await.iter().map(|event| event.document_id).collect();
    assert_eq!(ends.len(), documents.len(), "one end each");
    it.rest().await;
}

/// The names that others know workflows, signals and queries by, and that the row alone decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_wakes_and_the_row_decides() {
    let server = TemporalServer::started();
    let deployment = server.deployment();
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let id = it.upload(card(1, Script::Review, 0)).await.unwrap().id;
    it.finished(id).await;
    let review = it.app.store.review_of_document(id).await.unwrap().unwrap().id;
    let (document_workflow, workflow) = (document_workflow(id), format!("kyc-review-{review}"));
    let awaiting = || async { server.query(&workflow, "getWorkflowState")["status"] == "awaiting_decision" };
    eventually("the workflow of the review waits", PATIENCE, awaiting).await;
    assert_eq!(server.query(&workflow, "getReviewId"), json!(review.to_string()));
    assert_eq!(server.query(&document_workflow, "getWorkflowState")["status"], "awaiting_decision");

    // Nobody has decided, whatever a signal says.
    let looks = || {
        server.history(&workflow).matches("\"ACTIVITY_TASK_COMPLETED\"").count()
            + server.history(&workflow).matches("EVENT_TYPE_ACTIVITY_TASK_COMPLETED").count()
    };
    let before = looks();
    server.signal(&workflow, "reviewDecision", "[\"what nobody expects\"]");
    eventually("somebody looks", PATIENCE, || async { looks() > before }).await;
    assert!(awaiting().await);
    assert_eq!(it.document(id).await.verification, Verification::PendingManualReview);

    decide(&it, id, Resolution::Rejected).await;
    let result = server.result(&workflow).unwrap();
    assert_eq!((&result["finalDecision"], &result["success"]), (&json!("rejected"), &json!(true)));
    assert_eq!(result["workflowVersion"], "1.1.0");
    assert_eq!(server.result(&document_workflow).unwrap()["finalDecision"], "rejected");
    assert!(!server.history(&workflow).contains("a note about the person"));

    // Cancelled, the workflow ends and the review stays.
    let id = it.upload(card(2, Script::Review, 0)).await.unwrap().id;
    it.finished(id).await;
    let review = it.app.store.review_of_document(id).await.unwrap().unwrap().id;
    let workflow = format!("kyc-review-{review}");
    eventually("the workflow of the review is there", PATIENCE, || async {
        server.query(&workflow, "getWorkflowState") != Value::Null
    })
    .await;
    server.signal(&workflow, "cancelReview", "\"not needed\"");
    assert_eq!(server.result(&workflow), Err("REVIEW_CANCELLED".to_owned()));
    assert_eq!(server.result(&self::document_workflow(id)), Err("REVIEW_CANCELLED".to_owned()));
    decide(&it, id, Resolution::Approved).await;
    assert_eq!(it.document(id).await.verification, Verification::ManuallyApproved);
    it.rest().await;
}

/// A verdict that the customer does not accept, and one that could not be given: a person's workflow without a reader's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_asks_for_a_person() {
    let server = TemporalServer::started();
    let deployment = server.deployment();
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let id = it.upload(card(1, Script::Reject, 0)).await.unwrap().id;
    it.finished(id).await;
    let review = it.app.store.escalate(id, &Actor::User(it.user)).await.unwrap().id;
    it.app.workflow.review_opened(review, id);
    eventually("its workflow runs", PATIENCE, || async { server.count(REVIEWS) == 1 }).await;
    decide(&it, id, Resolution::Approved).await;
    assert_eq!(server.result(&format!("kyc-review-{review}")).unwrap()["finalDecision"], "approved");
    it.rest().await;
}

/// Another photo is asked for, and comes: the first workflows end with that, and the photo has one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_photo_has_a_workflow_of_its_own() {
    let temporal = TemporalServer::started();
    let rig = Rig::new(temporal.deployment()).await;
    let who = rig.server.person().await;
    let old = rig.upload(&who, 1).await;
    let review = rig.review_of(old).await;
    rig.ask(old, Reason::Glare).await;
    let ended = temporal.result(&format!("kyc-review-{review}")).unwrap();
    assert_eq!(ended["finalDecision"], "retake", "{ended}");
    assert_eq!(temporal.result(&document_workflow(old)).unwrap()["finalDecision"], "retake");

    let link = rig.link(&who, old).await;
    assert_eq!(rig.send(&link, &card(2, Script::Approve, 0), "image/png").await.0, 303);
    let new: DocumentId = rig.shown(&who, old).await["replacedBy"].as_str().unwrap().parse().unwrap();
    assert_eq!(rig.it().finished(new).await.verification, Verification::AutoApproved);
    assert_eq!(temporal.result(&document_workflow(new)).unwrap()["outcome"], "approved");
    assert_eq!(temporal.count(OPEN), 0);
    let depth = rig.it().app.queue.depth(Lane::Cpu).await.unwrap();
    assert_eq!((depth.ready, depth.leased), (0, 0), "the queue was not used");
}

/// Without Temporal the queue does it, and everybody is told. The program itself, from outside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_steps_in_when_temporal_is_away() {
    let mut temporal = TemporalServer::new();
    let folder = tempfile::tempdir().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let endpoint = format!("127.0.0.1:{}", temporal.port);
    let settings = [("OCR_ENGINE", "temporal"), ("TEMPORAL_ENDPOINT", endpoint.as_str())];
    let service = Serve::start(&folder.path().join("data"), &http, &["--scripted"], &settings).await;
    let get = async |path: &str| {
        let answer = http.get(format!("{}{path}", service.address)).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    };
    let (status, answer) = get("/health/temporal").await;
    assert_eq!((status, &answer["ok"]), (500, &json!(false)));
    assert!(answer["error"].as_str().unwrap().starts_with("Error: "));
    let (_, health) = get("/health").await;
    assert_eq!((&health["ok"], &health["status"]), (&json!(false), &json!("degraded")));
    assert_eq!((&health["ocrEngine"], &health["temporalConfigured"]), (&json!("temporal"), &json!(true)));
    assert_eq!(health["checks"]["temporal"]["ok"], false);
    // Not out of rotation for that.
    assert_eq!(get("/ready").await.0, 200);

    let account = json!({ "email": "somebody@example.com", "password": PASSWORD });
    let token =
        service.post(&http, "/auth/register", account).await["accessToken"].as_str().unwrap().to_owned();
    let upload = async |number: u32| {
        let request = http.post(format!("{}/documents/upload", service.address)).bearer_auth(&token);
        let request =
            request.header("Prefer", "wait=20").multipart(form(&card(number, Script::Approve, 0), "KTP"));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["documentId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    for number in 0..3 {
        let id = upload(number).await;
        let request = http.get(format!("{}/documents/{id}", service.address)).bearer_auth(&token);
        let document: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(document["verificationStatus"], "auto_approved", "{document}");
    }
    let (_, metrics) = get("/metrics").await;
    let line =
        metrics.as_str().unwrap().lines().find(|line| line.starts_with("filot_temporal_fallback_total"));
    assert_eq!(line, Some("filot_temporal_fallback_total 3"));

    // It comes, and takes the next one.
    temporal.start();
    eventually("Temporal is found", PATIENCE, || async {
        get("/health/temporal").await == (200, json!({ "ok": true, "temporal": "connected" }))
    })
    .await;
    let id = upload(11).await;
    assert_eq!(temporal.result(&document_workflow(id)).unwrap()["outcome"], "approved");
    assert_eq!(get("/health").await.1["ok"], true);
}

/// A server behind TLS that asks for a certificate and for a key, as Temporal Cloud and guarded servers of one's own do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guarded_server_is_shown_key_and_certificate() {
    const KEY: &str = "key-of-the-tests";
    let server = TemporalServer::started();
    let door = TlsDoor::before(server.port, KEY).await;
    let file = |name: &str| door.file(name).display().to_string();
    let deployment = |ca: &str, key: &str| {
        Deployment::embedded()
            .with("OCR_ENGINE", "temporal")
            .with("TEMPORAL_ENDPOINT", &format!("localhost:{}", door.port))
            .with("TEMPORAL_API_KEY", key)
            .with("TEMPORAL_TLS_SERVER_CA_CERT_PATH", &file(ca))
            .with("TEMPORAL_TLS_CLIENT_CERT_PATH", &file("client.pem"))
            .with("TEMPORAL_TLS_CLIENT_KEY_PATH", &file("client.key"))
    };
    let trusted = deployment("ca.pem", KEY);
    let mut it = TestApp::new(&trusted).await;
    it.work();
    let id = it.upload(card(1, Script::Approve, 0)).await.unwrap().id;
    it.finished(id).await;
    assert_eq!(server.result(&document_workflow(id)).unwrap()["outcome"], "approved");
    // Both ends went through the door.
    assert!(door.called("/StartWorkflowExecution") && door.called("/RespondActivityTaskCompleted"));
    it.rest().await;

    // A stranger vouches for the server, or the server does not know the key: the queue does it.
    for (ca, key) in [("another-ca.pem", KEY), ("ca.pem", "another-key")] {
        let refused = deployment(ca, key);
        let mut it = TestApp::new(&refused).await;
        it.work();
        let id = it.upload(card(2, Script::Approve, 0)).await.unwrap().id;
        assert_eq!(it.finished(id).await.verification, Verification::AutoApproved, "{ca}, {key}");
        it.rest().await;
    }
    assert_eq!(server.ids(DOCUMENTS), BTreeSet::from([document_workflow(id)]));
}

/// Without a way out, documents wait for Temporal, as they do for everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_wait_for_temporal_when_told_to() {
    let mut server = TemporalServer::new();
    let deployment = server.deployment().with("OCR_AUTOFALLBACK", "false");
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let id = it.upload(card(1, Script::Approve, 0)).await.unwrap().id;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(it.document(id).await.status, Status::Pending);
    server.start();
    eventually("its verdict", SETTLE, || async { it.document(id).await.is_terminal() }).await;
    assert_eq!(server.result(&document_workflow(id)).unwrap()["outcome"], "approved");
    it.rest().await;
}

/// Both engines have all documents at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_both_engines_have_has_one_verdict() {
    let server = TemporalServer::started();
    let deployment = server.deployment();
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let mut documents = Vec::new();
    for number in 0..40 {
        let id = it.upload(card(number, order(number).1, 20)).await.unwrap().id;
        it.app.queue.push(Lane::Cpu, id, it.user, Duration::ZERO).await.unwrap();
        documents.push(id);
    }
    for id in &documents {
        it.finished(*id).await;
    }
    it.idle().await;
    eventually("the end of the workflows that wait for nobody", PATIENCE, || async {
        server.count(&format!("{DOCUMENTS} AND ExecutionStatus = 'Completed'")) == 30
    })
    .await;
    let events = all_events(&it.app).await;
    assert_eq!(events.len(), documents.len(), "one verdict each");
    let mut seen: Vec<_> = events.iter().map(|event| event.document_id.0).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), documents.len());
    let died = documents.iter().map(|id| it.document(*id));
    for document in futures_util::future::join_all(died).await {
        assert_ne!(document.failure_code.as_deref(), Some("worker_crash"));
    }
    it.rest().await;
}
