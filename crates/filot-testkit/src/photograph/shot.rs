//! Circumstances of one picture, drawn to fit the tier that it belongs to.

use super::Ground;
use super::framing::{self, Stance};
use super::obstacles::{Finger, Glare};
use crate::dice::Dice;
use crate::pose::{Placement, Pose, card_width};
use crate::scene::Scene;
use crate::truth::{Capture, Medium, Tier};

/// What a caller asks of a picture; the rest is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    pub(crate) tier: Tier,
    pub(crate) medium: Medium,
    /// Nothing may cover a field: what is wrong with the card must be visible.
    pub(crate) uncovered: bool,
    /// Longer side of the picture in pixels, when it matters.
    pub(crate) long_side: Option<u32>,
    /// Share of the sheet that shall lie outside the picture, for half cards.
    pub(crate) beyond: Option<f32>,
    pub(crate) scene: Scene,
}

/// Everything about one picture that is not print.
pub(crate) struct Shot {
    pub(crate) medium: Medium,
    /// Width and height of the upright picture.
    pub(crate) size: [u32; 2],
    placement: Placement,
    pub(crate) pose: Pose,
    pub(crate) turns: u8,
    pub(crate) exif: u8,
    pub(crate) quality: u8,
    pub(crate) halve_colour: bool,
    pub(crate) ground: Ground,
    pub(crate) blur: f32,
    pub(crate) motion: f32,
    pub(crate) motion_angle: f32,
    pub(crate) noise: f32,
    pub(crate) tint: f32,
    pub(crate) exposure: f32,
    pub(crate) unevenness: f32,
    pub(crate) white_balance: [f32; 3],
    pub(crate) shadow: bool,
    pub(crate) low_light: bool,
    pub(crate) grey: bool,
    pub(crate) cropped: bool,
    pub(crate) edge_cut: bool,
    pub(crate) creased: bool,
    pub(crate) scratches: u32,
    pub(crate) fingers: Vec<Finger>,
    pub(crate) glare: Vec<Glare>,
    /// Width of the clear rim of a laminated card in millimetres.
    pub(crate) rim: f32,
}

/// Limits of a tier. Lengths are shares of the card's width in pixels, so that print stays legible to a person.
pub(super) struct Limits {
    pub(super) least_card: f32,
    pub(super) fill: (f32, f32),
    pub(super) roll: f32,
    pub(super) tilt: f32,
    blur: f32,
    /// Probability and greatest length of a shake.
    motion: (f32, f32),
    /// Greatest deviation of blur and shake together.
    smear: f32,
    noise: (f32, f32),
    quality: (u32, u32),
    shadow: f32,
    low_light: f32,
    glare: f32,
    fingers: f32,
    turned: f32,
    cropped: f32,
    edge_cut: f32,
    worn: f32,
    grey: f32,
}

const CLEAN: Limits = Limits {
    least_card: 940.0,
    fill: (0.58, 0.93),
    roll: 0.05,
    tilt: 0.10,
    blur: 0.0006,
    motion: (0.0, 0.0),
    smear: 0.0008,
    noise: (0.4, 2.2),
    quality: (84, 96),
    shadow: 0.0,
    low_light: 0.0,
    glare: 0.0,
    fingers: 0.0,
    turned: 0.0,
    cropped: 0.22,
    edge_cut: 0.0,
    worn: 0.15,
    grey: 0.0,
};
const NORMAL: Limits = Limits {
    least_card: 580.0,
    fill: (0.45, 0.93),
    roll: 0.16,
    tilt: 0.26,
    blur: 0.0011,
    motion: (0.12, 0.005),
    smear: 0.0016,
    noise: (1.0, 5.0),
    quality: (60, 90),
    shadow: 0.35,
    low_light: 0.0,
    glare: 0.13,
    fingers: 0.06,
    turned: 0.16,
    cropped: 0.14,
    edge_cut: 0.0,
    worn: 0.35,
    grey: 0.05,
};
const HARD: Limits = Limits {
    least_card: 440.0,
    fill: (0.40, 0.92),
    roll: 0.30,
    tilt: 0.40,
    blur: 0.0021,
    motion: (0.38, 0.0085),
    smear: 0.0025,
    noise: (2.0, 10.0),
    quality: (32, 76),
    shadow: 0.55,
    low_light: 0.22,
    glare: 0.36,
    fingers: 0.22,
    turned: 0.25,
    cropped: 0.08,
    edge_cut: 0.10,
    worn: 0.5,
    grey: 0.06,
};

