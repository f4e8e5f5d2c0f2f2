//! Documents: making, finding, asking again.

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, Iterable, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::audit::{Actor, AuditEntry};
use super::entity::documents;
use super::idempotency::IdempotencyKey;
use super::{Error, Result, Store, Write, to_utc};
use crate::document::{CardType, Command, Document, DocumentId, State, UserId};
use crate::queue::Lane;

/// What is known of a document when it is stored.
#[derive(Clone, Debug)]
pub struct NewDocument {
    pub id: DocumentId,
    pub user_id: UserId,
    pub card_type: CardType,
    pub blob_key: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub content_hash: String,
    pub media_type: String,
    pub byte_size: u64,
    pub lane: Lane,
    /// The request that made it, so that its repetition finds the same document.
    pub idempotency: Option<IdempotencyKey>,
}

impl Store {
    /// Makes the row of a document whose file is already stored. With `enqueue` the job for it is made in the same
    /// transaction, for the queue that lives in this database.
    ///
    /// # Errors
    /// `Taken` if the id exists, `NotFound` if the user does not, `Spent` if they have stored all that they may.
    pub async fn create_document(&self, new: NewDocument, enqueue: bool) -> Result<Document> {
        let tx = self.begin().await?;
        let (id, owner) = (new.id, Actor::User(new.user_id));
        let row = self.insert_document(&tx, new, enqueue, None).await?;
        let entry = AuditEntry {
            actor: &owner,
            action: "document.upload",
            subject: format!("document:{id}"),
            reason: None,
            before: None,
            after: Some(format!("{} {}", row.status, row.verification_status)),
        };
        self.write_audit(&tx, entry).await?;
        crate::failpoint::hit("store.create.before_commit");
        tx.commit().await?;
        crate::failpoint::hit("store.create.after_commit");
        row.try_into()
    }

    /// The same within a transaction that does more, in place of the document `replaces` if there is one.
    pub(super) async fn insert_document(
        &self,
        tx: &Write,
        new: NewDocument,
        enqueue: bool,
        replaces: Option<&documents::Model>,
    ) -> Result<documents::Model> {
        self.spend(tx, new.user_id, new.byte_size).await?;
        let now = self.now();
        let start = State::NEW;
        let row = documents::ActiveModel {
            id: Set(new.id.0),
            user_id: Set(new.user_id.0),
            card_type: Set(new.card_type.as_str().to_owned()),
            file_url: Set(new.blob_key),
            status: Set(start.status.as_str().to_owned()),
            verification_status: Set(start.verification.as_str().to_owned()),
            created_at: Set(now),
            updated_at: Set(now),
            content_hash: Set(new.content_hash),
            media_type: Set(new.media_type),
            byte_size: Set(i64::try_from(new.byte_size).map_err(|_| Error::Corrupt("size"))?),
            lane: Set(new.lane.as_str().to_owned()),
            generation: Set(1),
            version: Set(1),
            attempts: Set(0),
            fence: Set(0),
            replaces: Set(replaces.map(|old| old.id)),
            retakes: Set(replaces.map_or(0, |old| old.retakes + 1)),
            ..Default::default()
        };
        let row = row.insert(&tx.tx).await?;
        if enqueue {
            self.insert_job(tx, new.id, new.user_id, new.lane).await?;
        }
        if let Some(key) = &new.idempotency {
            self.attach_document(tx, key, new.id).await?;
        }
        Ok(row)
    }

