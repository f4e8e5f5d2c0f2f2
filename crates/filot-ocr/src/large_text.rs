//! Writing so large that no issuer prints it on a card: SPECIMEN, CONTOH and the like laid across it.
//!
//! The detector of lines does not find it: it looks for lines of a card's size, and joins large letters with the portrait
//! that they run into. So the picture is reduced, the card's own thin strokes are wiped out by a morphological closing, and
//! the letters of an overprint are what remains thinner than the window of a second one (a top-hat transform, for dark and for bright
//! ink): neither the portrait nor a shadow is. Such letters in a row are handed to the recogniser as clean black on white.

use std::rc::Rc;
use std::sync::Arc;

use image::RgbImage;

use crate::canvas::{Canvas, Pyramid};
use crate::geometry::{Homography, distance};
use crate::layout::bounds;
use crate::morphology::{Grey, closed};
use crate::page::{CARD_WIDTH_MM, Point, Quad, Rect};
use crate::patches::patches;

/// Pixels to a millimetre of the card in the reduced picture.
const SCALE: f32 = 4.0;
/// Half the window of the closing, in those pixels: strokes thinner than 0.75 mm vanish. The card's own are thinner than
/// half a millimetre.
const FINE_REACH: usize = 1;
/// Half the window of the top-hat: strokes of letters are thinner than 5.25 mm.
const THICK_REACH: usize = 10;
/// Half the windows of an opening of the ink, each tried: what is left of the card's print hangs on letters of fat strokes,
/// and comes off with more of it than thin letters bear.
const THIN_REACHES: [usize; 2] = [1, 2];
/// Contrast of the ink against the surface beside it, as a share of the brighter of the two; the first finds faint ink, the
/// second tells strong ink from what surrounds it.
const CONTRASTS: [f32; 2] = [0.07, 0.14];
/// Contrast that is shown to the recogniser as black.
const BLACK: f32 = 0.20;

/// A letter's longer side, in millimetres.
const LETTER_MM: std::ops::Range<f32> = 3.6..26.0;
/// A letter's shorter side at least, and the mean thickness of its strokes.
const NARROWEST_MM: f32 = 0.9;
const THINNEST_MM: f32 = 0.6;
/// Share of its upright rectangle that a letter covers.
const COVERED: std::ops::Range<f32> = 0.08..0.85;
/// Neighbouring letters differ by at most this factor in size, and stand at most so many sizes apart.
const ALIKE: f32 = 2.0;
const APART: f32 = 2.0;
/// How far, in sizes, a letter's middle may lie off its line.
const OFF_LINE: f32 = 0.35;
/// Steepest line that is sought, in degrees.
const STEEPEST: f32 = 45.0;
/// A line has at least so many letters, and this height in millimetres, as measured across it.
const LETTERS: usize = 3;
const HEIGHT_MM: std::ops::Range<f32> = 3.6..24.0;
/// How much letters of a line may differ in where they begin and end, in heights.
const UNEVEN: f32 = 0.25;
/// Letters that are many, and the height in millimetres of a line that is very large.
const MANY: usize = 4;
const VERY_LARGE_MM: f32 = 8.0;
/// White around a line for the recogniser, in heights.
const MARGIN: f32 = 0.15;
/// Lines that are read, those of the most letters first.
const LINES: usize = 3;
/// With more pieces than this the picture shows a pattern rather than letters.
const MAX_PIECES: usize = 120;

/// Ink as a picture in black on white, and the lines of large letters in it.
pub(crate) struct LargeLetters {
    pub(crate) canvas: Canvas,
    pub(crate) lines: Vec<LargeLine>,
}

pub(crate) struct LargeLine {
    /// In page coordinates.
    pub(crate) quad: Quad,
    /// Nothing but what stands in its row, where letters are many and very large: a portrait's hair and the card's own print
    /// lie between them.
    pub(crate) alone: Option<Canvas>,
}

