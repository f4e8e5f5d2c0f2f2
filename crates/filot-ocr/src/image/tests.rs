use std::io::Cursor;
use std::time::{Duration, Instant};

use image::{ImageFormat, Rgb, RgbImage};

use super::*;

const RED: [u8; 3] = [200, 40, 40];
const GREEN: [u8; 3] = [40, 200, 40];
const BLUE: [u8; 3] = [40, 40, 200];
const YELLOW: [u8; 3] = [220, 220, 60];

fn decode(bytes: &[u8]) -> Result<Photo, ImageError> {
    Photo::decode(bytes, &Limits::default())
}

fn code(bytes: &[u8]) -> &'static str {
    match decode(bytes) {
        Ok(_) => "decoded",
        Err(error) => error.code(),
    }
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Four coloured quarters: red, green / blue, yellow.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        })
    })
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Colours at the middles of the quarters, row by row.
fn middles(picture: &RgbImage) -> [[u8; 3]; 4] {
    let (w, h) = picture.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| picture.get_pixel(w * x / 4, h * y / 4).0)
}

fn assert_quarters(picture: &RgbImage, expected: [[u8; 3]; 4], what: &str) {
    for (found, wanted) in middles(picture).iter().zip(expected) {
        let far = found.iter().zip(wanted).map(|(&a, b)| a.abs_diff(b)).max().unwrap();
        assert!(far <= 25, "{what}: {found:?} instead of {wanted:?}");
    }
}

fn grey([r, g, b]: [u8; 3]) -> [u8; 3] {
    [((f32::from(r) * 0.299) + (f32::from(g) * 0.587) + (f32::from(b) * 0.114)) as u8; 3]
}

#[test]
fn strong_compression_is_told_from_the_file() {
    let step = |quality| {
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
        quarters(64, 64).write_with_encoder(encoder).unwrap();
        decode(&bytes).unwrap().fine_step
    };
    // Steps of the standard table at quality 50, scaled as libjpeg does: 0.8 at quality 60, 0.2 at quality 90.
    assert!((step(60) - 39.6).abs() < 1.0 && (step(90) - 9.9).abs() < 1.0, "{} {}", step(60), step(90));
    assert_eq!(decode(&encoded(&quarters(64, 64), ImageFormat::Png)).unwrap().fine_step, 0.0);
}

#[test]
fn every_kind_of_file_shows_the_same_picture() {
    let colours = [RED, GREEN, BLUE, YELLOW];
    for name in
        ["progressive.jpg", "lossy.webp", "lossless.webp", "animated.webp", "palette.png", "interlaced.png"]
    {
        let photo = decode(&file(name)).unwrap();
        assert_eq!((photo.width, photo.height, photo.reduction), (40, 24, 1.0), "{name}");
        assert_quarters(&photo.pixels, colours, name);
    }
    for name in ["grey.jpg", "grey16.png"] {
        assert_quarters(&decode(&file(name)).unwrap().pixels, colours.map(grey), name);
    }
    // Another colour space, so only roughly the same colours: the order of the channels is what matters.
    for ([r, g, b], [wr, wg, wb]) in middles(&decode(&file("cmyk.jpg")).unwrap().pixels).iter().zip(colours) {
        assert!(r.abs_diff(wr) < 60 && g.abs_diff(wg) < 60 && b.abs_diff(wb) < 60, "cmyk {r} {g} {b}");
    }
    let bits = decode(&file("bits1.png")).unwrap();
    assert_quarters(
        &bits.pixels,
        colours.map(|c| if grey(c)[0] > 100 { [255; 3] } else { [0; 3] }),
        "bits1.png",
    );
}

#[test]
fn transparent_parts_are_white() {
    for name in ["alpha.png", "alpha.webp"] {
        assert_quarters(&decode(&file(name)).unwrap().pixels, [[255; 3], GREEN, BLUE, YELLOW], name);
    }
}

#[test]
fn a_mirror_image_is_the_picture_the_other_way_round() {
    let mut pixels = RgbImage::new(3, 2);
    pixels.put_pixel(0, 1, image::Rgb([9, 8, 7]));
    let photo = Photo::from_pixels(pixels, Format::Jpeg, &Limits::default());
    let mirror = photo.mirrored();
    assert_eq!((mirror.width, mirror.height), (3, 2));
    assert_eq!(mirror.pixels.get_pixel(2, 1).0, [9, 8, 7]);
}

#[test]
fn exif_orientation_is_applied_in_every_format() {
    for name in ["exif3.jpg", "exif6.jpg", "exif8.jpg", "exif6.png", "exif6.webp"] {
        let photo = decode(&file(name)).unwrap();
        assert_eq!(photo.pixels.dimensions(), (40, 24), "{name}");
        assert_quarters(&photo.pixels, [RED, GREEN, BLUE, YELLOW], name);
    }
}

