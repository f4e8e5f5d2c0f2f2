//! What lies around a card and what has become of it, wider than the sets of a seed: for training, and for families that are
//! held out of it.

use crate::decoy::Decoy;
use crate::dice::Dice;
use crate::ktp;
use crate::lettering::{Face, Style};
use crate::noise::{Noise, mix, mix3, wave};
use crate::npwp;
use crate::photograph::Ground;
use crate::resident::Resident;
use crate::sheet::{CARD_HEIGHT, CARD_WIDTH, Sheet, bytes};
use crate::taxpayer::{NpwpDesign, Taxpayer};

/// Surroundings and state of the card; the default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scene {
    /// What lies under the card; drawn where not given.
    pub ground: Option<Ground>,
    /// Other cards and papers beside it.
    pub neighbours: u32,
    /// Security print over the card's own.
    pub stock: Option<Stock>,
    /// Clear rim of a laminated card in millimetres.
    pub rim: f32,
    /// How far the print is gone, 0 to 1.
    pub bleached: f32,
    /// The card lies at any angle.
    pub any_angle: bool,
    /// The picture is a front camera's: left is right.
    pub mirrored: bool,
    /// Small and quick to draw, at sizes below those at which print can be read.
    pub sketch: bool,
}

/// Kinds of security print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    /// Fine wavy lines 0.3 to 0.6 mm apart in several blues.
    Waves,
    /// Arcs about a point beyond the card.
    Fan,
    /// A large pale emblem.
    Emblem,
    /// Pale words that lean.
    Words,
}

impl Stock {
    pub const ALL: [Self; 4] = [Self::Waves, Self::Fan, Self::Emblem, Self::Words];
}

/// Something that lies beside the card.
pub(crate) struct Neighbour {
    pub(crate) sheet: Sheet,
    centre: [f32; 2],
    turn: (f32, f32),
}

impl Neighbour {
    /// Distance to its outline in millimetres, negative inside, and the place on it.
    pub(crate) fn reach(&self, x: f32, y: f32) -> (f32, f32, f32) {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let (sin, cos) = self.turn;
        let (half_w, half_h) = (self.sheet.width / 2.0, self.sheet.height / 2.0);
        let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
        let edge = (u.abs() - half_w).max(v.abs() - half_h);
        (edge, u + half_w, v + half_h)
    }
}

impl Scene {
    /// Prints over the sheet what the card's stock has, and takes away what years took.
    pub(crate) fn age(&self, sheet: &mut Sheet, dice: &Dice) {
        if let Some(stock) = self.stock {
            overprint(sheet, &mut dice.branch(1), stock);
        }
        if self.bleached > 0.0 {
            let noise = Noise::new(&mut dice.branch(2));
            let extent = sheet.extent();
            sheet.paint(extent, |x, y, colour| {
                let share = self.bleached * (0.7 + 0.5 * noise.at(x * 0.06, y * 0.06));
                mix3(colour, [236.0, 238.0, 236.0], share.clamp(0.0, 0.95))
            });
        }
    }

    /// Draws what lies beside a card of the given size.
    pub(crate) fn neighbours(&self, dice: &Dice, size: [f32; 2], scale: f32) -> Vec<Neighbour> {
        (0..self.neighbours).map(|n| neighbour(&dice.branch(n.into()), n, size, scale)).collect()
    }
}

fn neighbour(dice: &Dice, nth: u32, [width, height]: [f32; 2], scale: f32) -> Neighbour {
    let (mut content, look, mut place) = (dice.branch(1), dice.branch(2), dice.branch(3));
    let sheet = match content.int(0, 9) {
        0..=2 => ktp::draw(&Resident::draw(&mut content, false), &look, scale),
        3..=5 => {
            let design = *content.pick(&[NpwpDesign::Old, NpwpDesign::Blue, NpwpDesign::New16]);
            npwp::draw(&Taxpayer::draw(&mut content, design), design, &look, scale)
        }
        _ => {
            let decoy = *content.pick(&[Decoy::Bpjs, Decoy::Sim, Decoy::Student, Decoy::Business]);
            decoy.draw(&mut content, &look, scale, &mut dice.branch(4)).0
        }
    };
    let (sin, cos) = place.range(-0.35, 0.35).sin_cos();
    // Half of what the turned neighbour needs to either side.
    let reach = [
        (CARD_WIDTH * cos.abs() + CARD_HEIGHT * sin.abs()) / 2.0,
        (CARD_HEIGHT * cos.abs() + CARD_WIDTH * sin.abs()) / 2.0,
    ];
    let gap = place.range(0.5, 22.0);
    let along = place.range(-30.0, 30.0);
    // The first to any side, the second to the opposite one or across.
    let side = (place.int(0, 3) + nth) % 4;
    let centre = match side {
        0 => [width / 2.0 + along, -gap - reach[1]],
        1 => [width + gap + reach[0], height / 2.0 + along],
        2 => [width / 2.0 + along, height + gap + reach[1]],
        _ => [-gap - reach[0], height / 2.0 + along],
    };
    Neighbour { sheet, centre, turn: (sin, cos) }
}

