//! What BULI2 says too early, too late, again, or alone against the machine.

use filot::clock::Clock;
use filot::desk::{self, Reason};
use filot::document::{Resolution, ReviewId, Verification};
use filot::store::{Claim, Noted, Officer, ReviewRoute, Role, Ruling, Stage};
use filot_cards::field::FieldKey;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::http::server::{Answer, Server, generous};
use crate::support::buli2::{Event, configured};
use crate::support::cards::Script;
use crate::support::desk::{officer, open_picture, reporting, sound};
use crate::support::{Deployment, on_sqlite_and_postgres};

const LEASE: std::time::Duration = std::time::Duration::from_secs(120);

on_sqlite_and_postgres! {
    what_was_applied_is_answered_alike_however_late
    a_yes_against_the_machine_is_one_of_two
    what_comes_when_the_desk_has_it_decides_nothing
}

/// A service at a standing clock whose reviews are BULI2's.
struct Rig {
    server: Server,
    clock: Clock,
    _deployment: Deployment,
}

impl Rig {
    async fn new(deployment: Deployment) -> Self {
        let deployment = generous(configured(deployment, 9)).with("FILOT_DESK_SECOND_LOOK_SHARE", "0");
        let clock = Clock::by_hand(Timestamp::now());
        let mut server = Server::on(deployment.app_with(reporting(sound()), clock).await).await;
        server.inner.work();
        Self { server, clock, _deployment: deployment }
    }

    /// An event that is signed now.
    fn event(&self, id: &str, body: &Value) -> Event {
        Event::at(self.clock.now().as_second(), id, serde_json::to_vec(body).unwrap())
    }

    async fn send(&self, event: &Event) -> Answer {
        self.server.send(event.request(&self.server)).await
    }

    async fn say(&self, id: &str, review: ReviewId, decision: &str) -> Answer {
        self.send(&self.event(id, &json!({ "reviewId": review, "decision": decision }))).await
    }

    async fn decide(
        &self,
        id: ReviewId,
        who: &Officer,
        ruling: Ruling,
        fields: &[(FieldKey, &str)],
    ) -> Noted {
        let app = &self.server.inner.app;
        let Claim::Held(held) = app.store.claim_review(id, who, LEASE).await.unwrap() else { panic!() };
        open_picture(app, id, who).await;
        let mut version = held.version;
        for (field, value) in fields {
            version = desk::correct(app, who, id, version, *field, value).await.unwrap();
        }
        let reason = Reason::of(ruling).next().unwrap();
        let noted = desk::decide(app, who, id, version, ruling, reason, None).await.unwrap();
        self.clock.advance(SignedDuration::from_secs(11));
        desk::settle(app).await.unwrap();
        noted
    }
}

async fn what_was_applied_is_answered_alike_however_late(deployment: Deployment) {
    let mut rig = Rig::new(deployment).await;
    let (document, id) = rig.server.inner.review(1, Script::Review).await;
    let event = rig.event("first", &json!({ "reviewId": id, "decision": "approved", "notes": "a\nb" }));
    let first = rig.send(&event).await.ok();
    assert_eq!(first["verificationStatus"], "manually_approved");
    // The sender did not hear it, and sends the very same bytes again after hours.
    for hours in [1, 24, 100] {
        rig.clock.advance(SignedDuration::from_hours(hours));
        assert_eq!(rig.send(&event).await.ok(), first);
    }
    // Others of that age are nobody's, whatever they are about, and so is the same one with another body.
    let stale = Event::at(rig.clock.now().as_second() - 301, "stale", event.body.clone());
    rig.send(&stale).await.is(401, "timestamp_out_of_window");
    let reused = rig.event("first", &json!({ "reviewId": id, "decision": "rejected" }));
    rig.send(&reused).await.is(409, "event_id_reused");
    let mut forged = event.clone();
    forged.signature = forged.signature.replace("sha256=", "sha256=0").chars().take(71).collect();
    rig.send(&forged).await.is(401, "signature_invalid");
    assert_eq!(rig.server.inner.document(document).await.verification, Verification::ManuallyApproved);

    // One that is quicker than its review is sent again until that is there, under its first signature.
    let (_, other) = rig.server.inner.review(2, Script::Review).await;
    let early = rig.event("early", &json!({ "taskId": "BULI2-77", "decision": "rejected" }));
    for _ in 0..3 {
        let answer = rig.send(&early).await;
        answer.is(503, "review_unknown");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
        rig.clock.advance(SignedDuration::from_secs(400));
    }
    rig.server.inner.app.store.ticket_given(other, "BULI2-77").await.unwrap();
    let applied = rig.send(&early).await.ok();
    assert_eq!(
        (&applied["verificationStatus"], &applied["reviewId"]),
        (&json!("manually_rejected"), &json!(other))
    );
    assert_eq!(rig.send(&early).await.ok(), applied);

    // What PostgreSQL cannot hold is refused, not tried for ever.
    let (_, third) = rig.server.inner.review(3, Script::Review).await;
    for body in [
        json!({ "reviewId": third, "decision": "approved", "notes": "a\u{0}b" }),
        json!({ "reviewId": third, "taskId": "a\u{0}b", "decision": "approved" }),
    ] {
        rig.send(&rig.event("nul", &body)).await.is(422, "invalid_field");
    }
    assert!(rig.say("good", third, "approved").await.status == 200);
    rig.server.inner.rest().await;
}

