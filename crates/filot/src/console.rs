//! The review desk's pages at `/console`: forms and links that work without a script, and a script that makes them
//! quick. Everything a page needs comes from this binary.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::app::App;
use crate::auth::Auth;
use crate::config::service::Environment;
use crate::desk;
use crate::document::UserId;
use crate::http::error::AsIs;

mod actions;
mod assets;
mod dashboard;
mod failure;
mod form;
mod language;
mod live;
mod page;
mod picture;
mod queue;
mod retake;
mod review;
mod session;
mod sign_in;
mod totp;
mod viewer;
mod words;

use failure::Failure;
use language::Language;

/// Nothing but what this server sends, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Longest body of a form, in bytes.
const FORM_LIMIT: usize = 16 * 1024;
/// Codes of one officer: so many at once, and one more each time this has passed.
const CODES: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
const CODE_EACH: Duration = Duration::from_secs(30);

/// What the pages work with. A clone is the same.
#[derive(Clone)]
pub struct Console(Arc<Parts>);

/// Its parts.
pub struct Parts {
    pub app: App,
    auth: Arc<Auth>,
    assets: assets::Assets,
    codes: DefaultKeyedRateLimiter<UserId>,
    history: dashboard::History,
    /// Open streams end when this is cancelled.
    stop: CancellationToken,
}

impl Deref for Console {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Console {
    /// The desk of `app`. Streams end when `stop` is cancelled.
    pub fn new(app: App, auth: Arc<Auth>, stop: CancellationToken) -> Self {
        Self(Arc::new(Parts {
            app,
            auth,
            assets: assets::Assets::new(),
            codes: codes_limiter(),
            history: dashboard::History::default(),
            stop,
        }))
    }

    /// Its routes, complete.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let retake = retake::router(self.app.config.service.upload.max_bytes);
        Router::new()
            .route("/console", get(queue::show))
            .route("/console/login", get(sign_in::show).post(sign_in::password))
            .route("/console/code", post(sign_in::code))
            .route("/console/logout", post(sign_in::leave))
            .route("/console/language", post(language::choose))
            .route("/console/help", get(page::help))
            .route("/console/dashboard", get(dashboard::show))
            .route("/console/live", get(live::queue))
            .route("/console/alive", post(live::alive))
            .route("/console/reviews/{id}/live", get(live::review))
            .route("/console/next", post(actions::next))
            .route("/console/undo/{id}", post(actions::undo))
            .route("/console/reviews/{id}", get(review::show))
            .route("/console/reviews/{id}/claim", post(actions::claim))
            .route("/console/reviews/{id}/heartbeat", post(actions::heartbeat))
            .route("/console/reviews/{id}/release", post(actions::release))
            .route("/console/reviews/{id}/fields/{field}", post(actions::correct))
            .route("/console/reviews/{id}/decision", post(actions::decide))
            .route("/console/reviews/{id}/original.jpg", get(picture::original))
            .route("/console/reviews/{id}/straightened.jpg", get(picture::straightened))
            .layer(middleware::from_fn_with_state(self.clone(), dress))
            .route("/console/assets/{name}", get(assets::file))
            .layer(DefaultBodyLimit::max(FORM_LIMIT))
            .merge(retake)
            .with_state(self)
    }

    /// Whether cookies can be `Secure`, which they are everywhere but on a developer's own machine.
    fn is_secure(&self) -> bool {
        let service = &self.app.config.service;
        service.server.environment != Environment::Development || service.public_url().starts_with("https://")
    }

    /// Carries out what is due, so that pages show it. What fails is tried again by the upkeep.
    async fn settle(&self) {
        if let Err(error) = desk::settle(&self.app).await {
            warn!(%error, "decisions of the desk not carried out");
        }
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(self.app.config.service.desk.lease_s)
    }
}

fn codes_limiter() -> DefaultKeyedRateLimiter<UserId> {
    // The period is a constant above zero.
    let quota = Quota::with_period(CODE_EACH).unwrap_or_else(|| Quota::per_minute(CODES));
    RateLimiter::keyed(quota.allow_burst(CODES))
}

/// Gives failures their page and every answer its headers.
async fn dress(State(console): State<Console>, request: Request, next: Next) -> Response {
    let language = Language::of(request.headers());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        if matches!(failure, Failure::Forged) {
            warn!(peer = peer.map(|ip| ip.to_string()), "a form of the console without its token");
        }
        response = failure.page(&console, language);
    }
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    // Without it browsers would send no origin with forms.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    headers.append(header::VARY, HeaderValue::from_static("Cookie, Accept-Language"));
    response.extensions_mut().insert(AsIs);
    response
}

/// The fields of a query or a form; of several with one name the last counts.
type Fields = HashMap<String, String>;

fn fields(encoded: &[u8]) -> Fields {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/console"));
    (axum::http::StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
