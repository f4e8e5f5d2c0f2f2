//! Who did what. An entry is written in the transaction of the change it tells of.

use std::fmt;

use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use super::entity::{audit, documents};
use super::{Result, Store, Write};
use crate::document::UserId;

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
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Officer(id) => write!(f, "officer:{id}"),
            Self::Service(name) => write!(f, "service:{name}"),
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

    pub(super) async fn write_audit(&self, tx: &Write, entry: AuditEntry<'_>) -> Result<()> {
        let row = audit::ActiveModel {
            at: Set(self.now()),
            actor: Set(entry.actor.to_string()),
            action: Set(entry.action.to_owned()),
            subject: Set(entry.subject),
            reason: Set(entry.reason.map(str::to_owned)),
            before: Set(entry.before),
            after: Set(entry.after),
            ..Default::default()
        };
        row.insert(&tx.tx).await?;
        Ok(())
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
