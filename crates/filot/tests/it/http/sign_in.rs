//! Passwords and sign-ins: what others cannot do to them, and what their owner can.

use std::collections::BTreeMap;

use filot::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::json;

use super::server::{Answer, PASSWORD, Person, Server, generous};
use crate::support::Deployment;
use crate::support::cards::{Script, card, scripted};

async fn login(server: &Server, email: &str, password: &str, from: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    let request = server.request(Method::POST, "/auth/login").header("x-forwarded-for", from).json(&body);
    server.send(request).await
}

/// Ten addresses guess, each once a second for ten minutes. The owner signs in every ten seconds, from where they have
/// done so before, and is never turned away; the guessers are, nearly always.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_keep_another_from_signing_in() {
    let deployment = generous(Deployment::embedded()).with("FILOT_SERVER_TRUSTED_PROXIES", "1");
    let clock = Clock::by_hand(Timestamp::now());
    let server = Server::on(deployment.app_with(scripted(), clock).await).await;
    let who = server.person().await;
    login(&server, &who.email, PASSWORD, "203.0.113.7").await.ok();

    let mut told: BTreeMap<u16, u32> = BTreeMap::new();
    for second in 0..600 {
        for number in 0..10 {
            let from = format!("198.51.{number}.9");
            let guess = login(&server, &who.email, &format!("guess {second} {number}"), &from).await;
            *told.entry(guess.status).or_default() += 1;
        }
        if second % 10 == 0 {
            // A neighbour's address of the same provider will do.
            let from = format!("203.0.113.{}", second % 250 + 1);
            login(&server, &who.email, PASSWORD, &from).await.ok();
        }
        clock.advance(SignedDuration::from_secs(1));
    }
    println!("6000 guesses: {told:?}");
    // Thirty at once and one a minute, wherever they come from.
    let tried = told[&401];
    assert!(tried <= 41, "{told:?}");
    assert_eq!(told[&401] + told[&429], 6000, "{told:?}");
    // From elsewhere the owner waits with the guessers, and not for ever.
    login(&server, &who.email, PASSWORD, "192.0.2.1").await.is(429, "rate_limited");
    clock.advance(SignedDuration::from_mins(2));
    login(&server, &who.email, PASSWORD, "192.0.2.1").await.ok();

    // A guesser among the owner's neighbours has ten tries at once.
    let mut tried = 0;
    for number in 0..50 {
        tried +=
            u32::from(login(&server, &who.email, &format!("{number}"), "203.0.113.200").await.status == 401);
    }
    assert!(tried <= 10, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_does_not_try_one_password_with_every_account() {
    let deployment = generous(Deployment::embedded()).with("FILOT_SERVER_TRUSTED_PROXIES", "1");
    let clock = Clock::by_hand(Timestamp::now());
    let server = Server::on(deployment.app_with(scripted(), clock).await).await;
    let mut tried = 0;
    for number in 0..100 {
        let guess =
            login(&server, &format!("person{number}@example.com"), "password123", "198.51.100.1").await;
        tried += u32::from(guess.status == 401);
    }
    assert_eq!(tried, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_ends_all_other_sign_ins() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let first = server.person().await;
    let login = async |password: &str| {
        server.post("/auth/login", None, json!({ "email": first.email, "password": password })).await
    };
    let second = Person::of(&login(PASSWORD).await.ok());
    let change = async |present: &str, new: &str| {
        let body = json!({ "currentPassword": present, "newPassword": new });
        server.post("/auth/password", Some(&first.access), body).await
    };
    let new = "a better and longer one";
    change("not the password", new).await.is(401, "wrong_credentials");
    change(PASSWORD, "short").await.is(400, "invalid_credentials_format");
    server.get(&second, "/auth/me").await.ok();
    assert_eq!(change(PASSWORD, new).await.status, 204);
    server.get(&first, "/auth/me").await.ok();
    server.get(&second, "/auth/me").await.is(401, "invalid_token");
    let refresh =
        async |token: &str| server.post("/auth/refresh", None, json!({ "refreshToken": token })).await;
    refresh(&second.refresh).await.is(401, "invalid_refresh_token");
    refresh(&first.refresh).await.ok();
    login(PASSWORD).await.is(401, "wrong_credentials");
    login(new).await.ok();
    // A stolen access token does not guess the password.
    let mut told = Vec::new();
    for number in 0..15 {
        told.push(change(&format!("guess {number}"), new).await.status);
    }
    assert_eq!(told.last(), Some(&429), "{told:?}");
    // Who signs in elsewhere has no password to change.
    let stranger = filot::auth::Auth::new(server.inner.app.clone()).unwrap();
    let user = server.inner.app.store.user(server.inner.user).await.unwrap();
    let grant = stranger.grant(user).await.unwrap();
    let body = json!({ "currentPassword": "", "newPassword": new });
    server.post("/auth/password", Some(&grant.access_token), body).await.is(409, "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sign_ins_end_at_once_and_links_to_files_with_theirs() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let first = server.person().await;
    let body = json!({ "email": first.email, "password": PASSWORD });
    let second = Person::of(&server.post("/auth/login", None, body.clone()).await.ok());
    let third = Person::of(&server.post("/auth/login", None, body).await.ok());
    let other = server.person().await;
    let id = server.upload(&first, &card(1, Script::Approve, 0)).await.ok()["documentId"].clone();
    let link = async |who: &Person| {
        let link = server.get(who, &format!("/documents/{}/download", id.as_str().unwrap())).await.ok();
        let url = link["url"].as_str().unwrap().to_owned();
        url[url.find("/files/").unwrap()..].to_owned()
    };
    let fetch = async |path: &str| server.send(server.request(Method::GET, path)).await;
    let (of_first, of_second) = (link(&first).await, link(&second).await);
    assert_eq!((fetch(&of_first).await.status, fetch(&of_second).await.status), (200, 200));
    // Without the session, or with another's, it is not the link that was given out.
    let (without, session) = of_second.split_once("&session=").unwrap();
    fetch(without).await.is(403, "link_invalid");
    fetch(&of_first.replace(of_first.split_once("&session=").unwrap().1, session))
        .await
        .is(403, "link_invalid");

    assert_eq!(server.post("/auth/logout", Some(&second.access), json!({})).await.status, 204);
    fetch(&of_second).await.is(403, "link_expired");
    assert_eq!(fetch(&of_first).await.status, 200);
    let end = server.request(Method::DELETE, "/auth/sessions").bearer_auth(&third.access);
    assert_eq!(server.send(end).await.status, 204);
    for who in [&first, &second, &third] {
        server.get(who, "/auth/me").await.is(401, "invalid_token");
        let refresh = json!({ "refreshToken": who.refresh });
        server.post("/auth/refresh", None, refresh).await.is(401, "invalid_refresh_token");
    }
    fetch(&of_first).await.is(403, "link_expired");
    server.get(&other, "/auth/me").await.ok();
}

/// PostgreSQL stores no text with U+0000 and would say so by an error of the server.
#[tokio::test(flavor = "multi_thread")]
async fn u_0000_is_refused_at_every_door() {
    let (server, _deployment) = Server::start(Deployment::postgres()).await;
    let who = server.person().await;
    let nul = "a\0b";
    let email = format!("siti{nul}@example.com");
    let bodies = [
        ("/auth/login", json!({ "email": email, "password": PASSWORD })),
        ("/auth/login", json!({ "email": who.email, "password": nul })),
        ("/auth/register", json!({ "email": email, "password": PASSWORD })),
        ("/auth/register", json!({ "email": "a@b.co", "password": PASSWORD, "fullName": nul })),
        ("/auth/refresh", json!({ "refreshToken": nul })),
        ("/auth/verify", json!({ "accessToken": nul })),
        ("/auth/confirm", json!({ "token": nul, "password": nul })),
        ("/auth/trial", json!({ "code": nul })),
        ("/auth/first-admin", json!({ "token": nul, "email": email, "password": PASSWORD })),
        ("/auth/login", json!({ nul: 1 })),
    ];
    for (path, body) in bodies {
        server.post(path, None, body).await.is(422, "invalid_field");
    }
    let profile = server.request(Method::PUT, "/profile").bearer_auth(&who.access);
    server.send(profile.json(&json!({ "fullName": nul }))).await.is(422, "invalid_field");
    let id = uuid::Uuid::nil();
    for path in [
        "/documents?limit=%00",
        "/documents?cursor=a%00b",
        "/documents/%00",
        &format!("/files/{id}?user={id}&expires=1&signature=%00"),
        "/retake/%00",
        "/console/enrol/%00",
        "/console/dashboard?days=%00",
        "/console/%00",
    ] {
        let answer = server.get(&who, path).await;
        assert_eq!(answer.status, 400, "{path} {answer:?}");
    }
    for form in ["email=a%00b%40example.com&password=x", "email=a&password=a%00", "%00=1"] {
        let request = server.request(Method::POST, "/console/login").header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        assert_eq!(server.send(request).await.status, 422, "{form}");
    }
    // What a door forgets is still no outage.
    let error = server.inner.app.store.user_by_email(&email).await.unwrap_err();
    assert!(matches!(error, filot::store::Error::Unstorable), "{error:?}");
}
