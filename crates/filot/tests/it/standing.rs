//! What an installation does for itself over time, on clocks that are wrong and processes that do not live long; and what
//! of it never leaves the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use filot::audit::{Checkpoint, Verified, keep_checkpoints, verify_trail};
use filot::clock::Clock;
use filot::store::{Actor, AuditEntry, EffectKind, ProfileChange, Rotation, Store};
use filot::worker::run_upkeep;
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::http::server::PASSWORD;
use crate::program::filot_on;
use crate::support::app::make_user;
use crate::support::backends::Server;
use crate::support::cards::{Script, card, scripted};
use crate::support::s3::S3;
use crate::support::serve::Serve;
use crate::support::{Deployment, TestApp, eventually, on_sqlite_and_postgres};

on_sqlite_and_postgres! {
    processes_that_restart_every_twenty_minutes_forget_what_is_old
    what_is_noted_in_the_trail
}

async fn database(deployment: &Deployment) -> DatabaseConnection {
    let url = match &deployment.postgres {
        Some(postgres) => postgres.url_at(postgres.port),
        None => format!("sqlite://{}", deployment.data_dir().join("filot.db").display()),
    };
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    if deployment.postgres.is_none() {
        db.execute_unprepared("PRAGMA busy_timeout = 10000").await.unwrap();
    }
    db
}

async fn rows(deployment: &Deployment, table: &str) -> i64 {
    let db = database(deployment).await;
    let sql = format!("SELECT COUNT(*) AS n FROM {table}");
    let row = db.query_one_raw(sea_orm::Statement::from_string(db.get_database_backend(), sql)).await;
    let count = row.unwrap().unwrap().try_get("", "n").unwrap();
    db.close().await.unwrap();
    count
}

