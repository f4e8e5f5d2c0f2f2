//! What the database promises, on SQLite and on PostgreSQL.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use filot::app::App;
use filot::clock::Clock;
use filot::document::{CardType, Command, DocumentId, Resolution, State, Status, UserId, Verification};
use filot::queue::Lane;
use filot::store::{
    Actor, Begun, EffectKind, Error, Filter, Idempotency, IdempotencyKey, NewDocument, NewUser, Outcome,
    ProfileChange, Role, Rotation, Store, Verdict,
};
use filot_cards::decide::Decision;
use jiff::SignedDuration;

use crate::support::Deployment;
use crate::support::app::make_user;
use crate::support::cards::scripted;

const LEASE: Duration = Duration::from_secs(30);

struct Rig {
    deployment: Deployment,
    app: App,
    clock: Clock,
    user: UserId,
}

impl Rig {
    async fn on(deployment: Deployment) -> Self {
        let clock = Clock::by_hand(Clock::default().now());
        let app = deployment.app_with(scripted(), clock).await;
        let user = make_user(&app).await;
        Self { deployment, app, clock, user }
    }

    fn store(&self) -> &Store {
        &self.app.store
    }

    fn new_document(&self) -> NewDocument {
        let id = DocumentId::new();
        NewDocument {
            id,
            user_id: self.user,
            card_type: CardType::Ktp,
            blob_key: format!("{}/KTP_{id}.png", self.user),
            content_hash: "0".repeat(64),
            media_type: "image/png".into(),
            byte_size: 1000,
            lane: Lane::Cpu,
            idempotency: None,
        }
    }

    async fn document(&self) -> DocumentId {
        self.store().create_document(self.new_document(), false).await.unwrap().id
    }

    /// A document that waits for a person.
    async fn in_review(&self) -> DocumentId {
        let id = self.document().await;
        self.store().begin_processing(id, 1, LEASE, 3).await.unwrap();
        self.store().record_outcome(id, 1, outcome(Decision::NeedsReview)).await.unwrap();
        id
    }

    fn key(&self, key: &str) -> IdempotencyKey {
        IdempotencyKey { user: self.user, route: "POST /documents/upload".into(), key: key.into() }
    }
}

fn outcome(decision: Decision) -> Outcome {
    let result =
        serde_json::value::to_raw_value(&serde_json::json!({ "fields": { "name": "BUDI" } })).unwrap();
    Outcome { decision, score: 50, result, ocr_text: None, engine: "scripted".into(), reading_ms: 5 }
}

macro_rules! contract {
    ($($name:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Rig::on(super::Deployment::embedded()).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Rig::on(super::Deployment::postgres()).await).await;
            })+
        }
    };
}

contract! {
    rows_follow_the_state_machine
    only_one_of_many_readers_records
    lists_go_on_where_they_stopped
    others_documents_are_not_found
    owners_see_every_version
    what_was_stored_today_counts_though_it_is_deleted
    accounts_are_unique
    refresh_tokens_rotate_and_betray_copies
    a_one_time_token_works_once
    a_repeated_request_is_recognised
    of_many_equal_requests_one_is_fresh
    the_feed_has_no_gaps
    effects_are_leased
    many_may_migrate_at_once
    a_person_decides_on_the_version_they_saw
}

