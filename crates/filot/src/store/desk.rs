//! The queue of the review desk: who may take which review, and who has it before them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Value};
use serde::Deserialize;
use uuid::Uuid;

use super::audit::{Actor, AuditEntry};
use super::entity::{documents, profiles, reviews, users};
use super::listing::Cursor;
use super::{Error, Result, ReviewStatus, Role, Store, Write, from_utc, to_utc};
use crate::document::{CardType, DocumentId, ReviewId, Stage, UserId};

/// Someone who reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Officer {
    pub id: UserId,
    pub role: Role,
}

impl Officer {
    pub(super) fn actor(&self) -> Actor {
        Actor::Officer(self.id)
    }
}

/// Whose reviews to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Possession {
    /// Those the officer has before them.
    Mine,
    /// Those nobody has.
    Free,
}

/// Which reviews to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeskFilter {
    pub card_type: Option<CardType>,
    /// Code of a check or a failure.
    pub reason: Option<String>,
    pub possession: Option<Possession>,
    /// Only those that wait since before.
    pub before: Option<Timestamp>,
}

/// A review in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub id: ReviewId,
    pub document_id: DocumentId,
    pub card_type: CardType,
    pub score: Option<u8>,
    pub stage: Stage,
    pub reasons: Vec<String>,
    pub created_at: Timestamp,
    /// Who has it before them at this moment.
    pub held_by: Option<UserId>,
}

impl Waiting {
    /// Where the list goes on after this entry.
    pub fn cursor(&self) -> Cursor {
        Cursor { created_at: self.created_at, id: self.id.0 }
    }
}

/// How the queue is, as far as it takes to see that it is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    count: i64,
    /// How many somebody has before them.
    held: i64,
    /// The latest change of one that waits.
    latest: Option<Timestamp>,
}

/// What brought a document here: its checks that did not hold, or why it could not be read.
pub(super) fn reasons_of(document: &documents::Model) -> String {
    #[derive(Deserialize)]
    struct Checks {
        #[serde(default)]
        checks: Vec<Check>,
    }
    #[derive(Deserialize)]
    struct Check {
        code: String,
        outcome: String,
    }
    let result =
        document.result_json.as_ref().and_then(|json| serde_json::from_str::<Checks>(json.0.get()).ok());
    let mut codes: Vec<String> = document.failure_code.iter().cloned().collect();
    codes.extend(
        result
            .map(|result| result.checks)
            .unwrap_or_default()
            .into_iter()
            .filter(|check| check.outcome != "pass")
            .map(|check| check.code),
    );
    format!(" {} ", codes.join(" "))
}

pub(super) fn split_reasons(codes: &str) -> Vec<String> {
    codes.split_whitespace().map(str::to_owned).collect()
}

