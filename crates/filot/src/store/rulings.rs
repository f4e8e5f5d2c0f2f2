//! What officers decide. A ruling is noted first and can be undone; it is carried out when its time has come, and only
//! then document, event and outbox change. Some are looked at by a second officer who is not told.

use std::collections::BTreeMap;
use std::time::Duration;

use filot_cards::field::FieldKey;
use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::desk::Officer;
use super::entity::{RawJson, corrections, documents, reviews, rulings};
use super::events::EventKind;
use super::outbox::EffectKind;
use super::rows::natural;
use super::{Error, Result, ReviewStatus, Role, Store, Write, from_utc};
use crate::desk::Reason;
use crate::document::people::{self, Against, Next, Voice, Who};
use crate::document::{Command, DocumentId, Resolution, ReviewId, Ruling, Stage, UserId};

/// A ruling to note.
#[derive(Clone, Debug)]
pub struct NewRuling {
    pub ruling: Ruling,
    pub reason: Reason,
    pub note: Option<String>,
    /// The version that the officer was looking at.
    pub expected_version: u32,
    /// The version that was asked how many people it takes.
    pub judged_version: u32,
    /// How long it can be undone.
    pub undo: Duration,
    /// Have somebody else look at it, too, if this is the first ruling.
    pub second_look: bool,
}

/// A ruling that was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulingRow {
    pub id: Uuid,
    pub review_id: ReviewId,
    pub stage: Stage,
    pub ruling: Ruling,
    pub reason: Reason,
    pub note: Option<String>,
    pub reviewer: UserId,
    pub second_look: bool,
    pub noted_at: Timestamp,
    /// When it is carried out unless it is undone.
    pub effective_at: Timestamp,
    pub carried_out_at: Option<Timestamp>,
}

/// What became of the wish to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    Noted(RulingRow),
    /// The same officer said the same a moment ago: a second click.
    Already(RulingRow),
    /// Somebody has decided, as [`super::Actor`] spells them.
    Lost {
        to: String,
    },
    /// A colleague has the review before them.
    Taken {
        by: UserId,
    },
    /// It is no longer what the officer was looking at.
    Changed,
    /// The officer has not opened the picture since they took the review.
    Unseen,
}

/// What became of the wish to undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The review is open again, and the officer's.
    Open(ReviewId),
    /// It has been carried out.
    TooLate,
}

/// What carrying out a ruling led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarriedOut {
    /// The document has its verdict.
    Decided(DocumentId),
    /// It is somebody else's turn.
    Next(Stage),
    /// It was undone or carried out by somebody else.
    Nothing,
}

