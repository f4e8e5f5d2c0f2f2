//! What the outputs of the two networks mean.

use crate::engine::Error;
use crate::geometry::distance;
use crate::page::{Point, Quad};

/// Side of the first look's input, and of one cell of its maps, in pixels.
pub(super) const FIRST_SIDE: u32 = 192;
const FIRST_CELL: usize = 8;
const CELLS: usize = FIRST_SIDE as usize / FIRST_CELL;
/// Input of the second look, one cell of its maps, and how many cells deep the band is in which a side is sought.
pub(super) const SECOND_WIDTH: u32 = 256;
pub(super) const SECOND_HEIGHT: u32 = 192;
const SECOND_CELL: usize = 4;
const COLUMNS: usize = SECOND_WIDTH as usize / SECOND_CELL;
const ROWS: usize = SECOND_HEIGHT as usize / SECOND_CELL;
const BAND: usize = 14;
const KINDS: usize = 8;
/// Cells around the peak of a corner's map that say where it is.
const CORNER_REACH: usize = 2;
/// Bins around the peak that say where a side runs.
const SIDE_REACH: usize = 1;
/// Share of a side's length at either end that is left out: margin and round corner.
const SIDE_END: f32 = 0.14;
/// Distance from the fitted line, in bins, at which a place counts half.
const OUTLIER: f32 = 0.15;
const FITS: usize = 4;

/// A second peak of a corner's map with less of it than this is none.
const SECOND_PEAK: f32 = 0.05;
/// Nor one that is nearer to the first than the same corners of two cards are, in pixels of the input.
const SECOND_DISTANCE: f32 = 40.0;
/// Width by height of what four peaks may span: a card seen from the side as well.
const ASPECTS: std::ops::Range<f32> = 1.15..2.2;
/// Most that a side may be longer than the opposite one.
const MAX_TAPER: f32 = 1.8;
/// Ways to put four peaks together that are looked at.
const MAX_QUADS: usize = 6;

/// Holds what the first look says: where each corner may be, one place or two.
#[derive(Clone, Debug)]
pub(super) struct First {
    peaks: [Vec<Peak>; 4],
}

#[derive(Clone, Copy, Debug)]
struct Peak {
    /// In pixels of the first look's input.
    at: Point,
    /// Share of the map that lies about it.
    mass: f32,
}

/// What the second look says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    /// In pixels of its input, in the order of the input's corners.
    pub(super) corners: [Point; 4],
    /// Least of the sides' mean certainties.
    pub(super) certainty: f32,
    pub(super) kind: usize,
    /// Probability that it is a card of any kind.
    pub(super) card: f32,
    /// The card's own first corner is the input's corner of this number, counted backwards.
    pub(super) turn: usize,
    pub(super) turn_probability: f32,
    pub(super) mirrored: bool,
}

pub(super) fn first(out: &[f32]) -> Result<First, Error> {
    let cells = CELLS * CELLS;
    let (maps, _) = split(out, 4 * cells, KINDS + 3 + 1)?;
    let mut peaks: [Vec<Peak>; 4] = Default::default();
    for (peaks, map) in peaks.iter_mut().zip(maps.chunks_exact(cells)) {
        let mut probability = softmax(map);
        peaks.push(take_peak(&mut probability));
        // What is left of the map lies elsewhere: on another card.
        let second = take_peak(&mut probability);
        let is_apart = distance(second.at, peaks[0].at) >= SECOND_DISTANCE;
        if second.mass >= SECOND_PEAK && is_apart {
            peaks.push(second);
        }
    }
    Ok(First { peaks })
}

/// Takes the place about the likeliest cell, and how much lies there, away from the map.
fn take_peak(probability: &mut [f32]) -> Peak {
    let peak = largest(probability);
    let (row, column) = (peak / CELLS, peak % CELLS);
    let (mut mass, mut x, mut y) = (1e-9, 0.0, 0.0);
    for r in row.saturating_sub(CORNER_REACH)..(row + CORNER_REACH + 1).min(CELLS) {
        for c in column.saturating_sub(CORNER_REACH)..(column + CORNER_REACH + 1).min(CELLS) {
            let weight = std::mem::take(&mut probability[r * CELLS + c]);
            mass += weight;
            x += weight * (c as f32 + 0.5);
            y += weight * (r as f32 + 0.5);
        }
    }
    Peak { at: Point { x: x / mass * FIRST_CELL as f32, y: y / mass * FIRST_CELL as f32 }, mass }
}

