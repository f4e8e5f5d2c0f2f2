//! Text detection: a segmentation network marks the cores of text lines, each mark becomes a box.

use image::RgbImage;
use imageproc::geometry::{convex_hull, min_area_rect};
use imageproc::point::Point as Pixel;

use crate::engine::Error;
use crate::geometry::distance;
use crate::page::{Point, Quad};
use crate::patches::{Patch, patches};
use crate::runtime::{Pool, Tensor};

/// A pixel belongs to text above this probability, and a box must average above `MIN_SCORE`.
const THRESHOLD: f32 = 0.3;
const MIN_SCORE: f32 = 0.5;
/// The network marks shrunken lines; boxes are grown by area × ratio / perimeter on each side (the "unclip" of
/// differentiable binarisation, Liao et al. 2020).
const UNCLIP_RATIO: f32 = 1.6;
/// Boxes with a shorter side below this many network pixels are noise.
const MIN_SIDE: f32 = 3.0;
/// No card has this many lines; a page of noise might.
const MAX_BOXES: usize = 300;

/// A found line in pixels of the picture that was searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextBox {
    /// Corners from the left end of the upper side; "upper" assumes text that runs from left to right, or from top to
    /// bottom where it is steeper than 45°.
    pub(crate) quad: Quad,
}

/// Sizes must be multiples of this: five halvings inside the network.
const STRIDE: u32 = 32;

/// The nearest permitted size for the network, at least one stride.
pub(crate) fn network_size(width: f32, height: f32) -> (u32, u32) {
    let round = |v: f32| ((v / STRIDE as f32).round() as u32).max(1) * STRIDE;
    (round(width), round(height))
}

/// Finds text lines. The picture's sides must be multiples of 32.
pub(crate) fn detect(network: &Pool, picture: &RgbImage) -> Result<Vec<TextBox>, Error> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let output = network.run(normalise(picture))?;
    if output.data.len() != width * height {
        return Err(Error::Failed("the detector's output does not have the size of its input".into()));
    }
    Ok(boxes(&output.data, width))
}

/// Mean and deviation of the images the network was trained on, in its channel order (blue, green, red).
fn normalise(picture: &RgbImage) -> Tensor {
    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut data = vec![0.0; 3 * width * height];
    let (blue, rest) = data.split_at_mut(width * height);
    let (green, red) = rest.split_at_mut(width * height);
    let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| {
        let (factor, shift) = (1.0 / (255.0 * DEVIATION[channel]), MEAN[channel] / DEVIATION[channel]);
        std::array::from_fn(|value| value as f32 * factor - shift)
    });
    let planes = blue.iter_mut().zip(green).zip(red);
    for (((blue, green), red), pixel) in planes.zip(picture.as_raw().chunks_exact(3)) {
        *blue = tables[0][usize::from(pixel[2])];
        *green = tables[1][usize::from(pixel[1])];
        *red = tables[2][usize::from(pixel[0])];
    }
    Tensor { shape: vec![1, 3, height, width], data }
}

fn boxes(probability: &[f32], width: usize) -> Vec<TextBox> {
    let marks = patches(probability.iter().map(|probability| *probability >= THRESHOLD), width);
    let text_box = |mark: Patch| {
        let sum: f32 = mark.pixels.iter().map(|at| probability[*at]).sum();
        let outline = mark.border.iter().map(|at| Pixel::new((at % width) as i32, (at / width) as i32));
        let sure = sum / mark.pixels.len() as f32 >= MIN_SCORE;
        sure.then(|| grow(&outline.collect::<Vec<_>>()))?
    };
    marks.filter_map(text_box).take(MAX_BOXES).collect()
}

