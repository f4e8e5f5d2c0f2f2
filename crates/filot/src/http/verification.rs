//! `/verification/*`: the verdict, and asking a person for one.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::documents::instant;
use super::error::{Problem, Result};
use super::extract::Id;
use super::owner;
use crate::auth::Caller;
use crate::document::{DocumentId, Resolution, ReviewId, Verification};
use crate::retake::Advice;
use crate::store::{Actor, Review, ReviewStatus};

/// A review as its document's owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReviewView {
    #[schema(value_type = uuid::Uuid)]
    review_id: ReviewId,
    status: ReviewStatus,
    decision: Option<Resolution>,
    /// What the decision means for the owner, in Bahasa Indonesia and English.
    notes: Option<String>,
    /// The same, each language by itself.
    sentence: Option<Advice>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<Review> for ReviewView {
    fn from(review: Review) -> Self {
        let sentence = owner::sentence(&review);
        Self {
            review_id: review.id,
            status: review.status,
            decision: review.decision,
            notes: sentence.map(|sentence| format!("{} / {}", sentence.id, sentence.en)),
            sentence: sentence.map(Advice::from),
            created_at: instant(review.created_at),
            updated_at: instant(review.updated_at),
        }
    }
}

/// Where the verification of a document stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerificationView {
    #[schema(value_type = uuid::Uuid)]
    document_id: DocumentId,
    verification_status: Verification,
    /// The same, or `review_result` when a person has decided.
    status: String,
    ai_score: Option<u8>,
    ai_decision: Option<String>,
    buli2_ticket_id: Option<String>,
    /// The review, if a person was asked.
    result: Option<ReviewView>,
}

/// Where the verification of one of my documents stands
#[utoipa::path(get, path = "/verification/status/{id}", tag = "verification", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), responses((status = 200, body = VerificationView)))]
pub(super) async fn status(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<axum::Json<VerificationView>> {
    let document = api.app.store.document_of(caller.user, id).await?;
    let review = api.app.store.review_of_document(id).await?;
    let decided =
        matches!(document.verification, Verification::ManuallyApproved | Verification::ManuallyRejected);
    let status = if decided { "review_result" } else { document.verification.as_str() };
    Ok(axum::Json(VerificationView {
        document_id: id,
        verification_status: document.verification,
        status: status.to_owned(),
        ai_score: document.score,
        ai_decision: document.decision,
        buli2_ticket_id: document.ticket_id,
        result: review.map(ReviewView::from),
    }))
}

/// That a person will decide.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Escalated {
    #[schema(value_type = String)]
    message: &'static str,
    #[schema(value_type = uuid::Uuid)]
    review_id: ReviewId,
    /// Ticket of the external reviewer, once there is one.
    ticket_id: Option<String>,
    status: ReviewStatus,
    verification_status: Verification,
}

/// Ask for a person's verdict on one of my documents
///
/// Asking again changes nothing.
#[utoipa::path(post, path = "/verification/{id}/escalate", tag = "verification", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = Escalated), (status = 409, body = Problem, description = "conflict: not read yet, or decided by a person")))]
pub(super) async fn escalate(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<DocumentId>,
) -> Result<axum::Json<Escalated>> {
    api.app.store.document_of(caller.user, id).await?;
    let review = api.app.store.escalate(id, &Actor::User(caller.user)).await?;
    api.app.workflow.review_opened(review.id, id);
    Ok(axum::Json(Escalated {
        message: "A person will look at the document",
        review_id: review.id,
        ticket_id: review.ticket_id,
        status: review.status,
        verification_status: Verification::PendingManualReview,
    }))
}
