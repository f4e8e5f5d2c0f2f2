//! The workflow of a review: hand it over, wait for the decision that its row records.

use std::time::Duration;

use temporalio_common::RetryPolicy;
use temporalio_common::data_converters::RawValue;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::error::{ActivityExecutionError, ApplicationFailure};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ActivityOptions, SyncWorkflowContext, TimerOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
};
use uuid::Uuid;

use crate::activities::{ALIVE, Activities};
use crate::wire::{
    Decided, HandedOver, Pace, REVIEW_WORKFLOW, ReviewInput, ReviewOutput, Ruling, Stage, StageView,
    WORKFLOW_VERSION, instant,
};

/// After this the workflow gives up; the review stays open at the desk.
const PATIENCE: Duration = Duration::from_secs(168 * 3600);
/// How many times the first wait the longest wait between two looks at the row is.
const LONGEST_LOOK: u32 = 12;

/// Waits for a person's verdict on a document.
#[workflow]
pub struct ReviewWorkflow {
    input: ReviewInput,
    state: StageView,
    /// A signal has said that there may be a decision.
    woken: bool,
    cancelled: bool,
}

#[workflow_methods]
impl ReviewWorkflow {
    #[init]
    fn new(ctx: &WorkflowContextView, input: ReviewInput) -> Self {
        let state = StageView::new(instant(ctx.start_time()));
        Self { input, state, woken: false, cancelled: false }
    }

    #[run(name = REVIEW_WORKFLOW)]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<ReviewOutput> {
        let input = ctx.state(|s| s.input.clone());
        hand_over(ctx, &input).await?;
        let ruling = wait(ctx, &input).await?;
        let now = instant(ctx.workflow_time());
        ctx.state_mut(|s| {
            s.state.decision = ruling;
            s.state.enter(Stage::Completed, now.clone());
        });
        Ok(ReviewOutput {
            success: ruling.is_some(),
            review_id: input.review_id,
            final_decision: ruling,
            completed_at: now,
            workflow_version: WORKFLOW_VERSION.to_owned(),
        })
    }

    /// There may be a decision. What it is stands in the row, so whatever others send along is not even parsed: what
    /// cannot be parsed would hold the workflow up for good.
    #[signal(name = "reviewDecision")]
    pub(crate) fn decided(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _decision: RawValue) {
        self.woken = true;
    }

    /// Stops waiting. The review itself stays open.
    #[signal(name = "cancelReview")]
    pub(crate) fn cancel(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _reason: RawValue) {
        self.cancelled = true;
    }

    #[query(name = "getWorkflowState")]
    pub(crate) fn stage(&self, _ctx: &WorkflowContextView) -> StageView {
        self.state.clone()
    }

    #[query(name = "getReviewId")]
    pub(crate) fn review_id(&self, _ctx: &WorkflowContextView) -> Uuid {
        self.input.review_id
    }
}

/// To BULI2 or the desk. When that cannot be done for long, the program's upkeep goes on trying, and this on waiting.
async fn hand_over(
    ctx: &WorkflowContext<ReviewWorkflow>,
    input: &ReviewInput,
) -> Result<(), WorkflowTermination> {
    let options = ActivityOptions::with_start_to_close_timeout(Duration::from_secs(120))
        .heartbeat_timeout(ALIVE)
        .retry_policy(
            RetryPolicy::builder()
                .initial_interval(Duration::from_secs(2))
                .backoff_coefficient(2.0)
                .maximum_interval(Duration::from_secs(120))
                .maximum_attempts(5)
                .build(),
        )
        .build();
    let handed = ctx.execute_activity(Activities::hand_over, input.review_id, options).await;
    let now = instant(ctx.workflow_time());
    match handed {
        Ok(HandedOver::Buli2 { ticket }) => ctx.state_mut(|s| {
            s.state.buli2_task_id = Some(ticket);
            s.state.enter(Stage::SentToReviewer, now);
        }),
        Ok(HandedOver::Desk) => ctx.state_mut(|s| s.state.enter(Stage::AwaitingDecision, now)),
        Err(ActivityExecutionError::Cancelled(_)) => return Err(WorkflowTermination::cancelled()),
        Err(_) => ctx.state_mut(|s| {
            s.state.given_up("NOT_HANDED_OVER");
            s.state.enter(Stage::AwaitingDecision, now);
        }),
    }
    Ok(())
}

