//! The photo with everything that was found drawn on it, and the values beside it.

use std::path::Path;

use ab_glyph::{FontRef, PxScale};
use anyhow::Context;
use filot_cards::assess::Assessment;
use filot_cards::checks::Outcome as CheckOutcome;
use filot_cards::decide::Decision;
use filot_ocr::image::Photo;
use filot_ocr::page::{Frame, Framing, Point, Quad, Rect};
use image::codecs::jpeg::JpegEncoder;
use image::imageops;
use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_text_mut, text_size};

use super::output::word;

/// Liberation Sans under the name its licence asks of copies (SIL Open Font License 1.1).
const FONT: &[u8] = include_bytes!("../../../filot-testkit/fonts/KitSans-Regular.ttf");
/// Longer side of the photo in the annotated picture.
const LONG_SIDE: u32 = 1_600;
const QUALITY: u8 = 88;

const PAPER: Rgb<u8> = Rgb([250, 250, 248]);
const INK: Rgb<u8> = Rgb([32, 33, 36]);
const FAINT: Rgb<u8> = Rgb([120, 122, 128]);
const GOOD: Rgb<u8> = Rgb([24, 128, 56]);
const DOUBTFUL: Rgb<u8> = Rgb([200, 120, 0]);
const BAD: Rgb<u8> = Rgb([197, 34, 31]);
const CARD: Rgb<u8> = Rgb([26, 115, 232]);

/// Draws the card's outline, a box around every field, and a panel with the values, the decision and its reasons.
pub(super) fn draw(photo: &Photo, frame: &Frame, assessment: &Assessment) -> anyhow::Result<RgbImage> {
    let font = FontRef::try_from_slice(FONT).context("the built-in font")?;
    let long = photo.width.max(photo.height).max(1) as f32;
    // Small pictures are shown larger, so that the panel beside them does not dwarf them.
    let scale = (LONG_SIDE as f32 / long).min(2.0);
    let size = |side: u32| ((side as f32 * scale).round() as u32).max(1);
    let (width, height) = (size(photo.width), size(photo.height));
    let mut shown = imageops::resize(&*photo.pixels, width, height, imageops::FilterType::Triangle);

    let line = (width.max(height) as f32 / 500.0).max(1.5);
    let whole = Rect { x0: 0.0, y0: 0.0, x1: frame.width, y1: frame.height };
    if frame.framing != Framing::Text {
        outline(&mut shown, &frame.photo_quad(&whole), scale, line * 1.5, CARD);
    }
    for field in assessment.fields.values() {
        outline(&mut shown, &field.quad, scale, line, colour(field.confidence));
    }

    let letters = 22.0f32;
    let panel = Panel { font, letters, width: 620 };
    let rows = panel.rows(assessment);
    let panel_height = (rows.len() as f32 * letters * 1.35 + letters) as u32;
    let mut out = RgbImage::from_pixel(width + panel.width, height.max(panel_height), PAPER);
    imageops::replace(&mut out, &shown, 0, 0);
    panel.draw(&mut out, width, &rows);
    Ok(out)
}

/// Writes it as a JPEG file.
pub(super) fn save(picture: &RgbImage, path: &Path) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(picture)?;
    Ok(std::fs::write(path, bytes)?)
}

/// A line of text in a colour.
struct Row {
    text: String,
    colour: Rgb<u8>,
}

struct Panel {
    font: FontRef<'static>,
    letters: f32,
    width: u32,
}

