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
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Quad, Rect};
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
    /// Cards seen in the photo: 0, 1, or 2 for more.
    pub cards: usize,
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

    /// Looks for the card in a photo. `None` where nothing has corners at all.
    pub(crate) fn locate(&self, whole: &Canvas) -> Result<Option<Located>, Error> {
        let Some((picture, to_photo)) = first_picture(whole) else { return Ok(None) };
        let first = decode::first(&self.first.run(tensor(&picture))?.data)?;
        let mut corners = Quad(first.corners.map(|p| to_photo.apply(p)));
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
                confidence: decode::confidence(&first, &second, moved / width),
                upright: second.turn_probability,
                cards: first.cards,
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

/// The photo, its longer side as long as the network's input without its margins, and the way back.
fn first_picture(whole: &Canvas) -> Option<(RgbImage, Homography)> {
    let (width, height) = (whole.frame.width, whole.frame.height);
    let scale = width.max(height) / (FIRST_SIDE as f32 - 2.0 * FIRST_MARGIN);
    let half = scale * FIRST_SIDE as f32 / 2.0;
    let (x, y) = (width / 2.0, height / 2.0);
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
