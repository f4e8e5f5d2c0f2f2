//! Bodies that come slowly, in part or not at all; streams that outlive their session; files that are taken in pieces.

use std::time::{Duration, Instant};

use bytes::Bytes;
use filot_ocr::image::{Limits, Photo};
use futures_util::StreamExt;
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::server::{Answer, Person, Server, generous};
use crate::support::Deployment;
use crate::support::cards::{Script, card};

async fn server(settings: &[(&str, &str)]) -> (Server, Deployment) {
    let mut deployment = generous(Deployment::embedded());
    for (name, value) in settings {
        deployment = deployment.with(name, value);
    }
    (Server::on(deployment.app().await).await, deployment)
}

/// What a server says to a request that is written piece by piece, with a pause after each.
async fn written(server: &Server, head: &str, pieces: &[&[u8]], pause: Duration) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in pieces {
        if stream.write_all(piece).await.is_err() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let mut told = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut told)).await.unwrap();
    let text = String::from_utf8_lossy(&told);
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn upload_head(person: &Person, length: usize) -> String {
    format!(
        "POST /documents/upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n",
        person.access
    )
}

fn form(file: &[u8]) -> Vec<u8> {
    let start = "--x\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\nKTP\r\n--x\r\n\
                 Content-Disposition: form-data; name=\"file\"\r\nContent-Type: image/jpeg\r\n\r\n";
    [start.as_bytes(), file, b"\r\n--x--\r\n"].concat()
}

