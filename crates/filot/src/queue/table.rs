//! The queue as a table of the documents' database, SQLite or PostgreSQL.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::Value;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{Change, Depth, Lane, Lease, Queue, Result, Signal, Then};
use crate::document::{DocumentId, UserId};
use crate::store::{PUSH, Store};

/// How often a process notes at most that its GPU readers ask for work.
const SEEN_INTERVAL: Duration = Duration::from_secs(1);

/// The queue in the table `jobs`.
pub struct TableQueue {
    store: Store,
    signals: broadcast::Sender<Signal>,
    seen: Mutex<Option<Instant>>,
}

impl TableQueue {
    /// The queue in the database of `store`.
    pub fn new(store: Store) -> Self {
        Self { store, signals: broadcast::Sender::new(1024), seen: Mutex::new(None) }
    }

    fn sql(&self, text: &str) -> String {
        text.replace("{now}", self.store.now_micros())
            .replace("{greatest}", self.store.greatest())
            .replace("{skip}", self.store.skip_locked())
    }

    /// Changes the job that `lease` holds, if it still does.
    async fn change(&self, lease: &Lease, set: &str, more: Vec<Value>) -> Result<bool> {
        let sql = self.sql(&format!(
            "UPDATE jobs SET {set} WHERE document_id = $1 AND token = $2 AND state = 'leased'"
        ));
        let mut values: Vec<Value> = vec![lease.id.0.into(), lease.token.into()];
        values.extend(more);
        Ok(self.store.execute(&sql, values).await? == 1)
    }

    /// Notes that a reader of the GPU lane is there.
    async fn note_gpu(&self) -> Result<()> {
        {
            let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if seen.is_some_and(|at| at.elapsed() < SEEN_INTERVAL) {
                return Ok(());
            }
            *seen = Some(Instant::now());
        }
        let sql = self.sql(
            "INSERT INTO lanes (lane, seen_at) VALUES ('gpu', {now}) \
             ON CONFLICT (lane) DO UPDATE SET seen_at = excluded.seen_at",
        );
        self.store.execute(&sql, vec![]).await?;
        Ok(())
    }

    fn wake(&self, lane: Lane) {
        // Nobody listening is no error: workers also look by themselves.
        let _ = self.signals.send(Signal::Work(lane));
    }
}

fn micros(wait: Duration) -> i64 {
    i64::try_from(wait.as_micros()).unwrap_or(i64::MAX / 4)
}

