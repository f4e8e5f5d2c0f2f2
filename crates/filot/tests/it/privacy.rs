//! D6: five hundred people go through the service, and not one name, number or address is found in what it logs,
//! counts or answers to mistakes. The program runs as operators run it, at its most talkative.

use std::collections::BTreeSet;
use std::time::Duration;

use filot::selftest::person::Person;
use reqwest::{Client, Method, multipart};
use serde_json::{Value, json};

use crate::http::server::PASSWORD;
use crate::support::backends::free_port;
use crate::support::buli2::{FakeBuli2, Faults, configured};
use crate::support::cards::{Script, personal_card};
use crate::support::collector::Collector;
use crate::support::proxy::Mode;
use crate::support::serve::Serve;
use crate::support::{Deployment, eventually};

const PEOPLE: u32 = 500;
/// Documents of one account.
const OF_ONE: u32 = 5;
/// So many go through while one of the neighbours is away.
const AWAY: u32 = 20;

/// Everything that the service says to others than the owners of the data.
#[derive(Default)]
struct Said {
    problems: String,
    count: usize,
    codes: BTreeSet<String>,
}

struct Visit {
    http: Client,
    serve: Serve,
    said: Said,
    finished: u32,
    /// Accounts so far. Each comes from a network of its own, as people do.
    joined: u8,
}

fn script(number: u32) -> Script {
    [
        Script::Approve,
        Script::Review,
        Script::Reject,
        Script::Unreadable,
        Script::Fails,
        Script::Panics,
        Script::FailsOnce,
    ][number as usize % 7]
}

impl Visit {
    /// Sends a request and keeps the answer if it is a mistake.
    async fn send(&mut self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let text = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status >= 400 {
            self.said.problems += &format!("{headers}\n{text}\n");
            self.said.count += 1;
            self.said.codes.extend(body["code"].as_str().map(str::to_owned));
        }
        (status, body)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let from = format!("10.0.{}.1", self.joined);
        self.http.request(method, format!("{}{path}", self.serve.address)).header("x-forwarded-for", from)
    }

    /// An account with the person's e-mail and a profile with their name; its access token.
    async fn join(&mut self, person: &Person) -> String {
        self.joined += 1;
        let account = json!({ "email": person.email, "password": PASSWORD, "fullName": person.name });
        let (_, signed_in) = self.send(self.request(Method::POST, "/auth/register").json(&account)).await;
        let access = signed_in["accessToken"].as_str().expect("an account").to_owned();
        let profile = json!({ "fullName": person.name, "phone": person.phone });
        let request = self.request(Method::PUT, "/profile").bearer_auth(&access).json(&profile);
        let (status, shown) = self.send(request).await;
        assert_eq!((status, &shown["fullName"]), (200, &json!(person.name)));
        access
    }

    async fn upload(&mut self, access: &str, number: u32) -> Option<String> {
        let person = Person::of(number);
        let file = multipart::Part::bytes(personal_card(number, script(number), 0).to_vec())
            .file_name(format!("KTP {} {}.png", person.name, person.nik))
            .mime_str("image/png")
            .unwrap();
        let form = multipart::Form::new().text("type", "KTP").part("file", file);
        let request = self
            .request(Method::POST, "/documents/upload")
            .bearer_auth(access)
            .header("Idempotency-Key", format!("{}-{}", person.nik, person.email))
            .multipart(form);
        let (status, body) = self.send(request).await;
        assert!(status == 202 || status == 503, "{status}: {body}");
        body["documentId"].as_str().map(str::to_owned)
    }

