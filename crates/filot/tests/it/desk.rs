//! Officers at the desk, on SQLite and PostgreSQL: taking, correcting, deciding, undoing, looking twice.

use std::time::Duration;

use filot::card_reader::CardReader;
use filot::clock::Clock;
use filot::desk::{self, Reason};
use filot::document::{DocumentId, Resolution, ReviewId, Verification};
use filot::store::{
    self, Actor, Claim, DeskFilter, EffectKind, EventKind, Noted, Officer, Possession, Role, Ruling, Stage,
    Undone, Verdict,
};
use filot::worker::upkeep_once;
use filot_cards::field::FieldKey;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Barrier;

use crate::support::cards::Script;
use crate::support::desk::{assessed, officer, open_picture, reporting, sound};
use crate::support::{Deployment, TestApp, on_sqlite_and_postgres};

const LEASE: Duration = Duration::from_secs(120);

on_sqlite_and_postgres! {
    a_review_is_held_left_lying_and_taken_over
    a_decision_takes_effect_when_it_can_no_longer_be_undone
    corrections_are_kept_checked_and_given_out
    an_override_is_looked_at_twice_and_disagreement_goes_to_an_admin
    two_who_agree_decide_and_agreement_is_counted
    a_retake_asks_for_one
    the_queue_shows_each_officer_what_is_theirs
    five_hundred_races_have_one_winner_each
}

/// A service at a standing clock; `share` of the approvals get a second look.
async fn desk_with(deployment: Deployment, share: &str) -> (TestApp, Clock, Deployment) {
    desk_reading(deployment, share, assessed()).await
}

/// The same with a reader of cards that nothing stands against, which one officer may approve.
async fn sound_desk(deployment: Deployment) -> (TestApp, Clock, Deployment) {
    desk_reading(deployment, "0", reporting(sound())).await
}

async fn desk_reading(
    deployment: Deployment,
    share: &str,
    reader: CardReader,
) -> (TestApp, Clock, Deployment) {
    let clock = Clock::by_hand(Timestamp::now());
    let deployment = deployment.with("FILOT_DESK_SECOND_LOOK_SHARE", share);
    let mut it = TestApp::on(deployment.app_with(reader, clock).await).await;
    it.work();
    (it, clock, deployment)
}

async fn claim(it: &TestApp, id: ReviewId, who: &Officer) -> store::Review {
    match it.app.store.claim_review(id, who, LEASE).await.unwrap() {
        Claim::Held(review) => {
            open_picture(&it.app, id, who).await;
            *review
        }
        other => panic!("{other:?}"),
    }
}

async fn decide(it: &TestApp, id: ReviewId, who: &Officer, ruling: Ruling) -> Noted {
    let version = it.app.store.review(id).await.unwrap().version;
    decide_at(it, id, who, ruling, version).await
}

async fn decide_at(it: &TestApp, id: ReviewId, who: &Officer, ruling: Ruling, version: u32) -> Noted {
    let reason = Reason::of(ruling).next().unwrap();
    desk::decide(&it.app, who, id, version, ruling, reason, None).await.unwrap()
}

/// Lets the time for undoing pass.
async fn let_it_pass(it: &TestApp, clock: &Clock) {
    clock.advance(SignedDuration::from_secs(11));
    desk::settle(&it.app).await.unwrap();
}

async fn events_of(it: &TestApp, id: DocumentId, kind: EventKind) -> usize {
    let events = it.app.store.events_after(0, 10_000).await.unwrap();
    events.iter().filter(|event| event.document_id == id && event.kind == kind).count()
}

