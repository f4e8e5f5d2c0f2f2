//! Files without what they say beside their pixels: where and when a photo was taken, with what, by whom, thumbnails,
//! and whatever lies behind the picture. Pixels are not touched, and of the EXIF block the orientation stays.
//!
//! What cannot be followed to its end is kept as it is from there on: such a file is refused when it is decoded.

use std::borrow::Cow;
use std::ops::Range;

use image::metadata::Orientation;

use super::Format;
use super::jpeg::{next_marker, segment};
use super::webp::Chunk;

/// The same picture without side data.
pub fn without_side_data(bytes: &[u8], format: Format) -> Cow<'_, [u8]> {
    match format {
        Format::Jpeg => jpeg(bytes),
        Format::Png => png(bytes),
        Format::WebP => webp(bytes),
        // A PDF is drawn by a child; what it holds beside the drawing cannot be told apart.
        Format::Pdf => Cow::Borrowed(bytes),
    }
}

/// What is kept of a file, piece by piece.
struct Kept<'a> {
    from: &'a [u8],
    pieces: Vec<Cow<'a, [u8]>>,
    /// Where the next piece begins.
    at: usize,
}

impl<'a> Kept<'a> {
    fn of(from: &'a [u8]) -> Self {
        Self { from, pieces: Vec::new(), at: 0 }
    }

    /// Leaves a part out, and puts `instead` in its place.
    fn replace(&mut self, part: Range<usize>, instead: impl Into<Cow<'a, [u8]>>) {
        self.pieces.push(Cow::Borrowed(&self.from[self.at..part.start]));
        self.pieces.push(instead.into());
        self.at = part.end;
    }

    fn leave_out(&mut self, part: Range<usize>) {
        self.replace(part, &[][..]);
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.pieces.is_empty() {
            return Cow::Borrowed(self.from);
        }
        self.pieces.push(Cow::Borrowed(&self.from[self.at..]));
        Cow::Owned(self.pieces.concat())
    }
}

/// An EXIF block that holds an orientation and nothing else (TIFF 6.0, one directory of one entry).
fn exif(orientation: Orientation) -> [u8; 26] {
    let mut block = *b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    block[19] = orientation.to_exif();
    block
}

fn jpeg(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut kept = Kept::of(bytes);
    let mut at = 2;
    let mut oriented = false;
    while let Some((marker, next)) = next_marker(bytes, at) {
        let start = next - 2;
        at = next;
        match marker {
            0x01 | 0xD0..=0xD8 => continue,
            0xD9 => {
                if at < bytes.len() {
                    kept.leave_out(at..bytes.len());
                }
                break;
            }
            _ => {}
        }
        let Some(content) = segment(bytes, at) else { break };
        at += 2 + content.len();
        let part = start..at;
        match marker {
            // The header, without a thumbnail.
            0xE0 if content.starts_with(b"JFIF\0") && content.len() > 14 => {
                let mut header = vec![0xFF, 0xE0, 0, 16];
                header.extend_from_slice(&content[..12]);
                header.extend_from_slice(&[0, 0]);
                kept.replace(part, header);
            }
            0xE0 if content.starts_with(b"JFIF\0") => {}
            // Colours: a profile, and how Adobe's programs store them.
            0xE2 if content.starts_with(b"ICC_PROFILE\0") => {}
            0xEE => {}
            0xE1 if !oriented => match jpeg_orientation(content) {
                Some(Orientation::NoTransforms) => {
                    // The first that says something counts.
                    oriented = true;
                    kept.leave_out(part);
                }
                Some(orientation) => {
                    oriented = true;
                    let mut block = b"\xFF\xE1\0\x22Exif\0\0".to_vec();
                    block.extend_from_slice(&exif(orientation));
                    // As it was: nothing to leave out.
                    if bytes[part.clone()] != block[..] {
                        kept.replace(part, block);
                    }
                }
                None => kept.leave_out(part),
            },
            0xE0..=0xEF | 0xFE => kept.leave_out(part),
            _ => {}
        }
    }
    kept.finish()
}

fn jpeg_orientation(content: &[u8]) -> Option<Orientation> {
    content.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk)
}

