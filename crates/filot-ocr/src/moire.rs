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
use crate::select::nth;

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
        Framing::Line | Framing::Text => MOST_IN_PERSPECTIVE,
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
    let broad = mean_of_rows(&mean_of_columns(grey, columns), columns);
    let mut fine: Vec<f32> = grey.iter().zip(&broad).map(|(value, broad)| value - broad).collect();
    // Every eleventh value will do for a median.
    let sizes: Vec<f32> = fine.iter().step_by(11).map(|value| value.abs()).collect();
    let limit = CUT * nth(&sizes, sizes.len() / 2) / 0.6745;
    for value in &mut fine {
        *value = value.clamp(-limit, limit);
    }
    fine
}

/// Half the window over which means are taken.
const REACH: usize = WINDOW / 2;

/// The mean of each pixel's window of columns.
fn mean_of_columns(source: &[f32], columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; source.len()];
    for (row, means) in source.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
        let at = |i: usize| row[i.min(columns - 1)];
        let mut sum: f32 = (0..=REACH).map(at).sum::<f32>() + REACH as f32 * row[0];
        for (i, mean) in means.iter_mut().enumerate() {
            *mean = sum / WINDOW as f32;
            sum += at(i + REACH + 1) - row[i.saturating_sub(REACH)];
        }
    }
    out
}

