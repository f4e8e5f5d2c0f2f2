//! Setting up an account at the desk by a link that works once: a password of one's own and one-time codes. The secret of
//! the codes is shown on this page alone and stored when a code of it was typed; a page that is left leaves nothing behind.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tracing::info;

use super::failure::{Failure, Result};
use super::form::OpenForm;
use super::language::Language;
use super::page::{Page, html};
use super::session::{Signed, source};
use super::sign_in::{FACTOR, open_session};
use super::totp::{Codes, SECRET};
use super::{Console, see_other};
use crate::auth;
use crate::auth::enrolment::Invited;
use crate::auth::hash_token;
use crate::http::client::CameFrom;
use crate::keys;

/// What the secret is sealed for while it is only shown.
const OFFER: &str = "console-enrolment";

#[derive(Template)]
#[template(path = "enrol.html")]
struct EnrolPage {
    page: Page,
    error: Option<&'static str>,
    /// The part of the link that works once.
    token: String,
    email: String,
    /// The first admin chooses their e-mail.
    chooses_email: bool,
    /// Who is signed in at this browser now, and will not be afterwards.
    replaced: Option<String>,
    /// The secret, sealed for this link.
    ticket: String,
    /// Modules of the picture's side, and its dark ones.
    side: usize,
    path: String,
    secret: String,
}

/// What a page is made of besides the secret.
struct Visit<'a> {
    console: &'a Console,
    language: Language,
    token: &'a str,
    invited: Invited,
    replaced: Option<String>,
}

impl Visit<'_> {
    fn page(
        &self,
        status: StatusCode,
        secret: &[u8],
        email: &str,
        error: Option<&'static str>,
    ) -> Result<Response> {
        let (email, chooses_email) = match &self.invited {
            Invited::Officer(user) => (user.email.clone().unwrap_or_default(), false),
            Invited::FirstAdmin => (email.to_owned(), true),
        };
        let codes = Codes::new(secret.to_vec());
        let (side, path) =
            codes.picture(if email.is_empty() { "FiLot" } else { &email }).ok_or(Failure::Broken)?;
        let sealed = self.console.app.keys.seal(secret, &[OFFER, &hash_token(self.token)])?;
        Ok(html(
            status,
            &EnrolPage {
                page: Page {
                    here: format!("/console/enrol/{}", self.token),
                    ..Page::plain(self.console, self.language)
                },
                error,
                token: self.token.to_owned(),
                email,
                chooses_email,
                replaced: self.replaced.clone(),
                ticket: BASE64_URL_SAFE_NO_PAD.encode(sealed),
                side,
                path,
                secret: codes.spelled(),
            },
        ))
    }
}

pub(super) async fn show(
    State(console): State<Console>,
    Path(token): Path<String>,
    headers: HeaderMap,
    who: std::result::Result<Signed, Failure>,
) -> Result<Response> {
    let visit = Visit {
        console: &console,
        language: Language::of(&headers),
        token: &token,
        invited: console.auth.invited(&token).await?,
        replaced: who.ok().map(|who| who.name),
    };
    visit.page(StatusCode::OK, &keys::random_bytes::<SECRET>()?, "", None)
}

pub(super) async fn set_up(
    State(console): State<Console>,
    Path(token): Path<String>,
    CameFrom(from): CameFrom,
    who: std::result::Result<Signed, Failure>,
    OpenForm(headers, form): OpenForm,
) -> Result<Response> {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let visit = Visit {
        console: &console,
        language: Language::of(&headers),
        token: &token,
        invited: console.auth.invited(&token).await?,
        replaced: who.as_ref().ok().map(|who| who.name.clone()),
    };
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(field("ticket")).unwrap_or_default();
    let Some(secret) = console.app.keys.open(&sealed, &[OFFER, &hash_token(&token)]) else {
        return Ok(see_other(&format!("/console/enrol/{token}")));
    };
    let w = visit.language.words();
    let refuse = |error| visit.page(StatusCode::UNPROCESSABLE_ENTITY, &secret, field("email"), Some(error));
    if field("password") != field("again") {
        return refuse(w.not_same);
    }
    let step = Codes::new(secret.clone()).step_of(field("code"), console.app.clock.now().as_second());
    let Some(step) = step else { return refuse(w.wrong_code) };
    let seal = |user: crate::document::UserId| console.app.keys.seal(&secret, &[FACTOR, &user.to_string()]);
    let enrolled = console.auth.enrol(&token, (field("email"), field("password")), seal, step).await;
    let user = match enrolled {
        Ok(user) => user,
        Err(auth::Error::Weak(_)) => return refuse(w.weak),
        Err(auth::Error::Taken) => return refuse(w.taken),
        Err(error) => return Err(error.into()),
    };
    if let Ok(who) = who
        && who.officer().id != user
    {
        console.app.store.end_console_session(&who.session).await?;
    }
    info!(%user, "password and codes set up by an enrolment link");
    open_session(&console, user, source(&console, &headers, from)).await
}
