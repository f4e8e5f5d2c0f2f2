//! Requests that a client may repeat: the second gets the answer of the first.

use std::time::Duration;

use jiff::SignedDuration;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, TryInsertResult,
};

use super::entity::idempotency;
use super::{Error, Result, Store, Write, from_utc, to_utc};
use crate::document::{DocumentId, UserId};

/// Status of a request whose document was deleted; no answer is stored for it.
pub const DELETED: u16 = 410;

/// What makes a request the same: who asks, for what, under which name of their choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub user: UserId,
    /// Method and path pattern.
    pub route: String,
    /// The `Idempotency-Key` header, at most 255 bytes.
    pub key: String,
}

/// How to treat a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Never seen: carry it out.
    Fresh,
    /// The first died after making this document and before its answer was stored: answer for that document.
    Resume(DocumentId),
    /// The first is still being carried out.
    Running { retry_after: Duration },
    /// The same key was used for another request.
    Mismatch,
    /// Carried out, and the document that came of it is deleted: its answer is, too.
    Deleted,
    /// Carried out; the answer, sealed as it was given to [`Store::idempotency_finish`].
    Done { status: u16, body: Vec<u8> },
}

impl Store {
    /// Looks at a request, and takes it over for the time of `lock` unless someone else has it. It is remembered for
    /// `keep`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn idempotency_begin(
        &self,
        key: &IdempotencyKey,
        request_hash: &str,
        lock: Duration,
        keep: Duration,
    ) -> Result<Idempotency> {
        let now = self.clock.now();
        let after = |wait: Duration| {
            let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
            to_utc(now.checked_add(wait).unwrap_or(jiff::Timestamp::MAX))
        };
        let fresh = idempotency::ActiveModel {
            user_id: Set(key.user.0),
            route: Set(key.route.clone()),
            key: Set(key.key.clone()),
            request_hash: Set(request_hash.to_owned()),
            document_id: Set(None),
            status: Set(None),
            body: Set(None),
            locked_until: Set(Some(after(lock))),
            created_at: Set(to_utc(now)),
            expires_at: Set(after(keep)),
        };
        let tx = self.begin().await?;
        let inserted = idempotency::Entity::insert(fresh.clone())
            .on_conflict_do_nothing()
            .exec_without_returning(&tx.tx)
            .await?;
        if let TryInsertResult::Inserted(1) = inserted {
            tx.commit().await?;
            return Ok(Idempotency::Fresh);
        }
        let row = idempotency::Entity::find_by_id(primary_key(key)).lock_exclusive().one(&tx.tx).await?;
        let row = row.ok_or(Error::Conflict)?;
        if row.expires_at <= to_utc(now) {
            fresh.update(&tx.tx).await?;
            tx.commit().await?;
            return Ok(Idempotency::Fresh);
        }
        if row.request_hash != request_hash {
            return Ok(Idempotency::Mismatch);
        }
        if row.status == Some(i32::from(DELETED)) {
            return Ok(Idempotency::Deleted);
        }
        if let (Some(status), Some(body)) = (row.status, row.body) {
            let status = u16::try_from(status).map_err(|_| Error::Corrupt("status"))?;
            return Ok(Idempotency::Done { status, body });
        }
        if let Some(until) = row.locked_until.map(from_utc).filter(|&until| until > now) {
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Ok(Idempotency::Running { retry_after: left });
        }
        let relocked = idempotency::ActiveModel {
            user_id: Set(row.user_id),
            route: Set(row.route),
            key: Set(row.key),
            locked_until: Set(Some(after(lock))),
            ..Default::default()
        };
        relocked.update(&tx.tx).await?;
        tx.commit().await?;
        Ok(row.document_id.map_or(Idempotency::Fresh, |id| Idempotency::Resume(DocumentId(id))))
    }

    /// Prolongs the hold on a request that has no answer yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn idempotency_renew(&self, key: &IdempotencyKey, lock: Duration) -> Result<()> {
        let lock = SignedDuration::try_from(lock).unwrap_or(SignedDuration::MAX);
        let until = to_utc(self.clock.now().checked_add(lock).unwrap_or(jiff::Timestamp::MAX));
        let sql = "UPDATE idempotency SET locked_until = $4 WHERE user_id = $1 AND route = $2 AND key = $3 AND \
                   status IS NULL";
        let values =
            vec![key.user.0.into(), key.route.as_str().into(), key.key.as_str().into(), until.into()];
        self.execute(sql, values).await?;
        Ok(())
    }

    /// Stores the answer of a request. If another has been stored, that one stays and is returned; [`DELETED`] with nothing
    /// when the document has been deleted in the meantime.
    ///
    /// # Errors
    /// `NotFound` when the request was never begun.
    pub async fn idempotency_finish(
        &self,
        key: &IdempotencyKey,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>)> {
        let tx = self.begin().await?;
        let row = idempotency::Entity::find_by_id(primary_key(key)).lock_exclusive().one(&tx.tx).await?;
        let row = row.ok_or(Error::NotFound)?;
        if row.status == Some(i32::from(DELETED)) {
            return Ok((DELETED, Vec::new()));
        }
        if let (Some(status), Some(body)) = (row.status, row.body) {
            return Ok((u16::try_from(status).map_err(|_| Error::Corrupt("status"))?, body));
        }
        let change = idempotency::ActiveModel {
            user_id: Set(row.user_id),
            route: Set(row.route),
            key: Set(row.key),
            status: Set(Some(i32::from(status))),
            body: Set(Some(body.clone())),
            locked_until: Set(None),
            ..Default::default()
        };
        change.update(&tx.tx).await?;
        tx.commit().await?;
        Ok((status, body))
    }

    /// Forgets a request that came to nothing, so that it can be made again at once. One that made a document stays.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn idempotency_abandon(&self, key: &IdempotencyKey) -> Result<()> {
        let sql = "DELETE FROM idempotency WHERE user_id = $1 AND route = $2 AND key = $3 AND status IS NULL \
                   AND document_id IS NULL";
        let values = vec![key.user.0.into(), key.route.as_str().into(), key.key.as_str().into()];
        self.execute(sql, values).await?;
        Ok(())
    }

    /// Forgets requests whose time is over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn idempotency_expire(&self) -> Result<u64> {
        let now = self.now();
        let gone = self.execute("DELETE FROM idempotency WHERE expires_at <= $1", vec![now.into()]).await?;
        if gone > 0 {
            drop(self.deleting());
        }
        Ok(gone)
    }

    /// Takes the stored answers about a document back. The keys stay used.
    pub(super) async fn withdraw_answers(&self, tx: &Write, id: DocumentId) -> Result<()> {
        let withdrawn = idempotency::ActiveModel {
            status: Set(Some(i32::from(DELETED))),
            body: Set(None),
            locked_until: Set(None),
            ..Default::default()
        };
        idempotency::Entity::update_many()
            .set(withdrawn)
            .filter(idempotency::Column::DocumentId.eq(id.0))
            .exec(&tx.tx)
            .await?;
        Ok(())
    }

    /// Notes which document a request made, in the transaction that makes it.
    pub(super) async fn attach_document(
        &self,
        tx: &Write,
        key: &IdempotencyKey,
        id: DocumentId,
    ) -> Result<()> {
        let done = idempotency::Entity::update_many()
            .set(idempotency::ActiveModel { document_id: Set(Some(id.0)), ..Default::default() })
            .filter(idempotency::Column::UserId.eq(key.user.0))
            .filter(idempotency::Column::Route.eq(key.route.as_str()))
            .filter(idempotency::Column::Key.eq(key.key.as_str()))
            .filter(idempotency::Column::DocumentId.is_null())
            .exec(&tx.tx)
            .await?;
        // Someone else made the document for this request: this one must not come to be.
        if done.rows_affected == 1 { Ok(()) } else { Err(Error::Conflict) }
    }
}

fn primary_key(key: &IdempotencyKey) -> (uuid::Uuid, String, String) {
    (key.user.0, key.route.clone(), key.key.clone())
}
