//! Deleting: a document goes with the earlier photos of its case, with everything that was read and said of them, and with
//! the answers that were stored. What stays are entries of the audit trail, which hold no personal data.

use jiff::{SignedDuration, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::audit::{Actor, AuditEntry};
use super::entity::{documents, one_time_tokens, outbox, reviews};
use super::events::EventKind;
use super::outbox::EffectKind;
use super::{Error, Result, Store, Write, from_utc};
use crate::audit::DELETION;
use crate::document::{Document, DocumentId, Status, UserId, Verification};

/// Photos in one case: more than `desk.retakes` allows.
const MAX_PHOTOS: usize = 64;

/// Why the owner of a document cannot delete it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It is being read or reviewed.
    Undecided,
    /// It was rejected, and is evidence until then.
    Until(Timestamp),
}

/// A document with those around it, locked.
struct Case {
    row: documents::Model,
    /// Photos before it, which go with it.
    earlier: Vec<documents::Model>,
    /// The photo that came for it.
    next: Option<documents::Model>,
    /// The last photo of the case, if that is another one.
    last: Option<documents::Model>,
}

impl Store {
    /// Removes a document, the earlier photos of its case, and everything that was read on them; the files are erased
    /// through the outbox. The document as it was.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_document(&self, id: DocumentId, actor: &Actor) -> Result<Document> {
        let tx = self.begin().await?;
        let case = self.lock_case(&tx, id).await?;
        let (row, _) = self.delete_case(tx, case, actor).await?;
        row.try_into()
    }

    /// The same for its owner, who may not delete what is being decided, nor what was rejected less than `keep_rejected`
    /// ago: until then it is evidence. The documents that are gone.
    ///
    /// # Errors
    /// `NotFound`, also for documents of others; `Kept`.
    pub async fn delete_own_document(
        &self,
        user: UserId,
        id: DocumentId,
        keep_rejected: SignedDuration,
    ) -> Result<Vec<DocumentId>> {
        let tx = self.begin().await?;
        let case = self.lock_case(&tx, id).await?;
        if case.row.user_id != user.0 {
            return Err(Error::NotFound);
        }
        let last = case.last.as_ref().unwrap_or(&case.row);
        if let Some(kept) = self.kept(&tx, last, keep_rejected).await? {
            return Err(Error::Kept(kept));
        }
        let (_, gone) = self.delete_case(tx, case, &Actor::User(user)).await?;
        Ok(gone)
    }

    /// Whether the last photo of a case keeps all of it.
    async fn kept(
        &self,
        tx: &Write,
        last: &documents::Model,
        keep_rejected: SignedDuration,
    ) -> Result<Option<Evidence>> {
        let status: Status = last.status.parse()?;
        let rejected = match last.verification_status.parse()? {
            Verification::PendingManualReview => return Ok(Some(Evidence::Undecided)),
            Verification::Pending if matches!(status, Status::Pending | Status::Processing) => {
                return Ok(Some(Evidence::Undecided));
            }
            Verification::AutoRejected => last.processed_at,
            Verification::ManuallyRejected => {
                reviews::Entity::find()
                    .select_only()
                    .column(reviews::Column::DecidedAt)
                    .filter(reviews::Column::DocumentId.eq(last.id))
                    .filter(reviews::Column::DecidedAt.is_not_null())
                    .order_by_desc(reviews::Column::DecidedAt)
                    .into_tuple()
                    .one(&tx.tx)
                    .await?
            }
            _ => return Ok(None),
        };
        let until = from_utc(rejected.unwrap_or(last.updated_at)).saturating_add(keep_rejected);
        let until = until.unwrap_or(Timestamp::MAX);
        Ok((until > self.clock.now()).then_some(Evidence::Until(until)))
    }

    /// A document and all of its case, locked in the order of their ids, so that two who delete photos of one case do not
    /// wait for each other.
    async fn lock_case(&self, tx: &Write, id: DocumentId) -> Result<Case> {
        let asked = documents::Entity::find_by_id(id.0).one(&tx.tx).await?.ok_or(Error::NotFound)?;
        let mut ids = vec![asked.id];
        for step in [|row: &documents::Model| row.replaces, |row: &documents::Model| row.replaced_by] {
            let mut next = step(&asked);
            while let Some(id) = next.filter(|id| !ids.contains(id) && ids.len() < MAX_PHOTOS) {
                ids.push(id);
                next = documents::Entity::find_by_id(id).one(&tx.tx).await?.as_ref().and_then(step);
            }
        }
        let mut locked = documents::Entity::find()
            .filter(documents::Column::Id.is_in(ids))
            .order_by_asc(documents::Column::Id)
            .lock_exclusive()
            .all(&tx.tx)
            .await?;
        let mut take = |id: Uuid| {
            let place = locked.iter().position(|row| row.id == id)?;
            Some(locked.swap_remove(place))
        };
        // What they say of each other counts as it is now.
        let row = take(id.0).ok_or(Error::NotFound)?;
        let (mut earlier, mut before) = (Vec::new(), row.replaces);
        while let Some(photo) = before.and_then(&mut take) {
            before = photo.replaces;
            earlier.push(photo);
        }
        let next = row.replaced_by.and_then(&mut take);
        let (mut last, mut after) = (next.clone(), next.as_ref().and_then(|next| next.replaced_by));
        while let Some(photo) = after.and_then(&mut take) {
            after = photo.replaced_by;
            last = Some(photo);
        }
        Ok(Case { row, earlier, next, last })
    }

    async fn delete_case(
        &self,
        tx: Write,
        case: Case,
        actor: &Actor,
    ) -> Result<(documents::Model, Vec<DocumentId>)> {
        let Case { row, earlier, next, last: _ } = case;
        let photos: Vec<&documents::Model> = std::iter::once(&row).chain(&earlier).collect();
        for photo in &photos {
            self.delete_photo(&tx, photo, actor).await?;
        }
        if let Some(next) = next {
            // The one that came for it stands on its own again.
            documents::Entity::update_many()
                .set(documents::ActiveModel { replaces: Set(None), ..Default::default() })
                .filter(documents::Column::Id.eq(next.id))
                .exec(&tx.tx)
                .await?;
        }
        let gone = photos.iter().map(|photo| DocumentId(photo.id)).collect();
        crate::failpoint::hit("store.delete.before_commit");
        let _deleting = self.deleting();
        tx.commit().await?;
        Ok((row, gone))
    }

    async fn delete_photo(&self, tx: &Write, photo: &documents::Model, actor: &Actor) -> Result<()> {
        let id = DocumentId(photo.id);
        self.delete_job(tx, id).await?;
        let asked: Vec<Uuid> = reviews::Entity::find()
            .select_only()
            .column(reviews::Column::Id)
            .filter(reviews::Column::DocumentId.eq(photo.id))
            .order_by_asc(reviews::Column::Id)
            .into_tuple()
            .all(&tx.tx)
            .await?;
        let effects = outbox::Column::Kind
            .is_in([EffectKind::Escalate.as_str(), EffectKind::Retake.as_str()])
            .and(outbox::Column::Subject.is_in(asked.iter().map(Uuid::to_string)));
        outbox::Entity::delete_many().filter(effects).exec(&tx.tx).await?;
        one_time_tokens::Entity::delete_many()
            .filter(one_time_tokens::Column::DocumentId.eq(photo.id))
            .exec(&tx.tx)
            .await?;
        self.withdraw_answers(tx, id).await?;
        // Reviews, rulings and corrections go with the row.
        documents::Entity::delete_by_id(photo.id).exec(&tx.tx).await?;
        self.known.forget(photo.id);
        self.ask_for(tx, EffectKind::EraseBlob, &photo.file_url).await?;
        let reviews: Vec<String> = asked.iter().map(|id| format!("review:{id}")).collect();
        let entry = AuditEntry {
            actor,
            action: DELETION,
            subject: format!("document:{id}"),
            reason: None,
            before: Some(format!("{} {}", photo.status, photo.verification_status)),
            // So that what was said of it is found in the trail.
            after: (!reviews.is_empty()).then(|| reviews.join(" ")),
        };
        self.write_audit(tx, entry).await?;
        self.emit(tx, photo, EventKind::Deleted, None).await?;
        Ok(())
    }
}
