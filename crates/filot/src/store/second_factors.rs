//! One-time codes as the second thing that officers sign in with.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::audit::{Actor, AuditEntry};
use super::entity::second_factors;
use super::{Result, Store};
use crate::document::UserId;

/// An officer's second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    /// Sealed.
    pub secret: Vec<u8>,
    /// Whether a code of it has been seen; before that it is only an offer.
    pub confirmed: bool,
}

impl Store {
    /// The second factor of an officer.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>> {
        let row = second_factors::Entity::find_by_id(user.0).one(&self.db).await?;
        Ok(row.map(|row| SecondFactor { secret: row.secret, confirmed: row.confirmed_at.is_some() }))
    }

    /// Offers a second factor to an officer who has none. Of several offers the first stands; it is returned.
    ///
    /// # Errors
    /// `NotFound` when the user does not exist.
    pub async fn offer_second_factor(&self, user: UserId, sealed: Vec<u8>) -> Result<SecondFactor> {
        let tx = self.begin().await?;
        if second_factors::Entity::find_by_id(user.0).one(&tx.tx).await?.is_none() {
            let row = second_factors::ActiveModel {
                user_id: Set(user.0),
                secret: Set(sealed),
                confirmed_at: Set(None),
                last_step: Set(0),
                created_at: Set(self.now()),
            };
            row.insert(&tx.tx).await?;
        }
        let row =
            second_factors::Entity::find_by_id(user.0).one(&tx.tx).await?.ok_or(super::Error::NotFound)?;
        tx.commit().await?;
        Ok(SecondFactor { secret: row.secret, confirmed: row.confirmed_at.is_some() })
    }

    /// Uses the code of time step `step`. `false` when a code of this step or a later one has been used: each works
    /// once. The first use confirms the factor.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_code(&self, user: UserId, step: i64) -> Result<bool> {
        let tx = self.begin().await?;
        let before = second_factors::Entity::find_by_id(user.0).one(&tx.tx).await?;
        let first = before.is_some_and(|row| row.confirmed_at.is_none());
        let change = second_factors::ActiveModel { last_step: Set(step), ..Default::default() };
        let used = second_factors::Entity::update_many()
            .set(change)
            .filter(second_factors::Column::UserId.eq(user.0))
            .filter(second_factors::Column::LastStep.lt(step))
            .exec(&tx.tx)
            .await?
            .rows_affected
            == 1;
        if used && first {
            let confirmed = second_factors::ActiveModel {
                user_id: Set(user.0),
                confirmed_at: Set(Some(self.now())),
                ..Default::default()
            };
            confirmed.update(&tx.tx).await?;
            let (actor, subject) = (&Actor::Officer(user), format!("user:{user}"));
            let action = "user.second_factor";
            let entry = AuditEntry { actor, action, subject, reason: None, before: None, after: None };
            self.write_audit(&tx, entry).await?;
        }
        tx.commit().await?;
        Ok(used)
    }

    /// Forgets the second factor of an officer, who then sets up a new one at the next sign-in, and ends all their
    /// sign-ins: whoever found what was lost may have one. `None` when they have no second factor; then nothing changes.
    /// Otherwise how many sign-ins at the console ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_second_factor(
        &self,
        user: UserId,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<Option<u64>> {
        let tx = self.begin().await?;
        if second_factors::Entity::delete_by_id(user.0).exec(&tx.tx).await?.rows_affected == 0 {
            return Ok(None);
        }
        let ended = self.end_all_sessions(&tx, user, actor).await?;
        let (subject, action) = (format!("user:{user}"), "user.second_factor_reset");
        let after = Some(format!("{ended} sessions ended"));
        self.write_audit(&tx, AuditEntry { actor, action, subject, reason, before: None, after }).await?;
        tx.commit().await?;
        Ok(Some(ended))
    }
}
