//! Edges of a picture and the straight lines among them.

use image::RgbImage;

use super::Surroundings;
use crate::page::{Point, Quad};
use crate::select::nth;

/// Lines are sought within this many degrees of the wanted direction.
const SPREAD: i32 = 14;
/// A gradient belongs to a line when it points within this angle of the line's normal.
const ALIGNED_DEGREES: f32 = 6.0;
/// Weaker edges than this (of 0..=1) do not vote.
const MIN_VOTE: f32 = 0.45;
/// Lines closer than this many pixels are the same line.
const APART: f32 = 5.0;

/// The gradient of a picture on a logarithmic brightness scale, so that a card in the dark has edges too.
pub(super) struct Edges {
    width: usize,
    height: usize,
    /// Unit normal times strength, and the strength, 0..=1, where 1 is well above the picture's own noise.
    gradient: Vec<(f32, f32, f32)>,
    /// Where it is strong enough for a vote.
    strong: Vec<Point>,
    /// Brightness of each colour channel on the logarithmic scale.
    planes: Vec<Vec<f32>>,
}

/// A line as all points with `normal · p = offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    normal: Point,
    offset: f32,
}

/// A line with the edge strength along it, summed up so that the support of any part of it is one subtraction.
pub(super) struct Candidate {
    pub(super) side: Side,
    /// Sum of edge strengths up to each step of one pixel, starting `-reach` pixels from the foot of the origin.
    sums: Vec<f32>,
    reach: f32,
}

impl Candidate {
    /// Share of the line between `a` and `b` (points on it), without its ends, along which there is an edge.
    pub(super) fn support(&self, a: Point, b: Point, ends: f32) -> f32 {
        let (ta, tb) = (self.side.along(a), self.side.along(b));
        let (start, end) = (ta.min(tb), ta.max(tb));
        let margin = (end - start) * ends;
        let index = |t: f32| ((t + self.reach).max(0.0) as usize).min(self.sums.len() - 1);
        let (from, to) = (index(start + margin), index(end - margin));
        (self.sums[to] - self.sums[from]) / (end - start - 2.0 * margin).max(1.0)
    }
}

impl Side {
    /// Position along the line, in pixels from the foot of the origin.
    fn along(&self, p: Point) -> f32 {
        p.x * self.normal.y - p.y * self.normal.x
    }

