//! What was deleted is nowhere (R17), and what is evidence is not the customer's to delete.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bytes::Bytes;
use filot::app::App;
use filot::clock::Clock;
use filot::document::{DocumentId, Resolution};
use filot::selftest::cards::personal_card;
use filot::selftest::person::Person as Invented;
use filot::store::{Actor, Verdict};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};

use crate::http::server::{Answer, PASSWORD, Person, Server, form, generous};
use crate::support::cards::{Script, card, scripted};
use crate::support::s3::S3;
use crate::support::serve::Serve;
use crate::support::versioned::Versioned;
use crate::support::{Deployment, TestApp, eventually};

async fn delete(server: &Server, who: &Person, id: &str) -> Answer {
    server.send(server.request(Method::DELETE, &format!("/documents/{id}")).bearer_auth(&who.access)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_document_is_not_given_out_again() {
    for deployment in [Deployment::embedded(), Deployment::postgres()] {
        let (mut server, _deployment) = Server::start(deployment).await;
        server.inner.work();
        let who = server.person().await;
        let bytes = personal_card(1, Script::Approve, 0);
        let nik = Invented::of(1).nik;
        let ask = async || {
            let request = server.upload_request(&who, &bytes).header("Idempotency-Key", "one");
            server.send(request.header("Prefer", "wait=20")).await
        };
        let first = ask().await;
        assert_eq!(first.status, 200);
        assert!(first.body.to_string().contains(&nik));
        let id = first.body["documentId"].as_str().unwrap().to_owned();
        assert_eq!(ask().await.body, first.body, "a replay while it is there");
        assert_eq!(delete(&server, &who, &id).await.status, 204);
        let again = ask().await;
        again.is(410, "document_deleted");
        assert!(!again.body.to_string().contains(&nik));
        // The key stays used, also for another file; a new one makes a new document.
        let other =
            server.upload_request(&who, &card(2, Script::Approve, 0)).header("Idempotency-Key", "one");
        assert!(matches!(server.send(other).await.status, 410 | 422));
        let anew = server.upload_request(&who, &bytes).header("Idempotency-Key", "two");
        assert_ne!(server.send(anew).await.ok()["documentId"], json!(id));
        delete(&server, &who, &id).await.is(404, "not_found");
        server.inner.rest().await;
    }
}

/// A document is deleted while its own request still waits for the verdict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_after_the_deletion_is_not_stored() {
    let it = TestApp::new(&Deployment::embedded()).await;
    let key = filot::store::IdempotencyKey { user: it.user, route: "POST /x".into(), key: "one".into() };
    let (lock, keep) = (Duration::from_secs(60), Duration::from_secs(600));
    it.app.store.idempotency_begin(&key, "hash", lock, keep).await.unwrap();
    let upload = filot::intake::Upload {
        idempotency: Some(key.clone()),
        ..crate::support::app::upload(it.user, card(1, Script::Approve, 0))
    };
    let id = filot::intake::submit(&it.app, upload).await.unwrap().id;
    it.app.store.delete_document(id, &Actor::User(it.user)).await.unwrap();
    let finished = it.app.store.idempotency_finish(&key, 200, b"an answer".to_vec()).await.unwrap();
    assert_eq!(finished, (filot::store::DELETED, Vec::new()));
    let again = it.app.store.idempotency_begin(&key, "hash", lock, keep).await.unwrap();
    assert_eq!(again, filot::store::Idempotency::Deleted);
}

/// Everything under a folder, as one heap of bytes for each file.
fn heaps(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files =
        walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    // A running service erases some between the listing and the reading.
    let read = files.filter_map(|entry| match std::fs::read(entry.path()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        bytes => Some((entry.path().display().to_string(), bytes.unwrap())),
    });
    read.collect()
}

/// The ways in which a text may stand in a file.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![
        text.as_bytes().to_vec(),
        text.to_lowercase().into_bytes(),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        text.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
    ];
    // In base64 a text looks otherwise at each of three places; the ends, which depend on the neighbours, are left out.
    for shift in 0..3 {
        let shifted: Vec<u8> = std::iter::repeat_n(0, shift).chain(text.bytes()).collect();
        let encoded = BASE64_STANDARD_NO_PAD.encode(shifted);
        forms.push(encoded.as_bytes()[if shift == 0 { 0 } else { 4 }..encoded.len() - 2].to_vec());
    }
    forms
}

