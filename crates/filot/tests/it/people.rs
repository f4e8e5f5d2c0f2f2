//! Who may decide on a card, and how many it takes: never on one's own, and two wherever one should not be enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use filot::card_reader::{CardReader, CardReading};
use filot::clock::Clock;
use filot::desk::{self, Reason};
use filot::document::people::is_identity;
use filot::document::{DocumentId, Resolution, ReviewId, Verification};
use filot::store::{
    Actor, Callback, Claim, DeskFilter, Naming, Noted, Officer, Role, Ruling, Stage, Verdict,
};
use filot_cards::checks::CheckCode;
use filot_cards::decide::Decision;
use filot_cards::field::FieldKey;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};

use crate::console::Visitor;
use crate::support::app::upload;
use crate::support::buli2::configured;
use crate::support::cards::{Script, card};
use crate::support::desk::{assessed, officer, open_picture, recorded, report, reporting, sound};
use crate::support::desk_server::Desk;
use crate::support::{Deployment, TestApp, on_sqlite_and_postgres};

const LEASE: Duration = Duration::from_secs(120);

on_sqlite_and_postgres! {
    no_sequence_approves_with_one_where_two_are_needed
    a_tie_waits_for_an_admin_who_was_none_of_the_two
    a_claim_that_ran_out_decides_only_if_nobody_came_between
    what_nobody_who_approves_has_typed_is_not_given_out
    typing_and_approving_at_once_does_not_take_one_person_only
}

async fn desk(deployment: Deployment, reader: CardReader) -> (TestApp, Clock, Deployment) {
    let clock = Clock::by_hand(Timestamp::now());
    let deployment = deployment.with("FILOT_DESK_SECOND_LOOK_SHARE", "0");
    let mut it = TestApp::on(deployment.app_with(reader, clock).await).await;
    it.work();
    (it, clock, deployment)
}

async fn held(it: &TestApp, id: ReviewId, who: &Officer) -> Option<u32> {
    match it.app.store.claim_review(id, who, LEASE).await.unwrap() {
        Claim::Held(review) => {
            open_picture(&it.app, id, who).await;
            Some(review.version)
        }
        _ => None,
    }
}

async fn decide(it: &TestApp, id: ReviewId, who: &Officer, ruling: Ruling) -> desk::Result<Noted> {
    let version = it.app.store.review(id).await?.version;
    let reason = Reason::of(ruling).next().unwrap();
    desk::decide(&it.app, who, id, version, ruling, reason, None).await
}

async fn let_it_pass(it: &TestApp, clock: &Clock) {
    clock.advance(SignedDuration::from_secs(11));
    desk::settle(&it.app).await.unwrap();
}

/// What officers, admins and BULI2 do at random to cards of all kinds, on the real store.
struct Wild {
    it: TestApp,
    clock: Clock,
    staff: Vec<Officer>,
    dice: StdRng,
    events: u32,
}

impl Wild {
    async fn act(&mut self, id: ReviewId) {
        if self.dice.random_bool(0.2) {
            let resolution = Resolution::ALL[self.dice.random_range(0..2)];
            let verdict = Verdict {
                resolution,
                notes: None,
                reviewer: Actor::Service("buli2".to_owned()),
                expected_version: None,
            };
            self.events += 1;
            let event = self.events.to_string();
            let naming = Naming { review: Some(id), ..Naming::default() };
            let callback =
                Callback { event_id: event.clone(), body_hash: event, naming, verdict, fresh: true };
            self.it.app.store.take_callback(callback).await.unwrap();
            return;
        }
        if self.dice.random_bool(0.05) {
            self.it.app.store.hand_to_desk(id, "too_long").await.unwrap();
            return;
        }
        let who = self.staff[self.dice.random_range(0..self.staff.len())];
        let Some(mut version) = held(&self.it, id, &who).await else { return };
        for (field, values) in [
            (FieldKey::Name, &["SITI CONTOH", "BUDI LAIN", ""][..]),
            (FieldKey::Gender, &["PEREMPUAN", "PEREMPUAN", "LAKI-LAKI"]),
            (FieldKey::BirthDate, &["05-01-1990", "06-01-1990"]),
            (FieldKey::Village, &["GAMBIR", "CIDENG"]),
        ] {
            if self.dice.random_bool(0.4) {
                let value = values[self.dice.random_range(0..values.len())];
                version = desk::correct(&self.it.app, &who, id, version, field, value).await.unwrap();
            }
        }
        let ruling =
            [Ruling::Approve, Ruling::Approve, Ruling::Approve, Ruling::Reject][self.dice.random_range(0..4)];
        match decide(&self.it, id, &who, ruling).await {
            Ok(Noted::Noted(_)) | Err(desk::Error::Alone) => {}
            other => panic!("{other:?}"),
        }
        let_it_pass(&self.it, &self.clock).await;
        if let Ok(review) = self.it.app.store.review(id).await
            && review.claimed.is_some_and(|(by, _)| by == who.id)
        {
            self.it.app.store.release_claim(id, &who).await.unwrap();
        }
    }