#[async_trait]
impl Queue for TableQueue {
    fn kind(&self) -> &'static str {
        "table"
    }

    fn in_database(&self) -> bool {
        true
    }

    async fn push(&self, lane: Lane, id: DocumentId, account: UserId, delay: Duration) -> Result<bool> {
        let values: Vec<Value> =
            vec![id.0.into(), lane.as_str().into(), micros(delay).into(), account.0.into()];
        let new = self.store.execute(&self.sql(PUSH), values).await? == 1;
        self.wake(lane);
        Ok(new)
    }

    async fn claim(&self, lane: Lane, owner: &str, limit: usize, lease: Duration) -> Result<Vec<Lease>> {
        if lane == Lane::Gpu {
            self.note_gpu().await?;
        }
        let due = "FROM jobs WHERE lane = $1 AND state = 'ready' AND run_at <= {now}";
        // A look without a lock first: an idle worker writes nothing.
        let look = self.sql(&format!("SELECT 1 AS found {due} LIMIT 1"));
        if self.store.query(&look, vec![lane.as_str().into()]).await?.is_empty() {
            return Ok(Vec::new());
        }
        let sql = self.sql(&format!(
            "WITH due AS MATERIALIZED (SELECT document_id {due} ORDER BY turn, run_at LIMIT $2 {{skip}}) \
             UPDATE jobs SET state = 'leased', token = {{greatest}}(token + 1, {{now}}), \
             lease_until = {{now}} + $3, owner = $4, attempts = attempts + 1 \
             WHERE document_id IN (SELECT document_id FROM due) RETURNING document_id, token, attempts, turn, run_at"
        ));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: Vec<Value> = vec![lane.as_str().into(), limit.into(), micros(lease).into(), owner.into()];
        let rows = self.store.execute_returning(&sql, values).await?;
        let read = |row: &sea_orm::QueryResult| -> std::result::Result<((i64, i64), Lease), sea_orm::DbErr> {
            let lease = Lease {
                id: DocumentId(row.try_get::<Uuid>("", "document_id")?),
                lane,
                token: row.try_get("", "token")?,
                attempt: row.try_get::<i32>("", "attempts")?.unsigned_abs(),
            };
            Ok(((row.try_get("", "turn")?, row.try_get("", "run_at")?), lease))
        };
        let leases: std::result::Result<Vec<_>, _> = rows.iter().map(read).collect();
        let mut leases = leases.map_err(crate::store::Error::from)?;
        // RETURNING promises no order.
        leases.sort_by_key(|(turn, _)| *turn);
        Ok(leases.into_iter().map(|(_, lease)| lease).collect())
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<bool> {
        self.change(lease, "lease_until = {now} + $3", vec![micros(by).into()]).await
    }

    async fn complete(&self, lease: &Lease) -> Result<bool> {
        let sql = "DELETE FROM jobs WHERE document_id = $1 AND token = $2 AND state = 'leased'";
        Ok(self.store.execute(sql, vec![lease.id.0.into(), lease.token.into()]).await? == 1)
    }

    async fn fail(&self, lease: &Lease, then: Then) -> Result<bool> {
        match then {
            Then::Retry(wait) => {
                let set = "state = 'ready', owner = NULL, run_at = {now} + $3";
                self.change(lease, set, vec![micros(wait).into()]).await
            }
            Then::Release => {
                // Its old place in line: it has waited once already.
                let set = "state = 'ready', owner = NULL, attempts = attempts - 1";
                let done = self.change(lease, set, vec![]).await?;
                self.wake(lease.lane);
                Ok(done)
            }
            Then::Bury(reason) => {
                self.change(
                    lease,
                    "state = 'dead', owner = NULL, run_at = {now}, reason = $3",
                    vec![reason.into()],
                )
                .await
            }
        }
    }

    async fn remove(&self, id: DocumentId) -> Result<()> {
        self.store.execute("DELETE FROM jobs WHERE document_id = $1", vec![id.0.into()]).await?;
        Ok(())
    }

    async fn reap(&self) -> Result<u64> {
        let expired = "state = 'leased' AND lease_until <= {now}";
        let look = self.sql(&format!("SELECT 1 AS found FROM jobs WHERE {expired} LIMIT 1"));
        if self.store.query(&look, vec![]).await?.is_empty() {
            return Ok(0);
        }
        let sql = self.sql(&format!("UPDATE jobs SET state = 'ready', owner = NULL WHERE {expired}"));
        let reaped = self.store.execute(&sql, vec![]).await?;
        for lane in Lane::ALL {
            self.wake(*lane);
        }
        Ok(reaped)
    }

    async fn fall_back(&self, silence: Duration) -> Result<u64> {
        let sql = self.sql(
            "UPDATE jobs SET lane = 'cpu' WHERE lane = 'gpu' AND state = 'ready' AND queued_at <= {now} - $1 \
             AND NOT EXISTS (SELECT 1 FROM lanes WHERE lane = 'gpu' AND seen_at > {now} - $1)",
        );
        let moved = self.store.execute(&sql, vec![micros(silence).into()]).await?;
        if moved > 0 {
            self.wake(Lane::Cpu);
        }
        Ok(moved)
    }

    async fn depth(&self, lane: Lane) -> Result<Depth> {
        let sql = self.sql(
            "SELECT state, CASE WHEN run_at <= {now} THEN 1 ELSE 0 END AS due, COUNT(*) AS jobs FROM jobs \
             WHERE lane = $1 GROUP BY 1, 2",
        );
        let mut depth = Depth::default();
        for row in self.store.query(&sql, vec![lane.as_str().into()]).await? {
            let read = || -> std::result::Result<(String, i32, i64), sea_orm::DbErr> {
                Ok((row.try_get("", "state")?, row.try_get("", "due")?, row.try_get("", "jobs")?))
            };
            let (state, due, jobs) = read().map_err(crate::store::Error::from)?;
            let jobs = jobs.unsigned_abs();
            match (state.as_str(), due) {
                ("ready", 1) => depth.ready += jobs,
                ("ready", _) => depth.delayed += jobs,
                ("leased", _) => depth.leased += jobs,
                _ => depth.dead += jobs,
            }
        }
        Ok(depth)
    }

    async fn dead(&self, lane: Lane, limit: usize) -> Result<Vec<(DocumentId, String)>> {
        let sql = "SELECT document_id, COALESCE(reason, '') AS reason FROM jobs WHERE lane = $1 AND state = 'dead' \
                   ORDER BY run_at DESC LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.store.query(sql, vec![lane.as_str().into(), limit.into()]).await?;
        let read = |row: &sea_orm::QueryResult| -> std::result::Result<_, sea_orm::DbErr> {
            Ok((DocumentId(row.try_get::<Uuid>("", "document_id")?), row.try_get("", "reason")?))
        };
        Ok(rows.iter().map(read).collect::<std::result::Result<_, _>>().map_err(crate::store::Error::from)?)
    }

    async fn announce(&self, change: &Change) -> Result<()> {
        let _ = self.signals.send(Signal::Changed(change.clone()));
        Ok(())
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    async fn ping(&self) -> Result<()> {
        Ok(self.store.ping().await?)
    }
}
