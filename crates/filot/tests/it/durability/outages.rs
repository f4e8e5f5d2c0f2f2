//! Servers that go away: nothing is lost, what is refused is refused cleanly, and all of it goes on by itself.

use std::time::{Duration, Instant};

use filot::document::{DocumentId, Status, Verification};
use filot::store::Actor;

use super::SETTLE;
use crate::support::cards::{Script, card};
use crate::support::proxy::Mode;
use crate::support::{Deployment, TestApp, eventually};

/// Uploads while something is wrong, then lets everything settle. What was refused was refused cleanly.
struct Load {
    accepted: Vec<DocumentId>,
    refused: usize,
    slowest: Duration,
}

async fn upload_for(it: &TestApp, how_long: Duration, first: u32) -> Load {
    let mut load = Load { accepted: Vec::new(), refused: 0, slowest: Duration::ZERO };
    let start = Instant::now();
    let mut number = first;
    while start.elapsed() < how_long {
        let asked = Instant::now();
        match it.upload(card(number, Script::Approve, 1)).await {
            Ok(document) => load.accepted.push(document.id),
            Err(filot::intake::Error::Store(_) | filot::intake::Error::Blobs(_)) => load.refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        load.slowest = load.slowest.max(asked.elapsed());
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    load
}

async fn all_approved(it: &TestApp, loads: &[Load]) {
    for id in loads.iter().flat_map(|load| &load.accepted) {
        eventually("the end of a document", SETTLE, || async { it.document(*id).await.is_terminal() }).await;
        assert_eq!(it.document(*id).await.verification, Verification::AutoApproved);
    }
}

/// How long a server stays away.
const OUTAGE: Duration = Duration::from_secs(30);

/// Redis forgets everything, and is away for a while: uploads go on as if nothing were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_goes_away() {
    let deployment = Deployment::full().await;
    let mut it = TestApp::new(&deployment).await;
    // Documents wait: nothing reads them yet.
    let mut waiting = Vec::new();
    for number in 0..50 {
        waiting.push(it.upload(card(number, Script::Approve, 1)).await.unwrap().id);
    }
    let client = redis::Client::open(deployment.redis.as_ref().unwrap().url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    it.work();
    let proxies = deployment.proxies.as_ref().unwrap();
    let before = upload_for(&it, Duration::from_secs(2), 1000).await;
    proxies[1].set(Mode::Refuse);
    let during = upload_for(&it, OUTAGE, 2000).await;
    proxies[1].set(Mode::Pass);
    let after = upload_for(&it, Duration::from_secs(2), 3000).await;
    assert_eq!(before.refused + during.refused + after.refused, 0, "the row is the truth");
    println!("{} uploads during the outage, the slowest took {:?}", during.accepted.len(), during.slowest);
    let flushed = Load { accepted: waiting, refused: 0, slowest: Duration::ZERO };
    all_approved(&it, &[flushed, before, during, after]).await;
    it.rest().await;
}

/// PostgreSQL is killed and starts again: clean refusals in between, nothing lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_restarts() {
    let mut deployment = Deployment::full().await;
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let before = upload_for(&it, Duration::from_secs(2), 0).await;
    deployment.postgres.as_mut().unwrap().kill();
    let during = upload_for(&it, Duration::from_secs(5), 1000).await;
    deployment.postgres.as_mut().unwrap().start();
    let after = upload_for(&it, Duration::from_secs(3), 2000).await;
    assert!(during.refused > 0 && !after.accepted.is_empty());
    println!("{} refused, the slowest took {:?}", during.refused, during.slowest);
    all_approved(&it, &[before, during, after]).await;
    it.rest().await;
}

/// S3 answers 500 for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_fails() {
    let deployment = Deployment::full().await;
    let mut it = TestApp::new(&deployment).await;
    // Some documents have to be fetched while S3 fails.
    let waiting = upload_for(&it, Duration::from_secs(1), 0).await;
    let proxies = deployment.proxies.as_ref().unwrap();
    proxies[2].set(Mode::Http500);
    it.work();
    let during = upload_for(&it, OUTAGE, 1000).await;
    assert_eq!(during.accepted.len(), 0);
    for id in &waiting.accepted {
        assert_eq!(it.document(*id).await.status, Status::Pending, "an outage is not the document's fault");
    }
    proxies[2].set(Mode::Pass);
    let after = upload_for(&it, Duration::from_secs(2), 2000).await;
    println!("{} refused, the slowest took {:?}", during.refused, during.slowest);
    all_approved(&it, &[waiting, during, after]).await;
    it.rest().await;
}

/// R10: a deletion that is interrupted is finished later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_survives_an_outage() {
    let deployment = Deployment::full().await;
    let mut it = TestApp::new(&deployment).await;
    let document = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    let proxies = deployment.proxies.as_ref().unwrap();
    proxies[2].set(Mode::Refuse);
    it.app.store.delete_document(document.id, &Actor::User(it.user)).await.unwrap();
    it.work();
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxies[2].set(Mode::Pass);
    assert!(it.app.blobs.get(&document.blob_key).await.is_ok(), "not erased yet");
    eventually("the file is erased", Duration::from_secs(60), || async {
        it.app.blobs.get(&document.blob_key).await.is_err()
    })
    .await;
    it.rest().await;
}
