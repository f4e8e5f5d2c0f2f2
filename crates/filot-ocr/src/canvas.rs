//! The straightened picture that lines are cut from.

/// Pixels of the page; `scale` of them to one page unit.
pub(crate) struct Canvas {
    pub(crate) pixels: image::RgbImage,
    pub(crate) scale: f32,
}
