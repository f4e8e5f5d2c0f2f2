//! A2: RESTler's four rules, held by sequences of requests that nobody wrote down. Two users do whatever the API lets
//! them, in an order that dice decide, and a model knows what has to be there:
//!
//! - *use after free*: what was deleted is answered by no route, no link from before, no repetition of the request that
//!   made it;
//! - *resource leak*: what was refused has left nothing;
//! - *resource hierarchy*: what belongs to a document is reached through that document alone;
//! - *user namespace*: nothing of one user is reached by the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Answer, Person, Server, form};
use crate::support::Deployment;
use crate::support::cards::{Script, card};

/// What a user's document was made by and where it could be reached.
#[derive(Clone, Debug)]
struct Known {
    owner: usize,
    number: u32,
    script: Script,
    key: Option<String>,
    /// Paths of links to the file, given out while it was there.
    links: Vec<String>,
}

/// Within this the file of a deleted document is gone from S3, also on a busy machine.
const ERASED: Duration = Duration::from_secs(30);

/// What was done, to be read when something is wrong.
type Story = Vec<String>;

struct Run {
    server: Server,
    users: [Person; 2],
    dice: StdRng,
    /// What is there, and what was deleted.
    living: BTreeMap<String, Known>,
    deleted: BTreeMap<String, Known>,
    next: u32,
    story: Story,
    done: BTreeMap<&'static str, u32>,
}

/// Routes below a document. `None` for the body where there is none.
const OF_A_DOCUMENT: &[(&str, &str)] = &[
    ("GET", "/documents/{id}"),
    ("GET", "/documents/{id}/result"),
    ("GET", "/documents/{id}/download"),
    ("GET", "/documents/secure-download/{id}"),
    ("GET", "/documents/{id}/events"),
    ("GET", "/verification/status/{id}"),
    ("POST", "/documents/{id}/process"),
    ("POST", "/verification/{id}/escalate"),
    ("DELETE", "/documents/{id}"),
];

impl Run {
    async fn start(deployment: Deployment, seed: u64) -> (Self, Deployment) {
        let (mut server, deployment) = Server::start(deployment).await;
        server.inner.work();
        let users = [server.person().await, server.person().await];
        let run = Self {
            server,
            users,
            dice: StdRng::seed_from_u64(seed),
            living: BTreeMap::new(),
            deleted: BTreeMap::new(),
            next: 0,
            story: Vec::new(),
            done: BTreeMap::new(),
        };
        (run, deployment)
    }

    fn tell(&mut self, what: &'static str, detail: String) {
        *self.done.entry(what).or_default() += 1;
        self.story.push(format!("{what} {detail}"));
    }

    /// Fails with the last steps that led here.
    #[track_caller]
    fn holds(&self, so: bool, what: &str, answer: &Answer) {
        let from = self.story.len().saturating_sub(30);
        assert!(
            so,
            "{what}: {answer:?}\nafter {} steps, of them the last:\n{}",
            self.story.len(),
            self.story[from..].join("\n")
        );
    }

    fn request(&self, user: usize, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse::<Method>().unwrap();
        let request = self.server.request(method.clone(), path).bearer_auth(&self.users[user].access);
        if method == Method::POST { request.json(&json!({})) } else { request }
    }

    async fn upload(&mut self, user: usize, number: u32, script: Script, key: Option<&str>) -> Answer {
        let request = self.server.upload_request(&self.users[user], &card(number, script, 0));
        let request = match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        // With and without an answer that holds the result.
        let request = if self.dice.random_bool(0.5) { request.header("Prefer", "wait=10") } else { request };
        self.server.send(request).await
    }

