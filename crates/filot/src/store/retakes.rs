//! Photos that are taken again: the links that ask for one, and the documents that come in place of others.

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::audit::{Actor, AuditEntry};
use super::entity::{documents, one_time_tokens};
use super::outbox::EffectKind;
use super::rows::natural;
use super::{Error, NewDocument, Result, Store, Write, from_utc, to_utc};
use crate::document::{Document, DocumentId, ReviewId, UserId, Verification};

/// The purpose of these links among the tokens that work once.
const PURPOSE: &str = "retake";

/// A link that asks for another photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetakeLink {
    pub document_id: DocumentId,
    pub user_id: UserId,
    pub expires_at: Timestamp,
    /// A photo came by it.
    pub used: bool,
}

/// What became of a photo that came by a link.
#[derive(Clone, Debug)]
pub enum Replaced {
    /// It is the document of the case now.
    By(Box<Document>),
    /// Another photo was quicker.
    Used,
    Expired,
    /// There is no such link, or nothing to replace (any more).
    Unknown,
}

impl Store {
    /// The latest link of a document.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn retake_link(&self, id: DocumentId) -> Result<Option<RetakeLink>> {
        let rows = one_time_tokens::Entity::find()
            .filter(one_time_tokens::Column::DocumentId.eq(id.0))
            .filter(one_time_tokens::Column::Purpose.eq(PURPOSE))
            .order_by_desc(one_time_tokens::Column::ExpiresAt)
            .all(&self.db)
            .await?;
        let used = rows.iter().any(|row| row.used_at.is_some());
        Ok(rows.into_iter().next().and_then(link).map(|link| RetakeLink { used, ..link }))
    }

    /// The link with this token.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn retake_link_of(&self, token_hash: &str) -> Result<Option<RetakeLink>> {
        let row = one_time_tokens::Entity::find_by_id(token_hash).one(&self.db).await?;
        Ok(row.filter(|row| row.purpose == PURPOSE).and_then(link))
    }

    /// Makes a link that works once, unless the document has one that still works or needs none. With it the order to
    /// make one, which the review left, is settled.
    ///
    /// # Errors
    /// When the database does not answer. A document that was deleted in the meantime needs no link.
    pub async fn issue_retake(
        &self,
        id: DocumentId,
        review: ReviewId,
        token_hash: &str,
        expires_at: Timestamp,
    ) -> Result<()> {
        let tx = self.begin().await?;
        match self.hold(&tx, id).await {
            Ok(document) => self.make_link(&tx, &document, token_hash, expires_at).await?,
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.settle(&tx, EffectKind::Retake, &review.to_string(), None).await?;
        crate::failpoint::hit("store.retake.before_commit");
        tx.commit().await
    }

    async fn make_link(
        &self,
        tx: &Write,
        document: &documents::Model,
        token_hash: &str,
        expires_at: Timestamp,
    ) -> Result<()> {
        let rejected = document.verification_status == Verification::ManuallyRejected.as_str();
        let rows = one_time_tokens::Entity::find()
            .filter(one_time_tokens::Column::DocumentId.eq(document.id))
            .filter(one_time_tokens::Column::Purpose.eq(PURPOSE))
            .all(&tx.tx)
            .await?;
        let stands = rows.iter().any(|row| row.used_at.is_some() || row.expires_at > self.now());
        if stands || !rejected || document.replaced_by.is_some() {
            return Ok(());
        }
        let row = one_time_tokens::ActiveModel {
            token_hash: Set(token_hash.to_owned()),
            purpose: Set(PURPOSE.to_owned()),
            user_id: Set(Some(document.user_id)),
            created_at: Set(self.now()),
            expires_at: Set(to_utc(expires_at)),
            used_at: Set(None),
            document_id: Set(Some(document.id)),
        };
        row.insert(&tx.tx).await?;
        let entry = AuditEntry {
            actor: &Actor::System,
            action: "document.retake_link",
            subject: format!("document:{}", document.id),
            reason: None,
            before: None,
            after: Some(format!("{expires_at:.0}")),
        };
        self.write_audit(tx, entry).await
    }

    /// Makes the row of a document, whose file is already stored, in place of the one that the link is about, and uses
    /// the link up: all or nothing. No more than `limit` in one case.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replace_document(
        &self,
        new: NewDocument,
        enqueue: bool,
        token_hash: &str,
        limit: u32,
    ) -> Result<Replaced> {
        let tx = self.begin().await?;
        let token = one_time_tokens::Entity::find_by_id(token_hash).lock_exclusive().one(&tx.tx).await?;
        let Some((token, document)) =
            token.filter(|row| row.purpose == PURPOSE).and_then(|row| row.document_id.map(|id| (row, id)))
        else {
            return Ok(Replaced::Unknown);
        };
        if token.used_at.is_some() {
            return Ok(Replaced::Used);
        }
        if token.expires_at <= self.now() {
            return Ok(Replaced::Expired);
        }
        let old = match self.hold(&tx, DocumentId(document)).await {
            Err(Error::NotFound) => return Ok(Replaced::Unknown),
            other => other?,
        };
        if old.replaced_by.is_some() {
            return Ok(Replaced::Used);
        }
        let owned = token.user_id == Some(old.user_id) && old.user_id == new.user_id.0;
        let rejected = old.verification_status == Verification::ManuallyRejected.as_str();
        if !owned || !rejected || natural(old.retakes)? >= limit {
            return Ok(Replaced::Unknown);
        }
        let row = match self.insert_document(&tx, new, enqueue, Some(&old)).await {
            // The index says what the checks above say.
            Err(Error::Taken) => return Ok(Replaced::Used),
            other => other?,
        };
        self.note_successor(&tx, &old, row.id).await?;
        let used = one_time_tokens::ActiveModel {
            token_hash: Set(token.token_hash),
            used_at: Set(Some(self.now())),
            ..Default::default()
        };
        used.update(&tx.tx).await?;
        crate::failpoint::hit("store.replace.before_commit");
        tx.commit().await?;
        crate::failpoint::hit("store.replace.after_commit");
        Ok(Replaced::By(Box::new(row.try_into()?)))
    }

    /// Tells the old document, and the trail, which one came for it.
    async fn note_successor(&self, tx: &Write, old: &documents::Model, new: uuid::Uuid) -> Result<()> {
        let change = documents::ActiveModel {
            replaced_by: Set(Some(new)),
            version: Set(old.version + 1),
            updated_at: Set(self.now()),
            ..Default::default()
        };
        let changed = documents::Entity::update_many()
            .set(change)
            .filter(documents::Column::Id.eq(old.id))
            .filter(documents::Column::Version.eq(old.version))
            .exec(&tx.tx)
            .await?;
        if changed.rows_affected != 1 {
            return Err(Error::Conflict);
        }
        let actor = &Actor::User(UserId(old.user_id));
        for (action, subject, before, after) in [
            ("document.replace", old.id, None, Some(new.to_string())),
            ("document.retake", new, Some(old.id.to_string()), None),
        ] {
            let subject = format!("document:{subject}");
            self.write_audit(tx, AuditEntry { actor, action, subject, reason: None, before, after }).await?;
        }
        Ok(())
    }
}

fn link(row: one_time_tokens::Model) -> Option<RetakeLink> {
    Some(RetakeLink {
        document_id: DocumentId(row.document_id?),
        user_id: UserId(row.user_id?),
        expires_at: from_utc(row.expires_at),
        used: row.used_at.is_some(),
    })
}
