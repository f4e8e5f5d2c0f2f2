//! The straightened picture: a frame over the photo from which any part can be sampled at any size.

use std::sync::Arc;

use image::RgbImage;

use crate::geometry::Homography;
use crate::page::{Frame, Framing, Point, Quad, Rect};

/// The photo at full working size and halved again and again, so that sampling never skips pixels.
pub(crate) struct Pyramid {
    levels: Vec<Arc<RgbImage>>,
}

/// Pixels whose places are worked out before any of them is fetched.
const RUN: usize = 64;

impl Pyramid {
    pub(crate) fn new(pixels: Arc<RgbImage>) -> Self {
        let mut levels = vec![pixels];
        loop {
            let last = &levels[levels.len() - 1];
            if last.width().max(last.height()) < 512 {
                return Self { levels };
            }
            let next = Arc::new(halve(last));
            levels.push(next);
        }
    }

    pub(crate) fn base(&self) -> &RgbImage {
        &self.levels[0]
    }

    /// The level whose pixels are at most `step` base pixels apart, with its reduction.
    fn level(&self, step: f32) -> (&RgbImage, f32) {
        let wanted = step.max(1.0).log2().floor() as usize;
        let index = wanted.min(self.levels.len() - 1);
        (&self.levels[index], (1u32 << index) as f32)
    }

    /// Fills a picture of `width` × `height` pixels, whose pixel centres `to_base` maps to base pixel coordinates.
    /// What lies outside the photo is filled with its nearest edge pixel.
    pub(crate) fn sample(&self, to_base: &Homography, width: u32, height: u32) -> RgbImage {
        let centre = Point { x: width as f32 / 2.0, y: height as f32 / 2.0 };
        let step = {
            let here = to_base.apply(centre);
            let right = to_base.apply(Point { x: centre.x + 1.0, ..centre });
            let below = to_base.apply(Point { y: centre.y + 1.0, ..centre });
            crate::geometry::distance(here, right).min(crate::geometry::distance(here, below))
        };
        let (source, reduction) = self.level(step);
        let m = Homography::scale(1.0 / f64::from(reduction)).after(to_base).0.map(|v| v as f32);
        let mut out = RgbImage::new(width, height);
        let (max_x, max_y) = ((source.width() - 1) as f32, (source.height() - 1) as f32);
        let stride = source.width() as usize * 3;
        let data = source.as_raw();
        let (mut xs, mut ys) = ([0; RUN], [0; RUN]);
        for (y, row) in out.as_mut().chunks_exact_mut(width as usize * 3).enumerate() {
            let y = y as f32 + 0.5;
            let (row_x, row_y, row_w) = (m[1] * y + m[2], m[4] * y + m[5], m[7] * y + m[8]);
            for (run, pixels) in row.chunks_mut(3 * RUN).enumerate() {
                for (i, (place_x, place_y)) in xs.iter_mut().zip(&mut ys).enumerate() {
                    let x = (run * RUN + i) as f32 + 0.5;
                    let inverse = 1.0 / (m[6] * x + row_w);
                    *place_x = fixed((m[0] * x + row_x) * inverse - 0.5, max_x);
                    *place_y = fixed((m[3] * x + row_y) * inverse - 0.5, max_y);
                }
                for ((pixel, &x), &y) in pixels.chunks_exact_mut(3).zip(&xs).zip(&ys) {
                    let at = (y >> 8) as usize * stride + (x >> 8) as usize * 3;
                    // Right of the last column and below the last row anything will do: it never counts.
                    let (upper, lower) = (word(data, at), word(data, at + stride));
                    pixel.copy_from_slice(&between(upper, lower, x & 255, y & 255));
                }
            }
        }
        out
    }
}

