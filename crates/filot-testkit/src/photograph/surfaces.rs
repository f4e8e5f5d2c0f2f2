//! Grounds with lines of their own, which sets of a seed do not have: keys, checked cloth, lined paper, forms.

use crate::dice::Dice;
use crate::lettering::{Face, Style};
use crate::noise::{Noise, mix3, ramp, wave};
use crate::resident;
use crate::sheet::{Extent, Sheet};

/// Keys in rows that are shifted against each other, with something pale printed on them.
pub(super) fn keyboard(noise: &Noise, [key, gap]: [[f32; 3]; 2], pitch: f32, [u, v]: [f32; 2]) -> [f32; 3] {
    let row = (v / pitch).floor();
    let shifted = u / pitch + 0.27 * row;
    let (a, b) = (shifted.rem_euclid(1.0) - 0.5, (v / pitch).rem_euclid(1.0) - 0.5);
    let joint = ramp(0.41, 0.46, a.abs().max(b.abs()));
    let lit = key.map(|c| c * (1.0 - 0.18 * b));
    let legend = ramp(0.16, 0.12, a.abs().max((b + 0.12).abs()))
        * ramp(0.1, 0.3, noise.at(u * 0.9 + 31.0 * row, v * 0.9).abs());
    let letters = if key[1] > 120.0 { [60.0; 3] } else { [225.0; 3] };
    mix3(mix3(lit, letters, 0.8 * legend), gap, joint)
}

/// Stripes in two directions over a weave.
pub(super) fn plaid(noise: &Noise, [cloth, stripe]: [[f32; 3]; 2], pitch: f32, [u, v]: [f32; 2]) -> [f32; 3] {
    let bands = |t: f32| {
        let at = (t / pitch).rem_euclid(1.0);
        ramp(0.30, 0.27, (at - 0.5).abs()) * 0.6 + ramp(0.05, 0.03, (at - 0.05).abs()) * 0.5
    };
    let fold = 1.0 + 0.15 * noise.at(u * 0.02, v * 0.025);
    let weave = 0.06 * wave(u * 0.8) * wave(v * 0.8);
    mix3(cloth, stripe, (0.55 * (bands(u) + bands(v)) + weave).clamp(0.0, 1.0)).map(|c| c * fold)
}

/// Lines across, on half of the papers also upright.
pub(super) fn ruled(noise: &Noise, [paper, ink]: [[f32; 3]; 2], pitch: f32, [u, v]: [f32; 2]) -> [f32; 3] {
    let line = |t: f32| ramp(0.25, 0.1, ((t / pitch).rem_euclid(1.0) - 0.5).abs() * pitch);
    // The lattice decides, so that one paper is the same everywhere.
    let squared = if noise.at(0.5, 0.5) > 0.0 { line(u) } else { 0.0 };
    let writing = ramp(0.55, 0.7, noise.at(u * 0.7, v / pitch * 2.0)) * 0.5;
    mix3(paper, ink, line(v).max(squared).max(writing))
}

/// A page with frames, rules, a table and words, as forms and letters of offices have.
pub(super) fn form(dice: &mut Dice, paper: [f32; 3]) -> Sheet {
    let mut page = Sheet::new(210.0, 240.0, 0.0, 5.0, paper);
    let ink = [dice.range(20.0, 110.0); 3];
    let bar =
        |page: &mut Sheet, x0: f32, y0: f32, x1: f32, y1: f32| page.fill(Extent { x0, y0, x1, y1 }, ink);
    let thick = dice.range(0.25, 0.9);
    let mut y = 8.0;
    while y < 232.0 {
        let height = dice.range(8.0, 60.0);
        let (x0, x1) = (dice.range(4.0, 40.0), dice.range(120.0, 206.0));
        if dice.chance(0.25) {
            let tint = [dice.range(120.0, 245.0), dice.range(150.0, 245.0), dice.range(150.0, 250.0)];
            page.fill(Extent { x0, y0: y, x1, y1: y + height }, tint);
        }
        if dice.chance(0.6) {
            for edge in [y, y + height] {
                bar(&mut page, x0, edge, x1, edge + thick);
            }
            for edge in [x0, x1 - thick] {
                bar(&mut page, edge, y, edge + thick, y + height);
            }
        }
        let columns = dice.int(1, 4);
        for column in 1..columns {
            let x = x0 + (x1 - x0) * column as f32 / columns as f32;
            bar(&mut page, x, y, x + 0.6 * thick, y + height);
        }
        let em = dice.range(2.4, 5.0);
        let style = Style::new(*dice.pick(&[Face::Sans, Face::Bold, Face::Serif, Face::Mono]), em, ink);
        let mut baseline = y + 1.3 * em;
        while baseline < y + height - 0.3 * em {
            if dice.chance(0.8) {
                let text = format!("{} : {}", resident::village(dice), resident::street(dice));
                page.print(x0 + 2.0, baseline, &text, &style);
            }
            if dice.chance(0.3) {
                bar(&mut page, x0, baseline + 0.4 * em, x1, baseline + 0.4 * em + 0.3);
            }
            baseline += 1.7 * em;
        }
        y += height + dice.range(1.0, 14.0);
    }
    page
}
