//! Drawn faces and signatures: they only have to look like a photo and a signature to a program.

use crate::dice::Dice;
use crate::noise::{Noise, mix3, ramp};
use crate::sheet::{Extent, Sheet};

const SKINS: &[[f32; 3]] = &[
    [224.0, 178.0, 142.0],
    [205.0, 152.0, 112.0],
    [181.0, 127.0, 88.0],
    [148.0, 100.0, 68.0],
    [110.0, 74.0, 52.0],
    [238.0, 202.0, 172.0],
];
const CLOTHES: &[[f32; 3]] = &[
    [236.0, 236.0, 238.0],
    [40.0, 46.0, 60.0],
    [60.0, 100.0, 70.0],
    [120.0, 40.0, 50.0],
    [50.0, 80.0, 150.0],
    [150.0, 130.0, 90.0],
    [90.0, 50.0, 110.0],
    [24.0, 24.0, 26.0],
];

/// What the head is covered with.
#[derive(Clone, Copy, PartialEq)]
enum Cover {
    Short,
    Long,
    Veil,
    Cap,
}

/// Soft membership (0 to 1) of an ellipse; `edge` is how soft, in the unit of the coordinates.
fn ellipse(x: f32, y: f32, centre: [f32; 2], radius: [f32; 2], edge: f32) -> f32 {
    let (dx, dy) = ((x - centre[0]) / radius[0], (y - centre[1]) / radius[1]);
    let distance = ((dx * dx + dy * dy).sqrt() - 1.0) * radius[0].min(radius[1]);
    ramp(edge, -edge, distance)
}