impl Store {
    /// Notes a ruling on a review that the officer has before them.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn note_ruling(&self, id: ReviewId, officer: &Officer, new: NewRuling) -> Result<Noted> {
        let tx = self.begin().await?;
        let review = self.hold_review(&tx, id).await?;
        if let Some(row) = self.ruling_at(&tx, &review).await? {
            let row = RulingRow::try_from(row)?;
            let same = (row.reviewer, row.ruling, row.reason) == (officer.id, new.ruling, new.reason);
            return Ok(if same {
                Noted::Already(row)
            } else {
                Noted::Lost { to: super::Actor::Officer(row.reviewer).to_string() }
            });
        }
        if review.status != ReviewStatus::Pending.as_str() {
            return Ok(Noted::Lost { to: review.reviewer.unwrap_or_default() });
        }
        if let Some((by, _)) = self.held_by_other(&review, officer) {
            return Ok(Noted::Taken { by });
        }
        // What somebody typed between the two would be approved by nobody else.
        let version = natural(review.version)?;
        let known = version == new.expected_version && version == new.judged_version;
        if !known || review.claimed_by != Some(officer.id.0) || !self.is_for(&tx, &review, officer).await? {
            return Ok(Noted::Changed);
        }
        if new.ruling == Ruling::Approve && review.seen_at.is_none() {
            return Ok(Noted::Unseen);
        }
        self.reclaim(&tx, &review, officer).await?;
        let effective_at = self.after(new.undo);
        let row = rulings::ActiveModel {
            id: Set(Uuid::now_v7()),
            review_id: Set(review.id),
            stage: Set(review.stage.clone()),
            ruling: Set(new.ruling.as_str().to_owned()),
            reason: Set(new.reason.as_str().to_owned()),
            note: Set(new.note),
            reviewer: Set(officer.id.0),
            second_look: Set(new.second_look && review.stage == Stage::First.as_str()),
            noted_at: Set(self.now()),
            effective_at: Set(effective_at),
            carried_out_at: Set(None),
            handling_ms: Set(review.claimed_at.map(|at| (self.now() - at).num_milliseconds().max(0))),
        };
        let row = row.insert(&tx.tx).await?;
        let change = reviews::ActiveModel { version: Set(review.version + 1), ..Default::default() };
        self.change_review(&tx, &review, change).await?;
        let (reason, stage) = (Some(new.reason.as_str()), Some(review.stage.clone()));
        let after = Some(new.ruling.to_string());
        self.audit_review(&tx, officer, "review.note", &review, reason, stage, after).await?;
        crate::failpoint::hit("store.note.before_commit");
        tx.commit().await?;
        Ok(Noted::Noted(row.try_into()?))
    }

    /// Takes a ruling back, as long as it has not been carried out.
    ///
    /// # Errors
    /// `NotFound`, also for rulings of others.
    pub async fn undo_ruling(&self, id: Uuid, officer: &Officer, lease: Duration) -> Result<Undone> {
        let found = rulings::Entity::find_by_id(id).one(&self.db).await?;
        let review_id = found.filter(|row| row.reviewer == officer.id.0).ok_or(Error::NotFound)?.review_id;
        let tx = self.begin().await?;
        let review = self.hold_review(&tx, ReviewId(review_id)).await?;
        // Again, now that nobody else can change it.
        let row = rulings::Entity::find_by_id(id).one(&tx.tx).await?.ok_or(Error::NotFound)?;
        if row.carried_out_at.is_some() || row.effective_at <= self.now() {
            return Ok(Undone::TooLate);
        }
        rulings::Entity::delete_by_id(id).exec(&tx.tx).await?;
        let change = reviews::ActiveModel {
            version: Set(review.version + 1),
            claimed_by: Set(Some(officer.id.0)),
            claimed_until: Set(Some(self.after(lease))),
            ..Default::default()
        };
        self.change_review(&tx, &review, change).await?;
        let (before, stage) = (Some(row.ruling), Some(row.stage));
        self.audit_review(&tx, officer, "review.undo", &review, Some(&row.reason), before, stage).await?;
        crate::failpoint::hit("store.undo.before_commit");
        tx.commit().await?;
        Ok(Undone::Open(ReviewId(review_id)))
    }

    /// Rulings whose time has come, longest overdue first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn due_rulings(&self, limit: u64) -> Result<Vec<RulingRow>> {
        let rows = rulings::Entity::find()
            .filter(rulings::Column::CarriedOutAt.is_null())
            .filter(rulings::Column::EffectiveAt.lte(self.now()))
            .order_by_asc(rulings::Column::EffectiveAt)
            .limit(limit)
            .all(&self.db)
            .await?;
        rows.into_iter().map(RulingRow::try_from).collect()
    }

    /// The officer's latest ruling that can still be undone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn undoable_ruling(&self, officer: &Officer) -> Result<Option<RulingRow>> {
        let row = rulings::Entity::find()
            .filter(rulings::Column::Reviewer.eq(officer.id.0))
            .filter(rulings::Column::EffectiveAt.gt(self.now()))
            .filter(rulings::Column::CarriedOutAt.is_null())
            .order_by_desc(rulings::Column::EffectiveAt)
            .one(&self.db)
            .await?;
        row.map(RulingRow::try_from).transpose()
    }

    /// All rulings on a review, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rulings_of(&self, id: ReviewId) -> Result<Vec<RulingRow>> {
        let rows = rulings::Entity::find()
            .filter(rulings::Column::ReviewId.eq(id.0))
            .order_by_asc(rulings::Column::NotedAt)
            .all(&self.db)
            .await?;
        rows.into_iter().map(RulingRow::try_from).collect()
    }

    /// Carries a ruling out: the document's verdict with its event, or the turn of the next officer. `result` is the
    /// assessment with the officers' corrections, if there are any. Carrying it out again changes nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn carry_out(&self, id: Uuid, result: Option<Box<RawValue>>) -> Result<CarriedOut> {
        let Some(found) = rulings::Entity::find_by_id(id).one(&self.db).await? else {
            return Ok(CarriedOut::Nothing);
        };
        let tx = self.begin().await?;
        let (review, document) = match self.hold_with_document(&tx, ReviewId(found.review_id)).await {
            Err(Error::NotFound) => return Ok(CarriedOut::Nothing),
            other => other?,
        };
        let Some(row) = rulings::Entity::find_by_id(id).one(&tx.tx).await? else {
            return Ok(CarriedOut::Nothing);
        };
        if row.carried_out_at.is_some() || row.effective_at > self.now() {
            return Ok(CarriedOut::Nothing);
        }
        let done = rulings::ActiveModel {
            id: Set(row.id),
            carried_out_at: Set(Some(self.now())),
            ..Default::default()
        };
        done.update(&tx.tx).await?;
        let outcome = match self.led_to(&tx, &review, &row).await? {
            Next::Stands => self.conclude(&tx, &review, document, &row, result).await?,
            Next::Pass(stage) => self.pass_on(&tx, &review, stage).await?,
            // Nobody notes such a ruling; one that was noted all the same waits for somebody else of its stage.
            Next::Alone => return Err(Error::Corrupt("ruling")),
        };
        crate::failpoint::hit("store.carry_out.before_commit");
        tx.commit().await?;
        Ok(outcome)
    }

    /// The next officer's turn. What was said so far stays with the review, unseen.
    pub(super) async fn pass_on(
        &self,
        tx: &Write,
        review: &reviews::Model,
        stage: Stage,
    ) -> Result<CarriedOut> {
        let change = reviews::ActiveModel {
            stage: Set(stage.as_str().to_owned()),
            claimed_by: Set(None),
            claimed_until: Set(None),
            version: Set(review.version + 1),
            ..Default::default()
        };
        self.change_review(tx, review, change).await?;
        let (actor, subject) = (&super::Actor::System, format!("review:{}", review.id));
        let (before, after) = (Some(review.stage.clone()), Some(stage.to_string()));
        let entry =
            super::AuditEntry { actor, action: "review.pass_on", subject, reason: None, before, after };
        self.write_audit(tx, entry).await?;
        Ok(CarriedOut::Next(stage))
    }

    /// The document's verdict.
    async fn conclude(
        &self,
        tx: &Write,
        review: &reviews::Model,
        document: documents::Model,
        row: &rulings::Model,
        result: Option<Box<RawValue>>,
    ) -> Result<CarriedOut> {
        let ruling: Ruling = row.ruling.parse()?;
        let officer = Officer { id: UserId(row.reviewer), role: Role::Reviewer };
        let change = match result {
            Some(result) => {
                documents::ActiveModel { result_json: Set(Some(RawJson(result))), ..Default::default() }
            }
            None => Default::default(),
        };
        let next = self.advance(tx, &document, Command::Resolve(ruling.resolution()), change).await?;
        let word = ruling.resolution().as_str();
        let change = reviews::ActiveModel {
            status: Set(word.to_owned()),
            decision: Set(Some(word.to_owned())),
            notes: Set(row.note.clone()),
            reason: Set(Some(row.reason.clone())),
            reviewer: Set(Some(officer.actor().to_string())),
            claimed_by: Set(None),
            claimed_until: Set(None),
            version: Set(review.version + 1),
            decided_at: Set(Some(self.now())),
            ..Default::default()
        };
        self.change_review(tx, review, change).await?;
        if ruling == Ruling::Retake {
            self.ask_for(tx, EffectKind::Retake, &review.id.to_string()).await?;
        }
        let actor = officer.actor();
        self.record_change(tx, &actor, "review.resolve", &document, Some(&next), Some(&row.reason)).await?;
        self.emit(tx, &next, EventKind::Resolved, None).await?;
        Ok(CarriedOut::Decided(DocumentId(document.id)))
    }

    /// What a ruling leads to, as [`people::next`] says.
    async fn led_to(&self, tx: &Write, review: &reviews::Model, row: &rulings::Model) -> Result<Next> {
        let mut voices = self.voices(&tx.tx, review).await?;
        let who = Who::Officer(UserId(row.reviewer));
        let Some(at) = voices.iter().position(|voice| voice.who == who) else {
            return Err(Error::Corrupt("ruling"));
        };
        let act = voices.remove(at);
        // What stood against it was held against it when it was noted; nothing has changed since.
        Ok(people::next(row.stage.parse()?, &act, &voices, Against::default(), row.second_look))
    }

    /// What everybody has said of a review so far.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn voices_on(&self, id: ReviewId) -> Result<Vec<Voice>> {
        let review = reviews::Entity::find_by_id(id.0).one(&self.db).await?.ok_or(Error::NotFound)?;
        self.voices(&self.db, &review).await
    }

    async fn voices(&self, db: &impl ConnectionTrait, review: &reviews::Model) -> Result<Vec<Voice>> {
        let rulings = rulings::Entity::find()
            .filter(rulings::Column::ReviewId.eq(review.id))
            .order_by_asc(rulings::Column::NotedAt)
            .all(db)
            .await?;
        let said = corrections::Entity::find()
            .filter(corrections::Column::ReviewId.eq(review.id))
            .order_by_asc(corrections::Column::At)
            .order_by_asc(corrections::Column::Id)
            .all(db)
            .await?;
        let mut voices = Vec::new();
        for row in rulings {
            let typed = typed_by(row.reviewer, &said)?;
            voices.push(Voice {
                who: Who::Officer(UserId(row.reviewer)),
                ruling: row.ruling.parse()?,
                typed,
            });
        }
        if let Some(answer) = &review.buli2_answer {
            let ruling = answer.parse::<Resolution>()?.into();
            voices.push(Voice { who: Who::Buli2, ruling, typed: BTreeMap::new() });
        }
        Ok(voices)
    }

    /// Whether an officer has said something on the review.
    pub(super) async fn has_rulings(&self, tx: &Write, review: Uuid) -> Result<bool> {
        Ok(rulings::Entity::find().filter(rulings::Column::ReviewId.eq(review)).count(&tx.tx).await? > 0)
    }

    /// Oldest first.
    pub(super) async fn rulings_on(&self, tx: &Write, review: Uuid) -> Result<Vec<rulings::Model>> {
        Ok(rulings::Entity::find()
            .filter(rulings::Column::ReviewId.eq(review))
            .order_by_asc(rulings::Column::NotedAt)
            .all(&tx.tx)
            .await?)
    }

    /// The ruling at the stage that the review is at.
    pub(super) async fn ruling_at(
        &self,
        tx: &Write,
        review: &reviews::Model,
    ) -> Result<Option<rulings::Model>> {
        Ok(self.rulings_on(tx, review.id).await?.into_iter().find(|row| row.stage == review.stage))
    }
}

