//! Finds the card in a photo: its corners, which way is up, what it is.
//!
//! Two small networks of our own look at it. The first sees the whole photo, small, and says about where the corners are;
//! the second sees what lies between them, straightened with a margin, and says where each side really runs. Corners come
//! in the card's own order, so the direction of the print comes with them, and a mirrored picture has them the other way
//! round. `scripts/train_locate.py` made both; the numbers here are those of `scripts/locate_net.py`.

mod decode;

use image::RgbImage;

use crate::canvas::Canvas;
use crate::engine::Error;
use crate::geometry::{Homography, distance};
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Frame, Framing, Point, Quad, Rect};
use crate::rectify::{contains, middle};
use crate::runtime::{Pool, Runtime, Tensor};
use decode::{FIRST_SIDE, SECOND_HEIGHT, SECOND_WIDTH};

/// The networks, with their weights as half floats.
const FIRST: &[u8] = include_bytes!("../weights/locate-first.onnx");
const SECOND: &[u8] = include_bytes!("../weights/locate-second.onnx");

/// Pixels around the photo in the first look, so that corners a little outside it have a place.
const FIRST_MARGIN: f32 = 10.0;
/// Pixels around the card in the second look.
const MARGIN_X: f32 = 26.0;
const MARGIN_Y: f32 = 31.7;
/// A corner that the second look moved by more than this share of the card's width calls for one more look from there.
const FAR: f32 = 0.012;
/// Certainty of the first look below which a second one seldom finds a card.
const MIN_CERTAINTY: f32 = 0.25;
/// Second looks at most.
const LOOKS: usize = 3;

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ktp,
    /// A foreign resident's identity card.
    ForeignKtp,
    NpwpOld,
    NpwpBlue,
    Npwp16,
    OtherCard,
    Paper,
    Nothing,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Ktp,
        Self::ForeignKtp,
        Self::NpwpOld,
        Self::NpwpBlue,
        Self::Npwp16,
        Self::OtherCard,
        Self::Paper,
        Self::Nothing,
    ];

    /// Returns whether it is a card that is read here.
    pub(crate) fn is_ours(self) -> bool {
        self.is_card() && self != Self::OtherCard
    }

    /// Whether it has the size of an ID-1 card.
    pub fn is_card(self) -> bool {
        !matches!(self, Self::Paper | Self::Nothing)
    }
}

/// A card, or what was taken for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Located {
    /// In pixels of the working picture, from the card's own upper left, clockwise on the card.
    pub corners: Quad,
    pub kind: Kind,
    /// How sure it is (0..=1) that this is a card and these are its corners.
    pub confidence: f32,
    /// How sure it is (0..=1) which of the card's edges is the upper one.
    pub upright: f32,
}

impl Located {
    /// Whether left and right are exchanged in the photo, as front cameras do.
    pub fn mirrored(&self) -> bool {
        decode::signed_area(&self.corners) < 0.0
    }

    /// The card's frame in millimetres.
    pub(crate) fn canvas(&self, whole: &Canvas) -> Option<Canvas> {
        card_canvas(whole, &self.corners)
    }
}

/// The two networks.
pub(crate) struct Locator {
    first: Pool,
    second: Pool,
}

impl Locator {
    /// Loads both for as many threads at a time as there are `readers`.
    pub(crate) fn load(runtime: &Runtime, readers: usize) -> Result<Self, Error> {
        let side = FIRST_SIDE as usize;
        Ok(Self {
            first: runtime.load(FIRST, readers, [1, 3, side, side])?,
            second: runtime.load(SECOND, readers, [1, 3, SECOND_HEIGHT as usize, SECOND_WIDTH as usize])?,
        })
    }

    /// Looks for the card in a photo, for the one that shows best if there are several. `None` where nothing has corners at
    /// all.
    pub(crate) fn locate(&self, whole: &Canvas) -> Result<Option<Located>, Error> {
        let all = Rect { x0: 0.0, y0: 0.0, x1: whole.frame.width, y1: whole.frame.height };
        let Some((picture, to_photo)) = first_picture(whole, &all) else { return Ok(None) };
        self.look(whole, &picture, &to_photo, 0.0)
    }

    /// Looks for another card than the one that fills `taken`, on all sides where there is room for one; the surest. `None`
    /// where there is none.
    pub(crate) fn locate_beside(&self, whole: &Canvas, taken: &Quad) -> Result<Option<Located>, Error> {
        let mut best: Option<Located> = None;
        for area in areas_beside(&whole.frame, taken) {
            let Some((mut picture, to_photo)) = first_picture(whole, &area) else { continue };
            let Some(to_picture) = to_photo.inverse() else { continue };
            paint_over(&mut picture, &Quad(taken.0.map(|p| to_picture.apply(p))));
            // The second look sees the first card again, and may have gone back to it.
            let found = self.look(whole, &picture, &to_photo, MIN_CERTAINTY)?;
            let found = found.filter(|card| !overlap(&card.corners, taken));
            best = best.into_iter().chain(found).max_by(|a, b| a.confidence.total_cmp(&b.confidence));
        }
        Ok(best)
    }

