//! Text recognition: a strip of 48 pixels' height becomes characters with their alternatives.

use image::RgbImage;

use crate::engine::{Alphabet, Error};
use crate::runtime::{Pool, Tensor};

/// The height the network was trained on.
pub(crate) const STRIP_HEIGHT: u32 = 48;
/// Widths are rounded up to this, so that lines of about the same length share a batch; ends of lines read a little better
/// with the room that it leaves than with the network's own step of eight.
const WIDTH_STEP: u32 = 16;
const MIN_WIDTH: u32 = 48;
/// A longer strip is squeezed: no line on a card is this long.
pub(crate) const MAX_WIDTH: u32 = 1280;
/// Pixels recognised in one run; bounds the memory of a run.
const BATCH_PIXELS: u32 = 2560;
/// Candidates less likely than this are dropped.
const MIN_CANDIDATE: f32 = 0.002;
const MAX_CANDIDATES: usize = 5;
/// A letter seen with this probability between two others that is not read casts doubt on its neighbour: thin letters are
/// passed over that way, `QONI'AH` becomes `QON'AH`.
const MIN_PASSED_OVER: f32 = 0.1;
/// A thin character that takes so many steps is mostly two or three of them run together: `III` is read as `I`.
const MERGED_STEPS: usize = 3;
/// The doubt that this casts on it.
const MERGED: f32 = 0.5;
/// Steps next to a character in which the same letter is only its blur.
const BLUR_STEPS: usize = 2;

/// A character read in a strip: its candidates and its extent in strip widths (0..=1).
#[derive(Clone, Debug)]
pub(crate) struct ReadGlyph {
    pub(crate) candidates: Vec<(char, f32)>,
    pub(crate) x0: f32,
    pub(crate) x1: f32,
}

/// The network and its classes: the first is "no character", then one per character of the charset.
pub(crate) struct Recognizer {
    network: Pool,
    charset: Vec<char>,
}

impl Recognizer {
    pub(crate) fn new(network: Pool, charset: Vec<char>) -> Self {
        Self { network, charset }
    }

    #[cfg(test)]
    pub(crate) fn shared_until(self, runs_left: &std::sync::Arc<std::sync::atomic::AtomicUsize>) -> Self {
        Self { network: self.network.shared_until(runs_left), ..self }
    }

