//! Thousands of damaged files through the whole program.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use image::{ImageFormat, Rgb, RgbImage};
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::pdf::{document, stream};
use crate::program::{samples, watch};

/// Files in the run; the bar is 5,000.
const FILES: usize = 5_000;

/// Whole files of every kind, small so that thousands of them can be read.
fn originals() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filot-ocr/tests/data");
    let mut names: Vec<_> = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    files.extend(names.iter().map(|name| fs::read(name).unwrap()));
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let noise = RgbImage::from_fn(200, 126, |_, _| Rgb([dice.random(), dice.random(), dice.random()]));
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let mut bytes = Cursor::new(Vec::new());
        noise.write_to(&mut bytes, format).unwrap();
        files.push(bytes.into_inner());
    }
    let content = b"q 1 0 0 rg 10 10 100 60 re f BT /F 12 Tf 20 80 Td (NIK) Tj ET Q";
    files.push(document(&[
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 120]/Resources<</Font<</F 5 0 R>>>>/Contents 4 0 R>>"
            .to_vec(),
        stream("", content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
    ]));
    files
}

/// Bytes that make sizes, counts and offsets extreme.
const EXTREMES: [&[u8]; 8] = [
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x80\x00\x00\x00",
    b"\xff\xff",
    b"\xff\xd8\xff\xe1\xff\xff",
    b"\xff\xd9",
    b"\x00\x01\x00\x00",
];

fn damaged(originals: &[Vec<u8>], dice: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = originals.choose(dice).unwrap().clone();
    for _ in 0..dice.random_range(1..=3) {
        let length = bytes.len().max(1);
        // Most of what a parser believes stands at the beginning.
        let within = if dice.random_bool(0.5) { length.min(96) } else { length };
        let at = dice.random_range(0..within);
        match dice.random_range(0..8) {
            0 => bytes.truncate(at),
            1 | 2 => {
                for _ in 0..dice.random_range(1..=32) {
                    let at = dice.random_range(0..length);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << dice.random_range(0..8);
                    }
                }
            }
            3 => {
                let extreme = EXTREMES.choose(dice).unwrap();
                for (byte, &value) in bytes.iter_mut().skip(at).zip(*extreme) {
                    *byte = value;
                }
            }
            4 => drop(bytes.drain(at.min(bytes.len())..(at + dice.random_range(1..200)).min(bytes.len()))),
            5 => {
                let end = (at + dice.random_range(1..400)).min(bytes.len());
                let piece = bytes[at.min(end)..end].to_vec();
                for _ in 0..dice.random_range(1..20) {
                    let at = at.min(bytes.len());
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            // One kind of file inside or behind another.
            6 => {
                let other = originals.choose(dice).unwrap();
                let at = at.min(bytes.len());
                bytes.splice(at.., other.iter().copied());
            }
            _ => {
                let mut rest = vec![0; dice.random_range(0..2000)];
                dice.fill_bytes(&mut rest);
                bytes.truncate(at.max(16));
                bytes.extend_from_slice(&rest);
            }
        }
    }
    bytes
}

#[test]
fn thousands_of_damaged_files_do_no_harm() {
    // Four readers at once, each with the widest search: an empty picture makes it look twice.
    let ordinary = samples(8, 1);
    for i in 0..8 {
        RgbImage::from_pixel(2400, 1600, Rgb([200; 3]))
            .save(ordinary.path().join(format!("empty-{i}.png")))
            .unwrap();
    }
    let usual = watch(ordinary.path(), 4).peak_mib;
    let folder = tempfile::tempdir().unwrap();
    let originals = originals();
    let mut dice = ChaCha8Rng::seed_from_u64(20_261_123);
    for i in 0..FILES {
        fs::write(folder.path().join(format!("{i:05}.jpg")), damaged(&originals, &mut dice)).unwrap();
    }
    let seen = watch(folder.path(), 4);
    assert_eq!(seen.records.len(), FILES, "the program ended early with status {}", seen.status);
    assert_eq!(seen.status, 65);
    // A file that loops shows in processor time, of four readers at once, however busy the machine is; one that sleeps
    // shows in a wait that no busy machine explains.
    assert!(seen.longest_work < Duration::from_secs(20), "{:?} of work for one result", seen.longest_work);
    assert!(seen.longest_wait < Duration::from_secs(120), "{:?} without a result", seen.longest_wait);
    assert!(seen.peak_mib <= usual + 256, "{} MiB, usually {usual}", seen.peak_mib);

    let (mut refused, mut read) = (0, 0);
    for record in &seen.records {
        match record.get("error") {
            Some(error) => {
                refused += 1;
                let code = error["code"].as_str().unwrap();
                assert!(
                    !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                    "{code}"
                );
                assert!(!error["message"].as_str().unwrap().is_empty());
            }
            None => {
                read += 1;
                assert_ne!(record["decision"], "auto_approve", "{record}");
            }
        }
    }
    // The damage is such that both ways are taken often.
    assert!(refused > FILES / 5 && read > FILES / 20, "{refused} refused, {read} read");
}
