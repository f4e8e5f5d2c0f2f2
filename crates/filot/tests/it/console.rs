//! The console as browsers speak to it: cookies, tokens, headers, who may see what, and races.

use std::time::Duration;

use filot::document::ReviewId;
use filot::store::{EventKind, ReviewStatus, Role};
use jiff::SignedDuration;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::json;

use crate::http::server::{PASSWORD, Server};
use crate::program;
use crate::support::Deployment;
use crate::support::buli2::{Event, configured};
use crate::support::cards::Script;
use crate::support::desk_server::{Desk, Staff};

mod matrix;

/// A browser without a page: keeps its cookie.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) http: Client,
    pub(crate) base: String,
    pub(crate) cookie: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    /// The secret that an enrolment page shows.
    #[track_caller]
    pub(crate) fn secret(&self) -> String {
        let rest = self.text.split("class=\"secret\">").nth(1).unwrap_or_else(|| panic!("{}", self.text));
        rest.split('<').next().unwrap().to_owned()
    }

    /// The value of the first field of this name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.text.split(&start).nth(1).unwrap_or_else(|| panic!("no {name} in\n{}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Visitor {
    pub(crate) fn new(base: &str) -> Self {
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { http, base: base.to_owned(), cookie: String::new() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base)).header(COOKIE, &self.cookie);
        Answer::of(request.header("accept-language", "en").send().await.unwrap()).await
    }

    /// Asks for the head alone; the status of the answer.
    pub(crate) async fn head(&self, path: &str) -> u16 {
        let request = self.http.head(format!("{}{path}", self.base)).header(COOKIE, &self.cookie);
        request.send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from(path, fields, "same-origin").await
    }

    pub(crate) async fn post_from(&self, path: &str, fields: &[(&str, &str)], site: &str) -> Answer {
        let body: String = url_encoded(fields);
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header(COOKIE, &self.cookie)
            .header("accept-language", "en")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site)
            .body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Signs in; the first time sets up password and codes by a link.
    pub(crate) async fn sign_in(desk: &Desk, staff: &mut Staff) -> Self {
        let mut visitor = Self::new(&desk.base);
        let let_in = if staff.secret.is_none() {
            visitor.enrol(desk, staff).await
        } else {
            let fields = [("email", staff.email.as_str()), ("password", PASSWORD)];
            let asked = visitor.post("/console/login", &fields).await;
            assert_eq!(asked.status, 200, "{}", asked.text);
            let (ticket, code) = (asked.field("ticket"), staff.code(&desk.clock));
            visitor.post("/console/code", &[("ticket", &ticket), ("code", &code)]).await
        };
        assert_eq!((let_in.status, let_in.location()), (303, "/console"), "{}", let_in.text);
        let cookie = let_in.headers[SET_COOKIE].to_str().unwrap();
        visitor.cookie = cookie.split(';').next().unwrap().to_owned();
        visitor
    }

    /// Takes a review by its page's path; the token that forms of this session carry.
    pub(crate) async fn claim(&self, review: &str) -> String {
        let token = self.get("/console").await.field("csrf");
        self.post(&format!("{review}/claim"), &[("csrf", &token)]).await;
        token
    }

    /// Sets up password and codes by a new link.
    pub(crate) async fn enrol(&self, desk: &Desk, staff: &mut Staff) -> Answer {
        let path = desk.invite(staff).await;
        let page = self.get(&path).await;
        staff.secret = Some(page.secret());
        let (ticket, code) = (page.field("ticket"), staff.code(&desk.clock));
        let fields = [("ticket", &*ticket), ("password", PASSWORD), ("again", PASSWORD), ("code", &*code)];
        self.post(&path, &fields).await
    }
}

