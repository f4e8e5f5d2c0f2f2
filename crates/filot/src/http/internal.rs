//! `/internal/*`: for neighbouring services that hold the service key.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, Code, Problem, Result};
use super::extract::{Json, Neighbour};
use crate::document::{DocumentId, Resolution, ReviewId, Verification};
use crate::queue::{Depth, Lane};
use crate::store::{self, Actor, Review, Verdict};

/// Longest note, in characters.
const MAX_NOTES: usize = 1000;

/// A person's verdict. The review is named by itself or by its document.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Decision {
    #[schema(value_type = Option<uuid::Uuid>)]
    review_id: Option<ReviewId>,
    #[schema(value_type = Option<uuid::Uuid>)]
    document_id: Option<DocumentId>,
    decision: Resolution,
    #[schema(max_length = 1000)]
    notes: Option<String>,
}

/// A decided review.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decided {
    success: bool,
    #[schema(value_type = uuid::Uuid)]
    review_id: ReviewId,
    #[schema(value_type = uuid::Uuid)]
    document_id: DocumentId,
    decision: Resolution,
    verification_status: Verification,
}

/// Deliver a person's verdict
///
/// The same verdict again is accepted and changes nothing; another one is a conflict.
#[utoipa::path(post, path = "/internal/reviews", tag = "internal", security(("service" = [])), request_body = Decision,
    responses((status = 200, body = Decided), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "conflict: decided otherwise"), (status = 422, body = Problem)))]
pub(super) async fn decide(
    State(api): State<Api>,
    _: Neighbour,
    Json(body): Json<Decision>,
) -> Result<axum::Json<Decided>> {
    if body.notes.as_ref().is_some_and(|notes| notes.chars().count() > MAX_NOTES) {
        return Err(ApiError::new(Code::InvalidField, "notes may have at most 1000 characters."));
    }
    let review = find(&api, &body).await?;
    let verdict = Verdict {
        resolution: body.decision,
        notes: body.notes,
        reviewer: Actor::Service("reviews".to_owned()),
        expected_version: None,
    };
    let review = match api.app.store.resolve_review(review.id, verdict).await {
        Err(store::Error::Conflict) => {
            let present = api.app.store.review(review.id).await?;
            if present.decision != Some(body.decision) {
                return Err(store::Error::Conflict.into());
            }
            present
        }
        other => other?,
    };
    Ok(axum::Json(Decided {
        success: true,
        review_id: review.id,
        document_id: review.document_id,
        decision: body.decision,
        verification_status: match body.decision {
            Resolution::Approved => Verification::ManuallyApproved,
            Resolution::Rejected => Verification::ManuallyRejected,
        },
    }))
}

async fn find(api: &Api, body: &Decision) -> Result<Review> {
    let review = match (body.review_id, body.document_id) {
        (Some(id), _) => api.app.store.review(id).await?,
        (None, Some(id)) => api.app.store.review_of_document(id).await?.ok_or_else(ApiError::not_found)?,
        (None, None) => {
            return Err(ApiError::new(Code::InvalidField, "reviewId or documentId must be given."));
        }
    };
    match body.document_id {
        Some(id) if id != review.document_id => Err(ApiError::not_found()),
        _ => Ok(review),
    }
}

/// Jobs of a lane.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LaneView {
    /// Could be read now.
    ready: u64,
    /// Wait for their time.
    delayed: u64,
    /// Being read.
    processing: u64,
    /// Given up.
    dead: u64,
}

impl From<Depth> for LaneView {
    fn from(depth: Depth) -> Self {
        Self { ready: depth.ready, delayed: depth.delayed, processing: depth.leased, dead: depth.dead }
    }
}

/// The state of the queue.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueView {
    /// `redis` or `table`.
    #[schema(value_type = String)]
    kind: &'static str,
    cpu: LaneView,
    gpu: LaneView,
}

/// The state of the queue
#[utoipa::path(post, path = "/internal/ocr/queue", tag = "internal", security(("service" = [])),
    responses((status = 200, body = QueueView), (status = 503, body = Problem)))]
pub(super) async fn queue(State(api): State<Api>, _: Neighbour) -> Result<axum::Json<QueueView>> {
    let queue = &api.app.queue;
    let (cpu, gpu) = tokio::try_join!(queue.depth(Lane::Cpu), queue.depth(Lane::Gpu))?;
    Ok(axum::Json(QueueView { kind: queue.kind(), cpu: cpu.into(), gpu: gpu.into() }))
}