/// Rows of large letters on the page, dark ones and bright ones.
pub(crate) fn find(canvas: &Canvas) -> Vec<LargeLetters> {
    let (width, height) = (canvas.frame.width, canvas.frame.height);
    let scale = SCALE * CARD_WIDTH_MM / width;
    let all = Rect { x0: 0.0, y0: 0.0, x1: width, y1: height };
    let Some(picture) = canvas.view(&all, scale) else { return Vec::new() };
    let corners =
        Rect { x0: 0.0, y0: 0.0, x1: picture.width() as f32, y1: picture.height() as f32 }.to_quad();
    let Some(to_picture) = Homography::rect_to_quad(width, height, &corners) else { return Vec::new() };
    let Some(to_page) = to_picture.inverse() else { return Vec::new() };
    let grey = Grey::of(&closed(&picture, FINE_REACH));
    let dark = contrast(&grey, &grey.closed(THICK_REACH));
    let bright = contrast(&grey.opened(THICK_REACH), &grey);
    [&dark, &bright]
        .into_iter()
        .flat_map(|ink| THIN_REACHES.map(|reach| ink.opened(reach)))
        .filter_map(|ink| {
            let framed = |picture: RgbImage| {
                let pyramid = Arc::new(Pyramid::new(Arc::new(picture)));
                Canvas::new(pyramid, canvas.frame.framing, width, height, to_picture, 1.0)
            };
            let lines = lines(&ink);
            let line = |row: &Row| LargeLine {
                quad: to_page.apply_quad(&row.quad),
                alone: (row.letters >= MANY && row.quad.height() >= VERY_LARGE_MM * SCALE).then(|| {
                    framed(black_on_white(&only(
                        &ink,
                        row.pieces.iter().flat_map(|piece| piece.iter().copied()),
                    )))
                }),
            };
            (!lines.is_empty()).then(|| LargeLetters {
                canvas: framed(black_on_white(&ink)),
                lines: lines.iter().map(line).collect(),
            })
        })
        .collect()
}

/// How much darker one picture is than the other, as a share of the other; [`BLACK`] and more is 255.
fn contrast(dark: &Grey, bright: &Grey) -> Grey {
    // In the dark, steps of a few grey levels are noise.
    const DARKEST: u8 = 24;
    let share = |(dark, bright): (&u8, &u8)| {
        let share = f32::from(bright.saturating_sub(*dark)) / f32::from((*bright).max(DARKEST));
        (share / BLACK * 255.0).min(255.0) as u8
    };
    Grey { width: dark.width, values: dark.values.iter().zip(&bright.values).map(share).collect() }
}

fn black_on_white(ink: &Grey) -> RgbImage {
    let width = ink.width as u32;
    RgbImage::from_fn(width, ink.values.len() as u32 / width, |x, y| {
        image::Rgb([255 - ink.values[y as usize * ink.width + x as usize]; 3])
    })
}

/// The ink of some pixels and of those around them, where strokes fade.
fn only(ink: &Grey, pixels: impl Iterator<Item = usize>) -> Grey {
    let (width, height) = (ink.width, ink.values.len() / ink.width);
    let mut values = vec![0; ink.values.len()];
    for at in pixels {
        let (x, y) = (at % width, at / width);
        for y in y.saturating_sub(1)..(y + 2).min(height) {
            let row = y * width + x.saturating_sub(1)..y * width + (x + 2).min(width);
            values[row.clone()].copy_from_slice(&ink.values[row]);
        }
    }
    Grey { width, values }
}

/// A connected patch of ink, in pixels.
struct Piece {
    middle: Point,
    /// Longer side of its upright rectangle.
    size: f32,
    outline: Vec<Point>,
    pixels: Rc<[usize]>,
}

/// Pieces that stand in a row like letters.
struct Row {
    letters: usize,
    quad: Quad,
    pieces: Vec<Rc<[usize]>>,
}

