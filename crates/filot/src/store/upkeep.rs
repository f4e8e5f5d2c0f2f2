//! What is done from time to time by one process of all, and what is forgotten then.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sea_orm::prelude::DateTimeUtc;

use super::{Result, Store, from_utc, to_utc};

/// Rows that one statement removes, so that others get their turn in between.
const BATCH: usize = 1000;
/// Sessions are kept for so long after their end, so that a refresh token that comes late is told from a forged one.
const SESSIONS: SignedDuration = SignedDuration::from_hours(24 * 7);
/// Sign-ins at the console and links that work once, after their end.
const LINKS: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Effects that have happened.
const EFFECTS: SignedDuration = SignedDuration::from_hours(24 * 7);

impl Store {
    /// Whether `task`, which one process does every `every`, is to be done now by the caller. The first time is one
    /// interval after a process has asked first; restarts count for nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_due(&self, task: &str, every: SignedDuration) -> Result<bool> {
        let now = self.clock.now();
        let sql = "INSERT INTO upkeep (task, last_run) VALUES ($1, $2) ON CONFLICT (task) DO NOTHING";
        if self.execute(sql, vec![task.into(), to_utc(now).into()]).await? == 1 {
            return Ok(false);
        }
        let before = to_utc(now.checked_sub(every).unwrap_or(Timestamp::MIN));
        // A time to come was written by a clock that has been put right since.
        let sql = "UPDATE upkeep SET last_run = $2 WHERE task = $1 AND (last_run <= $3 OR last_run > $2)";
        let taken = self.execute(sql, vec![task.into(), to_utc(now).into(), before.into()]).await?;
        Ok(taken == 1)
    }

    /// Notes that `task` was done just now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_done(&self, task: &str) -> Result<()> {
        let sql = "INSERT INTO upkeep (task, last_run) VALUES ($1, $2) \
                   ON CONFLICT (task) DO UPDATE SET last_run = excluded.last_run";
        self.execute(sql, vec![task.into(), self.now().into()]).await?;
        Ok(())
    }

    /// When each task was done last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_runs(&self) -> Result<HashMap<String, Timestamp>> {
        let rows = self.query("SELECT task, last_run FROM upkeep", Vec::new()).await?;
        rows.iter()
            .map(|row| {
                let at: DateTimeUtc = row.try_get("", "last_run")?;
                Ok((row.try_get("", "task")?, from_utc(at)))
            })
            .collect()
    }

    /// Forgets what nobody needs any more: sessions and their tokens, sign-ins at the console, links, effects that have
    /// happened. A refresh token that was used is kept for `refresh_life`, so that a stolen copy ends the session. How many
    /// rows went, by table.
    ///
    /// # Errors
    /// When the database does not answer; what went by then is gone.
    pub async fn purge(&self, refresh_life: SignedDuration) -> Result<Vec<(&'static str, u64)>> {
        let tables = [
            ("refresh_tokens", "token_hash", "used_at IS NOT NULL AND created_at < $1", refresh_life),
            ("sessions", "id", "expires_at < $1 OR revoked_at < $1", SESSIONS),
            ("console_sessions", "id", "expires_at < $1 OR ended_at < $1", LINKS),
            ("one_time_tokens", "token_hash", "expires_at < $1", LINKS),
            ("outbox", "id", "done_at < $1", EFFECTS),
        ];
        let now = self.clock.now();
        let _deleting = self.deleting();
        let mut gone = Vec::new();
        for (table, key, condition, kept) in tables {
            let before = to_utc(now.checked_sub(kept).unwrap_or(Timestamp::MIN));
            let sql = format!(
                "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {BATCH})"
            );
            let mut count = 0;
            loop {
                let some = self.execute(&sql, vec![before.into()]).await?;
                count += some;
                if some < BATCH as u64 {
                    break;
                }
            }
            gone.push((table, count));
        }
        Ok(gone)
    }
}