/// The same random commands on the rules and on the database: same answers, same states.
async fn rows_follow_the_state_machine(rig: &Rig) {
    use proptest::strategy::{Strategy, ValueTree};
    let decisions = [Decision::AutoApprove, Decision::NeedsReview, Decision::AutoReject];
    let steps = proptest::collection::vec((0..9_u8, 0..6_i64, 0..3_usize), 12);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let actor = Actor::System;
    for _ in 0..60 {
        let id = rig.document().await;
        let (mut state, mut token) = (State::NEW, 1_i64);
        for (command, back, which) in steps.new_tree(&mut runner).unwrap().current() {
            // Mostly the present token, sometimes a stale one or the next.
            let mut named = token - back.min(1) * (back % 2);
            if command == 0 {
                token += 1;
                named = token - i64::from(back == 5);
            }
            let store = rig.store();
            let (command, done): (Command, Result<(), Error>) = match command {
                0 => (Command::Begin { token: named, max_attempts: 3 }, {
                    store.begin_processing(id, named, LEASE, 3).await.map(|begun| match begun {
                        Begun::Read(_) => (),
                        Begun::GivenUp(_) => {
                            state = State { status: Status::Failed, attempts: 0, fence: named, ..state }
                        }
                    })
                }),
                1..=3 => {
                    let decision = decisions[which];
                    let record = store.record_outcome(id, named, outcome(decision)).await.map(drop);
                    (Command::Record { token: named, decision }, record)
                }
                4 => (Command::Fail { token: named }, store.record_failure(id, named, "x").await.map(drop)),
                5 => (Command::Release { token: named }, store.release(id, named).await),
                6 => (Command::Retry { token: named }, store.retry(id, named).await),
                7 => (Command::Reprocess, store.reprocess(id, &actor, false).await.map(drop)),
                _ => (Command::Escalate, store.escalate(id, &actor).await.map(drop)),
            };
            match (state.apply(command), done) {
                (Ok(next), Ok(())) => state = next,
                // Asking for a person twice is answered with the open review; giving up is told by the state above.
                (Err(_), Ok(())) => assert!(
                    state.verification == Verification::PendingManualReview || state.status == Status::Failed,
                    "{command:?} on {state:?}"
                ),
                (Err(expected), Err(Error::Illegal(found))) => assert_eq!(expected, found),
                (expected, found) => panic!("{command:?} on {state:?}: {expected:?}, but {found:?}"),
            }
            let row = store.document(id).await.unwrap();
            let seen = (row.status, row.verification, row.generation, row.attempts);
            assert_eq!(
                seen,
                (state.status, state.verification, state.generation, state.attempts),
                "{command:?}"
            );
        }
    }
}

async fn only_one_of_many_readers_records(rig: &Rig) {
    for _ in 0..10 {
        let id = rig.document().await;
        let readers = (1..=8).map(|token| {
            let store = rig.store().clone();
            tokio::spawn(async move {
                let begun = store.begin_processing(id, token, LEASE, 100).await;
                tokio::task::yield_now().await;
                let recorded = store.record_outcome(id, token, outcome(Decision::AutoApprove)).await;
                (begun.is_ok(), recorded.is_ok())
            })
        });
        let ends: Vec<_> =
            futures_util::future::join_all(readers).await.into_iter().map(|end| end.unwrap()).collect();
        assert_eq!(ends.iter().filter(|(_, recorded)| *recorded).count(), 1, "{ends:?}");
        assert!(ends.iter().all(|(begun, recorded)| *begun || !recorded));
    }
    let events = rig.store().events_after(0, 100).await.unwrap();
    assert_eq!(events.len(), 10);
}

async fn lists_go_on_where_they_stopped(rig: &Rig) {
    let mut made = Vec::new();
    for n in 0..25 {
        // Several of the same millisecond: the id decides among them.
        if n % 4 == 0 {
            rig.clock.advance(SignedDuration::from_millis(1));
        }
        made.push(rig.document().await);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = rig.store().documents_of(rig.user, &Filter::default(), after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor().to_string().parse().unwrap());
        listed.extend(page.iter().map(|summary| summary.id));
    }
    assert_eq!(listed.len(), 25);
    assert_eq!(listed.iter().collect::<HashSet<_>>(), made.iter().collect());
    let filter = Filter { status: Some(Status::Failed), ..Filter::default() };
    assert!(rig.store().documents_of(rig.user, &filter, None, 9).await.unwrap().is_empty());
    let filter = Filter {
        card_type: Some(CardType::Ktp),
        verification: Some(Verification::Pending),
        status: Some(Status::Pending),
    };
    assert_eq!(rig.store().documents_of(rig.user, &filter, None, 9).await.unwrap().len(), 9);
}

