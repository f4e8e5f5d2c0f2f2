//! What officers write and read stays inside, and what they type is a card's or is refused: looked at from outside.

use filot::desk::{self, Reason};
use filot::document::{DocumentId, Verification};
use filot::store::{Claim, Role};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::Value;

use crate::console::Visitor;
use crate::http::server::Person;
use crate::retake::Rig;
use crate::support::Deployment;
use crate::support::cards::Script;
use crate::support::desk::{officer, open_picture};
use crate::support::desk_server::Desk;

const NOTE: &str = "CATATAN-RAHASIA dicurigai palsu";

/// Everything that the owner of a document can be told of it.
async fn told(rig: &Rig, who: &Person, id: DocumentId) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in [
        "/documents".to_owned(),
        format!("/documents/{id}"),
        format!("/documents/{id}/result"),
        format!("/documents/{id}/events"),
        format!("/documents/{id}/download"),
        format!("/verification/status/{id}"),
        "/profile".to_owned(),
        "/auth/me".to_owned(),
    ] {
        let answer = rig.server.get(who, &path).await;
        assert!(answer.status < 500, "{path}: {answer:?}");
        all.push((path, format!("{:?} {}", answer.headers, answer.body)));
    }
    for path in [format!("/verification/{id}/escalate"), format!("/documents/{id}/process")] {
        let answer = rig.server.post(&path, Some(&who.access), serde_json::json!({})).await;
        all.push((path, answer.body.to_string()));
    }
    all
}

