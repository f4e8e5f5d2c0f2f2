//! Bounded decoding of uploads into upright pixels.
//!
//! A file is untrusted input. Its format is told from its content, its header is read and held against [`Limits`]
//! before anything is decoded, and what the decoders then may use is known in advance: [`Header::decoding_memory`] is
//! compared with the limit and taken from a [`MemoryBudget`] shared by all readers of the process. Text, colour
//! profiles and all other side data are skipped without being read; of the EXIF block only the orientation counts.
//!
//! The decoders are safe Rust, but written by others: a panic inside one is caught here and becomes
//! [`ImageError::Corrupt`], so that one bad file never ends a batch or a worker.

mod budget;
mod error;
mod header;
mod jpeg;
mod png;
mod reduce;
mod strip;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use image::RgbImage;
use image::metadata::Orientation;

pub use budget::MemoryBudget;
pub use error::ImageError;
pub use header::{Format, Header};
pub use strip::without_side_data;

/// What a file may cost. One set of defaults for the whole product; the service narrows `bytes`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Length of the file.
    pub bytes: usize,
    /// Width times height. The default admits the full resolution of a 64-megapixel camera.
    pub pixels: u64,
    /// Width and height each.
    pub side: u32,
    /// Bytes that decoding this one picture may allocate.
    pub memory: u64,
    /// Scans of a progressive JPEG; encoders write about 10.
    pub scans: usize,
    /// Working pixels: a picture is halved as long as its longer side stays at least this.
    pub working_side: u32,
    /// What all decodings that run at the same time may allocate together.
    pub budget: MemoryBudget,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 20 << 20,
            pixels: 65_000_000,
            side: 20_000,
            memory: 224 << 20,
            scans: 48,
            working_side: 1_500,
            budget: MemoryBudget::new(224 << 20),
        }
    }
}

/// What [`Photo::decode`] found out, as far as the file does not say it; see there.
pub struct DecodedParts {
    pub pixels: RgbImage,
    pub reduction: f32,
    pub width: u32,
    pub height: u32,
    pub fine_step: f32,
}

/// A decoded picture, upright (EXIF orientation applied), possibly reduced in size.
pub struct Photo {
    /// Working pixels: the full size, or a half, a quarter or an eighth of it for large pictures.
    pub pixels: Arc<RgbImage>,
    /// Pixels of the full-size upright picture to one working pixel: 1.0, 2.0, 4.0 or 8.0.
    pub reduction: f32,
    /// Width of the full-size upright picture.
    pub width: u32,
    /// Height of the full-size upright picture.
    pub height: u32,
    /// What kind of file it came from.
    pub format: Format,
    /// Grey levels to which the file's compression rounds structure of two to three pixels' period; 0 where nothing is
    /// known or lost. About 10 at JPEG quality 90, 40 at quality 60.
    pub fine_step: f32,
    /// The file, kept only while a full-size decode can still be asked for.
    source: Option<(Arc<[u8]>, Header, Limits)>,
    full: OnceLock<RgbImage>,
}

