//! From a printed sheet to the picture that somebody uploads.

mod backdrop;
mod framing;
mod lens;
mod light;
mod obstacles;
mod shot;
mod surfaces;

pub(crate) use backdrop::Backdrop;
pub use backdrop::Ground;
pub(crate) use shot::{Shot, Wishes};

use std::collections::BTreeSet;

use image::RgbImage;

use crate::case::Print;
use crate::dice::Dice;
use crate::noise::{mix3, ramp};
use crate::sheet::{Extent, Sheet, bytes};
use crate::truth::Medium;

/// Takes the picture: the sheet on the backdrop, upright, not yet encoded.
pub(crate) fn take(shot: &Shot, sheet: &Sheet, backdrop: &Backdrop, dice: &Dice) -> RgbImage {
    let mut picture = expose(shot, sheet, backdrop, &mut dice.branch(1));
    if shot.medium == Medium::Photocopy {
        copy(&mut picture, &mut dice.branch(2));
    }
    lens::shake(&mut picture, shot.motion, shot.motion_angle);
    lens::blur(&mut picture, shot.blur);
    lens::noise(&mut picture, shot.noise, if shot.grey { 0.0 } else { shot.tint }, dice.branch(3).raw());
    if shot.grey {
        for pixel in picture.pixels_mut() {
            pixel.0 = [luma(pixel.0); 3];
        }
    }
    picture
}

fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b)) >> 8) as u8
}

/// Everything up to the lens: geometry, surfaces, light, fingers, reflections.
fn expose(shot: &Shot, sheet: &Sheet, backdrop: &Backdrop, dice: &mut Dice) -> RgbImage {
    let [width, height] = shot.size;
    let light = light::Light::new(shot, dice);
    let screen = (shot.medium == Medium::Screen).then(|| light::Pixels::new(shot, dice));
    let lifted = matches!(shot.medium, Medium::Photo | Medium::Scan | Medium::Photocopy);
    let (drop, soft, dark) = (dice.range(-1.6, 1.6), dice.range(1.0, 4.0), dice.range(0.25, 0.6));
    let dark = match shot.medium {
        Medium::Photo => dark,
        _ => 0.35 * dark,
    };
    let scale = shot.placement_scale();
    let step = shot.pose.row_step();
    let mut picture = RgbImage::new(width, height);
    for (y, row) in picture.as_mut().chunks_exact_mut(width as usize * 3).enumerate() {
        let mut at = shot.pose.sheet_homogeneous(0.5, y as f32 + 0.5);
        let lights = light.row(y as f32);
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let (mut u, mut v) = (at[0] / at[2], at[1] / at[2]);
            for (value, step) in at.iter_mut().zip(step) {
                *value += step;
            }
            let gain = screen.as_ref().map_or([1.0; 3], |screen| screen.look(&mut u, &mut v));
            let edge = rounded_distance(sheet, u, v);
            let cover = (0.5 - edge * scale).clamp(0.0, 1.0);
            let mut colour = if cover < 1.0 {
                let mut ground = backdrop.colour(u, v);
                if lifted {
                    let shadow =
                        ramp(soft, -0.3 * soft, rounded_distance(sheet, u - drop, v - 0.5 * drop.abs()));
                    ground = ground.map(|c| c * (1.0 - dark * shadow));
                }
                if edge > 0.0 && edge < shot.rim {
                    // Clear foil, its own edge a line of light.
                    let glint = ramp(0.5, 0.0, shot.rim - edge);
                    ground = mix3(ground, [244.0; 3], 0.16 + 0.4 * glint);
                }
                if cover > 0.0 { mix3(ground, sample(sheet, u, v), cover) } else { ground }
            } else {
                sample(sheet, u, v)
            };
            for finger in &shot.fingers {
                colour = finger.over(u, v, colour);
            }
            let lit = lights.at(x as f32);
            let flash = 255.0 * shot.glare.iter().map(|glare| glare.light(u, v)).sum::<f32>();
            let flash = flash * (0.25 + 0.75 * cover);
            for c in 0..3 {
                colour[c] = colour[c] * gain[c] * lit[c] + flash;
            }
            pixel.copy_from_slice(&bytes(colour));
        }
    }
    picture
}