    /// Reads strips of `STRIP_HEIGHT` pixels' height, each with the alphabet it may hold. The answers stand in the
    /// order of the strips.
    pub(crate) fn read(&self, strips: &[(RgbImage, Alphabet)]) -> Result<Vec<Vec<ReadGlyph>>, Error> {
        let mut order: Vec<usize> = (0..strips.len()).collect();
        order.sort_by_key(|&i| strips[i].0.width());
        let mut batches = Vec::new();
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            // Only strips of one width share a batch: a run takes as long as it has pixels, so padding gains nothing.
            let width = padded(strips[first].0.width());
            let most = (BATCH_PIXELS / width).max(1) as usize;
            let count = rest.iter().take(most).take_while(|&&i| padded(strips[i].0.width()) == width).count();
            let (batch, others) = rest.split_at(count);
            batches.push((width, batch));
            rest = others;
        }
        let inputs = batches.iter().map(|(width, batch)| input(strips, batch, *width)).collect();
        let outputs = self.network.run_all(inputs)?;
        let mut read = vec![Vec::new(); strips.len()];
        for ((width, batch), output) in batches.into_iter().zip(outputs) {
            self.decode_batch(strips, batch, width, &output, &mut read)?;
        }
        Ok(read)
    }

    fn decode_batch(
        &self,
        strips: &[(RgbImage, Alphabet)],
        batch: &[usize],
        width: u32,
        output: &Tensor,
        read: &mut [Vec<ReadGlyph>],
    ) -> Result<(), Error> {
        let &[_, steps, classes] = &output.shape[..] else {
            return Err(Error::Failed("the recogniser's output is not batch × steps × classes".into()));
        };
        if classes != self.charset.len() + 1 {
            return Err(Error::Failed(format!(
                "the recogniser knows {classes} classes, its character list {}",
                self.charset.len() + 1
            )));
        }
        for (slot, &i) in batch.iter().enumerate() {
            let (strip, alphabet) = &strips[i];
            let rows = &output.data[slot * steps * classes..][..steps * classes];
            // Share of the padded width that the strip itself covers.
            let used = strip.width() as f32 / width as f32;
            read[i] = self.decode(rows, classes, used, *alphabet);
        }
        Ok(())
    }

    /// Best-path decoding of CTC output: the best class of each step, repetitions joined, blanks dropped. A character's
    /// candidates are the classes' best probabilities over the steps that it took.
    fn decode(&self, rows: &[f32], classes: usize, used: f32, alphabet: Alphabet) -> Vec<ReadGlyph> {
        let allowed: Vec<bool> =
            std::iter::once(true).chain(self.charset.iter().map(|&c| alphabet.contains(c))).collect();
        let steps = rows.len() / classes;
        let mut glyphs: Vec<(usize, usize, Vec<f32>)> = Vec::new(); // first step, last step, best probabilities
        let mut previous = 0;
        let mut passed_over: Vec<(usize, usize, usize, f32)> = Vec::new(); // glyphs before it, step, class, probability
        for (step, row) in rows.chunks_exact(classes).enumerate() {
            let total: f32 = row.iter().zip(&allowed).filter(|(_, ok)| **ok).map(|(p, _)| p).sum();
            // Where the alphabet excludes nearly all that the network sees, there is no character of it.
            let scale = if total > 0.02 { 1.0 / total } else { 0.0 };
            let best =
                (0..classes).filter(|&c| allowed[c]).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
            let best = if scale == 0.0 { 0 } else { best };
            if best != 0 {
                let values = || row.iter().zip(&allowed).map(|(p, ok)| if *ok { p * scale } else { 0.0 });
                match glyphs.last_mut() {
                    Some((_, last, candidates)) if best == previous => {
                        *last = step;
                        for (candidate, value) in candidates.iter_mut().zip(values()) {
                            *candidate = candidate.max(value);
                        }
                    }
                    _ => glyphs.push((step, step, values().collect())),
                }
            } else if scale > 0.0 {
                let seen =
                    (1..classes).filter(|&c| allowed[c] && self.charset[c - 1].is_ascii_alphanumeric());
                let likeliest = seen.max_by(|&a, &b| row[a].total_cmp(&row[b]));
                if let Some(class) = likeliest.filter(|&class| row[class] * scale >= MIN_PASSED_OVER) {
                    passed_over.push((glyphs.len(), step, class, row[class] * scale));
                }
            }
            previous = best;
        }
        let mut doubts = doubts(&glyphs, &passed_over);
        for (doubt, (first, last, values)) in doubts.iter_mut().zip(&glyphs) {
            let thin = || matches!(self.charset[likeliest(values) - 1], 'I' | 'l' | '1');
            if last - first + 1 >= MERGED_STEPS && thin() {
                *doubt = doubt.max(MERGED);
            }
        }
        let width = steps as f32 * used;
        let centres: Vec<f32> = glyphs.iter().map(|(a, b, _)| (a + b + 1) as f32 / 2.0 / width).collect();
        glyphs
            .iter()
            .enumerate()
            .map(|(i, (_, _, values))| {
                let mut candidates: Vec<(char, f32)> = values
                    .iter()
                    .enumerate()
                    .skip(1)
                    .filter(|(_, p)| **p >= MIN_CANDIDATE)
                    .map(|(class, &p)| (self.charset[class - 1], p))
                    .collect();
                candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
                candidates.truncate(MAX_CANDIDATES);
                // The character stays the first choice, only less so.
                let second = candidates.get(1).map_or(0.0, |candidate| candidate.1);
                if let Some(chosen) = candidates.first_mut() {
                    chosen.1 = (chosen.1 * (1.0 - doubts[i])).max(second);
                }
                // Neighbours meet half-way; the outer ones are as wide as their inner half.
                let x0 = if i > 0 {
                    (centres[i - 1] + centres[i]) / 2.0
                } else {
                    centres[i] - 0.5 * pitch(&centres, i)
                };
                let x1 = if i + 1 < centres.len() {
                    (centres[i] + centres[i + 1]) / 2.0
                } else {
                    centres[i] + 0.5 * pitch(&centres, i)
                };
                ReadGlyph { candidates, x0: x0.clamp(0.0, 1.0), x1: x1.clamp(0.0, 1.0) }
            })
            .collect()
    }
}