/// Where any of the people is found: `<name> in <file>`.
fn found(people: &[Invented], heaps: &[(String, Vec<u8>)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for person in people {
        for text in [&person.nik, &person.name, &person.address, &person.npwp] {
            for form in forms(text) {
                let search = memchr::memmem::Finder::new(&form);
                for (name, heap) in heaps {
                    if search.find(heap).is_some() {
                        found.insert(format!("{text} in {name}"));
                    }
                }
            }
        }
    }
    found
}

async fn send(http: &Client, address: &str, token: &str, bytes: &Bytes, key: &str) -> String {
    let request = http.post(format!("{address}/documents/upload")).bearer_auth(token);
    let request =
        request.header("Idempotency-Key", key).header("Prefer", "wait=20").multipart(form(bytes, "KTP"));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["documentId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// PostgreSQL keeps what was deleted until it is told to give it up, whatever other statements may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_gives_up_what_was_deleted() {
    let deployment = Deployment::postgres();
    let it = TestApp::new(&deployment).await;
    let database = Database::connect(deployment.postgres.as_ref().unwrap().url()).await.unwrap();
    let vacuumed = async || {
        let sql = "SELECT COUNT(*) AS n FROM pg_stat_user_tables \
                   WHERE last_vacuum IS NOT NULL AND relname IN ('documents', 'idempotency', 'registrations')";
        let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
        row.unwrap().try_get::<i64>("", "n").unwrap()
    };
    it.app.store.clear_deleted().await.unwrap();
    let id = it.upload(card(1, Script::Approve, 0)).await.unwrap().id;
    it.app.store.clear_deleted().await.unwrap();
    assert_eq!(vacuumed().await, 0, "nothing was deleted");
    it.app.store.delete_document(id, &Actor::User(it.user)).await.unwrap();
    it.app.store.clear_deleted().await.unwrap();
    eventually("the tables are vacuumed", Duration::from_secs(20), async || vacuumed().await == 3).await;
}

/// Within what the log is emptied, on a busy machine.
const LOG_CLEARED: Duration = Duration::from_secs(15);

/// R17: names and numbers are planted in a running service, deleted, and searched for in every file that it leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let http = Client::builder().no_proxy().build().unwrap();
    let mut serve = Serve::start(&data, &http, &["--scripted"], &[]).await;
    let person = json!({ "email": "someone@example.com", "password": PASSWORD });
    let signed_in = serve.post(&http, "/auth/register", person).await;
    let token = signed_in["accessToken"].as_str().unwrap().to_owned();
    let mut ids = Vec::new();
    for number in 0..60_u32 {
        let bytes = personal_card(number, Script::Approve, 0);
        ids.push(send(&http, &serve.address, &token, &bytes, &format!("key-{number}")).await);
    }
    let people = |remainder: u32| -> Vec<Invented> {
        (0..60).filter(|number| number % 3 == remainder).map(Invented::of).collect()
    };
    let kept = people(0);
    let gone: Vec<Invented> = [people(1), people(2)].concat();
    assert!(
        !found(&gone[..3], &heaps(&data)).is_empty(),
        "the search finds nothing even where there is something"
    );
    for (number, id) in ids.iter().enumerate().filter(|(number, _)| number % 3 != 0) {
        let answer = http.delete(format!("{}/documents/{id}", serve.address)).bearer_auth(&token);
        assert_eq!(answer.send().await.unwrap().status().as_u16(), 204, "{number}");
    }
    // Listings and stored answers.
    let list = http.get(format!("{}/documents?limit=100", serve.address)).bearer_auth(&token);
    let mut answers =
        vec![("the list".to_owned(), list.send().await.unwrap().bytes().await.unwrap().to_vec())];
    for number in [1, 2, 4] {
        let request = http.post(format!("{}/documents/upload", serve.address)).bearer_auth(&token);
        let request = request.header("Idempotency-Key", format!("key-{number}"));
        let answer =
            request.multipart(form(&personal_card(number, Script::Approve, 0), "KTP")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 410);
        answers.push((format!("answer {number}"), answer.bytes().await.unwrap().to_vec()));
    }
    assert_eq!(found(&gone, &answers), BTreeSet::new());
    // Files go within a round of the upkeep.
    let left = || {
        walkdir::WalkDir::new(data.join("files")).into_iter().flatten().filter(|e| e.file_type().is_file())
    };
    eventually("the files are erased", Duration::from_secs(60), || async {
        left().count() == kept.len() + 1
    })
    .await;
    let nothing_left = async || found(&gone, &heaps(&data)).is_empty();
    eventually("the running service's files hold nothing of them", LOG_CLEARED, nothing_left).await;
    // What a process deletes right before it is killed, the next one clears.
    let last = Invented::of(0);
    let answer = http.delete(format!("{}/documents/{}", serve.address, ids[0])).bearer_auth(&token);
    assert_eq!(answer.send().await.unwrap().status().as_u16(), 204);
    serve.kill();
    assert!(
        !found(std::slice::from_ref(&last), &heaps(&data)).is_empty(),
        "killed too late to show anything"
    );
    let mut serve = Serve::start(&data, &http, &["--scripted"], &[]).await;
    let nothing_left = async || found(std::slice::from_ref(&last), &heaps(&data)).is_empty();
    eventually("the next process clears what was left", LOG_CLEARED, nothing_left).await;
    assert!(serve.terminate(Duration::from_secs(20)).await, "a clean stop");
    let heaps = heaps(&data);
    assert!(!heaps.iter().any(|(name, _)| name.ends_with("-wal")), "the log is in the database");
    assert!(!found(&kept[1..], &heaps).is_empty());
    assert_eq!(found(&gone, &heaps), BTreeSet::new());
    private(&data);
}

/// Nothing in the data folder is anybody else's to read.
fn private(data: &Path) {
    use std::os::unix::fs::MetadataExt;
    for entry in walkdir::WalkDir::new(data) {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", entry.path().display());
    }
}

/// A data folder of a former version: open to others, and with what was deleted still in its free pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_overwrites_what_was_deleted_before_and_closes_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let deployment = Deployment::embedded();
    let app = deployment.app().await;
    let data = deployment.data_dir();
    app.store.clone().close().await.unwrap();
    let url = format!("sqlite://{}", data.join("filot.db").display());
    let db = Database::connect(&url).await.unwrap();
    let person = Invented::of(7);
    for sql in [
        "PRAGMA secure_delete = OFF".to_owned(),
        "CREATE TABLE old (text TEXT)".to_owned(),
        format!("INSERT INTO old VALUES ('{} {}{}')", person.nik, person.name, "x".repeat(9000)),
        "DROP TABLE old".to_owned(),
        "UPDATE installation SET scrubbed_at = NULL".to_owned(),
        "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
    ] {
        db.execute_unprepared(&sql).await.unwrap();
    }
    db.close().await.unwrap();
    assert!(!found(std::slice::from_ref(&person), &heaps(&data)).is_empty());
    for (path, mode) in [(data.clone(), 0o755), (data.join("files"), 0o755), (data.join("filot.db"), 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let app = deployment.app().await;
    assert!(app.store.installation().await.unwrap().scrubbed);
    app.store.clone().close().await.unwrap();
    assert_eq!(found(&[person], &heaps(&data)), BTreeSet::new());
    for path in [data.clone(), data.join("files"), data.join("filot.db")] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    }
}

#[tokio::test]
async fn a_folder_that_is_plainly_another_ones_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "somebody else's").unwrap();
    let settings = [("FILOT_DATA_DIR".to_owned(), folder.path().display().to_string())];
    let config = filot::config::Config::from_parts("", &settings).unwrap();
    let refused = App::with_reader(config, scripted(), Clock::default()).await;
    let Err(error) = refused else { panic!("it started") };
    let told = format!("{:#}", anyhow::Error::new(error));
    assert!(told.contains("FILOT_DATA_DIR"), "{told}");
    let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "left as it was");
}

