//! Fingers and reflections: how they look, and what they hide. Positions are millimetres on the sheet.

use crate::dice::Dice;
use crate::noise::{mix3, ramp};

/// A finger lying over the edge of the sheet, or holding it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finger {
    tip: [f32; 2],
    /// Unit vector from the tip to the hand.
    along: [f32; 2],
    length: f32,
    radius: f32,
    skin: [f32; 3],
}

impl Finger {
    /// Fingers over one edge of a sheet, reaching `depth` millimetres in.
    pub(crate) fn draw(dice: &mut Dice, [width, height]: [f32; 2], depth: (f32, f32)) -> Vec<Self> {
        let skin = dice
            .pick(&[[214.0, 160.0, 124.0], [178.0, 122.0, 88.0], [142.0, 94.0, 66.0], [108.0, 70.0, 50.0]])
            .map(|c| c + dice.range(-9.0, 9.0));
        let side = dice.int(0, 3);
        let start = dice.range(0.08, 0.85);
        let lean = dice.range(-0.5, 0.5);
        let radius = dice.range(6.2, 8.2);
        (0..dice.int(1, 3))
            .map(|n| {
                let inset = dice.range(depth.0, depth.1);
                let step = n as f32 * radius * 2.15;
                let place = |length: f32| (start * length + step).rem_euclid(length);
                let (tip, out) = match side {
                    0 => ([place(width), inset], [0.0, -1.0]),
                    1 => ([width - inset, place(height)], [1.0, 0.0]),
                    2 => ([place(width), height - inset], [0.0, 1.0]),
                    _ => ([inset, place(height)], [-1.0, 0.0]),
                };
                let (sin, cos) = (lean + dice.range(-0.08, 0.08)).sin_cos();
                let along = [out[0] * cos - out[1] * sin, out[0] * sin + out[1] * cos];
                // The round end reaches beyond the tip's centre.
                let tip = [tip[0] + along[0] * radius, tip[1] + along[1] * radius];
                Self { tip, along, length: dice.range(45.0, 70.0), radius, skin }
            })
            .collect()
    }

    /// Distance from the finger's axis over its radius, and how far along it (millimetres) the nearest point is.
    fn reach(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.tip[0], y - self.tip[1]);
        let along = (dx * self.along[0] + dy * self.along[1]).clamp(0.0, self.length);
        let (ex, ey) = (dx - along * self.along[0], dy - along * self.along[1]);
        // Fingers widen a little towards the hand.
        ((ex * ex + ey * ey).sqrt() / (self.radius * (1.0 + 0.004 * along)), along)
    }

    pub(crate) fn covers(&self, x: f32, y: f32) -> bool {
        self.reach(x, y).0 < 1.0
    }

    /// What is seen at a position that showed `under`.
    pub(crate) fn over(&self, x: f32, y: f32, under: [f32; 3]) -> [f32; 3] {
        let (distance, along) = self.reach(x, y);
        if distance > 1.35 {
            return under;
        }
        let shadow = under.map(|c| c * (0.62 + 0.38 * ramp(0.95, 1.35, distance)));
        if distance > 1.03 {
            return shadow;
        }
        let round = (1.0 - distance * distance).max(0.0).sqrt();
        let joint = if ((along - 22.0).abs() < 1.2) && distance < 0.9 { 0.93 } else { 1.0 };
        let tone = self.skin.map(|c| c * (0.52 + 0.52 * round) * joint);
        let (dx, dy) = (x - self.tip[0], y - self.tip[1]);
        let (u, v) = (dx * self.along[0] + dy * self.along[1] - 1.5, dx * self.along[1] - dy * self.along[0]);
        let nail = ((u / 5.2).powi(2) + (v / (0.62 * self.radius)).powi(2)).sqrt();
        let tone = mix3(tone, self.skin.map(|c| (c * 1.12 + 14.0).min(250.0)), 0.75 * ramp(1.05, 0.92, nail));
        mix3(shadow, tone, ramp(1.03, 0.97, distance))
    }
}

/// A reflection: an ellipse of light, round for a lamp, long for a tube or a window's edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glare {
    centre: [f32; 2],
    turn: (f32, f32),
    radius: [f32; 2],
    strength: f32,
}

/// Light added (as a share of white) beyond which print is gone.
const BLINDING: f32 = 0.5;

impl Glare {
    pub(crate) fn draw(dice: &mut Dice, [width, height]: [f32; 2], strength: (f32, f32)) -> Self {
        let radius = dice.range(3.5, 11.0);
        let long = *dice.weighted(&[(1.0, 5.0), (1.7, 3.0), (4.0, 2.0)]);
        Self {
            centre: [dice.range(0.0, 1.0) * width, dice.range(0.0, 1.0) * height],
            turn: dice.range(0.0, 3.1).sin_cos(),
            radius: [radius * long, radius / long.sqrt()],
            strength: dice.range(strength.0, strength.1),
        }
    }

    /// Light added at a position, as a share of white; may exceed 1.
    pub(crate) fn light(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let (sin, cos) = self.turn;
        let (u, v) = ((dx * cos + dy * sin) / self.radius[0], (dy * cos - dx * sin) / self.radius[1]);
        let fall = (1.0 - (u * u + v * v) / 6.0).max(0.0);
        self.strength * fall * fall * fall
    }

    pub(crate) fn covers(&self, x: f32, y: f32) -> bool {
        self.light(x, y) > BLINDING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingers_reach_in_from_an_edge_but_not_over_the_middle() {
        for seed in 0..60 {
            for finger in Finger::draw(&mut Dice::new(seed), [85.6, 53.98], (3.0, 9.0)) {
                assert!(!finger.covers(42.8, 27.0));
                let hits = (0..86).flat_map(|x| (0..54).map(move |y| (x as f32, y as f32)));
                assert!(hits.filter(|&(x, y)| finger.covers(x, y)).count() > 3);
            }
        }
    }

    #[test]
    fn glare_blinds_at_its_centre_when_strong_only() {
        let mut dice = Dice::new(2);
        let strong = Glare::draw(&mut dice, [85.6, 53.98], (1.0, 1.5));
        assert!(strong.covers(strong.centre[0], strong.centre[1]));
        let weak = Glare::draw(&mut dice, [85.6, 53.98], (0.2, 0.4));
        assert!(!weak.covers(weak.centre[0], weak.centre[1]));
    }
}
