//! A7: every 4xx code of `docs/errors.md` is really answered. A new code needs its arm here; without it the test fails.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use filot::clock::Clock;
use filot::http::error::Code;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method, multipart};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::server::{Answer, PASSWORD, Person, Server, form, generous};
use super::super::stack;
use super::{gif, many_scans, wide};
use crate::bombs::page_of_many_strokes;
use crate::pdf::document;
use crate::support::buli2::{Event, configured};
use crate::support::cards::{Script, card, scripted};
use crate::support::serve::Serve;
use crate::support::{Deployment, eventually};

/// A service that can answer nearly everything, one with narrow limits, and one whose reader draws PDF pages.
struct World {
    server: Server,
    clock: Clock,
    who: Person,
    narrow: Server,
    serve: Serve,
    http: Client,
    _folders: (Deployment, Deployment, tempfile::TempDir),
}

impl World {
    async fn make() -> Self {
        let clock = Clock::by_hand(Timestamp::now());
        // BULI2 itself is not there; what it would answer is sent by hand.
        let deployment = configured(generous(Deployment::embedded()), 9);
        let mut server = Server::on(deployment.app_with(scripted(), clock).await).await;
        server.inner.work();
        let who = server.person().await;
        let limits = Deployment::embedded()
            .with("FILOT_SERVER_REQUESTS_PER_MINUTE", "6")
            .with("FILOT_METRICS_TOKEN", "a-token-for-the-metrics")
            .with("FILOT_AUTH_REGISTRATION", "closed")
            .with("FILOT_SERVER_STALL_S", "1");
        let narrow = Server::on(limits.app().await).await;
        let folder = tempfile::tempdir().unwrap();
        let http = Client::builder().no_proxy().build().unwrap();
        let settings = [
            ("FILOT_PDF_TIME_LIMIT_S", "1"),
            ("FILOT_PDF_MEMORY_MB", "4096"),
            ("FILOT_WORKER_MAX_ATTEMPTS", "1"),
        ];
        let serve = Serve::start(&folder.path().join("data"), &http, &[], &settings).await;
        Self { server, clock, who, narrow, serve, http, _folders: (deployment, limits, folder) }
    }

    async fn upload(&self, form: multipart::Form) -> Answer {
        let request = self.server.request(Method::POST, "/documents/upload").bearer_auth(&self.who.access);
        self.server.send(request.multipart(form)).await
    }

    async fn file(&self, bytes: Bytes, media_type: &str) -> Answer {
        let file = multipart::Part::stream(bytes).file_name("x").mime_str(media_type).unwrap();
        self.upload(multipart::Form::new().text("type", "KTP").part("file", file)).await
    }

