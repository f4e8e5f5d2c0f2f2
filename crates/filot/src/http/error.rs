//! Errors as clients see them: RFC 9457 with a stable `code` and the id of the request.

use std::any::Any;
use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::store::Evidence;
use crate::{auth, blobs, intake, queue, store};

/// Declares the table of all codes.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)+) => {
        /// Every error that a client can meet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name for programs. Never changes.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// What it means, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", 400, "The request is not well-formed";
    InvalidBody = "invalid_body", 400, "The body is not what this route takes";
    InvalidQuery = "invalid_query", 400, "The query is not what this route takes";
    InvalidIdempotencyKey = "invalid_idempotency_key", 400, "The Idempotency-Key is unusable";
    FileMissing = "file_missing", 400, "The form has no file";
    TypeInvalid = "type_invalid", 400, "The type must be KTP or NPWP";
    WeakPassword = "invalid_credentials_format", 400, "The e-mail or password cannot be used";
    FileEmpty = "file_empty", 400, "The file is empty";
    Unauthenticated = "unauthenticated", 401, "No access token";
    InvalidToken = "invalid_token", 401, "The token is not accepted";
    UnknownUser = "unknown_user", 401, "No account for this token";
    WrongCredentials = "wrong_credentials", 401, "Wrong e-mail or password";
    InvalidRefreshToken = "invalid_refresh_token", 401, "The refresh token is not accepted";
    InvalidServiceKey = "invalid_service_key", 401, "The service key is not accepted";
    SignatureMissing = "signature_missing", 401, "The event is not signed";
    SignatureInvalid = "signature_invalid", 401, "The signature is not accepted";
    TimestampOutOfWindow = "timestamp_out_of_window", 401, "The event is too old or too early";
    Forbidden = "forbidden", 403, "Not allowed";
    CallbacksOff = "callbacks_not_configured", 403, "Answers of external reviewers are not taken";
    LinkInvalid = "link_invalid", 403, "The link is not valid";
    RegistrationClosed = "registration_closed", 403, "Nobody can make an account by themselves";
    LinkExpired = "link_expired", 403, "The link has expired";
    NotFound = "not_found", 404, "Not found";
    RouteNotFound = "route_not_found", 404, "No such route";
    MethodNotAllowed = "method_not_allowed", 405, "This route does not take this method";
    BodyIncomplete = "body_incomplete", 408, "The body did not arrive";
    EmailTaken = "email_taken", 409, "The e-mail has an account";
    Conflict = "conflict", 409, "The state does not allow it";
    ReviewDecided = "review_decided", 409, "The review is decided otherwise";
    ReviewMismatch = "review_mismatch", 409, "Review, document, ticket and user do not belong together";
    EventIdReused = "event_id_reused", 409, "The event id belongs to another event";
    IdempotencyInProgress = "idempotency_in_progress", 409, "The same request is being carried out";
    EvidenceKept = "evidence_kept", 409, "The document cannot be deleted yet";
    DocumentDeleted = "document_deleted", 410, "The document of this request is deleted";
    BodyTooLarge = "body_too_large", 413, "The body is too long";
    FileTooLarge = "file_too_large", 413, "The file is too large";
    UnsupportedMediaType = "unsupported_media_type", 415, "This route does not take this media type";
    NotAPicture = "not_a_picture", 415, "The file is not a picture";
    UnsupportedFormat = "unsupported_format", 415, "This kind of picture is not supported";
    MediaTypeMismatch = "media_type_mismatch", 415, "The file is not what it was sent as";
    FileTruncated = "file_truncated", 422, "The file is not complete";
    FileCorrupt = "file_corrupt", 422, "The file is damaged";
    TooManyPixels = "too_many_pixels", 422, "The picture is too large";
    TooManyScans = "too_many_scans", 422, "The picture is needlessly complex";
    PdfEncrypted = "pdf_encrypted", 422, "The PDF has a password";
    PdfNoPage = "pdf_no_page", 422, "The PDF has no page";
    PdfFailed = "pdf_failed", 422, "The PDF cannot be drawn";
    DecodeTimeout = "decode_timeout", 422, "The picture takes too long to decode";
    IdempotencyMismatch = "idempotency_key_reused", 422, "The Idempotency-Key belongs to another request";
    InvalidField = "invalid_field", 422, "A value is not acceptable";
    RateLimited = "rate_limited", 429, "Too many requests";
    TooManyStreams = "too_many_streams", 429, "The account has too many open streams";
    Quota = "quota_exceeded", 429, "The daily limit is reached";
    Internal = "internal", 500, "Something went wrong here";
    Unavailable = "unavailable", 503, "A part of the service is unavailable";
    Busy = "busy", 503, "The service is busy";
    ReviewUnknown = "review_unknown", 503, "There is no such review, or none yet";
    TimedOut = "timeout", 503, "The request took too long";
}

