//! Stack Auth, played by an issuer that rotates its keys and fails.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use filot::auth::stack::StackAuth;
use filot::auth::{Error, STACK_PROVIDER};
use filot::store::{NewUser, Role};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::server::{Answer, Server, generous};
use crate::support::Deployment;

const PROJECT: &str = "00000000-0000-4000-8000-000000000001";

struct SigningKey {
    id: &'static str,
    private: EncodingKey,
    public: Value,
}

impl SigningKey {
    fn new(id: &'static str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref()).unwrap();
        // An uncompressed point: 4, x, y.
        let point = &pair.public_key().as_ref()[1..];
        let [x, y] = [&point[..32], &point[32..]].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        let public = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": id, "x": x, "y": y });
        Self { id, private: EncodingKey::from_ec_der(private.as_ref()), public }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// What the issuer answers, and how often it was asked.
#[derive(Clone, Default)]
struct Issuer {
    keys: Arc<Mutex<Option<Vec<Value>>>>,
    asked: Arc<AtomicU32>,
    hangs: Arc<AtomicBool>,
}

impl Issuer {
    /// Starts one and returns its address.
    async fn start(&self) -> String {
        async fn keys(State(issuer): State<Issuer>) -> Result<axum::Json<Value>, StatusCode> {
            issuer.asked.fetch_add(1, Ordering::SeqCst);
            if issuer.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let keys = issuer.keys.lock().unwrap().clone();
            keys.map(|keys| axum::Json(json!({ "keys": keys }))).ok_or(StatusCode::BAD_GATEWAY)
        }
        let path = format!("/api/v1/projects/{PROJECT}/.well-known/jwks.json");
        let router = Router::new().route(&path, get(keys)).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }

    fn publish(&self, keys: &[&SigningKey]) {
        *self.keys.lock().unwrap() = Some(keys.iter().map(|key| key.public.clone()).collect());
    }

    fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    fn fail(&self) {
        *self.keys.lock().unwrap() = None;
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn claims(api: &str, subject: &str, email: &str, verified: bool) -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": format!("{api}/api/v1/projects/{PROJECT}"), "aud": PROJECT, "sub": subject, "iat": now, "exp": now + 600,
        "email": email, "email_verified": verified, "name": "Siti Contoh", "role": "authenticated",
    })
}

/// What somebody is answered whose token is genuine, and who has no account.
pub(super) async fn token_of_a_stranger() -> Answer {
    let (issuer, key) = (Issuer::default(), SigningKey::new("one"));
    issuer.publish(&[&key]);
    let api = issuer.start().await;
    let deployment = Deployment::embedded().with("STACK_PROJECT_ID", PROJECT).with("STACK_API_URL", &api);
    let (server, _deployment) = Server::start(generous(deployment)).await;
    let token = key.sign(&claims(&api, "siti", "siti@example.com", true));
    server.send(server.request(reqwest::Method::GET, "/auth/me").bearer_auth(token)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_stack_auth_get_in_and_take_over_nobody() {
    let (issuer, key) = (Issuer::default(), SigningKey::new("one"));
    issuer.publish(&[&key]);
    let api = issuer.start().await;
    let deployment = Deployment::embedded().with("STACK_PROJECT_ID", PROJECT).with("STACK_API_URL", &api);
    let (server, _deployment) = Server::start(generous(deployment)).await;
    let verify = async |token: &str| server.post("/auth/verify", None, json!({ "accessToken": token })).await;
    let me = async |token: &str| {
        server.send(server.request(reqwest::Method::GET, "/auth/me").bearer_auth(token)).await
    };

    let token = key.sign(&claims(&api, "siti", "siti@example.com", true));
    me(&token).await.is(401, "unknown_user");
    let signed_in = verify(&token).await.ok();
    assert_eq!(signed_in["user"]["email"], "siti@example.com");
    assert_eq!(verify(&token).await.ok()["user"]["id"], signed_in["user"]["id"], "the same account again");
    assert_eq!(me(&token).await.ok()["id"], signed_in["user"]["id"], "the token itself is good, too");
    assert_eq!(me(signed_in["accessToken"].as_str().unwrap()).await.ok()["id"], signed_in["user"]["id"]);

    // Another subject with the same e-mail, verified or not, is another person.
    for (subject, verified) in [("thief", false), ("thief-2", true)] {
        let thief = verify(&key.sign(&claims(&api, subject, "siti@example.com", verified))).await.ok();
        assert_ne!(thief["user"]["id"], signed_in["user"]["id"]);
        assert_eq!(thief["user"]["email"], json!(null));
    }
    // A local account whose e-mail nobody has verified is not linked: whoever made it may be someone else.
    let local = server.person().await;
    let theirs = verify(&key.sign(&claims(&api, "later", &local.email, true))).await.ok();
    assert_ne!(theirs["user"]["id"], server.get(&local, "/auth/me").await.ok()["id"]);
    // One with a verified e-mail is.
    let new = NewUser {
        email: Some("known@example.com".into()),
        email_verified: true,
        password_hash: None,
        provider: None,
        role: Role::User,
        full_name: None,
    };
    let known = server.inner.app.store.create_user(new).await.unwrap();
    verify(&key.sign(&claims(&api, "unproven", "known@example.com", false))).await.ok();
    assert!(server.inner.app.store.user(known.id).await.unwrap().provider.is_none());
    let linked = verify(&key.sign(&claims(&api, "known", "known@example.com", true))).await.ok();
    assert_eq!(linked["user"]["id"], known.id.to_string());
    let linked = server.inner.app.store.user(known.id).await.unwrap();
    assert_eq!(linked.provider, Some((STACK_PROVIDER.to_owned(), "known".to_owned())));

    let forger = SigningKey::new("one");
    let good = claims(&api, "siti", "siti@example.com", true);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        key.sign(&claims)
    };
    let forged = [
        ("another key", forger.sign(&good)),
        ("unknown key", SigningKey::new("two").sign(&good)),
        ("anonymous", with("aud", json!(format!("{PROJECT}:anon")))),
        ("restricted", with("aud", json!(format!("{PROJECT}:restricted")))),
        ("marked anonymous", with("is_anonymous", json!(true))),
        ("marked restricted", with("is_restricted", json!(true))),
        ("another project", with("aud", json!("00000000-0000-4000-8000-000000000002"))),
        ("another issuer", with("iss", json!("https://api.example.com"))),
        ("another project's issuer", with("iss", json!(format!("{api}/api/v1/projects/other")))),
        ("expired", with("exp", json!(Timestamp::now().as_second() - 1))),
        ("not yet", with("nbf", json!(Timestamp::now().as_second() + 3600))),
        ("nobody", with("sub", json!(""))),
        ("signed with the public key as a secret", {
            let secret = key.public["x"].as_str().unwrap().as_bytes();
            let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::HS256) };
            jsonwebtoken::encode(&header, &good, &EncodingKey::from_secret(secret).unwrap()).unwrap()
        }),
        ("no key id", jsonwebtoken::encode(&Header::new(Algorithm::ES256), &good, &key.private).unwrap()),
    ];
    for (what, token) in &forged {
        assert_eq!(me(token).await.status, 401, "{what}");
        verify(token).await.is(401, "invalid_token");
    }
    assert!(issuer.asked() <= 3, "unknown key ids do not make it ask without end: {}", issuer.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_and_outages_pass() {
    let (issuer, first, second) = (Issuer::default(), SigningKey::new("one"), SigningKey::new("two"));
    let api = issuer.start().await;
    let stack = StackAuth::new(&api, PROJECT).unwrap();
    let good = claims(&api, "siti", "siti@example.com", true);
    let verify = async |key: &SigningKey| stack.verify(&key.sign(&good), Timestamp::now()).await;
    let pause = async || tokio::time::sleep(std::time::Duration::from_millis(5_200)).await;

    // Down from the start: nobody can be told from anybody, and the issuer is not asked for each token.
    for _ in 0..5 {
        assert!(matches!(verify(&first).await, Err(Error::Issuer)));
    }
    assert_eq!(issuer.asked(), 1);
    issuer.publish(&[&first]);
    pause().await;
    let all = futures_util::future::join_all((0..20).map(|_| verify(&first))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(issuer.asked(), 2, "one request for all");

    issuer.publish(&[&second]);
    assert!(matches!(verify(&second).await, Err(Error::Token)), "asked a moment ago");
    pause().await;
    assert!(verify(&second).await.is_ok(), "an unknown key id makes it look again");
    assert!(matches!(verify(&first).await, Err(Error::Token)), "the old key is gone");

    issuer.fail();
    pause().await;
    assert!(verify(&second).await.is_ok(), "known keys outlast an outage");
    assert!(matches!(verify(&first).await, Err(Error::Token)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_hangs_holds_up_nobody_whose_key_is_known() {
    let (issuer, known) = (Issuer::default(), SigningKey::new("one"));
    issuer.publish(&[&known]);
    let api = issuer.start().await;
    let stack = Arc::new(StackAuth::new(&api, PROJECT).unwrap());
    let good = claims(&api, "siti", "siti@example.com", true);
    let token = known.sign(&good);
    stack.verify(&token, Timestamp::now()).await.unwrap();
    issuer.hang();
    tokio::time::sleep(std::time::Duration::from_millis(5_200)).await;
    let strangers: Vec<_> = (0..20)
        .map(|number| {
            let (stack, token) =
                (Arc::clone(&stack), SigningKey::new(["two", "three"][number % 2]).sign(&good));
            tokio::spawn(async move { stack.verify(&token, Timestamp::now()).await })
        })
        .collect();
    crate::support::eventually("a question", std::time::Duration::from_secs(5), || async {
        issuer.asked() == 2
    })
    .await;
    let start = std::time::Instant::now();
    for _ in 0..100 {
        stack.verify(&token, Timestamp::now()).await.unwrap();
    }
    assert!(strangers.iter().all(|stranger| !stranger.is_finished()), "they wait for the issuer");
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "{:?}", start.elapsed());
    for stranger in strangers {
        assert!(matches!(stranger.await.unwrap(), Err(Error::Token)));
    }
    assert_eq!(issuer.asked(), 2, "one question for all of them");
}