    async fn document(&self, number: u32, script: Script, millis: u16) -> String {
        let sent = self.upload(form(&card(number, script, millis), "KTP")).await.ok();
        sent["documentId"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Answer {
        self.server.get(&self.who, path).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.server.post(path, Some(&self.who.access), body).await
    }

    async fn delete(&self, id: &str) -> Answer {
        let request = self.server.request(Method::DELETE, &format!("/documents/{id}"));
        self.server.send(request.bearer_auth(&self.who.access)).await
    }

    async fn event(&self, id: &str, body: &Value) -> Answer {
        let event = Event::at(self.clock.now().as_second(), id, serde_json::to_vec(body).unwrap());
        self.server.send(event.request(&self.server)).await
    }

    /// A review that waits for a person, and its document.
    async fn review(&self, number: u32) -> (String, String) {
        let id = self.document(number, Script::Review, 0).await;
        self.server.inner.finished(id.parse().unwrap()).await;
        let review = self.server.inner.app.store.review_of_document(id.parse().unwrap()).await.unwrap();
        (review.unwrap().id.to_string(), id)
    }

    /// What a document says of a PDF that cannot be read: its pages are drawn after it was accepted.
    async fn pdf(&self, bytes: Vec<u8>) -> String {
        let account =
            json!({ "email": format!("{}@example.com", uuid::Uuid::now_v7()), "password": PASSWORD });
        let signed_in = self.serve.post(&self.http, "/auth/register", account).await;
        let access = signed_in["accessToken"].as_str().unwrap();
        let file = multipart::Part::stream(Bytes::from(bytes)).mime_str("application/pdf").unwrap();
        let form = multipart::Form::new().text("type", "KTP").part("file", file);
        let request = self.http.post(format!("{}/documents/upload", self.serve.address)).bearer_auth(access);
        let sent: Value = request.multipart(form).send().await.unwrap().json().await.unwrap();
        let path =
            format!("{}/documents/{}/result", self.serve.address, sent["documentId"].as_str().unwrap());
        let error = std::sync::Mutex::new(String::new());
        eventually("the end of a PDF", Duration::from_secs(60), || async {
            let request = self.http.get(&path).bearer_auth(access);
            let result: Value = request.send().await.unwrap().json().await.unwrap();
            *error.lock().unwrap() = result["error"].as_str().unwrap_or_default().to_owned();
            result["status"] == "failed"
        })
        .await;
        error.into_inner().unwrap()
    }

    /// A link to a file of one's own.
    async fn link(&self) -> String {
        let id = self.document(900, Script::Approve, 0).await;
        let link =
            self.get(&format!("/documents/{id}/download")).await.ok()["url"].as_str().unwrap().to_owned();
        link[link.find("/files/").unwrap()..].to_owned()
    }
}

/// What came of it: an answer, or the code alone where it was told in another way.
enum Met {
    Answer(Answer),
    Told(String),
}

/// Does what the code stands for. `None` for those that are the server's fault, which `codes.rs` has, and for those that
/// nobody has added here yet.
async fn reach(world: &World, code: Code) -> Option<Met> {
    let server = &world.server;
    let good = card(1, Script::Approve, 0);
    let key = server.inner.app.keys.service_internal.expose_secret();
    let login = async |password: &str| {
        server.post("/auth/login", None, json!({ "email": world.who.email, "password": password })).await
    };
    let answer = match code {
        Code::InvalidRequest => world.get("/docs/%ff").await,
        Code::InvalidBody => world.post("/auth/login", json!([])).await,
        Code::InvalidQuery => world.get("/documents?limit=0").await,
        Code::InvalidIdempotencyKey => {
            let request = server.upload_request(&world.who, &good).header("Idempotency-Key", "two words");
            server.send(request).await
        }
        Code::FileMissing => world.upload(multipart::Form::new().text("type", "KTP")).await,
        Code::TypeInvalid => world.upload(form(&good, "SIM")).await,
        Code::WeakPassword => {
            server.post("/auth/register", None, json!({ "email": "a@b.co", "password": "short" })).await
        }
        Code::FileEmpty => world.file(Bytes::new(), "image/png").await,
        Code::Unauthenticated => server.send(server.request(Method::GET, "/auth/me")).await,
        Code::InvalidToken => server.send(server.request(Method::GET, "/auth/me").bearer_auth("guess")).await,
        Code::UnknownUser => stack::token_of_a_stranger().await,
        Code::WrongCredentials => login("not the password").await,
        Code::InvalidRefreshToken => {
            server.post("/auth/refresh", None, json!({ "refreshToken": "guess" })).await
        }
        Code::InvalidServiceKey => server.post("/internal/ocr/queue", Some("guess"), json!({})).await,
        Code::SignatureMissing => {
            server.post("/internal/reviews", Some(key), json!({ "decision": "approved" })).await
        }
        Code::SignatureInvalid => {
            let mut event = Event::at(world.clock.now().as_second(), "forged", b"{}".to_vec());
            event.body.push(b' ');
            server.send(event.request(server)).await
        }
        Code::TimestampOutOfWindow => {
            let (review, _) = world.review(911).await;
            let body = json!({ "reviewId": review, "decision": "rejected" });
            let late = world.clock.now().as_second() - 3600;
            server.send(Event::at(late, "late", serde_json::to_vec(&body).unwrap()).request(server)).await
        }
        Code::Forbidden => {
            let metrics = world.narrow.request(Method::GET, "/metrics").bearer_auth("guess");
            world.narrow.send(metrics).await
        }
        Code::CallbacksOff => {
            let key = world.narrow.inner.app.keys.service_internal.expose_secret();
            world.narrow.post("/internal/reviews", Some(key), json!({ "decision": "approved" })).await
        }
        Code::LinkInvalid => {
            let link = world.link().await;
            server.send(server.request(Method::GET, &link[..link.len() - 1])).await
        }
        Code::LinkExpired => {
            let link = world.link().await;
            world.clock.advance(SignedDuration::from_secs(301));
            server.send(server.request(Method::GET, &link)).await
        }
        Code::NotFound => world.get(&format!("/documents/{}", uuid::Uuid::nil())).await,
        Code::RouteNotFound => world.get("/nowhere").await,
        Code::MethodNotAllowed => server.post("/health", None, json!({})).await,
        Code::EmailTaken => {
            let account = json!({ "email": world.who.email, "password": PASSWORD });
            server.post("/auth/register", None, account).await
        }
        Code::RegistrationClosed => {
            let account = json!({ "email": "new@example.com", "password": PASSWORD });
            world.narrow.post("/auth/register", None, account).await
        }
        Code::BodyIncomplete => return Some(Met::Told(half_a_body(&world.narrow).await)),
        Code::EvidenceKept => {
            let id = world.document(908, Script::Reject, 0).await;
            server.inner.finished(id.parse().unwrap()).await;
            world.delete(&id).await
        }
        Code::DocumentDeleted => {
            let bytes = card(909, Script::Approve, 0);
            let ask = || server.upload_request(&world.who, &bytes).header("Idempotency-Key", "gone");
            let id = server.send(ask()).await.ok()["documentId"].as_str().unwrap().to_owned();
            server.inner.finished(id.parse().unwrap()).await;
            assert_eq!(world.delete(&id).await.status, 204);
            server.send(ask()).await
        }
        Code::TooManyStreams => {
            let id = world.document(910, Script::Approve, 4000).await;
            let (mut open, path) = (Vec::new(), format!("/documents/{id}/events"));
            loop {
                let stream = server.request(Method::GET, &path).bearer_auth(&world.who.access).send().await;
                let stream = stream.unwrap();
                if stream.status().as_u16() != 200 || open.len() > 100 {
                    break Answer::of(stream).await;
                }
                open.push(stream);
            }
        }
        Code::Conflict => {
            let id = world.document(901, Script::Approve, 3000).await;
            world.post(&format!("/verification/{id}/escalate"), json!({})).await
        }
        Code::ReviewDecided => {
            let (review, _) = world.review(902).await;
            let event = |decision: &str| json!({ "reviewId": review, "decision": decision });
            world.event("first", &event("rejected")).await.ok();
            world.event("second", &event("approved")).await
        }
        Code::ReviewMismatch => {
            let ((review, _), (_, other)) = (world.review(903).await, world.review(904).await);
            let event = json!({ "reviewId": review, "documentId": other, "decision": "rejected" });
            world.event("mismatch", &event).await
        }
        Code::EventIdReused => {
            let (review, _) = world.review(905).await;
            world.event("one", &json!({ "reviewId": review, "decision": "rejected" })).await.ok();
            world.event("one", &json!({ "reviewId": review, "decision": "rejected", "notes": "x" })).await
        }
        Code::IdempotencyInProgress => {
            let slow = card(906, Script::Approve, 4000);
            let ask = || server.upload_request(&world.who, &slow).header("Idempotency-Key", "slow");
            let first = tokio::spawn(ask().header("Prefer", "wait=20").send());
            let second = ask().header("Prefer", "wait=20");
            tokio::time::sleep(Duration::from_millis(700)).await;
            let answer = server.send(second).await;
            first.await.unwrap().unwrap();
            answer
        }
        Code::BodyTooLarge => {
            let request = server.request(Method::PUT, "/profile").bearer_auth(&world.who.access);
            server.send(request.json(&json!({ "fullName": "a".repeat(70_000) }))).await
        }
        Code::FileTooLarge => world.upload(form(&Bytes::from(vec![0; 10_485_761]), "KTP")).await,
        Code::UnsupportedMediaType => world.post("/documents/upload", json!({})).await,
        Code::NotAPicture => world.file(Bytes::from_static(b"<html>no card</html>"), "image/png").await,
        Code::UnsupportedFormat => world.file(gif(), "image/gif").await,
        Code::MediaTypeMismatch => world.file(good, "application/pdf").await,
        Code::FileTruncated => world.file(good.slice(..good.len() - 20), "image/png").await,
        Code::FileCorrupt => {
            let mut damaged = good.to_vec();
            // Within the pixels, whose checksum tells.
            let at = damaged.windows(4).position(|name| name == b"IDAT").unwrap() + 6;
            damaged[at] ^= 0xff;
            world.file(damaged.into(), "image/png").await
        }
        Code::TooManyPixels => world.file(wide(), "image/png").await,
        Code::TooManyScans => world.file(many_scans(200), "image/jpeg").await,
        Code::PdfEncrypted => {
            return Some(Met::Told(world.pdf(include_bytes!("../../../data/encrypted.pdf").to_vec()).await));
        }
        Code::PdfNoPage => {
            let catalogue = b"<</Type/Catalog/Pages 2 0 R>>".to_vec();
            let no_page = document(&[catalogue, b"<</Type/Pages/Count 0/Kids[]>>".to_vec()]);
            return Some(Met::Told(world.pdf(no_page).await));
        }
        Code::PdfFailed => {
            return Some(Met::Told(world.pdf(b"%PDF-1.7\nand nothing that follows".to_vec()).await));
        }
        Code::DecodeTimeout => return Some(Met::Told(world.pdf(page_of_many_strokes()).await)),
        Code::IdempotencyMismatch => {
            let ask =
                |bytes: &Bytes| server.upload_request(&world.who, bytes).header("Idempotency-Key", "two");
            server.send(ask(&good)).await.ok();
            server.send(ask(&card(907, Script::Approve, 0))).await
        }
        Code::InvalidField => {
            let request = server.request(Method::PUT, "/profile").bearer_auth(&world.who.access);
            server.send(request.json(&json!({ "phone": "javascript:1" }))).await
        }
        Code::RateLimited => {
            let mut answer = world.narrow.send(world.narrow.request(Method::GET, "/auth/me")).await;
            for _ in 0..12 {
                answer = world.narrow.send(world.narrow.request(Method::GET, "/auth/me")).await;
            }
            answer
        }
        Code::Quota => {
            let deployment = generous(Deployment::embedded()).with("FILOT_UPLOAD_FILES_PER_DAY", "1");
            let narrow = Server::on(deployment.app().await).await;
            let who = narrow.person().await;
            narrow.upload(&who, &good).await.ok();
            narrow.upload(&who, &card(2, Script::Approve, 0)).await
        }
        _ => return None,
    };
    Some(Met::Answer(answer))
}

/// The code that somebody is told who announces a body and sends half of it.
async fn half_a_body(server: &Server) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"email\":";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
    code.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_4xx_code_is_answered() {
    let world = World::make().await;
    let (mut answered, mut wrong) = (BTreeSet::new(), Vec::new());
    for &code in Code::ALL.iter().filter(|code| code.status() < 500) {
        match reach(&world, code).await {
            Some(Met::Answer(answer)) => {
                if (answer.status, answer.body["code"].as_str()) == (code.status(), Some(code.as_str())) {
                    answer.is(code.status(), code.as_str());
                } else {
                    wrong.push(format!("{}: {answer:?}", code.as_str()));
                }
                answered.extend(answer.body["code"].as_str().map(str::to_owned));
            }
            Some(Met::Told(error)) => {
                if error != code.as_str() {
                    wrong.push(format!("{}: told was {error:?}", code.as_str()));
                }
                answered.insert(error);
            }
            None => wrong.push(format!("{}: nobody tries", code.as_str())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let documented: BTreeSet<String> =
        Code::ALL.iter().filter(|code| code.status() < 500).map(|code| code.as_str().to_owned()).collect();
    assert_eq!(answered, documented);
}
