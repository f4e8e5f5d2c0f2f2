//! Handing reviews to BULI2: exactly one ticket each, whatever fails, and the document is none the worse for it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use filot::app::App;
use filot::clock::Clock;
use filot::document::{DocumentId, Status, Verification};
use filot::store::{Backlog, EffectKind, EventKind, Outcome, ReviewRoute};
use filot::worker::{escalate_once, upkeep_once};
use filot_cards::decide::Decision;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::http::server::Server;
use crate::support::app::all_events;
use crate::support::buli2::{Event as Answer, FakeBuli2, Faults, configured};
use crate::support::cards::{Script, card, scripted};
use crate::support::child;
use crate::support::proxy::{Mode, Proxy};
use crate::support::{Deployment, TestApp, eventually};

/// Failing as often as the bar says, and breaking connections besides.
const BAD: Faults = Faults {
    fails: 0.3,
    hangs: 0.1,
    resets: 0.05,
    hang: Duration::from_millis(900),
    only: None,
    mute: false,
};

async fn backlog(app: &App) -> Backlog {
    app.store.backlog(EffectKind::Escalate).await.unwrap()
}

/// A document that a person has to decide about.
async fn in_review(it: &TestApp, number: u32) -> DocumentId {
    let id = it.upload(card(number, Script::Review, 0)).await.unwrap().id;
    let outcome = Outcome {
        decision: Decision::NeedsReview,
        score: 60,
        result: serde_json::value::to_raw_value(&json!({ "fields": { "nik": { "value": "3171" } } }))
            .unwrap(),
        ocr_text: None,
        engine: "scripted".to_owned(),
        reading_ms: 1,
    };
    it.app.store.begin_processing(id, 1, Duration::from_secs(60), 3).await.unwrap();
    it.app.store.record_outcome(id, 1, outcome).await.unwrap();
    id
}

async fn review_of(app: &App, id: DocumentId) -> filot::store::Review {
    app.store.review_of_document(id).await.unwrap().expect("a review")
}

