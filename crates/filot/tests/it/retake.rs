//! Photos that are taken again, on SQLite and PostgreSQL: who is asked, what the link takes, and that it takes one.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use filot::card_reader::CardReader;
use filot::clock::Clock;
use filot::desk::{self, Reason};
use filot::document::{DocumentId, ReviewId, UserId, Verification};
use filot::intake;
use filot::retake;
use filot::store::{Actor, Claim, DeskFilter, Noted, Officer, Replaced, Role, Ruling};
use filot::worker::{SweepRules, sweep_files, upkeep_once};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method, multipart, redirect};
use serde_json::{Value, json};

use crate::http::server::{PASSWORD, Person, Server, generous};
use crate::support::app::upload;
use crate::support::cards::{Script, card, scripted};
use crate::support::desk::{assessed, officer};
use crate::support::{Deployment, TestApp, on_sqlite_and_postgres};

const LEASE: Duration = Duration::from_secs(120);

on_sqlite_and_postgres! {
    a_customer_sends_another_photo_and_it_takes_the_place_of_the_first
    links_end_are_renewed_and_cannot_be_made_up
    no_case_gets_more_photos_than_allowed
    of_many_photos_at_once_one_is_taken
    a_photo_that_is_no_card_does_not_end_the_case
    whatever_dies_in_between_leaves_one_photo_or_a_link_that_works
}

/// A service behind a socket at a standing clock, and an officer.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) clock: Clock,
    ani: Officer,
    /// Follows no redirection.
    http: Client,
    deployment: Deployment,
}

impl Rig {
    pub(crate) async fn new(deployment: Deployment) -> Self {
        Self::reading(deployment, assessed()).await
    }

    async fn reading(deployment: Deployment, reader: CardReader) -> Self {
        let deployment = generous(deployment).with("FILOT_DESK_SECOND_LOOK_SHARE", "0");
        let clock = Clock::by_hand(Timestamp::now());
        let mut server = Server::on(deployment.app_with(reader, clock).await).await;
        server.inner.work();
        let ani = officer(&server.inner.app, "Ani Contoh", Role::Reviewer).await;
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { server, clock, ani, http, deployment }
    }

    pub(crate) fn it(&self) -> &TestApp {
        &self.server.inner
    }

    pub(crate) async fn upload(&self, who: &Person, number: u32) -> DocumentId {
        let sent = self.server.upload(who, &card(number, Script::Review, 0)).await.ok();
        let id = sent["documentId"].as_str().unwrap().parse().unwrap();
        self.it().finished(id).await;
        id
    }

    pub(crate) async fn review_of(&self, id: DocumentId) -> ReviewId {
        self.it().app.store.review_of_document(id).await.unwrap().unwrap().id
    }

    /// The officer rules on a document; nothing has taken effect yet.
    async fn rule(&self, id: DocumentId, ruling: Ruling, reason: Reason) -> desk::Result<Noted> {
        let (app, review) = (&self.it().app, self.review_of(id).await);
        let Claim::Held(held) = app.store.claim_review(review, &self.ani, LEASE).await.unwrap() else {
            panic!()
        };
        desk::decide(app, &self.ani, review, held.version, ruling, reason, None).await
    }

    /// The officer asks for another photo, and it takes effect.
    pub(crate) async fn ask(&self, id: DocumentId, reason: Reason) {
        let noted = self.rule(id, Ruling::Retake, reason).await.unwrap();
        assert!(matches!(noted, Noted::Noted(_)), "{noted:?}");
        self.clock.advance(SignedDuration::from_secs(11));
        upkeep_once(&self.it().app).await;
    }

    pub(crate) async fn shown(&self, who: &Person, id: DocumentId) -> Value {
        self.server.get(who, &format!("/documents/{id}")).await.ok()
    }

    /// The path of the link that the owner gets.
    pub(crate) async fn link(&self, who: &Person, id: DocumentId) -> String {
        let shown = self.shown(who, id).await;
        path_of(shown["retake"]["url"].as_str().unwrap_or_else(|| panic!("{shown}")))
    }

