//! Smooth random fields and cheap waves: the stuff of backgrounds, light and paper.

use crate::dice::Dice;

const SIDE: usize = 64;

/// Value noise on a lattice that repeats every 64 units.
pub(crate) struct Noise {
    lattice: Box<[f32; SIDE * SIDE]>,
}

impl Noise {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let mut lattice = Box::new([0.0; SIDE * SIDE]);
        lattice.fill_with(|| dice.range(-1.0, 1.0));
        Self { lattice }
    }

    /// A smooth value in `-1.0..1.0`; features are about one unit in size.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (floor(x), floor(y));
        let (tx, ty) = (smooth(x - fx as f32), smooth(y - fy as f32));
        // The side is a power of two, so masking wraps negative positions as well.
        const MASK: i32 = SIDE as i32 - 1;
        let value = |x: i32, y: i32| self.lattice[((y & MASK) * SIDE as i32 + (x & MASK)) as usize];
        let a = mix(value(fx, fy), value(fx + 1, fy), tx);
        let b = mix(value(fx, fy + 1), value(fx + 1, fy + 1), tx);
        mix(a, b, ty)
    }

    /// Three octaves of [`Noise::at`], still within about ±1.
    pub(crate) fn cloud(&self, x: f32, y: f32) -> f32 {
        0.57 * self.at(x, y)
            + 0.29 * self.at(2.1 * x + 7.0, 2.1 * y)
            + 0.14 * self.at(4.3 * x, 4.3 * y + 11.0)
    }
}

/// The next whole number at or below `x`. `f32::floor` is a library call on processors without an instruction for it.
fn floor(x: f32) -> i32 {
    let near = x as i32;
    near - i32::from(near as f32 > x)
}

/// 0 to 1 with level ends.
pub(crate) fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// [`smooth`] from 0 at `from` to 1 at `to`; `from` may be the larger.
pub(crate) fn ramp(from: f32, to: f32, x: f32) -> f32 {
    smooth(((x - from) / (to - from)).clamp(0.0, 1.0))
}

pub(crate) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Mixes two colours.
pub(crate) fn mix3(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    [mix(a[0], b[0], t), mix(a[1], b[1], t), mix(a[2], b[2], t)]
}

/// Near enough to a sine of `turns` full turns, and several times quicker.
pub(crate) fn wave(turns: f32) -> f32 {
    let p = 2.0 * (turns - floor(turns) as f32) - 1.0;
    -4.0 * p * (1.0 - p.abs())
}

/// Quick uniform numbers for millions of pixels (xorshift64*).
pub(crate) struct Grain(u64);

impl Grain {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wave_is_close_to_a_sine() {
        for step in -40..40 {
            let turns = step as f32 / 16.0;
            assert!((wave(turns) - (turns * std::f32::consts::TAU).sin()).abs() < 0.06, "{turns}");
        }
    }

    #[test]
    fn noise_is_continuous_across_its_edge() {
        let noise = Noise::new(&mut Dice::new(1));
        for at in [0.0, 64.0, -64.0, 17.0] {
            assert!((noise.at(at - 0.001, 3.3) - noise.at(at + 0.001, 3.3)).abs() < 0.02);
        }
    }
}