    /// Holds an approval against what it would have taken, told by other means than the rule's own.
    async fn account(&self, id: ReviewId, document: DocumentId, script: Script) -> Option<usize> {
        let store = &self.it.app.store;
        let document = self.it.document(document).await;
        if document.verification != Verification::ManuallyApproved {
            return None;
        }
        let review = store.review(id).await.unwrap();
        let result: Value = serde_json::from_str(document.result.as_ref().unwrap().get()).unwrap();
        let bad = |check: &Value| check["outcome"] == "fail" || check["outcome"] == "not_run";
        let failing = result["checks"].as_array().unwrap().iter().any(bad);
        let read: Value = recorded();
        let identity = ["name", "nik", "birthDate"];
        let values = |of: &Value| identity.map(|key| of["fields"][key]["value"].clone());
        let retyped = values(&result) != values(&read);
        let by_buli2 = review.reviewer.as_deref() == Some("service:buli2");
        let against_buli2 = review.buli2_answer == Some(Resolution::Rejected);
        let two = matches!(script, Script::Reject) || !by_buli2 && (failing || retyped || against_buli2);

        // Whoever approved these very values.
        let corrections = store.corrections_of(id).await.unwrap();
        let mut people = BTreeSet::new();
        for ruling in store.rulings_of(id).await.unwrap() {
            let mut said: BTreeMap<FieldKey, String> = BTreeMap::new();
            for correction in corrections.iter().filter(|one| one.by == ruling.reviewer) {
                said.insert(correction.field, correction.new.clone());
            }
            let own = |key: &str| {
                let field = FieldKey::from_name(key).unwrap();
                let value = said.get(&field).cloned();
                let value = value.map(Value::from).filter(|value| value != "");
                if said.contains_key(&field) {
                    value.unwrap_or_default()
                } else {
                    read["fields"][key]["value"].clone()
                }
            };
            // An admin sees what both said, so what they leave is theirs, too.
            let theirs = ruling.stage == Stage::Admin || identity.map(own) == values(&result);
            if ruling.ruling == Ruling::Approve && theirs {
                people.insert(ruling.reviewer.to_string());
            }
        }
        if by_buli2 || review.buli2_answer == Some(Resolution::Approved) && !retyped {
            people.insert("buli2".to_owned());
        }
        assert!(people.len() >= if two { 2 } else { 1 }, "{people:?} {review:?} {corrections:?}");
        Some(people.len())
    }
}

async fn no_sequence_approves_with_one_where_two_are_needed(deployment: Deployment) {
    assert!(is_identity(FieldKey::Name) && !is_identity(FieldKey::Village));
    let deployment = configured(deployment, 9);
    let (it, clock, _deployment) = desk(deployment, assessed()).await;
    let mut staff = Vec::new();
    for (name, role) in [
        ("Ani Contoh", Role::Reviewer),
        ("Budi Contoh", Role::Reviewer),
        ("Citra Contoh", Role::Admin),
        ("Dedi Contoh", Role::Admin),
        ("Eka Contoh", Role::Admin),
    ] {
        staff.push(officer(&it.app, name, role).await);
    }
    let mut wild = Wild { it, clock, staff, dice: StdRng::seed_from_u64(12), events: 0 };
    let mut approved: BTreeMap<usize, u32> = BTreeMap::new();
    for round in 0..60 {
        let script = [Script::Review, Script::Reject][wild.dice.random_range(0..2)];
        let (document, id) = wild.it.review(round, script).await;
        for _ in 0..8 {
            wild.act(id).await;
        }
        if let Some(people) = wild.account(id, document, script).await {
            *approved.entry(people).or_default() += 1;
        }
    }
    println!("approved, by how many people said so: {approved:?}");
    assert!(approved.contains_key(&1) && approved.keys().any(|people| *people > 1), "{approved:?}");
    wild.it.rest().await;
}

