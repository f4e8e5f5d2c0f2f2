//! What the recognisers get to see, for whoever trains one.

use image::RgbImage;

use crate::canvas::Canvas;
use crate::engine::View;
use crate::image::Photo;
use crate::native::whole_photo;
use crate::page::{Point, Quad};
use crate::strips::strip;

/// Cuts lines out of a photo as [`crate::native::NativeEngine`] does before it reads them.
pub struct LinePictures {
    whole: Canvas,
    reduction: f32,
}

impl LinePictures {
    pub fn of(photo: &Photo) -> Self {
        Self { whole: whole_photo(photo), reduction: photo.reduction }
    }

    /// The line between `corners` (pixels of the upright photo, clockwise from the text's upper left), 48 pixels high.
    /// `None` where it has no area.
    pub fn cut(&self, corners: &Quad, view: View) -> Option<RgbImage> {
        let in_base = |p: Point| Point { x: p.x / self.reduction, y: p.y / self.reduction };
        strip(&self.whole, &Quad(corners.0.map(in_base)), view)
    }
}