/// An officer's last word on each field, without fields that were only confirmed.
fn typed_by(officer: Uuid, rows: &[corrections::Model]) -> Result<BTreeMap<FieldKey, String>> {
    let mut read: BTreeMap<FieldKey, Option<&str>> = BTreeMap::new();
    let mut said: BTreeMap<FieldKey, String> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.reviewer == officer) {
        let field = FieldKey::from_name(&row.field).ok_or(Error::Corrupt("field"))?;
        read.entry(field).or_insert(row.old_value.as_deref());
        said.insert(field, row.new_value.clone());
    }
    said.retain(|field, value| read.get(field).copied().flatten().unwrap_or_default() != value);
    Ok(said)
}

impl TryFrom<rulings::Model> for RulingRow {
    type Error = Error;

    fn try_from(row: rulings::Model) -> Result<Self> {
        Ok(Self {
            id: row.id,
            review_id: ReviewId(row.review_id),
            stage: row.stage.parse()?,
            ruling: row.ruling.parse()?,
            reason: row.reason.parse()?,
            note: row.note,
            reviewer: UserId(row.reviewer),
            second_look: row.second_look,
            noted_at: from_utc(row.noted_at),
            effective_at: from_utc(row.effective_at),
            carried_out_at: row.carried_out_at.map(from_utc),
        })
    }
}
