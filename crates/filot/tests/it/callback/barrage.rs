//! Thousands of answers, most of them changed, replayed, or about what does not belong together.

use std::collections::HashMap;

use filot::buli2::signature::{sign, sign_legacy};
use filot::document::{DocumentId, ReviewId, Verification};
use filot::store::EventKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Case, case, other, serve, verification};
use crate::http::server::{Answer, Server};
use crate::support::Deployment;
use crate::support::buli2::{Event, SECRET};

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
        let unknown = (503, Some("review_unknown"));
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