async fn a_review_is_held_left_lying_and_taken_over(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk_with(deployment, "0").await;
    let (_, id) = it.review(1, Script::Review).await;
    let (ani, budi) = (
        officer(&it.app, "Ani Contoh", Role::Reviewer).await,
        officer(&it.app, "Budi Contoh", Role::Reviewer).await,
    );
    let first = claim(&it, id, &ani).await;
    assert_eq!(claim(&it, id, &ani).await.version, first.version, "taking it again is no change");
    let taken = it.app.store.claim_review(id, &budi, LEASE).await.unwrap();
    assert!(matches!(taken, Claim::Taken { by, .. } if by == ani.id), "{taken:?}");
    assert_eq!(it.app.store.display_name(ani.id).await.unwrap(), "Ani Contoh");

    // A sign of life holds it; silence lets it go.
    clock.advance(SignedDuration::from_secs(100));
    assert!(it.app.store.extend_claim(id, &ani, LEASE).await.unwrap());
    assert!(!it.app.store.extend_claim(id, &budi, LEASE).await.unwrap());
    clock.advance(SignedDuration::from_secs(100));
    assert!(matches!(it.app.store.claim_review(id, &budi, LEASE).await.unwrap(), Claim::Taken { .. }));
    clock.advance(SignedDuration::from_secs(21));
    let taken_over = claim(&it, id, &budi).await;
    assert!(taken_over.version > first.version);
    assert!(!it.app.store.extend_claim(id, &ani, LEASE).await.unwrap());
    // What Ani has on her screen is no longer worth anything, and she is told who has it.
    let late = decide_at(&it, id, &ani, Ruling::Approve, first.version).await;
    assert_eq!(late, Noted::Taken { by: budi.id });
    it.app.store.release_claim(id, &budi).await.unwrap();
    assert_eq!(decide_at(&it, id, &ani, Ruling::Approve, first.version).await, Noted::Changed);
    claim(&it, id, &ani).await;
    it.rest().await;
}

async fn a_decision_takes_effect_when_it_can_no_longer_be_undone(deployment: Deployment) {
    let (mut it, clock, _deployment) = sound_desk(deployment).await;
    let (document, id) = it.review(1, Script::Review).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    claim(&it, id, &ani).await;
    let Noted::Noted(ruling) = decide(&it, id, &ani, Ruling::Reject).await else { panic!() };
    upkeep_once(&it.app).await;
    assert_eq!(it.document(document).await.verification, Verification::PendingManualReview);
    assert_eq!(events_of(&it, document, EventKind::Resolved).await, 0);
    // It is decided for everybody else, people and neighbours.
    let verdict = Verdict {
        resolution: Resolution::Approved,
        notes: None,
        reviewer: Actor::Service("reviews".into()),
        expected_version: None,
    };
    let late = it.app.store.resolve_review(id, verdict).await;
    assert!(matches!(late, Err(store::Error::Conflict)), "{late:?}");
    let lost = it.app.store.claim_review(id, &budi, LEASE).await.unwrap();
    let Claim::Decided { by } = lost else { panic!("{lost:?}") };
    assert_eq!(desk::name_of(&it.app, &by).await.unwrap(), "Ani Contoh");

    // Undone: open again, as if nothing had been said, but for the audit.
    assert!(matches!(it.app.store.undo_ruling(ruling.id, &budi, LEASE).await, Err(store::Error::NotFound)));
    assert_eq!(it.app.store.undo_ruling(ruling.id, &ani, LEASE).await.unwrap(), Undone::Open(id));
    let_it_pass(&it, &clock).await;
    assert_eq!(it.document(document).await.verification, Verification::PendingManualReview);

    let Noted::Noted(ruling) = decide(&it, id, &ani, Ruling::Approve).await else { panic!() };
    clock.advance(SignedDuration::from_secs(10));
    // It is too late as soon as the time is up, also if nobody has carried it out yet.
    assert_eq!(it.app.store.undo_ruling(ruling.id, &ani, LEASE).await.unwrap(), Undone::TooLate);
    upkeep_once(&it.app).await;
    upkeep_once(&it.app).await;
    assert_eq!(it.document(document).await.verification, Verification::ManuallyApproved);
    assert_eq!(events_of(&it, document, EventKind::Resolved).await, 1);
    let review = it.app.store.review(id).await.unwrap();
    assert_eq!(review.reviewer, Some(Actor::Officer(ani.id).to_string()));
    assert_eq!(review.reason.as_deref(), Some("DATA_MATCHES"));
    assert_eq!(it.app.store.undo_ruling(ruling.id, &ani, LEASE).await.unwrap(), Undone::TooLate);
    it.rest().await;
}

