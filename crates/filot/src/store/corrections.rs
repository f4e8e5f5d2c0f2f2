//! What officers say that a card says.

use filot_cards::field::FieldKey;
use jiff::Timestamp;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::desk::Officer;
use super::entity::{corrections, reviews};
use super::rows::natural;
use super::{Error, Result, ReviewStatus, Store, from_utc};
use crate::audit::{commitment, correction_text};
use crate::document::{ReviewId, UserId};

/// A correction, or a confirmation where both values are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Random, and known nowhere else; see [`crate::audit::commitment`].
    pub id: Uuid,
    pub field: FieldKey,
    /// What stood there before; `None` when nothing was read. Personal data.
    pub old: Option<String>,
    /// What stands there now; empty when the card has no such field. Personal data.
    pub new: String,
    pub by: UserId,
    pub at: Timestamp,
}

/// A correction to record.
#[derive(Clone, Debug)]
pub struct NewCorrection {
    pub field: FieldKey,
    pub old: Option<String>,
    pub new: String,
    /// The version that the officer was looking at.
    pub expected_version: u32,
}

impl Store {
    /// Records a correction of a review that the officer has before them; gives the review's new version.
    ///
    /// # Errors
    /// `Conflict` when the review is not theirs, is decided, or is no longer the version that they saw.
    pub async fn correct(&self, id: ReviewId, officer: &Officer, new: NewCorrection) -> Result<u32> {
        let tx = self.begin().await?;
        let review = self.hold_review(&tx, id).await?;
        let open = review.status == ReviewStatus::Pending.as_str()
            && review.claimed_by == Some(officer.id.0)
            && natural(review.version)? == new.expected_version;
        let free = self.ruling_at(&tx, &review).await?.is_none();
        if !open || !free || !self.is_for(&tx, &review, officer).await? {
            return Err(Error::Conflict);
        }
        self.reclaim(&tx, &review, officer).await?;
        let (id, name) = (Uuid::now_v7(), new.field.as_str());
        // Which field, and of its values only what proves them: the entry outlives the card's data.
        let told = |value: Option<&str>| {
            let hash = value.map(|value| commitment(id, name, value));
            Some(correction_text(name, hash.as_deref()))
        };
        let (before, after) = (told(new.old.as_deref()), told(Some(&new.new)));
        let row = corrections::ActiveModel {
            id: Set(id),
            review_id: Set(review.id),
            field: Set(name.to_owned()),
            old_value: Set(new.old),
            new_value: Set(new.new),
            reviewer: Set(officer.id.0),
            at: Set(self.now()),
        };
        row.insert(&tx.tx).await?;
        let change = reviews::ActiveModel { version: Set(review.version + 1), ..Default::default() };
        let next = self.change_review(&tx, &review, change).await?;
        self.audit_review(&tx, officer, "review.correct", &review, None, before, after).await?;
        tx.commit().await?;
        natural(next.version)
    }

    /// The corrections of a review, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn corrections_of(&self, id: ReviewId) -> Result<Vec<Correction>> {
        let rows = corrections::Entity::find()
            .filter(corrections::Column::ReviewId.eq(id.0))
            .order_by_asc(corrections::Column::At)
            .order_by_asc(corrections::Column::Id)
            .all(&self.db)
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Correction {
                    id: row.id,
                    field: FieldKey::from_name(&row.field).ok_or(Error::Corrupt("field"))?,
                    old: row.old_value,
                    new: row.new_value,
                    by: UserId(row.reviewer),
                    at: from_utc(row.at),
                })
            })
            .collect()
    }
}
