//! Which installation this database belongs to, and what its file store knows of it.

use jiff::{SignedDuration, Timestamp};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::{audit, documents, installation, quarantine, users};
use super::{AuditEntry, Error, Result, Store, Write, from_utc, to_utc};
use crate::document::UserId;

/// The one row.
const ROW: i32 = 1;
/// How long no file is taken to be forgotten after a database was made, upgraded or restored, or turned out to be an
/// older one.
pub const QUIET: SignedDuration = SignedDuration::from_hours(24);

/// The row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub id: Uuid,
    /// Until then no file is taken to be forgotten.
    pub quiet_until: Option<Timestamp>,
    /// Hash of the audit entry that the file store knew and this database did not when the quiet began.
    pub unknown_head: Option<String>,
    /// Whether what was deleted before deleting overwrote is overwritten.
    pub scrubbed: bool,
    /// What the keys answer that the database is used with.
    pub key_check: Option<String>,
}

impl Store {
    /// Makes the row, with the last step of the schema. A schema that was made from nothing has nothing to overwrite.
    pub(super) async fn make_installation(&self, tx: &Write, from_nothing: bool) -> Result<()> {
        let now = self.clock.now();
        let row = installation::ActiveModel {
            id: Set(ROW),
            uuid: Set(Uuid::new_v4()),
            created_at: Set(to_utc(now)),
            quiet_until: Set(Some(to_utc(now + QUIET))),
            unknown_head: Set(None),
            scrubbed_at: Set(from_nothing.then(|| to_utc(now))),
            key_check: Set(None),
        };
        installation::Entity::insert(row)
            .on_conflict(OnConflict::column(installation::Column::Id).do_nothing().to_owned())
            .exec_without_returning(&tx.tx)
            .await?;
        Ok(())
    }

    /// Which installation this is.
    ///
    /// # Errors
    /// `Unavailable`, also when the schema is older than the row; `Corrupt` when somebody has deleted it.
    pub async fn installation(&self) -> Result<Installation> {
        let row = installation::Entity::find_by_id(ROW).one(&self.db).await?;
        let row = row.ok_or(Error::Corrupt("installation: the row is gone; restore the database"))?;
        Ok(Installation {
            id: row.uuid,
            quiet_until: row.quiet_until.map(from_utc),
            unknown_head: row.unknown_head,
            scrubbed: row.scrubbed_at.is_some(),
            key_check: row.key_check,
        })
    }

    /// Takes no file to be forgotten for [`QUIET`], and begins the clocks of the quarantined anew after it; `unknown_head`
    /// is what the file store knows and this database does not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_quiet(&self, unknown_head: Option<&str>) -> Result<Timestamp> {
        let until = self.clock.now() + QUIET;
        let tx = self.begin().await?;
        quarantine::Entity::delete_many().exec(&tx.tx).await?;
        let change = installation::ActiveModel {
            quiet_until: Set(Some(to_utc(until))),
            unknown_head: Set(unknown_head.map(str::to_owned)),
            ..Default::default()
        };
        change_installation(&tx, change).await?;
        tx.commit().await?;
        Ok(until)
    }

    /// Notes what the keys answer that this database is used with first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_keys(&self, check: &str) -> Result<()> {
        let none = "UPDATE installation SET key_check = $1 WHERE key_check IS NULL";
        self.execute(none, vec![check.into()]).await?;
        Ok(())
    }

    /// Goes on with keys that answer `check`, with an entry of the audit trail.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn adopt_keys(&self, check: &str, entry: AuditEntry<'_>) -> Result<()> {
        let tx = self.begin().await?;
        let key_check = Set(Some(check.to_owned()));
        change_installation(&tx, installation::ActiveModel { key_check, ..Default::default() }).await?;
        self.write_audit(&tx, entry).await?;
        tx.commit().await
    }

    /// What was deleted in former times is overwritten.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_scrubbed(&self) -> Result<()> {
        let scrubbed_at = Set(Some(self.now()));
        let tx = self.begin().await?;
        change_installation(&tx, installation::ActiveModel { scrubbed_at, ..Default::default() }).await?;
        tx.commit().await
    }

    /// Whether the audit trail has this entry. Before the first there is nothing, which every trail has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn knows_audit_entry(&self, seq: i64, hash: &str) -> Result<bool> {
        if seq == 0 {
            return Ok(true);
        }
        let known: Option<String> = audit::Entity::find_by_id(seq)
            .select_only()
            .column(audit::Column::Hash)
            .into_tuple()
            .one(&self.db)
            .await?;
        Ok(known.is_some_and(|known| known == hash))
    }

    /// Keys of the files of up to `count` documents, half of them the oldest, half the newest.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn some_blob_keys(&self, count: u64) -> Result<Vec<String>> {
        let mut keys: Vec<String> = Vec::new();
        let all = documents::Entity::find().select_only().column(documents::Column::FileUrl);
        for query in
            [all.clone().order_by_asc(documents::Column::Id), all.order_by_desc(documents::Column::Id)]
        {
            keys.extend(query.limit(count.div_ceil(2)).into_tuple::<String>().all(&self.db).await?);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Which of these are accounts of this database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn known_users(&self, users: Vec<UserId>) -> Result<std::collections::HashSet<UserId>> {
        let known: Vec<Uuid> = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(users::Column::Id.is_in(users.into_iter().map(|user| user.0)))
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(known.into_iter().map(UserId).collect())
    }
}

async fn change_installation(tx: &Write, change: installation::ActiveModel) -> Result<()> {
    let row = installation::Column::Id.eq(ROW);
    installation::Entity::update_many().set(change).filter(row).exec(&tx.tx).await?;
    Ok(())
}
