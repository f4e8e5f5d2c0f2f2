//! Measures results of `filot scan --format ndjson` against a folder's `truth.jsonl` and prints the tables.
//!
//! `cargo run --release -p filot-testkit --example score -- FOLDER RESULTS.ndjson [--misses]`

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use filot_testkit::accuracy::{Report, truths};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, results, rest @ ..] = &words[..] else {
        return Err("usage: score FOLDER RESULTS.ndjson [--misses]".into());
    };
    let mut by_file = HashMap::new();
    for line in fs::read_to_string(results)?.lines().filter(|line| !line.trim().is_empty()) {
        let result: Value = serde_json::from_str(line)?;
        let file = result["file"].as_str().unwrap_or_default();
        let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned();
        by_file.insert(name, result);
    }
    let mut report = Report::default();
    for truth in truths(Path::new(folder))? {
        report.add(&truth, by_file.get(&truth.file).unwrap_or(&Value::Null));
    }
    if rest.iter().any(|word| word == "--misses") {
        for miss in &report.misses {
            write(&format!(
                "{} {} {}: {} | {}",
                miss.file,
                miss.tier.name(),
                miss.field,
                miss.truth,
                miss.read
            ))?;
        }
    }
    write(&report.markdown())?;
    write(&format!("approved wrongly: {:?}", report.wrongly_approved))?;
    write(&format!("rejected wrongly: {:?}", report.wrongly_rejected))?;
    Ok(())
}

fn write(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}")
}