fn png(bytes: &[u8]) -> Cow<'_, [u8]> {
    /// What decides how pixels look, or is itself made of them.
    const KEPT: [&[u8; 4]; 13] = [
        b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"cICP", b"mDCV", b"acTL",
        b"fcTL", b"fdAT",
    ];
    let mut kept = Kept::of(bytes);
    let mut at = 8;
    let mut oriented = false;
    while let Some(&[l0, l1, l2, l3, n0, n1, n2, n3]) = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk) {
        let (length, name) = (u32::from_be_bytes([l0, l1, l2, l3]) as usize, &[n0, n1, n2, n3]);
        let Some(end) = (at + 8).checked_add(length).and_then(|end| end.checked_add(4)) else { break };
        let Some(content) = bytes.get(at + 8..end - 4).filter(|_| end <= bytes.len()) else { break };
        let part = at..end;
        at = end;
        if name == b"IEND" {
            if at < bytes.len() {
                kept.leave_out(at..bytes.len());
            }
            break;
        }
        // Decoders may not pass over chunks with a capital first letter.
        if name[0].is_ascii_uppercase() || KEPT.contains(&name) {
            continue;
        }
        // One whose checksum is wrong says nothing, and of several the first counts.
        let whole = bytes[end - 4..end] == crc(&bytes[part.start + 4..end - 4]).to_be_bytes();
        let counts = name == b"eXIf" && whole && !std::mem::replace(&mut oriented, true);
        match Orientation::from_exif_chunk(content).filter(|_| counts) {
            Some(orientation) if orientation != Orientation::NoTransforms => {
                let block = png_chunk(*b"eXIf", &exif(orientation));
                if bytes[part.clone()] != block[..] {
                    kept.replace(part, block);
                }
            }
            _ => kept.leave_out(part),
        }
    }
    kept.finish()
}

fn png_chunk(name: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = u32::try_from(content.len()).unwrap_or(0).to_be_bytes().to_vec();
    chunk.extend_from_slice(&name);
    chunk.extend_from_slice(content);
    let sum = crc(&chunk[4..]);
    chunk.extend_from_slice(&sum.to_be_bytes());
    chunk
}

/// The checksum of PNG (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    let step = |sum: u32, &byte: &u8| {
        (0..8).fold(
            sum ^ u32::from(byte),
            |sum, _| {
                if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 }
            },
        )
    };
    !bytes.iter().fold(u32::MAX, step)
}

fn webp(bytes: &[u8]) -> Cow<'_, [u8]> {
    /// In `VP8X`: that there is an EXIF block, and one of XMP.
    const EXIF: u8 = 8;
    const XMP: u8 = 4;
    let mut kept = Kept::of(bytes);
    // Where the file says that it ends; what comes then is no part of it.
    let stated =
        bytes.get(4..8).and_then(<[u8]>::first_chunk).map_or(0, |&length| u32::from_le_bytes(length));
    let mut at = 12;
    let mut orientation = None;
    let mut flags = None;
    while let Some(chunk) = Chunk::at(bytes, at).filter(|chunk| !chunk.cut && at != stated as usize + 8) {
        let part = at..chunk.next.min(bytes.len());
        match &chunk.name {
            b"VP8X" => flags = flags.or((!chunk.data.is_empty()).then_some(at + 8)),
            b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP" => {}
            name => {
                if name == b"EXIF" {
                    let block = chunk.data.strip_prefix(b"Exif\0\0").unwrap_or(chunk.data);
                    orientation = orientation.or(Orientation::from_exif_chunk(block));
                }
                kept.leave_out(part.clone());
            }
        }
        at = part.end;
    }
    // Bytes that are no chunk lie behind the picture, unless one was cut off.
    if at < bytes.len() && (at == stated as usize + 8 || Chunk::at(bytes, at).is_none()) {
        kept.leave_out(at..bytes.len());
    }
    let Cow::Owned(mut file) = kept.finish() else { return Cow::Borrowed(bytes) };
    let turned = orientation.filter(|&orientation| orientation != Orientation::NoTransforms);
    if let Some(orientation) = turned {
        file.extend_from_slice(b"EXIF\x1A\0\0\0");
        file.extend_from_slice(&exif(orientation));
    }
    // `VP8X` stands in front of all that was left out.
    if let Some(flags) = flags.and_then(|at| file.get_mut(at)) {
        *flags = *flags & !(EXIF | XMP) | if turned.is_some() { EXIF } else { 0 };
    }
    let length = u32::try_from(file.len() - 8).unwrap_or(u32::MAX);
    file[4..8].copy_from_slice(&length.to_le_bytes());
    if file == bytes { Cow::Borrowed(bytes) } else { Cow::Owned(file) }
}

#[cfg(test)]
mod tests;
