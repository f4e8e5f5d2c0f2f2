//! JPEG: its markers, and the decoder.
//!
//! Photos are decoded in full size and then reduced: measured in CPU time, that is a fifth less than the decoder that
//! reduces while it decodes (`jpeg-decoder`), which also starts threads of its own.

mod entropy;

use image::RgbImage;
use image::metadata::Orientation;
use memmap2::MmapMut;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::errors::DecodeErrors;

use super::header::{Format, Header, Layout, check_size};
use super::{ImageError, Limits, reduce};
use entropy::Coding;

/// Walks the markers of a JPEG file up to its end marker (ITU-T T.81, annex B).
pub(super) fn header(bytes: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let mut at = 2;
    let mut frame: Option<Frame> = None;
    let mut orientation = None;
    let mut scans = 0;
    let mut fine_step = 0.0;
    let mut complete = false;
    while let Some((marker, next)) = next_marker(bytes, at) {
        at = next;
        match marker {
            // Restart markers, TEM and a second start stand alone.
            0x01 | 0xD0..=0xD8 => continue,
            0xD9 => {
                complete = scans > 0;
                break;
            }
            _ => {}
        }
        let Some(segment) = segment(bytes, at) else { break };
        at += 2 + segment.len();
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                if frame.is_some() {
                    return Err(ImageError::Corrupt("two frame headers"));
                }
                let found = Frame::parse(marker, segment)?;
                check_size(found.width, found.height, limits)?;
                frame = Some(found);
            }
            0xDB => fine_step = quantiser(segment).unwrap_or(fine_step),
            0xE1 if orientation.is_none() => {
                orientation = segment.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk);
            }
            0xDA => {
                if frame.is_none() {
                    return Err(ImageError::Corrupt("a scan before the frame header"));
                }
                scans += 1;
                if scans > limits.scans {
                    return Err(ImageError::TooManyScans);
                }
            }
            _ => {}
        }
    }
    let Some(frame) = frame else {
        return Err(if complete { ImageError::Corrupt("no frame header") } else { ImageError::Truncated });
    };
    // The end marker may be missing: whether all rows are there is seen when they are decoded.
    if scans == 0 {
        return Err(ImageError::Truncated);
    }
    Ok(Header {
        format: Format::Jpeg,
        width: frame.width,
        height: frame.height,
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        layout: Layout::Jpeg {
            coefficients: if frame.progressive || scans > 1 { frame.samples_per_pixel } else { 0.0 },
            fine_step,
        },
    })
}

/// How coarsely the brightness of fine structure is rounded: the mean step of table 0 over the six frequencies of 0.3 to
/// 0.44 cycles per pixel along either axis, in grey levels. `None` if the segment holds no such table.
fn quantiser(mut tables: &[u8]) -> Option<f32> {
    /// Their places in zigzag order (ITU-T T.81, figure A.6): (5..=7, 0) and (0, 5..=7).
    const FINE: [usize; 6] = [15, 27, 28, 20, 21, 35];
    while let [kind, rest @ ..] = tables {
        let wide = kind >> 4 != 0;
        let length = if wide { 128 } else { 64 };
        let steps = rest.get(..length)?;
        if kind & 15 == 0 {
            let step = |&place: &usize| match wide {
                true => f32::from(u16::from_be_bytes([steps[2 * place], steps[2 * place + 1]])),
                false => f32::from(steps[place]),
            };
            return Some(FINE.iter().map(step).sum::<f32>() / FINE.len() as f32);
        }
        tables = &rest[length..];
    }
    None
}

/// Position behind the next marker at or after `at`, skipping entropy-coded data, and its code.
pub(super) fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += memchr::memchr(0xFF, bytes.get(at..)?)? + 1;
        match *bytes.get(at)? {
            // A stuffed zero is data, another 0xFF is a fill byte.
            0x00 | 0xFF => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// The content of the segment whose length field stands at `at`.
pub(super) fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
    bytes.get(at + 2..at + usize::from(length.max(2)))
}

struct Frame {
    width: u32,
    height: u32,
    progressive: bool,
    /// Samples of all channels to one pixel: 3 without, 1.5 with the usual halved colours.
    samples_per_pixel: f32,
}

