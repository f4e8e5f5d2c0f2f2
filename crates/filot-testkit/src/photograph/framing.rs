//! How large the picture is and where in it the sheet lies.

use super::shot::{Limits, Wishes};
use crate::dice::Dice;
use crate::pose::{Placement, Pose};
use crate::truth::{Medium, Tier};

/// What the frame has to fit.
pub(super) struct Stance {
    pub(super) turns: u8,
    pub(super) cropped: bool,
    pub(super) flat: bool,
    /// Share of the sheet outside the picture.
    pub(super) outside: Option<f32>,
}

/// Size of the picture and the sheet's place in it.
pub(super) fn place(
    dice: &mut Dice,
    wishes: &Wishes,
    limits: &Limits,
    sheet: [f32; 2],
    stance: &Stance,
) -> ([u32; 2], Placement) {
    let upright = stance.turns.is_multiple_of(2);
    // Bounding box of the sheet per unit of its width.
    let ratio = sheet[1] / sheet[0];
    let (box_w, box_h) = if upright { (1.0, ratio) } else { (ratio, 1.0) };
    let lengths: &[(u32, f32)] = match wishes.tier {
        Tier::Clean => &[(1280, 4.0), (1600, 4.0), (2048, 3.0), (3000, 1.0), (4000, 0.6)],
        Tier::Hard => &[
            (480, 0.5),
            (640, 1.5),
            (800, 2.0),
            (1024, 2.0),
            (1280, 3.0),
            (1600, 2.0),
            (2048, 1.0),
            (3264, 0.6),
        ],
        _ => &[
            (640, 1.0),
            (800, 1.5),
            (1024, 2.0),
            (1280, 3.0),
            (1600, 3.0),
            (2048, 2.0),
            (3264, 0.7),
            (4000, 0.4),
        ],
    };
    let mut size = [1600.0_f32, 1200.0];
    let mut width = 0.0;
    for _ in 0..if wishes.scene.sketch { 0 } else { 24 } {
        let long = wishes.long_side.unwrap_or_else(|| *dice.weighted(lengths)) as f32;
        let aspect = if stance.cropped {
            (sheet[0] / sheet[1]).max(sheet[1] / sheet[0]) * dice.range(0.99, 1.01)
        } else if wishes.medium == Medium::Screenshot {
            *dice.pick(&[1.78, 2.0, 2.16])
        } else {
            *dice.weighted(&[(1.333, 5.0), (1.6, 2.0), (1.778, 2.0), (1.5, 0.7), (1.0, 0.4)])
        };
        // The picture usually lies as the sheet does; screenshots stand.
        let wide =
            wishes.medium != Medium::Screenshot && (box_w > box_h) == (stance.cropped || dice.chance(0.82));
        size = if wide { [long, (long / aspect).round()] } else { [(long / aspect).round(), long] };
        let most = (size[0] / box_w).min(size[1] / box_h);
        let fill = match wishes.medium {
            _ if stance.cropped => (0.97, 1.0),
            Medium::Scan => (0.42, 0.8),
            Medium::Screenshot => (0.86, 0.98),
            _ => limits.fill,
        };
        width = most * dice.range(fill.0, fill.1);
        if width >= limits.least_card {
            break;
        }
        width = limits.least_card;
        if width < 0.95 * most {
            break;
        }
    }
    if wishes.scene.sketch {
        (size, width) = sketch(dice, wishes, [box_w, box_h], stance.cropped);
    }
    let (roll, tilt) = match wishes.medium {
        _ if wishes.scene.any_angle => (0.8, limits.tilt.max(0.3)),
        Medium::Screenshot => (0.0, 0.0),
        _ if stance.flat => (limits.roll * 0.6, 0.0),
        _ if stance.cropped => (0.012, 0.03),
        _ => (limits.roll, limits.tilt),
    };
    let mut placement = Placement {
        sheet,
        scale: width / sheet[0],
        centre: [size[0] / 2.0, size[1] / 2.0],
        roll: dice.range(-roll, roll) - f32::from(stance.turns) * std::f32::consts::FRAC_PI_2,
        pitch: dice.range(-tilt, tilt),
        yaw: dice.range(-tilt, tilt),
        distance: dice.range(170.0, 420.0) * (sheet[0] / 85.6).max(1.0),
    };
    settle(dice, &mut placement, size, stance.cropped);
    if let Some(share) = stance.outside {
        push_out(dice, &mut placement, size, share);
    }
    ([size[0] as u32, size[1] as u32], placement)
}

/// Size of a small picture and width of the sheet in it: anything from a card far away to one that fills the frame.
fn sketch(dice: &mut Dice, wishes: &Wishes, [box_w, box_h]: [f32; 2], cropped: bool) -> ([f32; 2], f32) {
    let long = wishes.long_side.unwrap_or(480) as f32;
    let aspect = match cropped {
        true => 1.586 * dice.range(0.97, 1.03),
        false => {
            *dice.weighted(&[(1.333, 5.0), (1.6, 2.0), (1.778, 2.0), (1.5, 0.7), (1.0, 0.6), (2.1, 0.5)])
        }
    };
    let wide = (box_w > box_h) == (cropped || dice.chance(0.75));
    let size = if wide { [long, (long / aspect).round()] } else { [(long / aspect).round(), long] };
    let most = (size[0] / box_w).min(size[1] / box_h);
    let fill = if cropped { dice.range(0.95, 1.0) } else { dice.range(0.3, 0.95) };
    (size, most * fill)
}

fn bounds(placement: &Placement) -> [f32; 4] {
    let corners = Pose::new(placement).corners(placement.sheet);
    let all = |pick: fn(f32, f32) -> f32, axis: usize| {
        corners.iter().map(|c| c[axis]).reduce(pick).unwrap_or_default()
    };
    [all(f32::min, 0), all(f32::min, 1), all(f32::max, 0), all(f32::max, 1)]
}

/// Shrinks the sheet until it fits and moves it to a place within the frame.
fn settle(dice: &mut Dice, placement: &mut Placement, size: [f32; 2], tight: bool) {
    let room = if tight { 1.0 } else { 0.975 };
    for _ in 0..4 {
        let [x0, y0, x1, y1] = bounds(placement);
        let excess = ((x1 - x0) / (room * size[0])).max((y1 - y0) / (room * size[1]));
        if excess > 1.0 {
            placement.scale /= excess * 1.002;
        }
    }
    let [x0, y0, x1, y1] = bounds(placement);
    // Most people put the card about the middle.
    let mut place = |low: f32, high: f32, length: f32| {
        let slack = (length - (high - low)).max(0.0);
        slack * (0.5 + 0.5 * dice.range(-1.0, 1.0) * dice.unit()) - low
    };
    placement.centre[0] += place(x0, x1, size[0]);
    placement.centre[1] += place(y0, y1, size[1]);
}

/// Moves the sheet over an edge of the frame until about `share` of it is outside.
fn push_out(dice: &mut Dice, placement: &mut Placement, size: [f32; 2], share: f32) {
    let [x0, y0, x1, y1] = bounds(placement);
    match dice.int(0, 3) {
        0 => placement.centre[0] -= x0 + share * (x1 - x0),
        1 => placement.centre[0] += size[0] - x1 + share * (x1 - x0),
        2 => placement.centre[1] -= y0 + share * (y1 - y0),
        _ => placement.centre[1] += size[1] - y1 + share * (y1 - y0),
    }
}