fn url_encoded(fields: &[(&str, &str)]) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let encode = |text: &str| {
        text.chars()
            .map(|c| {
                if safe(c) {
                    c.to_string()
                } else {
                    c.to_string().bytes().map(|b| format!("%{b:02X}")).collect()
                }
            })
            .collect::<String>()
    };
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_takes_a_password_and_a_code_that_works_once() {
    let desk = Desk::start().await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let visitor = Visitor::new(&desk.base);
    assert_eq!(visitor.get("/console").await.location(), "/console/login");
    let login = async |email: &str, password: &str| {
        visitor.post("/console/login", &[("email", email), ("password", password)]).await
    };
    let wrong = login(&ani.email, "not the password").await;
    let unknown = login("nobody@example.com", PASSWORD).await;
    let customer = desk.staff("Cici Contoh", Role::User).await;
    let not_staff = login(&customer.email, PASSWORD).await;
    for refused in [&wrong, &unknown, &not_staff] {
        assert_eq!(refused.status, 401);
        assert!(refused.text.contains("do not fit"), "{}", refused.text);
        assert!(refused.headers.get(SET_COOKIE).is_none());
    }
    let signed_in = Visitor::sign_in(&desk, &mut ani).await;
    assert_eq!(signed_in.get("/console").await.status, 200);

    // The same code again is refused; the next one is good, also where the clock is half a minute off.
    let ticket = login(&ani.email, PASSWORD).await.field("ticket");
    let again = visitor.post("/console/code", &[("ticket", &ticket), ("code", &ani.code(&desk.clock))]).await;
    assert_eq!(again.status, 401, "{}", again.text);
    assert!(!again.text.contains("class=\"secret\""), "whoever has codes is not shown the secret again");
    desk.later();
    let early = ani.code(&desk.clock);
    desk.clock.advance(SignedDuration::from_secs(30));
    let let_in = visitor.post("/console/code", &[("ticket", &ticket), ("code", &early)]).await;
    assert_eq!(let_in.status, 303, "{}", let_in.text);
    // Nobody gets further with a note that they made themselves, or that has grown old.
    for forged in ["", "x", &ticket[1..]] {
        let back = visitor.post("/console/code", &[("ticket", forged), ("code", "000000")]).await;
        assert_eq!((back.status, back.location()), (303, "/console/login"));
    }
    desk.clock.advance(SignedDuration::from_secs(301));
    let old = visitor.post("/console/code", &[("ticket", &ticket), ("code", &ani.code(&desk.clock))]).await;
    assert_eq!((old.status, old.location()), (303, "/console/login"));

    // Guessing ends soon.
    let ticket = login(&ani.email, PASSWORD).await.field("ticket");
    let mut refused = Vec::new();
    for guess in 0..10 {
        let code = format!("{guess:06}");
        refused.push(visitor.post("/console/code", &[("ticket", &ticket), ("code", &code)]).await.status);
    }
    assert!(refused.ends_with(&[429, 429, 429]), "{refused:?}");
    let mut refused = Vec::new();
    for _ in 0..12 {
        refused.push(login("nobody@example.com", "wrong password").await.status);
    }
    assert_eq!(refused.last(), Some(&429), "{refused:?}");
}

