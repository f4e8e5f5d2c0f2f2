//! The HTTP doors: every route, and what stands around them all.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, Method, header};
use axum::middleware;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Auth;
use crate::config::service::Environment;
use crate::console::Console;

mod accounts;
mod arrival;
mod callback;
pub(crate) mod client;
mod documents;
pub mod door;
pub mod error;
mod extract;
mod files;
mod health;
mod hosts;
mod internal;
mod layers;
mod metrics;
mod openapi;
mod owner;
mod page;
mod profile;
mod progress;
mod upload;
mod verification;

pub use openapi::document as openapi;

/// Longest body of a JSON request, in bytes.
const JSON_LIMIT: usize = 64 * 1024;

/// What the handlers work with. A clone is the same.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// Its parts.
pub struct Parts {
    pub app: App,
    pub auth: Arc<Auth>,
    limits: client::Limits,
    health: health::Health,
    metrics: Option<PrometheusHandle>,
    /// Open streams end when this is cancelled.
    stop: CancellationToken,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// The doors of `app`. Streams end when `stop` is cancelled.
    ///
    /// # Errors
    /// When the HTTP client for Stack Auth cannot be set up.
    pub fn new(
        app: App,
        metrics: Option<PrometheusHandle>,
        stop: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self(Arc::new(Parts {
            auth: Arc::new(Auth::new(app.clone())?),
            limits: client::Limits::of(&app.config.service),
            health: health::Health::default(),
            metrics,
            stop,
            app,
        })))
    }

    /// All routes, to be served with the peer's address as connect info.
    pub fn router(&self) -> Router {
        let (api, document) = routes(self.app.config.service.upload.max_bytes).split_for_parts();
        let document = openapi::finished(document);
        let json = document.to_json().unwrap_or_default();
        let server = &self.app.config.service.server;
        let patience = arrival::Patience {
            answer: Duration::from_secs(server.request_timeout_s),
            pace: door::Pace::of(server),
        };
        api.merge(page::routes())
            .merge(openapi::routes_of(json))
            .merge(Console::new(self.app.clone(), Arc::clone(&self.auth), self.stop.clone()).router())
            .fallback(error::no_such_route)
            .method_not_allowed_fallback(error::no_such_method)
            .layer(middleware::from_fn(layers::without_nul))
            .layer(middleware::from_fn_with_state(
                hosts::Hosts::of(&self.app.config.service),
                hosts::keep_apart,
            ))
            .layer(middleware::from_fn_with_state(self.clone(), client::limit))
            .layer(middleware::from_fn_with_state(patience, arrival::deadline))
            .layer(CatchPanicLayer::custom(error::panicked))
            .layer(cors(&self.app.config.service.server))
            .layer(middleware::from_fn(layers::frame))
            .with_state(self.clone())
    }
}

/// The documented routes.
fn routes(max_upload: usize) -> OpenApiRouter<Api> {
    // The file, and around it what multipart needs.
    let upload = DefaultBodyLimit::max(max_upload + 64 * 1024);
    let api = OpenApiRouter::new()
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::login))
        .routes(routes!(accounts::verify))
        .routes(routes!(accounts::refresh))
        .routes(routes!(accounts::logout))
        .routes(routes!(accounts::me))
        .routes(routes!(accounts::confirm))
        .routes(routes!(accounts::trial))
        .routes(routes!(accounts::password))
        .routes(routes!(accounts::end_sessions))
        .routes(routes!(accounts::first_admin))
        .routes(routes!(profile::show, profile::change))
        .routes(routes!(documents::list))
        .routes(routes!(documents::show, documents::delete))
        .routes(routes!(documents::result))
        .routes(routes!(documents::process))
        .routes(routes!(progress::events))
        .routes(routes!(files::download))
        .routes(routes!(files::secure_download))
        .routes(routes!(files::file))
        .routes(routes!(verification::status))
        .routes(routes!(verification::escalate))
        .routes(routes!(callback::decide))
        .routes(routes!(callback::decide_legacy))
        .routes(routes!(internal::queue))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::temporal))
        .routes(routes!(metrics::metrics))
        .layer(DefaultBodyLimit::max(JSON_LIMIT));
    let upload = OpenApiRouter::new().routes(routes!(upload::upload)).layer(upload);
    OpenApiRouter::with_openapi(openapi::base()).merge(api).merge(upload)
}

/// Where browsers of other origins may call: what is described and not for operators. Pages are not among it.
const FOR_BROWSERS: [&str; 5] = ["/auth/", "/profile", "/documents", "/files/", "/verification/"];

/// Pages of the set origins may call the API; in development also those of the usual local ones. They sign in with a
/// token that they hold themselves, never with what the browser keeps.
fn cors(server: &crate::config::service::Server) -> CorsLayer {
    let mut origins = server.origins();
    if server.environment == Environment::Development {
        origins.extend(["http://localhost:3000".to_owned(), "http://localhost:19000".to_owned()]);
    }
    let named = |name: &'static str| HeaderName::from_static(name);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, request| {
            FOR_BROWSERS.iter().any(|part| request.uri.path().starts_with(part))
                && origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
        }))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            named("idempotency-key"),
            named("prefer"),
            named("x-request-id"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER, named("x-request-id")])
        .max_age(Duration::from_secs(600))
}

/// A handler for a fixed text.
fn fixed(media_type: &'static str, text: &'static str) -> axum::routing::MethodRouter<Api> {
    get(move || async move { ([(header::CONTENT_TYPE, media_type)], text) })
}
