//! What stands in histories: inputs, results, signals, queries. A change here is a change of what running workflows
//! have been promised; `tests/replay.rs` holds it against saved histories.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Type of the workflow that has a document read.
pub(crate) const DOCUMENT_WORKFLOW: &str = "filot.ocrs.workflow";
/// Type of the workflow that waits for a person's verdict.
pub(crate) const REVIEW_WORKFLOW: &str = "kycReviewWorkflow";
/// What results say about the shape of the workflow that made them.
pub(crate) const WORKFLOW_VERSION: &str = "1.1.0";

/// Id of the workflow of a document: one at a time runs under it.
pub fn document_workflow_id(document: Uuid) -> String {
    format!("filot-document-{document}")
}

/// Id of the workflow of a review.
pub fn review_workflow_id(review: Uuid) -> String {
    format!("kyc-review-{review}")
}

/// Name of the task queue of GPU readers beside `task_queue`.
pub(crate) fn gpu_task_queue(task_queue: &str) -> String {
    format!("{task_queue}-gpu")
}

/// How fast things go. Part of the input, so that a workflow keeps the pace that it was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// A reader not heard of for so long has lost its document.
    pub lease_ms: u64,
    /// First wait before another try; triples each time.
    pub retry_base_ms: u64,
    /// Longest wait before another try.
    pub retry_max_ms: u64,
    /// First wait before the row of an open review is looked at without a signal; doubles up to twelve times that.
    pub look_ms: u64,
}

/// Which readers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum Lane {
    Cpu,
    /// After `patience_ms` without a GPU reader the others are asked; never, if it is `None`.
    Gpu {
        patience_ms: Option<u64>,
    },
}

/// What the workflow of a document starts with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentInput {
    pub document_id: Uuid,
    pub lane: Lane,
    pub pace: Pace,
}

/// What it ends with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentOutput {
    pub document_id: Uuid,
    pub outcome: Outcome,
    pub review_id: Option<Uuid>,
    /// What a person decided, if one was asked and the workflow saw it.
    pub final_decision: Option<Ruling>,
    /// RFC 3339.
    pub completed_at: String,
    pub workflow_version: String,
}

/// What the activity `processDocument` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    pub(crate) document_id: Uuid,
    pub(crate) lease_ms: u64,
}

impl Task {
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

/// How a document ended, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Approved,
    Rejected,
    /// A person has to decide, or has decided.
    NeedsReview,
    /// It could not be read.
    Failed,
    /// It was deleted.
    Gone,
}

/// The end of a reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    pub outcome: Outcome,
    /// The review, when the outcome is [`Outcome::NeedsReview`].
    pub review_id: Option<Uuid>,
}

/// What the workflow of a review starts with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewInput {
    pub review_id: Uuid,
    pub document_id: Uuid,
    pub pace: Pace,
}

/// What it ends with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewOutput {
    pub success: bool,
    pub review_id: Uuid,
    /// `None` when document and review were deleted.
    pub final_decision: Option<Ruling>,
    /// RFC 3339.
    pub completed_at: String,
    pub workflow_version: String,
}

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    Approved,
    Rejected,
    /// Rejected, and the customer is asked for another photo, which comes as a document of its own.
    Retake,
}

/// To whom a review has been handed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandedOver {
    /// The external reviewers, under this ticket.
    Buli2 { ticket: String },
    /// The program's own desk, or nobody any more: it is decided, or gone.
    Desk,
}

/// What the row of a review says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    NotYet,
    By(Ruling),
    /// It was deleted.
    Gone,
}

/// What this program sends with the signal `reviewDecision`, for people who read histories. It wakes the workflow, which
/// then looks at the row: a signal decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewDecision {
    pub(crate) decision: Ruling,
}

/// How far a workflow is, as the query `getWorkflowState` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Pending,
    SentToReviewer,
    AwaitingDecision,
    Completed,
    Failed,
    Cancelled,
}

/// Answer to the query `getWorkflowState`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageView {
    pub status: Stage,
    /// Activities that were given up after all their tries.
    pub retry_count: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub buli2_task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decision: Option<Ruling>,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A time of the workflow's own clock.
pub(crate) fn instant(time: Option<std::time::SystemTime>) -> String {
    time.and_then(|time| jiff::Timestamp::try_from(time).ok())
        .map_or_else(String::new, |time| time.to_string())
}
