//! PostgreSQL's locks are taken in one order: nobody waits in a circle, and what could be done is done at once.

use std::time::Duration;

use filot::desk::{self, Reason};
use filot::document::{DocumentId, Resolution, ReviewId};
use filot::store::{self, Actor, Callback, Claim, Naming, Role, Ruling, Verdict};
use jiff::SignedDuration;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, TransactionTrait};
use tokio::task::JoinHandle;

use crate::support::cards::Script;
use crate::support::desk::{assessed, officer};
use crate::support::{Deployment, TestApp, eventually};

fn verdict() -> Verdict {
    Verdict {
        resolution: Resolution::Rejected,
        notes: None,
        reviewer: Actor::Service("buli2".to_owned()),
        expected_version: None,
    }
}

/// A decision about a review, of whatever kind; whether it came about.
type Decide = fn(filot::app::App, ReviewId) -> JoinHandle<store::Result<()>>;

/// Somebody holds the document. A deletion waits for it, then a decision; when it is let go, both come to an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_and_a_decision_do_not_wait_for_each_other() {
    let deployment = Deployment::postgres().with("FILOT_DESK_SECOND_LOOK_SHARE", "0");
    let clock = filot::clock::Clock::by_hand(jiff::Timestamp::now());
    let mut it = TestApp::on(deployment.app_with(assessed(), clock).await).await;
    it.work();
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let mut cases = Vec::new();
    for number in 0..4 {
        cases.push(it.review(number, Script::Review).await);
    }
    it.rest().await;
    // One is decided at the desk, and that is about to be carried out.
    let id = cases[1].1;
    let Claim::Held(held) = it.app.store.claim_review(id, &ani, Duration::from_secs(120)).await.unwrap()
    else {
        panic!()
    };
    desk::decide(&it.app, &ani, id, held.version, Ruling::Reject, Reason::NotACard, None).await.unwrap();
    clock.advance(SignedDuration::from_secs(11));

    let db = Database::connect(deployment.postgres.as_ref().unwrap().url()).await.unwrap();
    let waiting = async || {
        let sql = "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
        row.try_get::<i64>("", "n").unwrap()
    };
    let decisions: [(&str, Decide); 4] = [
        ("answer at once", |app, id| {
            tokio::spawn(async move { app.store.resolve_review(id, verdict()).await.map(|_| ()) })
        }),
        ("carried out", |app, id| {
            tokio::spawn(async move {
                let ruling = app.store.rulings_of(id).await?.remove(0);
                app.store.carry_out(ruling.id, None).await.map(|_| ())
            })
        }),
        ("callback", |app, id| {
            tokio::spawn(async move {
                let naming = Naming { review: Some(id), ..Naming::default() };
                let (event_id, body_hash) = ("1".to_owned(), "1".to_owned());
                let callback = Callback { event_id, body_hash, naming, verdict: verdict(), fresh: true };
                app.store.take_callback(callback).await.map(|_| ())
            })
        }),
        ("ticket", |app, id| tokio::spawn(async move { app.store.ticket_given(id, "BULI2-1").await })),
    ];
    for ((document, review), (what, decide)) in cases.into_iter().zip(decisions) {
        let holder = db.begin().await.unwrap();
        let hold = format!("SELECT id FROM documents WHERE id = '{document}' FOR UPDATE");
        holder.execute_unprepared(&hold).await.unwrap();
        let store = it.app.store.clone();
        let deletion =
            tokio::spawn(async move { store.delete_document(document, &Actor::System).await.map(|_| ()) });
        eventually("the deletion waits", Duration::from_secs(20), || async { waiting().await == 1 }).await;
        let decision = decide(it.app.clone(), review);
        eventually("the decision waits", Duration::from_secs(20), || async { waiting().await == 2 }).await;
        holder.rollback().await.unwrap();
        assert!(deletion.await.unwrap().is_ok(), "{what}");
        let ended = decision.await.unwrap();
        assert!(matches!(ended, Ok(()) | Err(store::Error::NotFound)), "{what}: {ended:?}");
        assert!(matches!(it.app.store.document(document).await, Err(store::Error::NotFound)), "{what}");
    }
}

/// Two photos of one case are deleted at the same time, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn neighbours_are_deleted_at_the_same_time() {
    let deployment = Deployment::postgres();
    let it = TestApp::new(&deployment).await;
    let db = Database::connect(deployment.postgres.as_ref().unwrap().url()).await.unwrap();
    for round in 0..60 {
        let mut ids: Vec<DocumentId> = Vec::new();
        for number in 0..2 {
            ids.push(
                it.upload(crate::support::cards::card(round * 2 + number, Script::Review, 0))
                    .await
                    .unwrap()
                    .id,
            );
        }
        for (column, one, other) in [("replaced_by", ids[0], ids[1]), ("replaces", ids[1], ids[0])] {
            let sql = format!("UPDATE documents SET {column} = '{other}' WHERE id = '{one}'");
            db.execute_unprepared(&sql).await.unwrap();
        }
        let delete = |id| {
            let store = it.app.store.clone();
            tokio::spawn(async move { store.delete_document(id, &Actor::System).await.map(|_| ()) })
        };
        let (first, second) = (delete(ids[0]), delete(ids[1]));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        // The later photo takes the earlier one along.
        assert!(matches!(first, Ok(()) | Err(store::Error::NotFound)), "round {round}: {first:?}");
        assert!(second.is_ok(), "round {round}: {second:?}");
    }
}
