//! Locates cards and measures it: `locate MODELS FOLDER [--runtime rten]`.
//!
//! `FOLDER` holds pictures and a `truth.jsonl` with their corners, as `make_set` of the test kit writes. Prints for each
//! picture the worst corner of four in shares of the card's width, the confidence and what it was taken for; then how the
//! errors are spread in each tier, and how many of the cards with that confidence and more are within 1 %.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a developer's tool")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use filot_ocr::image::{Limits, Photo};
use filot_ocr::models::Models;
use filot_ocr::native::NativeEngine;
use serde_json::Value;

/// Share of the card's width within which the worst corner is right.
const RIGHT: f64 = 0.01;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (models, folder) = (Path::new(&words[0]), Path::new(&words[1]));
    let library = models.join("libonnxruntime.so");
    let library = (!words.iter().any(|word| word == "rten")).then_some(library.as_path());
    let engine = NativeEngine::load(&Models::from_dir(models).unwrap(), library, 1).unwrap();
    let mut by_tier: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let (mut stated, mut took) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(folder.join("truth.jsonl")).unwrap().lines() {
        let truth: Value = serde_json::from_str(line).unwrap();
        let file = truth["file"].as_str().unwrap();
        let photo = Photo::decode(&std::fs::read(folder.join(file)).unwrap(), &Limits::default()).unwrap();
        let start = Instant::now();
        let found = engine.locate(&photo).unwrap();
        took.push(start.elapsed().as_secs_f64() * 1000.0);
        let Some(found) = found else {
            println!("{file} nothing");
            continue;
        };
        let mut error = f64::NAN;
        if let Some(corners) = truth["capture"]["corners"].as_array() {
            let worst = corners.iter().zip(found.corners.0).map(|(corner, p)| {
                let [x, y] = [0, 1].map(|axis| corner[axis].as_f64().unwrap());
                (x - f64::from(p.x)).hypot(y - f64::from(p.y))
            });
            error = worst.fold(0.0, f64::max) / truth["capture"]["card_px"].as_f64().unwrap();
        }
        if truth["type"] != "other" && error.is_finite() {
            by_tier.entry(truth["tier"].as_str().unwrap().to_owned()).or_default().push(error);
        }
        stated.push((found.confidence, error <= RIGHT));
        println!(
            "{file} {} {:.2} % off, confidence {:.3}, upright {:.3}, {:?}, mirrored {}",
            truth["tier"],
            100.0 * error,
            found.confidence,
            found.upright,
            found.kind,
            found.mirrored()
        );
    }
    for (tier, errors) in &mut by_tier {
        errors.sort_by(f64::total_cmp);
        let at = |share: f64| 100.0 * errors[((errors.len() - 1) as f64 * share) as usize];
        println!(
            "{tier}: {} cards, worst corner median {:.2} %, 90 % {:.2} %, 95 % {:.2} %",
            errors.len(),
            at(0.5),
            at(0.9),
            at(0.95)
        );
    }
    for least in [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3] {
        let sure: Vec<bool> = stated.iter().filter(|s| s.0 >= least).map(|s| s.1).collect();
        let right = sure.iter().filter(|right| **right).count();
        println!("confidence {least} and more: {} of {}, {right} right", sure.len(), stated.len());
    }
    took.sort_by(f64::total_cmp);
    if let Some(median) = took.get(took.len() / 2) {
        println!("median {median:.1} ms");
    }
}
