//! What one account may have of the service: its day's files, exactly, and a share of the streams.

use std::time::Duration;

use filot::intake;
use filot::store::Actor;

use crate::support::cards::{Script, card};
use crate::support::{Deployment, TestApp};

const LIMIT: usize = 5;

/// F9: 20 at once, and then one after another with everything deleted in between.
async fn exactly_the_limit_is_accepted(deployment: Deployment) {
    let deployment = deployment.with("FILOT_UPLOAD_FILES_PER_DAY", &LIMIT.to_string());
    let it = TestApp::new(&deployment).await;
    let uploads = (0..20).map(|number| it.upload(card(number, Script::Approve, 0)));
    let uploads = futures_util::future::join_all(uploads).await;
    let mut stored = Vec::new();
    for upload in uploads {
        match upload {
            Ok(document) => stored.push(document),
            Err(intake::Error::Quota) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(stored.len(), LIMIT);
    for document in &stored {
        it.app.store.delete_document(document.id, &Actor::User(it.user)).await.unwrap();
    }
    for number in 20..23 {
        let again = it.upload(card(number, Script::Approve, 0)).await;
        assert!(matches!(again, Err(intake::Error::Quota)), "{again:?}");
    }
    // What was refused after its file was stored has left none: the five wait for the upkeep.
    let folder = deployment.data_dir().join("files");
    let is_card = |path: &std::path::Path| path.extension().is_some_and(|extension| extension == "png");
    let files =
        walkdir::WalkDir::new(folder).into_iter().filter(|entry| is_card(entry.as_ref().unwrap().path()));
    assert_eq!(files.count(), LIMIT);
    // Another account has its own.
    let other = TestApp::on(it.app.clone()).await;
    assert!(other.upload(card(30, Script::Approve, 0)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_daily_limit_is_accepted_on_sqlite() {
    exactly_the_limit_is_accepted(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_daily_limit_is_accepted_on_postgres() {
    exactly_the_limit_is_accepted(Deployment::postgres()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_bytes_holds_too() {
    let size = card(1, Script::Approve, 0).len();
    let limit = (3 * size + size / 2).to_string();
    let deployment = Deployment::embedded().with("FILOT_UPLOAD_BYTES_PER_DAY", &limit);
    let it = TestApp::new(&deployment).await;
    let uploads = (0..12).map(|number| it.upload(card(number, Script::Approve, 0)));
    let uploads = futures_util::future::join_all(uploads).await;
    let accepted = uploads.iter().filter(|upload| upload.is_ok()).count();
    // Cards are of about one size.
    assert!((3..=4).contains(&accepted), "{accepted}");
    let used = it.app.store.used_today(it.user).await.unwrap();
    assert!(used.bytes <= limit.parse().unwrap());
}

/// One account with many documents in the queue: another's is read next but a few.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_of_one_account_holds_nobody_else_up() {
    let deployment = Deployment::embedded().with("FILOT_WORKER_CONCURRENCY", "1");
    let mut greedy = TestApp::new(&deployment).await;
    for number in 0..200 {
        greedy.upload(card(number, Script::Approve, 20)).await.unwrap();
    }
    let modest = TestApp::on(greedy.app.clone()).await;
    let one = modest.upload(card(1000, Script::Approve, 0)).await.unwrap();
    greedy.work();
    modest.finished(one.id).await;
    let events = crate::support::app::all_events(&greedy.app).await;
    assert!(events.len() <= 20, "{} of others were read before", events.len());
    tokio::time::timeout(Duration::from_secs(60), greedy.rest()).await.unwrap();
}
