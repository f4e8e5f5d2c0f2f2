//! A flat thing with print on it, measured in millimetres: a card, a form, a receipt.

use image::{Rgb, RgbImage};

use crate::lettering::{self, Style};
use crate::noise::mix;

/// Width of an ID-1 card in millimetres (ISO/IEC 7810).
pub(crate) const CARD_WIDTH: f32 = 85.60;
/// Height of an ID-1 card in millimetres (ISO/IEC 7810).
pub(crate) const CARD_HEIGHT: f32 = 53.98;
/// Radius of an ID-1 card's corners in millimetres (ISO/IEC 7810).
pub(crate) const CARD_RADIUS: f32 = 3.18;

/// A rectangle in millimetres from the sheet's top left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extent {
    pub(crate) x0: f32,
    pub(crate) y0: f32,
    pub(crate) x1: f32,
    pub(crate) y1: f32,
}

/// Where a field's value is printed; a wrapped value has one mark per line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) field: &'static str,
    pub(crate) extent: Extent,
}

/// The sheet's print, before anybody photographs it.
pub(crate) struct Sheet {
    pub(crate) pixels: RgbImage,
    pub(crate) width: f32,
    pub(crate) height: f32,
    pub(crate) radius: f32,
    /// Pixels per millimetre.
    pub(crate) scale: f32,
    pub(crate) marks: Vec<Mark>,
    /// Everything that was printed level, in the order of printing.
    pub(crate) prints: Vec<(String, Extent)>,
}

impl Sheet {
    /// A plain sheet of the given size and pixels per millimetre.
    pub(crate) fn new(width: f32, height: f32, radius: f32, scale: f32, colour: [f32; 3]) -> Self {
        let pixels = RgbImage::from_pixel(
            (width * scale).ceil().max(1.0) as u32,
            (height * scale).ceil().max(1.0) as u32,
            Rgb(bytes(colour)),
        );
        Self { pixels, width, height, radius, scale, marks: Vec::new(), prints: Vec::new() }
    }

    /// A plain sheet of the size of a card.
    pub(crate) fn card(scale: f32, colour: [f32; 3]) -> Self {
        Self::new(CARD_WIDTH, CARD_HEIGHT, CARD_RADIUS, scale, colour)
    }

    /// Colours every pixel anew: `colour(x_mm, y_mm, current)`, components 0 to 255.
    pub(crate) fn paint(&mut self, extent: Extent, mut colour: impl FnMut(f32, f32, [f32; 3]) -> [f32; 3]) {
        let (w, h) = self.pixels.dimensions();
        let clamp = |mm: f32, limit: u32| ((mm * self.scale).round().max(0.0) as u32).min(limit);
        let (x0, x1) = (clamp(extent.x0, w), clamp(extent.x1, w));
        let (y0, y1) = (clamp(extent.y0, h), clamp(extent.y1, h));
        let per_pixel = 1.0 / self.scale;
        for y in y0..y1 {
            for x in x0..x1 {
                let pixel = self.pixels.get_pixel_mut(x, y);
                let old = pixel.0.map(f32::from);
                pixel.0 = bytes(colour((x as f32 + 0.5) * per_pixel, (y as f32 + 0.5) * per_pixel, old));
            }
        }
    }

    /// The whole sheet.
    pub(crate) fn extent(&self) -> Extent {
        Extent { x0: 0.0, y0: 0.0, x1: self.width, y1: self.height }
    }

    /// Lays `colour` over one pixel; `alpha` 0 to 1. Outside the sheet nothing happens.
    pub(crate) fn blend(&mut self, x: i64, y: i64, colour: [f32; 3], alpha: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(pixel) = self.pixels.get_pixel_mut_checked(x, y) {
            for (old, new) in pixel.0.iter_mut().zip(colour) {
                *old = (mix(f32::from(*old), new, alpha) + 0.5) as u8;
            }
        }
    }

    /// Prints one line with its baseline starting at (`x`, `baseline`), and returns where it landed.
    pub(crate) fn print(&mut self, x: f32, baseline: f32, text: &str, style: &Style) -> Extent {
        let extent = lettering::print(self, x, baseline, text, style);
        self.prints.push((text.to_owned(), extent));
        extent
    }

    /// Prints one line centred on `x`.
    pub(crate) fn print_centred(&mut self, x: f32, baseline: f32, text: &str, style: &Style) -> Extent {
        self.print(x - style.width(text) / 2.0, baseline, text, style)
    }

    /// Prints one line as (part of) a field's value.
    pub(crate) fn print_field(
        &mut self,
        field: &'static str,
        x: f32,
        baseline: f32,
        text: &str,
        style: &Style,
    ) {
        let extent = self.print(x, baseline, text, style);
        self.marks.push(Mark { field, extent });
    }

    /// Draws a line through `points` (millimetres) of the given width.
    pub(crate) fn stroke(&mut self, points: &[[f32; 2]], width: f32, colour: [f32; 3], alpha: f32) {
        let s = self.scale;
        let half = (width * s / 2.0).max(0.35);
        for pair in points.windows(2) {
            let [ax, ay] = pair[0].map(|v| v * s);
            let [bx, by] = pair[1].map(|v| v * s);
            let (dx, dy) = (bx - ax, by - ay);
            let length = (dx * dx + dy * dy).max(1e-6);
            let reach = half + 1.0;
            for y in (ay.min(by) - reach) as i64..=(ay.max(by) + reach) as i64 {
                for x in (ax.min(bx) - reach) as i64..=(ax.max(bx) + reach) as i64 {
                    let (px, py) = (x as f32 + 0.5 - ax, y as f32 + 0.5 - ay);
                    let t = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                    let (ex, ey) = (px - t * dx, py - t * dy);
                    let cover = half + 0.5 - (ex * ex + ey * ey).sqrt();
                    if cover > 0.0 {
                        self.blend(x, y, colour, cover.min(1.0) * alpha);
                    }
                }
            }
        }
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, extent: Extent, colour: [f32; 3]) {
        self.paint(extent, |_, _, _| colour);
    }
}

/// Components 0 to 255, out-of-range ones clipped.
pub(crate) fn bytes(colour: [f32; 3]) -> [u8; 3] {
    colour.map(|c| (c + 0.5).clamp(0.0, 255.0) as u8)
}
