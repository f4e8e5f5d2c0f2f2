//! Lines of a canvas as strips of pixels for the recogniser, and what it read put back where it stands.

use image::RgbImage;

use crate::canvas::Canvas;
use crate::contrast::{clean, stretch};
use crate::engine::{Alphabet, Error, View};
use crate::layout;
use crate::page::{Glyph, Line, Quad};
use crate::recognize::{MAX_WIDTH, ReadGlyph, Recognizer, STRIP_HEIGHT};

/// Window, in pixels, over which contrast is evened out: a line of text.
const STRIP_WINDOW: usize = 97;
/// How much longer than in the photo strips are, and those of [`View::Wide`]: the recogniser has one step for eight pixels,
/// and two letters `I` side by side are only seen as two if there is a step between them.
const STRETCHED: f32 = 1.2;
const WIDE: f32 = 1.6;
/// Deviation of the smoothing of [`View::Even`] and [`View::Smooth`], in pixels of the photo; at least one pixel of the
/// strip.
const SMOOTHING: f32 = 0.6;
const STRONG_SMOOTHING: f32 = 1.2;

/// How much legible text was read, and how surely.
pub(crate) fn certainty(glyphs: &[ReadGlyph]) -> f32 {
    if is_blank(glyphs) { 0.0 } else { mean_confidence(glyphs).powi(2) * glyphs.len() as f32 }
}

/// The probability of the least certain character; blanks and colons, which decide nothing, aside.
pub(crate) fn weakest(line: &Line) -> f32 {
    let telling = line.glyphs.iter().filter(|g| !matches!(g.candidates[0].0, ' ' | ':'));
    telling.map(|g| g.candidates[0].1).fold(1.0, f32::min)
}

/// Recognises boxes of a canvas.
pub(crate) fn recognise_with(
    recognizer: &Recognizer,
    canvas: &Canvas,
    boxes: &[(Quad, Alphabet)],
    view: View,
) -> Result<Vec<Option<Line>>, Error> {
    let read = read_with(recognizer, canvas, boxes, view)?;
    Ok(read.into_iter().zip(boxes).map(|(glyphs, (quad, _))| line(quad, glyphs)).collect())
}

/// The characters in boxes of a canvas, none where a box has no area.
pub(crate) fn read_with(
    recognizer: &Recognizer,
    canvas: &Canvas,
    boxes: &[(Quad, Alphabet)],
    view: View,
) -> Result<Vec<Vec<ReadGlyph>>, Error> {
    let mut strips = Vec::with_capacity(boxes.len());
    let mut owners = Vec::with_capacity(boxes.len());
    for (i, (quad, alphabet)) in boxes.iter().enumerate() {
        if let Some(strip) = strip(canvas, quad, view) {
            strips.push((strip, *alphabet));
            owners.push(i);
        }
    }
    let mut read = vec![Vec::new(); boxes.len()];
    for (glyphs, owner) in recognizer.read(&strips)?.into_iter().zip(owners) {
        read[owner] = glyphs;
    }
    Ok(read)
}

fn is_blank(glyphs: &[ReadGlyph]) -> bool {
    glyphs.iter().all(|g| g.candidates[0].0 == ' ')
}

/// Mean probability of the characters (0..=1), 0 without any.
fn mean_confidence(glyphs: &[ReadGlyph]) -> f32 {
    glyphs.iter().map(|g| g.candidates[0].1).sum::<f32>() / glyphs.len().max(1) as f32
}

/// The pixels of a line at the recogniser's height.
pub(crate) fn strip(canvas: &Canvas, quad: &Quad, view: View) -> Option<RgbImage> {
    let (width, height) = (quad.width(), quad.height());
    if height < 1e-3 || width < 1e-3 {
        return None;
    }
    let stretched = if view == View::Wide { WIDE } else { STRETCHED };
    let pixels = (width / height * STRIP_HEIGHT as f32 * stretched).round() as u32;
    let mut strip = canvas.cut(quad, pixels.clamp(8, MAX_WIDTH), STRIP_HEIGHT)?;
    stretch(&mut strip);
    let smoothing = match view {
        View::Plain | View::Wide => return Some(strip),
        View::Even => SMOOTHING,
        View::Smooth => STRONG_SMOOTHING,
    };
    let enlarged = STRIP_HEIGHT as f32 / (height * canvas.resolution()).max(1.0);
    strip = clean(&strip, STRIP_WINDOW, smoothing * enlarged);
    Some(strip)
}

/// A read strip put back where it stands on the page. `None` when nothing was legible.
pub(crate) fn line(quad: &Quad, glyphs: Vec<ReadGlyph>) -> Option<Line> {
    if is_blank(&glyphs) {
        return None;
    }
    let rect = layout::bounds(&quad.0);
    let [a, b, c, d] = quad.0;
    let (left, right) = ((a.x + d.x) / 2.0, (b.x + c.x) / 2.0);
    let place = |x: f32| left + (right - left) * x;
    let angle = (b.y - a.y + c.y - d.y).atan2(b.x - a.x + c.x - d.x).to_degrees();
    let confidence = mean_confidence(&glyphs);
    let text = glyphs.iter().map(|g| g.candidates[0].0).collect();
    let glyphs = glyphs
        .into_iter()
        .map(|g| Glyph { candidates: g.candidates, x0: place(g.x0), x1: place(g.x1) })
        .collect();
    Some(Line { text, confidence, glyphs, rect, angle })
}
