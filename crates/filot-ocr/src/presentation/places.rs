//! Where on a card patches are taken: spread over it, and where there is something to see.

use image::RgbImage;

use super::{PATCHES, SIDE};
use crate::canvas::Canvas;
use crate::page::{Framing, Point, Quad, Rect};
use crate::rectify::contains;

/// Places tried along the card's width and height.
const COLUMNS: usize = 11;
const ROWS: usize = 7;
/// Share of the frame's width and height that its edges take.
const BORDER: f32 = 0.02;
/// Every so many-th pixel of a patch, along both sides, says how much there is to see.
const STEP: usize = 8;
/// Grey levels of what is burnt out or black: no trace is left there.
const BURNT: u16 = 3 * 248;
const BLACK: u16 = 3 * 14;

/// Upper left corners of at most [`PATCHES`] patches in the base picture, best first.
pub(super) fn choose(canvas: &Canvas) -> Vec<(u32, u32)> {
    let picture = canvas.photo.base();
    if picture.width() < SIDE || picture.height() < SIDE {
        return Vec::new();
    }
    let mut open: Vec<Place> = candidates(canvas, picture);
    let mut chosen: Vec<Place> = Vec::with_capacity(PATCHES);
    while chosen.len() < PATCHES {
        // What lies closer to a chosen one than a patch is long shows partly the same.
        let worth = |place: &Place| {
            let apart = chosen.iter().map(|other| place.distance(other)).fold(f32::MAX, f32::min);
            place.seen * (apart / SIDE as f32).min(1.5)
        };
        let best = open.iter().enumerate().max_by(|(_, a), (_, b)| worth(a).total_cmp(&worth(b)));
        let Some((index, place)) = best.filter(|(_, place)| worth(place) > 0.2) else { break };
        chosen.push(*place);
        open.swap_remove(index);
    }
    chosen.into_iter().map(|place| (place.x, place.y)).collect()
}

#[derive(Clone, Copy)]
struct Place {
    x: u32,
    y: u32,
    /// Share of the patch (0..=1) that is neither burnt out nor black.
    seen: f32,
}

impl Place {
    fn distance(&self, other: &Self) -> f32 {
        let (dx, dy) = (self.x as f32 - other.x as f32, self.y as f32 - other.y as f32);
        dx.hypot(dy)
    }
}

/// Patches that lie on the card with all of their corners; of a card too small for that, with their middle.
fn candidates(canvas: &Canvas, picture: &RgbImage) -> Vec<Place> {
    let frame = &canvas.frame;
    let (dx, dy) = (BORDER * frame.width, BORDER * frame.height);
    let inner = Rect { x0: dx, y0: dy, x1: frame.width - dx, y1: frame.height - dy };
    let on_photo = Quad(inner.to_quad().0.map(|p| canvas.to_base.apply(p)));
    let mut all = Vec::with_capacity(COLUMNS * ROWS);
    let mut whole = Vec::with_capacity(COLUMNS * ROWS);
    for n in 0..COLUMNS * ROWS {
        let along = |k: usize, count: usize| (k as f32 + 0.5) / count as f32;
        let middle = canvas.to_base.apply(Point {
            x: inner.x0 + inner.width() * along(n % COLUMNS, COLUMNS),
            y: inner.y0 + inner.height() * along(n / COLUMNS, ROWS),
        });
        let corner =
            |value: f32, size: u32| (value - SIDE as f32 / 2.0).clamp(0.0, (size - SIDE) as f32) as u32;
        let (x, y) = (corner(middle.x, picture.width()), corner(middle.y, picture.height()));
        let place = Place { x, y, seen: seen(picture, x, y) };
        all.push(place);
        let [x0, y0] = [x, y].map(|v| v as f32);
        let [x1, y1] = [x0, y0].map(|v| v + SIDE as f32);
        let corners = Rect { x0, y0, x1, y1 }.to_quad().0;
        if frame.framing == Framing::Text || corners.into_iter().all(|p| contains(&on_photo, p)) {
            whole.push(place);
        }
    }
    if whole.is_empty() { all } else { whole }
}

fn seen(picture: &RgbImage, x: u32, y: u32) -> f32 {
    let (stride, side) = (picture.width() as usize * 3, SIDE as usize);
    let start = y as usize * stride + x as usize * 3;
    let rows = picture.as_raw()[start..].chunks(stride).take(side).step_by(STEP);
    let pixels = rows.flat_map(|row| row[..3 * side].chunks_exact(3).step_by(STEP));
    let (mut clear, mut count) = (0, 0);
    for pixel in pixels {
        let sum: u16 = pixel.iter().map(|value| u16::from(*value)).sum();
        clear += usize::from((BLACK..BURNT).contains(&sum));
        count += 1;
    }
    clear as f32 / count.max(1) as f32
}