impl Shot {
    /// Draws the circumstances for a sheet of the given width and height in millimetres.
    pub(crate) fn draw(dice: &Dice, wishes: &Wishes, sheet: [f32; 2]) -> Self {
        let limits = match wishes.tier {
            Tier::Clean => &CLEAN,
            Tier::Normal | Tier::Negative => &NORMAL,
            Tier::Hard => &HARD,
        };
        let mut look = dice.branch(1);
        let flat = matches!(wishes.medium, Medium::Scan | Medium::Screenshot);
        let photo = wishes.medium == Medium::Photo;
        let cropped = wishes.beyond.is_none() && !flat && look.chance(limits.cropped);
        let turns = if wishes.medium != Medium::Screenshot && look.chance(limits.turned) {
            *look.pick(&[1_u8, 2, 3])
        } else {
            0
        };
        let edge_cut = !wishes.uncovered && photo && look.chance(limits.edge_cut);
        let outside = wishes.beyond.or(edge_cut.then(|| look.range(0.02, 0.09)));
        let (size, placement) = framing::place(
            &mut dice.branch(2),
            wishes,
            limits,
            sheet,
            &Stance { turns, cropped, flat, outside },
        );
        let pose = Pose::new(&placement);
        let card = card_width(&pose.corners(sheet));

        let mut light = dice.branch(3);
        let low_light = photo && light.chance(limits.low_light);
        let warm = light.range(-1.0, 1.0) * if photo { 0.10 } else { 0.02 };
        let exposure = if low_light { light.range(0.2, 0.45) } else { light.range(0.82, 1.12) };
        let open = photo || wishes.medium == Medium::Screen;
        let shadow = photo && light.chance(limits.shadow);
        let unevenness = if open { light.range(0.05, 0.5) } else { light.range(0.0, 0.06) };

        let mut glass = dice.branch(4);
        let blur = match wishes.medium {
            Medium::Screenshot => 0.0,
            _ if glass.chance(0.15) => 0.0,
            _ => (glass.range(0.15, 1.0) * limits.blur * card).max(0.35),
        };
        let motion = if open && glass.chance(limits.motion.0) {
            glass.range(0.25, 1.0) * limits.motion.1 * card
        } else {
            0.0
        };
        let (blur, motion) = legible(blur, motion, limits.smear * if low_light { 0.75 } else { 1.0 } * card);
        let noise = match wishes.medium {
            Medium::Screenshot => 0.0,
            Medium::Scan => glass.range(0.3, 1.2),
            _ => glass.range(limits.noise.0, limits.noise.1) * if low_light { 0.8 } else { 1.0 },
        };

        let mut cover = dice.branch(5);
        let coverable = photo && !wishes.uncovered;
        let fingers = if coverable && cover.chance(limits.fingers) {
            let depth = if wishes.tier == Tier::Hard { (2.0, 9.0) } else { (1.0, 6.0) };
            Finger::draw(&mut cover, sheet, depth)
        } else {
            Vec::new()
        };
        let mut glare = Vec::new();
        if coverable && cover.chance(limits.glare) {
            let strength = if wishes.tier == Tier::Hard { (0.45, 1.5) } else { (0.25, 0.95) };
            glare = (0..cover.int(1, 2)).map(|_| Glare::draw(&mut cover, sheet, strength)).collect();
        }

        let mut file = dice.branch(6);
        let worn = file.chance(limits.worn);
        let exif = if flat || file.chance(0.78) { 1 } else { *file.pick(&[3, 6, 6, 8]) };
        let quality = u8::try_from(file.int(limits.quality.0, limits.quality.1)).unwrap_or(90);
        let halve_colour = file.chance(0.75);
        let usual_ground = ground(&mut file, wishes.medium);
        Self {
            medium: wishes.medium,
            size,
            placement,
            pose,
            turns,
            exif: if wishes.scene.sketch { 1 } else { exif },
            quality,
            halve_colour,
            ground: wishes.scene.ground.unwrap_or(usual_ground),
            blur: round(blur, 100.0),
            motion: round(motion, 10.0),
            motion_angle: glass.range(0.0, std::f32::consts::PI),
            noise: round(noise, 10.0),
            tint: glass.range(0.2, 0.9),
            exposure,
            unevenness,
            white_balance: [1.0 + warm, 1.0 + light.range(-0.02, 0.02), 1.0 - warm],
            shadow,
            low_light,
            grey: photo && file.chance(limits.grey),
            cropped,
            edge_cut,
            creased: worn && file.chance(0.3),
            scratches: if worn { file.int(1, 7) } else { 0 },
            fingers,
            glare,
            rim: wishes.scene.rim,
        }
    }