/// What must not be found in it.
fn secrets(stored: &Value) -> Vec<String> {
    let mut secrets: Vec<String> =
        ["CATATAN", "RAHASIA", "\"ledger\"", "\"points\"", "\"quality\"", "\"officer\"", "\"threshold"]
            .map(str::to_owned)
            .to_vec();
    for number in ["moire", "edgeWidthPx", "glare\":", "saturation"] {
        secrets.push(number.to_owned());
    }
    for check in stored["checks"].as_array().unwrap() {
        for language in ["id", "en"] {
            let sentence = check["officer"][language].as_str().unwrap();
            // Where both are told the same, it is no secret.
            if check["customer"][language] != check["officer"][language] {
                secrets.push(sentence.to_owned());
            }
        }
    }
    assert!(secrets.len() > 30, "{}", secrets.len());
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_of_the_owner_tells_what_officers_write_or_read() {
    let mut rig = Rig::new(Deployment::embedded()).await;
    let who = rig.server.person().await;
    let citra = officer(&rig.it().app, "Citra Contoh", Role::Admin).await;
    let (mut searched, mut sentences) = (0, Vec::new());
    for (number, reason) in (1..).zip(Reason::ALL) {
        let id = rig.upload(&who, number).await;
        let review = rig.review_of(id).await;
        let app = rig.it().app.clone();
        let Claim::Held(held) =
            app.store.claim_review(review, &citra, std::time::Duration::from_secs(120)).await.unwrap()
        else {
            panic!()
        };
        open_picture(&app, review, &citra).await;
        let note = Some(NOTE.to_owned());
        desk::decide(&app, &citra, review, held.version, reason.ruling(), *reason, note).await.unwrap();
        for _ in 0..2 {
            let document = rig.it().document(id).await;
            let stored: Value = serde_json::from_str(document.result.unwrap().get()).unwrap();
            for (path, text) in told(&rig, &who, id).await {
                for secret in secrets(&stored) {
                    assert!(!text.contains(&secret), "{path} tells {secret}: {text}");
                    searched += 1;
                }
            }
            rig.clock.advance(SignedDuration::from_secs(11));
            desk::settle(&app).await.unwrap();
        }
        let status = rig.server.get(&who, &format!("/verification/status/{id}")).await.ok();
        let result = &status["result"];
        if rig.it().document(id).await.verification == Verification::ManuallyRejected {
            let customer = reason.customer();
            assert_eq!(result["notes"], format!("{} / {}", customer.id, customer.en));
            assert_eq!(result["sentence"]["id"], customer.id);
            sentences.push(customer.en);
        } else {
            // The sex contradicts the number: the approval waits for a second person.
            assert_eq!((&result["notes"], &result["sentence"]), (&Value::Null, &Value::Null));
        }
    }
    // The page of the link, too.
    let id = rig.upload(&who, 99).await;
    rig.ask(id, Reason::Glare).await;
    let path = rig.link(&who, id).await;
    let page = rig.server.send(rig.server.request(Method::GET, &path)).await;
    assert!(!page.body.to_string().contains("CATATAN"));
    assert!(searched > 10_000 && sentences.len() > 8, "{searched} {}", sentences.len());
    rig.server.inner.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_read_as_the_card_prints_it_or_comes_back_with_a_word() {
    let desk = Desk::start().await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    let review = format!("/console/reviews/{id}");
    let token = visitor.claim(&review).await;
    let save = async |field: &str, value: &str| {
        let version = visitor.get(&review).await.field("version");
        let fields = [("csrf", token.as_str()), ("version", version.as_str()), ("value", value)];
        visitor.post(&format!("{review}/fields/{field}"), &fields).await
    };
    for (field, value, words) in [
        ("nik", "9999999999999999", "16 digits"),
        ("birthDate", "31-02-1990", "31-12-1990"),
        ("birthDate", "soon", "31-12-1990"),
        ("gender", "X", "LAKI-LAKI"),
        ("name", "SITI 2", "A to Z"),
        ("rtRw", "12", "001/017"),
    ] {
        let refused = save(field, value).await;
        assert_eq!(refused.status, 422, "{field}");
        assert!(
            refused.text.contains(words) && refused.text.contains("aria-invalid"),
            "{field}: {}",
            refused.text
        );
        assert!(refused.text.contains(&format!("value=\"{value}\"")), "{field}: what was typed is lost");
    }
    let officer = desk.it.app.store.review(id).await.unwrap().claimed.unwrap().0;
    assert!(desk.it.app.store.corrections_of(id).await.unwrap().is_empty());
    // As printed, and as stored; what contradicts the rest of the card is told.
    for (value, contradicts) in [("05-01-1990", false), ("06/01/1990", true), ("1990-01-05", false)] {
        assert_eq!(save("birthDate", value).await.status, 303);
        let said = desk.it.app.store.corrections_of(id).await.unwrap();
        let stored = if contradicts { "1990-01-06" } else { "1990-01-05" };
        assert_eq!((said.last().unwrap().new.as_str(), said.last().unwrap().by), (stored, officer));
        let page = visitor.get(&review).await.text;
        let item = page.split("id=\"field-birthDate\"").nth(1).unwrap().split("</li>").next().unwrap();
        assert_eq!(item.contains("class=\"finding\""), contradicts, "{item}");
        assert!(page.contains("Approving this takes two people"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_a_card_that_they_have_not_looked_at() {
    let desk = Desk::start().await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let mut budi = desk.staff("Budi Contoh", Role::Reviewer).await;
    let anis = Visitor::sign_in(&desk, &mut ani).await;
    let budis = Visitor::sign_in(&desk, &mut budi).await;
    let review = format!("/console/reviews/{id}");
    let approve = async |visitor: &Visitor, token: &str| {
        let version = visitor.get(&review).await.field("version");
        let fields = [
            ("csrf", token),
            ("version", version.as_str()),
            ("ruling", "approve"),
            ("reason", "DATA_MATCHES"),
            ("note", "cocok dengan kartu"),
        ];
        visitor.post(&format!("{review}/decision"), &fields).await
    };
    let token = anis.claim(&review).await;
    let page = anis.get(&review).await.text;
    assert!(page.contains("straightened.jpg?veiled=1") || page.contains("original.jpg?veiled=1"), "{page}");
    let veiled = anis.get(&format!("{review}/original.jpg?veiled=1")).await;
    assert_eq!(veiled.headers["content-type"], "image/jpeg");
    assert_eq!(anis.head(&format!("{review}/original.jpg")).await, 200);
    let refused = approve(&anis, &token).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("Look at the photo first") && refused.text.contains("autofocus"));
    assert!(refused.text.contains("cocok dengan kartu"), "what was written comes back");
    // Budi's look is not Ani's.
    let own = anis.get("/console").await.field("csrf");
    assert_eq!(budis.get(&format!("{review}/original.jpg")).await.status, 404);
    assert_eq!(approve(&anis, &own).await.status, 409);
    assert_eq!(anis.get(&format!("{review}/original.jpg")).await.status, 200);
    // Nor is the one from before it was put back.
    anis.post(&format!("{review}/release"), &[("csrf", &token)]).await;
    let budi_token = budis.claim(&review).await;
    assert_eq!(approve(&budis, &budi_token).await.status, 409);
    budis.post(&format!("{review}/release"), &[("csrf", &budi_token)]).await;
    anis.claim(&review).await;
    assert_eq!(approve(&anis, &token).await.status, 409);
    assert_eq!(anis.get(&format!("{review}/original.jpg")).await.status, 200);
    assert_eq!(approve(&anis, &token).await.status, 303);
    let trail = desk.it.app.store.audit_about(vec![format!("review:{id}")]).await.unwrap();
    assert!(trail.iter().any(|entry| entry.action == "review.note"));
    // A rejection needs no look at the data: the picture may show nothing at all.
    let (_, other) = desk.it.review(2, Script::Review).await;
    let review = format!("/console/reviews/{other}");
    anis.post(&format!("{review}/claim"), &[("csrf", &token)]).await;
    let version = anis.get(&review).await.field("version");
    let fields =
        [("csrf", token.as_str()), ("version", &version), ("ruling", "reject"), ("reason", "NOT_A_CARD")];
    assert_eq!(anis.post(&format!("{review}/decision"), &fields).await.status, 303);
}