/// Lines of large letters in a map of contrast, in pixels; those of the most letters first.
fn lines(ink: &Grey) -> Vec<Row> {
    let mut found = Vec::new();
    for contrast in CONTRASTS {
        let pieces = pieces(ink, (contrast / BLACK * 255.0) as u8);
        if pieces.len() <= MAX_PIECES {
            found.extend(rows(&pieces));
        }
    }
    found.sort_by_key(|row: &Row| std::cmp::Reverse(row.letters));
    let mut lines: Vec<Row> = Vec::new();
    for row in found {
        let apart = |other: &Row| distance(middle(&other.quad), middle(&row.quad)) > row.quad.height() / 2.0;
        if lines.iter().all(apart) {
            lines.push(row);
        }
        if lines.len() == LINES {
            break;
        }
    }
    lines
}

fn middle(quad: &Quad) -> Point {
    bounds(&quad.0).centre()
}

/// The patches of ink that may be letters.
fn pieces(ink: &Grey, least: u8) -> Vec<Piece> {
    let width = ink.width;
    let mut pieces = Vec::new();
    for patch in patches(ink.values.iter().map(|contrast| *contrast >= least), width) {
        let middle = |at: &usize| Point { x: (at % width) as f32 + 0.5, y: (at / width) as f32 + 0.5 };
        let (pixels, outline) = (patch.pixels.len(), patch.border.iter().map(middle).collect::<Vec<_>>());
        let around = bounds(&outline);
        let (w, h) = (around.width() + 1.0, around.height() + 1.0);
        let covered = pixels as f32 / (w * h);
        // Every stroke has two edges.
        let thickness = 2.0 * pixels as f32 / outline.len() as f32;
        if LETTER_MM.contains(&(w.max(h) / SCALE))
            && w.min(h) >= NARROWEST_MM * SCALE
            && COVERED.contains(&covered)
            && thickness >= THINNEST_MM * SCALE
        {
            pieces.push(Piece {
                middle: around.centre(),
                size: w.max(h),
                outline,
                pixels: patch.pixels.into(),
            });
        }
    }
    pieces
}

/// Pieces of about one size that stand in a row.
fn rows(pieces: &[Piece]) -> Vec<Row> {
    let alike = |a: &Piece, b: &Piece| a.size.max(b.size) <= ALIKE * a.size.min(b.size);
    let mut rows = Vec::new();
    for first in pieces {
        for second in pieces {
            let (dx, dy) = (second.middle.x - first.middle.x, second.middle.y - first.middle.y);
            let gap = dx.hypot(dy);
            if dx <= 0.0 || !alike(first, second) || gap > APART * first.size.max(second.size) {
                continue;
            }
            if dy.abs() > dx * STEEPEST.to_radians().tan() {
                continue;
            }
            let along = Point { x: dx / gap, y: dy / gap };
            let place = |p: Point| {
                let (x, y) = (p.x - first.middle.x, p.y - first.middle.y);
                Point { x: x * along.x + y * along.y, y: y * along.x - x * along.y }
            };
            let size = (first.size + second.size) / 2.0;
            let mut row: Vec<(f32, &Piece)> = pieces
                .iter()
                .filter(|piece| alike(piece, first) && place(piece.middle).y.abs() <= OFF_LINE * size)
                .map(|piece| (place(piece.middle).x, piece))
                .filter(|(at, _)| *at >= 0.0)
                .collect();
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
            let joined = row.windows(2).take_while(|pair| pair[1].0 - pair[0].0 <= APART * size).count();
            row.truncate(joined + 1);
            if row.len() < LETTERS {
                continue;
            }
            let letters: Vec<Rect> = row
                .iter()
                .map(|(_, piece)| bounds(&piece.outline.iter().map(|p| place(*p)).collect::<Vec<_>>()))
                .collect();
            let Some(around) = aligned(&letters) else { continue };
            if !HEIGHT_MM.contains(&(around.height() / SCALE)) || around.width() < 1.5 * around.height() {
                continue;
            }
            let margin = MARGIN * around.height();
            let back = |x: f32, y: f32| Point {
                x: first.middle.x + x * along.x - y * along.y,
                y: first.middle.y + x * along.y + y * along.x,
            };
            let (x0, x1) = (around.x0 - margin, around.x1 + margin);
            let (y0, y1) = (around.y0 - margin, around.y1 + margin);
            rows.push(Row {
                letters: letters.len(),
                quad: Quad([back(x0, y0), back(x1, y0), back(x1, y1), back(x0, y1)]),
                pieces: row.iter().map(|(_, piece)| Rc::clone(&piece.pixels)).collect(),
            });
        }
    }
    rows
}

