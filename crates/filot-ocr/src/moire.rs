//! Periodic patterns: what a photographed screen shows and a printed card does not.
//!
//! A display's pixels form a grid that is strictly periodic over the whole card once perspective is taken out, so one
//! Fourier transform over the straightened card gathers all of it into a spike, however faint it is in any one place.
//! Print is periodic too (rows, line patterns), but at lower frequencies and with a comb of harmonics along the card's
//! axes, against which a spike is measured.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use crate::canvas::Canvas;
use crate::page::{Framing, Rect};

/// At most so many pixels of the card's middle are looked at: more adds little, and the straightening is not exact
/// enough to keep a grid of two pixels in step much farther.
const MOST: (usize, usize) = (1024, 640);
/// Where only the direction of the text is known, perspective stays in the picture and a grid keeps in step less far.
const MOST_IN_PERSPECTIVE: (usize, usize) = (384, 256);
/// Sizes are multiples of this, which keeps the transform fast.
const STEP: usize = 32;
/// With fewer pixels than this along either side there is nothing to see.
const LEAST: usize = 96;
/// Spatial frequencies in cycles per pixel below which print has all its patterns, and from which on a spike counts in
/// full: periods of 5 and of 3.3 pixels. Displays show 1.5 to 3.5 camera pixels to one of theirs.
const LOW: f32 = 0.20;
const FULL: f32 = 0.30;
/// Just below the highest frequency, interpolation leaves patterns of its own.
const HIGH: f32 = 0.48;
/// The mean over this square is taken out first: light, colour and the broad strokes of letters.
const WINDOW: usize = 9;
/// Then values are cut off at so many deviations, so that letters weigh no more than the ground they stand on.
const CUT: f32 = 1.5;
/// A spike reaches one bin to each side; what stands at these distances along the axes is its surroundings, of which the
/// fourth largest counts: one spike of a comb of harmonics is no sign, as it has its like beside it.
const RIDGE: [i32; 18] = [5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39];
const NEARLY_LARGEST: usize = 4;
/// Bins of distance from zero in which the spectrum is evened, per cycle per pixel.
const RINGS: f32 = 128.0;
/// Mean of an exponential distribution over its geometric mean: from the mean logarithm of noise to its mean power.
const OF_LOGARITHM: f32 = 1.781;
/// A spike this many times above its surroundings has strength one half.
const HALF_STRENGTH: f32 = 11.5;

/// Strength (0..=1) of a fine pattern that repeats alike all over the card. Below 0.5 on nearly all of paper and plastic.
pub(crate) fn strength(canvas: &Canvas) -> f32 {
    let (width, height) = canvas.size();
    let side = |pixels: f32, most: usize| ((0.94 * pixels) as usize).min(most) / STEP * STEP;
    let most = match canvas.frame.framing {
        Framing::Card => MOST,
        Framing::Text => MOST_IN_PERSPECTIVE,
    };
    let (columns, rows) = (side(width, most.0), side(height, most.1));
    if columns < LEAST || rows < LEAST {
        return 0.0;
    }
    let centre = Rect { x0: 0.0, y0: 0.0, x1: canvas.frame.width, y1: canvas.frame.height }.centre();
    let (half_x, half_y) =
        (0.5 * canvas.frame.width * columns as f32 / width, 0.5 * canvas.frame.height * rows as f32 / height);
    let middle =
        Rect { x0: centre.x - half_x, y0: centre.y - half_y, x1: centre.x + half_x, y1: centre.y + half_y };
    let Some(picture) = canvas.cut(&middle.to_quad(), columns as u32, rows as u32) else { return 0.0 };
    let grey: Vec<f32> = picture
        .pixels()
        .map(|p| 0.299 * f32::from(p.0[0]) + 0.587 * f32::from(p.0[1]) + 0.114 * f32::from(p.0[2]))
        .collect();
    let spike = Spectrum::of(&fine(&grey, columns), columns).strongest_spike();
    spike / (spike + HALF_STRENGTH)
}

