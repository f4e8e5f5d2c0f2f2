//! One document from claim to verdict: file, reader, decision, record.
//!
//! Everything here may run twice, also at the same time; the second run changes nothing. What decides is the guard of
//! the row, not the lease of the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, warn};

use crate::app::App;
use crate::blobs;
use crate::card_reader::{Blame, CardReading, Failure, Request};
use crate::document::{Document, Status};
use crate::queue::{Lease, Then};
use crate::store::{self, Begun, Outcome};
use crate::telemetry::traces;

/// How long the end of a reading is kept for a database that is away.
const OUTAGE: Duration = Duration::from_secs(300);
/// Between two tries to write it: first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// When a worker has to stop, in two steps.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Begin nothing new.
    pub soon: CancellationToken,
    /// Give back what is still being read.
    pub now: CancellationToken,
}

/// How the work on a claimed document ended, and so what becomes of its job.
#[derive(Debug)]
pub enum Ended {
    /// There is nothing more to do: verdict recorded, or the document is finished, gone, or someone else's.
    Done,
    /// It is a case for the dead letters; the row says `failed`.
    Dead(&'static str),
    /// Try again after a while; `counts` if the document or its reader may be at fault.
    Again { reason: &'static str },
    /// Not begun, or given back: the worker is stopping.
    GivenBack,
}

impl Ended {
    /// What to tell the queue.
    pub fn then(self, wait: Duration) -> Option<Then> {
        match self {
            Self::Done => None,
            Self::Dead(reason) => Some(Then::Bury(reason.to_owned())),
            Self::Again { .. } => Some(Then::Retry(wait)),
            Self::GivenBack => Some(Then::Release),
        }
    }
}

/// Works on a claimed document.
pub async fn process(app: &App, lease: &Lease, stop: &Stop) -> Ended {
    let trace = traces::reading(lease.id, lease.lane, lease.attempt);
    work_on(app, lease, stop).instrument(trace).await
}

async fn work_on(app: &App, lease: &Lease, stop: &Stop) -> Ended {
    let document = match app.store.document(lease.id).await {
        Ok(document) if document.is_terminal() => return Ended::Done,
        Ok(document) => document,
        Err(store::Error::NotFound) => return Ended::Done,
        Err(error) => return unavailable(lease, &error, "store_unavailable"),
    };
    // The file is fetched while others are being read.
    let file = match app.blobs.get(&document.blob_key).instrument(traces::part("fetch file")).await {
        Ok(bytes) => Ok(bytes),
        Err(error @ blobs::Error::Unavailable(_)) => return unavailable(lease, &error, "files_unavailable"),
        Err(_) => Err("file_missing"),
    };
    crate::failpoint::hit("pipeline.after_fetch");

    let Some(turn) = turn(app, &document, stop).instrument(traces::part("wait for a reader")).await else {
        return Ended::GivenBack;
    };
    let worker = &app.config.service.worker;
    match app.store.begin_processing(lease.id, lease.token, worker.lease(), worker.max_attempts).await {
        Ok(Begun::Read(begun)) => {
            debug!(document = %lease.id, attempt = lease.attempt, "reading");
            app.changes.announce(&begun).await;
            crate::failpoint::hit("pipeline.after_begin");
            match file {
                Ok(bytes) => read(app, lease, *begun, bytes, turn, stop).await,
                Err(code) => fail(app, lease, stop, code, Ended::Done).await,
            }
        }
        Ok(Begun::GivenUp(document)) => {
            error!(document = %lease.id, "given up: its readers died again and again");
            finished(app, &document).await;
            Ended::Dead("worker_crash")
        }
        Err(store::Error::Illegal(_) | store::Error::Conflict | store::Error::NotFound) => Ended::Done,
        Err(error) => unavailable(lease, &error, "store_unavailable"),
    }
}

/// Waits for a free reader, for no longer than one can be taken: `None` gives the document back.
///
/// Where readings share a process, a document over which one has died is read alone if that is possible soon: if it kills
/// that process too, it takes no other document with it, and none is suspected in its place.
async fn turn(app: &App, document: &Document, stop: &Stop) -> Option<OwnedSemaphorePermit> {
    let limit = read_limit(app);
    let permit = async {
        if document.attempts > 0 && app.reader.shares_a_process() {
            let all = Arc::clone(&app.readers).acquire_many_owned(app.reader_count());
            if let Ok(Ok(all)) = tokio::time::timeout(limit, all).await {
                return Some(all);
            }
        }
        let one = Arc::clone(&app.readers).acquire_owned();
        let Ok(one) = tokio::time::timeout(app.reader.longest(limit), one).await else {
            warn!(document = %document.id, "no reader has become free: given back");
            return None;
        };
        one.ok()
    };
    tokio::select! {
        biased;
        () = stop.soon.cancelled() => None,
        permit = permit => permit,
    }
}

fn read_limit(app: &App) -> Duration {
    Duration::from_secs(app.config.service.worker.read_timeout_s)
}

/// Returns how long [`process`] can have a document at the very most: whoever holds one for longer hangs, and no heartbeat
/// keeps it any more.
pub fn longest(app: &App) -> Duration {
    let limit = read_limit(app);
    // Waiting for a reader, alone and else; reading; writing how it ended; and what is done before and between.
    limit + 2 * app.reader.longest(limit) + OUTAGE + OUTAGE
}

async fn read(
    app: &App,
    lease: &Lease,
    document: Document,
    bytes: Bytes,
    turn: OwnedSemaphorePermit,
    stop: &Stop,
) -> Ended {
    let decoded = app.decoded.take(document.id);
    // Decoding is part of reading, whoever did it.
    let before = decoded.as_ref().map_or(Duration::ZERO, |decoded| decoded.took);
    let start = Instant::now();
    let (declared, today) = (document.card_type.declared(), app.clock.today());
    let turn = Arc::new(turn);
    // Whoever is suspected keeps all others waiting until what it gave is written: the next one may kill this process, and
    // what is not written then counts against it once more.
    let is_suspected = document.attempts > 1 && app.reader.is_in_this_process();
    let until_written = is_suspected.then(|| Arc::clone(&turn));
    let reading = async {
        let (file, hash) = (bytes.clone(), document.content_hash.clone());
        let is_whole = tokio::task::spawn_blocking(move || blobs::content_hash(&file) == hash).await;
        if !is_whole.unwrap_or(false) {
            return None;
        }
        let request = Request { bytes, decoded, declared, today };
        Some(app.reader.read(request, read_limit(app), turn).await)
    };
    let reading = tokio::select! {
        reading = reading.instrument(traces::part("read")) => reading,
        () = stop.now.cancelled() => return give_back(app, lease, stop).await,
    };
    crate::failpoint::hit("pipeline.after_read");
    let took = before + start.elapsed();
    let ended = match reading {
        Some(Ok(reading)) => record(app, lease, stop, reading, took).await,
        Some(Err(failure)) => failed(app, lease, stop, &document, failure).await,
        None => fail(app, lease, stop, "file_damaged", Ended::Done).await,
    };
    drop(until_written);
    ended
}

async fn record(app: &App, lease: &Lease, stop: &Stop, reading: CardReading, took: Duration) -> Ended {
    let outcome = Outcome {
        decision: reading.decision,
        score: reading.score,
        result: reading.result,
        ocr_text: Some(reading.text),
        engine: app.reader.name().to_owned(),
        reading_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
    };
    let write = || app.store.record_outcome(lease.id, lease.token, outcome.clone());
    match persistently(lease, stop, write).instrument(traces::part("record")).await {
        Ok(document) => {
            crate::failpoint::hit("pipeline.after_record");
            let lane = lease.lane.as_str();
            metrics::histogram!("filot_reading_seconds", "lane" => lane).record(took.as_secs_f64());
            metrics::counter!("filot_readings_succeeded_total", "lane" => lane).increment(1);
            let (decision, range) = (document.verification.as_str(), score_range(document.score));
            metrics::counter!("filot_evaluations_total", "decision" => decision, "score" => range)
                .increment(1);
            finished(app, &document).await;
            Ended::Done
        }
        Err(error) => not_recorded(lease, &error),
    }
}

/// The reader reports a failure.
async fn failed(app: &App, lease: &Lease, stop: &Stop, document: &Document, failure: Failure) -> Ended {
    let code = failure.code;
    match failure.blame {
        Blame::File => fail(app, lease, stop, code, Ended::Done).await,
        Blame::Reader => try_again(app, lease, stop, document, code).await,
        Blame::Neighbour => give_back(app, lease, stop).await,
        Blame::Installation => {
            error!(document = %lease.id, code, "the reader cannot work; see `filot doctor`");
            match give_back(app, lease, stop).await {
                Ended::GivenBack => Ended::Again { reason: "reader_unavailable" },
                other => other,
            }
        }
    }
}

/// Another try, or the end if there were enough.
async fn try_again(app: &App, lease: &Lease, stop: &Stop, document: &Document, code: &'static str) -> Ended {
    if document.attempts >= app.config.service.worker.max_attempts {
        return fail(app, lease, stop, code, Ended::Dead(code)).await;
    }
    warn!(document = %lease.id, code, attempt = document.attempts, "reading failed, trying again");
    match persistently(lease, stop, || app.store.retry(lease.id, lease.token)).await {
        Ok(()) => Ended::Again { reason: code },
        Err(error) => not_recorded(lease, &error),
    }
}

/// Writes how a reading ended, again and again while the database is away: the document was begun, and an outage must
/// not count against it as a reader that died would. After [`OUTAGE`], or when the process has to end, it is left to the
/// lease.
async fn persistently<T, F: Future<Output = store::Result<T>>>(
    lease: &Lease,
    stop: &Stop,
    write: impl Fn() -> F,
) -> store::Result<T> {
    let (since, mut wait) = (Instant::now(), FIRST_WAIT);
    loop {
        match write().await {
            Err(store::Error::Unavailable(error)) if since.elapsed() < OUTAGE => {
                warn!(document = %lease.id, %error, "how the reading ended cannot be written; trying again");
                let interrupted = stop.now.run_until_cancelled(tokio::time::sleep(wait)).await.is_none();
                if interrupted {
                    return Err(store::Error::Unavailable(error));
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            ended => return ended,
        }
    }
}

/// Records that the document cannot be read.
async fn fail(app: &App, lease: &Lease, stop: &Stop, code: &'static str, ended: Ended) -> Ended {
    let write = || app.store.record_failure(lease.id, lease.token, code);
    match persistently(lease, stop, write).await {
        Ok(document) => {
            metrics::counter!("filot_readings_failed_total", "lane" => lease.lane.as_str()).increment(1);
            finished(app, &document).await;
            ended
        }
        Err(error) => not_recorded(lease, &error),
    }
}

/// Gives a begun document back, uncounted.
async fn give_back(app: &App, lease: &Lease, stop: &Stop) -> Ended {
    match persistently(lease, stop, || app.store.release(lease.id, lease.token)).await {
        Ok(()) => Ended::GivenBack,
        Err(error) => not_recorded(lease, &error),
    }
}

async fn finished(app: &App, document: &Document) {
    let outcome = match document.status {
        Status::Failed => document.failure_code.as_deref().unwrap_or("failed").to_owned(),
        _ => document.verification.as_str().to_owned(),
    };
    metrics::counter!("filot_documents_finished_total", "outcome" => outcome.clone()).increment(1);
    let took = app.clock.now().duration_since(document.created_at).as_secs_f64();
    metrics::histogram!("filot_verdict_seconds", "outcome" => outcome.clone()).record(took);
    info!(document = %document.id, %outcome, ms = document.reading_ms, "document finished");
    app.changes.announce(document).await;
}

/// The ranges of scores that dashboards know.
fn score_range(score: Option<u8>) -> &'static str {
    match score {
        Some(85..) => "high",
        Some(50..) => "medium",
        Some(35..) => "low",
        _ => "very_low",
    }
}

/// The result could not be written: because someone else has the document, or because the database is away. In the
/// second case the row stays `processing` until its lease ends.
fn not_recorded(lease: &Lease, error: &store::Error) -> Ended {
    match error {
        store::Error::Illegal(_) | store::Error::Conflict | store::Error::NotFound => {
            info!(document = %lease.id, "someone else has finished it");
            Ended::Done
        }
        error => unavailable(lease, error, "store_unavailable"),
    }
}

fn unavailable(lease: &Lease, error: &dyn std::error::Error, reason: &'static str) -> Ended {
    warn!(document = %lease.id, reason, error = %error, "trying again later");
    Ended::Again { reason }
}