/// A bucket that keeps versions keeps none of what was deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_in_a_bucket_goes() {
    versions_go(Versioned::default(), 2).await;
}

/// R2 names versions, and takes no request that speaks of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_with_versions_in_name_only_erases_plainly() {
    versions_go(Versioned::in_name_only(), 2).await;
}

async fn versions_go(bucket: Versioned, versions: usize) {
    let s3 = S3::with_versions(&bucket).await;
    let deployment = Deployment { s3: Some(s3), ..Deployment::embedded() };
    let mut it = TestApp::new(&deployment).await;
    let (one, other) = (card(1, Script::Approve, 0), card(2, Script::Approve, 0));
    let id = it.upload(one.clone()).await.unwrap();
    let kept = it.upload(other.clone()).await.unwrap();
    // As an upload leaves it that was tried again.
    it.app.blobs.put(&id.blob_key, one.clone(), "image/png").await.unwrap();
    assert_eq!(bucket.everything().iter().filter(|(_, bytes)| *bytes == one).count(), versions);
    it.app.store.delete_document(id.id, &Actor::User(it.user)).await.unwrap();
    it.work();
    eventually("all versions go", Duration::from_secs(30), || async {
        !bucket.everything().iter().any(|(key, _)| *key == id.blob_key)
    })
    .await;
    assert!(!bucket.everything().iter().any(|(_, bytes)| *bytes == one));
    assert!(bucket.everything().iter().any(|(key, bytes)| *key == kept.blob_key && *bytes == other));
    it.rest().await;
}

async fn judged(server: &Server, who: &Person, script: Script) -> String {
    let request = server.upload_request(who, &card(1, script, 0)).header("Prefer", "wait=20");
    server.send(request).await.ok()["documentId"].as_str().unwrap().to_owned()
}

