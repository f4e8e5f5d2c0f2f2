//! Rows of the queue that lives in the database. Only what has to share a transaction with a document stands here; the
//! rest is in `queue/table.rs`.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::{Result, Store, Write};
use crate::document::{DocumentId, UserId};
use crate::queue::Lane;

/// Puts a job in, or wakes one that was buried. `{now}` is [`Store::now_micros`], `{greatest}` [`Store::greatest`]; `$1`
/// the document, `$2` the lane, `$3` the wait in microseconds, `$4` the account. A job that waits or is being worked on
/// stays as it is.
///
/// Its turn comes after that of the account's latest job, and not before that of the job which is next now: accounts go
/// round, whatever each of them has waiting (start-time fair queueing with jobs of one size, Goyal et al. 1996).
pub(crate) const PUSH: &str = "INSERT INTO jobs \
     (document_id, lane, state, queued_at, run_at, lease_until, token, attempts, account, turn) \
     VALUES ($1, $2, 'ready', {now}, {now} + $3, 0, 0, 0, $4, {greatest}(\
     COALESCE((SELECT MAX(turn) + 1 FROM jobs WHERE account = $4 AND state <> 'dead'), 0), \
     COALESCE((SELECT MIN(turn) FROM jobs WHERE lane = $2 AND state = 'ready' AND run_at <= {now}), \
     (SELECT MAX(turn) FROM jobs WHERE lane = $2 AND state <> 'dead'), 0))) \
     ON CONFLICT (document_id) DO UPDATE SET lane = excluded.lane, state = 'ready', queued_at = excluded.queued_at, \
     run_at = excluded.run_at, attempts = 0, reason = NULL, account = excluded.account, turn = excluded.turn \
     WHERE jobs.state = 'dead'";

impl Store {
    /// Microseconds since 1970 by the clock of the database, as an SQL expression: one clock for all who hold leases.
    pub(crate) fn now_micros(&self) -> &'static str {
        match self.backend() {
            DbBackend::Postgres => "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT",
            _ => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        }
    }

    /// The function that gives the greatest of some values.
    pub(crate) fn greatest(&self) -> &'static str {
        match self.backend() {
            DbBackend::Postgres => "GREATEST",
            _ => "MAX",
        }
    }

    pub(super) async fn insert_job(
        &self,
        tx: &Write,
        id: DocumentId,
        account: UserId,
        lane: Lane,
    ) -> Result<()> {
        let sql = PUSH.replace("{now}", self.now_micros()).replace("{greatest}", self.greatest());
        let values: [Value; 4] = [id.0.into(), lane.as_str().into(), 0_i64.into(), account.0.into()];
        tx.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
        Ok(())
    }

    pub(super) async fn delete_job(&self, tx: &Write, id: DocumentId) -> Result<()> {
        let sql = "DELETE FROM jobs WHERE document_id = $1";
        tx.execute_raw(Statement::from_sql_and_values(self.backend(), sql, [Value::from(id.0)])).await?;
        Ok(())
    }
}
