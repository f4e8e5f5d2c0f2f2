//! Security print: wavy lines, rosettes and pale blotches under the text.

use std::f32::consts::TAU;

use crate::dice::Dice;
use crate::noise::{Noise, mix, mix3, wave};
use crate::sheet::Sheet;

/// Colours of a card's ground, components 0 to 255.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    /// At the top left and at the bottom right.
    pub(crate) from: [f32; 3],
    pub(crate) to: [f32; 3],
    /// Colour of the fine lines.
    pub(crate) line: [f32; 3],
    /// Strength of the lines, 0 to 1.
    pub(crate) strength: f32,
}

/// Prints the ground over the whole sheet.
pub(crate) fn print(sheet: &mut Sheet, dice: &mut Dice, ground: &Ground) {
    let noise = Noise::new(dice);
    let pitch = dice.range(0.55, 1.1);
    let (bend, tilt) = (dice.range(0.5, 3.0), dice.range(-0.25, 0.25));
    let second = dice.chance(0.5).then(|| (dice.range(0.5, 0.9), dice.range(0.8, 1.6)));
    let blotch = dice.range(0.0, 14.0);
    let thin = dice.range(0.15, 0.5);
    let (w, h) = (sheet.width, sheet.height);
    sheet.paint(sheet.extent(), |x, y, _| {
        let base = mix3(ground.from, ground.to, 0.5 * (x / w + y / h));
        let warp = noise.at(x * 0.07, y * 0.07);
        let light = blotch * noise.at(x * 0.045 + 20.0, y * 0.06 + 9.0).max(0.0);
        let mut ink = (wave((y + tilt * x) / pitch + bend * warp) - thin).max(0.0) * ground.strength;
        if let Some((slope, gap)) = second {
            ink += (wave((x * slope - y) / gap - bend * warp) - thin).max(0.0) * ground.strength * 0.6;
        }
        mix3(base, ground.line, ink.min(1.0)).map(|c| c + light)
    });
    for _ in 0..dice.int(1, 4) {
        rosette(sheet, dice, ground.line, ground.strength);
    }
    if dice.chance(0.6) {
        ribbons(sheet, dice);
    }
}

/// A flower of one closed curve, as banknotes have them.
fn rosette(sheet: &mut Sheet, dice: &mut Dice, colour: [f32; 3], strength: f32) {
    let centre = [dice.range(0.05, 0.95) * sheet.width, dice.range(0.1, 0.95) * sheet.height];
    let (radius, depth) = (dice.range(5.0, 13.0), dice.range(0.3, 0.75));
    let petals = dice.int(5, 13) as f32;
    let rounds = dice.int(2, 4);
    let colour = if dice.chance(0.5) { [255.0; 3] } else { colour };
    for round in 0..rounds {
        let shift = round as f32 / rounds as f32 / petals * TAU;
        let size = radius * mix(1.0, 0.75, round as f32 / rounds as f32);
        let curve: Vec<_> = (0..=360)
            .map(|step| {
                let angle = step as f32 / 360.0 * TAU;
                let reach = size * (1.0 - depth + depth * (petals * angle).cos().abs());
                [centre[0] + reach * (angle + shift).cos(), centre[1] + reach * (angle + shift).sin()]
            })
            .collect();
        sheet.stroke(&curve, 0.16, colour, 0.5 * strength + 0.1);
    }
}

/// A bundle of parallel white curves across the sheet.
fn ribbons(sheet: &mut Sheet, dice: &mut Dice) {
    let (start, swing, waves) = (dice.range(0.2, 0.9), dice.range(2.0, 9.0), dice.range(0.6, 2.2));
    let phase = dice.unit();
    for strand in 0..dice.int(4, 9) {
        let offset = strand as f32 * 0.55;
        let curve: Vec<_> = (0..=80)
            .map(|step| {
                let t = step as f32 / 80.0;
                let y = start * sheet.height + swing * wave(t * waves + phase + offset * 0.03) + offset;
                [t * sheet.width, y]
            })
            .collect();
        sheet.stroke(&curve, 0.14, [255.0; 3], 0.35);
    }
}
