//! Nothing is lost, nothing is done twice, nothing stays stuck: processes killed at any moment, at named places, by
//! documents that kill their readers, and servers that go away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use filot::app::App;
use filot::card_reader::{CardReader, CardReading};
use filot::clock::Clock;
use filot::document::{Status, Verification};
use filot::queue::Lane;
use filot::reader::FileError;
use filot::selftest::account::{Acknowledged, Findings, account, end_of, order, settle};
use filot_cards::decide::Decision;
use filot_ocr::engine;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sea_orm::{ConnectionTrait, Database, TransactionTrait};
use tokio::runtime::Handle;

use crate::support::cards::{Script, card};
use crate::support::child;
use crate::support::{Deployment, TestApp, eventually};

pub(crate) mod acts;
mod outages;
mod overlaps;
pub(crate) mod places;

/// After the last restart: the lease and this long until everything has ended.
pub(crate) const SETTLE: Duration = Duration::from_secs(90);

/// Waits for the end of everything, and holds what is stored against what was acknowledged.
pub(crate) async fn all_is_well(app: &App, acknowledged: &Acknowledged) -> Findings {
    assert!(settle(app, SETTLE).await.unwrap(), "stuck");
    let findings = account(app, acknowledged).await.unwrap();
    assert!(findings.good(), "{findings:#?}");
    findings
}

