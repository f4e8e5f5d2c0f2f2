//! R4: the process dies at a named place, again and again; the next one finishes what it left. In each trial it has to
//! die, and no place of the source goes untried.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use filot::document::{DocumentId, Verification};
use filot::selftest::account::{Acknowledged, order};
use filot::selftest::child::Order;

use super::all_is_well;
use crate::support::cards::Script;
use crate::support::child::{self, Service};
use crate::support::{Deployment, TestApp};

/// The named places on the way of a document, and the documents that pass them.
const PLACES: &[(&str, Script)] = &[
    ("intake.before_blob", Script::Approve),
    ("intake.after_blob", Script::Approve),
    ("store.create.before_commit", Script::Approve),
    ("store.create.after_commit", Script::Approve),
    ("intake.after_row", Script::Approve),
    ("intake.after_dispatch", Script::Approve),
    ("worker.after_claim", Script::Approve),
    ("pipeline.after_fetch", Script::Approve),
    ("store.begin.before_commit", Script::Approve),
    ("pipeline.after_begin", Script::Approve),
    ("pipeline.after_read", Script::Approve),
    ("store.outcome.before_event", Script::Review),
    ("store.outcome.before_commit", Script::Reject),
    ("pipeline.after_record", Script::Approve),
    ("store.failure.before_commit", Script::Unreadable),
    ("store.failure.after_commit", Script::Unreadable),
    ("store.retry.before_commit", Script::FailsOnce),
    ("store.retry.after_commit", Script::FailsOnce),
    ("worker.before_complete", Script::Approve),
    ("worker.after_complete", Script::Approve),
    ("upkeep.after_reap", Script::Approve),
    ("upkeep.before_effects", Script::Approve),
    ("upkeep.before_effect_done", Script::Review),
    ("upkeep.after_effect_done", Script::Review),
    ("changes.before_announce", Script::Approve),
];

/// Within this the process has to die at its place, also on a busy machine.
const DEATH: Duration = Duration::from_secs(60);
/// Between two documents that are sent until it does.
const BETWEEN: Duration = Duration::from_millis(25);
/// Documents whose reader fails at first have no place in [`order`] and get numbers from here.
const FAILING: u32 = 1_000_000;

/// Numbers of documents that nobody has used yet.
struct Numbers(u32);

impl Numbers {
    /// The next document with this script.
    fn next(&mut self, script: Script) -> Order {
        loop {
            self.0 += 1;
            if script == Script::FailsOnce {
                return (FAILING + self.0, script, 0);
            }
            let (number, own, millis) = order(self.0);
            if own == script {
                return (number, script, millis);
            }
        }
    }
}

/// Sends documents until the process is dead.
async fn feed_until_death(service: &mut Service, script: Script, numbers: &mut Numbers, trial: &str) {
    let start = Instant::now();
    // A process that dies before it is ready was fed by what others left.
    if service.ready().await {
        for _ in 0..3 {
            service.order(numbers.next(script));
        }
    }
    while !service.died(BETWEEN).await {
        assert!(start.elapsed() < DEATH, "{trial}: it did not die");
        service.order(numbers.next(script));
    }
}

async fn killed_at_named_places(deployment: Deployment, times: u32) {
    // Dying at the same place of the same document again and again looks like the document's fault. That is R6; here
    // all documents are innocent and have to come to their true end.
    let deployment = deployment.with("FILOT_WORKER_MAX_ATTEMPTS", "100000");
    let observer = TestApp::new(&deployment).await;
    let (mut acknowledged, mut failing) = (Acknowledged::new(), Vec::<DocumentId>::new());
    let mut numbers = Numbers(0);
    let start = Instant::now();
    for (place, script) in PLACES {
        for nth in 1..=times {
            let failpoint = format!("{place}:{}", 1 + nth % 3);
            let mut service = child::start(&deployment, observer.user, Some(&failpoint));
            feed_until_death(&mut service, *script, &mut numbers, &failpoint).await;
            assert!(service.aborted(), "{failpoint}: it ended, and not at the place");
            while let Some((number, id, hash)) = service.ack_within(Duration::from_secs(5)).await {
                if number < FAILING {
                    acknowledged.insert(number, (id, hash));
                } else {
                    failing.push(id);
                }
            }
        }
    }
    let mut service = child::start(&deployment, observer.user, None);
    assert!(service.ready().await);
    all_is_well(&observer.app, &acknowledged).await;
    for id in &failing {
        assert_eq!(observer.document(*id).await.verification, Verification::AutoApproved);
    }
    assert!(service.terminate(Duration::from_secs(12)).await.is_some());
    println!(
        "{} places, {times} deaths at each, {} documents acknowledged: {:?}",
        PLACES.len(),
        acknowledged.len() + failing.len(),
        start.elapsed()
    );
    assert!(!acknowledged.is_empty() && !failing.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_named_places_embedded() {
    killed_at_named_places(Deployment::embedded(), 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_named_places_full() {
    killed_at_named_places(Deployment::full().await, 20).await;
}

/// Every `failpoint::hit("…")` of the source.
fn places_of_the_source() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(crates).into_iter().map(Result::unwrap) {
        let path = entry.path();
        let is_source = path.components().any(|part| part.as_os_str() == "src");
        if !is_source || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        for call in text.split("failpoint::hit(").skip(1) {
            let name = call.strip_prefix('"').and_then(|rest| rest.split('"').next());
            found.insert(
                name.unwrap_or_else(|| panic!("{}: a place without a name", path.display())).to_owned(),
            );
        }
    }
    found
}

/// Each place of the source stands in one of the lists of which every entry is tried, and each of those in the source.
#[test]
fn no_place_of_the_source_goes_untried() {
    let lists = [
        PLACES.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
        super::acts::PLACES.iter().map(|(place, _)| *place).collect(),
        crate::retake::PLACES.iter().map(|(place, _)| *place).collect(),
        crate::buli2::PLACES.to_vec(),
        crate::migrations::PLACES.to_vec(),
        #[cfg(feature = "temporal")]
        crate::temporal::PLACES.to_vec(),
    ];
    let tried: BTreeSet<String> = lists.concat().into_iter().map(str::to_owned).collect();
    let mut source = places_of_the_source();
    if cfg!(not(feature = "temporal")) {
        source.retain(|place| !place.starts_with("temporal."));
    }
    let untried: Vec<_> = source.difference(&tried).collect();
    assert!(untried.is_empty(), "nobody dies at {untried:?}: add them to one of the lists above");
    let gone: Vec<_> = tried.difference(&source).collect();
    assert!(gone.is_empty(), "the source has no {gone:?}");
    assert!(PLACES.len() >= 25 && source.len() >= 40, "{} {}", PLACES.len(), source.len());
}
