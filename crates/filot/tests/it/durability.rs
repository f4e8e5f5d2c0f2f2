//! Nothing is lost, nothing is done twice, nothing stays stuck: processes killed at any moment, at named places, by
//! documents that kill their readers, and servers that go away.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use filot::app::App;
use filot::document::{DocumentId, Status, Verification};
use filot::queue::Lane;
use filot::selftest::account::{Acknowledged, Findings, account, end_of, order, settle};
use filot::store::{Actor, EventKind};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::app::all_events;
use crate::support::cards::{Script, card};
use crate::support::child;
use crate::support::proxy::Mode;
use crate::support::{Deployment, TestApp, eventually};

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
    for &number in &missing {
        service.order(order(number));
    }
    while acknowledged.len() < next as usize {
        let (number, id, hash) =
            service.ack_within(Duration::from_secs(20)).await.expect("an acknowledgement");
        acknowledged.insert(number, (id, hash));
    }
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

/// The named places on the way of a document, where R4 lets the process die.
const PLACES: &[&str] = &[
    "intake.before_blob",
    "intake.after_blob",
    "store.create.before_commit",
    "store.create.after_commit",
    "intake.after_row",
    "intake.after_dispatch",
    "worker.after_claim",
    "pipeline.after_fetch",
    "store.begin.before_commit",
    "pipeline.after_begin",
    "pipeline.after_read",
    "store.outcome.before_event",
    "store.outcome.before_commit",
    "pipeline.after_record",
    "store.failure.before_commit",
    "store.failure.after_commit",
    "store.retry.before_commit",
    "store.retry.after_commit",
    "worker.before_complete",
    "worker.after_complete",
    "upkeep.after_reap",
    "upkeep.before_effects",
    "upkeep.before_effect_done",
    "upkeep.after_effect_done",
    "changes.before_announce",
];

/// R4: the process dies at a named place, again and again; the next one finishes what it left.
async fn killed_at_named_places(deployment: Deployment, times: u32) {
    // Dying at the same place of the same document again and again looks like the document's fault. That is R6; here
    // all documents are innocent and have to come to their true end.
    let deployment = deployment.with("FILOT_WORKER_MAX_ATTEMPTS", "1000");
    let observer = TestApp::new(&deployment).await;
    let mut acknowledged = Acknowledged::new();
    let mut number = 0;
    for place in PLACES {
        let mut died = 0;
        for nth in 1..=times {
            let failpoint = format!("{place}:{}", 1 + nth % 3);
            let mut service = child::start(&deployment, observer.user, Some(&failpoint));
            if service.ready().await {
                for _ in 0..8 {
                    service.order(order(number));
                    number += 1;
                }
                // One whose reader fails at first, for the places that only a retry passes.
                service.order((1_000_000 + number, Script::FailsOnce, 0));
            }
            if service.died(Duration::from_secs(3)).await {
                died += 1;
            } else {
                service.kill();
            }
            while let Some((number, id, hash)) = service.ack_within(Duration::from_secs(5)).await {
                if number < 1_000_000 {
                    acknowledged.insert(number, (id, hash));
                }
            }
        }
        assert!(died > 0, "{place} was never passed");
    }
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    all_is_well(&observer.app, &acknowledged).await;
    assert!(service.terminate(Duration::from_secs(12)).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_named_places_embedded() {
    killed_at_named_places(Deployment::embedded(), 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_named_places_full() {
    killed_at_named_places(Deployment::full().await, 20).await;
}

/// For the documents beside a poisonous one, leases of dead readers included; a bound against hanging, not a measure.
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
    let is_done = async || {
        for (_, id) in &others {
            if !observer.document(*id).await.is_terminal() {
                return false;
            }
        }
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
    println!("500 documents beside two poisonous ones: {lives} lives, {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_document_harms_no_other_embedded() {
    a_poisonous_document_harms_no_other(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_document_harms_no_other_full() {
    a_poisonous_document_harms_no_other(Deployment::full().await).await;
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

/// R5: processes whose clocks differ never read one document at the same time.
async fn no_two_hold_one_document(deployment: Deployment, documents: u32) {
    use std::sync::{Arc, Mutex};

    use filot::card_reader::{CardReader, CardReading};
    use filot::clock::Clock;
    use jiff::SignedDuration;

    let holding: Arc<Mutex<HashSet<Vec<u8>>>> = Arc::default();
    let read: Arc<Mutex<HashMap<Vec<u8>, u32>>> = Arc::default();
    let mut workers = Vec::new();
    for skew in [-30, -10, 10, 30] {
        let (holding, read) = (Arc::clone(&holding), Arc::clone(&read));
        let reader = CardReader::new("watched", move |file, _, _| {
            let bytes = file.bytes;
            assert!(holding.lock().unwrap().insert(bytes.to_vec()), "read by two at the same time");
            std::thread::sleep(Duration::from_micros(500));
            assert!(holding.lock().unwrap().remove(bytes));
            *read.lock().unwrap().entry(bytes.to_vec()).or_default() += 1;
            let result = serde_json::value::to_raw_value(&0).unwrap();
            Ok(CardReading {
                decision: filot_cards::decide::Decision::AutoReject,
                score: 0,
                result,
                text: String::new(),
            })
        });
        let clock = Clock::skewed(SignedDuration::from_secs(skew));
        workers.push(TestApp::on(deployment.app_with(reader, clock).await).await);
    }
    for worker in &mut workers {
        worker.work();
    }
    for chunk in (0..documents).collect::<Vec<_>>().chunks(20) {
        let uploads = chunk.iter().map(|&n| workers[n as usize % 4].upload(card(n, Script::Reject, 0)));
        futures_util::future::join_all(uploads).await.into_iter().for_each(|stored| drop(stored.unwrap()));
    }
    workers[0].idle().await;
    for worker in &mut workers {
        worker.rest().await;
    }
    let events = all_events(&workers[0].app).await;
    assert_eq!(events.len(), documents as usize);
    assert!(events.iter().all(|event| event.kind == EventKind::Completed), "a reading was seen to overlap");
    let read = read.lock().unwrap();
    assert_eq!(read.len(), documents as usize);
    println!("{documents} documents, {} readings", read.values().sum::<u32>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_hold_one_document_embedded() {
    no_two_hold_one_document(Deployment::embedded(), 1500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_hold_one_document_full() {
    no_two_hold_one_document(Deployment::full().await, 5000).await;
}

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