async fn a_tie_waits_for_an_admin_who_was_none_of_the_two(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk(deployment, reporting(sound())).await;
    let (document, id) = it.review(1, Script::Reject).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let citra = officer(&it.app, "Citra Contoh", Role::Admin).await;
    let store = &it.app.store;
    for (who, ruling) in [(&citra, Ruling::Approve), (&ani, Ruling::Reject)] {
        held(&it, id, who).await.unwrap();
        assert!(matches!(decide(&it, id, who, ruling).await, Ok(Noted::Noted(_))));
        let_it_pass(&it, &clock).await;
    }
    assert_eq!(store.review(id).await.unwrap().stage, Stage::Admin);
    // The only admin was one of them: it waits, and is told of.
    for who in [&ani, &citra] {
        assert_eq!(store.claim_review(id, who, LEASE).await.unwrap(), Claim::NotYours);
        let waiting = store.waiting_reviews(who, &DeskFilter::default(), None, 10).await.unwrap();
        assert!(waiting.is_empty(), "{waiting:?}");
    }
    assert_eq!(store.stuck_reviews().await.unwrap(), 1);
    let dedi = officer(&it.app, "Dedi Contoh", Role::Admin).await;
    assert_eq!(store.stuck_reviews().await.unwrap(), 0);
    let version = held(&it, id, &dedi).await.unwrap();
    // Not with a name of their own either.
    desk::correct(&it.app, &dedi, id, version, FieldKey::Name, "BUDI LAIN").await.unwrap();
    assert!(matches!(decide(&it, id, &dedi, Ruling::Approve).await, Err(desk::Error::Alone)));
    let version = store.review(id).await.unwrap().version;
    desk::correct(&it.app, &dedi, id, version, FieldKey::Name, "SITI CONTOH").await.unwrap();
    assert!(matches!(decide(&it, id, &dedi, Ruling::Approve).await, Ok(Noted::Noted(_))));
    let_it_pass(&it, &clock).await;
    assert_eq!(it.document(document).await.verification, Verification::ManuallyApproved);
    it.rest().await;
}

async fn a_claim_that_ran_out_decides_only_if_nobody_came_between(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk(deployment, reporting(sound())).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    let store = &it.app.store;
    let lapse = || clock.advance(SignedDuration::from_secs(121));
    let at = async |id, who: &Officer, version| {
        let reason = Reason::DataMatches;
        desk::decide(&it.app, who, id, version, Ruling::Approve, reason, None).await.unwrap()
    };
    // Nobody came: it is taken again, in the same step, and that is noted.
    let (_, id) = it.review(1, Script::Review).await;
    let version = held(&it, id, &ani).await.unwrap();
    lapse();
    assert!(!store.picture_seen(id, &ani).await.unwrap(), "no pictures without a claim");
    assert!(!store.review(id).await.unwrap().is_held_by(ani.id, clock.now()));
    assert!(matches!(at(id, &ani, version).await, Noted::Noted(_)));
    let trail = store.audit_about(vec![format!("review:{id}")]).await.unwrap();
    let claims: Vec<_> = trail.iter().filter(|entry| entry.action == "review.claim").collect();
    assert_eq!(claims.len(), 2);
    assert_eq!(claims[1].reason.as_deref(), Some("lapsed"));

    // Somebody has it, or has had it.
    let (_, id) = it.review(2, Script::Review).await;
    let version = held(&it, id, &ani).await.unwrap();
    lapse();
    held(&it, id, &budi).await.unwrap();
    assert_eq!(at(id, &ani, version).await, Noted::Taken { by: budi.id });
    lapse();
    assert_eq!(at(id, &ani, version).await, Noted::Changed, "Budi's has run out, too");
    store.release_claim(id, &budi).await.unwrap();
    assert_eq!(at(id, &ani, version).await, Noted::Changed);
    let present = store.review(id).await.unwrap().version;
    assert_eq!(at(id, &ani, present).await, Noted::Changed, "not without taking it");
    let stale = desk::correct(&it.app, &ani, id, present, FieldKey::Name, "X").await;
    assert!(stale.is_err(), "{stale:?}");
    // Whoever takes it has to look for themselves.
    let Claim::Held(review) = store.claim_review(id, &ani, LEASE).await.unwrap() else { panic!() };
    assert_eq!(at(id, &ani, review.version).await, Noted::Unseen);
    open_picture(&it.app, id, &ani).await;
    assert!(matches!(at(id, &ani, review.version).await, Noted::Noted(_)));
    it.rest().await;
}

/// The name that is given out of a document.
async fn given_name(it: &TestApp, document: DocumentId) -> String {
    let result = it.document(document).await.result.unwrap();
    let result: Value = serde_json::from_str(result.get()).unwrap();
    result["fields"]["name"]["value"].as_str().unwrap().to_owned()
}

