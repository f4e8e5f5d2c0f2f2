//! Measures how attacks are noticed: `presentation MODELS FOLDER… [--runtime rten] [--list] [--patches FILE]`.
//!
//! Each `FOLDER` holds pictures and a `truth.jsonl` with their media, as `make_set` of the test kit writes. For each kind of
//! attack it prints the share that goes unnoticed (APCER, ISO/IEC 30107-3) by the check of today, the strength of a periodic
//! pattern, and by the network: at the threshold, and at one that holds 1 % of the genuine (BPCER). With `--list` also every
//! picture's numbers, with `--patches` the patches that the network saw, as they lie in memory, and `FILE.jsonl` with a line for
//! each picture: for trying other weights on them without reading all again. Photos, scans and screenshots of the card count as genuine; what is no card does not count.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a developer's tool")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use filot_ocr::engine::OcrEngine;
use filot_ocr::image::{Limits, Photo};
use filot_ocr::models::Models;
use filot_ocr::native::NativeEngine;
use filot_ocr::presentation::{self, Presentation};
use serde_json::{Value, json};

/// Thresholds of the check of today; see `filot-cards`.
const PERIODIC: f32 = 0.5;
const BLACK: f32 = 0.085;
const COARSE: f32 = 40.0;
/// The network's.
const THRESHOLD: f32 = 0.65;
/// Genuine cards that may be held.
const BPCER: f32 = 0.01;

struct Judged {
    medium: String,
    tier: String,
    moire: f32,
    /// Whether the check of today warns for another reason, or cannot say.
    shines: bool,
    coarse: bool,
    network: Presentation,
}

/// What a picture is judged with, and what is written about it.
struct Bench {
    engine: NativeEngine,
    list: bool,
    patches: Option<(File, File)>,
}

fn judge(bench: &mut Bench, folder: &Path, truth: &Value) -> Option<(Judged, f64)> {
    let Bench { engine, list, patches } = bench;
    let medium = truth["capture"]["medium"].as_str().unwrap_or("photo");
    if truth["type"] == "other" || ["texture", "blank"].contains(&medium) {
        return None;
    }
    let file = truth["file"].as_str().unwrap();
    let photo = Photo::decode(&std::fs::read(folder.join(file)).unwrap(), &Limits::default()).unwrap();
    let reading = engine.read(&photo).unwrap();
    let start = Instant::now();
    let network = engine.presentation(&reading).unwrap().unwrap_or_default();
    let took = start.elapsed().as_secs_f64() * 1000.0;
    let quality = &reading.page.quality;
    if *list {
        println!(
            "{}/{file} {medium} {} {:?} card {:.0} px, moire {:.2}, screen {:.3} print {:.3} copy {:.3}",
            folder.file_name().unwrap_or_default().display(),
            truth["tier"].as_str().unwrap_or("-"),
            reading.page.frame.framing,
            quality.card_width_px,
            quality.moire,
            network.screen,
            network.print,
            network.copy
        );
    }
    if let Some((pixels, index)) = patches {
        let patches = presentation::patches(&reading);
        patches.iter().for_each(|patch| pixels.write_all(patch.as_raw()).unwrap());
        let about = json!({
            "file": folder.join(file), "medium": medium, "tier": truth["tier"], "count": patches.len(),
            "moire": quality.moire, "surround": quality.surround, "fineStep": quality.fine_step,
            "reduction": photo.reduction, "width": quality.card_width_px,
        });
        writeln!(index, "{about}").unwrap();
    }
    let judged = Judged {
        medium: medium.to_owned(),
        tier: truth["tier"].as_str().unwrap_or("-").to_owned(),
        moire: quality.moire,
        shines: quality.surround.is_some_and(|surround| surround < BLACK),
        coarse: quality.fine_step > COARSE,
        network,
    };
    Some((judged, took))
}

/// The value that all but the given share of the genuine stay below.
fn at_bpcer(mut genuine: Vec<f32>) -> f32 {
    genuine.sort_by(f32::total_cmp);
    let held = (BPCER * genuine.len() as f32).floor() as usize;
    genuine.get(genuine.len().saturating_sub(held + 1)).copied().unwrap_or(f32::NAN)
}

