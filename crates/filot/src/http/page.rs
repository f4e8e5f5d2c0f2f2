//! The page at `/`: one file each of HTML, style and script, all from this binary.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};

use super::{Api, fixed};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                      connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", fixed("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/page/filot.css", fixed("text/css; charset=utf-8", include_str!("page/filot.css")))
        .route("/page/filot.js", fixed("text/javascript; charset=utf-8", include_str!("page/filot.js")))
        .layer(middleware::from_fn(with_policy))
}

async fn with_policy(request: axum::extract::Request, next: Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
