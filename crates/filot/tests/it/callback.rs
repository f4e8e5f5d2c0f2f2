//! What BULI2 answers: nothing forged, replayed, late or foreign is accepted, and no decided document flips.

use std::collections::HashMap;
use std::time::Duration;

use filot::buli2::signature::{sign, sign_legacy};
use filot::document::{DocumentId, Resolution, ReviewId, Verification};
use filot::store::{Actor, EventKind, Outcome, Verdict};
use filot_cards::decide::Decision;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::http::server::{Answer, Server, generous};
use crate::support::Deployment;
use crate::support::buli2::{Event, SECRET, configured};
use crate::support::cards::{Script, card};

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

/// What is sent, and what has to be answered: a status, and for an error its code.
struct Shot {
    what: &'static str,
    request: RequestBuilder,
    expected: (u16, Option<&'static str>),
}

/// Genuine events sent so far, by review.
#[derive(Default)]
struct Told {
    decided: HashMap<ReviewId, &'static str>,
    events: Vec<(Event, &'static str, Answer)>,
}

struct Gun<'a> {
    server: &'a Server,
    dice: StdRng,
    cases: Vec<Case>,
    told: Told,
    shots: u32,
    /// For requests that are not built by the book.
    client: reqwest::Client,
}

impl Gun<'_> {
    fn case(&mut self) -> Case {
        let n = self.dice.random_range(0..self.cases.len());
        self.cases[n].clone()
    }