impl Code {
    /// The code with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

/// An error on its way to the client. The body is written when the id of the request is known.
#[derive(Clone, Debug)]
pub struct ApiError {
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
}

/// Result of the handlers.
pub type Result<T> = std::result::Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub(super) fn not_found() -> Self {
        Self::new(Code::NotFound, "There is nothing here, or not for you.")
    }

    fn kept(kept: Evidence) -> Self {
        let detail = match kept {
            Evidence::Undecided => {
                "It is being decided on. An approved document can be deleted at once, a rejected one some time after."
                    .to_owned()
            }
            Evidence::Until(until) => format!("It was rejected, and is kept as evidence until {until:.0}."),
        };
        Self::new(Code::EvidenceKept, detail)
    }

    fn internal(cause: &dyn std::error::Error) -> Self {
        error!(cause = %chain(cause), "request failed");
        Self::new(Code::Internal, "This is a fault of the server. It has been noted.")
    }

    fn unavailable(cause: &dyn std::error::Error) -> Self {
        error!(cause = %chain(cause), "a part is unavailable");
        Self::new(Code::Unavailable, "Try again in a few seconds; the request can be repeated safely.")
            .retry_after(Duration::from_secs(2))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        // All statuses of the table are valid.
        *response.status_mut() = StatusCode::from_u16(self.code.status()).unwrap_or_default();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.code.status() == 401 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// What this code means, in a few words.
    title: &'static str,
    status: u16,
    /// What happened and what to do about it.
    detail: String,
    /// The name of the error for programs.
    #[schema(value_type = String, example = "not_found")]
    code: &'static str,
    /// The id of the request, as in the logs.
    request_id: String,
}

/// Marks an answer that has its own body whatever its status: the pages for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsIs;

/// Gives an error its body. Other answers pass.
pub(super) fn finish(response: Response<Body>, request_id: &str) -> Response<Body> {
    let status = response.status();
    if response.extensions().get::<AsIs>().is_some() {
        return response;
    }
    let error = match response.extensions().get::<ApiError>() {
        Some(error) => error.clone(),
        // Those that the framework makes have a plain text or nothing.
        None if status.is_client_error() || status.is_server_error() => of_status(status),
        None => return response,
    };
    let problem = Problem {
        kind: "about:blank",
        title: error.code.title(),
        status: error.code.status(),
        detail: error.detail.into_owned(),
        code: error.code.as_str(),
        request_id: request_id.to_owned(),
    };
    let (mut parts, _) = response.into_parts();
    let headers = &mut parts.headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
    // A struct of texts and numbers always has a JSON form.
    Response::from_parts(parts, Body::from(serde_json::to_vec(&problem).unwrap_or_default()))
}

fn of_status(status: StatusCode) -> ApiError {
    let code = match status.as_u16() {
        404 => Code::RouteNotFound,
        405 => Code::MethodNotAllowed,
        413 => Code::BodyTooLarge,
        408 => Code::BodyIncomplete,
        415 => Code::UnsupportedMediaType,
        code if code < 500 => Code::InvalidRequest,
        _ => Code::Internal,
    };
    ApiError::new(code, code.title())
}

pub(super) async fn no_such_route(uri: Uri) -> ApiError {
    let _ = uri;
    ApiError::new(Code::RouteNotFound, "There is no such route. GET /openapi.json lists all.")
}

pub(super) async fn no_such_method(method: Method) -> ApiError {
    ApiError::new(Code::MethodNotAllowed, format!("This route does not take {method}."))
}

pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    error!("a handler panicked");
    ApiError::new(Code::Internal, "This is a fault of the server. It has been noted.").into_response()
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        match error {
            E::NotFound => Self::not_found(),
            E::Illegal(illegal) => Self::new(Code::Conflict, illegal.to_string()),
            E::Conflict | E::Taken => Self::new(
                Code::Conflict,
                "Someone else was quicker. Look at the present state and try again.",
            ),
            E::Spent => Self::new(Code::Quota, intake::Error::Quota.to_string()),
            E::Kept(kept) => Self::kept(kept),
            E::Unstorable => {
                Self::new(Code::InvalidField, "A text holds the character U+0000, which no text may hold.")
            }
            E::Unavailable(_) => Self::unavailable(&error),
            E::Corrupt(_) | E::Empty => Self::internal(&error),
        }
    }
}

