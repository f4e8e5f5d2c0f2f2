//! Who is signed in: a random cookie, of which the database knows the hash.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::failure::Failure;
use super::language::Language;
use super::{Console, Fields, fields};
use crate::auth::{Source, hash_token};
use crate::store::{ConsoleSession, Officer};

/// The cookie where it can be `Secure`, and where it cannot.
const COOKIE: &str = "__Host-filot-console";
const PLAIN_COOKIE: &str = "filot-console";

/// The cookie by which a browser is known as one in which somebody has signed in, and for how many seconds.
const DEVICE: &str = "__Host-filot-device";
const PLAIN_DEVICE: &str = "filot-device";
const DEVICE_AGE: u32 = 90 * 86_400;
/// Characters of its value: 16 random bytes.
const DEVICE_LENGTH: usize = 22;

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

/// Where an attempt to sign in comes from.
pub(super) fn source(console: &Console, headers: &HeaderMap, address: Option<IpAddr>) -> Source {
    let device = cookie(headers, if console.is_secure() { DEVICE } else { PLAIN_DEVICE });
    // What this program gives out; anything else was planted.
    let is_ours = |mark: &&str| mark.len() == DEVICE_LENGTH && BASE64_URL_SAFE_NO_PAD.decode(mark).is_ok();
    Source { address, device: device.filter(is_ours).map(str::to_owned) }
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
    let (value, age) = token.map_or(("", Some(0)), |token| (token, None));
    own_cookie(console, [COOKIE, PLAIN_COOKIE], value, age)
}

/// The header that gives a browser its mark.
pub(super) fn device_cookie(console: &Console, token: &str) -> HeaderValue {
    own_cookie(console, [DEVICE, PLAIN_DEVICE], token, Some(DEVICE_AGE))
}

/// A cookie that no script and no other site sees, by its name where it can be `Secure` and where it cannot.
fn own_cookie(console: &Console, names: [&str; 2], value: &str, age: Option<u32>) -> HeaderValue {
    let (name, secure) = if console.is_secure() { (names[0], "; Secure") } else { (names[1], "") };
    let age = age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    // Tokens are base64url.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}
