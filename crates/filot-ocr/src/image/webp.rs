//! WebP: its chunks, and the decoder. Of an animation the first frame is taken.

use std::io::{self, Cursor};

use image::RgbImage;
use image::metadata::Orientation;
use image_webp::{DecodingError, WebPDecoder};

use super::header::{Format, Header, Layout, check_size};
use super::reduce::{Reducer, on_white};
use super::{ImageError, Limits};

/// Walks the RIFF chunks. The decoder believes the size of the canvas and allocates by the size of each frame, so
/// both are held against the limits here.
pub(super) fn header(bytes: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let mut size = None;
    let mut orientation = None;
    // Colour planes and the RGB or RGBA buffer.
    let mut bytes_per_pixel = 6;
    let mut pictures = 0;
    // A padding byte may be missing at the very end, so the last chunk's own length decides.
    let mut cut = false;
    let mut at = 12;
    while let Some(chunk) = Chunk::at(bytes, at) {
        at = chunk.next;
        cut |= chunk.cut;
        match &chunk.name {
            b"VP8X" => size = size.or(chunk.canvas()),
            b"EXIF" => {
                let block = chunk.data.strip_prefix(b"Exif\0\0").unwrap_or(chunk.data);
                orientation = orientation.or(Orientation::from_exif_chunk(block));
            }
            b"ANMF" => {
                // Canvas and frame are separate buffers, both with transparency.
                bytes_per_pixel = 16;
                let mut inner = 16;
                while let Some(part) = Chunk::at(chunk.data, inner) {
                    inner = part.next;
                    if let Some((width, height)) = part.picture() {
                        check_size(width, height, limits)?;
                        pictures += 1;
                    }
                }
            }
            b"ALPH" => bytes_per_pixel = bytes_per_pixel.max(10),
            _ => {
                if let Some((width, height)) = chunk.picture() {
                    check_size(width, height, limits)?;
                    size = size.or(Some((width, height)));
                    pictures += 1;
                    if &chunk.name == b"VP8L" {
                        bytes_per_pixel = bytes_per_pixel.max(12);
                    }
                }
            }
        }
    }
    let Some((width, height)) = size else { return Err(ImageError::Truncated) };
    check_size(width, height, limits)?;
    if pictures == 0 || cut {
        return Err(ImageError::Truncated);
    }
    Ok(Header {
        format: Format::WebP,
        width,
        height,
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        layout: Layout::Whole(bytes_per_pixel),
    })
}

pub(super) struct Chunk<'a> {
    pub(super) name: [u8; 4],
    /// As much of the content as the file has.
    pub(super) data: &'a [u8],
    /// Whether the file ends within the content.
    pub(super) cut: bool,
    pub(super) next: usize,
}

impl<'a> Chunk<'a> {
    pub(super) fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let head: &[u8; 8] = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        let [n0, n1, n2, n3, l0, l1, l2, l3] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let rest = &bytes[at + 8..];
        let data = &rest[..length.min(rest.len())];
        // Contents of odd length are padded.
        let next = (at + 8).checked_add(length)?.checked_add(length & 1)?;
        Some(Self { name: [n0, n1, n2, n3], data, cut: data.len() < length, next })
    }

    /// Canvas of a `VP8X` chunk: two 24-bit numbers, one less than the size.
    fn canvas(&self) -> Option<(u32, u32)> {
        let &[_, _, _, _, w0, w1, w2, h0, h1, h2] = self.data.first_chunk()?;
        Some((u32::from_le_bytes([w0, w1, w2, 0]) + 1, u32::from_le_bytes([h0, h1, h2, 0]) + 1))
    }

    /// Size of the picture in a `VP8 ` (RFC 6386, 9.1) or `VP8L` chunk (RFC 9649, 3.4).
    fn picture(&self) -> Option<(u32, u32)> {
        match &self.name {
            b"VP8 " => {
                let &[_, _, _, _, _, _, w0, w1, h0, h1] = self.data.first_chunk()?;
                let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
                Some((side(w0, w1), side(h0, h1)))
            }
            b"VP8L" => {
                let &[_, b0, b1, b2, b3] = self.data.first_chunk()?;
                let bits = u32::from_le_bytes([b0, b1, b2, b3]);
                Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
            }
            _ => None,
        }
    }
}

/// Decodes at `1/reduction`, as stored (not yet turned upright).
pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    reduction: u32,
    limits: &Limits,
) -> Result<RgbImage, ImageError> {
    let (width, height) = (header.width, header.height);
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(failed)?;
    decoder.set_memory_limit(usize::try_from(limits.memory).unwrap_or(usize::MAX));
    if decoder.dimensions() != (width, height) {
        return Err(ImageError::Corrupt("two different sizes"));
    }
    let size = decoder.output_buffer_size().ok_or(ImageError::TooManyPixels { width, height })?;
    let mut buffer = vec![0; size];
    if decoder.is_animated() {
        decoder.read_frame(&mut buffer).map_err(failed)?;
    } else {
        decoder.read_image(&mut buffer).map_err(failed)?;
    }
    let mut reducer = Reducer::new(width, height, reduction);
    if decoder.has_alpha() {
        let mut rgb = vec![0; width as usize * 3];
        for row in buffer.chunks_exact(width as usize * 4) {
            for (to, &[r, g, b, a]) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks::<4>().0) {
                *to = [on_white(r, a), on_white(g, a), on_white(b, a)];
            }
            reducer.push(&rgb);
        }
    } else {
        for row in buffer.chunks_exact(width as usize * 3) {
            reducer.push(row);
        }
    }
    reducer.finish().ok_or(ImageError::Truncated)
}

fn failed(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => ImageError::Truncated,
        DecodingError::ChunkMissing | DecodingError::NotEnoughInitData => ImageError::Truncated,
        DecodingError::UnsupportedFeature(_) => ImageError::Unsupported("an unusual WebP"),
        _ => ImageError::Corrupt("WebP data"),
    }
}
