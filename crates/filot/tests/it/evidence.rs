//! One case with everything that can happen to it, as a signed file, on SQLite and PostgreSQL; and that no part of the
//! file can say something else than the trail.

use std::time::Duration;

use filot::audit::{Case, Evidence, Flaw};
use filot::clock::Clock;
use filot::desk::{self, Reason};
use filot::document::{DocumentId, Resolution, ReviewId};
use filot::retake;
use filot::store::{
    Actor, AnswerKind, Callback, Claim, Naming, Noted, Officer, Replaced, Role, Ruling, Undone, Verdict,
};
use filot::worker::upkeep_once;
use filot_cards::field::FieldKey;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::program::filot_on;
use crate::support::app::upload;
use crate::support::buli2::configured;
use crate::support::cards::{Script, card};
use crate::support::desk::{assessed, officer, open_picture};
use crate::support::{Deployment, TestApp, on_sqlite_and_postgres};

const LEASE: Duration = Duration::from_secs(120);

on_sqlite_and_postgres! {
    a_case_tells_everything_that_happened_to_it
}

struct Rig {
    it: TestApp,
    clock: Clock,
}

impl Rig {
    async fn claim(&self, id: ReviewId, who: &Officer) -> u32 {
        match self.it.app.store.claim_review(id, who, LEASE).await.unwrap() {
            Claim::Held(review) => review.version,
            other => panic!("{other:?}"),
        }
    }

    async fn decide(&self, id: ReviewId, who: &Officer, reason: Reason) -> uuid::Uuid {
        let version = self.it.app.store.review(id).await.unwrap().version;
        open_picture(&self.it.app, id, who).await;
        let note = Some("the lower edge".to_owned());
        let noted =
            desk::decide(&self.it.app, who, id, version, reason.ruling(), reason, note).await.unwrap();
        let Noted::Noted(row) = noted else { panic!("{noted:?}") };
        row.id
    }

    async fn let_it_pass(&self) {
        self.clock.advance(SignedDuration::from_secs(11));
        desk::settle(&self.it.app).await.unwrap();
    }

    async fn review_of(&self, id: DocumentId) -> ReviewId {
        self.it.app.store.review_of_document(id).await.unwrap().unwrap().id
    }

    /// What external reviewers answer under a ticket.
    async fn answer(&self, event: &str, review: ReviewId, resolution: Resolution) -> AnswerKind {
        let verdict = Verdict {
            resolution,
            notes: None,
            reviewer: Actor::Service("buli2".to_owned()),
            expected_version: None,
        };
        let naming = Naming { review: Some(review), ..Naming::default() };
        let callback = Callback {
            event_id: event.to_owned(),
            body_hash: event.to_owned(),
            naming,
            verdict,
            fresh: true,
        };
        self.it.app.store.take_callback(callback).await.unwrap().kind
    }
}

/// A first photo that two officers and an admin had before them, and a second one that BULI2 decided on.
async fn eventful(rig: &Rig) -> (DocumentId, DocumentId) {
    let (it, store) = (&rig.it, &rig.it.app.store);
    let ani = officer(&it.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&it.app, "Budi Contoh", Role::Reviewer).await;
    let citra = officer(&it.app, "Citra Contoh", Role::Admin).await;
    let (first, id) = it.review(1, Script::Review).await;
    rig.claim(id, &ani).await;
    store.release_claim(id, &ani).await.unwrap();
    let version = rig.claim(id, &ani).await;
    let version = desk::correct(&it.app, &ani, id, version, FieldKey::Gender, "perempuan").await.unwrap();
    let version = desk::correct(&it.app, &ani, id, version, FieldKey::Name, "SITI CONTOH").await.unwrap();
    desk::correct(&it.app, &ani, id, version, FieldKey::BloodType, "O").await.unwrap();
    let noted = rig.decide(id, &ani, Reason::NotACard).await;
    assert_eq!(store.undo_ruling(noted, &ani, LEASE).await.unwrap(), Undone::Open(id));
    rig.decide(id, &ani, Reason::DataCorrected).await;
    rig.let_it_pass().await;
    // A second look, which disagrees, and the admin.
    rig.claim(id, &budi).await;
    rig.decide(id, &budi, Reason::Glare).await;
    rig.let_it_pass().await;
    rig.claim(id, &citra).await;
    rig.decide(id, &citra, Reason::Glare).await;
    rig.let_it_pass().await;

    // The customer sends another photo.
    upkeep_once(&it.app).await;
    let asked = retake::asked(&it.app, &it.document(first).await).await.unwrap().unwrap();
    let token = asked.url.split("/retake/").nth(1).unwrap().to_owned();
    let sent = retake::send(&it.app, &token, upload(it.user, card(2, Script::Review, 0))).await.unwrap();
    let Replaced::By(second) = sent else { panic!("{sent:?}") };
    it.finished(second.id).await;
    let review = rig.review_of(second.id).await;
    store.ticket_given(review, "BULI2-7").await.unwrap();
    assert_eq!(rig.answer("event-1", review, Resolution::Approved).await, AnswerKind::Decided);
    assert_eq!(rig.answer("event-1", review, Resolution::Approved).await, AnswerKind::Decided);
    assert_eq!(rig.answer("event-2", review, Resolution::Rejected).await, AnswerKind::Contradicts);
    (first, second.id)
}

