use image::{ExtendedColorType, ImageEncoder, codecs};
use proptest::prelude::*;

use super::super::{Limits, Photo};
use super::*;

/// What no stored file may hold.
const SECRET: &[u8] = b"GPS 6.2088 S 106.8456 E";

fn picture() -> Vec<u8> {
    (0..24 * 16 * 3).map(|n| (n * 7 % 251) as u8).collect()
}

fn encoded(format: Format) -> Vec<u8> {
    let mut file = Vec::new();
    let (pixels, kind) = (picture(), ExtendedColorType::Rgb8);
    match format {
        Format::Jpeg => codecs::jpeg::JpegEncoder::new(&mut file).write_image(&pixels, 24, 16, kind).unwrap(),
        Format::Png => codecs::png::PngEncoder::new(&mut file).write_image(&pixels, 24, 16, kind).unwrap(),
        Format::WebP => {
            codecs::webp::WebPEncoder::new_lossless(&mut file).write_image(&pixels, 24, 16, kind).unwrap();
        }
        Format::Pdf => unreachable!(),
    }
    file
}

/// An EXIF block with an orientation, and a maker's note that tells too much.
fn telling_exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend_from_slice(&[orientation, 0, 0, 0]);
    block.extend_from_slice(&[0x7C, 0x92, 7, 0, SECRET.len() as u8, 0, 0, 0, 38, 0, 0, 0, 0, 0, 0, 0]);
    block.extend_from_slice(SECRET);
    block
}

fn jpeg_segment(marker: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let mut segment = vec![0xFF, marker];
    segment.extend_from_slice(&u16::try_from(content.len() + 2).unwrap().to_be_bytes());
    segment.extend_from_slice(&content);
    segment
}

fn webp_chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = name.to_vec();
    chunk.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
    chunk.extend_from_slice(content);
    if content.len() % 2 == 1 {
        chunk.push(0);
    }
    chunk
}

/// The same picture with side data in every place that cameras and programs use.
fn telling(format: Format, orientation: u8) -> Vec<u8> {
    let mut file = encoded(format);
    let exif = telling_exif(orientation);
    match format {
        Format::Jpeg => {
            let mut head = jpeg_segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", SECRET]);
            head.extend(jpeg_segment(0xE1, &[b"Exif\0\0", &exif]));
            head.extend(jpeg_segment(0xE2, &[b"MPF\0", SECRET]));
            head.extend(jpeg_segment(0xED, &[b"Photoshop 3.0\0", SECRET]));
            head.extend(jpeg_segment(0xFE, &[SECRET]));
            head.extend(jpeg_segment(0xE0, &[b"JFXX\0\x10", SECRET]));
            let thumbnail = [&[4_u8, 2][..], SECRET, &[0; 24 - SECRET.len()]].concat();
            let old = file.len();
            let header = segment(&file, 4).unwrap();
            let with = jpeg_segment(0xE0, &[&header[..12], &thumbnail]);
            let behind = 4 + 2 + header.len();
            file.splice(2..behind, with.into_iter().chain(head));
            assert!(file.len() > old);
        }
        Format::Png => {
            let text = png_chunk(*b"tEXt", &[b"Comment\0", SECRET].concat());
            let more = png_chunk(*b"prVt", SECRET);
            file.splice(33..33, [png_chunk(*b"eXIf", &exif), text, more].concat());
        }
        Format::WebP => {
            file.extend(webp_chunk(b"EXIF", &exif));
            file.extend(webp_chunk(b"XMP ", SECRET));
            file.extend(webp_chunk(b"note", SECRET));
            let canvas = webp_chunk(b"VP8X", &[12, 0, 0, 0, 23, 0, 0, 15, 0, 0]);
            file.splice(12..12, canvas);
            let length = u32::try_from(file.len() - 8).unwrap();
            file[4..8].copy_from_slice(&length.to_le_bytes());
        }
        Format::Pdf => unreachable!(),
    }
    // A reader of WebP takes more bytes for another chunk.
    if format != Format::WebP {
        file.extend_from_slice(SECRET);
    }
    file
}

const ALL: [Format; 3] = [Format::Jpeg, Format::Png, Format::WebP];

fn tells(file: &[u8]) -> bool {
    file.windows(SECRET.len()).any(|window| window == SECRET)
}

fn pixels(file: &[u8]) -> image::RgbImage {
    let photo = Photo::decode(file, &Limits::default()).unwrap();
    (*photo.pixels).clone()
}

#[test]
fn what_a_file_tells_beside_its_pixels_goes_and_they_stay_upright() {
    for format in ALL {
        for orientation in 1..=8 {
            let file = telling(format, orientation);
            assert!(tells(&file));
            let plain = without_side_data(&file, format);
            assert!(!tells(&plain), "{format:?} {orientation}");
            assert_eq!(pixels(&plain), pixels(&file), "{format:?} {orientation}");
            assert!(plain.len() < encoded(format).len() + 80, "{format:?} {orientation}");
            let again = without_side_data(&plain, format);
            assert!(
                matches!(again, Cow::Borrowed(_)),
                "{format:?} {orientation}: nothing is left to leave out"
            );
        }
    }
}

#[test]
fn files_that_tell_nothing_stay_as_they_are() {
    for format in ALL {
        let file = encoded(format);
        assert!(matches!(without_side_data(&file, format), Cow::Borrowed(_)), "{format:?}");
    }
    let pdf = b"%PDF-1.7 of somebody";
    assert_eq!(without_side_data(pdf, Format::Pdf), &pdf[..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 2_000 } else { 20_000 }))]

    #[test]
    fn damaged_files_do_no_harm(
        which in 0_usize..3,
        orientation in 1_u8..=8,
        cut in 0_usize..4000,
        hits in proptest::collection::vec((0_usize..4000, any::<u8>()), 0..12),
    ) {
        let format = ALL[which];
        let mut file = telling(format, orientation);
        for (at, byte) in hits {
            let at = at % file.len();
            file[at] = byte;
        }
        if cut < file.len() {
            file.truncate(cut);
        }
        let plain = without_side_data(&file, format);
        // At most an orientation more, as when the block that held it was shorter than one can be.
        prop_assert!(plain.len() <= file.len() + 64);
        let again = without_side_data(&plain, format);
        prop_assert!(again.len() <= plain.len() + 64);
    }

    #[test]
    fn noise_does_no_harm(which in 0_usize..3, mut noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let format = ALL[which];
        let head: &[u8] = match format {
            Format::Jpeg => b"\xFF\xD8\xFF\xE1",
            Format::Png => b"\x89PNG\r\n\x1A\n",
            _ => b"RIFF\0\0\0\0WEBP",
        };
        noise.splice(0..0, head.iter().copied());
        let plain = without_side_data(&noise, format);
        prop_assert!(plain.len() <= noise.len() + 64);
    }
}
