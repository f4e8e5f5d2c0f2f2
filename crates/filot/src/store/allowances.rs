//! What an account may store in a day: counted when a document is made, in the same transaction, and not given back when
//! it is deleted.

use jiff::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use super::{Error, Result, Store, Write};
use crate::document::UserId;

/// Days begin at midnight in western Indonesia (UTC+7).
const OFFSET_S: i64 = 7 * 3600;
const DAY_S: i64 = 24 * 3600;
/// Counts of so many earlier days are kept.
const RETAINED_DAYS: i64 = 2;

/// Files and bytes: of a day, or those that an account may store in one, where 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    pub files: u64,
    pub bytes: u64,
}

impl Allowance {
    /// Whether `used` and one file more of `length` bytes is too much.
    fn is_spent(self, used: Self, length: u64) -> bool {
        let over = |limit: u64, wanted: u64| limit > 0 && wanted > limit;
        over(self.files, used.files.saturating_add(1)) || over(self.bytes, used.bytes.saturating_add(length))
    }
}

fn day(at: Timestamp) -> i64 {
    (at.as_second() + OFFSET_S).div_euclid(DAY_S)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX / 2)
}

impl Store {
    /// What `user` has stored today.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn used_today(&self, user: UserId) -> Result<Allowance> {
        let sql = "SELECT files, bytes FROM allowances WHERE user_id = $1 AND day = $2";
        let rows = self.query(sql, vec![user.0.into(), day(self.clock.now()).into()]).await?;
        let Some(row) = rows.first() else { return Ok(Allowance::default()) };
        let count = |name: &str| Ok::<_, DbErr>(row.try_get::<i64>("", name)?.unsigned_abs());
        Ok(Allowance { files: count("files")?, bytes: count("bytes")? })
    }

    /// Whether `user` may store `length` bytes more today, as things are now. Only [`Store::spend`] decides.
    ///
    /// # Errors
    /// `Spent`.
    pub async fn may_store(&self, user: UserId, length: u64) -> Result<()> {
        if self.allowance == Allowance::default() {
            return Ok(());
        }
        let used = self.used_today(user).await?;
        if self.allowance.is_spent(used, length) { Err(Error::Spent) } else { Ok(()) }
    }

    /// Counts a file of `length` bytes, in the transaction that makes its document. Others who store for the same account
    /// wait until that is over.
    pub(super) async fn spend(&self, tx: &Write, user: UserId, length: u64) -> Result<()> {
        let Allowance { files, bytes } = self.allowance;
        if self.allowance.is_spent(Allowance::default(), length) {
            return Err(Error::Spent);
        }
        let sql = "INSERT INTO allowances (user_id, day, files, bytes) VALUES ($1, $2, 1, $3) \
                   ON CONFLICT (user_id, day) DO UPDATE SET files = allowances.files + 1, \
                   bytes = allowances.bytes + excluded.bytes \
                   WHERE ($4 = 0 OR allowances.files < $4) AND ($5 = 0 OR allowances.bytes + excluded.bytes <= $5)";
        let day = day(self.clock.now());
        let values: [Value; 5] =
            [user.0.into(), day.into(), number(length).into(), number(files).into(), number(bytes).into()];
        let done = tx.execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::Spent) }
    }

    /// Forgets the counts of days long over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_allowances(&self) -> Result<u64> {
        let before = day(self.clock.now()) - RETAINED_DAYS;
        self.execute("DELETE FROM allowances WHERE day < $1", vec![before.into()]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_jakarta() {
        let at = |text: &str| day(text.parse().unwrap());
        assert_eq!(at("2026-11-29T17:00:00Z"), at("2026-11-30T16:59:59Z"));
        assert_eq!(at("2026-11-29T16:59:59Z") + 1, at("2026-11-29T17:00:00Z"));
    }
}
