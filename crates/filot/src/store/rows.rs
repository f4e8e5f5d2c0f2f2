//! From rows to the types of [`crate::document`], and back.

use filot_cards::decide::Decision;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::entity::documents;
use super::{Error, Result, Store, Write, from_utc};
use crate::document::{Command, Document, DocumentId, State, UserId};

impl TryFrom<documents::Model> for Document {
    type Error = Error;

    fn try_from(row: documents::Model) -> Result<Self> {
        Ok(Self {
            id: DocumentId(row.id),
            user_id: UserId(row.user_id),
            card_type: row.card_type.parse()?,
            blob_key: row.file_url,
            status: row.status.parse()?,
            verification: row.verification_status.parse()?,
            score: row.ai_score.map(u8::try_from).transpose().map_err(|_| Error::Corrupt("score"))?,
            decision: row.ai_decision,
            result: row.result_json.map(|json| json.0),
            ocr_text: row.ocr_text,
            ticket_id: row.buli2_ticket_id,
            failure_code: row.failure_code,
            content_hash: row.content_hash,
            media_type: row.media_type,
            byte_size: u64::try_from(row.byte_size).map_err(|_| Error::Corrupt("size"))?,
            engine: row.engine,
            reading_ms: row.reading_ms.and_then(|ms| u32::try_from(ms).ok()),
            generation: natural(row.generation)?,
            version: natural(row.version)?,
            attempts: natural(row.attempts)?,
            replaces: row.replaces.map(DocumentId),
            replaced_by: row.replaced_by.map(DocumentId),
            retakes: natural(row.retakes)?,
            created_at: from_utc(row.created_at),
            updated_at: from_utc(row.updated_at),
            processed_at: row.processed_at.map(from_utc),
        })
    }
}

pub(super) fn natural(count: i32) -> Result<u32> {
    u32::try_from(count).map_err(|_| Error::Corrupt("count"))
}

fn column(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// What the rules of [`State`] look at.
pub(super) fn state_of(row: &documents::Model) -> Result<State> {
    Ok(State {
        status: row.status.parse()?,
        verification: row.verification_status.parse()?,
        generation: natural(row.generation)?,
        attempts: natural(row.attempts)?,
        fence: row.fence,
    })
}

/// The decision that a row holds.
pub(super) fn decision_column(decision: Decision) -> String {
    crate::document::decision_name(decision).to_owned()
}

impl Store {
    /// The row of a document, held against other writers until the transaction ends.
    pub(super) async fn hold(&self, tx: &Write, id: DocumentId) -> Result<documents::Model> {
        documents::Entity::find_by_id(id.0).lock_exclusive().one(&tx.tx).await?.ok_or(Error::NotFound)
    }

    /// Applies `command` to `row` and writes the new state together with `change`.
    ///
    /// # Errors
    /// `Illegal` when the rules forbid it, `Conflict` when the row is no longer the one that was loaded.
    pub(super) async fn advance(
        &self,
        tx: &Write,
        row: &documents::Model,
        command: Command,
        change: documents::ActiveModel,
    ) -> Result<documents::Model> {
        let next = state_of(row)?.apply(command)?;
        let change = documents::ActiveModel {
            status: Set(next.status.as_str().to_owned()),
            verification_status: Set(next.verification.as_str().to_owned()),
            generation: Set(column(next.generation)),
            attempts: Set(column(next.attempts)),
            fence: Set(next.fence),
            version: Set(row.version + 1),
            updated_at: Set(self.now()),
            ..change
        };
        let changed = documents::Entity::update_many()
            .set(change)
            .filter(documents::Column::Id.eq(row.id))
            .filter(documents::Column::Version.eq(row.version))
            .filter(documents::Column::Status.eq(row.status.as_str()))
            .exec_with_returning(&tx.tx)
            .await?;
        changed.into_iter().next().ok_or(Error::Conflict)
    }
}
