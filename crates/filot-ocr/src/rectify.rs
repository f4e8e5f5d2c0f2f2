//! Finds the four corners of a card: strong straight edges, combined to the quadrilateral that looks most like an
//! ID-1 card around the text.

mod edges;

use image::RgbImage;

use crate::geometry::distance;
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Point, Quad, Rect};
use edges::{Candidate, Edges};

/// Longer side of the picture in which edges are sought, in pixels.
pub(crate) const EDGE_SIDE: f32 = 512.0;
/// Edge candidates kept per direction.
const CANDIDATES: usize = 16;
/// Samples along one side when a quadrilateral is judged.
const SAMPLES: usize = 48;
/// The corners are round: the side's ends say nothing.
const CORNER: f32 = 0.07;
/// All four sides must show at least the first share of edge, and on average the second.
const MIN_SIDE_SUPPORT: f32 = 0.3;
const MIN_SUPPORT: f32 = 0.5;
/// Outlines checked for a difference between card and background, best first.
const CHECKED: usize = 60;
/// Share of the text that an outline has to hold to be believed easily.
const MOST_TEXT: f32 = 0.8;
/// Least difference between card and background across a side, in natural-logarithmic brightness of one channel: about
/// four grey levels on a bright surface.
const MIN_STEP: f32 = 0.02;
/// Aspect ratios further off than this factor are no card in any reasonable perspective.
const ASPECT_TOLERANCE: f32 = 1.3;
/// Smallest share of the picture that a card fills.
const MIN_AREA: f32 = 0.04;

/// Share of the text inside the outline against what the outline itself shows.
const TEXT_WEIGHT: f32 = 0.35;
/// How far the text spans the outline, likewise.
const EXTENT_WEIGHT: f32 = 0.5;
/// Per line of text that the outline cuts through.
const CUT_PENALTY: f32 = 0.1;

/// Edges of one picture, to look for cards in.
pub(crate) struct Finder {
    edges: Edges,
    /// In pixels.
    area: f32,
}

/// A card's corners, starting top left for text that runs in the wanted direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    pub(crate) quad: Quad,
    /// How much it looks like a card around that text; only for comparison with other outlines.
    pub(crate) score: f32,
    /// Whether card and background differ all around.
    pub(crate) clear: bool,
}

impl Finder {
    pub(crate) fn new(picture: &RgbImage) -> Self {
        Self { edges: Edges::of(picture), area: picture.width() as f32 * picture.height() as f32 }
    }

    /// Looks for a card whose text runs along `degrees`; `text` are the lines of that direction in pixels of the picture.
    /// With `nearby`, only edges in the surroundings of the text count, which helps against a busy background.
    pub(crate) fn outline(&self, text: &[Quad], degrees: f32, nearby: bool) -> Option<Outline> {
        find(&self.edges, self.area, text, degrees, nearby)
    }
}

fn find(edges: &Edges, area: f32, text: &[Quad], degrees: f32, nearby: bool) -> Option<Outline> {
    let near = Surroundings::of(if nearby { text } else { &[] }, degrees);
    let along = edges.lines(degrees, CANDIDATES, &near);
    let across = edges.lines(degrees + 90.0, CANDIDATES, &near);
    let crossings: Vec<Vec<Option<Point>>> = along
        .iter()
        .map(|level| across.iter().map(|upright| level.side.crossing(&upright.side)).collect())
        .collect();
    let axes = degrees.to_radians().sin_cos();
    let text: Vec<TextLine> = text.iter().map(|quad| TextLine::of(quad, axes)).collect();
    let mut outlines: Vec<(Outline, f32)> = Vec::new();
    for (i, top) in along.iter().enumerate() {
        for (k, bottom) in along.iter().enumerate().skip(i + 1) {
            for (j, left) in across.iter().enumerate() {
                let (Some(a), Some(d)) = (crossings[i][j], crossings[k][j]) else { continue };
                for (l, right) in across.iter().enumerate().skip(j + 1) {
                    let (Some(b), Some(c)) = (crossings[i][l], crossings[k][l]) else { continue };
                    let quad = in_order([a, b, c, d], axes);
                    let Some(shape) = likeness(&quad, area) else { continue };
                    let sides = [(top, a, b), (bottom, d, c), (left, a, d), (right, b, c)];
                    let Some(support) = support(sides) else { continue };
                    let inside = text.iter().filter(|line| contains(&quad, line.middle)).count() as f32;
                    let share = if text.is_empty() { 1.0 } else { inside / text.len() as f32 };
                    let cut = text.iter().filter(|line| line.crosses(&quad)).count() as f32;
                    let filled = EXTENT_WEIGHT * extent(&quad, &text);
                    let score = support + shape + TEXT_WEIGHT * share + filled - CUT_PENALTY * cut;
                    outlines.push((Outline { quad, score, clear: false }, share));
                }
            }
        }
    }
    outlines.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    outlines.iter().take(CHECKED).find_map(|(outline, share)| {
        let clear = stands_out(edges, &outline.quad, 4, 0.3);
        // With text of the same direction outside, as on a printed page, the outline must show everywhere.
        let believed = clear || (*share >= MOST_TEXT && stands_out(edges, &outline.quad, 3, 0.5));
        believed.then(|| Outline { quad: edges.refine(&outline.quad), clear, ..*outline })
    })
}

