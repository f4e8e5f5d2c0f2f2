//! Holds what is stored against what was acknowledged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;

use super::cards::{Script, card};
use super::child::Order;
use crate::app::App;
use crate::audit::{self, Verified};
use crate::document::{DocumentId, Status, Verification};
use crate::queue::Lane;
use crate::store::{self, Event, EventKind};
use crate::worker::{SweepRules, Swept, sweep_files};

/// Descriptions that are kept of what is wrong; the rest is only counted.
const DESCRIBED: usize = 20;
/// Files looked at, at a time.
const AT_ONCE: usize = 16;

/// What was acknowledged: document and SHA-256 of its file, by number.
pub type Acknowledged = BTreeMap<u32, (DocumentId, String)>;

/// The document with this number, of those that are uploaded by the thousand: each in four ends in another way.
pub fn order(number: u32) -> Order {
    let scripts = [Script::Approve, Script::Review, Script::Reject, Script::Unreadable];
    (number, scripts[number as usize % scripts.len()], (number % 7) as u16)
}

/// How a document with this script has to end.
pub fn end_of(script: Script) -> (Status, Verification) {
    match script {
        Script::Approve | Script::FailsOnce => (Status::Completed, Verification::AutoApproved),
        Script::Review => (Status::Completed, Verification::PendingManualReview),
        Script::Reject => (Status::Completed, Verification::AutoRejected),
        Script::Unreadable
        | Script::Fails
        | Script::Panics
        | Script::Aborts
        | Script::Hangs
        | Script::Loops
        | Script::Faults
        | Script::Leaks
        | Script::Babbles => (Status::Failed, Verification::Pending),
    }
}

/// What does not agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub acknowledged: usize,
    /// Acknowledged, and now without row or without its file.
    pub lost: usize,
    /// Ended otherwise than its content says.
    pub contradicted: usize,
    /// Ended more than once, or acknowledged and never told of its end.
    pub double: usize,
    /// Not at an end.
    pub stuck: usize,
    /// Rows without a file.
    pub orphan_rows: usize,
    /// Files without a row that the sweeper found, as crashes between file and row leave them.
    pub swept: usize,
    /// Files without a row after it.
    pub orphan_files: usize,
    /// Whether the audit trail is whole.
    pub trail: bool,
    /// What is wrong with the first of them.
    pub described: Vec<String>,
}

impl Findings {
    /// Whether everything is as promised.
    pub fn good(&self) -> bool {
        let wrong =
            [self.lost, self.contradicted, self.double, self.stuck, self.orphan_rows, self.orphan_files];
        wrong.iter().all(|count| *count == 0) && self.trail
    }

    fn describe(&mut self, what: String) {
        if self.described.len() < DESCRIBED {
            self.described.push(what);
        }
    }
}

