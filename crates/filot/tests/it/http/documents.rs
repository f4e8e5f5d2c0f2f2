//! Upload, look, list, watch, download, escalate, delete.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, multipart};
use serde_json::{Value, json};

use super::server::{Answer, Server, form, generous};
use crate::support::Deployment;
use crate::support::buli2::{Event, configured};
use crate::support::cards::{Script, card, scripted};

#[tokio::test(flavor = "multi_thread")]
async fn a_card_goes_from_upload_to_verdict_embedded() {
    journey(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_goes_from_upload_to_verdict_on_postgres_redis_and_s3() {
    journey(Deployment::full().await).await;
}

async fn journey(deployment: Deployment) {
    let (mut server, _deployment) = Server::start(deployment).await;
    let who = server.person().await;
    let accepted = server.upload(&who, &card(1, Script::Approve, 0)).await;
    assert_eq!(accepted.status, 202);
    let document = accepted.ok();
    let id = document["documentId"].as_str().unwrap().to_owned();
    assert_eq!(document["document"]["status"], "pending");
    assert_eq!(
        server.get(&who, &format!("/documents/{id}/result")).await.ok(),
        json!({ "status": "pending", "result": null })
    );

    server.inner.work();
    let wait = server.upload_request(&who, &card(2, Script::Review, 50)).header("Prefer", "wait=20");
    let read = server.send(wait).await;
    assert_eq!((read.status, read.header("preference-applied")), (200, "wait=20"));
    let review = read.ok();
    assert_eq!(review["document"]["verificationStatus"], "pending_manual_review");
    assert_eq!(review["document"]["aiScore"], 60);

    server.inner.finished(id.parse().unwrap()).await;
    let shown = server.get(&who, &format!("/documents/{id}")).await;
    let tag = shown.header("etag").to_owned();
    let shown = shown.ok();
    assert_eq!(
        (&shown["status"], &shown["verificationStatus"]),
        (&json!("completed"), &json!("auto_approved"))
    );
    assert_eq!(shown["result"], json!({}), "what is not known is not passed on");
    let again = server.request(Method::GET, &format!("/documents/{id}")).bearer_auth(&who.access);
    assert_eq!(server.send(again.header("If-None-Match", tag)).await.status, 304);
    let verdict = server.get(&who, &format!("/verification/status/{id}")).await.ok();
    assert_eq!(
        (&verdict["status"], &verdict["aiDecision"]),
        (&json!("auto_approved"), &json!("auto_approve"))
    );

    let link = server.get(&who, &format!("/documents/{id}/download")).await.ok();
    assert_eq!(link["expiresIn"], 300);

    let gone = server.request(Method::DELETE, &format!("/documents/{id}")).bearer_auth(&who.access);
    assert_eq!(server.send(gone).await.status, 204);
    server.get(&who, &format!("/documents/{id}")).await.is(404, "not_found");
    server.inner.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_accepted_is_refused_by_name() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    let good = card(1, Script::Approve, 0);
    let send = async |form: multipart::Form| {
        let request = server.request(Method::POST, "/documents/upload").bearer_auth(&who.access);
        server.send(request.multipart(form)).await
    };
    send(form(&Bytes::new(), "KTP")).await.is(400, "file_empty");
    send(form(&good, "SIM")).await.is(400, "type_invalid");
    send(multipart::Form::new().text("type", "KTP")).await.is(400, "file_missing");
    send(form(&good, "KTP").text("more", "x")).await.is(400, "invalid_body");
    send(form(&Bytes::from_static(b"<html>no card</html>"), "KTP")).await.is(415, "not_a_picture");
    send(form(&good.slice(..good.len() - 20), "KTP")).await.is(422, "file_truncated");
    let sent_as = |name: &str| {
        let file = multipart::Part::stream(good.clone()).mime_str(name).unwrap();
        multipart::Form::new().text("type", "KTP").part("file", file)
    };
    for name in ["application/pdf", "video/mp4", "text/html"] {
        send(sent_as(name)).await.is(415, "media_type_mismatch");
    }
    send(form(&Bytes::from(vec![0; 10_485_761]), "KTP")).await.is(413, "file_too_large");
    let request = server.request(Method::POST, "/documents/upload").bearer_auth(&who.access).json(&json!({}));
    server.send(request).await.is(415, "unsupported_media_type");
    let request = server.upload_request(&who, &good).header("Idempotency-Key", "two words");
    server.send(request).await.is(400, "invalid_idempotency_key");
    assert_eq!(server.get(&who, "/documents").await.ok()["documents"], json!([]), "nothing was stored");
    // A picture that a phone converted, under its old name.
    send(sent_as("image/heic")).await.ok();

    server.get(&who, "/documents?limit=0").await.is(400, "invalid_query");
    server.get(&who, "/documents?cursor=x").await.is(400, "invalid_query");
    server.get(&who, "/documents?status=lost").await.is(400, "invalid_query");
    server.get(&who, "/documents/not-an-id").await.is(404, "not_found");
    server.get(&who, "/nowhere").await.is(404, "route_not_found");
    server.get(&who, "/documents/upload/x").await.is(404, "route_not_found");
    server.post("/health", None, json!({})).await.is(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_makes_one_document_and_gets_one_answer() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    let bytes = card(1, Script::Approve, 0);
    let ask = async |key: &str, bytes: &Bytes| {
        server.send(server.upload_request(&who, bytes).header("Idempotency-Key", key)).await
    };
    let first = join_all((0..12).map(|_| async {
        loop {
            let answer = ask("one", &bytes).await;
            if answer.status != 409 {
                return answer.ok();
            }
            answer.is(409, "idempotency_in_progress");
            assert!(!answer.header("retry-after").is_empty());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }))
    .await;
    assert!(first.windows(2).all(|pair| pair[0] == pair[1]), "{first:?}");
    assert_eq!(server.get(&who, "/documents").await.ok()["documents"].as_array().unwrap().len(), 1);
    let replay = ask("one", &bytes).await;
    assert_eq!((replay.status, replay.header("idempotency-replayed")), (202, "true"));

    ask("one", &card(2, Script::Approve, 0)).await.is(422, "idempotency_key_reused");
    let npwp = server.request(Method::POST, "/documents/upload").bearer_auth(&who.access);
    let npwp = npwp.multipart(form(&bytes, "NPWP")).header("Idempotency-Key", "one");
    server.send(npwp).await.is(422, "idempotency_key_reused");
    // A refused file does not use up its key, and keys of others are others.
    ask("two", &Bytes::from_static(b"x")).await.is(415, "not_a_picture");
    assert_eq!(ask("two", &bytes).await.status, 202);
    let other = server.person().await;
    let theirs = server.send(server.upload_request(&other, &bytes).header("Idempotency-Key", "one")).await;
    assert_ne!(theirs.ok()["documentId"], first[0]["documentId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_every_document_once_page_by_page() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let (who, other) = (server.person().await, server.person().await);
    server.upload(&other, &card(99, Script::Approve, 0)).await.ok();
    let mut sent = Vec::new();
    for number in 0..7 {
        sent.push(server.upload(&who, &card(number, Script::Approve, 0)).await.ok()["documentId"].clone());
    }
    let (mut listed, mut path) = (Vec::new(), "/documents?limit=3".to_owned());
    loop {
        let page = server.get(&who, &path).await.ok();
        listed.extend(page["documents"].as_array().unwrap().iter().map(|entry| entry["id"].clone()));
        match &page["nextCursor"] {
            Value::String(cursor) => path = format!("/documents?limit=3&cursor={cursor}"),
            _ => break,
        }
    }
    sent.reverse();
    assert_eq!(listed, sent);
    let none = server.get(&who, "/documents?status=failed&type=KTP").await.ok();
    assert_eq!(none["documents"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_can_be_watched_to_its_end() {
    let (mut server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    let id = server.upload(&who, &card(1, Script::Reject, 300)).await.ok()["documentId"]
        .as_str()
        .unwrap()
        .to_owned();
    let request = server.request(Method::GET, &format!("/documents/{id}/events")).bearer_auth(&who.access);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    server.inner.work();
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    let all = async {
        while let Some(chunk) = stream.next().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("the stream ends with the reading");
    let states: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["status"].clone())
        .collect();
    assert_eq!(states, ["pending", "processing", "completed"], "{text}");
    server.inner.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_opens_with_its_own_link_for_its_time() {
    let deployment = generous(Deployment::embedded());
    let clock = filot::clock::Clock::by_hand(Timestamp::now());
    let server = Server::on(deployment.app_with(scripted(), clock).await).await;
    let (who, other) = (server.person().await, server.person().await);
    let bytes = card(1, Script::Approve, 0);
    let id = server.upload(&who, &bytes).await.ok()["documentId"].as_str().unwrap().to_owned();
    let link =
        server.get(&who, &format!("/documents/{id}/download")).await.ok()["url"].as_str().unwrap().to_owned();
    let path = &link[link.find("/files/").unwrap()..];
    let open = async |path: &str| server.request(Method::GET, path).send().await.unwrap();

    let file = open(path).await;
    assert_eq!(file.headers()["content-type"], "image/png");
    assert!(file.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(file.bytes().await.unwrap(), bytes);

    let others = server.upload(&other, &card(2, Script::Approve, 0)).await.ok()["documentId"]
        .as_str()
        .unwrap()
        .to_owned();
    let expiry = path.find("expires=").unwrap() + 8;
    let later = format!("{}9{}", &path[..expiry], &path[expiry + 1..]);
    for bad in [path.replace(&id, &others), later, path[..path.len() - 1].to_owned(), format!("/files/{id}")]
    {
        Answer::of(open(&bad).await).await.is(403, "link_invalid");
    }
    clock.advance(SignedDuration::from_secs(301));
    Answer::of(open(path).await).await.is(403, "link_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_decides_once() {
    let deployment = configured(Deployment::embedded(), 9);
    let (mut server, _deployment) = Server::start(deployment).await;
    let who = server.person().await;
    let id = server.upload(&who, &card(1, Script::Approve, 0)).await.ok()["documentId"]
        .as_str()
        .unwrap()
        .to_owned();
    let escalate = format!("/verification/{id}/escalate");
    server.post(&escalate, Some(&who.access), json!({})).await.is(409, "conflict");
    server.inner.work();
    server.inner.finished(id.parse().unwrap()).await;
    let first = server.post(&escalate, Some(&who.access), json!({})).await.ok();
    assert_eq!(first["verificationStatus"], "pending_manual_review");
    assert_eq!(
        server.post(&escalate, Some(&who.access), json!({})).await.ok(),
        first,
        "again changes nothing"
    );

    let deliver =
        async |event: &str, body: Value| server.send(Event::new(event, &body).request(&server)).await;
    let decide = async |event: &str, decision: &str| {
        let body =
            json!({ "reviewId": first["reviewId"], "documentId": id, "decision": decision, "notes": "seen" });
        deliver(event, body).await
    };
    assert_eq!(decide("1", "rejected").await.ok()["verificationStatus"], "manually_rejected");
    assert_eq!(decide("2", "rejected").await.ok()["verificationStatus"], "manually_rejected", "told twice");
    decide("3", "approved").await.is(409, "review_decided");
    let verdict = server.get(&who, &format!("/verification/status/{id}")).await.ok();
    assert_eq!(verdict["status"], "review_result");
    let notes = verdict["result"]["notes"].as_str().unwrap();
    assert!(notes.contains("cannot be accepted") && !notes.contains("seen"), "{notes}");
    deliver("4", json!({ "decision": "approved" })).await.is(422, "invalid_field");
    server.inner.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_a_reading_again_is_harmless() {
    let (mut server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    server.inner.work();
    let id = server.upload(&who, &card(1, Script::Unreadable, 0)).await.ok()["documentId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(server.inner.finished(id.parse().unwrap()).await.status.as_str(), "failed");
    let failed = server.get(&who, &format!("/documents/{id}/result")).await.ok();
    assert_eq!(failed, json!({ "status": "failed", "error": "file_corrupt" }));
    let process = format!("/documents/{id}/process");
    let answers = join_all((0..10).map(|_| server.post(&process, Some(&who.access), json!({})))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(server.inner.finished(id.parse().unwrap()).await.status.as_str(), "failed");
    server.inner.rest().await;
}
