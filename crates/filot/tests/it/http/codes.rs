//! Codes of errors: those that no other test meets, those that are the server's fault, and that none goes without a test.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use filot::http::error::Code;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::server::{Server, generous};
use crate::support::Deployment;
use crate::support::cards::{Script, card};
use crate::support::proxy::Mode;

mod reached;

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_codes_in_the_documentation_is_that_of_the_program() {
    let table: String = Code::ALL
        .iter()
        .map(|code| format!("| `{}` | {} | {} |\n", code.as_str(), code.status(), code.title()))
        .collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains(&table), "docs/errors.md should hold\n{table}");
}

/// A JPEG of one pixel whose header is followed by as many scans as wanted.
fn many_scans(scans: usize) -> Bytes {
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg)
        .write_image(&[128; 3 * 64], 8, 8, ExtendedColorType::Rgb8)
        .unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 1] = 0xc2;
    let scan = jpeg.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
    let end = jpeg.len() - 2;
    let body = jpeg[scan..end].to_vec();
    jpeg.truncate(scan);
    for _ in 0..scans {
        jpeg.extend_from_slice(&body);
    }
    jpeg.extend_from_slice(&[0xff, 0xd9]);
    jpeg.into()
}

/// A whole picture of a kind that is not read.
fn gif() -> Bytes {
    Bytes::from_static(b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;")
}

/// A picture that is wider than any that is read.
fn wide() -> Bytes {
    let mut wide = Vec::new();
    PngEncoder::new(&mut wide).write_image(&[0; 25_000], 25_000, 1, ExtendedColorType::L8).unwrap();
    wide.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_no_reader_should_meet() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    let send = async |bytes: Bytes, media_type: &str| {
        let file = reqwest::multipart::Part::stream(bytes).file_name("x").mime_str(media_type).unwrap();
        let form = reqwest::multipart::Form::new().text("type", "KTP").part("file", file);
        let request = server.request(Method::POST, "/documents/upload").bearer_auth(&who.access);
        server.send(request.multipart(form)).await
    };
    send(gif(), "image/gif").await.is(415, "unsupported_format");
    send(wide(), "image/png").await.is(422, "too_many_pixels");
    send(many_scans(200), "image/jpeg").await.is(422, "too_many_scans");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_an_account_and_of_the_service() {
    let deployment = generous(Deployment::embedded()).with("FILOT_UPLOAD_FILES_PER_DAY", "2");
    let server = Server::on(deployment.app().await).await;
    let who = server.person().await;
    for number in 0..2 {
        server.upload(&who, &card(number, Script::Approve, 0)).await.ok();
    }
    server.upload(&who, &card(3, Script::Approve, 0)).await.is(429, "quota_exceeded");

    let other = server.person().await;
    let decoders = &server.inner.app.decoders;
    let all = u32::try_from(decoders.available_permits()).unwrap();
    let taken = decoders.acquire_many(all).await.unwrap();
    let busy = server.upload(&other, &card(4, Script::Approve, 0)).await;
    busy.is(503, "busy");
    assert!(!busy.header("retry-after").is_empty());
    drop(taken);
    server.upload(&other, &card(4, Script::Approve, 0)).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_business_here() {
    let deployment = generous(Deployment::embedded()).with("FILOT_METRICS_TOKEN", "a-token-for-the-metrics");
    let server = Server::on(deployment.app().await).await;
    let who = server.person().await;
    let metrics = server.request(Method::GET, "/metrics").bearer_auth("guess");
    server.send(metrics).await.is(403, "forbidden");
    let metrics = server.request(Method::GET, "/metrics").bearer_auth("a-token-for-the-metrics");
    assert_eq!(server.send(metrics).await.status, 200);
    let queue = server.post("/internal/ocr/queue", Some(&who.access), json!({})).await;
    queue.is(401, "invalid_service_key");
    server.get(&who, "/docs/%ff").await.is(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_fail_are_no_fault_of_the_client() {
    let deployment = generous(Deployment::full().await).with("FILOT_SERVER_REQUEST_TIMEOUT_S", "3");
    let server = Server::on(deployment.app().await).await;
    let who = server.person().await;
    let id = server.upload(&who, &card(1, Script::Approve, 0)).await.ok()["documentId"].clone();
    let path = format!("/documents/{}", id.as_str().unwrap());
    server.get(&who, &path).await.ok();

    // A row that this version cannot have written.
    let url = deployment.postgres.as_ref().unwrap().url();
    let database = sea_orm::Database::connect(url).await.unwrap();
    let set = async |status: &str| {
        let sql = format!("UPDATE documents SET status = '{status}'");
        database.execute_unprepared(&sql).await.unwrap();
    };
    set("unheard-of").await;
    let fault = server.get(&who, &path).await;
    fault.is(500, "internal");
    let text = fault.body.to_string();
    assert!(!text.contains("unheard") && !text.contains("documents SET") && !text.contains("src/"), "{text}");
    set("pending").await;

    let proxies = deployment.proxies.as_ref().unwrap();
    proxies[0].set(Mode::Hang);
    // Connections that break at that moment are noticed at once; then nobody answers.
    let mut late = server.get(&who, &path).await;
    for _ in 0..20 {
        if late.body["code"] == "timeout" {
            break;
        }
        late.is(503, "unavailable");
        late = server.get(&who, &path).await;
    }
    late.is(503, "timeout");
    assert!(!late.header("retry-after").is_empty());
    proxies[0].set(Mode::Refuse);
    let mut codes = BTreeSet::new();
    for _ in 0..3 {
        codes.insert(server.get(&who, &path).await.body["code"].as_str().unwrap().to_owned());
    }
    assert!(codes.contains("unavailable") || codes.contains("timeout"), "{codes:?}");
    proxies[2].set(Mode::Refuse);
    proxies[0].set(Mode::Pass);
    crate::support::eventually("the database is back", std::time::Duration::from_secs(60), || async {
        server.get(&who, &path).await.status == 200
    })
    .await;
    server.upload(&who, &card(2, Script::Approve, 0)).await.is(503, "unavailable");
    proxies[2].set(Mode::Pass);
    crate::support::eventually("uploads are taken", std::time::Duration::from_secs(60), || async {
        server.upload(&who, &card(2, Script::Approve, 0)).await.status == 202
    })
    .await;
}
