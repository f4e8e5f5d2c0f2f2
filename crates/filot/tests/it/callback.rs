//! What BULI2 answers: nothing forged, replayed, late or foreign is accepted, and no decided document flips.

use std::time::Duration;

use filot::buli2::signature::sign_legacy;
use filot::document::{DocumentId, Resolution, ReviewId, Verification};
use filot::store::{Actor, Outcome, Verdict};
use filot_cards::decide::Decision;
use futures_util::future::join_all;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::http::server::{Server, generous};
use crate::support::Deployment;
use crate::support::buli2::{Event, SECRET, configured};
use crate::support::cards::{Script, card};

mod again;
mod barrage;

/// A review under a ticket.
#[derive(Clone, Debug)]
struct Case {
    review: ReviewId,
    document: DocumentId,
    ticket: String,
}

impl Case {
    fn body(&self, decision: &str) -> Value {
        json!({ "reviewId": self.review, "documentId": self.document, "taskId": self.ticket, "decision": decision })
    }
}

async fn serve(deployment: Deployment) -> (Server, Deployment) {
    // Nobody calls BULI2 here; the port is never used.
    Server::start(configured(deployment, 9)).await
}

async fn case(server: &Server, number: u32) -> Case {
    let store = &server.inner.app.store;
    let document = server.inner.upload(card(number, Script::Review, 0)).await.unwrap().id;
    let outcome = Outcome {
        decision: Decision::NeedsReview,
        score: 60,
        result: serde_json::value::to_raw_value(&json!({})).unwrap(),
        ocr_text: None,
        engine: "scripted".to_owned(),
        reading_ms: 1,
    };
    store.begin_processing(document, 1, Duration::from_secs(60), 3).await.unwrap();
    store.record_outcome(document, 1, outcome).await.unwrap();
    let review = store.review_of_document(document).await.unwrap().unwrap().id;
    let ticket = format!("BULI2-{number}");
    store.ticket_given(review, &ticket).await.unwrap();
    Case { review, document, ticket }
}

fn verification(decision: &str) -> Verification {
    if decision == "approved" { Verification::ManuallyApproved } else { Verification::ManuallyRejected }
}

fn other(decision: &str) -> &'static str {
    if decision == "approved" { "rejected" } else { "approved" }
}

