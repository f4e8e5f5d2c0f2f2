//! The feed of what happened to documents, without gaps and without personal data.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::entity::{documents, events};
use super::rows::natural;
use super::{Result, Store, Write, from_utc};
use crate::document::{DocumentId, Status, UserId, Verification, spelled};

spelled! {
    /// What happened.
    EventKind {
        /// A reading came to a decision.
        Completed = "document.completed",
        /// A reading was given up.
        Failed = "document.failed",
        /// A person was asked.
        Escalated = "document.escalated",
        /// A person decided.
        Resolved = "document.resolved",
        Deleted = "document.deleted",
    }
}

/// One entry of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Position in the feed. Whoever has seen one has seen all before it.
    pub seq: i64,
    pub id: Uuid,
    pub kind: EventKind,
    pub document_id: DocumentId,
    pub user_id: UserId,
    pub generation: u32,
    pub status: Status,
    pub verification: Verification,
    pub at: jiff::Timestamp,
}

impl Store {
    /// The entries after `seq`, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn events_after(&self, seq: i64, limit: u64) -> Result<Vec<Event>> {
        let rows = events::Entity::find()
            .filter(events::Column::Seq.gt(seq))
            .order_by_asc(events::Column::Seq)
            .limit(limit)
            .all(&self.db)
            .await?;
        rows.into_iter().map(Event::try_from).collect()
    }

    /// Adds an entry. To be called last in a transaction: from here to the commit other writers of entries wait, so
    /// that entries become visible in the order of their numbers.
    pub(super) async fn emit(
        &self,
        tx: &Write,
        row: &documents::Model,
        kind: EventKind,
        verdict_of: Option<i32>,
    ) -> Result<()> {
        if self.backend() == DbBackend::Postgres {
            tx.execute_unprepared("SELECT pg_advisory_xact_lock(4608502)").await?;
        }
        let event = events::ActiveModel {
            id: Set(Uuid::now_v7()),
            document_id: Set(row.id),
            user_id: Set(row.user_id),
            generation: Set(row.generation),
            verdict_of: Set(verdict_of),
            kind: Set(kind.as_str().to_owned()),
            status: Set(row.status.clone()),
            verification_status: Set(row.verification_status.clone()),
            at: Set(self.now()),
            ..Default::default()
        };
        event.insert(&tx.tx).await?;
        Ok(())
    }
}

impl TryFrom<events::Model> for Event {
    type Error = super::Error;

    fn try_from(row: events::Model) -> Result<Self> {
        Ok(Self {
            seq: row.seq,
            id: row.id,
            kind: row.kind.parse()?,
            document_id: DocumentId(row.document_id),
            user_id: UserId(row.user_id),
            generation: natural(row.generation)?,
            status: row.status.parse()?,
            verification: row.verification_status.parse()?,
            at: from_utc(row.at),
        })
    }
}
