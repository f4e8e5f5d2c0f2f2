//! Handing reviews to BULI2, and to FiLot's own desk when there is no BULI2, when it refuses, or takes too long.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, warn};

use super::backoff;
use crate::app::App;
use crate::buli2::{Buli2, Failure};
use crate::document::ReviewId;
use crate::store::{self, Effect, EffectKind, ReviewRoute, ReviewStatus};
use crate::telemetry::traces;

/// Reviews settled in one step where no call is made.
const BATCH: u32 = 200;

/// Does so until `stop`.
pub(super) async fn run(app: &App, stop: &CancellationToken) {
    let every = Duration::from_millis(app.config.service.worker.reaper_interval_ms);
    // Dropped in the middle of a call, the review comes again when its lease ends, under the same idempotency key.
    stop.run_until_cancelled(async {
        loop {
            escalate_once(app).await;
            tokio::time::sleep(every).await;
        }
    })
    .await;
}

/// One round: everything that is due and that the breaker lets through.
pub async fn escalate_once(app: &App) {
    if let Err(error) = take_over(app).await {
        warn!(%error, "cannot look for reviews that BULI2 keeps waiting");
    }
    let round = match &app.buli2 {
        Some(buli2) => hand_over(app, buli2).await,
        None => settle(app).await,
    };
    if let Err(error) = round {
        warn!(%error, "reviews not handed over and come again");
    }
}

/// Takes back what BULI2 has not decided in time; all of it when there is no BULI2 any more.
async fn take_over(app: &App) -> store::Result<()> {
    let (patience, why) = match &app.buli2 {
        Some(_) => (app.config.service.buli2.desk_after_s, "buli2_too_late"),
        None => (0, "buli2_removed"),
    };
    let patience = SignedDuration::from_secs(i64::try_from(patience).unwrap_or(i64::MAX));
    let Ok(opened_before) = app.clock.now().checked_sub(patience) else { return Ok(()) };
    for id in app.store.overdue_escalations(opened_before, BATCH.into()).await? {
        app.store.hand_to_desk(id, why).await?;
        info!(review = %id, why, "the desk takes over");
    }
    Ok(())
}

/// The open review is all that the desk needs.
async fn settle(app: &App) -> store::Result<()> {
    for effect in app.store.claim_effects(EffectKind::Escalate, BATCH, Duration::from_secs(60)).await? {
        crate::failpoint::hit("upkeep.before_effect_done");
        app.store.effect_done(effect.id).await?;
        crate::failpoint::hit("upkeep.after_effect_done");
    }
    Ok(())
}

async fn hand_over(app: &App, buli2: &Buli2) -> store::Result<()> {
    let config = &app.config.service.buli2;
    // A call ends before the lease does, and with it the only way to make it twice at a time.
    let lease = Duration::from_millis(config.timeout_ms * 2 + 1000);
    loop {
        let permits = buli2.permits(config.concurrency, app.clock.now());
        let limit = u32::try_from(permits).unwrap_or(u32::MAX);
        if limit == 0 {
            return Ok(());
        }
        let effects = match app.store.claim_effects(EffectKind::Escalate, limit, lease).await {
            Ok(effects) if !effects.is_empty() => effects,
            none => {
                buli2.give_back();
                return none.map(|_| ());
            }
        };
        let calls = effects.iter().map(|effect| send(app, buli2, effect));
        join_all(calls).await.into_iter().collect::<store::Result<()>>()?;
    }
}

/// Hands one review over and writes down what came of it.
async fn send(app: &App, buli2: &Buli2, effect: &Effect) -> store::Result<()> {
    let Ok(id) = effect.subject.parse::<ReviewId>() else {
        buli2.give_back();
        return app.store.effect_done(effect.id).await;
    };
    let review = match app.store.review(id).await {
        Ok(review) if review.status == ReviewStatus::Pending && review.route == ReviewRoute::Buli2 => review,
        // Decided, deleted, or the desk's: there is nothing to ask any more.
        Ok(_) | Err(store::Error::NotFound) => {
            buli2.give_back();
            return app.store.effect_done(effect.id).await;
        }
        Err(error) => {
            buli2.give_back();
            return Err(error);
        }
    };
    let document = match app.store.document(review.document_id).await {
        Ok(document) => document,
        Err(error) => {
            buli2.give_back();
            return Err(error);
        }
    };
    let trace = traces::escalation(document.id);
    crate::failpoint::hit("escalation.before_call");
    let ended = buli2.hand_over(&review, &document, || app.clock.now()).instrument(trace).await;
    crate::failpoint::hit("escalation.after_call");
    let outcome = match &ended {
        Ok(_) => "taken",
        Err(Failure::Passing { .. }) => "failed",
        Err(Failure::Refused(_)) => "refused",
    };
    metrics::counter!("filot_buli2_calls_total", "outcome" => outcome).increment(1);
    match ended {
        Ok(ticket) => app.store.ticket_given(id, &ticket).await,
        Err(Failure::Refused(status)) => {
            warn!(review = %id, status, "BULI2 refuses the review; the desk takes over");
            app.store.hand_to_desk(id, &format!("buli2_refused_{status}")).await
        }
        Err(Failure::Passing { what, retry_after }) => {
            let config = &app.config.service.buli2;
            let wait = backoff(config.retry_base_ms, config.retry_max_ms, effect.attempts);
            let wait = wait.max(retry_after.unwrap_or_default());
            warn!(review = %id, what, attempt = effect.attempts, wait_s = wait.as_secs(), "BULI2 has not taken it");
            app.store.effect_failed(effect.id, &what, wait).await
        }
    }
}