async fn others_documents_are_not_found(rig: &Rig) {
    let id = rig.document().await;
    let other = make_user(&rig.app).await;
    assert!(rig.store().document_of(rig.user, id).await.is_ok());
    assert!(matches!(rig.store().document_of(other, id).await, Err(Error::NotFound)));
    assert!(rig.store().documents_of(other, &Filter::default(), None, 9).await.unwrap().is_empty());
    let orphan = NewDocument { user_id: UserId::new(), ..rig.new_document() };
    assert!(matches!(rig.store().create_document(orphan, false).await, Err(Error::NotFound)));
}

/// What owners are shown is the row as it is, however often they ask and whatever is remembered of it.
async fn owners_see_every_version(rig: &Rig) {
    let store = rig.store();
    let id = rig.document().await;
    let same = async || {
        for _ in 0..3 {
            let (shown, row) =
                (store.document_of(rig.user, id).await.unwrap(), store.document(id).await.unwrap());
            assert_eq!(format!("{shown:?}"), format!("{row:?}"));
        }
        store.document_of(rig.user, id).await.unwrap().result.is_some()
    };
    assert!(!same().await);
    store.begin_processing(id, 1, LEASE, 100).await.unwrap();
    assert!(!same().await);
    store.record_failure(id, 1, "reader_failed").await.unwrap();
    assert!(!same().await);
    store.reprocess(id, &Actor::System, false).await.unwrap();
    store.begin_processing(id, 2, LEASE, 100).await.unwrap();
    let outcome = Outcome { ocr_text: Some("BUDI".into()), ..outcome(Decision::NeedsReview) };
    store.record_outcome(id, 2, outcome).await.unwrap();
    assert!(same().await);
    let before = store.document(id).await.unwrap().version;
    let review = store.review_of_document(id).await.unwrap().unwrap();
    let verdict = Verdict {
        resolution: Resolution::Approved,
        notes: None,
        reviewer: Actor::Officer(rig.user),
        expected_version: None,
    };
    store.resolve_review(review.id, verdict).await.unwrap();
    assert!(same().await);
    assert!(store.document_of(rig.user, id).await.unwrap().version > before);
    let other = make_user(&rig.app).await;
    assert!(matches!(store.document_of(other, id).await, Err(Error::NotFound)));
    store.delete_document(id, &Actor::System).await.unwrap();
    assert!(matches!(store.document_of(rig.user, id).await, Err(Error::NotFound)));
}

async fn what_was_stored_today_counts_though_it_is_deleted(rig: &Rig) {
    let store = rig.store();
    let used = async || {
        let used = store.used_today(rig.user).await.unwrap();
        (used.files, used.bytes)
    };
    assert_eq!(used().await, (0, 0));
    let first = rig.document().await;
    rig.document().await;
    assert_eq!(used().await, (2, 2000));
    store.delete_document(first, &Actor::System).await.unwrap();
    assert_eq!(used().await, (2, 2000));
    rig.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(used().await, (0, 0));
    rig.document().await;
    assert_eq!(used().await, (1, 1000));
    assert_eq!(store.forget_allowances().await.unwrap(), 0);
    rig.clock.advance(SignedDuration::from_hours(48));
    assert_eq!(store.forget_allowances().await.unwrap(), 1);
}