impl From<intake::Error> for ApiError {
    fn from(error: intake::Error) -> Self {
        if let Some(code) = error.code().and_then(Code::named) {
            let answer = Self::new(code, error.to_string());
            return if code == Code::Busy { answer.retry_after(Duration::from_secs(2)) } else { answer };
        }
        match error {
            intake::Error::Store(error) => error.into(),
            intake::Error::Blobs(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<blobs::Error> for ApiError {
    fn from(error: blobs::Error) -> Self {
        use blobs::Error as E;
        match error {
            E::NotFound => Self::not_found(),
            E::Unavailable(_) | E::Version(_) => Self::unavailable(&error),
            _ => Self::internal(&error),
        }
    }
}

impl From<blobs::LinkError> for ApiError {
    fn from(error: blobs::LinkError) -> Self {
        let code = match error {
            blobs::LinkError::Expired => Code::LinkExpired,
            blobs::LinkError::Invalid => Code::LinkInvalid,
        };
        Self::new(code, "Ask for a new link with GET /documents/{id}/download.")
    }
}

impl From<queue::Error> for ApiError {
    fn from(error: queue::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<auth::Error> for ApiError {
    fn from(error: auth::Error) -> Self {
        use auth::Error as E;
        let code = match error {
            E::Store(error) => return error.into(),
            E::Keys(_) => return Self::internal(&error),
            E::Issuer => {
                return Self::new(Code::Unavailable, error.to_string()).retry_after(Duration::from_secs(5));
            }
            E::TooOften => {
                return Self::new(Code::RateLimited, error.to_string()).retry_after(Duration::from_secs(10));
            }
            E::Busy => return Self::new(Code::Busy, error.to_string()).retry_after(Duration::from_secs(2)),
            E::Token => Code::InvalidToken,
            E::UnknownUser => Code::UnknownUser,
            E::Credentials => Code::WrongCredentials,
            E::Refresh => Code::InvalidRefreshToken,
            E::Taken => Code::EmailTaken,
            E::Weak(_) => Code::WeakPassword,
            E::Link => Code::LinkInvalid,
            E::Closed => Code::RegistrationClosed,
            E::NoPassword => Code::Conflict,
        };
        Self::new(code, error.to_string())
    }
}

/// An error with all its causes. Database errors may quote values, but every log line is redacted.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_their_statuses_are_errors() {
        let names: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn every_fault_of_a_file_has_a_code() {
        use filot_ocr::image::ImageError as E;
        let faults = [
            E::Empty,
            E::TooLarge { bytes: 1, limit: 1 },
            E::NotAPicture,
            E::Unsupported("x"),
            E::Truncated,
            E::Corrupt("x"),
            E::TooManyPixels { width: 1, height: 1 },
            E::TooManyScans,
            E::PdfEncrypted,
            E::PdfNoPage,
            E::PdfFailed,
            E::TimedOut(1),
        ];
        for fault in faults {
            assert!(Code::named(fault.code()).is_some(), "{fault:?}");
        }
        for error in [intake::Error::Quota, intake::Error::Busy, intake::Error::MediaType { found: "x" }] {
            assert!(error.code().and_then(Code::named).is_some(), "{error:?}");
        }
    }
}