    /// A document, whoever owns it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn document(&self, id: DocumentId) -> Result<Document> {
        documents::Entity::find_by_id(id.0).one(&self.db).await?.ok_or(Error::NotFound)?.try_into()
    }

    /// A document of this user.
    ///
    /// # Errors
    /// `NotFound`, also for documents of others.
    pub async fn document_of(&self, user: UserId, id: DocumentId) -> Result<Document> {
        use documents::Column::{OcrText, ResultJson, UserId, Version};
        let known = self.known.get(id.0);
        // No row has version 0.
        let version = known.as_ref().map_or(0, |known| known.version);
        let if_new = |column: documents::Column| Expr::case(Version.ne(version), Expr::col(column));
        let columns = documents::Column::iter().filter(|column| !matches!(column, ResultJson | OcrText));
        let row =
            documents::Entity::find_by_id(id.0).filter(UserId.eq(user.0)).select_only().columns(columns);
        let row = row
            .expr_as(if_new(ResultJson), "result_json")
            .expr_as(if_new(OcrText), "ocr_text")
            .one(&self.db)
            .await?;
        let mut row = row.ok_or(Error::NotFound)?;
        self.known.complete(&mut row, known.as_deref());
        row.try_into()
    }

    /// Asks for another reading of a document that could not be read.
    ///
    /// # Errors
    /// `Illegal` unless it failed and nobody has decided on it.
    pub async fn reprocess(&self, id: DocumentId, actor: &Actor, enqueue: bool) -> Result<Document> {
        let tx = self.begin().await?;
        let row = self.hold(&tx, id).await?;
        let change = documents::ActiveModel {
            failure_code: Set(None),
            processed_at: Set(None),
            lease_until: Set(None),
            ..Default::default()
        };
        let next = self.advance(&tx, &row, Command::Reprocess, change).await?;
        if enqueue {
            self.insert_job(&tx, id, UserId(next.user_id), next.lane.parse()?).await?;
        }
        self.record_change(&tx, actor, "document.reprocess", &row, Some(&next), None).await?;
        tx.commit().await?;
        next.try_into()
    }

    /// Documents that nobody seems to be reading: waiting since before `waiting_since`, or under a reader that has not
    /// been heard of since its lease ended. Oldest first. With `in_database` only those without a job in this database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unattended(
        &self,
        waiting_since: Timestamp,
        in_database: bool,
        limit: u64,
    ) -> Result<Vec<(DocumentId, UserId, Lane)>> {
        use documents::Column::{Id, Lane as LaneColumn, LeaseUntil, Status, UpdatedAt, UserId as Account};
        let waiting = Status.eq("pending").and(UpdatedAt.lt(to_utc(waiting_since)));
        let abandoned = Status.eq("processing").and(LeaseUntil.lt(self.now()));
        let jobless = Expr::cust("NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.document_id = documents.id)");
        let rows: Vec<(uuid::Uuid, uuid::Uuid, String)> = documents::Entity::find()
            .select_only()
            .columns([Id, Account, LaneColumn])
            .filter(waiting.or(abandoned))
            .apply_if(in_database.then_some(jobless), |query, jobless| query.filter(jobless))
            .order_by_asc(UpdatedAt)
            .limit(limit)
            .into_tuple()
            .all(&self.db)
            .await?;
        rows.into_iter().map(|(id, user, lane)| Ok((DocumentId(id), UserId(user), lane.parse()?))).collect()
    }

    /// Documents that wait for a reader or are being read, under a lease or not. Oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unfinished(&self, limit: u64) -> Result<Vec<DocumentId>> {
        use documents::Column::{Id, Status, UpdatedAt};
        let rows: Vec<uuid::Uuid> = documents::Entity::find()
            .select_only()
            .column(Id)
            .filter(Status.is_in(["pending", "processing"]))
            .order_by_asc(UpdatedAt)
            .limit(limit)
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(DocumentId).collect())
    }

    /// How many documents of a lane wait for a reader, and how many are being read.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_unread(&self, lane: Lane) -> Result<(u64, u64)> {
        let of = |status: &str| {
            documents::Entity::find()
                .filter(documents::Column::Status.eq(status))
                .filter(documents::Column::Lane.eq(lane.as_str()))
        };
        Ok((of("pending").count(&self.db).await?, of("processing").count(&self.db).await?))
    }

    /// Which of these blob keys belong to a document.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn known_blobs(&self, keys: Vec<String>) -> Result<std::collections::HashSet<String>> {
        let known: Vec<String> = documents::Entity::find()
            .select_only()
            .column(documents::Column::FileUrl)
            .filter(documents::Column::FileUrl.is_in(keys))
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(known.into_iter().collect())
    }
}
