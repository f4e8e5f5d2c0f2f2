//! Registrations that wait for a mail to be confirmed, and where people have signed in from.
//!
//! A registration is no account: it occupies no address, opens nothing, and is forgotten after a day.

use jiff::{SignedDuration, Timestamp};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use uuid::Uuid;

use super::accounts::normal_email;
use super::entity::{registrations, users};
use super::{Actor, AuditEntry, EffectKind, Error, NewUser, Result, Role, Store, User, from_utc, to_utc};
use crate::document::UserId;

/// How long a place is remembered after the last sign-in from there.
const PLACE_TTL: SignedDuration = SignedDuration::from_hours(24 * 90);
/// A place that was noted so long ago is noted again.
const PLACE_REFRESH: SignedDuration = SignedDuration::from_hours(24);

/// Somebody who wants an account.
#[derive(Clone, Debug)]
pub struct NewRegistration {
    pub email: String,
    /// In PHC format.
    pub password_hash: String,
    pub full_name: Option<String>,
    pub expires_at: Timestamp,
}

/// A registration that waits for its mail to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    pub id: Uuid,
    pub email: String,
    pub password_hash: String,
    pub full_name: Option<String>,
    pub created_at: Timestamp,
}

impl Store {
    /// Notes a registration and asks for its mail, unless the address was sent `most` mails since `since`. Whether there
    /// is an account with the address makes no difference here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_registration(&self, new: NewRegistration, most: u64, since: Timestamp) -> Result<()> {
        let tx = self.begin().await?;
        let now = self.now();
        let email = normal_email(&new.email);
        let sent = registrations::Entity::find()
            .filter(registrations::Column::Email.eq(&email))
            .filter(registrations::Column::CreatedAt.gt(to_utc(since)))
            .count(&tx.tx)
            .await?;
        if sent < most {
            let row = registrations::ActiveModel {
                id: Set(Uuid::now_v7()),
                email: Set(email),
                password_hash: Set(new.password_hash),
                full_name: Set(new.full_name),
                created_at: Set(now),
                expires_at: Set(to_utc(new.expires_at)),
            };
            let row = row.insert(&tx.tx).await?;
            self.ask_for(&tx, EffectKind::Mail, &row.id.to_string()).await?;
        }
        tx.commit().await
    }

    /// Forgets registrations that nobody confirmed in time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_registrations(&self) -> Result<u64> {
        let now = self.now();
        let gone = self.execute("DELETE FROM registrations WHERE expires_at <= $1", vec![now.into()]).await?;
        if gone > 0 {
            drop(self.deleting());
        }
        Ok(gone)
    }

    /// A registration that has not expired.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn registration(&self, id: Uuid) -> Result<Option<Registration>> {
        let row = registrations::Entity::find_by_id(id)
            .filter(registrations::Column::ExpiresAt.gt(self.now()))
            .one(&self.db)
            .await?;
        Ok(row.map(Registration::from))
    }

    /// Makes the account of a registration whose mail was confirmed. A customer's account that has the address without
    /// ever having confirmed it loses it, with all its sign-ins: whoever confirms has the better claim.
    ///
    /// # Errors
    /// `NotFound` when the registration is gone, `Taken` when the address has an account that keeps it.
    pub async fn confirm_registration(&self, id: Uuid) -> Result<User> {
        let tx = self.begin().await?;
        let row = registrations::Entity::find_by_id(id)
            .filter(registrations::Column::ExpiresAt.gt(self.now()))
            .one(&tx.tx)
            .await?
            .ok_or(Error::NotFound)?;
        let holder = users::Entity::find().filter(users::Column::Email.eq(&row.email)).one(&tx.tx).await?;
        if let Some(holder) = holder {
            if keeps_address(&holder.clone().try_into()?) {
                return Err(Error::Taken);
            }
            let loses = users::ActiveModel {
                id: Set(holder.id),
                email: Set(None),
                password_hash: Set(None),
                updated_at: Set(self.now()),
                ..Default::default()
            };
            loses.update(&tx.tx).await?;
            self.end_sessions(&tx, UserId(holder.id), &Actor::System, super::Kept::None).await?;
            let (actor, subject) = (&Actor::System, format!("user:{}", holder.id));
            let action = "user.address_lost";
            let entry = AuditEntry { actor, action, subject, reason: None, before: None, after: None };
            self.write_audit(&tx, entry).await?;
        }
        // All that were made for the address: the others' passwords are not the one that was confirmed.
        registrations::Entity::delete_many()
            .filter(registrations::Column::Email.eq(&row.email))
            .exec(&tx.tx)
            .await?;
        let new = NewUser {
            email: Some(row.email),
            email_verified: true,
            password_hash: Some(row.password_hash),
            provider: None,
            role: Role::User,
            full_name: row.full_name,
        };
        let user = self.insert_user(&tx, new, None).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Whether `user` has signed in from `place` of late.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn knows_place(&self, user: UserId, place: &str) -> Result<bool> {
        let since = to_utc(self.clock.now() - PLACE_TTL);
        let sql = "SELECT 1 FROM sign_in_places WHERE user_id = $1 AND place = $2 AND last_at > $3";
        Ok(!self.query(sql, vec![user.0.into(), place.into(), since.into()]).await?.is_empty())
    }

    /// Notes that `user` has signed in from `place`, and forgets places of long ago.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_place(&self, user: UserId, place: &str) -> Result<()> {
        let (now, fresh) = (self.clock.now(), to_utc(self.clock.now() - PLACE_REFRESH));
        let sql = "SELECT 1 FROM sign_in_places WHERE user_id = $1 AND place = $2 AND last_at > $3";
        if !self.query(sql, vec![user.0.into(), place.into(), fresh.into()]).await?.is_empty() {
            return Ok(());
        }
        let sql = "DELETE FROM sign_in_places WHERE user_id = $1 AND last_at <= $2";
        self.execute(sql, vec![user.0.into(), to_utc(now - PLACE_TTL).into()]).await?;
        let sql = "INSERT INTO sign_in_places (user_id, place, last_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (user_id, place) DO UPDATE SET last_at = excluded.last_at";
        self.execute(sql, vec![user.0.into(), place.into(), to_utc(now).into()]).await?;
        Ok(())
    }
}

/// Whether an account keeps its address when somebody else confirms it.
pub fn keeps_address(user: &User) -> bool {
    user.email_verified || user.provider.is_some() || user.role != Role::User
}

impl From<registrations::Model> for Registration {
    fn from(row: registrations::Model) -> Self {
        Self {
            id: row.id,
            email: row.email,
            password_hash: row.password_hash,
            full_name: row.full_name,
            created_at: from_utc(row.created_at),
        }
    }
}
