//! A3: every route of the description, and every kind of caller who has no business there.

use std::collections::BTreeMap;

use filot::auth::Auth;
use filot::clock::Clock;
use filot::store::{AccountChange, Actor, Role};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::operations::operations;
use super::server::{Answer, PASSWORD, Person, Server, form, generous};
use crate::support::Deployment;
use crate::support::cards::{Script, card, scripted};

/// Routes that are open to everybody. One that loses its lock fails here, one that needs none is added.
const OPEN: &[&str] = &[
    "GET /files/{id}",
    "GET /health",
    "GET /health/temporal",
    "GET /metrics",
    "GET /ready",
    "POST /auth/confirm",
    "POST /auth/first-admin",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/register",
    "POST /auth/trial",
    "POST /auth/verify",
];

/// Routes that end the sign-in of whoever comes in.
const ENDS_SESSIONS: &[&str] = &["/auth/logout", "/auth/sessions"];

/// Whose doors they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lock {
    /// An access token.
    Token,
    /// The key of a neighbouring service.
    Service,
}

/// Somebody at a door.
struct Caller {
    what: &'static str,
    token: Option<String>,
    /// The header of old that neighbours may use instead.
    header: bool,
    may: May,
}

/// What they may.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    Nothing,
    /// What is theirs: a good token of somebody who owns nothing here.
    Own,
    /// What neighbouring services may.
    Service,
}

struct World {
    server: Server,
    clock: Clock,
    _deployment: Deployment,
}

impl World {
    async fn make() -> Self {
        let deployment = generous(Deployment::embedded());
        let clock = Clock::by_hand(Timestamp::now());
        let mut server = Server::on(deployment.app_with(scripted(), clock).await).await;
        server.inner.work();
        Self { server, clock, _deployment: deployment }
    }

    async fn officer(&self, role: Role) -> Person {
        let email = format!("{}@example.com", uuid::Uuid::now_v7());
        let auth = Auth::new(self.server.inner.app.clone()).unwrap();
        auth.create(&email, PASSWORD, None, role, None).await.unwrap();
        let login = json!({ "email": email, "password": PASSWORD });
        Person::of(&self.server.post("/auth/login", None, login).await.ok())
    }

    /// Everybody; made once and used at every door. Each token is good but for the one thing that its caller lacks.
    async fn callers(&self) -> Vec<Caller> {
        let server = &self.server;
        let expired = server.person().await;
        self.clock.advance(SignedDuration::from_secs(901));
        let revoked = server.person().await;
        assert_eq!(server.post("/auth/logout", Some(&revoked.access), json!({})).await.status, 204);
        let disabled = server.person().await;
        let store = &server.inner.app.store;
        let account = store.user_by_email(&disabled.email).await.unwrap().unwrap();
        let change = AccountChange { disabled: Some(true), ..AccountChange::default() };
        store.change_account(account.id, change, &Actor::Operator, "left").await.unwrap();
        let (reviewer, admin) = (self.officer(Role::Reviewer).await, self.officer(Role::Admin).await);
        let other = server.person().await;
        let forged = format!("{}AAAA", &other.access[..other.access.len() - 4]);
        let key = server.inner.app.keys.service_internal.expose_secret().to_owned();
        let wrong_key = format!("{}x", &key[..key.len() - 1]);
        let caller =
            |what, token: &str, may| Caller { what, token: Some(token.to_owned()), header: false, may };
        vec![
            Caller { what: "no token", token: None, header: false, may: May::Nothing },
            caller("an empty token", "", May::Nothing),
            caller("a forged token", &forged, May::Nothing),
            caller("an expired token", &expired.access, May::Nothing),
            caller("a revoked session", &revoked.access, May::Nothing),
            caller("a disabled account", &disabled.access, May::Nothing),
            caller("a refresh token", &other.refresh, May::Nothing),
            caller("another user", &other.access, May::Own),
            caller("a reviewer", &reviewer.access, May::Own),
            caller("an admin", &admin.access, May::Own),
            caller("the service key", &key, May::Service),
            caller("a wrong service key", &wrong_key, May::Nothing),
            Caller { header: true, ..caller("the service key in the header of old", &key, May::Service) },
            Caller { header: true, ..caller("a wrong service key there", &wrong_key, May::Nothing) },
        ]
    }

    /// A request that would do something if it were let in.
    fn request(&self, method: &str, path: &str, id: &str) -> RequestBuilder {
        let request = self.server.request(method.parse::<Method>().unwrap(), &path.replace("{id}", id));
        match (method, path) {
            ("POST", "/documents/upload") => request.multipart(form(&card(7, Script::Approve, 0), "KTP")),
            ("PUT", "/profile") => request.json(&json!({ "fullName": "Siti Contoh" })),
            ("POST", "/internal/reviews" | "/internal/reviews/{id}/callback") => {
                request.json(&json!({ "documentId": id, "decision": "approved" }))
            }
            ("POST", _) => request.json(&json!({})),
            _ => request,
        }
    }

