//! Sign-ins at the console: server-side, with an idle and an absolute end.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::audit::{Actor, AuditEntry};
use super::entity::{console_sessions, reviews, sessions, users};
use super::{Officer, Result, Role, Store, Write, from_utc, to_utc};
use crate::document::UserId;

/// An open sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSession {
    pub id: Uuid,
    pub officer: Officer,
    /// When it ends unless the officer gives a sign of life, if that helps at all.
    pub ends_at: Timestamp,
}

/// The one sign-in that stays when all others of a person end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    None,
    /// One of an app.
    App(Uuid),
    /// One at the console.
    Console(Uuid),
}

impl Kept {
    fn app(self) -> Uuid {
        if let Self::App(id) = self { id } else { Uuid::nil() }
    }

    fn console(self) -> Uuid {
        if let Self::Console(id) = self { id } else { Uuid::nil() }
    }
}

impl Store {
    /// Opens a session whose cookie has this hash.
    ///
    /// # Errors
    /// `NotFound` when the user does not exist.
    pub async fn open_console_session(
        &self,
        user: UserId,
        token_hash: &str,
        lifetime: Duration,
    ) -> Result<Uuid> {
        let tx = self.begin().await?;
        let now = self.now();
        let row = console_sessions::ActiveModel {
            id: Set(Uuid::now_v7()),
            token_hash: Set(token_hash.to_owned()),
            user_id: Set(user.0),
            created_at: Set(now),
            last_seen_at: Set(now),
            expires_at: Set(self.after(lifetime)),
            ended_at: Set(None),
        };
        let row = row.insert(&tx.tx).await?;
        self.write_audit(&tx, entry("console.login", &Actor::Officer(user), user)).await?;
        tx.commit().await?;
        Ok(row.id)
    }

    /// The open session of a cookie. With `alive` this keeps it open; it ends when that has not happened for `idle`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn console_session(
        &self,
        token_hash: &str,
        idle: Duration,
        alive: bool,
    ) -> Result<Option<ConsoleSession>> {
        let row = console_sessions::Entity::find()
            .filter(console_sessions::Column::TokenHash.eq(token_hash))
            .one(&self.db)
            .await?;
        let now = self.clock.now();
        let idle = SignedDuration::try_from(idle).unwrap_or(SignedDuration::MAX);
        let idle_since = to_utc(now.checked_sub(idle).unwrap_or(Timestamp::MIN));
        let open = |row: &console_sessions::Model| {
            row.ended_at.is_none() && row.expires_at > to_utc(now) && row.last_seen_at > idle_since
        };
        let Some(row) = row.filter(open) else { return Ok(None) };
        let Some(user) = users::Entity::find_by_id(row.user_id).one(&self.db).await? else { return Ok(None) };
        let role: Role = user.role.parse()?;
        if user.disabled_at.is_some() || role == Role::User {
            return Ok(None);
        }
        // Once in a while is enough, and keeps reading from becoming writing.
        let fresh = to_utc(now.checked_sub(SignedDuration::from_secs(20)).unwrap_or(now));
        if alive && row.last_seen_at < fresh {
            let sql = "UPDATE console_sessions SET last_seen_at = $1 WHERE id = $2 AND last_seen_at < $1";
            self.execute(sql, vec![to_utc(now).into(), row.id.into()]).await?;
        }
        let seen = if alive { now } else { from_utc(row.last_seen_at) };
        let ends_at = seen.checked_add(idle).unwrap_or(Timestamp::MAX).min(from_utc(row.expires_at));
        Ok(Some(ConsoleSession { id: row.id, officer: Officer { id: UserId(user.id), role }, ends_at }))
    }

    /// Ends a session, for good. The officer's reviews go back into the queue.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_console_session(&self, session: &ConsoleSession) -> Result<()> {
        let tx = self.begin().await?;
        let ended = console_sessions::ActiveModel {
            id: Set(session.id),
            ended_at: Set(Some(self.now())),
            ..Default::default()
        };
        ended.update(&tx.tx).await?;
        let (id, actor) = (session.officer.id, Actor::Officer(session.officer.id));
        self.write_audit(&tx, entry("console.logout", &actor, id)).await?;
        self.put_back(&tx, &actor, id, reviews::Column::Id.is_not_null()).await?;
        tx.commit().await
    }

    /// Ends all sign-ins of a user, at the console and in apps.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_sessions_of(&self, user: UserId, actor: &Actor) -> Result<()> {
        let tx = self.begin().await?;
        self.end_sessions(&tx, user, actor, Kept::None).await?;
        self.write_audit(&tx, entry("user.logout_all", actor, user)).await?;
        tx.commit().await
    }

    /// Ends all sign-ins of a user but one, at the console and in apps, and puts back what they have before them, unless
    /// they stay at the console. Gives how many ended at the console.
    pub(super) async fn end_sessions(
        &self,
        tx: &Write,
        user: UserId,
        actor: &Actor,
        keep: Kept,
    ) -> Result<u64> {
        let now = self.now();
        let ended = console_sessions::Entity::update_many()
            .set(console_sessions::ActiveModel { ended_at: Set(Some(now)), ..Default::default() })
            .filter(console_sessions::Column::UserId.eq(user.0))
            .filter(console_sessions::Column::EndedAt.is_null())
            .filter(console_sessions::Column::ExpiresAt.gt(now))
            .filter(console_sessions::Column::Id.ne(keep.console()))
            .exec(&tx.tx)
            .await?;
        sessions::Entity::update_many()
            .set(sessions::ActiveModel { revoked_at: Set(Some(now)), ..Default::default() })
            .filter(sessions::Column::UserId.eq(user.0))
            .filter(sessions::Column::RevokedAt.is_null())
            .filter(sessions::Column::Id.ne(keep.app()))
            .exec(&tx.tx)
            .await?;
        if !matches!(keep, Kept::Console(_)) {
            self.put_back(tx, actor, user, reviews::Column::Id.is_not_null()).await?;
        }
        Ok(ended.rows_affected)
    }
}

fn entry<'a>(action: &'a str, actor: &'a Actor, user: UserId) -> AuditEntry<'a> {
    AuditEntry { actor, action, subject: format!("user:{user}"), reason: None, before: None, after: None }
}
