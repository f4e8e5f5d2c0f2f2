//! Signing in: e-mail and password, then a one-time code. Codes are set up by an enrolment link, see [`super::enrol`]; the
//! password alone shows nothing of them.

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
use super::session::{Signed, device_cookie, session_cookie, source};
use super::totp::Codes;
use super::{Console, see_other};
use crate::auth::{self, Source, hash_token};
use crate::document::UserId;
use crate::http::client::CameFrom;
use crate::keys;
use crate::store::{Actor, AuditEntry, Role, User};

/// Seconds between password and code.
const PATIENCE: i64 = 300;
/// What the note between the two steps, and the secrets of codes, are sealed for.
const STEP: &str = "console-second-step";
pub(super) const FACTOR: &str = "console-second-factor";

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
    CameFrom(from): CameFrom,
    OpenForm(headers, form): OpenForm,
) -> Result<Response> {
    let language = Language::of(&headers);
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (email, password) = (field("email"), field("password"));
    let w = language.words();
    let source = source(&console, &headers, from);
    let refuse = |status, error| {
        let page = page(&console, language);
        Ok(html(status, &Login { page, error: Some(error), email: email.clone() }))
    };
    let user = match console.auth.authenticate(&email, &password, &source).await {
        Ok(user) if user.role != Role::User => user,
        // The same answer as to a wrong password: who has an account is nobody's business.
        Ok(_) | Err(auth::Error::Credentials) => {
            info!("a sign-in at the console was refused");
            return refuse(StatusCode::UNAUTHORIZED, w.wrong);
        }
        Err(auth::Error::TooOften) => return refuse(StatusCode::TOO_MANY_REQUESTS, w.too_often),
        Err(error) => return Err(error.into()),
    };
    if console.app.store.second_factor(user.id).await?.is_none() {
        return refuse(StatusCode::FORBIDDEN, w.no_factor);
    }
    ask_for_code(&console, language, &user, StatusCode::OK, None)
}

fn ask_for_code(
    console: &Console,
    language: Language,
    user: &User,
    status: StatusCode,
    error: Option<&'static str>,
) -> Result<Response> {
    let until = console.app.clock.now().as_second() + PATIENCE;
    let note = format!("{} {until}", user.id);
    let ticket = BASE64_URL_SAFE_NO_PAD.encode(console.app.keys.seal(note.as_bytes(), &[STEP])?);
    Ok(html(status, &CodePage { page: page(console, language), error, ticket }))
}

/// Second step.
pub(super) async fn code(
    State(console): State<Console>,
    CameFrom(from): CameFrom,
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
    let source = source(&console, &headers, from);
    let attempt = match console.auth.begin(&console.codes, &id.to_string(), Some(id), &source).await {
        Ok(attempt) => attempt,
        Err(auth::Error::TooOften) => {
            return ask_for_code(&console, language, &user, StatusCode::TOO_MANY_REQUESTS, Some(w.too_often));
        }
        Err(error) => return Err(error.into()),
    };
    // Taken away since the password was given.
    let Some(sealed) = console.app.store.second_factor(id).await? else { return Err(Failure::SignedOut) };
    let Some(codes) = console.app.keys.open(&sealed, &[FACTOR, &id.to_string()]).map(Codes::new) else {
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
        return ask_for_code(&console, language, &user, StatusCode::UNAUTHORIZED, Some(w.wrong_code));
    }
    console.codes.succeeded(&attempt);
    open_session(&console, id, source).await
}

/// Signs somebody in who has shown all that it takes, and makes their browser one that is known.
pub(super) async fn open_session(console: &Console, id: UserId, source: Source) -> Result<Response> {
    let mark = match source.device {
        Some(mark) => mark,
        None => keys::random_token(16)?,
    };
    let source = Source { device: Some(mark.clone()), ..source };
    console.auth.note_source(id, &source).await;
    let token = keys::random_token(32)?;
    let lifetime = Duration::from_secs(console.app.config.service.desk.session_s);
    console.app.store.open_console_session(id, &hash_token(&token), lifetime).await?;
    info!(user = %id, "signed in at the console");
    let signed_in = with_cookie(see_other("/console"), session_cookie(console, Some(&token)));
    Ok(with_cookie(signed_in, device_cookie(console, &mark)))
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

pub(super) fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response.into_response()
}