fn share(of: &[&Judged], counts: impl Fn(&Judged) -> bool) -> String {
    let count = of.iter().filter(|judged| counts(judged)).count();
    format!("{count}/{} ({:.1} %)", of.len(), 100.0 * count as f64 / of.len().max(1) as f64)
}

fn tell(title: &str, all: &[&Judged]) {
    let is_genuine = |judged: &Judged| ["photo", "scan", "screenshot"].contains(&judged.medium.as_str());
    let genuine: Vec<&Judged> = all.iter().copied().filter(|judged| is_genuine(judged)).collect();
    println!("{title}: genuine {}", genuine.len());
    let old = |judged: &Judged| judged.moire > PERIODIC || judged.shines;
    println!(
        "  held (BPCER): today {}, and cannot say {}",
        share(&genuine, old),
        share(&genuine, |j| j.coarse)
    );
    type Score = fn(&Judged) -> f32;
    let network: [(&str, Score); 3] = [
        ("screen", |judged| judged.network.screen),
        ("print", |judged| judged.network.print),
        ("copy", |judged| judged.network.copy),
    ];
    for (name, score) in network {
        println!("  held (BPCER): network's {name} {}", share(&genuine, |j| score(j) > THRESHOLD));
    }
    let periodic: Score = |judged| judged.moire;
    for (medium, nth) in [("screen", 0), ("print", 1), ("photocopy", 2)] {
        let attacks: Vec<&Judged> = all.iter().copied().filter(|judged| judged.medium == medium).collect();
        if attacks.is_empty() {
            continue;
        }
        let (name, score) = network[nth];
        let limits = [periodic, score].map(|score| at_bpcer(genuine.iter().map(|j| score(j)).collect()));
        println!("  {medium} missed (APCER): today {}", share(&attacks, |j| !old(j)));
        println!("    network's {name} {}", share(&attacks, |j| score(j) <= THRESHOLD));
        println!(
            "    at BPCER 1 %: pattern over {:.2} {}, network over {:.3} {}",
            limits[0],
            share(&attacks, |j| periodic(j) <= limits[0]),
            limits[1],
            share(&attacks, |j| score(j) <= limits[1])
        );
    }
}

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let patches = words.iter().position(|word| word == "--patches").map(|at| {
        let file = PathBuf::from(words.remove(at + 1));
        words.remove(at);
        let index = file.with_added_extension("jsonl");
        (File::create(file).unwrap(), File::create(index).unwrap())
    });
    let list = words.iter().any(|word| word == "--list");
    let rten = words.iter().any(|word| word == "rten");
    words.retain(|word| !["--list", "--runtime", "rten"].contains(&word.as_str()));
    let models = Path::new(&words[0]);
    let library = models.join("libonnxruntime.so");
    let library = (!rten).then_some(library.as_path());
    let engine = NativeEngine::load(&Models::from_dir(models).unwrap(), library, 1).unwrap();
    let mut bench = Bench { engine, list, patches };
    let (mut all, mut took) = (Vec::new(), Vec::new());
    for folder in words[1..].iter().map(Path::new) {
        let from = all.len();
        for line in std::fs::read_to_string(folder.join("truth.jsonl")).unwrap().lines() {
            let truth: Value = serde_json::from_str(line).unwrap();
            if let Some((judged, milliseconds)) = judge(&mut bench, folder, &truth) {
                all.push(judged);
                took.push(milliseconds);
            }
        }
        tell(&folder.display().to_string(), &all[from..].iter().collect::<Vec<_>>());
    }
    tell("all", &all.iter().collect::<Vec<_>>());
    for tier in ["clean", "normal", "hard"] {
        tell(tier, &all.iter().filter(|judged| judged.tier == tier).collect::<Vec<_>>());
    }
    took.sort_by(f64::total_cmp);
    if let Some(median) = took.get(took.len() / 2) {
        println!("median {median:.1} ms a picture");
    }
}
