//! Tells from small patches, at the photo's own resolution, how a card was presented: as the original, on a screen, as a colour
//! print, as a grey copy.
//!
//! What gives an attack away is finer than letters: a display's subpixels and what the sensor makes of them, a printer's dots,
//! paper. Reduction wipes it out, so patches come from the picture as it was decoded, unturned and not resampled.
//! `scripts/train_presentation.py` made the network; the numbers here are those of `scripts/presentation_net.py`.

mod places;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::canvas::Canvas;
use crate::engine::{Error, Reading};
use crate::runtime::{Pool, Runtime, Tensor};

/// The network, with its weights as half floats.
const NETWORK: &[u8] = include_bytes!("../weights/presentation.onnx");
/// Pixels along each side of a patch.
const SIDE: u32 = 96;
/// Patches looked at, if the card has room for so many.
const PATCHES: usize = 12;
/// Classes that the network tells apart: original, screen, print, copy.
const CLASSES: usize = 4;
/// Probabilities of one patch are taken to be at least this far from 0 and 1.
const MARGIN: f32 = 1e-6;

/// How likely it is that a card was not presented itself, each attack against all else (0..=1). From the shares of the
/// training's pictures, a third of them screens; so numbers to compare with a threshold, not chances of an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Presentation {
    /// A photo of a display.
    pub screen: f32,
    /// A photo or scan of a colour print.
    pub print: f32,
    /// A grey copy on paper, or what "scanner" apps make of a card.
    pub copy: f32,
}

/// The network.
pub(crate) struct Presenter {
    network: Pool,
}

impl Presenter {
    /// Loads it for as many threads at a time as there are `readers`.
    pub(crate) fn load(runtime: &Runtime, readers: usize) -> Result<Self, Error> {
        let side = SIDE as usize;
        Ok(Self { network: runtime.load(NETWORK, readers, [PATCHES, 3, side, side])? })
    }

    /// Looks at patches all over the frame. `None` where the picture has no room for one.
    pub(crate) fn judge(&self, canvas: &Canvas) -> Result<Option<Presentation>, Error> {
        let places = places::choose(canvas);
        if places.is_empty() {
            return Ok(None);
        }
        let logits = self.network.run(tensor(canvas.photo.base(), &places))?.data;
        if logits.len() != CLASSES * places.len() {
            return Err(Error::Failed("the presentation network gave another number of values".into()));
        }
        let patches: Vec<[f32; CLASSES]> = logits
            .chunks_exact(CLASSES)
            .map(|logits| softmax([logits[0], logits[1], logits[2], logits[3]]))
            .collect();
        let of = |class: usize| together(&patches.iter().map(|p| p[class]).collect::<Vec<f32>>());
        Ok(Some(Presentation { screen: of(1), print: of(2), copy: of(3) }))
    }

    #[cfg(test)]
    pub(crate) fn shared_until(self, left: &std::sync::Arc<std::sync::atomic::AtomicUsize>) -> Self {
        Self { network: self.network.shared_until(left) }
    }
}

/// The patches of a reading's card that the network sees, for trying other weights on them.
pub fn patches(reading: &Reading) -> Vec<RgbImage> {
    let picture = reading.canvas.photo.base();
    let cut = |(x, y)| image::imageops::crop_imm(picture, x, y, SIDE, SIDE).to_image();
    places::choose(&reading.canvas).into_iter().map(cut).collect()
}

/// Patches one after another, channels apart, -1 to 1.
fn tensor(picture: &RgbImage, places: &[(u32, u32)]) -> Tensor {
    let side = SIDE as usize;
    let (plane, stride) = (side * side, picture.width() as usize * 3);
    let mut data = vec![0.0; places.len() * 3 * plane];
    for (patch, &(x, y)) in data.chunks_exact_mut(3 * plane).zip(places) {
        let start = y as usize * stride + x as usize * 3;
        let rows = picture.as_raw()[start..].chunks(stride).take(side);
        for (n, row) in rows.enumerate() {
            for (m, pixel) in row[..3 * side].chunks_exact(3).enumerate() {
                for (channel, value) in pixel.iter().enumerate() {
                    patch[channel * plane + n * side + m] = f32::from(*value) / 127.5 - 1.0;
                }
            }
        }
    }
    Tensor { shape: vec![places.len(), 3, side, side], data }
}

fn softmax(logits: [f32; CLASSES]) -> [f32; CLASSES] {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let powers = logits.map(|logit| (logit - most).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

/// The card's probability from those of its patches, which must not be none: the mean of their log-odds. A mean of the
/// strongest alone misses more, on families held out of the training.
fn together(patches: &[f32]) -> f32 {
    let odds = patches.iter().map(|p| {
        let p = p.clamp(MARGIN, 1.0 - MARGIN);
        (p / (1.0 - p)).ln()
    });
    let mean = odds.sum::<f32>() / patches.len() as f32;
    1.0 / (1.0 + (-mean).exp())
}

#[cfg(test)]
mod tests;
