//! Pictures of documents for the officer who has them: made anew from the file, never the file itself, and never kept. A
//! page is given one that shows nothing but colours; the real one comes when the officer wants to see it, which is noted.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use filot_ocr::image::{Format, Photo};
use filot_ocr::straightened;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, RgbImage};

use super::Console;
use super::failure::{Failure, Result};
use super::session::Signed;
use super::viewer::{STRAIGHTENED_WIDTH, VEILED};
use crate::app::App;
use crate::desk::{self, Place};
use crate::document::ReviewId;
use crate::reader::Reader;
use crate::store::{Actor, AuditEntry};

/// Longest side of the photo as it is shown.
const LONGEST: u32 = 1280;
/// The qualities it is packed with, until it has no more bytes than this: what keeps a page light.
const QUALITIES: [u8; 4] = [72, 62, 50, 38];
const HEAVIEST: usize = 88_000;
/// Longest side of the picture in which nothing can be read.
const VEIL: u32 = 24;

pub(super) async fn original(
    State(console): State<Console>,
    who: Signed,
    method: Method,
    Path(id): Path<String>,
) -> Result<Response> {
    show(&console, &who, &method, &id, false).await
}

pub(super) async fn straightened(
    State(console): State<Console>,
    who: Signed,
    method: Method,
    Path(id): Path<String>,
) -> Result<Response> {
    show(&console, &who, &method, &id, true).await
}

async fn show(
    console: &Console,
    who: &Signed,
    method: &Method,
    id: &str,
    straight: bool,
) -> Result<Response> {
    let id: ReviewId = id.parse().map_err(|_| Failure::NotFound)?;
    let app = &console.app;
    let review = desk::review_for(app, who.officer(), id).await?;
    if !review.is_held_by(who.officer().id, app.clock.now()) {
        return Err(Failure::NotFound);
    }
    let document = app.store.document(review.document_id).await?;
    let place = document.result.as_ref().and_then(|json| serde_json::from_str::<Place>(json.get()).ok());
    if straight && place.is_none() {
        return Err(Failure::NotFound);
    }
    let bytes = app.blobs.get(&document.blob_key).await?;
    let page = place.as_ref().and_then(|place| place.photo.page).unwrap_or(1);
    let place = place.filter(|_| straight);
    // Who asks for the head alone sees nothing.
    let veiled = who.query.contains_key(VEILED) || method == Method::HEAD;
    let jpeg = draw(app, bytes, page, place, veiled).await.ok_or(Failure::NoPicture)?;
    if !veiled {
        let action = if straight { "review.view_straightened" } else { "review.view_photo" };
        let (actor, subject) = (&Actor::Officer(who.officer().id), format!("document:{}", document.id));
        let entry = AuditEntry { actor, action, subject, reason: None, before: None, after: None };
        app.store.audit(entry).await?;
        if !app.store.picture_seen(id, who.officer()).await? {
            return Err(Failure::NotFound);
        }
    }
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
}

/// Decodes and packs, off the async threads and a few at a time.
async fn draw(app: &App, bytes: Bytes, page: u32, place: Option<Place>, veiled: bool) -> Option<Vec<u8>> {
    let turn = Arc::clone(&app.decoders).acquire_owned().await.ok()?;
    let app = app.clone();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let limits = &app.config.limits;
        let photo = match Format::of(&bytes).ok()? {
            Format::Pdf => {
                Reader::pdf_renderer(&app.config).page(&bytes, page.saturating_sub(1), limits).ok()?.photo
            }
            Format::Jpeg | Format::Png | Format::WebP => Photo::decode(&bytes, limits).ok()?,
        };
        let picture = match place {
            Some(place) => straightened::straightened(&photo, &place.frame, STRAIGHTENED_WIDTH)?,
            None => reduced(Arc::unwrap_or_clone(photo.pixels), LONGEST),
        };
        packed(&if veiled { reduced(picture, VEIL) } else { picture })
    })
    .await
    .ok()
    .flatten()
}

fn reduced(picture: RgbImage, most: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest <= most {
        return picture;
    }
    let side = |side: u32| (u64::from(side) * u64::from(most) / u64::from(longest)).max(1) as u32;
    resize(&picture, side(width), side(height), FilterType::Triangle)
}

fn packed(picture: &RgbImage) -> Option<Vec<u8>> {
    let mut jpeg = Vec::new();
    for quality in QUALITIES {
        jpeg.clear();
        JpegEncoder::new_with_quality(&mut jpeg, quality)
            .encode(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
            .ok()?;
        if jpeg.len() <= HEAVIEST {
            break;
        }
    }
    Some(jpeg)
}