/// R1, R2, R3, R10: kill -9 at random moments under load.
async fn killed_at_any_moment(deployment: Deployment, documents: u32, kills: u32) {
    // A hundred kills within a minute hit some documents more often than a poisonous one is tried. That is R6; here all
    // documents are innocent and have to come to their true end.
    let deployment = deployment.with("FILOT_WORKER_MAX_ATTEMPTS", "1000");
    let observer = TestApp::new(&deployment).await;
    let mut dice = StdRng::seed_from_u64(20_261_123);
    let mut acknowledged = Acknowledged::new();
    let (mut next, per_life) = (0, documents / kills);
    for _ in 0..kills {
        let mut service = child::start(&deployment, observer.user, None);
        assert!(service.ready().await);
        for number in next..next + per_life {
            service.order(order(number));
        }
        next += per_life;
        let end = Instant::now() + Duration::from_millis(dice.random_range(20..400));
        while let Some(patience) = end.checked_duration_since(Instant::now()) {
            if let Some((number, id, hash)) = service.ack_within(patience).await {
                acknowledged.insert(number, (id, hash));
            }
        }
        service.kill();
        // What it had said before it died counts.
        while let Some((number, id, hash)) = service.ack_within(Duration::from_secs(5)).await {
            acknowledged.insert(number, (id, hash));
        }
    }
    // Those that no life acknowledged are sent again, as a client would.
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    let missing: Vec<u32> = (0..next).filter(|number| !acknowledged.contains_key(number)).collect();
    let survived = next as usize - missing.len();
    // A busy machine may refuse some of so many at once; those are sent again, too.
    for _ in 0..3 {
        for number in (0..next).filter(|number| !acknowledged.contains_key(number)) {
            service.order(order(number));
        }
        while acknowledged.len() < next as usize
            && let Some((number, id, hash)) = service.ack_within(Duration::from_secs(20)).await
        {
            acknowledged.insert(number, (id, hash));
        }
    }
    assert_eq!(acknowledged.len(), next as usize, "acknowledgements");
    let findings = all_is_well(&observer.app, &acknowledged).await;
    assert!(service.terminate(Duration::from_secs(12)).await.is_some());
    println!(
        "{documents} documents, {kills} kills: {survived} acknowledged across kills, {} orphan files swept",
        findings.swept
    );
    assert!(survived > 0 && !missing.is_empty(), "the kills hit nothing or everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_embedded() {
    killed_at_any_moment(Deployment::embedded(), 2000, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_full() {
    killed_at_any_moment(Deployment::full().await, 2000, 100).await;
}

/// What R6 promises to the documents beside a poisonous one, leases of dead readers included.
const BESIDE_POISON: Duration = Duration::from_secs(60);
/// For the end of the poisonous ones themselves; a bound against hanging.
const POISON: Duration = Duration::from_secs(240);

/// R6: a document that kills its readers is given up; no other is suspected in its place, none waits long.
async fn a_poisonous_document_harms_no_other(deployment: Deployment) {
    // Longer than a busy machine keeps a heartbeat waiting: a lease lost that way counts as a reader that died.
    let deployment = deployment.with("FILOT_WORKER_LEASE_S", "6");
    let observer = TestApp::new(&deployment).await;
    let poison = observer.upload(card(999_999, Script::Aborts, 0)).await.unwrap().id;
    let mut others = Vec::new();
    for number in 0..500 {
        others.push((number, observer.upload(card(number, order(number).1, 1)).await.unwrap().id));
        if number == 250 {
            // A second one in the middle.
            observer.upload(card(999_998, Script::Aborts, 0)).await.unwrap();
        }
    }
    let start = Instant::now();
    let mut lives = 0;
    let others_done = std::sync::OnceLock::new();
    let is_done = async || {
        for (_, id) in &others {
            if !observer.document(*id).await.is_terminal() {
                return false;
            }
        }
        let _ = others_done.set(start.elapsed());
        observer.document(poison).await.is_terminal()
    };
    while !is_done().await {
        assert!(start.elapsed() < POISON, "not done after {lives} lives");
        let mut service = child::start(&deployment, observer.user, None);
        lives += 1;
        service.ready().await;
        while !service.died(Duration::from_millis(500)).await {
            if is_done().await || start.elapsed() > POISON {
                break;
            }
        }
    }
    let end = observer.document(poison).await;
    assert_eq!((end.status, end.failure_code.as_deref()), (Status::Failed, Some("worker_crash")));
    for (number, id) in others {
        let document = observer.document(id).await;
        assert_eq!((document.status, document.verification), end_of(order(number).1), "{number}");
        assert_ne!(document.failure_code.as_deref(), Some("worker_crash"));
    }
    let beside = *others_done.get().unwrap();
    println!("500 documents beside two poisonous ones: {lives} lives, {beside:?}, all {:?}", start.elapsed());
    assert!(beside < BESIDE_POISON, "the others took {beside:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_document_harms_no_other_embedded() {
    a_poisonous_document_harms_no_other(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_document_harms_no_other_full() {
    a_poisonous_document_harms_no_other(Deployment::full().await).await;
}

/// R6: where a reading can end the worker, a document over which one has died is written before another is begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_suspected_is_written_before_the_next_begins() {
    let deployment = Deployment::postgres().with("FILOT_WORKER_CONCURRENCY", "2");
    let database = Database::connect(deployment.postgres.as_ref().unwrap().url()).await.unwrap();
    let (begun, readings) = tokio::sync::watch::channel(0);
    let held = Arc::new(Mutex::new(None));
    let (lock, keep) = (database.clone(), Arc::clone(&held));
    let reader = CardReader::new("slow to write", move |_, _, _| {
        begun.send_modify(|count| *count += 1);
        let count = *begun.borrow();
        if count == 1 {
            return Err(FileError::Engine(engine::Error::Failed("as a reader that dies".to_owned())));
        }
        if count == 2 {
            let held = Handle::current().block_on(async {
                let tx = lock.begin().await.unwrap();
                tx.execute_unprepared("SELECT 1 FROM documents FOR UPDATE").await.unwrap();
                tx
            });
            *keep.lock().unwrap() = Some(held);
        }
        let result = serde_json::value::to_raw_value(&0).unwrap();
        Ok(CardReading { decision: Decision::AutoApprove, score: 90, result, text: String::new() })
    });
    let mut it = TestApp::on(deployment.app_with(reader, Clock::default()).await).await;
    let first = it.upload(card(1, Script::Approve, 0)).await.unwrap().id;
    it.work();
    let is_held = async || held.lock().unwrap().is_some();
    eventually("a second reading whose end cannot be written", Duration::from_secs(20), is_held).await;
    let second = it.upload(card(2, Script::Approve, 0)).await.unwrap().id;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*readings.borrow(), 2, "another one began before the suspected was written");
    let tx = held.lock().unwrap().take().unwrap();
    tx.rollback().await.unwrap();
    for id in [first, second] {
        assert_eq!(it.finished(id).await.verification, Verification::AutoApproved);
    }
    it.rest().await;
}

/// R14: asked to stop, a process ends in time, and no document is the worse for it.
async fn asked_to_stop(deployment: Deployment) {
    let deployment = deployment.with("FILOT_SERVER_SHUTDOWN_GRACE_S", "5");
    let observer = TestApp::new(&deployment).await;
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    let mut acknowledged = Vec::new();
    // Two that take longer than the grace, and more than can be in hand.
    for number in 0..20 {
        service.order((number, Script::Approve, if number < 2 { 9000 } else { 100 }));
    }
    let mut slow = Vec::new();
    for _ in 0..20 {
        let (number, id, _) = service.ack_within(Duration::from_secs(10)).await.unwrap();
        acknowledged.push(id);
        if number < 2 {
            slow.push(id);
        }
    }
    eventually("the slow ones are being read", Duration::from_secs(60), || async {
        let mut reading = 0;
        for id in &slow {
            reading += usize::from(observer.document(*id).await.status == Status::Processing);
        }
        reading == 2
    })
    .await;
    let took = service.terminate(Duration::from_secs(10)).await.expect("it ends within 10 s");
    for id in &acknowledged {
        let document = observer.document(*id).await;
        assert_ne!(document.status, Status::Processing, "left behind");
        assert_eq!(document.attempts, 0, "counted");
    }
    assert!(took > Duration::from_secs(2), "readings get the time of grace");
    println!("stopped after {took:?}");
    let depth = observer.app.queue.depth(Lane::Cpu).await.unwrap();
    assert_eq!(depth.leased, 0, "nothing has to wait for the end of a lease");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_embedded() {
    asked_to_stop(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_full() {
    asked_to_stop(Deployment::full().await).await;
}