async fn accounts_are_unique(rig: &Rig) {
    let new = |email: &str, subject: Option<&str>| NewUser {
        email: Some(email.into()),
        email_verified: false,
        password_hash: Some("$argon2id$…".into()),
        provider: subject.map(|subject| ("stack-auth".into(), subject.into())),
        role: Role::User,
        full_name: Some("Siti".into()),
    };
    let store = rig.store();
    let user = store.create_user(new("Siti@Example.com ", None)).await.unwrap();
    assert_eq!(user.email.as_deref(), Some("siti@example.com"));
    assert!(matches!(store.create_user(new("SITI@example.com", None)).await, Err(Error::Taken)));
    assert_eq!(store.user_by_email("sITI@example.com").await.unwrap().unwrap().id, user.id);
    let linked = store.link_provider(user.id, "stack-auth", "s1").await.unwrap();
    assert!(linked.email_verified);
    assert!(matches!(store.link_provider(user.id, "stack-auth", "s2").await, Err(Error::Conflict)));
    assert!(matches!(store.create_user(new("b@example.com", Some("s1"))).await, Err(Error::Taken)));
    assert!(store.user_by_email("b@example.com").await.unwrap().is_none(), "no half-made account");
    assert_eq!(store.user_by_provider("stack-auth", "s1").await.unwrap().unwrap().id, user.id);
    let change = ProfileChange { phone: Some(Some("+62 812".into())), full_name: None };
    let profile = store.update_profile(user.id, change).await.unwrap();
    assert_eq!((profile.full_name.as_deref(), profile.phone.as_deref()), (Some("Siti"), Some("+62 812")));
    let change = ProfileChange { phone: Some(None), ..Default::default() };
    assert_eq!(store.update_profile(user.id, change).await.unwrap().phone, None);
    assert_eq!(store.count_admins().await.unwrap(), 0);
    store.set_role(user.id, Role::Admin, &Actor::System).await.unwrap();
    assert_eq!(store.count_admins().await.unwrap(), 1);
}

async fn refresh_tokens_rotate_and_betray_copies(rig: &Rig) {
    let store = rig.store();
    let expires = rig.clock.now() + SignedDuration::from_hours(1);
    let grace = Duration::from_secs(10);
    let session = store.create_session(rig.user, "a", expires).await.unwrap();
    let later = expires + SignedDuration::from_hours(1);
    let rotated = store.rotate_session("a", "b", grace, later).await.unwrap();
    assert!(matches!(&rotated, Rotation::Rotated(s) if s.id == session.id && s.expires_at == later));
    // The client missed the answer and asks again.
    assert!(matches!(store.rotate_session("a", "b", grace, later).await.unwrap(), Rotation::Rotated(_)));
    assert!(matches!(store.rotate_session("b", "c", grace, later).await.unwrap(), Rotation::Rotated(_)));
    assert!(store.session_is_open(session.id).await.unwrap());
    // Much later someone comes with an old one.
    rig.clock.advance(SignedDuration::from_secs(11));
    assert!(matches!(store.rotate_session("a", "x", grace, later).await.unwrap(), Rotation::Reused(_)));
    assert!(!store.session_is_open(session.id).await.unwrap());
    for token in ["b", "c", "x", "nonsense"] {
        assert_eq!(store.rotate_session(token, "y", grace, later).await.unwrap(), Rotation::Unknown);
    }
    // Expiry and logout.
    let session =
        store.create_session(rig.user, "d", rig.clock.now() + SignedDuration::from_secs(5)).await.unwrap();
    rig.clock.advance(SignedDuration::from_secs(6));
    assert!(!store.session_is_open(session.id).await.unwrap());
    assert_eq!(store.rotate_session("d", "e", grace, later).await.unwrap(), Rotation::Unknown);
    let session = store.create_session(rig.user, "f", later).await.unwrap();
    store.revoke_sessions_of(rig.user).await.unwrap();
    assert!(!store.session_is_open(session.id).await.unwrap());
}

async fn a_one_time_token_works_once(rig: &Rig) {
    let store = rig.store();
    let expires = rig.clock.now() + SignedDuration::from_secs(60);
    store.issue_one_time("first-admin", "hash", Some(rig.user), expires).await.unwrap();
    assert!(store.redeem_one_time("other", "hash").await.unwrap().is_none());
    let tries = (0..10).map(|_| store.redeem_one_time("first-admin", "hash"));
    let used = futures_util::future::join_all(tries).await;
    assert_eq!(used.iter().filter(|used| used.as_ref().unwrap().is_some()).count(), 1);
    store.issue_one_time("first-admin", "late", None, expires).await.unwrap();
    rig.clock.advance(SignedDuration::from_secs(61));
    assert!(store.redeem_one_time("first-admin", "late").await.unwrap().is_none());
}

