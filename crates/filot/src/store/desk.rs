//! The queue of the review desk: who may take which review, and who has it before them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Value,
};
use serde::Deserialize;
use uuid::Uuid;

use super::audit::{Actor, AuditEntry};
use super::entity::{documents, profiles, reviews, users};
use super::listing::Cursor;
use super::rulings::Stage;
use super::{Error, Result, Review, ReviewStatus, Role, Store, Write, from_utc, to_utc};
use crate::document::{CardType, DocumentId, ReviewId, UserId};

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

/// What became of the wish to have a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the officer's.
    Held(Box<Review>),
    /// A colleague has it until then.
    Taken { by: UserId, until: Timestamp },
    /// It has been decided, by whoever [`Actor`] spells so.
    Decided { by: String },
    /// It is not this officer's turn: a second look is somebody else's.
    NotYours,
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

/// Reviews that this officer ($1; $2 whether an admin; $3 now, named here so that it always is) can work on: open, nothing noted at their stage, and not
/// a second look at what they decided themselves.
const OPEN: &str = "r.status = 'pending' AND (r.created_at <= $3 OR r.created_at > $3) \
    AND NOT EXISTS (SELECT 1 FROM rulings g WHERE g.review_id = r.id AND g.stage = r.stage) \
    AND (r.stage = 'first' OR (r.stage = 'admin' AND $2) \
         OR (r.stage = 'second' AND NOT EXISTS (SELECT 1 FROM rulings g WHERE g.review_id = r.id AND g.reviewer = $1)))";

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

    /// Takes a review for `lease`, or prolongs the hold on it. One that was left lying is taken over.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn claim_review(&self, id: ReviewId, officer: &Officer, lease: Duration) -> Result<Claim> {
        let tx = self.begin().await?;
        let review = self.hold_review(&tx, id).await?;
        if review.status != ReviewStatus::Pending.as_str() {
            return Ok(Claim::Decided { by: review.reviewer.unwrap_or_default() });
        }
        if let Some(ruling) = self.ruling_at(&tx, &review).await? {
            return Ok(Claim::Decided { by: Actor::Officer(UserId(ruling.reviewer)).to_string() });
        }
        if !self.is_for(&tx, &review, officer).await? {
            return Ok(Claim::NotYours);
        }
        if let Some((by, until)) = self.held_by_other(&review, officer) {
            return Ok(Claim::Taken { by, until });
        }
        let is_new = review.claimed_by != Some(officer.id.0);
        let change = reviews::ActiveModel {
            claimed_by: Set(Some(officer.id.0)),
            claimed_until: Set(Some(self.after(lease))),
            claimed_at: if is_new { Set(Some(self.now())) } else { NotSet },
            version: Set(review.version + i32::from(is_new)),
            ..Default::default()
        };
        let next = self.change_review(&tx, &review, change).await?;
        if is_new {
            let before = review.claimed_by.map(|id| Actor::Officer(UserId(id)).to_string());
            let after = Some(officer.actor().to_string());
            self.audit_review(&tx, officer, "review.claim", &review, None, before, after).await?;
        }
        tx.commit().await?;
        Ok(Claim::Held(Box::new(next.try_into()?)))
    }

    /// The officer still has it before them. `false` when it is no longer theirs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn extend_claim(&self, id: ReviewId, officer: &Officer, lease: Duration) -> Result<bool> {
        let sql =
            "UPDATE reviews SET claimed_until = $1 WHERE id = $2 AND claimed_by = $3 AND status = 'pending'";
        let values = vec![self.after(lease).into(), id.0.into(), officer.id.0.into()];
        Ok(self.execute(sql, values).await? == 1)
    }

    /// The officer puts it back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn release_claim(&self, id: ReviewId, officer: &Officer) -> Result<()> {
        let tx = self.begin().await?;
        self.put_back(&tx, &officer.actor(), officer.id, reviews::Column::Id.eq(id.0)).await?;
        tx.commit().await
    }

    /// Puts back what `officer` has before them, as far as `which` says.
    pub(super) async fn put_back(
        &self,
        tx: &Write,
        actor: &Actor,
        officer: UserId,
        which: sea_orm::sea_query::Expr,
    ) -> Result<()> {
        let change = reviews::ActiveModel {
            claimed_by: Set(None),
            claimed_until: Set(None),
            updated_at: Set(self.now()),
            ..Default::default()
        };
        let released = reviews::Entity::update_many()
            .set(change)
            .filter(which)
            .filter(reviews::Column::ClaimedBy.eq(officer.0))
            .filter(reviews::Column::Status.eq(ReviewStatus::Pending.as_str()))
            .exec_with_returning(&tx.tx)
            .await?;
        for review in released {
            let (action, subject) = ("review.release", format!("review:{}", review.id));
            let before = Some(Actor::Officer(officer).to_string());
            let entry = AuditEntry { actor, action, subject, reason: None, before, after: None };
            self.write_audit(tx, entry).await?;
        }
        Ok(())
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

    /// Whether this is a stage at which `officer` may decide.
    pub(super) async fn is_for(
        &self,
        tx: &Write,
        review: &reviews::Model,
        officer: &Officer,
    ) -> Result<bool> {
        let stage: Stage = review.stage.parse()?;
        if stage == Stage::First {
            return Ok(true);
        }
        let decided: Vec<Uuid> =
            self.rulings_on(tx, review.id).await?.into_iter().map(|ruling| ruling.reviewer).collect();
        let own = decided.contains(&officer.id.0);
        match (stage, officer.role) {
            (Stage::Second, _) => Ok(!own),
            (_, Role::Admin) if own => {
                // Where there is no other admin, better one of the two than nobody.
                let others = users::Entity::find()
                    .filter(users::Column::Role.eq(Role::Admin.as_str()))
                    .filter(users::Column::DisabledAt.is_null())
                    .filter(users::Column::Id.is_not_in(decided))
                    .count(&tx.tx)
                    .await?;
                Ok(others == 0)
            }
            (_, role) => Ok(role == Role::Admin),
        }
    }

    /// The colleague who has the review before them.
    pub(super) fn held_by_other(
        &self,
        review: &reviews::Model,
        officer: &Officer,
    ) -> Option<(UserId, Timestamp)> {
        let (by, until) = review.claimed_by.zip(review.claimed_until)?;
        (by != officer.id.0 && until > self.now()).then(|| (UserId(by), from_utc(until)))
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