/// The strips of a batch, filled up to `width`, as the network takes them: batch × blue, green, red × height × width, -1..=1.
fn input(strips: &[(RgbImage, Alphabet)], batch: &[usize], width: u32) -> Tensor {
    let (width, height) = (width as usize, STRIP_HEIGHT as usize);
    let plane = width * height;
    // Zero is the middle grey the network was padded with in training.
    let mut data = vec![0.0; batch.len() * 3 * plane];
    let scaled: [f32; 256] = std::array::from_fn(|value| value as f32 / 127.5 - 1.0);
    for (slot, &i) in batch.iter().enumerate() {
        let strip = &strips[i].0;
        let stride = strip.width() as usize * 3;
        let (blue, rest) = data[slot * 3 * plane..][..3 * plane].split_at_mut(plane);
        let (green, red) = rest.split_at_mut(plane);
        let planes =
            blue.chunks_exact_mut(width).zip(green.chunks_exact_mut(width)).zip(red.chunks_exact_mut(width));
        for (((blue, green), red), pixels) in planes.zip(strip.as_raw().chunks_exact(stride)) {
            let values = blue.iter_mut().zip(green).zip(red);
            for (((blue, green), red), pixel) in values.zip(pixels.chunks_exact(3)) {
                *blue = scaled[usize::from(pixel[2])];
                *green = scaled[usize::from(pixel[1])];
                *red = scaled[usize::from(pixel[0])];
            }
        }
    }
    Tensor { shape: vec![batch.len(), 3, height, width], data }
}

/// The class of a glyph. The first class, "no character", is none of any glyph.
fn likeliest(values: &[f32]) -> usize {
    (1..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(1)
}

/// For each glyph the probability that a letter beside it was passed over.
fn doubts(glyphs: &[(usize, usize, Vec<f32>)], passed_over: &[(usize, usize, usize, f32)]) -> Vec<f32> {
    let mut doubts = vec![0.0f32; glyphs.len()];
    for &(place, step, class, probability) in passed_over {
        let is_blur = |(from, to, values): &(usize, usize, Vec<f32>)| {
            likeliest(values) == class && step <= to + BLUR_STEPS && step + BLUR_STEPS >= *from
        };
        let before = place.checked_sub(1).and_then(|i| glyphs.get(i));
        let neighbours = [before, glyphs.get(place)];
        if neighbours.into_iter().flatten().any(is_blur) {
            continue;
        }
        if let Some(doubt) = doubts.get_mut(place.saturating_sub(1)) {
            *doubt = doubt.max(probability);
        }
    }
    doubts
}

/// Distance from glyph `i` to its nearer neighbour.
fn pitch(centres: &[f32], i: usize) -> f32 {
    let before = i.checked_sub(1).map(|j| centres[i] - centres[j]);
    let after = centres.get(i + 1).map(|next| next - centres[i]);
    match (before, after) {
        (Some(a), Some(b)) => a.min(b),
        (Some(a), None) | (None, Some(a)) => a,
        (None, None) => 1.0,
    }
}

fn padded(width: u32) -> u32 {
    width.max(MIN_WIDTH).div_ceil(WIDTH_STEP) * WIDTH_STEP
}

impl Alphabet {
    pub(crate) fn contains(self, c: char) -> bool {
        match self {
            Alphabet::Any => true,
            Alphabet::Digits => c.is_ascii_digit(),
            Alphabet::Numeric => c.is_ascii_digit() || "-/. ".contains(c),
            Alphabet::Letters => c.is_ascii_uppercase() || "'.,-/ ".contains(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classes: 0 none, 1, 2, 3.
    fn glyph(from: usize, to: usize, class: usize) -> (usize, usize, Vec<f32>) {
        let mut values = vec![0.01; 4];
        values[class] = 0.9;
        (from, to, values)
    }

    #[test]
    fn a_letter_passed_over_casts_doubt_and_a_blur_does_not() {
        let glyphs = [glyph(2, 3, 1), glyph(9, 9, 2)];
        // Class 3 between the two: before it stands the first.
        assert_eq!(doubts(&glyphs, &[(1, 6, 3, 0.4)]), [0.4, 0.0]);
        // The first letter itself, one step on.
        assert_eq!(doubts(&glyphs, &[(1, 4, 1, 0.4)]), [0.0, 0.0]);
        // Behind the last.
        assert_eq!(doubts(&glyphs, &[(2, 13, 3, 0.2)]), [0.0, 0.2]);
        assert!(doubts(&[], &[(0, 1, 3, 0.4)]).is_empty());
    }
}
