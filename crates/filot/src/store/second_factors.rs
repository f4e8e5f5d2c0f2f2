//! One-time codes as the second thing that officers sign in with, and the links by which they set them up.

use jiff::Timestamp;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::audit::{Actor, AuditEntry};
use super::console_sessions::Kept;
use super::entity::{one_time_tokens, second_factors, users};
use super::{Error, Result, Store, Write, to_utc};
use crate::document::UserId;

/// The purpose of an enrolment link in the table of tokens.
pub(crate) const ENROLMENT: &str = "enrolment";

/// What somebody sets up by an enrolment link.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// In PHC format.
    pub password_hash: String,
    /// Of their codes, sealed for the user.
    pub secret: Vec<u8>,
    /// The time step of the code with which they have shown that they can make them.
    pub step: i64,
}

impl Store {
    /// The sealed secret of an officer's codes, if they have set some up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn second_factor(&self, user: UserId) -> Result<Option<Vec<u8>>> {
        let row = second_factors::Entity::find_by_id(user.0)
            .filter(second_factors::Column::ConfirmedAt.is_not_null())
            .one(&self.db)
            .await?;
        Ok(row.map(|row| row.secret))
    }

    /// Stores the hash of a link by which `user` sets up password and codes. Former links of theirs end.
    ///
    /// # Errors
    /// `NotFound` when the user does not exist.
    pub async fn issue_enrolment(&self, user: UserId, token_hash: &str, expires_at: Timestamp) -> Result<()> {
        let tx = self.begin().await?;
        one_time_tokens::Entity::delete_many()
            .filter(one_time_tokens::Column::Purpose.eq(ENROLMENT))
            .filter(one_time_tokens::Column::UserId.eq(user.0))
            .exec(&tx.tx)
            .await?;
        let row = one_time_tokens::ActiveModel {
            token_hash: Set(token_hash.to_owned()),
            purpose: Set(ENROLMENT.to_owned()),
            user_id: Set(Some(user.0)),
            created_at: Set(self.now()),
            expires_at: Set(to_utc(expires_at)),
            used_at: Set(None),
            document_id: Set(None),
        };
        row.insert(&tx.tx).await?;
        let (actor, subject, action) = (&Actor::Operator, format!("user:{user}"), "user.enrolment_link");
        let entry = AuditEntry { actor, action, subject, reason: None, before: None, after: None };
        self.write_audit(&tx, entry).await?;
        tx.commit().await
    }

    /// Sets up password and codes by an enrolment link, which is used by that, and ends all sign-ins of the person.
    ///
    /// # Errors
    /// `Conflict` when the link does not work any more.
    pub async fn enrol(&self, token_hash: &str, user: UserId, new: Enrolment) -> Result<()> {
        let tx = self.begin().await?;
        let now = self.now();
        let used = one_time_tokens::Entity::update_many()
            .set(one_time_tokens::ActiveModel { used_at: Set(Some(now)), ..Default::default() })
            .filter(one_time_tokens::Column::TokenHash.eq(token_hash))
            .filter(one_time_tokens::Column::Purpose.eq(ENROLMENT))
            .filter(one_time_tokens::Column::UserId.eq(user.0))
            .filter(one_time_tokens::Column::UsedAt.is_null())
            .filter(one_time_tokens::Column::ExpiresAt.gt(now))
            .exec(&tx.tx)
            .await?;
        if used.rows_affected != 1 {
            return Err(Error::Conflict);
        }
        let password = users::ActiveModel {
            id: Set(user.0),
            password_hash: Set(Some(new.password_hash)),
            updated_at: Set(now),
            ..Default::default()
        };
        password.update(&tx.tx).await?;
        self.replace_factor(&tx, user, new.secret, new.step).await?;
        self.end_sessions(&tx, user, &Actor::Officer(user), Kept::None).await?;
        tx.commit().await
    }

    /// Sets up an officer's codes in place of what they had. `secret` is sealed, `step` the time step of the code that
    /// they have shown.
    ///
    /// # Errors
    /// `NotFound` when the user does not exist.
    pub async fn set_second_factor(&self, user: UserId, secret: Vec<u8>, step: i64) -> Result<()> {
        let tx = self.begin().await?;
        self.replace_factor(&tx, user, secret, step).await?;
        tx.commit().await
    }

    async fn replace_factor(&self, tx: &Write, user: UserId, secret: Vec<u8>, step: i64) -> Result<()> {
        second_factors::Entity::delete_by_id(user.0).exec(&tx.tx).await?;
        let row = second_factors::ActiveModel {
            user_id: Set(user.0),
            secret: Set(secret),
            confirmed_at: Set(Some(self.now())),
            last_step: Set(step),
            created_at: Set(self.now()),
        };
        row.insert(&tx.tx).await?;
        let (actor, subject, action) = (&Actor::Officer(user), format!("user:{user}"), "user.second_factor");
        let entry = AuditEntry { actor, action, subject, reason: None, before: None, after: None };
        self.write_audit(tx, entry).await
    }

    /// Uses the code of time step `step`. `false` when a code of this step or a later one has been used: each works
    /// once.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_code(&self, user: UserId, step: i64) -> Result<bool> {
        let change = second_factors::ActiveModel { last_step: Set(step), ..Default::default() };
        let tx = self.begin().await?;
        let used = second_factors::Entity::update_many()
            .set(change)
            .filter(second_factors::Column::UserId.eq(user.0))
            .filter(second_factors::Column::ConfirmedAt.is_not_null())
            .filter(second_factors::Column::LastStep.lt(step))
            .exec(&tx.tx)
            .await?;
        tx.commit().await?;
        Ok(used.rows_affected == 1)
    }

    /// Forgets the second factor of an officer, if they have one, and ends all their sign-ins: whoever found what was
    /// lost may have one. Gives how many of those there were at the console.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_second_factor(
        &self,
        user: UserId,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<u64> {
        let tx = self.begin().await?;
        second_factors::Entity::delete_by_id(user.0).exec(&tx.tx).await?;
        let ended = self.end_sessions(&tx, user, actor, Kept::None).await?;
        let (subject, action) = (format!("user:{user}"), "user.second_factor_reset");
        let after = Some(format!("{ended} sessions ended"));
        self.write_audit(&tx, AuditEntry { actor, action, subject, reason, before: None, after }).await?;
        tx.commit().await?;
        Ok(ended)
    }
}
