//! The light on a scene, and the pixels of a photographed screen.

use super::shot::Shot;
use crate::dice::Dice;
use crate::noise::{Noise, mix, ramp, wave};

/// Spacing of the lattice on which light is worked out.
const CELL: f32 = 16.0;

/// Factors by which each channel is lit, varying slowly over the picture.
pub(crate) struct Light {
    columns: usize,
    lattice: Vec<f32>,
    tint: [f32; 3],
}

/// The light along one row of pixels.
pub(crate) struct Row<'a> {
    upper: &'a [f32],
    lower: &'a [f32],
    t: f32,
    tint: [f32; 3],
}

impl Light {
    pub(crate) fn new(shot: &Shot, dice: &mut Dice) -> Self {
        let [width, height] = shot.size.map(|pixels| pixels as f32);
        let noise = Noise::new(dice);
        let slope = [dice.range(-1.0, 1.0), dice.range(-1.0, 1.0)].map(|s| s * shot.unevenness);
        let corner = dice.range(0.0, 0.6) * shot.unevenness;
        let cast = shot.shadow.then(|| {
            let angle = dice.range(0.0, std::f32::consts::TAU);
            let (offset, width, depth) =
                (dice.range(-0.25, 0.2), dice.range(0.02, 0.25), dice.range(0.3, 0.62));
            // Where there is little light already, little is left to take away.
            let depth = if shot.low_light { 0.5 * depth } else { depth };
            (angle.sin_cos(), offset, width, depth, dice.range(0.0, 0.12))
        });
        let columns = (width / CELL).ceil() as usize + 2;
        let rows = (height / CELL).ceil() as usize + 2;
        let lattice = (0..rows * columns)
            .map(|n| {
                let x = (n % columns) as f32 * CELL / width - 0.5;
                let y = (n / columns) as f32 * CELL / height - 0.5;
                let mut level = 1.0 + slope[0] * x + slope[1] * y - corner * (x * x + y * y);
                level += 0.25 * shot.unevenness * noise.at(x * 2.0, y * 2.0);
                if let Some(((sin, cos), offset, width, depth, wavy)) = cast {
                    let side = x * cos + y * sin - offset + wavy * noise.at(x * 4.0 + 9.0, y * 4.0);
                    level *= 1.0 - depth * ramp(0.0, width, side);
                }
                level.max(0.05) * shot.exposure
            })
            .collect();
        Self { columns, lattice, tint: shot.white_balance }
    }

    pub(crate) fn row(&self, y: f32) -> Row<'_> {
        let row = (y / CELL) as usize;
        let line = |row: usize| &self.lattice[row * self.columns..(row + 1) * self.columns];
        Row { upper: line(row), lower: line(row + 1), t: y / CELL - row as f32, tint: self.tint }
    }
}

impl Row<'_> {
    pub(crate) fn at(&self, x: f32) -> [f32; 3] {
        let column = (x / CELL) as usize;
        let t = x / CELL - column as f32;
        let upper = mix(self.upper[column], self.upper[column + 1], t);
        let lower = mix(self.lower[column], self.lower[column + 1], t);
        let level = mix(upper, lower, self.t);
        self.tint.map(|gain| gain * level)
    }
}

/// The grid of a display: what it shows is cut into squares, each of three coloured stripes. Photographed, the grid beats
/// with the camera's own.
pub(crate) struct Pixels {
    /// Millimetres per pixel of the display.
    pitch: f32,
    depth: f32,
    /// Brightness bands from the refresh of the display, as turns per millimetre.
    band: f32,
}

impl Pixels {
    pub(crate) fn new(shot: &Shot, dice: &mut Dice) -> Self {
        // Between one and a half and three and a half camera pixels to one of the display.
        let pitch = (dice.range(1.5, 3.4) / shot.placement_scale()).clamp(0.09, 0.24);
        Self { pitch, depth: dice.range(0.25, 0.55), band: dice.range(0.004, 0.02) }
    }

    /// Moves a position to the centre of its display pixel and tells how bright each channel is there.
    pub(crate) fn look(&self, x: &mut f32, y: &mut f32) -> [f32; 3] {
        let (column, row) = (*x / self.pitch, *y / self.pitch);
        let line = 1.0 - self.depth * 0.5 * (1.0 + wave(row + 0.25));
        let band = 1.0 + 0.06 * wave(*y * self.band);
        let gain = [0.0, 1.0 / 3.0, 2.0 / 3.0]
            .map(|stripe| (1.0 - self.depth * 0.6 * (1.0 + wave(column + stripe))) * line * band * 1.25);
        *x = (column.floor() + 0.5) * self.pitch;
        *y = (row.floor() + 0.5) * self.pitch;
        gain
    }
}
