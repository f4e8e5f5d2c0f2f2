//! The review desk's pages at `/console`: forms and links that work without a script, and a script that makes them
//! quick. Everything a page needs comes from this binary.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::app::App;
use crate::auth::Auth;
use crate::auth::attempts::{Allowance, Attempts};
use crate::config::service::Environment;
use crate::desk;
use crate::http::error::AsIs;

mod actions;
mod assets;
mod dashboard;
mod enrol;
mod failure;
mod form;
mod guard;
mod language;
mod live;
mod page;
mod password;
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
/// Wrong codes of one officer from one network, of all officers from one network, and of one officer in all.
const CODES: Allowance = Allowance { burst: 5, refill: Duration::from_secs(30) };
const CODES_NETWORK: Allowance = Allowance { burst: 60, refill: Duration::from_secs(5) };
const CODES_ACCOUNT: Allowance = Allowance { burst: 15, refill: Duration::from_secs(60) };

/// What the pages work with. A clone is the same.
#[derive(Clone)]
pub struct Console(Arc<Parts>);

/// Its parts.
pub struct Parts {
    pub app: App,
    auth: Arc<Auth>,
    assets: assets::Assets,
    /// One-time codes that were wrong.
    codes: Attempts,
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
            auth,
            assets: assets::Assets::new(),
            codes: Attempts::new(app.clock, CODES, CODES_NETWORK, CODES_ACCOUNT),
            history: dashboard::History::default(),
            stop,
            app,
        }))
    }

    /// Its routes, complete.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let retake = retake::router(self.app.config.service.upload.max_bytes);
        let parts = Router::new()
            .route("/console/live", get(live::queue))
            .route("/console/reviews/{id}/live", get(live::review))
            .route("/console/reviews/{id}/original.jpg", get(picture::original))
            .route("/console/reviews/{id}/straightened.jpg", get(picture::straightened))
            .layer(middleware::from_fn_with_state(self.clone(), guard::parts));
        Router::new()
            .route("/console", get(queue::show))
            .route("/console/login", get(sign_in::show).post(sign_in::password))
            .route("/console/code", post(sign_in::code))
            .route("/console/enrol/{token}", get(enrol::show).post(enrol::set_up))
            .route("/console/password", get(password::show).post(password::change))
            .route("/console/sessions", post(password::end_all))
            .route("/console/logout", post(sign_in::leave))
            .route("/console/language", post(language::choose))
            .route("/console/help", get(page::help))
            .route("/console/dashboard", get(dashboard::show))
            .route("/console/alive", post(live::alive))
            .route("/console/next", post(actions::next))
            .route("/console/undo/{id}", post(actions::undo))
            .route("/console/reviews/{id}", get(review::show))
            .route("/console/reviews/{id}/claim", post(actions::claim))
            .route("/console/reviews/{id}/heartbeat", post(actions::heartbeat))
            .route("/console/reviews/{id}/release", post(actions::release))
            .route("/console/reviews/{id}/fields/{field}", post(actions::correct))
            .route("/console/reviews/{id}/decision", post(actions::decide))
            .layer(middleware::from_fn_with_state(self.clone(), guard::pages))
            .merge(parts)
            .layer(middleware::from_fn_with_state(self.clone(), dress))
            .route("/console/assets/{name}", get(assets::file))
            .layer(DefaultBodyLimit::max(FORM_LIMIT))
            .merge(retake)
            .with_state(self)
    }

    /// Whether cookies can be `Secure`, which they are everywhere but on a developer's own machine.
    fn is_secure(&self) -> bool {
        let service = &self.app.config.service;
        service.server.environment != Environment::Development || service.desk_url().starts_with("https://")
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

/// Gives failures their page and every answer its headers.
async fn dress(State(console): State<Console>, request: Request, next: Next) -> Response {
    let language = Language::of(request.headers());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        if matches!(failure, Failure::Forged) {
            warn!(peer = peer.map(|ip| ip.to_string()), "a request that no page of the console makes");
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

/// The fields of a form; `Unfit` when one holds U+0000, which PostgreSQL cannot store.
fn form_fields(encoded: &[u8]) -> failure::Result<Fields> {
    let fields = fields(encoded);
    let plain = fields.iter().all(|(name, value)| !name.contains('\0') && !value.contains('\0'));
    if plain { Ok(fields) } else { Err(Failure::Unfit) }
}

fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/console"));
    (axum::http::StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
