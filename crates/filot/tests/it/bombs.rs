//! Small files that would be large in memory, or long in work, if they were believed.

use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::{Rgb, RgbImage};

use crate::pdf::{document, stream};
use crate::program::{samples, watch};

/// So many zeros, deflated.
fn zeros(count: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0u8; 1 << 20];
    for _ in 0..count >> 20 {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(content);
    let mut bytes = (content.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(&crc.sum().to_be_bytes());
    bytes
}

/// An RGB picture of the given size with further chunks before its pixels.
fn png(width: u32, height: u32, further: &[Vec<u8>], pixels: &[u8]) -> Vec<u8> {
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    head.extend_from_slice(&[8, 2, 0, 0, 0]);
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &head),
        further.concat(),
        chunk(b"IDAT", pixels),
        chunk(b"IEND", b""),
    ]
    .concat()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Rows of 64 grey RGB pixels, each with its filter byte.
fn small_pixels() -> Vec<u8> {
    deflated(&[&[0u8][..], &[120; 64 * 3]].concat().repeat(64))
}

fn pages(count: usize) -> Vec<u8> {
    let kids: String = (0..count).map(|i| format!("{} 0 R ", i + 3)).collect();
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        format!("<</Type/Pages/Count {count}/Kids[{kids}]>>").into_bytes(),
    ];
    objects.resize(count + 2, b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>".to_vec());
    document(&objects)
}

/// A page whose content inflates to the given bytes.
fn page_of(content: &[u8]) -> Vec<u8> {
    document(&[
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R>>".to_vec(),
        stream("/Filter/FlateDecode", content),
    ])
}

/// A page with a picture that claims 30,000 x 30,000 pixels.
fn page_with_huge_picture() -> Vec<u8> {
    document(&[
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Resources<</XObject<</P 4 0 R>>>>/Contents 5 0 R>>"
            .to_vec(),
        stream(
            "/Type/XObject/Subtype/Image/Width 30000/Height 30000/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode",
            &zeros(600 << 20),
        ),
        stream("", b"q 300 0 0 200 0 0 cm /P Do Q"),
    ])
}

/// A page that draws a million lines.
pub(crate) fn page_of_many_strokes() -> Vec<u8> {
    page_of(&deflated("0 0 m 300 200 l 300 0 l 0 200 l h B*\n".repeat(1_000_000).as_bytes()))
}

/// A page that takes no memory and computes the colour of each pixel with 800 operations, twenty times over.
fn page_that_computes() -> Vec<u8> {
    let function = format!("{{ {} 300 div exch 200 div dup }}", "dup sin exch pop dup mul ".repeat(400));
    document(&[
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Shading<</S 5 0 R>>>>>>"
            .to_vec(),
        stream("", "/S sh\n".repeat(20).as_bytes()),
        b"<</ShadingType 1/ColorSpace/DeviceRGB/Domain[0 300 0 200]/Function 6 0 R>>".to_vec(),
        stream("/FunctionType 4/Domain[0 300 0 200]/Range[0 1 0 1 0 1]", function.as_bytes()),
    ])
}

/// What the file is, its name and content, and whether it must be refused.
fn bombs() -> Vec<(&'static str, Vec<u8>, bool)> {
    let gigabyte = zeros(1 << 30);
    let text = |name: &[u8; 4], head: &[u8]| vec![chunk(name, &[head, &gigabyte].concat())];
    let picture = small_pixels();
    vec![
        // More pixels than the header says: the rest is not inflated.
        ("idat.png", png(64, 64, &[], &gigabyte), false),
        ("wide.png", png(60_000, 60_000, &[], &gigabyte), true),
        ("ztxt.png", png(64, 64, &text(b"zTXt", b"Comment\0\0"), &picture), false),
        ("itxt.png", png(64, 64, &text(b"iTXt", b"Comment\0\x01\0\0\0"), &picture), false),
        ("icc.png", png(64, 64, &text(b"iCCP", b"profile\0\0"), &picture), false),
        ("flate.pdf", page_of(&gigabyte), true),
        ("pages.pdf", pages(10_000), false),
        ("picture.pdf", page_with_huge_picture(), true),
        ("strokes.pdf", page_of_many_strokes(), true),
        ("computes.pdf", page_that_computes(), true),
    ]
}

/// Processor time that a bomb may cost.
const LIMIT: Duration = Duration::from_secs(2);
/// What a page that does nothing but compute is allowed by `pdf.cpu_limit_s`, and a little to notice it.
const SHARE: Duration = Duration::from_millis(2900);

#[test]
fn bombs_neither_take_long_nor_much_memory() {
    let folder = tempfile::tempdir().unwrap();
    let ordinary = samples(2, 1);
    RgbImage::from_pixel(2400, 1600, Rgb([200; 3])).save(ordinary.path().join("empty.png")).unwrap();
    // Pages are drawn larger than most photos are, so a harmless one is part of what is usual.
    fs::write(ordinary.path().join("page.pdf"), pages(1)).unwrap();
    let usual = watch(ordinary.path(), 1).peak_mib;
    // To start the program and load the networks is not the file's work.
    let nothing = folder.path().join("nothing.png");
    fs::write(&nothing, b"no picture").unwrap();
    let start = watch(&nothing, 1).work;
    for (name, bytes, refused) in bombs() {
        let limit = if name == "computes.pdf" { SHARE } else { LIMIT };
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut seen = watch(&path, 1);
        // A machine that does other things at the same time makes work longer, never shorter.
        for _ in 0..2 {
            if seen.work.saturating_sub(start) >= limit {
                seen = watch(&path, 1);
            }
        }
        let record = &seen.records[0];
        assert_eq!(record.get("error").is_some(), refused, "{name}: {record}");
        let worked = seen.work.saturating_sub(start);
        println!("{name}: {worked:?} of the processor, {} MiB", seen.peak_mib);
        assert!(worked < limit, "{name} took {worked:?} of the processor");
        // The child that looks through ten thousand pages comes on top; it may use 256 MiB, and the guarantee is as much.
        assert!(seen.peak_mib <= usual + 128, "{name}: {} MiB, usually {usual}", seen.peak_mib);
        fs::remove_file(&path).unwrap();
    }
}