/// What is left of a picture without its broad features, cut off where it is strong.
fn fine(grey: &[f32], columns: usize) -> Vec<f32> {
    let rows = grey.len() / columns;
    let reach = WINDOW / 2;
    // Running means along the rows, then along the columns of those.
    let mean = |source: &[f32], length: usize, step: usize, starts: &mut dyn Iterator<Item = usize>| {
        let mut out = vec![0.0; source.len()];
        for start in starts {
            let at = |i: usize| source[start + i.min(length - 1) * step];
            let mut sum: f32 = (0..=reach).map(at).sum::<f32>() + reach as f32 * at(0);
            for i in 0..length {
                out[start + i * step] = sum / WINDOW as f32;
                sum += at(i + reach + 1) - at(i.saturating_sub(reach));
            }
        }
        out
    };
    let along = mean(grey, columns, 1, &mut (0..rows).map(|row| row * columns));
    let broad = mean(&along, rows, columns, &mut (0..columns));
    let mut fine: Vec<f32> = grey.iter().zip(&broad).map(|(value, broad)| value - broad).collect();
    // Every eleventh value will do for a median.
    let mut sizes: Vec<f32> = fine.iter().step_by(11).map(|value| value.abs()).collect();
    let middle = sizes.len() / 2;
    let limit = CUT * *sizes.select_nth_unstable_by(middle, f32::total_cmp).1 / 0.6745;
    for value in &mut fine {
        *value = value.clamp(-limit, limit);
    }
    fine
}

/// Power by spatial frequency, relative to all frequencies of the same distance from zero.
struct Spectrum {
    /// Frequencies along the rows: 0 up to half a cycle per pixel. Those below zero mirror them.
    across: usize,
    /// Frequencies along the columns, all of them.
    down: usize,
    /// Index `x * down + y`; NaN outside the wanted band.
    power: Vec<f32>,
}

impl Spectrum {
    fn of(picture: &[f32], columns: usize) -> Self {
        let rows = picture.len() / columns;
        let fade =
            |i: usize, n: usize| 0.5 - 0.5 * (std::f32::consts::TAU * (i as f32 + 0.5) / n as f32).cos();
        let mut pixels: Vec<Complex<f32>> = picture
            .iter()
            .enumerate()
            .map(|(i, value)| Complex::from(value * fade(i % columns, columns) * fade(i / columns, rows)))
            .collect();
        let mut planner = FftPlanner::<f32>::new();
        planner.plan_fft_forward(columns).process(&mut pixels);
        // A real picture's spectrum is its own mirror image: half of the columns hold all of it.
        let (across, down) = (columns / 2, rows);
        let mut turned = vec![Complex::default(); across * down];
        for (y, row) in pixels.chunks_exact(columns).enumerate() {
            for (x, value) in row[..across].iter().enumerate() {
                turned[x * down + y] = *value;
            }
        }
        planner.plan_fft_forward(down).process(&mut turned);
        let mut spectrum = Self { across, down, power: turned.iter().map(Complex::norm_sqr).collect() };
        spectrum.even_out();
        spectrum
    }

    /// Cycles per pixel along both axes.
    fn frequency(&self, at: usize) -> (f32, f32) {
        let (x, y) = (at / self.down, at % self.down);
        let y = if y < self.down / 2 { y as f32 } else { y as f32 - self.down as f32 };
        (x as f32 / (2 * self.across) as f32, y / self.down as f32)
    }

    /// Cycles per pixel in the bin's own direction.
    fn radius(&self, at: usize) -> f32 {
        let (fx, fy) = self.frequency(at);
        (fx * fx + fy * fy).sqrt()
    }

    /// Divides by the typical power of the ring that a frequency lies on.
    fn even_out(&mut self) {
        let rings_of_bins: Vec<Option<usize>> = (0..self.power.len())
            .map(|at| {
                let (fx, fy) = self.frequency(at);
                let radius = self.radius(at);
                let wanted = radius > LOW && radius < 0.5 && fx < HIGH && fy.abs() < HIGH;
                wanted.then_some((radius * RINGS) as usize)
            })
            .collect();
        let mut rings = vec![(0.0f32, 0usize); RINGS as usize];
        // A third of the bins will do for a mean.
        for (power, ring) in self.power.iter().zip(&rings_of_bins).step_by(3) {
            if let Some(ring) = ring {
                rings[*ring].0 += (power + 1e-9).ln();
                rings[*ring].1 += 1;
            }
        }
        let typical: Vec<f32> =
            rings.iter().map(|(sum, count)| (sum / (*count).max(1) as f32).exp() * OF_LOGARITHM).collect();
        for (power, ring) in self.power.iter_mut().zip(rings_of_bins) {
            *power = ring.map_or(f32::NAN, |ring| *power / typical[ring].max(1e-9));
        }
    }

