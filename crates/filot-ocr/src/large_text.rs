//! Writing so large that no issuer prints it on a card: SPECIMEN, CONTOH and the like laid across it.
//!
//! The detector of lines does not see it, as it looks for lines of a card's size. So the picture is reduced and everything
//! fine is wiped out by a morphological closing (dark strokes thinner than the window vanish into their background), after
//! which an overprint is the only writing left, of about the size that detector and recogniser are made for.

use std::sync::Arc;

use image::RgbImage;

use crate::canvas::{Canvas, Pyramid};
use crate::detect::network_size;
use crate::geometry::Homography;
use crate::page::{CARD_WIDTH_MM, Quad, Rect};

/// Pixels to a millimetre of the card in the reduced picture, and by how many degrees it is turned: first the coarse and the
/// fine look, then two coarse ones along the diagonals, as the detector breaks writing that leans steeply into pieces. The
/// closing wipes out strokes thinner than three pixels: 1.2 and 0.75 mm. The card's own strokes are thinner than half a
/// millimetre; the fine look is for overprints of smaller letters.
pub(crate) const LOOKS: [(f32, f32); 4] = [(2.5, 0.0), (4.0, 0.0), (2.5, -28.0), (2.5, 28.0)];
/// Half the window of the closing in those pixels.
const REACH: usize = 1;
/// Heights in millimetres, with the margin that the detector adds, and degrees: level writing of the card itself is lower
/// than the first; leaning writing counts from the second on.
const LEVEL_MM: f32 = 7.5;
const LEANING_MM: f32 = 4.0;
const LEANING: f32 = 7.0;
/// In a turned picture only what is about level there counts, in degrees.
const ALONG_DIAGONAL: f32 = 16.0;

/// The card without its fine print, as a canvas with the same page coordinates.
pub(crate) fn without_fine_print(canvas: &Canvas, scale: f32) -> Option<Canvas> {
    let unit = canvas.frame.width / CARD_WIDTH_MM;
    let (width, height) = (canvas.frame.width, canvas.frame.height);
    let (pixels_x, pixels_y) = network_size(width / unit * scale, height / unit * scale);
    let all = Rect { x0: 0.0, y0: 0.0, x1: width, y1: height };
    let picture = closed(&canvas.cut(&all.to_quad(), pixels_x, pixels_y)?, REACH);
    let corners = Rect { x0: 0.0, y0: 0.0, x1: pixels_x as f32, y1: pixels_y as f32 }.to_quad();
    let to_base = Homography::rect_to_quad(width, height, &corners)?;
    Some(Canvas::new(
        Arc::new(Pyramid::new(Arc::new(picture))),
        canvas.frame.framing,
        width,
        height,
        to_base,
        1.0,
    ))
}

/// The same picture under a frame that is turned about its middle.
pub(crate) fn turned(canvas: Canvas, degrees: f32) -> Canvas {
    if degrees == 0.0 {
        return canvas;
    }
    let (width, height) = (canvas.frame.width, canvas.frame.height);
    let about = |x: f32, y: f32| Homography::rotation(0.0, f64::from(x), f64::from(y));
    let turn = about(width / 2.0, height / 2.0)
        .after(&Homography::rotation(f64::from(degrees), 0.0, 0.0))
        .after(&about(-width / 2.0, -height / 2.0));
    canvas.framed(canvas.frame.framing, width, height, canvas.to_base.after(&turn))
}

/// Whether a box of the page, which is turned by `degrees`, could hold an overprint.
pub(crate) fn is_large(quad: &Quad, canvas: &Canvas, degrees: f32) -> bool {
    let unit = canvas.frame.width / CARD_WIDTH_MM;
    let (width, height) = (quad.width(), quad.height());
    let [a, b, ..] = quad.0;
    let angle = (b.y - a.y).atan2(b.x - a.x).to_degrees().abs();
    if degrees != 0.0 {
        return angle < ALONG_DIAGONAL && height > unit * LEVEL_MM && width > 1.5 * height;
    }
    height > unit * if angle > LEANING { LEANING_MM } else { LEVEL_MM } && width > 1.5 * height
}

/// Morphological closing of each channel with a square window of `2 · reach + 1` pixels.
pub(crate) fn closed(picture: &RgbImage, reach: usize) -> RgbImage {
    let (width, height) = picture.dimensions();
    let mut pixels = picture.as_raw().clone();
    // A window of three pixels, time after time, reaches as far as a larger one.
    for _ in 0..reach {
        pixels = windowed(&pixels, width as usize * 3, u8::max);
    }
    for _ in 0..reach {
        pixels = windowed(&pixels, width as usize * 3, u8::min);
    }
    RgbImage::from_raw(width, height, pixels).unwrap_or_else(|| picture.clone())
}

/// The extreme value of each pixel's window of 3 × 3, channel by channel, first along the rows, then along the columns.
fn windowed(pixels: &[u8], stride: usize, extreme: impl Fn(u8, u8) -> u8 + Copy) -> Vec<u8> {
    let mut rows = pixels.to_vec();
    for (out, row) in rows.chunks_exact_mut(stride).zip(pixels.chunks_exact(stride)) {
        for (value, right) in out.iter_mut().zip(&row[3..]) {
            *value = extreme(*value, *right);
        }
        for (value, left) in out[3..].iter_mut().zip(row) {
            *value = extreme(*value, *left);
        }
    }
    let mut both = rows.clone();
    for (value, below) in both.iter_mut().zip(&rows[stride..]) {
        *value = extreme(*value, *below);
    }
    for (value, above) in both[stride..].iter_mut().zip(&rows) {
        *value = extreme(*value, *above);
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turned_frame_shows_a_diagonal_level() {
        let pyramid = Arc::new(Pyramid::new(Arc::new(RgbImage::new(214, 135))));
        let level = Canvas::new(pyramid, crate::page::Framing::Card, 85.6, 54.0, Homography::scale(2.5), 1.0);
        let turned = turned(level, -28.0);
        let at = |x: f32| turned.to_base.apply(crate::page::Point { x, y: 27.0 });
        let (left, middle, right) = (at(20.0), at(42.8), at(65.6));
        assert!((middle.x - 107.0).abs() < 0.1 && (middle.y - 67.5).abs() < 0.1, "{middle:?}");
        let rise = (right.y - left.y).atan2(right.x - left.x).to_degrees();
        assert!((rise + 28.0).abs() < 0.1, "{rise}");
    }

    #[test]
    fn thin_strokes_vanish_and_thick_ones_stay() {
        let mut picture = RgbImage::from_pixel(60, 40, image::Rgb([200, 210, 220]));
        for y in 5..35 {
            for x in [10, 11].into_iter().chain(30..40) {
                picture.put_pixel(x, y, image::Rgb([20, 20, 20]));
            }
        }
        let closed = closed(&picture, 1);
        assert_eq!(closed.get_pixel(10, 20).0, [200, 210, 220]);
        assert_eq!(closed.get_pixel(35, 20).0, [20, 20, 20]);
    }
}
