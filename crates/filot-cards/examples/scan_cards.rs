//! Reads a folder's pictures all the way to decisions: `scan_cards MODELS FOLDER [--runtime rten]`.
//!
//! Prints a line of JSON for each picture that `truth.jsonl` names, as `filot scan --format ndjson` does, so that the example
//! `score` of the test kit can measure it; further `cpu`, the milliseconds that the thread computed, `corners` as found, and
//! `searched`, whether the card's outline was looked for by edges. Needs neither the service nor its settings.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use filot_cards::assess::read_card;
use filot_cards::decide::Policy;
use filot_cards::kind::DeclaredType;
use filot_ocr::image::{Limits, Photo};
use filot_ocr::models::Models;
use filot_ocr::native::NativeEngine;
use filot_ocr::page::Rect;
use serde_json::{Value, json};

/// Milliseconds that the main thread has computed.
fn cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().context("a number")?.parse()?;
    Ok(nanoseconds / 1e6)
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [models, folder, options @ ..] = words.as_slice() else {
        anyhow::bail!("scan_cards MODELS FOLDER [--runtime rten]")
    };
    let (models, folder) = (Path::new(models), Path::new(folder));
    let library = models.join("libonnxruntime.so");
    let rten = options.iter().any(|option| option == "rten");
    let library = (!rten).then_some(library.as_path());
    let engine = NativeEngine::load(&Models::from_dir(models)?, library, 1)?;
    let today = jiff::civil::date(2026, 8, 1);
    for line in std::fs::read_to_string(folder.join("truth.jsonl"))?.lines() {
        let truth: Value = serde_json::from_str(line)?;
        let file = truth["file"].as_str().context("a file name")?;
        let declared = match truth["declared"].as_str() {
            Some("ktp") => DeclaredType::Ktp,
            Some("npwp") => DeclaredType::Npwp,
            _ => DeclaredType::Auto,
        };
        let bytes = std::fs::read(folder.join(file))?;
        let (start, before) = (Instant::now(), cpu()?);
        let photo = match Photo::decode(&bytes, &Limits::default()) {
            Ok(photo) => photo,
            Err(error) => {
                println!("{}", json!({ "file": file, "error": error.to_string() }));
                continue;
            }
        };
        let decoded = cpu()? - before;
        let reading = read_card(&engine, &photo, declared, &Policy::default(), today)?;
        let mut record = serde_json::to_value(&reading.assessment)?;
        let frame = &reading.frame;
        let whole = Rect { x0: 0.0, y0: 0.0, x1: frame.width, y1: frame.height };
        record["file"] = json!(file);
        record["ms"] = json!(start.elapsed().as_secs_f64() * 1000.0);
        record["cpu"] = json!(cpu()? - before);
        record["decoded"] = json!(decoded);
        record["find"] = json!(reading.timing.find);
        record["searched"] = json!(reading.timing.searched);
        record["corners"] = json!(frame.photo_quad(&whole).0.map(|p| [p.x, p.y]));
        println!("{record}");
    }
    Ok(())
}