/// A place between 0 and `most`, which is 32,767 pixels at the utmost, in 256ths of a pixel, rounded. The sum's last bit is
/// worth one, so its lower bits are the number; unlike a conversion this costs nothing, and neither do comparisons written
/// so that what is no number becomes 0.
#[inline(always)]
fn fixed(place: f32, most: f32) -> u32 {
    let place = if place > 0.0 { place } else { 0.0 };
    let place = if place < most { place } else { most };
    (place * 256.0 + 8_388_608.0).to_bits() & 0x7F_FFFF
}

/// The eight bytes from `at` on, zeros beyond the end.
#[inline(always)]
fn word(data: &[u8], at: usize) -> u64 {
    match data.get(at..at + 8).and_then(<[u8]>::first_chunk) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last_word(data, at),
    }
}

#[cold]
fn last_word(data: &[u8], at: usize) -> u64 {
    data.iter().skip(at).take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The colour between four pixels, `x` 256ths to the right and `y` 256ths down; each word begins with two pixels.
///
/// Three or four channels at a time in the 16-bit lanes of a word: this is the innermost loop of everything that looks at
/// pixels. A difference may borrow from the next lane, but the sum it goes into is a channel's value in 256ths again.
#[inline(always)]
fn between(upper: u64, lower: u64, x: u32, y: u32) -> [u8; 3] {
    const LANES: u64 = 0x00FF_00FF_00FF_00FF;
    const HALF: u64 = 0x0080_0080_0080_0080;
    let mix = |a: u64, b: u64, share: u32| {
        (a << 8).wrapping_add(b.wrapping_sub(a).wrapping_mul(u64::from(share))).wrapping_add(HALF) >> 8
    };
    // Red and blue of the left pixel and green of the right one; then the other three.
    let even = mix(upper & LANES, lower & LANES, y) & LANES;
    let odd = mix((upper >> 8) & LANES, (lower >> 8) & LANES, y) & LANES;
    // Red, blue and green of either pixel.
    let left = even & 0xFFFF_FFFF | (odd & 0xFFFF) << 32;
    let right = odd >> 16 & 0xFFFF_FFFF | even & 0xFFFF_0000_0000;
    let colour = mix(left, right, x);
    [colour as u8, (colour >> 32) as u8, (colour >> 16) as u8]
}

/// Half the size by averaging blocks of 2 × 2 pixels.
fn halve(source: &RgbImage) -> RgbImage {
    let (width, height) = ((source.width() / 2).max(1), (source.height() / 2).max(1));
    let stride = source.width() as usize * 3;
    let below = if source.height() > 1 { stride } else { 0 };
    let right = if source.width() > 1 { 3 } else { 0 };
    let data = source.as_raw();
    let mut out = RgbImage::new(width, height);
    for (y, row) in out.as_mut().chunks_exact_mut(width as usize * 3).enumerate() {
        let (upper, lower) = (&data[2 * y * stride..][..stride], &data[2 * y * stride + below..][..stride]);
        let blocks = upper.chunks_exact(3 + right).zip(lower.chunks_exact(3 + right));
        for (pixel, (upper, lower)) in row.chunks_exact_mut(3).zip(blocks) {
            for (left, value) in pixel.iter_mut().enumerate() {
                let right = left + right;
                let sum = [upper[left], upper[right], lower[left], lower[right]].map(u16::from);
                *value = ((sum[0] + sum[1] + sum[2] + sum[3] + 2) / 4) as u8;
            }
        }
    }
    out
}

/// A frame laid over a photo.
pub(crate) struct Canvas {
    pub(crate) photo: Arc<Pyramid>,
    /// Page coordinates to base pixels of the pyramid.
    pub(crate) to_base: Homography,
    reduction: f32,
    pub(crate) frame: Frame,
}

impl Canvas {
    /// A frame of the given size over `photo`; `reduction` is the size of a base pixel in pixels of the full photo.
    pub(crate) fn new(
        photo: Arc<Pyramid>,
        framing: Framing,
        width: f32,
        height: f32,
        to_base: Homography,
        reduction: f32,
    ) -> Self {
        let mut canvas = Self {
            photo,
            to_base,
            reduction,
            frame: Frame { framing, width, height, to_photo: [0.0; 9], turned: 0 },
        };
        canvas.place(to_base);
        canvas
    }

    /// Another frame over the same photo.
    pub(crate) fn framed(&self, framing: Framing, width: f32, height: f32, to_base: Homography) -> Self {
        Self::new(Arc::clone(&self.photo), framing, width, height, to_base, self.reduction)
    }

    /// Lays the frame upside down over the same part of the photo.
    pub(crate) fn turn_over(&mut self) {
        let (width, height) = (f64::from(self.frame.width), f64::from(self.frame.height));
        let half_turn = Homography::rotation(180.0, width, height);
        self.place(self.to_base.after(&half_turn));
    }

    fn place(&mut self, to_base: Homography) {
        self.to_base = to_base;
        self.frame.to_photo = Homography::scale(f64::from(self.reduction)).after(&to_base).0;
        let left = to_base.apply(Point { x: 0.0, y: self.frame.height / 2.0 });
        let right = to_base.apply(Point { x: self.frame.width, y: self.frame.height / 2.0 });
        let degrees = (right.y - left.y).atan2(right.x - left.x).to_degrees();
        self.frame.turned = ((degrees / 90.0).round() as i32).rem_euclid(4) as u16 * 90;
    }

    /// The part of the page inside `quad` (page coordinates), stretched to the given size.
    pub(crate) fn cut(&self, quad: &Quad, width: u32, height: u32) -> Option<RgbImage> {
        let in_page = Homography::rect_to_quad(width as f32, height as f32, quad)?;
        Some(self.photo.sample(&self.to_base.after(&in_page), width, height))
    }

    /// The part of the page inside `rect` at `scale` pixels per page unit.
    pub(crate) fn view(&self, rect: &Rect, scale: f32) -> Option<RgbImage> {
        let width = (rect.width() * scale).round().max(1.0) as u32;
        let height = (rect.height() * scale).round().max(1.0) as u32;
        self.cut(&rect.to_quad(), width, height)
    }

    /// Width and height of the frame in base pixels, across its middle.
    pub(crate) fn size(&self) -> (f32, f32) {
        let (width, height) = (self.frame.width, self.frame.height);
        let between = |ax, ay, bx, by| {
            crate::geometry::distance(
                self.to_base.apply(Point { x: ax, y: ay }),
                self.to_base.apply(Point { x: bx, y: by }),
            )
        };
        (between(0.0, height / 2.0, width, height / 2.0), between(width / 2.0, 0.0, width / 2.0, height))
    }

    /// Base pixels to one page unit, in the middle of the page.
    pub(crate) fn resolution(&self) -> f32 {
        let middle = Point { x: self.frame.width / 2.0, y: self.frame.height / 2.0 };
        let right = Point { x: middle.x + 1.0, ..middle };
        crate::geometry::distance(self.to_base.apply(middle), self.to_base.apply(right))
    }
}

impl Rect {
    pub(crate) fn to_quad(self) -> Quad {
        let corner = |x, y| Point { x, y };
        Quad([
            corner(self.x0, self.y0),
            corner(self.x1, self.y0),
            corner(self.x1, self.y1),
            corner(self.x0, self.y1),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_the_identity_gives_the_same_pixels() {
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, (x * y) as u8]));
        let pyramid = Pyramid::new(Arc::new(picture.clone()));
        assert_eq!(pyramid.sample(&Homography::scale(1.0), 40, 30), picture);
    }

    #[test]
    fn reducing_averages_instead_of_skipping() {
        // Vertical stripes of one pixel: every reduced pixel must be the middle grey.
        let stripes = RgbImage::from_fn(2048, 64, |x, _| image::Rgb([if x % 2 == 0 { 0 } else { 255 }; 3]));
        let reduced = Pyramid::new(Arc::new(stripes)).sample(&Homography::scale(4.0), 512, 16);
        assert!(reduced.pixels().all(|p| (120..136).contains(&p.0[0])));
    }
}
