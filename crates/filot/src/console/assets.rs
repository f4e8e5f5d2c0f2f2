//! Style and scripts, packed once.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Console;
use crate::http::error::AsIs;
use crate::keys;

const FILES: [(&str, &str, &str); 4] = [
    ("console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
    ("dashboard.css", "text/css; charset=utf-8", include_str!("assets/dashboard.css")),
    ("desk.js", "text/javascript; charset=utf-8", include_str!("assets/desk.js")),
    ("htmx.min.js", "text/javascript; charset=utf-8", include_str!("assets/htmx.min.js")),
];

/// The files, and what tells their versions apart.
pub(super) struct Assets {
    packed: Vec<Bytes>,
    pub(super) version: String,
}

impl Assets {
    pub(super) fn new() -> Self {
        let mut all = Vec::new();
        let packed = FILES.iter().map(|(_, _, text)| {
            all.extend_from_slice(text.as_bytes());
            let mut packer = GzEncoder::new(Vec::new(), Compression::best());
            // Writing into memory does not fail.
            packer.write_all(text.as_bytes()).and_then(|()| packer.finish()).unwrap_or_default().into()
        });
        let packed = packed.collect();
        let version = keys::hex(&digest(&SHA256, &all).as_ref()[..6]);
        Self { packed, version }
    }
}

/// A file. Its address changes with its content, so it may be kept.
pub(super) async fn file(
    State(console): State<Console>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(at) = FILES.iter().position(|(known, _, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (_, media_type, text) = FILES[at];
    let kept = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
    ];
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let mut response = if accepted.is_some_and(|accepted| accepted.contains("gzip")) {
        (kept, [(header::CONTENT_ENCODING, "gzip")], console.assets.packed[at].clone()).into_response()
    } else {
        (kept, text).into_response()
    };
    response.extensions_mut().insert(AsIs);
    response
}
