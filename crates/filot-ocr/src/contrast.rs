//! Brings dark, pale, noisy and unevenly lit pictures closer to what the networks were trained on.

use image::RgbImage;

use crate::morphology::grey_level;
use crate::select::nth;

/// A picture that spans less of the brightness scale than this is stretched.
const FULL_RANGE: f32 = 150.0;
/// The most that noise may be amplified.
const MAX_GAIN: f32 = 8.0;

/// Stretches all channels alike so that the darkest and the brightest percentile reach black and white. Leaves pictures
/// of ordinary contrast alone.
pub(crate) fn stretch(picture: &mut RgbImage) {
    let mut histogram = [0u32; 256];
    for pixel in picture.as_raw().chunks_exact(3) {
        histogram[usize::from(grey_level(pixel))] += 1;
    }
    let total = picture.width() * picture.height();
    let percentile = |share: f32| {
        let wanted = (total as f32 * share) as u32;
        let mut seen = 0;
        histogram.iter().position(|n| {
            seen += n;
            seen > wanted
        })
    };
    let low = percentile(0.01).unwrap_or(0) as f32;
    let high = percentile(0.99).unwrap_or(255) as f32;
    if high - low >= FULL_RANGE {
        return;
    }
    let gain = (235.0 / (high - low).max(1.0)).min(MAX_GAIN);
    let middle = (low + high) / 2.0;
    let table: [u8; 256] =
        std::array::from_fn(|v| ((v as f32 - middle) * gain + 127.5).clamp(0.0, 255.0) as u8);
    for value in picture.as_mut() {
        *value = table[usize::from(*value)];
    }
}

/// Noise against contrast above which a picture is worth cleaning.
const NOISY: f32 = 0.045;

/// Whether noise, rather than light, is what makes a picture hard to read.
pub(crate) fn is_noisy(picture: &RgbImage) -> bool {
    let grey = luma(picture);
    // A sample of the pixels will do for two percentiles.
    let sample: Vec<f32> = grey.iter().step_by(7).copied().collect();
    let percentile = |share: usize| nth(&sample, sample.len() * share / 100);
    let contrast = percentile(97) - percentile(3);
    noise(&grey, picture.width() as usize) > NOISY * contrast.max(1.0)
}

/// Standard deviation of the noise (Immerkær 1996): the mean response to a mask that flat areas and straight edges
/// leave at zero.
fn noise(grey: &[f32], width: usize) -> f32 {
    let height = grey.len() / width;
    if width < 3 || height < 3 {
        return 0.0;
    }
    let mut responses: Vec<f32> = Vec::with_capacity(grey.len() / 3);
    for y in (1..height - 1).step_by(3) {
        for x in 1..width - 1 {
            let at = y * width + x;
            let row =
                |start: usize, sign: f32| sign * (grey[start - 1] - 2.0 * grey[start] + grey[start + 1]);
            responses.push((row(at - width, 1.0) + row(at, -2.0) + row(at + width, 1.0)).abs());
        }
    }
    // The median instead of the mean, so that the corners of letters do not count as noise; both agree for Gaussian
    // noise, whose median absolute value is 0.6745 deviations.
    nth(&responses, responses.len() / 2) / 0.6745 / 6.0
}

/// A grey picture with the noise smoothed away (by a Gaussian of deviation `smoothing` pixels, at least 1) and the contrast evened out over windows of `window` pixels, so that a
/// shadow or a reflection across a line weighs less.
pub(crate) fn clean(picture: &RgbImage, window: usize, smoothing: f32) -> RgbImage {
    /// Local deviations below this many grey levels are paper, not ink.
    const PAPER: f32 = 6.0;
    /// Grey levels to one local deviation.
    const GAIN: f32 = 45.0;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let grey = luma(picture);
    let smooth = imageproc::filter::gaussian_blur_f32(
        &image::ImageBuffer::<image::Luma<f32>, _>::from_fn(width as u32, height as u32, |x, y| {
            image::Luma([grey[y as usize * width + x as usize]])
        }),
        smoothing.max(1.0),
    )
    .into_raw();
    // Sums over all pixels above and to the left, of values and of squares.
    let stride = width + 1;
    let mut sums = vec![(0.0f64, 0.0f64); stride * (height + 1)];
    for y in 0..height {
        let (mut sum, mut squares) = (0.0, 0.0);
        for x in 0..width {
            let value = f64::from(smooth[y * width + x]);
            sum += value;
            squares += value * value;
            let above = sums[y * stride + x + 1];
            sums[(y + 1) * stride + x + 1] = (above.0 + sum, above.1 + squares);
        }
    }
    let half = window / 2;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let (x, y) = (x as usize, y as usize);
        let (x0, x1) = (x.saturating_sub(half), (x + half + 1).min(width));
        let (y0, y1) = (y.saturating_sub(half), (y + half + 1).min(height));
        let (a, b, c, d) =
            (sums[y0 * stride + x0], sums[y0 * stride + x1], sums[y1 * stride + x0], sums[y1 * stride + x1]);
        let count = ((x1 - x0) * (y1 - y0)) as f64;
        let mean = (d.0 - b.0 - c.0 + a.0) / count;
        let variance = ((d.1 - b.1 - c.1 + a.1) / count - mean * mean).max(0.0);
        let value =
            (smooth[y * width + x] - mean as f32) / (variance.sqrt() as f32).max(PAPER) * GAIN + 170.0;
        image::Rgb([value.clamp(0.0, 255.0) as u8; 3])
    })
}

/// Grey values 0..=255.
fn luma(picture: &RgbImage) -> Vec<f32> {
    let weigh = |p: &[u8]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
    picture.as_raw().chunks_exact(3).map(weigh).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dark_picture_becomes_bright_and_an_ordinary_one_stays() {
        let mut dark = RgbImage::from_fn(64, 64, |x, _| image::Rgb([10 + x as u8 / 2; 3]));
        stretch(&mut dark);
        let values = dark.as_raw();
        assert!(values.iter().any(|v| *v < 15) && values.iter().any(|v| *v > 230));

        let ordinary = RgbImage::from_fn(64, 64, |x, _| image::Rgb([x as u8 * 4; 3]));
        let mut same = ordinary.clone();
        stretch(&mut same);
        assert_eq!(same, ordinary);
    }
}