#[test]
fn size_of_a_turned_photo_is_the_upright_one() {
    // PNG tells its orientation only while decoding; the others in their header.
    for name in ["exif6.jpg", "exif6.png", "exif6.webp"] {
        let photo = decode(&file(name)).unwrap();
        assert_eq!((photo.width, photo.height), (40, 24), "{name}");
    }
}

#[test]
fn turning_agrees_with_the_image_crate() {
    let picture = RgbImage::from_fn(70, 45, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    for exif in 1..=8 {
        let orientation = Orientation::from_exif(exif).unwrap();
        let mut expected = image::DynamicImage::from(picture.clone());
        expected.apply_orientation(orientation);
        assert!(reduce::oriented(&picture, orientation) == expected.to_rgb8(), "orientation {exif}");
    }
}

#[test]
fn a_large_photo_comes_reduced_and_in_full_when_asked() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let bytes = encoded(&quarters(4000, 3000), format);
        let photo = decode(&bytes).unwrap();
        assert_eq!(photo.pixels.dimensions(), (2000, 1500), "{format:?}");
        assert_eq!((photo.width, photo.height, photo.reduction), (4000, 3000, 2.0), "{format:?}");
        assert_quarters(&photo.pixels, [RED, GREEN, BLUE, YELLOW], "reduced");
        let full = photo.full().unwrap();
        assert_eq!(full.dimensions(), (4000, 3000), "{format:?}");
        assert_quarters(full, [RED, GREEN, BLUE, YELLOW], "full");
        assert!(std::ptr::eq(full, photo.full().unwrap()), "the full size is decoded once");
    }
    let small = decode(&encoded(&quarters(1700, 900), ImageFormat::Jpeg)).unwrap();
    assert_eq!(small.reduction, 1.0);
    assert!(std::ptr::eq(small.full().unwrap(), &*small.pixels));
}

#[test]
fn a_narrow_strip_is_reduced_by_what_it_says() {
    let photo = decode(&encoded(&quarters(8000, 6), ImageFormat::Jpeg)).unwrap();
    assert_eq!(photo.reduction, 4.0);
    assert_eq!(photo.pixels.width(), 2000);
}

#[test]
fn made_pixels_are_reduced_too() {
    let photo = Photo::from_pixels(quarters(3300, 2000), Format::Pdf, &Limits::default());
    assert_eq!((photo.pixels.dimensions(), photo.reduction), ((1650, 1000), 2.0));
    assert_quarters(&photo.pixels, [RED, GREEN, BLUE, YELLOW], "reduced");
    assert_eq!(photo.full().unwrap().dimensions(), (3300, 2000));
}

#[test]
fn reducing_averages_whole_blocks() {
    let picture = RgbImage::from_fn(7, 5, |x, y| Rgb([(x * 10) as u8, (y * 10) as u8, 100]));
    let half = reduce::whole(&picture, 2);
    assert_eq!(half.dimensions(), (3, 2));
    assert_eq!(half.get_pixel(1, 1).0, [25, 25, 100]);
    let quarter = reduce::whole(&picture, 4);
    assert_eq!(quarter.get_pixel(0, 0).0, [15, 15, 100]);
}