/// Looks at the row, now and whenever a signal comes or some time has passed, until it is decided.
async fn wait(
    ctx: &WorkflowContext<ReviewWorkflow>,
    input: &ReviewInput,
) -> Result<Option<Ruling>, WorkflowTermination> {
    let first = Duration::from_millis(input.pace.look_ms.max(1));
    let (start, mut pause) = (ctx.workflow_time(), first);
    loop {
        match look(ctx, input).await? {
            Some(Decided::By(ruling)) => return Ok(Some(ruling)),
            Some(Decided::Gone) => return Ok(None),
            Some(Decided::NotYet) | None => {}
        }
        if ctx.state(|s| s.cancelled) {
            return Err(stopped(ctx, Stage::Cancelled, "REVIEW_CANCELLED"));
        }
        let waited = start.zip(ctx.workflow_time()).and_then(|(start, now)| now.duration_since(start).ok());
        let left = PATIENCE.saturating_sub(waited.unwrap_or_default());
        if left.is_zero() {
            return Err(stopped(ctx, Stage::Failed, "REVIEW_TIMEOUT"));
        }
        let nap = ctx.cancellation_token().child_token();
        let mut timer =
            ctx.timer(TimerOptions::builder(pause.min(left)).cancellation_token(nap.clone()).build());
        let mut woken = std::pin::pin!(ctx.wait_condition(|s| s.woken || s.cancelled));
        select! {
            woken = woken => {
                // Else it would go off in the middle of a later nap.
                nap.cancel();
                woken?;
            }
            _ = timer => pause = (pause * 2).min(first * LONGEST_LOOK),
        }
    }
}

/// What the row says; `None` when nobody could look.
async fn look(
    ctx: &WorkflowContext<ReviewWorkflow>,
    input: &ReviewInput,
) -> Result<Option<Decided>, WorkflowTermination> {
    // A signal that comes while somebody looks is not lost: it asks for another look.
    ctx.state_mut(|s| s.woken = false);
    match ctx.execute_activity(Activities::look, input.review_id, looking(&input.pace)).await {
        Ok(decided) => Ok(Some(decided)),
        Err(ActivityExecutionError::Cancelled(_)) => Err(WorkflowTermination::cancelled()),
        Err(_) => {
            ctx.state_mut(|s| s.state.given_up("NOT_LOOKED_UP"));
            Ok(None)
        }
    }
}

fn looking(pace: &Pace) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(5 * 60))
        .heartbeat_timeout(ALIVE)
        .retry_policy(
            RetryPolicy::builder()
                .initial_interval(Duration::from_millis(pace.retry_base_ms.clamp(1, 1000)))
                .backoff_coefficient(2.0)
                .maximum_interval(Duration::from_secs(60))
                .maximum_attempts(5)
                .build(),
        )
        .build()
}

fn stopped(ctx: &WorkflowContext<ReviewWorkflow>, stage: Stage, kind: &str) -> WorkflowTermination {
    let now = instant(ctx.workflow_time());
    ctx.state_mut(|s| {
        s.state.fail(kind.to_owned(), now.clone());
        s.state.enter(stage, now);
    });
    ApplicationFailure::builder("the review is still open")
        .type_name(kind.to_owned())
        .non_retryable(true)
        .build()
        .into()
}

impl StageView {
    fn given_up(&mut self, error: &str) {
        self.retry_count += 1;
        self.last_error = Some(error.to_owned());
    }
}
