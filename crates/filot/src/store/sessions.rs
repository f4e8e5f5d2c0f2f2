//! Sessions with rotating refresh tokens, and tokens that work once. Only hashes of tokens are stored.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::entity::{one_time_tokens, refresh_tokens, sessions};
use super::{Error, Result, Store, Write, from_utc, to_utc};
use crate::document::UserId;

/// A login. Its refresh tokens follow each other; it ends as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of access tokens.
    pub id: Uuid,
    pub user_id: UserId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The new token is in force.
    Rotated(Session),
    /// The old token had been used already, long ago: someone has a copy. The session is over.
    Reused(Session),
    /// No session has this token, or it is over.
    Unknown,
}

/// A token that works once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTime {
    pub purpose: String,
    pub user_id: Option<UserId>,
}

impl Store {
    /// Starts a session with its first refresh token.
    ///
    /// # Errors
    /// `NotFound` when the user does not exist.
    pub async fn create_session(
        &self,
        user: UserId,
        token_hash: &str,
        expires_at: Timestamp,
    ) -> Result<Session> {
        let tx = self.begin().await?;
        let now = self.now();
        let row = sessions::ActiveModel {
            id: Set(Uuid::now_v7()),
            user_id: Set(user.0),
            created_at: Set(now),
            expires_at: Set(to_utc(expires_at)),
            revoked_at: Set(None),
            last_used_at: Set(now),
        };
        let row = row.insert(&tx.tx).await?;
        self.insert_refresh(&tx, row.id, token_hash).await?;
        tx.commit().await?;
        Ok(row.into())
    }

    /// Replaces a refresh token by the next one, which always is the same, and prolongs the session. An old token that
    /// comes again within `grace` of its use is a client that missed the answer; after that it is a stolen copy, and ends
    /// the session.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rotate_session(
        &self,
        old_hash: &str,
        new_hash: &str,
        grace: Duration,
        expires_at: Timestamp,
    ) -> Result<Rotation> {
        let tx = self.begin().await?;
        let Some(token) = refresh_tokens::Entity::find_by_id(old_hash).lock_exclusive().one(&tx.tx).await?
        else {
            return Ok(Rotation::Unknown);
        };
        let session = sessions::Entity::find_by_id(token.session_id).lock_exclusive().one(&tx.tx).await?;
        let Some(session) = session.ok_or(Error::NotFound).ok().filter(|s| self.is_open(s)) else {
            return Ok(Rotation::Unknown);
        };
        let now = self.clock.now();
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::ZERO);
        if token.used_at.is_some_and(|used| now.duration_since(from_utc(used)) > grace) {
            let session = self.end(&tx, session).await?;
            tx.commit().await?;
            return Ok(Rotation::Reused(session));
        }
        if token.used_at.is_none() {
            let used = refresh_tokens::ActiveModel {
                token_hash: Set(token.token_hash),
                used_at: Set(Some(to_utc(now))),
                ..Default::default()
            };
            used.update(&tx.tx).await?;
            self.insert_refresh(&tx, session.id, new_hash).await?;
        }
        let renewed = sessions::ActiveModel {
            id: Set(session.id),
            last_used_at: Set(to_utc(now)),
            expires_at: Set(to_utc(expires_at)),
            ..Default::default()
        };
        let session = renewed.update(&tx.tx).await?;
        tx.commit().await?;
        Ok(Rotation::Rotated(session.into()))
    }

    /// Ends a session. Ending it again changes nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_session(&self, id: Uuid) -> Result<()> {
        let now = self.now();
        let sql = "UPDATE sessions SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
        self.execute(sql, vec![now.into(), id.into()]).await?;
        Ok(())
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_sessions_of(&self, user: UserId) -> Result<()> {
        let now = self.now();
        let sql = "UPDATE sessions SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL";
        self.execute(sql, vec![now.into(), user.0.into()]).await?;
        Ok(())
    }

    /// Whether a session is still open.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_is_open(&self, id: Uuid) -> Result<bool> {
        let row = sessions::Entity::find_by_id(id).one(&self.db).await?;
        Ok(row.is_some_and(|session| self.is_open(&session)))
    }

    /// Stores the hash of a token that works once, for `purpose`.
    ///
    /// # Errors
    /// `Taken` when the hash exists.
    pub async fn issue_one_time(
        &self,
        purpose: &str,
        token_hash: &str,
        user: Option<UserId>,
        expires_at: Timestamp,
    ) -> Result<()> {
        let tx = self.begin().await?;
        let row = one_time_tokens::ActiveModel {
            token_hash: Set(token_hash.to_owned()),
            purpose: Set(purpose.to_owned()),
            user_id: Set(user.map(|user| user.0)),
            created_at: Set(self.now()),
            expires_at: Set(to_utc(expires_at)),
            used_at: Set(None),
            document_id: Set(None),
        };
        row.insert(&tx.tx).await?;
        tx.commit().await
    }

    /// Looks at such a token without using it. `None` when it would not work.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn peek_one_time(&self, purpose: &str, token_hash: &str) -> Result<Option<OneTime>> {
        let row = one_time_tokens::Entity::find_by_id(token_hash)
            .filter(one_time_tokens::Column::Purpose.eq(purpose))
            .filter(one_time_tokens::Column::UsedAt.is_null())
            .filter(one_time_tokens::Column::ExpiresAt.gt(self.now()))
            .one(&self.db)
            .await?;
        Ok(row.map(OneTime::from))
    }

    /// Uses such a token. `None` when it does not exist, has another purpose, has expired or was used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn redeem_one_time(&self, purpose: &str, token_hash: &str) -> Result<Option<OneTime>> {
        let tx = self.begin().await?;
        let now = self.now();
        let used = one_time_tokens::Entity::update_many()
            .set(one_time_tokens::ActiveModel { used_at: Set(Some(now)), ..Default::default() })
            .filter(one_time_tokens::Column::TokenHash.eq(token_hash))
            .filter(one_time_tokens::Column::Purpose.eq(purpose))
            .filter(one_time_tokens::Column::UsedAt.is_null())
            .filter(one_time_tokens::Column::ExpiresAt.gt(now))
            .exec_with_returning(&tx.tx)
            .await?;
        tx.commit().await?;
        Ok(used.into_iter().next().map(OneTime::from))
    }

    fn is_open(&self, session: &sessions::Model) -> bool {
        session.revoked_at.is_none() && session.expires_at > self.now()
    }

    async fn insert_refresh(&self, tx: &Write, session: Uuid, token_hash: &str) -> Result<()> {
        let row = refresh_tokens::ActiveModel {
            token_hash: Set(token_hash.to_owned()),
            session_id: Set(session),
            created_at: Set(self.now()),
            used_at: Set(None),
        };
        row.insert(&tx.tx).await?;
        Ok(())
    }

    async fn end(&self, tx: &Write, session: sessions::Model) -> Result<Session> {
        let ended = sessions::ActiveModel {
            id: Set(session.id),
            revoked_at: Set(Some(self.now())),
            ..Default::default()
        };
        Ok(ended.update(&tx.tx).await?.into())
    }
}

impl From<one_time_tokens::Model> for OneTime {
    fn from(row: one_time_tokens::Model) -> Self {
        Self { purpose: row.purpose, user_id: row.user_id.map(UserId) }
    }
}

impl From<sessions::Model> for Session {
    fn from(row: sessions::Model) -> Self {
        Self {
            id: row.id,
            user_id: UserId(row.user_id),
            created_at: from_utc(row.created_at),
            expires_at: from_utc(row.expires_at),
        }
    }
}
