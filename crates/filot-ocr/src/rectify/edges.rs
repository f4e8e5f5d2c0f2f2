//! Edges of a picture and the straight lines among them.

use image::RgbImage;

use super::Surroundings;
use crate::page::{Point, Quad};

/// Lines are sought within this many degrees of the wanted direction.
const SPREAD: i32 = 14;
/// A gradient belongs to a line when it points within this angle of the line's normal.
const ALIGNED_DEGREES: f32 = 10.0;
/// Lines closer than this many pixels are the same line.
const APART: f32 = 5.0;

/// The gradient of a picture on a logarithmic brightness scale, so that a card in the dark has edges too.
pub(super) struct Edges {
    width: usize,
    height: usize,
    /// Unit normal times strength; strength is 0..=1, where 1 is well above the picture's own noise.
    gradient: Vec<(f32, f32)>,
}

/// A line as all points with `normal · p = offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    normal: Point,
    offset: f32,
}

impl Side {
    fn through(a: Point, b: Point) -> Option<Self> {
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let length = dx.hypot(dy);
        if length < 1e-3 {
            return None;
        }
        let normal = Point { x: -dy / length, y: dx / length };
        Some(Self { normal, offset: normal.x * a.x + normal.y * a.y })
    }

    pub(super) fn crossing(&self, other: &Side) -> Option<Point> {
        let det = self.normal.x * other.normal.y - self.normal.y * other.normal.x;
        (det.abs() > 0.2).then(|| Point {
            x: (self.offset * other.normal.y - other.offset * self.normal.y) / det,
            y: (self.normal.x * other.offset - other.normal.x * self.offset) / det,
        })
    }
}

impl Edges {
    pub(super) fn of(picture: &RgbImage) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let logarithm: Vec<f32> = (0..256).map(|v| ((v as f32 + 12.0) / 12.0).ln()).collect();
        let planes: Vec<Vec<f32>> = (0..3)
            .map(|channel| {
                let plane: Vec<f32> =
                    picture.as_raw().iter().skip(channel).step_by(3).map(|&v| logarithm[usize::from(v)]).collect();
                smooth(&plane, width, height)
            })
            .collect();
        let mut gradient = vec![(0.0, 0.0); width * height];
        let mut magnitudes = Vec::with_capacity(width * height);
        for y in 1..height.saturating_sub(1) {
            for x in 1..width.saturating_sub(1) {
                let at = y * width + x;
                let (mut best, mut strongest) = ((0.0, 0.0), 0.0);
                for plane in &planes {
                    let gx = plane[at + 1] - plane[at - 1];
                    let gy = plane[at + width] - plane[at - width];
                    let magnitude = gx * gx + gy * gy;
                    if magnitude > strongest {
                        (best, strongest) = ((gx, gy), magnitude);
                    }
                }
                gradient[at] = best;
                magnitudes.push(strongest.sqrt());
            }
        }
        // Three times the typical gradient is an edge; noise and texture raise the bar by themselves.
        let typical = if magnitudes.is_empty() {
            0.0
        } else {
            let middle = magnitudes.len() / 2;
            *magnitudes.select_nth_unstable_by(middle, f32::total_cmp).1
        };
        let full = (3.0 * typical).clamp(0.04, 0.35);
        for g in &mut gradient {
            let magnitude = g.0.hypot(g.1);
            if magnitude > 1e-6 {
                let strength = (magnitude / full).min(1.0);
                *g = (g.0 / magnitude * strength, g.1 / magnitude * strength);
            }
        }
        Self { width, height, gradient }
    }

    /// The strongest lines that run within `SPREAD` of `degrees`, by Hough votes of the edges in `near`.
    pub(super) fn lines(&self, degrees: f32, count: usize, near: &Surroundings) -> Vec<Side> {
        let slants: Vec<(f32, f32)> = (-SPREAD..=SPREAD)
            .map(|offset| {
                let angle = (degrees + 90.0 + offset as f32).to_radians();
                (angle.cos(), angle.sin())
            })
            .collect();
        let reach = self.width + self.height;
        let bins = 2 * reach;
        let mut votes = vec![0.0f32; slants.len() * bins];
        let aligned = ALIGNED_DEGREES.to_radians().cos();
        for y in 0..self.height {
            for x in 0..self.width {
                let (gx, gy) = self.gradient[y * self.width + x];
                let strength = gx.hypot(gy);
                if strength < 0.4 || !near.contain(Point { x: x as f32, y: y as f32 }) {
                    continue;
                }
                for (slot, (nx, ny)) in slants.iter().enumerate() {
                    if (gx * nx + gy * ny).abs() < aligned * strength {
                        continue;
                    }
                    let offset = (x as f32 + 0.5) * nx + (y as f32 + 0.5) * ny + reach as f32;
                    let bin = offset as usize;
                    if bin < bins {
                        votes[slot * bins + bin] += strength;
                    }
                }
            }
        }
        // A line that is two pixels wide votes in neighbouring bins.
        let strength = |slot: usize, bin: usize| {
            let row = &votes[slot * bins..][..bins];
            row[bin] + 0.5 * (row[bin - 1] + row[bin + 1])
        };
        let mut peaks: Vec<(f32, usize, usize)> = Vec::new();
        let least = 0.08 * self.width.min(self.height) as f32;
        for slot in 0..slants.len() {
            for bin in 1..bins - 1 {
                let value = strength(slot, bin);
                if value > least && value >= strength(slot, bin.max(2) - 1) && value > strength(slot, (bin + 1).min(bins - 2)) {
                    peaks.push((value, slot, bin));
                }
            }
        }
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0));
        let centre = Point { x: self.width as f32 / 2.0, y: self.height as f32 / 2.0 };
        let mut kept: Vec<Side> = Vec::new();
        for (_, slot, bin) in peaks {
            let (nx, ny) = slants[slot];
            let side = Side { normal: Point { x: nx, y: ny }, offset: bin as f32 + 0.5 - reach as f32 };
            // The same edge seen at slightly different slants: compare where the lines pass the middle of the picture.
            let duplicate = kept.iter().any(|other| {
                let gap = |s: &Side| s.offset - s.normal.x * centre.x - s.normal.y * centre.y;
                let turn = (side.normal.x * other.normal.y - side.normal.y * other.normal.x).abs();
                (gap(&side) - gap(other)).abs() < APART + turn * 0.25 * reach as f32 && turn < 0.12
            });
            if !duplicate {
                kept.push(side);
                if kept.len() == count {
                    break;
                }
            }
        }
        kept
    }

    /// Share of the side from `a` to `b` (without its ends) along which there is an edge in its direction.
    pub(super) fn support(&self, a: Point, b: Point, samples: usize, ends: f32) -> f32 {
        let Some(side) = Side::through(a, b) else { return 0.0 };
        let n = side.normal;
        let mut sum = 0.0;
        for i in 0..samples {
            let t = ends + (1.0 - 2.0 * ends) * (i as f32 + 0.5) / samples as f32;
            let (x, y) = (a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t);
            let strongest = (-2..=2).map(|d| self.across(x + n.x * d as f32, y + n.y * d as f32, n)).fold(0.0, f32::max);
            sum += strongest;
        }
        sum / samples as f32
    }

    /// Strength of the edge at a place whose normal is about `n`; 0 outside the picture.
    fn across(&self, x: f32, y: f32, n: Point) -> f32 {
        if x < 0.0 || y < 0.0 || x >= self.width as f32 || y >= self.height as f32 {
            return 0.0;
        }
        let (gx, gy) = self.gradient[y as usize * self.width + x as usize];
        let strength = gx.hypot(gy);
        let projected = (gx * n.x + gy * n.y).abs();
        if projected > 0.85 * strength { projected } else { 0.0 }
    }

    /// Moves each side to the strongest edge nearby and returns the new corners; sides without a clear edge stay.
    pub(super) fn refine(&self, quad: &Quad) -> Quad {
        const STEPS: usize = 40;
        let sides: Vec<Option<Side>> = (0..4)
            .map(|i| {
                let (a, b) = (quad.0[i], quad.0[(i + 1) % 4]);
                let side = Side::through(a, b)?;
                let n = side.normal;
                let mut points = Vec::with_capacity(STEPS);
                for step in 0..STEPS {
                    let t = 0.08 + 0.84 * (step as f32 + 0.5) / STEPS as f32;
                    let (x, y) = (a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t);
                    let (mut weight, mut moment) = (0.0, 0.0);
                    for d in -8..=8 {
                        let d = d as f32 * 0.5;
                        let strength = self.across(x + n.x * d, y + n.y * d, n).powi(2);
                        weight += strength;
                        moment += strength * d;
                    }
                    if weight > 0.5 {
                        let d = moment / weight;
                        points.push((t, d));
                    }
                }
                if points.len() < STEPS / 3 {
                    return Some(side);
                }
                let (at_a, at_b) = fit(&mut points);
                Side::through(
                    Point { x: a.x + n.x * at_a, y: a.y + n.y * at_a },
                    Point { x: b.x + n.x * at_b, y: b.y + n.y * at_b },
                )
            })
            .collect();
        let corners: [Option<Point>; 4] = std::array::from_fn(|i| {
            let (before, after) = (sides[(i + 3) % 4].as_ref()?, sides[i].as_ref()?);
            before.crossing(after)
        });
        match corners {
            [Some(a), Some(b), Some(c), Some(d)] => Quad([a, b, c, d]),
            _ => *quad,
        }
    }
}

