//! The picture of the page alone, for people to look at.

use std::sync::Arc;

use image::RgbImage;

use crate::canvas::Pyramid;
use crate::geometry::Homography;
use crate::image::Photo;
use crate::page::Frame;

/// Longest side of such a picture, in pixels.
const LONGEST: u32 = 4000;

/// What `frame` shows of `photo`, straightened, `width` pixels wide. `None` when the frame is degenerate.
pub fn straightened(photo: &Photo, frame: &Frame, width: u32) -> Option<RgbImage> {
    let sound = |side: f32| side.is_finite() && side > 0.0;
    if !sound(frame.width) || !sound(frame.height) || frame.to_photo.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let scale = f64::from(frame.width) / f64::from(width);
    let height = (f64::from(frame.height) / scale).round();
    if !(1.0..=f64::from(LONGEST)).contains(&height) || !(1..=LONGEST).contains(&width) {
        return None;
    }
    let to_base = Homography::scale(1.0 / f64::from(photo.reduction))
        .after(&Homography(frame.to_photo))
        .after(&Homography::scale(scale));
    to_base.inverse()?;
    Some(Pyramid::new(Arc::clone(&photo.pixels)).sample(&to_base, width, height as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Format, Limits};
    use crate::page::{Framing, Point};

    fn frame(to_photo: [f64; 9]) -> Frame {
        Frame { framing: Framing::Card, width: 80.0, height: 40.0, to_photo, turned: 0 }
    }

    #[test]
    fn the_frame_is_cut_out_and_points_find_back() {
        // Dark but for a white card of 160 by 80 pixels at (100, 50).
        let white = |x: u32, y: u32| (100..260).contains(&x) && (50..130).contains(&y);
        let pixels = RgbImage::from_fn(400, 300, |x, y| image::Rgb([if white(x, y) { 255 } else { 0 }; 3]));
        let photo = Photo::from_pixels(pixels, Format::Png, &Limits::default());
        let frame = frame([2.0, 0.0, 100.0, 0.0, 2.0, 50.0, 0.0, 0.0, 1.0]);
        let cut = straightened(&photo, &frame, 320).unwrap();
        assert_eq!(cut.dimensions(), (320, 160));
        assert!(cut.pixels().all(|p| p.0[0] > 120), "only the card is in it");
        let back = frame.page_point(frame.photo_point(Point { x: 7.0, y: 9.0 })).unwrap();
        assert!((back.x - 7.0).abs() < 1e-3 && (back.y - 9.0).abs() < 1e-3);
    }

    #[test]
    fn a_frame_that_shows_nothing_gives_nothing() {
        let photo = Photo::from_pixels(RgbImage::new(64, 64), Format::Png, &Limits::default());
        for broken in [[0.0; 9], [f64::NAN; 9]] {
            assert!(straightened(&photo, &frame(broken), 100).is_none());
            assert!(frame(broken).page_point(Point { x: 1.0, y: 1.0 }).is_none());
        }
        let tall = Frame { height: 1e9, ..frame([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]) };
        assert!(straightened(&photo, &tall, 100).is_none());
    }
}
