//! Rows of the queue that lives in the database. Only what has to share a transaction with a document stands here; the
//! rest is in `queue/table.rs`.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::{Result, Store, Write};
use crate::document::DocumentId;
use crate::queue::Lane;

/// Puts a job in, or wakes one that was buried. `{now}` is [`Store::now_micros`]; `$1` the document, `$2` the lane, `$3`
/// the wait in microseconds. A job that waits or is being worked on stays as it is.
pub(crate) const PUSH: &str = "INSERT INTO jobs (document_id, lane, state, queued_at, run_at, lease_until, token, attempts) \
     VALUES ($1, $2, 'ready', {now}, {now} + $3, 0, 0, 0) \
     ON CONFLICT (document_id) DO UPDATE SET lane = excluded.lane, state = 'ready', queued_at = excluded.queued_at, \
     run_at = excluded.run_at, attempts = 0, reason = NULL WHERE jobs.state = 'dead'";

impl Store {
    /// Microseconds since 1970 by the clock of the database, as an SQL expression: one clock for all who hold leases.
    pub(crate) fn now_micros(&self) -> &'static str {
        match self.backend() {
            DbBackend::Postgres => "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT",
            _ => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        }
    }

    pub(super) async fn insert_job(&self, tx: &Write, id: DocumentId, lane: Lane) -> Result<()> {
        let sql = PUSH.replace("{now}", self.now_micros());
        let values: Vec<Value> = vec![id.0.into(), lane.as_str().into(), 0_i64.into()];
        tx.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
        Ok(())
    }

    pub(super) async fn delete_job(&self, tx: &Write, id: DocumentId) -> Result<()> {
        let sql = "DELETE FROM jobs WHERE document_id = $1";
        tx.execute_raw(Statement::from_sql_and_values(self.backend(), sql, [Value::from(id.0)])).await?;
        Ok(())
    }
}