/// Distance in millimetres to the outline of the sheet with its rounded corners; negative inside.
fn rounded_distance(sheet: &Sheet, x: f32, y: f32) -> f32 {
    let (half_w, half_h, r) = (sheet.width / 2.0, sheet.height / 2.0, sheet.radius);
    let dx = (x - half_w).abs() - half_w + r;
    let dy = (y - half_h).abs() - half_h + r;
    let outside = (dx.max(0.0).powi(2) + dy.max(0.0).powi(2)).sqrt();
    outside + dx.max(dy).min(0.0) - r
}

/// Colour of the sheet between its pixels.
fn sample(sheet: &Sheet, x: f32, y: f32) -> [f32; 3] {
    let (width, height) = (sheet.pixels.width() as usize, sheet.pixels.height() as usize);
    let px = (x * sheet.scale - 0.5).clamp(0.0, (width - 1) as f32);
    let py = (y * sheet.scale - 0.5).clamp(0.0, (height - 1) as f32);
    let (x0, y0) = (px as usize, py as usize);
    let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
    let (tx, ty) = (px - x0 as f32, py - y0 as f32);
    let raw = sheet.pixels.as_raw();
    let (a, b) = ((y0 * width + x0) * 3, (y0 * width + x1) * 3);
    let (c, d) = ((y1 * width + x0) * 3, (y1 * width + x1) * 3);
    let (wa, wb, wc, wd) = ((1.0 - tx) * (1.0 - ty), tx * (1.0 - ty), (1.0 - tx) * ty, tx * ty);
    std::array::from_fn(|n| {
        wa * f32::from(raw[a + n])
            + wb * f32::from(raw[b + n])
            + wc * f32::from(raw[c + n])
            + wd * f32::from(raw[d + n])
    })
}

/// A copier: no colour, hard contrast, toner dust.
fn copy(picture: &mut RgbImage, dice: &mut Dice) {
    let black = dice.range(8.0, 56.0);
    let white = dice.range(155.0, 205.0);
    let paper = dice.range(236.0, 254.0);
    let toner = dice.range(8.0, 46.0);
    let curve: Vec<u8> =
        (0..256).map(|level| (toner + (paper - toner) * ramp(black, white, level as f32)) as u8).collect();
    for pixel in picture.pixels_mut() {
        pixel.0 = [curve[usize::from(luma(pixel.0))]; 3];
    }
}

/// The fields of which some letter cannot be seen: under a finger, in a reflection, outside the picture.
pub(crate) fn hidden_fields(shot: &Shot, sheet: &Sheet) -> BTreeSet<String> {
    let covered = covered(shot);
    sheet.marks.iter().filter(|mark| covered(&mark.extent)).map(|mark| mark.field.to_owned()).collect()
}

/// What stands on the sheet and can be seen whole.
pub(crate) fn visible_prints(shot: &Shot, sheet: &Sheet) -> Vec<Print> {
    let covered = covered(shot);
    let seen = sheet.prints.iter().filter(|(_, extent)| !covered(extent));
    seen.map(|(text, Extent { x0, y0, x1, y1 })| Print {
        text: text.clone(),
        corners: [[*x0, *y0], [*x1, *y0], [*x1, *y1], [*x0, *y1]].map(|corner| shot.pose.picture(corner)),
    })
    .collect()
}

/// Whether some letter of what stands in a place cannot be seen.
fn covered(shot: &Shot) -> impl Fn(&Extent) -> bool {
    let [width, height] = shot.size.map(|pixels| pixels as f32);
    let unseen = move |x: f32, y: f32| {
        let [px, py] = shot.pose.picture([x, y]);
        !(0.0..width).contains(&px)
            || !(0.0..height).contains(&py)
            || shot.fingers.iter().any(|finger| finger.covers(x, y))
            || shot.glare.iter().any(|glare| glare.covers(x, y))
    };
    move |extent: &Extent| {
        // Columns about half a letter wide; one of which more than a third is gone makes the letter unreadable.
        let columns = (((extent.x1 - extent.x0) / 0.7).ceil() as usize).max(1);
        (0..=columns).any(|column| {
            let x = extent.x0 + (extent.x1 - extent.x0) * column as f32 / columns as f32;
            (0..6)
                .filter(|row| unseen(x, extent.y0 + (extent.y1 - extent.y0) * (*row as f32 + 0.5) / 6.0))
                .count()
                > 2
        })
    }
}