    /// Pixels per millimetre at the sheet's centre.
    pub(crate) fn placement_scale(&self) -> f32 {
        self.placement.scale
    }

    /// What the truth says about the picture; `stored` is its size in the file.
    pub(crate) fn capture(&self, sheet: [f32; 2], stored: [u32; 2]) -> Capture {
        let corners = self.pose.corners(sheet);
        Capture {
            background: Some(self.ground),
            blur: self.blur,
            card_px: card_width(&corners).round(),
            corners: Some(corners.map(|corner| corner.map(|v| round(v, 10.0)))),
            creased: self.creased,
            cropped: self.cropped,
            edge_cut: self.edge_cut,
            exif: self.exif,
            fingers: !self.fingers.is_empty(),
            glare: u32::try_from(self.glare.len()).unwrap_or_default(),
            grey: self.grey,
            jpeg: self.quality,
            low_light: self.low_light,
            medium: self.medium,
            motion: self.motion,
            noise: self.noise,
            rot90: self.turns,
            shadow: self.shadow,
            size: stored,
        }
    }
}

/// Weakens blur and shake alike so that their common deviation stays within `most`.
fn legible(blur: f32, motion: f32, most: f32) -> (f32, f32) {
    // A uniform smear of length 1 has a deviation of 1 / sqrt(12).
    let deviation = (blur * blur + motion * motion / 12.0).sqrt();
    let factor = (most / deviation.max(f32::EPSILON)).min(1.0);
    (blur * factor, motion * factor)
}

fn round(value: f32, steps: f32) -> f32 {
    (value * steps).round() / steps
}

fn ground(dice: &mut Dice, medium: Medium) -> Ground {
    match medium {
        Medium::Scan | Medium::Photocopy => Ground::Paper,
        Medium::Screen => Ground::Screen,
        Medium::Screenshot => Ground::App,
        _ => *dice.weighted(&[
            (Ground::Plain, 4.0),
            (Ground::Wood, 3.0),
            (Ground::Tiles, 2.0),
            (Ground::Cloth, 2.0),
            (Ground::Pattern, 1.5),
            (Ground::Stone, 1.5),
            (Ground::Print, 2.0),
            (Ground::Dark, 2.0),
            (Ground::Room, 1.2),
            (Ground::Paper, 0.7),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: [f32; 2] = [85.6, 53.98];

    fn wishes(tier: Tier, medium: Medium) -> Wishes {
        Wishes { tier, medium, uncovered: false, long_side: None, beyond: None, scene: Scene::default() }
    }

    #[test]
    fn cards_lie_within_the_frame_and_are_large_enough() {
        for seed in 0..300 {
            for (tier, least) in [(Tier::Clean, 800.0), (Tier::Normal, 480.0), (Tier::Hard, 340.0)] {
                for medium in
                    [Medium::Photo, Medium::Scan, Medium::Photocopy, Medium::Screen, Medium::Screenshot]
                {
                    let shot = Shot::draw(&Dice::new(seed), &wishes(tier, medium), CARD);
                    let capture = shot.capture(CARD, shot.size);
                    assert!(capture.card_px >= least, "{tier:?} {medium:?} {}", capture.card_px);
                    if !shot.edge_cut {
                        for [x, y] in capture.corners.expect("a card has corners") {
                            assert!(x > -2.0 && x < shot.size[0] as f32 + 2.0, "{x} of {:?}", shot.size);
                            assert!(y > -2.0 && y < shot.size[1] as f32 + 2.0, "{y} of {:?}", shot.size);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn quarter_turns_are_counter_clockwise() {
        let turned = (0..200)
            .map(|seed| Shot::draw(&Dice::new(seed), &wishes(Tier::Normal, Medium::Photo), CARD))
            .find(|shot| shot.turns == 1)
            .expect("one in twenty is turned once");
        let [top_left, top_right, ..] = turned.pose.corners(CARD);
        assert!(top_right[1] < top_left[1], "the card's top edge runs upwards");
    }
}