    fn decision(&mut self) -> &'static str {
        if self.dice.random_bool(0.5) { "approved" } else { "rejected" }
    }

    fn id(&mut self) -> String {
        self.shots += 1;
        format!("event-{}", self.shots)
    }

    fn event(&mut self, body: &Value) -> Event {
        let id = self.id();
        Event::new(&id, body)
    }

    /// A genuine event, changed in one place after it was signed.
    fn mutated(&mut self) -> Shot {
        let (case, decision) = (self.case(), self.decision());
        let event = self.event(&case.body(decision));
        let mut changed = event.clone();
        let server = self.server;
        let forged = (401, Some("signature_invalid"));
        let (what, request, expected) = match self.dice.random_range(0..14) {
            0 => {
                let at = self.dice.random_range(0..changed.body.len());
                changed.body[at] ^= 1 << self.dice.random_range(0..7);
                ("a bit of the body", changed.request(server), forged)
            }
            1 => {
                let turned = case.body(other(decision));
                changed.body = serde_json::to_vec(&turned).unwrap();
                ("the decision", changed.request(server), forged)
            }
            2 => {
                changed.body = serde_json::to_vec_pretty(&case.body(decision)).unwrap();
                ("blanks", changed.request(server), forged)
            }
            3 => {
                changed.body.truncate(self.dice.random_range(0..changed.body.len()));
                ("the end of the body", changed.request(server), forged)
            }
            4 => {
                changed.id = format!("{}x", changed.id);
                ("the event id", changed.request(server), forged)
            }
            5 => {
                let second: i64 = changed.timestamp.parse().unwrap();
                changed.timestamp = (second + self.dice.random_range(1..200)).to_string();
                ("the timestamp", changed.request(server), forged)
            }
            6 => {
                let at = self.dice.random_range("sha256=".len()..changed.signature.len());
                let digit = if &changed.signature[at..=at] == "0" { "1" } else { "0" };
                changed.signature.replace_range(at..=at, digit);
                ("a digit of the signature", changed.request(server), forged)
            }
            7 => {
                changed.signature = changed.signature.replace("sha256=", "");
                ("the signature bare", changed.request(server), forged)
            }
            8 => {
                changed.signature = sign("another secret", &changed.timestamp, &changed.id, &changed.body);
                ("another secret", changed.request(server), forged)
            }
            9 => {
                let seconds =
                    self.dice.random_range(330..1_000_000) * if self.dice.random_bool(0.5) { 1 } else { -1 };
                let second = jiff::Timestamp::now().as_second() + seconds;
                let old = Event::at(second, &changed.id, changed.body);
                ("signed long ago", old.request(server), (401, Some("timestamp_out_of_window")))
            }
            10 => {
                let missing = ["X-Filot-Timestamp", "X-Filot-Event-Id", "X-Filot-Signature"]
                    [self.dice.random_range(0..3)];
                let mut request = changed.request(server).build().unwrap();
                request.headers_mut().remove(missing);
                return self.built("a header missing", request, (401, Some("signature_missing")));
            }
            11 => {
                let mut request = changed.request(server).build().unwrap();
                request.headers_mut().append("X-Filot-Event-Id", "another".parse().unwrap());
                return self.built("a header twice", request, (401, Some("signature_missing")));
            }
            12 => {
                let mut request = changed.request(server).build().unwrap();
                request.headers_mut().remove("authorization");
                return self.built("no service key", request, (401, Some("invalid_service_key")));
            }
            _ => {
                // The old way is closed, however well signed.
                let path = format!("/internal/reviews/{}/callback", case.review);
                let signature = sign_legacy(SECRET, &changed.body).unwrap();
                let request = server
                    .request(Method::POST, &path)
                    .bearer_auth(server.inner.app.keys.service_internal.expose_secret())
                    .header("Content-Type", "application/json")
                    .header("X-Buli2-Signature", signature)
                    .body(changed.body);
                ("the old way", request, (403, Some("callbacks_not_configured")))
            }
        };
        Shot { what, request, expected }
    }

    fn built(
        &self,
        what: &'static str,
        request: reqwest::Request,
        expected: (u16, Option<&'static str>),
    ) -> Shot {
        Shot { what, request: RequestBuilder::from_parts(self.client.clone(), request), expected }
    }

    /// Well signed, but about things that do not belong together, or do not exist.
    fn foreign(&mut self) -> Shot {
        let decision = self.decision();
        let one = self.case();
        let mut another = self.case();
        while another.review == one.review {
            another = self.case();
        }
        let mut body = one.body(decision);
        let mismatch = (409, Some("review_mismatch"));
        let unknown = (404, Some("review_unknown"));
        let (what, expected) = match self.dice.random_range(0..9) {
            0 => {
                body["documentId"] = json!(another.document);
                ("the document of another", mismatch)
            }
            1 => {
                body["taskId"] = json!(another.ticket);
                ("the ticket of another", mismatch)
            }
            2 => {
                body["reviewId"] = json!(another.review);
                ("the review of another", mismatch)
            }
            3 => {
                body["userId"] = json!(uuid::Uuid::now_v7());
                ("another user", mismatch)
            }
            4 => {
                body["reviewId"] = json!(uuid::Uuid::now_v7());
                ("no such review", unknown)
            }
            5 => {
                body = json!({ "documentId": uuid::Uuid::now_v7(), "decision": decision });
                ("no such document", unknown)
            }
            6 => {
                body = json!({ "taskId": "BULI2-0", "decision": decision });
                ("no such ticket", unknown)
            }
            7 => {
                body["decision"] =
                    json!(["approve", "APPROVED", "", "pending"][self.dice.random_range(0..4)]);
                ("no such decision", (400, Some("invalid_body")))
            }
            _ => {
                body["force"] = json!(true);
                ("a field too many", (400, Some("invalid_body")))
            }
        };
        Shot { what, request: self.event(&body).request(self.server), expected }
    }

    /// A verdict that is told for the first time, again, or against the one that is there.
    async fn genuine(&mut self) {
        let (case, decision) = (self.case(), self.decision());
        // By everything, or by one name alone.
        let body = match self.dice.random_range(0..4) {
            0 => json!({ "reviewId": case.review, "decision": decision }),
            1 => json!({ "documentId": case.document, "decision": decision }),
            2 => json!({ "ticketId": case.ticket, "decision": decision, "notes": "seen" }),
            _ => case.body(decision),
        };
        let event = self.event(&body);
        let answer = self.server.send(event.request(self.server)).await;
        let known = *self.told.decided.entry(case.review).or_insert(decision);
        if known == decision {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.body["verificationStatus"], verification(decision).as_str());
        } else {
            answer.is(409, "review_decided");
        }
        self.told.events.push((event, decision, answer));
    }

    /// An event that was sent before: the same again, or its id under another body.
    async fn replayed(&mut self) {
        if self.told.events.is_empty() {
            return;
        }
        let n = self.dice.random_range(0..self.told.events.len());
        let (event, decision, answer) = &self.told.events[n];
        let mut body: Value = serde_json::from_slice(&event.body).unwrap();
        match self.dice.random_range(0..3) {
            0 => {
                let again = self.server.send(event.request(self.server)).await;
                assert_eq!((again.status, &again.body["code"]), (answer.status, &answer.body["code"]));
                assert_eq!(again.body["decision"], answer.body["decision"]);
            }
            1 => {
                // Signed anew by BULI2, as a retry that took long.
                let fresh = Event::new(&event.id, &body);
                let again = self.server.send(fresh.request(self.server)).await;
                assert_eq!((again.status, &again.body["code"]), (answer.status, &answer.body["code"]));
            }
            _ => {
                body["decision"] = json!(other(decision));
                let reused = Event::new(&event.id, &body);
                self.server.send(reused.request(self.server)).await.is(409, "event_id_reused");
            }
        }
    }

    async fn fire(&mut self, shot: Shot) {
        let answer = self.server.send(shot.request).await;
        let code = answer.body["code"].as_str();
        assert_eq!((answer.status, code), shot.expected, "{}: {answer:?}", shot.what);
    }

    /// Every document stands as the first genuine verdict about it says, and was changed once.
    async fn account(&self) {
        let store = &self.server.inner.app.store;
        let mut resolved: HashMap<DocumentId, u32> = HashMap::new();
        let mut seq = 0;
        loop {
            let events = store.events_after(seq, 1000).await.unwrap();
            let Some(last) = events.last() else { break };
            seq = last.seq;
            for event in events.iter().filter(|event| event.kind == EventKind::Resolved) {
                *resolved.entry(event.document_id).or_default() += 1;
            }
        }
        for case in &self.cases {
            let document = store.document(case.document).await.unwrap();
            let decided = self.told.decided.get(&case.review);
            let expected =
                decided.map_or(Verification::PendingManualReview, |decision| verification(decision));
            assert_eq!(document.verification, expected, "flipped or accepted wrongly: {case:?}");
            assert_eq!(resolved.get(&case.document).copied().unwrap_or(0), u32::from(decided.is_some()));
        }
    }
}