async fn a_yes_against_the_machine_is_one_of_two(deployment: Deployment) {
    let mut rig = Rig::new(deployment).await;
    let store = rig.server.inner.app.store.clone();
    let ani = officer(&rig.server.inner.app, "Ani Contoh", Role::Reviewer).await;
    let status = async |document| rig.server.inner.document(document).await.verification;
    // What the machine has rejected, and the customer has asked a person about.
    let (document, id) = rig.server.inner.review(1, Script::Reject).await;
    assert_eq!(store.review(id).await.unwrap().route, ReviewRoute::Buli2);
    let taken = rig.say("yes", id, "approved").await.ok();
    assert_eq!(
        (&taken["decision"], &taken["verificationStatus"]),
        (&json!("approved"), &json!("pending_manual_review"))
    );
    assert_eq!(rig.say("yes", id, "approved").await.ok(), taken, "again, the same");
    let review = store.review(id).await.unwrap();
    assert_eq!((review.route, review.stage), (ReviewRoute::Desk, Stage::Second));
    assert_eq!(review.buli2_answer, Some(Resolution::Approved));
    assert_eq!(status(document).await, Verification::PendingManualReview);
    // Once more under another name decides nothing: it is the same person.
    rig.say("yes again", id, "approved").await.is(401, "signature_invalid");
    rig.say("yes-again", id, "approved").await.is(409, "conflict");
    assert_eq!(status(document).await, Verification::PendingManualReview);
    // Officers look without being told, and agree.
    let blind = desk::look(&rig.server.inner.app, &ani, id).await.unwrap();
    assert!(blind.rulings.is_empty());
    rig.decide(id, &ani, Ruling::Approve, &[]).await;
    assert_eq!(status(document).await, Verification::ManuallyApproved);
    assert_eq!(rig.say("yes-again", id, "approved").await.ok()["verificationStatus"], "manually_approved");

    // Or do not, or of somebody else.
    for (number, ruling, fields) in
        [(2, Ruling::Reject, &[][..]), (3, Ruling::Approve, &[(FieldKey::Name, "SITI LAIN")])]
    {
        let (document, id) = rig.server.inner.review(number, Script::Reject).await;
        rig.say(&format!("yes-{number}"), id, "approved").await.ok();
        rig.decide(id, &ani, ruling, fields).await;
        assert_eq!(store.review(id).await.unwrap().stage, Stage::Admin, "{number}");
        assert_eq!(status(document).await, Verification::PendingManualReview);
    }
    // A no is enough.
    let (document, id) = rig.server.inner.review(4, Script::Reject).await;
    assert_eq!(rig.say("no", id, "rejected").await.ok()["verificationStatus"], "manually_rejected");
    assert_eq!(status(document).await, Verification::ManuallyRejected);
    rig.server.inner.rest().await;
}

async fn what_comes_when_the_desk_has_it_decides_nothing(deployment: Deployment) {
    let mut rig = Rig::new(deployment).await;
    let store = rig.server.inner.app.store.clone();
    let ani = officer(&rig.server.inner.app, "Ani Contoh", Role::Reviewer).await;
    let budi = officer(&rig.server.inner.app, "Budi Contoh", Role::Reviewer).await;
    for (number, decision) in [(1, "approved"), (2, "rejected")] {
        let (document, id) = rig.server.inner.review(number, Script::Review).await;
        store.hand_to_desk(id, "too_long").await.unwrap();
        let event = format!("late-{number}");
        let late = rig.say(&event, id, decision).await;
        late.is(409, "conflict");
        assert!(late.body["detail"].as_str().unwrap().contains("taken this review over"), "{late:?}");
        let review = store.review(id).await.unwrap();
        let no = (decision == "rejected").then_some(Resolution::Rejected);
        assert_eq!((review.decision, review.buli2_answer), (None, no));
        // Against BULI2's no it takes two.
        rig.decide(id, &ani, Ruling::Approve, &[]).await;
        let expected =
            if no.is_some() { Verification::PendingManualReview } else { Verification::ManuallyApproved };
        assert_eq!(rig.server.inner.document(document).await.verification, expected, "{decision}");
        if no.is_some() {
            rig.decide(id, &budi, Ruling::Approve, &[]).await;
        }
        // Sent again, it hears what stands.
        let again = rig.say(&event, id, decision).await;
        match no {
            Some(_) => again.is(409, "review_decided"),
            None => assert_eq!(again.ok()["verificationStatus"], "manually_approved"),
        }
    }
    rig.server.inner.rest().await;
}
