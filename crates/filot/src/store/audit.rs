//! Who did what. An entry is written in the transaction of the change it tells of.

use std::fmt;

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::entity::{audit, audit_head, documents};
use super::{Error, Result, Store, Write, from_utc, to_utc};
use crate::audit::{Chain, Content, Entry};
use crate::document::UserId;
use crate::pii::redact;

/// Whoever causes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// FiLot itself.
    System,
    /// The owner of the document, or of the account.
    User(UserId),
    /// A reviewer or admin.
    Officer(UserId),
    /// A neighbouring service that holds the service key.
    Service(String),
    /// Whoever runs commands on the machine of the service.
    Operator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Officer(id) => write!(f, "officer:{id}"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// One entry. No personal data in any part of it.
#[derive(Clone, Debug)]
pub struct AuditEntry<'a> {
    pub actor: &'a Actor,
    /// A word with a dot, such as `user.login`.
    pub action: &'a str,
    /// What it is about: `document:…`, `user:…`.
    pub subject: String,
    pub reason: Option<&'a str>,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// An entry that has no place in the trail yet.
pub(super) type Pending = Content;

/// The one row of the head.
const HEAD: i32 = 1;
/// Without the head nothing can be appended: it was deleted, as the program never does that.
const GONE: Error = Error::Corrupt("head of the audit trail; `filot audit verify` says what is left of it");

impl Store {
    /// Writes an entry on its own, for things that change nothing else: a download, a login.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit(&self, entry: AuditEntry<'_>) -> Result<()> {
        let tx = self.begin().await?;
        self.write_audit(&tx, entry).await?;
        tx.commit().await
    }

    /// Notes an entry for the trail, which [`Write::commit`] appends it to.
    pub(super) async fn write_audit(&self, tx: &Write, entry: AuditEntry<'_>) -> Result<()> {
        // The last barrier; callers give no personal data in the first place.
        let content = Content {
            at: self.clock.now(),
            actor: entry.actor.to_string(),
            action: entry.action.to_owned(),
            subject: entry.subject,
            reason: entry.reason.map(redact),
            before: entry.before.as_deref().map(redact),
            after: entry.after.as_deref().map(redact),
        };
        tx.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(content);
        Ok(())
    }

    /// The entries after `seq`, in the order of their numbers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_after(&self, seq: i64, limit: u64) -> Result<Vec<Entry>> {
        let rows = audit::Entity::find()
            .filter(audit::Column::Seq.gt(seq))
            .order_by_asc(audit::Column::Seq)
            .limit(limit)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(Entry::from).collect())
    }

    /// The entries about any of these subjects, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_about(&self, subjects: Vec<String>) -> Result<Vec<Entry>> {
        let rows = audit::Entity::find()
            .filter(audit::Column::Subject.is_in(subjects))
            .order_by_asc(audit::Column::Seq)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(Entry::from).collect())
    }

    /// The end of the trail as it was written last.
    ///
    /// # Errors
    /// `Corrupt` when it is gone.
    pub async fn audit_head(&self) -> Result<Chain> {
        let head = audit_head::Entity::find_by_id(HEAD).one(&self.db).await?.ok_or(GONE)?;
        Ok(Chain::at(head.seq, head.hash))
    }

    /// The entry of a change to a document.
    pub(super) async fn record_change(
        &self,
        tx: &Write,
        actor: &Actor,
        action: &str,
        before: &documents::Model,
        after: Option<&documents::Model>,
        reason: Option<&str>,
    ) -> Result<()> {
        let look = |row: &documents::Model| format!("{} {}", row.status, row.verification_status);
        self.write_audit(
            tx,
            AuditEntry {
                actor,
                action,
                subject: format!("document:{}", before.id),
                reason,
                before: Some(look(before)),
                after: after.map(look),
            },
        )
        .await
    }
}

/// Appends entries to the trail. Until the commit, all others who append wait.
pub(super) async fn append(tx: &DatabaseTransaction, entries: Vec<Pending>) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let head = audit_head::Entity::find_by_id(HEAD).lock_exclusive().one(tx).await?.ok_or(GONE)?;
    let mut chain = Chain::at(head.seq, head.hash);
    for content in entries {
        audit::ActiveModel::from(chain.append(content)).insert(tx).await?;
    }
    let head =
        audit_head::ActiveModel { id: Set(HEAD), seq: Set(chain.seq()), hash: Set(chain.hash().to_owned()) };
    head.update(tx).await?;
    Ok(())
}

impl From<audit::Model> for Entry {
    fn from(row: audit::Model) -> Self {
        Self {
            seq: row.seq,
            at: from_utc(row.at),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            reason: row.reason,
            before: row.before,
            after: row.after,
            prev_hash: row.prev_hash,
            hash: row.hash,
        }
    }
}

impl From<Entry> for audit::ActiveModel {
    fn from(entry: Entry) -> Self {
        Self {
            seq: Set(entry.seq),
            at: Set(to_utc(entry.at)),
            actor: Set(entry.actor),
            action: Set(entry.action),
            subject: Set(entry.subject),
            reason: Set(entry.reason),
            before: Set(entry.before),
            after: Set(entry.after),
            prev_hash: Set(entry.prev_hash),
            hash: Set(entry.hash),
        }
    }
}
