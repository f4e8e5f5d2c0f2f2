//! What pages of other origins can do to the desk and to the page: nothing. In a real Chromium, from the app's own origin,
//! which is of the same site, and from a foreign one.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use filot::store::Role;
use reqwest::Method;
use reqwest::header::COOKIE;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::browser::sign_in;
use crate::console::Visitor;
use crate::http::server::{Server, generous};
use crate::support::Deployment;
use crate::support::browser::{Browser, Setting};
use crate::support::cards::Script;
use crate::support::desk_server::Desk;

/// An app with a page of its own, and the port it is at.
async fn app() -> u16 {
    let page = || async { Html("<!doctype html><title>app</title><body>an app") };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/", get(page));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

/// Tries everything that a page can try to read the desk at `base`, and tells what it got.
fn attack(base: &str, review: &str) -> String {
    format!(
        r#"const done = arguments[arguments.length - 1];
        const base = {base:?}, review = base + {review:?};
        const read = (path, options) => fetch(path, options).then(async (r) => [r.type, r.status, (await r.text()).length])
          .catch(() => 'refused');
        const element = (tag, set) => new Promise((resolve) => {{
          const it = document.createElement(tag);
          it.onload = () => resolve(tag + ' loaded ' + (it.naturalWidth || ''));
          it.onerror = () => resolve('refused');
          set(it); document.body.append(it);
          setTimeout(() => resolve('nothing'), 3000);
        }});
        const listens = (path) => new Promise((resolve) => {{
          const source = new EventSource(path, {{ withCredentials: true }});
          source.onopen = () => resolve('open');
          source.onerror = () => resolve('refused');
          setTimeout(() => resolve('nothing'), 3000);
        }});
        (async () => done({{
          page: await read(base + '/console', {{ credentials: 'include' }}),
          fragment: await read(base + '/console', {{ credentials: 'include', headers: {{ 'HX-Request': 'true' }} }}),
          opaque: await read(base + '/console', {{ credentials: 'include', mode: 'no-cors' }}),
          form: await read(base + '/console/next', {{ credentials: 'include', mode: 'no-cors', method: 'POST' }}),
          alive: await read(base + '/console/alive', {{ credentials: 'include', mode: 'no-cors', method: 'POST' }}),
          api: await read(base + '/auth/me', {{}}),
          credentials: await read(base + '/auth/me', {{ credentials: 'include' }}),
          stream: await listens(base + '/console/live'),
          picture: await element('img', (it) => it.src = review + '/original.jpg'),
          script: await element('script', (it) => it.src = base + '/console'),
        }}))();"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_origin_reads_the_desk() {
    let app_port = app().await;
    let origin = format!("http://localhost:{app_port}");
    let deployment = Deployment::embedded().with("FILOT_FRONTEND_ORIGIN", &origin);
    let desk = Desk::start_on(deployment).await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    // Of the same site as the app at `localhost`; of another than the one at `127.0.0.1`.
    let base = desk.base.replace("127.0.0.1", "localhost");
    let browser = Browser::start(&base, Setting::default()).await;
    sign_in(&browser, &desk, &mut ani).await;
    let review = format!("/console/reviews/{id}");
    browser.goto("/console").await;
    browser.click("[data-open]").await;
    browser.leaves("/console").await;
    browser.find("#photo").await;

    for (who, at) in [("the app", origin.clone()), ("a stranger", format!("http://127.0.0.1:{app_port}"))] {
        browser.client.goto(&at).await.unwrap();
        let told = browser.client.execute_async(&attack(&base, &review), Vec::new()).await.unwrap();
        println!("{who}: {told}");
        for what in ["page", "fragment", "stream", "picture", "script", "credentials"] {
            assert_eq!(told[what], "refused", "{who}, {what}: {told}");
        }
        // Opaque answers tell nothing, and did nothing.
        for what in ["opaque", "form", "alive"] {
            assert!(
                told[what] == "refused" || told[what] == json!(["opaque", 0, 0]),
                "{who}, {what}: {told}"
            );
        }
        // The API may be called by the app, without what the browser keeps: nobody is signed in by that.
        let api = if who == "the app" { json!(["cors", 401]) } else { json!("refused") };
        let got = &told["api"];
        assert!(*got == api || (got[0] == api[0] && got[1] == api[1]), "{who}: {told}");
    }
    // A person who follows a link from the app comes to the desk as who they are.
    browser.client.goto(&origin).await.unwrap();
    browser.run(&format!("location.href = '{base}/console'")).await;
    browser.says("Queue").await;
    // The desk's own pages work, with their pictures, fragments and streams.
    browser.goto(&review).await;
    browser.find("#photo").await;
    // The picture comes when its officer asks for it.
    browser.press('b').await;
    let pictures = "return performance.getEntriesByType('resource').some(e => e.name.endsWith('.jpg') && e.responseStatus === 200)";
    browser.until("the picture", async || browser.run(pictures).await == true).await;
    let own = "const done = arguments[arguments.length - 1]; const live = new EventSource('/console/live');                live.onopen = () => done('open'); live.onerror = () => done('refused');";
    assert_eq!(browser.client.execute_async(own, Vec::new()).await.unwrap(), "open");
    // Not even a script of the same origin reads a page, unless it is the desk's own.
    browser.goto("/").await;
    let script = "const done = arguments[arguments.length - 1]; fetch('/console').then(r => done(r.status));";
    assert_eq!(browser.client.execute_async(script, Vec::new()).await.unwrap(), 403);
    browser.close().await;
}

/// The same by headers, over every route of the desk that answers to reading.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_and_scripted_requests_get_nothing_of_the_desk() {
    let desk = Desk::start().await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    let review = format!("/console/reviews/{id}");
    let token = visitor.claim(&review).await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = visitor.http.get(format!("{}{path}", desk.base)).header(COOKIE, &visitor.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let pages =
        ["/console", "/console/help", "/console/dashboard", "/console/password", "/console/login", &review];
    let parts = ["original.jpg", "straightened.jpg", "live"].map(|part| format!("{review}/{part}")).to_vec();
    let parts = [parts, vec!["/console/live".to_owned()]].concat();
    let foreign = [
        &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")][..],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        &[("sec-fetch-site", "same-site"), ("hx-request", "true"), ("sec-fetch-dest", "empty")],
        &[("origin", "https://app.filot.me")],
        &[("origin", "null")],
    ];
    for path in pages.iter().copied().chain(parts.iter().map(String::as_str)) {
        for headers in foreign {
            let answer = ask(path, headers).await;
            assert_eq!(answer.status().as_u16(), 403, "{path} {headers:?}");
            assert!(answer.headers().get("access-control-allow-origin").is_none());
            assert_eq!(answer.headers()["cross-origin-resource-policy"], "same-origin");
            assert!(!answer.text().await.unwrap().contains(&token), "{path} {headers:?}");
        }
        let own = ask(path, &[("sec-fetch-site", "same-origin"), ("hx-request", "true")]).await;
        assert_ne!(own.status().as_u16(), 403, "{path}");
    }
    let comes =
        [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(ask("/console", &comes).await.status().as_u16(), 200, "a person follows a link");
    assert_eq!(ask(&parts[0], &comes).await.status().as_u16(), 403, "but not to a picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_may_call_the_api_without_cookies_and_nothing_else() {
    let deployment =
        Deployment::embedded().with("FILOT_FRONTEND_ORIGIN", "https://app.example, https://other.example/");
    let (server, _deployment) = Server::start(deployment).await;
    let document = server.send(server.request(Method::GET, "/openapi.json")).await.ok();
    let preflight = async |path: &str, origin: &str| {
        let request = server.request(Method::OPTIONS, path).header("origin", origin);
        let answer = server.send(request.header("access-control-request-method", "GET")).await;
        assert!(answer.headers.get("access-control-allow-credentials").is_none(), "{path}");
        answer.header("access-control-allow-origin").to_owned()
    };
    // Those for operators and neighbouring services are not for browsers.
    let operators = ["/health", "/ready", "/metrics", "/internal"];
    for path in document["paths"].as_object().unwrap().keys() {
        let is_open = !operators.iter().any(|part| path.starts_with(part));
        let expected = if is_open { "https://app.example" } else { "" };
        assert_eq!(preflight(path, "https://app.example").await, expected, "{path}");
    }
    assert_eq!(preflight("/documents", "https://other.example").await, "https://other.example");
    for origin in ["https://evil.example", "https://app.example.evil.example", "null", "http://app.example"] {
        assert_eq!(preflight("/documents", origin).await, "", "{origin}");
    }
    for path in ["/", "/console", "/console/login", "/retake/x", "/docs/", "/openapi.json", "/page/filot.js"]
    {
        assert_eq!(preflight(path, "https://app.example").await, "", "{path}");
        let request = server.request(Method::GET, path).header("origin", "https://app.example");
        assert_eq!(server.send(request).await.header("access-control-allow-origin"), "", "{path}");
    }
    // An error can be read by the app, too.
    let request = server.request(Method::GET, "/auth/me").header("origin", "https://app.example");
    let answer = server.send(request).await;
    answer.is(401, "unauthenticated");
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_can_have_a_host_of_its_own() {
    let deployment = generous(Deployment::embedded()).with("FILOT_DESK_PUBLIC_URL", "https://desk.example");
    let server = Server::on(deployment.app().await).await;
    let ask = async |host: &str, path: &str| {
        let answer = server.send(server.request(Method::GET, path).header("host", host)).await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    let gone = (404, "route_not_found".to_owned());
    for path in ["/console", "/console/login", "/console/help", "/console/enrol/x"] {
        assert_ne!(ask("desk.example", path).await, gone, "{path}");
        assert_eq!(ask("api.example", path).await, gone, "{path}");
    }
    for path in ["/documents", "/auth/me", "/docs/", "/openapi.json", "/retake/x", "/page/filot.js"] {
        assert_eq!(ask("desk.example", path).await, gone, "{path}");
        assert_ne!(ask("api.example", path).await, gone, "{path}");
    }
    for host in ["desk.example", "api.example", "10.0.0.7:8080"] {
        assert_eq!(ask(host, "/health").await.0, 200, "{host}");
    }
    let auth = filot::auth::Auth::new(server.inner.app.clone()).unwrap();
    let link = auth.first_admin_link().await.unwrap().unwrap();
    assert!(link.starts_with("https://desk.example/console/enrol/"), "{link}");
}

/// A link shows a page; who is signed in stays who they are, and who is not is not.
#[tokio::test(flavor = "multi_thread")]
async fn no_link_makes_or_replaces_a_session() {
    let (server, _deployment) = Server::start(Deployment::embedded()).await;
    let (victim, attacker) = (server.person().await, server.person().await);
    let auth = filot::auth::Auth::new(server.inner.app.clone()).unwrap();
    let admin = auth.first_admin_token().await.unwrap().unwrap();
    let browser = Browser::start(&format!("http://{}", server.address), Setting::default()).await;
    let kept = async || browser.run("return sessionStorage.getItem('filot.refresh')").await;
    let links = [
        format!("/#refresh={}", attacker.refresh),
        format!("/#admin={admin}"),
        format!("/?refresh={}", attacker.refresh),
        "/#confirm=00000000-0000-0000-0000-000000000000.x".to_owned(),
    ];
    for link in &links {
        browser.goto("/docs/").await;
        browser.goto(link).await;
        browser.find("main section:not([hidden]) form").await;
        assert_eq!(kept().await, Value::Null, "{link}");
        assert_eq!(browser.run("return location.hash").await, "", "{link}");
    }
    browser.goto("/docs/").await;
    browser.goto("/").await;
    browser.fill("#sign [name=email]", &victim.email).await;
    browser.fill("#sign [name=password]", crate::http::server::PASSWORD).await;
    browser.click("#login").await;
    browser.says(&victim.email).await;
    for link in &links {
        browser.goto("/docs/").await;
        browser.goto(link).await;
        browser.says(&victim.email).await;
        // In the tab that is open already.
        browser.run(&format!("location.hash = '{}'", link.trim_start_matches("/#"))).await;
        browser.says(&victim.email).await;
    }
    // The attacker's session was not touched by any of it.
    let refresh = json!({ "refreshToken": attacker.refresh });
    server.post("/auth/refresh", None, refresh).await.ok();

    // What opens the test account is a code that is typed, once.
    browser.click("#leave").await;
    let code = auth.trial_code(server.inner.user).await.unwrap();
    browser.fill("#trial [name=code]", &code.to_lowercase().replace('-', " ")).await;
    browser.click("#trial button").await;
    browser.find("#desk:not([hidden])").await;
    server.post("/auth/trial", None, json!({ "code": code })).await.is(403, "link_invalid");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_opens_anything_outside_of_a_trial() {
    let deployment = Deployment::embedded()
        .with("NODE_ENV", "staging")
        .with("FILOT_SERVER_RELAXED", "secrets,metrics,checkpoints")
        .with("DATABASE_CREATE", "true");
    let (server, _deployment) = Server::start(deployment).await;
    let auth = filot::auth::Auth::new(server.inner.app.clone()).unwrap();
    let code = auth.trial_code(server.inner.user).await.unwrap();
    server.post("/auth/trial", None, json!({ "code": code })).await.is(403, "link_invalid");
}
