//! What external reviewers answer: each event has its effect once, and the same answer each time it is repeated.

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::audit::{Actor, AuditEntry};
use super::entity::{callback_events, reviews};
use super::reviews::{ReviewStatus, Verdict};
use super::{Error, Result, Store, Write, to_utc};
use crate::document::{Document, DocumentId, Resolution, ReviewId, UserId, spelled};

spelled! {
    /// What an event led to.
    AnswerKind {
        /// The review is decided as the event says.
        Decided = "decided",
        /// It was decided so before; nothing changed.
        Agreed = "agreed",
        /// It was decided otherwise before; nothing changed.
        Contradicts = "contradicts",
        /// What the event names does not belong together.
        Mismatch = "mismatch",
        /// There is no such review.
        Unknown = "unknown",
        /// Officers at the desk were quicker, but what they say has not taken effect yet. The event is not remembered:
        /// sent again later, it is answered as things are then.
        AtDesk = "at_desk",
    }
}

/// By what an event names its review. All that is given has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    pub review: Option<ReviewId>,
    pub document: Option<DocumentId>,
    pub ticket: Option<String>,
    pub user: Option<UserId>,
}

/// An event whose signature was found genuine.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The same for repetitions of the same event only.
    pub event_id: String,
    /// SHA-256 of the body, lower-case hexadecimal.
    pub body_hash: String,
    pub naming: Naming,
    pub verdict: Verdict,
}

/// What is answered to an event.
#[derive(Clone, Debug)]
pub struct Answer {
    pub kind: AnswerKind,
    pub review: Option<ReviewId>,
    pub document: Option<DocumentId>,
    /// The decision in force.
    pub decision: Option<Resolution>,
    /// Who made it, or is about to, as [`super::Actor`] spells them.
    pub by: Option<String>,
    /// The document as this very event has changed it.
    pub changed: Option<Box<Document>>,
}

impl Store {
    /// Takes an event, or answers it as before if it was taken before.
    ///
    /// # Errors
    /// `Taken` when the id of the event belongs to another event; `Illegal` when the document cannot be decided on.
    pub async fn take_callback(&self, callback: Callback) -> Result<Answer> {
        // Of two that arrive together, the second finds what the first has written.
        for _ in 0..3 {
            if let Some(known) = self.answer_to(&callback).await? {
                return Ok(known);
            }
            match self.answer_anew(&callback).await {
                Err(Error::Taken) => {}
                answer => return answer,
            }
        }
        Err(Error::Conflict)
    }

    /// The answer that was given to this event before.
    async fn answer_to(&self, callback: &Callback) -> Result<Option<Answer>> {
        let row = callback_events::Entity::find_by_id(callback.event_id.clone()).one(&self.db).await?;
        let Some(row) = row else { return Ok(None) };
        if row.body_hash != callback.body_hash {
            return Err(Error::Taken);
        }
        let review = match row.review_id {
            Some(id) => reviews::Entity::find_by_id(id).one(&self.db).await?,
            None => None,
        };
        Ok(Some(Answer {
            kind: row.outcome.parse()?,
            by: review.and_then(|review| review.reviewer),
            review: row.review_id.map(ReviewId),
            document: row.document_id.map(DocumentId),
            decision: row.decision.map(|word| word.parse()).transpose()?,
            changed: None,
        }))
    }

    async fn answer_anew(&self, callback: &Callback) -> Result<Answer> {
        let tx = self.begin().await?;
        let answer = match self.named(&tx, &callback.naming).await? {
            None => Answer {
                kind: AnswerKind::Unknown,
                review: callback.naming.review,
                document: callback.naming.document,
                decision: None,
                by: None,
                changed: None,
            },
            Some(review) => self.answer_about(&tx, review, callback).await?,
        };
        if answer.kind == AnswerKind::AtDesk {
            return Ok(answer);
        }
        self.record_answer(&tx, callback, &answer).await?;
        let row = callback_events::ActiveModel {
            event_id: Set(callback.event_id.clone()),
            body_hash: Set(callback.body_hash.clone()),
            outcome: Set(answer.kind.as_str().to_owned()),
            review_id: Set(answer.review.map(|id| id.0)),
            document_id: Set(answer.document.map(|id| id.0)),
            decision: Set(answer.decision.map(|decision| decision.as_str().to_owned())),
            received_at: Set(self.now()),
        };
        row.insert(&tx.tx).await?;
        crate::failpoint::hit("store.callback.before_commit");
        tx.commit().await?;
        Ok(answer)
    }