    /// Everything that people do wrong, with their data in it.
    async fn err(&mut self, access: &str, person: &Person) {
        let Person { name, nik, npwp, email, phone, .. } = person;
        let json = |text: String| {
            move |request: reqwest::RequestBuilder| {
                request.header("Content-Type", "application/json").body(text)
            }
        };
        let requests = [
            self.request(Method::POST, "/auth/login").json(&json!({ "email": email, "password": name })),
            self.request(Method::POST, "/auth/register")
                .json(&json!({ "email": email, "password": PASSWORD })),
            self.request(Method::POST, "/auth/register")
                .json(&json!({ "email": name, "password": PASSWORD })),
            self.request(Method::POST, "/auth/register")
                .json(&json!({ "email": email, "password": 7, name: nik })),
            json(format!("{{\"email\": \"{email}\", \"password\": {name}"))(
                self.request(Method::POST, "/auth/login"),
            ),
            self.request(Method::POST, "/auth/refresh").json(&json!({ "refreshToken": email })),
            self.request(Method::POST, "/auth/verify")
                .json(&json!({ "token": format!("{name}.{nik}.{email}") })),
            self.request(Method::PUT, "/profile").bearer_auth(access).json(&json!({ "phone": name })),
            self.request(Method::PUT, "/profile")
                .bearer_auth(access)
                .json(&json!({ "fullName": [name, nik] })),
            self.request(Method::PUT, "/profile").bearer_auth(access).json(&json!({ name: phone })),
            self.request(Method::GET, "/profile").bearer_auth(email),
            self.request(Method::GET, &format!("/documents?cursor={email}&limit={nik}")).bearer_auth(access),
            self.request(Method::GET, &format!("/documents/{nik}")).bearer_auth(access),
            self.request(Method::GET, &format!("/{npwp}/{}", name.replace(' ', "%20"))),
            self.request(Method::DELETE, &format!("/profile?name={}", name.replace(' ', "+"))),
            self.request(Method::POST, "/documents/upload").bearer_auth(access).multipart(
                multipart::Form::new().text("type", name.clone()).text("file", person.to_string()),
            ),
            self.request(Method::POST, "/internal/reviews")
                .bearer_auth(nik)
                .json(&json!({ "notes": person.to_string() })),
        ];
        for request in requests {
            let (status, body) = self.send(request).await;
            assert!((400..500).contains(&status), "{status}: {body}");
        }
    }

    /// Waits for the end of a document. Its owner is told what was read.
    async fn finished(&mut self, access: &str, id: &str, number: u32) {
        let url = format!("{}/documents/{id}", self.serve.address);
        let mut shown = Value::Null;
        let http = self.http.clone();
        eventually("the end of a document", Duration::from_secs(90), || {
            let asked = http.get(&url).bearer_auth(access).send();
            async move {
                let Ok(answer) = asked.await else { return false };
                let Ok(body) = answer.json::<Value>().await else { return false };
                matches!(body["status"].as_str(), Some("completed" | "failed"))
            }
        })
        .await;
        if let Ok(answer) = http.get(&url).bearer_auth(access).send().await {
            shown = answer.json().await.unwrap();
        }
        let person = Person::of(number);
        match script(number) {
            Script::Approve | Script::Review | Script::Reject | Script::FailsOnce => {
                // What is searched for is what goes through.
                assert_eq!(shown["result"]["fields"]["nik"], json!(person.nik));
                assert_eq!(shown["result"]["fields"]["name"], json!(person.name));
            }
            _ => assert_eq!(shown["status"], json!("failed")),
        }
        self.finished += 1;
    }
}

/// Where a trace of one of these people is found, with what stands around it.
fn found(text: &str, people: &[Person]) -> Vec<String> {
    let text = text.to_uppercase();
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && !"@.-+".contains(c)).collect();
    // Among the decimals of measured times any digits may stand.
    let measured = |word: &&str| word.contains('.') && word.parse::<f64>().is_ok();
    let words = words.into_iter().filter(|word| !measured(word));
    // One text of distinct words, so that a long log is not searched four thousand times.
    let words = words.collect::<Vec<_>>().join(" ");
    let traces = people.iter().flat_map(Person::traces);
    traces
        .filter(|trace| words.contains(trace.as_str()))
        .map(|trace| {
            let at = text.find(&trace).unwrap_or(0);
            format!("{trace}: …{}…", text[at.saturating_sub(200)..].chars().take(500).collect::<String>())
        })
        .collect()
}