async fn barrage(deployment: Deployment, shots: u32, cases: u32) {
    let (server, _deployment) = serve(deployment).await;
    let mut all = Vec::new();
    for number in 1..=cases {
        all.push(case(&server, number).await);
    }
    let dice = StdRng::seed_from_u64(20_261_123);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut gun = Gun { server: &server, dice, cases: all, told: Told::default(), shots: 0, client };
    let mut kinds = [0; 4];
    for shot in 0..shots {
        // Genuine verdicts are rare at first, so that there is something undecided to attack for long.
        let kind = match gun.dice.random_range(0..100) {
            0..50 => 0,
            50..75 => 1,
            75..95 if shot > 50 => 2,
            _ => 3,
        };
        kinds[kind] += 1;
        match kind {
            0 => {
                let shot = gun.mutated();
                gun.fire(shot).await;
            }
            1 => {
                let shot = gun.foreign();
                gun.fire(shot).await;
            }
            2 => gun.replayed().await,
            _ => gun.genuine().await,
        }
        if shot % 1000 == 0 {
            gun.account().await;
        }
    }
    gun.account().await;
    let decided = gun.told.decided.len();
    assert!(decided > 0 && decided < gun.cases.len(), "{decided} of {cases} decided");
    println!(
        "{shots} callbacks (mutated, foreign, replayed, genuine: {kinds:?}): {decided} of {cases} reviews decided"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_forged_is_accepted_and_nothing_flips_embedded() {
    barrage(Deployment::embedded(), 10_000, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_forged_is_accepted_and_nothing_flips_on_postgres() {
    barrage(Deployment::postgres(), 2000, 80).await;
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
    races(Deployment::embedded(), 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_at_once_one_decides_on_postgres() {
    races(Deployment::postgres(), 60).await;
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
    server.send(Event::new("3", &new.body("approved")).request(&server)).await.is(404, "review_unknown");
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
    send(Some(ReviewId::new()), &signed(&unknown), &unknown).await.is(404, "review_unknown");
    for (n, case) in cases.iter().enumerate() {
        let decision = ["approved", "rejected"][n % 2];
        assert_eq!(server.inner.document(case.document).await.verification, verification(decision));
    }
}