impl First {
    /// The quadrilaterals that a card may fill, in pixels of the input, likeliest first, each with the least certainty of a
    /// corner: the likeliest places, and where there are two cards the others that go together.
    pub(super) fn quads(&self) -> Vec<(Quad, f32)> {
        let mut quads: Vec<(f32, Quad, f32)> = Vec::new();
        for choice in 0..16_usize {
            let Some(peaks) = self.chosen(choice) else { continue };
            let quad = Quad(peaks.map(|(peak, _)| peak.at));
            let plausible = choice == 0 || {
                let q = quad.0;
                let taper = |a: f32, b: f32| a < MAX_TAPER * b && b < MAX_TAPER * a;
                ASPECTS.contains(&(quad.width() / quad.height().max(1e-3)))
                    && taper(distance(q[0], q[1]), distance(q[3], q[2]))
                    && taper(distance(q[0], q[3]), distance(q[1], q[2]))
                    && is_convex(&quad)
            };
            if plausible {
                let likelihood = peaks.iter().map(|(peak, _)| peak.mass).product();
                let certainty = peaks.iter().map(|(_, certainty)| *certainty).fold(1.0, f32::min);
                quads.push((likelihood, quad, certainty));
            }
        }
        quads.sort_by(|a, b| b.0.total_cmp(&a.0));
        quads.truncate(MAX_QUADS);
        quads.into_iter().map(|(_, quad, certainty)| (quad, certainty)).collect()
    }

    /// For each corner its first or second place, as the bits of `choice` say, with how much of what lies not at the other
    /// place lies at this one.
    fn chosen(&self, choice: usize) -> Option<[(Peak, f32); 4]> {
        let mut chosen = [(Peak { at: Point::default(), mass: 0.0 }, 0.0); 4];
        for (corner, (slot, peaks)) in chosen.iter_mut().zip(&self.peaks).enumerate() {
            let nth = choice >> corner & 1;
            let peak = *peaks.get(nth)?;
            let other = peaks.get(1 - nth).map_or(0.0, |other| other.mass);
            *slot = (peak, peak.mass / (1.0 - other).max(peak.mass));
        }
        Some(chosen)
    }
}

pub(super) fn second(out: &[f32]) -> Result<Second, Error> {
    let places = [COLUMNS, ROWS, COLUMNS, ROWS];
    let (maps, classes) = split(out, 2 * (COLUMNS + ROWS) * BAND, KINDS + 4 + 1)?;
    let mut certainty: f32 = 1.0;
    let mut sides = [Side::default(); 4];
    let mut at = 0;
    for (n, side) in sides.iter_mut().enumerate() {
        let sure;
        let offset = [0, COLUMNS - BAND, ROWS - BAND, 0][n];
        (*side, sure) = Side::fit(&maps[at..at + places[n] * BAND], offset);
        certainty = certainty.min(sure);
        at += places[n] * BAND;
    }
    let [top, right, bottom, left] = sides;
    let corners =
        [top.crossing(&left), top.crossing(&right), bottom.crossing(&right), bottom.crossing(&left)];
    let kinds = softmax(&classes[..KINDS]);
    let turns = softmax(&classes[KINDS..KINDS + 4]);
    let turn = largest(&turns);
    Ok(Second {
        corners,
        certainty,
        kind: largest(&kinds),
        card: kinds[..6].iter().sum(),
        turn,
        turn_probability: turns[turn],
        mirrored: classes[KINDS + 4] > 0.0,
    })
}

/// A line that runs along one axis: how far across it is, as `base + slope × along`, in cells.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    base: f32,
    slope: f32,
}