    async fn ask(&self, method: &str, path: &str, id: &str, caller: &Caller) -> Answer {
        let request = self.request(method, path, id);
        let request = match &caller.token {
            None => request,
            Some(token) if caller.header => request.header("x-service-key", token),
            Some(token) => request.bearer_auth(token),
        };
        self.server.send(request).await
    }
}

/// What is wrong with an answer, if anything is.
fn fault(lock: Lock, path: &str, caller: &Caller, answer: &Answer) -> Option<String> {
    let code = answer.body["code"].as_str().unwrap_or_default();
    let right = match (lock, caller.may) {
        // A service key in its own header is no token, and none is missing where it is sent.
        (Lock::Token, May::Nothing | May::Service) => answer.status == 401,
        // What is somebody else's is not there.
        (Lock::Token, May::Own) if path.contains("{id}") => (answer.status, code) == (404, "not_found"),
        (Lock::Token, May::Own) => !matches!(answer.status, 401 | 403 | 404),
        (Lock::Service, May::Service) => code != "invalid_service_key",
        (Lock::Service, _) => (answer.status, code) == (401, "invalid_service_key"),
    };
    (!right).then(|| format!("{}: {answer:?}", caller.what))
}

/// The lock of an operation, as the description has it.
fn lock_of(operation: &Value) -> Option<Lock> {
    match operation["security"][0].as_object()?.keys().next()?.as_str() {
        "token" => Some(Lock::Token),
        "service" => Some(Lock::Service),
        other => panic!("callers of {other} are not tried"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_closed_to_everyone_who_has_no_business_there() {
    let world = World::make().await;
    let server = &world.server;
    let callers = world.callers().await;
    let owner = server.person().await;
    let id = server.upload(&owner, &card(1, Script::Review, 0)).await.ok()["documentId"]
        .as_str()
        .unwrap()
        .to_owned();
    server.inner.finished(id.parse().unwrap()).await;
    let nothing = uuid::Uuid::nil().to_string();

    let document = server.send(server.request(Method::GET, "/openapi.json")).await.ok();
    let (mut open, mut tried, mut faults) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (method, path, operation) in operations(&document) {
        let Some(lock) = lock_of(&operation) else {
            open.push(format!("{method} {path}"));
            continue;
        };
        for caller in &callers {
            // Of those who may come in here, this would end what later doors need.
            if caller.may == May::Own && ENDS_SESSIONS.contains(&path.as_str()) {
                continue;
            }
            let answer = world.ask(&method, &path, &id, caller).await;
            if let Some(fault) = fault(lock, &path, caller, &answer) {
                faults.push(format!("{method} {path} by {fault}"));
            }
            *tried.entry((lock, path.contains("{id}"))).or_insert(0) += 1;
            if caller.may == May::Own && lock == Lock::Token && path.contains("{id}") {
                // Nobody learns whether there is such a thing for somebody else.
                let unknown = world.ask(&method, &path, &nothing, caller).await;
                let told = |answer: &Answer| {
                    (answer.status, answer.body["code"].clone(), answer.body["detail"].clone())
                };
                if told(&answer) != told(&unknown) {
                    faults.push(format!("{method} {path} by {} tells what is there", caller.what));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} wrong answers:\n{}", faults.len(), faults.join("\n"));
    open.sort_unstable();
    assert_eq!(open, OPEN, "routes without a lock");
    println!("{tried:?} requests, {} kinds of caller", callers.len());
    let count = |lock, with_id| tried.get(&(lock, with_id)).copied().unwrap_or(0);
    assert!(
        count(Lock::Token, true) >= 8 * callers.len() && count(Lock::Token, false) >= 4 * (callers.len() - 3)
    );
    assert!(count(Lock::Service, false) >= 2 * callers.len());

    // Nobody has changed anything, and the door opens for whom it is.
    let seen = server.get(&owner, &format!("/documents/{id}")).await.ok();
    assert_eq!(seen["verificationStatus"], "pending_manual_review");
    assert_eq!(server.get(&owner, "/documents").await.ok()["documents"].as_array().unwrap().len(), 1);
    the_owner_gets_in(&world, &document).await;
}

/// The counter-check: what is refused above is not refused to whom it belongs.
async fn the_owner_gets_in(world: &World, document: &Value) {
    let server = &world.server;
    for (number, (method, path, operation)) in (10..).zip(operations(document)) {
        if lock_of(&operation) != Some(Lock::Token) {
            continue;
        }
        let owner = server.person().await;
        let sent = server.upload(&owner, &card(number, Script::Approve, 0)).await.ok();
        let id = sent["documentId"].as_str().unwrap().to_owned();
        server.inner.finished(id.parse().unwrap()).await;
        let caller = Caller { what: "the owner", token: Some(owner.access), header: false, may: May::Own };
        let answer = world.ask(&method, &path, &id, &caller).await;
        assert!(!matches!(answer.status, 401 | 403 | 404), "{method} {path}: {answer:?}");
    }
}
