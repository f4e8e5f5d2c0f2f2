//! Reviews: the one way in which a person changes a verdict.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::audit::Actor;
use super::entity::{documents, reviews};
use super::events::EventKind;
use super::outbox::EffectKind;
use super::rows::natural;
use super::{Error, Result, Store, Write, from_utc};
use crate::document::{Command, DocumentId, Resolution, ReviewId, UserId, Verification, spelled};

spelled! {
    /// How far a review is.
    ReviewStatus {
        Pending = "pending",
        Approved = "approved",
        Rejected = "rejected",
    }
}

spelled! {
    /// Who is asked for the verdict of a review. A person of either side may give it.
    ReviewRoute {
        /// FiLot's own reviewers.
        Desk = "desk",
        /// The external reviewers, until they refuse or take too long.
        Buli2 = "buli2",
    }
}

/// One review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    pub id: ReviewId,
    pub document_id: DocumentId,
    pub user_id: UserId,
    pub generation: u32,
    pub status: ReviewStatus,
    pub route: ReviewRoute,
    pub decision: Option<Resolution>,
    pub notes: Option<String>,
    /// Who decided, as [`Actor`] spells it.
    pub reviewer: Option<String>,
    /// Ticket of the external reviewer.
    pub ticket_id: Option<String>,
    /// Counts the changes; what `If-Match` compares.
    pub version: u32,
    pub created_at: jiff::Timestamp,
    pub updated_at: jiff::Timestamp,
    pub decided_at: Option<jiff::Timestamp>,
    /// Whose turn it is at the desk.
    pub stage: super::Stage,
    /// The officer who has it before them, and until when unless they give a sign.
    pub claimed: Option<(UserId, jiff::Timestamp)>,
    /// Codes of the checks that brought it here, or of the failure.
    pub reasons: Vec<String>,
    /// The reason of the decision, if it was made at the desk.
    pub reason: Option<String>,
    /// What BULI2 said where that did not decide it.
    pub buli2_answer: Option<Resolution>,
    /// When the officer who has it before them opened the picture.
    pub seen_at: Option<jiff::Timestamp>,
}

impl Review {
    /// Whether `officer` has it before them at this moment.
    pub fn is_held_by(&self, officer: UserId, now: jiff::Timestamp) -> bool {
        self.status == ReviewStatus::Pending
            && self.claimed.is_some_and(|(by, until)| by == officer && until > now)
    }
}

/// A person's decision.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub resolution: Resolution,
    pub notes: Option<String>,
    pub reviewer: Actor,
    /// The version that the person was looking at.
    pub expected_version: Option<u32>,
}

