//! Numbers for the dashboard: counts by span of time, and how long things wait and take. The spans come as bounds, so
//! that the same statements serve both databases and any calendar.

use jiff::Timestamp;
use sea_orm::Value;
use sea_orm::prelude::DateTimeUtc;
use uuid::Uuid;

use super::{EventKind, Result, ReviewRoute, ReviewStatus, Store, from_utc, to_utc};
use crate::document::{UserId, Verification};

/// Officers listed by their speed.
const OFFICERS: i64 = 50;
/// Rulings that speed is measured by, the latest.
const RULINGS: i64 = 5000;

/// Events of a kind in one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Position of the span: from the bound with this index to the next.
    pub span: usize,
    pub kind: EventKind,
    pub verification: Verification,
    pub count: u64,
}

/// Reviews decided for a reason in one span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    pub span: usize,
    /// Code of the desk's reason; external reviewers give none.
    pub reason: Option<String>,
    pub count: u64,
}

/// How long reviews were before those who decided on them, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    /// `None` for all together.
    pub officer: Option<UserId>,
    pub count: u64,
    pub median_ms: i64,
    pub p95_ms: i64,
}

/// What waits for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    pub count: u64,
    /// Of these, how many wait since before the two given times.
    pub before: [u64; 2],
    /// How many are with the external reviewers.
    pub external: u64,
    /// Since when the median, the one in twenty, and the longest wait.
    pub p50: Option<Timestamp>,
    pub p95: Option<Timestamp>,
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// Counts the reviews that wait for the desk since before `since`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_overdue(&self, since: Timestamp) -> Result<u64> {
        let sql = "SELECT COUNT(*) AS n FROM reviews WHERE status = $1 AND route = $2 AND created_at < $3";
        let (status, route) = (ReviewStatus::Pending.as_str(), ReviewRoute::Desk.as_str());
        let rows = self.query(sql, vec![status.into(), route.into(), to_utc(since).into()]).await?;
        rows.first().map_or(Ok(0), |row| count(row, "n"))
    }

    /// Counts the events in each span between two of the bounds, which ascend.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_events(&self, bounds: &[Timestamp]) -> Result<Vec<Counted>> {
        let rows = self.by_span("events", "at", "kind, verification_status", bounds).await?;
        rows.iter()
            .map(|row| {
                Ok(Counted {
                    span: span(row)?,
                    kind: row.try_get::<String>("", "kind")?.parse()?,
                    verification: row.try_get::<String>("", "verification_status")?.parse()?,
                    count: count(row, "n")?,
                })
            })
            .collect()
    }

    /// Counts the decided reviews in each span between two of the bounds, which ascend.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_decisions(&self, bounds: &[Timestamp]) -> Result<Vec<Ruled>> {
        let rows = self.by_span("reviews", "decided_at", "reason", bounds).await?;
        rows.iter()
            .map(|row| {
                Ok(Ruled { span: span(row)?, reason: row.try_get("", "reason")?, count: count(row, "n")? })
            })
            .collect()
    }

    /// One statement that looks up each span in an index by itself: a range is found the same way in every database,
    /// which the start of a day is not.
    async fn by_span(
        &self,
        table: &str,
        time: &str,
        group: &str,
        bounds: &[Timestamp],
    ) -> Result<Vec<sea_orm::QueryResult>> {
        let parts: Vec<String> = (1..bounds.len())
            .map(|to| {
                format!(
                    "SELECT {} AS span, {group}, COUNT(*) AS n FROM {table} WHERE {time} >= ${to} AND {time} < ${} \
                     GROUP BY {group}",
                    to - 1,
                    to + 1
                )
            })
            .collect();
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let values = bounds.iter().map(|bound| Value::from(to_utc(*bound))).collect();
        self.query(&parts.join(" UNION ALL "), values).await
    }

    /// How long the latest rulings since then took, of all officers together first, then of each, the busiest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn handling(&self, since: Timestamp) -> Result<Vec<Handling>> {
        let ranked = |partition: &str, select: &str, group: &str| {
            format!(
                "WITH ranked AS (SELECT reviewer, handling_ms, \
                 ROW_NUMBER() OVER ({partition} ORDER BY handling_ms) AS place, \
                 COUNT(*) OVER ({partition}) AS n \
                 FROM (SELECT reviewer, handling_ms FROM rulings WHERE noted_at >= $1 AND handling_ms IS NOT NULL \
                 ORDER BY noted_at DESC LIMIT $3) latest) \
                 SELECT {select} n, MAX(CASE WHEN place = (n + 1) / 2 THEN handling_ms END) AS p50, \
                 MAX(CASE WHEN place = (n * 95 + 99) / 100 THEN handling_ms END) AS p95 \
                 FROM ranked GROUP BY {group} n ORDER BY n DESC LIMIT $2"
            )
        };
        let mut all = Vec::new();
        for (sql, of_each) in
            [(ranked("", "", ""), false), (ranked("PARTITION BY reviewer", "reviewer,", "reviewer,"), true)]
        {
            for row in self.query(&sql, vec![to_utc(since).into(), OFFICERS.into(), RULINGS.into()]).await? {
                all.push(Handling {
                    officer: if of_each { Some(UserId(row.try_get::<Uuid>("", "reviewer")?)) } else { None },
                    count: count(&row, "n")?,
                    median_ms: row.try_get("", "p50")?,
                    p95_ms: row.try_get("", "p95")?,
                });
            }
        }
        Ok(all)
    }

    /// How much waits, how much of it since before each of two times, and how long.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn queue_age(&self, before: [Timestamp; 2]) -> Result<Queue> {
        let pending = ReviewStatus::Pending.as_str();
        let sql = "SELECT COUNT(*) AS n, COUNT(CASE WHEN created_at <= $2 THEN 1 END) AS a, \
                   COUNT(CASE WHEN created_at <= $3 THEN 1 END) AS b, \
                   COUNT(CASE WHEN route = 'buli2' THEN 1 END) AS external FROM reviews WHERE status = $1";
        let values = vec![pending.into(), to_utc(before[0]).into(), to_utc(before[1]).into()];
        let rows = self.query(sql, values).await?;
        let Some(row) = rows.first() else { return Ok(Queue::default()) };
        let n = count(row, "n")?;
        // The newest first: the place in this order is the place among the ages.
        let at = async |percent: u64| -> Result<Option<Timestamp>> {
            let place = (n * percent).div_ceil(100).saturating_sub(1);
            let sql =
                "SELECT created_at FROM reviews WHERE status = $1 ORDER BY created_at DESC LIMIT 1 OFFSET $2";
            let place = i64::try_from(place).unwrap_or(i64::MAX);
            let rows = self.query(sql, vec![pending.into(), place.into()]).await?;
            let found = rows.first().map(|row| row.try_get::<DateTimeUtc>("", "created_at")).transpose()?;
            Ok(found.map(from_utc))
        };
        Ok(Queue {
            count: n,
            before: [count(row, "a")?, count(row, "b")?],
            external: count(row, "external")?,
            p50: at(50).await?,
            p95: at(95).await?,
            oldest: at(100).await?,
        })
    }
}

fn span(row: &sea_orm::QueryResult) -> Result<usize> {
    Ok(usize::try_from(row.try_get::<i32>("", "span")?).unwrap_or_default())
}

fn count(row: &sea_orm::QueryResult, column: &str) -> Result<u64> {
    Ok(row.try_get::<i64>("", column)?.unsigned_abs())
}