/// Guessers have used up what an account allows in all, and what its network allows with it. An officer's own browser
/// signs in from there all the same, and is itself no way to guess.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_browser_signs_in_wherever_it_is() {
    let desk = Desk::start_on(Deployment::embedded().with("FILOT_SERVER_TRUSTED_PROXIES", "1")).await;
    let (mut ani, mut budi) =
        (desk.staff("Ani Contoh", Role::Reviewer).await, desk.staff("Budi Contoh", Role::Reviewer).await);
    let visitor = Visitor::new(&desk.base);
    let post = async |path: &str, fields: &[(&str, &str)], from: &str, cookie: &str| {
        let request = visitor.http.post(format!("{}{path}", desk.base)).body(url_encoded(fields));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("sec-fetch-site", "same-origin").header("x-forwarded-for", from);
        Answer::of(request.header(COOKIE, cookie).send().await.unwrap()).await
    };
    let marked = async |staff: &mut Staff| {
        let let_in = visitor.enrol(&desk, staff).await;
        let mut cookies = let_in.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        let mark = cookies.find(|cookie| cookie.starts_with("filot-device=")).unwrap();
        assert!(mark.contains("HttpOnly") && mark.contains("SameSite=Strict"), "{mark}");
        mark.split(';').next().unwrap().to_owned()
    };
    let (anis, budis) = (marked(&mut ani).await, marked(&mut budi).await);
    desk.later();

    let (here, right) = ("192.0.2.1", [("email", ani.email.as_str()), ("password", PASSWORD)]);
    let wrong = [("email", ani.email.as_str()), ("password", "a guess")];
    for number in 0..40 {
        post("/console/login", &wrong, &format!("198.51.{number}.9"), "").await;
        post("/console/login", &wrong, here, "").await;
    }
    let told = async |cookie: &str| post("/console/login", &right, here, cookie).await.status;
    // Neither an unknown browser, nor another's, nor one that names the network of the owner.
    assert_eq!(
        (told("").await, told(&budis).await, told("filot-device=127.0.0.0/24").await),
        (429, 429, 429)
    );
    let asked = post("/console/login", &right, here, &anis).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    let ticket = asked.field("ticket");
    for number in 0..20 {
        let code = format!("{number:06}");
        post("/console/code", &[("ticket", ticket.as_str()), ("code", &code)], here, "").await;
    }
    let code = ani.code(&desk.clock);
    let code = [("ticket", ticket.as_str()), ("code", &code)];
    assert_eq!(post("/console/code", &code, here, "").await.status, 429);
    let let_in = post("/console/code", &code, here, &anis).await;
    assert_eq!(let_in.status, 303, "{}", let_in.text);

    // Who has the browser, and not the password, has ten tries.
    let mut tried = 0;
    for _ in 0..20 {
        tried += u32::from(post("/console/login", &wrong, here, &anis).await.status == 401);
    }
    assert_eq!(tried, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_idle_late_and_by_leaving() {
    let desk = Desk::start().await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    let open = async |visitor: &Visitor| visitor.get("/console").await.status == 200;
    // Ten minutes at a time are no idleness, until twelve hours are over.
    for _ in 0..71 {
        desk.clock.advance(SignedDuration::from_secs(600));
        assert!(open(&visitor).await);
    }
    desk.clock.advance(SignedDuration::from_secs(600));
    assert!(!open(&visitor).await, "twelve hours are over");

    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    // What the script asks for by itself does not keep it open.
    desk.clock.advance(SignedDuration::from_secs(600));
    let request = visitor.http.get(format!("{}/console", desk.base)).header(COOKIE, &visitor.cookie);
    assert_eq!(request.header("hx-request", "true").send().await.unwrap().status(), StatusCode::OK);
    desk.clock.advance(SignedDuration::from_secs(301));
    assert!(!open(&visitor).await, "idle for fifteen minutes");

    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    let token = visitor.get("/console").await.field("csrf");
    let left = visitor.post("/console/logout", &[("csrf", &token)]).await;
    assert!(left.headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert!(!open(&visitor).await, "the cookie is worth nothing any longer");

    desk.later();
    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    let user = desk.it.app.store.user_by_email(&ani.email).await.unwrap().unwrap();
    desk.it.app.store.set_role(user.id, Role::User, &filot::store::Actor::System).await.unwrap();
    assert!(!open(&visitor).await, "no longer a reviewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_answers_are_guarded() {
    let desk = Desk::start().await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let mut budi = desk.staff("Budi Contoh", Role::Reviewer).await;
    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    let other = Visitor::sign_in(&desk, &mut budi).await;
    let page = visitor.get("/console").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self'") && policy.contains("style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("data:"), "{policy}");
    assert_eq!(page.headers["cache-control"], "private, no-store");
    assert_eq!(page.headers["x-frame-options"], "DENY");
    for bad in ["style=", "<style", "onclick", "http://", "https://", "javascript:"] {
        assert!(!page.text.contains(bad), "{bad}");
    }
    let token = page.field("csrf");
    let foreign = other.get("/console").await.field("csrf");
    let claim = format!("/console/reviews/{id}/claim");
    for forged in ["", "x", &foreign] {
        assert_eq!(visitor.post(&claim, &[("csrf", forged)]).await.status, 403);
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(visitor.post_from(&claim, &[("csrf", &token)], site).await.status, 403);
    }
    let long = "a".repeat(20_000);
    let too_long = visitor.post(&claim, &[("csrf", &token), ("x", &long)]).await;
    assert_eq!(too_long.status, 422);
    assert!(desk.it.app.store.review(id).await.unwrap().claimed.is_none());

    // Nobody sees what they have not taken.
    let review = format!("/console/reviews/{id}");
    for path in ["original.jpg", "straightened.jpg"] {
        assert_eq!(visitor.get(&format!("{review}/{path}")).await.status, 404);
    }
    assert!(!visitor.get(&review).await.text.contains("SITI"));
    assert_eq!(visitor.post(&claim, &[("csrf", &token)]).await.location(), review);
    let seen = visitor.get(&review).await;
    assert!(seen.text.contains("SITI CONTOH"));
    assert_eq!(visitor.get(&format!("{review}/original.jpg")).await.headers["content-type"], "image/jpeg");
    let theirs = other.get(&review).await;
    assert!(!theirs.text.contains("SITI") && theirs.text.contains("Ani Contoh"), "{}", theirs.text);
    assert_eq!(other.get(&format!("{review}/original.jpg")).await.status, 404);
    for (path, fields) in [
        ("decision", vec![("ruling", "approve"), ("reason", "GLARE")]),
        ("decision", vec![("ruling", "approve"), ("reason", "BECAUSE")]),
        ("decision", vec![("ruling", "explode"), ("reason", "GLARE")]),
        ("fields/npwp16", vec![("value", "1")]),
    ] {
        let version = seen.field("version");
        let mut fields = fields;
        fields.extend([("csrf", token.as_str()), ("version", version.as_str())]);
        assert_eq!(visitor.post(&format!("{review}/{path}"), &fields).await.status, 422, "{path}");
    }
    let nobody = ReviewId::new();
    assert_eq!(visitor.get(&format!("/console/reviews/{nobody}")).await.status, 404);
    assert_eq!(visitor.get("/console/reviews/x").await.status, 404);
    // Markup in values stays text.
    let version = seen.field("version");
    let saved = visitor
        .post(
            &format!("{review}/fields/name"),
            &[("csrf", &token), ("version", &version), ("value", "\"><b>x</b>")],
        )
        .await;
    assert_eq!(saved.status, 422, "no card has that");
    assert!(
        saved.text.contains("&quot;&gt;&lt;b&gt;x") || saved.text.contains("&#34;&#62;&#60;b&#62;x"),
        "{}",
        saved.text
    );
    for page in [saved, visitor.get(&review).await] {
        assert!(!page.text.to_lowercase().contains("<b>x"));
    }
}

/// Two officers and their double clicks, each over its own connection.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_races_over_http_end_in_one_decision_each() {
    let desk = Desk::sound().await;
    let mut staff =
        [desk.staff("Ani Contoh", Role::Reviewer).await, desk.staff("Budi Contoh", Role::Reviewer).await];
    let mut visitors = Vec::new();
    for person in &mut staff {
        let visitor = Visitor::sign_in(&desk, person).await;
        let token = visitor.get("/console").await.field("csrf");
        visitors.push((visitor, token));
    }
    let mut told = 0;
    for number in 0..500 {
        let (document, id) = desk.it.review(number, Script::Review).await;
        let clicks = [0, 0, 1, 1].map(|who| {
            let (visitor, token) = visitors[who].clone();
            tokio::spawn(async move {
                let review = format!("/console/reviews/{id}");
                let taken = visitor.post(&format!("{review}/claim"), &[("csrf", &token)]).await;
                if taken.status != 303 {
                    return (who, taken);
                }
                let page = visitor.get(&review).await;
                if !page.text.contains("name=\"version\"") {
                    // Decided by the other click meanwhile.
                    return (who, page);
                }
                let version = page.field("version");
                visitor.get(&format!("{review}/original.jpg")).await;
                let (ruling, reason) =
                    if who == 0 { ("approve", "DATA_MATCHES") } else { ("reject", "NOT_A_CARD") };
                let fields =
                    [("csrf", token.as_str()), ("version", &version), ("ruling", ruling), ("reason", reason)];
                (who, visitor.post(&format!("{review}/decision"), &fields).await)
            })
        });
        let mut answers = Vec::new();
        for click in clicks {
            answers.push(click.await.unwrap());
        }
        let rulings = desk.it.app.store.rulings_of(id).await.unwrap();
        assert_eq!(rulings.len(), 1);
        let winner = usize::from(rulings[0].ruling.as_str() == "reject");
        let loser = 1 - winner;
        assert!(answers.iter().any(|(who, answer)| *who == winner && answer.status == 303));
        for (_, answer) in answers.iter().filter(|(who, _)| *who == loser) {
            let name = staff[winner].name;
            assert!(answer.status == 409 && answer.text.contains(name), "{} {}", answer.status, answer.text);
            told += 1;
        }
        desk.later();
        filot::desk::settle(&desk.it.app).await.unwrap();
        let events = desk.it.app.store.events_after(0, 10_000).await.unwrap();
        let resolved = events.iter().filter(|e| e.document_id == document && e.kind == EventKind::Resolved);
        assert_eq!(resolved.count(), 1);
    }
    assert_eq!(told, 1000, "both clicks of each loser");
}

/// BULI2 in both ways, and an officer who clicks twice, all at once.
async fn buli2_and_the_desk_race(deployment: Deployment, rounds: u32) {
    let deployment = configured(deployment, 9).with("FILOT_BULI2_REPLAY_WINDOW_S", "300");
    let desk = Desk::start_on(deployment).await;
    // A second door to the same rows, as a second process would be.
    let neighbour = Server::on(desk.it.app.clone()).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let visitor = Visitor::sign_in(&desk, &mut ani).await;
    let token = visitor.get("/console").await.field("csrf");
    let store = &desk.it.app.store;
    let (mut by_desk, mut by_buli2) = (0, 0);
    for round in 0..rounds {
        let (document, id) = desk.it.review(round, Script::Review).await;
        let review = format!("/console/reviews/{id}");
        assert_eq!(visitor.post(&format!("{review}/claim"), &[("csrf", &token)]).await.status, 303);
        let version = visitor.get(&review).await.field("version");
        let click = async || {
            let fields = [
                ("csrf", token.as_str()),
                ("version", version.as_str()),
                ("ruling", "reject"),
                ("reason", "NOT_A_CARD"),
            ];
            visitor.post(&format!("{review}/decision"), &fields).await
        };
        let event = async |name: &str, decision: &str| {
            let body = serde_json::to_vec(&json!({ "reviewId": id, "decision": decision })).unwrap();
            let event = Event::at(desk.clock.now().as_second(), &format!("{name}-{round}"), body);
            // Forms take a little longer than answers; so each side is first now and then.
            tokio::time::sleep(Duration::from_millis(u64::from(round % 10))).await;
            neighbour.send(event.request(&neighbour)).await
        };
        let (first, second, yes, no) =
            tokio::join!(click(), click(), event("yes", "approved"), event("no", "rejected"));
        let rulings = store.rulings_of(id).await.unwrap();
        let stands = store.review(id).await.unwrap();
        if let [ruling] = &rulings[..] {
            by_desk += 1;
            assert!([&first, &second].iter().all(|answer| answer.status == 303), "{}", first.text);
            assert_eq!(stands.status, ReviewStatus::Pending, "not in effect yet");
            let winner = format!("officer:{}", ruling.reviewer);
            for answer in [&yes, &no] {
                answer.is(409, "conflict");
                assert!(answer.body["detail"].as_str().unwrap().contains(&winner), "{answer:?}");
                assert!(!answer.header("retry-after").is_empty());
            }
        } else {
            by_buli2 += 1;
            assert!(rulings.is_empty());
            for answer in [&first, &second] {
                assert!(
                    answer.status == 409 && answer.text.contains("BULI2"),
                    "{} {}",
                    answer.status,
                    answer.text
                );
            }
            let mut told = [yes.status, no.status];
            told.sort_unstable();
            assert_eq!(told, [200, 409]);
            let lost = if yes.status == 409 { &yes } else { &no };
            lost.is(409, "review_decided");
            assert!(lost.body["detail"].as_str().unwrap().contains("service:buli2"), "{lost:?}");
        }
        desk.later();
        filot::desk::settle(&desk.it.app).await.unwrap();
        let decided = store.review(id).await.unwrap();
        let events = store.events_after(0, 10_000).await.unwrap();
        let resolved = events.iter().filter(|e| e.document_id == document && e.kind == EventKind::Resolved);
        assert_eq!((resolved.count(), decided.status == ReviewStatus::Pending), (1, false));
        // Sent again, the answers are told what stands, and who decided.
        let stood = decided.decision.unwrap();
        for (name, decision) in [("yes", "approved"), ("no", "rejected")] {
            let again = event(name, decision).await;
            assert_eq!(again.status == 200, stood.as_str() == decision, "{again:?}");
        }
        assert_eq!(store.review(id).await.unwrap(), decided);
    }
    println!("{rounds} races of BULI2 and the desk: {by_desk} to the desk, {by_buli2} to BULI2");
    assert!(by_desk > 0 && by_buli2 > 0, "{by_desk} {by_buli2}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_races_of_callbacks_and_the_desk_end_in_one_decision_each() {
    buli2_and_the_desk_race(Deployment::embedded(), 500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn races_of_callbacks_and_the_desk_end_in_one_decision_each_on_postgres() {
    buli2_and_the_desk_race(Deployment::postgres(), 120).await;
}

/// Whoever has lost their phone gets in again by way of an operator, and nobody else by their sign-ins.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_second_factor_is_taken_away_with_all_sign_ins() {
    let desk = Desk::start().await;
    let (_, id) = desk.it.review(1, Script::Review).await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let mut budi = desk.staff("Budi Contoh", Role::Reviewer).await;
    let (visitor, other) =
        (Visitor::sign_in(&desk, &mut ani).await, Visitor::sign_in(&desk, &mut budi).await);
    visitor.claim(&format!("/console/reviews/{id}")).await;
    let auth = filot::auth::Auth::new(desk.it.app.clone()).unwrap();
    let user = desk.it.app.store.user_by_email(&ani.email).await.unwrap().unwrap();
    let grant = auth.grant(user.clone()).await.unwrap();
    let reset = |email: &str| {
        let mut command = program::filot();
        command.envs(desk.deployment.environment());
        command.args([
            "reset-second-factor",
            "--email",
            email,
            "--reason",
            "lost phone, seen in person by the head",
        ]);
        program::finish(command, b"")
    };
    let done = reset(&ani.email);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(done.stderr.contains("1 sign-ins ended"), "{}", done.stderr);
    assert_eq!(visitor.get("/console").await.location(), "/console/login");
    assert_eq!(other.get("/console").await.status, 200, "others stay");
    assert!(auth.refresh(&grant.refresh_token).await.is_err());
    assert!(desk.it.app.store.review(id).await.unwrap().claimed.is_none());
    let entries = desk.it.app.store.audit_about(vec![format!("user:{}", user.id)]).await.unwrap();
    let entry = entries.iter().find(|entry| entry.action == "user.second_factor_reset").unwrap();
    assert_eq!(
        (entry.actor.as_str(), entry.reason.as_deref()),
        ("operator", Some("lost phone, seen in person by the head"))
    );
    let entries = desk.it.app.store.audit_about(vec![format!("review:{id}")]).await.unwrap();
    assert_eq!(entries.last().unwrap().action, "review.release");
    // A link that was not used in time is replaced by another; nobody has that name.
    assert_eq!((reset(&ani.email).status, reset("nobody@example.com").status), (0, 69));
    // Whoever leaves is locked out at once, and can come back in another role.
    let change = |arguments: &[&str]| {
        let mut command = program::filot();
        command.envs(desk.deployment.environment());
        command.args(["change-user", "--email", &budi.email, "--reason", "as agreed"]).args(arguments);
        program::finish(command, b"")
    };
    assert_eq!(change(&[]).status, 69, "nothing to change");
    assert_eq!(change(&["--disable", "--enable"]).status, 64);
    let locked = change(&["--disable"]);
    assert_eq!(locked.status, 0, "{}", locked.stderr);
    assert_eq!(other.get("/console").await.location(), "/console/login");
    let login = async |password: &str| {
        Visitor::new(&desk.base)
            .post("/console/login", &[("email", &budi.email), ("password", password)])
            .await
            .status
    };
    assert_eq!(login(PASSWORD).await, 401);
    let back = change(&["--enable", "--new-password", "--role", "admin"]);
    assert_eq!(login(PASSWORD).await, 401);
    let link = back.stdout.trim();
    assert!(link.starts_with("http://127.0.0.1:8080/console/enrol/"), "{link} {}", back.stderr);
    let budis = desk.it.app.store.user_by_email(&budi.email).await.unwrap().unwrap();
    assert_eq!((budis.role, budis.disabled), (Role::Admin, false));
    let entries = desk.it.app.store.audit_about(vec![format!("user:{}", budis.id)]).await.unwrap();
    let told: Vec<_> = entries.iter().filter(|entry| entry.action == "user.change").collect();
    assert_eq!(told[0].after.as_deref(), Some("reviewer disabled, 1 sessions ended"));
    assert_eq!(told[1].before.as_deref(), Some("reviewer disabled"));
    assert!(
        told.iter().all(|entry| entry.actor == "operator" && entry.reason.as_deref() == Some("as agreed"))
    );

    // One that was sealed with another SESSION_SECRET is named as such, and can be taken away too.
    desk.it.app.store.set_second_factor(user.id, vec![0; 64], 0).await.unwrap();
    let visitor = Visitor::new(&desk.base);
    let page = visitor.post("/console/login", &[("email", &ani.email), ("password", PASSWORD)]).await;
    let (ticket, code) = (page.field("ticket"), "123456");
    let refused = visitor.post("/console/code", &[("ticket", &ticket), ("code", code)]).await;
    assert_eq!(refused.status, 409);
    assert_eq!(reset(&ani.email).status, 0);

    // The old codes are worth nothing; new ones are set up.
    let old = ani.secret.take();
    let again = Visitor::sign_in(&desk, &mut ani).await;
    assert_eq!(again.get("/console").await.status, 200);
    assert_ne!(ani.secret, old);
}