/// The smallest rectangle around the outline, grown to the full height of the text.
fn grow(outline: &[Pixel<i32>]) -> Option<TextBox> {
    let hull = convex_hull(outline);
    let corners = if hull.len() < 3 {
        // A mark of one pixel's breadth has no hull with an area.
        let (x0, x1) = (outline.iter().map(|p| p.x).min()?, outline.iter().map(|p| p.x).max()?);
        let (y0, y1) = (outline.iter().map(|p| p.y).min()?, outline.iter().map(|p| p.y).max()?);
        [Pixel::new(x0, y0), Pixel::new(x1, y0), Pixel::new(x1, y1), Pixel::new(x0, y1)]
    } else {
        min_area_rect(&hull)
    };
    // Pixel centres stand half a pixel inside the area they cover.
    let corners = corners.map(|p| Point { x: p.x as f32 + 0.5, y: p.y as f32 + 0.5 });
    let quad = reading_order(corners);
    let (width, height) = (quad.width() + 1.0, quad.height() + 1.0);
    if width.min(height) < MIN_SIDE {
        return None;
    }
    let margin = width * height * UNCLIP_RATIO / (2.0 * (width + height)) + 0.5;
    let along = unit(quad.0[0], quad.0[1], quad.0[3], quad.0[2]);
    let down = Point { x: -along.y, y: along.x };
    let shift = |p: Point, a: f32, d: f32| Point {
        x: p.x + (along.x * a + down.x * d) * margin,
        y: p.y + (along.y * a + down.y * d) * margin,
    };
    let q = quad.0;
    Some(TextBox {
        quad: Quad([
            shift(q[0], -1.0, -1.0),
            shift(q[1], 1.0, -1.0),
            shift(q[2], 1.0, 1.0),
            shift(q[3], -1.0, 1.0),
        ]),
    })
}

/// Mean direction of the two long sides as a unit vector.
fn unit(a: Point, b: Point, c: Point, d: Point) -> Point {
    let v = Point { x: b.x - a.x + d.x - c.x, y: b.y - a.y + d.y - c.y };
    let length = v.x.hypot(v.y);
    if length < 1e-6 { Point { x: 1.0, y: 0.0 } } else { Point { x: v.x / length, y: v.y / length } }
}

/// Orders a rectangle's corners clockwise so that the first side is the long one and points right (or down, if it is
/// steeper than 45°).
pub(crate) fn reading_order(mut corners: [Point; 4]) -> Quad {
    let centre = Point {
        x: corners.iter().map(|p| p.x).sum::<f32>() / 4.0,
        y: corners.iter().map(|p| p.y).sum::<f32>() / 4.0,
    };
    corners.sort_by(|a, b| {
        let angle = |p: &Point| (p.y - centre.y).atan2(p.x - centre.x);
        angle(a).total_cmp(&angle(b))
    });
    let quad = Quad(corners);
    let first_is_long = distance(corners[0], corners[1]) >= distance(corners[1], corners[2]);
    let quad = if first_is_long { quad } else { quad.turned(1) };
    let side = Point { x: quad.0[1].x - quad.0[0].x, y: quad.0[1].y - quad.0[0].y };
    let forward = if side.x.abs() >= side.y.abs() { side.x > 0.0 } else { side.y > 0.0 };
    if forward { quad } else { quad.turned(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(mark: impl Fn(f32, f32) -> bool) -> Vec<TextBox> {
        let mut map = vec![0.0; 128 * 96];
        for (i, value) in map.iter_mut().enumerate() {
            if mark((i % 128) as f32, (i / 128) as f32) {
                *value = 0.9;
            }
        }
        boxes(&map, 128)
    }

    #[test]
    fn a_level_mark_becomes_a_grown_level_box() {
        let found = marked(|x, y| (20.0..100.0).contains(&x) && (40.0..46.0).contains(&y));
        assert_eq!(found.len(), 1);
        let quad = found[0].quad;
        assert!(quad.0[0].x < 20.0 && quad.0[1].x > 100.0, "{quad:?}");
        assert!(quad.0[0].y < 38.5 && quad.0[3].y > 47.5, "{quad:?}");
        assert!((quad.0[0].y - quad.0[1].y).abs() < 0.5);
    }

    #[test]
    fn a_slanted_mark_keeps_its_angle() {
        let found = marked(|x, y| (20.0..100.0).contains(&x) && (y - (20.0 + 0.3 * x)).abs() < 4.0);
        let quad = found[0].quad;
        let slope = (quad.0[1].y - quad.0[0].y) / (quad.0[1].x - quad.0[0].x);
        assert!((slope - 0.3).abs() < 0.06, "{slope}");
    }

    #[test]
    fn an_upright_mark_reads_downwards() {
        let quad = marked(|x, y| (60.0..66.0).contains(&x) && (10.0..80.0).contains(&y))[0].quad;
        assert!(quad.0[1].y > quad.0[0].y + 60.0, "{quad:?}");
    }

    #[test]
    fn noise_is_not_text() {
        assert!(marked(|x, y| x == 10.0 && y == 10.0).is_empty());
        assert!(marked(|_, _| false).is_empty());
    }
}
