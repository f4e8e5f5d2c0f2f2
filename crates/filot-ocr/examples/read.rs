//! Reads pictures and prints what stands on them: `read [--pages DIR] [--runtime LIB|rten] FILE…`.
//!
//! With `--pages`, each page is also written as JSON. For working on the reader; users have `filot scan`.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a developer's tool")]

use std::path::{Path, PathBuf};

use filot_ocr::engine::OcrEngine;
use filot_ocr::image::{Limits, Photo};
use filot_ocr::models::Models;
use filot_ocr::native::NativeEngine;

fn decode(path: &Path) -> Photo {
    Photo::decode(&std::fs::read(path).unwrap(), &Limits::default()).unwrap()
}

fn main() {
    let mut pages = None;
    let mut library = Some(PathBuf::from("models/libonnxruntime.so"));
    let mut files = Vec::new();
    let mut quiet = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--pages" => pages = args.next().map(PathBuf::from),
            "--runtime" => library = args.next().filter(|r| r != "rten").map(PathBuf::from),
            "--quiet" => quiet = true,
            _ => files.push(PathBuf::from(arg)),
        }
    }
    let models = Models::from_dir(Path::new(&std::env::var("M").unwrap_or("models".into()))).unwrap();
    let engine = NativeEngine::load(&models, library.as_deref(), 1).unwrap();
    let mut totals = Vec::new();
    for file in files {
        let start = std::time::Instant::now();
        let photo = decode(&file);
        let decoded = start.elapsed().as_secs_f32() * 1000.0;
        let reading = engine.read(&photo).unwrap();
        let total = start.elapsed().as_secs_f32() * 1000.0;
        totals.push(total);
        let frame = &reading.page.frame;
        println!(
            "{} {:?} turned {} {:.0}x{:.0}: {} lines; decode {decoded:.0} find {:.0} detect {:.0} recognize {:.0} all {total:.0} ms",
            file.display(),
            frame.framing,
            frame.turned,
            frame.width,
            frame.height,
            reading.page.lines.len(),
            reading.timing.find,
            reading.timing.detect,
            reading.timing.recognize,
        );
        println!("   Q {:?}", reading.page.quality);
        if !quiet {
            println!("   {:?}", reading.page.quality);
            for line in &reading.page.lines {
                println!("   {:6.1} {:6.1} {:4.2} {:5.1}°  {}", line.rect.x0, line.rect.centre().y, line.confidence, line.angle, line.text);
            }
        }
        if let Some(dir) = &pages {
            std::fs::create_dir_all(dir).unwrap();
            let out = dir.join(file.file_stem().unwrap()).with_extension("json");
            std::fs::write(out, serde_json::to_vec(&reading.page).unwrap()).unwrap();
        }
    }
    totals.sort_by(f32::total_cmp);
    println!("median {:.0} ms of {} pictures", totals[totals.len() / 2], totals.len());
}