    /// The entry of an event about a known review. The row of the event is forgotten after a while, the entry is not.
    async fn record_answer(&self, tx: &Write, callback: &Callback, answer: &Answer) -> Result<()> {
        let Some(review) = answer.review.filter(|_| answer.kind != AnswerKind::Unknown) else {
            return Ok(());
        };
        let entry = AuditEntry {
            actor: &callback.verdict.reviewer,
            action: "review.callback",
            subject: format!("review:{review}"),
            reason: Some(answer.kind.as_str()),
            before: Some(callback.event_id.clone()),
            after: Some(callback.verdict.resolution.to_string()),
        };
        self.write_audit(tx, entry).await
    }

    /// The review that an event is about, held against other writers together with its document.
    async fn named(&self, tx: &Write, naming: &Naming) -> Result<Option<reviews::Model>> {
        use reviews::Column::{DocumentId, Generation, Id, TicketId};
        let by = match naming {
            Naming { review: Some(id), .. } => Id.eq(id.0),
            Naming { document: Some(id), .. } => DocumentId.eq(id.0),
            Naming { ticket: Some(ticket), .. } => TicketId.eq(ticket.as_str()),
            _ => return Ok(None),
        };
        let found = reviews::Entity::find().filter(by).order_by_desc(Generation).limit(2);
        let mut found = found.all(&tx.tx).await?.into_iter();
        let first = found.next();
        // A document has several reviews when it was read again; the latest counts. A ticket has one.
        let by_ticket = naming.review.is_none() && naming.document.is_none();
        let Some(first) = first.filter(|_| !by_ticket || found.next().is_none()) else { return Ok(None) };
        match self.hold_with_document(tx, ReviewId(first.id)).await {
            Ok((review, _)) => Ok(Some(review)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the ticket that the event names is known to be that of another review.
    async fn is_foreign(&self, tx: &Write, review: &reviews::Model, ticket: &str) -> Result<bool> {
        let other = reviews::Entity::find()
            .filter(reviews::Column::TicketId.eq(ticket))
            .filter(reviews::Column::Id.ne(review.id));
        Ok(other.one(&tx.tx).await?.is_some())
    }

    async fn answer_about(&self, tx: &Write, review: reviews::Model, callback: &Callback) -> Result<Answer> {
        let decided = review.decision.as_deref().map(str::parse).transpose()?;
        let answer = |kind, decision| Answer {
            kind,
            review: Some(ReviewId(review.id)),
            document: Some(DocumentId(review.document_id)),
            decision,
            by: review.reviewer.clone(),
            changed: None,
        };
        let foreign = match &callback.naming.ticket {
            Some(ticket) => self.is_foreign(tx, &review, ticket).await?,
            None => false,
        };
        if foreign || !fits(&review, &callback.naming) {
            return Ok(answer(AnswerKind::Mismatch, None));
        }
        if review.status != ReviewStatus::Pending.as_str() {
            let agrees = decided == Some(callback.verdict.resolution);
            return Ok(answer(if agrees { AnswerKind::Agreed } else { AnswerKind::Contradicts }, decided));
        }
        if let Some(ruling) = self.rulings_on(tx, review.id).await?.into_iter().next_back() {
            let by = Some(Actor::Officer(UserId(ruling.reviewer)).to_string());
            return Ok(Answer { by, ..answer(AnswerKind::AtDesk, None) });
        }
        // They may be quicker with the verdict than with the reply that names the ticket.
        if let Some(ticket) = &callback.naming.ticket {
            self.note_ticket(tx, &review, ticket).await?;
        }
        let verdict = callback.verdict.clone();
        let (_, document) = self.resolve_within(tx, ReviewId(review.id), verdict).await?;
        let decided = answer(AnswerKind::Decided, Some(callback.verdict.resolution));
        Ok(Answer { changed: Some(Box::new(document.try_into()?)), ..decided })
    }

    /// Forgets events that were received before `at`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_callbacks(&self, at: Timestamp) -> Result<u64> {
        let at = to_utc(at);
        self.execute("DELETE FROM callback_events WHERE received_at < $1", vec![at.into()]).await
    }
}

fn fits(review: &reviews::Model, naming: &Naming) -> bool {
    let known_ticket = review.ticket_id.as_ref();
    naming.review.is_none_or(|id| id.0 == review.id)
        && naming.document.is_none_or(|id| id.0 == review.document_id)
        && naming.user.is_none_or(|id| id.0 == review.user_id)
        && naming.ticket.as_ref().is_none_or(|ticket| known_ticket.is_none_or(|known| known == ticket))
}
