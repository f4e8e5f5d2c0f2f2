//! The activities: [`Steps`] as Temporal calls them, with heartbeats.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use temporalio_common::error::ApplicationFailure;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use uuid::Uuid;

use crate::step::{Again, Steps};
use crate::wire::{Decided, HandedOver, Reading, Task};

/// Type of the failure of a step that is to be tried again.
const NOT_DONE: &str = "NOT_DONE";

/// A step of a review that the server hears nothing of for so long was interrupted: another worker takes it up.
pub(crate) const ALIVE: Duration = Duration::from_secs(12);

pub(crate) struct Activities {
    pub(crate) steps: Arc<dyn Steps>,
}

#[activities]
impl Activities {
    #[activity(name = "processDocument")]
    pub(crate) async fn read(
        self: Arc<Self>,
        ctx: ActivityContext,
        task: Task,
    ) -> Result<Reading, ActivityError> {
        let attempt = ctx.info().attempt;
        tokio::select! {
            reading = self.steps.read(task.document_id, attempt) => reading.map_err(failure),
            () = ctx.cancelled() => Err(ActivityError::cancelled()),
            never = heartbeat(&ctx, task.lease() / 3) => match never {},
        }
    }

    #[activity(name = "syncWithBuli2")]
    pub(crate) async fn hand_over(
        self: Arc<Self>,
        ctx: ActivityContext,
        review: Uuid,
    ) -> Result<HandedOver, ActivityError> {
        alive(&ctx, self.steps.hand_over(review)).await
    }

    #[activity(name = "fetchExternalDecision")]
    pub(crate) async fn look(
        self: Arc<Self>,
        ctx: ActivityContext,
        review: Uuid,
    ) -> Result<Decided, ActivityError> {
        alive(&ctx, self.steps.look(review)).await
    }
}

/// A step of a review, with the heartbeats that [`ALIVE`] asks for.
async fn alive<T>(
    ctx: &ActivityContext,
    step: impl Future<Output = Result<T, Again>>,
) -> Result<T, ActivityError> {
    tokio::select! {
        done = step => done.map_err(failure),
        never = heartbeat(ctx, ALIVE / 3) => match never {},
    }
}

/// Tells the server again and again that somebody is at it. Reading goes on whether or not it can be told: what counts
/// is the lease of the document's row.
async fn heartbeat(ctx: &ActivityContext, every: Duration) -> Infallible {
    loop {
        tokio::time::sleep(every).await;
        let _ = ctx.record_heartbeat(()).await;
    }
}

fn failure(again: Again) -> ActivityError {
    let failure = ApplicationFailure::builder(again.reason)
        .type_name(NOT_DONE.to_owned())
        .maybe_next_retry_delay(again.after)
        .build();
    ActivityError::application(failure)
}
