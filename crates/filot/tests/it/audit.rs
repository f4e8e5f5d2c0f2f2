//! The audit trail: written with every change, and nothing done to it afterwards stays unseen.

use std::time::Duration;

use filot::app::App;
use filot::audit::{Broken, Case, Chain, Checkpoint, Entry, Evidence, Flaw, Unfit, Verified, verify_trail};
use filot::document::{DocumentId, Resolution, UserId};
use filot::store::{Actor, AuditEntry, Verdict};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend};

use crate::program::filot_on;
use crate::support::cards::{Script, card};
use crate::support::{Deployment, TestApp, eventually};

async fn verified(app: &App, known: &[Checkpoint]) -> Verified {
    verify_trail(&app.store, known).await.unwrap()
}

async fn whole(app: &App) -> Chain {
    match verified(app, &[]).await {
        Verified::Whole(chain) => chain,
        Verified::Broken(broken) => panic!("{broken}"),
    }
}

async fn entries(app: &App) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let more = app.store.audit_after(all.last().map_or(0, |entry| entry.seq), 1000).await.unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// Someone who may do anything to the database.
async fn intruder(deployment: &Deployment) -> DatabaseConnection {
    let url = match &deployment.postgres {
        Some(postgres) => postgres.url(),
        None => format!("sqlite://{}", deployment.data_dir().join("filot.db").display()),
    };
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    if db.get_database_backend() == DbBackend::Sqlite {
        run(&db, "PRAGMA synchronous = OFF").await;
        run(&db, "PRAGMA busy_timeout = 10000").await;
    }
    db
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// A trail of so many entries beside those that are there already.
async fn write(app: &App, count: usize) {
    for n in 0..count {
        let entry = AuditEntry {
            actor: &Actor::System,
            action: "test.entry",
            subject: format!("document:{n}"),
            reason: (n % 3 == 0).then_some("because"),
            before: (n % 2 == 0).then(|| "pending".to_owned()),
            after: Some(format!("state {n}")),
        };
        app.store.audit(entry).await.unwrap();
    }
}

/// One thing that is done to the trail at an entry, counted from 1.
async fn tamper(db: &DatabaseConnection, all: &[Entry], kind: usize, position: usize) {
    let entry = &all[position - 1];
    let seq = entry.seq;
    let last = all.last().unwrap().seq;
    let set_head = async |seq: i64, hash: &str| {
        run(db, &format!("UPDATE audit_head SET seq = {seq}, hash = '{hash}'")).await;
    };
    match kind {
        // Edited.
        0 => {
            let column = ["actor", "action", "subject", "reason", "before", "after", "prev_hash", "hash"]
                [position % 8];
            run(db, &format!("UPDATE audit SET {column} = 'x' WHERE seq = {seq}")).await;
        }
        // Edited, and its hash computed anew.
        1 => {
            let forged = Entry { actor: "officer:nobody".to_owned(), ..entry.clone() };
            let hash = forged.digest();
            run(
                db,
                &format!("UPDATE audit SET actor = '{}', hash = '{hash}' WHERE seq = {seq}", forged.actor),
            )
            .await;
        }
        // Deleted.
        2 => run(db, &format!("DELETE FROM audit WHERE seq = {seq}")).await,
        // Deleted, and the gap closed.
        3 => {
            run(db, &format!("DELETE FROM audit WHERE seq = {seq}")).await;
            // In two steps, as numbers are unique at every moment.
            run(db, &format!("UPDATE audit SET seq = -seq WHERE seq > {seq}")).await;
            run(db, "UPDATE audit SET seq = -seq - 1 WHERE seq < 0").await;
        }
        // Reordered.
        4 => {
            let neighbour = if seq == last { seq - 1 } else { seq + 1 };
            run(db, &format!("UPDATE audit SET seq = -1 WHERE seq = {seq}")).await;
            run(db, &format!("UPDATE audit SET seq = {seq} WHERE seq = {neighbour}")).await;
            run(db, &format!("UPDATE audit SET seq = {neighbour} WHERE seq = -1")).await;
        }
        // Cut off from here.
        5 => run(db, &format!("DELETE FROM audit WHERE seq >= {seq}")).await,
        // Cut off from here, and the head set to the new end.
        6 => {
            run(db, &format!("DELETE FROM audit WHERE seq >= {seq}")).await;
            set_head(seq - 1, &entry.prev_hash).await;
        }
        // Written anew from here, each hash and the head fitting.
        _ => {
            let mut hash = entry.prev_hash.clone();
            for old in &all[position - 1..] {
                let mut new = Entry { prev_hash: hash, ..old.clone() };
                if new.seq == seq {
                    new.subject = "document:other".to_owned();
                }
                new.hash = new.digest();
                run(
                    db,
                    &format!(
                        "UPDATE audit SET subject = '{}', prev_hash = '{}', hash = '{}' WHERE seq = {}",
                        new.subject, new.prev_hash, new.hash, new.seq
                    ),
                )
                .await;
                hash = new.hash;
            }
            set_head(last, &hash).await;
        }
    }
}

async fn every_tampering_is_found(deployment: Deployment, positions: usize) {
    let app = deployment.app().await;
    write(&app, positions).await;
    let chain = whole(&app).await;
    let all = entries(&app).await;
    assert_eq!((all.len(), chain.seq()), (positions, i64::try_from(positions).unwrap()));
    let known = [Checkpoint::sign(&chain, app.clock.now(), &app.keys)];
    let db = intruder(&deployment).await;
    run(&db, "CREATE TABLE audit_kept AS SELECT * FROM audit").await;
    run(&db, "CREATE TABLE head_kept AS SELECT * FROM audit_head").await;
    let mut found = [0; 8];
    for position in 1..=positions {
        // Rewriting costs a statement for each entry behind it, so most of it happens near the end.
        let kind = if position % 8 == 7 && positions - position > 120 { 6 } else { position % 8 };
        run(&db, "BEGIN").await;
        tamper(&db, &all, kind, position).await;
        run(&db, "COMMIT").await;
        match verified(&app, &known).await {
            Verified::Broken(_) => found[kind] += 1,
            Verified::Whole(_) => panic!("tampering {kind} at entry {position} was not seen"),
        }
        for sql in [
            "BEGIN",
            "DELETE FROM audit",
            "DELETE FROM audit_head",
            "INSERT INTO audit SELECT * FROM audit_kept",
            "INSERT INTO audit_head SELECT * FROM head_kept",
            "COMMIT",
        ] {
            run(&db, sql).await;
        }
        if position % 100 == 0 {
            assert_eq!(verified(&app, &known).await, Verified::Whole(chain.clone()), "put back as it was");
        }
    }
    assert!(found.iter().all(|&count| count > 0), "{found:?}");
    println!("{positions} positions, found by kind of tampering: {found:?}");
    run(&db, "DELETE FROM audit_head").await;
    assert_eq!(verified(&app, &known).await, Verified::Broken(Broken::Head));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_is_found_embedded() {
    every_tampering_is_found(Deployment::embedded(), 1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_is_found_on_postgres() {
    every_tampering_is_found(Deployment::postgres(), 240).await;
}

/// Edits, deletions and swaps at each of 1,000 entries, without a database in between.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_thousand_entries_holds_the_chain() {
    let deployment = Deployment::embedded();
    let app = deployment.app().await;
    write(&app, 1000).await;
    let all = entries(&app).await;
    // Only what stands around a place is followed: what comes before is whole, and what is found is found there.
    let around = |changed: &[Entry], from: usize| {
        let mut chain = Chain::at(all[from].seq - 1, all[from].prev_hash.clone());
        changed.iter().try_for_each(|entry| chain.follow(entry)).map(|()| chain)
    };
    let end = around(&all, 0).unwrap();
    for at in 0..1000_usize {
        let from = at.saturating_sub(1);
        let kept = &all[from..(at + 3).min(1000)];
        assert!(around(kept, from).is_ok());
        let mut edited = kept.to_vec();
        edited[at - from].after = None;
        assert_eq!(around(&edited, from), Err(Broken::Altered(all[at].seq)));
        let mut without = kept.to_vec();
        without.remove(at - from);
        // Without the last one the chain is whole and ends elsewhere.
        assert!(around(&without, from).map_or(true, |chain| at == 999 && chain != end), "{at} left out");
        let mut swapped = kept.to_vec();
        swapped.swap(at - from, if at == 999 { 0 } else { at - from + 1 });
        assert!(around(&swapped, from).is_err(), "{at} swapped");
    }
}

async fn the_trail_grows_with_every_change(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let documents = join_all((0..40).map(|number| it.upload(card(number, Script::Review, 0)))).await;
    let ids: Vec<_> = documents.into_iter().map(|document| document.unwrap().id).collect();
    for id in &ids {
        it.finished(*id).await;
    }
    let store = &it.app.store;
    let decide = async |n: usize| {
        let review = store.review_of_document(ids[n]).await.unwrap().unwrap();
        let verdict = Verdict {
            resolution: Resolution::Approved,
            notes: Some("Budi Santoso, 3171234567890123".to_owned()),
            reviewer: Actor::Officer(UserId::new()),
            expected_version: None,
        };
        store.resolve_review(review.id, verdict).await.unwrap();
        if n.is_multiple_of(2) {
            store.delete_document(ids[n], &Actor::User(it.user)).await.unwrap();
        }
    };
    join_all((0..ids.len()).map(decide)).await;
    let chain = whole(&it.app).await;
    let all = entries(&it.app).await;
    let count = |action: &str| all.iter().filter(|entry| entry.action == action).count();
    assert_eq!(
        [count("user.create"), count("document.verdict"), count("review.resolve"), count("document.delete")],
        [1, 40, 40, 20]
    );
    assert_eq!(chain.seq(), i64::try_from(all.len()).unwrap());
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains("Santoso") && !text.contains("3171234567890123") && !text.contains('@'));
    // A change that is given up leaves no entry.
    let before = all.len();
    assert!(store.delete_document(ids[0], &Actor::System).await.is_err());
    assert_eq!(entries(&it.app).await.len(), before);
    it.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_grows_with_every_change_embedded() {
    the_trail_grows_with_every_change(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_grows_with_every_change_on_postgres() {
    the_trail_grows_with_every_change(Deployment::postgres()).await;
}

/// Entries from before there was a chain become one, whatever gaps their numbers have.
async fn old_entries_are_linked(deployment: Deployment) {
    let app = deployment.app().await;
    write(&app, 20).await;
    let db = intruder(&deployment).await;
    for sql in [
        "DROP INDEX reviews_route",
        "DROP INDEX reviews_ticket",
        "DROP TABLE callback_events",
        "DROP TABLE audit_head",
        "ALTER TABLE reviews DROP COLUMN route",
        "ALTER TABLE audit DROP COLUMN prev_hash",
        "ALTER TABLE audit DROP COLUMN hash",
        "DELETE FROM audit WHERE seq IN (3, 4, 11)",
        "DELETE FROM seaql_migrations WHERE version = 'm0002_reviews'",
    ] {
        run(&db, sql).await;
    }
    let app = deployment.app().await;
    assert_eq!(whole(&app).await.seq(), 17);
    write(&app, 3).await;
    assert_eq!(whole(&app).await.seq(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_are_linked_embedded() {
    old_entries_are_linked(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_are_linked_on_postgres() {
    old_entries_are_linked(Deployment::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_set_from_time_to_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints");
    let deployment = Deployment::embedded()
        .with("FILOT_AUDIT_CHECKPOINT_FILE", file.to_str().unwrap())
        .with("FILOT_AUDIT_CHECKPOINT_INTERVAL_S", "1");
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let trusted = [it.app.keys.public_key()];
    let known = || Checkpoint::read_all(&std::fs::read_to_string(&file).unwrap_or_default(), &trusted);
    eventually("a checkpoint", Duration::from_secs(60), || async { known().is_ok() }).await;
    write(&it.app, 5).await;
    let last = whole(&it.app).await.seq();
    eventually("a later checkpoint", Duration::from_secs(60), || async {
        known().unwrap().iter().any(|known| known.seq == last)
    })
    .await;
    it.rest().await;
    let known = known().unwrap();
    assert!(known.len() >= 2);
    assert!(matches!(verified(&it.app, &known).await, Verified::Whole(_)));
    // A checkpoint that was changed, or signed by someone else, is none.
    let text = std::fs::read_to_string(&file).unwrap();
    let raised = text.replacen(&format!("\"seq\":{}", known[0].seq), "\"seq\":9999", 1);
    assert_eq!(Checkpoint::read_all(&raised, &trusted), Err(Unfit::Signature(9999)));
    assert_eq!(Checkpoint::read_all(&text, &["other".to_owned()]), Err(Unfit::Key(known[0].seq)));
    assert_eq!(Checkpoint::read_all("", &trusted), Err(Unfit::Empty));
}

async fn a_case_is_exported_and_checked_elsewhere(deployment: Deployment) {
    let mut it = TestApp::new(&deployment).await;
    it.work();
    let photo = card(7, Script::Review, 0);
    let id = it.upload(photo.clone()).await.unwrap().id;
    it.finished(id).await;
    it.rest().await;
    let review = it.app.store.review_of_document(id).await.unwrap().unwrap();
    let reviewer = Actor::Officer(UserId::new());
    let verdict = Verdict {
        resolution: Resolution::Rejected,
        notes: None,
        reviewer: reviewer.clone(),
        expected_version: None,
    };
    it.app.store.resolve_review(review.id, verdict).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("photo.png"), &photo).unwrap();
    let (case, known) = (path("case.json"), path("checkpoints"));
    let key = filot_on(Some(&deployment), &["audit", "public-key"]).stdout.trim().to_owned();
    let made =
        filot_on(Some(&deployment), &["audit", "export", "--document", &id.to_string(), "--out", &case]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    let signed = filot_on(Some(&deployment), &["audit", "checkpoint", "--out", &known]);
    assert_eq!(signed.status, 0, "{}", signed.stderr);

    // Without database and settings.
    let check =
        |arguments: &[&str]| filot_on(None, &[&["verify-evidence", case.as_str()], arguments].concat());
    let checked = check(&["--public-key", &key, "--photo", &path("photo.png")]);
    assert_eq!(checked.status, 0, "{}", checked.stderr);
    for told in [id.to_string(), reviewer.to_string(), "rejected".to_owned(), key.clone()] {
        assert!(checked.stdout.contains(&told), "{told} in {}", checked.stdout);
    }
    assert_eq!(check(&["--photo", &case]).status, 65, "another photo");
    assert_eq!(check(&["--public-key", "AAAA"]).status, 65, "another key");

    let text = std::fs::read_to_string(&case).unwrap();
    let proven = Evidence::verify(&text, Some(&key), Some(&photo)).unwrap();
    let case_text = serde_json::to_value::<&Case>(&proven.case).unwrap();
    let actions: Vec<&str> = case_text["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["document.upload", "document.verdict", "review.resolve", "document.export"]);
    assert_eq!(case_text["photos"][0]["assessment"]["number"], 7);
    // Whatever is changed is seen.
    let mut dice = StdRng::seed_from_u64(5);
    let bytes = text.trim_end().as_bytes();
    for _ in 0..1000 {
        let mut changed = bytes.to_vec();
        let at = dice.random_range(0..changed.len());
        changed[at] ^= 1 << dice.random_range(0..7);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        assert!(Evidence::verify(&changed, None, None).is_err(), "byte {at}");
    }
    let altered = text.replace(
        "\"verificationStatus\":\"manually_rejected\"",
        "\"verificationStatus\":\"manually_approved\"",
    );
    assert_eq!(Evidence::verify(&altered, None, None).unwrap_err(), Flaw::Signature);

    // The trail verifies after the document is gone, and a cut end shows against the checkpoint.
    it.app.store.delete_document(id, &Actor::User(it.user)).await.unwrap();
    let verify = || filot_on(Some(&deployment), &["audit", "verify", "--checkpoint", &known]);
    assert_eq!(verify().status, 0, "{}", verify().stderr);
    let export =
        |id: &str| filot_on(Some(&deployment), &["audit", "export", "--document", id, "--out", &case]);
    // What the trail tells of a deleted document can still be exported, and who deleted it stands in it.
    assert_eq!(export(&id.to_string()).status, 0);
    let proven = Evidence::verify(&std::fs::read_to_string(&case).unwrap(), None, None).unwrap();
    let told = proven.to_string();
    assert!(told.contains("deleted on") && told.contains(&format!("user:{}", it.user)), "{told}");
    let case_text = serde_json::to_value::<&Case>(&proven.case).unwrap();
    assert_eq!(case_text["photos"].as_array().unwrap().len(), 0);
    let actions = case_text["audit"].to_string();
    assert!(actions.contains("review.resolve") && actions.contains("document.delete"), "{actions}");
    assert_eq!(export(&DocumentId::new().to_string()).status, 69);
    let db = intruder(&deployment).await;
    run(&db, "DELETE FROM audit WHERE seq >= 3").await;
    run(&db, "UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)").await;
    assert_eq!(filot_on(Some(&deployment), &["audit", "verify"]).status, 0, "a chain alone cannot show it");
    let cut = verify();
    assert!(cut.status == 65 && cut.stderr.contains("cut off"), "{}", cut.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_exported_and_checked_elsewhere_embedded() {
    a_case_is_exported_and_checked_elsewhere(Deployment::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_exported_and_checked_elsewhere_on_postgres() {
    a_case_is_exported_and_checked_elsewhere(Deployment::postgres()).await;
}
