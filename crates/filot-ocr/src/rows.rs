//! Rows of print by their ink alone: where noise and blur hide the letters, the mean over a whole row still shows it.

use crate::canvas::Canvas;
use crate::engine::Reading;
use crate::page::Rect;

/// Pixels from row to row at which the ink is measured.
const SAMPLES: f32 = 16.0;
/// Deviation of the smoothing, in row distances.
const SMOOTHING: f32 = 0.16;
/// A row must stand out from its surroundings by this share of what rows do on average.
const PROMINENCE: f32 = 0.3;

impl Reading {
    /// Centre lines (page coordinates, from top to bottom) of the rows of dark print in a part of the page in which rows
    /// stand about `pitch` apart.
    pub fn rows_of_ink(&self, part: &Rect, pitch: f32) -> Vec<f32> {
        rows(&self.canvas, part, pitch)
    }
}

fn rows(canvas: &Canvas, part: &Rect, pitch: f32) -> Vec<f32> {
    let scale = SAMPLES / pitch;
    let sound = scale.is_finite() && scale > 0.0 && part.width() > 0.0 && part.height() > 2.0 * pitch;
    let Some(picture) = sound.then(|| canvas.view(part, scale)).flatten() else { return Vec::new() };
    let brightness: Vec<f32> = picture
        .as_raw()
        .chunks_exact(3 * picture.width() as usize)
        .map(|row| row.iter().map(|&value| f32::from(value)).sum::<f32>() / row.len() as f32)
        .collect();
    let paper = smoothed(&brightness, SAMPLES);
    let ink: Vec<f32> = paper.iter().zip(&brightness).map(|(paper, here)| paper - here).collect();
    let ink = smoothed(&ink, SMOOTHING * SAMPLES);
    peaks(&ink).into_iter().map(|at| part.y0 + (at as f32 + 0.5) / scale).collect()
}

/// Smoothed by a Gaussian of the given deviation; the ends count only what is there.
fn smoothed(values: &[f32], deviation: f32) -> Vec<f32> {
    let reach = (3.0 * deviation).ceil() as usize;
    let weight = |off: usize| (-((off as f32 / deviation).powi(2)) / 2.0).exp();
    (0..values.len())
        .map(|at| {
            let near = at.saturating_sub(reach)..(at + reach + 1).min(values.len());
            let (sum, total) = near.fold((0.0, 0.0), |(sum, total), other| {
                let weight = weight(at.abs_diff(other));
                (sum + weight * values[other], total + weight)
            });
            sum / total
        })
        .collect()
}

/// The places that stand out from the valleys on both sides.
fn peaks(ink: &[f32]) -> Vec<usize> {
    let mut turns: Vec<usize> = Vec::new();
    for at in 1..ink.len().saturating_sub(1) {
        if (ink[at] - ink[at - 1]) * (ink[at + 1] - ink[at]) <= 0.0 && ink[at + 1] != ink[at] {
            turns.push(at);
        }
    }
    let heights: Vec<f32> = turns.windows(2).map(|pair| (ink[pair[0]] - ink[pair[1]]).abs()).collect();
    let mut sorted = heights.clone();
    sorted.sort_by(f32::total_cmp);
    // Most turns are those of rows.
    let usual = sorted.get(sorted.len() * 2 / 3).copied().unwrap_or(0.0);
    let stands_out = |side: Option<&f32>| side.is_none_or(|height| *height > PROMINENCE * usual);
    (0..turns.len())
        .filter(|&i| {
            let (before, after) = (i.checked_sub(1).and_then(|j| heights.get(j)), heights.get(i));
            let at = turns[i];
            ink[at] >= ink[at - 1] && ink[at] > ink[at + 1] && stands_out(before) && stands_out(after)
        })
        .map(|i| turns[i])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use image::RgbImage;

    use super::*;
    use crate::canvas::Pyramid;
    use crate::geometry::Homography;
    use crate::page::Framing;

    #[test]
    fn rows_are_found_under_noise_that_hides_their_letters() {
        // Rows 20 apart, 6 high, ten grey levels darker than paper whose noise spans sixty; the light falls off.
        let centres: Vec<f32> = (0..8).map(|row| 40.0 + 20.0 * row as f32).collect();
        let mut state = 1_u32;
        let picture = RgbImage::from_fn(400, 220, |x, y| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 24) as f32 / 255.0 * 60.0 - 30.0;
            let printed = x < 250 && centres.iter().any(|centre| (y as f32 - centre).abs() < 3.0);
            let value = 170.0 - y as f32 / 5.0 + noise - if printed { 25.0 } else { 0.0 };
            image::Rgb([value.clamp(0.0, 255.0) as u8; 3])
        });
        let pyramid = Arc::new(Pyramid::new(Arc::new(picture)));
        let canvas = Canvas::new(pyramid, Framing::Text, 400.0, 220.0, Homography::scale(1.0), 1.0);
        let found = rows(&canvas, &Rect { x0: 0.0, y0: 25.0, x1: 300.0, y1: 195.0 }, 20.0);
        assert_eq!(found.len(), centres.len(), "{found:?}");
        for (found, centre) in found.iter().zip(&centres) {
            assert!((found - centre).abs() < 2.5, "{found} {centre}");
        }
        assert!(rows(&canvas, &Rect::default(), 20.0).is_empty());
        assert!(rows(&canvas, &Rect { x0: 0.0, y0: 0.0, x1: 9.0, y1: 99.0 }, 0.0).is_empty());
    }
}