/// The part of the picture in which the card of some text must lie: the rectangle around the text, with room for a
/// card's margins.
struct Surroundings {
    turn: (f32, f32),
    bounds: Rect,
}

/// The text of a card covers at least this share of its width and height.
const TEXT_EXTENT: f32 = 0.5;

impl Surroundings {
    fn of(text: &[Quad], degrees: f32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let turned: Vec<Point> = text.iter().flat_map(|q| q.0).map(|p| turn(p, sin, cos)).collect();
        let mut bounds = crate::layout::bounds(&turned);
        let room = 1.0 / TEXT_EXTENT - 1.0;
        // A single line says little about the height of its card.
        let (width, height) = (bounds.width(), bounds.height().max(bounds.width() * 0.3));
        bounds.x0 -= width * room;
        bounds.x1 += width * room;
        bounds.y0 -= height * room;
        bounds.y1 += height * room;
        Self { turn: (sin, cos), bounds }
    }

    fn contain(&self, p: Point) -> bool {
        let p = turn(p, self.turn.0, self.turn.1);
        let b = &self.bounds;
        // Without text there is no rectangle, and nowhere to rule out.
        b.x0 > b.x1 || ((b.x0..=b.x1).contains(&p.x) && (b.y0..=b.y1).contains(&p.y))
    }
}

fn turn(p: Point, sin: f32, cos: f32) -> Point {
    Point { x: p.x * cos + p.y * sin, y: p.y * cos - p.x * sin }
}

/// The quadrilateral between two lines along the text and two across it, clockwise from the start of the upper text edge;
/// of either pair, the first may be the lower or the right one. `axes` are sine and cosine of the text's direction.
fn in_order(mut corners: [Point; 4], (sin, cos): (f32, f32)) -> Quad {
    let u = |p: Point| turn(p, sin, cos).x;
    let v = |p: Point| turn(p, sin, cos).y;
    if v(corners[0]) + v(corners[1]) > v(corners[2]) + v(corners[3]) {
        corners = [corners[3], corners[2], corners[1], corners[0]];
    }
    if u(corners[0]) + u(corners[3]) > u(corners[1]) + u(corners[2]) {
        corners = [corners[1], corners[0], corners[3], corners[2]];
    }
    Quad(corners)
}

/// How much the shape is that of a card, about 0..0.5; `None` when it cannot be one.
fn likeness(quad: &Quad, picture_area: f32) -> Option<f32> {
    let [a, b, c, d] = quad.0;
    let (top, bottom, left, right) = (distance(a, b), distance(d, c), distance(a, d), distance(b, c));
    let ratio = |x: f32, y: f32| if x > y { x / y.max(1e-3) } else { y / x.max(1e-3) };
    if ratio(top, bottom) > 1.5 || ratio(left, right) > 1.5 {
        return None;
    }
    let aspect = (top + bottom) / (left + right).max(1e-3) / (CARD_WIDTH_MM / CARD_HEIGHT_MM);
    if ratio(aspect, 1.0) > ASPECT_TOLERANCE {
        return None;
    }
    let share = area(quad) / picture_area;
    if !(MIN_AREA..1.1).contains(&share) {
        return None;
    }
    let off = aspect.ln() / 0.1;
    let skew = (top / bottom).ln().abs() + (left / right).ln().abs();
    // Among rectangles inside one another (the photo, the header band, the card) the largest is the card.
    Some(0.3 * (-off * off / 2.0).exp() - 0.4 * skew + 0.35 * share.sqrt())
}

pub(crate) fn area(quad: &Quad) -> f32 {
    let q = quad.0;
    let cross = |a: Point, b: Point| a.x * b.y - a.y * b.x;
    (0..4).map(|i| cross(q[i], q[(i + 1) % 4])).sum::<f32>().abs() / 2.0
}

/// Mean share of the sides that shows an edge; `None` below what a card's outline must show. Each side comes with its two
/// corners.
fn support(sides: [(&Candidate, Point, Point); 4]) -> Option<f32> {
    let mut sum = 0.0;
    for (candidate, from, to) in sides {
        let side = candidate.support(from, to, CORNER);
        if side < MIN_SIDE_SUPPORT {
            return None;
        }
        sum += side;
    }
    (sum / 4.0 >= MIN_SUPPORT).then_some(sum / 4.0)
}

