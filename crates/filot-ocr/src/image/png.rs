//! PNG, row by row. Text and colour-profile chunks are passed over, never inflated.

use std::io::{self, Cursor};

use image::RgbImage;
use image::metadata::Orientation;
use png::{ColorType, Decoder, DecodingError, Transformations};

use super::header::{Format, Header, Layout};
use super::reduce::{Reducer, on_white};
use super::{ImageError, Limits};

/// Reads the `IHDR` chunk.
pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let mut decoder = decoder(bytes, 1 << 20);
    let info = decoder.read_header_info().map_err(failed)?;
    Ok(Header {
        format: Format::Png,
        width: info.width,
        height: info.height,
        orientation: Orientation::NoTransforms,
        layout: if info.interlaced { Layout::Whole(4) } else { Layout::Rows },
    })
}

fn decoder(bytes: &[u8], memory: usize) -> Decoder<Cursor<&[u8]>> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: memory });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palettes, few-bit greys and transparent colours become plain channels of 8 bits.
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder
}

/// Decodes at `1/reduction`, as stored, together with the orientation that an `eXIf` chunk asks for.
pub(super) fn decode(
    bytes: &[u8],
    reduction: u32,
    limits: &Limits,
) -> Result<(RgbImage, Orientation), ImageError> {
    let memory = usize::try_from(limits.memory).unwrap_or(usize::MAX);
    let mut reader = decoder(bytes, memory).read_info().map_err(failed)?;
    let (width, height) = reader.info().size();
    let channels = reader.output_color_type().0;
    let mut reducer = Reducer::new(width, height, reduction);
    let mut rgb = vec![0; width as usize * 3];

    if reader.info().interlaced {
        let size = reader.output_buffer_size().ok_or(ImageError::TooManyPixels { width, height })?;
        let mut buffer = vec![0; size];
        let frame = reader.next_frame(&mut buffer).map_err(failed)?;
        for row in buffer.chunks_exact(frame.line_size) {
            to_rgb(row, channels, &mut rgb);
            reducer.push(&rgb);
        }
    } else {
        while let Some(row) = reader.next_row().map_err(failed)? {
            to_rgb(row.data(), channels, &mut rgb);
            reducer.push(&rgb);
        }
    }
    // The block may follow the pixels. A file damaged behind its pixels is still a whole picture.
    let _ = reader.finish();
    let orientation = reader.info().exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    let picture = reducer.finish().ok_or(ImageError::Truncated)?;
    Ok((picture, orientation.unwrap_or(Orientation::NoTransforms)))
}

fn to_rgb(row: &[u8], channels: ColorType, rgb: &mut [u8]) {
    let out = rgb.as_chunks_mut::<3>().0;
    match channels {
        ColorType::Rgb => rgb.copy_from_slice(&row[..rgb.len()]),
        ColorType::Rgba => {
            for (to, &[r, g, b, a]) in out.iter_mut().zip(row.as_chunks::<4>().0) {
                *to = [on_white(r, a), on_white(g, a), on_white(b, a)];
            }
        }
        ColorType::GrayscaleAlpha => {
            for (to, &[v, a]) in out.iter_mut().zip(row.as_chunks::<2>().0) {
                *to = [on_white(v, a); 3];
            }
        }
        // Palettes are expanded by the decoder, so what is left is grey.
        ColorType::Grayscale | ColorType::Indexed => {
            for (to, &v) in out.iter_mut().zip(row) {
                *to = [v; 3];
            }
        }
    }
}

fn failed(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => ImageError::Truncated,
        DecodingError::LimitsExceeded => ImageError::Corrupt("a PNG chunk that is far too large"),
        _ => ImageError::Corrupt("PNG data"),
    }
}
