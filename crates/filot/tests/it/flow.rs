//! From upload to verdict, on everything embedded and on PostgreSQL, Redis and S3.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use filot::blobs::Blobs;
use filot::card_reader::{CardReader, CardReading};
use filot::clock::Clock;
use filot::document::{CardType, DocumentId, Status, Verification};
use filot::intake;
use filot::queue::Lane;
use filot::store::{Actor, EventKind, ReviewStatus, Verdict};
use filot::worker::{SweepRules, sweep_files};
use filot_cards::decide::Decision;

use crate::support::cards::{Script, card};
use crate::support::{Deployment, TestApp, eventually};

macro_rules! on_both {
    ($($name:ident)+) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Deployment::embedded()).await;
            })+
        }
        mod full {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Deployment::full().await).await;
            })+
        }
    };
}

on_both! {
    an_upload_ends_in_a_verdict
    every_script_ends_as_it_says
    a_person_decides_once
    a_failed_document_can_be_read_again_and_others_cannot
    a_deleted_document_takes_its_file_along
    a_document_without_a_job_gets_one
    files_without_a_document_are_swept
    a_stopped_worker_gives_back_what_it_holds
}

async fn an_upload_ends_in_a_verdict(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let stored = it.upload(card(7, Script::Approve, 0)).await.unwrap();
    assert_eq!((stored.status, stored.verification), (Status::Pending, Verification::Pending));
    let done = it.finished(stored.id).await;
    assert_eq!((done.status, done.verification), (Status::Completed, Verification::AutoApproved));
    assert_eq!((done.score, done.decision.as_deref()), (Some(95), Some("auto_approve")));
    let result: serde_json::Value = serde_json::from_str(done.result.unwrap().get()).unwrap();
    assert_eq!(result, serde_json::json!({ "number": 7 }));
    assert_eq!(it.app.blobs.get(&done.blob_key).await.unwrap(), card(7, Script::Approve, 0));
    let events = it.app.store.events_after(0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind, events[0].document_id), (EventKind::Completed, stored.id));
    it.idle().await;
    it.rest().await;
}

/// What an upload decoded to check it is what the reader in the same process gets; without a reader nothing is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_picture_is_decoded_twice() {
    let decoded_before: Arc<Mutex<Vec<Option<u32>>>> = Arc::default();
    let seen = Arc::clone(&decoded_before);
    let reader = CardReader::new("watching", move |file, _, _| {
        seen.lock().unwrap().push(file.decoded.map(|decoded| decoded.photo.width));
        let result = serde_json::value::to_raw_value(&0).unwrap();
        Ok(CardReading { decision: Decision::AutoApprove, score: 90, result, text: String::new() })
    });
    let deployment = Deployment::embedded();
    let mut it = TestApp::on(deployment.app_with(reader, Clock::default()).await).await;
    let early = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    it.work();
    it.finished(early.id).await;
    let later = it.upload(card(2, Script::Approve, 0)).await.unwrap();
    it.finished(later.id).await;
    assert_eq!(*decoded_before.lock().unwrap(), [None, Some(2)]);
    it.rest().await;
}

async fn every_script_ends_as_it_says(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let scripts = [
        (Script::Approve, Verification::AutoApproved, None),
        (Script::Review, Verification::PendingManualReview, None),
        (Script::Reject, Verification::AutoRejected, None),
        (Script::Unreadable, Verification::Pending, Some("file_corrupt")),
        (Script::Fails, Verification::Pending, Some("reader_failed")),
        (Script::Panics, Verification::Pending, Some("reader_failed")),
    ];
    for (number, (script, verification, code)) in (1..).zip(scripts) {
        let id = it.upload(card(number, script, 0)).await.unwrap().id;
        let done = it.finished(id).await;
        assert_eq!((done.verification, done.failure_code.as_deref()), (verification, code), "{script:?}");
        let review = it.app.store.review_of_document(id).await.unwrap();
        assert_eq!(review.is_some(), script == Script::Review);
    }
    it.idle().await;
    let dead = it.app.queue.dead(Lane::Cpu, 10).await.unwrap();
    assert_eq!(dead.len(), 2, "the two that failed for the reader's sake: {dead:?}");
    it.rest().await;
}

async fn a_person_decides_once(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let id = it.upload(card(1, Script::Review, 0)).await.unwrap().id;
    it.finished(id).await;
    let review = it.app.store.review_of_document(id).await.unwrap().unwrap();
    assert_eq!(it.app.store.escalate(id, &Actor::User(it.user)).await.unwrap().id, review.id);
    let decide = |n: u32| {
        let store = it.app.store.clone();
        async move {
            let resolution = if n.is_multiple_of(2) {
                filot::document::Resolution::Approved
            } else {
                filot::document::Resolution::Rejected
            };
            let reviewer = Actor::Officer(filot::document::UserId::new());
            let verdict = Verdict { resolution, notes: None, reviewer, expected_version: Some(1) };
            store.resolve_review(review.id, verdict).await
        }
    };
    let decisions = futures_util::future::join_all((0..20).map(decide)).await;
    let won: Vec<_> = decisions.iter().flatten().collect();
    assert_eq!(won.len(), 1, "one decision counts");
    let lost = decisions.iter().filter(|d| matches!(d, Err(filot::store::Error::Conflict))).count();
    assert_eq!(lost, 19);
    let document = it.document(id).await;
    let expected = match won[0].status {
        ReviewStatus::Approved => Verification::ManuallyApproved,
        _ => Verification::ManuallyRejected,
    };
    assert_eq!(document.verification, expected);
    let resolved = it.app.store.events_after(0, 100).await.unwrap();
    assert_eq!(resolved.iter().filter(|event| event.kind == EventKind::Resolved).count(), 1);
    it.rest().await;
}