    /// Looks in a picture for the card whose corners the first look is at least so certain of.
    fn look(
        &self,
        whole: &Canvas,
        picture: &RgbImage,
        to_photo: &Homography,
        least: f32,
    ) -> Result<Option<Located>, Error> {
        let first = decode::first(&self.first.run(tensor(picture))?.data)?;
        let mut best: Option<Located> = None;
        for (quad, certainty) in first.quads().into_iter().filter(|(_, certainty)| *certainty >= least) {
            let corners = Quad(quad.0.map(|p| to_photo.apply(p)));
            let found = self.refine(whole, corners, certainty)?;
            if let Some(found) = found
                && best.is_none_or(|best| found.confidence > best.confidence)
            {
                best = Some(found);
            }
        }
        Ok(best)
    }

    /// Takes second looks from `corners`, of which the first look was so certain, until they stay where they are.
    fn refine(&self, whole: &Canvas, mut corners: Quad, certainty: f32) -> Result<Option<Located>, Error> {
        let mut found = None;
        for _ in 0..LOOKS {
            let Some((picture, to_photo)) = second_picture(whole, &corners) else { break };
            let second = decode::second(&self.second.run(tensor(&picture))?.data)?;
            let better = Quad(second.corners.map(|p| to_photo.apply(p)));
            if !decode::is_convex(&better) {
                break;
            }
            let width = better.width().max(1.0);
            let moved = (0..4).map(|i| distance(better.0[i], corners.0[i])).fold(0.0, f32::max);
            corners = better;
            let turned = second.turn != 0 || second.mirrored;
            let in_order = decode::own_order(&corners, second.turn, second.mirrored);
            found = Some(Located {
                corners: in_order,
                kind: Kind::ALL[second.kind],
                confidence: decode::confidence(certainty, &second, moved / width),
                upright: second.turn_probability,
            });
            if moved < FAR * width && !turned {
                break;
            }
            corners = in_order;
        }
        Ok(found)
    }

    #[cfg(test)]
    pub(crate) fn shared_until(self, left: &std::sync::Arc<std::sync::atomic::AtomicUsize>) -> Self {
        Self { first: self.first.shared_until(left), second: self.second.shared_until(left) }
    }
}

fn card_canvas(whole: &Canvas, corners: &Quad) -> Option<Canvas> {
    let to_base = Homography::rect_to_quad(CARD_WIDTH_MM, CARD_HEIGHT_MM, corners)?;
    Some(whole.framed(Framing::Card, CARD_WIDTH_MM, CARD_HEIGHT_MM, to_base))
}

/// A part of the photo, its longer side as long as the network's input without its margins, and the way back.
fn first_picture(whole: &Canvas, part: &Rect) -> Option<(RgbImage, Homography)> {
    let scale = part.width().max(part.height()) / (FIRST_SIDE as f32 - 2.0 * FIRST_MARGIN);
    let half = scale * FIRST_SIDE as f32 / 2.0;
    let Point { x, y } = part.centre();
    let area = Rect { x0: x - half, y0: y - half, x1: x + half, y1: y + half }.to_quad();
    let side = FIRST_SIDE as f32;
    Some((whole.cut(&area, FIRST_SIDE, FIRST_SIDE)?, Homography::rect_to_quad(side, side, &area)?))
}

/// What lies between the corners, with a margin, and the way back.
fn second_picture(whole: &Canvas, corners: &Quad) -> Option<(RgbImage, Homography)> {
    let card = card_canvas(whole, corners)?;
    let (width, height) = (SECOND_WIDTH as f32, SECOND_HEIGHT as f32);
    let x = MARGIN_X * CARD_WIDTH_MM / (width - 2.0 * MARGIN_X);
    let y = MARGIN_Y * CARD_HEIGHT_MM / (height - 2.0 * MARGIN_Y);
    let area = Rect { x0: -x, y0: -y, x1: CARD_WIDTH_MM + x, y1: CARD_HEIGHT_MM + y }.to_quad();
    let picture = card.cut(&area, SECOND_WIDTH, SECOND_HEIGHT)?;
    Some((picture, card.to_base.after(&Homography::rect_to_quad(width, height, &area)?)))
}