/// Each of these processes lives for less than a third of an hour by the clock of the service.
async fn processes_that_restart_every_twenty_minutes_forget_what_is_old(deployment: Deployment) {
    let clock = Clock::by_hand("2026-11-23T03:00:00Z".parse().unwrap());
    let start = async || deployment.app_with(scripted(), clock).await;
    let app = start().await;
    let user = make_user(&app).await;
    let expires = clock.now() + SignedDuration::from_hours(24 * 30);
    let session = app.store.create_session(user, &"0".repeat(64), expires).await.unwrap();
    for n in 0..60 {
        let (old, new) = (format!("{n:064}"), format!("{:064}", n + 1));
        let rotated = app.store.rotate_session(&old, &new, Duration::ZERO, expires).await.unwrap();
        assert!(matches!(rotated, Rotation::Rotated(_)));
    }
    app.store.issue_one_time("verify", &"a".repeat(64), Some(user), expires).await.unwrap();
    app.store.open_console_session(user, &"b".repeat(64), Duration::from_secs(3600)).await.unwrap();
    app.store.revoke_session(session.id).await.unwrap();
    let mut it = TestApp::on(app).await;
    it.work();
    let document = it.upload(card(1, Script::Review, 0)).await.unwrap();
    it.finished(document.id).await;
    it.idle().await;
    it.rest().await;
    assert_eq!(rows(&deployment, "refresh_tokens").await, 61);
    assert!(rows(&deployment, "outbox").await > 0);

    // Nothing of this is old enough, then all of it.
    for days in [0, 90] {
        clock.advance(SignedDuration::from_hours(24 * days));
        for _ in 0..5 {
            let app = start().await;
            let stop = CancellationToken::new();
            let running = tokio::spawn(run_upkeep(app.clone(), stop.clone()));
            tokio::time::sleep(Duration::from_millis(250)).await;
            stop.cancel();
            running.await.unwrap();
            clock.advance(SignedDuration::from_mins(20));
        }
        if days == 0 {
            assert_eq!(rows(&deployment, "refresh_tokens").await, 61, "kept while they may be needed");
        }
    }
    for table in ["refresh_tokens", "sessions", "console_sessions", "one_time_tokens", "outbox"] {
        assert_eq!(rows(&deployment, table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_clocks_do_not_lease_an_effect_twice() {
    let deployment = Deployment::postgres();
    let app = deployment.app().await;
    let store = async |seconds| {
        let clock = Clock::skewed(SignedDuration::from_secs(seconds));
        Store::connect(&deployment.config().service, clock).await.unwrap()
    };
    let mut it = TestApp::on(app).await;
    // The upkeep would take it.
    let document = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    it.app.store.delete_document(document.id, &Actor::User(it.user)).await.unwrap();
    let (slow, quick) = (store(-30).await, store(30).await);
    let claim = async |store: &Store| {
        store.claim_effects(EffectKind::EraseBlob, 10, Duration::from_secs(20)).await.unwrap().len()
    };
    // What the clocks tell from the database's is known to half of what the asking took.
    eventually("the effect is due", Duration::from_secs(5), || async { claim(&slow).await == 1 }).await;
    assert_eq!(claim(&quick).await, 0, "the lease of the slow one has not ended");
    assert_eq!(claim(&it.app.store).await, 0);
    it.rest().await;
}

/// An officer's name in an evidence file, the way a document came in, who fetched it, and who tried to get in.
async fn what_is_noted_in_the_trail(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    let document = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    let name = Some(Some("Citra Lestari".to_owned()));
    it.app.store.update_profile(it.user, ProfileChange { full_name: name, phone: Some(None) }).await.unwrap();
    for _ in 0..1000 {
        it.app.failed_sign_ins.count(Some(it.user), "192.0.2.7".parse().ok());
        it.app.failed_sign_ins.count(None, None);
    }
    it.work();
    let user = format!("user:{}", it.user);
    eventually("failures are in the trail", Duration::from_secs(20), || async {
        let about = it.app.store.audit_about(vec![user.clone(), "user:unknown".to_owned()]).await.unwrap();
        about.iter().filter(|entry| entry.action == "user.login_failed").count() == 2
    })
    .await;
    let about = it.app.store.audit_about(vec![format!("document:{}", document.id), user]).await.unwrap();
    let found = |action: &str| about.iter().find(|entry| entry.action == action).unwrap();
    assert_eq!(found("document.upload").actor, format!("user:{}", it.user));
    let profile = found("profile.change").after.clone().unwrap();
    assert!(profile.starts_with("fullName ") && profile.ends_with(", phone"), "{profile}");
    assert!(!profile.contains("Citra"));
    assert_eq!(found("user.login_failed").after.as_deref(), Some("1000 times, from 1 addresses"));
    // Made by the operator, not by the person.
    let arguments = ["create-user", "--email", "dewi@example.com", "--role", "reviewer", "--name", "Dewi"];
    assert_eq!(filot_on(Some(&deployment), &arguments).status, 0);
    let made = it.app.store.user_by_email("dewi@example.com").await.unwrap().unwrap();
    let about = it.app.store.audit_about(vec![format!("user:{}", made.id)]).await.unwrap();
    assert_eq!((about[0].action.as_str(), about[0].actor.as_str()), ("user.create", "operator"));
    it.rest().await;
    assert!(matches!(verify_trail(&it.app.store, &[]).await.unwrap(), Verified::Whole(_)));
}

/// A server that sends everybody on to another, which counts who comes.
async fn leading_elsewhere() -> (u16, Arc<AtomicU32>) {
    let came = Arc::new(AtomicU32::new(0));
    let listen = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (here, elsewhere) = (listen().await, listen().await);
    let target = format!("http://{}/", elsewhere.local_addr().unwrap());
    let count = Arc::clone(&came);
    let counting = Router::new().fallback(move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        StatusCode::OK
    });
    let leading = Router::new()
        .fallback(move || async move { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]) });
    let port = here.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(elsewhere, counting).await.unwrap() });
    tokio::spawn(async move { axum::serve(here, leading).await.unwrap() });
    (port, came)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_photos_nor_spans_follow_a_redirection() {
    let (port, came) = leading_elsewhere().await;
    let deployment = Deployment::embedded()
        .with("CF_R2_ENDPOINT", &format!("http://127.0.0.1:{port}"))
        .with("CF_R2_BUCKET_NAME", "b")
        .with("CF_R2_ACCESS_KEY_ID", "an-id")
        .with("CF_R2_SECRET_ACCESS_KEY", "a-key");
    let app = deployment.app().await;
    assert!(app.blobs.put("user/KTP_1.png", "photo".into(), "image/png").await.is_err());
    assert!(app.blobs.get("user/KTP_1.png").await.is_err());
    assert!(app.blobs.ping().await.is_err());
    let collector = format!("http://127.0.0.1:{port}");
    let http = Client::builder().no_proxy().build().unwrap();
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str())];
    let other = Deployment::embedded();
    let mut serve = Serve::start(&other.data_dir(), &http, &["--scripted"], &settings).await;
    let account = json!({ "email": "ani@example.com", "password": PASSWORD });
    serve.post(&http, "/auth/register", account).await;
    assert!(serve.terminate(Duration::from_secs(20)).await);
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_of_the_service_leaves_a_core_dump() {
    let deployment = Deployment::embedded();
    let http = Client::builder().no_proxy().build().unwrap();
    let serve = Serve::start(&deployment.data_dir(), &http, &["--scripted"], &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serve.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
}

fn seqs(file: &std::path::Path, trusted: &[String]) -> Vec<i64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    Checkpoint::read_all(&text, trusted).unwrap_or_default().iter().map(|known| known.seq).collect()
}