async fn corrections_are_kept_checked_and_given_out(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk_with(deployment, "0").await;
    let (document, id) = it.review(1, Script::Review).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    let mut version = claim(&it, id, &ani).await.version;
    let stranger = desk::correct(&it.app, &budi, id, version, FieldKey::Gender, "PEREMPUAN").await;
    assert!(matches!(stranger, Err(desk::Error::Store(store::Error::Conflict))), "{stranger:?}");
    let before = desk::look(&it.app, &ani, id).await.unwrap();
    assert!(before.corrected.is_none());
    assert!(before.review.reasons.contains(&"NIK_MATCHES_GENDER".to_owned()), "{:?}", before.review.reasons);

    version = desk::correct(&it.app, &ani, id, version, FieldKey::Gender, " perempuan ").await.unwrap();
    let stale = desk::correct(&it.app, &ani, id, version - 1, FieldKey::Name, "X").await;
    assert!(matches!(stale, Err(desk::Error::Store(store::Error::Conflict))), "{stale:?}");
    // The same value confirms the reading.
    desk::correct(&it.app, &ani, id, version, FieldKey::Name, "SITI CONTOH").await.unwrap();
    for (field, value) in
        [(FieldKey::Npwp16, "1"), (FieldKey::Name, "A\u{7}B"), (FieldKey::Name, &"A".repeat(201))]
    {
        assert!(desk::correct(&it.app, &ani, id, version, field, value).await.is_err());
    }
    let case = desk::look(&it.app, &ani, id).await.unwrap();
    let after = case.corrected.unwrap();
    let known = case.recorded.unwrap();
    assert_eq!(after.fields[&FieldKey::Gender].value, "PEREMPUAN");
    assert_eq!(known.fields[&FieldKey::Gender].value, "LAKI-LAKI");
    let failed = |code: &str| {
        after.checks.iter().any(|check| {
            serde_json::to_value(check.code).unwrap() == code
                && check.outcome != filot_cards::checks::Outcome::Pass
        })
    };
    assert!(!failed("NIK_MATCHES_GENDER") && !failed("FIELD_CONFIDENCE"));
    assert_eq!(case.corrections.len(), 2);
    assert_eq!(case.corrections[0].old.as_deref(), Some("LAKI-LAKI"));
    assert_eq!(case.corrections[0].by, ani.id);

    assert!(matches!(decide(&it, id, &ani, Ruling::Approve).await, Noted::Noted(_)));
    let_it_pass(&it, &clock).await;
    let done = it.document(document).await;
    let result: serde_json::Value = serde_json::from_str(done.result.unwrap().get()).unwrap();
    assert_eq!(result["fields"]["gender"]["value"], "PEREMPUAN");
    assert_eq!(result["fields"]["gender"]["original"], "LAKI-LAKI");
    assert_eq!(result["fields"]["gender"]["source"], "person");
    assert!(result["photo"]["width"].is_number(), "what the assessment does not say stays");
    it.rest().await;
}

async fn an_override_is_looked_at_twice_and_disagreement_goes_to_an_admin(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk_with(deployment, "0").await;
    let (document, id) = it.review(1, Script::Reject).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    let citra = officer(&it.app, "Citra Contoh", Role::Admin).await;
    let seen = async |who: &Officer| {
        let waiting = it.app.store.waiting_reviews(who, &DeskFilter::default(), None, 10).await.unwrap();
        waiting.iter().any(|waiting| waiting.id == id)
    };
    let version = claim(&it, id, &ani).await.version;
    desk::correct(&it.app, &ani, id, version, FieldKey::Gender, "PEREMPUAN").await.unwrap();
    assert!(matches!(decide(&it, id, &ani, Ruling::Approve).await, Noted::Noted(_)));
    let_it_pass(&it, &clock).await;
    assert_eq!(it.document(document).await.verification, Verification::PendingManualReview);
    assert!(!seen(&ani).await && seen(&budi).await && seen(&citra).await);
    assert_eq!(it.app.store.claim_review(id, &ani, LEASE).await.unwrap(), Claim::NotYours);

    claim(&it, id, &budi).await;
    let blind = desk::look(&it.app, &budi, id).await.unwrap();
    assert!(blind.corrections.is_empty() && blind.rulings.is_empty() && blind.corrected.is_none());
    assert!(matches!(decide(&it, id, &budi, Ruling::Reject).await, Noted::Noted(_)));
    let_it_pass(&it, &clock).await;
    assert_eq!(it.app.store.review(id).await.unwrap().stage, Stage::Admin);
    assert!(!seen(&ani).await && !seen(&budi).await && seen(&citra).await);
    assert_eq!(it.app.store.claim_review(id, &budi, LEASE).await.unwrap(), Claim::NotYours);

    claim(&it, id, &citra).await;
    let open = desk::look(&it.app, &citra, id).await.unwrap();
    assert_eq!((open.rulings.len(), open.corrections.len()), (2, 1));
    assert!(matches!(decide(&it, id, &citra, Ruling::Reject).await, Noted::Noted(_)));
    let_it_pass(&it, &clock).await;
    assert_eq!(it.document(document).await.verification, Verification::ManuallyRejected);
    assert_eq!(events_of(&it, document, EventKind::Resolved).await, 1);
    let agreement = it.app.store.agreement(clock.now() - SignedDuration::from_hours(1)).await.unwrap();
    assert_eq!(agreement.pairs.get(&("approve", "reject")), Some(&1));
    it.rest().await;
}

