//! Halving, turning and flattening of pixels.

use image::RgbImage;
use image::metadata::Orientation;

/// Averages blocks of `factor` × `factor` pixels while rows come in, so that the full picture is never held.
///
/// Rows and columns beyond the last whole block are dropped, unless the picture is smaller than one block.
pub(super) struct Reducer {
    factor: usize,
    width: usize,
    height: usize,
    /// Sums over the rows of the current block row, per column and channel.
    sums: Vec<u16>,
    rows: usize,
    out: Vec<u8>,
}

impl Reducer {
    /// For rows of `width` RGB pixels, `height` of them. `factor` is at most 16, or the sums would overflow.
    pub(super) fn new(width: u32, height: u32, factor: u32) -> Self {
        let factor = factor.min(width).min(height).clamp(1, 16) as usize;
        let (width, height) = (width as usize / factor, height as usize / factor);
        let sums = if factor == 1 { Vec::new() } else { vec![0; width * factor * 3] };
        Self { factor, width, height, sums, rows: 0, out: Vec::with_capacity(width * height * 3) }
    }

    /// Takes the next row of RGB bytes.
    pub(super) fn push(&mut self, row: &[u8]) {
        if self.out.len() >= self.width * self.height * 3 {
            return;
        }
        if self.factor == 1 {
            self.out.extend_from_slice(row);
            return;
        }
        let cells = self.sums.iter_mut().zip(row);
        if self.rows == 0 {
            cells.for_each(|(sum, &value)| *sum = u16::from(value));
        } else {
            cells.for_each(|(sum, &value)| *sum += u16::from(value));
        }
        self.rows += 1;
        if self.rows == self.factor {
            self.emit();
            self.rows = 0;
        }
    }

    fn emit(&mut self) {
        let area = (self.factor * self.factor) as u32;
        match self.factor {
            // The common case, written so that the compiler sees its fixed shape.
            2 => {
                let start = self.out.len();
                self.out.resize(start + self.width * 3, 0);
                let pixels = self.out[start..].as_chunks_mut::<3>().0;
                for (pixel, block) in pixels.iter_mut().zip(self.sums.as_chunks::<6>().0) {
                    for c in 0..3 {
                        pixel[c] = ((block[c] + block[c + 3] + 2) >> 2) as u8;
                    }
                }
            }
            factor => {
                for block in self.sums.chunks_exact(3 * factor) {
                    for c in 0..3 {
                        let sum: u32 = block[c..].iter().step_by(3).map(|&v| u32::from(v)).sum();
                        self.out.push(((sum + area / 2) / area) as u8);
                    }
                }
            }
        }
    }

    /// The reduced picture, or nothing when rows were missing.
    pub(super) fn finish(self) -> Option<RgbImage> {
        RgbImage::from_raw(self.width as u32, self.height as u32, self.out)
    }
}

/// Reduces a picture that is there as a whole.
pub(super) fn whole(picture: &RgbImage, factor: u32) -> RgbImage {
    rows(picture.as_raw(), picture.width(), picture.height(), factor).unwrap_or_else(|| picture.clone())
}

/// Reduces a buffer of RGB rows; nothing when the buffer is too short.
pub(super) fn rows(rgb: &[u8], width: u32, height: u32, factor: u32) -> Option<RgbImage> {
    let mut reducer = Reducer::new(width, height, factor);
    for row in rgb.chunks_exact(width as usize * 3) {
        reducer.push(row);
    }
    reducer.finish()
}

/// Lays a half-transparent value on white paper.
pub(super) fn on_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// The picture as it is meant to be seen.
pub(super) fn oriented(picture: &RgbImage, orientation: Orientation) -> RgbImage {
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    let (turned, flipped_x, flipped_y) = match orientation {
        Orientation::NoTransforms => return picture.clone(),
        Orientation::FlipHorizontal => (false, true, false),
        Orientation::Rotate180 => (false, true, true),
        Orientation::FlipVertical => (false, false, true),
        // Transposed first, then flipped along the new axes.
        Orientation::Rotate90FlipH => (true, false, false),
        Orientation::Rotate90 => (true, true, false),
        Orientation::Rotate270FlipH => (true, true, true),
        Orientation::Rotate270 => (true, false, true),
    };
    let (nw, nh) = if turned { (h, w) } else { (w, h) };
    let source = picture.as_raw();
    let mut out = vec![0u8; source.len()];
    // In tiles, so that the side that is read across rows stays in the cache.
    const TILE: usize = 32;
    for ty in (0..nh).step_by(TILE) {
        for tx in (0..nw).step_by(TILE) {
            for y in ty..(ty + TILE).min(nh) {
                let sy = if flipped_y { nh - 1 - y } else { y };
                for x in tx..(tx + TILE).min(nw) {
                    let sx = if flipped_x { nw - 1 - x } else { x };
                    let from = 3 * if turned { sx * w + sy } else { sy * w + sx };
                    let to = 3 * (y * nw + x);
                    out[to..to + 3].copy_from_slice(&source[from..from + 3]);
                }
            }
        }
    }
    RgbImage::from_raw(nw as u32, nh as u32, out).unwrap_or_else(|| picture.clone())
}