async fn nothing_personal_leaves_the_database(mut deployment: Deployment, neighbours: bool) {
    let buli2 = FakeBuli2::start(6).await;
    if neighbours {
        deployment = configured(deployment, buli2.port);
        buli2.set(Faults { only: Some(500), ..Faults::default() });
    }
    let collector = Collector::start().await;
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().unwrap();
    let mut settings: Vec<(String, String)> =
        deployment.environment().into_iter().filter(|(name, _)| name != "FILOT_DATA_DIR").collect();
    let token = format!("metrics-{}", free_port());
    for (name, value) in [
        ("LOG_LEVEL", "debug"),
        ("LOG_FORMAT", "json"),
        ("CLOUDWATCH_ENABLED", "true"),
        ("METRICS_FLUSH_INTERVAL_MS", "1000"),
        ("FILOT_METRICS_TOKEN", token.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address.as_str()),
        ("RUST_BACKTRACE", "1"),
        ("FILOT_SERVER_TRUSTED_PROXIES", "1"),
    ] {
        settings.push((name.to_owned(), value.to_owned()));
    }
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let serve = Serve::start(&deployment.data_dir(), &http, &["--scripted"], &settings).await;
    let mut visit = Visit { http, serve, said: Said::default(), finished: 0, joined: 0 };

    let (mut access, mut refused) = (String::new(), 0);
    let mut sent = Vec::new();
    for number in 0..PEOPLE {
        let person = Person::of(number);
        if number % OF_ONE == 0 {
            access = visit.join(&person).await;
        }
        if number % 10 == 3 {
            visit.err(&access, &Person::of(number - number % OF_ONE)).await;
        }
        match visit.upload(&access, number).await {
            Some(id) => sent.push((access.clone(), id, number)),
            None => refused += 1,
        }
        // One neighbour after the other is away for a while.
        if let Some(proxies) = &deployment.proxies {
            for (which, proxy) in proxies.iter().enumerate() {
                // In the middle of an account's documents, so that nobody has to join meanwhile.
                let begin = 101 + 100 * which as u32;
                if number == begin {
                    proxy.set(if which == 2 { Mode::Http500 } else { Mode::Refuse });
                    for nth in 0..AWAY {
                        refused += u32::from(visit.upload(&access, 1_000_000 + nth).await.is_none());
                    }
                    proxy.set(Mode::Pass);
                }
            }
        }
        if number == 400 {
            buli2.set(Faults::default());
        }
    }
    for (access, id, number) in sent {
        visit.finished(&access, &id, number).await;
    }
    let mut metrics = String::new();
    for accept in ["text/plain", "application/json"] {
        let request = visit.request(Method::GET, "/metrics").bearer_auth(&token).header("Accept", accept);
        metrics += &request.send().await.unwrap().text().await.unwrap();
    }
    assert!(visit.serve.terminate(Duration::from_secs(20)).await);

    let log = std::fs::read_to_string(&visit.serve.log).unwrap();
    let stdout = std::fs::read_to_string(&visit.serve.stdout).unwrap();
    let people: Vec<Person> =
        (0..PEOPLE).chain((0..AWAY).map(|nth| 1_000_000 + nth)).map(Person::of).collect();
    // The search finds what is there.
    let planted = format!("{log}\n{}", people[77]);
    assert!(found(&planted, &people).len() >= 6, "{:?}", found(&planted, &people));
    let said = &visit.said;
    println!(
        "{} documents finished, {refused} uploads refused, {} lines of log, {} mistakes answered: {:?}",
        visit.finished,
        log.lines().count(),
        said.count,
        said.codes
    );
    assert!(visit.finished + refused >= PEOPLE && log.lines().count() > 2000);
    // Readers panic with what they read, in processes whose output goes nowhere.
    for wanted in [r#""level":"DEBUG""#, r#""level":"WARN""#, "reading failed", "document finished"] {
        assert!(log.contains(wanted), "the log does not tell of {wanted}");
    }
    assert!(stdout.contains("filot.ocr.failure_count") && metrics.contains("filot_documents_finished_total"));
    let traces = collector.text();
    assert!(collector.spans().len() > 5 * PEOPLE as usize, "{} spans", collector.spans().len());
    for (what, text) in [
        ("log", &log),
        ("stdout", &stdout),
        ("metrics", &metrics),
        ("traces", &traces),
        ("problems", &said.problems),
    ] {
        let found = found(text, &people);
        assert!(found.is_empty(), "{} traces in the {what}, such as\n{}", found.len(), found[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_leaves_the_database_embedded() {
    nothing_personal_leaves_the_database(Deployment::embedded(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_leaves_the_database_full() {
    nothing_personal_leaves_the_database(Deployment::full().await, true).await;
}
