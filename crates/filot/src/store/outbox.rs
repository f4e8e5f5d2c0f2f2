//! Effects on the outside that a fact calls for. They are written down with the fact and carried out afterwards, again
//! and again until they succeed.

use std::time::Duration;

use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, Value};
use uuid::Uuid;

use super::entity::outbox;
use super::{Result, Store, Write, to_utc};
use crate::document::spelled;

spelled! {
    /// What is to be done.
    EffectKind {
        /// Erase the file with the key `subject`.
        EraseBlob = "erase_blob",
        /// Hand the review with the id `subject` to whoever reviews.
        Escalate = "escalate",
        /// Send the mail of the registration with the id `subject`.
        Mail = "mail",
        /// Ask the customer for another photo, for the reason of the review with the id `subject`.
        Retake = "retake",
    }
}

/// Effects of a kind that have not happened yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Never tried.
    pub new: u64,
    /// Tried in vain, and waiting for another try.
    pub retrying: u64,
    /// When the next of those is tried.
    pub next_retry: Option<jiff::Timestamp>,
}

/// One thing to do, leased to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub id: Uuid,
    pub kind: EffectKind,
    pub subject: String,
    /// How often it was tried, this time included.
    pub attempts: u32,
}

impl Store {
    /// Asks for an effect, in the transaction of its cause.
    pub(super) async fn ask_for(&self, tx: &Write, kind: EffectKind, subject: &str) -> Result<()> {
        let now = self.now();
        let row = outbox::ActiveModel {
            id: Set(Uuid::now_v7()),
            kind: Set(kind.as_str().to_owned()),
            subject: Set(subject.to_owned()),
            attempts: Set(0),
            due_at: Set(now),
            created_at: Set(now),
            done_at: Set(None),
            last_error: Set(None),
        };
        row.insert(&tx.tx).await?;
        Ok(())
    }

    /// Leases up to `limit` effects of a kind that are due; nobody else gets them for the time of `lease`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_effects(&self, kind: EffectKind, limit: u32, lease: Duration) -> Result<Vec<Effect>> {
        let skip = self.skip_locked();
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT id FROM outbox WHERE kind = $1 AND done_at IS NULL AND due_at <= $2 \
             ORDER BY due_at LIMIT $3 {skip}) \
             UPDATE outbox SET due_at = $4, attempts = attempts + 1 WHERE id IN (SELECT id FROM due) \
             RETURNING id, subject, attempts"
        );
        let now = self.clock.now();
        let until = now.checked_add(lease).unwrap_or(now);
        let values: Vec<Value> =
            vec![kind.as_str().into(), to_utc(now).into(), i64::from(limit).into(), to_utc(until).into()];
        let rows = self.execute_returning(&sql, values).await?;
        rows.iter()
            .map(|row| {
                Ok(Effect {
                    id: row.try_get("", "id")?,
                    kind,
                    subject: row.try_get("", "subject")?,
                    attempts: super::rows::natural(row.try_get("", "attempts")?)?,
                })
            })
            .collect()
    }

    /// The effect has happened.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn effect_done(&self, id: Uuid) -> Result<()> {
        let now = self.now();
        self.execute(
            "UPDATE outbox SET done_at = $1, last_error = NULL WHERE id = $2",
            vec![now.into(), id.into()],
        )
        .await?;
        Ok(())
    }

    /// The effect did not happen; it is due again after `wait`. `error` must not hold personal data.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn effect_failed(&self, id: Uuid, error: &str, wait: Duration) -> Result<()> {
        let now = self.clock.now();
        let due = to_utc(now.checked_add(wait).unwrap_or(now));
        self.execute(
            "UPDATE outbox SET due_at = $1, last_error = $2 WHERE id = $3 AND done_at IS NULL",
            vec![due.into(), error.into(), id.into()],
        )
        .await?;
        Ok(())
    }

    /// What has not happened yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn backlog(&self, kind: EffectKind) -> Result<Backlog> {
        let rows = self
            .query(
                "SELECT COUNT(*) AS waiting, COUNT(last_error) AS retrying, \
                 MIN(CASE WHEN last_error IS NOT NULL THEN due_at END) AS next_retry \
                 FROM outbox WHERE kind = $1 AND done_at IS NULL",
                vec![kind.as_str().into()],
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(Backlog::default()) };
        let count = |name: &str| row.try_get::<i64>("", name).map(i64::unsigned_abs);
        let (waiting, retrying) = (count("waiting")?, count("retrying")?);
        let next: Option<sea_orm::prelude::DateTimeUtc> = row.try_get("", "next_retry")?;
        Ok(Backlog { new: waiting - retrying, retrying, next_retry: next.map(super::from_utc) })
    }

    /// Settles the effect of a kind about `subject` within a transaction, for the reason `last_error` if it did not
    /// happen.
    pub(super) async fn settle(
        &self,
        tx: &Write,
        kind: EffectKind,
        subject: &str,
        last_error: Option<&str>,
    ) -> Result<()> {
        let change = outbox::ActiveModel {
            done_at: Set(Some(self.now())),
            last_error: Set(last_error.map(str::to_owned)),
            ..Default::default()
        };
        outbox::Entity::update_many()
            .set(change)
            .filter(outbox::Column::Kind.eq(kind.as_str()))
            .filter(outbox::Column::Subject.eq(subject))
            .filter(outbox::Column::DoneAt.is_null())
            .exec(&tx.tx)
            .await?;
        Ok(())
    }

    /// How a select of rows to take passes by rows that others are taking.
    pub(crate) fn skip_locked(&self) -> &'static str {
        match self.backend() {
            sea_orm::DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
            // One writer at a time: there is nothing to pass by.
            _ => "",
        }
    }
}
