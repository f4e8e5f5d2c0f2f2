//! R5: workers whose clocks differ by a minute never read one document at the same time, and none is read twice where
//! nobody died.
//!
//! What happens is written down by the readers and judged when all is over. A check within the reader would be a reader
//! that fails, which is what the pipeline forgives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use filot::card_reader::{CardReader, CardReading};
use filot::clock::Clock;
use filot::store::EventKind;
use filot_cards::decide::Decision;
use jiff::SignedDuration;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::runtime::Handle;

use crate::support::app::all_events;
use crate::support::cards::{Script, card};
use crate::support::{Deployment, TestApp};

/// How wrong the clocks of the workers are, in seconds; also their names.
const SKEWS: [i64; 4] = [-30, -10, 10, 30];
/// Far less than the clocks differ, so that whoever goes by another's clock finds every lease ended; far more than a
/// busy machine keeps a heartbeat waiting.
const LEASE_S: &str = "12";
/// How long readings take; every so many take longer, so that whoever steals a job meets its holder.
const SHORT: Duration = Duration::from_micros(500);
const LONG: Duration = Duration::from_millis(40);
const LONG_EVERY: u32 = 25;

/// One reading, as its reader noted it.
#[derive(Clone, Debug)]
struct Reading {
    /// SHA-256 of the file, which no two documents share.
    document: String,
    generation: i32,
    /// The fencing token that the row held when the reading began.
    token: i64,
    /// Skew of the worker's clock.
    owner: i64,
    start: Instant,
    end: Instant,
}

/// What all workers noted.
type Record = Arc<Mutex<Vec<Reading>>>;

/// What is wrong with a record.
#[derive(Debug, Default)]
struct Faults {
    overlaps: Vec<[Reading; 2]>,
    /// Read under one token by two, or again though nobody died.
    repeated: Vec<Reading>,
}

fn judge(record: &[Reading]) -> Faults {
    let mut of_document: BTreeMap<(&str, i32), Vec<&Reading>> = BTreeMap::new();
    for reading in record {
        of_document.entry((&reading.document, reading.generation)).or_default().push(reading);
    }
    let mut faults = Faults::default();
    for readings in of_document.values_mut() {
        readings.sort_by_key(|reading| reading.start);
        for pair in readings.windows(2) {
            if pair[1].start < pair[0].end {
                faults.overlaps.push([pair[0].clone(), pair[1].clone()]);
            }
            faults.repeated.push(pair[1].clone());
        }
    }
    faults
}

/// A connection beside the service's own.
async fn look_in(deployment: &Deployment) -> DatabaseConnection {
    let url = match &deployment.postgres {
        Some(postgres) => postgres.url(),
        None => format!("sqlite://{}?mode=ro", deployment.data_dir().join("filot.db").display()),
    };
    let mut options = ConnectOptions::new(url);
    options.max_connections(8).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// A reader that notes what it does.
fn noting(record: Record, owner: i64, database: DatabaseConnection) -> CardReader {
    CardReader::new("noting", move |file, _, _| {
        let start = Instant::now();
        let document = filot::blobs::content_hash(file.bytes);
        let sql = "SELECT generation, fence FROM documents WHERE content_hash = $1";
        let ask =
            Statement::from_sql_and_values(database.get_database_backend(), sql, [document.as_str().into()]);
        let row =
            Handle::current().block_on(database.query_one_raw(ask)).unwrap().expect("a row before a reading");
        let (generation, token) = (row.try_get("", "generation").unwrap(), row.try_get("", "fence").unwrap());
        let number = u32::from_str_radix(&document[..8], 16).unwrap();
        std::thread::sleep(if number.is_multiple_of(LONG_EVERY) { LONG } else { SHORT });
        let reading = Reading { document, generation, token, owner, start, end: Instant::now() };
        record.lock().unwrap().push(reading);
        let result = serde_json::value::to_raw_value(&0).unwrap();
        Ok(CardReading { decision: Decision::AutoReject, score: 0, result, text: String::new() })
    })
}

async fn no_two_hold_one_document(deployment: Deployment, documents: u32) {
    let deployment = deployment.with("FILOT_WORKER_LEASE_S", LEASE_S);
    // The first makes the schema that the others' readers look at.
    drop(deployment.app().await);
    let record = Record::default();
    let mut workers = Vec::new();
    for skew in SKEWS {
        let reader = noting(Arc::clone(&record), skew, look_in(&deployment).await);
        let clock = Clock::skewed(SignedDuration::from_secs(skew));
        workers.push(TestApp::on(deployment.app_with(reader, clock).await).await);
    }
    for worker in &mut workers {
        worker.work();
    }
    let begun = Instant::now();
    for chunk in (0..documents).collect::<Vec<_>>().chunks(20) {
        let uploads = chunk.iter().map(|&n| workers[n as usize % 4].upload(card(n, Script::Reject, 0)));
        futures_util::future::join_all(uploads).await.into_iter().for_each(|stored| drop(stored.unwrap()));
    }
    workers[0].idle().await;
    for worker in &mut workers {
        worker.rest().await;
    }
    let record = record.lock().unwrap().clone();
    let faults = judge(&record);
    assert!(faults.overlaps.is_empty(), "read by two at the same time: {:#?}", faults.overlaps);
    assert!(faults.repeated.is_empty(), "taken from a worker that lives: {:#?}", faults.repeated);
    assert_eq!(record.len(), documents as usize);
    let events = all_events(&workers[0].app).await;
    assert_eq!(events.len(), documents as usize);
    assert!(events.iter().all(|event| event.kind == EventKind::Completed));
    let mut shares: BTreeMap<i64, u32> = BTreeMap::new();
    for reading in &record {
        *shares.entry(reading.owner).or_default() += 1;
    }
    println!("{documents} documents in {:?}, by the workers' skews: {shares:?}", begun.elapsed());
    // Each took part, so that there was somebody to take a job from.
    assert!(
        SKEWS.iter().all(|skew| shares.get(skew).is_some_and(|count| *count > documents / 50)),
        "{shares:?}"
    );
    assert!(record.iter().all(|reading| reading.token > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_hold_one_document_embedded() {
    no_two_hold_one_document(Deployment::embedded(), 5000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_hold_one_document_full() {
    no_two_hold_one_document(Deployment::full().await, 5000).await;
}

/// The judge itself: what it is there for it finds.
#[test]
fn an_overlap_and_a_repetition_are_found() {
    let zero = Instant::now();
    let reading = |document: &str, owner, from, to| Reading {
        document: document.to_owned(),
        generation: 1,
        token: from as i64 + 1,
        owner,
        start: zero + Duration::from_millis(from),
        end: zero + Duration::from_millis(to),
    };
    let clean = [reading("a", -30, 0, 5), reading("b", 30, 2, 8)];
    let faults = judge(&clean);
    assert!(faults.overlaps.is_empty() && faults.repeated.is_empty(), "{faults:?}");
    let faults = judge(&[reading("a", -30, 0, 5), reading("a", 30, 4, 9)]);
    assert_eq!((faults.overlaps.len(), faults.repeated.len()), (1, 1), "{faults:?}");
    let faults = judge(&[reading("a", 30, 6, 9), reading("a", -30, 0, 5)]);
    assert_eq!((faults.overlaps.len(), faults.repeated.len()), (0, 1), "{faults:?}");
}
