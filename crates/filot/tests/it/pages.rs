//! The customer's page and the dashboard in a real Chromium: on a phone, and for everybody's eyes.

use std::time::Duration;

use filot::desk::{self, Reason};
use filot::document::DocumentId;
use filot::store::{Claim, Officer, Role};
use filot::{intake, retake};
use jiff::SignedDuration;

use crate::browser::{has_no_barriers, images, save, sign_in};
use crate::support::browser::{Browser, Setting};
use crate::support::cards::{Script, card};
use crate::support::desk::officer;
use crate::support::desk_server::Desk;

const LEASE: Duration = Duration::from_secs(120);
const PHONE: (u32, u32) = (412, 915);

/// Somebody decides on a new document, having had it for so many seconds.
async fn decide(desk: &Desk, who: &Officer, number: u32, seconds: i64, reason: Reason) -> DocumentId {
    let (document, review) = desk.it.review(number, Script::Review).await;
    let store = &desk.it.app.store;
    let Claim::Held(held) = store.claim_review(review, who, LEASE).await.unwrap() else { panic!() };
    desk.clock.advance(SignedDuration::from_secs(seconds));
    store.extend_claim(review, who, LEASE).await.unwrap();
    store.picture_seen(review, who).await.unwrap();
    desk::decide(&desk.it.app, who, review, held.version, reason.ruling(), reason, None).await.unwrap();
    desk.later();
    desk::settle(&desk.it.app).await.unwrap();
    document
}