async fn a_repeated_request_is_recognised(rig: &Rig) {
    let store = rig.store();
    let key = rig.key("k");
    let (lock, keep) = (Duration::from_secs(10), Duration::from_secs(86_400));
    let begin = |hash: &'static str| store.idempotency_begin(&key, hash, lock, keep);
    assert_eq!(begin("h").await.unwrap(), Idempotency::Fresh);
    assert!(matches!(begin("h").await.unwrap(), Idempotency::Running { retry_after } if retry_after <= lock));
    assert_eq!(begin("other").await.unwrap(), Idempotency::Mismatch);
    // The first dies before it made anything.
    rig.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(begin("h").await.unwrap(), Idempotency::Fresh);
    // The second dies after it made a document.
    let new = NewDocument { idempotency: Some(key.clone()), ..rig.new_document() };
    let document = store.create_document(new, false).await.unwrap();
    rig.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(begin("h").await.unwrap(), Idempotency::Resume(document.id));
    // A straggler of the first cannot make another.
    let new = NewDocument { idempotency: Some(key.clone()), ..rig.new_document() };
    let straggler = new.id;
    assert!(matches!(store.create_document(new, false).await, Err(Error::Conflict)));
    assert!(matches!(store.document(straggler).await, Err(Error::NotFound)));
    store.idempotency_abandon(&key).await.unwrap();
    assert_eq!(store.idempotency_finish(&key, 202, b"one".to_vec()).await.unwrap(), (202, b"one".to_vec()));
    assert_eq!(store.idempotency_finish(&key, 500, b"two".to_vec()).await.unwrap(), (202, b"one".to_vec()));
    assert_eq!(begin("h").await.unwrap(), Idempotency::Done { status: 202, body: b"one".to_vec() });
    // Other routes and users have keys of their own.
    let elsewhere = IdempotencyKey { route: "POST /x".into(), ..key.clone() };
    assert_eq!(store.idempotency_begin(&elsewhere, "z", lock, keep).await.unwrap(), Idempotency::Fresh);
    let other = IdempotencyKey { user: make_user(&rig.app).await, ..key.clone() };
    assert_eq!(store.idempotency_begin(&other, "z", lock, keep).await.unwrap(), Idempotency::Fresh);
    store.idempotency_abandon(&other).await.unwrap();
    assert_eq!(store.idempotency_begin(&other, "zz", lock, keep).await.unwrap(), Idempotency::Fresh);
    rig.clock.advance(SignedDuration::from_hours(25));
    assert_eq!(begin("new").await.unwrap(), Idempotency::Fresh);
    assert!(store.idempotency_expire().await.unwrap() >= 2);
}

async fn of_many_equal_requests_one_is_fresh(rig: &Rig) {
    for n in 0..20 {
        let key = rig.key(&format!("k{n}"));
        let begins = (0..50).map(|_| {
            let (store, key) = (rig.store().clone(), key.clone());
            tokio::spawn(async move {
                store
                    .idempotency_begin(&key, "h", Duration::from_secs(60), Duration::from_secs(600))
                    .await
                    .unwrap()
            })
        });
        let seen: Vec<_> =
            futures_util::future::join_all(begins).await.into_iter().map(|seen| seen.unwrap()).collect();
        assert_eq!(seen.iter().filter(|seen| **seen == Idempotency::Fresh).count(), 1);
        assert!(seen.iter().all(|s| matches!(s, Idempotency::Fresh | Idempotency::Running { .. })));
    }
}