async fn two_who_agree_decide_and_agreement_is_counted(deployment: Deployment) {
    // Every approval gets a second look.
    let (mut it, clock, _deployment) = desk_with(deployment, "1").await;
    let start = clock.now();
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    for number in 0..2 {
        let (document, id) = it.review(number, Script::Review).await;
        claim(&it, id, &ani).await;
        decide(&it, id, &ani, Ruling::Approve).await;
        let_it_pass(&it, &clock).await;
        let version = claim(&it, id, &budi).await.version;
        let differs = number == 1;
        if differs {
            desk::correct(&it.app, &budi, id, version, FieldKey::Name, "SITI CONTOH JAYA").await.unwrap();
        }
        decide(&it, id, &budi, Ruling::Approve).await;
        let_it_pass(&it, &clock).await;
        // Approving other values than the first officer is no agreement.
        let expected =
            if differs { Verification::PendingManualReview } else { Verification::ManuallyApproved };
        assert_eq!(it.document(document).await.verification, expected);
    }
    // Rejections need one officer.
    let (document, id) = it.review(9, Script::Review).await;
    claim(&it, id, &ani).await;
    decide(&it, id, &ani, Ruling::Reject).await;
    let_it_pass(&it, &clock).await;
    assert_eq!(it.document(document).await.verification, Verification::ManuallyRejected);
    assert_eq!(it.app.store.agreement(clock.now()).await.unwrap().count(), 0, "none of them is so new");
    let agreement = it.app.store.agreement(start).await.unwrap();
    assert_eq!((agreement.count(), agreement.pairs[&("approve", "approve")]), (2, 2));
    it.rest().await;
}

async fn a_retake_asks_for_one(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk_with(deployment, "0").await;
    let (document, id) = it.review(1, Script::Review).await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let version = claim(&it, id, &ani).await.version;
    // A reason goes with its own decision only.
    let wrong = desk::decide(&it.app, &ani, id, version, Ruling::Approve, Reason::Glare, None).await;
    assert!(matches!(wrong, Err(desk::Error::Reason)), "{wrong:?}");
    let long = Some("a".repeat(1001));
    assert!(desk::decide(&it.app, &ani, id, version, Ruling::Retake, Reason::Glare, long).await.is_err());
    let noted = desk::decide(&it.app, &ani, id, version, Ruling::Retake, Reason::Glare, None).await.unwrap();
    assert!(matches!(noted, Noted::Noted(_)), "{noted:?}");
    assert_eq!(it.app.store.retake_link(document).await.unwrap(), None);
    // The upkeep makes the link as soon as it sees the order.
    it.rest().await;
    let_it_pass(&it, &clock).await;
    let backlog = it.app.store.backlog(EffectKind::Retake).await.unwrap();
    assert_eq!(backlog.new, 1, "one order, of the decision");
    upkeep_once(&it.app).await;
    let link = it.app.store.retake_link(document).await.unwrap().unwrap();
    assert_eq!((link.document_id, link.used), (document, false));
    assert_eq!(it.app.store.backlog(EffectKind::Retake).await.unwrap().new, 0);
    assert_eq!(it.document(document).await.verification, Verification::ManuallyRejected);
    assert_eq!(it.app.store.review(id).await.unwrap().reason.as_deref(), Some("GLARE"));
    it.rest().await;
}

