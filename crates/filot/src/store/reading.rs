//! What a reader reports about a document. Each method is guarded by the token of the reader's lease: a reader that was
//! overtaken changes nothing.

use std::time::Duration;

use filot_cards::decide::Decision;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};
use serde_json::value::RawValue;

use super::audit::Actor;
use super::entity::{RawJson, documents};
use super::events::EventKind;
use super::rows::decision_column;
use super::{Result, Store, Write, to_utc};
use crate::document::{Command, Document, DocumentId, Illegal, Status};

/// What came of reading a document.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub decision: Decision,
    /// 0..=100.
    pub score: u8,
    /// The assessment as JSON.
    pub result: Box<RawValue>,
    pub ocr_text: Option<String>,
    /// Name of the reader.
    pub engine: String,
    /// Milliseconds of reading.
    pub reading_ms: u32,
}

/// What became of the wish to read a document.
#[derive(Clone, Debug)]
pub enum Begun {
    /// Go ahead.
    Read(Box<Document>),
    /// Its readers keep dying. It has been given up as `worker_crash` just now.
    GivenUp(Box<Document>),
}

impl Store {
    /// A reader with the lease `token` starts. A document that has outlived `max_attempts` readers is given up instead.
    ///
    /// # Errors
    /// `Illegal` when the document is finished or a later lease has it; `NotFound` when it was deleted.
    pub async fn begin_processing(
        &self,
        id: DocumentId,
        token: i64,
        lease: Duration,
        max_attempts: u32,
    ) -> Result<Begun> {
        let tx = self.begin().await?;
        let row = self.hold(&tx, id).await?;
        let change = documents::ActiveModel { lease_until: Set(self.lease_end(lease)), ..Default::default() };
        match self.advance(&tx, &row, Command::Begin { token, max_attempts }, change).await {
            Ok(next) => {
                crate::failpoint::hit("store.begin.before_commit");
                tx.commit().await?;
                Ok(Begun::Read(Box::new(next.try_into()?)))
            }
            Err(super::Error::Illegal(Illegal::Poisonous(_))) => {
                let next = self.fail(tx, row, Command::Abandon { token }, "worker_crash").await?;
                Ok(Begun::GivenUp(Box::new(next)))
            }
            Err(error) => Err(error),
        }
    }

    /// A token for a lease of a reader that has none from the queue, greater than that of any lease before. `None` while
    /// somebody's lease on the document runs.
    ///
    /// # Errors
    /// `NotFound` when it was deleted.
    pub async fn free_token(&self, id: DocumentId) -> Result<Option<i64>> {
        let row = documents::Entity::find_by_id(id.0).one(&self.db).await?.ok_or(super::Error::NotFound)?;
        let held =
            row.status == Status::Processing.as_str() && row.lease_until.is_some_and(|end| end > self.now());
        if held {
            return Ok(None);
        }
        let now = Statement::from_string(self.backend(), format!("SELECT {} AS now", self.now_micros()));
        let now = self.db.query_one_raw(now).await?.ok_or(super::Error::Corrupt("clock"))?;
        let now: i64 = now.try_get("", "now")?;
        Ok(Some(now.max(row.fence + 1)))
    }

    /// The reader is still at it.
    ///
    /// # Errors
    /// When the database does not answer; a reader that was overtaken is told so by `false`.
    pub async fn extend_processing(&self, id: DocumentId, token: i64, lease: Duration) -> Result<bool> {
        let tx = self.begin().await?;
        // Neither the version nor the state changes: nothing that anyone looks at.
        let done = documents::Entity::update_many()
            .set(documents::ActiveModel { lease_until: Set(self.lease_end(lease)), ..Default::default() })
            .filter(documents::Column::Id.eq(id.0))
            .filter(documents::Column::Fence.eq(token))
            .filter(documents::Column::Status.eq("processing"))
            .exec(&tx.tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected == 1)
    }

