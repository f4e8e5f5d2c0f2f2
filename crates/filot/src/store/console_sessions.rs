//! Sign-ins at the console: server-side, with an idle and an absolute end.

use std::time::Duration;

use jiff::SignedDuration;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::audit::{Actor, AuditEntry};
use super::entity::{console_sessions, users};
use super::{Officer, Result, Role, Store, to_utc};
use crate::document::UserId;

/// An open sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSession {
    pub id: Uuid,
    pub officer: Officer,
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
        let idle_since = to_utc(now.checked_sub(idle).unwrap_or(jiff::Timestamp::MIN));
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
        Ok(Some(ConsoleSession { id: row.id, officer: Officer { id: UserId(user.id), role } }))
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
        self.write_audit(
            &tx,
            entry("console.logout", &Actor::Officer(session.officer.id), session.officer.id),
        )
        .await?;
        tx.commit().await?;
        let sql = "UPDATE reviews SET claimed_by = NULL, claimed_until = NULL \
                   WHERE claimed_by = $1 AND status = 'pending'";
        self.execute(sql, vec![session.officer.id.0.into()]).await?;
        Ok(())
    }
}

fn entry<'a>(action: &'a str, actor: &'a Actor, user: UserId) -> AuditEntry<'a> {
    AuditEntry { actor, action, subject: format!("user:{user}"), reason: None, before: None, after: None }
}