impl Frame {
    fn parse(marker: u8, segment: &[u8]) -> Result<Self, ImageError> {
        let [precision, h1, h0, w1, w0, channels, components @ ..] = segment else {
            return Err(ImageError::Truncated);
        };
        match marker {
            0xC0..=0xC2 if *precision == 8 => {}
            0xC0..=0xC2 => return Err(ImageError::Unsupported("JPEG with more than 8 bits per channel")),
            0xC3 => return Err(ImageError::Unsupported("lossless JPEG")),
            _ => return Err(ImageError::Unsupported("JPEG with arithmetic coding")),
        }
        if !matches!(channels, 1 | 3 | 4) {
            return Err(ImageError::Unsupported("JPEG with an unusual number of channels"));
        }
        if components.len() < 3 * usize::from(*channels) {
            return Err(ImageError::Corrupt("a short frame header"));
        }
        let samplings =
            || components.chunks_exact(3).take(usize::from(*channels)).map(|c| (c[1] >> 4, c[1] & 15));
        let (most_h, most_v) = samplings().fold((0, 0), |(h, v), (ch, cv)| (h.max(ch), v.max(cv)));
        if samplings().any(|(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v)) {
            return Err(ImageError::Corrupt("a sampling factor out of range"));
        }
        let samples: f32 = samplings().map(|(h, v)| f32::from(h * v)).sum();
        Ok(Self {
            width: u32::from(u16::from_be_bytes([*w1, *w0])),
            height: u32::from(u16::from_be_bytes([*h1, *h0])),
            progressive: marker == 0xC2,
            samples_per_pixel: samples / f32::from(most_h * most_v),
        })
    }
}

/// Decodes at `1/reduction`, as stored (not yet turned upright).
pub(super) fn decode(bytes: &[u8], reduction: u32, limits: &Limits) -> Result<RgbImage, ImageError> {
    if entropy::check(bytes)? == Coding::Unusual {
        return decode_unusual(bytes, reduction, limits);
    }
    let options = DecoderOptions::new_fast()
        .set_max_width(limits.side as usize)
        .set_max_height(limits.side as usize)
        .jpeg_set_max_scans(limits.scans)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let refused = |error| match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => ImageError::Truncated,
        DecodeErrors::Unsupported(_) => ImageError::Unsupported("an unusual JPEG"),
        _ => ImageError::Corrupt("JPEG data"),
    };
    decoder.decode_headers().map_err(refused)?;
    let (width, height) = decoder.dimensions().ok_or(ImageError::Truncated)?;
    let (width, height) = (width as u32, height as u32);
    let picture = if reduction > 1 {
        let size = decoder.output_buffer_size().ok_or(ImageError::Truncated)?;
        let mut rgb = passing(size).map_err(|_| ImageError::TooManyPixels { width, height })?;
        decoder.decode_into(&mut rgb).map_err(refused)?;
        reduce::rows(&rgb, width, height, reduction)
    } else {
        RgbImage::from_raw(width, height, decoder.decode().map_err(refused)?)
    };
    picture.ok_or(ImageError::Truncated)
}

/// Decodes what `zune-jpeg` gets wrong (separate scans with reduced colours come out as stripes) or does not know, a third
/// slower.
fn decode_unusual(bytes: &[u8], reduction: u32, limits: &Limits) -> Result<RgbImage, ImageError> {
    // It insists on the end marker, which the checked file may lack.
    let mut decoder = jpeg_decoder::Decoder::new(std::io::Read::chain(bytes, &[0xFF, 0xD9][..]));
    decoder.set_max_decoding_buffer_size(limits.pixels as usize * 4);
    let data = decoder.decode().map_err(|error| match error {
        jpeg_decoder::Error::Unsupported(_) => ImageError::Unsupported("an unusual JPEG"),
        _ => ImageError::Corrupt("JPEG data"),
    })?;
    let info = decoder.info().ok_or(ImageError::Truncated)?;
    if info.pixel_format != jpeg_decoder::PixelFormat::RGB24 {
        return Err(ImageError::Unsupported("an unusual JPEG"));
    }
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let picture = match reduction {
        1 => RgbImage::from_raw(width, height, data),
        _ => reduce::rows(&data, width, height, reduction),
    };
    picture.ok_or(ImageError::Truncated)
}

/// Memory that is given back after a moment. A photo of 12 megapixels fills 9,000 pages of the usual size, and being given
/// one after the other takes as long as half of the decoding; large pages come at once.
fn passing(bytes: usize) -> std::io::Result<MmapMut> {
    let memory = MmapMut::map_anon(bytes)?;
    // A system without large pages has only the small ones to give.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    Ok(memory)
}

#[cfg(test)]
mod tests;