async fn a_case_tells_everything_that_happened_to_it(deployment: Deployment) {
    let deployment = configured(deployment, 9).with("FILOT_DESK_SECOND_LOOK_SHARE", "1");
    let clock = Clock::by_hand(Timestamp::now());
    let mut it = TestApp::on(deployment.app_with(assessed(), clock).await).await;
    it.work();
    let mut rig = Rig { it, clock };
    let (first, second) = eventful(&rig).await;
    // A neighbour, about which the file says nothing.
    let (other, _) = rig.it.review(9, Script::Review).await;
    rig.it.rest().await;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let export = |id: DocumentId| {
        let made = filot_on(
            Some(&deployment),
            &["audit", "export", "--document", &id.to_string(), "--out", &path("case")],
        );
        assert_eq!(made.status, 0, "{}", made.stderr);
        std::fs::read_to_string(path("case")).unwrap()
    };
    // Whichever document is asked for, it is the same case.
    for id in [first, second] {
        let text = export(id);
        let case: Value = serde_json::from_str(&text).unwrap();
        let photos = case["payload"]["photos"].as_array().unwrap();
        let ids: Vec<_> = photos.iter().map(|photo| photo["document"]["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [first.to_string(), second.to_string()]);
    }
    for (number, photo) in [(1, true), (2, true), (9, false)] {
        std::fs::write(path("photo"), card(number, Script::Review, 0)).unwrap();
        let checked = filot_on(None, &["verify-evidence", &path("case"), "--photo", &path("photo")]);
        assert_eq!(checked.status, if photo { 0 } else { 65 }, "{number}: {}", checked.stderr);
    }
    let checked = filot_on(None, &["verify-evidence", &path("case")]);
    for told in ["Ani Contoh", "Budi Contoh", "Citra Contoh", "GLARE", "gender", "by service:buli2"] {
        assert!(checked.stdout.contains(told), "{told} in {}", checked.stdout);
    }

    let text = std::fs::read_to_string(path("case")).unwrap();
    assert!(!text.contains(&other.to_string()));
    let payload: Value = serde_json::from_str::<Value>(&text).unwrap()["payload"].take();
    let actions: Vec<_> =
        payload["audit"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let count = |action: &str| actions.iter().filter(|known| **known == action).count();
    for (action, times) in [
        ("document.upload", 1),
        ("document.verdict", 2),
        ("review.claim", 4),
        ("review.release", 1),
        ("review.correct", 3),
        ("review.note", 4),
        ("review.undo", 1),
        ("review.pass_on", 2),
        ("review.resolve", 2),
        ("document.retake_link", 1),
        ("document.replace", 1),
        ("document.retake", 1),
        ("review.ticket", 1),
        ("review.callback", 2),
        ("document.export", 2),
    ] {
        assert_eq!(count(action), times, "{action}: {actions:?}");
    }
    // The trail holds nothing of what stood on the card; the corrections are masked, and their hashes are in the trail.
    let trail = payload["audit"].to_string();
    for personal in ["PEREMPUAN", "LAKI", "SITI"] {
        assert!(!trail.contains(personal), "{personal}");
    }
    let review = &payload["photos"][0]["reviews"][0];
    let gender = &review["corrections"][0];
    assert_eq!((&gender["before"], &gender["after"]), (&json!("L********"), &json!("P********")));
    assert!(trail.contains(gender["afterHash"].as_str().unwrap()));
    assert_eq!(review["corrections"][2]["before"], Value::Null, "nothing was read there");
    let stages: Vec<_> = review["rulings"].as_array().unwrap().iter().map(|r| r["stage"].clone()).collect();
    assert_eq!(stages, ["first", "second", "admin"]);
    told_otherwise(&rig, &payload);
}

/// Each part of the file, said otherwise and signed anew with the right key, is found.
fn told_otherwise(rig: &Rig, payload: &Value) {
    let keys = &rig.it.app.keys;
    let verify = |payload: &Value| {
        // By text: what is stored as it was read keeps its form.
        let case: Case = serde_json::from_str(&payload.to_string()).unwrap();
        let text = serde_json::to_string(&Evidence::sign(&case, keys).unwrap()).unwrap();
        Evidence::verify(&text, Some(&keys.public_key()), None).map(|_| ())
    };
    assert_eq!(verify(payload), Ok(()));
    let review = "/photos/0/reviews/0";
    type Is = fn(&Flaw) -> bool;
    let set = |pointer: &str, value: Value| {
        let mut changed = payload.clone();
        *changed.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        changed
    };
    let without = |pointer: &str, at: usize| {
        let mut changed = payload.clone();
        changed.pointer_mut(pointer).unwrap().as_array_mut().unwrap().remove(at);
        changed
    };
    let of = |tail: &str| format!("{review}/{tail}");
    let elsewhere = json!(format!("officer:{}", uuid::Uuid::now_v7()));
    let correction: Is = |flaw| matches!(flaw, Flaw::Correction(_));
    let ruling: Is = |flaw| matches!(flaw, Flaw::Ruling(_));
    let decision: Is = |flaw| matches!(flaw, Flaw::Decision(_));
    let photos: Is = |flaw| matches!(flaw, Flaw::Photos);
    let (ticket, state): (Is, Is) =
        (|flaw| matches!(flaw, Flaw::Ticket(_)), |flaw| matches!(flaw, Flaw::State(_)));
    let (foreign, entry, any): (Is, Is, Is) =
        (|flaw| matches!(flaw, Flaw::Foreign(_)), |flaw| matches!(flaw, Flaw::Entry(_)), |_| true);
    let mut cases: Vec<(Value, Is)> = vec![
        (set(&of("corrections/0/field"), json!("religion")), correction),
        (set(&of("corrections/0/afterHash"), json!("00")), correction),
        (set(&of("corrections/0/beforeHash"), Value::Null), correction),
        (set(&of("corrections/1/by"), elsewhere.clone()), correction),
        (without(&of("corrections"), 2), correction),
        (set(&of("rulings/0/ruling"), json!("reject")), ruling),
        (set(&of("rulings/0/reason"), json!("DATA_MATCHES")), ruling),
        (set(&of("rulings/1/by"), elsewhere.clone()), ruling),
        (set(&of("rulings/2/stage"), json!("second")), ruling),
        (without(&of("rulings"), 1), ruling),
        (set(&of("decision"), json!("approved")), decision),
        (set(&of("reviewer"), elsewhere), decision),
        (set(&of("reason"), json!("DARK")), decision),
        (set("/photos/1/reviews/0/ticketId", json!("BULI2-8")), ticket),
        (set("/photos/1/document/verificationStatus", json!("manually_rejected")), state),
        (set("/photos/0/document/replacedBy", Value::Null), photos),
        (set("/documentId", json!(uuid::Uuid::now_v7())), photos),
        (without("/photos", 1), foreign),
    ];
    for at in 0..payload["audit"].as_array().unwrap().len() {
        let counts = !matches!(
            payload["audit"][at]["action"].as_str().unwrap(),
            "document.upload"
                | "review.claim"
                | "review.release"
                | "review.pass_on"
                | "document.retake_link"
                | "document.retake"
                | "review.callback"
                | "document.export"
        );
        if counts {
            cases.push((without("/audit", at), any));
        }
        cases.push((set(&format!("/audit/{at}/actor"), json!("officer:x")), entry));
    }
    for (n, (changed, is)) in cases.iter().enumerate() {
        let flaw = verify(changed).expect_err(&format!("case {n}"));
        assert!(is(&flaw), "case {n}: {flaw}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_says_what_the_corrections_say() {
    let deployment = Deployment::embedded().with("FILOT_DESK_SECOND_LOOK_SHARE", "0");
    let clock = Clock::by_hand(Timestamp::now());
    let mut it = TestApp::on(deployment.app_with(assessed(), clock).await).await;
    it.work();
    let mut rig = Rig { it, clock };
    let ani = officer(&rig.it.app, "Ani Contoh", Role::Reviewer).await;
    let (document, id) = rig.it.review(1, Script::Review).await;
    let version = rig.claim(id, &ani).await;
    let version = desk::correct(&rig.it.app, &ani, id, version, FieldKey::Gender, "PEREMPUAN").await.unwrap();
    desk::correct(&rig.it.app, &ani, id, version, FieldKey::Name, "SITI CONTOH").await.unwrap();
    assert_eq!(Reason::DataCorrected.ruling(), Ruling::Approve);
    rig.decide(id, &ani, Reason::DataCorrected).await;
    rig.let_it_pass().await;
    rig.it.rest().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case").to_str().unwrap().to_owned();
    let made = filot_on(
        Some(&deployment),
        &["audit", "export", "--document", &document.to_string(), "--out", &path],
    );
    assert_eq!(made.status, 0, "{}", made.stderr);
    let checked = filot_on(None, &["verify-evidence", &path]);
    assert_eq!(checked.status, 0, "{}", checked.stderr);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut payload = serde_json::from_str::<Value>(&text).unwrap()["payload"].take();
    let value = payload.pointer_mut("/photos/0/assessment/fields/gender/value").unwrap();
    assert_eq!(value, "PEREMPUAN");
    *value = json!("LAKI-LAKI");
    let case: Case = serde_json::from_str(&payload.to_string()).unwrap();
    let keys = &rig.it.app.keys;
    let text = serde_json::to_string(&Evidence::sign(&case, keys).unwrap()).unwrap();
    assert_eq!(Evidence::verify(&text, None, None).unwrap_err(), Flaw::Value("gender"));
}
