//! What lens, hand and sensor do to a picture: blur, shake, noise.

use image::RgbImage;

use crate::noise::Grain;

/// Gaussian blur with deviation `sigma` in pixels.
pub(crate) fn blur(picture: &mut RgbImage, sigma: f32) {
    if sigma < 0.3 {
        return;
    }
    if sigma <= 1.8 {
        let kernel = gaussian(sigma);
        rows(picture, &kernel);
        columns(picture, &kernel);
    } else {
        // Three box blurs are close to a Gaussian and cost the same for every width.
        let width = ((12.0 * sigma * sigma / 3.0 + 1.0).sqrt() / 2.0 - 0.5).round().max(1.0) as usize;
        for _ in 0..3 {
            box_rows(picture, width);
            box_columns(picture, width);
        }
    }
}

/// Weights in 1/256 from the centre outwards; the centre takes the rounding. Sums of weighted bytes fit 16 bits, of which
/// processors add many at once.
fn gaussian(sigma: f32) -> Vec<u16> {
    let radius = (3.0 * sigma).ceil().max(1.0) as usize;
    let weights: Vec<f32> = (0..=radius).map(|n| (-((n * n) as f32) / (2.0 * sigma * sigma)).exp()).collect();
    let total = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
    let mut kernel: Vec<u16> = weights.iter().map(|weight| (weight / total * 256.0).round() as u16).collect();
    while kernel.last() == Some(&0) {
        kernel.pop();
    }
    kernel[0] = 256 - 2 * kernel[1..].iter().sum::<u16>();
    kernel
}

fn rows(picture: &mut RgbImage, kernel: &[u16]) {
    let width = picture.width() as usize * 3;
    let pad = (kernel.len() - 1) * 3;
    let mut padded = vec![0_u8; width + 2 * pad];
    let mut sums = vec![0_u16; width];
    for row in picture.as_mut().chunks_exact_mut(width) {
        padded[pad..pad + width].copy_from_slice(row);
        for n in 0..pad {
            padded[n] = row[n % 3];
            padded[pad + width + n] = row[width - 3 + n % 3];
        }
        sums.fill(127);
        for (n, &weight) in kernel.iter().enumerate() {
            accumulate(&mut sums, &padded[pad + 3 * n..], weight);
            if n > 0 {
                accumulate(&mut sums, &padded[pad - 3 * n..], weight);
            }
        }
        for (out, sum) in row.iter_mut().zip(&sums) {
            *out = (sum >> 8) as u8;
        }
    }
}

fn accumulate(sums: &mut [u16], values: &[u8], weight: u16) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += weight * u16::from(value);
    }
}

fn add(sums: &mut [u32], values: &[u8]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += u32::from(value);
    }
}

fn columns(picture: &mut RgbImage, kernel: &[u16]) {
    let (width, height) = (picture.width() as usize * 3, picture.height() as usize);
    let source = picture.as_raw().clone();
    let row = |y: usize| &source[y * width..(y + 1) * width];
    let mut sums = vec![0_u16; width];
    for (y, out) in picture.as_mut().chunks_exact_mut(width).enumerate() {
        sums.fill(127);
        accumulate(&mut sums, row(y), kernel[0]);
        for (n, &weight) in kernel.iter().enumerate().skip(1) {
            accumulate(&mut sums, row(y.saturating_sub(n)), weight);
            accumulate(&mut sums, row((y + n).min(height - 1)), weight);
        }
        for (out, sum) in out.iter_mut().zip(&sums) {
            *out = (sum >> 8) as u8;
        }
    }
}

/// Mean over `2 × radius + 1` pixels of each row.
fn box_rows(picture: &mut RgbImage, radius: usize) {
    let width = picture.width() as usize * 3;
    let pad = (radius + 1) * 3;
    let mut padded = vec![0_u8; width + 2 * pad];
    let window = 2 * radius as u32 + 1;
    let scale = (1 << 16) / window;
    for row in picture.as_mut().chunks_exact_mut(width) {
        padded[pad..pad + width].copy_from_slice(row);
        for n in 0..pad {
            padded[n] = row[n % 3];
            padded[pad + width + n] = row[width - 3 + n % 3];
        }
        let mut sums = [0_u32; 3];
        for pixel in padded[3..].chunks_exact(3).take(window as usize) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += u32::from(value);
            }
        }
        let next = padded[2 * pad..].chunks_exact(3);
        let gone = padded[3..].chunks_exact(3);
        for ((out, next), gone) in row.chunks_exact_mut(3).zip(next).zip(gone) {
            for c in 0..3 {
                out[c] = ((sums[c] * scale + (1 << 15)) >> 16).min(255) as u8;
                sums[c] = sums[c] + u32::from(next[c]) - u32::from(gone[c]);
            }
        }
    }
}

