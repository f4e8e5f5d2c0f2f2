//! `filot selftest durability` as its users run it: it tells the truth and leaves nothing behind.

use std::process::Command;
use std::time::Duration;

use filot::queue::Lane;
use filot::selftest::account::{order, settle};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

use crate::support::app::make_user;
use crate::support::cards::{Script, card};
use crate::support::{Deployment, TestApp};

async fn leaves_nothing_behind(deployment: Deployment) {
    // Beside an installation with a document of its own.
    let it = TestApp::new(&deployment).await;
    let own = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    let report = deployment.folder.path().join("durability.md");
    let ended = Command::new(env!("CARGO_BIN_EXE_filot"))
        .args(["selftest", "durability", "--documents", "60", "--kills", "6", "--report"])
        .arg(&report)
        .env_clear()
        .envs(deployment.environment())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert!(said.contains("Everything is as promised."), "{said}");
    let written = std::fs::read_to_string(&report).unwrap();
    assert!(written.contains("| 60 | 6 |") && written.contains("| whole |"), "{written}");

    // The folder holds what it held: its own database, files and key.
    let left: Vec<String> = std::fs::read_dir(deployment.data_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("selftest"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    if let Some(postgres) = &deployment.postgres {
        let db = Database::connect(postgres.url()).await.unwrap();
        let sql = "SELECT 1 AS one FROM information_schema.schemata WHERE schema_name LIKE '%selftest%'";
        let schemas = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
        assert!(schemas.is_empty());
    }
    if let Some(redis) = &deployment.redis {
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*selftest*").query_async(&mut connection).await.unwrap();
        assert!(keys.is_empty(), "{keys:?}");
    }
    // What is the installation's own is untouched.
    assert!(it.app.blobs.get(&own.blob_key).await.is_ok());
    assert_eq!(it.document(own.id).await.version, own.version);
    make_user(&it.app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_nothing_behind_embedded() {
    leaves_nothing_behind(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_nothing_behind_full() {
    leaves_nothing_behind(Deployment::full().await).await;
}

/// A document that somebody reads without a job, as Temporal does, is not at its end. Whoever took it to be counted it
/// half ended: the row already, the events not yet.
#[tokio::test]
async fn what_is_being_read_has_not_settled() {
    let deployment = Deployment::embedded();
    let it = TestApp::new(&deployment).await;
    let (number, script, millis) = order(0);
    let id = it.upload(card(number, script, millis)).await.unwrap().id;
    let job = it.app.queue.claim(Lane::Cpu, "worker", 1, Duration::from_secs(60)).await.unwrap().remove(0);
    it.app.store.begin_processing(id, job.token, Duration::from_secs(60), 3).await.unwrap();
    assert!(it.app.queue.complete(&job).await.unwrap());
    assert!(!settle(&it.app, Duration::from_millis(200)).await.unwrap());
    it.app.store.record_failure(id, job.token, "unreadable").await.unwrap();
    assert!(settle(&it.app, Duration::from_millis(200)).await.unwrap());
}
