//! Forms: from this console only, and of a person who is signed in.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};

use super::failure::Failure;
use super::session::Signed;
use super::{Console, Fields, fields};

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
        let own = is_own(&parts.headers);
        let body = Bytes::from_request(Request::from_parts(parts, body), console).await;
        let fields = fields(&body.map_err(|_| Failure::Unfit)?);
        let token = fields.get(TOKEN).map_or("", String::as_str);
        if !own || !who.token_fits(console, token) {
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
        if !is_own(&headers) {
            return Err(Failure::Forged);
        }
        let body = Bytes::from_request(request, console).await.map_err(|_| Failure::Unfit)?;
        Ok(Self(headers, fields(&body)))
    }
}

/// Whether the browser says that the form came from a page of this server. Every browser of today says one of the two.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let (origin, host) = (text(header::ORIGIN.as_str()), text(header::HOST.as_str()));
    let of_origin = origin.and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    of_origin.is_some() && of_origin == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_of_this_server_count() {
        let said = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            is_own(&headers)
        };
        assert!(said(&[("sec-fetch-site", "same-origin")]));
        assert!(said(&[("origin", "https://desk.example"), ("host", "desk.example")]));
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "https://desk.example"), ("host", "desk.example")],
            &[("origin", "https://evil.example"), ("host", "desk.example")],
            &[("origin", "null"), ("host", "desk.example")],
            &[("host", "desk.example")],
            &[],
        ] {
            assert!(!said(foreign), "{foreign:?}");
        }
    }
}
