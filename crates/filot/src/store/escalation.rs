//! What becomes of a review that external reviewers are asked about: their ticket, or back to FiLot's own.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::audit::{Actor, AuditEntry};
use super::entity::{documents, reviews};
use super::outbox::EffectKind;
use super::reviews::{ReviewRoute, ReviewStatus};
use super::{Error, Result, Store, Write, to_utc};
use crate::document::ReviewId;

impl Store {
    /// The external reviewers have taken the review under `ticket`, so it need not be sent again. The first ticket
    /// stays: a second one for the same review is not ours.
    ///
    /// # Errors
    /// When the database does not answer. A review that was deleted in the meantime is none.
    pub async fn ticket_given(&self, id: ReviewId, ticket: &str) -> Result<()> {
        let tx = self.begin().await?;
        match self.hold_with_document(&tx, id).await {
            Ok((review, _)) => self.note_ticket(&tx, &review, ticket).await?,
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.settle(&tx, EffectKind::Escalate, &id.to_string(), None).await?;
        crate::failpoint::hit("store.ticket.before_commit");
        tx.commit().await?;
        crate::failpoint::hit("store.ticket.after_commit");
        Ok(())
    }

    /// Writes the ticket down with review and document, both held, unless there is one.
    pub(super) async fn note_ticket(&self, tx: &Write, review: &reviews::Model, ticket: &str) -> Result<()> {
        if review.ticket_id.is_some() {
            return Ok(());
        }
        let change = reviews::ActiveModel {
            id: Set(review.id),
            ticket_id: Set(Some(ticket.to_owned())),
            updated_at: Set(self.now()),
            ..Default::default()
        };
        change.update(&tx.tx).await?;
        let copy = documents::ActiveModel {
            id: Set(review.document_id),
            buli2_ticket_id: Set(Some(ticket.to_owned())),
            ..Default::default()
        };
        copy.update(&tx.tx).await?;
        let entry = AuditEntry {
            actor: &Actor::System,
            action: "review.ticket",
            subject: format!("document:{}", review.document_id),
            reason: None,
            before: None,
            after: Some(ticket.to_owned()),
        };
        self.write_audit(tx, entry).await
    }

    /// Hands a review to FiLot's own reviewers for the reason `why`, and no longer asks others. One that is decided, or
    /// theirs already, stays as it is.
    ///
    /// # Errors
    /// When the database does not answer. A review that was deleted in the meantime is none.
    pub async fn hand_to_desk(&self, id: ReviewId, why: &str) -> Result<()> {
        let tx = self.begin().await?;
        let review = reviews::Entity::find_by_id(id.0).lock_exclusive().one(&tx.tx).await?;
        let open = review.filter(|review| {
            review.status == ReviewStatus::Pending.as_str() && review.route == ReviewRoute::Buli2.as_str()
        });
        if let Some(review) = open {
            // The version stays: nothing that a reviewer looks at has changed.
            let change = reviews::ActiveModel {
                id: Set(review.id),
                route: Set(ReviewRoute::Desk.as_str().to_owned()),
                updated_at: Set(self.now()),
                ..Default::default()
            };
            change.update(&tx.tx).await?;
            let entry = AuditEntry {
                actor: &Actor::System,
                action: "review.route",
                subject: format!("document:{}", review.document_id),
                reason: Some(why),
                before: Some(ReviewRoute::Buli2.as_str().to_owned()),
                after: Some(ReviewRoute::Desk.as_str().to_owned()),
            };
            self.write_audit(&tx, entry).await?;
        }
        self.settle(&tx, EffectKind::Escalate, &id.to_string(), Some(why)).await?;
        tx.commit().await
    }

    /// Undecided reviews that were handed to the external reviewers before `opened_before`, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn overdue_escalations(
        &self,
        opened_before: jiff::Timestamp,
        limit: u64,
    ) -> Result<Vec<ReviewId>> {
        let ids: Vec<uuid::Uuid> = reviews::Entity::find()
            .select_only()
            .column(reviews::Column::Id)
            .filter(reviews::Column::Route.eq(ReviewRoute::Buli2.as_str()))
            .filter(reviews::Column::Status.eq(ReviewStatus::Pending.as_str()))
            .filter(reviews::Column::CreatedAt.lt(to_utc(opened_before)))
            .order_by_asc(reviews::Column::CreatedAt)
            .limit(limit)
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(ids.into_iter().map(ReviewId).collect())
    }
}