async fn note(store: &Store, count: usize) {
    for n in 0..count {
        let entry = AuditEntry {
            actor: &Actor::System,
            action: "test.entry",
            subject: format!("document:{n}"),
            reason: None,
            before: None,
            after: None,
        };
        store.audit(entry).await.unwrap();
    }
}

/// Lets a keeper of checkpoints make one round.
async fn one_round(deployment: &Deployment) {
    let app = deployment.app().await;
    let stop = CancellationToken::new();
    stop.cancel();
    keep_checkpoints(&app, &stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_trail_is_not_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.jsonl");
    let deployment = Deployment::embedded().with("FILOT_AUDIT_CHECKPOINT_FILE", &file.display().to_string());
    let app = deployment.app().await;
    let trusted = [app.keys.public_key()];
    note(&app.store, 5).await;
    one_round(&deployment).await;
    assert_eq!(seqs(&file, &trusted), [5]);
    note(&app.store, 5).await;
    one_round(&deployment).await;
    assert_eq!(seqs(&file, &trusted), [5, 10], "followed from the last one");
    let db = database(&deployment).await;
    note(&app.store, 5).await;
    for tampering in [
        "UPDATE audit SET actor = 'officer:nobody' WHERE seq = 12",
        // The entry that the last checkpoint knows, written anew with the head after it.
        "UPDATE audit SET hash = 'x' WHERE seq = 10",
        "DELETE FROM audit WHERE seq > 7",
    ] {
        db.execute_unprepared("CREATE TABLE kept AS SELECT * FROM audit").await.unwrap();
        db.execute_unprepared(tampering).await.unwrap();
        one_round(&deployment).await;
        assert_eq!(seqs(&file, &trusted), [5, 10], "{tampering}");
        db.execute_unprepared("DELETE FROM audit").await.unwrap();
        db.execute_unprepared("INSERT INTO audit SELECT * FROM kept").await.unwrap();
        db.execute_unprepared("DROP TABLE kept").await.unwrap();
    }
    one_round(&deployment).await;
    assert_eq!(seqs(&file, &trusted), [5, 10, 15]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_lie_in_a_bucket_and_the_trail_is_held_against_them() {
    let deployment = Deployment { s3: Some(S3::start().await), ..Deployment::embedded() };
    let deployment = deployment.with("FILOT_AUDIT_CHECKPOINT_BUCKET", crate::support::s3::CHECKPOINTS);
    let app = deployment.app().await;
    for _ in 0..3 {
        note(&app.store, 4).await;
        one_round(&deployment).await;
    }
    let verify = || {
        let ended = filot_on(Some(&deployment), &["audit", "verify"]);
        (ended.status, ended.stdout)
    };
    let (status, told) = verify();
    assert!(status == 0 && told.contains("as 3 checkpoints know them"), "{status:?} {told}");
    // The end is cut off, and the head set to fit.
    let db = database(&deployment).await;
    for sql in [
        "DELETE FROM audit WHERE seq > 9",
        "UPDATE audit_head SET seq = 9, hash = (SELECT hash FROM audit WHERE seq = 9)",
    ] {
        db.execute_unprepared(sql).await.unwrap();
    }
    assert_eq!(verify().0, 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_tells_what_was_not_done_and_what_runs_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.jsonl").display().to_string();
    let deployment = Deployment { redis: Some(Server::redis()), ..Deployment::embedded() };
    let bare = deployment.app().await;
    note(&bare.store, 3).await;
    let findings = |deployment: &Deployment| {
        let all = filot_on(Some(deployment), &["doctor", "--json"]).json();
        move |check: &str| {
            let found = all.as_array().unwrap().iter().find(|finding| finding["check"] == check).cloned();
            found.unwrap_or_else(|| panic!("{check} is not looked at"))
        }
    };
    let first = findings(&deployment);
    assert_eq!(first("audit trail")["state"], "ok");
    assert_eq!(first("queue")["state"], "ok");
    assert_eq!(first("checkpoints")["state"], "note");
    assert_eq!(
        (&first("backups")["state"], &first("backups")["found"]),
        (&"note".into(), &"none was ever noted".into())
    );
    assert!(first("disk")["found"].as_str().unwrap().contains("% used"));

    let port = deployment.redis.as_ref().unwrap().port.to_string();
    let args = ["-p", &port, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
    assert!(std::process::Command::new("redis-cli").args(args).output().unwrap().status.success());
    assert_eq!(filot_on(Some(&deployment), &["backup", "--note"]).status, 0);
    let deployment = deployment.with("FILOT_AUDIT_CHECKPOINT_FILE", &file);
    one_round(&deployment).await;
    let second = findings(&deployment);
    assert_eq!((&second("checkpoints")["state"], &second("backups")["state"]), (&"ok".into(), &"ok".into()));
    assert_eq!(second("queue")["state"], "note");

    // A day and more later, by what stands in the database.
    let db = database(&deployment).await;
    let old = Timestamp::now() - SignedDuration::from_hours(49);
    let sql = format!(
        "UPDATE upkeep SET last_run = '{}' WHERE task = 'backup'",
        old.strftime("%Y-%m-%d %H:%M:%S+00:00")
    );
    db.execute_unprepared(&sql).await.unwrap();
    db.execute_unprepared("UPDATE audit SET actor = 'nobody' WHERE seq = 2").await.unwrap();
    let third = findings(&deployment);
    assert_eq!(
        (&third("backups")["state"], &third("backups")["found"]),
        (&"note".into(), &"the last one is 2 days old".into())
    );
    assert_eq!(third("audit trail")["state"], "broken");
}

/// What the process that only answers can do without, the one that only reads can, too.
#[test]
fn a_worker_on_the_gpu_starts_without_the_secrets_of_others() {
    let mut command = crate::program::filot();
    command.env("NODE_ENV", "production").args(["worker", "--lane", "gpu", "--scripted"]);
    let told = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(told.contains("are refused in production") && !told.contains("_SECRET"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetched_file_is_in_the_trail_before_it_is_given_out() {
    let (server, _deployment) = crate::http::server::Server::start(Deployment::embedded()).await;
    let person = server.person().await;
    let uploaded = server.upload(&person, &card(1, Script::Approve, 0)).await.ok();
    let id = uploaded["documentId"].as_str().unwrap().to_owned();
    let link = server.get(&person, &format!("/documents/{id}/download")).await.ok();
    let link = url::Url::parse(link["url"].as_str().unwrap()).unwrap();
    let path = format!("{}?{}", link.path(), link.query().unwrap());
    let fetched = server.request(reqwest::Method::GET, &path).send().await.unwrap();
    assert_eq!(fetched.status(), StatusCode::OK);
    let about = server.inner.app.store.audit_about(vec![format!("document:{id}")]).await.unwrap();
    let actions: Vec<&str> = about.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["document.upload", "document.link", "document.fetch"]);
}

/// What the entry of an upload costs: rows of documents, and entries of the trail alone, by eight at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run it on a quiet machine"]
async fn the_trails_share_of_an_upload() {
    use filot::document::{CardType, DocumentId};
    use filot::queue::Lane;
    use filot::store::NewDocument;
    const EACH: u32 = 250;
    for deployment in [Deployment::embedded(), Deployment::postgres()] {
        let app = deployment.app().await;
        let user = make_user(&app).await;
        let mut took = Vec::new();
        for what in ["rows", "entries"] {
            let start = std::time::Instant::now();
            let tasks = (0..8).map(|_| {
                let app = app.clone();
                tokio::spawn(async move {
                    for _ in 0..EACH {
                        if what == "entries" {
                            note(&app.store, 1).await;
                            continue;
                        }
                        let id = DocumentId::new();
                        let new = NewDocument {
                            id,
                            user_id: user,
                            card_type: CardType::Ktp,
                            blob_key: format!("{user}/KTP_{id}.png"),
                            content_hash: "0".repeat(64),
                            media_type: "image/png".to_owned(),
                            byte_size: 1,
                            lane: Lane::Cpu,
                            idempotency: None,
                        };
                        app.store.create_document(new, true).await.unwrap();
                    }
                })
            });
            futures_util::future::join_all(tasks).await;
            took.push(start.elapsed().as_secs_f64() / f64::from(8 * EACH) * 1e3);
        }
        let kind = app.store.kind();
        println!("{kind}: {:.2} ms a row with its entry, {:.2} ms an entry alone", took[0], took[1]);
    }
}
