//! The customer's page at `/retake/{token}`: what was wrong with the photo, and a form for another one. It needs no
//! script and no account; whoever has the link may send one photo.

use askama::Template;
use axum::Router;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use filot_ocr::image::ImageError;
use jiff::tz::Offset;
use tracing::error;

use super::language::Language;
use super::page::html;
use super::{Console, fields};
use crate::document::DocumentId;
use crate::http::error::AsIs;
use crate::intake::{self, Upload};
use crate::retake::{self, Advice, Standing};
use crate::store::Replaced;

mod words;

use words::Words;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";
/// Files of so many times the limit get a page that says so; what is larger yet is cut off.
const LARGEST: usize = 4;
/// Fields that the form may have.
const MAX_FIELDS: usize = 4;

/// The routes, complete but for their state.
pub(super) fn router(max_upload: usize) -> Router<Console> {
    // Large photos are heard to their end, and then refused: a browser whose sending is cut off shows no page.
    let limit = DefaultBodyLimit::max(LARGEST * max_upload);
    let style = ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("assets/retake.css"));
    Router::new()
        .route("/retake/{token}", get(show).post(send))
        .route("/retake/style.css", get(move || async move { style }))
        .layer(limit)
        .layer(middleware::from_fn(dress))
}

/// Headers of every answer, and no JSON in place of pages.
async fn dress(request: Request, next: Next) -> Response {
    let is_style = request.uri().path().ends_with("/style.css");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language, Cookie"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    let kept = if is_style { "public, max-age=3600" } else { "private, no-store" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    response.extensions_mut().insert(AsIs);
    response
}

#[derive(Template)]
#[template(path = "retake.html")]
struct Page {
    language: Language,
    other: Language,
    w: &'static Words,
    /// Ends the headline, such as `KTP`.
    card: &'static str,
    /// There is something to send.
    open: Option<Open>,
    /// What there is to say otherwise.
    notice: &'static str,
    done: bool,
    problem: Option<&'static str>,
}

struct Open {
    advice: String,
    until: String,
    attempts: String,
}

impl Page {
    fn new(language: Language) -> Self {
        Self {
            language,
            other: language.other(),
            w: words::of(language),
            card: "",
            open: None,
            notice: "",
            done: false,
            problem: None,
        }
    }

    /// For a link as it stands.
    fn of(language: Language, standing: &Standing) -> (StatusCode, Self) {
        let page = Self::new(language);
        let w = page.w;
        match standing {
            Standing::Open(open) => {
                let Advice { id, en } = &open.asked.advice;
                let shown = Open {
                    advice: if language == Language::Indonesian { id.clone() } else { en.clone() },
                    until: until(open.asked.expires_at),
                    attempts: w.attempts.replace('#', &open.asked.attempts_left.to_string()),
                };
                let card = open.document.card_type.as_str();
                (StatusCode::OK, Self { card, open: Some(shown), ..page })
            }
            Standing::Used => (StatusCode::OK, Self { notice: w.received, done: true, ..page }),
            Standing::Expired => (StatusCode::GONE, Self { notice: w.expired, ..page }),
            Standing::Unknown => (StatusCode::NOT_FOUND, Self { notice: w.unknown, ..page }),
        }
    }
}

/// In the time of western Indonesia.
fn until(at: jiff::Timestamp) -> String {
    Offset::constant(7).to_datetime(at).strftime("%d-%m-%Y %H:%M WIB").to_string()
}

/// What the link's query asks for, else the browser.
fn language(query: Option<&str>, headers: &HeaderMap) -> Language {
    let wish = query.and_then(|query| fields(query.as_bytes()).remove("lang"));
    wish.and_then(|tag| Language::named(&tag)).unwrap_or_else(|| Language::of(headers))
}

async fn show(
    State(console): State<Console>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(query.as_deref(), &headers);
    match retake::look(&console.app, &token).await {
        Ok(standing) => {
            let (status, page) = Page::of(language, &standing);
            html(status, &page)
        }
        Err(cause) => {
            error!(%cause, "a retake page cannot be shown");
            busy(language)
        }
    }
}

fn busy(language: Language) -> Response {
    let page = Page::new(language);
    let page = Page { notice: page.w.busy, ..page };
    let again = [(header::RETRY_AFTER, "5")];
    (again, html(StatusCode::SERVICE_UNAVAILABLE, &page)).into_response()
}

async fn send(State(console): State<Console>, Path(token): Path<String>, request: Request) -> Response {
    let language = language(request.uri().query(), request.headers());
    let place = request.uri().path_and_query().map_or(String::new(), ToString::to_string);
    let Some(subject) = retake::subject_of(&console.app.keys, &token) else {
        let (status, page) = Page::of(language, &Standing::Unknown);
        return html(status, &page);
    };
    let photo = photo(request, &console, subject).await;
    let standing = match retake::look(&console.app, &token).await {
        Ok(standing) => standing,
        Err(cause) => {
            error!(%cause, "a retake page cannot be shown");
            return busy(language);
        }
    };
    let Standing::Open(open) = &standing else {
        let (status, page) = Page::of(language, &standing);
        if !matches!(standing, Standing::Used) {
            return html(status, &page);
        }
        // Somebody sends a second photo by it, or the same once more.
        return html(StatusCode::GONE, &Page { notice: page.w.used, ..page });
    };
    let sent = match photo {
        Ok((bytes, media_type)) => {
            let upload = Upload {
                user: open.document.user_id,
                card_type: open.document.card_type,
                media_type,
                bytes,
                idempotency: None,
            };
            retake::send(&console.app, &token, upload).await
        }
        Err(error) => Err(error),
    };
    let (_, page) = Page::of(language, &standing);
    match sent {
        Ok(Replaced::By(_)) => super::see_other(&place),
        Ok(Replaced::Used) => {
            html(StatusCode::GONE, &Page { notice: page.w.used, open: None, done: true, ..page })
        }
        Ok(Replaced::Expired) => html(StatusCode::GONE, &Page { notice: page.w.expired, open: None, ..page }),
        Ok(Replaced::Unknown) => {
            html(StatusCode::NOT_FOUND, &Page { notice: page.w.unknown, open: None, ..page })
        }
        Err(error) => {
            let (status, problem) = page.w.problem(&error);
            html(status, &Page { problem: Some(problem), ..page })
        }
    }
}

/// The photo of the form, and the media type that the browser states.
async fn photo(
    request: Request,
    console: &Console,
    subject: DocumentId,
) -> Result<(Bytes, Option<String>), intake::Error> {
    let limit = console.app.config.service.upload.max_bytes;
    let broken = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ImageError::TooLarge { bytes: LARGEST * limit, limit },
        _ => ImageError::Truncated,
    };
    let form = Multipart::from_request(request, console).await;
    let mut form = form.map_err(|_| ImageError::NotAPicture)?;
    for _ in 0..MAX_FIELDS {
        let Some(mut field) = form.next_field().await.map_err(broken)? else { break };
        if field.name() != Some("file") {
            continue;
        }
        let media_type = field.content_type().map(str::to_owned);
        let (mut kept, mut bytes) = (console.app.bodies.receive(subject.0), 0);
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            bytes += chunk.len();
            if bytes <= limit {
                kept.push(&chunk).await.map_err(|_| intake::Error::Busy)?;
            }
        }
        if bytes > limit {
            return Err(ImageError::TooLarge { bytes, limit }.into());
        }
        return Ok((kept.finish(), media_type));
    }
    Err(ImageError::Empty.into())
}