/// Returns the parts of the photo to the left, to the right, above and below a card in which another one would fit. They reach a
/// little over the card's own bounds, as cards lie askew.
fn areas_beside(frame: &Frame, taken: &Quad) -> Vec<Rect> {
    /// How much of the card's shorter and longer side there must be room for: the other may be farther away.
    const MIN_ROOM: f32 = 0.7;
    /// Share of the card's height by which its bounds are entered.
    const OVERLAP_SHARE: f32 = 0.15;
    let bound =
        |pick: fn(f32, f32) -> f32, of: fn(&Point) -> f32| taken.0.iter().map(of).fold(of(&taken.0[0]), pick);
    let (shorter, longer) = (taken.width().min(taken.height()), taken.width().max(taken.height()));
    let more = OVERLAP_SHARE * shorter;
    let all = Rect { x0: 0.0, y0: 0.0, x1: frame.width, y1: frame.height };
    let sides = [
        Rect { x1: bound(f32::min, |p| p.x) + more, ..all },
        Rect { x0: bound(f32::max, |p| p.x) - more, ..all },
        Rect { y1: bound(f32::min, |p| p.y) + more, ..all },
        Rect { y0: bound(f32::max, |p| p.y) - more, ..all },
    ];
    let fits = |area: &Rect| {
        let (width, height) = (area.width(), area.height());
        width.min(height) - more >= MIN_ROOM * shorter && width.max(height) >= MIN_ROOM * longer
    };
    sides.into_iter().filter(fits).collect()
}

/// Returns the corners in the order that [`contains`] takes.
fn clockwise(quad: &Quad) -> Quad {
    if decode::signed_area(quad) < 0.0 { quad.mirrored() } else { *quad }
}

/// Paints over what lies in a quadrilateral of the picture, and a little around it, with what lies around that.
fn paint_over(picture: &mut RgbImage, quad: &Quad) {
    const COVER_SCALE: f32 = 1.06;
    const AROUND_SCALE: f32 = 1.3;
    let quad = &clockwise(quad);
    let centre = middle(quad);
    let grown = |factor: f32| {
        let grow = |p: Point| Point {
            x: centre.x + factor * (p.x - centre.x),
            y: centre.y + factor * (p.y - centre.y),
        };
        Quad(quad.0.map(grow))
    };
    let (cover, around) = (grown(COVER_SCALE), grown(AROUND_SCALE));
    let (mut sum, mut count) = ([0_u32; 3], 0_u32);
    let at = |x: u32, y: u32| Point { x: x as f32 + 0.5, y: y as f32 + 0.5 };
    for (x, y, pixel) in picture.enumerate_pixels() {
        if contains(&around, at(x, y)) && !contains(&cover, at(x, y)) {
            sum.iter_mut().zip(pixel.0).for_each(|(sum, value)| *sum += u32::from(value));
            count += 1;
        }
    }
    let mean = sum.map(|sum| (sum / count.max(1)) as u8);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        if contains(&cover, at(x, y)) {
            pixel.0 = mean;
        }
    }
}

/// Returns whether two quadrilaterals share more than a margin: then they are one card, seen twice.
fn overlap(one: &Quad, other: &Quad) -> bool {
    const STEPS: u32 = 12;
    const MOST: u32 = STEPS * STEPS / 10;
    let shared = |quad: &Quad, on: &Quad| {
        let on = clockwise(on);
        let step = |n: u32| (n as f32 + 0.5) / STEPS as f32;
        let [a, b, c, d] = quad.0;
        let places = (0..STEPS * STEPS).map(|n| (step(n % STEPS), step(n / STEPS)));
        let inside = places.filter(|&(x, y)| {
            let mix = |a: f32, b: f32, c: f32, d: f32| {
                (1.0 - y) * ((1.0 - x) * a + x * b) + y * ((1.0 - x) * d + x * c)
            };
            contains(&on, Point { x: mix(a.x, b.x, c.x, d.x), y: mix(a.y, b.y, c.y, d.y) })
        });
        inside.count() as u32
    };
    shared(one, other) > MOST || shared(other, one) > MOST
}

/// Channels apart, -1 to 1.
fn tensor(picture: &RgbImage) -> Tensor {
    let plane = (picture.width() * picture.height()) as usize;
    let mut data = vec![0.0; 3 * plane];
    let (red, rest) = data.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    let places = red.iter_mut().zip(green).zip(blue);
    for (((r, g), b), pixel) in places.zip(picture.as_raw().chunks_exact(3)) {
        *r = f32::from(pixel[0]) / 127.5 - 1.0;
        *g = f32::from(pixel[1]) / 127.5 - 1.0;
        *b = f32::from(pixel[2]) / 127.5 - 1.0;
    }
    Tensor { shape: vec![1, 3, picture.height() as usize, picture.width() as usize], data }
}

#[cfg(test)]
mod tests;
