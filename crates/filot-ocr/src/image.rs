//! Bounded decoding of uploads into upright pixels.

/// A decoded picture, upright (EXIF orientation applied), possibly reduced in size.
pub struct Photo {
    /// Working pixels: the full size, or a half or a quarter of it for large pictures.
    pub pixels: image::RgbImage,
    /// Pixels of the full-size upright picture to one working pixel: 1.0, 2.0 or 4.0.
    pub reduction: f32,
}