/// Displacement at the side's two ends by least squares, after dropping the points far from a first fit.
fn fit(points: &mut Vec<(f32, f32)>) -> (f32, f32) {
    for _ in 0..2 {
        let (intercept, slope) = line_fit(points);
        points.retain(|(t, d)| (intercept + slope * t - d).abs() < 1.5);
        if points.len() < 6 {
            return (0.0, 0.0);
        }
    }
    let (intercept, slope) = line_fit(points);
    (intercept, intercept + slope)
}

fn line_fit(points: &[(f32, f32)]) -> (f32, f32) {
    let n = points.len().max(1) as f32;
    let (mean_t, mean_d) =
        (points.iter().map(|p| p.0).sum::<f32>() / n, points.iter().map(|p| p.1).sum::<f32>() / n);
    let spread: f32 = points.iter().map(|p| (p.0 - mean_t).powi(2)).sum();
    let slope = if spread > 1e-6 {
        points.iter().map(|p| (p.0 - mean_t) * (p.1 - mean_d)).sum::<f32>() / spread
    } else {
        0.0
    };
    (mean_d - slope * mean_t, slope)
}

/// A binomial blur over 3 × 3 pixels.
fn smooth(plane: &[f32], width: usize, height: usize) -> Vec<f32> {
    let mut rows = plane.to_vec();
    for (out, row) in rows.chunks_exact_mut(width).zip(plane.chunks_exact(width)) {
        for x in 1..width.saturating_sub(1) {
            out[x] = 0.25 * (row[x - 1] + 2.0 * row[x] + row[x + 1]);
        }
    }
    let mut out = rows.clone();
    for y in 1..height.saturating_sub(1) {
        for x in 0..width {
            let at = y * width + x;
            out[at] = 0.25 * (rows[at - width] + 2.0 * rows[at] + rows[at + width]);
        }
    }
    out
}