    async fn create(&mut self) {
        let (user, number) = (self.dice.random_range(0..2), self.next);
        self.next += 1;
        let script = [Script::Approve, Script::Review, Script::Reject, Script::Unreadable]
            [self.dice.random_range(0..4)];
        let key = self.dice.random_bool(0.7).then(|| format!("key-{number}"));
        let answer = self.upload(user, number, script, key.as_deref()).await;
        self.holds(matches!(answer.status, 200 | 202), "an upload is refused", &answer);
        let id = answer.body["documentId"].as_str().unwrap().to_owned();
        self.tell("create", format!("{id} of {user}: {number} {script:?} {key:?}"));
        let known = Known { owner: user, number, script, key, links: Vec::new() };
        assert!(self.living.insert(id, known).is_none(), "an id comes twice");
    }

    /// A request that makes nothing.
    async fn fail_to_create(&mut self) {
        let user = self.dice.random_range(0..2);
        let good = card(self.next, Script::Approve, 0);
        self.next += 1;
        let (what, form) = match self.dice.random_range(0..4) {
            0 => ("a file that is cut off", form(&good.slice(..good.len() - 20), "KTP")),
            1 => ("no picture", form(&Bytes::from_static(b"nothing"), "KTP")),
            2 => ("a type that is none", form(&good, "SIM")),
            _ => ("a field too many", form(&good, "KTP").text("userId", self.users[1 - user].email.clone())),
        };
        let request =
            self.server.request(Method::POST, "/documents/upload").bearer_auth(&self.users[user].access);
        let request = request.header("Idempotency-Key", format!("bad-{}", self.next)).multipart(form);
        let answer = self.server.send(request).await;
        self.tell("refused", format!("{what} of {user}"));
        self.holds((400..500).contains(&answer.status), "it was to be refused", &answer);
    }

    fn any(&mut self, deleted: bool) -> Option<(String, Known)> {
        let of = if deleted { &self.deleted } else { &self.living };
        of.iter().choose(&mut self.dice).map(|(id, known)| (id.clone(), known.clone()))
    }

    async fn visit(&mut self) {
        let Some((id, known)) = self.any(false) else { return };
        let (method, path) = OF_A_DOCUMENT[self.dice.random_range(0..OF_A_DOCUMENT.len() - 1)];
        self.server.inner.finished(id.parse().unwrap()).await;
        let answer = self.server.send(self.request(known.owner, method, &path.replace("{id}", &id))).await;
        self.tell("visit", format!("{method} {path} {id} by its owner: {}", answer.status));
        // What the state of a document does not allow is a conflict.
        let right = answer.status == 200 || (method == "POST" && answer.status == 409);
        self.holds(right, "its owner does not reach it", &answer);
        if let Some(url) = answer.body["url"].as_str() {
            let link = self.reachable(url);
            self.living.get_mut(&id).unwrap().links.push(link);
        }
    }

    /// A link as it can be opened here: FiLot's own name FiLot by its public address, those of S3 lead to S3.
    fn reachable(&self, url: &str) -> String {
        match url.find("/files/") {
            Some(at) => format!("http://{}{}", self.server.address, &url[at..]),
            None => url.to_owned(),
        }
    }

    async fn open(&self, link: &str) -> Answer {
        Answer::of(reqwest::Client::builder().no_proxy().build().unwrap().get(link).send().await.unwrap())
            .await
    }

    async fn trespass(&mut self) {
        let Some((id, known)) = self.any(false) else { return };
        let (method, path) = OF_A_DOCUMENT[self.dice.random_range(0..OF_A_DOCUMENT.len())];
        let answer =
            self.server.send(self.request(1 - known.owner, method, &path.replace("{id}", &id))).await;
        self.tell("trespass", format!("{method} {path} {id} by the other user"));
        self.holds(
            (answer.status, answer.body["code"].as_str()) == (404, Some("not_found")),
            "reached by the other",
            &answer,
        );
    }

    /// A link to one file opens no other.
    async fn bend_a_link(&mut self) {
        let linked = self.living.iter().filter(|(_, known)| !known.links.is_empty());
        let linked = linked.choose(&mut self.dice).map(|(id, known)| (id.clone(), known.links[0].clone()));
        let (Some((id, link)), Some((other, _))) = (linked, self.any(false)) else { return };
        if id == other {
            return;
        }
        let bent = link.replace(&id, &other);
        let answer = self.open(&bent).await;
        self.tell("bend", format!("a link of {id} to {other}"));
        self.holds(answer.status == 403, "a bent link opens a file", &answer);
    }

