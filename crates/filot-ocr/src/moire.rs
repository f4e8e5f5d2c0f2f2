//! Periodic patterns: what a photographed screen shows and a printed card does not.

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

use crate::canvas::Canvas;
use crate::page::Point;

/// Side of the squares looked at, in photo pixels.
const SIDE: usize = 128;
/// Squares along the card's width and height.
const GRID: (usize, usize) = (4, 3);
/// Spatial frequencies of a screen's grid and of its beats with the camera's, in cycles per square: periods of 2 to 10
/// pixels.
const LOWEST: f32 = SIDE as f32 / 10.0;
/// Fewer squares than this inside the photo say nothing.
const MIN_SQUARES: usize = 3;
/// A peak this many times above its surroundings has strength one half.
const HALF_STRENGTH: f32 = 12.0;
/// A peak reaches this many bins to each side.
const PEAK: i32 = 1;

/// Strength (0..=1) of a pattern that repeats alike all over the card, in the photo as it was taken. Below about 0.3 on
/// paper and plastic.
pub(crate) fn strength(canvas: &Canvas) -> f32 {
    let fft = FftPlanner::<f32>::new().plan_fft_forward(SIDE);
    let mut sum = vec![0.0f32; SIDE * SIDE];
    let mut squares = 0;
    for row in 0..GRID.1 {
        for column in 0..GRID.0 {
            let part = |i: usize, n: usize, size: f32| (i as f32 + 0.5) / n as f32 * size;
            let centre = canvas.to_base.apply(Point {
                x: part(column, GRID.0, canvas.frame.width),
                y: part(row, GRID.1, canvas.frame.height),
            });
            if let Some(pixels) = square(canvas, centre) {
                // Letters and lines have peaks of their own in each square; a screen's grid has the same in all.
                for (total, value) in sum.iter_mut().zip(evened_spectrum(pixels, &fft)) {
                    *total += value;
                }
                squares += 1;
            }
        }
    }
    if squares < MIN_SQUARES {
        return 0.0;
    }
    let peak = strongest_peak(&sum) / squares as f32;
    peak / (peak + HALF_STRENGTH)
}

/// The green channel around `centre`, less its mean and faded out at the borders. `None` at the photo's edge.
fn square(canvas: &Canvas, centre: Point) -> Option<Vec<Complex<f32>>> {
    let base = canvas.photo.base();
    let half = SIDE as f32 / 2.0;
    let (x0, y0) = (centre.x - half, centre.y - half);
    if x0 < 0.0 || y0 < 0.0 || x0 + SIDE as f32 > base.width() as f32 || y0 + SIDE as f32 > base.height() as f32 {
        return None;
    }
    let (x0, y0) = (x0 as u32, y0 as u32);
    let value = |i: usize| f32::from(base.get_pixel(x0 + (i % SIDE) as u32, y0 + (i / SIDE) as u32).0[1]);
    let mean = (0..SIDE * SIDE).map(value).sum::<f32>() / (SIDE * SIDE) as f32;
    let fade = |i: usize| 0.5 - 0.5 * (std::f32::consts::TAU * (i as f32 + 0.5) / SIDE as f32).cos();
    Some((0..SIDE * SIDE).map(|i| Complex::from((value(i) - mean) * fade(i % SIDE) * fade(i / SIDE))).collect())
}

/// The power spectrum, each frequency relative to the mean of all those of its distance from zero; 0 outside the wanted
/// band. Index `x * SIDE + y`.
fn evened_spectrum(mut pixels: Vec<Complex<f32>>, fft: &Arc<dyn Fft<f32>>) -> Vec<f32> {
    fft.process(&mut pixels);
    let mut columns = vec![Complex::default(); SIDE * SIDE];
    for (i, value) in pixels.iter().enumerate() {
        columns[(i % SIDE) * SIDE + i / SIDE] = *value;
    }
    fft.process(&mut columns);
    // The blocks of JPEG compression are periodic too: multiples of an eighth of the sampling rate along the axes.
    let block = |k: i32| k % (SIDE as i32 / 8) == 0;
    let ring = |i: usize| {
        let (x, y) = (signed(i / SIDE), signed(i % SIDE));
        let radius = ((x * x + y * y) as f32).sqrt();
        let wanted = radius >= LOWEST && !(x.abs() <= 1 && block(y)) && !(y.abs() <= 1 && block(x));
        wanted.then_some(radius as usize)
    };
    let mut rings = vec![(0.0f32, 0usize); SIDE];
    for (i, value) in columns.iter().enumerate() {
        if let Some(radius) = ring(i) {
            rings[radius].0 += value.norm_sqr();
            rings[radius].1 += 1;
        }
    }
    let evened = |(i, value): (usize, &Complex<f32>)| {
        let Some(radius) = ring(i) else { return 0.0 };
        let mean = rings[radius].0 / rings[radius].1 as f32;
        if mean > 0.0 { value.norm_sqr() / mean } else { 0.0 }
    };
    columns.iter().enumerate().map(evened).collect()
}

/// The largest mean over a neighbourhood of frequencies: perspective spreads a peak a little.
fn strongest_peak(spectrum: &[f32]) -> f32 {
    let wrap = |k: i32| k.rem_euclid(SIDE as i32) as usize;
    let around = |i: usize| {
        let (x, y) = ((i / SIDE) as i32, (i % SIDE) as i32);
        let values = (-PEAK..=PEAK).flat_map(|dx| (-PEAK..=PEAK).map(move |dy| (dx, dy)));
        let sum: f32 = values.map(|(dx, dy)| spectrum[wrap(x + dx) * SIDE + wrap(y + dy)]).sum();
        sum / ((2 * PEAK + 1) * (2 * PEAK + 1)) as f32
    };
    (0..SIDE * SIDE).map(around).fold(0.0, f32::max)
}

/// The frequency of a bin, in cycles per square.
fn signed(bin: usize) -> i32 {
    if bin < SIDE / 2 { bin as i32 } else { bin as i32 - SIDE as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak(value: impl Fn(usize, usize) -> f32) -> f32 {
        let fft = FftPlanner::<f32>::new().plan_fft_forward(SIDE);
        let pixels = (0..SIDE * SIDE).map(|i| Complex::from(value(i % SIDE, i / SIDE))).collect();
        strongest_peak(&evened_spectrum(pixels, &fft))
    }

    /// Reproducible noise, -1..1.
    fn noise(x: usize, y: usize) -> f32 {
        let hash = (x as u32).wrapping_mul(374_761_393).wrapping_add((y as u32).wrapping_mul(668_265_263));
        let hash = (hash ^ (hash >> 13)).wrapping_mul(1_274_126_177);
        (hash >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    }

    #[test]
    fn a_grid_stands_out_of_noise_and_noise_does_not() {
        let grid = peak(|x, y| 2.0 * (x as f32 * 2.1).sin() + noise(x, y));
        assert!(grid > 10.0 * peak(noise), "{grid}");
        let plain = peak(noise);
        assert!(plain < 8.0, "{plain}");
        assert_eq!(peak(|_, _| 0.0), 0.0);
    }
}