/// J4: a customer deletes what is approved or cannot be read, not what is being decided or was rejected a short while ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_not_the_customers_to_delete() {
    for deployment in [Deployment::embedded(), Deployment::postgres()] {
        let deployment = generous(deployment);
        let clock = Clock::by_hand(Timestamp::now());
        let mut server = Server::on(deployment.app_with(scripted(), clock).await).await;
        let who = server.person().await;
        let waiting = server.upload(&who, &card(1, Script::Approve, 0)).await.ok()["documentId"].clone();
        let waiting = waiting.as_str().unwrap();
        delete(&server, &who, waiting).await.is(409, "evidence_kept");
        server.inner.work();
        server.inner.finished(waiting.parse().unwrap()).await;
        assert_eq!(delete(&server, &who, waiting).await.status, 204, "approved");
        let unreadable = judged(&server, &who, Script::Unreadable).await;
        assert_eq!(delete(&server, &who, &unreadable).await.status, 204);

        let open = judged(&server, &who, Script::Review).await;
        let rejected = judged(&server, &who, Script::Reject).await;
        let stranger = server.person().await;
        delete(&server, &stranger, &open).await.is(404, "not_found");
        delete(&server, &who, &open).await.is(409, "evidence_kept");
        let kept = delete(&server, &who, &rejected).await;
        kept.is(409, "evidence_kept");
        let until = clock.now() + SignedDuration::from_hours(24 * 30);
        let day = until.to_string()[..10].to_owned();
        assert!(kept.body["detail"].as_str().unwrap().contains(&day), "{kept:?}");
        assert!(server.get(&who, &format!("/documents/{rejected}")).await.status == 200);

        clock.advance(SignedDuration::from_hours(24 * 10));
        let id: DocumentId = open.parse().unwrap();
        let store = &server.inner.app.store;
        let review = store.review_of_document(id).await.unwrap().unwrap();
        let verdict = Verdict {
            resolution: Resolution::Rejected,
            notes: None,
            reviewer: Actor::Service("buli2".to_owned()),
            expected_version: None,
        };
        store.resolve_review(review.id, verdict).await.unwrap();
        // Sign-ins of ten days ago are over.
        let again = json!({ "email": who.email, "password": PASSWORD });
        let who = Person::of(&server.post("/auth/login", None, again).await.ok());
        delete(&server, &who, &open).await.is(409, "evidence_kept");
        clock.advance(SignedDuration::from_hours(24 * 20 + 1));
        let again = json!({ "email": who.email, "password": PASSWORD });
        let who = Person::of(&server.post("/auth/login", None, again).await.ok());
        assert_eq!(delete(&server, &who, &rejected).await.status, 204, "after thirty days");
        delete(&server, &who, &open).await.is(409, "evidence_kept");
        clock.advance(SignedDuration::from_hours(24 * 10));
        let again = json!({ "email": who.email, "password": PASSWORD });
        let who = Person::of(&server.post("/auth/login", None, again).await.ok());
        assert_eq!(delete(&server, &who, &open).await.status, 204);
        server.inner.rest().await;
    }
}

crate::support::on_sqlite_and_postgres! {
    a_document_takes_the_earlier_photos_of_its_case_along
}

async fn a_document_takes_the_earlier_photos_of_its_case_along(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    let mut photos = Vec::new();
    for number in 0..4 {
        photos.push(it.upload(card(number, Script::Approve, 0)).await.unwrap());
    }
    let url = match &deployment.postgres {
        Some(server) => server.url(),
        None => format!("sqlite://{}", deployment.data_dir().join("filot.db").display()),
    };
    let db = Database::connect(url).await.unwrap();
    for pair in photos.windows(2) {
        let values: [sea_orm::Value; 2] = [pair[0].id.0.into(), pair[1].id.0.into()];
        for sql in [
            "UPDATE documents SET replaced_by = $2 WHERE id = $1",
            "UPDATE documents SET replaces = $1 WHERE id = $2",
        ] {
            let kind = if deployment.postgres.is_some() { DbBackend::Postgres } else { DbBackend::Sqlite };
            db.execute_raw(Statement::from_sql_and_values(kind, sql, values.clone())).await.unwrap();
        }
    }
    it.work();
    it.idle().await;
    let keep = SignedDuration::from_hours(24);
    let gone = it.app.store.delete_own_document(it.user, photos[2].id, keep).await.unwrap();
    assert_eq!(gone, [photos[2].id, photos[1].id, photos[0].id]);
    let last = it.document(photos[3].id).await;
    assert_eq!((last.replaces, last.replaced_by), (None, None));
    eventually("their files go", Duration::from_secs(30), || async {
        let mut left = 0;
        for photo in &photos[..3] {
            left += usize::from(it.app.blobs.has(&photo.blob_key).await.unwrap());
        }
        left == 0
    })
    .await;
    assert!(it.app.blobs.has(&last.blob_key).await.unwrap());
    it.rest().await;
}