/// Verdicts of BULI2 that contradict each other, and one of a person at the desk, all at the same time.
async fn races(deployment: Deployment, rounds: u32) {
    let (server, _deployment) = serve(deployment).await;
    let store = &server.inner.app.store;
    for round in 1..=rounds {
        let case = case(&server, round).await;
        let events: Vec<Event> = (0..4)
            .map(|n| {
                let decision = ["approved", "rejected"][n % 2];
                // The first two are the same event, delivered twice at once.
                Event::new(&format!("r{round}-{}", n / 2 * 2 + usize::from(n == 3)), &case.body(decision))
            })
            .collect();
        let twice = events[0].clone();
        let desk = async {
            let reviewer = Actor::Officer(filot::document::UserId::new());
            let verdict = Verdict {
                resolution: Resolution::Rejected,
                notes: None,
                reviewer,
                expected_version: Some(1),
            };
            store.resolve_review(case.review, verdict).await.is_ok()
        };
        let sent =
            events.iter().skip(1).chain([&twice, &twice]).map(|event| server.send(event.request(&server)));
        let (answers, by_desk) = tokio::join!(join_all(sent), desk);
        let document = store.document(case.document).await.unwrap();
        let review = store.review(case.review).await.unwrap();
        for answer in &answers {
            match answer.status {
                200 => assert_eq!(answer.body["verificationStatus"], document.verification.as_str()),
                409 => assert!(
                    ["review_decided", "event_id_reused"].contains(&answer.body["code"].as_str().unwrap())
                ),
                _ => panic!("{answer:?}"),
            }
        }
        assert_eq!(
            (&answers[3].status, &answers[3].body["code"]),
            (&answers[4].status, &answers[4].body["code"])
        );
        assert_eq!(review.version, 2, "decided once");
        assert_eq!(by_desk, review.reviewer.unwrap().starts_with("officer:"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_at_once_one_decides_embedded() {
    races(Deployment::embedded(), 500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_at_once_one_decides_on_postgres() {
    races(Deployment::postgres(), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_quicker_than_the_ticket_is_taken() {
    let (server, _deployment) = serve(Deployment::embedded()).await;
    let known = case(&server, 1).await;
    let new = case(&server, 2).await;
    let store = &server.inner.app.store;
    // As if the reply with the ticket was lost.
    let fresh = server.inner.upload(card(3, Script::Review, 0)).await.unwrap().id;
    store.begin_processing(fresh, 1, Duration::from_secs(60), 3).await.unwrap();
    let outcome = Outcome {
        decision: Decision::NeedsReview,
        score: 60,
        result: serde_json::value::to_raw_value(&json!({})).unwrap(),
        ocr_text: None,
        engine: "scripted".to_owned(),
        reading_ms: 1,
    };
    store.record_outcome(fresh, 1, outcome).await.unwrap();
    let stolen = json!({ "documentId": fresh, "taskId": known.ticket, "decision": "approved" });
    server.send(Event::new("1", &stolen).request(&server)).await.is(409, "review_mismatch");
    let body = json!({ "documentId": fresh, "taskId": "BULI2-77", "decision": "approved" });
    server.send(Event::new("2", &body).request(&server)).await.ok();
    assert_eq!(store.document(fresh).await.unwrap().ticket_id.as_deref(), Some("BULI2-77"));

    // A deleted document has no review any more.
    store.delete_document(new.document, &Actor::System).await.unwrap();
    server.send(Event::new("3", &new.body("approved")).request(&server)).await.is(503, "review_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nothing_is_taken() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let case = case(&server, 1).await;
    let event = Event::new("1", &case.body("approved"));
    server.send(event.request(&server)).await.is(403, "callbacks_not_configured");
    let unsigned = server.inner.app.keys.service_internal.expose_secret();
    let answer = server.post("/internal/reviews", Some(unsigned), case.body("approved")).await;
    answer.is(403, "callbacks_not_configured");
    let document = server.inner.document(case.document).await;
    assert_eq!(document.verification, Verification::PendingManualReview);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_way_is_bound_to_its_review_and_counts_once() {
    let deployment =
        generous(configured(Deployment::embedded(), 9)).with("FILOT_BULI2_LEGACY_SIGNATURE", "true");
    let server = Server::on(deployment.app().await).await;
    let mut cases = Vec::new();
    for number in 1..=30 {
        cases.push(case(&server, number).await);
    }
    let key = server.inner.app.keys.service_internal.expose_secret();
    let send = async |path: Option<ReviewId>, signature: &str, body: &str| {
        let path = path
            .map_or_else(|| "/internal/reviews".to_owned(), |id| format!("/internal/reviews/{id}/callback"));
        let request = server.request(Method::POST, &path).header("x-service-key", key);
        let request =
            request.header("Content-Type", "application/json").header("x-buli2-signature", signature);
        server.send(request.body(body.to_owned())).await
    };
    let signed = |body: &str| sign_legacy(SECRET, body.as_bytes()).unwrap();
    for (n, case) in cases.iter().enumerate() {
        let decision = ["approved", "rejected"][n % 2];
        // With blanks, as it may arrive; what is signed has none.
        let body = match n % 3 {
            0 => format!(r#"{{ "decision": "{decision}", "documentId": "{}", "extra": 1 }}"#, case.document),
            1 => format!(r#"{{"taskId":"{}","decision":"{decision}"}}"#, case.ticket),
            _ => format!(r#"{{"reviewId":"{}","decision":"{decision}","notes":"caf\u00e9"}}"#, case.review),
        };
        let signature = signed(&body);
        // The same signed body fits no other review, and is none without its signature.
        for foreign in cases.iter().filter(|other| other.review != case.review) {
            send(Some(foreign.review), &signature, &body).await.is(409, "review_mismatch");
        }
        send(Some(case.review), &signature[1..], &body).await.is(401, "signature_invalid");
        send(Some(case.review), &format!("sha256={signature}"), &body).await.is(401, "signature_invalid");
        let turned = body.replace(decision, other(decision));
        send(Some(case.review), &signature, &turned).await.is(401, "signature_invalid");
        let path = (n % 4 != 3).then_some(case.review);
        for _ in 0..2 {
            let answer = send(path, &signature, &body).await.ok();
            assert_eq!(answer["verificationStatus"], verification(decision).as_str());
        }
        // Well signed, but too late.
        send(path, &signed(&turned), &turned).await.is(409, "review_decided");
    }
    let nobody = r#"{"decision":"approved"}"#;
    send(Some(cases[0].review), &signed(nobody), nobody).await.is(422, "invalid_field");
    let unknown = format!(r#"{{"decision":"approved","taskId":"{}"}}"#, cases[0].ticket);
    send(Some(ReviewId::new()), &signed(&unknown), &unknown).await.is(503, "review_unknown");
    for (n, case) in cases.iter().enumerate() {
        let decision = ["approved", "rejected"][n % 2];
        assert_eq!(server.inner.document(case.document).await.verification, verification(decision));
    }
}
