//! I4: the server is killed between the work and the answer; whoever repeats the request gets the same document.

use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Client;
use serde_json::{Value, json};

use super::server::{PASSWORD, form};
use crate::support::cards::{Script, card};
use crate::support::eventually;
use crate::support::serve::Serve;

/// Lives of the server that end at any moment, and requests under way at each of their deaths.
const LIVES: u32 = 20;
const AT_ONCE: u32 = 10;
/// Lives that end when the work of all their requests is done and none is answered, and how many those are: 200 in all.
const LATE_LIVES: u32 = 8;
const LATE_AT_ONCE: u32 = 25;
/// All of an account's requests may wait at once.
const SETTINGS: &[(&str, &str)] =
    &[("FILOT_SERVER_STREAMS_PER_ACCOUNT", "100"), ("FILOT_SERVER_REQUEST_TIMEOUT_S", "120")];

/// Sends the document with this number under its key; the id of the document if an answer came. With `wait` the answer
/// comes when the document is read, which nobody does here.
async fn upload(
    http: Client,
    address: String,
    access: String,
    number: u32,
    wait: bool,
) -> Option<(u16, Value)> {
    let mut request = http
        .post(format!("{address}/documents/upload"))
        .bearer_auth(access)
        .header("Idempotency-Key", format!("key-{number}"))
        .multipart(form(&card(number, Script::Approve, 0), "KTP"));
    if wait {
        request = request.header("Prefer", "wait=60");
    }
    let answer = request.send().await.ok()?;
    Some((answer.status().as_u16(), answer.json().await.ok()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_repeated_after_a_crash_finds_its_document() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(90)).build().unwrap();
    let mut dice = StdRng::seed_from_u64(4);
    let credentials = json!({ "email": "a@example.com", "password": PASSWORD });
    let mut serve = Serve::start(&data, &http, &["--no-worker"], SETTINGS).await;
    serve.post(&http, "/auth/register", credentials.clone()).await;

    let mut answered: HashMap<u32, String> = HashMap::new();
    let (mut cut_off, mut done_and_unanswered) = (0, 0);
    for life in 0..LIVES {
        let access = serve.post(&http, "/auth/login", credentials.clone()).await;
        let access = access["accessToken"].as_str().unwrap().to_owned();
        let numbers = life * AT_ONCE..(life + 1) * AT_ONCE;
        let requests: Vec<_> = numbers
            .map(|number| {
                let request = upload(http.clone(), serve.address.clone(), access.clone(), number, false);
                (number, tokio::spawn(request))
            })
            .collect();
        // On a slow machine as on a fast one some lives end before any answer, and some after a few.
        let after = life % 6;
        while requests.iter().filter(|(_, request)| request.is_finished()).count() < after as usize {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..40))).await;
        serve.kill();
        for (number, request) in requests {
            match request.await.unwrap() {
                Some((202, body)) => {
                    answered.insert(number, body["documentId"].as_str().unwrap().to_owned());
                }
                Some(other) => panic!("{number}: {other:?}"),
                None => cut_off += 1,
            }
        }
        serve = Serve::start(&data, &http, &["--no-worker"], SETTINGS).await;
    }
    let before = LIVES * AT_ONCE;
    let all = before + LATE_LIVES * LATE_AT_ONCE;
    for life in 0..LATE_LIVES {
        let access = serve.post(&http, "/auth/login", credentials.clone()).await;
        let access = access["accessToken"].as_str().unwrap().to_owned();
        let stored = documents(&http, &serve, &access).await;
        let first = before + life * LATE_AT_ONCE;
        let requests: Vec<_> = (first..first + LATE_AT_ONCE)
            .map(|number| {
                tokio::spawn(upload(http.clone(), serve.address.clone(), access.clone(), number, true))
            })
            .collect();
        eventually("the work of all of them", Duration::from_secs(50), || async {
            documents(&http, &serve, &access).await == stored + LATE_AT_ONCE as usize
        })
        .await;
        serve.kill();
        for request in requests {
            assert!(request.await.unwrap().is_none(), "answered before its time");
            done_and_unanswered += 1;
        }
        serve = Serve::start(&data, &http, &["--no-worker"], SETTINGS).await;
    }

    let access = serve.post(&http, "/auth/login", credentials).await["accessToken"].clone();
    let access = access.as_str().unwrap().to_owned();
    let mut ids = HashMap::new();
    let back = std::time::Instant::now();
    for number in 0..all {
        let id = loop {
            let repeated = upload(http.clone(), serve.address.clone(), access.clone(), number, false).await;
            match repeated.unwrap() {
                (202, body) => break body["documentId"].as_str().unwrap().to_owned(),
                // The lock of the request that died.
                (409, body) => {
                    assert_eq!(body["code"], "idempotency_in_progress");
                    // Seconds after the service is back, nobody waits for the dead any more.
                    assert!(back.elapsed() < Duration::from_secs(30), "{number} is still locked");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                other => panic!("{number}: {other:?}"),
            }
        };
        if let Some(first) = answered.get(&number) {
            assert_eq!(first, &id, "{number} has two documents");
        }
        assert_eq!(ids.insert(id, number), None, "two keys, one document");
    }
    let stored = documents(&http, &serve, &access).await;
    assert_eq!(stored, ids.len(), "documents that nobody asked for twice");
    println!(
        "{} requests, {cut_off} cut off at any moment, {done_and_unanswered} after their work",
        ids.len()
    );
    assert_eq!(done_and_unanswered, 200);
    assert!(cut_off > 0 && !answered.is_empty(), "the kills hit nothing or everything");
}

/// How many documents the account has.
async fn documents(http: &Client, serve: &Serve, access: &str) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let url = format!("{}/documents?limit=100{cursor}", serve.address);
        let page: Value = http.get(url).bearer_auth(access).send().await.unwrap().json().await.unwrap();
        count += page["documents"].as_array().unwrap().len();
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}