/// Whether at least `sides` of the outline separate two surfaces along all but the given share of their length. Rows and
/// columns of letters on the same paper do not.
fn stands_out(edges: &Edges, quad: &Quad, sides: usize, quantile: f32) -> bool {
    let differs = |&i: &usize| {
        let (a, b) = (quad.0[i], quad.0[(i + 1) % 4]);
        edges.step(a, b, SAMPLES, CORNER, quantile).is_none_or(|step| step > MIN_STEP)
    };
    (0..4).filter(differs).count() >= sides
}

/// How far the text inside spans the outline in both directions, 0..=1, where a card's usual text gives 1. Without text
/// there is nothing against the outline.
fn extent(quad: &Quad, text: &[TextLine]) -> f32 {
    /// The least that a card's text spans of its width and height.
    const USUAL: f32 = 0.6;
    let inside = text.iter().filter(|line| contains(quad, line.middle)).map(|line| line.bounds);
    let Some(bounds) = inside.reduce(|all, line| all.union(&line)) else {
        return if text.is_empty() { 1.0 } else { 0.0 };
    };
    let part = |extent: f32, whole: f32| (extent / whole.max(1.0) / USUAL).min(1.0);
    (part(bounds.width(), quad.width()) + part(bounds.height(), quad.height())) / 2.0
}

pub(crate) fn middle(quad: &Quad) -> Point {
    let sum = |f: fn(&Point) -> f32| quad.0.iter().map(f).sum::<f32>() / 4.0;
    Point { x: sum(|p| p.x), y: sum(|p| p.y) }
}

pub(crate) fn contains(quad: &Quad, p: Point) -> bool {
    (0..4).all(|i| {
        let (a, b) = (quad.0[i], quad.0[(i + 1) % 4]);
        (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x) >= 0.0
    })
}

/// What thousands of outlines are held against a line of text for.
struct TextLine {
    middle: Point,
    /// A little inside its corners: detected boxes are drawn generously.
    ends: [Point; 4],
    /// Along and across the text's direction.
    bounds: Rect,
}

impl TextLine {
    /// `axes` are sine and cosine of the text's direction.
    fn of(quad: &Quad, (sin, cos): (f32, f32)) -> Self {
        let middle = middle(quad);
        let ends = quad.0.map(|corner| Point {
            x: corner.x + (middle.x - corner.x) * 0.15,
            y: corner.y + (middle.y - corner.y) * 0.15,
        });
        let bounds = crate::layout::bounds(&quad.0.map(|corner| turn(corner, sin, cos)));
        Self { middle, ends, bounds }
    }

    /// Whether it lies partly inside and partly outside.
    fn crosses(&self, quad: &Quad) -> bool {
        let inside = self.ends.iter().filter(|end| contains(quad, **end)).count();
        inside > 0 && inside < 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(corners: [(f32, f32); 4], background: u8, card: u8) -> (RgbImage, Quad) {
        let quad = Quad(corners.map(|(x, y)| Point { x, y }));
        let image = RgbImage::from_fn(512, 384, |x, y| {
            let inside = contains(&quad, Point { x: x as f32 + 0.5, y: y as f32 + 0.5 });
            let texture = ((x * 7 + y * 13) % 5) as u8;
            image::Rgb([if inside { card } else { background } + texture; 3])
        });
        (image, quad)
    }

    fn worst_corner(a: &Quad, b: &Quad) -> f32 {
        (0..4).map(|i| distance(a.0[i], b.0[i])).fold(0.0, f32::max)
    }

    #[test]
    fn finds_a_card_in_perspective() {
        let (image, truth) = picture([(90.0, 80.0), (420.0, 110.0), (400.0, 320.0), (80.0, 290.0)], 60, 180);
        let found = Finder::new(&image).outline(&[], 5.0, false).unwrap();
        assert!(worst_corner(&found.quad, &truth) < 2.5, "{:?}", found.quad);
    }

    #[test]
    fn finds_a_card_on_its_side() {
        let (image, truth) = picture([(330.0, 30.0), (335.0, 350.0), (135.0, 345.0), (130.0, 35.0)], 200, 90);
        let found = Finder::new(&image).outline(&[], 90.0, false).unwrap();
        assert!(worst_corner(&found.quad, &truth) < 2.5, "{:?}", found.quad);
    }

    #[test]
    fn a_square_or_an_empty_table_is_no_card() {
        let (image, _) = picture([(100.0, 80.0), (300.0, 80.0), (300.0, 280.0), (100.0, 280.0)], 60, 180);
        assert!(Finder::new(&image).outline(&[], 0.0, false).is_none());
        assert!(
            Finder::new(&RgbImage::from_pixel(512, 384, image::Rgb([90; 3])))
                .outline(&[], 0.0, false)
                .is_none()
        );
    }
}
