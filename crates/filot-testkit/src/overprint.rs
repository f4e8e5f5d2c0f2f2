//! `SPECIMEN` and its like, printed across a card that is not meant to be used.

use crate::dice::Dice;
use crate::lettering::{self, Face, Style};
use crate::sheet::Sheet;

/// Prints the word across the sheet in one of several ways; always large enough to be seen at once.
pub(crate) fn specimen(sheet: &mut Sheet, dice: &mut Dice) {
    let word = dice.word("SPECIMEN|CONTOH|SPECIMEN|CONTOH|SAMPLE|CONTOH KTP");
    let ink = *dice.pick(&[
        [200.0, 20.0, 30.0],
        [90.0, 90.0, 96.0],
        [30.0, 50.0, 150.0],
        [20.0, 20.0, 20.0],
        [255.0, 255.0, 255.0],
    ]);
    let alpha = if ink[0] > 250.0 { dice.range(0.75, 0.95) } else { dice.range(0.32, 0.7) };
    let style = |size: f32| Style::new(Face::Bold, size, ink);
    let fitting = |length: f32| style(10.0 * length / style(10.0).width(word));
    let (w, h) = (sheet.width, sheet.height);
    match dice.int(0, 4) {
        // From corner to corner, rising or falling.
        0..=2 => {
            let angle = dice.range(0.30, 0.62) * if dice.chance(0.75) { -1.0 } else { 1.0 };
            let length = dice.range(0.72, 0.98) * (w / angle.cos()).min(1.15 * w);
            lay(sheet, word, &fitting(length), [w / 2.0, h / 2.0], angle, alpha);
        }
        // Straight across the middle.
        3 => lay(
            sheet,
            word,
            &fitting(w * dice.range(0.6, 0.85)),
            [w * 0.48, h * dice.range(0.4, 0.65)],
            0.0,
            alpha,
        ),
        // Three times, smaller.
        _ => {
            let angle = -dice.range(0.2, 0.5);
            for (x, y) in [(0.26, 0.72), (0.5, 0.45), (0.72, 0.75)] {
                lay(sheet, word, &fitting(w * 0.42), [w * x, h * y], angle, alpha);
            }
        }
    }
}

/// Lays a line over the sheet, centred on `centre` (millimetres) and turned clockwise by `angle` radians.
fn lay(sheet: &mut Sheet, text: &str, style: &Style, centre: [f32; 2], angle: f32, alpha: f32) {
    let scale = sheet.scale;
    let mask = lettering::mask(text, style, scale);
    let (width, height) = (mask.width() as f32, 0.7 * style.em * scale);
    let (sin, cos) = angle.sin_cos();
    let reach = width / 2.0 * cos.abs() + height * sin.abs() + 2.0;
    let rise = width / 2.0 * sin.abs() + height;
    let [cx, cy] = centre.map(|mm| mm * scale);
    for y in (cy - rise) as i64..=(cy + rise) as i64 {
        for x in (cx - reach) as i64..=(cx + reach) as i64 {
            let (dx, dy) = (x as f32 - cx, y as f32 - cy);
            let along = dx * cos + dy * sin + width / 2.0;
            // The capitals' middle lies 0.64 em below the mask's top.
            let down = dy * cos - dx * sin + 0.64 * style.em * scale;
            if along >= 0.0
                && down >= 0.0
                && let Some(pixel) = mask.get_pixel_checked(along as u32, down as u32)
                && pixel.0[0] > 0
            {
                sheet.blend(x, y, style.ink, alpha * f32::from(pixel.0[0]) / 255.0);
            }
        }
    }
}
