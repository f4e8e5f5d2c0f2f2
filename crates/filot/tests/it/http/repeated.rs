//! I1, I2: requests that come again, and requests that only look like it.

use bytes::Bytes;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Method, multipart};
use serde_json::Value;

use super::server::{Answer, Person, Server};
use crate::support::Deployment;
use crate::support::app::all_events;
use crate::support::cards::{Script, card};

/// Keys, and requests that come at once under each.
const KEYS: u32 = 200;
const AT_ONCE: usize = 50;
/// Requests under a key of another request.
const IMITATIONS: u32 = 1000;

async fn send(server: &Server, who: &Person, key: &str, bytes: &Bytes) -> Answer {
    server.send(server.upload_request(who, bytes).header("Idempotency-Key", key)).await
}

/// All documents of a person, page by page.
async fn listed(server: &Server, who: &Person) -> Vec<String> {
    let (mut ids, mut path) = (Vec::new(), "/documents?limit=100".to_owned());
    loop {
        let page = server.get(who, &path).await.ok();
        ids.extend(
            page["documents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["id"].as_str().unwrap().to_owned()),
        );
        match &page["nextCursor"] {
            Value::String(cursor) => path = format!("/documents?limit=100&cursor={cursor}"),
            _ => return ids,
        }
    }
}

/// I1: the same request fifty times at once makes one document, and every answer is that of the first.
async fn fifty_at_once_make_one(deployment: Deployment, keys: u32) {
    let (server, _deployment) = Server::start(deployment).await;
    let who = server.person().await;
    let (mut made, mut waited) = (Vec::new(), 0);
    for number in 0..keys {
        let (key, bytes) = (format!("key-{number}"), card(number, Script::Approve, 0));
        let answers = join_all((0..AT_ONCE).map(|_| send(&server, &who, &key, &bytes))).await;
        let mut bodies = Vec::new();
        for answer in answers {
            if answer.status == 409 {
                answer.is(409, "idempotency_in_progress");
                assert!(!answer.header("retry-after").is_empty());
                waited += 1;
                // The first is done by now: whoever comes again gets its answer.
                let again = send(&server, &who, &key, &bytes).await;
                assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"), "{again:?}");
                bodies.push(again.body);
            } else {
                assert_eq!(answer.status, 202, "{answer:?}");
                bodies.push(answer.body);
            }
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{key}: answers differ: {bodies:?}");
        made.push(bodies[0]["documentId"].as_str().unwrap().to_owned());
    }
    let mut stored = listed(&server, &who).await;
    stored.sort_unstable();
    made.sort_unstable();
    assert_eq!(stored, made);
    assert_eq!(stored.len(), keys as usize);
    assert!(all_events(&server.inner.app).await.is_empty(), "nobody reads here");
    println!("{keys} keys, {AT_ONCE} requests at once each: {waited} had to wait");
    assert!(waited > 0, "no two were ever under way at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_make_one_document_embedded() {
    fifty_at_once_make_one(Deployment::embedded(), KEYS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_make_one_document_on_postgres_redis_and_s3() {
    fifty_at_once_make_one(Deployment::full().await, KEYS / 4).await;
}

/// I2: another request under a known key is refused, however little differs, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_differs_in_a_byte_is_another_request() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    let mut first = Vec::new();
    for number in 0..10 {
        let bytes = card(number, Script::Approve, 0);
        first.push((
            format!("key-{number}"),
            bytes.clone(),
            send(&server, &who, &format!("key-{number}"), &bytes).await.ok(),
        ));
    }
    let mut dice = StdRng::seed_from_u64(20_261_124);
    for case in 0..IMITATIONS {
        let (key, bytes, _) = &first[dice.random_range(0..first.len())];
        let mut other = bytes.to_vec();
        let at = dice.random_range(0..other.len());
        let (mut card_type, mut media_type) = ("KTP", "image/png");
        match case % 10 {
            // One bit of one byte, anywhere in the picture.
            0..=6 => other[at] ^= 1 << dice.random_range(0..8),
            7 => other.truncate(at),
            8 => card_type = "NPWP",
            _ => media_type = "image/x-png",
        }
        let file =
            multipart::Part::stream(Bytes::from(other)).file_name("card.png").mime_str(media_type).unwrap();
        let form = multipart::Form::new().text("type", card_type).part("file", file);
        let request = server.request(Method::POST, "/documents/upload").bearer_auth(&who.access);
        let answer = server.send(request.multipart(form).header("Idempotency-Key", key)).await;
        answer.is(422, "idempotency_key_reused");
    }
    assert_eq!(listed(&server, &who).await.len(), first.len());
    for (key, bytes, body) in &first {
        assert_eq!(send(&server, &who, key, bytes).await.body, *body, "the answer of {key} has changed");
    }
}
