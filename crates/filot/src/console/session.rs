//! Who is signed in: a random cookie, of which the database knows the hash.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};

use super::failure::Failure;
use super::language::Language;
use super::{Console, Fields, fields};
use crate::auth::hash_token;
use crate::store::{ConsoleSession, Officer};

/// The cookie where it can be `Secure`, and where it cannot.
const COOKIE: &str = "__Host-filot-console";
const PLAIN_COOKIE: &str = "filot-console";

/// Somebody who is signed in.
pub(super) struct Signed {
    pub(super) session: ConsoleSession,
    pub(super) name: String,
    pub(super) language: Language,
    pub(super) query: Fields,
}

impl Signed {
    pub(super) fn officer(&self) -> &Officer {
        &self.session.officer
    }

    /// What every form carries.
    pub(super) fn token(&self, console: &Console) -> String {
        console.app.keys.sign_link(&["console-form", &self.session.id.to_string()])
    }

    pub(super) fn token_fits(&self, console: &Console, token: &str) -> bool {
        console.app.keys.verify_link(&["console-form", &self.session.id.to_string()], token)
    }
}

impl FromRequestParts<Console> for Signed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Failure> {
        let hash = session_hash(&parts.headers, console).ok_or(Failure::SignedOut)?;
        let idle = Duration::from_secs(console.app.config.service.desk.session_idle_s);
        // What the script asks for by itself is no sign of life of the officer's.
        let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let listens = accepted.is_some_and(|accepted| accepted.starts_with("text/event-stream"));
        let alive = !listens && !parts.headers.contains_key("hx-request");
        let session = console.app.store.console_session(&hash, idle, alive).await?;
        let session = session.ok_or(Failure::SignedOut)?;
        Ok(Self {
            name: console.app.store.display_name(session.officer.id).await?,
            session,
            language: Language::of(&parts.headers),
            query: fields(parts.uri.query().unwrap_or_default().as_bytes()),
        })
    }
}

/// What the database knows of the session whose cookie came with a request.
pub(super) fn session_hash(headers: &HeaderMap, console: &Console) -> Option<String> {
    cookie(headers, if console.is_secure() { COOKIE } else { PLAIN_COOKIE }).map(hash_token)
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// The header that gives a browser its session, or with nothing takes it away.
pub(super) fn session_cookie(console: &Console, token: Option<&str>) -> HeaderValue {
    let (name, secure) = if console.is_secure() { (COOKIE, "; Secure") } else { (PLAIN_COOKIE, "") };
    let (value, age) = token.map_or(("", "; Max-Age=0"), |token| (token, ""));
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    // Tokens are base64url.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}