/// Text for LIKE: a code is letters, digits and the underscore, which LIKE would take for any letter.
fn is_code(text: &str) -> bool {
    (1..=50).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reviews that this officer ($1; $2 whether an admin; $3 now, named here so that it always is) can work on: open, not
/// about themselves, nothing noted at their stage, and from the second look on nothing of their own.
const OPEN: &str = "r.status = 'pending' AND (r.created_at <= $3 OR r.created_at > $3) AND r.user_id <> $1 \
    AND NOT EXISTS (SELECT 1 FROM rulings g WHERE g.review_id = r.id AND g.stage = r.stage) \
    AND (r.stage = 'first' OR ((r.stage = 'second' OR (r.stage = 'admin' AND $2)) \
         AND NOT EXISTS (SELECT 1 FROM rulings g WHERE g.review_id = r.id AND g.reviewer = $1)))";

/// Reviews that wait for a second or third person where nobody who may be it has an account. Those of an installation
/// without any officers wait for BULI2, and for the first one.
const STUCK: &str = "SELECT COUNT(*) AS n FROM reviews r WHERE r.status = 'pending' AND r.stage <> 'first' \
    AND NOT EXISTS (SELECT 1 FROM rulings g WHERE g.review_id = r.id AND g.stage = r.stage) \
    AND NOT EXISTS (SELECT 1 FROM users u WHERE u.disabled_at IS NULL AND u.id <> r.user_id \
        AND (u.role = 'admin' OR (u.role = 'reviewer' AND r.stage = 'second')) \
        AND NOT EXISTS (SELECT 1 FROM rulings g WHERE g.review_id = r.id AND g.reviewer = u.id))";

impl Store {
    /// The queue as `officer` sees it, longest wait first, from behind `after`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn waiting_reviews(
        &self,
        officer: &Officer,
        filter: &DeskFilter,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Vec<Waiting>> {
        let (mut wanted, mut values) = self.wanted(officer, filter);
        if let Some(Cursor { created_at, id }) = after {
            values.push(to_utc(created_at).into());
            values.push(id.into());
            let (at, id) = (values.len() - 1, values.len());
            wanted
                .push_str(&format!(" AND (r.created_at > ${at} OR (r.created_at = ${at} AND r.id > ${id}))"));
        }
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT r.id, r.document_id, r.stage, r.reasons, r.created_at, d.type AS card_type, d.ai_score, \
             CASE WHEN r.claimed_until > $3 THEN r.claimed_by END AS held_by \
             FROM reviews r JOIN documents d ON d.id = r.document_id WHERE {wanted} \
             ORDER BY r.created_at, r.id LIMIT ${}",
            values.len()
        );
        let rows = self.query(&sql, values).await?;
        rows.iter()
            .map(|row| {
                let text = |column: &str| row.try_get::<String>("", column);
                Ok(Waiting {
                    id: ReviewId(row.try_get("", "id")?),
                    document_id: DocumentId(row.try_get("", "document_id")?),
                    card_type: text("card_type")?.parse()?,
                    score: row
                        .try_get::<Option<i32>>("", "ai_score")?
                        .and_then(|score| u8::try_from(score).ok()),
                    stage: text("stage")?.parse()?,
                    reasons: split_reasons(
                        &row.try_get::<Option<String>>("", "reasons")?.unwrap_or_default(),
                    ),
                    created_at: from_utc(row.try_get("", "created_at")?),
                    held_by: row.try_get::<Option<Uuid>>("", "held_by")?.map(UserId),
                })
            })
            .collect()
    }

    /// How many reviews [`Store::waiting_reviews`] lists in all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_waiting(&self, officer: &Officer, filter: &DeskFilter) -> Result<u64> {
        let (wanted, values) = self.wanted(officer, filter);
        let sql = format!(
            "SELECT COUNT(*) AS n FROM reviews r JOIN documents d ON d.id = r.document_id WHERE {wanted}"
        );
        let rows = self.query(&sql, values).await?;
        let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get("", "n"))?;
        Ok(count.unsigned_abs())
    }

    /// What tells one state of the queue from the next.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn queue_state(&self) -> Result<QueueState> {
        let sql = "SELECT COUNT(*) AS n, COUNT(CASE WHEN claimed_until > $2 THEN 1 END) AS held, \
                   MAX(updated_at) AS latest FROM reviews WHERE status = $1";
        let values = vec![ReviewStatus::Pending.as_str().into(), self.now().into()];
        let rows = self.query(sql, values).await?;
        let Some(row) = rows.first() else { return Ok(QueueState::default()) };
        let latest: Option<sea_orm::prelude::DateTimeUtc> = row.try_get("", "latest")?;
        Ok(QueueState {
            count: row.try_get("", "n")?,
            held: row.try_get("", "held")?,
            latest: latest.map(from_utc),
        })
    }

    fn wanted(&self, officer: &Officer, filter: &DeskFilter) -> (String, Vec<Value>) {
        let mut values: Vec<Value> =
            vec![officer.id.0.into(), (officer.role == Role::Admin).into(), self.now().into()];
        let mut sql = OPEN.to_owned();
        let mut and = |condition: &str, value: Option<Value>| {
            sql.push_str(" AND ");
            match value {
                Some(value) => {
                    values.push(value);
                    sql.push_str(&condition.replace('?', &format!("${}", values.len())));
                }
                None => sql.push_str(condition),
            }
        };
        if let Some(card_type) = filter.card_type {
            and("d.type = ?", Some(card_type.as_str().into()));
        }
        if let Some(code) = filter.reason.as_deref().filter(|code| is_code(code)) {
            let pattern = format!("% {} %", code.replace('_', "\\_"));
            and("r.reasons LIKE ? ESCAPE '\\'", Some(pattern.into()));
        }
        match filter.possession {
            Some(Possession::Mine) => and("r.claimed_by = $1 AND r.claimed_until > $3", None),
            Some(Possession::Free) => {
                and("(r.claimed_by IS NULL OR r.claimed_by = $1 OR r.claimed_until <= $3)", None);
            }
            None => {}
        }
        if let Some(before) = filter.before {
            and("r.created_at < ?", Some(to_utc(before).into()));
        }
        (sql, values)
    }

    /// How people are called at the desk: their name, else their e-mail.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn display_name(&self, id: UserId) -> Result<String> {
        let profile =
            profiles::Entity::find().filter(profiles::Column::UserId.eq(id.0)).one(&self.db).await?;
        if let Some(name) = profile.and_then(|profile| profile.full_name) {
            return Ok(name);
        }
        let user = users::Entity::find_by_id(id.0).one(&self.db).await?;
        Ok(user.and_then(|user| user.email).unwrap_or_else(|| id.to_string()))
    }

    /// How many reviews wait for another person where there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn stuck_reviews(&self) -> Result<u64> {
        let rows = self.query(STUCK, Vec::new()).await?;
        let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get("", "n"))?;
        Ok(count.unsigned_abs())
    }

    /// The row of a review, held against other writers until the transaction ends.
    pub(super) async fn hold_review(&self, tx: &Write, id: ReviewId) -> Result<reviews::Model> {
        reviews::Entity::find_by_id(id.0).lock_exclusive().one(&tx.tx).await?.ok_or(Error::NotFound)
    }

    /// A review and its document, held. Always the document first: whoever deletes it holds it while its reviews go with
    /// it, so two who took them the other way round could wait for each other.
    pub(super) async fn hold_with_document(
        &self,
        tx: &Write,
        id: ReviewId,
    ) -> Result<(reviews::Model, documents::Model)> {
        let seen = reviews::Entity::find_by_id(id.0).one(&tx.tx).await?.ok_or(Error::NotFound)?;
        let document = self.hold(tx, DocumentId(seen.document_id)).await?;
        Ok((self.hold_review(tx, id).await?, document))
    }

    /// Writes `change`, guarded by the version that was loaded.
    pub(super) async fn change_review(
        &self,
        tx: &Write,
        review: &reviews::Model,
        change: reviews::ActiveModel,
    ) -> Result<reviews::Model> {
        let change = reviews::ActiveModel { updated_at: Set(self.now()), ..change };
        let changed = reviews::Entity::update_many()
            .set(change)
            .filter(reviews::Column::Id.eq(review.id))
            .filter(reviews::Column::Version.eq(review.version))
            .exec_with_returning(&tx.tx)
            .await?;
        changed.into_iter().next().ok_or(Error::Conflict)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an entry")]
    pub(super) async fn audit_review(
        &self,
        tx: &Write,
        officer: &Officer,
        action: &str,
        review: &reviews::Model,
        reason: Option<&str>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<()> {
        let (actor, subject) = (&officer.actor(), format!("review:{}", review.id));
        self.write_audit(tx, AuditEntry { actor, action, subject, reason, before, after }).await
    }

    /// So long from now.
    pub(super) fn after(&self, wait: Duration) -> sea_orm::prelude::DateTimeUtc {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        to_utc(self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX))
    }
}
