//! The workflow of a document: read it; if a person has to decide, wait for the workflow of the review.

use std::time::Duration;

use temporalio_common::RetryPolicy;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::error::{
    ActivityExecutionError, ApplicationFailure, ChildWorkflowExecutionError, TimeoutType,
};
use temporalio_sdk::{
    ActivityOptions, ChildWorkflowOptions, ParentClosePolicy, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination,
};

use crate::activities::Activities;
use crate::review::ReviewWorkflow;
use crate::wire::{
    DOCUMENT_WORKFLOW, DocumentInput, DocumentOutput, Lane, Outcome, Pace, Reading, ReviewInput, Ruling,
    Stage, StageView, Task, WORKFLOW_VERSION, gpu_task_queue, instant, review_workflow_id,
};

/// One try of reading, waiting for a free reader included.
const READING: Duration = Duration::from_secs(10 * 60);

/// Has a document read and waits for a person's verdict where one is needed.
#[workflow]
pub struct DocumentWorkflow {
    input: DocumentInput,
    state: StageView,
}

#[workflow_methods]
impl DocumentWorkflow {
    #[init]
    fn new(ctx: &WorkflowContextView, input: DocumentInput) -> Self {
        Self { input, state: StageView::new(instant(ctx.start_time())) }
    }

    #[run(name = DOCUMENT_WORKFLOW)]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<DocumentOutput> {
        let input = ctx.state(|s| s.input.clone());
        let reading = match read(ctx, &input).await {
            Ok(reading) => reading,
            Err(error) => return Err(ended(ctx, error)),
        };
        let final_decision = match (reading.outcome, reading.review_id) {
            (Outcome::NeedsReview, Some(review_id)) => {
                let review = ReviewInput { review_id, document_id: input.document_id, pace: input.pace };
                decide(ctx, review).await?
            }
            _ => None,
        };
        let now = instant(ctx.workflow_time());
        ctx.state_mut(|s| {
            s.state.enter(Stage::Completed, now.clone());
            s.state.decision = final_decision;
        });
        Ok(DocumentOutput {
            document_id: input.document_id,
            outcome: reading.outcome,
            review_id: reading.review_id,
            final_decision,
            completed_at: now,
            workflow_version: WORKFLOW_VERSION.to_owned(),
        })
    }

    #[query(name = "getWorkflowState")]
    pub(crate) fn stage(&self, _ctx: &WorkflowContextView) -> StageView {
        self.state.clone()
    }
}

/// Asks the GPU readers first where there are some, and the others when none of those comes.
async fn read(
    ctx: &WorkflowContext<DocumentWorkflow>,
    input: &DocumentInput,
) -> Result<Reading, ActivityExecutionError> {
    let task = Task { document_id: input.document_id, lease_ms: input.pace.lease_ms };
    if let Lane::Gpu { patience_ms } = input.lane {
        let options = ActivityOptions::with_start_to_close_timeout(READING)
            .heartbeat_timeout(task.lease())
            .retry_policy(tries(&input.pace))
            .task_queue(gpu_task_queue(ctx.task_queue()))
            .maybe_schedule_to_start_timeout(patience_ms.map(Duration::from_millis))
            .build();
        match ctx.execute_activity(Activities::read, task.clone(), options).await {
            Err(error) if nobody_came(&error) => {}
            reading => return reading,
        }
    }
    let options = ActivityOptions::with_start_to_close_timeout(READING)
        .heartbeat_timeout(task.lease())
        .retry_policy(tries(&input.pace))
        .build();
    ctx.execute_activity(Activities::read, task, options).await
}

fn nobody_came(error: &ActivityExecutionError) -> bool {
    error.as_timeout().is_some_and(|timeout| timeout.timeout_type() == TimeoutType::ScheduleToStart)
}

/// Without an end: whether a document is given up is decided by its row, which knows what its readers died of.
fn tries(pace: &Pace) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_millis(pace.retry_base_ms.max(1)))
        .backoff_coefficient(3.0)
        .maximum_interval(Duration::from_millis(pace.retry_max_ms.max(pace.retry_base_ms).max(1)))
        .build()
}

/// Starts the review's own workflow and waits for it. `None` when another run waits for it already, or the review is gone.
async fn decide(
    ctx: &WorkflowContext<DocumentWorkflow>,
    review: ReviewInput,
) -> Result<Option<Ruling>, WorkflowTermination> {
    let now = instant(ctx.workflow_time());
    ctx.state_mut(|s| s.state.enter(Stage::AwaitingDecision, now));
    let options = ChildWorkflowOptions::builder()
        .workflow_id(review_workflow_id(review.review_id))
        .parent_close_policy(ParentClosePolicy::Abandon)
        .build();
    let Ok(child) = ctx.start_child_workflow(ReviewWorkflow::run, review, options).await else {
        return Ok(None);
    };
    match child.result().await {
        Ok(output) => Ok(output.final_decision),
        Err(error) => Err(undecided(ctx, &error)),
    }
}

/// The review ended without a decision; so does this, for the same reason.
fn undecided(
    ctx: &WorkflowContext<DocumentWorkflow>,
    error: &ChildWorkflowExecutionError,
) -> WorkflowTermination {
    use temporalio_common::error::IncomingError;
    let kind = match error.reason() {
        Some(IncomingError::Application(failure)) => {
            failure.type_name().unwrap_or("REVIEW_FAILED").to_owned()
        }
        _ => "REVIEW_FAILED".to_owned(),
    };
    let now = instant(ctx.workflow_time());
    ctx.state_mut(|s| s.state.fail(kind.clone(), now));
    ApplicationFailure::builder("the review ended without a decision")
        .type_name(kind)
        .non_retryable(true)
        .build()
        .into()
}

fn ended(ctx: &WorkflowContext<DocumentWorkflow>, error: ActivityExecutionError) -> WorkflowTermination {
    let now = instant(ctx.workflow_time());
    if matches!(error, ActivityExecutionError::Cancelled(_)) {
        ctx.state_mut(|s| s.state.enter(Stage::Cancelled, now));
        return WorkflowTermination::cancelled();
    }
    ctx.state_mut(|s| s.state.fail("READING_FAILED".to_owned(), now));
    ApplicationFailure::builder("the reading failed").type_name("READING_FAILED".to_owned()).build().into()
}

impl StageView {
    pub(crate) fn new(started_at: String) -> Self {
        Self {
            status: Stage::Pending,
            retry_count: 0,
            last_error: None,
            buli2_task_id: None,
            decision: None,
            updated_at: started_at.clone(),
            started_at,
        }
    }

    pub(crate) fn enter(&mut self, status: Stage, now: String) {
        self.status = status;
        self.updated_at = now;
    }

    pub(crate) fn fail(&mut self, error: String, now: String) {
        self.last_error = Some(error);
        self.enter(Stage::Failed, now);
    }
}
