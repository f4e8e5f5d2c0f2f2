//! Who has a review before them, and who may.

use std::time::Duration;

use jiff::Timestamp;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::audit::{Actor, AuditEntry};
use super::desk::Officer;
use super::entity::reviews;
use super::{Result, Review, ReviewStatus, Role, Store, Write, from_utc};
use crate::document::people;
use crate::document::{ReviewId, UserId};

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
    /// It is about the officer themselves.
    Own,
}

impl Store {
    /// Takes a review for `lease`, or prolongs the hold on it. One that was left lying is taken over.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn claim_review(&self, id: ReviewId, officer: &Officer, lease: Duration) -> Result<Claim> {
        let tx = self.begin().await?;
        let review = self.hold_review(&tx, id).await?;
        if review.user_id == officer.id.0 {
            return Ok(Claim::Own);
        }
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
            // Whoever takes it has to look for themselves.
            seen_at: if is_new { Set(None) } else { NotSet },
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
        let sql = "UPDATE reviews SET claimed_until = $1 WHERE id = $2 AND claimed_by = $3 AND status = 'pending' \
             AND user_id <> $3";
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

    /// Whether this is a stage at which `officer` may decide.
    pub(super) async fn is_for(
        &self,
        tx: &Write,
        review: &reviews::Model,
        officer: &Officer,
    ) -> Result<bool> {
        let spoke: Vec<UserId> =
            self.rulings_on(tx, review.id).await?.into_iter().map(|ruling| UserId(ruling.reviewer)).collect();
        let (is_admin, owner) = (officer.role == Role::Admin, UserId(review.user_id));
        Ok(people::may_act(officer.id, is_admin, owner, review.stage.parse()?, &spoke))
    }

    /// Holds on to a review whose lease has run out, for an officer who acts on it and from whom nobody has taken it.
    pub(super) async fn reclaim(&self, tx: &Write, review: &reviews::Model, officer: &Officer) -> Result<()> {
        if review.claimed_until.is_some_and(|until| until > self.now()) {
            return Ok(());
        }
        let own = Some(officer.actor().to_string());
        self.audit_review(tx, officer, "review.claim", review, Some("lapsed"), own.clone(), own).await
    }

    /// The officer has opened the picture. `false` when they do not have the review before them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn picture_seen(&self, id: ReviewId, officer: &Officer) -> Result<bool> {
        let sql = "UPDATE reviews SET seen_at = $1 WHERE id = $2 AND claimed_by = $3 AND claimed_until > $1 \
                   AND status = 'pending'";
        Ok(self.execute(sql, vec![self.now().into(), id.0.into(), officer.id.0.into()]).await? == 1)
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
}