    async fn page(&self, path: &str, language: &str) -> (u16, String) {
        let request = self.http.get(format!("http://{}{path}", self.server.address));
        let answer = request.header("accept-language", language).send().await.unwrap();
        assert!(
            answer.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'; style-src")
        );
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends a file by the form of the page.
    pub(crate) async fn send(&self, path: &str, bytes: &Bytes, media_type: &str) -> (u16, String) {
        let file =
            multipart::Part::stream(bytes.clone()).file_name("IMG_1.jpg").mime_str(media_type).unwrap();
        let form = multipart::Form::new().part("file", file);
        let request = self.http.post(format!("http://{}{path}", self.server.address));
        let answer = request.header("accept-language", "en").multipart(form).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn list(&self, who: &Person) -> Vec<String> {
        let list = self.server.get(who, "/documents").await.ok();
        let ids = list["documents"].as_array().unwrap().iter();
        ids.map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn path_of(url: &str) -> String {
    format!("/retake/{}", url.split("/retake/").nth(1).unwrap())
}

async fn a_customer_sends_another_photo_and_it_takes_the_place_of_the_first(deployment: Deployment) {
    let mut rig = Rig::new(deployment).await;
    let (who, other) = (rig.server.person().await, rig.server.person().await);
    let old = rig.upload(&who, 1).await;
    let before = rig.server.get(&who, &format!("/documents/{old}")).await;
    assert!(before.body.get("retake").is_none(), "nobody has asked yet");
    rig.ask(old, Reason::Glare).await;

    let shown = rig.server.get(&who, &format!("/documents/{old}")).await;
    assert_ne!(shown.header("etag"), before.header("etag"));
    let asked = shown.ok()["retake"].clone();
    assert_eq!(asked["attemptsLeft"], 3);
    let sentence = &asked["sentence"];
    assert!(
        sentence["id"].as_str().unwrap().starts_with("Foto terlalu silau. Miringkan kartu sedikit"),
        "{asked}"
    );
    assert!(sentence["en"].as_str().unwrap().starts_with("The photo has glare. Please tilt"), "{asked}");
    let expires: Timestamp = asked["expiresAt"].as_str().unwrap().parse().unwrap();
    let left = expires.duration_since(rig.clock.now()).as_secs();
    assert!((604_700..=604_800).contains(&left), "{left}");
    let result = rig.server.get(&who, &format!("/documents/{old}/result")).await.ok();
    assert_eq!(result["retake"], asked);
    assert_eq!(rig.server.get(&other, &format!("/documents/{old}")).await.status, 404);
    assert_eq!(rig.list(&who).await, [old.to_string()]);

    // The page: both languages, no script, light.
    let path = path_of(asked["url"].as_str().unwrap());
    let (status, page) = rig.page(&path, "fr").await;
    assert_eq!(status, 200);
    for part in [
        "<html lang=\"id\">",
        "Foto ulang kartu KTP",
        sentence["id"].as_str().unwrap(),
        "capture=\"environment\"",
        "accept=\"image/*\"",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("<script") && !page.contains("style=\"") && !page.contains(&who.email));
    let (_, english) = rig.page(&path, "en-GB").await;
    assert!(english.contains("<html lang=\"en\">") && english.contains(sentence["en"].as_str().unwrap()));
    assert!(rig.page(&format!("{path}?lang=en"), "id").await.1.contains("<html lang=\"en\">"));
    let style = rig.http.get(format!("http://{}/retake/style.css", rig.server.address)).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
    let weight = page.len() + style.text().await.unwrap().len();
    println!("the page and its style: {weight} bytes");
    assert!(weight < 100_000);

    // Files that cannot be taken get their sentence, and leave the link as it was.
    for (bytes, media_type, status, words) in [
        (Bytes::from_static(b"no picture"), "image/jpeg", 415, "not a photo"),
        (Bytes::new(), "image/jpeg", 400, "There is no photo yet"),
        (card(5, Script::Review, 0), "text/html", 415, "not a photo"),
        (card(5, Script::Review, 0).slice(..40), "image/png", 422, "damaged"),
        (Bytes::from(vec![0; 11 << 20]), "image/jpeg", 413, "too large"),
    ] {
        let (found, page) = rig.send(&path, &bytes, media_type).await;
        assert_eq!(found, status, "{words}: {page}");
        assert!(
            page.contains(words) && page.contains("role=\"alert\"") && page.contains("<form"),
            "{words}: {page}"
        );
    }
    let (status, page) = rig.send(&format!("{path}?lang=id"), &Bytes::new(), "image/jpeg").await;
    assert_eq!((status, page.contains("Belum ada foto")), (400, true));

    // A good one: the newest document of the case, read like any other.
    assert_eq!(rig.send(&path, &card(2, Script::Review, 0), "image/png").await.0, 303);
    let (status, page) = rig.page(&path, "en").await;
    assert_eq!((status, page.contains("We have received your photo")), (200, true));
    assert!(!page.contains("<form"));
    let first = rig.shown(&who, old).await;
    assert!(first.get("retake").is_none(), "{first}");
    let new: DocumentId = first["replacedBy"].as_str().unwrap().parse().unwrap();
    rig.it().finished(new).await;
    let second = rig.shown(&who, new).await;
    assert_eq!((&second["replaces"], &second["type"]), (&json!(old), &json!("KTP")));
    assert_eq!(second["verificationStatus"], "pending_manual_review");
    assert_eq!(rig.list(&who).await, [new.to_string()], "lists show the newest");
    let (status, page) = rig.send(&path, &card(3, Script::Review, 0), "image/png").await;
    assert_eq!((status, page.contains("takes one photo only")), (410, true), "{page}");
    assert_eq!(rig.list(&who).await.len(), 1);

    // The trail tells it of both, and names nobody.
    let trail = rig.it().app.store.audit_about(vec![format!("document:{old}"), format!("document:{new}")]);
    let trail = trail.await.unwrap();
    let find = |action: &str| {
        trail.iter().find(|entry| entry.action == action).unwrap_or_else(|| panic!("{action}"))
    };
    assert_eq!(find("document.replace").after.as_deref(), Some(new.to_string().as_str()));
    assert_eq!(find("document.retake").before.as_deref(), Some(old.to_string().as_str()));
    assert!(find("document.retake").actor.starts_with("user:"));
    assert_eq!(find("document.retake_link").actor, "system");
    assert!(!trail.iter().any(|entry| format!("{entry:?}").contains(path.trim_start_matches("/retake/"))));

    // While it is decided on, the case is not the customer's to delete; whoever deletes the new photo deletes all of it.
    for photo in [old, new] {
        let delete =
            rig.server.request(Method::DELETE, &format!("/documents/{photo}")).bearer_auth(&who.access);
        rig.server.send(delete).await.is(409, "evidence_kept");
    }
    rig.it().app.store.delete_document(new, &Actor::Operator).await.unwrap();
    assert!(rig.list(&who).await.is_empty());
    assert_eq!(rig.send(&path, &card(4, Script::Review, 0), "image/png").await.0, 404);
    rig.server.inner.rest().await;
}

async fn links_end_are_renewed_and_cannot_be_made_up(deployment: Deployment) {
    let mut rig = Rig::new(deployment).await;
    let mut who = rig.server.person().await;
    let id = rig.upload(&who, 1).await;
    let rejected = rig.upload(&who, 2).await;
    rig.ask(id, Reason::Dark).await;
    // A rejection is no request for another photo.
    rig.rule(rejected, Ruling::Reject, Reason::NotACard).await.unwrap();
    rig.clock.advance(SignedDuration::from_secs(11));
    upkeep_once(&rig.it().app).await;
    let shown = rig.shown(&who, rejected).await;
    assert_eq!(
        (shown["verificationStatus"].as_str(), shown.get("retake")),
        (Some("manually_rejected"), None)
    );

    let path = rig.link(&who, id).await;
    assert_eq!(rig.link(&who, id).await, path, "the same link as long as it works");
    let photo = card(3, Script::Approve, 0);
    let token = path.trim_start_matches("/retake/");
    for at in 0..token.len() {
        let mut forged = token.as_bytes().to_vec();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        // The last character of each part holds bits that mean nothing, which no other spelling may use either.
        let (status, page) = rig.send(&format!("/retake/{forged}"), &photo, "image/png").await;
        assert_eq!(status, 404, "{at}: {forged}");
        assert!(page.contains("not known"), "{page}");
    }
    for unknown in ["x", "a.b", &"a".repeat(500), "%F0%9F%98%80"] {
        assert_eq!(rig.page(&format!("/retake/{unknown}"), "en").await.0, 404, "{unknown}");
    }

    rig.clock.advance(SignedDuration::from_hours(7 * 24 + 1));
    let (status, page) = rig.page(&path, "en").await;
    assert_eq!((status, page.contains("has expired")), (410, true));
    assert_eq!(rig.send(&path, &photo, "image/png").await.0, 410);
    let login = json!({ "email": who.email, "password": PASSWORD });
    who = Person::of(&rig.server.post("/auth/login", None, login).await.ok());
    let renewed = rig.link(&who, id).await;
    assert_ne!(renewed, path);
    assert_eq!(rig.send(&path, &photo, "image/png").await.0, 410, "the old one stays expired");
    assert_eq!(rig.send(&renewed, &photo, "image/png").await.0, 303);

    // The link of a document that is gone leads nowhere.
    let third = rig.upload(&who, 7).await;
    rig.ask(third, Reason::Blurred).await;
    let path = rig.link(&who, third).await;
    let delete = rig.server.request(Method::DELETE, &format!("/documents/{third}")).bearer_auth(&who.access);
    rig.server.send(delete).await.is(409, "evidence_kept");
    rig.it().app.store.delete_document(third, &Actor::Operator).await.unwrap();
    assert_eq!(rig.send(&path, &photo, "image/png").await.0, 404);
    rig.server.inner.rest().await;
}

async fn no_case_gets_more_photos_than_allowed(deployment: Deployment) {
    let mut rig = Rig::new(deployment.with("FILOT_DESK_RETAKES", "2")).await;
    let who = rig.server.person().await;
    let mut id = rig.upload(&who, 1).await;
    for attempt in 1..=2_u32 {
        rig.ask(id, Reason::CutOff).await;
        let shown = rig.shown(&who, id).await;
        assert_eq!(shown["retake"]["attemptsLeft"], 3 - attempt);
        let path = path_of(shown["retake"]["url"].as_str().unwrap());
        assert_eq!(rig.send(&path, &card(attempt + 1, Script::Review, 0), "image/png").await.0, 303);
        id = rig.shown(&who, id).await["replacedBy"].as_str().unwrap().parse().unwrap();
        rig.it().finished(id).await;
    }
    let refused = rig.rule(id, Ruling::Retake, Reason::CutOff).await;
    assert!(matches!(refused, Err(desk::Error::NoMoreRetakes)), "{refused:?}");
    assert!(matches!(rig.rule(id, Ruling::Reject, Reason::NotACard).await, Ok(Noted::Noted(_))));
    rig.clock.advance(SignedDuration::from_secs(11));
    desk::settle(&rig.it().app).await.unwrap();
    let last = rig.it().document(id).await;
    assert_eq!((last.verification, last.retakes), (Verification::ManuallyRejected, 2));
    assert_eq!(rig.list(&who).await, [id.to_string()]);
    rig.server.inner.rest().await;
}

async fn a_photo_that_is_no_card_does_not_end_the_case(deployment: Deployment) {
    let mut rig = Rig::reading(deployment.with("FILOT_DESK_RETAKES", "2"), scripted()).await;
    let who = rig.server.person().await;
    let first = rig.upload(&who, 1).await;
    let mut id = first;
    for (attempt, script, status, decision) in
        [(1, Script::Reject, "completed", Some("auto_reject")), (2, Script::Unreadable, "failed", None)]
    {
        rig.ask(id, Reason::CutOff).await;
        let path = rig.link(&who, id).await;
        assert_eq!(rig.send(&path, &card(attempt + 1, script, 0), "image/png").await.0, 303);
        id = rig.it().document(id).await.replaced_by.unwrap();
        let read = rig.it().finished(id).await;
        // What the machine says stays what it is; the end of the case is a person's.
        assert_eq!((read.status.as_str(), read.decision.as_deref()), (status, decision));
        assert_eq!(read.verification, Verification::PendingManualReview, "{script:?}");
        assert_eq!(read.retakes, attempt, "attempts count");
    }
    // No more photos, and still a person who decides.
    let refused = rig.rule(id, Ruling::Retake, Reason::CutOff).await;
    assert!(matches!(refused, Err(desk::Error::NoMoreRetakes)), "{refused:?}");
    assert!(matches!(rig.rule(id, Ruling::Reject, Reason::NotACard).await, Ok(Noted::Noted(_))));
    // A first photo is the machine's to reject.
    let sent = rig.server.upload(&who, &card(9, Script::Reject, 0)).await.ok();
    let alone = rig.it().finished(sent["documentId"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(alone.verification, Verification::AutoRejected);
    rig.server.inner.rest().await;
}

async fn of_many_photos_at_once_one_is_taken(deployment: Deployment) {
    let mut rig = Rig::new(deployment).await;
    let who = rig.server.person().await;
    for round in 0..5 {
        let id = rig.upload(&who, 100 * round).await;
        rig.ask(id, Reason::TooSmall).await;
        let path = rig.link(&who, id).await;
        let cards: Vec<Bytes> = (1..=10).map(|n| card(100 * round + n, Script::Approve, 0)).collect();
        let sent = join_all(cards.iter().map(|card| rig.send(&path, card, "image/png"))).await;
        let taken = sent.iter().filter(|(status, _)| *status == 303).count();
        let late = sent.iter().filter(|(status, _)| *status == 410).count();
        assert_eq!((taken, late), (1, 9), "{:?}", sent.iter().map(|answer| answer.0).collect::<Vec<_>>());
        assert_eq!(rig.list(&who).await.len() as u32, round + 1);
    }
    rig.server.inner.rest().await;
}

/// The process is killed at every place between the file and the answer; the customer tries again.
/// Where the process dies that takes the photo, and whether the link works afterwards.
pub(crate) const PLACES: &[(&str, bool)] = &[
    ("intake.before_blob", true),
    ("intake.after_blob", true),
    ("store.replace.before_commit", true),
    ("store.replace.after_commit", false),
    ("intake.after_row", false),
    ("intake.after_dispatch", false),
];

async fn whatever_dies_in_between_leaves_one_photo_or_a_link_that_works(deployment: Deployment) {
    let mut rig = Rig::new(deployment).await;
    let who = rig.server.person().await;
    for (number, &(place, works)) in (0..).step_by(10).zip(PLACES) {
        let id = rig.upload(&who, number).await;
        rig.ask(id, Reason::Covered).await;
        let path = rig.link(&who, id).await;
        let token = path.trim_start_matches("/retake/").to_owned();
        let app = &rig.it().app;
        let mut child = Command::new("setpriv");
        child.args(["--pdeathsig", "KILL"]).arg(std::env::current_exe().unwrap());
        child.args(["--exact", "retake::sends_a_photo_and_dies", "--ignored", "--test-threads", "1"]);
        child.envs(rig.deployment.environment()).env("CHILD_TOKEN", &token).env("CHILD_PLACE", place);
        child.env("CHILD_USER", rig.it().document(id).await.user_id.to_string());
        let status = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap().wait().unwrap();
        assert_eq!(status.signal(), Some(6), "{place}: it did not die there: {status}");

        let (status, _) = rig.send(&path, &card(number + 2, Script::Approve, 0), "image/png").await;
        assert_eq!(status, if works { 303 } else { 410 }, "{place}");
        let old = rig.it().document(id).await;
        let new = rig.it().finished(old.replaced_by.unwrap()).await;
        assert_eq!((new.replaces, new.verification), (Some(id), Verification::AutoApproved), "{place}");
        assert_eq!(rig.list(&who).await.len() as u32, number / 10 + 1, "{place}");
        assert!(app.store.retake_link(id).await.unwrap().unwrap().used, "{place}");
    }
    // Files of photos that never got a row are swept, the others stay.
    rig.clock.advance(SignedDuration::from_hours(2));
    let hour = SweepRules { age: SignedDuration::from_hours(1), ..SweepRules::AT_ONCE };
    let swept = sweep_files(&rig.it().app, &hour).await.unwrap();
    assert_eq!(swept.erased, 2, "{swept:?}");
    rig.server.inner.rest().await;
}

/// The process that dies: not a test of its own.
#[test]
#[ignore = "run by another test as a process to be killed"]
#[expect(clippy::disallowed_methods, reason = "a child learns from its parent through the environment")]
fn sends_a_photo_and_dies() {
    let Ok(token) = std::env::var("CHILD_TOKEN") else { return };
    let user: UserId = std::env::var("CHILD_USER").unwrap().parse().unwrap();
    filot::failpoint::arm(&std::env::var("CHILD_PLACE").unwrap(), 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = filot::config::Config::load(None).unwrap();
        let app = filot::app::App::with_reader(config, assessed(), Clock::default()).await.unwrap();
        let photo = card(9_999, Script::Approve, 0);
        let sent: Result<Replaced, intake::Error> = retake::send(&app, &token, upload(user, photo)).await;
        panic!("still alive: {sent:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_sees_which_photo_of_a_case_it_is() {
    let mut rig = Rig::new(Deployment::embedded()).await;
    let who = rig.server.person().await;
    let old = rig.upload(&who, 1).await;
    rig.ask(old, Reason::Glare).await;
    let path = rig.link(&who, old).await;
    rig.send(&path, &card(2, Script::Review, 0), "image/png").await;
    let new = rig.it().document(old).await.replaced_by.unwrap();
    rig.it().finished(new).await;
    let waiting =
        rig.it().app.store.waiting_reviews(&rig.ani, &DeskFilter::default(), None, 10).await.unwrap();
    assert_eq!(
        waiting.iter().map(|row| row.document_id).collect::<Vec<_>>(),
        [new],
        "the old one is decided"
    );
    rig.server.inner.rest().await;
}