/// A reader that always asks for what comes after the last it saw, sees everything.
async fn the_feed_has_no_gaps(rig: &Rig) {
    let done = Arc::new(AtomicBool::new(false));
    let (store, over) = (rig.store().clone(), Arc::clone(&done));
    let follower = tokio::spawn(async move {
        let (mut last, mut seen) = (0, Vec::new());
        loop {
            let finished = over.load(Ordering::SeqCst);
            let new = store.events_after(last, 10).await.unwrap();
            last = new.last().map_or(last, |event| event.seq);
            if new.is_empty() && finished {
                return seen;
            }
            seen.extend(new.into_iter().map(|event| event.document_id));
        }
    });
    let mut documents = Vec::new();
    for _ in 0..60 {
        documents.push(rig.document().await);
    }
    let writers = documents.chunks(15).map(|mine| {
        let (store, mine) = (rig.store().clone(), mine.to_vec());
        tokio::spawn(async move {
            for id in mine {
                store.begin_processing(id, 1, LEASE, 3).await.unwrap();
                store.record_outcome(id, 1, outcome(Decision::AutoReject)).await.unwrap();
            }
        })
    });
    futures_util::future::join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    done.store(true, Ordering::SeqCst);
    let seen = follower.await.unwrap();
    assert_eq!(seen.len(), 60);
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), documents.into_iter().collect());
}

async fn effects_are_leased(rig: &Rig) {
    for _ in 0..20 {
        rig.in_review().await;
    }
    let claims = (0..4).map(|_| {
        let store = rig.store().clone();
        tokio::spawn(async move { store.claim_effects(EffectKind::Escalate, 10, LEASE).await.unwrap() })
    });
    let claimed: Vec<_> =
        futures_util::future::join_all(claims).await.into_iter().flat_map(|some| some.unwrap()).collect();
    let distinct: HashSet<_> = claimed.iter().map(|effect| effect.subject.clone()).collect();
    assert_eq!((claimed.len(), distinct.len()), (20, 20));
    let store = rig.store();
    store.effect_done(claimed[0].id).await.unwrap();
    store.effect_failed(claimed[1].id, "no answer", Duration::from_secs(1)).await.unwrap();
    rig.clock.advance(SignedDuration::from_secs(2));
    let again = store.claim_effects(EffectKind::Escalate, 100, LEASE).await.unwrap();
    assert_eq!(again.iter().map(|e| (e.id, e.attempts)).collect::<Vec<_>>(), [(claimed[1].id, 2)]);
    rig.clock.advance(SignedDuration::from_secs(40));
    assert_eq!(store.claim_effects(EffectKind::Escalate, 100, LEASE).await.unwrap().len(), 19);
    assert!(store.claim_effects(EffectKind::EraseBlob, 100, LEASE).await.unwrap().is_empty());
}

async fn many_may_migrate_at_once(rig: &Rig) {
    assert!(rig.store().pending_migrations().await.unwrap().is_empty());
    // A second deployment, empty, that four processes find at the same time.
    let fresh = match &rig.deployment.postgres {
        Some(_) => Deployment::postgres(),
        None => Deployment::embedded(),
    };
    let starts = (0..4).map(|_| fresh.app());
    let apps = futures_util::future::join_all(starts).await;
    for app in &apps {
        assert!(app.store.pending_migrations().await.unwrap().is_empty());
    }
    make_user(&apps[0]).await;
}

async fn a_person_decides_on_the_version_they_saw(rig: &Rig) {
    let id = rig.in_review().await;
    let store = rig.store();
    let review = store.review_of_document(id).await.unwrap().unwrap();
    let verdict = |expected_version| Verdict {
        resolution: Resolution::Approved,
        notes: Some("clear enough".into()),
        reviewer: Actor::Officer(rig.user),
        expected_version,
    };
    assert!(matches!(store.resolve_review(review.id, verdict(Some(9))).await, Err(Error::Conflict)));
    let decided = store.resolve_review(review.id, verdict(Some(review.version))).await.unwrap();
    assert_eq!((decided.decision, decided.version), (Some(Resolution::Approved), review.version + 1));
    assert!(decided.reviewer.unwrap().starts_with("officer:"));
    assert!(matches!(store.resolve_review(review.id, verdict(None)).await, Err(Error::Conflict)));
    assert!(matches!(store.escalate(id, &Actor::System).await, Err(Error::Illegal(_))));
    store.ticket_given(review.id, "BULI2-7").await.unwrap();
    store.ticket_given(review.id, "BULI2-8").await.unwrap();
    assert_eq!(store.document(id).await.unwrap().ticket_id.as_deref(), Some("BULI2-7"));
}