    /// The mean of a bin and its eight neighbours inside the band: what is left of perspective spreads a spike a little.
    fn around(&self, x: i32, y: i32) -> f32 {
        if self.at(x, y).is_nan() {
            return 0.0;
        }
        let (mut sum, mut count) = (0.0, 0.0f32);
        for dx in -1..=1 {
            for dy in -1..=1 {
                let value = self.at(x + dx, y + dy);
                if !value.is_nan() {
                    sum += value;
                    count += 1.0;
                }
            }
        }
        sum / count
    }

    /// The power at a pair of bins, mirrored and wrapped into the stored half.
    fn at(&self, x: i32, y: i32) -> f32 {
        let (x, y) = if x < 0 { (-x, -y) } else { (x, y) };
        if x as usize >= self.across {
            return f32::NAN;
        }
        self.power[x as usize * self.down + y.rem_euclid(self.down as i32) as usize]
    }

    /// The largest ratio between a bin and its surroundings along either axis.
    fn strongest_spike(&self) -> f32 {
        // Peaks that are not even this far above the noise cannot be strong; few bins are.
        const WORTH_A_LOOK: f32 = 4.0;
        let mut strongest = 0.0f32;
        for (at, &own) in self.power.iter().enumerate() {
            if own.is_nan() || own <= WORTH_A_LOOK {
                continue;
            }
            let (x, y) = ((at / self.down) as i32, (at % self.down) as i32);
            let weight = ((self.radius(at) - LOW) / (FULL - LOW)).clamp(0.0, 1.0);
            let power = weight * self.around(x, y);
            if power <= WORTH_A_LOOK.max(strongest) {
                continue;
            }
            let along_x = self.ridge(|step| (x + step, y));
            let along_y = self.ridge(|step| (x, y + step));
            strongest = strongest.max(power / along_x.max(along_y).max(1.0));
        }
        strongest
    }

    /// Nearly the largest power along a line through a bin.
    fn ridge(&self, place: impl Fn(i32) -> (i32, i32)) -> f32 {
        let steps = RIDGE.iter().flat_map(|step| [*step, -*step]);
        let mut values: Vec<f32> = steps
            .map(|step| {
                let (x, y) = place(step);
                self.around(x, y)
            })
            .collect();
        let place = values.len() - NEARLY_LARGEST;
        *values.select_nth_unstable_by(place, f32::total_cmp).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 256;
    const ROWS: usize = 160;

    fn spike(value: impl Fn(usize, usize) -> f32) -> f32 {
        let grey: Vec<f32> = (0..COLUMNS * ROWS).map(|i| value(i % COLUMNS, i / COLUMNS)).collect();
        Spectrum::of(&fine(&grey, COLUMNS), COLUMNS).strongest_spike()
    }

    /// Reproducible noise, -1..1.
    fn noise(x: usize, y: usize) -> f32 {
        let hash = (x as u32).wrapping_mul(374_761_393).wrapping_add((y as u32).wrapping_mul(668_265_263));
        let hash = (hash ^ (hash >> 13)).wrapping_mul(1_274_126_177);
        (hash >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    }

    #[test]
    fn a_grid_far_below_the_noise_stands_out_and_noise_does_not() {
        let grid = spike(|x, y| 0.2 * (x as f32 * 2.4 + y as f32 * 0.1).sin() + noise(x, y));
        let plain = spike(noise);
        assert!(grid > HALF_STRENGTH && plain < 0.5 * HALF_STRENGTH, "{grid} {plain}");
        assert_eq!(spike(|_, _| 0.0), 0.0);
    }

    #[test]
    fn rows_of_print_are_no_grid() {
        // Sharp rows every 20 pixels: a comb of harmonics up to the highest frequency.
        let rows = spike(|x, y| if y % 20 < 8 && x % 7 < 4 { -60.0 } else { 0.0 } + noise(x, y));
        assert!(rows < HALF_STRENGTH, "{rows}");
    }
}
