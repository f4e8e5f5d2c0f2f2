//! What open pages are told without asking: that the queue is another, whose a review is, that the session ends.

use std::time::Duration;

use filot::document::ReviewId;
use filot::store::{Claim, Officer, Role};
use futures_util::StreamExt;
use jiff::SignedDuration;
use reqwest::header::COOKIE;
use serde_json::Value;

use crate::browser::sign_in;
use crate::console::Visitor;
use crate::support::browser::{Browser, Setting};
use crate::support::cards::Script;
use crate::support::desk::officer;
use crate::support::desk_server::Desk;

const LEASE: Duration = Duration::from_secs(120);
/// Longer than a look without a signal takes, and shorter than a page would ask by itself.
const SOON: Duration = Duration::from_secs(12);

/// A page that listens.
struct Ear {
    bytes: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Ear {
    async fn on(visitor: &Visitor, path: &str) -> Self {
        let request = visitor.http.get(format!("{}{path}", visitor.base)).header(COOKIE, &visitor.cookie);
        let request = request.header("accept", "text/event-stream").header("accept-language", "en");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        Self { bytes: Box::pin(answer.bytes_stream()), text: String::new() }
    }

    /// The next event; `None` when the stream is over.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                    found.trim_start().to_owned()
                };
                let found = (line("event:"), line("data:"));
                self.text = rest.to_owned();
                // Signs of life have no name.
                if !found.0.is_empty() {
                    return Some(found);
                }
                continue;
            }
            let more = tokio::time::timeout(SOON * 2, self.bytes.next()).await.expect("an event in time")?;
            self.text.push_str(std::str::from_utf8(&more.unwrap()).unwrap());
        }
    }

    async fn hears(&mut self, name: &str) -> String {
        let (event, data) = self.next().await.unwrap();
        assert_eq!(event, name, "{data}");
        data
    }

    async fn lock(&mut self) -> (bool, String) {
        let told: Value = serde_json::from_str(&self.hears("lock").await).unwrap();
        (told["mine"].as_bool().unwrap(), told["text"].as_str().unwrap().to_owned())
    }
}

async fn claim(desk: &Desk, id: ReviewId, who: &Officer) {
    let claimed = desk.it.app.store.claim_review(id, who, LEASE).await.unwrap();
    assert!(matches!(claimed, Claim::Held(_)), "{claimed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_of_the_queue_the_lock_and_the_end() {
    let desk = Desk::start().await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let budi = officer(&desk.it.app, "Budi Contoh", Role::Reviewer).await;
    let stranger = Visitor::new(&desk.base);
    assert_eq!(stranger.get("/console/live").await.location(), "/console/login");
    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    assert_eq!(visitor.get(&format!("/console/reviews/{}/live", ReviewId::new())).await.status, 404);

    let mut queue = Ear::on(&visitor, "/console/live").await;
    // The first look is only for what comes afterwards.
    tokio::time::sleep(Duration::from_millis(500)).await;
    desk.it.review(2, Script::Review).await;
    queue.hears("queue").await;

    let token = visitor.claim(&format!("/console/reviews/{id}")).await;
    queue.hears("queue").await;
    let mut review = Ear::on(&visitor, &format!("/console/reviews/{id}/live")).await;
    assert_eq!(review.lock().await, (true, String::new()));
    // Nothing is heard of Ani, and Budi takes over.
    desk.clock.advance(SignedDuration::from_secs(121));
    claim(&desk, id, &budi).await;
    let (mine, text) = review.lock().await;
    assert!(!mine && text.contains("Budi Contoh was quicker"), "{text}");
    let beat = visitor.post(&format!("/console/reviews/{id}/heartbeat"), &[("csrf", &token)]).await;
    assert!(beat.status == 409 && beat.text.contains("Budi Contoh"), "{} {}", beat.status, beat.text);
    desk.it.app.store.release_claim(id, &budi).await.unwrap();
    assert!(review.lock().await.1.contains("no longer with you"));

    // To listen is no sign of life: the end comes, announced, unless there is one.
    desk.clock.advance(SignedDuration::from_secs(900 - 100));
    assert!(review.hears("ending").await.contains("signed out"));
    visitor.post("/console/alive", &[("csrf", &token)]).await;
    assert_eq!(review.hears("ending").await, "\"\"");
    desk.clock.advance(SignedDuration::from_secs(800));
    review.hears("ending").await;
    desk.clock.advance(SignedDuration::from_secs(101));
    review.hears("ended").await;
    assert_eq!(review.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_pages_change_by_themselves() {
    let desk = Desk::start().await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let budi = officer(&desk.it.app, "Budi Contoh", Role::Reviewer).await;
    let browser = Browser::start(&desk.base, Setting::default()).await;
    sign_in(&browser, &desk, &mut ani).await;
    browser.says("1 waiting").await;
    browser.run("document.querySelector('[data-open]').focus(); window.same = true").await;
    desk.it.review(2, Script::Review).await;
    let start = std::time::Instant::now();
    browser.says("2 waiting").await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(browser.run("return window.same").await, true, "the page is the same");
    let focused = browser.run("return document.activeElement.id").await;
    assert_eq!(focused.as_str().unwrap(), format!("open-{id}"), "the focus stays where it was");

    // Budi takes what Ani has open.
    browser.press('\u{e007}').await;
    browser.find("#photo").await;
    desk.clock.advance(SignedDuration::from_secs(121));
    claim(&desk, id, &budi).await;
    browser.says("Budi Contoh was quicker").await;
    crate::browser::has_no_barriers(&browser, "a review that was lost").await;
    browser.close().await;
}

/// Without the stream the page asks by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_hears_nothing_asks() {
    let desk = Desk::start().await;
    desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let browser = Browser::start(&desk.base, Setting::default()).await;
    // As behind a proxy that lets no stream through.
    browser
        .before_pages(
            "class Deaf extends EventTarget { constructor() { super(); this.readyState = 2; } close() {} } \
             Deaf.OPEN = 1; Deaf.CLOSED = 2; window.EventSource = Deaf;",
        )
        .await;
    sign_in(&browser, &desk, &mut ani).await;
    browser.says("1 waiting").await;
    desk.it.review(2, Script::Review).await;
    browser.says("2 waiting").await;
    browser.close().await;
}
