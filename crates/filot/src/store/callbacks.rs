//! What external reviewers answer: each event has its effect once, and the same answer each time it is repeated.

use std::collections::BTreeMap;

use filot_cards::decide::Decision;
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::audit::{Actor, AuditEntry};
use super::entity::{callback_events, documents, reviews};
use super::outbox::EffectKind;
use super::reviews::{ReviewRoute, ReviewStatus, Verdict};
use super::{Error, Result, Store, Write, to_utc};
use crate::document::people::{self, Against, Next, Voice, Who};
use crate::document::{Document, DocumentId, Resolution, ReviewId, Stage, UserId, decision_name, spelled};

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
        /// It is a yes that another person has to say, too: the machine has said no, or could not read the card.
        SecondLook = "second_look",
        /// There is no such review, or none yet.
        Unknown = "unknown",
        /// FiLot's own desk has the review in hand; a no is remembered there.
        AtDesk = "at_desk",
        /// It was signed too long ago, and is none that came in time before.
        Stale = "stale",
    }
}

impl AnswerKind {
    /// Whether the event has not had its effect: sent again, it is answered as things are then.
    fn is_open(self) -> bool {
        matches!(self, Self::Unknown | Self::AtDesk)
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
    /// Whether it was signed a short while ago. One that was not is only heard again.
    pub fresh: bool,
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

impl Answer {
    /// To an event that led to nothing.
    fn nothing(kind: AnswerKind, naming: &Naming) -> Self {
        let (review, document) = (naming.review, naming.document);
        Self { kind, review, document, decision: None, by: None, changed: None }
    }
}

impl Store {
    /// Takes an event, or answers it as before if it was taken before.
    ///
    /// # Errors
    /// `Taken` when the id of the event belongs to another event; `Illegal` when the document cannot be decided on.
    pub async fn take_callback(&self, callback: Callback) -> Result<Answer> {
        // Of two that arrive together, the second finds what the first has written.
        for _ in 0..3 {
            let known = self.answer_to(&callback).await?;
            match known {
                Some(answer) if !answer.kind.is_open() => return Ok(answer),
                None if !callback.fresh => return Ok(Answer::nothing(AnswerKind::Stale, &callback.naming)),
                _ => {}
            }
            match self.answer_anew(&callback, known.is_some()).await {
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

    /// Answers as things are now. An event that had no effect yet is remembered, too: that it came in time.
    async fn answer_anew(&self, callback: &Callback, came_before: bool) -> Result<Answer> {
        let tx = self.begin().await?;
        let answer = match self.named(&tx, &callback.naming).await? {
            None => Answer::nothing(AnswerKind::Unknown, &callback.naming),
            Some((review, document)) => self.answer_about(&tx, review, document, callback).await?,
        };
        if !answer.kind.is_open() {
            self.record_answer(&tx, callback, &answer).await?;
        }
        let row = callback_events::ActiveModel {
            event_id: Set(callback.event_id.clone()),
            body_hash: Set(callback.body_hash.clone()),
            outcome: Set(answer.kind.as_str().to_owned()),
            review_id: Set(answer.review.map(|id| id.0)),
            document_id: Set(answer.document.map(|id| id.0)),
            decision: Set(answer.decision.map(|decision| decision.as_str().to_owned())),
            received_at: Set(self.now()),
        };
        if came_before {
            // Another process may have been quicker with the same event.
            let open = [AnswerKind::Unknown, AnswerKind::AtDesk].map(AnswerKind::as_str);
            let changed = callback_events::Entity::update_many()
                .set(row)
                .filter(callback_events::Column::EventId.eq(callback.event_id.as_str()))
                .filter(callback_events::Column::Outcome.is_in(open))
                .exec(&tx.tx)
                .await?;
            if changed.rows_affected == 0 {
                return Err(Error::Taken);
            }
        } else {
            row.insert(&tx.tx).await?;
        }
        crate::failpoint::hit("store.callback.before_commit");
        tx.commit().await?;
        Ok(answer)
    }

    /// The entry of an event about a known review. The row of the event is forgotten after a while, the entry is not.
    async fn record_answer(&self, tx: &Write, callback: &Callback, answer: &Answer) -> Result<()> {
        let Some(review) = answer.review else { return Ok(()) };
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
    async fn named(&self, tx: &Write, naming: &Naming) -> Result<Option<(reviews::Model, documents::Model)>> {
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
            Ok(held) => Ok(Some(held)),
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

    async fn answer_about(
        &self,
        tx: &Write,
        review: reviews::Model,
        document: documents::Model,
        callback: &Callback,
    ) -> Result<Answer> {
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
        let rulings = self.rulings_on(tx, review.id).await?;
        let theirs = review.route == ReviewRoute::Buli2.as_str() && review.stage == Stage::First.as_str();
        if !rulings.is_empty() || !theirs {
            let by = rulings.last().map(|ruling| Actor::Officer(UserId(ruling.reviewer)).to_string());
            // What is noted at this stage was decided before BULI2 spoke.
            if rulings.iter().all(|ruling| ruling.stage != review.stage) {
                self.note_late_no(tx, &review, callback).await?;
            }
            return Ok(Answer { by, ..answer(AnswerKind::AtDesk, None) });
        }
        // They may be quicker with the verdict than with the reply that names the ticket.
        if let Some(ticket) = &callback.naming.ticket {
            self.note_ticket(tx, &review, ticket).await?;
        }
        let said = callback.verdict.resolution;
        if Self::is_one_of_two(&document, said) {
            let changed = self.first_of_two(tx, review.id, document, said).await?;
            return Ok(Answer { changed: Some(changed), ..answer(AnswerKind::SecondLook, Some(said)) });
        }
        let verdict = callback.verdict.clone();
        let (_, document) = self.resolve_within(tx, ReviewId(review.id), verdict).await?;
        Ok(Answer {
            changed: Some(Box::new(document.try_into()?)),
            ..answer(AnswerKind::Decided, Some(said))
        })
    }

    /// Whether BULI2's word alone is not enough, as [`people::next`] says.
    fn is_one_of_two(document: &documents::Model, said: Resolution) -> bool {
        let against = Against {
            rejected: document.ai_decision.as_deref() == Some(decision_name(Decision::AutoReject)),
            unread: document.ai_decision.is_none(),
            ..Against::default()
        };
        let act = Voice { who: Who::Buli2, ruling: said.into(), typed: BTreeMap::new() };
        people::next(Stage::First, &act, &[], against.as_buli2_sees_it(), false) != Next::Stands
    }

    /// The review goes to the desk for a second person, who is not told what BULI2 said.
    async fn first_of_two(
        &self,
        tx: &Write,
        id: uuid::Uuid,
        document: documents::Model,
        said: Resolution,
    ) -> Result<Box<Document>> {
        let held = self.hold_review(tx, ReviewId(id)).await?;
        let change = reviews::ActiveModel {
            route: Set(ReviewRoute::Desk.as_str().to_owned()),
            buli2_answer: Set(Some(said.as_str().to_owned())),
            ..Default::default()
        };
        let held = self.change_review(tx, &held, change).await?;
        self.pass_on(tx, &held, Stage::Second).await?;
        self.settle(tx, EffectKind::Escalate, &id.to_string(), None).await?;
        Ok(Box::new(document.try_into()?))
    }

    /// A no that comes when the desk has the review: it decides nothing, and an approval takes two from now on.
    async fn note_late_no(&self, tx: &Write, review: &reviews::Model, callback: &Callback) -> Result<()> {
        let no = Resolution::Rejected;
        let known = review.buli2_answer.as_deref() == Some(no.as_str());
        if callback.verdict.resolution != no || known {
            return Ok(());
        }
        let change = reviews::ActiveModel {
            buli2_answer: Set(Some(no.as_str().to_owned())),
            version: Set(review.version + 1),
            ..Default::default()
        };
        self.change_review(tx, review, change).await?;
        let entry = AuditEntry {
            actor: &callback.verdict.reviewer,
            action: "review.late_answer",
            subject: format!("review:{}", review.id),
            reason: None,
            before: review.buli2_answer.clone(),
            after: Some(no.to_string()),
        };
        self.write_audit(tx, entry).await
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
