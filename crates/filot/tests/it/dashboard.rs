//! The dashboard's numbers on SQLite and PostgreSQL, its page, and how long it takes with a year's worth of events.

use std::time::{Duration, Instant};

use filot::audit::Checkpoint;
use filot::clock::Clock;
use filot::desk::{self, Reason};
use filot::document::Verification;
use filot::store::{Claim, EventKind, Officer, Role, Ruling};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::COOKIE;
use reqwest::{Client, redirect};

use crate::console::Visitor;
use crate::support::cards::Script;
use crate::support::desk::{officer, open_picture, reporting, sound};
use crate::support::desk_server::{Desk, Staff};
use crate::support::{Deployment, TestApp};

const LEASE: Duration = Duration::from_secs(120);
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_right_on_sqlite() {
    numbers_are_right(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_right_on_postgres() {
    numbers_are_right(Deployment::postgres()).await;
}

async fn rule(it: &TestApp, clock: &Clock, who: &Officer, number: u32, after: i64, reason: Reason) {
    let (_, id) = it.review(number, Script::Review).await;
    let Claim::Held(review) = it.app.store.claim_review(id, who, LEASE).await.unwrap() else { panic!() };
    clock.advance(SignedDuration::from_secs(after));
    it.app.store.extend_claim(id, who, LEASE).await.unwrap();
    open_picture(&it.app, id, who).await;
    let noted = desk::decide(&it.app, who, id, review.version, reason.ruling(), reason, None).await.unwrap();
    assert!(matches!(noted, filot::store::Noted::Noted(_)), "{noted:?}");
    clock.advance(SignedDuration::from_secs(11));
    desk::settle(&it.app).await.unwrap();
}

async fn numbers_are_right(deployment: Deployment) {
    let start: Timestamp = "2026-11-10T05:00:00Z".parse().unwrap();
    let clock = Clock::by_hand(start);
    let deployment = deployment.with("FILOT_DESK_SECOND_LOOK_SHARE", "0");
    let mut it = TestApp::on(deployment.app_with(reporting(sound()), clock).await).await;
    it.work();
    let store = it.app.store.clone();
    assert_eq!(store.queue_age([start, start]).await.unwrap(), filot::store::QueueAge::default());
    assert!(store.handling(start).await.unwrap().is_empty());
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;

    // Day one: two approved, one rejected by the machine; Ani decides on three, in 10, 20 and 90 s.
    for (number, script) in [(1, Script::Approve), (2, Script::Approve), (3, Script::Reject)] {
        let id = it.upload(crate::support::cards::card(number, script, 0)).await.unwrap().id;
        it.finished(id).await;
    }
    for (number, seconds, reason) in
        [(4, 10, Reason::DataMatches), (5, 20, Reason::Glare), (6, 90, Reason::Glare)]
    {
        rule(&it, &clock, &ani, number, seconds, reason).await;
    }
    // Day two: Budi decides on one, in 40 s; two stay.
    clock.advance(DAY);
    rule(&it, &clock, &budi, 7, 40, Reason::NotACard).await;
    it.review(8, Script::Review).await;
    let late = clock.now();
    clock.advance(SignedDuration::from_hours(3));
    it.review(9, Script::Review).await;
    let soon = clock.now();
    clock.advance(SignedDuration::from_secs(60));
    it.rest().await;

    let bounds = [start - DAY, start, start + DAY, start + DAY + DAY];
    let mut events: Vec<_> = store.count_events(&bounds).await.unwrap();
    events.retain(|event| event.kind == EventKind::Completed);
    let of = |span, verification| {
        let found = events.iter().find(|event| event.span == span && event.verification == verification);
        found.map_or(0, |event| event.count)
    };
    assert_eq!(of(0, Verification::AutoApproved), 0);
    assert_eq!(of(1, Verification::AutoApproved), 2);
    assert_eq!(of(1, Verification::AutoRejected), 1);
    assert_eq!(of(1, Verification::PendingManualReview), 3);
    assert_eq!(of(2, Verification::PendingManualReview), 3);

    let decisions = store.count_decisions(&bounds).await.unwrap();
    let of = |span, reason: Reason| {
        let found = decisions
            .iter()
            .find(|ruled| ruled.span == span && ruled.reason.as_deref() == Some(reason.as_str()));
        found.map_or(0, |ruled| ruled.count)
    };
    assert_eq!((of(1, Reason::DataMatches), of(1, Reason::Glare), of(2, Reason::NotACard)), (1, 2, 1));
    assert_eq!(decisions.iter().map(|ruled| ruled.count).sum::<u64>(), 4);

    let handling = store.handling(start).await.unwrap();
    let seen: Vec<_> = handling.iter().map(|h| (h.officer, h.count, h.median_ms, h.p95_ms)).collect();
    assert_eq!(
        seen,
        [(None, 4, 20_000, 90_000), (Some(ani.id), 3, 20_000, 90_000), (Some(budi.id), 1, 40_000, 40_000)]
    );
    assert_eq!(store.handling(start + DAY).await.unwrap().len(), 2, "only Budi, and all together");

    let queue = store.queue_age([soon, late]).await.unwrap();
    assert_eq!((queue.count, queue.before, queue.external), (2, [2, 1], 0));
    assert_eq!((queue.p50, queue.p95, queue.oldest), (Some(soon), Some(late), Some(late)));
}

/// A browser without a page, signed in.
async fn sign_in(desk: &Desk, staff: &mut Staff) -> (Client, String) {
    let visitor = Visitor::sign_in(desk, staff).await;
    (visitor.http, visitor.cookie)
}

async fn page(desk: &Desk, (http, cookie): &(Client, String), path: &str, language: &str) -> (u16, String) {
    let request = http.get(format!("{}{path}", desk.base)).header(COOKIE, cookie);
    let answer = request.header("accept-language", language).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_numbers_and_names_no_customer() {
    let desk = Desk::start().await;
    let (http, nobody) =
        (Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap(), String::new());
    assert_eq!(page(&desk, &(http, nobody), "/console/dashboard", "en").await.0, 303, "not signed in");
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let mut budi = desk.staff("Budi Contoh", Role::Admin).await;
    let store = &desk.it.app.store;
    let id = store.user_by_email(&ani.email).await.unwrap().unwrap().id;
    let officer = Officer { id, role: Role::Reviewer };
    let (document, review) = desk.it.review(1, Script::Review).await;
    let Claim::Held(held) = store.claim_review(review, &officer, LEASE).await.unwrap() else { panic!() };
    desk.clock.advance(SignedDuration::from_secs(75));
    desk::decide(&desk.it.app, &officer, review, held.version, Ruling::Retake, Reason::Glare, None)
        .await
        .unwrap();
    desk.later();
    desk.it.review(2, Script::Review).await;

    let anis = sign_in(&desk, &mut ani).await;
    let (status, english) = page(&desk, &anis, "/console/dashboard", "en").await;
    assert_eq!(status, 200);
    for part in [
        "Documents a day",
        "30 days",
        "Glare",
        "1:15",
        "You",
        "Everybody",
        "in the last 30 days",
        "not in use",
    ] {
        assert!(english.contains(part), "{part}\n{english}");
    }
    let (_, indonesian) = page(&desk, &anis, "/console/dashboard?days=7", "id").await;
    assert!(indonesian.contains("Dokumen per hari") && indonesian.contains("dalam 7 hari terakhir"));
    assert!(
        page(&desk, &anis, "/console/dashboard?days=100000", "en").await.1.contains("in the last 30 days")
    );
    // Charts are drawings with a name, a description and a table behind each.
    assert!(english.matches("<desc id=").count() == 3 && english.matches("<details").count() >= 5);
    for personal in ["SITI", "3171014501900003", &document.to_string(), &ani.email, "Budi Contoh"] {
        assert!(!english.contains(personal), "{personal}");
    }
    assert!(!english.contains("<script>") && !english.contains("style=\""));
    // Days that are over are counted once; the days since then are counted anew.
    let decided = |page: &str| {
        let tile = page.split("Decided by people</dt><dd>").nth(1).unwrap_or_else(|| panic!("{page}"));
        tile.split('<').next().unwrap().to_owned()
    };
    assert_eq!(decided(&english), "1");
    desk.clock.advance(DAY);
    let again = sign_in(&desk, &mut ani).await;
    assert_eq!(decided(&page(&desk, &again, "/console/dashboard", "en").await.1), "1");
    let (_, review) = desk.it.review(3, Script::Review).await;
    let Claim::Held(held) = store.claim_review(review, &officer, LEASE).await.unwrap() else { panic!() };
    desk::decide(&desk.it.app, &officer, review, held.version, Ruling::Retake, Reason::Dark, None)
        .await
        .unwrap();
    desk.later();
    for days in [30, 90, 7] {
        let path = format!("/console/dashboard?days={days}");
        assert_eq!(decided(&page(&desk, &again, &path, "en").await.1), "2", "{days}");
    }
    // Admins see whose numbers they are.
    let budis = sign_in(&desk, &mut budi).await;
    let (_, admins) = page(&desk, &budis, "/console/dashboard", "en").await;
    assert!(admins.contains("Ani Contoh") && !admins.contains(&ani.email));
}

#[test]
fn the_last_checkpoint_of_a_file_is_found_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoints");
    assert!(Checkpoint::last_of(&path).is_err());
    std::fs::write(&path, "").unwrap();
    assert_eq!(Checkpoint::last_of(&path).unwrap(), None);
    let mut config = filot::config::Config::load(None).unwrap().service;
    config.server.data_dir = folder.path().join("data");
    let keys = filot::keys::Keys::load(&config).unwrap();
    let mut text = String::new();
    let mut last = None;
    for second in 0..100 {
        let at = Timestamp::from_second(1_790_000_000 + second).unwrap();
        let checkpoint = Checkpoint::sign(&filot::audit::Chain::default(), at, &keys);
        text.push_str(&serde_json::to_string(&checkpoint).unwrap());
        text.push('\n');
        last = Some(checkpoint);
    }
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Checkpoint::last_of(&path).unwrap(), last);
    std::fs::write(&path, text.replace("\"seq\":0", "\"seq\":7")).unwrap();
    assert_eq!(Checkpoint::last_of(&path).unwrap(), None, "its signature is wrong");
}

/// Fills databases and tells how long statements and page take; told, not asserted, as machines differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_a_hundred_thousand_events() {
    let deployment = Deployment::postgres();
    let it = TestApp::on(deployment.app_with(reporting(sound()), Clock::default()).await).await;
    fill(&deployment.postgres.as_ref().unwrap().url(), &it).await;
    statements(&it).await;

    let desk = Desk::start().await;
    let path = desk.it.app.config.service.server.data_dir.join("filot.db");
    fill(&format!("sqlite://{}", path.display()), &desk.it).await;
    statements(&desk.it).await;
    let mut ani = desk.staff("Ani Contoh", Role::Admin).await;
    let anis = sign_in(&desk, &mut ani).await;
    for days in [7, 30, 90, 90] {
        let start = Instant::now();
        let (status, text) = page(&desk, &anis, &format!("/console/dashboard?days={days}"), "en").await;
        println!("page of {days} days: {status}, {} bytes, {:?}", text.len(), start.elapsed());
    }
}

