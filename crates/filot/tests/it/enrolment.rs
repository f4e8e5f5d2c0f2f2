//! How officers come by password and codes: by a link that works once, and by nothing else.

use filot::auth::Auth;
use filot::store::Role;
use jiff::SignedDuration;
use reqwest::header::SET_COOKIE;

use crate::console::{Answer, Visitor};
use crate::http::server::PASSWORD;
use crate::program;
use crate::support::desk_server::{Desk, Staff};

const OWN: &str = "a password of their own";

/// Fills in the page of a link.
async fn set_up(visitor: &Visitor, desk: &Desk, path: &str, staff: &mut Staff, password: &str) -> Answer {
    let page = visitor.get(path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    staff.secret = Some(page.secret());
    let (ticket, code) = (page.field("ticket"), staff.code(&desk.clock));
    let fields = [
        ("ticket", ticket.as_str()),
        ("email", &staff.email),
        ("password", password),
        ("again", password),
        ("code", &code),
    ];
    visitor.post(path, &fields).await
}

/// Whoever saw a password sees no secret: one that was not confirmed is nowhere, and each page shows another.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_that_was_not_confirmed_is_never_shown_again() {
    let desk = Desk::start().await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let visitor = Visitor::new(&desk.base);
    let login = async |password: &str| {
        visitor.post("/console/login", &[("email", &ani.email), ("password", password)]).await
    };
    // The right password without codes: no secret, no ticket, no session.
    let refused = login(PASSWORD).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("no one-time codes yet"), "{}", refused.text);
    assert!(
        !refused.text.contains("secret") && !refused.text.contains("name=\"ticket\""),
        "{}",
        refused.text
    );
    assert!(refused.headers.get(SET_COOKIE).is_none());

    // A page that is looked at and left: another secret each time, none of them stored.
    let path = desk.invite(&ani).await;
    let (first, second) = (visitor.get(&path).await, visitor.get(&path).await);
    assert_ne!(first.secret(), second.secret());
    let user = desk.it.app.store.user_by_email(&ani.email).await.unwrap().unwrap();
    assert_eq!(desk.it.app.store.second_factor(user.id).await.unwrap(), None);
    assert_eq!(login(PASSWORD).await.status, 403);

    // What is wrong can be mended, with the same secret.
    let (ticket, secret) = (second.field("ticket"), second.secret());
    ani.secret = Some(secret.clone());
    let code = ani.code(&desk.clock);
    let send = async |password: &str, again: &str, code: &str, ticket: &str| {
        let fields = [("ticket", ticket), ("password", password), ("again", again), ("code", code)];
        visitor.post(&path, &fields).await
    };
    for (password, again, code, told) in [
        (OWN, "another password", code.as_str(), "not the same"),
        ("short", "short", &code, "less than 10"),
        (OWN, OWN, "000000", "does not fit"),
    ] {
        let refused = send(password, again, code, &ticket).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text.contains(told), "{told}\n{}", refused.text);
        assert_eq!(refused.secret(), secret);
    }
    // A ticket of another link, or of nobody, is no offer.
    let budi = desk.staff("Budi Contoh", Role::Reviewer).await;
    let foreign = visitor.get(&desk.invite(&budi).await).await.field("ticket");
    for forged in ["", "x", &foreign] {
        assert_eq!(send(OWN, OWN, &code, forged).await.location(), path);
    }
    let done = send(OWN, OWN, &code, &ticket).await;
    assert_eq!((done.status, done.location()), (303, "/console"), "{}", done.text);
    assert!(done.headers[SET_COOKIE].to_str().unwrap().contains("HttpOnly"));
    // Used: for nobody again, and the first password is no longer one.
    assert_eq!(visitor.get(&path).await.status, 410);
    assert_eq!(send(PASSWORD, PASSWORD, &code, &ticket).await.status, 410);
    assert_eq!((login(PASSWORD).await.status, login(OWN).await.status), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_after_a_day_with_a_newer_one_and_with_its_account() {
    let desk = Desk::start().await;
    let ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let visitor = Visitor::new(&desk.base);
    let open = async |path: &str| visitor.get(path).await.status;
    let (old, new) = (desk.invite(&ani).await, desk.invite(&ani).await);
    assert_eq!((open(&old).await, open(&new).await), (410, 200));
    desk.clock.advance(SignedDuration::from_hours(24));
    assert_eq!((open(&new).await, open("/console/enrol/guess").await), (410, 410));
    let path = desk.invite(&ani).await;
    let user = desk.it.app.store.user_by_email(&ani.email).await.unwrap().unwrap();
    let disabled = filot::store::AccountChange { disabled: Some(true), ..Default::default() };
    desk.it
        .app
        .store
        .change_account(user.id, disabled, &filot::store::Actor::Operator, "left")
        .await
        .unwrap();
    assert_eq!(open(&path).await, 410);
}

/// A link replaces no session by itself, and says whose it will end.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_sets_up_everything_by_one_link() {
    let desk = Desk::start().await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let signed_in = Visitor::sign_in(&desk, &mut ani).await;
    let auth = Auth::new(desk.it.app.clone()).unwrap();
    let link = auth.first_admin_link().await.unwrap().unwrap();
    let path = &link[link.find("/console/enrol/").unwrap()..];
    let page = signed_in.get(path).await;
    assert!(page.text.contains("signed out of the account of Ani Contoh"), "{}", page.text);
    assert_eq!(signed_in.get("/console").await.status, 200, "still Ani's");

    let mut root = Staff { email: "not an address".to_owned(), name: "Root", secret: None };
    assert_eq!(set_up(&signed_in, &desk, path, &mut root, OWN).await.status, 422);
    root.email.clone_from(&ani.email);
    let taken = set_up(&signed_in, &desk, path, &mut root, OWN).await;
    assert!(taken.status == 422 && taken.text.contains("has an account"), "{}", taken.text);
    root.email = "root@example.com".to_owned();
    let done = set_up(&signed_in, &desk, path, &mut root, OWN).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(signed_in.get("/console").await.status, 303, "Ani's session is over");
    let user = desk.it.app.store.user_by_email("root@example.com").await.unwrap().unwrap();
    assert_eq!(user.role, Role::Admin);
    assert_eq!(auth.first_admin_link().await.unwrap(), None);
    assert_eq!(signed_in.get(path).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_changes_their_password_and_leaves_everywhere() {
    let desk = Desk::start().await;
    let mut ani = desk.staff("Ani Contoh", Role::Reviewer).await;
    let here = Visitor::sign_in(&desk, &mut ani).await;
    desk.later();
    let there = Visitor::sign_in(&desk, &mut ani).await;
    let token = here.get("/console").await.field("csrf");
    let change = async |present: &str, new: &str, again: &str| {
        let fields = [("csrf", &*token), ("present", present), ("password", new), ("again", again)];
        here.post("/console/password", &fields).await
    };
    for (present, new, again, status, told) in [
        ("not the password", OWN, OWN, 403, "does not fit"),
        (PASSWORD, OWN, "another password", 422, "not the same"),
        (PASSWORD, "short", "short", 422, "less than 10"),
    ] {
        let refused = change(present, new, again).await;
        assert_eq!(refused.status, status);
        assert!(refused.text.contains(told), "{told}\n{}", refused.text);
    }
    assert_eq!(there.get("/console").await.status, 200);
    let done = change(PASSWORD, OWN, OWN).await;
    assert!(done.status == 200 && done.text.contains("The password is changed"), "{}", done.text);
    assert_eq!((here.get("/console").await.status, there.get("/console").await.status), (200, 303));
    let fields = [("email", ani.email.as_str()), ("password", PASSWORD)];
    assert_eq!(Visitor::new(&desk.base).post("/console/login", &fields).await.status, 401);
    let left = here.post("/console/sessions", &[("csrf", &token)]).await;
    assert_eq!((left.status, left.location()), (303, "/console/login"));
    assert_eq!(here.get("/console").await.status, 303);
}

/// What `filot create-user` prints is all that an officer needs, and no password.
#[tokio::test(flavor = "multi_thread")]
async fn commands_print_links_for_officers_and_passwords_for_customers() {
    let desk = Desk::start().await;
    let run = |arguments: &[&str]| {
        let mut command = program::filot();
        command.envs(desk.deployment.environment()).args(arguments);
        let done = program::finish(command, b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done.stdout.trim().to_owned()
    };
    let path = |link: &str| link[link.find("/console/enrol/").unwrap()..].to_owned();
    let link =
        run(&["create-user", "--email", "cici@example.com", "--role", "reviewer", "--name", "Cici Contoh"]);
    let visitor = Visitor::new(&desk.base);
    let mut cici = Staff { email: "cici@example.com".to_owned(), name: "Cici Contoh", secret: None };
    let done = set_up(&visitor, &desk, &path(&link), &mut cici, PASSWORD).await;
    assert_eq!(done.status, 303, "{}", done.text);

    let password = run(&["create-user", "--email", "dedi@example.com"]);
    let auth = Auth::new(desk.it.app.clone()).unwrap();
    auth.login("dedi@example.com", &password, None).await.unwrap();
    let reason = ["--reason", "as agreed"];
    let promoted =
        run(&[&["change-user", "--email", "dedi@example.com", "--role", "reviewer"][..], &reason].concat());
    assert_eq!(visitor.get(&path(&promoted)).await.status, 200);
    let again = run(&[&["reset-second-factor", "--email", "cici@example.com"][..], &reason].concat());
    let fields = [("email", "cici@example.com"), ("password", PASSWORD)];
    assert_eq!(visitor.post("/console/login", &fields).await.status, 403, "the old codes are gone");
    desk.later();
    assert_eq!(set_up(&visitor, &desk, &path(&again), &mut cici, OWN).await.status, 303);
}