impl Side {
    /// The line through the likeliest place of each row of bins, and how sure those are on average. Places far off the
    /// line count little: a finger, a reflection.
    fn fit(maps: &[f32], offset: usize) -> (Self, f32) {
        let count = maps.len() / BAND;
        let inner = SIDE_END * count as f32..(1.0 - SIDE_END) * count as f32;
        let mut seen: Vec<(f32, f32, f32)> = Vec::with_capacity(count);
        for (n, bins) in maps.chunks_exact(BAND).enumerate() {
            let along = n as f32 + 0.5;
            if inner.contains(&along) {
                let (place, mass) = peak(&softmax(bins));
                seen.push((along, place + offset as f32, mass));
            }
        }
        let sure = seen.iter().map(|(_, _, mass)| mass).sum::<f32>() / seen.len().max(1) as f32;
        let mut side = Self::default();
        for round in 0..FITS {
            let (mut w, mut a, mut p, mut aa, mut ap) = (1e-9_f64, 0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
            for &(along, place, mass) in &seen {
                let off = if round == 0 { 0.0 } else { (place - side.base - side.slope * along) / OUTLIER };
                let weight = f64::from(mass.powi(4) / (1.0 + off * off));
                let (along, place) = (f64::from(along), f64::from(place));
                w += weight;
                a += weight * along;
                p += weight * place;
                aa += weight * along * along;
                ap += weight * along * place;
            }
            let slope = (ap - a * p / w) / (aa - a * a / w).max(1e-9);
            side = Self { base: ((p - slope * a) / w) as f32, slope: slope as f32 };
        }
        (side, sure)
    }

    /// Where a level line meets an upright one, in pixels.
    fn crossing(&self, upright: &Self) -> Point {
        let x = (upright.base + upright.slope * self.base) / (1.0 - upright.slope * self.slope);
        Point { x: x * SECOND_CELL as f32, y: (self.base + self.slope * x) * SECOND_CELL as f32 }
    }
}

/// Mean place about the likeliest bin, and how much of all lies there.
fn peak(probability: &[f32]) -> (f32, f32) {
    let best = largest(probability);
    let near = best.saturating_sub(SIDE_REACH)..(best + SIDE_REACH + 1).min(probability.len());
    let mass: f32 = probability[near.clone()].iter().sum();
    let place: f32 = near.map(|n| probability[n] * (n as f32 + 0.5)).sum();
    (place / mass, mass)
}

/// The same corners in the card's own order, given that its first one is the input's corner `turn` backwards and whether
/// left and right are exchanged.
pub(super) fn own_order(corners: &Quad, turn: usize, mirrored: bool) -> Quad {
    let shown = if mirrored { corners.mirrored() } else { *corners };
    shown.turned((4 - turn) % 4)
}

/// Returns how sure it is that there is a card and that its corners are right, from what both looks say (`first` is the
/// certainty of the first look's quadrilateral) and how far the last one moved the corners, in shares of the card's width.
pub(super) fn confidence(first: f32, second: &Second, moved: f32) -> f32 {
    // Looking again from corners that were right moves them little.
    let settled = 1.0 / (1.0 + (moved / 0.06).powi(4));
    second.card * second.certainty * settled * first.max(0.05).powf(0.1)
}

pub(super) fn signed_area(quad: &Quad) -> f32 {
    let q = quad.0;
    (0..4).map(|i| q[i].x * q[(i + 1) % 4].y - q[(i + 1) % 4].x * q[i].y).sum::<f32>() / 2.0
}

/// Whether the corners span a quadrilateral that a card can look like, whichever way round.
pub(super) fn is_convex(quad: &Quad) -> bool {
    let q = quad.0;
    let turn = |i: usize| {
        let (a, b, c) = (q[i], q[(i + 1) % 4], q[(i + 2) % 4]);
        (b.x - a.x) * (c.y - b.y) - (b.y - a.y) * (c.x - b.x)
    };
    let turns = [turn(0), turn(1), turn(2), turn(3)];
    let sides = (0..4).map(|i| distance(q[i], q[(i + 1) % 4]));
    q.iter().all(|p| p.x.is_finite() && p.y.is_finite())
        && (turns.iter().all(|t| *t > 0.0) || turns.iter().all(|t| *t < 0.0))
        && sides.fold(f32::INFINITY, f32::min) > 8.0
}

fn split(out: &[f32], maps: usize, classes: usize) -> Result<(&[f32], &[f32]), Error> {
    if out.len() != maps + classes {
        return Err(Error::Failed("the network that locates cards has an output of another size".into()));
    }
    Ok(out.split_at(maps))
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut values: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
    values
}

fn largest(values: &[f32]) -> usize {
    values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(n, _)| n)
}
