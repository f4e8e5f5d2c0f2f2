//! What a file says about itself, read without decoding anything.

use image::metadata::Orientation;
use serde::{Deserialize, Serialize};

use super::{ImageError, Limits, jpeg, png, webp};

/// The kinds of file that FiLot takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Pdf,
}

impl Format {
    /// Tells the format from the first bytes; names and declared types prove nothing.
    ///
    /// # Errors
    /// `Unsupported` with a name for other well-known kinds, `NotAPicture` for anything else.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageError> {
        let brand = bytes.get(8..12).unwrap_or_default();
        match bytes {
            [] => Err(ImageError::Empty),
            [0xFF, 0xD8, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', ..] => Ok(Self::Png),
            [b'R', b'I', b'F', b'F', ..] if brand == b"WEBP" => Ok(Self::WebP),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Err(of_brands(bytes)),
            [b'G', b'I', b'F', b'8', ..] => Err(ImageError::Unsupported("GIF")),
            [b'B', b'M', ..] if bytes.len() > 26 => Err(ImageError::Unsupported("BMP")),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Err(ImageError::Unsupported("TIFF")),
            // The PDF marker may stand anywhere within the first kilobyte.
            _ if bytes.iter().take(1024).copied().collect::<Vec<_>>().windows(5).any(|w| w == b"%PDF-") => {
                Ok(Self::Pdf)
            }
            _ => Err(ImageError::NotAPicture),
        }
    }

    /// The media type of such files.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }
}

/// What a file of the ISO base media format is, by all brands that it names (ISO/IEC 14496-12, 4.3).
fn of_brands(bytes: &[u8]) -> ImageError {
    let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let brands = || {
        let compatible = bytes.get(16..length.clamp(16, 256)).unwrap_or_default().chunks_exact(4);
        bytes.get(8..12).into_iter().chain(compatible)
    };
    let any = |known: &[&[u8; 4]]| brands().any(|brand| known.iter().any(|known| brand == *known));
    if any(&[b"avif", b"avis"]) {
        ImageError::Unsupported("AVIF")
    } else if any(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1",
        b"miaf",
    ]) {
        ImageError::Heic
    } else if any(&[b"crx "]) {
        ImageError::Unsupported("raw camera data")
    } else {
        ImageError::Unsupported("video")
    }
}

/// Size and shape of a picture as its header gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub format: Format,
    /// Width as stored, before the orientation is applied.
    pub width: u32,
    /// Height as stored, before the orientation is applied.
    pub height: u32,
    /// From EXIF. For PNG it is known only after decoding, as the block may follow the pixels.
    pub orientation: Orientation,
    pub(super) layout: Layout,
}

/// What decides how much a decoder has to hold in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// Rows can be thrown away as soon as they are reduced.
    Rows,
    /// The whole picture has to be there: interlaced PNG, WebP. Bytes per pixel.
    Whole(u32),
    /// JPEG: coefficients per pixel that have to be kept, 0 unless progressive; and the step in grey levels with which
    /// fine structure is rounded.
    Jpeg { coefficients: f32, fine_step: f32 },
}

impl Header {
    /// Reads the header and holds it against the limits.
    ///
    /// # Errors
    /// See [`ImageError`]. A PDF has no header of this kind: tell it with [`Format::of`] first.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        if bytes.len() > limits.bytes {
            return Err(ImageError::TooLarge { bytes: bytes.len(), limit: limits.bytes });
        }
        let header = match Format::of(bytes)? {
            Format::Jpeg => jpeg::header(bytes, limits)?,
            Format::Png => png::header(bytes)?,
            Format::WebP => webp::header(bytes, limits)?,
            Format::Pdf => {
                return Err(ImageError::Unsupported("PDF inside a place that takes pictures only"));
            }
        };
        check_size(header.width, header.height, limits)?;
        if header.decoding_memory(header.reduction(limits.working_side)) > limits.memory {
            return Err(ImageError::TooManyPixels { width: header.width, height: header.height });
        }
        Ok(header)
    }

    /// Width and height once the picture is upright.
    pub fn upright_size(&self) -> (u32, u32) {
        match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    /// By how much to reduce so that the longer side stays at least `working_side`: 1, 2, 4 or 8.
    pub fn reduction(&self, working_side: u32) -> u32 {
        reduction(self.width.max(self.height), working_side)
    }

    /// See [`Photo::fine_step`](super::Photo::fine_step).
    pub(super) fn fine_step(&self) -> f32 {
        match self.layout {
            Layout::Jpeg { fine_step, .. } => fine_step,
            Layout::Rows | Layout::Whole(_) => 0.0,
        }
    }

    /// Bytes that decoding at `1/reduction` allocates at most, all buffers together.
    pub fn decoding_memory(&self, reduction: u32) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let area = u64::from(reduction * reduction);
        // The result, and once more for turning it upright.
        let result = pixels / area * 6;
        let inner = match self.layout {
            Layout::Rows => u64::from(self.width) * 64,
            Layout::Whole(bytes_per_pixel) => pixels * u64::from(bytes_per_pixel),
            Layout::Jpeg { coefficients, .. } => {
                // Two bytes each, and a bit for each that is not zero.
                let kept = (pixels as f64 * 2.125 * f64::from(coefficients)) as u64;
                // Decoded in full size before it is reduced.
                kept + if reduction > 1 { pixels * 3 } else { 0 }
            }
        };
        result + inner
    }
}

/// Refuses sizes over the limits, and empty ones.
pub(super) fn check_size(width: u32, height: u32, limits: &Limits) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Corrupt("a side of 0 pixels"));
    }
    if width > limits.side || height > limits.side || u64::from(width) * u64::from(height) > limits.pixels {
        return Err(ImageError::TooManyPixels { width, height });
    }
    Ok(())
}

/// 1, 2, 4 or 8: the most by which `long_side` can be divided and stay at least `working_side`.
pub(super) fn reduction(long_side: u32, working_side: u32) -> u32 {
    [8, 4, 2].into_iter().find(|&r| long_side / r >= working_side).unwrap_or(1)
}