/// Fills `extent` with a head-and-shoulders portrait before the given ground.
pub(crate) fn photo(sheet: &mut Sheet, dice: &mut Dice, extent: Extent, female: bool, ground: [f32; 3]) {
    let noise = Noise::new(dice);
    let skin = dice.pick(SKINS).map(|c| c + dice.range(-8.0, 8.0));
    let cloth = *dice.pick(CLOTHES);
    let veil = *dice.pick(CLOTHES);
    let grey = dice.range(14.0, 60.0);
    let hair = [grey + dice.range(0.0, 18.0), grey, grey];
    let cover = match (female, dice.int(0, 9)) {
        (true, 0..=5) => Cover::Veil,
        (true, _) => Cover::Long,
        (false, 0..=1) => Cover::Cap,
        (false, _) => Cover::Short,
    };
    let glasses = dice.chance(0.15);
    let centre = [dice.range(-0.05, 0.05), dice.range(0.42, 0.48)];
    let size = [dice.range(0.40, 0.47), dice.range(0.235, 0.27)];
    let light = dice.range(-0.3, 0.3);
    let (w, h) = (extent.x1 - extent.x0, extent.y1 - extent.y0);
    // Coordinates: x from -1 to 1 across, y from 0 to 1 down; `squash` makes x and y comparable.
    let squash = h / w * 2.0;
    sheet.paint(extent, |mx, my, _| {
        let (x, y) = (((mx - extent.x0) / w - 0.5) * 2.0, (my - extent.y0) / h);
        let soft = 0.012;
        let mut c = ground.map(|c| c * (1.06 - 0.14 * y) + 4.0 * noise.at(x * 3.0, y * 4.0));
        let (dx, dy) = (x - centre[0], y - centre[1]);
        let shade = 1.0 + light * dx - 0.10 * (dx * dx * 4.0 + dy * dy * 6.0);
        let at = |px: f32, py: f32| [centre[0] + px, centre[1] + py];
        if cover == Cover::Long {
            let back = ellipse(x, y, at(0.0, 0.08), [size[0] * 1.35, size[1] * 1.6], 0.03);
            c = mix3(c, hair, back);
        }
        let shoulders = ellipse(x, y, [centre[0], 1.06], [0.86, 0.30], 0.012);
        let fold = noise.at(x * 5.0, y * 9.0) * 9.0;
        c = mix3(c, cloth.map(|v| (v + fold) * shade), shoulders);
        let neck = ramp(0.17, 0.13, dx.abs()) * ramp(centre[1], centre[1] + 0.03, y) * ramp(0.87, 0.82, y);
        c = mix3(c, skin.map(|v| v * 0.82 * shade), neck);
        if cover == Cover::Veil {
            let cloak = ellipse(x, y, at(0.0, 0.04), [size[0] * 1.45, size[1] * 1.5], 0.012).max(ellipse(
                x,
                y,
                at(0.0, 0.42),
                [size[0] * 1.7, 0.26],
                0.012,
            ));
            c = mix3(c, veil.map(|v| (v + fold * 1.5) * (shade - 0.05)), cloak);
        } else {
            let ears = ellipse(
                x.abs() * if dx < 0.0 { -1.0 } else { 1.0 },
                y,
                at(dx.signum() * size[0], 0.02),
                [0.06, 0.05],
                soft,
            );
            c = mix3(c, skin.map(|v| v * 0.85), ears);
        }
        if matches!(cover, Cover::Short | Cover::Long) {
            let top = ellipse(x, y, at(0.0, -0.06), [size[0] * 1.1, size[1] * 1.02], soft);
            c = mix3(c, hair.map(|v| v + 10.0 * noise.at(x * 22.0, y * 6.0)), top);
        }
        let face = ellipse(x, y, at(0.0, 0.02), size, soft);
        let face_tone = skin.map(|v| v * shade + 3.0 * noise.at(x * 9.0, y * 12.0));
        c = mix3(c, face_tone, face);
        if matches!(cover, Cover::Short | Cover::Long) {
            let fringe =
                ramp(-0.45 * size[1], -0.62 * size[1], dy + 0.25 * size[1] * dx * dx / (size[0] * size[0]))
                    * face;
            c = mix3(c, hair, fringe);
        }
        if cover == Cover::Cap {
            let cap = ramp(size[0] * 1.06, size[0] * 1.02, dx.abs())
                * ramp(-0.5 * size[1], -0.55 * size[1], dy)
                * ramp(-1.22 * size[1], -1.18 * size[1], dy);
            c = mix3(c, [22.0, 22.0, 24.0], cap);
        }
        let mirror = dx.abs();
        let eye = [0.42 * size[0], -0.04];
        let feature = |px: f32, py: f32, rx: f32, ry: f32| {
            let (ex, ey) = ((mirror - px) / rx, (dy - py) * squash / ry);
            ramp(1.25, 0.75, (ex * ex + ey * ey).sqrt())
        };
        c = mix3(c, [235.0, 232.0, 228.0].map(|v| v * shade), feature(eye[0], eye[1], 0.085, 0.045));
        c = mix3(c, [40.0, 26.0, 20.0], feature(eye[0], eye[1], 0.036, 0.045));
        c = mix3(c, hair, feature(eye[0], eye[1] - 0.058, 0.11, 0.026) * 0.85);
        c = mix3(c, skin.map(|v| v * 0.72), feature(0.045, 0.075, 0.035, 0.03) * 0.8);
        c = mix3(c, skin.map(|v| v * 0.86), feature(0.03, 0.02, 0.02, 0.16) * 0.5);
        c = mix3(c, [168.0, 84.0, 78.0].map(|v| v * shade), feature(0.0, 0.135, 0.13, 0.035) * 0.85);
        if glasses {
            let (ex, ey) = ((mirror - eye[0]) / 0.15, (dy - eye[1]) * squash / 0.11);
            let rim = ramp(0.16, 0.05, ((ex * ex + ey * ey).sqrt() - 1.0).abs());
            c = mix3(c, [30.0, 30.0, 34.0], rim);
        }
        c
    });
}

/// A scribble within `extent`.
pub(crate) fn signature(sheet: &mut Sheet, dice: &mut Dice, extent: Extent, ink: [f32; 3]) {
    let count = dice.int(6, 13);
    let knots: Vec<[f32; 2]> = (0..count)
        .map(|n| {
            let along = (n as f32 + dice.range(-0.9, 0.9)) / (count - 1) as f32;
            [
                extent.x0 + along.clamp(0.0, 1.0) * (extent.x1 - extent.x0),
                extent.y0 + dice.unit() * (extent.y1 - extent.y0),
            ]
        })
        .collect();
    let mut curve = Vec::new();
    // Catmull-Rom through the knots.
    for window in knots.windows(4) {
        for step in 0..10 {
            let t = step as f32 / 10.0;
            let at = |axis: usize| {
                let [a, b, c, d] = [window[0][axis], window[1][axis], window[2][axis], window[3][axis]];
                0.5 * (2.0 * b
                    + (c - a) * t
                    + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                    + (3.0 * b - a - 3.0 * c + d) * t * t * t)
            };
            curve.push([at(0), at(1)]);
        }
    }
    let width = dice.range(0.18, 0.4);
    sheet.stroke(&curve, width, ink, 0.9);
}
