//! Who may make an account, and that an address is somebody's own.

use filot::app::App;
use filot::clock::Clock;
use filot::mail;
use filot::store::{EffectKind, Role};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::server::{Answer, PASSWORD, Person, Server, generous};
use crate::support::cards::scripted;
use crate::support::smtp::{Manner, Smtp};
use crate::support::{Deployment, on_sqlite_and_postgres};

/// A service that confirms addresses, its clock, and its mail server.
struct Rig {
    server: Server,
    clock: Clock,
    smtp: Smtp,
    _deployment: Deployment,
}

impl Rig {
    async fn on(deployment: Deployment) -> Self {
        let smtp = Smtp::start().await;
        let deployment = generous(deployment)
            .with("FILOT_MAIL_SMTP_URL", &format!("smtp://127.0.0.1:{}", smtp.port))
            .with("FILOT_MAIL_FROM", "FiLot <no-reply@filot.example>");
        let clock = Clock::by_hand(Timestamp::now());
        let server = Server::on(deployment.app_with(scripted(), clock).await).await;
        Self { server, clock, smtp, _deployment: deployment }
    }

    fn app(&self) -> &App {
        &self.server.inner.app
    }

    async fn register(&self, email: &str, password: &str) -> Answer {
        self.server.post("/auth/register", None, json!({ "email": email, "password": password })).await
    }

    async fn confirm(&self, token: &str, password: &str) -> Answer {
        self.server.post("/auth/confirm", None, json!({ "token": token, "password": password })).await
    }

    async fn login(&self, email: &str, password: &str) -> Answer {
        self.server.post("/auth/login", None, json!({ "email": email, "password": password })).await
    }
}

async fn an_address_is_confirmed_by_its_mail_and_the_password(deployment: Deployment) {
    let rig = Rig::on(deployment).await;
    let answer = rig.register("Siti@Example.com", PASSWORD).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("mail_sent")), "{answer:?}");
    rig.login("siti@example.com", PASSWORD).await.is(401, "wrong_credentials");
    mail::send_due(rig.app()).await;
    let mails = rig.smtp.mails_to("siti@example.com");
    assert_eq!(mails.len(), 1);
    let token = mails[0].token();

    // Neither the mail alone nor the password alone makes an account, and a guess uses up nothing.
    rig.confirm(&token, "not the password").await.is(401, "wrong_credentials");
    for forged in
        ["", "x", "x.y", &token[1..], &format!("{}.{}", uuid::Uuid::nil(), token.split_once('.').unwrap().1)]
    {
        rig.confirm(forged, PASSWORD).await.is(403, "link_invalid");
    }
    let made = rig.confirm(&token, PASSWORD).await;
    assert_eq!((made.status, &made.body["user"]["emailVerified"]), (201, &json!(true)), "{made:?}");
    rig.login("siti@example.com", PASSWORD).await.ok();
    rig.confirm(&token, PASSWORD).await.is(403, "link_invalid");

    // Not confirmed within a day: the address is as free as it was.
    rig.register("budi@example.com", PASSWORD).await.ok();
    mail::send_due(rig.app()).await;
    let late = rig.smtp.mails_to("budi@example.com")[0].token();
    rig.clock.advance(SignedDuration::from_hours(24));
    rig.confirm(&late, PASSWORD).await.is(403, "link_invalid");
    assert!(rig.app().store.user_by_email("budi@example.com").await.unwrap().is_none());
}

async fn registering_tells_nobody_who_has_an_account(deployment: Deployment) {
    let rig = Rig::on(deployment).await;
    rig.register("siti@example.com", PASSWORD).await.ok();
    mail::send_due(rig.app()).await;
    rig.confirm(&rig.smtp.mails_to("siti@example.com")[0].token(), PASSWORD).await.ok();

    let known = rig.register("siti@example.com", "another long one").await;
    let unknown = rig.register("nobody@example.com", "another long one").await;
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    mail::send_due(rig.app()).await;
    let mails = rig.smtp.mails_to("siti@example.com");
    assert!(mails[1].text.contains("You have an account already") && !mails[1].text.contains("#confirm="));
    assert!(rig.smtp.mails_to("nobody@example.com")[0].text.contains("#confirm="));
    rig.login("siti@example.com", "another long one").await.is(401, "wrong_credentials");
    rig.login("siti@example.com", PASSWORD).await.ok();

    // Nobody is buried in mails by others.
    for _ in 0..10 {
        assert_eq!(rig.register("victim@example.com", PASSWORD).await.status, 202);
    }
    mail::send_due(rig.app()).await;
    assert_eq!(rig.smtp.mails_to("victim@example.com").len(), 3);
}

