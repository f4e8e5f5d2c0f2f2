//! JPEG files as phones write them: colour at half resolution, orientation in EXIF.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};

/// Encodes the upright picture so that a viewer that applies the EXIF `orientation` (1, 3, 6 or 8) shows it upright. With
/// `orientation` 1 and no `camera` the file has no EXIF at all. Returns the file and the stored width and height.
pub(crate) fn encode(
    mut upright: RgbImage,
    quality: u8,
    orientation: u8,
    camera: Option<&str>,
    halve_colour: bool,
) -> (Vec<u8>, [u32; 2]) {
    if halve_colour {
        halve_chroma(&mut upright);
    }
    let stored = match orientation {
        3 => imageops::rotate180(&upright),
        6 => imageops::rotate270(&upright),
        8 => imageops::rotate90(&upright),
        _ => upright,
    };
    let mut file = Vec::with_capacity(stored.as_raw().len() / 8);
    let mut encoder = JpegEncoder::new_with_quality(&mut file, quality);
    if orientation != 1 || camera.is_some() {
        encoder
            .set_exif_metadata(exif(orientation, camera.unwrap_or("CAMERA")))
            .expect("the JPEG encoder takes EXIF data");
    }
    let (width, height) = stored.dimensions();
    encoder
        .write_image(stored.as_raw(), width, height, ExtendedColorType::Rgb8)
        .expect("a picture of fewer than 65,536 pixels a side can be encoded into memory");
    (file, [width, height])
}

/// A TIFF block (big-endian) with one directory: make and orientation.
fn exif(orientation: u8, camera: &str) -> Vec<u8> {
    let mut make = camera.as_bytes().to_vec();
    make.push(0);
    // The text must not fit into the entry itself, where four bytes are stored in place.
    while make.len() <= 4 {
        make.push(0);
    }
    let mut block = b"MM\0\x2a\0\0\0\x08".to_vec();
    block.extend(2_u16.to_be_bytes());
    let entry = |block: &mut Vec<u8>, tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        block.extend(tag.to_be_bytes());
        block.extend(kind.to_be_bytes());
        block.extend(count.to_be_bytes());
        block.extend(value);
    };
    // Header 8, count 2, two entries of 12, next-directory offset 4.
    let text_at = 8 + 2 + 24 + 4_u32;
    entry(&mut block, 0x010f, 2, make.len() as u32, text_at.to_be_bytes());
    entry(&mut block, 0x0112, 3, 1, [0, orientation, 0, 0]);
    block.extend(0_u32.to_be_bytes());
    block.extend(make);
    block
}

/// Gives each block of 2 × 2 pixels its mean colour, leaving brightness alone: what 4:2:0 sampling leaves.
fn halve_chroma(picture: &mut RgbImage) {
    let stride = picture.width() as usize * 3;
    for pair in picture.as_mut().chunks_exact_mut(2 * stride) {
        let (upper, lower) = pair.split_at_mut(stride);
        for (upper, lower) in upper.chunks_exact_mut(6).zip(lower.chunks_exact_mut(6)) {
            let pixels = [&upper[0..3], &upper[3..6], &lower[0..3], &lower[3..6]];
            let luma = pixels.map(|p| 299 * i32::from(p[0]) + 587 * i32::from(p[1]) + 114 * i32::from(p[2]));
            let mean = luma.iter().sum::<i32>() / 4;
            let sums: [i32; 3] = std::array::from_fn(|c| pixels.iter().map(|p| i32::from(p[c])).sum());
            let offset = sums.map(|sum| sum * 250 - mean);
            for (n, &luma) in luma.iter().enumerate() {
                let pixel =
                    if n < 2 { &mut upper[3 * n..3 * n + 3] } else { &mut lower[3 * n - 6..3 * n - 3] };
                for (value, offset) in pixel.iter_mut().zip(offset) {
                    *value = ((luma + offset + 500) / 1000).clamp(0, 255) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageDecoder, ImageReader, Rgb};
    use std::io::Cursor;

    #[test]
    fn a_viewer_that_obeys_exif_sees_the_upright_picture() {
        let mut upright = RgbImage::from_pixel(64, 32, Rgb([20, 20, 20]));
        for (x, y) in (0..16).flat_map(|x| (0..16).map(move |y| (x, y))) {
            upright.put_pixel(x, y, Rgb([250, 10, 10]));
        }
        for orientation in [1, 3, 6, 8] {
            let (file, size) = encode(upright.clone(), 90, orientation, None, true);
            assert_eq!(size, if orientation >= 5 { [32, 64] } else { [64, 32] });
            let reader =
                ImageReader::new(Cursor::new(file)).with_guessed_format().expect("memory is readable");
            let mut decoder = reader.into_decoder().expect("a JPEG");
            let stated = decoder.orientation().expect("readable EXIF");
            assert_eq!(stated.to_exif(), orientation);
            let mut picture = image::DynamicImage::from_decoder(decoder).expect("a sound file");
            picture.apply_orientation(stated);
            let picture = picture.into_rgb8();
            assert_eq!(picture.dimensions(), (64, 32));
            assert!(picture.get_pixel(4, 4).0[0] > 200 && picture.get_pixel(60, 28).0[0] < 60);
        }
    }

    #[test]
    fn grey_stays_grey_with_halved_colour() {
        let mut picture = RgbImage::from_fn(8, 8, |x, y| Rgb([(x * 20 + y * 7) as u8; 3]));
        let before = picture.clone();
        halve_chroma(&mut picture);
        assert_eq!(picture, before);
    }
}
