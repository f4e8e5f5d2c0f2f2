//! Measures the picture of a card: sharpness, light, colour, reflections. Numbers only; what they mean is decided by
//! whoever judges the card.

use image::RgbImage;

use crate::canvas::Canvas;
use crate::image::Photo;
use crate::outline::whole_frame;
use crate::page::{Framing, Line, Point, Quality, Rect};
use crate::rectify::contains;
use crate::select::nth;

/// Pixels to a page width in the view for light and colour.
const VIEW_WIDTH: f32 = 400.0;
/// Lines looked at for sharpness.
const SHARPNESS_LINES: usize = 6;
/// A reflection: brighter than this, and than the card's middle brightness by the margin below.
const BURNT: f32 = 0.965;
const BURNT_MARGIN: f32 = 0.10;
/// Below this saturation a pixel has no hue worth averaging.
const COLOURED: f32 = 0.15;

pub(crate) fn measure(canvas: &Canvas, lines: &[Line], photo: &Photo) -> Quality {
    let reduction = photo.reduction;
    let frame = &canvas.frame;
    let all = Rect { x0: 0.0, y0: 0.0, x1: frame.width, y1: frame.height };
    let mut quality = Quality {
        card_width_px: canvas.resolution() * frame.width * reduction,
        cut_off: cut_off(canvas),
        edge_width_px: edge_width(canvas, lines) * reduction,
        moire: crate::moire::strength(canvas),
        fine_step: photo.fine_step,
        ..Quality::default()
    };
    if let Some(view) = canvas.view(&all, VIEW_WIDTH / frame.width) {
        light_and_colour(&view, &mut quality);
        quality.surround = surround(canvas, &view);
    }
    quality
}

/// What is bright around a card against its paper, which `view` shows.
fn surround(canvas: &Canvas, view: &RgbImage) -> Option<f32> {
    /// Points looked at along each side of the photo.
    const STEPS: u32 = 80;
    /// What lies closer to the card, in widths of it, may be its shadow or its edge.
    const GAP: f32 = 0.03;
    /// Of the points so many must lie outside to say what is there.
    const ENOUGH: usize = 150;
    if canvas.frame.framing == Framing::Text {
        return None;
    }
    let (base, to_card) = (canvas.photo.base(), canvas.to_base.inverse()?);
    let near = whole_frame(canvas, GAP * canvas.frame.width);
    let points = (0..STEPS * STEPS).map(|i| {
        let at = |k: u32, size: u32| (k * size + size / 2) / STEPS;
        (at(i % STEPS, base.width()), at(i / STEPS, base.height()))
    });
    let outside = points
        .filter(|&(x, y)| !contains(&near, to_card.apply(Point { x: x as f32 + 0.5, y: y as f32 + 0.5 })));
    let outside: Vec<f32> = outside.map(|(x, y)| brightness(base.get_pixel(x, y).0)).collect();
    let inside: Vec<f32> = view.pixels().step_by(7).map(|pixel| brightness(pixel.0)).collect();
    if outside.len() < ENOUGH {
        return None;
    }
    Some(percentile(&outside, 0.9) / percentile(&inside, 0.85).max(0.01))
}

fn percentile(values: &[f32], share: f32) -> f32 {
    nth(values, ((values.len() - 1) as f32 * share) as usize)
}

fn light_and_colour(view: &RgbImage, quality: &mut Quality) {
    /// Every so many-th pixel along both sides says enough.
    const STEP: usize = 2;
    let stride = view.width() as usize * 3;
    let rows = view.as_raw().chunks_exact(stride).step_by(STEP);
    let pixels: Vec<[u8; 3]> =
        rows.flat_map(|row| row.chunks_exact(3).step_by(STEP)).map(|p| [p[0], p[1], p[2]]).collect();
    let grey: Vec<f32> = pixels.iter().map(|pixel| brightness(*pixel)).collect();
    let count = grey.len().max(1) as f32;
    let gains = gains(&pixels);
    let (mut saturation, mut hue_x, mut hue_y) = (0.0, 0.0, 0.0);
    for pixel in &pixels {
        let (s, h) = saturation_and_hue(pixel.map(f32::from));
        if s > COLOURED {
            let (sin, cos) = h.to_radians().sin_cos();
            hue_x += s * cos;
            hue_y += s * sin;
        }
        saturation += saturation_and_hue([0, 1, 2].map(|c| f32::from(pixel[c]) * gains[c])).0;
    }
    quality.saturation = saturation / count;
    quality.hue = hue_y.atan2(hue_x).to_degrees().rem_euclid(360.0);
    quality.brightness = percentile(&grey, 0.5);
    quality.contrast = percentile(&grey, 0.95) - percentile(&grey, 0.05);
    let burnt = BURNT.max(quality.brightness + BURNT_MARGIN);
    let burns = |[r, g, b]: &&[u8; 3]| f32::from(*r.min(g).min(b)) / 255.0 > burnt;
    quality.glare = pixels.iter().filter(burns).count() as f32 / count;
}

/// Luma of ITU-R BT.601, 0..=1.
fn brightness([r, g, b]: [u8; 3]) -> f32 {
    let (r, g, b) = (f32::from(r), f32::from(g), f32::from(b));
    (0.299 * r + 0.587 * g + 0.114 * b) / 255.0
}