async fn what_nobody_who_approves_has_typed_is_not_given_out(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk(deployment, reporting(sound())).await;
    let planter = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    let citra = officer(&it.app, "Citra Contoh", Role::Reviewer).await;
    // Put back before the first of them comes, and between the two.
    for stage in [1, 2] {
        let (document, id) = it.review(stage, Script::Reject).await;
        let before = given_name(&it, document).await;
        for (who, own) in [(&budi, 1), (&citra, 2)] {
            if own == stage {
                let version = held(&it, id, &planter).await.unwrap();
                desk::correct(&it.app, &planter, id, version, FieldKey::Name, "ANDI PENIPU").await.unwrap();
                it.app.store.release_claim(id, &planter).await.unwrap();
            }
            held(&it, id, who).await.unwrap();
            assert!(matches!(decide(&it, id, who, Ruling::Approve).await, Ok(Noted::Noted(_))));
            let_it_pass(&it, &clock).await;
        }
        assert_eq!(it.document(document).await.verification, Verification::ManuallyApproved);
        assert_eq!(given_name(&it, document).await, before, "planted before officer {stage}");
    }
    it.rest().await;
}

async fn typing_and_approving_at_once_does_not_take_one_person_only(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk(deployment, reporting(sound())).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let mut noted = 0;
    for number in 0..40 {
        let (document, id) = it.review(number, Script::Review).await;
        let before = given_name(&it, document).await;
        let version = held(&it, id, &ani).await.unwrap();
        let (app, who) = (it.app.clone(), ani);
        let typing = tokio::spawn(async move {
            desk::correct(&app, &who, id, version, FieldKey::Name, "ANDI PENIPU").await
        });
        for _ in 0..20 {
            let reason = Reason::DataMatches;
            let said = desk::decide(&it.app, &ani, id, version + 1, Ruling::Approve, reason, None).await;
            if matches!(said, Ok(Noted::Noted(_))) {
                noted += 1;
                break;
            }
        }
        typing.await.unwrap().unwrap();
        let_it_pass(&it, &clock).await;
        assert_eq!(given_name(&it, document).await, before, "review {number}");
        assert_eq!(it.document(document).await.verification, Verification::PendingManualReview);
    }
    assert!(noted > 0, "it was never approved after the typing");
    it.rest().await;
}

/// One check after the other could not run, or failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_failed_or_could_not_run_takes_a_second_person() {
    static CASE: AtomicUsize = AtomicUsize::new(0);
    let whole = report(sound());
    let reader = CardReader::new("injected", move |file, declared, today| {
        let reading = whole(file, declared, today)?;
        let case = CASE.load(Ordering::SeqCst);
        let mut result: Value = serde_json::from_str(reading.result.get()).unwrap();
        if let Some(code) = CheckCode::all().get(case / 2) {
            let (code, outcome) = (serde_json::to_value(code).unwrap(), ["fail", "not_run"][case % 2]);
            let checks = result["checks"].as_array_mut().unwrap();
            checks.retain(|check| check["code"] != code);
            checks.push(json!({ "code": code, "outcome": outcome }));
        }
        let result = serde_json::value::to_raw_value(&result).unwrap();
        Ok(CardReading { decision: Decision::NeedsReview, result, ..reading })
    });
    let (mut it, clock, _deployment) = desk(Deployment::embedded(), reader).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let mut alone = Vec::new();
    for case in 0..=2 * CheckCode::all().len() {
        CASE.store(case, Ordering::SeqCst);
        let (document, id) = it.review(u32::try_from(case).unwrap(), Script::Review).await;
        held(&it, id, &ani).await.unwrap();
        decide(&it, id, &ani, Ruling::Approve).await.unwrap();
        let_it_pass(&it, &clock).await;
        if it.document(document).await.verification == Verification::ManuallyApproved {
            alone.push((CheckCode::all().get(case / 2), case % 2));
        } else {
            assert_eq!(it.app.store.review(id).await.unwrap().stage, Stage::Second);
        }
    }
    // Measured numbers may be missing; the last case is the card as it is.
    use CheckCode::*;
    let measured = [Photocopy, CardComplete, Resolution, Sharpness, Glare, Darkness, SecondReading];
    let expected: Vec<_> = measured.iter().map(|code| (Some(code), 1)).chain([(None, 0)]).collect();
    assert_eq!(alone, expected);
    it.rest().await;
}