    async fn delete(&mut self) {
        let Some((id, known)) = self.any(false) else { return };
        let reading = self.dice.random_bool(0.5);
        if !reading {
            self.server.inner.finished(id.parse().unwrap()).await;
        }
        let answer = self.server.send(self.request(known.owner, "DELETE", &format!("/documents/{id}"))).await;
        self.tell("delete", format!("{id}: {}", answer.status));
        if answer.status == 409 {
            // Evidence that is not the customer's to take away: it has to be there as before.
            let shown = self.server.send(self.request(known.owner, "GET", &format!("/documents/{id}"))).await;
            self.holds(shown.status == 200, "neither deleted nor there", &shown);
            // What was being read may have ended since.
            let approved = shown.body["verificationStatus"] == "auto_approved";
            self.holds(reading || !approved, "nothing speaks against its deletion", &answer);
            return;
        }
        self.holds(answer.status == 204, "its owner cannot delete it", &answer);
        let known = self.living.remove(&id).unwrap();
        self.deleted.insert(id, known);
    }

    /// Whatever once led to a deleted document leads nowhere.
    async fn haunt(&mut self) {
        let Some((id, known)) = self.any(true) else { return };
        for user in [known.owner, 1 - known.owner] {
            let (method, path) = OF_A_DOCUMENT[self.dice.random_range(0..OF_A_DOCUMENT.len())];
            let answer = self.server.send(self.request(user, method, &path.replace("{id}", &id))).await;
            self.tell("haunt", format!("{method} {path} {id} by {user}"));
            self.holds(
                (answer.status, answer.body["code"].as_str()) == (404, Some("not_found")),
                "deleted, and there",
                &answer,
            );
        }
        for link in &known.links {
            let mut answer = self.open(link).await;
            // Links of S3 end with the file, which the outbox erases soon after the row is gone.
            let start = Instant::now();
            while answer.status == 200 && !link.contains("/files/") && start.elapsed() < ERASED {
                tokio::time::sleep(Duration::from_millis(50)).await;
                answer = self.open(link).await;
            }
            self.holds(matches!(answer.status, 403 | 404), "deleted, and a link opens it", &answer);
        }
        if let Some(key) = &known.key {
            let answer = self.upload(known.owner, known.number, known.script, Some(key)).await;
            self.tell("repeat", format!("the request that made {id}: {}", answer.status));
            let told = answer.body.to_string();
            self.holds(!told.contains(&id), "deleted, and its request tells of it", &answer);
            self.holds(!told.contains("\"number\""), "deleted, and its request tells what was read", &answer);
            if matches!(answer.status, 200 | 202) {
                // It is another document now.
                let new = answer.body["documentId"].as_str().unwrap().to_owned();
                let known = Known { links: Vec::new(), ..known };
                self.deleted.get_mut(&id).unwrap().key = None;
                assert!(self.living.insert(new, known).is_none(), "somebody else's id");
            }
        }
    }

    /// The same request again has the same document, as long as there is one.
    async fn repeat(&mut self) {
        let Some((id, known)) = self.any(false) else { return };
        let Some(key) = &known.key else { return };
        let answer = self.upload(known.owner, known.number, known.script, Some(key)).await;
        self.tell("again", id.clone());
        self.holds(answer.body["documentId"] == *id, "a repetition made another document", &answer);
        // The other's key of the same name is another key.
        let (other, number) = (1 - known.owner, self.next);
        self.next += 1;
        let theirs = self.upload(other, number, Script::Approve, Some(key)).await;
        if matches!(theirs.status, 200 | 202) {
            let new = theirs.body["documentId"].as_str().unwrap().to_owned();
            let known = Known { owner: other, number, script: Script::Approve, key: None, links: Vec::new() };
            assert!(self.living.insert(new, known).is_none(), "the other's key gives a document away");
        } else {
            // Their own of that name, from before.
            self.holds(theirs.status == 422, "a key of the same name", &theirs);
        }
    }