/// The path of a link that asks for another photo, and the document that it is about.
async fn link(desk: &Desk, who: &Officer, number: u32, reason: Reason) -> (String, DocumentId) {
    let id = decide(desk, who, number, 20, reason).await;
    let asked = retake::asked(&desk.it.app, &desk.it.document(id).await).await.unwrap().unwrap();
    (format!("/retake/{}", asked.url.split("/retake/").nth(1).unwrap()), id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_sends_another_photo() {
    let desk = Desk::start().await;
    let ani = officer(&desk.it.app, "Ani Contoh", Role::Reviewer).await;
    let (path, old) = link(&desk, &ani, 1, Reason::Glare).await;
    let files = tempfile::tempdir().unwrap();
    let (good, bad) = (files.path().join("foto.png"), files.path().join("catatan.jpg"));
    std::fs::write(&good, card(2, Script::Approve, 0)).unwrap();
    std::fs::write(&bad, "no picture").unwrap();

    // No script is turned off here: the page's policy forbids all of them.
    let setting = Setting { size: PHONE, language: "id", ..Setting::default() };
    let browser = Browser::start(&desk.base, setting).await;
    browser.goto(&path).await;
    browser.says("Foto terlalu silau. Miringkan kartu sedikit").await;
    assert_eq!(browser.attr("#file", "capture").await, "environment");
    let send = async |file: &std::path::Path| {
        let input = browser.find("#file").await;
        let typed = input.send_keys(file.to_str().unwrap());
        tokio::time::timeout(Duration::from_secs(60), typed).await.expect("the file is chosen").unwrap();
        browser.click("button").await;
    };
    send(&bad).await;
    browser.says("Berkas ini bukan foto").await;
    browser.click("header a").await;
    browser.says("Please tilt the card").await;
    send(&good).await;
    browser.says("We have received your photo").await;
    let new = desk.it.document(old).await.replaced_by.unwrap();
    assert_eq!(desk.it.finished(new).await.replaces, Some(old));
    browser.goto(&path).await;
    browser.says("Terima kasih").await;
    assert_eq!(browser.count("form").await, 0);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_page_has_barriers_in_light_or_dark() {
    let desk = Desk::start().await;
    let ani = officer(&desk.it.app, "Ani Contoh", Role::Reviewer).await;
    for (number, (dark, size)) in (10..).step_by(10).zip([(false, PHONE), (true, (1366, 768))]) {
        let (path, _) = link(&desk, &ani, number, Reason::Dark).await;
        let browser = Browser::start(&desk.base, Setting { dark, size, ..Setting::default() }).await;
        browser.goto(&path).await;
        has_no_barriers(&browser, "retake").await;
        fits(&browser, "retake").await;
        browser.run("document.querySelector('#file').required = false").await;
        browser.click("button").await;
        browser.says("There is no photo yet").await;
        has_no_barriers(&browser, "retake without a photo").await;
        browser.goto("/retake/unknown").await;
        browser.says("not known").await;
        has_no_barriers(&browser, "unknown link").await;

        let mut budi = desk.staff("Budi Contoh", Role::Admin).await;
        desk.later();
        sign_in(&browser, &desk, &mut budi).await;
        browser.click("header nav a[href='/console/dashboard']").await;
        browser.says("Documents a day").await;
        has_no_barriers(&browser, "dashboard").await;
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true)").await;
        has_no_barriers(&browser, "dashboard with its numbers").await;
        fits(&browser, "dashboard").await;
        browser.click(".ranges a[href$='=90']").await;
        browser
            .until("90 days", async || browser.attr(".ranges [aria-current]", "href").await.ends_with("=90"))
            .await;
        browser.close().await;
    }
}

/// Nothing sticks out of the page sideways.
async fn fits(browser: &Browser, page: &str) {
    let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.run(script).await.as_f64(), Some(0.0), "{page}");
}

/// `make screenshots`: both pages, light and dark, on a desk and on a phone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures into docs/images"]
async fn screenshots() {
    let desk = Desk::start().await;
    let officers = [
        officer(&desk.it.app, "Ani Contoh", Role::Reviewer).await,
        officer(&desk.it.app, "Budi Contoh", Role::Reviewer).await,
    ];
    let reasons = [
        Reason::DataMatches,
        Reason::Glare,
        Reason::DataCorrected,
        Reason::Blurred,
        Reason::DataMatches,
        Reason::NotACard,
        Reason::DataCorrected,
        Reason::CutOff,
    ];
    let mut number = 0;
    for day in 0..20_u32 {
        let (approved, rejected, reviewed) = (4 + day * 7 % 9, day % 3, 1 + day * 5 % 4);
        for (script, count) in [(Script::Approve, approved), (Script::Reject, rejected)] {
            for _ in 0..count {
                number += 1;
                let id = intake::submit(&desk.it.app, upload(&desk, number, script)).await.unwrap().id;
                desk.it.finished(id).await;
            }
        }
        for n in 0..reviewed {
            number += 1;
            let who = &officers[(number % 5 == 0) as usize];
            let reason = reasons[(day * 3 + n) as usize % reasons.len()];
            decide(&desk, who, number, 12 + i64::from(number * 37 % 80), reason).await;
        }
        desk.clock.advance(SignedDuration::from_hours(23));
    }
    for wait in [9_000, 5_400, 1_500, 300] {
        number += 1;
        desk.it.review(number, Script::Review).await;
        desk.clock.advance(SignedDuration::from_secs(wait));
    }
    // Small enough for the limit of a picture.
    let phone_size = (360, 740);
    for (dark, phone) in [(false, false), (true, false), (false, true), (true, true)] {
        let size = if phone { phone_size } else { (1366, 768) };
        let (light, kind) = (if dark { "dark" } else { "light" }, if phone { "phone" } else { "desktop" });
        let name = |page: &str| images().join(format!("{page}-{light}-{kind}.jpg"));
        number += 1;
        let (path, _) = link(&desk, &officers[0], number, Reason::Glare).await;
        let language = if phone { "id" } else { "en" };
        let browser =
            Browser::start(&desk.base, Setting { dark, size, language, ..Setting::default() }).await;
        browser.goto(&path).await;
        save(&browser, &name("retake")).await;
        let mut citra = desk.staff("Citra Contoh", Role::Admin).await;
        desk.later();
        sign_in(&browser, &desk, &mut citra).await;
        browser.goto("/console/dashboard").await;
        browser.find(".tiles").await;
        save(&browser, &name("console-dashboard")).await;
        browser.run("document.querySelector('.wide').scrollIntoView()").await;
        save(&browser, &name("console-dashboard-reasons")).await;
        browser.close().await;
    }
}

fn upload(desk: &Desk, number: u32, script: Script) -> intake::Upload {
    crate::support::app::upload(desk.it.user, card(number, script, 0))
}