    /// The reading is over: fields, score, decision, status, event, and, for a person to decide, the review with the
    /// order to send it out. All or nothing.
    ///
    /// # Errors
    /// `Illegal` when the document was finished or taken over by someone else.
    pub async fn record_outcome(&self, id: DocumentId, token: i64, outcome: Outcome) -> Result<Document> {
        let tx = self.begin().await?;
        let row = self.hold(&tx, id).await?;
        let change = documents::ActiveModel {
            ai_score: Set(Some(i32::from(outcome.score))),
            ai_decision: Set(Some(decision_column(outcome.decision))),
            result_json: Set(Some(RawJson(outcome.result))),
            ocr_text: Set(outcome.ocr_text),
            processed_at: Set(Some(self.now())),
            lease_until: Set(None),
            failure_code: Set(None),
            engine: Set(Some(outcome.engine)),
            reading_ms: Set(i32::try_from(outcome.reading_ms).ok()),
            ..Default::default()
        };
        // A photo that came in place of another one is a person's to reject: the machine's word stays what it is, and
        // does not end the case.
        let retaken = row.replaces.is_some() && outcome.decision == Decision::AutoReject;
        let decision = if retaken { Decision::NeedsReview } else { outcome.decision };
        let next = self.advance(&tx, &row, Command::Record { token, decision }, change).await?;
        if decision == Decision::NeedsReview {
            self.open_review(&tx, &next).await?;
        }
        crate::failpoint::hit("store.outcome.before_event");
        self.record_change(&tx, &Actor::System, "document.verdict", &row, Some(&next), None).await?;
        self.emit(&tx, &next, EventKind::Completed, Some(next.generation)).await?;
        crate::failpoint::hit("store.outcome.before_commit");
        tx.commit().await?;
        next.try_into()
    }

    /// The document cannot be read, now or later. `code` says why, in a stable word.
    ///
    /// # Errors
    /// `Illegal` when the document was finished or taken over by someone else.
    pub async fn record_failure(&self, id: DocumentId, token: i64, code: &str) -> Result<Document> {
        let tx = self.begin().await?;
        let row = self.hold(&tx, id).await?;
        self.fail(tx, row, Command::Fail { token }, code).await
    }

    /// The reader gives the document back unread, through no fault of the document.
    ///
    /// # Errors
    /// `Illegal` when someone else has it by now.
    pub async fn release(&self, id: DocumentId, token: i64) -> Result<()> {
        self.give_back(id, Command::Release { token }).await
    }

    /// The reading ended badly; it counts, and shall be tried again.
    ///
    /// # Errors
    /// `Illegal` when someone else has it by now.
    pub async fn retry(&self, id: DocumentId, token: i64) -> Result<()> {
        self.give_back(id, Command::Retry { token }).await
    }

    async fn give_back(&self, id: DocumentId, command: Command) -> Result<()> {
        let tx = self.begin().await?;
        let row = self.hold(&tx, id).await?;
        let change = documents::ActiveModel { lease_until: Set(None), ..Default::default() };
        self.advance(&tx, &row, command, change).await?;
        crate::failpoint::hit("store.retry.before_commit");
        tx.commit().await?;
        crate::failpoint::hit("store.retry.after_commit");
        Ok(())
    }

    async fn fail(&self, tx: Write, row: documents::Model, command: Command, code: &str) -> Result<Document> {
        let change = documents::ActiveModel {
            failure_code: Set(Some(code.to_owned())),
            processed_at: Set(Some(self.now())),
            lease_until: Set(None),
            ..Default::default()
        };
        let next = self.advance(&tx, &row, command, change).await?;
        self.record_change(&tx, &Actor::System, "document.fail", &row, Some(&next), Some(code)).await?;
        self.emit(&tx, &next, EventKind::Failed, Some(next.generation)).await?;
        // One that came in place of another is looked at by a person, who may ask again.
        let next = if next.replaces.is_some() { self.escalate_within(&tx, &next).await? } else { next };
        crate::failpoint::hit("store.failure.before_commit");
        tx.commit().await?;
        crate::failpoint::hit("store.failure.after_commit");
        next.try_into()
    }

    fn lease_end(&self, lease: Duration) -> Option<sea_orm::prelude::DateTimeUtc> {
        let lease = jiff::SignedDuration::try_from(lease).unwrap_or(jiff::SignedDuration::MAX);
        self.clock.now().checked_add(lease).ok().map(to_utc)
    }
}
