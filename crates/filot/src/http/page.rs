//! The page at `/`: one file each of HTML, style and script, all from this binary.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};

use super::{Api, fixed};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                      connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// A card with a photo and two lines.
const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect x="1" y="3" width="14" height="10" rx="2" fill="#06c"/><path d="M3 6h4v4H3zM9 6h4v1H9zM9 8.5h4v1H9z" fill="#fff"/></svg>"##;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", fixed("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/page/filot.css", fixed("text/css; charset=utf-8", include_str!("page/filot.css")))
        .route("/page/filot.js", fixed("text/javascript; charset=utf-8", include_str!("page/filot.js")))
        .route("/favicon.ico", fixed("image/svg+xml", ICON))
        .layer(middleware::from_fn(with_policy))
}

async fn with_policy(request: axum::extract::Request, next: Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