/// Mean over `2 × radius + 1` pixels of each column.
fn box_columns(picture: &mut RgbImage, radius: usize) {
    let (width, height) = (picture.width() as usize * 3, picture.height() as usize);
    let source = picture.as_raw().clone();
    let row = |y: usize| &source[y.min(height - 1) * width..(y.min(height - 1) + 1) * width];
    let mut sums: Vec<u32> = row(0).iter().map(|&value| u32::from(value) * (radius as u32 + 1)).collect();
    for y in 1..=radius {
        add(&mut sums, row(y));
    }
    let scale = (1 << 16) / (2 * radius as u32 + 1);
    for (y, out) in picture.as_mut().chunks_exact_mut(width).enumerate() {
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = ((sum * scale + (1 << 15)) >> 16).min(255) as u8;
        }
        let (next, gone) = (row(y + radius + 1), row(y.saturating_sub(radius)));
        for ((sum, &next), &gone) in sums.iter_mut().zip(next).zip(gone) {
            *sum = *sum + u32::from(next) - u32::from(gone);
        }
    }
}

/// Shake: the mean along a straight path of `length` pixels at `angle` radians.
pub(crate) fn shake(picture: &mut RgbImage, length: f32, angle: f32) {
    let taps = length.round().max(1.0) as i64;
    if taps < 2 {
        return;
    }
    let (width, height) = (picture.width() as i64, picture.height() as i64);
    let source = picture.as_raw().clone();
    let stride = width as usize * 3;
    let (sin, cos) = angle.sin_cos();
    let offsets: Vec<(i64, i64)> = (0..taps)
        .map(|n| {
            let along = length * (n as f32 / (taps - 1) as f32 - 0.5);
            ((along * cos).round() as i64, (along * sin).round() as i64)
        })
        .collect();
    let mut sums = vec![0_u32; stride];
    for (y, out) in picture.as_mut().chunks_exact_mut(stride).enumerate() {
        sums.fill(0);
        for &(dx, dy) in &offsets {
            let line = (y as i64 + dy).clamp(0, height - 1) as usize * stride;
            let line = &source[line..line + stride];
            let (from, to) = (dx.max(0) as usize, (width + dx.min(0)).max(0) as usize);
            let into = (-dx).max(0) as usize;
            add(&mut sums[into * 3..], &line[from * 3..to * 3]);
            // The ends repeat the edge pixel.
            let count = to.saturating_sub(from);
            for x in (0..into).chain(into + count..width as usize) {
                let edge = if x < into { 0 } else { width as usize - 1 };
                for channel in 0..3 {
                    sums[x * 3 + channel] += u32::from(line[edge * 3 + channel]);
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(&sums) {
            *out = (sum / taps as u32) as u8;
        }
    }
}

/// Sensor noise with deviation `level` (of 255) in brightness and `tint` of it in colour.
pub(crate) fn noise(picture: &mut RgbImage, level: f32, tint: f32, seed: u64) {
    if level < 0.2 {
        return;
    }
    let mut grain = Grain::new(seed);
    // The sum of two bytes less 255 has a deviation of 104.5.
    let (grey, colour) = (level / 104.5, level * tint / 104.5);
    for pixel in picture.pixels_mut() {
        let bits = grain.next().to_le_bytes();
        let pair = |n: usize| f32::from(bits[n]) + f32::from(bits[n + 1]) - 255.0;
        let shared = grey * pair(0) + 0.5;
        for (channel, value) in pixel.0.iter_mut().enumerate() {
            *value = (f32::from(*value) + shared + colour * pair(2 + 2 * channel)).clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn dot(size: u32) -> RgbImage {
        let mut picture = RgbImage::from_pixel(size, size, Rgb([10; 3]));
        picture.put_pixel(size / 2, size / 2, Rgb([250; 3]));
        picture
    }

    #[test]
    fn flat_pictures_stay_flat() {
        for sigma in [0.5, 1.2, 2.5, 6.0] {
            let mut picture = RgbImage::from_pixel(40, 30, Rgb([90, 120, 200]));
            blur(&mut picture, sigma);
            shake(&mut picture, 7.0, 0.6);
            for pixel in picture.pixels() {
                for (value, expected) in pixel.0.iter().zip([90, 120, 200_u8]) {
                    assert!(value.abs_diff(expected) <= 2, "{sigma}: {pixel:?}");
                }
            }
        }
    }

    #[test]
    fn wider_blur_spreads_further() {
        let heights: Vec<u8> = [0.6, 1.2, 2.4]
            .map(|sigma| {
                let mut picture = dot(41);
                blur(&mut picture, sigma);
                picture.get_pixel(20, 20).0[0]
            })
            .to_vec();
        assert!(heights[0] > heights[1] && heights[1] > heights[2], "{heights:?}");
    }

    #[test]
    fn noise_has_the_asked_for_deviation() {
        let mut picture = RgbImage::from_pixel(200, 200, Rgb([128; 3]));
        noise(&mut picture, 8.0, 0.0, 5);
        let mean_square =
            picture.pixels().map(|pixel| (f32::from(pixel.0[0]) - 128.0).powi(2)).sum::<f32>() / 40_000.0;
        assert!((mean_square.sqrt() - 8.0).abs() < 0.6, "{}", mean_square.sqrt());
    }
}
