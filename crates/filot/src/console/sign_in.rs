//! Signing in: e-mail and password, then a one-time code. Whoever has no codes yet sets them up on the way.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tracing::{error, info, warn};

use super::failure::{Failure, Result};
use super::form::{Form, OpenForm};
use super::language::Language;
use super::page::{Page, html};
use super::session::{Signed, session_cookie};
use super::totp::{Codes, SECRET};
use super::{Console, see_other};
use crate::auth::{self, hash_token};
use crate::document::UserId;
use crate::keys;
use crate::store::{Actor, AuditEntry, Role, SecondFactor, User};

/// Seconds between password and code.
const PATIENCE: i64 = 300;
/// What the note between the two steps, and the secrets of codes, are sealed for.
const STEP: &str = "console-second-step";
const FACTOR: &str = "console-second-factor";

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    page: Page,
    error: Option<&'static str>,
    email: String,
}

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage {
    page: Page,
    error: Option<&'static str>,
    /// Says, sealed, whose password was right.
    ticket: String,
    /// For whoever sets up codes.
    enrolment: Option<Enrolment>,
}

struct Enrolment {
    /// Modules of the picture's side, quiet zone included, and its dark ones.
    side: usize,
    path: String,
    secret: String,
}

fn page(console: &Console, language: Language) -> Page {
    Page { here: "/console/login".to_owned(), ..Page::plain(console, language) }
}

pub(super) async fn show(
    State(console): State<Console>,
    headers: axum::http::HeaderMap,
    who: std::result::Result<Signed, Failure>,
) -> Response {
    if who.is_ok() {
        return see_other("/console");
    }
    let page = page(&console, Language::of(&headers));
    html(StatusCode::OK, &Login { page, error: None, email: String::new() })
}

/// First step.
pub(super) async fn password(
    State(console): State<Console>,
    OpenForm(headers, form): OpenForm,
) -> Result<Response> {
    let language = Language::of(&headers);
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (email, password) = (field("email"), field("password"));
    let w = language.words();
    let refuse = |status, error| {
        let page = page(&console, language);
        Ok(html(status, &Login { page, error: Some(error), email: email.clone() }))
    };
    let user = match console.auth.authenticate(&email, &password).await {
        Ok(user) if user.role != Role::User => user,
        // The same answer as to a wrong password: who has an account is nobody's business.
        Ok(_) | Err(auth::Error::Credentials) => {
            info!("a sign-in at the console was refused");
            return refuse(StatusCode::UNAUTHORIZED, w.wrong);
        }
        Err(auth::Error::TooOften) => return refuse(StatusCode::TOO_MANY_REQUESTS, w.too_often),
        Err(error) => return Err(error.into()),
    };
    ask_for_code(&console, language, &user, StatusCode::OK, None).await
}

async fn ask_for_code(
    console: &Console,
    language: Language,
    user: &User,
    status: StatusCode,
    error: Option<&'static str>,
) -> Result<Response> {
    let factor = factor_of(console, user.id).await?;
    let enrolment = if factor.confirmed { None } else { enrolment(console, user, &factor) };
    let until = console.app.clock.now().as_second() + PATIENCE;
    let note = format!("{} {until}", user.id);
    let ticket = BASE64_URL_SAFE_NO_PAD.encode(console.app.keys.seal(note.as_bytes(), &[STEP])?);
    Ok(html(status, &CodePage { page: page(console, language), error, ticket, enrolment }))
}

/// The officer's second factor; whoever has none is offered one.
async fn factor_of(console: &Console, user: UserId) -> Result<SecondFactor> {
    if let Some(factor) = console.app.store.second_factor(user).await? {
        return Ok(factor);
    }
    let secret = keys::random_bytes::<SECRET>()?;
    let sealed = console.app.keys.seal(&secret, &[FACTOR, &user.to_string()])?;
    Ok(console.app.store.offer_second_factor(user, sealed).await?)
}

fn codes(console: &Console, user: UserId, factor: &SecondFactor) -> Option<Codes> {
    console.app.keys.open(&factor.secret, &[FACTOR, &user.to_string()]).map(Codes::new)
}

fn enrolment(console: &Console, user: &User, factor: &SecondFactor) -> Option<Enrolment> {
    let codes = codes(console, user.id, factor)?;
    let (side, path) = codes.picture(user.email.as_deref().unwrap_or("FiLot"))?;
    Some(Enrolment { side, path, secret: codes.spelled() })
}

/// Second step.
pub(super) async fn code(
    State(console): State<Console>,
    OpenForm(headers, form): OpenForm,
) -> Result<Response> {
    let language = Language::of(&headers);
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    // A note that is forged or too old: from the beginning.
    let Some(id) = redeem(&console, field("ticket")) else { return Ok(see_other("/console/login")) };
    let user = console.app.store.user(id).await?;
    if user.disabled || user.role == Role::User {
        return Err(Failure::SignedOut);
    }
    let w = language.words();
    if console.codes.check_key(&id).is_err() {
        let status = StatusCode::TOO_MANY_REQUESTS;
        return ask_for_code(&console, language, &user, status, Some(w.too_often)).await;
    }
    let factor = factor_of(&console, id).await?;
    let Some(codes) = codes(&console, id, &factor) else {
        error!(user = %id, "a second factor was sealed with another SESSION_SECRET: filot reset-second-factor gives a new one");
        return Err(Failure::FactorLost);
    };
    let step = codes.step_of(field("code"), console.app.clock.now().as_second());
    let fits = match step {
        Some(step) => console.app.store.use_code(id, step).await?,
        None => false,
    };
    if !fits {
        warn!(user = %id, "a wrong one-time code at the console");
        let (actor, subject) = (&Actor::Officer(id), format!("user:{id}"));
        let action = "console.wrong_code";
        let entry = AuditEntry { actor, action, subject, reason: None, before: None, after: None };
        console.app.store.audit(entry).await?;
        return ask_for_code(&console, language, &user, StatusCode::UNAUTHORIZED, Some(w.wrong_code)).await;
    }
    let token = keys::random_token(32)?;
    let lifetime = Duration::from_secs(console.app.config.service.desk.session_s);
    console.app.store.open_console_session(id, &hash_token(&token), lifetime).await?;
    info!(user = %id, "signed in at the console");
    Ok(with_cookie(see_other("/console"), session_cookie(&console, Some(&token))))
}

/// Whose password was right not long ago.
fn redeem(console: &Console, ticket: &str) -> Option<UserId> {
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(ticket).ok()?;
    let note = String::from_utf8(console.app.keys.open(&sealed, &[STEP])?).ok()?;
    let (user, until) = note.split_once(' ')?;
    let until: i64 = until.parse().ok()?;
    (console.app.clock.now().as_second() <= until).then(|| user.parse().ok()).flatten()
}

pub(super) async fn leave(State(console): State<Console>, form: Form) -> Result<Response> {
    console.app.store.end_console_session(&form.who.session).await?;
    Ok(with_cookie(see_other("/console/login"), session_cookie(&console, None)))
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response.into_response()
}