#[test]
fn other_files_are_named() {
    let cases: [(&[u8], &str, &str); 8] = [
        (b"", "file_empty", "empty"),
        (b"hello", "not_a_picture", "not a picture"),
        (b"GIF89a..............", "unsupported_format", "GIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "unsupported_format", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "unsupported_format", "AVIF"),
        (b"II*\0\x08\0\0\0", "unsupported_format", "TIFF"),
        (b"BM\x36\x00\x0c\x00\0\0\0\0\x36\0\0\0\x28\0\0\0\0\0\0\0\0\0\0\0\0", "unsupported_format", "BMP"),
        (b"%PDF-1.7\n", "unsupported_format", "PDF"),
    ];
    for (bytes, code, word) in cases {
        let error = decode(bytes).err().unwrap();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let large = vec![0xFF; (20 << 20) + 1];
    assert_eq!(code(&large), "file_too_large");
}

#[test]
fn a_file_that_breaks_off_is_told_from_a_whole_one() {
    let picture = quarters(600, 400);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let bytes = encoded(&picture, format);
        for share in [10, 30, 60, 90] {
            let cut = &bytes[..bytes.len() * share / 100];
            assert_eq!(code(cut), "file_truncated", "{format:?} cut at {share} %");
        }
    }
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&quarters(2, 2), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = encoded(&quarters(16, 16), ImageFormat::Jpeg);
    let at = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    bytes[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    bytes[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

fn webp_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&quarters(2, 2), ImageFormat::WebP);
    let at = bytes.windows(4).position(|w| w == b"VP8L").unwrap() + 9;
    bytes[at..at + 4].copy_from_slice(&((width - 1) | (height - 1) << 14).to_le_bytes());
    bytes
}

#[test]
fn pixel_floods_are_refused_from_the_header() {
    let files = [
        png_header(1, 65_535),
        png_header(65_535, 65_535),
        png_header(20_000, 20_000),
        png_header(u32::MAX >> 1, u32::MAX >> 1),
        jpeg_header(1, 65_535),
        jpeg_header(65_535, 65_535),
        jpeg_header(20_000, 20_000),
        webp_header(16_383, 16_383),
    ];
    for bytes in files {
        let start = Instant::now();
        let found = code(&bytes);
        assert!(matches!(found, "too_many_pixels" | "file_corrupt"), "{found}");
        assert!(start.elapsed() < Duration::from_millis(50));
    }
    assert_eq!(code(&png_header(65_535, 65_535)), "too_many_pixels");
    assert_eq!(code(&jpeg_header(20_000, 20_000)), "too_many_pixels");
    assert_eq!(code(&webp_header(16_383, 16_383)), "too_many_pixels");
}

#[test]
fn a_frame_larger_than_its_canvas_is_held_against_the_limits() {
    let mut bytes = file("animated.webp");
    let at = bytes.windows(4).position(|w| w == b"VP8L").unwrap() + 9;
    bytes[at..at + 4].copy_from_slice(&(16_382u32 | 16_382 << 14).to_le_bytes());
    assert_eq!(code(&bytes), "too_many_pixels");
}

#[test]
fn many_scans_are_refused() {
    let bytes = file("progressive.jpg");
    let at = bytes.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap();
    let scan = bytes[at..bytes.len() - 2].to_vec();
    let mut long = bytes[..at].to_vec();
    for _ in 0..10_000 {
        long.extend_from_slice(&scan);
    }
    long.extend_from_slice(&[0xFF, 0xD9]);
    let start = Instant::now();
    assert_eq!(code(&long), "too_many_scans");
    assert!(start.elapsed() < Duration::from_millis(50));
}

#[test]
fn memory_needed_is_known_before_decoding() {
    let header = |bytes: &[u8]| Header::read(bytes, &Limits::default()).unwrap();
    let photo = header(&encoded(&quarters(4000, 3000), ImageFormat::Jpeg));
    assert!(photo.decoding_memory(2) < 60 << 20, "{}", photo.decoding_memory(2));
    assert!(photo.decoding_memory(1) >= 36 << 20);
    let mut narrow = Limits { memory: 1 << 20, ..Limits::default() };
    assert_eq!(
        Header::read(&encoded(&quarters(900, 700), ImageFormat::Jpeg), &narrow).unwrap_err().code(),
        "too_many_pixels"
    );
    narrow.memory = 64 << 20;
    assert!(Header::read(&encoded(&quarters(900, 700), ImageFormat::Jpeg), &narrow).is_ok());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 2_000, failure_persistence: None, ..Default::default() })]

    /// The header readers are this crate's own, so nothing catches their panics.
    #[test]
    fn no_bytes_make_the_header_readers_panic(kind in 0..4usize, rest in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let start: [&[u8]; 4] = [b"\xFF\xD8\xFF\xC0\0\x11\x08", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF\x40\0\0\0WEBPVP8X", b""];
        let bytes = [start[kind], &rest].concat();
        let _ = Header::read(&bytes, &Limits::default());
    }

    /// The same with the parts of files that the readers look for.
    #[test]
    fn no_order_of_segments_makes_them_panic(parts in proptest::collection::vec((0..9usize, 0..40usize), 0..30)) {
        let known: [&[u8]; 9] = [
            b"\xFF\xC2\0\x11\x08\x01\0\x01\0\x03\x01\x22\0\x02\x11\x01\x03\x11\x01", b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0", b"\xFF\xE1\0\x20Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12",
            b"\xFF\xD9", b"\xFF\xFF\xFF", b"VP8L\x0A\0\0\0\x2F", b"ANMF\xFF\xFF\xFF\xFF", b"VP8 \x10\0\0\0", b"EXIF\x04\0\0\0Exif",
        ];
        for start in [&b"\xFF\xD8"[..], b"RIFF\0\0\0\0WEBP"] {
            let mut bytes = start.to_vec();
            for &(which, padding) in &parts {
                bytes.extend_from_slice(known[which]);
                bytes.resize(bytes.len() + padding, which as u8);
            }
            let _ = Header::read(&bytes, &Limits::default());
        }
    }
}
