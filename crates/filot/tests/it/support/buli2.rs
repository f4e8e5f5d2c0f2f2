//! A BULI2 that speaks its protocol and fails in every way that such a service does. It keeps tickets by idempotency
//! key, and forgets nothing when FiLot dies.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use filot::buli2::signature;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::Deployment;
use crate::http::server::Server;

pub(crate) const API_KEY: &str = "q7Vt2Kx9Lm4Wz1Rb8Yc5Nd3Hs6Jf0Gpe";
pub(crate) const SECRET: &str = "b2xJ7vQw9Zt4Lm1Rk8Yc5Nd0Hs3Gf6Pa";

/// How a call is treated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Share of calls answered with 500, 502 or 503.
    pub(crate) fails: f64,
    /// Share of calls whose answer comes after `hang`.
    pub(crate) hangs: f64,
    /// Share of calls whose connection breaks in the middle of the answer.
    pub(crate) resets: f64,
    pub(crate) hang: Duration,
    /// Every call is answered with this and nothing is done.
    pub(crate) only: Option<u16>,
    /// Taken, but without a word about the ticket.
    pub(crate) mute: bool,
}

/// A review that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) id: String,
    pub(crate) body: Value,
    /// Calls under the same idempotency key.
    pub(crate) calls: u32,
}

#[derive(Default)]
struct Books {
    /// By idempotency key.
    tickets: HashMap<String, Ticket>,
    calls: u32,
    /// Calls under a known key with another body.
    contradictions: u32,
}

struct Inner {
    faults: Mutex<Faults>,
    dice: Mutex<StdRng>,
    books: Mutex<Books>,
    elsewhere: Option<String>,
}

/// The server. It ends with the test's runtime.
pub(crate) struct FakeBuli2 {
    pub(crate) port: u16,
    inner: Arc<Inner>,
}

impl FakeBuli2 {
    pub(crate) async fn start(seed: u64) -> Self {
        Self::redirecting(seed, None).await
    }

    /// One whose answer to `Faults::only` 3xx leads to another address.
    pub(crate) async fn redirecting(seed: u64, elsewhere: Option<String>) -> Self {
        let inner = Arc::new(Inner {
            faults: Mutex::default(),
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
            books: Mutex::default(),
            elsewhere,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/internal/reviews", post(take)).with_state(Arc::clone(&inner));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { port, inner }
    }

    pub(crate) fn set(&self, faults: Faults) {
        *self.inner.faults.lock().unwrap() = faults;
    }

    /// The ticket of a review.
    pub(crate) fn ticket(&self, key: &str) -> Option<Ticket> {
        self.inner.books.lock().unwrap().tickets.get(key).cloned()
    }

    /// The idempotency keys of all tickets.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.inner.books.lock().unwrap().tickets.keys().cloned().collect()
    }

    pub(crate) fn calls(&self) -> u32 {
        self.inner.books.lock().unwrap().calls
    }

    pub(crate) fn contradictions(&self) -> u32 {
        self.inner.books.lock().unwrap().contradictions
    }
}

/// The deployment with a BULI2 at `port`, and retries in milliseconds where it takes days.
pub(crate) fn configured(deployment: Deployment, port: u16) -> Deployment {
    let settings = [
        ("BULI2_API_URL", format!("http://127.0.0.1:{port}")),
        ("BULI2_API_KEY", API_KEY.to_owned()),
        ("BULI2_SIGNATURE_SECRET", SECRET.to_owned()),
        ("FILOT_BULI2_TIMEOUT_MS", "400".to_owned()),
        ("FILOT_BULI2_RETRY_BASE_MS", "20".to_owned()),
        ("FILOT_BULI2_RETRY_MAX_MS", "400".to_owned()),
        ("FILOT_BULI2_BREAKER_COOLDOWN_MS", "100".to_owned()),
    ];
    settings.iter().fold(deployment, |deployment, (name, value)| deployment.with(name, value))
}

enum Fault {
    None,
    Status(u16),
    Hang,
    Reset,
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let faults = *inner.faults.lock().unwrap();
    let (fault, early) = {
        let mut dice = inner.dice.lock().unwrap();
        let roll: f64 = dice.random();
        let fault = match faults.only {
            Some(status) => Fault::Status(status),
            None if roll < faults.fails => Fault::Status([500, 502, 503][dice.random_range(0..3)]),
            None if roll < faults.fails + faults.hangs => Fault::Hang,
            None if roll < faults.fails + faults.hangs + faults.resets => Fault::Reset,
            None => Fault::None,
        };
        // A failure may come before the work or after it.
        (fault, faults.only.is_none() && dice.random_bool(0.5))
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = header("idempotency-key").to_owned();
    if header("authorization") != format!("Bearer {API_KEY}") || key.is_empty() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    inner.books.lock().unwrap().calls += 1;
    let taken = (early || matches!(fault, Fault::None)).then(|| book(&inner, key, body));
    let reply = match &taken {
        Some(_) if faults.mute => json!({ "status": "accepted" }),
        Some(ticket) => json!({ "taskId": ticket, "status": "accepted", "responseTimeMs": 3 }),
        None => json!({}),
    };
    match fault {
        Fault::None => (StatusCode::CREATED, axum::Json(reply)).into_response(),
        Fault::Status(status) => {
            let mut answer = StatusCode::from_u16(status).unwrap().into_response();
            if let Some(elsewhere) = &inner.elsewhere {
                answer.headers_mut().insert(header::LOCATION, elsewhere.parse().unwrap());
            }
            answer
        }
        Fault::Hang => {
            tokio::time::sleep(faults.hang).await;
            (StatusCode::CREATED, axum::Json(reply)).into_response()
        }
        Fault::Reset => {
            let broken = futures_util::stream::iter([
                Ok(Bytes::from_static(b"{\"taskId\":")),
                Err(std::io::Error::other("broken off")),
            ]);
            (StatusCode::CREATED, Body::from_stream(broken)).into_response()
        }
    }
}

/// Takes a review, once for each key.
fn book(inner: &Inner, key: String, body: Value) -> String {
    let mut books = inner.books.lock().unwrap();
    let number = books.tickets.len() + 1;
    let known = books.tickets.get(&key).map(|ticket| ticket.body.clone());
    if known.is_some_and(|known| known != body) {
        books.contradictions += 1;
    }
    let new = Ticket { id: format!("BULI2-{number}"), body, calls: 0 };
    let ticket = books.tickets.entry(key).or_insert(new);
    ticket.calls += 1;
    ticket.id.clone()
}

/// What BULI2 sends when a person has decided.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) timestamp: String,
    pub(crate) id: String,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

impl Event {
    /// One that is signed now.
    pub(crate) fn new(id: &str, body: &Value) -> Self {
        Self::at(jiff::Timestamp::now().as_second(), id, serde_json::to_vec(body).unwrap())
    }

    pub(crate) fn at(second: i64, id: &str, body: Vec<u8>) -> Self {
        let timestamp = second.to_string();
        let signature = signature::sign(SECRET, &timestamp, id, &body);
        Self { timestamp, id: id.to_owned(), signature, body }
    }

    /// The request that brings it, with the service key.
    pub(crate) fn request(&self, server: &Server) -> RequestBuilder {
        server
            .request(reqwest::Method::POST, "/internal/reviews")
            .bearer_auth(server.inner.app.keys.service_internal.expose_secret())
            .header("Content-Type", "application/json")
            .header("X-Filot-Timestamp", &self.timestamp)
            .header("X-Filot-Event-Id", &self.id)
            .header("X-Filot-Signature", &self.signature)
            .body(self.body.clone())
    }
}