impl Store {
    /// A review.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn review(&self, id: ReviewId) -> Result<Review> {
        reviews::Entity::find_by_id(id.0).one(&self.db).await?.ok_or(Error::NotFound)?.try_into()
    }

    /// The latest review of a document, if there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn review_of_document(&self, id: DocumentId) -> Result<Option<Review>> {
        let row = reviews::Entity::find()
            .filter(reviews::Column::DocumentId.eq(id.0))
            .order_by_desc(reviews::Column::Generation)
            .one(&self.db)
            .await?;
        row.map(Review::try_from).transpose()
    }

    /// All reviews of a document, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reviews_of_document(&self, id: DocumentId) -> Result<Vec<Review>> {
        let rows = reviews::Entity::find()
            .filter(reviews::Column::DocumentId.eq(id.0))
            .order_by_asc(reviews::Column::Generation)
            .all(&self.db)
            .await?;
        rows.into_iter().map(Review::try_from).collect()
    }

    /// Asks for a person's verdict. If one is already asked for, that review is returned and nothing changes.
    ///
    /// # Errors
    /// `Illegal` while the document is being read, or when a person has decided.
    pub async fn escalate(&self, id: DocumentId, actor: &Actor) -> Result<Review> {
        let tx = self.begin().await?;
        let row = self.hold(&tx, id).await?;
        if row.verification_status == Verification::PendingManualReview.as_str() {
            drop(tx);
            return self.review_of_document(id).await?.ok_or(Error::Corrupt("review"));
        }
        let (_, review) = self.open_for(&tx, &row, actor).await?;
        crate::failpoint::hit("store.escalate.before_commit");
        tx.commit().await?;
        review.try_into()
    }

    /// A document that has just been read, or could not be, goes to a person within the same transaction.
    pub(super) async fn escalate_within(
        &self,
        tx: &Write,
        row: &documents::Model,
    ) -> Result<documents::Model> {
        Ok(self.open_for(tx, row, &Actor::System).await?.0)
    }

    async fn open_for(
        &self,
        tx: &Write,
        row: &documents::Model,
        actor: &Actor,
    ) -> Result<(documents::Model, reviews::Model)> {
        let next = self.advance(tx, row, Command::Escalate, Default::default()).await?;
        let review = self.open_review(tx, &next).await?;
        self.record_change(tx, actor, "document.escalate", row, Some(&next), None).await?;
        self.emit(tx, &next, EventKind::Escalated, None).await?;
        Ok((next, review))
    }

    /// A person decides: review, document, audit and event in one.
    ///
    /// # Errors
    /// `Conflict` when it has been decided already, or is no longer the version that the person saw.
    pub async fn resolve_review(&self, id: ReviewId, verdict: Verdict) -> Result<Review> {
        let tx = self.begin().await?;
        let (decided, _) = self.resolve_within(&tx, id, verdict).await?;
        crate::failpoint::hit("store.resolve.before_commit");
        tx.commit().await?;
        decided.try_into()
    }

    /// The same within a transaction that does more.
    pub(super) async fn resolve_within(
        &self,
        tx: &Write,
        id: ReviewId,
        verdict: Verdict,
    ) -> Result<(reviews::Model, documents::Model)> {
        let (review, row) = self.hold_with_document(tx, id).await?;
        // Whoever is at the desk with it has been quicker, also while their ruling can still be undone.
        if self.has_rulings(tx, review.id).await? {
            return Err(Error::Conflict);
        }
        let seen = verdict.expected_version.is_none_or(|v| natural(review.version).is_ok_and(|own| own == v));
        if !seen || review.status != ReviewStatus::Pending.as_str() {
            return Err(Error::Conflict);
        }
        let command = Command::Resolve(verdict.resolution);
        let next = self.advance(tx, &row, command, Default::default()).await?;
        let now = self.now();
        let change = reviews::ActiveModel {
            status: Set(verdict.resolution.as_str().to_owned()),
            decision: Set(Some(verdict.resolution.as_str().to_owned())),
            notes: Set(verdict.notes),
            reviewer: Set(Some(verdict.reviewer.to_string())),
            version: Set(review.version + 1),
            decided_at: Set(Some(now)),
            ..Default::default()
        };
        let decided = self.change_review(tx, &review, change).await?;
        self.record_change(tx, &verdict.reviewer, "review.resolve", &row, Some(&next), None).await?;
        self.emit(tx, &next, EventKind::Resolved, None).await?;
        Ok((decided, next))
    }

    /// Opens the review of a document that has just come to wait for one.
    pub(super) async fn open_review(
        &self,
        tx: &Write,
        document: &documents::Model,
    ) -> Result<reviews::Model> {
        let now = self.now();
        let id = Uuid::now_v7();
        let review = reviews::ActiveModel {
            id: Set(id),
            document_id: Set(document.id),
            user_id: Set(document.user_id),
            generation: Set(document.generation),
            status: Set(ReviewStatus::Pending.as_str().to_owned()),
            route: Set(self.route.as_str().to_owned()),
            stage: Set(super::Stage::First.as_str().to_owned()),
            reasons: Set(Some(super::desk::reasons_of(document))),
            version: Set(1),
            created_at: Set(now),
            updated_at: Set(now),
            ..Default::default()
        };
        let review = review.insert(&tx.tx).await?;
        self.ask_for(tx, EffectKind::Escalate, &id.to_string()).await?;
        Ok(review)
    }
}

impl TryFrom<reviews::Model> for Review {
    type Error = Error;

    fn try_from(row: reviews::Model) -> Result<Self> {
        Ok(Self {
            id: ReviewId(row.id),
            document_id: DocumentId(row.document_id),
            user_id: UserId(row.user_id),
            generation: natural(row.generation)?,
            status: row.status.parse()?,
            route: row.route.parse()?,
            decision: row.decision.map(|word| word.parse()).transpose()?,
            notes: row.notes,
            reviewer: row.reviewer,
            ticket_id: row.ticket_id,
            version: natural(row.version)?,
            created_at: from_utc(row.created_at),
            updated_at: from_utc(row.updated_at),
            decided_at: row.decided_at.map(from_utc),
            stage: row.stage.parse()?,
            claimed: row.claimed_by.map(UserId).zip(row.claimed_until.map(from_utc)),
            reasons: row.reasons.map(|codes| super::desk::split_reasons(&codes)).unwrap_or_default(),
            reason: row.reason,
            buli2_answer: row.buli2_answer.map(|word| word.parse()).transpose()?,
            seen_at: row.seen_at.map(from_utc),
        })
    }
}