fn jpeg() -> Vec<u8> {
    let mut jpeg = Vec::new();
    let pixels: Vec<u8> =
        (0..200_u32 * 200 * 3).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    JpegEncoder::new_with_quality(&mut jpeg, 95)
        .write_image(&pixels, 200, 200, ExtendedColorType::Rgb8)
        .unwrap();
    jpeg
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_no_fault_of_the_server() {
    let (server, _deployment) = server(&[("FILOT_SERVER_STALL_S", "1")]).await;
    let who = server.person().await;
    let body = form(&jpeg());
    let half = &body[..body.len() / 2];
    let start = Instant::now();
    let (status, told) = written(&server, &upload_head(&who, body.len()), &[half], Duration::ZERO).await;
    assert_eq!((status, told["code"].as_str()), (408, Some("body_incomplete")), "{told}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    // Drop by drop, and as JSON.
    let login = "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: 1000\r\n\r\n";
    let (status, told) = written(&server, login, &[b"{\"e".as_slice(); 12], Duration::from_millis(400)).await;
    assert_eq!((status, told["code"].as_str()), (408, Some("body_incomplete")), "{told}");
}

/// The deadline of a request comes before that of its body, as where somebody has set it very short.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_while_the_client_is_waited_for_is_the_clients() {
    let (server, _deployment) = server(&[("FILOT_SERVER_REQUEST_TIMEOUT_S", "1")]).await;
    let who = server.person().await;
    let body = form(&jpeg());
    let (status, told) =
        written(&server, &upload_head(&who, body.len()), &[&body[..500]], Duration::ZERO).await;
    assert_eq!((status, told["code"].as_str()), (408, Some("body_incomplete")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_but_steady_upload_may_take_longer_than_an_answer() {
    let settings = [
        ("FILOT_SERVER_REQUEST_TIMEOUT_S", "2"),
        ("FILOT_SERVER_STALL_S", "2"),
        ("FILOT_SERVER_LEAST_KB_PER_S", "1"),
    ];
    let (server, _deployment) = server(&settings).await;
    let who = server.person().await;
    let body = form(&jpeg());
    let pieces: Vec<&[u8]> = body.chunks(body.len() / 10).collect();
    let start = Instant::now();
    let (status, told) =
        written(&server, &upload_head(&who, body.len()), &pieces, Duration::from_millis(400)).await;
    assert_eq!(status, 202, "{told}");
    assert!(start.elapsed() > Duration::from_secs(3));
}

/// O5: what a photo tells beside its picture is not stored, and not given out.
#[tokio::test(flavor = "multi_thread")]
async fn a_photo_is_stored_without_its_place() {
    let (server, _deployment) = server(&[]).await;
    let who = server.person().await;
    let place = b"6.2088 S 106.8456 E";
    let mut file = jpeg();
    let mut block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    block.extend_from_slice(place);
    let length = u16::try_from(block.len() + 2).unwrap().to_be_bytes();
    file.splice(2..2, [&[0xFF, 0xE1], &length[..], &block].concat());
    let send = async |file: &[u8]| {
        let part = reqwest::multipart::Part::bytes(file.to_vec()).mime_str("image/jpeg").unwrap();
        let form = reqwest::multipart::Form::new().text("type", "KTP").part("file", part);
        let request = server.request(Method::POST, "/documents/upload").bearer_auth(&who.access);
        server.send(request.header("Idempotency-Key", "one").multipart(form)).await
    };
    let sent = send(&file).await;
    assert_eq!(sent.status, 202);
    let id = sent.body["documentId"].as_str().unwrap().to_owned();
    // The same request is the same bytes as they were sent.
    assert_eq!(send(&file).await.body["documentId"], *id);
    let mut other = file.clone();
    let at = other.windows(4).position(|window| window == b"6.20").unwrap();
    other[at] = b'7';
    send(&other).await.is(422, "idempotency_key_reused");

    let link = server.get(&who, &format!("/documents/{id}/download")).await.ok();
    let url = link["url"].as_str().unwrap().split_once("/files/").unwrap().1.to_owned();
    let answer = server.request(Method::GET, &format!("/files/{url}")).send().await.unwrap();
    let headers = answer.headers().clone();
    let stored = answer.bytes().await.unwrap();
    assert!(!stored.windows(place.len()).any(|window| window == place));
    assert_eq!(headers["content-length"], stored.len().to_string());
    assert_eq!(headers["content-type"], "image/jpeg");
    assert!(headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "private, no-store");
    assert_eq!(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
    let pixels = |file: &[u8]| Photo::decode(file, &Limits::default()).unwrap().pixels;
    assert_eq!(*pixels(&stored), *pixels(&file), "upright as it was sent");
    let app = &server.inner.app;
    let document = app.store.document(id.parse().unwrap()).await.unwrap();
    assert_eq!(document.content_hash, filot::blobs::content_hash(&stored));
    assert_eq!(document.byte_size, stored.len() as u64);
}

/// A file comes in the same bytes, however many pieces it is read in; one that is asked for in part comes whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_many_pieces_is_the_same_file() {
    let (server, _deployment) = server(&[]).await;
    let who = server.person().await;
    let bytes: Bytes = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let document = server.upload(&who, &card(1, Script::Approve, 0)).await.ok()["documentId"].clone();
    let document =
        server.inner.app.store.document(document.as_str().unwrap().parse().unwrap()).await.unwrap();
    let blobs = &server.inner.app.blobs;
    blobs.erase(&document.blob_key).await.unwrap();
    blobs.put(&document.blob_key, bytes.clone(), "image/png").await.unwrap();
    let link = server.get(&who, &format!("/documents/{}/download", document.id)).await.ok();
    let url = link["url"].as_str().unwrap();
    let path = url.split_once("/files/").unwrap().1;
    let request = server.request(Method::GET, &format!("/files/{path}")).header("range", "bytes=5-10");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"], "1000000");
    assert!(answer.bytes().await.unwrap() == bytes);
    blobs.erase(&document.blob_key).await.unwrap();
    let gone = server.request(Method::GET, &format!("/files/{path}"));
    server.send(gone).await.is(404, "not_found");
}

async fn watch(server: &Server, who: &Person, id: &str) -> reqwest::Response {
    let path = format!("/documents/{id}/events");
    server.request(Method::GET, &path).bearer_auth(&who.access).send().await.unwrap()
}

/// O4: a share for each account, and none for those who have left.
#[tokio::test(flavor = "multi_thread")]
async fn streams_are_few_for_each_account_and_end_with_its_session() {
    let (server, _deployment) = server(&[("FILOT_SERVER_STREAMS_PER_ACCOUNT", "3")]).await;
    let (who, other) = (server.person().await, server.person().await);
    let document = async |who: &Person, number| {
        let sent = server.upload(who, &card(number, Script::Approve, 0)).await.ok();
        sent["documentId"].as_str().unwrap().to_owned()
    };
    let (own, theirs) = (document(&who, 1).await, document(&other, 2).await);
    assert_eq!(watch(&server, &who, &theirs).await.status(), 404);
    let mut open = Vec::new();
    for _ in 0..3 {
        let stream = watch(&server, &who, &own).await;
        assert_eq!(stream.status(), 200);
        open.push(stream);
    }
    let more = Answer::of(watch(&server, &who, &own).await).await;
    more.is(429, "too_many_streams");
    assert!(!more.header("retry-after").is_empty());
    assert_eq!(watch(&server, &other, &theirs).await.status(), 200, "others have their own share");
    // Who would wait too is told at once how it stands.
    let start = Instant::now();
    let request = server.upload_request(&who, &card(3, Script::Approve, 0)).header("Prefer", "wait=20");
    assert_eq!(server.send(request).await.status, 202);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    let left = Instant::now();
    let out = server.post("/auth/logout", Some(&who.access), json!({})).await;
    assert!(out.status < 300, "{out:?}");
    for stream in open {
        let mut bytes = stream.bytes_stream();
        let over = async { while bytes.next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(30), over).await.expect("the stream ends with its session");
    }
    println!("streams ended {:?} after their session", left.elapsed());
}

/// A request that takes long keeps its key; whoever died loses it soon (see `http::killed`).
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_held_for_as_long_as_its_request_takes() {
    let (server, _deployment) = server(&[]).await;
    let who = server.person().await;
    let bytes = card(1, Script::Approve, 0);
    let send = |wait: &str| {
        let request = server.upload_request(&who, &bytes).header("Idempotency-Key", "slow");
        server.send(request.header("Prefer", format!("wait={wait}")))
    };
    let second = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        send("1").await
    };
    let (first, second) = tokio::join!(send("12"), second);
    assert_eq!(first.status, 202);
    second.is(409, "idempotency_in_progress");
    assert_eq!(send("1").await.body, first.body, "the answer of the first");
}
