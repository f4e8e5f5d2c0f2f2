//! A3 at the desk: every route of the console, and everybody who is not signed in to it. The routes are those of the
//! source, so that a new one is tried from its first day.

use std::collections::BTreeSet;
use std::path::Path;

use filot::store::Role;
use reqwest::header::{COOKIE, LOCATION};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Visitor;
use crate::http::server::PASSWORD;
use crate::support::cards::Script;
use crate::support::desk_server::Desk;

/// Routes that need nobody signed in.
const OPEN: &[&str] = &[
    "GET /console/assets/{name}",
    "GET /console/enrol/{token}",
    "GET /console/help",
    "GET /console/login",
    "GET /retake/style.css",
    "GET /retake/{token}",
    "POST /console/code",
    "POST /console/enrol/{token}",
    "POST /console/language",
    "POST /console/login",
    "POST /retake/{token}",
];

/// Every route that the sources of the console declare, as method and path.
fn routes() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = std::fs::read_to_string(source.join("console.rs")).unwrap();
    for entry in walkdir::WalkDir::new(source.join("console")) {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            text += &std::fs::read_to_string(entry.path()).unwrap();
        }
    }
    let mut found = BTreeSet::new();
    for declared in text.split(".route(").skip(1) {
        let mut quoted = declared.splitn(3, '"');
        quoted.next();
        let (path, rest) = (quoted.next().unwrap(), quoted.next().unwrap());
        let end = rest.find("\n            .").or_else(|| rest.find("\n        .")).unwrap_or(rest.len());
        for (word, method) in [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("delete(", "DELETE")] {
            if rest[..end].contains(word) {
                found.insert(format!("{method} {path}"));
            }
        }
    }
    found
}

/// Sends a request as a browser on the desk's own page would; the status, and where it leads to.
async fn ask(desk: &Desk, route: &str, id: &str, cookie: &str, bearer: Option<&str>) -> (StatusCode, String) {
    let (method, path) = route.split_once(' ').unwrap();
    let path =
        path.replace("{id}", id).replace("{field}", "name").replace("{name}", "x").replace("{token}", "x");
    let visitor = Visitor::new(&desk.base);
    let request = visitor.http.request(method.parse::<Method>().unwrap(), format!("{}{path}", desk.base));
    let request = request.header("sec-fetch-site", "same-origin").header("accept-language", "en");
    let mut request = if cookie.is_empty() { request } else { request.header(COOKIE, cookie) };
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    if method == "POST" {
        request = request.header("content-type", "application/x-www-form-urlencoded").body("version=1");
    }
    // Streams have no end: the head is enough.
    let answer = request.send().await.unwrap();
    let location = answer.headers().get(LOCATION).map_or("", |value| value.to_str().unwrap()).to_owned();
    (answer.status(), location)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_of_the_desk_opens_for_anybody_who_is_not_signed_in() {
    let desk = Desk::start().await;
    let (_, review) = desk.it.review(1, Script::Review).await;
    let review = review.to_string();
    let (mut ani, mut budi) =
        (desk.staff("Ani Contoh", Role::Reviewer).await, desk.staff("Budi Contoh", Role::Admin).await);
    let ended = Visitor::sign_in(&desk, &mut ani).await;
    let page = ended.get("/console").await;
    let left = ended.post("/console/logout", &[("csrf", &page.field("csrf"))]).await;
    assert_eq!(left.status, 303);
    desk.later();
    let (reviewer, admin) =
        (Visitor::sign_in(&desk, &mut ani).await, Visitor::sign_in(&desk, &mut budi).await);
    let name = reviewer.cookie.split('=').next().unwrap().to_owned();
    // Only the password so far: what that gives is no session.
    let visitor = Visitor::new(&desk.base);
    let asked = visitor.post("/console/login", &[("email", &ani.email), ("password", PASSWORD)]).await;
    let half = format!("{name}={}", asked.field("ticket"));
    let register = json!({ "email": "siti@example.com", "password": PASSWORD });
    let customer =
        visitor.http.post(format!("{}/auth/register", desk.base)).json(&register).send().await.unwrap();
    let customer: serde_json::Value = customer.json().await.unwrap();
    let token = customer["accessToken"].as_str().unwrap().to_owned();
    let tampered = format!("{}x", &reviewer.cookie[..reviewer.cookie.len() - 1]);
    let strangers: Vec<(&str, String, Option<&str>)> = vec![
        ("no cookie", String::new(), None),
        ("an empty cookie", format!("{name}="), None),
        ("a changed cookie", tampered, None),
        ("an ended session", ended.cookie.clone(), None),
        ("a password without a code", half, None),
        ("a customer's token", String::new(), Some(&token)),
        ("a customer's token as a cookie", format!("{name}={token}"), None),
    ];

    let routes = routes();
    let closed: Vec<&String> = routes.iter().filter(|route| !OPEN.contains(&route.as_str())).collect();
    assert!(OPEN.iter().all(|route| routes.contains(*route)), "{routes:?}");
    assert!(closed.len() >= 17, "{closed:?}");
    let (mut faults, mut tried) = (Vec::new(), 0);
    for route in &closed {
        for (who, cookie, bearer) in &strangers {
            let (status, location) = ask(&desk, route, &review, cookie, *bearer).await;
            tried += 1;
            let sent_away = status == StatusCode::SEE_OTHER && location == "/console/login";
            if !sent_away && !matches!(status.as_u16(), 401 | 403 | 404) {
                faults.push(format!("{route} by {who}: {status} {location}"));
            }
        }
        for (who, visitor) in [("a reviewer", &reviewer), ("an admin", &admin)] {
            // The counter-check: whoever is signed in is not sent away, and does nothing without the page's own token.
            if *route == "POST /console/logout" {
                continue;
            }
            let (status, location) = ask(&desk, route, &review, &visitor.cookie, None).await;
            tried += 1;
            let right = if route.starts_with("GET") {
                location != "/console/login" && status != StatusCode::FORBIDDEN && !status.is_server_error()
            } else {
                status == StatusCode::FORBIDDEN
            };
            if !right {
                faults.push(format!("{route} by {who}: {status} {location}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} wrong answers:\n{}", faults.len(), faults.join("\n"));
    println!("{} routes, {tried} requests", closed.len());
    let untouched = desk.it.app.store.review(review.parse().unwrap()).await.unwrap();
    assert_eq!((untouched.version, untouched.claimed), (1, None));
}