/// What each channel is multiplied with so that the mean colour is grey: without the tint of light or paper, which lies on
/// a grey copy as evenly as on everything else.
fn gains(pixels: &[[u8; 3]]) -> [f32; 3] {
    let sums = [0, 1, 2].map(|c| pixels.iter().map(|pixel| u64::from(pixel[c])).sum::<u64>() as f32);
    let mean = sums.iter().sum::<f32>() / 3.0;
    sums.map(|sum| mean / sum.max(1.0))
}

/// Saturation (0..=1) and hue (degrees) of the HSV model.
fn saturation_and_hue([r, g, b]: [f32; 3]) -> (f32, f32) {
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let span = high - low;
    if high < 1.0 || span < 1.0 {
        return (0.0, 0.0);
    }
    let hue = if high == r {
        60.0 * ((g - b) / span)
    } else if high == g {
        60.0 * ((b - r) / span) + 120.0
    } else {
        60.0 * ((r - g) / span) + 240.0
    };
    (span / high, hue.rem_euclid(360.0))
}

/// Share of the frame that lies outside the photo.
fn cut_off(canvas: &Canvas) -> f32 {
    const STEPS: usize = 24;
    let base = canvas.photo.base();
    let (width, height) = (base.width() as f32, base.height() as f32);
    let mut outside = 0;
    for i in 0..STEPS * STEPS {
        let at = |k: usize, size: f32| (k as f32 + 0.5) / STEPS as f32 * size;
        let p = canvas
            .to_base
            .apply(Point { x: at(i % STEPS, canvas.frame.width), y: at(i / STEPS, canvas.frame.height) });
        if p.x < 0.0 || p.y < 0.0 || p.x > width || p.y > height {
            outside += 1;
        }
    }
    outside as f32 / (STEPS * STEPS) as f32
}

/// Width of a soft edge in base pixels: the contrast of a line of text divided by the steepest gradients in it, the
/// median over several long lines. A step between two pixels gives 1 to 2. 0 without text.
fn edge_width(canvas: &Canvas, lines: &[Line]) -> f32 {
    let mut longest: Vec<&Line> = lines.iter().filter(|l| l.angle.abs() < 5.0 && l.text.len() >= 4).collect();
    longest.sort_by(|a, b| b.rect.width().total_cmp(&a.rect.width()));
    let scale = canvas.resolution();
    let mut widths: Vec<f32> = longest
        .into_iter()
        .take(SHARPNESS_LINES)
        .filter_map(|line| {
            let view = canvas.view(&line.rect, scale)?;
            let columns = view.width() as usize;
            let grey: Vec<f32> = view.pixels().map(|pixel| brightness(pixel.0)).collect();
            let gradients: Vec<f32> = grey
                .chunks_exact(columns)
                .flat_map(|row| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()))
                .collect();
            if gradients.len() < 50 {
                return None;
            }
            let share = |values: &[f32], percent: usize| nth(values, values.len() * percent / 100);
            let (steep, contrast) = (share(&gradients, 98), share(&grey, 95) - share(&grey, 3));
            (steep > 1e-3).then_some(contrast / steep)
        })
        .collect();
    widths.sort_by(f32::total_cmp);
    widths.get(widths.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(pixel: impl Fn(u32, u32) -> [u8; 3]) -> Quality {
        let view = RgbImage::from_fn(400, 252, |x, y| image::Rgb(pixel(x, y)));
        let mut quality = Quality::default();
        light_and_colour(&view, &mut quality);
        quality
    }

    #[test]
    fn colour_and_light_of_plain_cards() {
        let blue = measured(|_, _| [150, 190, 230]);
        assert!((blue.hue - 210.0).abs() < 1.0 && blue.saturation < 0.01, "one colour is a tint: {blue:?}");
        let grey = measured(|_, _| [128, 128, 128]);
        assert!(grey.saturation < 0.01 && (grey.brightness - 0.5).abs() < 0.01, "{grey:?}");
        assert!(measured(|_, _| [20, 22, 25]).brightness < 0.1);
    }

    #[test]
    fn a_tint_over_grey_is_no_colour() {
        let paper = |x: u32, tint: [f32; 3]| tint.map(|t| (t * if x % 7 < 5 { 220.0 } else { 60.0 }) as u8);
        for tint in [[1.0, 1.0, 1.0], [1.0, 0.97, 0.93], [1.0, 0.9, 0.75], [0.9, 0.95, 1.0]] {
            let copy = measured(|x, _| paper(x, tint));
            assert!(copy.saturation < 0.02, "{tint:?} {copy:?}");
            let card =
                measured(|x, y| if x > 300 && y < 120 { [200, 30, 30] } else { paper(x, [0.7, 0.85, 1.0]) });
            assert!(card.saturation > 0.06, "{card:?}");
        }
    }

    #[test]
    fn a_white_spot_is_glare_but_white_plastic_is_not() {
        let spot = measured(|x, y| if x < 100 && y < 126 { [255; 3] } else { [150, 190, 230] });
        assert!((spot.glare - 0.125).abs() < 0.02, "{spot:?}");
        assert_eq!(measured(|_, _| [252, 252, 253]).glare, 0.0);
    }
}