async fn statements(it: &TestApp) {
    let now = it.app.clock.now();
    let bounds: Vec<_> = (0..=90).map(|day| now - DAY * (90 - day)).collect();
    let store = &it.app.store;
    for _ in 0..2 {
        let start = Instant::now();
        let events: u64 = store.count_events(&bounds).await.unwrap().iter().map(|c| c.count).sum();
        let first = start.elapsed();
        let decisions: u64 = store.count_decisions(&bounds).await.unwrap().iter().map(|c| c.count).sum();
        let second = start.elapsed();
        store.queue_age([now, now]).await.unwrap();
        let third = start.elapsed();
        store.handling(bounds[0]).await.unwrap();
        let fourth = start.elapsed();
        store.agreement(bounds[0]).await.unwrap();
        println!(
            "{}: {events} events {first:?}, {decisions} decisions {:?}, queue {:?}, speed {:?}, agreement {:?}",
            store.kind(),
            second - first,
            third - second,
            fourth - third,
            start.elapsed() - fourth
        );
    }
}

/// 100,000 events, 20,000 reviews of which 500 wait, and a ruling on each of the others, over 87 days.
async fn fill(url: &str, it: &TestApp) {
    use sea_orm::{ConnectionTrait, Database};
    let db = Database::connect(url).await.unwrap();
    let postgres = url.starts_with("postgres");
    let (id, user) = if postgres {
        ("gen_random_uuid()", format!("'{}'::uuid", it.user))
    } else {
        ("randomblob(16)", format!("X'{}'", it.user.0.simple()))
    };
    let at = |step: u32| {
        if postgres {
            format!("now() - n * interval '{step} seconds'")
        } else {
            format!("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '-' || (n * {step}) || ' seconds')")
        }
    };
    let numbers = |count: u32| {
        format!("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})")
    };
    let (often, seldom) = (at(75), at(375));
    for sql in [
        format!(
            "{} INSERT INTO events (id, document_id, user_id, kind, status, verification_status, at) \
             SELECT {id}, {id}, {user}, CASE WHEN n % 5 = 0 THEN 'document.resolved' ELSE 'document.completed' END, \
             'completed', CASE n % 7 WHEN 0 THEN 'auto_rejected' WHEN 1 THEN 'pending_manual_review' \
             ELSE 'auto_approved' END, {often} FROM c",
            numbers(100_000)
        ),
        format!(
            "{} INSERT INTO documents (id, user_id, type, file_url, status, verification_status, created_at, \
             updated_at, content_hash, media_type, byte_size, lane) SELECT {id}, {user}, 'KTP', 'f' || n, 'completed', \
             'manually_approved', {seldom}, {seldom}, 'x', 'image/png', n, 'cpu' FROM c",
            numbers(20_000)
        ),
        format!(
            "INSERT INTO reviews (id, document_id, user_id, generation, status, decision, reason, created_at, updated_at, \
             decided_at) SELECT {id}, id, user_id, 1, CASE WHEN byte_size <= 500 THEN 'pending' ELSE 'approved' END, \
             'approved', CASE byte_size % 4 WHEN 0 THEN 'GLARE' WHEN 1 THEN 'NOT_A_CARD' ELSE 'DATA_MATCHES' END, \
             created_at, created_at, CASE WHEN byte_size > 500 THEN created_at END FROM documents WHERE content_hash = 'x'"
        ),
        format!(
            "INSERT INTO rulings (id, review_id, stage, ruling, reason, reviewer, noted_at, effective_at, carried_out_at, \
             handling_ms) SELECT {id}, id, 'first', 'approve', 'DATA_MATCHES', {user}, created_at, created_at, \
             created_at, 30000 FROM reviews WHERE decided_at IS NOT NULL"
        ),
    ] {
        db.execute_unprepared(&sql).await.unwrap();
    }
}
