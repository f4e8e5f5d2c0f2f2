//! Files that no document knows: the clock that runs before one of them is erased.

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::entity::quarantine;
use super::{Error, Result, Store, from_utc, to_utc};
use crate::blobs::StoredFile;

/// All files that have been seen without a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    pub files: u64,
    pub bytes: u64,
    /// When the first of them was first seen so.
    pub since: Option<Timestamp>,
}

impl Store {
    /// Notes files that were seen without a document in the round of `round`. Their clocks go on, or begin.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn quarantine(&self, files: &[StoredFile], round: Timestamp) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let rows = files.iter().map(|file| quarantine::ActiveModel {
            key: Set(file.key.clone()),
            byte_size: Set(i64::try_from(file.byte_size).unwrap_or(i64::MAX)),
            first_seen_at: Set(to_utc(round)),
            last_seen_at: Set(to_utc(round)),
        });
        let again = OnConflict::column(quarantine::Column::Key)
            .update_column(quarantine::Column::LastSeenAt)
            .to_owned();
        let tx = self.begin().await?;
        quarantine::Entity::insert_many(rows).on_conflict(again).exec_without_returning(&tx.tx).await?;
        tx.commit().await
    }

    /// Forgets those that the round did not see: they are gone, or have a document.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_other_unknown(&self, round: Timestamp) -> Result<u64> {
        self.execute("DELETE FROM quarantine WHERE last_seen_at < $1", vec![to_utc(round).into()]).await
    }

    /// Forgets one that was erased.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_unknown(&self, key: &str) -> Result<()> {
        self.execute("DELETE FROM quarantine WHERE key = $1", vec![key.into()]).await?;
        Ok(())
    }

    /// How many have been seen without a document since `since` or before, and the first `limit` of them, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn quarantined_since(&self, since: Timestamp, limit: u64) -> Result<(u64, Vec<String>)> {
        let ripe = quarantine::Entity::find().filter(quarantine::Column::FirstSeenAt.lte(to_utc(since)));
        let count = ripe.clone().count(&self.db).await?;
        let keys = ripe
            .order_by_asc(quarantine::Column::FirstSeenAt)
            .order_by_asc(quarantine::Column::Key)
            .select_only()
            .column(quarantine::Column::Key)
            .limit(limit.min(count))
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok((count, keys))
    }

    /// All of them together.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn quarantine_in_all(&self) -> Result<Quarantine> {
        #[derive(FromQueryResult)]
        struct Sums {
            files: i64,
            bytes: i64,
            since: Option<sea_orm::prelude::DateTimeUtc>,
        }
        let sums = quarantine::Entity::find()
            .select_only()
            .expr_as(quarantine::Column::Key.count(), "files")
            .expr_as(Expr::cust("CAST(COALESCE(SUM(byte_size), 0) AS BIGINT)"), "bytes")
            .expr_as(quarantine::Column::FirstSeenAt.min(), "since")
            .into_model::<Sums>()
            .one(&self.db)
            .await?
            .ok_or(Error::Corrupt("sum"))?;
        Ok(Quarantine {
            files: sums.files.unsigned_abs(),
            bytes: sums.bytes.unsigned_abs(),
            since: sums.since.map(from_utc),
        })
    }
}