/// Waits until nothing waits or is read any longer; `false` when for `patience` there was no progress.
///
/// # Errors
/// When database or queue do not answer.
pub async fn settle(app: &App, patience: Duration) -> anyhow::Result<bool> {
    let (mut since, mut least) = (Instant::now(), u64::MAX);
    loop {
        let depth = app.queue.depth(Lane::Cpu).await?;
        let jobs = depth.ready + depth.delayed + depth.leased;
        // Whoever carries documents without jobs (Temporal) is seen by the rows alone.
        let open = if jobs == 0 { app.store.unfinished(10_000).await?.len() as u64 } else { jobs };
        if jobs == 0 && open == 0 {
            return Ok(true);
        }
        if open < least {
            (since, least) = (Instant::now(), open);
        }
        if since.elapsed() > patience {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks at every document, file and event of `app`, and erases the files that crashes have left.
///
/// # Errors
/// When database or file store do not answer.
pub async fn account(app: &App, acknowledged: &Acknowledged) -> anyhow::Result<Findings> {
    let mut findings = Findings { acknowledged: acknowledged.len(), ..Findings::default() };
    let ends = ends(app).await?;
    for (id, count) in ends.iter().filter(|(_, count)| **count > 1) {
        findings.double += 1;
        findings.describe(format!("{id} ended {count} times"));
    }
    let mut looks = stream::iter(acknowledged)
        .map(|(number, (id, hash))| look(app, *number, *id, hash))
        .buffer_unordered(AT_ONCE);
    while let Some((number, id, look)) = looks.try_next().await? {
        let ended = ends.contains_key(&id);
        match look {
            Look::Lost(what) => {
                findings.lost += 1;
                findings.describe(format!("number {number} ({id}) is lost: {what}"));
            }
            Look::At(status, verification) if status == Status::Pending || status == Status::Processing => {
                findings.stuck += 1;
                findings.describe(format!("number {number} ({id}) is still {status} ({verification})"));
            }
            Look::At(status, verification) => {
                if (status, verification) != end_of(order(number).1) {
                    findings.contradicted += 1;
                    findings.describe(format!("number {number} ({id}) ended as {status} ({verification})"));
                }
                if !ended {
                    findings.double += 1;
                    findings.describe(format!("number {number} ({id}) ended, and no event says so"));
                }
            }
        }
    }
    // Those, too, whose acknowledgement did not get through.
    let known: HashSet<DocumentId> = acknowledged.values().map(|(id, _)| *id).collect();
    for id in app.store.unfinished(1000).await? {
        if !known.contains(&id) {
            findings.stuck += 1;
            findings.describe(format!("{id}, not acknowledged, is not at an end"));
        }
    }
    rows_and_files(app, &mut findings).await?;
    let trail = audit::verify_trail(&app.store, &[]).await?;
    findings.trail = matches!(trail, Verified::Whole(_));
    if !findings.trail {
        findings.describe(format!("the audit trail is not whole: {trail:?}"));
    }
    Ok(findings)
}

/// How often each document ended.
async fn ends(app: &App) -> anyhow::Result<HashMap<DocumentId, u32>> {
    let (mut ends, mut last) = (HashMap::new(), 0);
    loop {
        let events: Vec<Event> = app.store.events_after(last, 1000).await?;
        let Some(latest) = events.last() else { return Ok(ends) };
        last = latest.seq;
        for event in events {
            if matches!(event.kind, EventKind::Completed | EventKind::Failed) {
                *ends.entry(event.document_id).or_default() += 1;
            }
        }
    }
}

/// How a document stands.
enum Look {
    At(Status, Verification),
    Lost(&'static str),
}

async fn look(app: &App, number: u32, id: DocumentId, hash: &str) -> anyhow::Result<(u32, DocumentId, Look)> {
    let document = match app.store.document(id).await {
        Ok(document) => document,
        Err(store::Error::NotFound) => return Ok((number, id, Look::Lost("there is no row"))),
        Err(error) => return Err(error.into()),
    };
    let (number_, script, millis) = order(number);
    let look = if document.content_hash != hash {
        Look::Lost("the row is that of another file")
    } else {
        match app.blobs.get(&document.blob_key).await {
            Ok(bytes) if bytes == card(number_, script, millis) => {
                Look::At(document.status, document.verification)
            }
            Ok(_) => Look::Lost("the file is another one"),
            Err(crate::blobs::Error::NotFound) => Look::Lost("there is no file"),
            Err(error) => return Err(error.into()),
        }
    };
    Ok((number, id, look))
}

async fn rows_and_files(app: &App, findings: &mut Findings) -> anyhow::Result<()> {
    let tomorrow = app.clock.now() + SignedDuration::from_hours(24);
    let files: HashSet<String> = app.blobs.older_than(tomorrow).try_collect().await?;
    for (key, _) in app.store.blob_keys().await? {
        if !files.contains(&key) {
            findings.orphan_rows += 1;
            findings.describe(format!("there is a row, and no file {key}"));
        }
    }
    // Times of files are in seconds on some stores, and those of this moment are not looked at.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let sweep = async || sweep_files(app, &SweepRules::AT_ONCE).await;
    let (first, second): (Swept, Swept) = (sweep().await?, sweep().await?);
    (findings.swept, findings.orphan_files) = (first.erased, second.erased);
    Ok(())
}