async fn a_confirmed_claim_wins(deployment: Deployment) {
    let rig = Rig::on(deployment).await;
    let auth = filot::auth::Auth::new(rig.app().clone()).unwrap();
    // Made before addresses were confirmed, by somebody who never showed that it is theirs.
    let squatter =
        auth.create("siti@example.com", "the squatter's one", None, Role::User, None).await.unwrap();
    let theirs = auth.grant(squatter.clone()).await.unwrap();
    let officer =
        auth.create("ani@example.com", "the officer's one", None, Role::Reviewer, None).await.unwrap();
    rig.register("siti@example.com", PASSWORD).await.ok();
    mail::send_due(rig.app()).await;
    // Somebody else registers with it, too, and cannot read its mail.
    rig.register("siti@example.com", "the thief's one").await.ok();
    rig.register("ani@example.com", PASSWORD).await.ok();
    mail::send_due(rig.app()).await;
    let mails = rig.smtp.mails_to("siti@example.com");
    rig.confirm(&mails[1].token(), PASSWORD).await.is(401, "wrong_credentials");
    let owner = Person::of(&rig.confirm(&mails[0].token(), PASSWORD).await.ok());
    assert_ne!(rig.server.get(&owner, "/auth/me").await.ok()["id"], squatter.id.to_string());
    rig.login("siti@example.com", "the squatter's one").await.is(401, "wrong_credentials");
    assert!(auth.refresh(&theirs.refresh_token).await.is_err());
    rig.confirm(&mails[1].token(), "the thief's one").await.is(403, "link_invalid");
    // An officer's account was made by whoever runs the service, and stays.
    assert!(!rig.smtp.mails_to("ani@example.com")[0].text.contains("#confirm="));
    let ani = rig.app().store.user(officer.id).await.unwrap();
    assert_eq!(ani.email.as_deref(), Some("ani@example.com"));
}

on_sqlite_and_postgres! {
    an_address_is_confirmed_by_its_mail_and_the_password
    registering_tells_nobody_who_has_an_account
    a_confirmed_claim_wins
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_outlives_an_outage_and_is_given_up_when_it_is_refused() {
    let rig = Rig::on(Deployment::embedded()).await;
    let backlog = async || {
        let backlog = rig.app().store.backlog(EffectKind::Mail).await.unwrap();
        backlog.new + backlog.retrying
    };
    rig.smtp.set(Manner::Busy);
    rig.register("siti@example.com", PASSWORD).await.ok();
    mail::send_due(rig.app()).await;
    assert_eq!((backlog().await, rig.smtp.mails_to("siti@example.com").len()), (1, 0));
    rig.smtp.set(Manner::Takes);
    mail::send_due(rig.app()).await;
    assert_eq!(backlog().await, 1, "not before it is due");
    rig.clock.advance(SignedDuration::from_secs(5));
    mail::send_due(rig.app()).await;
    mail::send_due(rig.app()).await;
    assert_eq!((backlog().await, rig.smtp.mails_to("siti@example.com").len()), (0, 1));

    rig.smtp.set(Manner::Refuses);
    rig.register("nobody@example.com", PASSWORD).await.ok();
    mail::send_due(rig.app()).await;
    assert_eq!(backlog().await, 0, "nobody of that name");
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_can_be_closed_and_is_where_nobody_chose() {
    let relaxed = [
        ("NODE_ENV", "staging"),
        ("FILOT_SERVER_RELAXED", "secrets,metrics,checkpoints"),
        ("DATABASE_CREATE", "true"),
    ];
    for settings in [&[("FILOT_AUTH_REGISTRATION", "closed")][..], &relaxed] {
        let deployment =
            settings.iter().fold(Deployment::embedded(), |it, (name, value)| it.with(name, value));
        let (server, _deployment) = Server::start(deployment).await;
        let body = json!({ "email": "siti@example.com", "password": PASSWORD });
        server.post("/auth/register", None, body).await.is(403, "registration_closed");
        assert!(server.inner.app.store.user_by_email("siti@example.com").await.unwrap().is_none());
    }
}

/// Where no mail is sent, who has an account can be asked, but not for many addresses.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_cannot_be_tried_one_after_the_other() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let known = server.person().await;
    let mut told = Vec::new();
    for _ in 0..30 {
        let body: Value = json!({ "email": known.email, "password": PASSWORD });
        told.push(server.post("/auth/register", None, body).await.status);
    }
    let asked = told.iter().filter(|status| **status == 409).count();
    assert!((20..=23).contains(&asked), "{told:?}");
    assert_eq!(told.last(), Some(&429));
}