/// R9: documents go to BULI2 while it fails, hangs, breaks off and is away for a third of the time, and while FiLot
/// itself is killed again and again.
async fn exactly_one_ticket_each(deployment: Deployment, documents: u32, kills: u32) {
    let fake = FakeBuli2::start(20_261_123).await;
    fake.set(BAD);
    let proxy = Proxy::to(fake.port).await;
    let deployment = configured(deployment, proxy.port).with("FILOT_WORKER_MAX_ATTEMPTS", "1000");
    let observer = TestApp::new(&deployment).await;
    let mut dice = StdRng::seed_from_u64(9);
    let mut acknowledged: HashMap<u32, DocumentId> = HashMap::new();
    let per_life = documents / kills;
    for life in 0..kills {
        proxy.set(if (kills / 3..kills * 2 / 3).contains(&life) { Mode::Refuse } else { Mode::Pass });
        let mut service = child::start(&deployment, observer.user, None);
        assert!(service.ready().await);
        for number in life * per_life..(life + 1) * per_life {
            service.order((number, Script::Review, 0));
        }
        let end = Instant::now() + Duration::from_millis(dice.random_range(50..700));
        while let Some(patience) = end.checked_duration_since(Instant::now()) {
            if let Some((number, id, _)) = service.ack_within(patience).await {
                acknowledged.insert(number, id);
            }
        }
        service.kill();
        while let Some((number, id, _)) = service.ack_within(Duration::from_secs(5)).await {
            acknowledged.insert(number, id);
        }
    }
    let before_the_end = fake.keys().len();
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    let missing: Vec<u32> = (0..documents).filter(|number| !acknowledged.contains_key(number)).collect();
    missing.iter().for_each(|&number| service.order((number, Script::Review, 0)));
    while acknowledged.len() < documents as usize {
        let (number, id, _) = service.ack_within(Duration::from_secs(60)).await.expect("an acknowledgement");
        acknowledged.insert(number, id);
    }
    let app = &observer.app;
    eventually("everything handed over", Duration::from_secs(240), || async {
        app.store.unfinished(1).await.unwrap().is_empty() && backlog(app).await == Backlog::default()
    })
    .await;
    assert!(service.terminate(Duration::from_secs(12)).await.is_some());

    // Each review has the one ticket that BULI2 keeps for it, and BULI2 keeps none for anything else.
    let events = all_events(app).await;
    let mut ended: HashMap<DocumentId, Vec<EventKind>> = HashMap::new();
    for event in &events {
        ended.entry(event.document_id).or_default().push(event.kind);
    }
    let mut calls = 0;
    let mut tickets = HashSet::new();
    for key in fake.keys() {
        let ticket = fake.ticket(&key).unwrap();
        let review = app.store.review(key.parse().unwrap()).await.expect("BULI2 was asked about no review");
        assert_eq!(review.ticket_id.as_deref(), Some(ticket.id.as_str()));
        assert_eq!(ticket.body["documentId"], json!(review.document_id));
        assert!(tickets.insert(ticket.id), "one ticket for two reviews");
        calls += ticket.calls;
        // No failure of BULI2 changed the document: it was read once, and waits for a person.
        let document = app.store.document(review.document_id).await.unwrap();
        assert_eq!(
            (document.status, document.verification, document.generation),
            (Status::Completed, Verification::PendingManualReview, 1)
        );
        assert_eq!(document.ticket_id, review.ticket_id);
        assert_eq!(review.route, ReviewRoute::Buli2);
        assert_eq!(ended[&document.id], [EventKind::Completed], "changed after its verdict");
    }
    for id in acknowledged.values() {
        assert!(fake.ticket(&review_of(app, *id).await.id.to_string()).is_some(), "no ticket for {id}");
    }
    assert_eq!(fake.contradictions(), 0, "a repetition is the same request");
    assert!(tickets.len() >= documents as usize);
    // The run was hard enough to mean something.
    assert!(calls > tickets.len() as u32, "nothing was ever sent twice");
    assert!(before_the_end > 0 && before_the_end < documents as usize, "{before_the_end}");
    println!(
        "{} reviews, {kills} kills: {} tickets, {calls} calls under their keys, {} calls in all",
        documents,
        tickets.len(),
        fake.calls()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_ticket_each_embedded() {
    exactly_one_ticket_each(Deployment::embedded(), 1000, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_ticket_each_on_postgres() {
    exactly_one_ticket_each(Deployment::postgres(), 1000, 50).await;
}

/// The named places around the call, at each of which a process dies.
pub(crate) const PLACES: &[&str] = &[
    "escalation.before_call",
    "escalation.after_call",
    "store.ticket.before_commit",
    "store.ticket.after_commit",
];

/// The process dies right around the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_the_call_there_is_one_ticket() {
    let fake = FakeBuli2::start(3).await;
    let deployment = configured(Deployment::embedded(), fake.port).with("FILOT_WORKER_MAX_ATTEMPTS", "1000");
    let observer = TestApp::new(&deployment).await;
    let mut number = 0;
    for place in PLACES {
        for nth in 1..=5 {
            let failpoint = format!("{place}:{nth}");
            let mut service = child::start(&deployment, observer.user, Some(&failpoint));
            // One that dies before it is ready hands over what others left.
            service.ready().await;
            let start = Instant::now();
            while !service.died(Duration::from_millis(25)).await {
                assert!(start.elapsed() < Duration::from_secs(60), "{failpoint}: it did not die");
                service.order((number, Script::Review, 0));
                number += 1;
            }
            assert!(service.aborted(), "{failpoint}: it ended, and not at the place");
        }
    }
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    let app = &observer.app;
    eventually("everything handed over", Duration::from_secs(120), || async {
        app.store.unfinished(1).await.unwrap().is_empty() && backlog(app).await == Backlog::default()
    })
    .await;
    let keys = fake.keys();
    assert!(keys.len() >= 20, "{}", keys.len());
    for key in keys {
        let review = app.store.review(key.parse().unwrap()).await.unwrap();
        assert_eq!(review.ticket_id, fake.ticket(&key).map(|ticket| ticket.id));
    }
    service.kill();
}

/// A service with a clock that is moved by hand, and a schedule as in earnest.
async fn by_hand(
    deployment: Deployment,
    port: u16,
    settings: &[(&str, &str)],
) -> (TestApp, Clock, Deployment) {
    let earnest = [
        ("FILOT_BULI2_RETRY_BASE_MS", "5000"),
        ("FILOT_BULI2_RETRY_MAX_MS", "21600000"),
        ("FILOT_BULI2_BREAKER_COOLDOWN_MS", "30000"),
    ];
    let deployment = earnest
        .iter()
        .chain(settings)
        .fold(configured(deployment, port), |deployment, (name, value)| deployment.with(name, value));
    let clock = Clock::by_hand(Timestamp::now());
    let it = TestApp::on(deployment.app_with(scripted(), clock).await).await;
    (it, clock, deployment)
}

async fn away_for_an_hour(deployment: Deployment) {
    let fake = FakeBuli2::start(1).await;
    let (it, clock, _deployment) = by_hand(deployment, fake.port, &[]).await;
    let mut documents = Vec::new();
    for number in 0..100 {
        documents.push(in_review(&it, number).await);
    }
    let mut before = Vec::new();
    for id in &documents {
        before.push(it.document(*id).await);
    }
    fake.set(Faults { only: Some(503), ..Faults::default() });
    for _ in 0..360 {
        escalate_once(&it.app).await;
        clock.advance(SignedDuration::from_secs(10));
    }
    let waiting = backlog(&it.app).await;
    assert_eq!(waiting.new + waiting.retrying, 100);
    assert!(waiting.next_retry.is_some());
    // The breaker lets one call through every half minute, whatever waits.
    assert!((100..=150).contains(&fake.calls()), "{} calls while away", fake.calls());
    for (id, before) in documents.iter().zip(&before) {
        let now = it.document(*id).await;
        assert_eq!(
            (now.version, now.status, now.verification),
            (before.version, before.status, before.verification)
        );
        assert!(now.ticket_id.is_none(), "a ticket that nobody gave");
    }
    fake.set(Faults::default());
    let mut minutes = 0;
    while backlog(&it.app).await != Backlog::default() {
        escalate_once(&it.app).await;
        clock.advance(SignedDuration::from_mins(1));
        minutes += 1;
        assert!(minutes < 24 * 60, "still waiting after a day");
    }
    assert_eq!(fake.keys().len(), 100);
    for id in &documents {
        let review = review_of(&it.app, *id).await;
        assert_eq!(review.ticket_id, fake.ticket(&review.id.to_string()).map(|ticket| ticket.id));
        assert_eq!(it.document(*id).await.ticket_id, review.ticket_id);
    }
}

#[tokio::test]
async fn away_for_an_hour_embedded() {
    away_for_an_hour(Deployment::embedded()).await;
}

#[tokio::test]
async fn away_for_an_hour_on_postgres() {
    away_for_an_hour(Deployment::postgres()).await;
}

#[tokio::test]
async fn the_request_is_the_one_that_buli2_knows() {
    let fake = FakeBuli2::start(1).await;
    let settings = [("BULI2_CALLBACK_URL", "https://filot.example/hooks/")];
    let (it, _, _deployment) = by_hand(Deployment::embedded(), fake.port, &settings).await;
    let id = in_review(&it, 1).await;
    upkeep_once(&it.app).await;
    let review = review_of(&it.app, id).await;
    let body = fake.ticket(&review.id.to_string()).unwrap().body;
    let expected = json!({
        "reviewId": review.id, "documentId": id, "userId": it.user, "documentType": "KTP",
        "parsedData": { "nik": "3171" }, "aiScore": 60,
        "correlationId": format!("esc-{id}-{}", review.created_at.as_millisecond()),
        "callbackUrl": "https://filot.example/hooks",
        "metadata": { "submittedAt": format!("{:.3}", it.document(id).await.created_at) },
    });
    assert_eq!(body, expected);

    let settings = [("FILOT_PUBLIC_URL", "https://filot.example"), ("FILOT_BULI2_LEGACY_SIGNATURE", "true")];
    let (it, _, _deployment) = by_hand(Deployment::embedded(), fake.port, &settings).await;
    let id = in_review(&it, 1).await;
    upkeep_once(&it.app).await;
    let review = review_of(&it.app, id).await.id;
    let body = fake.ticket(&review.to_string()).unwrap().body;
    assert_eq!(body["callbackUrl"], format!("https://filot.example/internal/reviews/{review}/callback"));
}

#[tokio::test]
async fn what_buli2_refuses_goes_to_the_desk() {
    for status in [400, 401, 404, 422] {
        let fake = FakeBuli2::start(1).await;
        fake.set(Faults { only: Some(status), ..Faults::default() });
        let (it, clock, _deployment) = by_hand(Deployment::embedded(), fake.port, &[]).await;
        let id = in_review(&it, 1).await;
        assert_eq!(review_of(&it.app, id).await.route, ReviewRoute::Buli2);
        for _ in 0..5 {
            escalate_once(&it.app).await;
            clock.advance(SignedDuration::from_hours(1));
        }
        assert_eq!((fake.calls(), review_of(&it.app, id).await.route), (1, ReviewRoute::Desk), "{status}");
        assert_eq!(it.document(id).await.verification, Verification::PendingManualReview);
    }
    // What may pass is tried again.
    for status in [302, 408, 409, 425, 429, 500, 503] {
        let elsewhere = FakeBuli2::start(2).await;
        let address = format!("http://127.0.0.1:{}/internal/reviews", elsewhere.port);
        let fake = FakeBuli2::redirecting(1, Some(address)).await;
        fake.set(Faults { only: Some(status), ..Faults::default() });
        let (it, clock, _deployment) = by_hand(Deployment::embedded(), fake.port, &[]).await;
        let id = in_review(&it, 1).await;
        escalate_once(&it.app).await;
        assert_eq!((fake.calls(), backlog(&it.app).await.retrying), (1, 1), "{status}");
        fake.set(Faults::default());
        clock.advance(SignedDuration::from_secs(60));
        escalate_once(&it.app).await;
        assert!(it.document(id).await.ticket_id.is_some(), "{status}");
        assert_eq!(elsewhere.calls(), 0, "{status} was followed to another address");
    }
}

#[tokio::test]
async fn a_ticket_is_never_made_up() {
    let fake = FakeBuli2::start(1).await;
    fake.set(Faults { mute: true, ..Faults::default() });
    let (it, clock, _deployment) = by_hand(Deployment::embedded(), fake.port, &[]).await;
    let id = in_review(&it, 1).await;
    escalate_once(&it.app).await;
    assert_eq!((it.document(id).await.ticket_id, backlog(&it.app).await.retrying), (None, 1));
    fake.set(Faults::default());
    clock.advance(SignedDuration::from_secs(60));
    escalate_once(&it.app).await;
    let review = review_of(&it.app, id).await;
    assert_eq!(review.ticket_id, Some("BULI2-1".to_owned()));
    assert_eq!(fake.ticket(&review.id.to_string()).unwrap().calls, 2);
}

#[tokio::test]
async fn the_desk_takes_over_after_the_deadline_and_a_late_answer_decides_nothing() {
    let fake = FakeBuli2::start(1).await;
    let settings = [("FILOT_BULI2_DESK_AFTER_S", "3600")];
    let (it, clock, _deployment) = by_hand(Deployment::embedded(), fake.port, &settings).await;
    let taken = in_review(&it, 1).await;
    escalate_once(&it.app).await;
    fake.set(Faults { only: Some(503), ..Faults::default() });
    let untaken = in_review(&it, 2).await;
    for _ in 0..12 {
        escalate_once(&it.app).await;
        assert_eq!(review_of(&it.app, untaken).await.route, ReviewRoute::Buli2, "not before");
        clock.advance(SignedDuration::from_mins(5));
    }
    clock.advance(SignedDuration::from_secs(1));
    escalate_once(&it.app).await;
    let calls = fake.calls();
    for id in [taken, untaken] {
        let review = review_of(&it.app, id).await;
        assert_eq!((review.route, review.version), (ReviewRoute::Desk, 1));
    }
    assert_eq!(backlog(&it.app).await, Backlog::default());
    fake.set(Faults::default());
    clock.advance(SignedDuration::from_hours(30));
    escalate_once(&it.app).await;
    assert_eq!(fake.calls(), calls, "the desk has it, BULI2 is not asked any more");

    let server = Server::on(it.app.clone()).await;
    let body = json!({ "reviewId": review_of(&it.app, taken).await.id, "taskId": "BULI2-1", "decision": "approved" });
    let late = Answer::at(clock.now().as_second(), "late", serde_json::to_vec(&body).unwrap());
    server.send(late.request(&server)).await.is(409, "conflict");
    assert_eq!(it.document(taken).await.verification, Verification::PendingManualReview);
}

#[tokio::test]
async fn without_buli2_reviews_are_the_desks_from_the_start() {
    let deployment = Deployment::embedded();
    let it = TestApp::new(&deployment).await;
    let id = in_review(&it, 1).await;
    assert_eq!(review_of(&it.app, id).await.route, ReviewRoute::Desk);
    upkeep_once(&it.app).await;
    assert_eq!(backlog(&it.app).await, Backlog::default());

    // One that was handed over before BULI2 was taken out of the settings comes back.
    let fake = FakeBuli2::start(1).await;
    let with = configured(deployment, fake.port);
    let before = TestApp::new(&with).await;
    let id = in_review(&before, 2).await;
    assert_eq!(review_of(&it.app, id).await.route, ReviewRoute::Buli2);
    tokio::time::sleep(Duration::from_millis(5)).await;
    upkeep_once(&it.app).await;
    assert_eq!((review_of(&it.app, id).await.route, fake.calls()), (ReviewRoute::Desk, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_waits_for_buli2() {
    let fake = FakeBuli2::start(1).await;
    fake.set(Faults { only: Some(500), ..Faults::default() });
    let (it, _, _deployment) = by_hand(Deployment::embedded(), fake.port, &[]).await;
    for number in 0..10 {
        in_review(&it, number).await;
    }
    let server = Server::on(it.app.clone()).await;
    let numbers = async || {
        let request = server.request(reqwest::Method::GET, "/metrics").header("Accept", "application/json");
        server.send(request).await.ok()["metrics"].clone()
    };
    let before = numbers().await;
    assert_eq!((&before["filot.buli2.retry_count"], &before["buli2"]["waiting"]), (&json!(0), &json!(10)));
    escalate_once(&it.app).await;
    let after = numbers().await;
    // Eight at a time, then the breaker is open.
    assert_eq!((&after["filot.buli2.retry_count"], &after["buli2"]["waiting"]), (&json!(8), &json!(2)));
    assert_eq!(after["buli2"]["breaker"], "open");
    let next: Timestamp = after["buli2"]["nextRetryAt"].as_str().unwrap().parse().unwrap();
    assert!(next > it.app.clock.now());
}