/// The mean of each pixel's window of rows.
fn mean_of_rows(source: &[f32], columns: usize) -> Vec<f32> {
    let rows = source.len() / columns;
    let row = |i: usize| &source[i.min(rows - 1) * columns..][..columns];
    let mut sums: Vec<f32> = row(0).iter().map(|value| REACH as f32 * value).collect();
    for i in 0..=REACH {
        sums.iter_mut().zip(row(i)).for_each(|(sum, value)| *sum += value);
    }
    let mut out = Vec::with_capacity(source.len());
    for i in 0..rows {
        out.extend(sums.iter().map(|sum| sum / WINDOW as f32));
        let (next, last) = (row(i + REACH + 1), row(i.saturating_sub(REACH)));
        sums.iter_mut().zip(next.iter().zip(last)).for_each(|(sum, (next, last))| *sum += next - last);
    }
    out
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

/// No ring: the frequency is outside the wanted band.
const OUTSIDE: u8 = u8::MAX;

impl Spectrum {
    /// Rows come in pairs.
    fn of(picture: &[f32], columns: usize) -> Self {
        /// Pairs of rows that are transformed before their columns are written: as many as fill a line of the cache.
        const PAIRS: usize = 8;
        let rows = picture.len() / columns;
        let fade = |n: usize| -> Vec<f32> {
            let at = |i: usize| (std::f32::consts::TAU * (i as f32 + 0.5) / n as f32).cos();
            (0..n).map(|i| 0.5 - 0.5 * at(i)).collect()
        };
        let (fade_x, fade_y) = (fade(columns), fade(rows));
        let mut planner = FftPlanner::<f32>::new();
        let (along_rows, along_columns) = (planner.plan_fft_forward(columns), planner.plan_fft_forward(rows));
        let mut scratch =
            vec![
                Complex::default();
                along_rows.get_inplace_scratch_len().max(along_columns.get_inplace_scratch_len())
            ];
        // A real picture's spectrum is its own mirror image: half of the columns hold all of it. For the same reason one
        // transform does for two rows, one as its real, the other as its imaginary part.
        let (across, down) = (columns / 2, rows);
        let mut turned = vec![Complex::default(); across * down];
        let mut pairs: Vec<Complex<f32>> = Vec::with_capacity(PAIRS * columns);
        for (block, lines) in picture.chunks(2 * PAIRS * columns).enumerate() {
            pairs.clear();
            for (pair, both) in lines.chunks_exact(2 * columns).enumerate() {
                let y = 2 * (block * PAIRS + pair);
                let (upper, lower) = both.split_at(columns);
                pairs.extend(upper.iter().zip(lower).zip(&fade_x).map(|((upper, lower), fade)| {
                    Complex::new(upper * (fade * fade_y[y]), lower * (fade * fade_y[y + 1]))
                }));
            }
            along_rows.process_with_scratch(&mut pairs, &mut scratch);
            for x in 0..across {
                let column = &mut turned[x * down + 2 * PAIRS * block..];
                for (both, rows) in pairs.chunks_exact(columns).zip(column.chunks_exact_mut(2)) {
                    let (z, mirrored) = (both[x], both[(columns - x) % columns].conj());
                    let (sum, difference) = (z + mirrored, z - mirrored);
                    rows[0] = sum * 0.5;
                    rows[1] = Complex::new(difference.im, -difference.re) * 0.5;
                }
            }
        }
        along_columns.process_with_scratch(&mut turned, &mut scratch);
        let mut spectrum = Self { across, down, power: turned.iter().map(Complex::norm_sqr).collect() };
        spectrum.even_out();
        spectrum
    }

    /// Cycles per pixel of a column of bins.
    fn across(&self, x: usize) -> f32 {
        x as f32 / (2 * self.across) as f32
    }

    /// Cycles per pixel of a row of bins.
    fn down(&self, y: usize) -> f32 {
        let y = if y < self.down / 2 { y as f32 } else { y as f32 - self.down as f32 };
        y / self.down as f32
    }

    /// Divides by the typical power of the ring that a frequency lies on.
    fn even_out(&mut self) {
        let downs: Vec<f32> = (0..self.down).map(|y| self.down(y)).collect();
        let mut rings_of_bins = Vec::with_capacity(self.power.len());
        for x in 0..self.across {
            let fx = self.across(x);
            rings_of_bins.extend(downs.iter().map(|fy| {
                let radius = (fx * fx + fy * fy).sqrt();
                let wanted = radius > LOW && radius < 0.5 && fx < HIGH && fy.abs() < HIGH;
                if wanted { (radius * RINGS) as u8 } else { OUTSIDE }
            }));
        }
        let mut rings = vec![(0.0f32, 0usize); RINGS as usize];
        // A third of the bins will do for a mean.
        for (power, &ring) in self.power.iter().zip(&rings_of_bins).step_by(3) {
            if ring != OUTSIDE {
                let (sum, count) = &mut rings[usize::from(ring)];
                *sum += (power + 1e-9).ln();
                *count += 1;
            }
        }
        let typical: Vec<f32> =
            rings.iter().map(|(sum, count)| (sum / (*count).max(1) as f32).exp() * OF_LOGARITHM).collect();
        let factors: Vec<f32> = typical.iter().map(|typical| 1.0 / typical.max(1e-9)).collect();
        for (power, ring) in self.power.iter_mut().zip(rings_of_bins) {
            *power = factors.get(usize::from(ring)).map_or(f32::NAN, |factor| *power * factor);
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

    /// The power at a pair of bins, mirrored and wrapped into the stored half; `y` lies within one height of it.
    fn at(&self, x: i32, y: i32) -> f32 {
        let down = self.down as i32;
        let (x, y) = if x < 0 { (-x, -y) } else { (x, y) };
        let y = match y {
            _ if y < 0 => y + down,
            _ if y >= down => y - down,
            _ => y,
        };
        if x as usize >= self.across { f32::NAN } else { self.power[x as usize * self.down + y as usize] }
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
            let (x, y) = (at / self.down, at % self.down);
            let radius = self.across(x).hypot(self.down(y));
            let (x, y) = (x as i32, y as i32);
            let weight = ((radius - LOW) / (FULL - LOW)).clamp(0.0, 1.0);
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
        let values: Vec<f32> = steps
            .map(|step| {
                let (x, y) = place(step);
                self.around(x, y)
            })
            .collect();
        nth(&values, values.len() - NEARLY_LARGEST)
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
