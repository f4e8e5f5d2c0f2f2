//! Text: which letters are used, how wide it runs, and its ink on a sheet.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, point};
use image::GrayImage;

use crate::sheet::{Extent, Sheet};

/// The typefaces of the kit; all have the printable ASCII only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    Sans,
    Bold,
    Mono,
    Serif,
    /// In the style of OCR-A, as the NIK line is printed.
    Ocr,
}

struct Fonts {
    sans: FontRef<'static>,
    bold: FontRef<'static>,
    mono: FontRef<'static>,
    serif: FontRef<'static>,
    ocr: FontRef<'static>,
}

static FONTS: LazyLock<Fonts> = LazyLock::new(|| {
    let load = |bytes| {
        FontRef::try_from_slice(bytes).expect("the fonts are part of the program and known to be sound")
    };
    Fonts {
        sans: load(include_bytes!("../fonts/KitSans-Regular.ttf")),
        bold: load(include_bytes!("../fonts/KitSans-Bold.ttf")),
        mono: load(include_bytes!("../fonts/KitMono-Regular.ttf")),
        serif: load(include_bytes!("../fonts/KitSerif-Regular.ttf")),
        ocr: load(include_bytes!("../fonts/OCRA.ttf")),
    }
});

impl Face {
    fn font(self) -> &'static FontRef<'static> {
        match self {
            Self::Sans => &FONTS.sans,
            Self::Bold => &FONTS.bold,
            Self::Mono => &FONTS.mono,
            Self::Serif => &FONTS.serif,
            Self::Ocr => &FONTS.ocr,
        }
    }
}

/// How a line is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) face: Face,
    /// Height of the em square in millimetres; capitals are about 0.72 of it.
    pub(crate) em: f32,
    /// Width of the letters against their natural width.
    pub(crate) stretch: f32,
    /// Further space after each letter in millimetres.
    pub(crate) tracking: f32,
    pub(crate) ink: [f32; 3],
    /// Ink gain: above 1 the print looks bolder, below 1 fainter.
    pub(crate) weight: f32,
}

impl Style {
    pub(crate) fn new(face: Face, em: f32, ink: [f32; 3]) -> Self {
        Self { face, em, stretch: 1.0, tracking: 0.0, ink, weight: 1.0 }
    }

    /// The same letters with capitals of `height` millimetres.
    pub(crate) fn with_capitals(mut self, height: f32) -> Self {
        let font = self.face.font();
        let units = font.units_per_em().unwrap_or(1000.0);
        let capital =
            font.outline(font.glyph_id('H')).map_or(0.72 * units, |outline| outline.bounds.height());
        self.em = height * units / capital.abs();
        self
    }

    /// Width of `text` in millimetres.
    pub(crate) fn width(&self, text: &str) -> f32 {
        let font = self.face.font();
        let units = font.units_per_em().unwrap_or(1000.0);
        let letters = |c: char| {
            font.h_advance_unscaled(font.glyph_id(c)) / units * self.em * self.stretch + self.tracking
        };
        text.chars().map(letters).sum::<f32>() - if text.is_empty() { 0.0 } else { self.tracking }
    }

    /// Sets `tracking` so that every letter of a fixed-pitch face advances by `pitch` millimetres.
    pub(crate) fn pitched(mut self, pitch: f32) -> Self {
        self.tracking = 0.0;
        self.tracking = pitch - self.width("0");
        self
    }

    /// Breaks `text` at blanks into lines of at most `width` millimetres; a word that is too long stands alone.
    pub(crate) fn wrap(&self, text: &str, width: f32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let line = lines.last().map_or("", String::as_str);
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if line.is_empty() || self.width(&longer) <= width {
                let last = lines.len() - 1;
                lines[last] = longer;
            } else {
                lines.push(word.to_owned());
            }
        }
        lines
    }
}

/// Calls `ink(x, y, coverage)` for every pixel that the line touches; (`x`, `baseline`) in pixels.
fn rasterise(
    x: f32,
    baseline: f32,
    scale: f32,
    text: &str,
    style: &Style,
    mut ink: impl FnMut(i64, i64, f32),
) {
    let font = style.face.font();
    let units = font.units_per_em().unwrap_or(1000.0);
    let em = style.em * scale;
    let height = em * font.height_unscaled() / units;
    let size = PxScale { x: height * style.stretch, y: height };
    let mut pen = x;
    for c in text.chars() {
        let id = font.glyph_id(c);
        let glyph: Glyph = id.with_scale_and_position(size, point(pen, baseline));
        if let Some(outline) = font.outline_glyph(glyph) {
            let bounds = outline.px_bounds();
            let (left, top) = (bounds.min.x as i64, bounds.min.y as i64);
            outline.draw(|gx, gy, cover| ink(left + i64::from(gx), top + i64::from(gy), cover));
        }
        pen += font.h_advance_unscaled(id) / units * em * style.stretch + style.tracking * scale;
    }
}

/// Prints one line; see [`Sheet::print`].
pub(crate) fn print(sheet: &mut Sheet, x: f32, baseline: f32, text: &str, style: &Style) -> Extent {
    let scale = sheet.scale;
    rasterise(x * scale, baseline * scale, scale, text, style, |px, py, cover| {
        sheet.blend(px, py, style.ink, (cover * style.weight).min(1.0));
    });
    Extent { x0: x, y0: baseline - 0.74 * style.em, x1: x + style.width(text), y1: baseline + 0.2 * style.em }
}

/// Coverage (0 to 255) of one line, for print that is turned or printed across: the picture is as wide as the text,
/// `1.4` ems high, with the baseline one em from the top. `scale` is pixels per millimetre.
pub(crate) fn mask(text: &str, style: &Style, scale: f32) -> GrayImage {
    let width = (style.width(text) * scale).ceil().max(1.0) as u32;
    let height = (1.4 * style.em * scale).ceil().max(1.0) as u32;
    let mut mask = GrayImage::new(width, height);
    rasterise(0.0, style.em * scale, scale, text, style, |x, y, cover| {
        if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
            && let Some(pixel) = mask.get_pixel_mut_checked(x, y)
        {
            pixel.0[0] = pixel.0[0].max((cover * 255.0) as u8);
        }
    });
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_keeps_all_words_within_the_width() {
        let style = Style::new(Face::Sans, 2.05, [0.0; 3]);
        let text = "PERUMAHAN BUMI SERPONG DAMAI BLOK G4 NO.16";
        let lines = style.wrap(text, 40.0);
        assert_eq!(lines.join(" "), text);
        assert!(lines.len() == 2 && lines.iter().all(|line| style.width(line) <= 40.0), "{lines:?}");
    }

    #[test]
    fn pitch_is_kept() {
        let style = Style::new(Face::Ocr, 3.0, [0.0; 3]).pitched(2.24);
        assert!((style.width("3201145402550022") + style.tracking - 16.0 * 2.24).abs() < 0.01);
    }

    #[test]
    fn every_face_has_ink_for_every_letter() {
        for face in [Face::Sans, Face::Bold, Face::Mono, Face::Serif, Face::Ocr] {
            for c in ('A'..='Z').chain('0'..='9').chain("'./,-+:".chars()) {
                let mask = mask(&c.to_string(), &Style::new(face, 5.0, [0.0; 3]), 8.0);
                assert!(mask.pixels().any(|pixel| pixel.0[0] > 128), "{face:?} has no {c}");
            }
        }
    }
}