/// Every act and every page, for a reviewer and for an admin, of a document of their own; also where they have it from a
/// time when that was possible.
#[tokio::test(flavor = "multi_thread")]
async fn officers_have_nothing_to_do_with_their_own_documents() {
    let desk = Desk::start().await;
    let store = &desk.it.app.store;
    let database = format!("sqlite://{}", desk.deployment.data_dir().join("filot.db").display());
    let db = Database::connect(database).await.unwrap();
    for (number, role) in [(1, Role::Reviewer), (2, Role::Admin)] {
        let mut staff = desk.staff("Ani Contoh", role).await;
        let visitor = Visitor::sign_in(&desk, &mut staff).await;
        let user = store.user_by_email(&staff.email).await.unwrap().unwrap().id;
        let sent = upload(user, card(number, Script::Review, 0));
        let document = filot::intake::submit(&desk.it.app, sent).await.unwrap().id;
        desk.it.finished(document).await;
        let id = store.review_of_document(document).await.unwrap().unwrap().id;
        let queue = visitor.get("/console").await;
        assert!(!queue.text.contains(&id.to_string()), "it is in the queue");
        let token = queue.field("csrf");
        let next = visitor.post("/console/next", &[("csrf", &token)]).await;
        assert_eq!((next.status, next.location()), (303, "/console"), "it is given out");
        for taken in [false, true] {
            if taken {
                let sql = "UPDATE reviews SET claimed_by = $1, claimed_until = '2999-01-01 00:00:00+00:00', \
                           seen_at = '2026-01-01 00:00:00+00:00' WHERE id = $2";
                let values = [user.0.into(), id.0.into()];
                let statement = Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
                assert_eq!(db.execute_raw(statement).await.unwrap().rows_affected(), 1);
            }
            every_act_is_refused(&desk, &visitor, &token, id).await;
            let officer = Officer { id: user, role };
            in_the_house_too(&desk, &officer, id).await;
        }
        let review = store.review(id).await.unwrap();
        assert_eq!((review.decision, review.stage), (None, Stage::First));
        let document = desk.it.document(document).await;
        assert_eq!(document.verification, Verification::PendingManualReview);
    }
}

async fn every_act_is_refused(desk: &Desk, visitor: &Visitor, token: &str, id: ReviewId) {
    let review = format!("/console/reviews/{id}");
    for path in ["", "?reveal=1", "/original.jpg", "/straightened.jpg", "/original.jpg?veiled=1", "/live"] {
        let answer = visitor.get(&format!("{review}{path}")).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text.contains("about yourself") && !answer.text.contains("SITI"), "{path}");
    }
    let version = desk.it.app.store.review(id).await.unwrap().version.to_string();
    let form = |more: &[(&'static str, &'static str)]| {
        let mut form = vec![("csrf", token.to_owned()), ("version", version.clone())];
        form.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        form
    };
    for (path, fields) in [
        ("claim", form(&[])),
        ("fields/name", form(&[("value", "ANI CONTOH")])),
        ("decision", form(&[("ruling", "approve"), ("reason", "DATA_MATCHES")])),
        ("decision", form(&[("ruling", "reject"), ("reason", "NOT_A_CARD")])),
        ("decision", form(&[("ruling", "retake"), ("reason", "GLARE")])),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = visitor.post(&format!("{review}/{path}"), &fields).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
        assert!(answer.text.contains("about yourself"), "{path}");
    }
}

/// The same below the pages.
async fn in_the_house_too(desk: &Desk, officer: &Officer, id: ReviewId) {
    let (app, store) = (&desk.it.app, &desk.it.app.store);
    let version = store.review(id).await.unwrap().version;
    assert_eq!(store.claim_review(id, officer, LEASE).await.unwrap(), Claim::Own);
    assert!(matches!(desk::look(app, officer, id).await, Err(desk::Error::Own)));
    let corrected = desk::correct(app, officer, id, version, FieldKey::Name, "ANI CONTOH").await;
    assert!(matches!(corrected, Err(desk::Error::Own)), "{corrected:?}");
    let new = filot::store::NewRuling {
        ruling: Ruling::Approve,
        reason: Reason::DataMatches,
        note: None,
        expected_version: version,
        judged_version: version,
        undo: Duration::ZERO,
        second_look: false,
    };
    assert_eq!(store.note_ruling(id, officer, new).await.unwrap(), Noted::Changed);
    let new = filot::store::NewCorrection {
        field: FieldKey::Name,
        old: None,
        new: "ANI CONTOH".to_owned(),
        expected_version: version,
    };
    assert!(store.correct(id, officer, new).await.is_err());
    assert_eq!(desk::take_next(app, officer, &DeskFilter::default(), None).await.unwrap(), None);
}
