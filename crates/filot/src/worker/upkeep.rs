//! What has to be done from time to time, by any process: lost leases, lost dispatches, effects, forgotten files.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{escalation, sweep};
use crate::app::App;
use crate::config::Process;
use crate::store::EffectKind;

/// A document waiting this long is looked up in the queue again.
const WAITING: SignedDuration = SignedDuration::from_secs(20);
/// How many to look up at a time.
const BATCH: u64 = 500;
/// How long one process has for an effect before another may try.
const EFFECT_LEASE: Duration = Duration::from_secs(60);
/// Between two searches for forgotten files, and between two times that old rows are removed.
const HOURLY: SignedDuration = SignedDuration::from_hours(1);
/// How often to look whether they are due.
const DUE_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// What BULI2 has sent is remembered for so long; what is older could not be told from a new event, but then its review
/// is decided and stays as it is.
const CALLBACKS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Does all of it until `stop`. Handing reviews over may take as long as BULI2 does, and holds up nothing else. A GPU worker
/// looks after the queue alone: the rest needs secrets that it is not given.
pub async fn run_upkeep(app: App, stop: CancellationToken) {
    if app.config.service.process == Process::GpuWorker {
        return run_rounds(&app, &stop).await;
    }
    let checkpoints = crate::audit::keep_checkpoints(&app, &stop);
    let mails = crate::mail::run(&app, &stop);
    let (rounds, sweeps) = (run_rounds(&app, &stop), sweep::run(&app, &stop));
    let clearing = sweep::clear(&app, &stop);
    tokio::join!(rounds, escalation::run(&app, &stop), sweeps, clearing, checkpoints, mails);
}

async fn run_rounds(app: &App, stop: &CancellationToken) {
    let every = Duration::from_millis(app.config.service.worker.reaper_interval_ms);
    let mut looked = None;
    loop {
        look_after_queue(app).await;
        if app.config.service.process != Process::GpuWorker {
            carry_out(app).await;
            let now = app.clock.now();
            if looked.is_none_or(|looked| now.duration_since(looked).abs() >= DUE_INTERVAL) {
                looked = Some(now);
                do_what_is_due(app).await;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// What one process of all does every hour, however often processes start and stop.
async fn do_what_is_due(app: &App) {
    if is_due(app, "purge").await {
        purge(app).await;
    }
}

pub(super) async fn is_due(app: &App, task: &str) -> bool {
    app.store.is_due(task, HOURLY).await.unwrap_or_else(|error| {
        warn!(%error, task, "not known whether it is due");
        false
    })
}

/// Removes rows that nobody needs any more.
async fn purge(app: &App) {
    if let Err(error) = app.store.idempotency_expire().await {
        warn!(%error, "old requests not forgotten");
    }
    if let Err(error) = app.store.forget_allowances().await {
        warn!(%error, "counts of earlier days not forgotten");
    }
    if let Err(error) = app.store.forget_callbacks(app.clock.now() - CALLBACKS_KEPT).await {
        warn!(%error, "old events of BULI2 not forgotten");
    }
    let life = i64::try_from(app.config.service.auth.refresh_token_s).unwrap_or(i64::MAX / 2);
    match app.store.purge(SignedDuration::from_secs(life)).await {
        Ok(gone) => {
            for (table, count) in gone.into_iter().filter(|(_, count)| *count > 0) {
                info!(what = table, count, "old rows removed");
            }
        }
        Err(error) => warn!(%error, "old sessions, links and effects not removed"),
    }
}

/// One round: ended leases, the GPU lane without readers, documents without a job, effects.
pub async fn upkeep_once(app: &App) {
    look_after_queue(app).await;
    carry_out(app).await;
    escalation::escalate_once(app).await;
}

async fn look_after_queue(app: &App) {
    app.decoded.forget_old();
    if let Err(error) = app.store.follow_clock().await {
        warn!(%error, "the clock of the database is not known");
    }
    match app.queue.reap().await {
        Ok(0) => {}
        Ok(count) => info!(count, "leases had ended, their documents are back in line"),
        Err(error) => warn!(%error, "cannot look for ended leases"),
    }
    let gpu = &app.config.service.gpu;
    if gpu.autofallback {
        match app.queue.fall_back(Duration::from_millis(gpu.stuck_timeout_ms)).await {
            Ok(0) => {}
            Ok(count) => {
                metrics::counter!("filot_gpu_fallback_total", "reason" => "no_gpu_reader").increment(count);
                warn!(count, "no GPU reader asks for work: documents moved to the CPU lane");
            }
            Err(error) => warn!(%error, "cannot look after the GPU lane"),
        }
    }
    crate::failpoint::hit("upkeep.after_reap");
    dispatch_unattended(app).await;
}

/// What decisions and deletions have called for.
async fn carry_out(app: &App) {
    app.failed_sign_ins.write(&app.store, app.clock.now()).await;
    if let Err(error) = crate::desk::settle(app).await {
        warn!(%error, "decisions of the desk not carried out");
    }
    crate::failpoint::hit("upkeep.before_effects");
    erase_files(app).await;
    ask_for_retakes(app).await;
}

/// Hands documents on again whose job or workflow is lost. For most there is still one, and nothing happens.
async fn dispatch_unattended(app: &App) {
    let since = app.clock.now() - WAITING;
    let unattended = match app.store.unattended(since, app.makes_jobs_with_rows(), BATCH).await {
        Ok(unattended) => unattended,
        Err(error) => return warn!(%error, "cannot look for documents without a job"),
    };
    let mut lost = 0;
    for (id, account, lane) in unattended {
        match app.workflow.dispatch(&*app.queue, lane, id, account).await {
            Ok(new) => lost += u64::from(new),
            Err(error) => return warn!(%error, "cannot queue documents without a job"),
        }
    }
    if lost > 0 {
        info!(count = lost, "documents had no job and have one again");
    }
}

/// Erases files of deleted documents.
async fn erase_files(app: &App) {
    let erase = app.store.claim_effects(EffectKind::EraseBlob, 50, EFFECT_LEASE).await;
    for effect in erase.unwrap_or_default() {
        let settled = match app.blobs.erase(&effect.subject).await {
            Ok(()) => app.store.effect_done(effect.id).await,
            Err(error) => {
                let wait = Duration::from_secs(30 * u64::from(effect.attempts.min(20)));
                app.store.effect_failed(effect.id, &error.to_string(), wait).await
            }
        };
        if let Err(error) = settled {
            warn!(%error, "an effect was not settled and comes again");
        }
    }
}

/// Makes the links of decisions that ask for another photo.
async fn ask_for_retakes(app: &App) {
    let orders = app.store.claim_effects(EffectKind::Retake, 50, EFFECT_LEASE).await;
    for order in orders.unwrap_or_default() {
        if let Err(error) = crate::retake::ask(app, &order).await {
            warn!(%error, "a customer is not asked for another photo yet");
        }
    }
}
