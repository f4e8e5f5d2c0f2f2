//! Which way the text of a picture runs, and the straight frame that its lines span.

use crate::detect::TextBox;
use crate::geometry::Homography;
use crate::page::{Point, Rect};

/// Boxes less elongated than this say nothing about a direction.
const MIN_ELONGATION: f32 = 2.5;
/// Lines further off the common direction are not the card's own.
const TOLERANCE_DEGREES: f32 = 12.0;
/// Directions worth a look, and the share of all text that makes one.
const MAX_DIRECTIONS: usize = 3;
const MIN_DIRECTION_SHARE: f32 = 0.05;

/// The directions in which most text runs, the one with the most text first, in degrees clockwise from the x axis, in
/// -45..135. Upside-down text gives the same answer as upright text. Empty without any clear line; several where, say,
/// a card lies on a printed page.
pub(crate) fn directions(boxes: &[TextBox]) -> Vec<f32> {
    let mut lines: Vec<(f32, f32)> = boxes
        .iter()
        .filter(|b| b.quad.width() > MIN_ELONGATION * b.quad.height())
        .map(|b| (angle(b), b.quad.width()))
        .collect();
    let total: f32 = lines.iter().map(|(_, w)| w).sum();
    let mut found = Vec::new();
    while found.len() < MAX_DIRECTIONS {
        // The angle with the most text length within the tolerance, then the mean of those.
        let near = |centre: f32| {
            lines.iter().filter(move |(a, _)| difference(*a, centre).abs() < TOLERANCE_DEGREES / 2.0)
        };
        let support = |centre: f32| -> f32 { near(centre).map(|(_, w)| w).sum() };
        let Some(best) = lines.iter().map(|(a, _)| *a).max_by(|a, b| support(*a).total_cmp(&support(*b)))
        else {
            break;
        };
        let weight = support(best);
        if weight < MIN_DIRECTION_SHARE * total {
            break;
        }
        let mean = best + near(best).map(|(a, w)| difference(*a, best) * w).sum::<f32>() / weight;
        found.push(if mean >= 135.0 {
            mean - 180.0
        } else if mean < -45.0 {
            mean + 180.0
        } else {
            mean
        });
        lines.retain(|(a, _)| difference(*a, best).abs() >= TOLERANCE_DEGREES / 2.0);
    }
    found
}

/// The direction of a box's long side.
pub(crate) fn angle(text_box: &TextBox) -> f32 {
    let [a, b, c, d] = text_box.quad.0;
    (b.y - a.y + c.y - d.y).atan2(b.x - a.x + c.x - d.x).to_degrees()
}

/// Whether a box belongs to text of the given direction; short boxes show none and belong to any.
pub(crate) fn is_along(text_box: &TextBox, degrees: f32) -> bool {
    let elongated = text_box.quad.width() > MIN_ELONGATION * text_box.quad.height();
    !elongated || difference(angle(text_box), degrees).abs() <= TOLERANCE_DEGREES
}

/// Whether a box is a line of text of the given direction.
pub(crate) fn is_line_along(text_box: &TextBox, degrees: f32) -> bool {
    text_box.quad.width() > MIN_ELONGATION * text_box.quad.height() && is_along(text_box, degrees)
}

/// `a - b` for undirected lines: -90..90.
fn difference(a: f32, b: f32) -> f32 {
    (a - b + 90.0).rem_euclid(180.0) - 90.0
}

/// The rectangle, turned by `degrees`, around all lines of about that direction: its size and the map from it to the
/// picture of the boxes.
pub(crate) fn text_frame(boxes: &[TextBox], degrees: f32) -> Option<(f32, f32, Homography)> {
    let to_frame = Homography::rotation(f64::from(-degrees), 0.0, 0.0);
    let mut hull: Option<Rect> = None;
    let mut heights = Vec::new();
    for text_box in boxes {
        if !is_along(text_box, degrees) {
            continue;
        }
        let around = bounds(&to_frame.apply_quad(&text_box.quad).0);
        hull = Some(hull.map_or(around, |h| h.union(&around)));
        heights.push(text_box.quad.height());
    }
    let hull = hull?;
    heights.sort_by(f32::total_cmp);
    let margin = heights[heights.len() / 2] * 1.5;
    let (width, height) = (hull.width() + 2.0 * margin, hull.height() + 2.0 * margin);
    let corner = Homography::rotation(0.0, f64::from(hull.x0 - margin), f64::from(hull.y0 - margin));
    Some((width, height, to_frame.inverse()?.after(&corner)))
}

/// The smallest rectangle around the points.
pub(crate) fn bounds(points: &[Point]) -> Rect {
    let fold = |value: fn(&Point) -> f32| {
        points.iter().map(value).fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((x0, x1), (y0, y1)) = (fold(|p| p.x), fold(|p| p.y));
    Rect { x0, y0, x1, y1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Quad;

    fn line(x: f32, y: f32, length: f32, degrees: f32) -> TextBox {
        let rotation = Homography::rotation(f64::from(degrees), f64::from(x), f64::from(y));
        let corners = [(0.0, 0.0), (length, 0.0), (length, 10.0), (0.0, 10.0)];
        TextBox { quad: rotation.apply_quad(&Quad(corners.map(|(x, y)| Point { x, y }))) }
    }

    #[test]
    fn the_direction_is_that_of_most_text() {
        let boxes = [line(0.0, 0.0, 200.0, 8.0), line(0.0, 30.0, 150.0, 6.0), line(50.0, 50.0, 90.0, -40.0)];
        let degrees = directions(&boxes);
        assert!((degrees[0] - 7.0).abs() < 0.5, "{degrees:?}");
        assert_eq!(degrees.len(), 2);
        assert!(directions(&[]).is_empty());
    }

    #[test]
    fn upright_lines_are_at_ninety_degrees() {
        let boxes = [line(0.0, 0.0, 200.0, 91.0), line(30.0, 0.0, 150.0, 89.0)];
        assert!((directions(&boxes)[0] - 90.0).abs() < 0.5);
    }

    #[test]
    fn the_frame_holds_the_lines_level() {
        let boxes = [line(100.0, 100.0, 200.0, 10.0), line(95.0, 130.0, 150.0, 10.0)];
        let (width, height, to_picture) = text_frame(&boxes, 10.0).unwrap();
        assert!(width > 200.0 && width < 250.0 && height > 40.0 && height < 90.0, "{width} {height}");
        let corner = to_picture.apply(Point { x: 15.0, y: 15.0 });
        assert!(crate::geometry::distance(corner, Point { x: 100.0, y: 100.0 }) < 8.0, "{corner:?}");
    }
}
