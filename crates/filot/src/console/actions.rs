//! What officers do with a review: take it, hold it, put it back, correct, decide, undo, go on to the next.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use filot_cards::field::FieldKey;
use uuid::Uuid;

use super::failure::{Failure, Result};
use super::form::Form;
use super::live;
use super::queue::filter;
use super::review::{Returned, page, parse};
use super::viewer::Look;
use super::{Console, Fields, see_other};
use crate::desk::{self, Reason};
use crate::document::ReviewId;
use crate::store::{Claim, Noted, Ruling, Undone};

pub(super) async fn claim(
    State(console): State<Console>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response> {
    console.settle().await;
    let id = parse(&id)?;
    match console.app.store.claim_review(id, form.who.officer(), console.lease()).await? {
        Claim::Held(_) => {
            desk::announce(&console.app, id).await;
            Ok(see_other(&format!("/console/reviews/{id}")))
        }
        Claim::Taken { by, .. } => Err(Failure::Lost { to: console.app.store.display_name(by).await? }),
        Claim::Decided { by } => Err(Failure::Lost { to: desk::name_of(&console.app, &by).await? }),
        Claim::NotYours => Err(Failure::NotYours),
        Claim::Own => Err(Failure::Own),
    }
}

/// The page is still open before the officer.
pub(super) async fn heartbeat(
    State(console): State<Console>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response> {
    let id = parse(&id)?;
    let held = console.app.store.extend_claim(id, form.who.officer(), console.lease()).await?;
    if held {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // For pages that are not told by other ways.
    let lock = live::lock(&console, form.who.officer(), form.who.language, id).await?;
    Ok((StatusCode::CONFLICT, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lock.text)
        .into_response())
}

pub(super) async fn release(
    State(console): State<Console>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response> {
    let id = parse(&id)?;
    console.app.store.release_claim(id, form.who.officer()).await?;
    desk::announce(&console.app, id).await;
    Ok(see_other("/console"))
}

pub(super) async fn correct(
    State(console): State<Console>,
    Path((id, field)): Path<(String, String)>,
    form: Form,
) -> Result<Response> {
    let id = parse(&id)?;
    let field = FieldKey::from_name(&field).ok_or(Failure::NotFound)?;
    let version = form.need("version")?;
    let (value, look) = (form.get("value"), Look::of(&form.look()));
    match desk::correct(&console.app, form.who.officer(), id, version, field, value).await {
        Err(desk::Error::Value(expected)) => {
            let returned =
                Returned { value: Some((field, value.to_owned(), expected)), ..Returned::default() };
            return page(&console, &form.who, id, look, StatusCode::UNPROCESSABLE_ENTITY, returned).await;
        }
        corrected => corrected?,
    };
    // To correct is a sign of life, too.
    console.app.store.extend_claim(id, form.who.officer(), console.lease()).await?;
    Ok(see_other(&format!("/console/reviews/{id}{}#field-{field}", look.query())))
}

pub(super) async fn decide(
    State(console): State<Console>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response> {
    let id = parse(&id)?;
    let (ruling, reason, version): (Ruling, Reason, u32) =
        (form.need("ruling")?, form.need("reason")?, form.need("version")?);
    let note = Some(form.get("note").to_owned());
    let officer = form.who.officer();
    let noted = match desk::decide(&console.app, officer, id, version, ruling, reason, note).await {
        Err(desk::Error::Alone) => return again(&console, &form, id, ruling, false).await,
        noted => noted?,
    };
    match noted {
        Noted::Noted(_) | Noted::Already(_) => {}
        Noted::Lost { to } => return Err(Failure::Lost { to: desk::name_of(&console.app, &to).await? }),
        Noted::Taken { by } => return Err(Failure::Lost { to: console.app.store.display_name(by).await? }),
        Noted::Changed => return Err(Failure::Changed),
        Noted::Unseen => return again(&console, &form, id, ruling, true).await,
    }
    go_on(&console, &form, Some(id)).await
}

/// The page once more, with what was written, and why the decision was not taken.
async fn again(
    console: &Console,
    form: &Form,
    id: ReviewId,
    ruling: Ruling,
    unseen: bool,
) -> Result<Response> {
    let w = form.who.language.words();
    let returned = Returned {
        problem: Some(if unseen { w.unseen } else { w.alone }),
        unseen,
        note: Some((ruling, form.get("note").to_owned())),
        value: None,
    };
    page(console, &form.who, id, Look::of(&form.look()), StatusCode::CONFLICT, returned).await
}

pub(super) async fn next(State(console): State<Console>, form: Form) -> Result<Response> {
    console.settle().await;
    let skip = form.get("skip").parse().ok();
    if let Some(id) = skip {
        console.app.store.release_claim(id, form.who.officer()).await?;
        desk::announce(&console.app, id).await;
    }
    go_on(&console, &form, skip).await
}

/// To the next review, or to the queue where there is none.
async fn go_on(console: &Console, form: &Form, skip: Option<ReviewId>) -> Result<Response> {
    let filter = filter(console, &form.look());
    let next = desk::take_next(&console.app, form.who.officer(), &filter, skip).await?;
    Ok(see_other(&next.map_or("/console".to_owned(), |id| format!("/console/reviews/{id}"))))
}

pub(super) async fn undo(
    State(console): State<Console>,
    Path(id): Path<Uuid>,
    form: Form,
) -> Result<Response> {
    match console.app.store.undo_ruling(id, form.who.officer(), console.lease()).await? {
        Undone::Open(review) => {
            desk::announce(&console.app, review).await;
            Ok(see_other(&format!("/console/reviews/{review}")))
        }
        Undone::TooLate => Err(Failure::TooLate),
    }
}

impl Form {
    /// The query of the page that the form stood on.
    fn look(&self) -> Fields {
        super::fields(self.get("look").trim_start_matches('?').as_bytes())
    }
}
