//! Grey morphology with square windows: what is thinner than the window vanishes.

use image::RgbImage;

/// A grey picture, row by row.
#[derive(Clone)]
pub(crate) struct Grey {
    pub(crate) width: usize,
    pub(crate) values: Vec<u8>,
}

/// Luma of a pixel (ITU-R BT.601) in whole grey levels.
pub(crate) fn grey_level(rgb: &[u8]) -> u8 {
    ((u32::from(rgb[0]) * 77 + u32::from(rgb[1]) * 150 + u32::from(rgb[2]) * 29) >> 8) as u8
}

impl Grey {
    pub(crate) fn of(picture: &RgbImage) -> Self {
        let values = picture.as_raw().chunks_exact(3).map(grey_level).collect();
        Self { width: picture.width() as usize, values }
    }

    /// Without dark strokes thinner than `2 · reach + 1` pixels.
    pub(crate) fn closed(&self, reach: usize) -> Self {
        Self { width: self.width, values: closing(&self.values, self.width, 1, reach) }
    }

    /// Without bright strokes thinner than `2 · reach + 1` pixels.
    pub(crate) fn opened(&self, reach: usize) -> Self {
        let wide = eroded(&self.values, self.width, 1, reach);
        Self { width: self.width, values: dilated(&wide, self.width, 1, reach) }
    }
}

/// The picture without dark strokes thinner than `2 · reach + 1` pixels, channel by channel.
pub(crate) fn closed(picture: &RgbImage, reach: usize) -> RgbImage {
    let (width, height) = picture.dimensions();
    let pixels = closing(picture.as_raw(), width as usize, 3, reach);
    RgbImage::from_raw(width, height, pixels).unwrap_or_else(|| picture.clone())
}

fn closing(pixels: &[u8], width: usize, channels: usize, reach: usize) -> Vec<u8> {
    eroded(&dilated(pixels, width, channels, reach), width, channels, reach)
}

fn dilated(pixels: &[u8], width: usize, channels: usize, reach: usize) -> Vec<u8> {
    repeated(pixels, width * channels, channels, reach, u8::max)
}

fn eroded(pixels: &[u8], width: usize, channels: usize, reach: usize) -> Vec<u8> {
    repeated(pixels, width * channels, channels, reach, u8::min)
}

/// A window of three pixels, time after time, reaches as far as a larger one.
fn repeated(
    pixels: &[u8],
    stride: usize,
    channels: usize,
    times: usize,
    extreme: impl Fn(u8, u8) -> u8 + Copy,
) -> Vec<u8> {
    (0..times).fold(pixels.to_vec(), |pixels, _| windowed(&pixels, stride, channels, extreme))
}

/// The extreme value of each pixel's window of 3 × 3, channel by channel, first along the rows, then along the columns.
fn windowed(pixels: &[u8], stride: usize, channels: usize, extreme: impl Fn(u8, u8) -> u8 + Copy) -> Vec<u8> {
    let mut rows = pixels.to_vec();
    for (out, row) in rows.chunks_exact_mut(stride).zip(pixels.chunks_exact(stride)) {
        for (value, right) in out.iter_mut().zip(&row[channels..]) {
            *value = extreme(*value, *right);
        }
        for (value, left) in out[channels..].iter_mut().zip(row) {
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

    /// Paper with a stroke of two pixels and a bar of ten.
    fn strokes(paper: u8, ink: u8) -> RgbImage {
        let dark = |x: u32, y: u32| (5..35).contains(&y) && ((10..12).contains(&x) || (30..40).contains(&x));
        RgbImage::from_fn(60, 40, |x, y| image::Rgb([if dark(x, y) { ink } else { paper }; 3]))
    }

    #[test]
    fn thin_strokes_vanish_and_thick_ones_stay() {
        let closed = closed(&strokes(200, 20), 1);
        assert_eq!(closed.get_pixel(10, 20).0, [200; 3]);
        assert_eq!(closed.get_pixel(35, 20).0, [20; 3]);
        let at = |grey: &Grey, x: usize| grey.values[20 * grey.width + x];
        let dark = Grey::of(&strokes(200, 20));
        assert_eq!(
            (at(&dark.closed(1), 10), at(&dark.closed(1), 35), at(&dark.closed(5), 35)),
            (200, 20, 200)
        );
        let bright = Grey::of(&strokes(20, 200));
        assert_eq!(
            (at(&bright.opened(1), 10), at(&bright.opened(1), 35), at(&bright.opened(5), 35)),
            (20, 200, 20)
        );
    }
}
