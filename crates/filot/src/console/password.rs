//! An officer's own account: another password, and the end of all sign-ins.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::failure::Result;
use super::form::Form;
use super::page::{Page, html};
use super::session::{Signed, session_cookie};
use super::sign_in::with_cookie;
use super::{Console, see_other};
use crate::auth::{self, Caller};
use crate::http::client::CameFrom;
use crate::store::Kept;

const HERE: &str = "/console/password";

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    page: Page,
    error: Option<&'static str>,
    done: Option<&'static str>,
}

async fn page(
    console: &Console,
    who: &Signed,
    status: StatusCode,
    error: Option<&'static str>,
    done: Option<&'static str>,
) -> Result<Response> {
    let page = Page::of(console, who, HERE.to_owned()).await?;
    Ok(html(status, &PasswordPage { page, error, done }))
}

pub(super) async fn show(State(console): State<Console>, who: Signed) -> Result<Response> {
    page(&console, &who, StatusCode::OK, None, None).await
}

pub(super) async fn change(
    State(console): State<Console>,
    CameFrom(from): CameFrom,
    form: Form,
) -> Result<Response> {
    let (who, w) = (&form.who, form.who.language.words());
    let refuse = |status, error| page(&console, who, status, Some(error), None);
    let (present, new) = (form.get("present"), form.get("password"));
    if new != form.get("again") {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, w.not_same).await;
    }
    let keep = Kept::Console(who.session.id);
    match console.auth.change_password(who.officer().id, present, new, keep, &from.into()).await {
        Ok(()) => page(&console, who, StatusCode::OK, None, Some(w.password_changed)).await,
        Err(auth::Error::Credentials | auth::Error::NoPassword) => {
            refuse(StatusCode::FORBIDDEN, w.wrong_password).await
        }
        Err(auth::Error::Weak(_)) => refuse(StatusCode::UNPROCESSABLE_ENTITY, w.weak).await,
        Err(auth::Error::TooOften) => refuse(StatusCode::TOO_MANY_REQUESTS, w.too_often).await,
        Err(error) => Err(error.into()),
    }
}

/// Ends all sign-ins, here and elsewhere.
pub(super) async fn end_all(State(console): State<Console>, form: Form) -> Result<Response> {
    let officer = form.who.officer();
    let caller = Caller { user: officer.id, role: officer.role, session: None };
    console.auth.logout_everywhere(&caller).await?;
    Ok(with_cookie(see_other("/console/login"), session_cookie(&console, None)))
}
