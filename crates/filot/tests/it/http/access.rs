//! Who gets in, and to what.

use filot::auth::token::Claims;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::server::{PASSWORD, Person, Server, generous};
use crate::support::Deployment;
use crate::support::cards::scripted;

#[tokio::test(flavor = "multi_thread")]
async fn accounts_sign_in_refresh_and_leave() {
    let deployment = generous(Deployment::embedded());
    let clock = filot::clock::Clock::by_hand(Timestamp::now());
    let server = Server::on(deployment.app_with(scripted(), clock).await).await;
    let who = server.person().await;
    let login = async |email: &str, password: &str| {
        server.post("/auth/login", None, json!({ "email": email, "password": password })).await
    };
    login(&who.email, "not the password").await.is(401, "wrong_credentials");
    login("nobody@example.com", PASSWORD).await.is(401, "wrong_credentials");
    let register = async |body: Value| server.post("/auth/register", None, body).await;
    register(json!({ "email": who.email.to_uppercase(), "password": PASSWORD })).await.is(409, "email_taken");
    register(json!({ "email": "a@b.co", "password": "short" })).await.is(400, "invalid_credentials_format");
    register(json!({ "email": "nobody", "password": PASSWORD })).await.is(400, "invalid_credentials_format");
    register(json!({ "email": "a@b.co", "password": PASSWORD, "role": "admin" }))
        .await
        .is(400, "invalid_body");

    let second = Person::of(&login(&who.email.to_uppercase(), PASSWORD).await.ok());
    let me = server.get(&second, "/auth/me").await.ok();
    assert_eq!((&me["email"], &me["role"]), (&json!(who.email), &json!("user")));

    // Rotation: the old token is good for another ten seconds, then it ends the session.
    let refresh =
        async |token: &str| server.post("/auth/refresh", None, json!({ "refreshToken": token })).await;
    let third = Person::of(&refresh(&second.refresh).await.ok());
    assert_ne!(third.refresh, second.refresh);
    // What comes again gets the same next one: copies of a token cannot go on side by side.
    for again in futures_util::future::join_all((0..5).map(|_| refresh(&second.refresh))).await {
        assert_eq!(Person::of(&again.ok()).refresh, third.refresh);
    }
    clock.advance(SignedDuration::from_secs(11));
    refresh(&second.refresh).await.is(401, "invalid_refresh_token");
    refresh(&third.refresh).await.is(401, "invalid_refresh_token");
    server.get(&third, "/auth/me").await.is(401, "invalid_token");

    // The first session is another one, and ends with its logout.
    server.get(&who, "/auth/me").await.ok();
    assert_eq!(server.post("/auth/logout", Some(&who.access), json!({})).await.status, 204);
    server.get(&who, "/auth/me").await.is(401, "invalid_token");
    refresh(&who.refresh).await.is(401, "invalid_refresh_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_takes_what_a_person_can_be() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    let put = async |body: Value| {
        server.send(server.request(Method::PUT, "/profile").bearer_auth(&who.access).json(&body)).await
    };
    let set = put(json!({ "fullName": " Siti Contoh ", "phone": "+62 812-0000-0000" })).await.ok();
    assert_eq!((&set["fullName"], &set["phone"]), (&json!("Siti Contoh"), &json!("+62 812-0000-0000")));
    let cleared = put(json!({ "phone": null })).await.ok();
    assert_eq!((&cleared["fullName"], &cleared["phone"]), (&json!("Siti Contoh"), &json!(null)));
    put(json!({ "fullName": "" })).await.is(422, "invalid_field");
    put(json!({ "fullName": "a\nb" })).await.is(422, "invalid_field");
    put(json!({ "phone": "javascript:1" })).await.is(422, "invalid_field");
    put(json!({ "fullName": { "a": 1 } })).await.is(400, "invalid_body");
    put(json!([])).await.is(400, "invalid_body");
    put(json!({ "role": "admin" })).await.is(400, "invalid_body");
    let broken = server.request(Method::PUT, "/profile").bearer_auth(&who.access);
    server.send(broken.header("content-type", "application/json").body("{")).await.is(400, "invalid_body");
    let long = json!({ "fullName": "a".repeat(70_000) });
    put(long).await.is(413, "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_comes_by_a_link_that_works_once() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let auth = filot::auth::Auth::new(server.inner.app.clone()).unwrap();
    let (token, spare) =
        (auth.first_admin_token().await.unwrap().unwrap(), auth.first_admin_token().await.unwrap().unwrap());
    let become_admin = async |token: &str, email: &str, password: &str| {
        server
            .post("/auth/first-admin", None, json!({ "token": token, "email": email, "password": password }))
            .await
    };
    become_admin("guess", "root@example.com", PASSWORD).await.is(403, "link_invalid");
    // What the person may mend does not use up the link.
    become_admin(&token, "root@example.com", "short").await.is(400, "invalid_credentials_format");
    assert_eq!(become_admin(&token, "root@example.com", PASSWORD).await.ok()["user"]["role"], "admin");
    become_admin(&token, "two@example.com", PASSWORD).await.is(403, "link_invalid");
    become_admin(&spare, "two@example.com", PASSWORD).await.is(403, "link_invalid");
    assert_eq!(auth.first_admin_token().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_token_is_accepted() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let who = server.person().await;
    let secret = server.inner.app.keys.jwt.expose_secret().as_bytes().to_vec();
    let genuine: Claims = jsonwebtoken::dangerous::insecure_decode::<Claims>(&who.access).unwrap().claims;
    let sign = |claims: &Value, algorithm: Algorithm, secret: &[u8]| {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret).unwrap())
            .unwrap()
    };
    let claims = serde_json::to_value(&genuine).unwrap();
    let own = |claims: &Value| sign(claims, Algorithm::HS256, &secret);
    let ask =
        async |token: &str| server.send(server.request(Method::GET, "/auth/me").bearer_auth(token)).await;
    assert_eq!(ask(&own(&claims)).await.status, 200, "the same claims under the right key are good");

    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        own(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        own(&claims)
    };
    let (head, rest) = who.access.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let encoded = |text: &str| base64(text.as_bytes());
    let none = |alg: &str| encoded(&format!("{{\"alg\":\"{alg}\",\"typ\":\"JWT\"}}"));
    let stranger = base64(serde_json::to_string(&json!({ "sub": uuid::Uuid::nil() })).unwrap().as_bytes());
    let forged = [
        ("empty", String::new()),
        ("word", "token".to_owned()),
        ("dots", "..".to_owned()),
        ("no signature", format!("{head}.{body}.")),
        ("no signature part", format!("{head}.{body}")),
        ("alg none", format!("{}.{body}.", none("none"))),
        ("alg None", format!("{}.{body}.", none("None"))),
        ("alg NONE, signature kept", format!("{}.{body}.{signature}", none("NONE"))),
        ("alg empty", format!("{}.{body}.{signature}", none(""))),
        ("alg RS256", format!("{}.{body}.{signature}", none("RS256"))),
        ("alg ES256", format!("{}.{body}.{signature}", none("ES256"))),
        ("alg EdDSA", format!("{}.{body}.{signature}", none("EdDSA"))),
        ("alg HS384", sign(&claims, Algorithm::HS384, &secret)),
        ("alg HS512", sign(&claims, Algorithm::HS512, &secret)),
        ("key empty", with_empty_key(&claims)),
        ("key guessed", sign(&claims, Algorithm::HS256, b"secret")),
        ("key longer", sign(&claims, Algorithm::HS256, &[&secret[..], b"x"].concat())),
        ("body swapped", format!("{head}.{stranger}.{signature}")),
        ("signature cut", who.access[..who.access.len() - 2].to_owned()),
        ("signature lengthened", format!("{}AA", who.access)),
        ("signature of another", format!("{head}.{body}.{}", own(&json!({})).rsplit_once('.').unwrap().1)),
        ("four parts", format!("{}.x", who.access)),
        ("padded", format!("{}=", who.access)),
        ("expired", with("exp", json!(genuine.iat - 1))),
        ("expired now", with("exp", json!(Timestamp::now().as_second()))),
        ("expiry is a text", with("exp", json!(genuine.exp.to_string()))),
        ("expiry is null", with("exp", json!(null))),
        ("no expiry", without("exp")),
        ("issued in the future", with("iat", json!(genuine.iat + 3600))),
        ("no time of issue", without("iat")),
        ("other issuer", with("iss", json!("https://example.com"))),
        ("issuer longer", with("iss", json!(format!("{}/", genuine.iss)))),
        ("no issuer", without("iss")),
        ("other audience", with("aud", json!("other"))),
        ("no audience", without("aud")),
        ("other session", with("sid", json!(uuid::Uuid::nil()))),
        ("no session", without("sid")),
        ("other person, same session", with("sub", json!(server.inner.user))),
        ("person is no id", with("sub", json!("admin"))),
        ("no person", without("sub")),
        ("service key", server.inner.app.keys.service_internal.expose_secret().to_owned()),
        ("refresh token", who.refresh.clone()),
    ];
    assert!(forged.len() >= 40);
    for (what, token) in &forged {
        let answer = ask(token).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
    }
}

/// Signed with the empty key, which the library makes no tokens with.
fn with_empty_key(claims: &Value) -> String {
    let header = serde_json::to_string(&Header::new(Algorithm::HS256)).unwrap();
    let signed = format!("{}.{}", base64(header.as_bytes()), base64(claims.to_string().as_bytes()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"");
    format!("{signed}.{}", base64(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
