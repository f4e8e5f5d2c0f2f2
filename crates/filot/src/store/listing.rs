//! Lists of a user's documents, newest first, page by page.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, DerivePartialModel, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::entity::documents;
use super::rows::natural;
use super::{Result, Store, from_utc, to_utc};
use crate::document::{CardType, DocumentId, Status, UserId, Verification};

/// Which documents to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    pub verification: Option<Verification>,
    pub card_type: Option<CardType>,
}

/// A document as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub id: DocumentId,
    pub card_type: CardType,
    pub status: Status,
    pub verification: Verification,
    pub score: Option<u8>,
    pub decision: Option<String>,
    pub failure_code: Option<String>,
    pub version: u32,
    pub created_at: Timestamp,
    pub processed_at: Option<Timestamp>,
}

impl Summary {
    /// Where the list goes on after this entry.
    pub fn cursor(&self) -> Cursor {
        Cursor { created_at: self.created_at, id: self.id.0 }
    }
}

/// A place in a list. Its text form is opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) created_at: Timestamp,
    pub(super) id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.created_at.as_millisecond().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// A text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that this server gave out")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (time, id) = bytes.split_first_chunk::<8>().ok_or(InvalidCursor)?;
        // A time that no document can have is before or after all of them.
        let milliseconds = i64::from_be_bytes(*time);
        let beyond = if milliseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let created_at = Timestamp::from_millisecond(milliseconds).unwrap_or(beyond);
        Ok(Self { created_at, id: Uuid::from_slice(id).map_err(|_| InvalidCursor)? })
    }
}

#[derive(DerivePartialModel)]
#[sea_orm(entity = "documents::Entity")]
struct Row {
    id: Uuid,
    card_type: String,
    status: String,
    verification_status: String,
    ai_score: Option<i32>,
    ai_decision: Option<String>,
    failure_code: Option<String>,
    version: i32,
    created_at: sea_orm::prelude::DateTimeUtc,
    processed_at: Option<sea_orm::prelude::DateTimeUtc>,
}

impl Store {
    /// Documents of `user`, newest first, from behind `after`; of those that replaced each other only the latest.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn documents_of(
        &self,
        user: UserId,
        filter: &Filter,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Vec<Summary>> {
        use documents::Column as C;
        let mut query =
            documents::Entity::find().filter(C::UserId.eq(user.0)).filter(C::ReplacedBy.is_null());
        if let Some(status) = filter.status {
            query = query.filter(C::Status.eq(status.as_str()));
        }
        if let Some(verification) = filter.verification {
            query = query.filter(C::VerificationStatus.eq(verification.as_str()));
        }
        if let Some(card_type) = filter.card_type {
            query = query.filter(C::CardType.eq(card_type.as_str()));
        }
        if let Some(Cursor { created_at, id }) = after {
            let at = to_utc(created_at);
            query = query.filter(C::CreatedAt.lt(at).or(C::CreatedAt.eq(at).and(C::Id.lt(id))));
        }
        let rows = query
            .order_by_desc(C::CreatedAt)
            .order_by_desc(C::Id)
            .limit(limit)
            .into_partial_model::<Row>()
            .all(&self.db)
            .await?;
        rows.into_iter().map(Summary::try_from).collect()
    }
}

impl TryFrom<Row> for Summary {
    type Error = super::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: DocumentId(row.id),
            card_type: row.card_type.parse()?,
            status: row.status.parse()?,
            verification: row.verification_status.parse()?,
            score: row.ai_score.and_then(|score| u8::try_from(score).ok()),
            decision: row.ai_decision,
            failure_code: row.failure_code,
            version: natural(row.version)?,
            created_at: from_utc(row.created_at),
            processed_at: row.processed_at.map(from_utc),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form_and_nothing_else_is_one() {
        let cursor =
            Cursor { created_at: "2026-11-23T02:00:00.123Z".parse().unwrap(), id: DocumentId::new().0 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "x", "AAAA", &"A".repeat(31), &"A".repeat(33), "%%%"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