async fn the_queue_shows_each_officer_what_is_theirs(deployment: Deployment) {
    let (mut it, clock, _deployment) = desk_with(deployment, "0").await;
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(it.review(number, Script::Review).await.1);
        clock.advance(SignedDuration::from_secs(60));
    }
    let list = async |who: &Officer, filter: DeskFilter| -> Vec<ReviewId> {
        let rows = it.app.store.waiting_reviews(who, &filter, None, 10).await.unwrap();
        assert_eq!(it.app.store.count_waiting(who, &filter).await.unwrap(), rows.len() as u64);
        rows.iter().map(|row| row.id).collect()
    };
    assert_eq!(list(&ani, DeskFilter::default()).await, ids);
    let by = |reason: &str| DeskFilter { reason: Some(reason.to_owned()), ..DeskFilter::default() };
    assert_eq!(list(&ani, by("NIK_MATCHES_GENDER")).await.len(), 5);
    assert_eq!(list(&ani, by("NIK_MATCHES")).await.len(), 0, "a part of a code is no code");
    assert_eq!(list(&ani, by("NIKXMATCHES_GENDER")).await.len(), 0, "an underscore is no wildcard");
    let whose = |possession| DeskFilter { possession: Some(possession), ..DeskFilter::default() };
    claim(&it, ids[0], &ani).await;
    assert_eq!(list(&ani, whose(Possession::Mine)).await, ids[..1]);
    assert_eq!(list(&budi, whose(Possession::Mine)).await, []);
    assert_eq!(list(&budi, whose(Possession::Free)).await, ids[1..]);
    let before = it.app.store.review(ids[2]).await.unwrap().created_at;
    assert_eq!(list(&ani, DeskFilter { before: Some(before), ..DeskFilter::default() }).await, ids[..2]);

    let first = it.app.store.waiting_reviews(&ani, &DeskFilter::default(), None, 2).await.unwrap();
    let rest = it
        .app
        .store
        .waiting_reviews(&ani, &DeskFilter::default(), Some(first[1].cursor()), 10)
        .await
        .unwrap();
    assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), ids[2..]);

    let next = desk::take_next(&it.app, &budi, &DeskFilter::default(), Some(ids[1])).await.unwrap();
    assert_eq!(next, Some(ids[2]), "not Ani's, and not the one that is left");
    it.rest().await;
}

/// Two officers and two clicks each, all at once: whatever happens, one decision, and the loser learns whose.
async fn five_hundred_races_have_one_winner_each(deployment: Deployment) {
    let (mut it, clock, _deployment) = sound_desk(deployment).await;
    let officers = [
        officer(&it.app, "Ani Contoh", Role::Reviewer).await,
        officer(&it.app, "Budi Contoh", Role::Reviewer).await,
    ];
    let mut reviews = Vec::new();
    for number in 0..500 {
        reviews.push(it.review(number, Script::Review).await);
    }
    let mut told = 0;
    for (document, id) in &reviews {
        let barrier = std::sync::Arc::new(Barrier::new(4));
        let clicks = [0, 0, 1, 1].map(|who| {
            let (app, barrier, officer, id) = (it.app.clone(), barrier.clone(), officers[who], *id);
            tokio::spawn(async move {
                barrier.wait().await;
                let claimed = app.store.claim_review(id, &officer, LEASE).await.unwrap();
                let version = match claimed {
                    Claim::Held(review) => {
                        app.store.picture_seen(id, &officer).await.unwrap();
                        review.version
                    }
                    Claim::Taken { by, .. } => return Err(by),
                    Claim::Decided { by } => {
                        let name = desk::name_of(&app, &by).await.unwrap();
                        assert!(name.ends_with("Contoh"), "{name}");
                        return Err(by.strip_prefix("officer:").unwrap().parse().unwrap());
                    }
                    Claim::NotYours | Claim::Own => panic!("it is anybody's"),
                };
                let ruling = if who == 0 { Ruling::Approve } else { Ruling::Reject };
                let reason = Reason::of(ruling).next().unwrap();
                match desk::decide(&app, &officer, id, version, ruling, reason, None).await.unwrap() {
                    Noted::Noted(row) | Noted::Already(row) => Ok(row),
                    other => panic!("{other:?}"),
                }
            })
        });
        let mut winners = Vec::new();
        let mut losers = Vec::new();
        for click in clicks {
            match click.await.unwrap() {
                Ok(row) => winners.push(row),
                Err(by) => losers.push(by),
            }
        }
        winners.dedup_by_key(|row| row.id);
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert!(losers.iter().all(|by| *by == winners[0].reviewer), "{losers:?} {winners:?}");
        told += losers.len();
        assert_eq!(it.app.store.rulings_of(*id).await.unwrap().len(), 1);
        let_it_pass(&it, &clock).await;
        assert_eq!(events_of(&it, *document, EventKind::Resolved).await, 1);
    }
    assert!(told >= 1000, "both clicks of each loser, {told}");
    it.rest().await;
}