    /// The inverse of `along`.
    fn point(&self, t: f32) -> Point {
        Point {
            x: self.normal.x * self.offset + self.normal.y * t,
            y: self.normal.y * self.offset - self.normal.x * t,
        }
    }

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
                let plane: Vec<f32> = picture
                    .as_raw()
                    .iter()
                    .skip(channel)
                    .step_by(3)
                    .map(|&v| logarithm[usize::from(v)])
                    .collect();
                smooth(&plane, width, height)
            })
            .collect();
        let mut gradient = vec![(0.0f32, 0.0f32, 0.0f32); width * height];
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
                let magnitude = f32::sqrt(strongest);
                gradient[at] = (best.0, best.1, magnitude);
                magnitudes.push(magnitude);
            }
        }
        // Three times the typical gradient is an edge; noise and texture raise the bar by themselves.
        let typical = if magnitudes.is_empty() { 0.0 } else { nth(&magnitudes, magnitudes.len() / 2) };
        let full = (3.0 * typical).clamp(0.04, 0.35);
        for g in &mut gradient {
            let magnitude = g.2;
            if magnitude > 1e-6 {
                let strength = (magnitude / full).min(1.0);
                let factor = strength / magnitude;
                *g = (g.0 * factor, g.1 * factor, strength);
            }
        }
        let strong = (0..gradient.len()).filter(|at| gradient[*at].2 >= MIN_VOTE);
        let strong = strong.map(|at| Point { x: (at % width) as f32, y: (at / width) as f32 }).collect();
        Self { width, height, gradient, strong, planes }
    }

    /// The strongest lines that run within `SPREAD` of `degrees`, by Hough votes of the edges in `near`.
    pub(super) fn lines(&self, degrees: f32, count: usize, near: &Surroundings) -> Vec<Candidate> {
        let slants: Vec<(f32, f32)> = (-SPREAD..=SPREAD)
            .map(|offset| {
                let angle = (degrees + 90.0 + offset as f32).to_radians();
                (angle.cos(), angle.sin())
            })
            .collect();
        let (mid_x, mid_y) = slants[SPREAD as usize];
        let steepest = (SPREAD as f32 + ALIGNED_DEGREES).to_radians().tan();
        let reach = self.width + self.height;
        let bins = 2 * reach;
        let mut votes = vec![0.0f32; slants.len() * bins];
        for p in self.strong.iter().filter(|p| near.contain(**p)) {
            let (gx, gy, strength) = self.gradient[p.y as usize * self.width + p.x as usize];
            // The gradient's angle against the middle slant, either way round; votes go to the slants about it.
            let (dot, cross) = (gx * mid_x + gy * mid_y, mid_x * gy - mid_y * gx);
            if cross.abs() > steepest * dot.abs() {
                continue;
            }
            let offset = (cross / dot).atan().to_degrees();
            let low = (offset - ALIGNED_DEGREES).ceil().max(-SPREAD as f32) as i32;
            let high = (offset + ALIGNED_DEGREES).floor().min(SPREAD as f32) as i32;
            for slot in low..=high {
                let slot = (slot + SPREAD) as usize;
                let (nx, ny) = slants[slot];
                let offset = (p.x + 0.5) * nx + (p.y + 0.5) * ny + reach as f32;
                let bin = offset as usize;
                if bin < bins {
                    votes[slot * bins + bin] += strength;
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
                if value > least
                    && value >= strength(slot, bin.max(2) - 1)
                    && value > strength(slot, (bin + 1).min(bins - 2))
                {
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
        kept.into_iter().map(|side| self.candidate(side)).collect()
    }

    fn candidate(&self, side: Side) -> Candidate {
        let reach = self.width + self.height;
        let n = side.normal;
        let mut sum = 0.0;
        let sums = (0..2 * reach)
            .map(|i| {
                let p = side.point(i as f32 - reach as f32);
                if self.index(p.x, p.y).is_some() {
                    sum += (-2..=2)
                        .map(|d| self.across(p.x + n.x * d as f32, p.y + n.y * d as f32, n))
                        .fold(0.0, f32::max);
                }
                sum
            })
            .collect();
        Candidate { side, sums, reach: reach as f32 }
    }

    /// How much the two sides of the line from `a` to `b` differ, in logarithmic brightness: what the given share of
    /// the line falls short of, so that letters or a pattern that merely line up count for little. `None` where most of
    /// the line's surroundings lie outside the picture.
    pub(super) fn step(&self, a: Point, b: Point, samples: usize, ends: f32, quantile: f32) -> Option<f32> {
        /// Pixels from the line to the places compared, clear of the soft edge itself.
        const CLEAR: f32 = 3.5;
        let n = Side::through(a, b)?.normal;
        let mut differences: Vec<Vec<f32>> = vec![Vec::with_capacity(samples); self.planes.len()];
        for i in 0..samples {
            let t = ends + (1.0 - 2.0 * ends) * (i as f32 + 0.5) / samples as f32;
            let (x, y) = (a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t);
            let before = self.index(x - n.x * CLEAR, y - n.y * CLEAR);
            let behind = self.index(x + n.x * CLEAR, y + n.y * CLEAR);
            if let (Some(before), Some(behind)) = (before, behind) {
                for (list, plane) in differences.iter_mut().zip(&self.planes) {
                    list.push(plane[behind] - plane[before]);
                }
            }
        }
        if differences[0].len() < samples / 2 {
            return None;
        }
        let steps = differences.iter().map(|list| {
            let low = (list.len() as f32 * quantile) as usize;
            let high = list.len() - 1 - low;
            let (below, above) = (nth(list, low), nth(list, high));
            // Brighter all along, or darker all along.
            below.max(-above)
        });
        Some(steps.fold(0.0, f32::max))
    }

    fn index(&self, x: f32, y: f32) -> Option<usize> {
        let inside = x >= 0.0 && y >= 0.0 && x < self.width as f32 && y < self.height as f32;
        inside.then(|| y as usize * self.width + x as usize)
    }

    /// Strength of the edge at a place whose normal is about `n`; 0 outside the picture.
    fn across(&self, x: f32, y: f32, n: Point) -> f32 {
        let Some(at) = self.index(x, y) else { return 0.0 };
        let (gx, gy, strength) = self.gradient[at];
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
        for (value, around) in out.iter_mut().skip(1).zip(row.windows(3)) {
            *value = 0.25 * (around[0] + 2.0 * around[1] + around[2]);
        }
    }
    let mut out = rows.clone();
    for (y, out) in out.chunks_exact_mut(width).enumerate().take(height.saturating_sub(1)).skip(1) {
        let row = |y: usize| &rows[y * width..][..width];
        let around = row(y - 1).iter().zip(row(y)).zip(row(y + 1));
        for (value, ((above, own), below)) in out.iter_mut().zip(around) {
            *value = 0.25 * (above + 2.0 * own + below);
        }
    }
    out
}