impl Photo {
    /// Decodes JPEG, PNG or WebP (of an animated one the first frame). A PDF has to be rendered elsewhere, see
    /// [`Photo::from_pixels`].
    ///
    /// # Errors
    /// Everything that is wrong with a file; see [`ImageError`]. Files over the limits are refused from their
    /// header, before any decoding.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        let header = Header::read(bytes, limits)?;
        let reduction = header.reduction(limits.working_side);
        let (pixels, orientation) = decode_upright(bytes, &header, reduction, limits)?;
        let (width, height) = Header { orientation, ..header.clone() }.upright_size();
        let source = (reduction > 1).then(|| (Arc::from(bytes), header.clone(), limits.clone()));
        Ok(Self {
            pixels: Arc::new(pixels),
            reduction: reduction as f32,
            width,
            height,
            format: header.format,
            fine_step: header.fine_step(),
            source,
            full: OnceLock::new(),
        })
    }

    /// Takes pixels that something else made: a rendered PDF page, a drawing. They are taken to be upright.
    pub fn from_pixels(pixels: RgbImage, format: Format, limits: &Limits) -> Self {
        let (width, height) = pixels.dimensions();
        let factor = header::reduction(width.max(height), limits.working_side);
        let mut photo = Self {
            pixels: Arc::new(pixels),
            reduction: factor as f32,
            width,
            height,
            format,
            fine_step: 0.0,
            source: None,
            full: OnceLock::new(),
        };
        if factor > 1 {
            let working = reduce::whole(&photo.pixels, factor);
            let full = std::mem::replace(&mut photo.pixels, Arc::new(working));
            photo.full = OnceLock::from(Arc::unwrap_or_clone(full));
        }
        photo
    }

    /// Puts a picture together again that [`Photo::decode`] made of the same file in another process. Only the header of the
    /// file is read.
    ///
    /// # Errors
    /// When the file's header is not acceptable.
    pub fn from_decoded(bytes: &[u8], decoded: DecodedParts, limits: &Limits) -> Result<Self, ImageError> {
        let header = Header::read(bytes, limits)?;
        let format = header.format;
        let DecodedParts { pixels, reduction, width, height, fine_step } = decoded;
        let source = (reduction > 1.0).then(|| (Arc::from(bytes), header, limits.clone()));
        let pixels = Arc::new(pixels);
        Ok(Self { pixels, reduction, width, height, format, fine_step, source, full: OnceLock::new() })
    }

    /// Returns the working pixels as a mirror shows them, as a picture of their own.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let pixels = reduce::oriented(&self.pixels, Orientation::FlipHorizontal);
        let (width, height) = pixels.dimensions();
        Self {
            pixels: Arc::new(pixels),
            reduction: 1.0,
            width,
            height,
            format: self.format,
            fine_step: self.fine_step,
            source: None,
            full: OnceLock::new(),
        }
    }

    /// Bytes of memory that it takes, the file that it may keep included.
    pub fn memory(&self) -> usize {
        let full = self.full.get().map_or(0, |full| full.as_raw().len());
        self.pixels.as_raw().len() + full + self.source.as_ref().map_or(0, |(file, ..)| file.len())
    }

    /// The picture in full size, for a card that is small within a large photo. Decoded when first asked for (about
    /// as much work as [`Photo::decode`] was) and then kept; the working pixels themselves when they are full size.
    ///
    /// # Errors
    /// When the full size needs more memory than [`Limits::memory`], or turns out damaged where the reduced decoding
    /// did not notice. The working pixels stay usable.
    pub fn full(&self) -> Result<&RgbImage, ImageError> {
        if let Some(full) = self.full.get() {
            return Ok(full);
        }
        let Some((bytes, header, limits)) = &self.source else {
            return Ok(&self.pixels);
        };
        let (full, _) = decode_upright(bytes, header, 1, limits)?;
        Ok(self.full.get_or_init(|| full))
    }
}

/// Decodes at `1/reduction` of the full size and turns upright; tells how it was turned.
fn decode_upright(
    bytes: &[u8],
    header: &Header,
    reduction: u32,
    limits: &Limits,
) -> Result<(RgbImage, Orientation), ImageError> {
    let needed = header.decoding_memory(reduction);
    if needed > limits.memory {
        return Err(ImageError::TooManyPixels { width: header.width, height: header.height });
    }
    let _reserved = limits.budget.reserve(needed);
    // The closure owns nothing that outlives it, so no half-changed state can be seen after a panic.
    let decoded = catch_unwind(AssertUnwindSafe(|| match header.format {
        Format::Jpeg => jpeg::decode(bytes, reduction, limits).map(|p| (p, header.orientation)),
        Format::Png => png::decode(bytes, reduction, limits),
        Format::WebP => webp::decode(bytes, header, reduction, limits).map(|p| (p, header.orientation)),
        Format::Pdf => Err(ImageError::Unsupported("PDF inside a place that takes pictures only")),
    }));
    let (pixels, orientation) = decoded.unwrap_or(Err(ImageError::Corrupt("the decoder gave up")))?;
    let upright = match orientation {
        Orientation::NoTransforms => pixels,
        other => reduce::oriented(&pixels, other),
    };
    Ok((upright, orientation))
}

#[cfg(test)]
mod tests;
