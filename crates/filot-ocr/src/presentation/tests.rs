use std::sync::Arc;

use super::*;
use crate::canvas::Pyramid;
use crate::geometry::Homography;
use crate::page::{CARD_HEIGHT_MM, CARD_WIDTH_MM, Framing, Point, Quad};

fn card(picture: RgbImage, corners: [(f32, f32); 4]) -> Canvas {
    let corners = Quad(corners.map(|(x, y)| Point { x, y }));
    let to_base = Homography::rect_to_quad(CARD_WIDTH_MM, CARD_HEIGHT_MM, &corners).unwrap();
    let photo = Arc::new(Pyramid::new(Arc::new(picture)));
    Canvas::new(photo, Framing::Card, CARD_WIDTH_MM, CARD_HEIGHT_MM, to_base, 1.0)
}

#[test]
fn patches_lie_apart_on_the_card_and_not_in_a_reflection() {
    // Burnt out in its left half.
    let picture = RgbImage::from_fn(1000, 700, |x, _| image::Rgb([if x < 400 { 255 } else { 150 }; 3]));
    let places =
        places::choose(&card(picture, [(100.0, 100.0), (900.0, 130.0), (890.0, 630.0), (90.0, 600.0)]));
    assert_eq!(places.len(), PATCHES);
    for (n, &(x, y)) in places.iter().enumerate() {
        // At least half of each is outside of what is burnt out.
        assert!((400 - SIDE / 2..=804).contains(&x) && (100..=534).contains(&y), "{x} {y}");
        assert!(places[..n].iter().all(|&(a, b)| a.abs_diff(x) + b.abs_diff(y) > SIDE / 4));
    }
}

#[test]
fn a_picture_smaller_than_a_patch_is_not_judged() {
    let picture = RgbImage::from_pixel(200, 90, image::Rgb([150; 3]));
    let canvas = card(picture, [(0.0, 0.0), (140.0, 0.0), (140.0, 88.0), (0.0, 88.0)]);
    assert_eq!(Presenter::load(&Runtime::Rten, 1).unwrap().judge(&canvas).unwrap(), None);
}

#[test]
fn patches_that_show_nothing_leave_the_verdict_to_the_others() {
    let sure = together(&[0.999, 0.5, 0.999, 0.5]);
    assert!(sure > 0.95 && (together(&[0.1; 4]) - 0.1).abs() < 1e-4, "{sure}");
    assert!(together(&[0.0, 1.0]).is_finite());
}
