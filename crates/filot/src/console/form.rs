//! Forms, and that they are of a person who is signed in. That they come from this console is [`super::guard`]'s business.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;

use super::failure::Failure;
use super::session::Signed;
use super::{Console, Fields, form_fields};

/// The field that carries the session's token.
pub(super) const TOKEN: &str = "csrf";

/// A form of somebody who is signed in.
pub(super) struct Form {
    pub(super) who: Signed,
    fields: Fields,
}

impl Form {
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field that must be there and of this type.
    pub(super) fn need<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.get(name).parse().map_err(|_| Failure::Unfit)
    }
}

impl FromRequest<Console> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let who = Signed::from_request_parts(&mut parts, console).await?;
        let body = Bytes::from_request(Request::from_parts(parts, body), console).await;
        let fields = form_fields(&body.map_err(|_| Failure::Unfit)?)?;
        let token = fields.get(TOKEN).map_or("", String::as_str);
        if !who.token_fits(console, token) {
            return Err(Failure::Forged);
        }
        Ok(Self { who, fields })
    }
}

/// A form of somebody who need not be signed in.
pub(super) struct OpenForm(pub(super) HeaderMap, pub(super) Fields);

impl FromRequest<Console> for OpenForm {
    type Rejection = Failure;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Failure> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, console).await.map_err(|_| Failure::Unfit)?;
        Ok(Self(headers, form_fields(&body)?))
    }
}