async fn a_failed_document_can_be_read_again_and_others_cannot(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let actor = Actor::User(it.user);
    let good = it.upload(card(1, Script::Approve, 0)).await.unwrap().id;
    let bad = it.upload(card(2, Script::Unreadable, 0)).await.unwrap().id;
    let (good_before, bad_before) = (it.finished(good).await, it.finished(bad).await);
    let again = intake::trigger(&it.app, good, &actor).await.unwrap();
    assert_eq!((again.status, again.version), (Status::Completed, good_before.version));
    let again = intake::trigger(&it.app, bad, &actor).await.unwrap();
    assert_eq!((again.status, again.generation), (Status::Pending, bad_before.generation + 1));
    // However often it is asked for, it is read once.
    for _ in 0..10 {
        intake::trigger(&it.app, bad, &actor).await.unwrap();
    }
    eventually("the second end", Duration::from_secs(60), || async { it.document(bad).await.is_terminal() })
        .await;
    it.idle().await;
    let events = it.app.store.events_after(0, 100).await.unwrap();
    let failures: Vec<_> =
        events.iter().filter(|event| event.document_id == bad).map(|event| event.generation).collect();
    assert!(
        failures.len() >= 2 && failures.is_sorted_by(|a, b| a < b),
        "one end for each reading: {failures:?}"
    );
    it.rest().await;
}

async fn a_deleted_document_takes_its_file_along(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    let document = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    it.app.store.delete_document(document.id, &Actor::User(it.user)).await.unwrap();
    it.work();
    eventually("the file is erased", Duration::from_secs(60), || async {
        matches!(it.app.blobs.get(&document.blob_key).await, Err(filot::blobs::Error::NotFound))
    })
    .await;
    it.idle().await;
    let gone = it.app.store.document(document.id).await;
    assert!(matches!(gone, Err(filot::store::Error::NotFound)));
    it.rest().await;
}

async fn a_document_without_a_job_gets_one(deployment: Deployment) {
    // A clock that can be moved past the time after which a waiting document is looked up.
    let clock = filot::clock::Clock::by_hand(filot::clock::Clock::default().now());
    let app = deployment.app_with(crate::support::cards::scripted(), clock).await;
    let mut it = TestApp::on(app).await;
    let document = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    it.app.queue.remove(document.id).await.unwrap();
    clock.advance(jiff::SignedDuration::from_mins(5));
    it.work();
    assert_eq!(it.finished(document.id).await.verification, Verification::AutoApproved);
    it.rest().await;
}

async fn files_without_a_document_are_swept(deployment: Deployment) {
    let it = TestApp::new(&deployment).await;
    let kept = it.upload(card(1, Script::Approve, 0)).await.unwrap();
    for n in 0..5 {
        let key = Blobs::key(it.user, CardType::Ktp, DocumentId::new(), "image/png");
        it.app.blobs.put(&key, card(n, Script::Approve, 0), "image/png").await.unwrap();
    }
    let hour = SweepRules { age: jiff::SignedDuration::from_hours(1), ..SweepRules::AT_ONCE };
    let young = sweep_files(&it.app, &hour).await.unwrap();
    assert_eq!(young.erased, 0, "files of uploads under way stay");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let swept = sweep_files(&it.app, &SweepRules::AT_ONCE).await.unwrap();
    assert_eq!((swept.seen, swept.erased), (6, 5));
    assert!(it.app.blobs.get(&kept.blob_key).await.is_ok());
}

async fn a_stopped_worker_gives_back_what_it_holds(deployment: Deployment) {
    let deployment = deployment.with("FILOT_SERVER_SHUTDOWN_GRACE_S", "2");
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let slow = it.upload(card(1, Script::Approve, 7000)).await.unwrap().id;
    let quick = it.upload(card(2, Script::Approve, 0)).await.unwrap().id;
    it.finished(quick).await;
    eventually("the slow one is being read", Duration::from_secs(60), || async {
        it.document(slow).await.status == Status::Processing
    })
    .await;
    let start = std::time::Instant::now();
    it.rest().await;
    // The grace is two seconds; whoever waits for the reading waits for nearly seven.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let given_back = it.document(slow).await;
    assert_eq!((given_back.status, given_back.attempts), (Status::Pending, 0), "given back, not counted");
    it.work();
    assert_eq!(it.finished(slow).await.verification, Verification::AutoApproved);
    it.rest().await;
}