impl Panel {
    fn rows(&self, assessment: &Assessment) -> Vec<Row> {
        let (verdict, tone) = match assessment.decision {
            Decision::AutoApprove => ("approved", GOOD),
            Decision::NeedsReview => ("to review", DOUBTFUL),
            Decision::AutoReject => ("rejected", BAD),
        };
        let mut rows = Vec::new();
        let kind = word(&assessment.document_type);
        self.push(&mut rows, &format!("{kind}, score {}: {verdict}", assessment.score), tone);
        self.push(&mut rows, "", INK);
        for (key, field) in &assessment.fields {
            let text = format!("{key}  {:.0} %", field.confidence * 100.0);
            self.push(&mut rows, &text, FAINT);
            self.push(&mut rows, &format!("  {}", field.value), colour(field.confidence));
        }
        for check in assessment.checks.iter().filter(|check| check.outcome != CheckOutcome::Pass) {
            let tone = if check.outcome == CheckOutcome::Warn { DOUBTFUL } else { BAD };
            self.push(&mut rows, &word(&check.code), tone);
        }
        rows
    }

    /// Appends the text, broken where it is too wide for the panel.
    fn push(&self, rows: &mut Vec<Row>, text: &str, colour: Rgb<u8>) {
        let room = self.width - 2 * self.letters as u32;
        let mut rest = text;
        loop {
            let mut end = rest.len();
            while end > 1 && text_size(PxScale::from(self.letters), &self.font, &rest[..end]).0 > room {
                end = rest[..end]
                    .rfind(' ')
                    .filter(|&at| at > 2)
                    .unwrap_or_else(|| rest.floor_char_boundary(end - 1));
            }
            rows.push(Row { text: rest[..end].to_owned(), colour });
            rest = rest[end..].trim_start();
            if rest.is_empty() {
                return;
            }
        }
    }

    fn draw(&self, out: &mut RgbImage, left: u32, rows: &[Row]) {
        let step = self.letters * 1.35;
        for (i, row) in rows.iter().enumerate() {
            let (x, y) = (left as f32 + self.letters, self.letters * 0.5 + step * i as f32);
            draw_text_mut(
                out,
                row.colour,
                x as i32,
                y as i32,
                PxScale::from(self.letters),
                &self.font,
                &row.text,
            );
        }
    }
}

fn colour(confidence: f32) -> Rgb<u8> {
    match confidence {
        c if c >= 0.9 => GOOD,
        c if c >= 0.7 => DOUBTFUL,
        _ => BAD,
    }
}

/// The four sides of a quad given in pixels of the full photo.
fn outline(picture: &mut RgbImage, quad: &Quad, scale: f32, thickness: f32, colour: Rgb<u8>) {
    let corners = quad.0.map(|p| Point { x: p.x * scale, y: p.y * scale });
    for i in 0..4 {
        side(picture, corners[i], corners[(i + 1) % 4], thickness, colour);
    }
}

/// A thick line: small squares side by side. Whatever lies outside the picture is left out.
fn side(picture: &mut RgbImage, a: Point, b: Point, thickness: f32, colour: Rgb<u8>) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let length = (b.x - a.x).hypot(b.y - a.y);
    // Corners far outside, or not numbers at all, come from frames that mean nothing.
    if !length.is_finite() || length > 20.0 * (width + height) {
        return;
    }
    let steps = (length * 2.0).ceil().max(1.0) as u32;
    let half = thickness / 2.0;
    for step in 0..=steps {
        let t = step as f32 / steps as f32;
        let (x, y) = (a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t);
        if x + half < 0.0 || y + half < 0.0 || x - half >= width || y - half >= height {
            continue;
        }
        let columns = (x - half).max(0.0) as u32..((x + half).min(width).ceil() as u32);
        for px in columns {
            for py in (y - half).max(0.0) as u32..((y + half).min(height).ceil() as u32) {
                picture.put_pixel(px, py, colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_inside_the_picture() {
        let mut picture = RgbImage::from_pixel(40, 30, PAPER);
        let far = |x, y| Point { x, y };
        outline(
            &mut picture,
            &Quad([far(-50.0, -5.0), far(90.0, 3.0), far(39.9, 29.9), far(5.0, 100.0)]),
            1.0,
            3.0,
            BAD,
        );
        outline(&mut picture, &Quad([far(f32::NAN, 0.0); 4]), 1.0, 3.0, BAD);
        assert!(picture.pixels().any(|p| *p == BAD));
    }
}