fn overprint(sheet: &mut Sheet, dice: &mut Dice, stock: Stock) {
    match stock {
        Stock::Waves => waves(sheet, dice),
        Stock::Fan => {
            let from = [dice.range(-0.3, 1.3) * sheet.width, *dice.pick(&[-12.0, sheet.height + 12.0])];
            let pitch = dice.range(1.2, 4.0);
            tint(sheet, dice, |x, y| {
                wave(((x - from[0]).powi(2) + (y - from[1]).powi(2)).sqrt() / pitch).max(0.0)
            });
        }
        Stock::Emblem => {
            let at = [dice.range(0.3, 0.7) * sheet.width, sheet.height * dice.range(0.45, 0.6)];
            let (radius, wings) = (dice.range(11.0, 20.0), dice.int(3, 9) as f32);
            tint(sheet, dice, |x, y| {
                let (dx, dy) = (x - at[0], y - at[1]);
                let turn = dy.atan2(dx) / std::f32::consts::TAU;
                let edge = radius * (0.75 + 0.25 * wave(turn * wings));
                let inside = (edge - (dx * dx + dy * dy).sqrt()).clamp(0.0, 1.0);
                inside * (0.6 + 0.4 * wave((dx * dx + dy * dy).sqrt() / 2.5))
            });
        }
        Stock::Words => words(sheet, dice),
    }
}

/// Fine lines as far as the sheet's pixels can show them; beyond that they are a tint, as in a camera.
fn waves(sheet: &mut Sheet, dice: &mut Dice) {
    for _ in 0..dice.int(1, 3) {
        let pitch = dice.range(0.3, 0.6);
        let (bend, length, slope) = (dice.range(0.3, 2.5), dice.range(8.0, 40.0), dice.range(-0.6, 0.6));
        let shown = ((pitch * sheet.scale - 1.5) / 1.5).clamp(0.0, 1.0);
        tint(sheet, dice, |x, y| {
            let line = wave((y + slope * x + bend * wave(x / length)) / pitch).max(0.0);
            mix(0.32, line, shown)
        });
    }
}

/// Darkens towards some blue, or a card's own colour, by the share that `ink` says.
fn tint(sheet: &mut Sheet, dice: &mut Dice, ink: impl Fn(f32, f32) -> f32) {
    let colour = *dice.pick(&[
        [90.0, 150.0, 205.0],
        [110.0, 175.0, 215.0],
        [70.0, 120.0, 190.0],
        [140.0, 190.0, 200.0],
        [150.0, 140.0, 190.0],
        [190.0, 170.0, 120.0],
    ]);
    let strength = dice.range(0.15, 0.6);
    for (y, row) in sheet.pixels.enumerate_rows_mut().map(|(y, row)| (y as f32, row)) {
        for (x, _, pixel) in row {
            let share = strength * ink((x as f32 + 0.5) / sheet.scale, (y + 0.5) / sheet.scale);
            let old = pixel.0.map(f32::from);
            pixel.0 = bytes(std::array::from_fn(|c| old[c] * (1.0 - share * (1.0 - colour[c] / 255.0))));
        }
    }
}

fn words(sheet: &mut Sheet, dice: &mut Dice) {
    let word = dice.word("INDONESIA|REPUBLIK INDONESIA|NKRI|DJP|KEMENDAGRI");
    let lean = dice.range(-0.6, 0.6);
    let em = dice.range(2.5, 7.0);
    // A sheet of words, laid askew over the card.
    let mut pattern = Sheet::new(90.0, 60.0, 0.0, sheet.scale, [255.0; 3]);
    let style = Style::new(Face::Bold, em, [0.0; 3]);
    let line = [word; 12].join("   ");
    let mut baseline = em;
    while baseline < 60.0 {
        pattern.print(-dice.range(0.0, 30.0), baseline, &line, &style);
        baseline += em * dice.range(1.4, 2.2);
    }
    let (sin, cos) = lean.sin_cos();
    let at = |mm: f32, size: f32, limit: u32| ((mm.rem_euclid(size) * pattern.scale) as u32).min(limit - 1);
    let (w, h) = pattern.pixels.dimensions();
    let pixels = &pattern.pixels;
    tint(sheet, dice, |x, y| {
        let (u, v) = (x * cos + y * sin, y * cos - x * sin);
        1.0 - f32::from(pixels.get_pixel(at(u, 90.0, w), at(v, 60.0, h)).0[0]) / 255.0
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Case, Tier};

    #[test]
    fn scenes_are_drawn_again_as_they_were() {
        for (n, stock) in Stock::ALL.into_iter().enumerate() {
            let scene = Scene {
                ground: Some([Ground::Keyboard, Ground::Plaid, Ground::Form, Ground::Ruled][n]),
                neighbours: 1,
                stock: Some(stock),
                rim: 3.0,
                bleached: 0.3,
                any_angle: true,
                sketch: true,
                ..Scene::default()
            };
            let case = Case::ktp().tier(Tier::Normal).long_side(400).scene(scene);
            assert_eq!(case.draw(8), case.draw(8));
            assert_ne!(case.draw(8).jpeg, case.draw(9).jpeg);
        }
    }

    #[test]
    fn a_mirrored_picture_turns_its_corners_round() {
        let plain = Case::ktp().long_side(1000);
        let mirrored = plain.clone().scene(Scene { mirrored: true, ..Scene::default() });
        let corners = |case: &Case| case.draw(3).truth.capture.corners.expect("a card has corners");
        let area = |c: [[f32; 2]; 4]| {
            (0..4).map(|i| c[i][0] * c[(i + 1) % 4][1] - c[i][1] * c[(i + 1) % 4][0]).sum::<f32>()
        };
        assert!(area(corners(&plain)) > 0.0);
        assert!(area(corners(&mirrored)) < 0.0);
    }
}
