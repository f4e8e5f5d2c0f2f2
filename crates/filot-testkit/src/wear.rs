//! What years in a wallet leave on a card.

use crate::dice::Dice;
use crate::sheet::Sheet;

/// Draws scratches and, if asked, a crease.
pub(crate) fn mark(sheet: &mut Sheet, dice: &mut Dice, creased: bool, scratches: u32) {
    let (w, h) = (sheet.width, sheet.height);
    for _ in 0..scratches {
        let [x, y] = [dice.range(0.0, w), dice.range(0.0, h)];
        let (sin, cos) = dice.range(0.0, 6.3).sin_cos();
        let length = dice.range(3.0, 26.0);
        let bend = dice.range(-0.12, 0.12);
        let path: Vec<_> = (0..=8)
            .map(|n| {
                let t = n as f32 / 8.0 * length;
                [x + t * cos + bend * t * sin, y + t * sin - bend * t * t / length * cos]
            })
            .collect();
        let bright = if dice.chance(0.8) { 250.0 } else { 70.0 };
        sheet.stroke(&path, dice.range(0.04, 0.13), [bright; 3], dice.range(0.15, 0.5));
    }
    if creased {
        let across = dice.chance(0.5);
        let at = dice.range(0.15, 0.85);
        let slant = dice.range(-0.15, 0.15);
        let path: Vec<_> = (0..=16)
            .map(|n| {
                let t = n as f32 / 16.0;
                let off = at + slant * (t - 0.5) + dice.range(-0.004, 0.004);
                if across { [t * w, off * h] } else { [off * w, t * h] }
            })
            .collect();
        sheet.stroke(&path, 0.5, [245.0; 3], 0.28);
        sheet.stroke(&path, 0.14, [90.0; 3], 0.3);
    }
}