    /// Each user's list is that of the model.
    async fn compare(&mut self) {
        for user in 0..2 {
            let (mut listed, mut path) = (BTreeSet::new(), "/documents?limit=100".to_owned());
            loop {
                let page = self.server.get(&self.users[user], &path).await.ok();
                let ids = page["documents"].as_array().unwrap().iter();
                listed.extend(ids.map(|entry| entry["id"].as_str().unwrap().to_owned()));
                match &page["nextCursor"] {
                    Value::String(cursor) => path = format!("/documents?limit=100&cursor={cursor}"),
                    _ => break,
                }
            }
            let own: BTreeSet<String> = self
                .living
                .iter()
                .filter(|(_, known)| known.owner == user)
                .map(|(id, _)| id.clone())
                .collect();
            assert_eq!(listed, own, "the list of {user} after\n{}", self.story.join("\n"));
        }
        *self.done.entry("compare").or_default() += 1;
    }

    async fn step(&mut self) {
        match self.dice.random_range(0..100) {
            0..20 => self.create().await,
            20..28 => self.fail_to_create().await,
            28..50 => self.visit().await,
            50..65 => self.trespass().await,
            65..70 => self.bend_a_link().await,
            70..80 => self.delete().await,
            80..90 => self.haunt().await,
            90..97 => self.repeat().await,
            _ => self.compare().await,
        }
    }

    /// In the end there is a row for each document of the model, and a file for each row.
    async fn settle(mut self) {
        self.compare().await;
        self.server.inner.idle().await;
        let app = &self.server.inner.app;
        let files = async || {
            let tomorrow = app.clock.now() + SignedDuration::from_hours(24);
            app.blobs.older_than(tomorrow).try_collect::<Vec<_>>().await.unwrap().len()
        };
        crate::support::eventually("deleted files are erased", Duration::from_secs(60), || async {
            files().await == self.living.len()
        })
        .await;
        assert_eq!(app.store.blob_keys().await.unwrap().len(), self.living.len());
        self.server.inner.rest().await;
    }
}

async fn four_rules(deployment: Deployment, for_at_least: Duration, steps: u32, seed: u64) {
    let (mut run, _deployment) = Run::start(deployment, seed).await;
    let start = Instant::now();
    let mut count = 0;
    while count < steps || start.elapsed() < for_at_least {
        run.step().await;
        count += 1;
    }
    println!("{count} steps in {:?}: {:?}", start.elapsed(), run.done);
    let rare =
        ["create", "refused", "visit", "trespass", "bend", "delete", "haunt", "repeat", "again", "compare"];
    assert!(rare.iter().all(|what| run.done.get(what).is_some_and(|times| *times >= 5)), "{:?}", run.done);
    run.settle().await;
}

/// The steps of these runs are always the same; a longer run with others is below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_rules_hold_embedded() {
    four_rules(Deployment::embedded(), Duration::ZERO, 1200, 20_261_125).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_rules_hold_on_postgres_redis_and_s3() {
    four_rules(Deployment::full().await, Duration::ZERO, 600, 20_261_126).await;
}

/// `cargo test --package filot --test it -- --ignored --exact http::stateful::half_an_hour --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half an hour; 1,800 steps are always tried"]
async fn half_an_hour() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    // Access tokens live for a quarter of an hour.
    let deployment = || Deployment::embedded().with("FILOT_AUTH_ACCESS_TOKEN_S", "86400");
    four_rules(deployment(), Duration::from_secs(900), 0, seed).await;
    let full = Deployment::full().await.with("FILOT_AUTH_ACCESS_TOKEN_S", "86400");
    four_rules(full, Duration::from_secs(900), 0, seed + 1).await;
}
