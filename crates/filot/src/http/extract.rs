//! What handlers take out of a request; what does not fit becomes an [`ApiError`].

use std::str::FromStr;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::{HeaderMap, header, request::Parts};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::{Map, Value};

use super::Api;
use super::error::{ApiError, Code};
use crate::auth::Caller;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        // An object first: of itself serde would also take a list of the fields' values.
        match axum::Json::<Map<String, Value>>::from_request(request, api).await {
            Ok(axum::Json(object)) => {
                let object = without_nul(Value::Object(object))?;
                serde_json::from_value(object).map(Self).map_err(|_| unfit())
            }
            Err(rejection) => Err(match rejection {
                JsonRejection::MissingJsonContentType(_) => {
                    ApiError::new(Code::UnsupportedMediaType, "Send JSON as application/json.")
                }
                JsonRejection::JsonSyntaxError(_) => {
                    ApiError::new(Code::InvalidBody, "The body is not JSON.")
                }
                JsonRejection::JsonDataError(_) => unfit(),
                rejection if rejection.status() == 413 => {
                    ApiError::new(Code::BodyTooLarge, "The body is too long.")
                }
                _ => ApiError::new(Code::InvalidBody, "The body could not be read."),
            }),
        }
    }
}

/// Returns `value` unless a text in it holds U+0000, which PostgreSQL cannot store.
pub(super) fn without_nul(value: Value) -> Result<Value, ApiError> {
    if holds_nul(&value) {
        Err(ApiError::new(Code::InvalidField, "A text holds the character U+0000, which no text may hold."))
    } else {
        Ok(value)
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn unfit() -> ApiError {
    ApiError::new(
        Code::InvalidBody,
        "The body lacks a field, has one too many, or one of the wrong type; see /openapi.json.",
    )
}

/// The one parameter of the path. What is no id is the id of nothing: 404.
pub(super) struct Id<T>(pub(super) T);

impl<T: FromStr> FromRequestParts<Api> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let params =
            RawPathParams::from_request_parts(parts, api).await.map_err(|_| ApiError::not_found())?;
        let id = params.iter().next().and_then(|(_, text)| text.parse().ok());
        id.map(Self).ok_or_else(ApiError::not_found)
    }
}

/// The query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::new(
                Code::InvalidQuery,
                "The query has a parameter that is not acceptable; see /openapi.json.",
            )),
        }
    }
}

/// The token of an `Authorization: Bearer …` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            ApiError::new(Code::Unauthenticated, "Send an access token: Authorization: Bearer <token>.")
        })?;
        Ok(api.auth.caller(token).await?)
    }
}

/// A neighbouring service that holds the service key.
pub(super) struct Neighbour;

impl FromRequestParts<Api> for Neighbour {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        // The header of old, which BULI2 knows.
        let own = parts.headers.get("x-service-key").and_then(|value| value.to_str().ok());
        match bearer(&parts.headers).or(own) {
            Some(key) if api.app.keys.is_service_key(key) => Ok(Self),
            _ => Err(ApiError::new(
                Code::InvalidServiceKey,
                "Send the service key: Authorization: Bearer <SERVICE_INTERNAL_KEY>.",
            )),
        }
    }
}

/// A field that may be absent (`None`), null (`Some(None)`) or there.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