/// The rectangle around those that stand on one line and reach up to another, if they are enough for a word.
fn aligned(letters: &[Rect]) -> Option<Rect> {
    let median = |edge: fn(&Rect) -> f32| {
        let mut edges: Vec<f32> = letters.iter().map(edge).collect();
        edges.sort_by(f32::total_cmp);
        edges.get(edges.len() / 2).copied()
    };
    let (top, bottom) = (median(|r| r.y0)?, median(|r| r.y1)?);
    let slack = UNEVEN * (bottom - top);
    let even = |r: &&Rect| (r.y0 - top).abs() <= slack && (r.y1 - bottom).abs() <= slack;
    let word: Vec<&Rect> = letters.iter().filter(even).collect();
    let (first, others) = word.split_first()?;
    (word.len() >= LETTERS).then(|| others.iter().fold(**first, |around, letter| around.union(letter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{CARD_HEIGHT_MM, Framing};

    /// A card of ten pixels to the millimetre: paper, a portrait, and four rings in a row that rises by 25 degrees.
    fn card(ink: [u8; 3]) -> Canvas {
        let rings: Vec<Point> =
            (0..4).map(|i| Point { x: 180.0 + 130.0 * i as f32, y: 400.0 - 60.6 * i as f32 }).collect();
        let picture = RgbImage::from_fn(856, 540, |x, y| {
            let p = Point { x: x as f32, y: y as f32 };
            let on_ring = |ring: &Point| (32.0..50.0).contains(&distance(*ring, p));
            if rings.iter().any(on_ring) {
                return image::Rgb(ink);
            }
            let portrait = (600..820).contains(&x) && (130..420).contains(&y);
            let print = y % 27 < 3 && x % 11 < 4 && x < 500;
            image::Rgb(if portrait {
                [180, 30, 30]
            } else if print {
                [40, 40, 50]
            } else {
                [170, 200, 225]
            })
        });
        let pyramid = Arc::new(Pyramid::new(Arc::new(picture)));
        Canvas::new(pyramid, Framing::Card, CARD_WIDTH_MM, CARD_HEIGHT_MM, Homography::scale(10.0), 1.0)
    }

    #[test]
    fn letters_in_a_row_are_found_with_their_slope_in_dark_and_in_bright_ink() {
        for ink in [[110, 120, 140], [250, 250, 250]] {
            let found = find(&card(ink));
            // The inside of dark rings is a row of bright discs: it is for the recogniser to say that they mean nothing.
            let as_drawn = |line: &Quad| {
                let [a, b, ..] = line.0;
                let slope = (b.y - a.y).atan2(b.x - a.x).to_degrees();
                (slope + 25.0).abs() < 3.0 && a.x < 14.0 && b.x > 58.0
            };
            assert!(
                found
                    .iter()
                    .flat_map(|letters| &letters.lines)
                    .any(|line| as_drawn(&line.quad) && line.alone.is_some()),
                "{ink:?}"
            );
        }
    }

    #[test]
    fn print_and_portrait_are_no_letters() {
        assert!(find(&card([170, 200, 225])).is_empty());
    }

    #[test]
    fn only_the_ink_of_the_letters_and_around_them_is_kept() {
        let ink = Grey { width: 4, values: (1..=12).collect() };
        assert_eq!(only(&ink, [0].into_iter()).values, [1, 2, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0]);
        assert_eq!(only(&ink, [11].into_iter()).values, [0, 0, 0, 0, 0, 0, 7, 8, 0, 0, 11, 12]);
    }
}
